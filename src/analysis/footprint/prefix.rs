//! A tree of prefixes in bounded space: the heavy ones by themselves, the light ones together.
//!
//! When there are too many, the lightest are folded into a sibling that stands for all of them, written `*`, with
//! whatever is below them: `user:17:cart:` and `user:18:cart:` become `user:*:cart:`. Nothing is lost; a prefix that
//! comes up again after it was folded lacks what it had before. Every node knows the most that it can lack: the weight
//! of the heaviest that was ever folded beside it (as in lossy counting, Manku and Motwani 2002).
//!
//! Folding depends on nothing but what was added and in which order, so trees of batches that are merged in the order
//! of the file give the same tree whatever the number of threads.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::split::{Segment, Splitter};
use super::tally::{Leading, Tally, Weighed};

/// A tree with more nodes than this is pruned.
const LARGEST: usize = 1 << 17;

/// What is kept of a longer piece of a key.
const LONGEST: usize = 64;

const ROOT: u32 = 0;

/// A tree of prefixes.
pub struct PrefixTree {
    /// Parents stand before their children.
    nodes: Vec<Node>,
    labels: Vec<u8>,
    index: HashTable<u32>,
    hasher: RandomState,
    largest: usize,
    /// How many levels there can be: with each of them, folding may leave one more node.
    depth: usize,
    map: Vec<u32>,
}

#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) parent: u32,
    label: u32,
    len: u8,
    /// How much of the label is the separator.
    separator: u8,
    /// Whether it stands for many.
    pub(super) is_rest: bool,
    pub(super) leading: Leading,
    /// Of the keys that go no further.
    pub(super) tally: Tally,
    /// The most that it can lack.
    pub(super) lacking: u64,
    /// The weight of the heaviest child that was folded.
    folded: u64,
}

impl Default for PrefixTree {
    fn default() -> PrefixTree {
        PrefixTree::new(LARGEST, 3)
    }
}

impl PrefixTree {
    /// A tree of so many nodes at most, and so many levels.
    pub fn new(largest: usize, depth: usize) -> PrefixTree {
        let mut tree = PrefixTree {
            nodes: Vec::new(),
            labels: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            largest,
            depth,
            map: Vec::new(),
        };
        tree.clear(depth);
        tree
    }

    /// Empties it.
    pub fn clear(&mut self, depth: usize) {
        self.depth = depth;
        self.nodes.clear();
        self.labels.clear();
        self.index.clear();
        self.nodes.push(Node::new(ROOT, 0));
    }

    /// Counts a key.
    #[inline]
    pub fn add(&mut self, splitter: &Splitter, key: &[u8], weighed: &Weighed) {
        let mut at = ROOT;
        splitter.each(key, |segment| at = self.child(at, segment, false));
        let node = &mut self.nodes[at as usize];
        node.tally.add(weighed);
        node.leading.merge(Leading::of(weighed.kind, weighed.weight.saturating_mul(weighed.memory)));
    }

    /// Adds all of another tree, and folds what is too much.
    pub fn merge(&mut self, other: &PrefixTree) {
        let mut map = std::mem::take(&mut self.map);
        map.clear();
        for (i, node) in other.nodes.iter().enumerate() {
            let at =
                if i == 0 { ROOT } else { self.child(map[node.parent as usize], other.segment(node), node.is_rest) };
            map.push(at);
            self.nodes[at as usize].absorb(node);
        }
        self.map = map;
        if self.nodes.len() > self.largest {
            let mut threshold = self.threshold(self.largest / (2 * self.depth.max(2)));
            // What comes together below a star may still be much.
            while self.nodes.len() > self.largest / 2 {
                let folded = self.folded(threshold);
                *self = PrefixTree { map: std::mem::take(&mut self.map), ..folded };
                threshold = threshold.saturating_mul(2).max(1);
            }
        }
    }

    fn child(&mut self, parent: u32, segment: Segment<'_>, is_rest: bool) -> u32 {
        if let Some(found) = self.find(parent, segment, is_rest) {
            return found;
        }
        let PrefixTree { nodes, labels, index, hasher, .. } = self;
        let cut = segment.bytes.len().min(LONGEST);
        let bytes = &segment.bytes[..cut];
        let hash = hasher.hash_one((parent, is_rest, bytes));
        let new = u32::try_from(nodes.len()).expect("a tree is pruned long before it has so many nodes");
        index.insert_unique(hash, new, |&i| {
            let node = &nodes[i as usize];
            let label = &labels[node.label as usize..][..usize::from(node.len)];
            hasher.hash_one((node.parent, node.is_rest, label))
        });
        let mut node = Node::new(parent, labels.len() as u32);
        node.len = cut as u8;
        node.separator = if cut == segment.bytes.len() { segment.separator.min(cut) as u8 } else { 0 };
        node.is_rest = is_rest;
        if !is_rest {
            node.lacking = nodes[parent as usize].folded;
            node.folded = node.lacking;
        }
        labels.extend_from_slice(bytes);
        nodes.push(node);
        new
    }

