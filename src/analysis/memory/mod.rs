//! How much memory a key takes in a server: what `MEMORY USAGE key SAMPLES 0` would say of it.
//!
//! The formulas follow what the servers' `objectComputeSize` and its successors count, and were held against servers of
//! each generation, so they have their gaps, too: a table of expiries, the buckets of the key space and what an allocator
//! adds to small structs are in none of them ([`MemoryModel::as_allocated`] and [`MemoryModel::keyspace`] have all that).
//! What the file cannot tell: room that a string was given to grow, old buckets of a table that is still being rehashed,
//! the heights of a skip list's nodes (their mean is taken), compressed nodes of lists, the values of modules.

mod arrays;
mod blocks;
mod collections;
mod keyspace;
mod lists;
mod modules;
mod rax;
mod server;
mod streams;
mod tables;
mod vset;

pub use keyspace::Overhead;
pub use server::{Allocator, Server};

use crate::codec::string::canonical_integer;
use crate::codec::{Cursor, Str};
use crate::error::{Error, Result};
use crate::model::{Entry, Kind, Limits, RdbType, Scratch, Value};

use blocks::Facts;
use rax::RaxCounter;

/// What a key takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Bytes, of key and value.
    pub bytes: u64,
    /// Elements; the length of a string.
    pub elements: u64,
    /// Bytes of the longest element: item, member, field, value.
    pub largest: u64,
}

/// The formulas of a server and its allocator, with buffers of their own: every worker has its own.
#[derive(Clone)]
pub struct MemoryModel {
    facts: Facts,
    limits: Limits,
    /// Whether values are as the server makes them of a file, and not as it had them when it saved.
    loaded: bool,
    cluster: bool,
    blob: Vec<u8>,
    rax: RaxCounter,
    /// Trees of the names of groups and of consumers.
    names: [RaxCounter; 2],
    expiries: Vec<i64>,
    pending: Vec<u128>,
}

/// What there is in a value, and what it takes without the key's own object.
#[derive(Clone, Copy, Default)]
struct Part {
    bytes: f64,
    elements: u64,
    largest: u64,
}

impl MemoryModel {
    /// What keys took in a server of this kind when it saved them.
    pub fn new(server: Server, allocator: Allocator) -> MemoryModel {
        MemoryModel {
            facts: Facts::new(server, allocator),
            limits: Limits::default(),
            loaded: false,
            cluster: false,
            blob: Vec::new(),
            rax: RaxCounter::default(),
            names: Default::default(),
            expiries: Vec::new(),
            pending: Vec::new(),
        }
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

    /// What keys will take in the server when it has loaded the file: in the encodings that it gives them, whatever
    /// those in the file are.
    pub fn after_load(mut self) -> MemoryModel {
        self.loaded = true;
        self.facts = self.facts.after_load();
        self
    }

    /// What is really allocated for keys, which is not always what MEMORY USAGE counts: for sums to be held beside
    /// `used_memory`, with [`MemoryModel::keyspace`].
    pub fn as_allocated(mut self) -> MemoryModel {
        self.facts = self.facts.as_allocated();
        self
    }

    /// The same for a server in cluster mode.
    pub fn in_cluster(mut self) -> MemoryModel {
        self.cluster = true;
        self.facts = self.facts.in_cluster();
        self
    }

    /// What an entry takes. Errors: what is malformed in the value.
    pub fn usage(&mut self, entry: &Entry<'_>, scratch: &mut Scratch) -> Result<Usage> {
        let key = entry.key.len() as u64;
        let mut classes = 0;
        entry.each_meta(|_| {
            classes += 1;
            Ok(())
        })?;
        let slots = classes + u64::from(entry.expiry.is_some());
        if entry.value.rdb_type == RdbType::String {
            return self.string(entry.value, key, slots);
        }
        let part = match entry.value.kind() {
            Kind::List => self.list(entry.value)?,
            Kind::Set | Kind::Hash | Kind::Zset => self.collection(entry.value, scratch)?,
            Kind::Stream => self.stream(entry.value)?,
            Kind::Array => self.array(entry.value)?,
            Kind::VectorSet => self.vector_set(entry.value, scratch)?,
            Kind::String | Kind::Module | Kind::Json | Kind::Foreign => self.opaque(entry.value),
        };
        let bytes = self.facts.object(key, slots) as f64 + part.bytes;
        Ok(Usage { bytes: bytes.round() as u64, elements: part.elements, largest: part.largest })
    }

    fn string(&mut self, value: Value<'_>, key: u64, slots: u64) -> Result<Usage> {
        /// Three bytes of LZF are 264 bytes at most.
        const BEST_RATIO: u64 = 88;
        let mut cur = Cursor::new(value.bytes);
        let (len, is_integer) = match Str::read(&mut cur)? {
            Str::Int(n) => (itoa::Buffer::new().format(n).len() as u64, true),
            Str::Raw(text) => (text.len() as u64, canonical_integer(text).is_some()),
            Str::Lzf { packed, len } if len / BEST_RATIO <= packed.len() as u64 => (len, false),
            Str::Lzf { len, .. } => {
                return Err(Error::malformed(format!("string: compressed to less than {len} bytes can be")));
            }
        };
        cur.finish("string")?;
        let bytes = if is_integer { self.facts.object(key, slots) } else { self.facts.string(key, slots, len) };
        Ok(Usage { bytes, elements: len, largest: len })
    }

    /// Reads the next string of a value into the model's own buffer, if it has to be decoded.
    fn take<'b, 'd: 'b>(blob: &'b mut Vec<u8>, cur: &mut Cursor<'d>) -> Result<&'b [u8]> {
        Str::take(cur, blob)
    }
}
