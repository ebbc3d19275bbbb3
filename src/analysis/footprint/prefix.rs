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
use std::ops::Range;

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
            self.shrink();
        }
    }

    /// Folds the lightest, until there is room for as many again.
    fn shrink(&mut self) {
        let mut sums = self.sums();
        let mut threshold = self.threshold(self.largest / (2 * self.depth.max(2)), &sums);
        loop {
            let folded = self.folded_by(threshold, &sums);
            *self = PrefixTree { map: std::mem::take(&mut self.map), ..folded };
            if self.nodes.len() <= self.largest / 2 {
                return;
            }
            // What comes together below a star may still be much.
            threshold = threshold.saturating_mul(2).max(1);
            sums = self.sums();
        }
    }

    #[inline]
    fn child(&mut self, parent: u32, segment: Segment<'_>, is_rest: bool) -> u32 {
        let bytes = &segment.bytes[..segment.bytes.len().min(LONGEST)];
        let hash = self.hasher.hash_one((parent, is_rest, bytes));
        match self.find(hash, parent, bytes, is_rest) {
            Some(found) => found,
            None => self.insert(hash, parent, segment, is_rest),
        }
    }

    fn insert(&mut self, hash: u64, parent: u32, segment: Segment<'_>, is_rest: bool) -> u32 {
        let PrefixTree { nodes, labels, index, hasher, .. } = self;
        let cut = segment.bytes.len().min(LONGEST);
        let bytes = &segment.bytes[..cut];
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
        let (star, _) = star(&segment.bytes[segment.bytes.len() - segment.separator..]);
        let own = self.find_child(parent, segment.bytes, node.is_rest);
        own.or_else(|| self.find_child(parent, &star, true)).unwrap_or(parent)
    }

    #[inline]
    fn find(&self, hash: u64, parent: u32, bytes: &[u8], is_rest: bool) -> Option<u32> {
        let is_it = |&i: &u32| {
            let node = &self.nodes[i as usize];
            node.parent == parent && node.is_rest == is_rest && self.label(node) == bytes
        };
        self.index.find(hash, is_it).copied()
    }

    fn find_child(&self, parent: u32, bytes: &[u8], is_rest: bool) -> Option<u32> {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        self.find(self.hasher.hash_one((parent, is_rest, bytes)), parent, bytes, is_rest)
    }

    /// The weight of which only `keep` nodes have more.
    fn threshold(&self, keep: usize, sums: &[(Tally, Leading)]) -> u64 {
        let weight = |(node, sum): (&Node, &(Tally, Leading))| sum.0.memory.saturating_add(node.lacking);
        let mut weights: Vec<u64> = self.nodes.iter().zip(sums).map(weight).collect();
        let place = weights.len() - keep.clamp(1, weights.len());
        *weights.select_nth_unstable(place).1
    }

    /// The same tree with what weighs no more than `threshold` folded: level by level, so that what comes together
    /// below a `*` is weighed together.
    pub(super) fn folded(&self, threshold: u64) -> PrefixTree {
        self.folded_by(threshold, &self.sums())
    }

    fn folded_by(&self, threshold: u64, sums: &[(Tally, Leading)]) -> PrefixTree {
        let mut fold = Fold {
            old: self,
            sums,
            children: Children::of(&self.nodes),
            new: PrefixTree::new(self.largest, self.depth),
            queue: VecDeque::from([(ROOT, vec![ROOT])]),
            threshold,
        };
        // It will grow to the same size again, if it is to be merged with.
        if self.nodes.len() > self.largest {
            fold.new.index.reserve(self.nodes.len(), |_| 0);
            fold.new.nodes.reserve(self.nodes.len());
        }
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

    /// Where in the list those of a node are.
    fn range(&self, i: u32) -> Range<usize> {
        self.starts[i as usize] as usize..self.starts[i as usize + 1] as usize
    }
}

/// A tree while it is folded into another.
struct Fold<'t> {
    old: &'t PrefixTree,
    sums: &'t [(Tally, Leading)],
    children: Children,
    new: PrefixTree,
    /// New nodes with the old ones that they are made of, and whose children are still to come.
    queue: VecDeque<(u32, Vec<u32>)>,
    threshold: u64,
}

/// Old nodes that become one new node.
struct Group {
    first: u32,
    memory: u64,
    lacking: u64,
}

