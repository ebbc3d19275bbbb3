//! Keys to commands that rebuild them, for an empty server of the version that wrote the file, or a later one.
//!
//! What no command can say goes as RESTORE: the values of modules and forks, vector sets, arrays, keys with metadata,
//! sorted sets with a score of -0, and streams with pending entries that are gone, NACKed entries or idempotency data. Lost even so: idle times and
//! access counters of keys that go as commands, the times at which consumers were seen, member expiries of
//! Dragonfly's sets, and data of modules outside the key space. Nothing is sent here.

use super::frame::{self, Growing};
use super::payload::dump_payload;
use super::stream::{StreamBuffers, StreamCommands};
use crate::codec::double;
use crate::error::Result;
use crate::model::{Dialect, Element, Entry, Eviction, Kind, Record, Scratch};

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

    /// Appends the commands that rebuild a key in the selected database. `false`, and nothing appended, if there are none
    /// that say all of it: RESTORE then has to.
    pub fn commands(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let said = entry.meta.is_empty() && self.value(entry, entry.value.kind(), scratch, out)?;
        if !said {
            out.truncate(start);
        } else if out.len() > start {
            member_expiries(entry, out)?;
            expire(entry, out);
        }
        Ok(said)
    }

    fn key(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        if !self.options.restore && self.commands(entry, scratch, out)? {
            return Ok(());
        }
        // Servers refuse to restore an empty collection, and drop it when they load it from a file.
        if entry.value.kind().is_collection() && entry.value.count(scratch)? == Some(0) {
            return Ok(());
        }
        restore(entry, false, out).map(drop)
    }

    /// Appends the commands that rebuild a value. `false` if there are none that say all of it; what was appended then
    /// means nothing.
    fn value(&mut self, entry: &Entry<'_>, kind: Kind, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<bool> {
        let key = entry.key;
        match kind {
            Kind::String => frame::command(&[b"SET", key, entry.value.text(scratch)?], out),
            Kind::Json => frame::command(&[b"JSON.SET", key, b"$", entry.value.text(scratch)?], out),
            Kind::List => self.items(b"RPUSH", entry, scratch, out)?,
            Kind::Set => self.items(b"SADD", entry, scratch, out)?,
            Kind::Zset => return self.zset(entry, scratch, out),
            Kind::Hash => self.hash(entry, scratch, out)?,
            Kind::Stream => return self.stream(entry, scratch, out),
            Kind::Array | Kind::VectorSet | Kind::Module | Kind::Foreign => return Ok(false),
        }
        Ok(true)
    }

    fn items(&self, command: &[u8], entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let mut chunks = Chunks::new(command, entry.key, self.options);
        entry.value.each(scratch, |element| {
            if let Element::Item(item) | Element::Expiring { member: item, .. } = element {
                chunks.add([item], out);
            }
            Ok(())
        })?;
        chunks.end(out);
        Ok(())
    }

    fn zset(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<bool> {
        let mut chunks = Chunks::new(b"ZADD", entry.key, self.options);
        let mut faithful = true;
        entry.value.each(scratch, |element| {
            if let Element::Scored { member, score } = element {
                // A set that begins as a listpack, as most do, takes -0 for 0 and NaN not at all.
                faithful &= !(score.is_nan() || score == 0.0 && score.is_sign_negative());
                self.text.clear();
                double::write(score, &mut self.text);
                chunks.add([&self.text, member], out);
            }
            Ok(())
        })?;
        chunks.end(out);
        Ok(faithful)
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
        entry.value.each_dyn(scratch, &mut |element| {
            if let Element::Stream(part) = element {
                stream.part(part, out);
            }
            Ok(())
        })?;
        Ok(stream.end())
    }
}

