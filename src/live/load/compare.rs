//! Whether a server has a key exactly as it was to be: what tells, after a break, a key of ours from one that was there.

use std::time::{SystemTime, UNIX_EPOCH};

use super::packet::{Commands, What};
use super::probe::Probe;
use crate::codec::{Cursor, module, opcode};
use crate::error::Result;
use crate::live::{Connection, Reply};
use crate::model::{Class, Entry, Fingerprint, Fingerprinter, Origin, RdbType, Scratch, Value};

/// Expiries that were asked as the time that is left differ by the time that the answer takes.
const TOLERANCE: i64 = 2000;

/// What a step was to bring.
pub(super) enum Ours<'a> {
    /// A string.
    Text { key: &'a [u8], value: &'a [u8], expiry: Option<i64> },
    /// A payload of DUMP.
    Payload { key: &'a [u8], payload: &'a [u8], expiry: Option<i64> },
    /// Whatever is under this other name.
    Staged { key: &'a [u8], stage: &'a [u8] },
    /// A function library.
    Library { name: &'a [u8], source: &'a [u8] },
}

fn number(word: Option<&&[u8]>) -> Option<i64> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

impl<'a> Ours<'a> {
    /// What these commands were to bring.
    pub(super) fn of(commands: &'a [u8], what: What) -> Option<Ours<'a>> {
        let mut all = Commands(commands);
        Some(match what {
            What::Set => {
                let words = all.next()?;
                let at = words.iter().position(|word| *word == b"PXAT").filter(|at| *at > 2);
                let expiry = at.and_then(|at| number(words.get(at + 1)));
                Ours::Text { key: words.get(1)?, value: words.get(2)?, expiry }
            }
            What::Restore => {
                let words = all.next()?;
                let expiry = number(words.get(2)).filter(|at| *at > 0);
                // Without ABSTTL a command of its own follows.
                let expiry = expiry.or_else(|| number(all.last()?.get(2)));
                Ours::Payload { key: words.get(1)?, payload: words.get(3)?, expiry }
            }
            What::Staged => {
                let words = all.last()?;
                Ours::Staged { key: words.get(2)?, stage: words.get(1)? }
            }
            What::Function => {
                let source = all.next()?.last().copied()?;
                Ours::Library { name: crate::model::library_name(source)?, source }
            }
            _ => return None,
        })
    }
}

/// Whether the server has it so. `is_new`: it knows PEXPIRETIME.
pub(super) fn is_same(ours: &Ours<'_>, server: &mut Connection, origin: &Origin, is_new: bool) -> Result<bool> {
    Ok(match *ours {
        Ours::Text { key, value, expiry } => {
            server.ask(&[b"GET", key])?.text() == Some(value) && has_expiry(key, expiry, server, is_new)?
        }
        Ours::Payload { key, payload, expiry } => match server.ask(&[b"DUMP", key])? {
            Reply::Text(theirs) => is_alike(payload, &theirs, origin)? && has_expiry(key, expiry, server, is_new)?,
            _ => false,
        },
        Ours::Staged { key, stage } => match (server.ask(&[b"DUMP", stage])?, server.ask(&[b"DUMP", key])?) {
            (Reply::Text(ours), Reply::Text(theirs)) => {
                let expiry = expiry_of(stage, server, is_new)?;
                is_alike(&ours, &theirs, origin)? && has_expiry(key, expiry, server, is_new)?
            }
            _ => false,
        },
        Ours::Library { name, source } => {
            let listed = server.ask(&[b"FUNCTION", b"LIST", b"LIBRARYNAME", name, b"WITHCODE"])?;
            has_source(&listed, source) == Some(true)
        }
    })
}

/// Whether the one library that was asked for has this source; none if there is no such library.
pub(super) fn has_source(listed: &Reply, source: &[u8]) -> Option<bool> {
    let facts = listed.items().first()?.items();
    Some(facts.iter().any(|fact| fact.text() == Some(source)))
}

fn expiry_of(key: &[u8], server: &mut Connection, is_new: bool) -> Result<Option<i64>> {
    if is_new {
        return Ok(server.ask(&[b"PEXPIRETIME", key])?.int().filter(|at| *at >= 0));
    }
    let left = server.ask(&[b"PTTL", key])?.int().filter(|left| *left >= 0);
    let clock = server.ask(&[b"TIME"])?;
    let part = |i: usize| clock.items().get(i).and_then(Reply::int).unwrap_or(0);
    Ok(left.map(|left| part(0) * 1000 + part(1) / 1000 + left))
}

fn has_expiry(key: &[u8], expiry: Option<i64>, server: &mut Connection, is_new: bool) -> Result<bool> {
    Ok(match (expiry, expiry_of(key, server, is_new)?) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= if is_new { 0 } else { TOLERANCE },
        _ => false,
    })
}

