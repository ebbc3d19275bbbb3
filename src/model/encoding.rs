//! The encoding that a server would choose by itself.
//!
//! A server converts a collection one way only: once a table, it stays a table. So a file can hold a small hash as
//! a table, and a backup that is to restore that exactly has to say so.

use super::limits::Limits;
use super::origin::Origin;
use super::types::Kind;

/// What decides an encoding.
#[derive(Clone, Copy, Default, Debug)]
pub struct Shape {
    /// Elements; pairs count once.
    pub count: u64,
    /// Length of the longest string in it: member, field or value.
    pub longest: usize,
    /// Whether every element is the canonical text of a 64-bit integer (sets).
    pub all_integers: bool,
    /// Whether a field has an expiry of its own.
    pub expiring: bool,
}

/// The encoding that a server of this version and with these limits gives to a collection of this shape: the names of
/// OBJECT ENCODING. `None` where the kind has but one.
pub fn conventional(kind: Kind, shape: Shape, origin: &Origin, limits: &Limits) -> Option<&'static str> {
    // From RDB version 10 (7.0) on listpacks have taken the place of ziplists; Valkey counts from 80 on.
    let packed = if origin.version >= 10 { "listpack" } else { "ziplist" };
    let small = |entries, bytes| shape.count <= entries && shape.longest <= bytes;
    Some(match kind {
        Kind::Hash if shape.expiring && origin.is_valkey() => "hashtable",
        Kind::Hash if small(limits.hash_entries, limits.hash_value) => match origin.version {
            _ if shape.expiring => "listpackex",
            0..2 => "hashtable",
            2..4 => "zipmap",
            _ => packed,
        },
        Kind::Hash => "hashtable",
        Kind::Zset if small(limits.zset_entries, limits.zset_value) && origin.version >= 2 => packed,
        Kind::Zset => "skiplist",
        Kind::Set if shape.all_integers && shape.count <= limits.intset_entries && origin.version >= 2 => "intset",
        Kind::Set if small(limits.set_entries, limits.set_value) && origin.version >= 11 => "listpack",
        Kind::Set => "hashtable",
        Kind::List if origin.version >= 7 => "quicklist",
        Kind::List if small(limits.list_entries, limits.list_value) && origin.version >= 2 => "ziplist",
        Kind::List => "linkedlist",
        _ => return None,
    })
}
