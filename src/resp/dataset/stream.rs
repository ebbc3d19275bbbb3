//! A stream as commands change it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::stream::{History, Meta, Part, StreamId, estimate_read};
use crate::error::{Error, Result};
use crate::model::Kind;
use crate::text;

/// Names and values of an entry, one after the other.
pub(super) type Fields = Box<[Box<[u8]>]>;

/// A stream.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) entries: BTreeMap<StreamId, Fields>,
    pub(super) last: StreamId,
    pub(super) max_deleted: StreamId,
    pub(super) added: u64,
    pub(super) groups: BTreeMap<Box<[u8]>, Group>,
    pub(super) idempotency: Option<Idempotency>,
    /// The entry and its fields that are being read.
    open: Option<(StreamId, Vec<Box<[u8]>>)>,
    /// The group that is being read.
    reading: Box<[u8]>,
}

/// A group of consumers. Names are in the order in which servers keep them.
#[derive(Default)]
pub(super) struct Group {
    pub(super) last: StreamId,
    /// `None` when the server does not know.
    pub(super) read: Option<u64>,
    pub(super) pending: BTreeMap<StreamId, Pending>,
    pub(super) consumers: BTreeMap<Arc<[u8]>, Consumer>,
    /// Pending entries of no consumer, in their queue's order.
    pub(super) nacked: Vec<StreamId>,
}

/// A consumer: when it was seen, and when it last got something (-1: never).
#[derive(Clone, Copy)]
pub(super) struct Consumer {
    pub(super) seen: i64,
    pub(super) active: Option<i64>,
}

/// A pending entry.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) consumer: Option<Arc<[u8]>>,
    pub(super) delivered: i64,
    pub(super) deliveries: u64,
}

/// What a stream remembers of what producers sent.
pub(super) struct Idempotency {
    pub(super) duration: u64,
    pub(super) max_entries: u64,
    pub(super) added: u64,
    pub(super) duplicates: u64,
    pub(super) producers: Vec<Producer>,
}

/// A producer, and its ids with the entries that they stand for.
pub(super) type Producer = (Box<[u8]>, Vec<(Box<[u8]>, StreamId)>);

impl Default for Idempotency {
    fn default() -> Idempotency {
        Idempotency { duration: 100, max_entries: 100, added: 0, duplicates: 0, producers: Vec::new() }
    }
}

/// What becomes of references to an entry that is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum References {
    /// Groups keep theirs.
    #[default]
    Keep,
    /// They go with it.
    Delete,
    /// It only goes when every group is done with it.
    Acknowledged,
}

impl Stream {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn history(&self) -> History {
        let first = self.entries.keys().next().copied().unwrap_or_default();
        History { first, max_deleted: self.max_deleted, entries_added: self.added }
    }

    pub(super) fn group(&mut self, name: &[u8]) -> Result<&mut Group> {
        let group = self.groups.get_mut(name);
        group.ok_or_else(|| Error::unsupported(format!("there is no group {}", text::quoted_short(name))))
    }