/// KeyDB's expiries of single members, which other servers have no command for.
fn member_expiries(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<u32> {
    let mut commands = 0;
    if !entry.member_expiries.is_empty() && entry.value.origin.dialect == Dialect::KeyDb {
        entry.each_member_expiry(|member, when| {
            frame::command(&[b"PEXPIREMEMBERAT", entry.key, member, when], out);
            commands += 1;
            Ok(())
        })?;
    }
    Ok(commands)
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

/// Appends the RESTORE of a key, in place of one that is there or not, and what has to follow it: so many commands. On an
/// error, part of it may be left.
pub fn restore(entry: &Entry<'_>, replaces: bool, out: &mut Vec<u8>) -> Result<u32> {
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
    let options = usize::from(replaces) + usize::from(absolute.is_some()) + 2 * usize::from(eviction.is_some());
    frame::array(4 + options, out);
    frame::bulk(b"RESTORE", out);
    frame::bulk(entry.key, out);
    frame::bulk_int(absolute.unwrap_or(0), out);
    frame::bulk_with(out, |out| dump_payload(entry, out))?;
    if replaces {
        frame::bulk(b"REPLACE", out);
    }
    if absolute.is_some() {
        frame::bulk(b"ABSTTL", out);
    }
    if let Some((option, value)) = eviction {
        frame::bulk(option, out);
        frame::bulk_int(value, out);
    }
    let mut commands = 1 + member_expiries(entry, out)?;
    if absolute.is_none() {
        commands += u32::from(entry.expiry.is_some());
        expire(entry, out);
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::crc64;
    use crate::model::{Origin, RdbType, Template, Value};

    const SMALL: Options = Options { restore: false, chunk_elements: 2, chunk_bytes: 64 << 10 };
    const RESTORE: Options = Options { restore: true, ..SMALL };

    fn origin(header: &[u8; 9]) -> Origin {
        Origin::from_header(header).unwrap()
    }

    fn entry<'a>(origin: &'a Origin, rdb_type: RdbType, bytes: &'a [u8]) -> Entry<'a> {
        Entry {
            db: 0,
            key: b"k",
            expiry: None,
            eviction: Eviction::None,
            meta: b"",
            mask: None,
            member_expiries: b"",
            offset: 0,
            size: 0,
            value: Value { rdb_type, bytes, origin },
        }
    }

    /// Reads frames strictly; each command as its words, escaped, with a space between.
    fn shown(out: &[u8]) -> Vec<String> {
        fn number(mark: u8, rest: &[u8]) -> (usize, &[u8]) {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
            assert_eq!(rest[0], mark);
            (std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap(), &rest[end + 2..])
        }
        let mut commands = Vec::new();
        let mut rest = out;
        while !rest.is_empty() {
            let (words, mut tail) = number(b'*', rest);
            let command: Vec<String> = (0..words)
                .map(|_| {
                    let (len, word) = number(b'$', tail);
                    tail = word[len..].strip_prefix(b"\r\n").unwrap();
                    word[..len].escape_ascii().to_string()
                })
                .collect();
            commands.push(command.join(" "));
            rest = tail;
        }
        commands
    }

    fn commands(options: Options, entry: &Entry<'_>) -> Vec<String> {
        let mut out = Vec::new();
        Writer::new(options).entry(entry, &mut Scratch::default(), &mut out).unwrap();
        let mut commands = shown(&out);
        if !commands.is_empty() {
            assert_eq!(commands.remove(0), "SELECT 0");
        }
        commands
    }

    #[test]
    fn every_kind_has_its_commands() {
        let t = |header: &[u8; 9], rdb_type, bytes: &[u8], want: &[&str]| {
            assert_eq!(commands(SMALL, &entry(&origin(header), rdb_type, bytes)), want);
        };
        let new = b"REDIS0011";
        t(new, RdbType::String, b"\x03a\r\n", &[r"SET k a\r\n"]);
        t(new, RdbType::String, b"\x00", &["SET k "]);
        t(new, RdbType::List, b"\x03\x01a\xc0\x07\x00", &["RPUSH k a 7", "RPUSH k "]);
        t(new, RdbType::Set, b"\x02\x01a\x01b", &["SADD k a b"]);
        t(new, RdbType::Zset, b"\x03\x01a\x031.5\x01b\xff\x01c\x02-3", &["ZADD k 1.5 a -inf b", "ZADD k -3 c"]);
        t(new, RdbType::Hash, b"\x01\x01f\x01v", &["HSET k f v"]);
        t(b"REDIS0008", RdbType::Hash, b"\x01\x01f\x01v", &["HSET k f v"]);
        t(b"REDIS0007", RdbType::Hash, b"\x01\x01f\x01v", &["HMSET k f v"]);
        t(b"REDIS0009", RdbType::DragonflyJson, b"\x02{}", &["JSON.SET k $ {}"]);
        t(b"REDIS0009", RdbType::DragonflySet, b"\x02\x01m\x0210\x01n\x02-1", &["SADD k m n"]);
        for empty in [RdbType::List, RdbType::Set, RdbType::Zset, RdbType::Hash] {
            t(new, empty, b"\x00", &[]);
            assert!(commands(RESTORE, &entry(&origin(new), empty, b"\x00")).is_empty());
        }
    }

    #[test]
    fn scores_that_zadd_would_change_go_as_restore() {
        let origin = origin(b"REDIS0011");
        for score in [-0.0, f64::NAN] {
            let bytes = [b"\x01\x01m".as_slice(), &score.to_le_bytes()].concat();
            let zset = entry(&origin, RdbType::Zset2, &bytes);
            assert!(commands(SMALL, &zset)[0].starts_with("RESTORE k 0 "), "{score}");
        }
    }

    #[test]
    fn commands_end_after_so_many_bytes() {
        let options = Options { restore: false, chunk_elements: 100, chunk_bytes: 29 };
        let origin = origin(b"REDIS0011");
        let list = entry(&origin, RdbType::List, b"\x04\x01a\x01b\x05ccccc\x01d");
        assert_eq!(commands(options, &list), ["RPUSH k a b", "RPUSH k ccccc", "RPUSH k d"]);
    }

    #[test]
    fn fields_that_expire_together_share_a_command() {
        let mut bytes = b"\x06".to_vec();
        for (name, at) in [(b'a', 5_i64), (b'b', 5), (b'c', 5), (b'd', -1), (b'e', 5), (b'f', 6)] {
            bytes.extend_from_slice(&[1, name, 1, b'v']);
            bytes.extend_from_slice(&at.to_le_bytes());
        }
        let origin = origin(b"VALKEY080");
        let mut hash = entry(&origin, RdbType::ValkeyHash, &bytes);
        hash.expiry = Some(9);
        let want = [
            "HSET k a v b v",
            "HSET k c v d v",
            "HSET k e v f v",
            "HPEXPIREAT k 5 FIELDS 2 a b",
            "HPEXPIREAT k 5 FIELDS 2 c e",
            "HPEXPIREAT k 6 FIELDS 1 f",
            "PEXPIREAT k 9",
        ];
        assert_eq!(commands(SMALL, &hash), want);
        // A hash that breaks off leaves nothing to the next one.
        let mut writer = Writer::new(SMALL);
        let mut out = b"before".to_vec();
        let broken = entry(&origin, RdbType::ValkeyHash, &bytes[..40]);
        assert!(writer.entry(&broken, &mut Scratch::default(), &mut out).is_err());
        assert_eq!(out, b"before");
        out.clear();
        writer.entry(&hash, &mut Scratch::default(), &mut out).unwrap();
        assert_eq!(shown(&out)[1..], want);
    }

    #[test]
    fn the_database_is_selected_once_a_batch() {
        let origin = origin(b"REDIS0011");
        let mut writer = Writer::new(SMALL);
        let mut out = Vec::new();
        for (db, bytes) in
            [(3, b"\x01\x01a"), (3, b"\x01\x01b"), (4, b"\x00\0\0"), (3, b"\x01\x01c"), (0, b"\x01\x01d")]
        {
            let bytes = if bytes[0] == 0 { &bytes[..1] } else { bytes };
            let set = Entry { db, ..entry(&origin, RdbType::Set, bytes) };
            writer.entry(&set, &mut Scratch::default(), &mut out).unwrap();
        }
        writer.start_batch();
        writer.entry(&entry(&origin, RdbType::String, b"\x01v"), &mut Scratch::default(), &mut out).unwrap();
        let want = ["SELECT 3", "SADD k a", "SADD k b", "SADD k c", "SELECT 0", "SADD k d", "SELECT 0", "SET k v"];
        assert_eq!(shown(&out), want);
    }

    #[test]
    fn restore_says_what_its_server_understands() {
        let t = |header: &[u8; 9], expiry, eviction, want: &[&str]| {
            let origin = origin(header);
            let string = Entry { expiry, eviction, ..entry(&origin, RdbType::String, b"\x04tail") };
            assert_eq!(commands(RESTORE, &string), want);
        };
        // The payload is what DUMP of Redis 2.8.24 answers.
        const DUMP: &str = r"\x00\x04tail\x06\x00\xe4w8^\x98\x03\xca\xd5";
        let plain = format!("RESTORE k 0 {DUMP}");
        t(b"REDIS0006", None, Eviction::None, &[&plain]);
        t(b"REDIS0006", Some(7), Eviction::Freq(1), &[&plain, "PEXPIREAT k 7"]);
        t(b"REDIS0008", Some(7), Eviction::Idle(1), &[&plain, "PEXPIREAT k 7"]);
        t(b"REDIS0009", Some(7), Eviction::Idle(60), &[&format!("RESTORE k 7 {DUMP} ABSTTL IDLETIME 60")]);
        t(b"REDIS0009", Some(-7), Eviction::None, &[&plain, "PEXPIREAT k -7"]);
        t(b"REDIS0009", Some(0), Eviction::None, &[&plain, "PEXPIREAT k 0"]);
        t(b"VALKEY080", None, Eviction::Freq(255), &[&format!("{plain} FREQ 255")]);
        t(b"REDIS0009", None, Eviction::Idle(u64::MAX), &[&plain]);
    }

    #[test]
    fn payloads_have_the_lowest_version() {
        let t = |header: &[u8; 9], rdb_type, bytes: &[u8], meta: &[u8], want: (&[u8], u16)| {
            let origin = origin(header);
            let entry = Entry { meta, ..entry(&origin, rdb_type, bytes) };
            let mut out = b"before".to_vec();
            dump_payload(&entry, &mut out).unwrap();
            let payload = out.strip_prefix(b"before").unwrap();
            let (body, crc) = payload.split_last_chunk::<8>().unwrap();
            assert_eq!(crc64::jones(body), u64::from_le_bytes(*crc));
            let (body, version) = body.split_last_chunk::<2>().unwrap();
            assert_eq!((body, u16::from_le_bytes(*version)), want);
        };
        t(b"REDIS0001", RdbType::String, b"\x00", b"", (b"\x00\x00", 6));
        t(b"REDIS0007", RdbType::String, b"\x00", b"", (b"\x00\x00", 7));
        t(b"REDIS0012", RdbType::String, b"\x00", b"", (b"\x00\x00", 6));
        t(b"REDIS0012", RdbType::Zset2, b"\x00", b"", (b"\x05\x00", 8));
        t(b"REDIS0006", RdbType::HashListpack, b"\x00", b"", (b"\x10\x00", 10));
        t(b"REDIS0012", RdbType::HashMetadataPreGa, b"\x00", b"", (b"\x16\x00", 12));
        t(b"VALKEY080", RdbType::ValkeyHash, b"\x00", b"", (b"\x16\x00", 80));
        t(b"VALKEY080", RdbType::Set, b"\x00", b"", (b"\x02\x00", 6));
        t(
            b"REDIS0013",
            RdbType::Set,
            b"\x00",
            b"\x01\x19\xc0\xa6\x2d\x00",
            (b"\xf3\x01\x19\xc0\xa6\x2d\x00\x02\x00", 13),
        );
    }

    #[test]
    fn template_hashes_carry_their_field_names() {
        let mut origin = origin(b"REDIS0015");
        let template = Template { fields: vec![b"age"[..].into(), b"name"[..].into()] };
        origin.templates.insert(3, template.into());
        let payload = |rdb_type, bytes: &[u8]| {
            let mut out = Vec::new();
            dump_payload(&entry(&origin, rdb_type, bytes), &mut out).map(|()| out[..out.len() - 8].to_vec())
        };
        assert_eq!(
            payload(RdbType::TemplateListpackRef, b"\x0e\x0e\0\0\0\x03\0\x03\x01\x05\x01\x81x\x02\xff").unwrap(),
            b"\x1d\x01\x02\x03age\x04name\x0e\x0e\0\0\0\x03\0\x03\x01\x05\x01\x81x\x02\xff\x0f\0"
        );
        assert_eq!(
            payload(RdbType::TemplateArrayRef, b"\x03\xc0\x05\x01x").unwrap(),
            b"\x1f\x01\x02\x03age\x04name\xc0\x05\x01x\x0f\0"
        );
        assert!(payload(RdbType::TemplateArrayRef, b"\x04\xc0\x05\x01x").is_err());
    }

    /// A stream of type 15: entries 1000-1 and 1005-1, a group with one pending entry.
    const STREAM: &[u8] = b"\x01\x10\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01\x34\x34\0\0\0\x14\0\x02\x01\x01\x01\x01\x01\
        \x84temp\x05\0\x01\x02\x01\0\x01\0\x01\x14\x01\x04\x01\x03\x01\x05\x01\xdf\xff\x02\x15\x01\x04\x01\x02\x01\x05\
        \x01\0\x01\x16\x01\x04\x01\xff\x02\x43\xed\x01\x01\x01g\x43\xe8\x01\x01\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01\0\
        \x68\xe5\xcf\x8b\x01\0\0\x01\x01\x01c\0\x68\xe5\xcf\x8b\x01\0\0\x01\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01";

    #[test]
    fn a_stream_is_rebuilt_by_commands() {
        let origin = origin(b"REDIS0009");
        let want = [
            "XADD k 1000-1 temp 20",
            "XADD k 1005-1 temp 22",
            "XSETID k 1005-1",
            "XGROUP CREATE k g 1000-1",
            "XCLAIM k g c 0 1000-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID",
        ];
        assert_eq!(commands(SMALL, &entry(&origin, RdbType::Stream1, STREAM)), want);
    }

    /// A stream of type 19, 21, 26 or 27 without entries: last id 5-2, 2 entries added, a group; and what follows.
    fn empty_stream(max_deleted: &[u8], consumers: &[u8]) -> Vec<u8> {
        [b"\0\0\x05\x02\0\0", max_deleted, b"\x02\x01\x01g\x05\0\x81\xff\xff\xff\xff\xff\xff\xff\xff", consumers]
            .concat()
    }

    #[test]
    fn an_empty_stream_keeps_its_past() {
        let origin = origin(b"REDIS0010");
        let bytes = empty_stream(b"\x05\x02", b"\0\x01\x01c\0\0\0\0\0\0\0\0\0");
        let want = [
            "XGROUP CREATE k x 0 MKSTREAM",
            "XGROUP DESTROY k x",
            "XSETID k 5-2 ENTRIESADDED 2 MAXDELETEDID 5-2",
            "XGROUP CREATE k g 5-0",
            "XGROUP CREATECONSUMER k g c",
        ];
        assert_eq!(commands(SMALL, &entry(&origin, RdbType::Stream2, &bytes)), want);
    }

    #[test]
    fn what_commands_cannot_say_of_a_stream_goes_as_restore() {
        let is_restored = |origin: &Origin, rdb_type, bytes: &[u8]| {
            let commands = commands(SMALL, &entry(origin, rdb_type, bytes));
            assert!(commands[0].starts_with("RESTORE k 0 ") == (commands.len() == 1), "{commands:?}");
            commands.len() == 1
        };
        let new = origin(b"REDIS0014");
        let with_tail = |tail: &[u8]| empty_stream(b"\0\0", &[b"\0\0", tail].concat());
        assert!(!is_restored(&new, RdbType::Stream4, &with_tail(b"\x40\x64\x40\x64\0\0\0")));
        // Another duration; an id that was added; a producer.
        assert!(is_restored(&new, RdbType::Stream4, &with_tail(b"\x40\x65\x40\x64\0\0\0")));
        assert!(is_restored(&new, RdbType::Stream4, &with_tail(b"\x40\x64\x40\x64\0\x01\0")));
        assert!(is_restored(&new, RdbType::Stream4, &with_tail(b"\x40\x64\x40\x64\x01\x01p\0\0\0")));
        // A NACKed entry.
        let nacked = with_tail(b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\x40\x64\x40\x64\0\0\0");
        assert!(is_restored(&new, RdbType::Stream5, &nacked));
        // A pending entry that is gone.
        let mut gone = b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x01".to_vec();
        gone.extend_from_slice(b"\x01\x01c\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01");
        assert!(is_restored(&new, RdbType::Stream2, &empty_stream(b"\0\0", &gone)));
        // An id deleted beyond the last, which XSETID refuses.
        assert!(is_restored(&new, RdbType::Stream2, &empty_stream(b"\x06\0", b"\0\0")));
        // One entry, with a field and without; and fewer entries added than there are.
        let entry =
            |listpack: &[u8], rest: &[u8]| [b"\x01\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01", listpack, rest].concat();
        let with_field =
            b"\x1d\x1d\0\0\0\n\0\x01\x01\0\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\xff";
        let without = b"\x17\x17\0\0\0\x08\0\x01\x01\0\x01\0\x01\0\x01\x02\x01\0\x01\0\x01\x03\x01\xff";
        assert!(!is_restored(&new, RdbType::Stream2, &entry(with_field, b"\x01\x01\x01\x01\x01\0\0\x01\0")));
        assert!(is_restored(&new, RdbType::Stream2, &entry(with_field, b"\x01\x01\x01\x01\x01\0\0\0\0")));
        assert!(is_restored(&new, RdbType::Stream1, &entry(without, b"\x01\x01\x01\0")));
        // An id that does not ascend.
        let at = STREAM.windows(5).position(|bytes| bytes == b"\x02\x01\x05\x01\0").unwrap();
        let again = [&STREAM[..at + 2], b"\0", &STREAM[at + 3..]].concat();
        assert!(is_restored(&new, RdbType::Stream1, &again));
        // A consumer that has nothing pending, before and after XGROUP CREATECONSUMER.
        let consumer = b"\0\0\x05\x02\x01\x01g\0\0\0\x01\x01c\0\0\0\0\0\0\0\0\0";
        let mut old = origin(b"REDIS0009");
        assert!(is_restored(&old, RdbType::Stream1, consumer));
        old.server = Some("6.0.16".to_owned());
        assert!(is_restored(&old, RdbType::Stream1, consumer));
        old.server = Some("6.2.14".to_owned());
        assert!(!is_restored(&old, RdbType::Stream1, consumer));
    }

    #[test]
    fn keys_with_metadata_and_module_values_go_as_restore() {
        let origin = origin(b"REDIS0013");
        let string = entry(&origin, RdbType::String, b"\x01v");
        assert_eq!(commands(SMALL, &string), ["SET k v"]);
        let with_meta = Entry { meta: b"\x01\x19\xc0\xa6\x2d\0", ..string };
        assert!(commands(SMALL, &with_meta)[0].starts_with(r"RESTORE k 0 \xf3\x01\x19\xc0\xa6-\x00\x00\x01v\r\x00"));
        let module = entry(&origin, RdbType::Module2, b"\x81\x95\xa6\xed\xca\x97\xbe\0\x07\0");
        assert!(commands(SMALL, &module)[0].starts_with(r"RESTORE k 0 \x07\x81\x95"));
        let array = entry(&origin, RdbType::Array, b"\x01\0\x05\x03\x01a");
        assert!(commands(SMALL, &array)[0].starts_with(r"RESTORE k 0 \x1c\x01\x00\x05\x03\x01a\x0e\x00"));
    }

    #[test]
    fn keydb_members_expire() {
        let mut origin = origin(b"REDIS0009");
        origin.learn(b"redis-ver", b"6.3.4");
        let mut set = entry(&origin, RdbType::Set, b"\x01\x01m");
        set.member_expiries = b"\xfa\x13keydb-subexpire-key\x01m\xfa\x14keydb-subexpire-when\x0213";
        assert_eq!(commands(SMALL, &set), ["SADD k m", "PEXPIREMEMBERAT k m 13"]);
        assert_eq!(commands(RESTORE, &set)[1..], ["PEXPIREMEMBERAT k m 13"]);
    }

    #[test]
    fn functions_and_scripts_are_loaded() {
        let t = |record: Record<'_>, want: &[&str]| {
            let mut out = Vec::new();
            Writer::new(SMALL).other(&record, &mut out).unwrap();
            assert_eq!(shown(&out), want);
        };
        t(Record::Function(b"#!lua name=a\nb"), &[r"FUNCTION LOAD #!lua name=a\nb"]);
        let pre_ga = Record::FunctionPreGa { name: b"a", engine: b"LUA", description: Some(b"d"), code: b"b" };
        t(pre_ga, &[r"FUNCTION LOAD #!lua name=a\nb"]);
        t(Record::Aux { name: b"lua", value: b"return 1" }, &["SCRIPT LOAD return 1"]);
        t(Record::Aux { name: b"ctime", value: b"1" }, &[]);
        t(Record::SelectDb(1), &[]);
    }
}
