//! Short records of keys, in partitions by the hash of their name.

use super::Options;
use super::spill::{Spill, eviction_as_numbers, eviction_of_numbers, read_array, read_number, write_number};
use crate::codec::stream::Version;
use crate::error::Result;
use crate::model::facts::{Class, combine, hash};
use crate::model::{Entry, Eviction, Fingerprint};

/// A key, boiled down.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Short {
    /// Hash of database and name.
    pub(super) key: u128,
    content: u128,
    /// Hash of the expiries of fields.
    expiries: u64,
    /// Hash of when consumers of a stream were seen and active.
    seen: u64,
    /// Hash of what newer layouts of streams have.
    newer: u64,
    expiry: Option<i64>,
    eviction: Eviction,
    layout: Version,
    /// Bytes of its record.
    pub(super) size: u64,
    /// Where its record is.
    pub(super) offset: u64,
}

/// What two short records of the same key say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Likeness {
    Same,
    Different,
    /// Only the values themselves can tell: one side knows more than the other, or there is a tolerance.
    Unsure,
}

/// Hash of database and name of a key.
pub(super) fn key_hash(entry: &Entry<'_>) -> u128 {
    combine([u128::from(entry.db), hash(entry.key)])
}

/// One small hash of several; 0 where there is nothing.
fn low<const N: usize>(hashes: [u128; N]) -> u64 {
    if hashes == [0; N] { 0 } else { combine(hashes) as u64 }
}

impl Short {
    pub(super) fn new(entry: &Entry<'_>, print: &Fingerprint) -> Short {
        Short {
            key: key_hash(entry),
            content: print.of(Class::Content),
            expiries: print.of(Class::Expiry) as u64,
            seen: low([print.of(Class::Seen), print.of(Class::Active)]),
            newer: low([Class::History, Class::Idempotency, Class::Nacked].map(|class| print.of(class))),
            expiry: entry.expiry,
            eviction: entry.eviction,
            layout: print.layout(),
            size: entry.size,
            offset: entry.offset,
        }
    }

    pub(super) fn likeness(&self, other: &Short, options: &Options) -> Likeness {
        if self.content != other.content
            || !options.same_expiry(self.expiry, other.expiry)
            || !options.same_eviction(self.eviction, other.eviction)
        {
            return Likeness::Different;
        }
        let same_expiries = options.ignore.ttl || self.expiries == other.expiries;
        if self.layout != other.layout || !same_expiries && options.ttl_tolerance > 0 {
            return Likeness::Unsure;
        }
        let same_seen = options.ignore.idle || self.seen == other.seen;
        if same_expiries && same_seen && self.newer == other.newer { Likeness::Same } else { Likeness::Different }
    }

    /// Writes it down, in 40 bytes for most keys: what is nothing is not written.
    fn write(&self, out: &mut Vec<u8>) {
        let (eviction, of_eviction) = eviction_as_numbers(self.eviction);
        let details = [self.expiries, self.seen, self.newer];
        let has = |flag: u8, is_there: bool| if is_there { flag } else { 0 };
        let flags = eviction
            | has(EXPIRES, self.expiry.is_some())
            | has(DETAILED, details != [0; 3])
            | has(OLD_LAYOUT, self.layout != Version::V5);
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.content.to_le_bytes());
        out.push(flags);
        write_number(self.size, out);
        write_number(self.offset, out);
        if eviction > 0 {
            write_number(of_eviction, out);
        }
        if let Some(expiry) = self.expiry {
            out.extend_from_slice(&expiry.to_le_bytes());
        }
        if flags & DETAILED > 0 {
            details.iter().for_each(|detail| out.extend_from_slice(&detail.to_le_bytes()));
        }
        if flags & OLD_LAYOUT > 0 {
            out.push(self.layout as u8);
        }
    }

    /// What [`Short::write`] has written, from the begin of `bytes` on; `None` when nothing whole is left.
    fn read(bytes: &mut &[u8]) -> Option<Short> {
        let key = u128::from_le_bytes(read_array(bytes)?);
        let content = u128::from_le_bytes(read_array(bytes)?);
        let [flags] = read_array(bytes)?;
        let (size, offset) = (read_number(bytes)?, read_number(bytes)?);
        let of_eviction = if flags & 3 > 0 { read_number(bytes)? } else { 0 };
        let eviction = eviction_of_numbers(flags & 3, of_eviction);
        let expiry = if flags & EXPIRES > 0 { Some(i64::from_le_bytes(read_array(bytes)?)) } else { None };
        let mut details = [0; 3];
        if flags & DETAILED > 0 {
            for detail in &mut details {
                *detail = u64::from_le_bytes(read_array(bytes)?);
            }
        }
        let [expiries, seen, newer] = details;
        let layout = match flags & OLD_LAYOUT {
            0 => Version::V5,
            _ => [Version::V1, Version::V2, Version::V3, Version::V4][usize::from(read_array::<1>(bytes)?[0]).min(3)],
        };
        Some(Short { key, content, expiries, seen, newer, expiry, eviction, layout, size, offset })
    }
}

const EXPIRES: u8 = 4;
const DETAILED: u8 = 8;
const OLD_LAYOUT: u8 = 16;

/// The keys of one side.
pub(super) struct Partitions(Spill);

impl Partitions {
    pub(super) fn new() -> Partitions {
        Partitions(Spill::new())
    }

    /// Adds a key; keys of the same name keep their order.
    pub(super) fn add(&mut self, short: &Short) -> Result<()> {
        self.0.add(short.key, |out| short.write(out))
    }

    /// The keys of one partition, sorted by the hash of their names.
    pub(super) fn read(&self, i: usize) -> Result<Vec<Short>> {
        let bytes = self.0.read(i)?;
        let mut bytes = bytes.as_slice();
        let mut shorts: Vec<Short> = std::iter::from_fn(|| Short::read(&mut bytes)).collect();
        shorts.sort_by_key(|short| short.key);
        Ok(shorts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(key: u128, offset: u64) -> Short {
        Short {
            key,
            content: key ^ 5,
            expiries: offset % 5,
            seen: 0,
            newer: 0,
            expiry: (offset > 3).then_some(-7),
            eviction: [Eviction::None, Eviction::Idle(900 << (offset % 50)), Eviction::Freq(255)][offset as usize % 3],
            layout: [Version::V5, Version::V2][offset as usize % 2],
            size: 77 << offset,
            offset,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all: Vec<Short> = (0..50).map(|i| short(u128::from(i) << 90 | 7, i)).collect();
        let mut bytes = Vec::new();
        all.iter().for_each(|short| short.write(&mut bytes));
        let mut rest = bytes.as_slice();
        let back: Vec<Short> = std::iter::from_fn(|| Short::read(&mut rest)).collect();
        assert_eq!(back, all);
        // One without expiry, idle time and the like takes little.
        let plain = Short { expiries: 0, expiry: None, eviction: Eviction::None, layout: Version::V5, ..short(1, 0) };
        bytes.clear();
        plain.write(&mut bytes);
        assert!(bytes.len() < 40, "{} bytes", bytes.len());
    }
}
