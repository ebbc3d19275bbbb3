//! What is left of a damaged stream: each node by itself, as its length is known whatever is in it; then the groups, as far
//! as they can be read.

use super::{History, Meta, Part, Scratch, StreamId, Version, group, idempotency, node, read_meta};
use crate::codec::order::certain;
use crate::codec::{Cursor, Str};
use crate::error::Result;

/// Entries of a node, before it is known which of them are whole.
#[derive(Default)]
struct Entries {
    ids: Vec<(StreamId, usize)>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entries {
    fn take(&mut self, part: Part<'_>) {
        match part {
            Part::Entry(id) => self.ids.push((id, self.fields.len())),
            Part::Field { name, value } => self.fields.push((name.to_vec(), value.to_vec())),
            _ => {}
        }
    }

    fn drop_last(&mut self) {
        if let Some((_, start)) = self.ids.pop() {
            self.fields.truncate(start);
        }
    }

    fn fields(&self, i: usize) -> &[(Vec<u8>, Vec<u8>)] {
        let end = self.ids.get(i + 1).map_or(self.fields.len(), |(_, start)| *start);
        &self.fields[self.ids[i].1..end]
    }
}

/// Gives what can be read of a stream as [`super::each`] does: entries in ascending order, without those at whose end
/// something is wrong, and without nodes whose ids may be wrong; counts that are true; whole groups up to the first that
/// is damaged.
pub fn salvage(
    cur: &mut Cursor<'_>,
    version: Version,
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Part<'_>) -> Result<()>,
) -> Result<()> {
    let mut nodes = Vec::new();
    for _ in 0..cur.length()? {
        let (id, blob) = (Str::read(cur)?, Str::read(cur)?);
        nodes.push(entries(id, blob, scratch).unwrap_or_default());
    }
    let told = read_meta(&mut { *cur }, version).ok();
    strike(&mut nodes, told);
    let (mut kept, mut first, mut last) = (0_u64, StreamId::default(), StreamId::default());
    for entries in &nodes {
        for (i, (id, _)) in entries.ids.iter().enumerate() {
            visit(Part::Entry(*id))?;
            entries.fields(i).iter().try_for_each(|(name, value)| visit(Part::Field { name, value }))?;
            first = if kept == 0 { *id } else { first };
            (kept, last) = (kept + 1, *id);
        }
    }
    let is_whole = meta(cur, version, (kept, first, last), visit)?;
    let groups = if is_whole { cur.length().unwrap_or(0) } else { 0 };
    for _ in 0..groups {
        let mut ahead = *cur;
        if group(&mut ahead, version, scratch, &mut |_| Ok(())).is_err() {
            return Ok(());
        }
        group(cur, version, scratch, visit)?;
    }
    if is_whole && version >= Version::V4 && idempotency(&mut { *cur }, scratch, &mut |_| Ok(())).is_ok() {
        idempotency(cur, scratch, visit)?;
    }
    Ok(())
}

/// The entries of a node that can be read. Of a compressed one that is damaged none is certain.
fn entries(id: Str<'_>, blob: Str<'_>, scratch: &mut Scratch) -> Result<Entries> {
    let master = StreamId::read_raw(&mut Cursor::new(id.decode(&mut scratch.name)?))?;
    let mut entries = Entries::default();
    let walked = node(blob.decode(&mut scratch.blob)?, master, &mut |part| Ok(entries.take(part)));
    match (walked, blob) {
        (Ok(_), _) => {}
        (Err(_), Str::Raw(_)) => entries.drop_last(),
        (Err(e), _) => return Err(e),
    }
    Ok(entries)
}

/// Empties the nodes of which an entry is out of its place: all its ids may be wrong.
fn strike(nodes: &mut [Entries], told: Option<Meta>) {
    let ids: Vec<StreamId> = nodes.iter().flat_map(|node| node.ids.iter().map(|(id, _)| *id)).collect();
    let mut is_certain = certain(&ids, |a, b| a < b).into_iter();
    for node in &mut *nodes {
        let doubtful = node.ids.iter().filter(|_| is_certain.next() != Some(true)).count();
        if doubtful > 0 {
            node.ids.clear();
        }
    }
    let Some(told) = told else { return };
    // Of one node beyond the last id, the node may be wrong; of several, the id is.
    let is_beyond = |node: &&mut Entries| node.ids.last().is_some_and(|(id, _)| *id > told.last);
    let mut beyond: Vec<&mut Entries> = nodes.iter_mut().filter(is_beyond).collect();
    if let [node] = beyond.as_mut_slice() {
        node.ids.clear();
    }
    if let Some(history) = told.history
        && let Some(node) = nodes.first_mut()
        && node.ids.first().is_some_and(|(id, _)| *id != history.first)
    {
        node.ids.clear();
    }
}

/// Gives what a stream says of itself, made to agree with the entries that are kept; whether it can be read at all.
fn meta(
    cur: &mut Cursor<'_>,
    version: Version,
    (kept, first, last): (u64, StreamId, StreamId),
    visit: &mut impl FnMut(Part<'_>) -> Result<()>,
) -> Result<bool> {
    let read = read_meta(cur, version);
    let is_whole = read.is_ok();
    let mut meta = read.unwrap_or_default();
    (meta.length, meta.found, meta.last) = (kept, kept, meta.last.max(last));
    if version >= Version::V2 {
        let History { max_deleted, entries_added, .. } = meta.history.unwrap_or_default();
        let max_deleted = max_deleted.min(meta.last);
        meta.history = Some(History { first, max_deleted, entries_added: entries_added.max(kept) });
    }
    visit(Part::Meta(meta))?;
    Ok(is_whole)
}
