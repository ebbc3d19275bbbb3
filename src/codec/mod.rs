//! Bytes: the encodings that an RDB file is made of, one file each. Nothing here knows records, keys or files.
//!
//! Facts about the layouts come from the servers' sources and from files that real servers saved; the comments name
//! the server's own function where there is one.

pub mod array;
pub mod crc64;
pub mod cursor;
pub mod double;
pub mod intset;
pub mod item;
pub mod length;
pub mod listpack;
pub mod lzf;
pub mod module;
pub(crate) mod order;
pub mod packed;
pub mod stream;
pub mod string;
pub mod vectorset;
pub mod ziplist;
pub mod zipmap;

pub use cursor::Cursor;
pub use item::Item;
pub use packed::Packed;
pub use string::Str;

/// The opcodes: first bytes of records that are not keys. The rest of the byte range are object types.
pub mod opcode {
    /// Hash template definition (Redis 8.10).
    pub const HASH_TEMPLATE: u8 = 242;
    /// Key metadata (Redis 8.6); in a file with Valkey's magic the same byte is [`SLOT_IMPORT`].
    pub const KEY_META: u8 = 243;
    /// An unfinished slot import (Valkey 9).
    pub const SLOT_IMPORT: u8 = 243;
    /// Keys and expiries of the slot that follows (Redis 7.4, cluster mode).
    pub const SLOT_INFO: u8 = 244;
    /// A function library.
    pub const FUNCTION2: u8 = 245;
    /// A function library as the release candidates of Redis 7.0 wrote it.
    pub const FUNCTION_PRE_GA: u8 = 246;
    /// A module's data outside the key space.
    pub const MODULE_AUX: u8 = 247;
    /// LRU idle time of the next key, in seconds.
    pub const IDLE: u8 = 248;
    /// LFU counter of the next key.
    pub const FREQ: u8 = 249;
    /// A named fact about the file.
    pub const AUX: u8 = 250;
    /// How many keys and expiries the database has: a hint.
    pub const RESIZEDB: u8 = 251;
    /// Expiry of the next key, Unix time in milliseconds.
    pub const EXPIRETIME_MS: u8 = 252;
    /// Expiry of the next key, Unix time in seconds.
    pub const EXPIRETIME: u8 = 253;
    /// The keys that follow are in this database.
    pub const SELECTDB: u8 = 254;
    /// The end of the records.
    pub const EOF: u8 = 255;
    /// Dragonfly: flags of the next key.
    pub const DRAGONFLY_KEY_MASK: u8 = 220;
}