    fn segment(&self, node: &Node) -> Segment<'_> {
        Segment { bytes: self.label(node), separator: usize::from(node.separator) }
    }

    /// The bytes of a node's last piece.
    pub(super) fn label(&self, node: &Node) -> &[u8] {
        &self.labels[node.label as usize..][..usize::from(node.len)]
    }

    /// The nodes, parents before their children.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no key was counted that has a prefix.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The tally of every node with all that is below it.
    pub(super) fn sums(&self) -> Vec<(Tally, Leading)> {
        self.summed(self.nodes.iter().map(|node| (node.tally, node.leading)).collect())
    }

    fn summed(&self, mut sums: Vec<(Tally, Leading)>) -> Vec<(Tally, Leading)> {
        for (i, node) in self.nodes.iter().enumerate().skip(1).rev() {
            let (tally, leading) = sums[i];
            let parent = &mut sums[node.parent as usize];
            parent.0.merge(&tally);
            parent.1.merge(leading);
        }
        sums
    }

    /// Whether a node has nothing below it.
    pub(super) fn is_leaf(&self, i: usize) -> bool {
        // Children stand behind their parents.
        !self.nodes[i + 1..].iter().any(|node| node.parent as usize == i)
    }

    /// Both trees in one.
    pub(super) fn union(&self, other: &PrefixTree) -> PrefixTree {
        let mut both = PrefixTree::new(self.largest, self.depth.max(other.depth));
        both.merge(self);
        both.merge(other);
        both
    }

    /// The tallies of the same keys under the prefixes that another tree has, each with all that is below it.
    pub(super) fn shaped_like(&self, shape: &PrefixTree) -> Vec<(Tally, Leading)> {
        let mut shaped: Vec<_> = vec![(Tally::default(), Leading::default()); shape.nodes.len()];
        let mut map: Vec<u32> = Vec::with_capacity(self.nodes.len());
        for (i, node) in self.nodes.iter().enumerate() {
            let place = if i == 0 { ROOT } else { shape.place(map[node.parent as usize], self.segment(node), node) };
            map.push(place);
            let (tally, leading) = &mut shaped[place as usize];
            tally.merge(&node.tally);
            leading.merge(node.leading);
        }
        shape.summed(shaped)
    }

    /// Where keys with this piece belong: to the child of that name, to the one that stands for all others, or here.
    fn place(&self, parent: u32, segment: Segment<'_>, node: &Node) -> u32 {
        let (star, separator) = rest(segment);
        let star = Segment { bytes: &star, separator };
        let own = self.find(parent, segment, node.is_rest);
        own.or_else(|| self.find(parent, star, true)).unwrap_or(parent)
    }

    fn find(&self, parent: u32, segment: Segment<'_>, is_rest: bool) -> Option<u32> {
        let bytes = &segment.bytes[..segment.bytes.len().min(LONGEST)];
        let hash = self.hasher.hash_one((parent, is_rest, bytes));
        let is_it = |&i: &u32| {
            let node = &self.nodes[i as usize];
            node.parent == parent && node.is_rest == is_rest && self.label(node) == bytes
        };
        self.index.find(hash, is_it).copied()
    }

    /// The weight of which only `keep` nodes have more.
    fn threshold(&self, keep: usize) -> u64 {
        let sums = self.sums();
        let weight = |(node, sum): (&Node, &(Tally, Leading))| sum.0.memory.saturating_add(node.lacking);
        let mut weights: Vec<u64> = self.nodes.iter().zip(&sums).map(weight).collect();
        let place = weights.len() - keep.clamp(1, weights.len());
        *weights.select_nth_unstable(place).1
    }

    /// The same tree with what weighs no more than `threshold` folded: level by level, so that what comes together
    /// below a `*` is weighed together.
    pub(super) fn folded(&self, threshold: u64) -> PrefixTree {
        let mut fold = Fold {
            old: self,
            sums: self.sums(),
            children: Children::of(&self.nodes),
            new: PrefixTree::new(self.largest, self.depth),
            queue: VecDeque::from([(ROOT, vec![ROOT])]),
            threshold,
        };
        fold.new.nodes[ROOT as usize] = self.nodes[ROOT as usize];
        while let Some((parent, olds)) = fold.queue.pop_front() {
            fold.level(parent, &olds);
        }
        fold.new
    }
}

