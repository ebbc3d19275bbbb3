//! What differs between two data sets, whatever their forms.
//!
//! Each side is read once and boiled down to a short record a key: hashes of its name and of what it holds, its expiry.
//! The records go into partitions by the hash of the name, on disk where they are many; partition by partition they are
//! joined. Where keys differ, both sides are read once more, and those keys go the same way, whole, to say what it is.
//! Two passes in all, and memory is bounded, whatever the size of the sides and however much of them differs: by a
//! budget, one partition of a thousand, and two bytes for each key that differs.

mod compare;
mod detail;
mod held;
mod join;
mod partitions;
mod side;
mod spill;

use std::cmp::Ordering;
use std::num::NonZeroUsize;

pub use compare::{Aspect, Difference};
pub use side::Side;

use crate::error::Result;
use crate::model::facts::{Class, Ignore, Loose};
use crate::model::{Eviction, Filter};

/// What is compared, and how much of it is told.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// Which keys. With a filter that asks for something, only keys are compared.
    pub filter: Filter,
    /// What is not compared.
    pub ignore: Ignore,
    /// Expiries that are no farther apart than this are the same, in ms.
    pub ttl_tolerance: u64,
    /// How many changes are told in detail; the others are only counted.
    pub limit: Option<u64>,
    /// How many differences within a key are told.
    pub elements: usize,
}

impl Options {
    fn matters(&self, class: Class) -> bool {
        self.ignore.matters(class)
    }

    /// Whether two expiries are the same.
    fn same_expiry(&self, a: Option<i64>, b: Option<i64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => self.ignore.ttl || a.abs_diff(b) <= self.ttl_tolerance,
            (a, b) => self.ignore.ttl || a == b,
        }
    }

    /// Whether idle time or access counter are the same, as far as both sides have them.
    fn same_eviction(&self, a: Eviction, b: Eviction) -> bool {
        match (a, b) {
            (Eviction::Idle(a), Eviction::Idle(b)) => self.ignore.idle || a == b,
            (Eviction::Freq(a), Eviction::Freq(b)) => self.ignore.freq || a == b,
            _ => true,
        }
    }
}

/// What changed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A function library, or data that a module keeps outside of keys.
    Loose(Loose),
    /// A key.
    Key {
        /// Its database.
        db: u64,
        /// Its name.
        key: Vec<u8>,
    },
}

/// One thing that is not the same on both sides.
#[derive(Clone, Debug)]
pub struct Change {
    /// What it is.
    pub subject: Subject,
    /// How it changed.
    pub how: How,
}

/// How something changed, from the first side to the second.
#[derive(Clone, Debug)]
pub enum How {
    /// Only the second side has it.
    Added(Outline),
    /// Only the first side has it.
    Removed(Outline),
    /// Both have it, but not the same.
    Changed {
        /// The name of its type, on the first side.
        type_name: String,
        /// How many differences there are.
        count: u64,
        /// The first of them, as many as were asked for.
        first: Vec<Difference>,
    },
}

/// What a key is, in few words.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outline {
    /// What TYPE answers; empty for what is no key.
    pub type_name: String,
    /// Elements, or the length of a string.
    pub elements: Option<u64>,
    /// Its expiry.
    pub expiry: Option<i64>,
}

/// How much differs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Keys of the first side.
    pub left: u64,
    /// Keys of the second side.
    pub right: u64,
    /// Keys that are the same.
    pub same: u64,
    /// Keys that only the second side has.
    pub added: u64,
    /// Keys that only the first side has.
    pub removed: u64,
    /// Keys that are not the same.
    pub changed: u64,
    /// Function libraries and module data that are not the same.
    pub loose: u64,
    /// How many of all these were told.
    pub told: u64,
}

impl Totals {
    /// Whether there is no difference.
    pub fn is_same(&self) -> bool {
        self.added + self.removed + self.changed + self.loose == 0
    }
}

/// Compares two sides. Gives the changes to `sink`, sorted by database and key as far as they fit into memory together.
pub fn diff<'s>(
    left: &mut Side<'s>,
    right: &mut Side<'s>,
    threads: NonZeroUsize,
    options: &Options,
    sink: &mut dyn FnMut(&Change) -> Result<()>,
) -> Result<Totals> {
    let mut a = left.survey(threads, options)?;
    let mut b = right.survey(threads, options)?;
    let mut totals = Totals { left: a.keys, right: b.keys, ..Totals::default() };
    loose(&mut a.loose, &mut b.loose, options, &mut totals, sink)?;
    let candidates = join::join(&a.partitions, &b.partitions, options, &mut totals)?;
    drop((a, b));
    detail::tell([left, right], threads, options, candidates, &mut totals, sink)?;
    Ok(totals)
}

/// Compares what belongs to no key; there is little of it.
fn loose(
    a: &mut [(Loose, u128)],
    b: &mut [(Loose, u128)],
    options: &Options,
    totals: &mut Totals,
    sink: &mut dyn FnMut(&Change) -> Result<()>,
) -> Result<()> {
    a.sort();
    b.sort();
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let outline = Outline::default;
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let (old, new) = (a.next_if(|_| order.is_le()), b.next_if(|_| order.is_ge()));
        let (what, how) = match (old, new) {
            (Some((_, old)), Some((_, new))) if old == new => continue,
            (Some((what, _)), Some(_)) => {
                (what, How::Changed { type_name: String::new(), count: 1, first: Vec::new() })
            }
            (Some((what, _)), None) => (what, How::Removed(outline())),
            (None, Some((what, _))) => (what, How::Added(outline())),
            (None, None) => continue,
        };
        totals.loose += 1;
        if options.limit.is_none_or(|limit| totals.told < limit) {
            totals.told += 1;
            sink(&Change { subject: Subject::Loose(what.clone()), how })?;
        }
    }
}