    /// Whether a group has yet to get this entry, or to acknowledge it.
    fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| group.last < id || group.pending.contains_key(&id))
    }

    /// Takes an entry out; `false` if it is not there, or has to stay.
    pub(super) fn delete(&mut self, id: StreamId, references: References) -> bool {
        if references == References::Acknowledged && self.is_referenced(id) {
            return false;
        }
        if self.entries.remove(&id).is_none() {
            return false;
        }
        if references == References::Delete {
            self.groups.values_mut().for_each(|group| drop(group.release(id)));
        }
        true
    }

    pub(super) fn least_version(&self) -> u32 {
        match self {
            _ if self.groups.values().any(|group| !group.nacked.is_empty()) => 14,
            Stream { idempotency: Some(_), .. } => 13,
            _ => 9,
        }
    }

    /// Gives the parts in the order of a file.
    pub(super) fn each(&self, visit: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<()> {
        for (id, fields) in &self.entries {
            visit(Part::Entry(*id))?;
            for pair in fields.chunks_exact(2) {
                visit(Part::Field { name: &pair[0], value: &pair[1] })?;
            }
        }
        let length = self.entries.len() as u64;
        visit(Part::Meta(Meta { length, found: length, last: self.last, history: Some(self.history()) }))?;
        for (name, group) in &self.groups {
            visit(Part::Group { name, last: group.last, entries_read: Some(group.read) })?;
            for (name, Consumer { seen, active }) in &group.consumers {
                visit(Part::Consumer { name, seen: *seen, active: *active })?;
            }
            for (id, Pending { consumer, delivered, deliveries }) in &group.pending {
                let (delivered, deliveries) = (*delivered, *deliveries);
                visit(Part::Pending { id: *id, consumer: consumer.as_deref(), delivered, deliveries })?;
            }
            group.nacked.iter().try_for_each(|id| visit(Part::Nacked(*id)))?;
        }
        let Some(idempotency) = &self.idempotency else { return Ok(()) };
        let Idempotency { duration, max_entries, added, duplicates, producers } = idempotency;
        let (duration, max_entries, added, duplicates) = (*duration, *max_entries, *added, *duplicates);
        visit(Part::Idempotency { duration, max_entries, added, duplicates })?;
        for (name, ids) in producers {
            visit(Part::Producer(name))?;
            ids.iter().try_for_each(|(iid, id)| visit(Part::ProducerId { iid, id: *id }))?;
        }
        Ok(())
    }

    /// Takes the next part of a stream that is read.
    pub(super) fn push(&mut self, part: Part<'_>) -> Result<()> {
        let wrong = || Error::malformed("stream: its parts are in no order");
        match part {
            Part::Node(_) => {}
            Part::Entry(id) => {
                self.end_entry();
                self.open = Some((id, Vec::new()));
            }
            Part::Field { name, value } => {
                let (_, fields) = self.open.as_mut().ok_or_else(wrong)?;
                fields.extend([name.into(), value.into()]);
            }
            Part::Meta(meta) => {
                self.end_entry();
                let history =
                    meta.history.unwrap_or(History { entries_added: self.entries.len() as u64, ..History::default() });
                (self.last, self.max_deleted, self.added) = (meta.last, history.max_deleted, history.entries_added);
            }
            Part::Group { name, last, entries_read } => {
                let estimated = || estimate_read(last, self.entries.len() as u64, self.last, self.history());
                let read = entries_read.unwrap_or_else(estimated);
                self.reading = name.into();
                self.groups.insert(name.into(), Group { last, read, ..Group::default() });
            }
            Part::Consumer { name, seen, active } => {
                self.read_group().ok_or_else(wrong)?.consumers.insert(name.into(), Consumer { seen, active });
            }
            Part::Pending { id, consumer, delivered, deliveries } => {
                let group = self.read_group().ok_or_else(wrong)?;
                let consumer = consumer.map(|name| group.consumers.get_key_value(name).map(|(name, _)| name.clone()));
                let consumer = consumer.map(|found| found.ok_or_else(wrong)).transpose()?;
                group.pending.insert(id, Pending { consumer, delivered, deliveries });
            }
            Part::Nacked(id) => self.read_group().ok_or_else(wrong)?.nacked.push(id),
            Part::Idempotency { duration: 100, max_entries: 100, added: 0, duplicates: 0 } => {}
            Part::Idempotency { duration, max_entries, added, duplicates } => {
                let producers = Vec::new();
                self.idempotency = Some(Idempotency { duration, max_entries, added, duplicates, producers });
            }
            Part::Producer(name) => {
                self.idempotency.get_or_insert_default().producers.push((name.into(), Vec::new()));
            }
            Part::ProducerId { iid, id } => {
                let producer = self.idempotency.as_mut().and_then(|all| all.producers.last_mut());
                producer.ok_or_else(wrong)?.1.push((iid.into(), id));
            }
        }
        Ok(())
    }

    fn end_entry(&mut self) {
        if let Some((id, fields)) = self.open.take() {
            self.entries.insert(id, fields.into());
        }
    }

    fn read_group(&mut self) -> Option<&mut Group> {
        self.groups.get_mut(&self.reading)
    }
}

impl Group {
    /// A pending entry's end; `None` if it was not pending.
    pub(super) fn release(&mut self, id: StreamId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        if pending.consumer.is_none() {
            self.nacked.retain(|nacked| *nacked != id);
        }
        Some(pending)
    }

    /// The consumer of this name, made if it is not there; now it was seen.
    pub(super) fn consumer(&mut self, name: &[u8], now: i64) -> (Arc<[u8]>, &mut Consumer) {
        let name: Arc<[u8]> = match self.consumers.get_key_value(name) {
            Some((name, _)) => name.clone(),
            None => name.into(),
        };
        let consumer = self.consumers.entry(name.clone()).or_insert(Consumer { seen: now, active: Some(-1) });
        consumer.seen = now;
        (name, consumer)
    }
}

/// The error where there is no stream.
pub(super) fn no_stream() -> Error {
    Error::unsupported(format!("there is no such {}", Kind::Stream.name()))
}
