//! Hash tables and skip lists: what a set, hash or sorted set takes that is not packed.

use super::blocks::{DICT_ENTRY, Facts, sds};
use crate::model::Kind;

/// Entries that a bucket of Valkey's hash table holds.
const BUCKET_ENTRIES: u64 = 7;
/// Bytes of such a bucket.
const BUCKET: u64 = 64;
/// Bytes of Valkey's `hashtable`.
pub(super) const HASHTABLE: u64 = 80;

impl Facts {
    /// An empty table with the buckets for `n` entries, without what the entries themselves take.
    pub(super) fn table(&self, n: u64, loaded: bool) -> f64 {
        if self.hashtables {
            return HASHTABLE as f64 + BUCKET as f64 * hashtable_buckets(n, loaded);
        }
        (self.dict + 8 * n.next_power_of_two().max(4)) as f64
    }

    /// A table that grew while it was filled, and still has the buckets that it had before.
    ///
    /// Each new entry takes those of one old bucket along, and of those that were to hold one entry each, 1 - 1/e do.
    pub(super) fn grown_table(&self, n: u64) -> f64 {
        let buckets = n.next_power_of_two().max(4);
        let old = buckets / 2;
        let moved = old as f64 * (1.0 - (-1.0_f64).exp());
        let rehashing = old >= 4 && n < buckets && (n as f64) < old as f64 + moved;
        self.table(n, true) + if rehashing { 8.0 * old as f64 } else { 0.0 }
    }

    /// What a member of a set takes in its table of so many.
    #[inline]
    pub(super) fn set_member(&self, len: u64) -> u64 {
        self.dict_entry + self.text(len)
    }

    /// What the entries of a table take beside what is counted with each: less than that in sets of Valkey 8.0, whose
    /// MEMORY USAGE knows of entries without a value; all of them where only what was allocated counts.
    pub(super) fn entries(&self, kind: Kind, n: u64) -> f64 {
        let server = self.server;
        if self.hashtables {
            return 0.0;
        }
        let valueless = match kind {
            Kind::Set => server.redis(7, 2),
            Kind::Zset => server.redis(8, 2),
            _ => server.redis(8, 6),
        };
        match self.allocated {
            true if valueless => self.valueless(n),
            true => (n * self.size(DICT_ENTRY)) as f64,
            false if kind == Kind::Set && server.valkey(8, 0) => self.valueless(n) - (n * DICT_ENTRY) as f64,
            false => 0.0,
        }
    }

    /// Entries without a value: the last of a bucket is the key itself.
    pub(super) fn valueless(&self, n: u64) -> f64 {
        let buckets = n.next_power_of_two().max(4) as f64;
        let used = buckets * (1.0 - (1.0 - 1.0 / buckets).powf(n as f64));
        (n as f64 - used) * self.size(16) as f64
    }

    /// What a field of a hash takes in its table.
    #[inline]
    pub(super) fn hash_field(&self, name: u64, value: u64, expires: bool) -> u64 {
        if self.server.redis(8, 6) {
            return self.dict_entry + self.entry_of_redis(name, value, expires);
        }
        if self.server.valkey(8, 1) {
            return self.entry_of_valkey(name, value, expires);
        }
        // Before the name stand its expiry and the links of the structure that finds expired fields.
        let field = if expires { self.size(sds(name) + 18) } else { self.text(name) };
        self.dict_entry + field + self.text(value)
    }

    /// Name and value in one allocation if they are short.
    fn entry_of_redis(&self, name: u64, value: u64, expires: bool) -> u64 {
        let expiry = if expires { 16 } else { 0 };
        // A name with more than itself to say needs the longer header.
        let long = sds(name).max(name + 4);
        let together = if expires { long } else { sds(name) } + value + 4 + expiry;
        if together <= 128 {
            return self.of_struct(together);
        }
        self.of_struct(long + 8 + expiry) + self.text(value)
    }

    fn entry_of_valkey(&self, name: u64, value: u64, expires: bool) -> u64 {
        let expiry = if expires { 8 } else { 0 };
        let together = sds(name) + value + 4 + expiry;
        if together <= 128 {
            return self.size(together);
        }
        let header = sds(name).max(name + 4);
        self.size(header + 8 + expiry) + self.size(sds(value))
    }

    /// The skip list and the object that it shares with the table, without the nodes.
    pub(super) fn skiplist(&self) -> u64 {
        let zset = 16;
        if self.server.valkey(9, 1) {
            // Its head is no node any more.
            return zset + 16 + 16 * 32;
        }
        let levels = if self.server.redis(5, 0) && !self.server.redis(6, 0) { 64 } else { 32 };
        let list = if self.server.redis(8, 6) { 40 } else { 32 };
        zset + list + self.size(24 + 16 * levels)
    }

    /// What a member of a sorted set takes in table and skip list, in the mean: the height of its node is random.
    #[inline]
    pub(super) fn zset_member(&self, len: u64) -> f64 {
        if self.server.redis(8, 6) {
            return self.dict_entry as f64 + self.node(16 + sds(len));
        }
        if self.server.valkey(9, 1) {
            return self.node(17 + sds(len));
        }
        // Redis 8.2 counts this table's entries by their own size, all others as if they had values.
        let entry = if self.server.redis(8, 2) && !self.allocated { 16 } else { self.dict_entry };
        (entry + self.text(len)) as f64 + self.node(24)
    }

    /// The mean size of a skip list's node of so many bytes and a random number of levels: a level more with a
    /// probability of one quarter.
    fn node(&self, bytes: u64) -> f64 {
        let mut left = 1.0;
        let mut mean = 0.0;
        for levels in 1..=12 {
            let here = if levels == 12 { left } else { left * 0.75 };
            mean += here * self.size(bytes + 16 * levels) as f64;
            left -= here;
        }
        mean
    }
}

/// The mean number of buckets of Valkey's hash table: those of the table, and those that hang on a full one.
fn hashtable_buckets(n: u64, loaded: bool) -> f64 {
    let buckets = if loaded {
        // Made for so many: five buckets for 32 entries.
        (n * 5).div_ceil(32).next_power_of_two()
    } else {
        // Grown: doubled when there are more entries than places.
        let mut buckets = 1;
        while n * 100 / (buckets * BUCKET_ENTRIES) > 100 {
            buckets *= 2;
        }
        buckets
    };
    buckets as f64 + chained(n, buckets)
}

/// The mean number of buckets that hang on others when `n` entries fall into so many at random.
fn chained(n: u64, buckets: u64) -> f64 {
    let chain = |entries: u64| entries.saturating_sub(BUCKET_ENTRIES).div_ceil(BUCKET_ENTRIES - 1);
    if buckets == 1 {
        return chain(n) as f64;
    }
    let mean = n as f64 / buckets as f64;
    let mut probability = (-mean).exp();
    let mut sum = 0.0;
    for entries in 1..48 {
        probability *= mean / entries as f64;
        sum += probability * chain(entries) as f64;
    }
    sum * buckets as f64
}
