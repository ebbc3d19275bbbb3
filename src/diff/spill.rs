//! Records by the hash of a key, in partitions that can be taken one after the other; on disk where they are many.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use crate::error::Result;
use crate::model::Eviction;
use crate::pipeline::scratch_file;

/// How many partitions there are: of 100 million short records, one takes 4 MB.
pub(super) const PARTITIONS: usize = 1 << BITS;

/// So many bits of a hash tell its partition.
const BITS: u32 = 10;

/// Bytes that are kept in memory before they are written to disk.
const BUDGET: usize = 16 << 20;

/// Records on their way from one pass to the next.
pub(super) struct Spill {
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

impl Spill {
    pub(super) fn new() -> Spill {
        Spill::with_budget(BUDGET)
    }

    pub(super) fn with_budget(budget: usize) -> Spill {
        let parts = (0..PARTITIONS).map(|_| Part::default()).collect();
        Spill { parts, in_memory: 0, budget, file: None, written: 0 }
    }

    /// Adds what `write` appends, to the partition of this hash; records of a partition keep their order.
    pub(super) fn add(&mut self, key: u128, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let records = &mut self.parts[(key >> (u128::BITS - BITS)) as usize].records;
        let before = records.len();
        write(records);
        self.in_memory += records.len() - before;
        if self.in_memory >= self.budget { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<()> {
        /// What a large record may leave behind of a partition's room.
        const KEPT: usize = 2 * BUDGET / PARTITIONS;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(scratch_file()?),
        };
        for part in self.parts.iter_mut().filter(|part| !part.records.is_empty()) {
            file.write_all(&part.records)?;
            part.pieces.push((self.written, part.records.len()));
            self.written += part.records.len() as u64;
            part.records.clear();
            part.records.shrink_to(KEPT);
        }
        self.in_memory = 0;
        Ok(())
    }

    /// The records of one partition.
    pub(super) fn read(&self, i: usize) -> Result<Vec<u8>> {
        let part = &self.parts[i];
        let on_disk: usize = part.pieces.iter().map(|(_, len)| len).sum();
        let mut bytes = Vec::with_capacity(on_disk + part.records.len());
        for (offset, len) in &part.pieces {
            let start = bytes.len();
            bytes.resize(start + len, 0);
            if let Some(file) = &self.file {
                file.read_exact_at(&mut bytes[start..], *offset)?;
            }
        }
        bytes.extend_from_slice(&part.records);
        Ok(bytes)
    }
}

/// An eviction attribute as two numbers; 0 is none, and the second says nothing then.
pub(super) fn eviction_as_numbers(eviction: Eviction) -> (u8, u64) {
    match eviction {
        Eviction::None => (0, 0),
        Eviction::Idle(seconds) => (1, seconds),
        Eviction::Freq(count) => (2, u64::from(count)),
    }
}

/// What [`eviction_as_numbers`] gave.
pub(super) fn eviction_of_numbers(kind: u8, number: u64) -> Eviction {
    match kind {
        1 => Eviction::Idle(number),
        2 => Eviction::Freq(number as u8),
        _ => Eviction::None,
    }
}

/// Writes a number in as few bytes as it needs, seven bits in each.
pub(super) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes what [`write_number`] has written from the front of `bytes`.
pub(super) fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let [byte] = read_array(bytes)?;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            return Some(number);
        }
    }
}

/// Takes so many bytes from the front.
pub(super) fn read_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Writes bytes behind their length.
pub(super) fn write_bytes(these: &[u8], out: &mut Vec<u8>) {
    write_number(these.len() as u64, out);
    out.extend_from_slice(these);
}

/// Takes what [`write_bytes`] has written from the front of `bytes`.
pub(super) fn read_bytes<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = usize::try_from(read_number(bytes)?).ok()?;
    let (first, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_to_disk_comes_back_the_same_and_in_order() {
        for budget in [1, 240, BUDGET] {
            let mut spill = Spill::with_budget(budget);
            let key = |i: u64| u128::from(i % 4) << 120 | u128::from(i % 2);
            for i in 0..400 {
                spill.add(key(i), |out| write_number(i << (i % 56), out)).unwrap();
            }
            let mut back = Vec::new();
            for i in 0..PARTITIONS {
                let bytes = spill.read(i).unwrap();
                let mut bytes = bytes.as_slice();
                back.extend(std::iter::from_fn(|| read_number(&mut bytes)));
                assert!(bytes.is_empty());
            }
            let mut want: Vec<u64> = (0..400).collect();
            want.sort_by_key(|i| key(*i) >> 118);
            let want: Vec<u64> = want.into_iter().map(|i| i << (i % 56)).collect();
            assert_eq!(back, want, "budget {budget}");
        }
    }
}
