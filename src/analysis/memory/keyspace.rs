//! What a database takes beside its keys: the tables in which keys and expiries are found, as MEMORY STATS counts them.

use super::blocks::{DICT_ENTRY, Facts};
use super::tables::HASHTABLE;
use super::{Allocator, MemoryModel};

/// Bytes of an entry without a value.
const BARE_ENTRY: f64 = 16.0;

impl MemoryModel {
    /// The tables of a database of so many keys, of which so many have an expiry; without what MEMORY USAGE counts with
    /// each key.
    pub fn key_space(&self, keys: u64, expires: u64) -> u64 {
        let [main, expiries] = [keys, expires].map(|n| self.facts.buckets(n, self.loaded));
        let entries = match () {
            // The buckets hold the keys themselves.
            () if self.facts.hashtables => 0.0,
            () if self.facts.server.redis(8, 2) => bare_entries(keys) + bare_entries(expires),
            () => (expires * DICT_ENTRY) as f64,
        };
        (main + expiries + entries).round() as u64
    }

    /// The server and its allocator, in words.
    pub fn name(&self) -> String {
        let allocator = match self.facts.allocator {
            Allocator::Jemalloc => "jemalloc",
            Allocator::JemallocSystem | Allocator::JemallocSystemPaged => "the system's jemalloc",
            Allocator::Libc => "libc",
        };
        format!("{} with {allocator}", self.facts.server)
    }
}

impl Facts {
    /// The buckets of a table that holds `n`.
    fn buckets(&self, n: u64, loaded: bool) -> f64 {
        match n {
            0 => 0.0,
            _ => self.table(n, loaded) - if self.hashtables { HASHTABLE } else { self.dict } as f64,
        }
    }
}

/// Entries of a table without values: the first in a bucket needs none.
fn bare_entries(n: u64) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let buckets = n.next_power_of_two().max(4) as f64;
    let taken = buckets * -(-(n as f64) / buckets).exp_m1();
    BARE_ENTRY * (n as f64 - taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Allocator, Server};
    use crate::model::Origin;

    fn model(header: &[u8; 9], name: &[u8], version: &[u8]) -> MemoryModel {
        let mut origin = Origin::from_header(header).unwrap();
        origin.learn(name, version);
        MemoryModel::new(Server::of(&origin), Allocator::Jemalloc)
    }

    #[test]
    fn tables_are_those_that_memory_stats_shows() {
        let t = |model: MemoryModel, keys: u64, expires: u64| model.key_space(keys, expires);
        let redis = || model(b"REDIS0010", b"redis-ver", b"7.0.15");
        assert_eq!(t(redis(), 0, 0), 0);
        assert_eq!(t(redis(), 100_000, 50_000), 8 * (131_072 + 65_536) + 24 * 50_000);
    }
}
