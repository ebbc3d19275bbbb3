//! From records to packets: each key in the form that its server executes fastest, and never one that overwrites what
//! is not to be overwritten.

use std::ops::Range;
use std::sync::Mutex;

use super::compare::{Check, KeyCheck};
use super::packet::{Commands, Packet, What, count};
use super::probe::Probe;
use super::{Method, OnExists, Plan, Purpose, Site, Start};
use crate::codec::{Cursor, Str};
use crate::error::Result;
use crate::model::{
    Batch, Buffers, Entry, Eviction, Fingerprinter, KeyBuf, Kind, RdbType, Record, SLOTS, Scratch, Value, library_name,
    slot,
};
use crate::pipeline::Work;
use crate::rdb::{Carried, OnLoss, Options, Writer};
use crate::resp::{self, frame};
use crate::text;

/// So many keys are set by one command: fewer commands cost more, longer ones fall out of the server's caches.
const GROUP: usize = 16;
/// Longer strings gain nothing in a group.
const GROUP_VALUE: usize = 1024;
/// Pieces of a string that is too long for one command.
const PIECE: usize = 1 << 20;

/// Something that was not sent, or not whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The key, with its database; none for what is outside the key space.
    pub key: Option<(u64, Vec<u8>)>,
    /// Why, in our words or the server's.
    pub reason: String,
    /// What became of it.
    pub taken: Taken,
}

/// How much of something the server has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Nothing of it.
    Not,
    /// Nothing: it has a key of that name.
    Existed,
    /// A part of it.
    Part,
    /// Nothing, and no key is missing for it.
    Aside,
}

/// What a worker makes of a batch.
#[derive(Default)]
pub(super) struct Encoded {
    /// One for each node.
    pub(super) packets: Vec<Packet>,
    pub(super) notes: Vec<Note>,
    pub(super) expired: u64,
    /// Keys that became values of another type.
    pub(super) changed: u64,
    /// Where the batch ends in the input.
    pub(super) end: u64,
}

/// What all workers share.
pub(super) struct Shared<'p> {
    pub(super) plan: &'p Plan,
    pub(super) site: &'p Site,
    pub(super) start: Start,
    /// Which of several inputs it is.
    pub(super) input: usize,
    /// Packets that were sent, for their memory.
    pub(super) pool: &'p Mutex<Vec<Packet>>,
}

impl<'p> Shared<'p> {
    /// What the servers are: those of a cluster are alike.
    fn probe(&self) -> &'p Probe {
        &self.site.nodes[0]
    }
}

/// Turns records into packets. Every worker has its own.
pub(super) struct Encoder<'p> {
    shared: &'p Shared<'p>,
    values: Writer,
    commands: resp::Writer,
    filters: bool,
    key: KeyBuf,
    value: Vec<u8>,
    text: Vec<u8>,
    /// The database that each packet has selected.
    selected: Vec<Option<u64>>,
    group: Group,
    buffers: Buffers,
    prints: Fingerprinter,
}

/// Strings that are set together.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    open: Option<frame::Growing>,
    /// Where their names stand.
    keys: Vec<Range<usize>>,
}

impl Group {
    fn has(&self, key: &[u8]) -> bool {
        self.keys.iter().any(|range| self.bytes[range.clone()] == *key)
    }

    fn add(&mut self, command: &[u8], key: &[u8], value: &[u8]) {
        let Group { bytes, open, keys } = self;
        let open = open.get_or_insert_with(|| frame::Growing::begin(&[command], bytes));
        open.bulk(key, bytes);
        let end = bytes.len() - 2;
        keys.push(end - key.len()..end);
        open.bulk(value, bytes);
    }
}

