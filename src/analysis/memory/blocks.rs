//! What everything is built of: strings, objects, keys.

use super::server::{Allocator, Server};

/// Bytes of a `robj`.
pub(super) const OBJECT: u64 = 16;
/// Bytes of a `dictEntry`.
pub(super) const DICT_ENTRY: u64 = 24;

/// The longest string that shares its object's allocation.
const EMBEDDED: u64 = 44;

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
    /// What an entry of the key space has beside: links between the keys of a slot (7.0 and 7.2 in cluster mode).
    slot_links: u64,
    /// A short key has the header that it had as the argument of a command (as saved: 4.0, Valkey 8.0).
    long_headers: bool,
    /// Everything counts as it was allocated, whatever MEMORY USAGE says.
    pub(super) allocated: bool,
    /// MEMORY USAGE leaves out a key that lies in an object with a value elsewhere (Valkey 8.1).
    forgets_key: bool,
    /// Strings count as they were asked for, and not as the allocator rounds them (before 6.0).
    requested: bool,
    /// So do the shortest, which don't know what was allocated (from Redis 8.6 on).
    short_requested: bool,
    /// So do listpacks and the like (before 7.0, from Redis 8.6 on).
    pub(super) packed_requested: bool,
    /// Compact values are listpacks and not ziplists (7.0).
    pub(super) listpacks: bool,
    /// Hash tables are Valkey's own (8.1) and no dicts.
    pub(super) hashtables: bool,
    /// `sizeof(dict)`.
    pub(super) dict: u64,
    /// What counts for an entry of a dict; nothing in Valkey's tables. Entries without a value are smaller (Redis 8.8).
    pub(super) dict_entry: u64,
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
            slot_links: 0,
            allocated: false,
            long_headers: server.redis(4, 0) && !server.redis(5, 0) || server.valkey(8, 0),
            server,
            allocator,
            key: match () {
                () if server.redis(8, 2) || server.valkey(8, 1) => KeyForm::ObjectWithKey,
                () if server.valkey(8, 0) => KeyForm::EntryWithKey,
                () => KeyForm::Entry,
            },
            forgets_key: server.valkey(8, 1) && !server.valkey(9, 0),
            requested: !server.redis(6, 0),
            short_requested: server.redis(8, 6),
            packed_requested: !server.redis(7, 0) || server.redis(8, 6),
            listpacks: server.redis(7, 0),
            hashtables: server.valkey(8, 1),
            dict_entry: match () {
                () if server.valkey(8, 1) => 0,
                () if server.redis(8, 8) => 16,
                () => DICT_ENTRY,
            },
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
        if self.requested || self.short_requested && (1..32).contains(&len) { sds(len) } else { self.size(sds(len)) }
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
            KeyForm::Entry => {
                OBJECT + self.of_struct(DICT_ENTRY + self.slot_links) + self.text(key) + self.long_header(key)
            }
            KeyForm::EntryWithKey => OBJECT + self.size(17 + sds(key) + self.long_header(key)),
            // Its MEMORY USAGE forgets the key.
            KeyForm::ObjectWithKey if self.forgets_key => OBJECT,
            KeyForm::ObjectWithKey if self.server.redis(8, 8) && !self.allocated => self.object_with_key(key, slots),
            KeyForm::ObjectWithKey => self.size(self.object_with_key(key, slots)),
        }
    }

    /// What a header is longer for being that of a command's argument.
    fn long_header(&self, key: u64) -> u64 {
        if self.long_headers && (1..32).contains(&key) { 2 } else { 0 }
    }

    /// The same as the server has it after loading a file.
    pub(super) fn after_load(self) -> Facts {
        Facts { long_headers: false, ..self }
    }

    /// The same with what was allocated in the place of what MEMORY USAGE counts.
    pub(super) fn as_allocated(self) -> Facts {
        Facts {
            allocated: true,
            requested: false,
            short_requested: false,
            packed_requested: false,
            forgets_key: false,
            dict_entry: 0,
            ..self
        }
    }

    /// Bytes of a struct that MEMORY USAGE counts by its size alone.
    #[inline]
    pub(super) fn of_struct(&self, n: u64) -> u64 {
        if self.allocated { self.size(n) } else { n }
    }

    /// The same in cluster mode.
    pub(super) fn in_cluster(self) -> Facts {
        let server = self.server;
        let slot_links = match () {
            () if server.redis(7, 4) || server.valkey(8, 0) || !server.redis(7, 0) => 0,
            () if server.redis(7, 2) => 8,
            () => 16,
        };
        Facts { slot_links, ..self }
    }

    fn object_with_key(&self, key: u64, slots: u64) -> u64 {
        // A long key gets room for an expiry from the start.
        let slots = if key >= 128 { slots.max(1) } else { slots };
        OBJECT + 8 * slots + 1 + sds(key)
    }

    /// The key's object, where MEMORY USAGE leaves it out and asks the module alone (before Redis 8.2).
    pub(super) fn head_of_module(&self) -> u64 {
        if self.key == KeyForm::ObjectWithKey { 0 } else { OBJECT }
    }

    /// A string with an object of its own, as modules have them.
    pub(super) fn object_of(&self, len: u64) -> u64 {
        if len <= EMBEDDED { self.size(OBJECT + len + 4) } else { OBJECT + self.size(sds(len)) }
    }

    /// All of a key whose value is a string of this length.
    pub(super) fn string(&self, key: u64, slots: u64, len: u64) -> u64 {
        let embedded = len + 4;
        if self.key != KeyForm::ObjectWithKey {
            let value = match len {
                0..=EMBEDDED if self.server.redis(7, 0) || self.allocated => self.size(OBJECT + embedded),
                // So MEMORY USAGE says; it takes more.
                0..=EMBEDDED => OBJECT + 2 + len,
                _ => OBJECT + self.text(len),
            };
            return self.object(key, slots) - OBJECT + value;
        }
        let base = self.object_with_key(key, slots);
        let (estimate, limit, together) = match () {
            () if self.server.valkey(9, 0) && !self.server.valkey(9, 1) => {
                (OBJECT + 1 + sds(key) + embedded, 64, base + embedded)
            }
            () if self.server.valkey(9, 1) => (base - 8 + embedded, 128, base.max(base - 8 + embedded)),
            // For the key's string the servers guess its header, and Redis forgets the expiry from 8.4 on.
            () if self.server.redis(8, 4) => (OBJECT + key + 3 + embedded, 64, base + embedded),
            () => (OBJECT + 8 * slots + key + 3 + embedded, 64, base + embedded),
        };
        if estimate <= limit {
            return self.size(together);
        }
        self.object(key, slots) + self.text(len)
    }
}
