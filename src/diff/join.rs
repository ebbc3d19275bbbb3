//! The join of both sides, partition by partition.

use std::cmp::Ordering;

use super::Options;
use super::detail::{Candidate, Detail, Fate};
use super::partitions::{Likeness, PARTITIONS, Partitions, Short};
use crate::error::Result;

/// Keys that differ and are held in memory before they are told.
const ROUND: usize = 1 << 20;

/// Finds the keys that differ and has them told.
pub(super) fn join(
    a: &mut Partitions,
    b: &mut Partitions,
    options: &Options,
    detail: &mut Detail<'_, '_>,
) -> Result<()> {
    let mut candidates = Vec::new();
    for i in 0..PARTITIONS {
        let (a, b) = (a.take(i)?, b.take(i)?);
        join_sorted(&a, &b, options, &mut candidates);
        detail.totals.same += (a.len() - candidates_of_left(&candidates)) as u64;
        detail.count(&mut candidates);
        if detail.waiting() >= ROUND {
            detail.tell()?;
        }
    }
    detail.tell()
}

fn candidates_of_left(candidates: &[Candidate]) -> usize {
    candidates.iter().filter(|candidate| candidate.fate != Fate::Added).count()
}

/// Walks both sides, sorted by the hash of the name. Keys that stand several times in a file are paired in their order.
fn join_sorted(mut a: &[Short], mut b: &[Short], options: &Options, candidates: &mut Vec<Candidate>) {
    let (mut last, mut nth) = (None, 0);
    loop {
        let order = match (a, b) {
            ([], []) => return,
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
        if let Some(fate) = fate {
            candidates.push(Candidate { key: one.key, nth, fate, size: one.size, offset: one.offset });
        }
        a = &a[usize::from(order.is_le())..];
        b = &b[usize::from(order.is_ge())..];
    }
}
