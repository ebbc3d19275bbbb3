//! The join of both sides, partition by partition: which keys differ, and which of them are to be told.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::partitions::{Likeness, Partitions, Short};
use super::spill::{PARTITIONS, Spill, read_array, read_number, write_number};
use super::{Options, Totals};
use crate::error::Result;

/// What the join found out about a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fate {
    Removed,
    Changed,
    Added,
    /// Only the values themselves can tell.
    Unsure,
}

impl Fate {
    const ALL: [Fate; 4] = [Fate::Removed, Fate::Changed, Fate::Added, Fate::Unsure];

    pub(super) fn is_in_left(self) -> bool {
        self != Fate::Added
    }

    pub(super) fn is_in_right(self) -> bool {
        self != Fate::Removed
    }
}

/// A key that may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    pub(super) key: u128,
    /// Which of the keys of this name it is; 0 where there is but one.
    pub(super) nth: u32,
    pub(super) fate: Fate,
}

/// The keys that are looked at once more.
pub(super) struct Candidates {
    spill: Spill,
    pub(super) count: u64,
    /// How many of them are in each side.
    pub(super) of_left: u64,
    pub(super) of_right: u64,
    /// How many more are to be told than those that are sure to be.
    pub(super) room: u64,
}

impl Candidates {
    fn add(&mut self, Candidate { key, nth, fate }: Candidate) -> Result<()> {
        self.count += 1;
        self.of_left += u64::from(fate.is_in_left());
        self.of_right += u64::from(fate.is_in_right());
        self.spill.add(key, |out| {
            out.extend_from_slice(&key.to_le_bytes());
            write_number(u64::from(nth) << 2 | fate as u64, out);
        })
    }

    /// Those of one partition.
    pub(super) fn read(&self, i: usize) -> Result<Vec<Candidate>> {
        let bytes = self.spill.read(i)?;
        let mut bytes = bytes.as_slice();
        let next = || {
            let key = u128::from_le_bytes(read_array(&mut bytes)?);
            let number = read_number(&mut bytes)?;
            let fate = Fate::ALL[(number & 3) as usize];
            Some(Candidate { key, nth: (number >> 2) as u32, fate })
        };
        Ok(std::iter::from_fn(next).collect())
    }
}

/// The first differences in the order of the files, where not all are to be told.
struct First {
    keep: usize,
    /// What only the second side has comes last.
    heap: BinaryHeap<(bool, u64, u128, u32, Fate)>,
}

impl First {
    fn add(&mut self, candidate: Candidate, offset: u64) {
        let Candidate { key, nth, fate } = candidate;
        self.heap.push((fate == Fate::Added, offset, key, nth, fate));
        if self.heap.len() > self.keep {
            self.heap.pop();
        }
    }
}

/// Finds the keys that differ; counts those that are sure to, and gives those that are to be looked at once more.
pub(super) fn join(a: &Partitions, b: &Partitions, options: &Options, totals: &mut Totals) -> Result<Candidates> {
    /// More than so many are not put into the order of the files.
    const SORTED: u64 = 1 << 16;
    let left = options.limit.map_or(u64::MAX, |limit| limit.saturating_sub(totals.told));
    let mut candidates = Candidates { spill: Spill::new(), count: 0, of_left: 0, of_right: 0, room: left };
    let keep = if left <= SORTED { left as usize } else { 0 };
    let mut first = First { keep, heap: BinaryHeap::new() };
    for i in 0..PARTITIONS {
        join_sorted(&a.read(i)?, &b.read(i)?, options, &mut |candidate, offset| {
            match candidate.map(|candidate| candidate.fate) {
                None => return Ok(totals.same += 1),
                Some(Fate::Removed) => totals.removed += 1,
                Some(Fate::Added) => totals.added += 1,
                Some(Fate::Changed) => totals.changed += 1,
                Some(Fate::Unsure) => {}
            }
            let Some(candidate) = candidate else { return Ok(()) };
            if candidate.fate == Fate::Unsure {
                return candidates.add(candidate);
            }
            if left <= SORTED {
                return Ok(first.add(candidate, offset));
            }
            if candidates.room > 0 {
                candidates.room -= 1;
                candidates.add(candidate)?;
            }
            Ok(())
        })?;
    }
    for (_, _, key, nth, fate) in first.heap {
        candidates.room -= 1;
        candidates.add(Candidate { key, nth, fate })?;
    }
    Ok(candidates)
}

/// Walks both sides, sorted by the hash of the name. Keys that stand several times in a file are paired in their order.
/// Gives `None` for those that are the same.
fn join_sorted(
    mut a: &[Short],
    mut b: &[Short],
    options: &Options,
    give: &mut dyn FnMut(Option<Candidate>, u64) -> Result<()>,
) -> Result<()> {
    let (mut last, mut nth) = (None, 0);
    loop {
        let order = match (a, b) {
            ([], []) => return Ok(()),
            ([_, ..], []) => Ordering::Less,
            ([], [_, ..]) => Ordering::Greater,
            ([left, ..], [right, ..]) => left.key.cmp(&right.key),
        };
        let one = if order.is_le() { &a[0] } else { &b[0] };
        nth = if last == Some(one.key) { nth + 1 } else { 0 };
        last = Some(one.key);
        let fate = match order {
            Ordering::Less => Some(Fate::Removed),
            Ordering::Greater => Some(Fate::Added),
            Ordering::Equal => match a[0].likeness(&b[0], options) {
                Likeness::Same => None,
                Likeness::Different => Some(Fate::Changed),
                Likeness::Unsure => Some(Fate::Unsure),
            },
        };
        give(fate.map(|fate| Candidate { key: one.key, nth, fate }), one.offset)?;
        a = &a[usize::from(order.is_le())..];
        b = &b[usize::from(order.is_ge())..];
    }
}
