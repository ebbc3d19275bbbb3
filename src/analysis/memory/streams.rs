//! Streams: listpacks in a radix tree, and a tree of pending ids for each group and consumer.

use super::collections::items;
use super::rax::RaxSize;
use super::{MemoryModel, Part};
use crate::codec::listpack::Listpack;
use crate::codec::{Cursor, Packed, Str, stream};
use crate::error::Result;
use crate::model::Value;

/// `STREAM_LISTPACK_MAX_PRE_ALLOCATE`, and the default of `stream-node-max-bytes`.
const PREALLOCATED: u64 = 4096;

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
        for _ in 0..cur.length()? {
            self.group(&mut cur, version, &mut part)?;
        }
        if version >= stream::Version::V4 {
            self.idempotency(&mut cur, &mut part)?;
        }
        cur.finish("stream")?;
        let server = self.facts.server;
        part.bytes += match () {
            () if server.redis(8, 2) => 160,
            () if server.redis(7, 0) => 80,
            () if server.redis(6, 2) => 40,
            () => 0,
        } as f64;
        Ok(part)
    }

    fn nodes(&mut self, cur: &mut Cursor<'_>, part: &mut Part) -> Result<()> {
        let facts = self.facts;
        let rounded = facts.server.redis(7, 0) && !facts.server.redis(8, 6);
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
        let tree = self.rax.finish(|n| facts.size(n));
        part.bytes += self.tree(tree) as f64;
        Ok(())
    }

    /// What MEMORY USAGE counts for a tree: a guess for each node at first, later the bytes.
    fn tree(&self, tree: RaxSize) -> u64 {
        if self.facts.server.redis(8, 6) {
            return tree.bytes;
        }
        if self.facts.server.valkey(8, 1) {
            return tree.allocated;
        }
        16 * tree.keys + (4 + 240) * tree.nodes
    }

    fn group(&mut self, cur: &mut Cursor<'_>, version: stream::Version, part: &mut Part) -> Result<()> {
        use stream::Version::*;
        let facts = self.facts;
        let server = facts.server;
        let name = Self::take(&mut self.name, cur)?.len() as u64;
        let _ = name;
        cur.length()?;
        cur.length()?;
        if version >= V2 {
            cur.length()?;
        }
        let pending = cur.length()?;
        self.rax.clear();
        for _ in 0..pending {
            self.rax.push(cur.take(16)?, |n| facts.size(n));
            cur.take(8)?;
            cur.length()?;
        }
        let (group, consumer, nack) = match () {
            () if server.redis(8, 2) => (56, 32, 64),
            () if server.redis(7, 0) => (40, 32, 24),
            () => (32, 24, 24),
        };
        let tree = self.rax.finish(|n| facts.size(n));
        part.bytes += (group + self.tree(tree) + nack * pending) as f64;
        for _ in 0..cur.length()? {
            let name = Self::take(&mut self.name, cur)?.len() as u64;
            cur.take(if version >= V3 { 16 } else { 8 })?;
            self.rax.clear();
            for _ in 0..cur.length()? {
                self.rax.push(cur.take(16)?, |n| facts.size(n));
            }
            let tree = self.rax.finish(|n| facts.size(n));
            part.bytes += (consumer + name + self.tree(tree)) as f64;
        }
        if version >= V5 {
            let nacked = cur.length()?;
            cur.take_declared(nacked.saturating_mul(16))?;
        }
        Ok(())
    }

    fn idempotency(&mut self, cur: &mut Cursor<'_>, part: &mut Part) -> Result<()> {
        cur.length()?;
        cur.length()?;
        for _ in 0..cur.length()? {
            part.bytes += Str::skip(cur)? as f64;
            for _ in 0..cur.length()? {
                part.bytes += (Str::skip(cur)? + 40) as f64;
                cur.length()?;
                cur.length()?;
            }
        }
        cur.length()?;
        cur.length()?;
        Ok(())
    }
}
