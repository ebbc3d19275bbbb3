//! A sorted set: scores by member, and, once an order was asked for, members by score.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::error::Result;

/// A sorted set.
#[derive(Default)]
pub(super) struct Zset {
    scores: IndexMap<Arc<[u8]>, f64, foldhash::fast::RandomState>,
    /// Made when it is needed for the first time, and kept from then on.
    ranks: Option<BTreeSet<Ranked>>,
}

/// A member in its place: by score, then by its bytes.
#[derive(Clone)]
pub(super) struct Ranked {
    pub(super) score: f64,
    pub(super) member: Arc<[u8]>,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        // Both zeros are the same score; NaN is none.
        let by_score = self.score.partial_cmp(&other.score).unwrap_or(Ordering::Equal);
        by_score.then_with(|| self.member.cmp(&other.member))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Zset {
    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    pub(super) fn set(&mut self, member: &[u8], score: f64) {
        let member = match self.scores.get_full_mut(member) {
            Some((_, member, old)) => {
                let (member, before) = (member.clone(), std::mem::replace(old, score));
                if let Some(ranks) = &mut self.ranks {
                    ranks.remove(&Ranked { score: before, member: member.clone() });
                }
                member
            }
            None => {
                let member: Arc<[u8]> = member.into();
                self.scores.insert(member.clone(), score);
                member
            }
        };
        if let Some(ranks) = &mut self.ranks {
            ranks.insert(Ranked { score, member });
        }
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        match self.scores.swap_remove_full(member) {
            Some((_, member, score)) => {
                if let Some(ranks) = &mut self.ranks {
                    ranks.remove(&Ranked { score, member });
                }
                true
            }
            None => false,
        }
    }

    /// The members in their order.
    pub(super) fn ranked(&mut self) -> &BTreeSet<Ranked> {
        let Zset { scores, ranks } = self;
        ranks.get_or_insert_with(|| {
            scores.iter().map(|(member, score)| Ranked { score: *score, member: member.clone() }).collect()
        })
    }

    /// Gives members and scores, in no order that means anything.
    pub(super) fn each(&self, mut visit: impl FnMut(&[u8], f64) -> Result<()>) -> Result<()> {
        self.scores.iter().try_for_each(|(member, score)| visit(member, *score))
    }
}
