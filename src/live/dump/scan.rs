//! A snapshot key by key: SCAN, DUMP and expiries, many commands on their way at a time, put together to an RDB file.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::names::Names;
use super::payload::{self, Payload};
use super::{Options, Tally};
use crate::error::{Error, Result};
use crate::live::connection::Connection;
use crate::live::info::Info;
use crate::live::reply::Reply;
use crate::model::{Entry, Eviction, Origin, Record, Rewrite, Scratch, Target};
use crate::rdb::{Carried, Frame, OnLoss, Writer};
use crate::resp::frame;

/// Keys that SCAN looks at in one step.
const STEP: &[u8] = b"1000";
/// Bytes of values that may be on their way.
const ON_THE_WAY: usize = 4 << 20;
/// Keys whose values may be on their way.
const MOST_KEYS: usize = 500;
/// A key whose expiry changes while it is read is read again, but not for ever.
const ATTEMPTS: u8 = 5;

/// The bytes of an RDB file, made as they are read.
pub(super) struct Scan {
    connection: Connection,
    asking: Asking,
    pattern: Option<Vec<u8>>,
    tally: Arc<Tally>,
    /// Databases that are still to be read, with their number of keys, if it is known; the next one last.
    dbs: Vec<(u64, u64)>,
    db: u64,
    /// Where SCAN goes on; `None` at the end of a database.
    cursor: Option<Vec<u8>>,
    /// Names that came from SCAN.
    queue: VecDeque<Wanted>,
    /// What replies will come, in their order.
    expected: VecDeque<Expected>,
    /// Keys among them.
    keys_expected: usize,
    /// Bytes that a key takes, on the average of the last ones.
    average: usize,
    names: Names,
    file: File,
    /// The file's bytes that were not given yet: from `given` on.
    out: Vec<u8>,
    given: usize,
    is_done: bool,
    is_broken: bool,
}

/// How a key is asked for.
#[derive(Clone, Copy)]
struct Asking {
    /// PEXPIRETIME is known (7.0); else TIME and PTTL.
    knows_time: bool,
    /// The command that tells how a key was used, if it is to be asked.
    eviction: Option<EvictionKind>,
}

#[derive(Clone, Copy)]
enum EvictionKind {
    Idle,
    Freq,
}

/// A key that is to be read.
struct Wanted {
    key: Vec<u8>,
    attempt: u8,
    /// It is on its way to this node, which gives it only to those who say ASKING.
    is_moving: bool,
}

impl Wanted {
    fn new(key: Vec<u8>) -> Wanted {
        Wanted { key, attempt: 1, is_moving: false }
    }
}

enum Expected {
    Scan,
    Key(Wanted),
}

/// The file as it is written.
struct File {
    /// What stands in front of the keys, until it is known for which version to write.
    aux: Vec<(&'static str, String)>,
    functions: Vec<Vec<u8>>,
    started: Option<Started>,
    is_valkey: bool,
    /// The version of the file, if no value tells it.
    fallback: u32,
    scratch: Scratch,
}

struct Started {
    frame: Frame,
    writer: Writer,
    origin: Origin,
}

impl Scan {
    pub(super) fn begin(mut connection: Connection, info: &Info, options: &Options, tally: Arc<Tally>) -> Result<Scan> {
        // Reading must not make a key look used; servers before 7.2 do not know this.
        connection.ask(&[b"CLIENT", b"NO-TOUCH", b"ON"])?;
        let knows_time = !is_unknown(&connection.ask(&[b"PEXPIRETIME", b""])?);
        let kind = match info.get("maxmemory_policy") {
            Some(policy) if policy.ends_with("lfu") => EvictionKind::Freq,
            _ => EvictionKind::Idle,
        };
        let asking = Asking { knows_time, eviction: options.eviction.then_some(kind) };
        let mut dbs = match info.keyspace() {
            Some(dbs) => dbs,
            None => databases(&mut connection)?.into_iter().map(|db| (db, 0)).collect(),
        };
        dbs.retain(|(db, _)| options.dbs.is_empty() || options.dbs.contains(db));
        dbs.reverse();
        let file = File::begin(&mut connection, info, &tally)?;
        Ok(Scan {
            connection,
            asking,
            pattern: options.pattern.clone(),
            tally,
            dbs,
            db: 0,
            cursor: None,
            queue: VecDeque::new(),
            expected: VecDeque::new(),
            keys_expected: 0,
            average: 16 << 10,
            names: Names::new(),
            file,
            out: Vec::new(),
            given: 0,
            is_done: false,
            is_broken: false,
        })
    }

