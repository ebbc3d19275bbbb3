//! Whether a key stands twice in a file, found while all cores read it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Mutex;

use foldhash::quality::FixedState;

/// How many parts the table has, so that workers seldom wait for each other.
const PARTS: usize = 256;

/// Every key so far, as 16 bytes: 80 bits of a hash of database and name, and 48 of its place. Two different keys out of a
/// billion are taken for one with a chance of one in two million.
pub struct Keys {
    parts: Vec<Mutex<HashMap<Seen, (), Straight>>>,
    seeds: [FixedState; 2],
}

/// The bits of a place.
const PLACE: u32 = 48;

/// The hash of a key above its place.
#[derive(Clone, Copy)]
struct Seen(u128);

impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        self.0 >> PLACE == other.0 >> PLACE
    }
}

impl Eq for Seen {}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64((self.0 >> 64) as u64);
    }
}

/// What is a hash already needs no other.
#[derive(Clone, Copy, Default)]
struct Straight;

impl BuildHasher for Straight {
    type Hasher = Passed;

    fn build_hasher(&self) -> Passed {
        Passed(0)
    }
}

struct Passed(u64);

impl Hasher for Passed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |n, b| n << 8 | u64::from(*b));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Default for Keys {
    fn default() -> Keys {
        // Random, so that nobody can make two names that look the same.
        let random = RandomState::new();
        let seeds = [0, 1].map(|i| FixedState::with_seed(random.hash_one(i)));
        Keys { parts: (0..PARTS).map(|_| Mutex::default()).collect(), seeds }
    }
}

impl Keys {
    /// Notes a key; says where the same one was seen before, if it was.
    pub fn note(&self, db: u64, key: &[u8], place: u64) -> Option<u64> {
        const PLACES: u128 = (1 << PLACE) - 1;
        let [high, low] = self.seeds.each_ref().map(|seed| {
            let mut hasher = seed.build_hasher();
            hasher.write_u64(db);
            hasher.write(key);
            hasher.finish()
        });
        let seen = Seen(u128::from(high) << 64 | u128::from(low >> PLACE << PLACE) | u128::from(place) & PLACES);
        // The table uses the highest and the lowest bits for itself.
        let part = &self.parts[(high >> 40) as usize % PARTS];
        match part.lock().expect("nothing panics while it has a part").entry(seen) {
            Entry::Vacant(empty) => {
                empty.insert(());
                None
            }
            Entry::Occupied(there) => Some((there.key().0 & PLACES) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_in_the_same_database_is_the_same() {
        let keys = Keys::default();
        for i in 0..10_000_u64 {
            assert_eq!(keys.note(0, format!("key:{i}").as_bytes(), 100 + i), None);
        }
        assert_eq!(keys.note(1, b"key:7", 5), None);
        assert_eq!(keys.note(0, b"key:7", 5), Some(107));
        assert_eq!(keys.note(0, b"key:70000", u64::MAX), None);
    }
}
