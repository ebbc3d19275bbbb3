//! Values from their elements: the inverse of [`Value::each`], in the encoding that the target would choose itself.

mod hash;
mod list;
mod sets;

use std::sync::Arc;

use super::encoding::{Shape, conventional};
use super::repeats::{fingerprint, repeats};
use super::target::Target;
use super::types::{Kind, RdbType};
use super::value::{Element, Value};
use crate::codec::string::{StrWriter, canonical_integer};
use crate::codec::{array, length, listpack, stream, ziplist};
use crate::error::{Error, Result};
use crate::text;

/// Builds one value after the other, out of [`Element`]s in the order in which [`Value::each`] gives them.
///
/// What the target has no layout for is written in the newest one that holds it all, which [`Target::accepts`] then
/// refuses; [`ValueBuf::finish_less`] leaves that part out instead. Arrays become hashes from index to item where there
/// are no arrays.
#[derive(Clone)]
pub struct ValueBuf {
    kind: Kind,
    elements: Elements,
    stream: stream::Builder,
    /// The type of a value that was serialized already and stands in `out`.
    raw: Option<RdbType>,
    maker: Maker,
    out: Vec<u8>,
}

/// Strings one after the other, and what belongs to each of them.
#[derive(Clone, Default)]
struct Elements {
    text: Vec<u8>,
    /// Where each string ends; names and values take turns.
    ends: Vec<usize>,
    scores: Vec<f64>,
    /// Expiries of fields or members, one each.
    expiries: Vec<Option<i64>>,
    /// Indexes of an array's slots.
    indexes: Vec<u64>,
    insert_index: Option<u64>,
    shape: Shape,
}

/// What decides how elements are written, and buffers for that.
#[derive(Clone)]
struct Maker {
    target: Arc<Target>,
    hint: Option<Hint>,
    strings: StrWriter,
    listpack: listpack::Builder,
    ziplist: ziplist::Builder,
    text: Vec<u8>,
    order: Vec<usize>,
    fingerprints: Vec<u64>,
}

/// An encoding that was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Intset,
    /// Listpack, ziplist or zipmap, whichever the target has.
    Packed,
    /// A listpack that can hold expiries of fields, even if there are none any more.
    PackedExpiring,
    /// Element by element.
    Table,
    Quicklist,
    TemplateListpack,
    TemplateArray,
}

impl Elements {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.scores.clear();
        self.expiries.clear();
        self.indexes.clear();
        self.insert_index = None;
        self.shape = Shape { all_integers: true, ..Shape::default() };
    }

    #[inline]
    fn string(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.ends.push(self.text.len());
        self.shape.longest = self.shape.longest.max(bytes.len());
    }

    #[inline]
    fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }

    /// All strings, in their order.
    fn strings(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|i| self.get(i))
    }

    fn count(&self) -> usize {
        self.shape.count as usize
    }

    /// Refuses a member or name that stands twice; `step` strings belong together, and the first of them counts.
    fn refuse_repeated(&self, what: &str, step: usize, fingerprints: &mut Vec<u64>) -> Result<()> {
        let firsts = || self.strings().step_by(step);
        fingerprints.clear();
        fingerprints.extend(firsts().map(fingerprint));
        if !repeats(fingerprints) {
            return Ok(());
        }
        let mut sorted: Vec<&[u8]> = firsts().collect();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::malformed(format!("{what} {} stands twice", text::quoted_short(pair[0])))),
            None => Ok(()),
        }
    }
}

impl ValueBuf {
    /// For values of this target, whose strings are compressed as servers do or not at all.
    pub fn new(target: &Arc<Target>, compress: bool) -> ValueBuf {
        ValueBuf {
            kind: Kind::String,
            elements: Elements::default(),
            stream: stream::Builder::new(target.limits.stream),
            raw: None,
            maker: Maker {
                target: target.clone(),
                hint: None,
                strings: StrWriter::new(compress),
                listpack: listpack::Builder::default(),
                ziplist: ziplist::Builder::new(target.origin.version < 6),
                text: Vec::new(),
                order: Vec::new(),
                fingerprints: Vec::new(),
            },
            out: Vec::new(),
        }
    }