    /// Makes some more of the file.
    fn advance(&mut self) -> Result<()> {
        self.ask_for_more()?;
        match self.expected.pop_front() {
            Some(Expected::Scan) => self.take_names(),
            Some(Expected::Key(wanted)) => {
                self.keys_expected -= 1;
                self.take_key(wanted)
            }
            None => self.next_database(),
        }
    }

    /// Sends commands, when at least half of what may be on the way has come back.
    fn ask_for_more(&mut self) -> Result<()> {
        let window = (ON_THE_WAY / self.average.max(1)).clamp(1, MOST_KEYS);
        if self.keys_expected > window / 2 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        while self.keys_expected < window
            && let Some(wanted) = self.queue.pop_front()
        {
            self.asking.commands(&wanted, &mut bytes);
            self.expected.push_back(Expected::Key(wanted));
            self.keys_expected += 1;
        }
        let scans = self.expected.iter().any(|expected| matches!(expected, Expected::Scan));
        if self.queue.len() < window
            && !scans
            && let Some(cursor) = &self.cursor
        {
            let mut words: Vec<&[u8]> = vec![b"SCAN", cursor, b"COUNT", STEP];
            if let Some(pattern) = &self.pattern {
                words.extend([b"MATCH".as_slice(), pattern]);
            }
            frame::command(&words, &mut bytes);
            self.expected.push_back(Expected::Scan);
        }
        if bytes.is_empty() { Ok(()) } else { self.connection.send(&bytes) }
    }

    fn take_names(&mut self) -> Result<()> {
        let reply = self.connection.reply()?.ok()?;
        let [cursor, names] = reply.items() else {
            return Err(Error::connection("the answer to SCAN is not understood"));
        };
        self.cursor = cursor.text().filter(|cursor| *cursor != b"0").map(<[u8]>::to_vec);
        for key in names.items().iter().filter_map(Reply::text) {
            if self.names.is_new(key)? {
                self.queue.push_back(Wanted::new(key.to_vec()));
            }
        }
        Ok(())
    }

    fn take_key(&mut self, wanted: Wanted) -> Result<()> {
        let (facts, payload) = self.asking.answer(&mut self.connection, wanted.is_moving)?;
        let locate = |e: Error| e.of_key(self.db, &wanted.key);
        let payload = match payload {
            Reply::Text(payload) => payload,
            Reply::Nil => return Ok(self.gone()),
            Reply::Error(words) => return self.refused(words, wanted),
            _ => return Err(locate(Error::connection("the answer to DUMP is not understood"))),
        };
        if facts.have_changed && wanted.attempt < ATTEMPTS {
            self.queue.push_front(Wanted { attempt: wanted.attempt + 1, ..wanted });
            return Ok(());
        }
        self.average = (self.average * 7 + payload.len() + wanted.key.len()) / 8;
        let payload = payload::open(&payload, self.file.is_valkey).map_err(locate)?;
        self.file.key(self.db, &wanted.key, &payload, facts, &mut self.out).map_err(locate)
    }

    fn gone(&self) {
        self.tally.gone.fetch_add(1, Ordering::Relaxed);
    }

