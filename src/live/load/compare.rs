//! Whether a server has a key exactly as it was to be: what tells, after a break, a key of ours from one that was there.

use super::packet::{Commands, What};
use crate::codec::opcode;
use crate::codec::stream::Part;
use crate::error::Result;
use crate::live::{Connection, Reply};
use crate::model::{Element, Kind, Origin, RdbType, Scratch, Value};

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
            let facts = listed.items().first().map(Reply::items).unwrap_or_default();
            facts.iter().any(|fact| fact.text() == Some(source))
        }
    })
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
    Ok(contents(ours, &mut scratch)? == contents(theirs, &mut scratch)?)
}

/// The value in a payload without metadata.
fn value_of<'a>(payload: &'a [u8], origin: &'a Origin) -> Option<Value<'a>> {
    let (&code, rest) = payload.split_first().filter(|(code, _)| **code != opcode::KEY_META)?;
    let bytes = rest.get(..rest.len().checked_sub(10)?)?;
    Some(Value { rdb_type: RdbType::resolve(code, origin)?, bytes, origin })
}

/// What a value holds, in whatever encoding, and in whatever order where there is none.
fn contents(value: Value<'_>, scratch: &mut Scratch) -> Result<Vec<String>> {
    let mut all = Vec::new();
    value.each(scratch, |element| {
        if !matches!(element, Element::Stream(Part::Node(_))) {
            all.push(format!("{element:?}"));
        }
        Ok(())
    })?;
    if matches!(value.kind(), Kind::Set | Kind::Zset | Kind::Hash) {
        all.sort_unstable();
    }
    Ok(all)
}
