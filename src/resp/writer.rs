//! Keys to commands that rebuild them, for an empty server of the version that wrote the file, or a later one.
//!
//! What no command can say goes as RESTORE: the values of modules and forks, vector sets, arrays, keys with metadata,
//! and streams with pending entries that are gone, NACKed entries or idempotency data. Lost even so: idle times and
//! access counters of keys that go as commands, the times at which consumers were seen, member expiries of
//! Dragonfly's sets, and data of modules outside the key space. Nothing is sent here.

use std::collections::HashSet;

use super::frame::{self, Growing};
use crate::codec::listpack::Listpack;
use crate::codec::stream::{Meta, Part, StreamId, Version};
use crate::codec::{Cursor, Str, crc64, double, length, opcode};
use crate::error::{Error, Result};
use crate::model::{Dialect, Element, Entry, Eviction, Kind, Origin, RdbType, Record, Scratch, Value};

/// How keys become commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// RESTORE for every key.
    pub restore: bool,
    /// Elements after which a command ends and another goes on.
    pub chunk_elements: usize,
    /// Bytes after which a command ends and another goes on.
    pub chunk_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { restore: false, chunk_elements: 512, chunk_bytes: 64 << 10 }
    }
}

/// Turns records into commands. Every worker has its own.
#[derive(Clone)]
pub struct Writer {
    options: Options,
    /// The database that the commands so far have selected.
    db: Option<u64>,
    /// A score or a stream id as text.
    text: Vec<u8>,
    expiries: FieldExpiries,
    stream: StreamBuffers,
}

impl Writer {
    /// A writer with these options.
    pub fn new(options: Options) -> Writer {
        let (expiries, stream) = (FieldExpiries::default(), StreamBuffers::default());
        Writer { options, db: None, text: Vec::new(), expiries, stream }
    }

    /// Forgets which database is selected, so that what follows can be executed on its own.
    pub fn start_batch(&mut self) {
        self.db = None;
    }

