//! From elements to facts.

use super::{Class, Fact, Place, Told};
use crate::codec::module::{ModuleId, Tagged};
use crate::codec::stream::{Meta, Part, StreamId};
use crate::codec::string::canonical_integer;
use crate::codec::{Cursor, vectorset};
use crate::error::Result;
use crate::model::record::Entry;
use crate::model::types::{Kind, RdbType};
use crate::model::value::{Element, Scratch, Value};

/// Buffers for telling facts.
#[derive(Default)]
pub struct FactScratch {
    /// A decoded string, or the components of a vector.
    bytes: Vec<u8>,
    /// The name of the group or producer that the parts of a stream belong to.
    owner: Vec<u8>,
}

/// Gives the facts of an entry's value, and whatever else belongs to the key: metadata of modules, and the marks and
/// expiries of forks. Expiry, idle time and access counter of the key itself are not among them.
pub fn entry_facts(
    entry: &Entry<'_>,
    scratch: &mut Scratch,
    own: &mut FactScratch,
    mut visit: impl FnMut(Fact<&[u8]>) -> Result<()>,
) -> Result<()> {
    value_facts(entry.value, scratch, own, &mut visit)?;
    if let Some((flags, memcached)) = entry.mask.filter(|mask| *mask != (0, 0)) {
        let mask = u64::from(flags) << 32 | u64::from(memcached);
        visit(content(Place::Property("mask"), Told::Number(Some(mask))))?;
    }
    if !entry.meta.is_empty() {
        entry.each_meta(|meta| visit(content(Place::Metadata(meta.spec), Told::Bytes(meta.data))))?;
    }
    if !entry.member_expiries.is_empty() {
        entry.each_member_expiry(|member, at| {
            let told = canonical_integer(at).map_or(Told::Bytes(at), Told::Time);
            visit(Fact { class: Class::Expiry, place: Place::Expiry(member), told })
        })?;
    }
    Ok(())
}

/// Gives the facts of a value, in the order of its bytes.
#[inline]
pub fn value_facts(
    value: Value<'_>,
    scratch: &mut Scratch,
    own: &mut FactScratch,
    mut visit: impl FnMut(Fact<&[u8]>) -> Result<()>,
) -> Result<()> {
    let is_list = value.rdb_type.kind() == Kind::List;
    let is_whole = matches!(value.rdb_type, RdbType::String | RdbType::DragonflyJson);
    let mut index = 0;
    if let Some(id) = value.module() {
        module_head(value, id, &mut visit)?;
    }
    let mut stream = StreamFacts::default();
    value.each(scratch, |element| match element {
        Element::Item(item) if is_list => {
            index += 1;
            visit(content(Place::Index(index - 1), Told::Bytes(item)))
        }
        Element::Item(text) if is_whole => visit(content(Place::Whole, Told::Bytes(text))),
        Element::Item(member) => visit(content(Place::Member(member), Told::Present)),
        Element::Expiring { member, expiry } => {
            visit(content(Place::Member(member), Told::Present))?;
            expires(member, expiry, &mut visit)
        }
        Element::Scored { member, score } => visit(content(Place::Member(member), Told::Score(score))),
        Element::Field { name, value, expiry } => {
            visit(content(Place::Field(name), Told::Bytes(value)))?;
            expires(name, expiry, &mut visit)
        }
        Element::ArrayHead(head) => match head.insert_index {
            Some(at) => visit(content(Place::Property("insertIndex"), Told::Number(Some(at)))),
            None => Ok(()),
        },
        Element::Slot { index, item } => visit(content(Place::Index(index), Told::Bytes(item))),
        Element::Stream(part) => stream.part(part, &mut own.owner, &mut visit),
        Element::VectorHead(head) => vector_head(&head, &mut visit),
        Element::Vector(element) => vector(&element, &mut own.bytes, &mut visit),
        Element::Opaque(bytes) => opaque(value, bytes, &mut own.bytes, &mut visit),
    })
}

#[inline]
fn content<'a>(place: Place<&'a [u8]>, told: Told<&'a [u8]>) -> Fact<&'a [u8]> {
    Fact { class: Class::Content, place, told }
}

#[inline]
fn expires(name: &[u8], expiry: Option<i64>, visit: &mut impl FnMut(Fact<&[u8]>) -> Result<()>) -> Result<()> {
    match expiry {
        Some(at) => visit(Fact { class: Class::Expiry, place: Place::Expiry(name), told: Told::Time(at) }),
        None => Ok(()),
    }
}

/// Whose value it is, and in which version of the module's own format; what stands in a vector set's head.
fn module_head(value: Value<'_>, id: ModuleId, visit: &mut impl FnMut(Fact<&[u8]>) -> Result<()>) -> Result<()> {
    if value.kind() == Kind::VectorSet {
        let mut cur = Cursor::new(value.bytes);
        cur.length()?;
        return match vectorset::projection(&mut cur)? {
            Some(matrix) => {
                let mut buf = Vec::new();
                visit(content(Place::Property("projection"), Told::Vector(matrix.decode(&mut buf)?)))
            }
            None => Ok(()),
        };
    }
    visit(content(Place::Property("module"), Told::Bytes(id.name().as_bytes())))?;
    visit(content(Place::Property("encver"), Told::Number(Some(u64::from(id.version())))))
}

