//! Fingerprints: 128 bits that are the same for the same facts, today and on any machine.
//!
//! Every fact is written down in one way and hashed with XXH3-128; the hashes of a class are added up, so that order
//! means nothing but where the fact itself names a place. That is proof against accidents (two different values get the
//! same fingerprint once in 2^128) and not against somebody who makes values collide on purpose.

use twox_hash::XxHash3_128;

use super::{Class, Fact, FactScratch, Place, Told, entry_facts};
use crate::codec::stream::{StreamId, Version};
use crate::error::Result;
use crate::model::record::Entry;
use crate::model::types::Kind;
use crate::model::value::Scratch;

/// What a key holds, in few bytes: its value and all that belongs to it, but neither its name, nor its database, nor
/// its expiry, idle time or access counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    sums: [u128; Class::ALL.len()],
    layout: Version,
}

impl Fingerprint {
    /// The facts of one class.
    pub fn of(&self, class: Class) -> u128 {
        self.sums[class as usize]
    }

    /// Whether the value's format has facts of this class at all.
    pub fn knows(&self, class: Class) -> bool {
        class.since() <= self.layout
    }

    /// Whether both are of the same data, in all classes that both know and that `matters` names.
    ///
    /// This is no equivalence: a stream that was saved by Redis 5 may be the same as two that differ in what Redis 7
    /// added. [`Fingerprint::data`] is.
    pub fn agrees(&self, other: &Fingerprint, matters: impl Fn(Class) -> bool) -> bool {
        let mut compared = Class::ALL.iter().filter(|c| matters(**c) && self.knows(**c) && other.knows(**c));
        compared.all(|class| self.of(*class) == other.of(*class))
    }

    /// The oldest layout of streams that has all that this fingerprint is made of.
    pub fn layout(&self) -> Version {
        self.layout
    }

    /// The data that every version has: content, and expiries of fields and members.
    pub fn data(&self) -> u128 {
        combine([self.of(Class::Content), self.of(Class::Expiry)])
    }
}

/// Makes fingerprints. Every worker has its own.
#[derive(Default)]
pub struct Fingerprinter {
    line: Vec<u8>,
    facts: FactScratch,
}

impl Fingerprinter {
    /// The fingerprint of what a key holds. Decodes the value to its last byte; errors are those of the decoding.
    ///
    /// ```
    /// use rdbkit::model::{Entry, Fingerprinter, Origin, RdbType, Scratch, Value};
    /// let origin = Origin::from_header(b"REDIS0011").unwrap();
    /// let mut prints = Fingerprinter::default();
    /// let mut print = |rdb_type, bytes| {
    ///     let value = Value { rdb_type, bytes, origin: &origin };
    ///     prints.print(&Entry::plain(0, b"key", value), &mut Scratch::default())
    /// };
    /// let table = print(RdbType::Set, b"\x02\x011\xc0\x02")?;
    /// let intset = print(RdbType::SetIntset, b"\x0c\x02\0\0\0\x02\0\0\0\x01\0\x02\0")?;
    /// assert_eq!(table, intset);
    /// # Ok::<(), rdbkit::Error>(())
    /// ```
    pub fn print(&mut self, entry: &Entry<'_>, scratch: &mut Scratch) -> Result<Fingerprint> {
        let Fingerprinter { line, facts } = self;
        let mut sums = [0_u128; Class::ALL.len()];
        entry_facts(entry, scratch, facts, |fact| {
            let sum = &mut sums[fact.class as usize];
            *sum = sum.wrapping_add(fact.hash(line));
            Ok(())
        })?;
        let content = &mut sums[Class::Content as usize];
        *content = combine([kind_hash(entry.value.kind()), *content]);
        let layout = entry.value.rdb_type.stream_version().unwrap_or(Version::V5);
        Ok(Fingerprint { sums, layout })
    }
}

/// The hash of a kind of values: a string "a" is no list of one "a".
fn kind_hash(kind: Kind) -> u128 {
    hash(kind.name().as_bytes())
}

