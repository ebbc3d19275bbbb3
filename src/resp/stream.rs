//! Streams as commands, in the way of a server's own rewrite of its append-only file.

use std::collections::HashSet;

use super::frame::{self, Growing};
use crate::codec::stream::{Meta, Part, StreamId, Version};
use crate::model::{Entry, Origin, Value};

/// What [`StreamCommands`] remembers of a stream.
#[derive(Clone, Default)]
pub(super) struct StreamBuffers {
    /// The ids of its entries, ascending.
    ids: Vec<StreamId>,
    /// The name of the last group.
    group: Vec<u8>,
    /// Consumers of that group that no command has made yet.
    unmade: HashSet<Vec<u8>>,
}

/// Turns the parts of a stream into commands, in the way of a server's own rewrite of its append-only file.
pub(super) struct StreamCommands<'a> {
    key: &'a [u8],
    /// Whether servers that can load this stream have XGROUP CREATECONSUMER.
    makes_consumers: bool,
    buffers: &'a mut StreamBuffers,
    text: &'a mut Vec<u8>,
    entry: Option<Growing>,
    /// Whether commands have said everything so far.
    faithful: bool,
}

impl<'a> StreamCommands<'a> {
    pub(super) fn new(entry: &Entry<'a>, buffers: &'a mut StreamBuffers, text: &'a mut Vec<u8>) -> StreamCommands<'a> {
        let Value { rdb_type, origin, .. } = entry.value;
        buffers.ids.clear();
        buffers.unmade.clear();
        let makes_consumers = rdb_type.stream_version() >= Some(Version::V2) || has_createconsumer(origin);
        StreamCommands { key: entry.key, makes_consumers, buffers, text, entry: None, faithful: true }
    }

    pub(super) fn part(&mut self, part: Part<'_>, out: &mut Vec<u8>) {
        if !self.faithful {
            return;
        }
        match part {
            // Whoever executes the commands makes its own nodes.
            Part::Node(_) => {}
            Part::Entry(id) => self.begin_entry(id, out),
            Part::Field { name, value } => {
                if let Some(entry) = &mut self.entry {
                    entry.bulk(name, out);
                    entry.bulk(value, out);
                }
            }
            Part::Meta(meta) => self.meta(meta, out),
            Part::Group { name, last, entries_read } => self.group(name, last, entries_read.flatten(), out),
            Part::Consumer { name, .. } if self.makes_consumers => {
                let group = &self.buffers.group;
                frame::command(&[b"XGROUP", b"CREATECONSUMER", self.key, group, name], out);
            }
            Part::Consumer { name, .. } => drop(self.buffers.unmade.insert(name.to_vec())),
            Part::Pending { id, consumer: Some(consumer), delivered, deliveries } => {
                self.pending(id, consumer, delivered, deliveries, out);
            }
            Part::Idempotency { duration: 100, max_entries: 100, added: 0, duplicates: 0 } => {}
            Part::Pending { consumer: None, .. }
            | Part::Nacked(_)
            | Part::Idempotency { .. }
            | Part::Producer(_)
            | Part::ProducerId { .. } => self.faithful = false,
        }
    }

    /// Whether commands have said everything.
    pub(super) fn end(self) -> bool {
        self.faithful && self.buffers.unmade.is_empty()
    }

    fn begin_entry(&mut self, id: StreamId, out: &mut Vec<u8>) {
        self.end_entry(out);
        // XADD takes ids in ascending order only, and never 0-0.
        self.faithful &= self.top() < id;
        self.buffers.ids.push(id);
        let mut entry = Growing::begin(&[b"XADD", self.key], out);
        entry.bulk(id_text(id, self.text), out);
        self.entry = Some(entry);
    }

    fn end_entry(&mut self, out: &mut Vec<u8>) {
        if let Some(entry) = self.entry.take() {
            // XADD, key and id alone are no command.
            self.faithful &= entry.words() > 3;
            entry.end(out);
        }
    }

    /// The greatest id of an entry, 0-0 if there is none.
    fn top(&self) -> StreamId {
        self.buffers.ids.last().copied().unwrap_or_default()
    }

    fn meta(&mut self, meta: Meta, out: &mut Vec<u8>) {
        self.end_entry(out);
        if self.buffers.ids.is_empty() {
            // Unlike an entry that is added and trimmed away, a group that comes and goes is not counted.
            frame::command(&[b"XGROUP", b"CREATE", self.key, b"x", b"0", b"MKSTREAM"], out);
            frame::command(&[b"XGROUP", b"DESTROY", self.key, b"x"], out);
        }
        // What XSETID would refuse.
        self.faithful &= self.top() <= meta.last;
        frame::array(if meta.history.is_some() { 7 } else { 3 }, out);
        frame::bulk(b"XSETID", out);
        frame::bulk(self.key, out);
        frame::bulk(id_text(meta.last, self.text), out);
        if let Some(history) = meta.history {
            let entries_added = i64::try_from(history.entries_added).unwrap_or(-1);
            self.faithful &= entries_added >= self.buffers.ids.len() as i64 && history.max_deleted <= meta.last;
            frame::bulk(b"ENTRIESADDED", out);
            frame::bulk_int(entries_added, out);
            frame::bulk(b"MAXDELETEDID", out);
            frame::bulk(id_text(history.max_deleted, self.text), out);
        }
    }

    fn group(&mut self, name: &[u8], last: StreamId, entries_read: Option<u64>, out: &mut Vec<u8>) {
        self.faithful &= self.buffers.unmade.is_empty();
        self.buffers.group.clear();
        self.buffers.group.extend_from_slice(name);
        frame::array(if entries_read.is_some() { 7 } else { 5 }, out);
        frame::bulk(b"XGROUP", out);
        frame::bulk(b"CREATE", out);
        frame::bulk(self.key, out);
        frame::bulk(name, out);
        frame::bulk(id_text(last, self.text), out);
        if let Some(n) = entries_read {
            self.faithful &= i64::try_from(n).is_ok();
            frame::bulk(b"ENTRIESREAD", out);
            frame::bulk_int(n, out);
        }
    }

    fn pending(&mut self, id: StreamId, consumer: &[u8], delivered: i64, deliveries: u64, out: &mut Vec<u8>) {
        let StreamBuffers { ids, group, unmade } = &mut *self.buffers;
        unmade.remove(consumer);
        // XCLAIM does not make an entry pending that is gone, and takes a time before 1970 for now.
        self.faithful &= ids.binary_search(&id).is_ok() && delivered >= 0 && i64::try_from(deliveries).is_ok();
        frame::array(12, out);
        frame::bulk(b"XCLAIM", out);
        frame::bulk(self.key, out);
        frame::bulk(group, out);
        frame::bulk(consumer, out);
        frame::bulk(b"0", out);
        frame::bulk(id_text(id, self.text), out);
        frame::bulk(b"TIME", out);
        frame::bulk_int(delivered, out);
        frame::bulk(b"RETRYCOUNT", out);
        frame::bulk_int(deliveries, out);
        frame::bulk(b"FORCE", out);
        frame::bulk(b"JUSTID", out);
    }
}

fn id_text(id: StreamId, text: &mut Vec<u8>) -> &[u8] {
    text.clear();
    id.write(text);
    text
}

/// XGROUP CREATECONSUMER came with 6.2, which wrote version 9 as 5.0 and 6.0 did.
fn has_createconsumer(origin: &Origin) -> bool {
    origin.version >= 10 || origin.server_version() >= Some((6, 2))
}
