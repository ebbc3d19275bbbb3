//! What a server takes beside its keys: itself, and the tables that the keys and their expiries are found by.

use super::MemoryModel;
use super::blocks::DICT_ENTRY;
use crate::model::SLOTS;

/// What there is beside the keys. `base + keys + expires`, and the sum of what all keys have allocated
/// ([`MemoryModel::as_allocated`]), make up `used_memory`, but for clients and replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overhead {
    /// A server without any keys: `used_memory_startup`.
    pub base: u64,
    /// The tables of all keys, as far as they are not counted with each.
    pub keys: u64,
    /// The tables of all expiries.
    pub expires: u64,
    /// What `used_memory_overhead` says: base and tables, and a part of what is counted with each key. The rest of
    /// `used_memory` is `used_memory_dataset`.
    pub reported: u64,
}

impl MemoryModel {
    /// What there is beside the keys, from the number of keys and of expiries in each database.
    pub fn keyspace(&self, keys_by_db: &[u64], expires_by_db: &[u64]) -> Overhead {
        /// Bytes of the object of each key, which the server counts as overhead.
        const OBJECT: u64 = 16;
        let server = self.facts.server;
        let entry = match () {
            () if self.facts.hashtables => 0,
            () if server.redis(8, 2) => 16,
            () => DICT_ENTRY,
        };
        let tables = |counts: &[u64]| counts.iter().map(|n| self.tables(*n)).sum::<f64>();
        let (all, expiring) = (keys_by_db.iter().sum::<u64>(), expires_by_db.iter().sum::<u64>());
        let (keys, expires) = (tables(keys_by_db), tables(expires_by_db));
        let base = self.base();
        let reported = base as f64 + keys + expires + (all * (entry + OBJECT) + expiring * entry) as f64;
        // Entries of keys are counted with the keys, until objects have their keys in themselves.
        let entries = |counts: &[u64]| counts.iter().map(|n| self.entries_of_keys(*n)).sum::<f64>();
        let with_keys = if server.redis(8, 2) { entries(keys_by_db) } else { 0.0 };
        Overhead {
            base,
            keys: (keys + with_keys) as u64,
            expires: (expires + entries(expires_by_db)) as u64,
            reported: reported as u64,
        }
    }

    /// The buckets of one database: a table, or a table for each slot.
    fn tables(&self, n: u64) -> f64 {
        let table = |n: u64| self.facts.table(n, self.loaded) - self.facts.table(0, true);
        if n == 0 {
            return 0.0;
        }
        if !self.cluster || !(self.facts.server.redis(7, 4) || self.facts.server.valkey(8, 0)) {
            return table(n);
        }
        let used = f64::from(SLOTS) * (1.0 - (-(n as f64) / f64::from(SLOTS)).exp());
        used * (self.facts.table((n as f64 / used).round() as u64, self.loaded))
    }

    fn entries_of_keys(&self, n: u64) -> f64 {
        let facts = &self.facts;
        match () {
            () if facts.hashtables => 0.0,
            () if facts.server.redis(8, 2) => facts.valueless(n),
            () => (n * facts.size(DICT_ENTRY)) as f64,
        }
    }

    /// Measured on servers just started, with their defaults.
    fn base(&self) -> u64 {
        let server = self.facts.server;
        match () {
            () if server.valkey(9, 0) => 922_000,
            () if server.valkey(8, 1) => 892_000,
            () if server.valkey(8, 0) => 929_000,
            () if server.redis(8, 8) => 741_000,
            () if server.redis(8, 6) => 716_000,
            () if server.redis(8, 0) => 667_000,
            () if server.redis(7, 2) => 906_000,
            () if server.redis(7, 0) => 876_000,
            () if server.redis(6, 0) => 809_000,
            () => 792_000,
        }
    }
}
