//! The second look: both sides are read once more, and what may differ is taken out of them, partition by partition.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::compare::Comparer;
use super::held::Held;
use super::join::{Candidate, Candidates, Fate};
use super::partitions::key_hash;
use super::spill::{PARTITIONS, Spill, read_array, read_bytes, read_number, write_bytes, write_number};
use super::{Change, How, Options, Side, Subject, Totals};
use crate::error::{Error, Result};
use crate::model::{Batch, Buffers, Filter, Origin, Record};
use crate::pipeline::{Work, run};

/// So many changes are put in order together.
const TOGETHER: usize = 1 << 16;

/// Tells what there is to tell of the keys that may differ.
pub(super) fn tell(
    [left, right]: [&mut Side<'_>; 2],
    threads: NonZeroUsize,
    options: &Options,
    mut candidates: Candidates,
    totals: &mut Totals,
    sink: &mut dyn FnMut(&Change) -> Result<()>,
) -> Result<()> {
    if candidates.count == 0 {
        return Ok(());
    }
    let sieve = Sieve::of(&candidates)?;
    let left = Kept::of(left, candidates.of_left, threads, &options.filter, &sieve)?;
    let right = Kept::of(right, candidates.of_right, threads, &options.filter, &sieve)?;
    drop(sieve);
    let (mut comparer, mut changes) = (Comparer::default(), Vec::new());
    for i in 0..PARTITIONS {
        let (in_left, in_right) = (left.read(i)?, right.read(i)?);
        for candidate in candidates.read(i)? {
            let old = candidate.fate.is_in_left().then(|| left.entry(&in_left, &candidate)).transpose()?;
            let new = candidate.fate.is_in_right().then(|| right.entry(&in_right, &candidate)).transpose()?;
            let change = change(&mut comparer, options, old, new)?;
            if candidate.fate == Fate::Unsure {
                let is_same = change.is_none();
                *if is_same { &mut totals.same } else { &mut totals.changed } += 1;
                if is_same || candidates.room == 0 {
                    continue;
                }
                candidates.room -= 1;
            }
            changes.extend(change);
            if changes.len() >= TOGETHER {
                give(&mut changes, totals, sink)?;
            }
        }
    }
    give(&mut changes, totals, sink)
}

/// Gives changes in order.
fn give(changes: &mut Vec<Change>, totals: &mut Totals, sink: &mut dyn FnMut(&Change) -> Result<()>) -> Result<()> {
    changes.sort_by(|a, b| a.subject.cmp(&b.subject));
    totals.told += changes.len() as u64;
    changes.drain(..).try_for_each(|change| sink(&change))
}

/// What changed of a key; `None` if nothing did.
fn change(comparer: &mut Comparer, options: &Options, old: Option<Held>, new: Option<Held>) -> Result<Option<Change>> {
    let (held, how) = match (old, new) {
        (Some(old), Some(new)) => {
            let (count, first) = comparer.compare(&old, &new, options)?;
            if count == 0 {
                return Ok(None);
            }
            let type_name = comparer.outline(&old)?.type_name;
            (old, How::Changed { type_name, count, first })
        }
        (Some(old), None) => {
            let outline = comparer.outline(&old)?;
            (old, How::Removed(outline))
        }
        (None, Some(new)) => {
            let outline = comparer.outline(&new)?;
            (new, How::Added(outline))
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Change { subject: Subject::Key { db: held.db, key: held.key }, how }))
}

/// Tells of most keys that they are none of those that are looked for; of those that are, never.
struct Sieve {
    bits: Vec<u64>,
    /// How far a hash is shifted to give its bit.
    shift: u32,
}

impl Sieve {
    /// Sixteen bits and more for each key.
    fn of(candidates: &Candidates) -> Result<Sieve> {
        const LEAST: u64 = 1 << 16;
        let size = candidates.count.saturating_mul(16).max(LEAST).next_power_of_two();
        let words = usize::try_from(size / 64).unwrap_or(usize::MAX);
        let mut sieve = Sieve { bits: vec![0; words], shift: u64::BITS - size.trailing_zeros() };
        for i in 0..PARTITIONS {
            for candidate in candidates.read(i)? {
                let (word, bit) = sieve.place(candidate.key);
                sieve.bits[word] |= bit;
            }
        }
        Ok(sieve)
    }

    /// The low half of the hash is used: its high bits tell the partition.
    fn place(&self, key: u128) -> (usize, u64) {
        let at = key as u64 >> self.shift;
        ((at / 64) as usize, 1 << (at % 64))
    }

    fn lets_through(&self, key: u128) -> bool {
        let (word, bit) = self.place(key);
        self.bits[word] & bit != 0
    }
}

/// What the sieve let through of one side.
struct Kept {
    name: String,
    spill: Spill,
    origins: Vec<Arc<Origin>>,
}

impl Kept {
    fn of(side: &mut Side<'_>, wanted: u64, threads: NonZeroUsize, filter: &Filter, sieve: &Sieve) -> Result<Kept> {
        let mut kept = Kept { name: String::new(), spill: Spill::new(), origins: Vec::new() };
        if wanted == 0 {
            return Ok(kept);
        }
        let mut input = side.open()?;
        kept.name.clone_from(&input.name);
        let finder = || Finder { filter, sieve, buffers: Buffers::default() };
        let mut outcome = Ok(());
        if let Some(head) = input.reader.take_head() {
            let mut found = Found::default();
            outcome = finder().batch(&head, &mut found).and_then(|()| kept.take(&found));
        }
        let meter = input.meter.clone();
        let gather = |found: &mut Found| kept.take(found).map(ControlFlow::Continue);
        outcome = outcome.and_then(|()| run(&mut input.reader, threads, &meter, finder, gather).1);
        outcome.map_err(|e| input.name_it(e))?;
        Ok(kept)
    }

    fn take(&mut self, found: &Found) -> Result<()> {
        let Some(origin) = found.origin.as_ref().filter(|_| !found.ends.is_empty()) else { return Ok(()) };
        if self.origins.last().is_none_or(|last| !Arc::ptr_eq(last, origin)) {
            self.origins.push(origin.clone());
        }
        let mut start = 0;
        for (key, end) in &found.ends {
            self.spill.add(*key, |out| {
                out.extend_from_slice(&key.to_le_bytes());
                write_number(self.origins.len() as u64 - 1, out);
                write_bytes(&found.bytes[start..*end], out);
            })?;
            start = *end;
        }
        Ok(())
    }

    /// The entries of one partition.
    fn read(&self, i: usize) -> Result<Partition> {
        let mut partition = Partition { bytes: self.spill.read(i)?, places: Vec::new() };
        let all = partition.bytes.len();
        let mut rest = partition.bytes.as_slice();
        while let Some(key) = read_array(&mut rest).map(u128::from_le_bytes) {
            partition.places.push((key, all - rest.len()));
            // Over what is held of it.
            let _ = (read_number(&mut rest), read_bytes(&mut rest));
        }
        // Those of one name keep their order.
        partition.places.sort_by_key(|(key, _)| *key);
        Ok(partition)
    }

    /// The entry of a candidate.
    fn entry(&self, partition: &Partition, candidate: &Candidate) -> Result<Held> {
        partition
            .find(candidate)
            .and_then(|mut rest| {
                let origin = self.origins.get(usize::try_from(read_number(&mut rest)?).ok()?)?;
                Held::read(&mut read_bytes(&mut rest)?, origin)
            })
            .ok_or_else(|| {
                Error::malformed("file: it changed while it was being compared: compare a copy").in_input(&self.name)
            })
    }
}

/// Entries as bytes, and where each begins, sorted by the hash of its name.
struct Partition {
    bytes: Vec<u8>,
    places: Vec<(u128, usize)>,
}

impl Partition {
    fn find(&self, candidate: &Candidate) -> Option<&[u8]> {
        let first = self.places.partition_point(|(key, _)| *key < candidate.key);
        let (key, at) = self.places.get(first + candidate.nth as usize)?;
        (*key == candidate.key).then(|| &self.bytes[*at..])
    }
}

/// A worker that picks what the sieve lets through.
struct Finder<'f> {
    filter: &'f Filter,
    sieve: &'f Sieve,
    buffers: Buffers,
}

#[derive(Default)]
struct Found {
    bytes: Vec<u8>,
    /// The hash of each name, and where its entry ends.
    ends: Vec<(u128, usize)>,
    origin: Option<Arc<Origin>>,
}

impl Work for Finder<'_> {
    type Output = Found;

    fn batch(&mut self, batch: &Batch, out: &mut Found) -> Result<()> {
        let Finder { filter, sieve, buffers } = self;
        out.bytes.clear();
        out.ends.clear();
        out.origin = Some(batch.origin().clone());
        batch.each(buffers, |record, _| {
            if let Record::Entry(entry) = &record {
                let key = key_hash(entry);
                if sieve.lets_through(key) && filter.keeps(entry) {
                    Held::write(entry, &mut out.bytes);
                    out.ends.push((key, out.bytes.len()));
                }
            }
            Ok(())
        })
    }
}
