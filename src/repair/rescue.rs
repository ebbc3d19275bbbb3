//! What can be kept of a value that is damaged: the elements that are known to be as they were saved.
//!
//! Where the layout says where things begin, it goes on behind damage: packed lists are read from both ends, lists and
//! streams node by node, rows of elements past those that can't be read. Of what is compressed as one piece nothing is
//! known: a damaged byte shows wherever it is referred to.

use std::collections::HashMap;
use std::sync::Arc;

use super::rows;
use crate::check::field_expiry;
use crate::codec::listpack::Listpack;
use crate::codec::order::certain;
use crate::codec::packed::PackedBuilder;
use crate::codec::string::write_raw;
use crate::codec::ziplist::Ziplist;
use crate::codec::{Cursor, Item, Packed, Str, intset, length, listpack, stream, ziplist};
use crate::model::{Element, Kind, RdbType, Scratch, Target, Value, ValueBuf};

/// Builds values anew from what is left of them. Every worker has its own.
pub(super) struct Rescuer {
    values: ValueBuf,
}

impl Rescuer {
    pub(super) fn new(target: &Arc<Target>) -> Rescuer {
        Rescuer { values: ValueBuf::new(target, true) }
    }

    /// A value of the elements that can be kept, and how many they are. `None` where nothing is left, or the kind of
    /// value can't be taken apart.
    pub(super) fn rescue(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Option<(Value<'_>, u64)> {
        let kind = value.kind();
        self.values.begin(kind);
        let kept = match kind {
            Kind::Stream => entries(value, &mut self.values)?,
            Kind::List | Kind::Set | Kind::Zset | Kind::Hash => {
                self.values.prefer(value.encoding());
                let bytes = mended(value, scratch)?;
                let mut parts = parts(Value { bytes: &bytes, ..value }, scratch);
                if is_ordered(value.rdb_type) {
                    strike_disordered(&mut parts);
                }
                if kind != Kind::List {
                    strike_contradictions(&mut parts);
                }
                parts.iter().try_for_each(|part| self.values.push(part.element(kind))).ok()?;
                parts.len() as u64
            }
            _ => 0,
        };
        if kept == 0 {
            return None;
        }
        self.values.finish().ok().map(|value| (value, kept))
    }
}

/// An element of a collection.
#[derive(PartialEq)]
struct Part {
    name: Vec<u8>,
    value: Vec<u8>,
    score: f64,
    expiry: Option<i64>,
}

impl Part {
    /// Nothing where it is none that a server takes.
    fn of(element: Element<'_>, rdb_type: RdbType) -> Option<Part> {
        let (name, value, score, expiry) = match element {
            Element::Item(name) => (name, &b""[..], 0.0, None),
            Element::Expiring { member, expiry } => (member, &b""[..], 0.0, expiry),
            Element::Scored { member, score } if !score.is_nan() => (member, &b""[..], score, None),
            Element::Field { name, value, expiry } => (name, value, 0.0, expiry),
            _ => return None,
        };
        let is_sane = expiry.is_none_or(|at| field_expiry(rdb_type).contains(&at));
        is_sane.then(|| Part { name: name.to_vec(), value: value.to_vec(), score, expiry })
    }

    fn element(&self, kind: Kind) -> Element<'_> {
        let Part { name, value, score, expiry } = self;
        match kind {
            Kind::Zset => Element::Scored { member: name, score: *score },
            Kind::Hash => Element::Field { name, value, expiry: *expiry },
            _ if expiry.is_some() => Element::Expiring { member: name, expiry: *expiry },
            _ => Element::Item(name),
        }
    }
}

/// The elements of a collection.
fn parts(value: Value<'_>, scratch: &mut Scratch) -> Vec<Part> {
    let mut parts = Vec::new();
    // What can't be read any further has been mended as far as it can be.
    let _ = value.each_dyn(scratch, &mut |element| Ok(parts.extend(Part::of(element, value.rdb_type))));
    parts
}

/// Whether servers save the elements in ascending order.
fn is_ordered(rdb_type: RdbType) -> bool {
    matches!(rdb_type, RdbType::ZsetZiplist | RdbType::ZsetListpack)
}

/// Leaves out what may be out of its place.
fn strike_disordered(parts: &mut Vec<Part>) {
    let is_certain = certain(parts, |a, b| a.score < b.score || a.score == b.score && a.name < b.name);
    let mut is_certain = is_certain.into_iter();
    parts.retain(|_| is_certain.next() == Some(true));
}

/// Leaves out each name that stands twice and does not mean the same: one of the two was another.
fn strike_contradictions(parts: &mut Vec<Part>) {
    let mut firsts: HashMap<&[u8], usize> = HashMap::new();
    let mut is_kept = vec![true; parts.len()];
    for (i, part) in parts.iter().enumerate() {
        let first = *firsts.entry(&part.name).or_insert(i);
        if first != i {
            is_kept[i] = false;
            is_kept[first] &= parts[first] == *part;
        }
    }
    let mut is_kept = is_kept.into_iter();
    parts.retain(|_| is_kept.next() == Some(true));
}

