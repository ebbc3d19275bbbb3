//! Which of several records with one name goes into the output.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use super::Duplicates;

/// The names so far.
pub(super) struct Names {
    pub(super) duplicates: Duplicates,
    pub(super) seeds: [RandomState; 2],
    seen: HashSet<u128>,
    /// With [`Duplicates::Last`]: which occurrence of a name is its last.
    last: HashMap<u128, u64>,
    ordinal: u64,
}

/// A name's identity: two different ones have the same one with a chance of 2^-128 a pair.
pub(super) fn id(seeds: &[RandomState; 2], db: u64, name: &[u8]) -> u128 {
    let [a, b] = seeds.each_ref().map(|seed| seed.hash_one((db, name)));
    u128::from(a) << 64 | u128::from(b)
}

impl Names {
    pub(super) fn new(duplicates: Duplicates) -> Names {
        let seeds = [RandomState::new(), RandomState::new()];
        Names { duplicates, seeds, seen: HashSet::new(), last: HashMap::new(), ordinal: 0 }
    }

    /// First pass, with [`Duplicates::Last`]: all names in their order.
    pub(super) fn survey(&mut self, ids: Vec<u128>) {
        self.last = ids.into_iter().zip(1..).collect();
    }

    /// Whether the next record of this name goes in.
    pub(super) fn admits(&mut self, id: u128) -> bool {
        self.ordinal += 1;
        match self.duplicates {
            Duplicates::Last => self.last.get(&id) == Some(&self.ordinal),
            Duplicates::First | Duplicates::Rename => self.seen.insert(id),
        }
    }

    /// A name like this one that nobody has yet; it is taken by that.
    pub(super) fn another(&mut self, db: u64, name: &[u8]) -> Vec<u8> {
        let mut n = 2_u64;
        loop {
            let other = [name, format!(":duplicate-{n}").as_bytes()].concat();
            if self.seen.insert(id(&self.seeds, db, &other)) {
                return other;
            }
            n += 1;
        }
    }
}