    /// A key that the server does not give.
    fn refused(&mut self, words: String, wanted: Wanted) -> Result<()> {
        match words.split(' ').next().unwrap_or_default() {
            // Another node has it by now.
            "ASK" => Ok(self.gone()),
            "MOVED" if wanted.is_moving => Ok(self.gone()),
            "MOVED" | "TRYAGAIN" if wanted.attempt < ATTEMPTS => {
                self.queue.push_front(Wanted { attempt: wanted.attempt + 1, is_moving: true, ..wanted });
                Ok(())
            }
            "NOPERM" if words.contains(" key") => {
                self.tally.forbidden.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(Error::refused(words).of_key(self.db, &wanted.key)),
        }
    }

    fn next_database(&mut self) -> Result<()> {
        let late = self.names.late()?;
        if !late.is_empty() {
            self.queue.extend(late.into_iter().map(Wanted::new));
            return Ok(());
        }
        match self.dbs.pop() {
            Some((db, keys)) => {
                self.db = db;
                self.names.restart(keys);
                self.cursor = Some(b"0".to_vec());
                self.connection.demand(&[b"SELECT", db.to_string().as_bytes()]).map(drop)
            }
            None => {
                self.is_done = true;
                self.file.end(&mut self.out)
            }
        }
    }
}

impl Read for Scan {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        /// As much is made at once.
        const PIECE: usize = 64 << 10;
        if self.given == self.out.len() {
            self.file.written(&self.out);
            self.out.clear();
            self.given = 0;
            while self.out.len() < PIECE && !self.is_done && !self.is_broken {
                if let Err(e) = self.advance() {
                    self.is_broken = true;
                    return Err(io::Error::other(e));
                }
            }
        }
        let n = buf.len().min(self.out.len() - self.given);
        buf[..n].copy_from_slice(&self.out[self.given..self.given + n]);
        self.given += n;
        Ok(n)
    }
}

impl Asking {
    /// Appends what is to be asked of a key. Its expiry is asked before and after the value, for they must be of one
    /// time; how it was used comes first, as the rest may count as use.
    fn commands(self, wanted: &Wanted, out: &mut Vec<u8>) {
        let key = wanted.key.as_slice();
        let mut ask = |words: &[&[u8]]| {
            if wanted.is_moving {
                frame::command(&[b"ASKING"], out);
            }
            frame::command(words, out);
        };
        match self.eviction {
            Some(EvictionKind::Idle) => ask(&[b"OBJECT", b"IDLETIME", key]),
            Some(EvictionKind::Freq) => ask(&[b"OBJECT", b"FREQ", key]),
            None => {}
        }
        if self.knows_time {
            ask(&[b"PEXPIRETIME", key]);
            ask(&[b"DUMP", key]);
            ask(&[b"PEXPIRETIME", key]);
        } else {
            ask(&[b"TIME"]);
            ask(&[b"PTTL", key]);
            ask(&[b"DUMP", key]);
            ask(&[b"PTTL", key]);
        }
    }

