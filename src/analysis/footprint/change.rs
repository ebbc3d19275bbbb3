//! What grew and what shrank between two dumps.

use super::prefix::PrefixTree;
use super::tally::Tally;
use super::{Footprint, TypeKey};

/// Something that is in one dump or both.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    /// What it is.
    pub what: T,
    /// What the earlier dump has of it.
    pub before: Tally,
    /// What the later dump has of it.
    pub after: Tally,
}

/// All that changed, the largest changes first.
pub struct Change {
    /// The whole.
    pub total: Changed<()>,
    /// By prefix: those that explain it, each as deep as it goes.
    pub prefixes: Vec<Changed<Vec<u8>>>,
    /// By type and encoding.
    pub types: Vec<Changed<TypeKey>>,
    /// By database.
    pub databases: Vec<Changed<u64>>,
}

/// A prefix is shown above another one only if it changed by so much more.
const EXPLAINED: f64 = 0.9;

impl<T> Changed<T> {
    /// By how many bytes of memory it changed.
    pub fn memory(&self) -> i128 {
        i128::from(self.after.memory) - i128::from(self.before.memory)
    }

    /// By how many keys.
    pub fn keys(&self) -> i128 {
        i128::from(self.after.keys) - i128::from(self.before.keys)
    }
}

/// Holds two dumps against each other. Prefixes that have, in both together, no more than `least` bytes are taken
/// together, and no more than `most` of them are given.
pub fn changes(before: &Footprint, after: &Footprint, least: u64, most: usize) -> Change {
    let mut types: Vec<Changed<TypeKey>> = join(
        before.types.iter().map(|(key, tally)| (*key, *tally)),
        after.types.iter().map(|(key, tally)| (*key, *tally)),
    );
    let mut databases = join(
        before.databases.iter().map(|(db, tally)| (*db, *tally)),
        after.databases.iter().map(|(db, tally)| (*db, *tally)),
    );
    largest_first(&mut types);
    largest_first(&mut databases);
    let total = Changed { what: (), before: before.total, after: after.total };
    Change { total, prefixes: prefixes(&before.prefixes, &after.prefixes, least, most), types, databases }
}

fn join<T: Ord>(before: impl Iterator<Item = (T, Tally)>, after: impl Iterator<Item = (T, Tally)>) -> Vec<Changed<T>> {
    let mut joined = std::collections::BTreeMap::<T, (Tally, Tally)>::new();
    before.for_each(|(what, tally)| joined.entry(what).or_default().0 = tally);
    after.for_each(|(what, tally)| joined.entry(what).or_default().1 = tally);
    joined.into_iter().map(|(what, (before, after))| Changed { what, before, after }).collect()
}

fn largest_first<T: Ord>(changed: &mut [Changed<T>]) {
    changed.sort_by(|a, b| b.memory().abs().cmp(&a.memory().abs()).then_with(|| a.what.cmp(&b.what)));
}

fn prefixes(before: &PrefixTree, after: &PrefixTree, least: u64, most: usize) -> Vec<Changed<Vec<u8>>> {
    let shape = before.union(after).folded(least);
    let sides = [before, after].map(|tree| tree.shaped_like(&shape));
    let nodes = shape.nodes();
    let mut all: Vec<Changed<Vec<u8>>> = Vec::with_capacity(nodes.len());
    for (i, node) in nodes.iter().enumerate() {
        let above = if i == 0 { &[][..] } else { &all[node.parent as usize].what };
        let what = [above, shape.label(node)].concat();
        all.push(Changed { what, before: sides[0][i].0, after: sides[1][i].0 });
    }
    let mut is_shown: Vec<bool> = all.iter().map(|changed| changed.memory() != 0).collect();
    is_shown[0] = false;
    for (i, node) in nodes.iter().enumerate().skip(1).rev() {
        let (own, above) = (all[i].memory(), all[node.parent as usize].memory());
        let is_most = own.signum() == above.signum() && own.abs() as f64 >= EXPLAINED * above.abs() as f64;
        // What goes no deeper than all of its siblings together is said by its parent.
        let is_all = node.is_rest && own == above && shape.is_leaf(i);
        if is_all {
            is_shown[i] = false;
        } else if is_most {
            is_shown[node.parent as usize] = false;
        }
    }
    let mut shown: Vec<_> = all.into_iter().zip(is_shown).filter(|(_, is)| *is).map(|(changed, _)| changed).collect();
    largest_first(&mut shown);
    shown.truncate(most);
    shown
}