    /// Begins a value of this kind and forgets the one before.
    pub fn begin(&mut self, kind: Kind) {
        /// What a single huge value may leave behind.
        const KEPT: usize = 16 << 20;
        self.kind = kind;
        self.maker.hint = None;
        self.raw = None;
        self.elements.clear();
        if self.elements.text.capacity() > KEPT {
            self.elements = Elements::default();
        }
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        if kind == Kind::Stream {
            self.stream.clear();
        }
    }

    /// Asks for an encoding, by the name that OBJECT ENCODING gives it; one that the value or the target cannot have
    /// is not heeded.
    pub fn prefer(&mut self, encoding: &str) {
        self.maker.hint = match encoding {
            "intset" => Some(Hint::Intset),
            "listpack" | "ziplist" | "zipmap" => Some(Hint::Packed),
            "listpackex" => Some(Hint::PackedExpiring),
            "hashtable" | "skiplist" | "linkedlist" => Some(Hint::Table),
            "quicklist" => Some(Hint::Quicklist),
            "template-listpack" => Some(Hint::TemplateListpack),
            "template-array" => Some(Hint::TemplateArray),
            _ => None,
        };
    }

    /// Adds an element.
    #[inline]
    pub fn push(&mut self, element: Element<'_>) -> Result<()> {
        let elements = &mut self.elements;
        match element {
            Element::Item(item) => {
                if self.kind == Kind::Set && elements.shape.all_integers {
                    elements.shape.all_integers = canonical_integer(item).is_some();
                }
                elements.string(item);
            }
            Element::Field { name, value, expiry } => {
                elements.string(name);
                elements.string(value);
                elements.shape.expiring |= expiry.is_some();
                elements.expiries.push(expiry);
            }
            Element::Scored { member, score } => {
                elements.string(member);
                elements.scores.push(score);
            }
            Element::Expiring { member, expiry } => {
                elements.shape.all_integers &= canonical_integer(member).is_some();
                elements.string(member);
                elements.shape.expiring |= expiry.is_some();
                elements.expiries.push(expiry);
            }
            Element::ArrayHead(head) => {
                elements.insert_index = head.insert_index;
                return Ok(());
            }
            Element::Slot { index, item } => {
                elements.indexes.push(index);
                elements.string(item);
            }
            Element::Stream(part) => return self.stream.push(part),
            Element::VectorHead(_) | Element::Vector(_) | Element::Opaque(_) => return Err(opaque()),
        }
        elements.shape.count += 1;
        Ok(())
    }

    /// Takes a value that is serialized already: its bytes as in a file.
    pub fn raw(&mut self, rdb_type: RdbType, bytes: &[u8]) {
        self.raw = Some(rdb_type);
        self.out.clear();
        self.out.extend_from_slice(bytes);
    }

    /// The value, whole, whether the target can hold it or not.
    ///
    /// Errors: a member or field that stands twice, a score that is no number, and what is wrong with a stream.
    pub fn finish(&mut self) -> Result<Value<'_>> {
        self.finish_as(false)
    }

    /// The value without what the target cannot hold: expiries of fields or members, idempotency data of streams,
    /// NACKed entries. Where the target knows no such kind of value at all, it does not accept even that.
    pub fn finish_less(&mut self) -> Result<Value<'_>> {
        self.finish_as(true)
    }

    fn finish_as(&mut self, less: bool) -> Result<Value<'_>> {
        let rdb_type = match self.raw {
            Some(rdb_type) => rdb_type,
            None => self.write(less)?,
        };
        Ok(Value { rdb_type, bytes: &self.out, origin: &self.maker.target.origin })
    }

    fn write(&mut self, less: bool) -> Result<RdbType> {
        let ValueBuf { kind, elements, stream, maker, out, .. } = self;
        out.clear();
        match kind {
            Kind::String => maker.string(elements, RdbType::String, out),
            Kind::Json if less => maker.string(elements, RdbType::String, out),
            Kind::Json => maker.string(elements, RdbType::DragonflyJson, out),
            Kind::List => Ok(maker.list(elements, out)),
            Kind::Set => maker.set(elements, less, out),
            Kind::Zset => maker.zset(elements, out),
            Kind::Hash => maker.hash(elements, less, out),
            Kind::Stream => maker.stream(stream, less, out),
            Kind::Array => maker.array(elements, less, out),
            Kind::VectorSet | Kind::Module | Kind::Foreign => Err(opaque()),
        }
    }
}

