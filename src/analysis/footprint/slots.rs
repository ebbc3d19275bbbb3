//! Memory by cluster slot and by shard.

use std::ops::RangeInclusive;

use super::tally::Weighed;
use crate::model::SLOTS;

/// Keys and memory of every slot.
#[derive(Clone, Debug)]
pub struct Slots(Box<[(u64, u64)]>);

/// One shard, or one slot.
#[derive(Clone, Debug)]
pub struct Share {
    /// Its slots.
    pub slots: RangeInclusive<u16>,
    /// Keys.
    pub keys: u64,
    /// Bytes of memory.
    pub memory: u64,
}

impl Default for Slots {
    fn default() -> Slots {
        Slots(vec![(0, 0); usize::from(SLOTS)].into())
    }
}

impl Slots {
    #[inline]
    pub(super) fn add(&mut self, slot: u16, key: &Weighed) {
        let (keys, memory) = &mut self.0[usize::from(slot)];
        *keys += key.weight;
        *memory = memory.saturating_add(key.weight.saturating_mul(key.memory));
    }

    pub(super) fn merge(&mut self, other: &Slots) {
        for (all, more) in self.0.iter_mut().zip(&other.0) {
            *all = (all.0 + more.0, all.1.saturating_add(more.1));
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.fill((0, 0));
    }

    /// What is in these slots.
    pub fn range(&self, slots: RangeInclusive<u16>) -> Share {
        let part = &self.0[usize::from(*slots.start())..=usize::from(*slots.end())];
        let (keys, memory) = part.iter().fold((0, 0_u64), |sum, more| (sum.0 + more.0, sum.1.saturating_add(more.1)));
        Share { slots, keys, memory }
    }

    /// Every shard of a cluster that has so many, cut as redis-cli cuts.
    pub fn shards(&self, shards: u16) -> Vec<Share> {
        crate::model::shard_ranges(shards).into_iter().map(|slots| self.range(slots)).collect()
    }

    /// The memory of so many ranges of the same length, a power of two.
    pub fn bins(&self, bins: usize) -> Vec<u64> {
        let sum = |slots: &[(u64, u64)]| slots.iter().fold(0_u64, |sum, slot| sum.saturating_add(slot.1));
        self.0.chunks(self.0.len() / bins).map(sum).collect()
    }

    /// The heaviest slots.
    pub fn heaviest(&self, limit: usize) -> Vec<Share> {
        let mut all: Vec<Share> = (0..SLOTS).map(|slot| self.range(slot..=slot)).filter(|s| s.keys > 0).collect();
        all.sort_by_key(|share| (u64::MAX - share.memory, *share.slots.start()));
        all.truncate(limit);
        all
    }

    /// How many slots have keys.
    pub fn used(&self) -> u64 {
        self.0.iter().filter(|(keys, _)| *keys > 0).count() as u64
    }
}

/// How much heavier the heaviest is than one would be if all were alike.
pub fn skew(shares: &[Share]) -> f64 {
    let total: u64 = shares.iter().map(|share| share.memory).sum();
    let heaviest = shares.iter().map(|share| share.memory).max().unwrap_or(0);
    if total == 0 { 1.0 } else { heaviest as f64 * shares.len() as f64 / total as f64 }
}
