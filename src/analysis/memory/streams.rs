//! Streams: listpacks in a radix tree, and a tree of pending ids for each group and consumer.

use super::blocks::{Facts, sds};
use super::collections::items;
use super::{MemoryModel, Part};
use crate::codec::listpack::Listpack;
use crate::codec::{Cursor, Packed, stream};
use crate::error::Result;
use crate::model::Value;

/// `STREAM_LISTPACK_MAX_PRE_ALLOCATE`, and the default of `stream-node-max-bytes`.
const PREALLOCATED: u64 = 4096;

/// Bytes of the structs that a stream is made of, as far as they count.
struct Sizes {
    stream: u64,
    group: u64,
    consumer: u64,
    pending: u64,
}

impl Sizes {
    fn of(facts: &Facts) -> Sizes {
        let server = facts.server;
        let (stream, group, consumer, pending) = match () {
            () if server.redis(8, 8) => (168, 96, 64, 72),
            () if server.redis(8, 6) => (160, 64, 32, 64),
            () if server.redis(8, 2) => (112, 40, 32, 32),
            () if server.redis(7, 2) => (80, 40, 32, 24),
            () if server.redis(7, 0) => (80, 40, 24, 24),
            () if server.redis(6, 2) => (40, 32, 24, 24),
            () => (0, 32, 24, 24),
        };
        Sizes { stream, group, consumer, pending }
    }
}

impl MemoryModel {
    pub(super) fn stream(&mut self, value: Value<'_>) -> Result<Part> {
        let version = value.rdb_type.stream_version().unwrap_or(stream::Version::V1);
        let mut cur = Cursor::new(value.bytes);
        let mut part = Part::default();
        self.nodes(&mut cur, &mut part)?;
        part.elements = cur.length()?;
        for _ in 0..if version >= stream::Version::V2 { 7 } else { 2 } {
            cur.length()?;
        }
        self.groups(&mut cur, version, &mut part)?;
        if version >= stream::Version::V4 {
            self.idempotency(&mut cur, &mut part)?;
        }
        cur.finish("stream")?;
        part.bytes += Sizes::of(&self.facts).stream as f64;
        Ok(part)
    }

    fn nodes(&mut self, cur: &mut Cursor<'_>, part: &mut Part) -> Result<()> {
        let facts = self.facts;
        let rounded = facts.allocated || facts.server.redis(6, 2) && !facts.server.redis(8, 6);
        self.rax.clear();
        let count = cur.length()?;
        for i in 0..count {
            let id = Self::take(&mut self.blob, cur)?;
            self.rax.push(id, |n| facts.size(n));
            let blob = Self::take(&mut self.blob, cur)?;
            part.largest = part.largest.max(items(Packed::Listpack(Listpack::new(blob)?))?.1);
            let mut len = blob.len() as u64;
            if rounded && i + 1 == count && !self.loaded {
                len = len.max(PREALLOCATED);
            }
            part.bytes += if rounded { facts.size(len) } else { len } as f64;
        }
        part.bytes += facts.rax(&mut self.rax) as f64;
        Ok(())
    }

    /// The groups; from Redis 8.6 on with the trees that they and their consumers are found by.
    fn groups(&mut self, cur: &mut Cursor<'_>, version: stream::Version, part: &mut Part) -> Result<()> {
        let facts = self.facts;
        let named = facts.server.redis(8, 6);
        self.pending.clear();
        self.names[0].clear();
        let count = cur.length()?;
        for _ in 0..count {
            let name = Self::take(&mut self.blob, cur)?;
            self.names[0].push(name, |n| facts.size(n));
            self.group(cur, version, part)?;
        }
        if named && count > 0 {
            part.bytes += (facts.rax(&mut self.names[0]) + self.references()) as f64;
        }
        Ok(())
    }

    fn group(&mut self, cur: &mut Cursor<'_>, version: stream::Version, part: &mut Part) -> Result<()> {
        use stream::Version::*;
        let facts = self.facts;
        let sizes = Sizes::of(&facts);
        let named = facts.server.redis(8, 6);
        cur.length()?;
        cur.length()?;
        if version >= V2 {
            cur.length()?;
        }
        let pending = cur.length()?;
        self.rax.clear();
        for _ in 0..pending {
            let id = cur.array::<16>()?;
            self.pending.push(u128::from_be_bytes(id));
            self.rax.push(&id, |n| facts.size(n));
            cur.take(8)?;
            cur.length()?;
        }
        part.bytes += (sizes.group + facts.rax(&mut self.rax) + sizes.pending * pending) as f64;
        self.names[1].clear();
        for _ in 0..cur.length()? {
            let name = Self::take(&mut self.blob, cur)?;
            self.names[1].push(name, |n| facts.size(n));
            let name = name.len() as u64;
            part.bytes += (sizes.consumer + if named { sds(name) } else { name }) as f64;
            cur.take(if version >= V3 { 16 } else { 8 })?;
            self.rax.clear();
            for _ in 0..cur.length()? {
                self.rax.push(cur.take(16)?, |n| facts.size(n));
            }
            part.bytes += facts.rax(&mut self.rax) as f64;
        }
        if named {
            part.bytes += facts.rax(&mut self.names[1]) as f64;
        }
        if version >= V5 {
            let nacked = cur.length()?;
            cur.take_declared(nacked.saturating_mul(16))?;
        }
        Ok(())
    }

    /// The tree from pending entries to the groups that they are pending in. What it leads to is not counted.
    fn references(&mut self) -> u64 {
        let facts = self.facts;
        if self.pending.is_empty() {
            return 0;
        }
        self.pending.sort_unstable();
        self.pending.dedup();
        self.rax.clear();
        for id in &self.pending {
            self.rax.push(&id.to_be_bytes(), |n| facts.size(n));
        }
        facts.rax(&mut self.rax)
    }

    /// Producers with the ids that they have used.
    fn idempotency(&mut self, cur: &mut Cursor<'_>, part: &mut Part) -> Result<()> {
        let facts = self.facts;
        let named = facts.server.redis(8, 8);
        let producer = if named { 48 } else { 32 };
        cur.length()?;
        cur.length()?;
        let count = cur.length()?;
        let mut bytes = 0;
        self.names[0].clear();
        for _ in 0..count {
            let name = Self::take(&mut self.blob, cur)?;
            self.names[0].push(name, |n| facts.size(n));
            bytes += producer;
            for _ in 0..cur.length()? {
                // An id lies behind its entry's id and the link to the next.
                let id = Self::take(&mut self.blob, cur)?;
                bytes += facts.size(32 + id.len() as u64);
                cur.length()?;
                cur.length()?;
            }
        }
        if named && count > 0 {
            bytes += facts.rax(&mut self.names[0]);
        }
        cur.length()?;
        cur.length()?;
        part.bytes += if facts.server.redis(8, 6) { bytes as f64 } else { 0.0 };
        Ok(())
    }
}
