//! Streams from their parts: entries packed into nodes as `streamAppendItem` does, then everything else.

use std::collections::HashMap;

use super::{History, Meta, Part, StreamId, Version};
use crate::codec::string::{StrWriter, write_raw};
use crate::codec::{length, listpack};
use crate::error::{Error, Result};
use crate::text;

/// When a node of a stream is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeLimits {
    /// `stream-node-max-bytes`; 0 for no limit.
    pub max_bytes: u64,
    /// `stream-node-max-entries`; 0 for no limit.
    pub max_entries: u64,
}

impl Default for NodeLimits {
    fn default() -> NodeLimits {
        NodeLimits { max_bytes: 4096, max_entries: 100 }
    }
}

/// What a layout could not carry.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lost {
    /// Idempotency settings that are not the defaults, or ids of producers (before version 4).
    pub idempotency: bool,
    /// NACKed entries (before version 5).
    pub nacked: bool,
}

/// Builds one stream after the other.
#[derive(Clone, Default)]
pub struct Builder {
    limits: NodeLimits,
    /// The id of the entry that is being pushed.
    entry: Option<StreamId>,
    /// Its names and values, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    node: Option<Node>,
    /// The master id of the node that was asked for: then nodes end where the source says, not where they are full.
    next_node: Option<StreamId>,
    /// The elements of the current node's entries.
    entries: listpack::Builder,
    whole: listpack::Builder,
    /// Finished nodes: listpacks one after the other, each with its master id and where it ends.
    blobs: Vec<u8>,
    nodes: Vec<(StreamId, usize)>,
    count: u64,
    first: Option<StreamId>,
    last: Option<StreamId>,
    meta: Option<Meta>,
    groups: Vec<Group>,
    idempotency: Option<Idempotency>,
}

/// A node that takes more entries.
#[derive(Clone)]
struct Node {
    master: StreamId,
    names: Vec<Vec<u8>>,
    /// Bytes of the master entry.
    head: usize,
    count: u64,
}

#[derive(Clone)]
struct Group {
    name: Vec<u8>,
    last: StreamId,
    entries_read: Option<Option<u64>>,
    consumers: Vec<Consumer>,
    by_name: HashMap<Vec<u8>, usize>,
    pending: Vec<Pending>,
    nacked: Vec<StreamId>,
}

#[derive(Clone)]
struct Consumer {
    name: Vec<u8>,
    seen: i64,
    active: Option<i64>,
}

#[derive(Clone, Copy)]
struct Pending {
    id: StreamId,
    consumer: Option<usize>,
    delivered: i64,
    deliveries: u64,
}

/// A producer, and its ids with the entries that they stand for.
type Producer = (Vec<u8>, Vec<(Vec<u8>, StreamId)>);

#[derive(Clone)]
struct Idempotency {
    duration: u64,
    max_entries: u64,
    added: u64,
    duplicates: u64,
    producers: Vec<Producer>,
}

impl Idempotency {
    /// What a stream without any is loaded with.
    const NONE: Idempotency =
        Idempotency { duration: 100, max_entries: 100, added: 0, duplicates: 0, producers: Vec::new() };

    fn is_none(&self) -> bool {
        let Idempotency { duration, max_entries, added, duplicates, producers } = self;
        (*duration, *max_entries, *added, *duplicates) == (100, 100, 0, 0) && producers.is_empty()
    }
}

impl Builder {
    /// A builder whose nodes are full at these limits.
    pub fn new(limits: NodeLimits) -> Builder {
        Builder { limits, ..Builder::default() }
    }

    /// Begins a new stream.
    pub fn clear(&mut self) {
        let Builder { limits, text, ends, entries, whole, blobs, nodes, .. } = std::mem::take(self);
        *self = Builder { limits, text, ends, entries, whole, blobs, nodes, ..Builder::default() };
        self.text.clear();
        self.ends.clear();
        self.entries.clear();
        self.blobs.clear();
        self.nodes.clear();
    }