/// The hash of bytes.
#[inline]
pub fn hash(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

/// One hash of several numbers, which depends on their order.
#[inline]
pub fn combine<const N: usize>(numbers: [u128; N]) -> u128 {
    hash(numbers.map(u128::to_le_bytes).as_flattened())
}

impl Fact<&[u8]> {
    /// Its hash; `line` is scratch.
    #[inline]
    pub fn hash(&self, line: &mut Vec<u8>) -> u128 {
        line.clear();
        write_place(&self.place, line);
        write_told(&self.told, line);
        hash(line)
    }
}

impl Place<&[u8]> {
    /// Its hash; `line` is scratch.
    pub fn hash(&self, line: &mut Vec<u8>) -> u128 {
        line.clear();
        write_place(self, line);
        hash(line)
    }
}

// The numbers of places and of what is told are part of every digest that anybody has kept: never change one.

#[inline]
fn write_place(place: &Place<&[u8]>, line: &mut Vec<u8>) {
    match place {
        Place::Whole => line.push(0),
        Place::Property(name) => one(1, name.as_bytes(), line),
        Place::Index(i) => number(2, *i, line),
        Place::Member(name) => one(3, name, line),
        Place::Field(name) => one(4, name, line),
        Place::Expiry(name) => one(5, name, line),
        Place::Element(name) => one(6, name, line),
        Place::Attributes(name) => one(7, name, line),
        Place::Entry(id) => stream_id(8, *id, line),
        Place::EntryField(id, i) => {
            stream_id(9, *id, line);
            line.extend_from_slice(&i.to_le_bytes());
        }
        Place::Group(name) => one(10, name, line),
        Place::EntriesRead(name) => one(11, name, line),
        Place::Consumer(group, name) => two(12, group, name, line),
        Place::Seen(group, name) => two(13, group, name, line),
        Place::Active(group, name) => two(14, group, name, line),
        Place::Pending(group, id) => {
            one(15, group, line);
            stream_id(15, *id, line);
        }
        Place::Nacked(group, i) => {
            one(16, group, line);
            number(16, *i, line);
        }
        Place::Producer(name) => one(17, name, line),
        Place::ProducerId(producer, iid) => two(18, producer, iid, line),
        Place::Metadata(class) => number(19, u64::from(*class), line),
    }
}

#[inline]
fn write_told(told: &Told<&[u8]>, line: &mut Vec<u8>) {
    match told {
        Told::Present => line.push(0),
        Told::Bytes(bytes) => one(1, bytes, line),
        Told::Pair(name, value) => two(2, name, value, line),
        Told::Name(name) => one(3, name.as_bytes(), line),
        Told::Number(Some(n)) => number(4, *n, line),
        Told::Number(None) => line.push(5),
        Told::Time(at) => number(6, *at as u64, line),
        // There are many NaNs, and servers have but one.
        Told::Score(score) if score.is_nan() => number(7, f64::NAN.to_bits(), line),
        Told::Score(score) => number(7, score.to_bits(), line),
        Told::Float(float) => number(8, u64::from(float.to_bits()), line),
        Told::Id(id) => stream_id(9, *id, line),
        Told::Vector(bytes) => one(10, bytes, line),
        Told::Pending { consumer, delivered, deliveries } => {
            number(11, *delivered as u64, line);
            number(11, *deliveries, line);
            match consumer {
                Some(name) => one(1, name, line),
                None => line.push(0),
            }
        }
    }
}

#[inline]
fn one(tag: u8, bytes: &[u8], line: &mut Vec<u8>) {
    line.push(tag);
    string(bytes, line);
}

#[inline]
fn two(tag: u8, a: &[u8], b: &[u8], line: &mut Vec<u8>) {
    line.push(tag);
    string(a, line);
    string(b, line);
}

#[inline]
fn number(tag: u8, n: u64, line: &mut Vec<u8>) {
    line.push(tag);
    line.extend_from_slice(&n.to_le_bytes());
}

fn stream_id(tag: u8, id: StreamId, line: &mut Vec<u8>) {
    number(tag, id.ms, line);
    line.extend_from_slice(&id.seq.to_le_bytes());
}

/// A string with its length in front; of a long one the hash, which saves copying it.
#[inline]
fn string(bytes: &[u8], line: &mut Vec<u8>) {
    const SHORT: usize = 254;
    match u8::try_from(bytes.len()) {
        Ok(len) if bytes.len() <= SHORT => {
            line.push(len);
            line.extend_from_slice(bytes);
        }
        _ => {
            line.push(255);
            line.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            line.extend_from_slice(&hash(bytes).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::stream::{History, Meta, Part};
    use crate::model::{Element, Origin, RdbType, Target, Value, ValueBuf};

    fn built(header: &[u8; 9], kind: Kind, elements: &[Element<'_>]) -> Fingerprint {
        let target = Target::of(&Origin::from_header(header).unwrap());
        let mut buf = ValueBuf::new(&std::sync::Arc::new(target), true);
        buf.begin(kind);
        elements.iter().for_each(|element| buf.push(*element).unwrap());
        let value = buf.finish().unwrap();
        print(value)
    }

    fn print(value: Value<'_>) -> Fingerprint {
        Fingerprinter::default().print(&Entry::plain(0, b"", value), &mut Scratch::default()).unwrap()
    }

    fn raw(header: &[u8; 9], rdb_type: RdbType, bytes: &[u8]) -> Fingerprint {
        print(Value { rdb_type, bytes, origin: &Origin::from_header(header).unwrap() })
    }

    const OLD: &[u8; 9] = b"REDIS0001";
    const NEW: &[u8; 9] = b"REDIS0012";

    #[test]
    fn hashes_are_those_of_the_specification_of_xxh3() {
        assert_eq!(hash(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }

    #[test]
    fn layout_and_order_mean_nothing() {
        let score = |member, score| Element::Scored { member, score };
        let (a, b) = (score(b"a", -0.0), score(b"7", f64::INFINITY));
        assert_eq!(built(OLD, Kind::Zset, &[a, b]), built(NEW, Kind::Zset, &[b, a]));
        let field = |name, value| Element::Field { name, value, expiry: None };
        let (a, b) = (field(b"a", b"007"), field(b"7", b"-1"));
        assert_eq!(built(OLD, Kind::Hash, &[a, b]), built(NEW, Kind::Hash, &[b, a]));
        let items = [Element::Item(b"7"), Element::Item(b"007"), Element::Item(b"7")];
        assert_eq!(built(OLD, Kind::List, &items), built(NEW, Kind::List, &items));
        assert_eq!(raw(OLD, RdbType::String, b"\xc0\x07"), raw(NEW, RdbType::String, b"\x017"));
    }

    #[test]
    fn every_difference_counts() {
        let list = |items: &[&'static [u8]]| {
            built(NEW, Kind::List, &items.iter().map(|item| Element::Item(item)).collect::<Vec<_>>()).data()
        };
        assert_ne!(list(&[b"a", b"b"]), list(&[b"b", b"a"]));
        assert_ne!(list(&[b"a", b"b"]), list(&[b"ab"]));
        assert_ne!(list(&[b"a"]), raw(NEW, RdbType::String, b"\x01a").data());
        assert_ne!(list(&[b"7"]), list(&[b"007"]));
        let score = |score| built(NEW, Kind::Zset, &[Element::Scored { member: b"m", score }]).data();
        assert_ne!(score(0.0), score(-0.0));
        assert_ne!(score(f64::INFINITY), score(f64::MAX));
        assert_ne!(score(1.0), score(1.0 + f64::EPSILON));
        let field = |name, value, expiry| built(NEW, Kind::Hash, &[Element::Field { name, value, expiry }]).data();
        assert_ne!(field(b"ab", b"c", None), field(b"a", b"bc", None));
        assert_ne!(field(b"a", b"b", None), field(b"a", b"b", Some(1)));
        assert_ne!(field(b"a", b"b", Some(1)), field(b"a", b"b", Some(2)));
        let long = |last| [[b'x'; 300].as_slice(), &[last]].concat();
        let string = |text: &[u8]| built(NEW, Kind::String, &[Element::Item(text)]).data();
        assert_ne!(string(&long(b'x')), string(&long(b'y')));
    }

    #[test]
    fn streams_are_compared_by_what_both_know() {
        let id = |ms| StreamId { ms, seq: 0 };
        let stream = |header, entries_added, delivered| {
            let history = History { first: id(1), max_deleted: id(0), entries_added };
            let meta = Meta { length: 1, found: 1, last: id(1), history: Some(history) };
            let parts = [
                Part::Entry(id(1)),
                Part::Field { name: b"f", value: b"v" },
                Part::Meta(meta),
                Part::Group { name: b"g", last: id(1), entries_read: Some(Some(1)) },
                Part::Consumer { name: b"c", seen: 5, active: Some(6) },
                Part::Pending { id: id(1), consumer: Some(b"c"), delivered, deliveries: 1 },
            ];
            built(header, Kind::Stream, &parts.map(Element::Stream))
        };
        let (old, new) = (b"REDIS0009", b"REDIS0011");
        let all = |_| true;
        assert_ne!(stream(old, 1, 9), stream(new, 1, 9), "they know different things");
        assert_eq!(stream(old, 1, 9).data(), stream(new, 3, 9).data());
        assert!(stream(old, 1, 9).agrees(&stream(new, 3, 9), all));
        assert!(!stream(new, 1, 9).agrees(&stream(new, 3, 9), all));
        assert!(stream(new, 1, 9).agrees(&stream(new, 3, 9), |class| class != Class::History));
        assert!(!stream(old, 1, 9).agrees(&stream(new, 1, 8), all));
        assert_ne!(stream(new, 1, 9).data(), stream(new, 1, 8).data());
    }
}
