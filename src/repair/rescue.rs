//! What can be kept of a value that is damaged: the elements that can still be read.
//!
//! Where the layout says where things begin, it goes on behind damage: listpacks are read from both ends, lists and
//! streams node by node. Elsewhere what stands behind the damage can't be told from what is damaged.

use std::collections::HashSet;
use std::sync::Arc;

use crate::check::field_expiry;
use crate::codec::string::write_raw;
use crate::codec::ziplist::Ziplist;
use crate::codec::{Cursor, Str, length, listpack, stream, ziplist};
use crate::model::{Element, Kind, RdbType, Scratch, Target, Value, ValueBuf};

/// Builds values anew from what is left of them. Every worker has its own.
pub(super) struct Rescuer {
    values: ValueBuf,
}

impl Rescuer {
    pub(super) fn new(target: &Arc<Target>) -> Rescuer {
        Rescuer { values: ValueBuf::new(target, true) }
    }

    /// The elements that can be read, each name once and without scores that are no numbers; and how many they are.
    /// `None` where nothing is left, or the kind of value can't be taken apart.
    pub(super) fn rescue(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Option<(Value<'_>, u64)> {
        let kind = value.kind();
        let values = &mut self.values;
        values.begin(kind);
        let kept = match kind {
            Kind::Stream => entries(value, values)?,
            Kind::List | Kind::Set | Kind::Zset | Kind::Hash => {
                values.prefer(value.encoding());
                let mended = mended(value);
                let left = mended.as_ref().map_or(value, |bytes| Value { bytes, ..value });
                elements(left, values, scratch)
            }
            _ => 0,
        };
        if kept == 0 {
            return None;
        }
        self.values.finish().ok().map(|value| (value, kept))
    }
}

/// Takes the elements of a collection up to the first that can't be read; says how many.
fn elements(value: Value<'_>, values: &mut ValueBuf, scratch: &mut Scratch) -> u64 {
    let (kind, expiries) = (value.kind(), field_expiry(value.rdb_type));
    let (mut names, mut kept) = (HashSet::new(), 0);
    // It ends at the damage.
    let _ = value.each_dyn(scratch, &mut |element| {
        let is_kept = match element {
            Element::Item(_) if kind == Kind::List => true,
            Element::Scored { score, .. } if score.is_nan() => false,
            Element::Field { expiry: Some(at), .. } if !expiries.contains(&at) => false,
            Element::Item(name) | Element::Expiring { member: name, .. } => names.insert(name.to_vec()),
            Element::Scored { member: name, .. } | Element::Field { name, .. } => names.insert(name.to_vec()),
            _ => false,
        };
        if is_kept {
            kept += 1;
            values.push(element)?;
        }
        Ok(())
    });
    kept
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

/// The value with all that can be read of its packed lists in sound ones; `None` for layouts without any.
fn mended(value: Value<'_>) -> Option<Vec<u8>> {
    use RdbType::*;
    let mut cur = Cursor::new(value.bytes);
    let mut out = Vec::new();
    match value.rdb_type {
        SetListpack => packed(&mut cur, 1, &mut out)?,
        ZsetListpack | HashListpack => packed(&mut cur, 2, &mut out)?,
        HashListpackExPreGa => packed(&mut cur, 3, &mut out)?,
        HashListpackEx => {
            out.extend_from_slice(cur.take(8).ok()?);
            packed(&mut cur, 3, &mut out)?;
        }
        ListQuicklist | ListQuicklist2 => nodes(value.rdb_type, &mut cur, &mut out)?,
        _ => return None,
    }
    Some(out)
}

/// Appends what is left of a listpack, of whose elements `step` belong together.
fn packed(cur: &mut Cursor<'_>, step: usize, out: &mut Vec<u8>) -> Option<()> {
    let (mut buf, mut list) = (Vec::new(), listpack::Builder::default());
    listpack::salvage(Str::take(cur, &mut buf).ok()?, step, &mut list);
    write_raw(list.finish(), out);
    Some(())
}

/// Appends what is left of the nodes of a list.
fn nodes(rdb_type: RdbType, cur: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    const PLAIN: u64 = 1;
    let (mut count, mut all, mut buf) = (0, Vec::new(), Vec::new());
    for _ in 0..cur.length().ok()? {
        let container = if rdb_type == RdbType::ListQuicklist2 { Some(cur.length().ok()?) } else { None };
        // A node whose compression is damaged is lost as a whole.
        let Ok(blob) = Str::read(cur).ok()?.decode(&mut buf) else { continue };
        let start = all.len();
        if let Some(container) = container {
            length::write(container, &mut all);
        }
        let is_empty = match container {
            Some(PLAIN) => {
                write_raw(blob, &mut all);
                false
            }
            Some(_) => {
                let mut list = listpack::Builder::default();
                listpack::salvage(blob, 1, &mut list);
                write_raw(list.finish(), &mut all);
                list.is_empty()
            }
            None => {
                let mut list = ziplist::Builder::new(false);
                front_of_ziplist(blob, &mut list);
                write_raw(list.finish(), &mut all);
                list.is_empty()
            }
        };
        if is_empty {
            all.truncate(start);
        } else {
            count += 1;
        }
    }
    length::write(count, out);
    out.extend_from_slice(&all);
    Some(())
}

fn front_of_ziplist(blob: &[u8], out: &mut ziplist::Builder) {
    let Ok(mut list) = Ziplist::new(blob) else { return };
    while let Ok(Some(item)) = list.next_item() {
        out.push(item.text(&mut itoa::Buffer::new()));
    }
}