fn opaque() -> Error {
    Error::unsupported("a module's value can't be built from its parts")
}

impl Maker {
    fn string(&mut self, elements: &Elements, rdb_type: RdbType, out: &mut Vec<u8>) -> Result<RdbType> {
        if elements.count() != 1 {
            return Err(Error::malformed("string: it has no text, or more than one"));
        }
        self.strings.write(elements.get(0), out);
        Ok(rdb_type)
    }

    fn stream(&mut self, stream: &mut stream::Builder, less: bool, out: &mut Vec<u8>) -> Result<RdbType> {
        let version = self.target.stream_version().unwrap_or(stream::Version::V5);
        let lost = stream.write(version, &mut self.strings, out)?;
        if less || lost == stream::Lost::default() {
            return Ok(RdbType::of_stream(version));
        }
        out.clear();
        stream.write(stream::Version::V5, &mut self.strings, out)?;
        Ok(RdbType::Stream5)
    }

    fn array(&mut self, elements: &mut Elements, less: bool, out: &mut Vec<u8>) -> Result<RdbType> {
        let index_order = |i: &usize, j: &usize| elements.indexes[*i].cmp(&elements.indexes[*j]);
        self.order.clear();
        self.order.extend(0..elements.count());
        self.order.sort_by(index_order);
        if let Some(pair) = self.order.windows(2).find(|pair| index_order(&pair[0], &pair[1]).is_eq()) {
            return Err(Error::malformed(format!("array: index {} stands twice", elements.indexes[pair[0]])));
        }
        // A hash can't say where ARINSERT goes on.
        if !self.target.has_arrays() && (less || elements.insert_index.is_none()) {
            return self.array_as_hash(elements, out);
        }
        let head = array::Head { count: elements.shape.count, insert_index: elements.insert_index };
        array::write_head(head, out);
        for i in &self.order {
            array::write_slot(elements.indexes[*i], elements.get(*i), &mut self.strings, out);
        }
        Ok(RdbType::Array)
    }

    fn array_as_hash(&mut self, elements: &mut Elements, out: &mut Vec<u8>) -> Result<RdbType> {
        let mut hash = Elements::default();
        hash.clear();
        let mut digits = itoa::Buffer::new();
        for i in &self.order {
            hash.string(digits.format(elements.indexes[*i]).as_bytes());
            hash.string(elements.get(*i));
            hash.expiries.push(None);
            hash.shape.count += 1;
        }
        self.hash(&mut hash, false, out)
    }

    /// Whether a collection is to be packed into one blob: as was asked for, else as the server would do.
    fn packs(&self, kind: Kind, elements: &Elements) -> bool {
        /// Servers let no listpack grow beyond 1 GiB; the rest is for what stands around each string.
        const LARGEST: usize = (1 << 30) - (1 << 20);
        let Elements { shape, text, ends, .. } = elements;
        let fits = self.target.origin.version >= 2 && text.len().saturating_add(11 * ends.len()) < LARGEST;
        fits && match self.hint {
            Some(Hint::Packed | Hint::PackedExpiring) => true,
            Some(Hint::Table) => false,
            _ => {
                let usual = conventional(kind, *shape, &self.target.origin, &self.target.limits);
                matches!(usual, Some("listpack" | "ziplist" | "zipmap" | "listpackex"))
            }
        }
    }

    /// These strings as one packed list, a listpack or a ziplist.
    fn packed<'s>(&mut self, strings: impl Iterator<Item = &'s [u8]>, out: &mut Vec<u8>) {
        if self.target.has_listpacks() {
            self.listpack.clear();
            strings.for_each(|string| self.listpack.push(string));
            self.strings.write(self.listpack.finish(), out);
        } else {
            self.ziplist.clear();
            strings.for_each(|string| self.ziplist.push(string));
            self.strings.write(self.ziplist.finish(), out);
        }
    }

    /// A count, and these strings one by one.
    fn one_by_one<'s>(&mut self, count: usize, strings: impl Iterator<Item = &'s [u8]>, out: &mut Vec<u8>) {
        length::write(count as u64, out);
        strings.for_each(|string| self.strings.write(string, out));
    }
}
