//! The radix tree of servers (`rax.c`), as far as its size goes: how many nodes keys in order make, and of which sizes.
//!
//! A node is a key's end, a fork, or both; what lies between two of them without a fork is one compressed node. So the
//! tree follows from the common prefixes of neighbours, and one pass with a stack of the open nodes is enough.

use super::blocks::Facts;

/// Bytes of a node before its characters.
const HEADER: u64 = 4;

/// Counts the nodes of a tree whose keys are given in ascending order.
#[derive(Clone, Default)]
pub(super) struct RaxCounter {
    open: Vec<Open>,
    last: Vec<u8>,
    total: RaxSize,
}

/// What a tree takes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct RaxSize {
    /// Keys in it.
    pub(super) keys: u64,
    /// Keys that are nothing but the end of a branch.
    pub(super) leaves: u64,
    /// Nodes, with the root.
    pub(super) nodes: u64,
    /// Bytes of all nodes as they were asked for.
    pub(super) bytes: u64,
    /// The same as the allocator hands them out.
    pub(super) allocated: u64,
}

/// A node on the way to the last key: it may still get children.
#[derive(Clone, Copy)]
struct Open {
    depth: usize,
    is_key: bool,
    children: u64,
    /// Characters between this node and its first child, beyond the one that it holds itself.
    chain: usize,
}

impl RaxCounter {
    /// Starts an empty tree.
    pub(super) fn clear(&mut self) {
        self.total = RaxSize::default();
        self.last.clear();
        self.open.clear();
        self.open.push(Open { depth: 0, is_key: false, children: 0, chain: 0 });
    }

    /// Adds a key that is greater than the last one. One that is not is left out: it cannot be there twice.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], size: impl Fn(u64) -> u64 + Copy) {
        let common = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        if self.total.keys > 0 && (common == key.len() || self.last.get(common).is_some_and(|b| *b > key[common])) {
            return;
        }
        self.close_down_to(common, size);
        self.total.keys += 1;
        self.last.truncate(common);
        self.last.extend_from_slice(&key[common..]);
        match self.open.last_mut() {
            Some(top) if top.depth == key.len() => top.is_key = true,
            _ => self.open.push(Open { depth: key.len(), is_key: true, children: 0, chain: 0 }),
        }
    }

    /// The size of the whole tree.
    pub(super) fn finish(&mut self, size: impl Fn(u64) -> u64 + Copy) -> RaxSize {
        self.close_down_to(0, size);
        if let Some(root) = self.open.pop() {
            self.close(root, size);
        }
        self.total
    }

    /// Closes the nodes deeper than `depth`; the last of them gets its parent there if it has none.
    fn close_down_to(&mut self, depth: usize, size: impl Fn(u64) -> u64 + Copy) {
        while let Some(node) = self.open.pop_if(|node| node.depth > depth) {
            self.close(node, size);
            if self.open.last().is_none_or(|parent| parent.depth < depth) {
                self.open.push(Open { depth, is_key: false, children: 0, chain: 0 });
            }
            let Some(parent) = self.open.last_mut() else { return };
            let chain = node.depth - parent.depth - 1;
            parent.children += 1;
            let first = parent.chain;
            match parent.children {
                1 => parent.chain = chain,
                2 => {
                    self.compressed(first, size);
                    self.compressed(chain, size);
                }
                _ => self.compressed(chain, size),
            }
        }
    }

    fn close(&mut self, node: Open, size: impl Fn(u64) -> u64) {
        match node.children {
            0 if node.is_key => {
                self.total.leaves += 1;
                self.node(0, 0, true, size);
            }
            // With one child it is compressed itself.
            1 => self.node(node.chain as u64 + 1, 1, node.is_key, size),
            n => self.node(n, n, node.is_key, size),
        }
    }

    /// A compressed node between two others, if there is anything between them.
    fn compressed(&mut self, chain: usize, size: impl Fn(u64) -> u64) {
        if chain > 0 {
            self.node(chain as u64, 1, false, size);
        }
    }

    fn node(&mut self, characters: u64, children: u64, is_key: bool, size: impl Fn(u64) -> u64) {
        let bytes = (HEADER + characters).next_multiple_of(8) + 8 * (children + u64::from(is_key));
        self.total.nodes += 1;
        self.total.bytes += bytes;
        self.total.allocated += size(bytes);
    }
}

impl Facts {
    /// What MEMORY USAGE counts for the tree: a guess for each node at first, what was allocated later.
    pub(super) fn rax(&self, rax: &mut RaxCounter) -> u64 {
        /// Bytes of the struct `rax` from then on.
        const TREE: u64 = 32;
        /// Bytes of a leaf; from Redis 8.8 on its value stands in its parent instead.
        const LEAF: u64 = 16;
        let tree = rax.finish(|n| self.size(n));
        match () {
            () if self.server.redis(8, 8) => self.size(TREE) + tree.allocated - tree.leaves * self.size(LEAF),
            () if self.server.redis(8, 6) || self.server.valkey(8, 1) || self.allocated => {
                self.size(TREE) + tree.allocated
            }
            () => 16 * tree.keys + (4 + 240) * tree.nodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of(keys: &[&str]) -> RaxSize {
        let mut counter = RaxCounter::default();
        counter.clear();
        keys.iter().for_each(|key| counter.push(key.as_bytes(), |n| n));
        counter.finish(|n| n)
    }

    #[test]
    fn nodes_of_small_trees() {
        let t = |keys: &[&str], nodes: u64, bytes: u64| {
            let size = size_of(keys);
            assert_eq!((size.keys, size.nodes, size.bytes), (keys.len() as u64, nodes, bytes), "{keys:?}");
        };
        t(&[], 1, 8);
        // "foo" in one compressed node, and its end.
        t(&["foo"], 2, 16 + 16);
        // The example of rax.c: "foo" is a compressed node, "bar" another that is a key, and its end.
        t(&["foo", "foobar"], 3, 16 + 24 + 16);
        // "f", a fork, "oo" and "ew", two ends.
        t(&["few", "foo"], 5 + 1, 16 + 24 + 16 + 16 + 16 + 16);
        // A fork at the root, two ends.
        t(&["a", "b"], 3, 24 + 16 + 16);
        t(&["", "a"], 2, 24 + 16);
    }
}