/// Whether two payloads of DUMP are the same value.
fn is_alike(ours: &[u8], theirs: &[u8], origin: &Origin) -> Result<bool> {
    if ours == theirs {
        return Ok(true);
    }
    let (Some(ours), Some(theirs)) = (value_of(ours, origin), value_of(theirs, origin)) else { return Ok(false) };
    let mut scratch = Scratch::default();
    let mut prints = Fingerprinter::default();
    let mut print = |(meta, value)| prints.print(&Entry { meta, ..Entry::plain(0, b"", value) }, &mut scratch);
    Ok(print(ours)?.agrees(&print(theirs)?, |_| true))
}

/// The metadata and the value in a payload.
fn value_of<'a>(payload: &'a [u8], origin: &'a Origin) -> Option<(&'a [u8], Value<'a>)> {
    let mut cur = Cursor::new(payload.get(..payload.len().checked_sub(10)?)?);
    let mut code = cur.u8().ok()?;
    let mut meta: &[u8] = &[];
    if code == opcode::KEY_META && !origin.is_valkey() {
        let start = cur.pos();
        module::skip_key_meta(&mut cur).ok()?;
        meta = cur.since(start);
        code = cur.u8().ok()?;
    }
    Some((meta, Value { rdb_type: RdbType::resolve(code, origin)?, bytes: cur.rest(), origin }))
}

/// What is to be found on a server by whoever reads it back.
pub(super) enum Check {
    /// A key.
    Key(KeyCheck),
    /// A function library with this source.
    Library(Vec<u8>),
}

/// What a key on a server is to be.
pub(super) struct KeyCheck {
    pub(super) print: Fingerprint,
    pub(super) expiry: Option<i64>,
    /// Commands can't say when consumers were last seen.
    pub(super) is_by_commands: bool,
}

impl KeyCheck {
    /// How the answers to DUMP and to PEXPIRETIME (or PTTL, of an older server) differ from that; nothing if they don't.
    pub(super) fn difference(&self, dump: &Reply, time: &Reply, probe: &Probe) -> Result<Option<&'static str>> {
        let now = now();
        let Reply::Text(payload) = dump else {
            // Its time came meanwhile.
            let has_expired = self.expiry.is_some_and(|at| at <= now + TOLERANCE);
            return Ok((!has_expired).then_some("it is not there"));
        };
        let mut scratch = Scratch::default();
        let Some((meta, value)) = value_of(payload, &probe.target.origin) else {
            return Ok(Some("the server's DUMP of it is not understood"));
        };
        let entry = Entry { meta, ..Entry::plain(0, b"", value) };
        let theirs = Fingerprinter::default().print(&entry, &mut scratch)?;
        let matters = |class| !self.is_by_commands || !matches!(class, Class::Seen | Class::Active);
        if !self.print.agrees(&theirs, matters) {
            return Ok(Some("it holds something else"));
        }
        let theirs = time.int().filter(|at| *at >= 0);
        let is_same = match (self.expiry, theirs, probe.since(7, 0)) {
            (Some(ours), Some(at), true) => ours == at,
            (Some(ours), Some(left), false) => (ours - now - left).abs() <= TOLERANCE,
            (None, None, _) => true,
            _ => false,
        };
        Ok((!is_same).then_some("it expires at another time"))
    }
}

/// Now, as Unix time in ms.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
