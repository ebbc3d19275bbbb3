//! Short records of keys, in partitions by the hash of their name; on disk where they are many.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::Options;
use crate::codec::stream::Version;
use crate::error::Result;
use crate::model::facts::{Class, combine, hash};
use crate::model::{Entry, Eviction, Fingerprint};
use crate::pipeline::scratch_file;

/// How many partitions there are: of 100 million keys, one takes 35 MB.
pub(super) const PARTITIONS: usize = 256;

/// Bytes that one side keeps in memory before it writes them to disk.
const BUDGET: usize = 96 << 20;

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

impl Short {
    pub(super) fn new(entry: &Entry<'_>, print: &Fingerprint) -> Short {
        let low = |hash: u128| hash as u64;
        Short {
            key: key_hash(entry),
            content: print.of(Class::Content),
            expiries: low(print.of(Class::Expiry)),
            seen: low(combine([print.of(Class::Seen), print.of(Class::Active)])),
            newer: low(combine([Class::History, Class::Idempotency, Class::Nacked].map(|class| print.of(class)))),
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

    /// Bytes of a record as it is kept.
    const LEN: usize = 96;

    fn write(&self, out: &mut Vec<u8>) {
        let (eviction, of_eviction) = match self.eviction {
            Eviction::None => (0, 0),
            Eviction::Idle(seconds) => (1, seconds),
            Eviction::Freq(count) => (2, u64::from(count)),
        };
        let tags = [u8::from(self.expiry.is_some()), eviction, self.layout as u8, 0, 0, 0, 0, 0];
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.content.to_le_bytes());
        for number in [self.expiries, self.seen, self.newer, self.size, self.offset, of_eviction] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.expiry.unwrap_or_default().to_le_bytes());
        out.extend_from_slice(&tags);
    }

    fn read(bytes: &[u8; Short::LEN]) -> Short {
        let word = |i: usize| bytes.as_chunks::<8>().0[i];
        let number = |i| u64::from_le_bytes(word(i));
        let hash = |i| u128::from(number(i)) | u128::from(number(i + 1)) << 64;
        let [has_expiry, eviction, layout, ..] = word(11);
        Short {
            key: hash(0),
            content: hash(2),
            expiries: number(4),
            seen: number(5),
            newer: number(6),
            size: number(7),
            offset: number(8),
            eviction: match eviction {
                1 => Eviction::Idle(number(9)),
                2 => Eviction::Freq(number(9) as u8),
                _ => Eviction::None,
            },
            expiry: (has_expiry == 1).then_some(number(10) as i64),
            layout: [Version::V1, Version::V2, Version::V3, Version::V4, Version::V5][usize::from(layout).min(4)],
        }
    }
}

/// The keys of one side.
pub(super) struct Partitions {
    parts: Vec<Part>,
    in_memory: usize,
    budget: usize,
    /// What was written to disk; the file has no name, and goes away with its handle.
    file: Option<File>,
    written: u64,
}

#[derive(Default)]
struct Part {
    records: Vec<u8>,
    /// Where its pieces lie in the file: offset and length.
    pieces: Vec<(u64, usize)>,
}

impl Partitions {
    pub(super) fn new() -> Partitions {
        Partitions::with_budget(BUDGET)
    }

    fn with_budget(budget: usize) -> Partitions {
        let parts = (0..PARTITIONS).map(|_| Part::default()).collect();
        Partitions { parts, in_memory: 0, budget, file: None, written: 0 }
    }

    /// Adds a key; keys of the same name keep their order.
    pub(super) fn add(&mut self, short: &Short) -> Result<()> {
        short.write(&mut self.parts[(short.key >> 120) as usize].records);
        self.in_memory += Short::LEN;
        if self.in_memory >= self.budget { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(scratch_file()?),
        };
        for part in &mut self.parts {
            file.write_all(&part.records)?;
            part.pieces.push((self.written, part.records.len()));
            self.written += part.records.len() as u64;
            part.records.clear();
        }
        self.in_memory = 0;
        Ok(())
    }

    /// The keys of one partition, sorted by the hash of their names; once.
    pub(super) fn take(&mut self, i: usize) -> Result<Vec<Short>> {
        let part = std::mem::take(&mut self.parts[i]);
        let mut bytes = Vec::new();
        for (offset, len) in part.pieces {
            let start = bytes.len();
            bytes.resize(start + len, 0);
            if let Some(file) = &self.file {
                file.read_exact_at(&mut bytes[start..], offset)?;
            }
        }
        bytes.extend_from_slice(&part.records);
        let mut shorts: Vec<Short> = bytes.as_chunks().0.iter().map(Short::read).collect();
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
            expiries: 1,
            seen: 2,
            newer: 3,
            expiry: (offset > 3).then_some(-7),
            eviction: [Eviction::None, Eviction::Idle(900), Eviction::Freq(255)][offset as usize % 3],
            layout: [Version::V5, Version::V2][offset as usize % 2],
            size: 77,
            offset,
        }
    }

    #[test]
    fn what_went_to_disk_comes_back_the_same_and_in_order() {
        for budget in [1, 5 * Short::LEN, BUDGET] {
            let mut partitions = Partitions::with_budget(budget);
            let all: Vec<Short> = (0..40).map(|i| short(u128::from(i % 4) << 120 | u128::from(i % 2), i)).collect();
            all.iter().for_each(|short| partitions.add(short).unwrap());
            let mut back = Vec::new();
            (0..PARTITIONS).for_each(|i| back.extend(partitions.take(i).unwrap()));
            let mut want = all.clone();
            want.sort_by_key(|short| (short.key >> 120, short.key));
            assert_eq!(back, want, "budget {budget}");
        }
    }
}
