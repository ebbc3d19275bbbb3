//! Lists: chains of nodes, or a single blob.

use super::blocks::DICT_ENTRY;
use super::collections::{entry_size, items};
use super::{MemoryModel, Part};
use crate::codec::listpack::Listpack;
use crate::codec::ziplist::Ziplist;
use crate::codec::{Cursor, Packed};
use crate::error::{Error, Result};
use crate::model::{RdbType, Value};

impl MemoryModel {
    pub(super) fn list(&mut self, value: Value<'_>) -> Result<Part> {
        let mut cur = Cursor::new(value.bytes);
        let mut chain = Chain::default();
        match value.rdb_type {
            RdbType::ListQuicklist | RdbType::ListQuicklist2 => {
                let containers = value.rdb_type == RdbType::ListQuicklist2;
                for _ in 0..cur.length()? {
                    let is_plain = containers && container(&mut cur)? == 1;
                    let blob = Self::take(&mut self.blob, &mut cur)?;
                    let len = blob.len() as u64;
                    let (count, largest) = match (is_plain, containers) {
                        (true, _) => (1, len),
                        (_, true) => items(Packed::Listpack(Listpack::new(blob)?))?,
                        _ => items(Packed::Ziplist(Ziplist::new(blob)?))?,
                    };
                    chain.is_plain |= is_plain;
                    chain.add(count, largest, self.facts.packed(len));
                }
            }
            RdbType::ListZiplist => {
                let blob = Self::take(&mut self.blob, &mut cur)?;
                let (count, largest) = items(Packed::Ziplist(Ziplist::new(blob)?))?;
                chain.add(count, largest, self.facts.packed(blob.len() as u64));
            }
            _ => self.items_of(&mut cur, &mut chain)?,
        }
        cur.finish("list")?;
        Ok(self.chain(value, &chain))
    }

    /// The items of a list that stand one by one, as a server puts them into nodes.
    fn items_of(&mut self, cur: &mut Cursor<'_>, chain: &mut Chain) -> Result<()> {
        /// The default size of a node.
        const NODE: u64 = 8192;
        let empty = if self.facts.listpacks { 7 } else { 11 };
        let (mut node, mut count, mut longest) = (empty, 0, 0);
        for _ in 0..cur.length()? {
            let item = Self::take(&mut self.blob, cur)?;
            let size = entry_size(item, self.facts.listpacks);
            if count > 0 && node + size > NODE {
                chain.add(count, longest, self.facts.packed(node));
                (node, count) = (empty, 0);
            }
            node += size;
            count += 1;
            longest = longest.max(item.len() as u64);
            chain.texts += self.facts.text(item.len() as u64);
        }
        if count > 0 {
            chain.add(count, longest, self.facts.packed(node));
        }
        Ok(())
    }

    fn chain(&self, value: Value<'_>, chain: &Chain) -> Part {
        let server = self.facts.server;
        let bytes = if server.redis(7, 2) && chain.nodes == 1 && !chain.is_plain {
            chain.blobs
        } else if server.redis(3, 2) {
            let (list, node) = match () {
                () if server.redis(8, 6) => (48, 40),
                () if server.redis(7, 0) => (40, 40),
                () => (40, 32),
            };
            self.facts.of_struct(list) + self.facts.of_struct(node) * chain.nodes + chain.blobs
        } else if value.rdb_type == RdbType::List {
            // A list node with an object and its string for each item.
            48 + chain.elements * (DICT_ENTRY + 16) + chain.texts
        } else {
            chain.blobs
        };
        Part { bytes: bytes as f64, elements: chain.elements, largest: chain.largest }
    }
}

/// What a list is made of.
#[derive(Default)]
struct Chain {
    nodes: u64,
    elements: u64,
    largest: u64,
    /// All nodes' blobs.
    blobs: u64,
    /// A node is a single large item.
    is_plain: bool,
    /// All items as strings of their own.
    texts: u64,
}

impl Chain {
    /// Adds a node.
    fn add(&mut self, count: u64, largest: u64, bytes: u64) {
        self.nodes += 1;
        self.elements += count;
        self.largest = self.largest.max(largest);
        self.blobs += bytes;
    }
}

fn container(cur: &mut Cursor<'_>) -> Result<u64> {
    match cur.length()? {
        n @ (1 | 2) => Ok(n),
        n => Err(Error::malformed(format!("list: unknown node container {n}"))),
    }
}