    /// Takes the next part, in the order in which [`super::each`] gives them.
    ///
    /// Errors: ids that do not ascend, groups, consumers or pending entries that stand twice, owners that are none.
    pub fn push(&mut self, part: Part<'_>) -> Result<()> {
        match part {
            Part::Node(node) => {
                self.end_entry();
                self.end_node();
                self.next_node = Some(node.master);
            }
            Part::Entry(id) => self.begin_entry(id)?,
            Part::Field { name, value } => {
                for string in [name, value] {
                    self.text.extend_from_slice(string);
                    self.ends.push(self.text.len());
                }
            }
            Part::Meta(meta) => self.end_entries(meta)?,
            Part::Group { name, last, entries_read } => self.begin_group(name, last, entries_read)?,
            Part::Consumer { name, seen, active } => self.group()?.consumer(name, seen, active)?,
            Part::Pending { id, consumer, delivered, deliveries } => {
                self.group()?.pending(id, consumer, delivered, deliveries)?;
            }
            Part::Nacked(id) => self.group()?.nacked.push(id),
            Part::Idempotency { duration, max_entries, added, duplicates } => {
                let producers = Vec::new();
                self.idempotency = Some(Idempotency { duration, max_entries, added, duplicates, producers });
            }
            Part::Producer(id) => self.producers()?.push((id.to_vec(), Vec::new())),
            Part::ProducerId { iid, id } => match self.producers()?.last_mut() {
                Some((_, ids)) => ids.push((iid.to_vec(), id)),
                None => return Err(Error::malformed("stream: an idempotency id without its producer")),
            },
        }
        Ok(())
    }

    fn group(&mut self) -> Result<&mut Group> {
        self.groups.last_mut().ok_or_else(|| Error::malformed("stream: a consumer without its group"))
    }

    fn producers(&mut self) -> Result<&mut Vec<Producer>> {
        let idempotency = self.idempotency.as_mut();
        Ok(&mut idempotency.ok_or_else(|| Error::malformed("stream: a producer without settings"))?.producers)
    }

    fn begin_entry(&mut self, id: StreamId) -> Result<()> {
        self.end_entry();
        if let Some(last) = self.last.filter(|last| *last >= id) {
            return Err(Error::malformed(format!("stream: entry {id} does not come after {last}")));
        }
        self.first.get_or_insert(id);
        self.last = Some(id);
        self.entry = Some(id);
        self.text.clear();
        self.ends.clear();
        Ok(())
    }

    fn string(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }

    /// Puts the entry that was pushed last into a node.
    fn end_entry(&mut self) {
        const SAME_FIELDS: i64 = 2;
        let Some(id) = self.entry.take() else { return };
        let fields = self.ends.len() / 2;
        if self.next_node.is_none() && self.node.as_ref().is_some_and(|node| self.is_full(node)) {
            self.end_node();
        }
        let mut node = self.node.take().unwrap_or_else(|| {
            // What its first entry was may be gone, but it stood before all that are there.
            let master = self.next_node.filter(|master| *master <= id).unwrap_or(id);
            self.begin_node(master)
        });
        let same = node.names.len() == fields && (0..fields).all(|i| node.names[i] == self.string(2 * i));
        let mut list = std::mem::take(&mut self.entries);
        list.push_int(if same { SAME_FIELDS } else { 0 });
        list.push_int(id.ms.wrapping_sub(node.master.ms) as i64);
        list.push_int(id.seq.wrapping_sub(node.master.seq) as i64);
        if same {
            (0..fields).for_each(|i| list.push(self.string(2 * i + 1)));
            list.push_int(fields as i64 + 3);
        } else {
            list.push_int(fields as i64);
            (0..2 * fields).for_each(|i| list.push(self.string(i)));
            list.push_int(2 * fields as i64 + 4);
        }
        node.count += 1;
        self.entries = list;
        self.node = Some(node);
        self.count += 1;
    }

    /// Whether the entry that was pushed last needs a new node.
    fn is_full(&self, node: &Node) -> bool {
        /// `STREAM_LISTPACK_MAX_SIZE`.
        const LARGEST: u64 = 1 << 30;
        let max_bytes = if self.limits.max_bytes == 0 { LARGEST } else { self.limits.max_bytes.min(LARGEST) };
        let bytes = node.head + self.entries.len();
        (bytes + self.text.len()) as u64 >= max_bytes
            || self.limits.max_entries != 0 && node.count >= self.limits.max_entries
    }