    /// Appends the commands that rebuild a key: none for an empty collection. On an error nothing is left of them.
    pub fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let (start, db) = (out.len(), self.db);
        if self.db != Some(entry.db) {
            frame::array(2, out);
            frame::bulk(b"SELECT", out);
            frame::bulk_int(entry.db, out);
            self.db = Some(entry.db);
        }
        let selected = out.len();
        let written = self.key(entry, scratch, out);
        if written.is_err() || out.len() == selected {
            out.truncate(start);
            self.db = db;
        }
        written
    }

    /// Appends the commands for a record that is no key: functions and scripts, nothing for the rest.
    pub fn other(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
        match *record {
            Record::Function(code) => frame::command(&[b"FUNCTION", b"LOAD", code], out),
            Record::FunctionPreGa { name, engine, code, .. } => {
                frame::array(3, out);
                frame::bulk(b"FUNCTION", out);
                frame::bulk(b"LOAD", out);
                frame::bulk_with(out, |out| {
                    out.extend_from_slice(b"#!");
                    out.extend(engine.iter().map(u8::to_ascii_lowercase));
                    out.extend_from_slice(b" name=");
                    out.extend_from_slice(name);
                    out.push(b'\n');
                    out.extend_from_slice(code);
                    Ok(())
                })?;
            }
            Record::Aux { name: b"lua", value } => frame::command(&[b"SCRIPT", b"LOAD", value], out),
            _ => {}
        }
        Ok(())
    }

    fn key(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let kind = entry.value.kind();
        if !self.options.restore && entry.meta.is_empty() && self.value(entry, kind, scratch, out)? {
            if out.len() > start {
                member_expiries(entry, out)?;
                expire(entry, out);
            }
            return Ok(());
        }
        out.truncate(start);
        let is_collection = matches!(kind, Kind::List | Kind::Set | Kind::Zset | Kind::Hash | Kind::Array);
        // Servers refuse to restore an empty collection, and drop it when they load it from a file.
        if is_collection && entry.value.count(scratch)? == Some(0) {
            return Ok(());
        }
        restore(entry, out)
    }

    /// Appends the commands that rebuild a value. `false` if there are none that say all of it; what was appended then
    /// means nothing.
    fn value(&mut self, entry: &Entry<'_>, kind: Kind, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<bool> {
        let key = entry.key;
        match kind {
            Kind::String => each_item(entry.value, scratch, |text| frame::command(&[b"SET", key, text], out))?,
            Kind::Json => each_item(entry.value, scratch, |text| frame::command(&[b"JSON.SET", key, b"$", text], out))?,
            Kind::List => self.items(b"RPUSH", entry, scratch, out)?,
            Kind::Set => self.items(b"SADD", entry, scratch, out)?,
            Kind::Zset => self.zset(entry, scratch, out)?,
            Kind::Hash => self.hash(entry, scratch, out)?,
            Kind::Stream => return self.stream(entry, scratch, out),
            Kind::Array | Kind::VectorSet | Kind::Module | Kind::Foreign => return Ok(false),
        }
        Ok(true)
    }

    fn items(&self, command: &[u8], entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let mut chunks = Chunks::new(command, entry.key, self.options);
        each_item(entry.value, scratch, |item| chunks.add([item], out))?;
        chunks.end(out);
        Ok(())
    }

    fn zset(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let mut chunks = Chunks::new(b"ZADD", entry.key, self.options);
        entry.value.each(scratch, |element| {
            if let Element::Scored { member, score } = element {
                self.text.clear();
                double::write(score, &mut self.text);
                chunks.add([&self.text, member], out);
            }
            Ok(())
        })?;
        chunks.end(out);
        Ok(())
    }

    fn hash(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        // Before 4.0, whose version is 8, HSET took one field.
        let command: &[u8] = if entry.value.origin.version < 8 { b"HMSET" } else { b"HSET" };
        let mut chunks = Chunks::new(command, entry.key, self.options);
        self.expiries.clear();
        entry.value.each(scratch, |element| {
            if let Element::Field { name, value, expiry } = element {
                chunks.add([name, value], out);
                if let Some(at) = expiry {
                    self.expiries.add(entry.key, name, at, self.options);
                }
            }
            Ok(())
        })?;
        chunks.end(out);
        self.expiries.end_run(entry.key);
        // Behind all fields: an expiry that has passed takes its field away, and with the last one the key.
        out.extend_from_slice(&self.expiries.commands);
        Ok(())
    }

    fn stream(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<bool> {
        let mut stream = StreamCommands::new(entry, &mut self.stream, &mut self.text);
        entry.value.each(scratch, |element| {
            if let Element::Stream(part) = element {
                stream.part(part, out);
            }
            Ok(())
        })?;
        Ok(stream.end())
    }
}

/// Gives the strings of a string, list or set.
fn each_item(value: Value<'_>, scratch: &mut Scratch, mut visit: impl FnMut(&[u8])) -> Result<()> {
    value.each(scratch, |element| {
        if let Element::Item(item) | Element::Expiring { member: item, .. } = element {
            visit(item);
        }
        Ok(())
    })
}

/// KeyDB's expiries of single members, which other servers have no command for.
fn member_expiries(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    if entry.member_expiries.is_empty() || entry.value.origin.dialect != Dialect::KeyDb {
        return Ok(());
    }
    entry.each_member_expiry(|member, when| {
        frame::command(&[b"PEXPIREMEMBERAT", entry.key, member, when], out);
        Ok(())
    })
}

fn expire(entry: &Entry<'_>, out: &mut Vec<u8>) {
    if let Some(at) = entry.expiry {
        frame::array(3, out);
        frame::bulk(b"PEXPIREAT", out);
        frame::bulk(entry.key, out);
        frame::bulk_int(at, out);
    }
}

/// A collection on its way into commands of a limited size each.
struct Chunks<'a> {
    head: [&'a [u8]; 2],
    options: Options,
    open: Option<Growing>,
    elements: usize,
}

