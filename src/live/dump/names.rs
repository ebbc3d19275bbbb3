//! Names that were seen in a database: SCAN gives some keys twice, and none may stand twice in a file.
//!
//! Of few names a fingerprint each is kept in memory. Of many, filters keep ten bits each: what they have not seen is
//! certainly new. What they may have seen (one name in a hundred, and what really came twice) waits, until at the end of
//! the database all fingerprints are looked through. They and the names that wait lie in files without a name.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use crate::error::Result;
use crate::pipeline::scratch_file;

/// Fingerprints that are kept in memory: a table of them takes some 18 MB.
const FEW: usize = 900_000;
/// Names that wait are looked for together, so many or of so many bytes.
const TOGETHER: usize = 250_000;
const TOGETHER_BYTES: usize = 16 << 20;

/// The names of one database.
pub(super) struct Names {
    seeds: [RandomState; 2],
    few: HashSet<u128>,
    many: Option<Many>,
    /// How many are kept in memory.
    limit: usize,
    /// How many names there will be, about: a server's word, which sizes nothing alone.
    expected: u64,
}

impl Names {
    pub(super) fn new() -> Names {
        Names {
            seeds: [RandomState::new(), RandomState::new()],
            few: HashSet::new(),
            many: None,
            limit: FEW,
            expected: 0,
        }
    }

    /// Another database begins, with so many keys about.
    pub(super) fn restart(&mut self, expected: u64) {
        (self.few, self.many, self.expected) = (HashSet::new(), None, expected);
    }

    /// Notes a name; whether it is certainly new. One that is not may still come from [`Names::late`].
    pub(super) fn is_new(&mut self, name: &[u8]) -> Result<bool> {
        let [a, b] = self.seeds.each_ref().map(|seed| seed.hash_one(name));
        let print = u128::from(a) << 64 | u128::from(b);
        if let Some(many) = &mut self.many {
            return many.is_new(print, name);
        }
        let is_new = self.few.insert(print);
        if self.few.len() == self.limit {
            let few = std::mem::take(&mut self.few);
            self.many = Some(Many::new(few, self.expected)?);
        }
        Ok(is_new)
    }

    /// After the last name of the database: some of those that waited and are new; none when there are no more.
    pub(super) fn late(&mut self) -> Result<Vec<Vec<u8>>> {
        self.many.as_mut().map_or(Ok(Vec::new()), Many::late)
    }
}

/// Names that are too many for a table in memory.
struct Many {
    /// Each is larger than the one before, and begun when that is full.
    filters: Vec<Filter>,
    /// The fingerprints of all names that were new.
    prints: BufWriter<File>,
    /// Names that may not be: fingerprint, length, name.
    waiting: BufWriter<File>,
    /// How much of those has been looked at.
    looked_at: u64,
}

impl Many {
    fn new(few: HashSet<u128>, expected: u64) -> Result<Many> {
        /// A filter has no room for more than so many times the names that have come.
        const AHEAD: u64 = 32;
        let come = few.len() as u64;
        let mut many = Many {
            filters: vec![Filter::new(expected.clamp(come * 2, come * AHEAD))],
            prints: BufWriter::with_capacity(256 << 10, scratch_file()?),
            waiting: BufWriter::new(scratch_file()?),
            looked_at: 0,
        };
        for print in few {
            many.note(print);
            many.prints.write_all(&print.to_le_bytes())?;
        }
        Ok(many)
    }

    fn is_new(&mut self, print: u128, name: &[u8]) -> Result<bool> {
        if self.note(print) {
            self.prints.write_all(&print.to_le_bytes())?;
            return Ok(true);
        }
        self.waiting.write_all(&print.to_le_bytes())?;
        self.waiting.write_all(&(name.len() as u64).to_le_bytes())?;
        self.waiting.write_all(name)?;
        Ok(false)
    }

    /// Notes a fingerprint; whether it was certainly not seen before.
    fn note(&mut self, print: u128) -> bool {
        let Some((last, full)) = self.filters.split_last_mut() else { return false };
        if full.iter().any(|filter| filter.may_have(print)) || !last.insert(print) {
            return false;
        }
        if last.room == 0 {
            let more = Filter::new(last.size.saturating_mul(2));
            self.filters.push(more);
        }
        true
    }

    fn late(&mut self) -> Result<Vec<Vec<u8>>> {
        loop {
            let mut found = self.some_that_wait()?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            let mut prints = reader(&mut self.prints, 0)?;
            let mut print = [0; 16];
            while takes_whole(&mut prints, &mut print)? {
                found.remove(&u128::from_le_bytes(print));
            }
            for print in found.keys() {
                self.prints.write_all(&print.to_le_bytes())?;
            }
            if !found.is_empty() {
                return Ok(found.into_values().collect());
            }
        }
    }