    /// A node whose master entry has the fields of the entry that was pushed last.
    fn begin_node(&mut self, master: StreamId) -> Node {
        let names: Vec<_> = (0..self.ends.len() / 2).map(|i| self.string(2 * i).to_vec()).collect();
        self.entries.clear();
        write_head(&mut self.whole, 0, &names);
        let empty = self.entries.len();
        Node { master, names, head: self.whole.len() - empty, count: 0 }
    }

    fn end_node(&mut self) {
        let Some(node) = self.node.take() else { return };
        write_head(&mut self.whole, node.count, &node.names);
        self.whole.append(&self.entries);
        self.blobs.extend_from_slice(self.whole.finish());
        self.nodes.push((node.master, self.blobs.len()));
    }

    fn end_entries(&mut self, meta: Meta) -> Result<()> {
        self.end_entry();
        self.end_node();
        match self.last {
            Some(last) if last > meta.last => {
                Err(Error::malformed(format!("stream: its last id {} comes before its entry {last}", meta.last)))
            }
            _ => {
                self.meta = Some(meta);
                Ok(())
            }
        }
    }

    fn begin_group(&mut self, name: &[u8], last: StreamId, entries_read: Option<Option<u64>>) -> Result<()> {
        if self.groups.iter().any(|group| group.name == name) {
            return Err(Error::malformed(format!("stream: group {} stands twice", text::quoted_short(name))));
        }
        self.groups.push(Group {
            name: name.to_vec(),
            last,
            entries_read,
            consumers: Vec::new(),
            by_name: HashMap::new(),
            pending: Vec::new(),
            nacked: Vec::new(),
        });
        Ok(())
    }

    /// Appends the stream in this layout; says what of it the layout has no place for.
    pub fn write(&mut self, version: Version, strings: &mut StrWriter, out: &mut Vec<u8>) -> Result<Lost> {
        let Some(meta) = self.meta else { return Err(Error::malformed("stream: it has no last id")) };
        let mut lost = Lost::default();
        length::write(self.nodes.len() as u64, out);
        let mut start = 0;
        for (master, end) in &self.nodes {
            let mut id = Vec::with_capacity(16);
            master.write_raw(&mut id);
            write_raw(&id, out);
            strings.write(&self.blobs[start..*end], out);
            start = *end;
        }
        let length = if meta.length == meta.found { self.count } else { meta.length };
        let history = meta.history.unwrap_or(History {
            first: self.first.unwrap_or_default(),
            max_deleted: StreamId::default(),
            entries_added: length,
        });
        length::write(length, out);
        meta.last.write_pair(out);
        if version >= Version::V2 {
            history.first.write_pair(out);
            history.max_deleted.write_pair(out);
            length::write(history.entries_added, out);
        }
        length::write(self.groups.len() as u64, out);
        for group in &mut self.groups {
            lost.nacked |= group.write(version, length, meta.last, history, strings, out)?;
        }
        let none = Idempotency::NONE;
        let idempotency = self.idempotency.as_ref().unwrap_or(&none);
        if version >= Version::V4 {
            idempotency.write(strings, out);
        } else {
            lost.idempotency = !idempotency.is_none();
        }
        Ok(lost)
    }
}

/// How many entries a group has read whose last one is `read`, where the source does not say
/// (`streamEstimateDistanceFromFirstEverEntry`): of a stream with so many entries, of which `last` came last.
pub fn estimate_read(read: StreamId, length: u64, last: StreamId, history: History) -> Option<u64> {
    let History { first, entries_added, .. } = history;
    match read {
        _ if entries_added == 0 => Some(0),
        id if length == 0 && id <= last || id == last => Some(entries_added),
        id if id < first => entries_added.checked_sub(length),
        id if id == first => (entries_added + 1).checked_sub(length),
        _ => None,
    }
}

/// Begins a node's listpack with its master entry.
fn write_head(list: &mut listpack::Builder, count: u64, names: &[Vec<u8>]) {
    list.clear();
    list.push_int(count as i64);
    list.push_int(0);
    list.push_int(names.len() as i64);
    names.iter().for_each(|name| list.push(name));
    list.push_int(0);
}

impl Group {
    fn consumer(&mut self, name: &[u8], seen: i64, active: Option<i64>) -> Result<()> {
        if self.by_name.insert(name.to_vec(), self.consumers.len()).is_some() {
            return Err(Error::malformed(format!("stream: consumer {} stands twice", text::quoted_short(name))));
        }
        self.consumers.push(Consumer { name: name.to_vec(), seen, active });
        Ok(())
    }

