//! What is noticed of keys on the way, for the findings.

use super::tally::Weighed;
use super::top::Measured;
use crate::codec::{Cursor, Str};
use crate::model::{Entry, Kind, Limits, RdbType};

/// A group of keys with one of them as an example.
#[derive(Clone, Default, Debug)]
pub struct Noticed {
    /// How many.
    pub keys: u64,
    /// Their memory.
    pub memory: u64,
    /// The one with the most memory, and how much that is.
    pub example: Option<(Vec<u8>, u64)>,
    /// What the example has, where that matters: elements, or bytes.
    pub detail: u64,
}

/// All that is noticed.
#[derive(Clone, Default, Debug)]
pub struct Hints {
    /// Hashes, sets and sorted sets with just more elements than the compact encoding takes.
    pub over_entries: [Noticed; 3],
    /// The same, with just longer elements than it takes.
    pub over_value: [Noticed; 3],
    /// Collections of very many elements.
    pub huge: Noticed,
    /// Strings that are very long.
    pub long_strings: Noticed,
    /// Bytes of all names of keys.
    pub names: u64,
    /// Memory of short strings.
    pub short_strings: Noticed,
    /// What is in them: bytes of names and values.
    pub short_content: u64,
    /// Long strings that the file compresses.
    pub compressible: Noticed,
    /// Their bytes as they are.
    pub plain: u64,
    /// Their bytes as they are in the file.
    pub packed: u64,
    /// What has expired by now, whatever the time of the dump.
    pub expired: Noticed,
    /// Values that could not be decoded: counted with their bytes in the file.
    pub damaged: u64,
}

/// The kinds that have a compact encoding with limits, in the order of [`Hints::over_entries`].
pub const COMPACT: [Kind; 3] = [Kind::Hash, Kind::Set, Kind::Zset];

/// More elements than this are very many: removing or reading them in one command keeps a server busy.
pub(super) const HUGE: u64 = 100_000;

/// A string longer than this is long.
pub(super) const LONG: u64 = 1_000_000;

/// A string no longer than this is short.
const SHORT: u64 = 64;

/// Compression of shorter strings is not worth a client's while.
const WORTH_PACKING: u64 = 1000;

impl Noticed {
    fn note(&mut self, entry: &Entry<'_>, key: &Weighed, detail: u64) {
        self.keys += key.weight;
        self.memory = self.memory.saturating_add(key.weight.saturating_mul(key.memory));
        if self.example.as_ref().is_none_or(|(_, memory)| key.memory > *memory) {
            let name = &entry.key[..entry.key.len().min(200)];
            self.example = Some((name.to_vec(), key.memory));
            self.detail = detail;
        }
    }

    fn merge(&mut self, later: &Noticed) {
        self.keys += later.keys;
        self.memory = self.memory.saturating_add(later.memory);
        let is_larger = |(_, memory): &(Vec<u8>, u64)| self.example.as_ref().is_none_or(|(_, known)| memory > known);
        if later.example.as_ref().is_some_and(is_larger) {
            self.example.clone_from(&later.example);
            self.detail = later.detail;
        }
    }
}

impl Hints {
    #[inline]
    pub(super) fn add(&mut self, entry: &Entry<'_>, key: &Weighed, measured: &Measured, now: i64) {
        self.names += key.weight * entry.key.len() as u64;
        if entry.expiry.is_some_and(|at| at <= now) {
            self.expired.note(entry, key, 0);
        }
        match entry.value.rdb_type {
            RdbType::String => self.string(entry, key, measured.elements.unwrap_or(0)),
            _ => self.collection(entry, key, measured),
        }
    }

    fn string(&mut self, entry: &Entry<'_>, key: &Weighed, len: u64) {
        if len <= SHORT {
            self.short_strings.note(entry, key, len);
            self.short_content += key.weight * (entry.key.len() as u64 + len);
        }
        if len > LONG {
            self.long_strings.note(entry, key, len);
        }
        if len >= WORTH_PACKING
            && let Ok(Str::Lzf { packed, .. }) = Str::read(&mut Cursor::new(entry.value.bytes))
        {
            self.compressible.note(entry, key, len);
            self.plain = self.plain.saturating_add(key.weight.saturating_mul(len));
            self.packed = self.packed.saturating_add(key.weight.saturating_mul(packed.len() as u64));
        }
    }

    fn collection(&mut self, entry: &Entry<'_>, key: &Weighed, measured: &Measured) {
        let elements = measured.elements.unwrap_or(0);
        if elements > HUGE {
            self.huge.note(entry, key, elements);
        }
        let is_table = matches!(entry.value.encoding(), "hashtable" | "skiplist");
        let Some(i) = COMPACT.iter().position(|kind| is_table && *kind == key.kind) else { return };
        let (entries, value) = limits(key.kind, entry.value.origin.version);
        let longest = measured.longest.unwrap_or(0);
        let is_just_over = |n: u64, limit: u64| n > limit && n <= limit + limit / 4;
        if is_just_over(elements, entries) && longest <= value {
            self.over_entries[i].note(entry, key, elements);
        } else if is_just_over(longest, value) && elements <= entries {
            self.over_value[i].note(entry, key, longest);
        }
    }

    pub(super) fn merge(&mut self, later: &Hints) {
        for (all, more) in self.over_entries.iter_mut().zip(&later.over_entries) {
            all.merge(more);
        }
        for (all, more) in self.over_value.iter_mut().zip(&later.over_value) {
            all.merge(more);
        }
        self.huge.merge(&later.huge);
        self.long_strings.merge(&later.long_strings);
        self.short_strings.merge(&later.short_strings);
        self.compressible.merge(&later.compressible);
        self.expired.merge(&later.expired);
        self.names += later.names;
        self.short_content += later.short_content;
        self.plain = self.plain.saturating_add(later.plain);
        self.packed = self.packed.saturating_add(later.packed);
        self.damaged += later.damaged;
    }
}

/// Elements, and bytes of the longest, up to which a server has this kind in its compact encoding by default.
pub(super) fn limits(kind: Kind, version: u32) -> (u64, u64) {
    let limits = Limits::default();
    match kind {
        Kind::Hash => (limits.hash_entries, limits.hash_value as u64),
        Kind::Zset => (limits.zset_entries, limits.zset_value as u64),
        // Before 7.2 only sets of integers were compact.
        _ if version < 11 => (0, 0),
        _ => (limits.set_entries, limits.set_value as u64),
    }
}
