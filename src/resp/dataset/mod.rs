//! A dataset in memory that commands build: what a server would hold after them, as far as they can be applied without
//! one. Memory grows with the data, as a server's does.
//!
//! Nothing expires here, as nothing does while a server loads an append-only file: a key whose time has passed stays,
//! with its time.

mod args;
mod arrays;
mod bits;
mod drain;
mod functions;
mod groups;
mod hashes;
mod held;
mod hyperloglog;
mod keys;
mod lists;
mod restore;
mod sets;
mod stream;
mod streams;
mod strings;
mod zset;
mod zsets;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use drain::{Batch, Drain};

use self::args::Args;
use self::held::{Container, Extra, Held, Key, Map, Raw, Strings};
use super::Words;
use crate::codec::module::ModuleId;
use crate::error::{Error, Result};
use crate::model::{Entry, Origin, Record, Scratch, library_name};
use crate::text;

/// The highest number of a database that is believed; servers can be told to have as many as they like.
const MAX_DB: i64 = 1 << 20;

/// What commands and records have built so far.
pub struct Dataset {
    dbs: BTreeMap<u64, Map<Key>>,
    functions: Map<Box<[u8]>>,
    scripts: Strings,
    /// Aux fields that stay true, in front of all keys.
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    modules: Vec<(ModuleId, u64, Vec<u8>)>,
    db: u64,
    first_db: u64,
    /// What relative times are counted from, Unix time in ms.
    now: i64,
    /// Whether XCLAIM takes entries that are gone, as it did before 7.0.
    claims_gone: bool,
    /// Where an unfinished MULTI began, and the commands since.
    queue: Option<(u64, Vec<(u64, Words)>)>,
    scratch: Scratch,
}

/// A command that can be applied.
#[derive(Clone, Copy)]
struct Known {
    /// How many words it has at least, with its name.
    words: usize,
    /// Where its first key stands; 0 for none.
    key: usize,
    run: fn(&mut Dataset, &Words) -> Result<()>,
}

/// What commands with this many words and their first key as the second word do.
const fn known(words: usize, run: fn(&mut Dataset, &Words) -> Result<()>) -> Option<Known> {
    Some(Known { words, key: 1, run })
}

/// The same for commands whose first key is another word, or which have none.
const fn known_at(words: usize, key: usize, run: fn(&mut Dataset, &Words) -> Result<()>) -> Option<Known> {
    Some(Known { words, key, run })
}

/// The command of this name, in capitals.
fn find(name: &[u8]) -> Option<Known> {
    let families = [
        strings::command,
        keys::command,
        lists::command,
        hashes::command,
        sets::command,
        zsets::command,
        streams::command,
        groups::command,
        arrays::command,
        bits::command,
        hyperloglog::command,
        functions::command,
        restore::command,
    ];
    families.into_iter().find_map(|family| family(name))
}

/// Whether this is the name of a command that builds data.
pub fn is_command(name: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    name == b"MULTI" || find(&name).is_some()
}

impl Dataset {
    /// Nothing yet. `now` is what relative times are counted from, Unix time in ms; `db` is selected where a file begins.
    pub fn new(now: i64, db: u64) -> Dataset {
        Dataset {
            dbs: BTreeMap::new(),
            functions: Map::default(),
            scripts: Strings::default(),
            aux: Vec::new(),
            modules: Vec::new(),
            db,
            first_db: db,
            now,
            claims_gone: true,
            queue: None,
            scratch: Scratch::default(),
        }
    }