/// Takes the entries of a stream, and its groups.
fn entries(value: Value<'_>, values: &mut ValueBuf) -> Option<u64> {
    let mut kept = 0;
    let mut cur = Cursor::new(value.bytes);
    let version = value.rdb_type.stream_version()?;
    let taken = stream::salvage(&mut cur, version, &mut stream::Scratch::default(), &mut |part| {
        kept += u64::from(matches!(part, stream::Part::Entry(_)));
        values.push(Element::Stream(part))
    });
    taken.ok().map(|()| kept)
}

/// The value without what can't be read of it; `None` for layouts of which nothing is certain then.
fn mended(value: Value<'_>, scratch: &mut Scratch) -> Option<Vec<u8>> {
    use RdbType::*;
    let mut cur = Cursor::new(value.bytes);
    let mut out = Vec::new();
    match value.rdb_type {
        ListZiplist | ZsetZiplist | HashZiplist | SetListpack | ZsetListpack | HashListpack | HashListpackExPreGa => {
            packed(value.rdb_type, &mut cur, &mut out)?;
        }
        HashListpackEx => {
            out.extend_from_slice(cur.take(8).ok()?);
            packed(value.rdb_type, &mut cur, &mut out)?;
        }
        ListQuicklist | ListQuicklist2 => nodes(value.rdb_type, &mut cur, &mut out)?,
        SetIntset => {
            let mut set = Vec::new();
            intset::write(&intset::salvage(plain(&mut cur)?), &mut set);
            write_raw(&set, &mut out);
        }
        other if rows::is_row(other) => return rows::without_bad(value, scratch),
        _ => return None,
    }
    Some(out)
}

/// Appends what is left of a packed list.
fn packed(rdb_type: RdbType, cur: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    write_raw(left(rdb_type, plain(cur)?).finish(), out);
    Some(())
}

/// A string that is not compressed: what is damaged in a compressed one shows wherever it is referred to.
fn plain<'a>(cur: &mut Cursor<'a>) -> Option<&'a [u8]> {
    match Str::read(cur).ok()? {
        Str::Raw(bytes) => Some(bytes),
        Str::Int(_) | Str::Lzf { .. } => None,
    }
}

/// What is left of a packed list.
fn left(rdb_type: RdbType, blob: &[u8]) -> PackedBuilder {
    use RdbType::*;
    let step = match rdb_type {
        ZsetZiplist | HashZiplist | ZsetListpack | HashListpack => 2,
        HashListpackEx | HashListpackExPreGa => 3,
        _ => 1,
    };
    let is_ziplist = matches!(rdb_type, ListZiplist | ListQuicklist | ZsetZiplist | HashZiplist);
    let mut list = match is_ziplist {
        true => PackedBuilder::Ziplist(ziplist::Builder::default()),
        false => PackedBuilder::Listpack(listpack::Builder::default()),
    };
    list.clear();
    let mut keep = |group: &[Item<'_>]| {
        let is_sound = match (rdb_type, group) {
            (ZsetZiplist | ZsetListpack, [_, score]) => score.score().is_ok(),
            (HashListpackEx | HashListpackExPreGa, [_, _, expiry]) => expiry.int("expiry").is_ok(),
            _ => true,
        };
        let mut buf = itoa::Buffer::new();
        group.iter().filter(|_| is_sound).for_each(|item| list.push(item.text(&mut buf)));
    };
    match is_ziplist {
        true => ziplist::salvage(blob, step, &mut keep),
        false => listpack::salvage(blob, step, &mut keep),
    }
    list
}

/// Appends what is left of the nodes of a list.
fn nodes(rdb_type: RdbType, cur: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
    let (mut count, mut all, mut buf) = (0, Vec::new(), Vec::new());
    for _ in 0..cur.length().ok()? {
        let container = if rdb_type == RdbType::ListQuicklist2 { cur.length().ok()? } else { PACKED };
        let string = Str::read(cur).ok()?;
        // A node whose compression is damaged is lost as a whole.
        let Ok(blob) = string.decode(&mut buf) else { continue };
        let mut list;
        let node = match (container, string) {
            (PLAIN, _) => blob,
            (PACKED, _) if is_whole(rdb_type, blob) => blob,
            (PACKED, Str::Raw(_)) => {
                list = left(rdb_type, blob);
                if list.is_empty() { b"" } else { list.finish() }
            }
            _ => b"",
        };
        if node.is_empty() {
            continue;
        }
        if rdb_type == RdbType::ListQuicklist2 {
            length::write(container, &mut all);
        }
        write_raw(node, &mut all);
        count += 1;
    }
    length::write(count, out);
    out.extend_from_slice(&all);
    Some(())
}

/// Whether a node can be read to its end, and is not empty.
fn is_whole(rdb_type: RdbType, blob: &[u8]) -> bool {
    let list = match rdb_type {
        RdbType::ListQuicklist => Ziplist::new(blob).map(Packed::Ziplist),
        _ => Listpack::new(blob).map(Packed::Listpack),
    };
    let Ok(mut list) = list else { return false };
    let mut found = 0;
    loop {
        match list.next_item() {
            Ok(Some(_)) => found += 1,
            Ok(None) => return found > 0,
            Err(_) => return false,
        }
    }
}
