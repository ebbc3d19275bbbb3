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
                for _ in 0..cur.length()? {
                    let plain = value.rdb_type == RdbType::ListQuicklist2 && container(&mut cur)? == 1;
                    let blob = Self::take(&mut self.blob, &mut cur)?;
                    if plain {
                        chain.plain(blob.len() as u64);
                    } else if value.rdb_type == RdbType::ListQuicklist2 {
                        chain.packed(Packed::Listpack(Listpack::new(blob)?), blob.len(), true)?;
                    } else {
                        chain.packed(Packed::Ziplist(Ziplist::new(blob)?), blob.len(), false)?;
                    }
                    let bytes = self.facts.packed(chain.node);
                    chain.blobs += bytes;
                }
            }
            RdbType::ListZiplist => {
                let blob = Self::take(&mut self.blob, &mut cur)?;
                chain.packed(Packed::Ziplist(Ziplist::new(blob)?), blob.len(), false)?;
                chain.blobs = self.facts.packed(chain.node);
            }
            _ => {
                for _ in 0..cur.length()? {
                    let item = Self::take(&mut self.blob, &mut cur)?;
                    let size = entry_size(item, self.facts.listpacks);
                    if chain.nodes == 0 || chain.node + size > 8192 {
                        chain.blobs += if chain.nodes == 0 { 0 } else { self.facts.packed(chain.node) };
                        chain.nodes += 1;
                        chain.node = if self.facts.listpacks { 7 } else { 11 };
                    }
                    chain.node += size;
                    chain.elements += 1;
                    chain.largest = chain.largest.max(item.len() as u64);
                    chain.links += self.facts.text(item.len() as u64);
                }
                chain.blobs += self.facts.packed(chain.node);
            }
        }
        cur.finish("list")?;
        Ok(self.chain(value, &chain))
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
            48 + chain.elements * (DICT_ENTRY + 16) + chain.links
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
    /// The last node's blob.
    node: u64,
    is_plain: bool,
    /// The items' strings.
    links: u64,
}

impl Chain {
    fn plain(&mut self, len: u64) {
        self.nodes += 1;
        self.elements += 1;
        self.largest = self.largest.max(len);
        self.node = len;
        self.is_plain = true;
    }

    fn packed(&mut self, list: Packed<'_>, len: usize, _listpack: bool) -> Result<()> {
        let (count, largest) = items(list)?;
        self.nodes += 1;
        self.elements += count;
        self.largest = self.largest.max(largest);
        self.node = len as u64;
        Ok(())
    }
}

fn container(cur: &mut Cursor<'_>) -> Result<u64> {
    match cur.length()? {
        n @ (1 | 2) => Ok(n),
        n => Err(Error::malformed(format!("list: unknown node container {n}"))),
    }
}