impl<'p> Encoder<'p> {
    pub(super) fn new(shared: &'p Shared<'p>) -> Encoder<'p> {
        let plan = shared.plan;
        let options = Options {
            compress: true,
            rebuild: false,
            same_server: false,
            expand_templates: plan.rewrite.mask.is_some(),
            on_loss: if plan.downgrades { OnLoss::Downgrade } else { OnLoss::Drop },
        };
        Encoder {
            shared,
            values: Writer::new(&shared.probe().target, options),
            commands: resp::Writer::new(resp::Options::default()),
            filters: !plan.filter.is_empty(),
            key: KeyBuf::default(),
            value: Vec::new(),
            text: Vec::new(),
            selected: Vec::new(),
            group: Group::default(),
            buffers: Buffers::default(),
            prints: Fingerprinter::default(),
        }
    }

    fn begin(&mut self, batch: &Batch, out: &mut Encoded) {
        let nodes = self.shared.site.topology.nodes.len();
        let mut pool = self.shared.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        out.packets.retain(|packet| packet.bytes.capacity() > 0);
        while out.packets.len() < nodes {
            out.packets.push(pool.pop().unwrap_or_default());
        }
        drop(pool);
        for packet in &mut out.packets {
            packet.bytes.clear();
            packet.steps.clear();
            packet.checks.clear();
            packet.set_again(false);
            packet.set_repeated(self.shared.start.is_resumed);
        }
        out.notes.clear();
        (out.expired, out.changed) = (0, 0);
        out.end = batch.offset + batch.bytes().len() as u64;
        self.selected.clear();
        self.selected.resize(nodes, None);
    }

    fn record(&mut self, record: &Record<'_>, scratch: &mut Scratch, out: &mut Encoded) -> Result<()> {
        match *record {
            Record::Entry(entry) => {
                if entry.offset < self.shared.start.skip || self.filters && !self.shared.plan.filter.keeps(&entry) {
                    return Ok(());
                }
                let mut key = std::mem::take(&mut self.key);
                let written = match self.shared.plan.rewrite.key(&entry, &mut key) {
                    Ok(Some(entry)) => self.entry(&entry, scratch, out),
                    Ok(None) => Ok(out.expired += 1),
                    Err(e) => Err(e),
                };
                self.key = key;
                written
            }
            Record::Function(_) | Record::FunctionPreGa { .. } | Record::Aux { name: b"lua", .. } => {
                self.program(record, out)
            }
            Record::ModuleAux { id, .. } => {
                let reason = format!("aux data of module {}, which no command can bring over", id.name());
                out.notes.push(Note { key: None, reason, taken: Taken::Aside });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Function libraries and scripts, for every node.
    fn program(&mut self, record: &Record<'_>, out: &mut Encoded) -> Result<()> {
        let (plan, probe) = (self.shared.plan, self.shared.probe());
        match plan.purpose {
            Purpose::Load => {}
            Purpose::Verify => return self.look_for_library(record, out),
            Purpose::Try => return Ok(()),
        }
        let (what, name) = match *record {
            Record::Function(source) => (What::Function, library_name(source)),
            Record::FunctionPreGa { name, .. } => (What::Function, Some(name)),
            _ => (What::Script, None),
        };
        let why = match plan.rewrite.unmaskable_record(record) {
            Some(why) => Some(why),
            None if what == What::Function && !probe.target.has_functions() => {
                let name = text::quoted_short(name.unwrap_or_default());
                Some(format!("function library {name}: {} has no functions", probe.name))
            }
            None => None,
        };
        if let Some(reason) = why {
            out.notes.push(Note { key: None, reason, taken: Taken::Not });
            return Ok(());
        }
        let replaces = what == What::Function && plan.on_exists == OnExists::Replace;
        for packet in &mut out.packets {
            match *record {
                Record::Function(source) if replaces => {
                    frame::command(&[b"FUNCTION", b"LOAD", b"REPLACE", source], &mut packet.bytes);
                }
                _ => self.commands.other(record, &mut packet.bytes)?,
            }
            packet.end_step(what, 1);
        }
        Ok(())
    }

    /// Looks whether every node has a function library as it is here, if it was to be loaded.
    fn look_for_library(&mut self, record: &Record<'_>, out: &mut Encoded) -> Result<()> {
        let is_library = matches!(record, Record::Function(_) | Record::FunctionPreGa { .. });
        let can_be_there = self.shared.probe().target.has_functions();
        if !is_library || !can_be_there || self.shared.plan.rewrite.unmaskable_record(record).is_some() {
            return Ok(());
        }
        let mut loading = Vec::new();
        self.commands.other(record, &mut loading)?;
        let source = Commands(&loading).next().and_then(|words| words.last().copied());
        let Some((source, name)) = source.and_then(|source| Some((source, library_name(source)?))) else {
            return Ok(());
        };
        for packet in &mut out.packets {
            let number = packet.checks.len() as u32;
            packet.checks.push(Check::Library(source.to_vec()));
            frame::command(&[b"FUNCTION", b"LIST", b"LIBRARYNAME", name, b"WITHCODE"], &mut packet.bytes);
            packet.end_step(What::Library(number), 1);
        }
        Ok(())
    }

    /// A key as it is to be on the server.
    fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Encoded) -> Result<()> {
        let (plan, probe) = (self.shared.plan, self.shared.probe());
        // The server would take it, and drop it at once.
        if entry.expiry.is_some_and(|at| at <= plan.rewrite.now) {
            out.expired += 1;
            return Ok(());
        }
        if entry.value.kind().is_collection() && entry.value.count(scratch)? == Some(0) {
            // Servers drop what is empty, too.
            return Ok(());
        }
        if let Some(reason) = self.no_such_db(entry.db) {
            out.notes.push(Note { key: Some((entry.db, entry.key.to_vec())), reason, taken: Taken::Not });
            return Ok(());
        }
        let mut buf = std::mem::take(&mut self.value);
        buf.clear();
        let adapted = self.values.adapt(entry, &plan.rewrite, scratch, &mut buf)?;
        let key = || Some((entry.db, entry.key.to_vec()));
        match adapted.carried {
            Carried::Left(what) => {
                let reason = format!("{} cannot hold {what}", probe.name);
                out.notes.push(Note { key: key(), reason, taken: Taken::Not });
                self.value = buf;
                return Ok(());
            }
            Carried::Less(what) => {
                let reason = format!("loaded without {what}, which {} cannot hold", probe.name);
                out.notes.push(Note { key: key(), reason, taken: Taken::Part });
            }
            Carried::As(_) => out.changed += 1,
            Carried::Whole | Carried::Nothing => {}
        }
        let is_reference = matches!(entry.value.rdb_type, RdbType::TemplateListpackRef | RdbType::TemplateArrayRef);
        let target = &probe.target.origin;
        let value = match adapted.rdb_type {
            Some(rdb_type) => Value { rdb_type, bytes: &buf, origin: target },
            // Its field names stand in the file.
            None if is_reference => entry.value,
            None => Value { origin: target, ..entry.value },
        };
        let meta = if adapted.keeps_meta { entry.meta } else { &[] };
        let written = self.send(&Entry { value, meta, ..*entry }, scratch, out);
        self.value = buf;
        written
    }

    /// Why there is no such database, if there is none: commands after a SELECT that fails would go to another one.
    fn no_such_db(&self, db: u64) -> Option<String> {
        let hint = "--db-map puts keys into another one: '*:0' all of them into 0";
        if self.shared.site.topology.is_cluster() {
            return (db != 0).then(|| format!("a cluster has database 0 only; {hint}"));
        }
        let databases = self.shared.probe().databases;
        (db >= databases).then(|| format!("{} can be selected there; {hint}", text::count(databases, "database")))
    }

    /// Chooses how a key goes.
    fn send(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Encoded) -> Result<()> {
        let (plan, probe, topology) = (self.shared.plan, self.shared.probe(), &self.shared.site.topology);
        let node = topology.node_of(if topology.is_cluster() { slot(entry.key) } else { 0 });
        if plan.purpose != Purpose::Load {
            return self.look(entry, node, scratch, out);
        }
        let can_restore = plan.method != Method::Commands && probe.no_restore.is_none();
        let is_large = entry.value.bytes.len() as u64 > plan.max_restore.unwrap_or(probe.max_bulk).min(probe.max_bulk);
        let prefers_string = plan.method == Method::Auto && !self.keeps_eviction(entry.eviction) || !can_restore;
        if entry.value.kind() == Kind::String && entry.meta.is_empty() && prefers_string && !is_large {
            return self.string(entry, node, out);
        }
        self.select(node, entry.db, out);
        if (!can_restore || is_large) && self.staged(entry, node, scratch, out)? {
            return Ok(());
        }
        if let Some(words) = &probe.no_restore {
            let reason = format!("only RESTORE could bring all of it over, which the server refuses: {words}");
            out.notes.push(Note { key: Some((entry.db, entry.key.to_vec())), reason, taken: Taken::Not });
            return Ok(());
        }
        let packet = &mut out.packets[node];
        let start = packet.bytes.len();
        match resp::restore(entry, plan.on_exists == OnExists::Replace, &mut packet.bytes) {
            Ok(commands) => packet.end_step(What::Restore, commands),
            Err(e) => {
                packet.bytes.truncate(start);
                return Err(e);
            }
        }
        Ok(())
    }

    /// Looks what the server has of a key.
    fn look(&mut self, entry: &Entry<'_>, node: usize, scratch: &mut Scratch, out: &mut Encoded) -> Result<()> {
        let (plan, probe) = (self.shared.plan, self.shared.probe());
        self.select(node, entry.db, out);
        let packet = &mut out.packets[node];
        if plan.purpose == Purpose::Try {
            frame::command(&[b"EXISTS", entry.key], &mut packet.bytes);
            packet.end_step(What::Exists, 1);
            return Ok(());
        }
        let print = self.prints.print(entry, scratch)?;
        let is_by_commands = plan.method == Method::Commands || probe.no_restore.is_some();
        let number = packet.checks.len() as u32;
        packet.checks.push(Check::Key(KeyCheck { print, expiry: entry.expiry, is_by_commands }));
        frame::command(&[b"DUMP", entry.key], &mut packet.bytes);
        frame::command(&[if probe.since(7, 0) { b"PEXPIRETIME" } else { b"PTTL" }, entry.key], &mut packet.bytes);
        packet.end_step(What::Check(number), 2);
        Ok(())
    }

    /// Whether the server keeps what the file says of a key's use: it counts or it looks at the clock, as its policy is.
    fn keeps_eviction(&self, eviction: Eviction) -> bool {
        let counts = self.shared.probe().policy.ends_with("-lfu");
        match eviction {
            Eviction::None => false,
            Eviction::Idle(_) => !counts,
            Eviction::Freq(_) => counts,
        }
    }

    fn select(&mut self, node: usize, db: u64, out: &mut Encoded) {
        if self.shared.site.topology.is_cluster() || self.selected[node] == Some(db) {
            return;
        }
        self.end_group(out);
        let packet = &mut out.packets[node];
        frame::array(2, &mut packet.bytes);
        frame::bulk(b"SELECT", &mut packet.bytes);
        frame::bulk_int(db, &mut packet.bytes);
        packet.end_step(What::Select, 1);
        self.selected[node] = Some(db);
    }

    /// A string as SET, or with others in one command.
    fn string(&mut self, entry: &Entry<'_>, node: usize, out: &mut Encoded) -> Result<()> {
        let (plan, probe, topology) = (self.shared.plan, self.shared.probe(), &self.shared.site.topology);
        let mut text = std::mem::take(&mut self.text);
        self.select(node, entry.db, out);
        let value = Str::take(&mut Cursor::new(entry.value.bytes), &mut text)?;
        let replaces = plan.on_exists == OnExists::Replace;
        let is_groupable = !topology.is_cluster() && (replaces || plan.is_empty_target) && plan.method == Method::Auto;
        let absolute = entry.expiry.filter(|at| *at > 0);
        if is_groupable && entry.expiry.is_none() && value.len() <= GROUP_VALUE {
            // A file with a key twice is damaged; the second one is to be refused, not to take the place of the first.
            if self.group.has(entry.key) {
                self.end_group(out);
            }
            self.group.add(if replaces { b"MSET" } else { b"MSETNX" }, entry.key, value);
            if self.group.keys.len() == GROUP {
                self.end_group(out);
            }
        } else if value.len() as u64 > probe.max_bulk
            || entry.expiry.is_some() && (!probe.since(6, 2) || absolute.is_none())
        {
            self.staged_string(entry, value, node, out);
        } else {
            let bytes = &mut out.packets[node].bytes;
            frame::array(3 + usize::from(!replaces) + 2 * usize::from(absolute.is_some()), bytes);
            frame::bulk(b"SET", bytes);
            frame::bulk(entry.key, bytes);
            frame::bulk(value, bytes);
            if let Some(at) = absolute {
                frame::bulk(b"PXAT", bytes);
                frame::bulk_int(at, bytes);
            }
            if !replaces {
                frame::bulk(b"NX", bytes);
            }
            out.packets[node].end_step(What::Set, 1);
        }
        self.text = text;
        Ok(())
    }

    fn end_group(&mut self, out: &mut Encoded) {
        let Group { bytes, open, keys } = &mut self.group;
        if let Some(open) = open.take() {
            open.end(bytes);
            let packet = &mut out.packets[0];
            packet.bytes.extend_from_slice(bytes);
            packet.end_step(What::Several(keys.len() as u32), 1);
        }
        bytes.clear();
        keys.clear();
    }

    /// A key by commands to a name of our own; `false`, and nothing appended, if commands can't say all of it.
    fn staged(&mut self, entry: &Entry<'_>, node: usize, scratch: &mut Scratch, out: &mut Encoded) -> Result<bool> {
        if entry.value.kind() == Kind::String && entry.meta.is_empty() {
            let mut text = std::mem::take(&mut self.text);
            let value = Str::take(&mut Cursor::new(entry.value.bytes), &mut text);
            let value = value.map(|value| self.staged_string(entry, value, node, out));
            self.text = text;
            return value.map(|()| true);
        }
        let name = self.staging_name(entry);
        let start = self.begin_staging(&name, node, out);
        let staged = Entry { key: &name, ..*entry };
        let bytes = &mut out.packets[node].bytes;
        let said = self.commands.commands(&staged, scratch, bytes);
        if !matches!(said, Ok(true)) {
            bytes.truncate(start);
            return said;
        }
        self.end_staging(&name, entry.key, start, node, out);
        Ok(true)
    }

    fn staged_string(&mut self, entry: &Entry<'_>, value: &[u8], node: usize, out: &mut Encoded) {
        let name = self.staging_name(entry);
        let start = self.begin_staging(&name, node, out);
        let bytes = &mut out.packets[node].bytes;
        let (first, rest) = value.split_at(value.len().min(PIECE));
        frame::command(&[b"SET", &name, first], bytes);
        for piece in rest.chunks(PIECE) {
            frame::command(&[b"APPEND", &name, piece], bytes);
        }
        if let Some(at) = entry.expiry {
            let mut text = itoa::Buffer::new();
            frame::command(&[b"PEXPIREAT", &name, text.format(at).as_bytes()], bytes);
        }
        self.end_staging(&name, entry.key, start, node, out);
    }

    /// A name that is no key's, in the same slot.
    fn staging_name(&self, entry: &Entry<'_>) -> Vec<u8> {
        let Shared { plan, site: Site { topology, .. }, input, .. } = self.shared;
        let tag = if topology.is_cluster() { tag_of(slot(entry.key)) } else { String::new() };
        format!("rdbkit:load:{}:{input}:{}{tag}", plan.id, entry.offset).into_bytes()
    }

    fn begin_staging(&self, name: &[u8], node: usize, out: &mut Encoded) -> usize {
        let packet = &mut out.packets[node];
        let start = packet.bytes.len();
        // Of a run that broke off, something may be left.
        if packet.is_repeated() {
            frame::command(&[b"DEL", name], &mut packet.bytes);
        }
        start
    }

    fn end_staging(&self, name: &[u8], key: &[u8], start: usize, node: usize, out: &mut Encoded) {
        let packet = &mut out.packets[node];
        let rename: &[u8] = if self.shared.plan.on_exists == OnExists::Replace { b"RENAME" } else { b"RENAMENX" };
        frame::command(&[rename, name, key], &mut packet.bytes);
        let commands = count(&packet.bytes[start..]);
        packet.end_step(What::Staged, commands);
    }
}

/// A hash tag that leads to a slot.
fn tag_of(wanted: u16) -> String {
    let tags = (0..u32::from(SLOTS) * 64).map(|n| format!("{{{n:x}}}"));
    tags.into_iter().find(|tag| slot(tag.as_bytes()) == wanted).unwrap_or_default()
}

impl Work for Encoder<'_> {
    type Output = Encoded;

    fn batch(&mut self, batch: &Batch, out: &mut Encoded) -> Result<()> {
        self.begin(batch, out);
        // What was told of the functions and the like at its beginning is done.
        let is_begun = batch.offset < self.shared.start.skip;
        let mut buffers = std::mem::take(&mut self.buffers);
        let encoded = batch.each(&mut buffers, |record, scratch| match record {
            Record::Entry(_) => self.record(&record, scratch, out),
            _ if is_begun => Ok(()),
            _ => self.record(&record, scratch, out),
        });
        self.buffers = buffers;
        self.end_group(out);
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_tag() {
        for wanted in [0, 1, 5000, SLOTS - 1] {
            assert_eq!(slot(format!("any:thing{}", tag_of(wanted)).as_bytes()), wanted);
        }
    }
}