    /// The next ones that wait, each once; none at their end.
    fn some_that_wait(&mut self) -> Result<HashMap<u128, Vec<u8>>> {
        let mut waiting = reader(&mut self.waiting, self.looked_at)?;
        let (mut found, mut bytes) = (HashMap::new(), 0);
        let (mut print, mut len) = ([0; 16], [0; 8]);
        while found.len() < TOGETHER && bytes < TOGETHER_BYTES && takes_whole(&mut waiting, &mut print)? {
            waiting.read_exact(&mut len)?;
            let (len, mut name) = (u64::from_le_bytes(len), Vec::new());
            waiting.by_ref().take(len).read_to_end(&mut name)?;
            self.looked_at += (print.len() + size_of_val(&len)) as u64 + len;
            bytes += name.len();
            found.insert(u128::from_le_bytes(print), name);
        }
        Ok(found)
    }
}

/// What was written to a file, from a byte on. What is written later is appended, once all has been read.
fn reader(written: &mut BufWriter<File>, from: u64) -> Result<BufReader<&File>> {
    written.flush()?;
    let mut file = written.get_ref();
    file.seek(SeekFrom::Start(from))?;
    Ok(BufReader::with_capacity(256 << 10, file))
}

/// Fills `buf`; `false` at the end of the file.
fn takes_whole(from: &mut impl Read, buf: &mut [u8]) -> Result<bool> {
    match from.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Tells of most fingerprints that they were not seen before; of those that were, never.
struct Filter {
    blocks: Vec<[u64; 8]>,
    /// For how many fingerprints it was made.
    size: u64,
    /// How many more it can take and still tell most apart.
    room: u64,
}

impl Filter {
    /// Bits for each fingerprint.
    const EACH: u64 = 10;
    /// How many of the bits of its block a fingerprint sets.
    const SET: u32 = 7;

    fn new(size: u64) -> Filter {
        let blocks = size.saturating_mul(Filter::EACH).div_ceil(512).max(1);
        Filter { blocks: vec![[0; 8]; usize::try_from(blocks).unwrap_or(1)], size, room: size }
    }

    /// Where the bits of a fingerprint are: the block, and in it word and bit.
    fn bits(&self, print: u128) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let (high, low) = ((print >> 64) as u64, print as u64);
        let at = ((u128::from(high) * self.blocks.len() as u128) >> 64) as usize;
        let bits = (0..Filter::SET).map(move |i| (low >> (9 * i) & 511) as usize);
        (at, bits.map(|bit| (bit / 64, 1 << (bit % 64))))
    }

    /// Whether it may have been noted.
    fn may_have(&self, print: u128) -> bool {
        let (at, mut bits) = self.bits(print);
        bits.all(|(word, bit)| self.blocks[at][word] & bit != 0)
    }

    /// Notes it; whether it was certainly not seen before.
    fn insert(&mut self, print: u128) -> bool {
        let is_new = !self.may_have(print);
        let (at, bits) = self.bits(print);
        bits.for_each(|(word, bit)| self.blocks[at][word] |= bit);
        self.room = self.room.saturating_sub(u64::from(is_new));
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `count` names in a row, and with a step every one that divides by it once more; returns what was new.
    fn seen(limit: usize, expected: u64, count: u64, again: u64) -> (Vec<Vec<u8>>, usize) {
        let mut names = Names { limit, ..Names::new() };
        names.restart(expected);
        let mut new = Vec::new();
        for n in (0..count).chain((0..count).step_by(again as usize)).chain((0..count).step_by(again as usize)) {
            let name = format!("name:{n}").into_bytes();
            if names.is_new(&name).unwrap() {
                new.push(name);
            }
        }
        let at_once = new.len();
        loop {
            let late = names.late().unwrap();
            if late.is_empty() {
                break;
            }
            new.extend(late);
        }
        new.sort();
        (new, at_once)
    }

    #[test]
    fn every_name_comes_once() {
        let want = |count: u64| {
            let mut all: Vec<_> = (0..count).map(|n| format!("name:{n}").into_bytes()).collect();
            all.sort();
            all
        };
        // In memory; with one filter; with several, as the server's word was too small or not to be believed.
        for (limit, expected, again) in
            [(100_000, 0, 3), (2000, 50_000, 3), (2000, 50_000, 1), (100, 100, 7), (100, u64::MAX, 3), (1, 1, 1)]
        {
            let (new, at_once) = seen(limit, expected, 50_000, again);
            assert!(new == want(50_000), "{limit} {expected} {again}: {} names", new.len());
            // A hundredth waits for each filter that there is.
            assert!(limit < 100 || at_once > 45_000, "{limit} {expected} {again}: {at_once} were certain");
        }
    }

    /// A server may say that it has any number of keys: what is held for them is in proportion to those that came.
    #[test]
    fn a_servers_word_sizes_nothing_alone() {
        let few: HashSet<u128> = (0..1000).collect();
        let many = Many::new(few, u64::MAX).unwrap();
        assert!(many.filters[0].blocks.len() * 64 < 100_000, "{} blocks", many.filters[0].blocks.len());
    }

    #[test]
    fn another_database_begins_with_nothing() {
        let mut names = Names { limit: 2, ..Names::new() };
        for _ in 0..2 {
            names.restart(10);
            for name in [b"a", b"b", b"c", b"d"] {
                assert!(names.is_new(name).unwrap());
            }
            assert!(!names.is_new(b"a").unwrap());
            assert!(names.late().unwrap().is_empty());
        }
    }
}