impl<'a> Chunks<'a> {
    fn new(command: &'a [u8], key: &'a [u8], options: Options) -> Chunks<'a> {
        Chunks { head: [command, key], options, open: None, elements: 0 }
    }

    /// Appends an element of `N` words.
    #[inline]
    fn add<const N: usize>(&mut self, words: [&[u8]; N], out: &mut Vec<u8>) {
        let open = self.open.get_or_insert_with(|| Growing::begin(&self.head, out));
        for word in words {
            open.bulk(word, out);
        }
        self.elements += 1;
        if self.elements >= self.options.chunk_elements || open.size(out) >= self.options.chunk_bytes {
            self.end(out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(open) = self.open.take() {
            open.end(out);
        }
        self.elements = 0;
    }
}

/// HPEXPIREAT commands, as they grow beside the hash: one for each run of fields that expire together.
#[derive(Clone, Default)]
struct FieldExpiries {
    commands: Vec<u8>,
    /// The run: its expiry, and how many fields of which names.
    at: i64,
    fields: usize,
    names: Vec<u8>,
}

impl FieldExpiries {
    fn clear(&mut self) {
        self.commands.clear();
        self.names.clear();
        self.fields = 0;
    }

    fn add(&mut self, key: &[u8], name: &[u8], at: i64, options: Options) {
        let full = self.fields >= options.chunk_elements || self.names.len() >= options.chunk_bytes;
        if full || at != self.at {
            self.end_run(key);
        }
        self.at = at;
        self.fields += 1;
        frame::bulk(name, &mut self.names);
    }

    fn end_run(&mut self, key: &[u8]) {
        if self.fields > 0 {
            let out = &mut self.commands;
            frame::array(5 + self.fields, out);
            frame::bulk(b"HPEXPIREAT", out);
            frame::bulk(key, out);
            frame::bulk_int(self.at, out);
            frame::bulk(b"FIELDS", out);
            frame::bulk_int(self.fields, out);
            out.extend_from_slice(&self.names);
        }
        self.fields = 0;
        self.names.clear();
    }
}

/// What [`StreamCommands`] remembers of a stream.
#[derive(Clone, Default)]
struct StreamBuffers {
    /// The ids of its entries, ascending.
    ids: Vec<StreamId>,
    /// The name of the last group.
    group: Vec<u8>,
    /// Consumers of that group that no command has made yet.
    unmade: HashSet<Vec<u8>>,
}

/// Turns the parts of a stream into commands, in the way of a server's own rewrite of its append-only file.
struct StreamCommands<'a> {
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
    fn new(entry: &Entry<'a>, buffers: &'a mut StreamBuffers, text: &'a mut Vec<u8>) -> StreamCommands<'a> {
        let Value { rdb_type, origin, .. } = entry.value;
        buffers.ids.clear();
        buffers.unmade.clear();
        let makes_consumers = rdb_type.stream_version() >= Some(Version::V2) || has_createconsumer(origin);
        StreamCommands { key: entry.key, makes_consumers, buffers, text, entry: None, faithful: true }
    }

    fn part(&mut self, part: Part<'_>, out: &mut Vec<u8>) {
        if !self.faithful {
            return;
        }
        match part {
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
    fn end(self) -> bool {
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

/// Appends the RESTORE of a key, and what has to follow it.
fn restore(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    // ABSTTL, IDLETIME and FREQ came with 5.0, whose version is 9.
    let has_options = entry.value.origin.version >= 9;
    // RESTORE refuses a negative time, and takes 0 for none.
    let absolute = entry.expiry.filter(|at| has_options && *at > 0);
    let eviction = match entry.eviction {
        Eviction::Idle(seconds) if has_options && i64::try_from(seconds).is_ok() => {
            Some((b"IDLETIME".as_slice(), seconds))
        }
        Eviction::Freq(count) if has_options => Some((b"FREQ".as_slice(), u64::from(count))),
        _ => None,
    };
    frame::array(4 + usize::from(absolute.is_some()) + 2 * usize::from(eviction.is_some()), out);
    frame::bulk(b"RESTORE", out);
    frame::bulk(entry.key, out);
    frame::bulk_int(absolute.unwrap_or(0), out);
    frame::bulk_with(out, |out| dump_payload(entry, out))?;
    if absolute.is_some() {
        frame::bulk(b"ABSTTL", out);
    }
    if let Some((option, value)) = eviction {
        frame::bulk(option, out);
        frame::bulk_int(value, out);
    }
    member_expiries(entry, out)?;
    if absolute.is_none() {
        expire(entry, out);
    }
    Ok(())
}

/// Appends what DUMP would answer for a key and RESTORE takes: metadata, type, value, version and checksum. On an
/// error nothing is left of it.
pub fn dump_payload(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    if !entry.meta.is_empty() {
        out.push(opcode::KEY_META);
        out.extend_from_slice(entry.meta);
    }
    if let Err(e) = type_and_value(entry.value, out) {
        out.truncate(start);
        return Err(e);
    }
    out.extend_from_slice(&payload_version(entry).to_le_bytes());
    let crc = crc64::jones(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Appends the type byte and the value; a template hash that refers to its field names gets them.
fn type_and_value(value: Value<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut cur = Cursor::new(value.bytes);
    let (own, id, values) = match value.rdb_type {
        RdbType::TemplateListpackRef => {
            let mut buf = Vec::new();
            let mut list = Listpack::new(Str::take(&mut cur, &mut buf)?)?;
            let id = list.next_item()?.map(|id| id.int("template hash")).transpose()?;
            (RdbType::TemplateListpack, id.and_then(|id| u64::try_from(id).ok()), value.bytes)
        }
        RdbType::TemplateArrayRef => (RdbType::TemplateArray, Some(cur.length()?), cur.rest()),
        other => {
            out.push(other.code());
            out.extend_from_slice(value.bytes);
            return Ok(());
        }
    };
    let template = id
        .and_then(|id| value.origin.templates.get(&id))
        .ok_or_else(|| Error::malformed("template hash: the file does not have its template"))?;
    out.push(own.code());
    // 1: the names are strings one by one, not a listpack.
    length::write(1, out);
    length::write(template.fields.len() as u64, out);
    for name in &template.fields {
        length::write(name.len() as u64, out);
        out.extend_from_slice(name);
    }
    out.extend_from_slice(values);
    Ok(())
}

/// The version of a payload: the lowest that has the type, as servers refuse those above their own.
fn payload_version(entry: &Entry<'_>) -> u16 {
    use RdbType::*;
    /// The first version with RESTORE.
    const FIRST: u16 = 6;
    let of_type = match entry.value.rdb_type {
        String | List | Set | Zset | Hash | HashZipmap | ListZiplist | SetIntset | ZsetZiplist | HashZiplist => FIRST,
        ListQuicklist => 7,
        Zset2 | ModulePreGa | Module2 => 8,
        Stream1 => 9,
        HashListpack | ZsetListpack | ListQuicklist2 | Stream2 => 10,
        SetListpack | Stream3 => 11,
        HashMetadataPreGa | HashListpackExPreGa | HashMetadata | HashListpackEx => 12,
        Stream4 => 13,
        Stream5 | Array => 14,
        TemplateListpack | TemplateListpackRef | TemplateArray | TemplateArrayRef => 15,
        ValkeyHash => 80,
        // Dragonfly and KeyDB write 9, whatever the type.
        DragonflyJson | DragonflyHash | DragonflySet | DragonflyBloom | DragonflyBloom2 | DragonflyCountMin
        | DragonflyTopK | DragonflyCuckoo | KeyDbCron => 9,
    };
    let of_meta = if entry.meta.is_empty() { FIRST } else { 13 };
    // Up to 3.2.0 a server takes no version but its own.
    let of_server = if entry.value.origin.version == 7 { 7 } else { FIRST };
    of_type.max(of_meta).max(of_server)
}