/// The children of every node, one behind the other.
struct Children {
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Children {
    fn of(nodes: &[Node]) -> Children {
        let mut starts = vec![0; nodes.len() + 1];
        nodes.iter().skip(1).for_each(|node| starts[node.parent as usize + 1] += 1);
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut places = starts.clone();
        let mut list = vec![0; nodes.len() - 1];
        for (i, node) in nodes.iter().enumerate().skip(1) {
            let place = &mut places[node.parent as usize];
            list[*place as usize] = i as u32;
            *place += 1;
        }
        Children { starts, list }
    }

    fn of_node(&self, i: u32) -> &[u32] {
        &self.list[self.starts[i as usize] as usize..self.starts[i as usize + 1] as usize]
    }
}

/// A tree while it is folded into another.
struct Fold<'t> {
    old: &'t PrefixTree,
    sums: Vec<(Tally, Leading)>,
    children: Children,
    new: PrefixTree,
    /// New nodes with the old ones that they are made of, and whose children are still to come.
    queue: VecDeque<(u32, Vec<u32>)>,
    threshold: u64,
}

impl Fold<'_> {
    /// The level below one new node.
    fn level(&mut self, parent: u32, olds: &[u32]) {
        let mut rests: Vec<(u32, Vec<u32>)> = Vec::new();
        for group in self.groups(olds) {
            let first = &self.old.nodes[group[0] as usize];
            let memory = group.iter().fold(0_u64, |sum, i| sum.saturating_add(self.sums[*i as usize].0.memory));
            let lacking = group.iter().map(|i| self.old.nodes[*i as usize].lacking).max().unwrap_or(0);
            let weight = memory.saturating_add(lacking);
            let segment = self.old.segment(first);
            if !first.is_rest && weight > self.threshold {
                let new = self.new.child(parent, segment, false);
                let node = &mut self.new.nodes[new as usize];
                (node.lacking, node.folded) = (lacking, 0);
                self.fill(new, &group);
                self.queue.push_back((new, group));
                continue;
            }
            let new = if first.is_rest {
                self.new.child(parent, segment, true)
            } else {
                let above = &mut self.new.nodes[parent as usize];
                above.folded = above.folded.max(weight);
                let (bytes, separator) = rest(segment);
                self.new.child(parent, Segment { bytes: &bytes, separator }, true)
            };
            self.fill(new, &group);
            match rests.iter_mut().find(|(known, _)| *known == new) {
                Some((_, members)) => members.extend(group),
                None => rests.push((new, group)),
            }
        }
        self.queue.extend(rests);
    }

    /// The children of these nodes; those that have the same name together.
    fn groups(&self, olds: &[u32]) -> Vec<Vec<u32>> {
        let all = olds.iter().flat_map(|old| self.children.of_node(*old)).copied();
        if olds.len() == 1 {
            return all.map(|i| vec![i]).collect();
        }
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut index: HashTable<usize> = HashTable::new();
        let name = |i: u32| {
            let node = &self.old.nodes[i as usize];
            (node.is_rest, self.old.label(node))
        };
        let hasher = &self.old.hasher;
        for i in all {
            let hash = hasher.hash_one(name(i));
            match index.find(hash, |&group| name(groups[group][0]) == name(i)) {
                Some(&group) => groups[group].push(i),
                None => {
                    index.insert_unique(hash, groups.len(), |&group| hasher.hash_one(name(groups[group][0])));
                    groups.push(vec![i]);
                }
            }
        }
        groups
    }

    /// Adds what belongs to the old nodes themselves.
    fn fill(&mut self, new: u32, group: &[u32]) {
        let node = &mut self.new.nodes[new as usize];
        for i in group {
            let old = &self.old.nodes[*i as usize];
            node.absorb(old);
            node.folded = node.folded.max(old.folded);
        }
    }
}

/// The piece that stands for pieces like this one: a star and the same separator.
fn rest(segment: Segment<'_>) -> (Vec<u8>, usize) {
    let separator = &segment.bytes[segment.bytes.len() - segment.separator..];
    ([b"*", separator].concat(), separator.len())
}

impl Node {
    fn new(parent: u32, label: u32) -> Node {
        Node {
            parent,
            label,
            len: 0,
            separator: 0,
            is_rest: false,
            leading: Leading::default(),
            tally: Tally::default(),
            lacking: 0,
            folded: 0,
        }
    }

    fn absorb(&mut self, other: &Node) {
        self.tally.merge(&other.tally);
        self.leading.merge(other.leading);
    }
}