impl Group {
    fn weight(&self) -> u64 {
        self.memory.saturating_add(self.lacking)
    }
}

/// Children of a new node that are folded: how their names end, the node that they become, and which they are.
struct Rest {
    separator: Vec<u8>,
    node: u32,
    members: Vec<u32>,
}

impl Fold<'_> {
    /// The level below one new node.
    fn level(&mut self, parent: u32, olds: &[u32]) {
        let mut rests: Vec<Rest> = Vec::new();
        if let [old] = olds {
            for at in self.children.range(*old) {
                let i = self.children.list[at];
                let group = self.alone(i);
                match self.is_heavy(&group) {
                    true => self.keep(parent, &group, vec![i]),
                    false => self.rest(parent, &group, &[i], &mut rests),
                }
            }
        } else {
            let (groups, members) = self.groups(olds);
            for (group, members) in groups.iter().zip(members) {
                match self.is_heavy(group) {
                    true => self.keep(parent, group, members),
                    false => self.rest(parent, group, &members, &mut rests),
                }
            }
        }
        self.queue.extend(rests.into_iter().map(|rest| (rest.node, rest.members)));
    }

    fn alone(&self, i: u32) -> Group {
        let (memory, lacking) = (self.sums[i as usize].0.memory, self.old.nodes[i as usize].lacking);
        Group { first: i, memory, lacking }
    }

    fn is_heavy(&self, group: &Group) -> bool {
        !self.old.nodes[group.first as usize].is_rest && group.weight() > self.threshold
    }

    /// A group that stays by itself.
    fn keep(&mut self, parent: u32, group: &Group, members: Vec<u32>) {
        let segment = self.old.segment(&self.old.nodes[group.first as usize]);
        let new = self.new.child(parent, segment, false);
        let node = &mut self.new.nodes[new as usize];
        (node.lacking, node.folded) = (group.lacking, 0);
        self.fill(new, &members);
        self.queue.push_back((new, members));
    }

    /// A group that goes into the rest.
    fn rest(&mut self, parent: u32, group: &Group, members: &[u32], rests: &mut Vec<Rest>) {
        let first = &self.old.nodes[group.first as usize];
        let segment = self.old.segment(first);
        if !first.is_rest {
            let above = &mut self.new.nodes[parent as usize];
            above.folded = above.folded.max(group.weight());
        }
        let separator = &segment.bytes[segment.bytes.len() - segment.separator..];
        let place = rests.iter().position(|rest| rest.separator == separator).unwrap_or_else(|| {
            let (bytes, len) = star(separator);
            let node = self.new.child(parent, Segment { bytes: &bytes, separator: len }, true);
            rests.push(Rest { separator: separator.to_vec(), node, members: Vec::new() });
            rests.len() - 1
        });
        self.fill(rests[place].node, members);
        // Leaves have nothing that would have to be looked at later.
        let deep = members.iter().filter(|i| !self.children.range(**i).is_empty());
        rests[place].members.extend(deep);
    }

    /// The children of these nodes, those that have the same name together.
    fn groups(&self, olds: &[u32]) -> (Vec<Group>, Vec<Vec<u32>>) {
        let (mut groups, mut members): (Vec<Group>, Vec<Vec<u32>>) = Default::default();
        let mut index: HashTable<usize> = HashTable::new();
        let name = |i: u32| {
            let node = &self.old.nodes[i as usize];
            (node.is_rest, self.old.label(node))
        };
        let hasher = &self.old.hasher;
        for i in olds.iter().flat_map(|old| &self.children.list[self.children.range(*old)]).copied() {
            let hash = hasher.hash_one(name(i));
            let more = self.alone(i);
            if let Some(&group) = index.find(hash, |&group| name(groups[group].first) == name(i)) {
                let known = &mut groups[group];
                known.memory = known.memory.saturating_add(more.memory);
                known.lacking = known.lacking.max(more.lacking);
                members[group].push(i);
            } else {
                index.insert_unique(hash, groups.len(), |&group| hasher.hash_one(name(groups[group].first)));
                groups.push(more);
                members.push(vec![i]);
            }
        }
        (groups, members)
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

/// The piece that stands for all that end in this separator.
fn star(separator: &[u8]) -> (Vec<u8>, usize) {
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