    /// Takes a record of a dump that commands go on from.
    pub fn record(&mut self, record: &Record<'_>, origin: &Arc<Origin>) -> Result<()> {
        match *record {
            Record::Entry(ref entry) => self.entry(entry, origin),
            Record::Aux { name: b"lua", value } => drop(self.scripts.insert(value.into())),
            // What is said there of the file is not true of what comes after the commands.
            Record::Aux { name, value } => {
                let is_of_file = [b"aof-".as_slice(), b"repl-", b"used-mem", b"slot-info"];
                if !is_of_file.iter().any(|prefix| name.starts_with(prefix)) {
                    self.aux.push((name.to_vec(), value.to_vec()));
                }
            }
            Record::Function(code) => self.add_function(code.into())?,
            Record::FunctionPreGa { name, engine, code, .. } => {
                let engine = engine.to_ascii_lowercase();
                self.add_function([b"#!", engine.as_slice(), b" name=", name, b"\n", code].concat().into())?;
            }
            Record::ModuleAux { id, when, data } => self.modules.push((id, when, data.to_vec())),
            Record::SlotImport { .. } => {
                return Err(Error::unsupported("an unfinished import of slots can't be followed by commands"));
            }
            Record::SelectDb(_) | Record::ResizeDb { .. } | Record::SlotInfo { .. } | Record::Template { .. } => {}
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry<'_>, origin: &Arc<Origin>) {
        let Entry { db, key, expiry, eviction, meta, mask, member_expiries, value, .. } = *entry;
        let value = Raw { rdb_type: value.rdb_type, bytes: value.bytes.into(), origin: origin.clone() };
        let has_extra = !meta.is_empty() || mask.is_some() || !member_expiries.is_empty();
        let extra =
            has_extra.then(|| Box::new(Extra { meta: meta.into(), mask, member_expiries: member_expiries.into() }));
        let key_value = Key { expiry, eviction, extra, value: Held::Raw(Box::new(value)) };
        self.dbs.entry(db).or_default().insert(key.into(), key_value);
    }

    fn add_function(&mut self, code: Box<[u8]>) -> Result<()> {
        let name: Box<[u8]> = match library_name(&code) {
            Some(name) => name.into(),
            None => return Err(Error::unsupported("the library's first line must be such as #!lua name=mylib")),
        };
        self.functions.insert(name, code);
        Ok(())
    }

    /// Applies a command that begins at this byte. Those between MULTI and EXEC wait for EXEC.
    ///
    /// Errors name the offset, the key and the command: what can't be applied offline, what a server would refuse.
    pub fn apply(&mut self, offset: u64, words: &Words) -> Result<()> {
        let Some(name) = words.get(0) else { return Ok(()) };
        match &mut self.queue {
            None if name.eq_ignore_ascii_case(b"MULTI") => self.queue = Some((offset, Vec::new())),
            None => return self.run(offset, words),
            Some(_) if name.eq_ignore_ascii_case(b"EXEC") => {
                let queued = self.queue.take().map(|(_, queued)| queued).unwrap_or_default();
                return queued.iter().try_for_each(|(offset, words)| self.run(*offset, words));
            }
            Some(_) if name.eq_ignore_ascii_case(b"DISCARD") => self.queue = None,
            Some(_) if name.eq_ignore_ascii_case(b"MULTI") => {
                return Err(Error::unsupported("MULTI: one within another").at(offset));
            }
            Some((_, queue)) => queue.push((offset, words.clone())),
        }
        Ok(())
    }

    /// The commands are those of a server from 7.0 on, which differ a little.
    pub fn is_recent(&mut self) {
        self.claims_gone = false;
    }

    /// A new connection: what follows begins in the first database again.
    pub fn start_file(&mut self) {
        self.db = self.first_db;
    }

    fn run(&mut self, offset: u64, words: &Words) -> Result<()> {
        const LONGEST: usize = 32;
        let mut name = [0; LONGEST];
        let len = words[0].len().min(LONGEST);
        name[..len].copy_from_slice(&words[0][..len]);
        name[..len].make_ascii_uppercase();
        let name = &name[..len];
        let db = self.db;
        let place = |e: Error, key: usize| {
            let e = Error::unsupported(format!("{}: {}", text::escaped(name), e.reason())).at(offset);
            match words.get(key).filter(|_| key > 0) {
                Some(key) => e.of_key(db, key),
                None => e,
            }
        };
        let Some(known) = find(name) else {
            if changes_nothing(name) {
                return Ok(());
            }
            return Err(place(Error::unsupported("this command can't be applied offline"), 0));
        };
        if words.len() < known.words {
            return Err(place(args::too_few(), known.key));
        }
        (known.run)(self, words).map_err(|e| place(e, known.key))
    }

    fn keys(&mut self) -> &mut Map<Key> {
        self.dbs.entry(self.db).or_default()
    }

    fn find(&mut self, key: &[u8]) -> Option<&mut Key> {
        self.dbs.get_mut(&self.db)?.get_mut(key)
    }

    fn exists(&mut self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// The value of a key that holds a value of this type, or nothing.
    fn existing<T: Container>(&mut self, key: &[u8]) -> Result<Option<&mut T>> {
        let Dataset { dbs, db, scratch, .. } = self;
        match dbs.get_mut(db).and_then(|keys| keys.get_mut(key)) {
            Some(found) => found.value.open(scratch).map(Some),
            None => Ok(None),
        }
    }

    /// The same; an empty one is made where there is none.
    fn made<T: Container>(&mut self, key: &[u8]) -> Result<&mut T> {
        let Dataset { dbs, db, scratch, .. } = self;
        let keys = dbs.entry(*db).or_default();
        let i = match keys.get_index_of(key) {
            Some(i) => i,
            None => keys.insert_full(key.into(), Key::from(T::default().hold())).0,
        };
        keys[i].value.open(scratch)
    }

    /// Changes a value that must be of this type; the key goes when nothing is left in it.
    fn change<T: Container, R>(&mut self, key: &[u8], change: impl FnOnce(&mut T) -> R) -> Result<Option<R>> {
        let Some(value) = self.existing::<T>(key)? else { return Ok(None) };
        let changed = change(value);
        if value.is_empty() {
            self.remove(key);
        }
        Ok(Some(changed))
    }

    /// Sets a key to a new value, without expiry.
    fn set(&mut self, key: &[u8], value: Held) {
        match self.find(key) {
            Some(found) => *found = Key::from(value),
            None => drop(self.keys().insert(key.into(), Key::from(value))),
        }
    }

    /// Sets a key to a collection; one without elements takes the key away.
    fn set_collection<T: Container>(&mut self, key: &[u8], value: T) {
        if value.is_empty() {
            self.remove(key);
        } else {
            self.set(key, value.hold());
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Key> {
        // The last key takes its place: that costs nothing, and the same commands still give the same order.
        self.dbs.get_mut(&self.db)?.swap_remove(key)
    }
}

/// Commands that change no data: they stand in files that were typed, and some in append-only files.
fn changes_nothing(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 60] = [
        b"APPENDONLY",
        b"AUTH",
        b"ASKING",
        b"BITCOUNT",
        b"BITPOS",
        b"CLIENT",
        b"COMMAND",
        b"DBSIZE",
        b"ECHO",
        b"EXISTS",
        b"EXPIRETIME",
        b"GEODIST",
        b"GEOHASH",
        b"GEOPOS",
        b"GET",
        b"GETBIT",
        b"GETRANGE",
        b"HELLO",
        b"HEXISTS",
        b"HGET",
        b"HGETALL",
        b"HKEYS",
        b"HLEN",
        b"HMGET",
        b"HSTRLEN",
        b"HVALS",
        b"INFO",
        b"KEYS",
        b"LINDEX",
        b"LLEN",
        b"LPOS",
        b"LRANGE",
        b"MGET",
        b"OBJECT",
        b"PEXPIRETIME",
        b"PING",
        b"PTTL",
        b"PUBLISH",
        b"QUIT",
        b"READONLY",
        b"SCAN",
        b"SCARD",
        b"SISMEMBER",
        b"SMEMBERS",
        b"SMISMEMBER",
        b"SPUBLISH",
        b"STRLEN",
        b"TIME",
        b"TOUCH",
        b"TTL",
        b"TYPE",
        b"UNWATCH",
        b"WAIT",
        b"WATCH",
        b"XLEN",
        b"XRANGE",
        b"ZCARD",
        b"ZRANGE",
        b"ZSCORE",
        b"ZCOUNT",
    ];
    NAMES.contains(&name)
}

/// The words of a command behind its name and its first key.
fn behind_key(words: &Words) -> Args<'_> {
    Args::new(words, 2)
}
