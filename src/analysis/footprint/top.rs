//! The keys that have most of something.

use std::borrow::Cow;

use crate::model::{Entry, Eviction, Kind, slot};

/// A key is cut behind so many bytes.
const LONGEST: usize = 1024;

/// A key and what it takes.
#[derive(Clone, Debug)]
pub struct KeyUsage {
    /// The database.
    pub db: u64,
    /// The key, or how a very long one begins.
    pub key: Vec<u8>,
    /// What TYPE answers.
    pub type_name: Cow<'static, str>,
    /// The encoding.
    pub encoding: &'static str,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the record in the file.
    pub bytes: u64,
    /// Elements, or the length of a string; `None` for opaque values.
    pub elements: Option<u64>,
    /// Bytes of the longest element.
    pub longest: Option<u64>,
    /// Unix time in ms.
    pub expiry: Option<i64>,
    /// Idle time or access counter.
    pub eviction: Eviction,
    /// The cluster slot.
    pub slot: u16,
}

/// What keys are held against each other by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// Bytes of memory.
    Memory,
    /// Bytes in the file.
    Bytes,
    /// Elements.
    Elements,
    /// The longest element.
    Longest,
}

impl Measure {
    /// All of them, in the order of [`Tops`].
    pub const ALL: [Measure; 4] = [Measure::Memory, Measure::Bytes, Measure::Elements, Measure::Longest];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Memory => "memory",
            Measure::Bytes => "bytes in the file",
            Measure::Elements => "elements",
            Measure::Longest => "largest element",
        }
    }
}

/// What was measured of a key.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Bytes of memory.
    pub memory: u64,
    /// Elements, or the length of a string.
    pub elements: Option<u64>,
    /// Bytes of the longest element.
    pub longest: Option<u64>,
}

impl KeyUsage {
    /// What was measured of an entry.
    pub fn new(entry: &Entry<'_>, measured: &Measured) -> KeyUsage {
        KeyUsage {
            db: entry.db,
            key: entry.key[..entry.key.len().min(LONGEST)].to_vec(),
            type_name: entry.value.type_name(),
            encoding: entry.value.encoding(),
            memory: measured.memory,
            bytes: entry.size,
            elements: measured.elements,
            longest: measured.longest,
            expiry: entry.expiry,
            eviction: entry.eviction,
            slot: slot(entry.key),
        }
    }

    fn by(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Memory => self.memory,
            Measure::Bytes => self.bytes,
            Measure::Elements if self.type_name == "string" => 0,
            Measure::Elements => self.elements.unwrap_or(0),
            Measure::Longest => self.longest.unwrap_or(0),
        }
    }
}

impl Measured {
    /// Elements of a collection; the length of a string is no number of elements.
    pub fn items(&self, kind: Kind) -> u64 {
        if kind == Kind::String { 0 } else { self.elements.unwrap_or(0) }
    }
}

/// The first few keys by every measure. Of keys that have the same, those that come first in the file.
#[derive(Clone, Default, Debug)]
pub struct Tops {
    limit: usize,
    lists: [Vec<KeyUsage>; 4],
}

impl Tops {
    /// Lists of so many keys.
    pub fn new(limit: usize) -> Tops {
        Tops { limit, lists: Default::default() }
    }

    /// The keys that have most of this.
    pub fn by(&self, measure: Measure) -> &[KeyUsage] {
        &self.lists[measure as usize]
    }

    /// Empties the lists.
    pub fn clear(&mut self, limit: usize) {
        self.limit = limit;
        self.lists.iter_mut().for_each(Vec::clear);
    }

    /// Takes a key into the lists in which it has a place.
    #[inline]
    pub fn add(&mut self, entry: &Entry<'_>, measured: &Measured) {
        let values = [measured.memory, entry.size, measured.items(entry.value.kind()), measured.longest.unwrap_or(0)];
        for (i, measure) in Measure::ALL.into_iter().enumerate() {
            let list = &self.lists[i];
            let has_place = list.len() < self.limit || list.last().is_some_and(|last| last.by(measure) < values[i]);
            if has_place && values[i] > 0 {
                self.insert(i, KeyUsage::new(entry, measured));
            }
        }
    }

    /// Adds the lists of what comes later in the file.
    pub fn merge(&mut self, later: &Tops) {
        for i in 0..self.lists.len() {
            for row in &later.lists[i] {
                let list = &self.lists[i];
                let measure = Measure::ALL[i];
                if list.len() >= self.limit && list.last().is_some_and(|last| last.by(measure) >= row.by(measure)) {
                    break;
                }
                self.insert(i, row.clone());
            }
        }
    }

    fn insert(&mut self, i: usize, row: KeyUsage) {
        let measure = Measure::ALL[i];
        let list = &mut self.lists[i];
        let place = list.partition_point(|known| known.by(measure) >= row.by(measure));
        list.insert(place, row);
        list.truncate(self.limit);
    }
}
