//! The rules of streams: ids ascend, counts are right, and pending entries belong to those who say so.

use std::collections::{BTreeSet, HashSet};

use super::deep::Faults;
use crate::codec::stream::{Meta, Node, Part, StreamId};
use crate::error::Result;
use crate::model::{Element, Scratch, Value, fingerprint};
use crate::text;

/// What has been seen of a stream so far.
#[derive(Default)]
pub(super) struct StreamRules {
    seen: Seen,
    groups: HashSet<u64>,
    consumers: HashSet<u64>,
    producers: HashSet<u64>,
    iids: HashSet<u64>,
    /// Pending entries of the last group that belong to no consumer.
    unowned: BTreeSet<StreamId>,
}

#[derive(Default)]
struct Seen {
    master: Option<StreamId>,
    first: Option<StreamId>,
    last: Option<StreamId>,
    pending: Option<StreamId>,
    max_entries: u64,
    ids: u64,
    /// Each kind of fault is told once.
    told: u32,
}

/// The kinds of faults of which there may be thousands in one stream.
#[derive(Clone, Copy)]
enum Once {
    Nodes = 1,
    EmptyNode = 2,
    Entries = 4,
    Pending = 8,
    Nacked = 16,
    Iids = 32,
}

impl Seen {
    fn once(&mut self, kind: Once) -> bool {
        let is_new = self.told & kind as u32 == 0;
        self.told |= kind as u32;
        is_new
    }
}

impl StreamRules {
    pub(super) fn check(&mut self, value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
        self.seen = Seen::default();
        self.groups.clear();
        self.producers.clear();
        self.unowned.clear();
        value.each(scratch, |element| {
            if let Element::Stream(part) = element {
                self.part(part, faults);
            }
            Ok(())
        })?;
        self.end_group(faults);
        Ok(())
    }

    fn part(&mut self, part: Part<'_>, faults: &mut Faults) {
        match part {
            Part::Node(node) => self.node(node, faults),
            Part::Entry(id) => self.entry(id, faults),
            Part::Field { .. } => {}
            Part::Meta(meta) => self.meta(&meta, faults),
            Part::Group { name, .. } => {
                self.end_group(faults);
                self.consumers.clear();
                self.seen.pending = None;
                distinct(&mut self.groups, name, "stream: the group", faults);
            }
            Part::Consumer { name, .. } => distinct(&mut self.consumers, name, "stream: the consumer", faults),
            Part::Pending { id, consumer, .. } => {
                if self.seen.pending.is_some_and(|before| id <= before) && self.seen.once(Once::Pending) {
                    faults.add(format!("stream: the pending entry {id} is not in its place, or stands twice"));
                }
                self.seen.pending = Some(id);
                if consumer.is_none() {
                    self.unowned.insert(id);
                }
            }
            Part::Nacked(id) => {
                if !self.unowned.remove(&id) && self.seen.once(Once::Nacked) {
                    faults.add(format!("stream: {id} is NACKed, but is no pending entry without a consumer"));
                }
            }
            Part::Idempotency { duration, max_entries, .. } => {
                self.end_group(faults);
                if !(1..=86_400).contains(&duration) || !(1..=10_000).contains(&max_entries) {
                    faults.add(format!("stream: idempotency of {duration} s and {max_entries} entries"));
                }
                self.seen.max_entries = max_entries;
            }
            Part::Producer(name) => {
                distinct(&mut self.producers, name, "stream: the producer", faults);
                self.iids.clear();
                self.seen.ids = 0;
            }
            Part::ProducerId { iid, .. } => {
                self.seen.ids += 1;
                let is_new = self.iids.insert(fingerprint(iid));
                if (!is_new || self.seen.ids > self.seen.max_entries) && self.seen.once(Once::Iids) {
                    faults.add(format!(
                        "stream: the idempotency id {} stands twice, or is one too many",
                        text::quoted_short(iid)
                    ));
                }
            }
        }
    }

    fn node(&mut self, node: Node, faults: &mut Faults) {
        let seen = &mut self.seen;
        if seen.master.is_some_and(|before| node.master <= before) && seen.once(Once::Nodes) {
            faults.add(format!("stream: node {} is not in its place", node.master));
        }
        if node.live == 0 && seen.once(Once::EmptyNode) {
            faults.add(format!("stream: node {} has no living entry", node.master));
        }
        seen.master = Some(node.master);
    }

    fn entry(&mut self, id: StreamId, faults: &mut Faults) {
        let seen = &mut self.seen;
        let is_behind = seen.last.is_none_or(|before| before < id) && seen.master.is_none_or(|master| master <= id);
        if !(is_behind && id > StreamId::default()) && seen.once(Once::Entries) {
            faults.add(format!("stream: entry {id} is not in its place"));
        }
        seen.first.get_or_insert(id);
        seen.last = Some(id);
    }

    fn meta(&mut self, meta: &Meta, faults: &mut Faults) {
        if meta.length != meta.found {
            faults.add(format!("stream: it has {} entries and says {}", meta.found, meta.length));
        }
        if self.seen.last.is_some_and(|last| last > meta.last) {
            let last = self.seen.last.unwrap_or_default();
            faults.add(format!("stream: its last id is {}, but it has entry {last}", meta.last));
        }
        let Some(history) = meta.history else { return };
        let first = self.seen.first.unwrap_or_default();
        if history.first != first {
            faults.add(format!("stream: its first id is {}, but its first entry is {first}", history.first));
        }
        if history.entries_added < meta.found {
            faults.add(format!("stream: it has {} entries, but only {} were added", meta.found, history.entries_added));
        }
        if history.max_deleted > meta.last {
            faults.add(format!("stream: {} was deleted, behind its last id {}", history.max_deleted, meta.last));
        }
    }

    /// Whoever belongs to no consumer must have been NACKed.
    fn end_group(&mut self, faults: &mut Faults) {
        if let Some(id) = self.unowned.first() {
            faults.add(format!("stream: the pending entry {id} belongs to no consumer, and is not NACKed"));
        }
        self.unowned.clear();
    }
}

fn distinct(names: &mut HashSet<u64>, name: &[u8], what: &str, faults: &mut Faults) {
    if !names.insert(fingerprint(name)) {
        faults.add(format!("{what} {} stands twice", text::quoted_short(name)));
    }
}
