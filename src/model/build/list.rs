//! Lists: quicklists of packed and plain nodes, and what there was before.

use super::{Elements, Hint, Maker};
use crate::codec::length;
use crate::codec::packed::PackedBuilder;
use crate::model::types::{Kind, RdbType};

/// `QUICKLIST_NODE_CONTAINER_PLAIN` and `_PACKED`.
const PLAIN: u8 = 1;
const PACKED: u8 = 2;

/// `SIZE_SAFETY_LIMIT`: the largest node where the fill counts elements.
const SAFE: usize = 8192;

/// When a node is full, and which item gets one of its own.
#[derive(Clone, Copy)]
struct Nodes {
    /// `list-max-listpack-size`.
    fill: i64,
    /// Listpacks, not ziplists.
    listpacks: bool,
    /// The smallest item that stands in a plain node.
    plain: usize,
    /// A node ends before this item, full or not.
    cut: Option<usize>,
}

impl Nodes {
    /// The largest node in bytes, where bytes count.
    fn max_bytes(self) -> Option<usize> {
        const BY_FILL: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
        let i = usize::try_from(-1 - self.fill).ok()?;
        Some(BY_FILL[i.min(BY_FILL.len() - 1)])
    }

    /// Whether a node takes one more item (`_quicklistNodeAllowInsert`).
    fn takes(self, node: &PackedBuilder, item: usize) -> bool {
        let overhead = match (self.listpacks, item) {
            (true, _) => 8,
            (false, ..64) => 2,
            (false, 64..254) => 3,
            (false, 254..16384) => 7,
            (false, _) => 10,
        };
        let bytes = node.len() + item + overhead;
        match self.max_bytes() {
            Some(max) => bytes <= max,
            None => bytes <= SAFE && (node.count() as i64) < self.fill.max(1),
        }
    }
}

impl Maker {
    pub(super) fn list(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        let version = self.target.origin.version;
        if version < 7 {
            if self.packs(Kind::List, elements) {
                self.packed(elements.strings(), out);
                return RdbType::ListZiplist;
            }
            self.one_by_one(elements.count(), elements.strings(), out);
            return RdbType::List;
        }
        let fill = self.target.limits.list_fill;
        let mut nodes = Nodes { fill, listpacks: self.target.has_listpacks(), plain: 1 << 30, cut: None };
        if version >= 12 && !self.target.origin.is_valkey() {
            // From 7.4 on what is larger than a node stands alone.
            nodes.plain = nodes.max_bytes().unwrap_or(SAFE) + 1;
        }
        let count = self.nodes(elements, nodes);
        let count = match self.hint {
            // As one packed node it would be loaded as a listpack.
            Some(Hint::Quicklist) if count == 1 => {
                match elements.count() {
                    1 => nodes.plain = 0,
                    n => nodes.cut = Some(n / 2),
                }
                self.nodes(elements, nodes)
            }
            _ => count,
        };
        length::write(count, out);
        out.extend_from_slice(&self.text);
        if nodes.listpacks { RdbType::ListQuicklist2 } else { RdbType::ListQuicklist }
    }

    /// Writes the nodes into `self.text`; says how many there are.
    fn nodes(&mut self, elements: &Elements, nodes: Nodes) -> u64 {
        let mut node = match nodes.listpacks {
            true => PackedBuilder::Listpack(std::mem::take(&mut self.listpack)),
            false => PackedBuilder::Ziplist(std::mem::take(&mut self.ziplist)),
        };
        node.clear();
        self.text.clear();
        let mut count = 0;
        for (i, item) in elements.strings().enumerate() {
            let is_plain = nodes.listpacks && item.len() >= nodes.plain;
            if node.count() > 0 && (is_plain || nodes.cut == Some(i) || !nodes.takes(&node, item.len())) {
                count += self.end_node(&mut node, nodes);
            }
            if is_plain {
                self.text.push(PLAIN);
                self.strings.write(item, &mut self.text);
                count += 1;
            } else {
                node.push(item);
            }
        }
        if node.count() > 0 {
            count += self.end_node(&mut node, nodes);
        }
        match node {
            PackedBuilder::Listpack(list) => self.listpack = list,
            PackedBuilder::Ziplist(list) => self.ziplist = list,
        }
        count
    }

    fn end_node(&mut self, node: &mut PackedBuilder, nodes: Nodes) -> u64 {
        if nodes.listpacks {
            self.text.push(PACKED);
        }
        self.strings.write(node.finish(), &mut self.text);
        node.clear();
        1
    }
}
