//! What can be kept of a value that is damaged: the elements that are known to be as they were saved.
//!
//! Where the layout says where things begin, it goes on behind damage: packed lists are read from both ends, lists and
//! streams node by node, rows of elements past those that can't be read. Of what is compressed as one piece nothing is
//! known: a damaged byte shows wherever it is referred to.

use std::collections::HashMap;
use std::sync::Arc;

use super::rows;
use crate::check::field_expiry;
use crate::codec::listpack::{self, Listpack};
use crate::codec::order::certain;
use crate::codec::ziplist::{self, Ziplist};
use crate::codec::{Cursor, Item, Packed, Str, intset, stream};
use crate::error::Result;
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
                let parts = parts(value, scratch);
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
#[derive(PartialEq, Default)]
struct Part {
    name: Vec<u8>,
    value: Vec<u8>,
    score: f64,
    expiry: Option<i64>,
}

impl Part {
    fn of(element: Element<'_>) -> Option<Part> {
        let (name, value, score, expiry) = match element {
            Element::Item(name) => (name, &b""[..], 0.0, None),
            Element::Expiring { member, expiry } => (member, &b""[..], 0.0, expiry),
            Element::Scored { member, score } => (member, &b""[..], score, None),
            Element::Field { name, value, expiry } => (name, value, 0.0, expiry),
            _ => return None,
        };
        Some(Part { name: name.to_vec(), value: value.to_vec(), score, expiry })
    }

    /// What belongs together in a packed list.
    fn of_packed(rdb_type: RdbType, group: &[Item<'_>]) -> Option<Part> {
        let text = |item: &Item<'_>| item.text(&mut itoa::Buffer::new()).to_vec();
        let mut part = Part { name: text(group.first()?), ..Part::default() };
        match group {
            [_, score] if rdb_type.kind() == Kind::Zset => part.score = score.score().ok()?,
            [_, value] => part.value = text(value),
            [_, value, expiry] => {
                part.value = text(value);
                part.expiry = Some(expiry.int("expiry").ok()?).filter(|at| *at != 0);
            }
            _ => {}
        }
        Some(part)
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

/// The elements of a collection that are known to be as they were saved; none for layouts of which nothing is known.
fn parts(value: Value<'_>, scratch: &mut Scratch) -> Vec<Part> {
    use RdbType::*;
    let mut cur = Cursor::new(value.bytes);
    let mut parts = Vec::new();
    match value.rdb_type {
        ListZiplist | ZsetZiplist | HashZiplist | SetListpack | ZsetListpack | HashListpack | HashListpackExPreGa => {
            packed(value.rdb_type, plain(&mut cur), &mut parts);
        }
        HashListpackEx => {
            // No field goes before the first that is said to go: either may be what was damaged.
            let first = cur.i64_le().unwrap_or(i64::MAX);
            packed(value.rdb_type, plain(&mut cur), &mut parts);
            parts.retain(|part| part.expiry.is_none_or(|at| at >= first));
        }
        // It ends where a node's own length can't be read.
        ListQuicklist | ListQuicklist2 => drop(nodes(value.rdb_type, &mut cur, &mut parts)),
        SetIntset => {
            let members = intset::salvage(plain(&mut cur)).into_iter();
            parts.extend(members.map(|n| Part { name: n.to_string().into_bytes(), ..Part::default() }));
        }
        row if rows::is_row(row) => {
            let bytes = rows::without_bad(value, scratch).unwrap_or_default();
            let sound = Value { bytes: &bytes, ..value };
            let _ = sound.each_dyn(scratch, &mut |element| Ok(parts.extend(Part::of(element))));
        }
        _ => {}
    }
    let expiries = field_expiry(value.rdb_type);
    parts.retain(|part| !part.score.is_nan() && part.expiry.is_none_or(|at| expiries.contains(&at)));
    if matches!(value.rdb_type, ZsetZiplist | ZsetListpack) {
        strike_disordered(&mut parts);
    }
    if value.kind() != Kind::List {
        strike_contradictions(&mut parts);
    }
    parts
}

/// Leaves out what may be out of its place.
fn strike_disordered(parts: &mut Vec<Part>) {
    let is_certain = certain(parts, |a, b| a.score < b.score || a.score == b.score && a.name < b.name);
    retain(parts, is_certain);
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
    retain(parts, is_kept);
}

fn retain(parts: &mut Vec<Part>, is_kept: Vec<bool>) {
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

/// A string that is not compressed: what is damaged in a compressed one shows wherever it is referred to.
fn plain<'a>(cur: &mut Cursor<'a>) -> &'a [u8] {
    match Str::read(cur) {
        Ok(Str::Raw(bytes)) => bytes,
        _ => b"",
    }
}

fn is_ziplist(rdb_type: RdbType) -> bool {
    use RdbType::*;
    matches!(rdb_type, ListZiplist | ListQuicklist | ZsetZiplist | HashZiplist)
}

/// Takes what is left of a packed list.
fn packed(rdb_type: RdbType, blob: &[u8], parts: &mut Vec<Part>) {
    let step = match (rdb_type, rdb_type.kind()) {
        (RdbType::HashListpackEx | RdbType::HashListpackExPreGa, _) => 3,
        (_, Kind::Zset | Kind::Hash) => 2,
        _ => 1,
    };
    let mut keep = |group: &[Item<'_>]| parts.extend(Part::of_packed(rdb_type, group));
    match is_ziplist(rdb_type) {
        true => ziplist::salvage(blob, step, &mut keep),
        false => listpack::salvage(blob, step, &mut keep),
    }
}

/// Takes what is left of the nodes of a list. One that is damaged and compressed is lost as a whole.
fn nodes(rdb_type: RdbType, cur: &mut Cursor<'_>, parts: &mut Vec<Part>) -> Result<()> {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
    let mut buf = Vec::new();
    for _ in 0..cur.length()? {
        let container = if rdb_type == RdbType::ListQuicklist2 { cur.length()? } else { PACKED };
        let string = Str::read(cur)?;
        let Ok(blob) = string.decode(&mut buf) else { continue };
        match (container, string) {
            (PLAIN, _) if !blob.is_empty() => parts.extend(Part::of(Element::Item(blob))),
            (PACKED, Str::Raw(_)) => packed(rdb_type, blob, parts),
            (PACKED, _) if is_whole(rdb_type, blob) => packed(rdb_type, blob, parts),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a packed list can be read to its end.
fn is_whole(rdb_type: RdbType, blob: &[u8]) -> bool {
    let list = match is_ziplist(rdb_type) {
        true => Ziplist::new(blob).map(Packed::Ziplist),
        false => Listpack::new(blob).map(Packed::Listpack),
    };
    list.and_then(Packed::count).is_ok()
}
