//! What everything is built of: strings, objects, keys.

use super::server::{Allocator, Server};

/// Bytes of a `robj`.
pub(super) const OBJECT: u64 = 16;
/// Bytes of a `dictEntry`.
pub(super) const DICT_ENTRY: u64 = 24;

/// How a key hangs in the key space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum KeyForm {
    /// A `dictEntry` points to the key's string and to the value's object.
    Entry,
    /// The entry has the key's string in itself (Valkey 8.0).
    EntryWithKey,
    /// The value's object has the key's string in itself (Redis 8.2, Valkey 8.1).
    ObjectWithKey,
}

/// The facts of a server that the formulas depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) server: Server,
    pub(super) allocator: Allocator,
    key: KeyForm,
    /// Strings count as they were asked for, and not as the allocator rounds them (before 6.0, from Redis 8.6 on).
    pub(super) requested: bool,
    /// So do listpacks and the like (before 7.0, from Redis 8.6 on).
    pub(super) packed_requested: bool,
    /// Compact values are listpacks and not ziplists (7.0).
    pub(super) listpacks: bool,
    /// Hash tables are Valkey's own (8.1) and no dicts.
    pub(super) hashtables: bool,
    /// `sizeof(dict)`.
    pub(super) dict: u64,
}

/// Bytes of a string (`sds`): header, bytes, terminator.
#[inline]
pub(super) fn sds(len: u64) -> u64 {
    let header = match len {
        // An empty string is expected to grow.
        0 => 3,
        1..32 => 1,
        32..256 => 3,
        256..65_536 => 5,
        65_536..0x1_0000_0000 => 9,
        _ => 17,
    };
    header + len + 1
}

impl Facts {
    pub(super) fn new(server: Server, allocator: Allocator) -> Facts {
        Facts {
            server,
            allocator,
            key: match () {
                () if server.redis(8, 2) || server.valkey(8, 1) => KeyForm::ObjectWithKey,
                () if server.valkey(8, 0) => KeyForm::EntryWithKey,
                () => KeyForm::Entry,
            },
            requested: !server.redis(6, 0) || server.redis(8, 6),
            packed_requested: !server.redis(7, 0) || server.redis(8, 6),
            listpacks: server.redis(7, 0),
            hashtables: server.valkey(8, 1),
            dict: if server.redis(7, 0) { 56 } else { 96 },
        }
    }

    /// Bytes of an allocation.
    #[inline]
    pub(super) fn size(&self, n: u64) -> u64 {
        self.allocator.size(n)
    }

    /// Bytes that count for a string in an allocation of its own.
    #[inline]
    pub(super) fn text(&self, len: u64) -> u64 {
        if self.requested { sds(len) } else { self.size(sds(len)) }
    }

    /// Bytes that count for a listpack, ziplist or intset of this size.
    #[inline]
    pub(super) fn packed(&self, len: u64) -> u64 {
        if self.packed_requested { len } else { self.size(len) }
    }

    /// Object and key of a value that lies in allocations of its own, or of an integer. `slots`: the expiry and classes
    /// of metadata that the key has.
    #[inline]
    pub(super) fn object(&self, key: u64, slots: u64) -> u64 {
        match self.key {
            KeyForm::Entry => OBJECT + DICT_ENTRY + self.text(key),
            KeyForm::EntryWithKey => OBJECT + self.size(17 + sds(key)),
            KeyForm::ObjectWithKey => self.size(self.object_with_key(key, slots)),
        }
    }

    fn object_with_key(&self, key: u64, slots: u64) -> u64 {
        // A long key gets room for an expiry from the start.
        let slots = if key >= 128 { slots.max(1) } else { slots };
        OBJECT + 8 * slots + 1 + sds(key)
    }

    /// All of a key whose value is a string of this length.
    pub(super) fn string(&self, key: u64, slots: u64, len: u64) -> u64 {
        /// The longest string that shares the object's allocation.
        const EMBEDDED: u64 = 44;
        let embedded = len + 4;
        if self.key != KeyForm::ObjectWithKey {
            let value = match len {
                0..=EMBEDDED if self.server.redis(7, 0) => self.size(OBJECT + embedded),
                // So MEMORY USAGE says; it takes more.
                0..=EMBEDDED => OBJECT + 2 + len,
                _ => OBJECT + self.text(len),
            };
            return self.object(key, slots) - OBJECT + value;
        }
        let base = self.object_with_key(key, slots);
        if self.hashtables {
            let (fits, together) = if self.server.valkey(9, 0) {
                (base - 8 + embedded <= 128, base.max(base - 8 + embedded))
            } else {
                (base + embedded <= 64, base + embedded)
            };
            return if fits { self.size(together) } else { self.size(base) + self.size(sds(len)) };
        }
        match OBJECT + key + 3 + embedded <= 64 {
            true => self.size(base + embedded),
            false => self.size(base) + self.text(len),
        }
    }
}
