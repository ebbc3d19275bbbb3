//! Whether a key stands twice in a file, found while all cores read it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;

use foldhash::quality::FixedState;

/// How many parts the table has, so that workers seldom wait for each other.
const PARTS: usize = 256;

/// Every key so far: 72 bits of a hash of database and name, and 48 of its place, in 19 to 25 bytes. Two different keys
/// out of a billion are taken for one with a chance of one in nine thousand.
pub(super) struct Keys {
    parts: Vec<Mutex<Part>>,
    seeds: [FixedState; 2],
}

/// A key's hash: which part, and what it is in there (never 0).
#[derive(Clone, Copy)]
struct Hashed {
    part: u8,
    tag: u64,
}

/// Hashes in the order of their values, as far as there is room: each stands at the place that its value says, or as
/// near behind it as can be. So a larger table is filled from begin to end.
#[derive(Default)]
struct Part {
    slots: Vec<Slot>,
    count: usize,
}

/// A tag (0 where there is none) and a place of 48 bits, side by side: what is looked at together is fetched together.
type Slot = [u8; 14];

const EMPTY: Slot = [0; 14];

#[inline]
fn slot(tag: u64, place: u64) -> Slot {
    let mut slot = EMPTY;
    slot[..8].copy_from_slice(&tag.to_le_bytes());
    slot[8..].copy_from_slice(&place.to_le_bytes()[..6]);
    slot
}

#[inline]
fn tag_of(slot: &Slot) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *slot;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[inline]
fn place_of(slot: &Slot) -> u64 {
    let [.., a, b, c, d, e, f] = *slot;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

impl Part {
    /// Where a tag belongs in a table of this size.
    #[inline]
    fn home(tag: u64, size: usize) -> usize {
        ((u128::from(tag) * size as u128) >> 64) as usize
    }

    /// Notes a tag; says where the same one was seen before, if it was.
    #[inline]
    fn note(&mut self, tag: u64, place: u64) -> Option<u64> {
        if self.count >= self.slots.len() / 4 * 3 {
            self.grow();
        }
        let size = self.slots.len();
        let mut at = Part::home(tag, size);
        loop {
            let found = &mut self.slots[at];
            match tag_of(found) {
                0 => {
                    *found = slot(tag, place);
                    self.count += 1;
                    return None;
                }
                other if other == tag => return Some(place_of(found)),
                _ => at = if at + 1 == size { 0 } else { at + 1 },
            }
        }
    }

    /// Has all that will be looked at fetched at once, instead of waiting for one after the other.
    #[inline]
    fn touch(&self, tags: impl Iterator<Item = u64>) {
        let size = self.slots.len();
        let there = tags.map(|tag| self.slots.get(Part::home(tag, size)).map_or(0, tag_of));
        std::hint::black_box(there.fold(0, |all, tag| all ^ tag));
    }

    #[cold]
    fn grow(&mut self) {
        const SMALLEST: usize = 64;
        let size = (self.slots.len() / 3 * 4).max(SMALLEST).next_multiple_of(8);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; size]);
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            let mut at = Part::home(tag_of(&slot), size);
            while self.slots[at] != EMPTY {
                at = if at + 1 == size { 0 } else { at + 1 };
            }
            self.slots[at] = slot;
        }
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

/// What is known of a key that is noted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Known {
    /// Its unit in the batch.
    pub(super) unit: usize,
    /// Its database.
    pub(super) db: u64,
    /// Where it stands in the file.
    pub(super) place: u64,
}

/// The keys of a batch, before they are noted: all of one part at once, so that neither locks nor memory are waited for
/// once a key.
#[derive(Default)]
pub(super) struct Noted {
    keys: Vec<(Hashed, Known)>,
    order: Vec<u32>,
}

impl Noted {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }

    /// Adds a key.
    #[inline]
    pub(super) fn add(&mut self, keys: &Keys, key: &[u8], known: Known) {
        self.keys.push((keys.hash(known.db, key), known));
    }

    /// Puts the keys in order, part by part: where those of each part end.
    fn sort(&mut self) -> [u32; PARTS] {
        let mut ends = [0_u32; PARTS];
        self.keys.iter().for_each(|(hashed, _)| ends[usize::from(hashed.part)] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        self.order.clear();
        self.order.resize(self.keys.len(), 0);
        for (i, (hashed, _)) in self.keys.iter().enumerate() {
            let end = &mut ends[usize::from(hashed.part)];
            self.order[*end as usize] = i as u32;
            *end += 1;
        }
        ends
    }
}

impl Keys {
    #[inline]
    fn hash(&self, db: u64, key: &[u8]) -> Hashed {
        let [tag, part] = self.seeds.each_ref().map(|seed| {
            let mut hasher = seed.build_hasher();
            hasher.write_u64(db);
            hasher.write(key);
            hasher.finish()
        });
        Hashed { part: part as u8, tag: tag.max(1) }
    }

    /// Notes the keys of a batch. Gives those that were seen before, and where that was.
    pub(super) fn note(&self, noted: &mut Noted, twin: &mut dyn FnMut(Known, u64)) {
        let (mut start, ends) = (0, noted.sort());
        for (part, end) in self.parts.iter().zip(ends) {
            let mine = &noted.order[start..end as usize];
            start = end as usize;
            if mine.is_empty() {
                continue;
            }
            let mut part = part.lock().expect("nothing panics while it has a part");
            part.touch(mine.iter().map(|i| noted.keys[*i as usize].0.tag));
            for i in mine {
                let (Hashed { tag, .. }, known) = noted.keys[*i as usize];
                if let Some(other) = part.note(tag, known.place) {
                    twin(known, other);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(keys: &Keys, names: &[(u64, &str, u64)]) -> Vec<(usize, u64, u64)> {
        let (mut noted, mut twins) = (Noted::default(), Vec::new());
        for (unit, &(db, key, place)) in names.iter().enumerate() {
            noted.add(keys, key.as_bytes(), Known { unit, db, place });
        }
        keys.note(&mut noted, &mut |known, other| twins.push((known.unit, known.place, other)));
        twins
    }

    #[test]
    fn the_same_key_in_the_same_database_is_the_same() {
        let keys = Keys::default();
        let names: Vec<String> = (0..200_000).map(|i| format!("key:{i}")).collect();
        for some in (0..200_000).collect::<Vec<usize>>().chunks(777) {
            let some: Vec<_> = some.iter().map(|i| (0, names[*i].as_str(), 100 + *i as u64)).collect();
            assert_eq!(note(&keys, &some), []);
        }
        let again = [(1, "key:7", 5), (0, "key:7", 5), (0, "key:700000", (1 << 48) - 1), (0, "key:199999", 6)];
        let mut twins = note(&keys, &again);
        twins.sort_unstable();
        assert_eq!(twins, [(1, 5, 107), (3, 6, 200_099)]);
        assert_eq!(note(&keys, &[(0, "key:700000", 9)]), [(0, 9, (1 << 48) - 1)]);
    }

    #[test]
    fn a_key_takes_few_bytes() {
        let keys = Keys::default();
        let mut noted = Noted::default();
        for i in 0..300_000 {
            noted.add(&keys, format!("key:{i}").as_bytes(), Known { unit: 0, db: 0, place: i });
        }
        keys.note(&mut noted, &mut |_, _| panic!("all are different"));
        let room: usize = keys.parts.iter().map(|part| part.lock().unwrap().slots.len() * 14).sum();
        assert!(room < 300_000 * 26, "{room}");
    }
}