    fn pending(&mut self, id: StreamId, consumer: Option<&[u8]>, delivered: i64, deliveries: u64) -> Result<()> {
        let consumer = match consumer.map(|name| (name, self.by_name.get(name))) {
            None => None,
            Some((_, Some(i))) => Some(*i),
            Some((name, None)) => {
                let name = text::quoted_short(name);
                return Err(Error::malformed(format!("stream: pending entry {id} belongs to {name}, no consumer")));
            }
        };
        self.pending.push(Pending { id, consumer, delivered, deliveries });
        Ok(())
    }

    /// Appends the group; says whether NACKed entries were left out.
    fn write(
        &mut self,
        version: Version,
        length: u64,
        last: StreamId,
        history: History,
        strings: &mut StrWriter,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        strings.write(&self.name, out);
        self.last.write_pair(out);
        if version >= Version::V2 {
            let read = self.entries_read.unwrap_or_else(|| estimate_read(self.last, length, last, history));
            length::write(read.unwrap_or(u64::MAX), out);
        }
        self.pending.sort_by_key(|pending| pending.id);
        if let Some(pair) = self.pending.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(Error::malformed(format!("stream: pending entry {} stands twice", pair[0].id)));
        }
        let has_nacked = version >= Version::V5;
        let kept = || self.pending.iter().filter(|pending| has_nacked || pending.consumer.is_some());
        length::write(kept().count() as u64, out);
        for pending in kept() {
            pending.id.write_raw(out);
            out.extend_from_slice(&pending.delivered.to_le_bytes());
            length::write(pending.deliveries, out);
        }
        self.write_consumers(version, strings, out);
        if has_nacked {
            let queue = self.nack_queue()?;
            length::write(queue.len() as u64, out);
            queue.iter().for_each(|id| id.write_raw(out));
        }
        Ok(!has_nacked && self.pending.iter().any(|pending| pending.consumer.is_none()))
    }

    fn write_consumers(&self, version: Version, strings: &mut StrWriter, out: &mut Vec<u8>) {
        let mut owned = vec![Vec::new(); self.consumers.len()];
        for pending in &self.pending {
            if let Some(i) = pending.consumer {
                owned[i].push(pending.id);
            }
        }
        length::write(self.consumers.len() as u64, out);
        for (consumer, ids) in self.consumers.iter().zip(owned) {
            strings.write(&consumer.name, out);
            out.extend_from_slice(&consumer.seen.to_le_bytes());
            if version >= Version::V3 {
                out.extend_from_slice(&consumer.active.unwrap_or(consumer.seen).to_le_bytes());
            }
            length::write(ids.len() as u64, out);
            ids.iter().for_each(|id| id.write_raw(out));
        }
    }

    /// The NACKed entries in the queue's order; the pending list has each of them, without a consumer. A stream whose
    /// queue lacks some of these is read by servers that do not sanitize, and refused by those that do.
    fn nack_queue(&self) -> Result<&[StreamId]> {
        let of_nobody: Vec<_> = self.pending.iter().filter(|p| p.consumer.is_none()).map(|p| p.id).collect();
        let mut sorted = self.nacked.clone();
        sorted.sort_unstable();
        if sorted == of_nobody {
            return Ok(&self.nacked);
        }
        match of_nobody.iter().find(|id| sorted.binary_search(id).is_err()) {
            Some(id) => {
                Err(Error::malformed(format!("stream: pending entry {id} belongs to no consumer, and is not NACKed")))
            }
            None => Err(Error::malformed("stream: the NACKed entries are not the pending ones of no consumer")),
        }
    }
}

impl Idempotency {
    fn write(&self, strings: &mut StrWriter, out: &mut Vec<u8>) {
        length::write(self.duration, out);
        length::write(self.max_entries, out);
        length::write(self.producers.len() as u64, out);
        for (producer, ids) in &self.producers {
            strings.write(producer, out);
            length::write(ids.len() as u64, out);
            for (iid, id) in ids {
                strings.write(iid, out);
                id.write_pair(out);
            }
        }
        length::write(self.added, out);
        length::write(self.duplicates, out);
    }
}
