//! The prefixes that explain where the memory is, as a small tree to be shown.

use super::prefix::PrefixTree;
use super::tally::{Leading, Tally};
use crate::model::Kind;

/// A prefix with the heaviest of those below it.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// All of it, from the start of the key; `*` stands for anything.
    pub name: Vec<u8>,
    /// How much of the name is that of the prefix above.
    pub above: usize,
    /// Whether there is a `*` in it: it stands for everything of that place that is not shown by itself.
    pub is_rest: bool,
    /// Of all its keys.
    pub tally: Tally,
    /// The most memory that it can have beyond that.
    pub lacking: u64,
    /// The type of most of its memory.
    pub kind: Option<Kind>,
    /// Heaviest first.
    pub children: Vec<Outline>,
}

impl Outline {
    /// The outline of a tree: what weighs more than `least` bytes by itself, and the rest of each place together.
    pub fn of(tree: &PrefixTree, least: u64) -> Outline {
        let folded = tree.folded(least);
        let sums = folded.sums();
        let nodes = folded.nodes();
        let mut built: Vec<Outline> = (0..nodes.len())
            .map(|i| {
                let (tally, leading): (Tally, Leading) = sums[i];
                let node = &nodes[i];
                let (is_rest, lacking) = (node.is_rest, node.lacking);
                let kind = leading.kind(tally.memory);
                Outline { name: folded.label(node).to_vec(), above: 0, is_rest, tally, lacking, kind, children: vec![] }
            })
            .collect();
        // From the end, where the leaves are.
        for i in (1..nodes.len()).rev() {
            let mut done = std::mem::take(&mut built[i]);
            done.close(least);
            built[nodes[i].parent as usize].children.push(done);
        }
        let mut root = built.swap_remove(0);
        root.close(least);
        root.label(&[], false, 0);
        root
    }

    /// Orders the children, when all are there; leaves out a level that says nothing.
    fn close(&mut self, least: u64) {
        self.children.retain(|c| !c.is_rest || !c.children.is_empty() || c.tally.memory > least);
        // What has only a rest below it, which goes no further, says it all.
        if let [only] = self.children.as_slice()
            && only.is_rest
            && only.children.is_empty()
        {
            self.children.clear();
        }
        self.children.sort_by(|a, b| (b.tally.memory, &a.name).cmp(&(a.tally.memory, &b.name)));
        for child in &mut self.children {
            let [only] = child.children.as_mut_slice() else { continue };
            let left = child.tally.memory - only.tally.memory;
            if left <= least && left <= child.tally.memory / 10 {
                let mut only = std::mem::take(only);
                only.name = [&child.name[..], &only.name].concat();
                only.is_rest |= child.is_rest;
                only.lacking = only.lacking.max(child.lacking);
                *child = only;
            }
        }
    }

    /// Makes pieces into whole names, and says what each can lack: below a `*`, whatever was folded beside it.
    fn label(&mut self, above: &[u8], is_rest: bool, folded: u64) {
        self.name = [above, &self.name].concat();
        self.above = above.len();
        if is_rest {
            self.lacking = if self.is_rest { 0 } else { folded };
        }
        let below = self.is_rest || is_rest;
        let rest: u64 = self.children.iter().filter(|child| child.is_rest).map(|child| child.tally.memory).sum();
        for child in &mut self.children {
            child.label(&self.name, below, rest);
        }
        self.is_rest = below;
        if self.is_rest && self.name.ends_with(b"*") {
            self.lacking = 0;
        }
    }

    /// It and all below it, each before its children.
    pub fn walk<'o>(&'o self, visit: &mut impl FnMut(&'o Outline, usize)) {
        self.walk_from(0, visit);
    }

    fn walk_from<'o>(&'o self, level: usize, visit: &mut impl FnMut(&'o Outline, usize)) {
        visit(self, level);
        self.children.iter().for_each(|child| child.walk_from(level + 1, visit));
    }

    /// Leaves only the `most` heaviest prefixes.
    pub fn prune(&mut self, most: usize) {
        let mut weights = Vec::new();
        self.walk(&mut |node, level| {
            if level > 0 {
                weights.push(node.tally.memory);
            }
        });
        weights.sort_unstable_by(|a, b| b.cmp(a));
        let (least, mut left) = (weights.get(most).copied().unwrap_or(0), most);
        self.drop_lighter(least, &mut left);
    }

    /// Drops what is as light as the first that has no place any more.
    fn drop_lighter(&mut self, least: u64, left: &mut usize) {
        self.children.retain_mut(|child| {
            let stays = child.tally.memory > least || (least == 0 && *left > 0);
            if stays {
                *left = left.saturating_sub(1);
                child.drop_lighter(least, left);
            }
            stays
        });
    }
}