fn vector_head(head: &vectorset::Head, visit: &mut impl FnMut(Fact<&[u8]>) -> Result<()>) -> Result<()> {
    visit(content(Place::Property("dim"), Told::Number(Some(head.dim))))?;
    visit(content(Place::Property("quantization"), Told::Name(head.quantization.name())))?;
    visit(content(Place::Property("m"), Told::Number(Some(head.m))))?;
    match head.input_dim {
        Some(dim) => visit(content(Place::Property("inputDim"), Told::Number(Some(dim)))),
        None => Ok(()),
    }
}

fn vector(
    element: &vectorset::Element<'_>,
    bytes: &mut Vec<u8>,
    visit: &mut impl FnMut(Fact<&[u8]>) -> Result<()>,
) -> Result<()> {
    bytes.clear();
    element.vector.iter().for_each(|component| bytes.extend_from_slice(&component.to_le_bytes()));
    visit(content(Place::Element(element.name), Told::Vector(bytes)))?;
    match element.attributes {
        Some(attributes) => visit(content(Place::Attributes(element.name), Told::Bytes(attributes))),
        None => Ok(()),
    }
}

/// What only a module or fork understands: tagged items one by one, as their strings can lie in the file in several
/// forms; everything else as it is.
fn opaque(
    value: Value<'_>,
    bytes: &[u8],
    buf: &mut Vec<u8>,
    visit: &mut impl FnMut(Fact<&[u8]>) -> Result<()>,
) -> Result<()> {
    if value.rdb_type != RdbType::Module2 {
        visit(content(Place::Property("layout"), Told::Name(value.encoding())))?;
        return visit(content(Place::Whole, Told::Bytes(bytes)));
    }
    let mut cur = Cursor::new(bytes);
    for index in 0.. {
        let told = match Tagged::read(&mut cur)? {
            Tagged::End => break,
            Tagged::Int(n) => Told::Number(Some(n)),
            Tagged::Float(float) => Told::Float(float),
            Tagged::Double(double) => Told::Score(double),
            Tagged::String(string) => Told::Bytes(string.decode(buf)?),
        };
        visit(content(Place::Index(index), told))?;
    }
    Ok(())
}

/// Where in a stream the walk is.
#[derive(Default)]
struct StreamFacts {
    entry: StreamId,
    /// The number of the next field, or of the next place in a queue.
    next: u64,
}

impl StreamFacts {
    fn part(
        &mut self,
        part: Part<'_>,
        owner: &mut Vec<u8>,
        visit: &mut impl FnMut(Fact<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        match part {
            Part::Node(_) => Ok(()),
            Part::Entry(id) => {
                (self.entry, self.next) = (id, 0);
                visit(content(Place::Entry(id), Told::Present))
            }
            Part::Field { name, value } => {
                self.next += 1;
                visit(content(Place::EntryField(self.entry, self.next - 1), Told::Pair(name, value)))
            }
            Part::Meta(meta) => stream_meta(&meta, visit),
            Part::Group { name, last, entries_read } => {
                self.next = 0;
                name.clone_into(owner);
                visit(content(Place::Group(name), Told::Id(last)))?;
                match entries_read {
                    Some(n) => visit(of(Class::History, Place::EntriesRead(name), Told::Number(n))),
                    None => Ok(()),
                }
            }
            Part::Consumer { name, seen, active } => {
                visit(content(Place::Consumer(owner, name), Told::Present))?;
                visit(of(Class::Seen, Place::Seen(owner, name), Told::Time(seen)))?;
                match active {
                    Some(at) => visit(of(Class::Active, Place::Active(owner, name), Told::Time(at))),
                    None => Ok(()),
                }
            }
            Part::Pending { id, consumer, delivered, deliveries } => {
                let class = if consumer.is_some() { Class::Content } else { Class::Nacked };
                visit(of(class, Place::Pending(owner, id), Told::Pending { consumer, delivered, deliveries }))
            }
            Part::Nacked(id) => {
                self.next += 1;
                visit(of(Class::Nacked, Place::Nacked(owner, self.next - 1), Told::Id(id)))
            }
            Part::Idempotency { duration, max_entries, added, duplicates } => {
                let settings = [
                    ("idmp.duration", duration),
                    ("idmp.maxEntries", max_entries),
                    ("idmp.added", added),
                    ("idmp.duplicates", duplicates),
                ];
                settings.iter().try_for_each(|(name, n)| {
                    visit(of(Class::Idempotency, Place::Property(name), Told::Number(Some(*n))))
                })
            }
            Part::Producer(id) => {
                id.clone_into(owner);
                visit(of(Class::Idempotency, Place::Producer(id), Told::Present))
            }
            Part::ProducerId { iid, id } => visit(of(Class::Idempotency, Place::ProducerId(owner, iid), Told::Id(id))),
        }
    }
}

fn of<'a>(class: Class, place: Place<&'a [u8]>, told: Told<&'a [u8]>) -> Fact<&'a [u8]> {
    Fact { class, place, told }
}

fn stream_meta(meta: &Meta, visit: &mut impl FnMut(Fact<&[u8]>) -> Result<()>) -> Result<()> {
    visit(content(Place::Property("lastId"), Told::Id(meta.last)))?;
    // Development versions of 2018 could count wrongly; the server believes the count.
    if meta.length != meta.found {
        visit(content(Place::Property("length"), Told::Number(Some(meta.length))))?;
    }
    match meta.history {
        Some(history) => {
            let added = Told::Number(Some(history.entries_added));
            visit(of(Class::History, Place::Property("maxDeletedId"), Told::Id(history.max_deleted)))?;
            visit(of(Class::History, Place::Property("entriesAdded"), added))
        }
        None => Ok(()),
    }
}