    /// Takes the answers: facts, and what DUMP said; or, in its place, that the server did not want to tell the facts.
    fn answer(self, connection: &mut Connection, is_moving: bool) -> Result<(Facts, Reply)> {
        let mut next = || {
            if is_moving {
                connection.reply()?;
            }
            connection.reply()
        };
        let used = if self.eviction.is_some() { next()?.int() } else { None };
        let eviction = match (self.eviction, used.and_then(|n| u64::try_from(n).ok())) {
            (Some(EvictionKind::Idle), Some(seconds)) => Eviction::Idle(seconds),
            (Some(EvictionKind::Freq), Some(count)) => Eviction::Freq(u8::try_from(count).unwrap_or(u8::MAX)),
            _ => Eviction::None,
        };
        let time = if self.knows_time { Reply::Nil } else { next()? };
        let (before, payload, after) = (next()?, next()?, next()?);
        if let Some(refusal) = [time.clone(), before.clone()].into_iter().find(|reply| matches!(reply, Reply::Error(_)))
        {
            return Ok((Facts { eviction, expiry: None, have_changed: false }, refusal));
        }
        let [left, after] = [before, after].map(|reply| reply.int().filter(|ms| *ms >= 0));
        if self.knows_time {
            return Ok((Facts { eviction, expiry: left, have_changed: left != after }, payload));
        }
        let expiry = match left {
            None => None,
            Some(left) => {
                Some(left + clock(&time).ok_or_else(|| Error::connection("the server does not tell its time"))?)
            }
        };
        // Reading a value may take a while, but never a negative one.
        let have_changed = match (left, after) {
            (Some(before), Some(after)) => after > before,
            (before, after) => before.is_some() != after.is_some(),
        };
        Ok((Facts { eviction, expiry, have_changed }, payload))
    }
}

/// The answer to TIME, in ms.
fn clock(time: &Reply) -> Option<i64> {
    match time.items() {
        [seconds, micros] => seconds.int()?.checked_mul(1000)?.checked_add(micros.int()? / 1000),
        _ => None,
    }
}

/// What a server says of a key, beside its value.
#[derive(Clone, Copy)]
struct Facts {
    eviction: Eviction,
    expiry: Option<i64>,
    /// The expiry was another one after the value was read.
    have_changed: bool,
}

impl File {
    fn begin(connection: &mut Connection, info: &Info, tally: &Tally) -> Result<File> {
        let version = info.version();
        let mut aux: Vec<(&'static str, String)> = version.iter().map(|(name, v)| (*name, (*v).to_owned())).collect();
        if let Some(bits) = info.get("arch_bits") {
            aux.push(("redis-bits", bits.to_owned()));
        }
        if let Some(seconds) = connection.ask(&[b"TIME"])?.items().first().and_then(Reply::int) {
            aux.push(("ctime", seconds.to_string()));
        }
        if let Some(used) = info.get("used_memory") {
            aux.push(("used-mem", used.to_owned()));
        }
        let is_valkey = version.is_some_and(|(name, _)| name == "valkey-ver");
        Ok(File {
            aux,
            functions: functions(connection, tally)?,
            started: None,
            is_valkey,
            fallback: version.map_or(6, |(name, version)| rdb_version(name, version)),
            scratch: Scratch::default(),
        })
    }

    /// Writes what stands in front of the keys, at the first one.
    fn start(&mut self, version: u32, out: &mut Vec<u8>) -> Result<()> {
        if self.started.is_none() {
            self.started = Some(self.begun(version, out)?);
        }
        Ok(())
    }

    fn begun(&self, version: u32, out: &mut Vec<u8>) -> Result<Started> {
        let mut origin = payload::origin(version, self.is_valkey);
        for (name, value) in &self.aux {
            if Origin::cares_about(name.as_bytes()) {
                origin.learn(name.as_bytes(), value.as_bytes());
            }
        }
        let target = Arc::new(Target::of(&origin));
        let frame = Frame::begin(&target, true, false, out);
        let options = crate::rdb::Options {
            compress: true,
            rebuild: false,
            same_server: true,
            expand_templates: false,
            on_loss: OnLoss::Error,
        };
        let mut writer = Writer::new(&target, options);
        for (name, value) in &self.aux {
            writer.other(&Record::Aux { name: name.as_bytes(), value: value.as_bytes() }, &origin, out)?;
        }
        for code in &self.functions {
            writer.other(&Record::Function(code), &origin, out)?;
        }
        Ok(Started { frame, writer, origin })
    }

    fn key(&mut self, db: u64, key: &[u8], payload: &Payload<'_>, facts: Facts, out: &mut Vec<u8>) -> Result<()> {
        self.start(payload.version, out)?;
        let File { started: Some(Started { frame, writer, origin }), scratch, .. } = self else { return Ok(()) };
        let value = payload.value(origin)?;
        let Facts { expiry, eviction, .. } = facts;
        let entry = Entry { expiry, eviction, meta: payload.meta, ..Entry::plain(db, key, value) };
        frame.key(db, expiry.is_some(), out);
        match writer.entry(&entry, &Rewrite::default(), scratch, out)? {
            Carried::Left(what) => Err(Error::unsupported(what)),
            _ => Ok(()),
        }
    }

    /// Notes bytes that were given.
    fn written(&mut self, bytes: &[u8]) {
        if let Some(started) = &mut self.started {
            started.frame.written(bytes);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.start(self.fallback, out)?;
        if let Some(started) = self.started.take() {
            started.frame.end(out);
        }
        Ok(())
    }
}

fn is_unknown(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(words) if words.contains("unknown command"))
}

/// The databases of a server that does not say which have keys.
fn databases(connection: &mut Connection) -> Result<Vec<u64>> {
    /// No server has more.
    const MOST: u64 = 1 << 16;
    let mut dbs = Vec::new();
    for db in 0..MOST {
        if let Reply::Error(words) = connection.ask(&[b"SELECT", db.to_string().as_bytes()])? {
            if db == 0 {
                return Err(Error::refused(words));
            }
            break;
        }
        dbs.push(db);
    }
    Ok(dbs)
}

/// The sources of all function libraries.
fn functions(connection: &mut Connection, tally: &Tally) -> Result<Vec<Vec<u8>>> {
    let reply = connection.ask(&[b"FUNCTION", b"LIST", b"WITHCODE"])?;
    if let Reply::Error(words) = &reply {
        // Other refusals are those of servers before 7.0, and of others that have none.
        tally.functions_forbidden.store(words.starts_with("NOPERM"), Ordering::Relaxed);
    }
    let code = |library: &Reply| {
        let items = library.items();
        let at = items.iter().step_by(2).position(|name| name.text() == Some(b"library_code"))?;
        items.get(2 * at + 1)?.text().map(<[u8]>::to_vec)
    };
    let mut all: Vec<_> = reply.items().iter().filter_map(code).collect();
    // Servers give them in no order.
    all.sort_unstable();
    Ok(all)
}

/// The version of the files of a server that has no value to tell it.
fn rdb_version(name: &str, version: &str) -> u32 {
    let product = if name == "valkey-ver" { "valkey" } else { "redis" };
    format!("{product}-{version}").parse::<Target>().map_or(9, |target| target.origin.version)
}
