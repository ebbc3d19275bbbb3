//! The shared filter: which keys a command is about. It looks at everything but inside values.

use std::ops::RangeInclusive;

use super::glob::Glob;
use super::record::Entry;
use super::slot::slot;
use super::types::Kind;

/// Which keys pass: those that meet every condition that is set, or, with `not`, the others.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Databases; none listed means all.
    pub dbs: Vec<u64>,
    /// Glob patterns, one of which the key matches.
    pub globs: Vec<Glob>,
    /// Regular expressions, one of which is found in the key.
    pub regexes: Vec<regex::bytes::Regex>,
    /// Types; a module's own name counts as well as `module`.
    pub types: Vec<String>,
    /// What its expiry must be like.
    pub ttl: Option<Ttl>,
    /// Smallest size of the record in bytes.
    pub min_size: Option<u64>,
    /// Largest size of the record in bytes.
    pub max_size: Option<u64>,
    /// Ranges of cluster slots.
    pub slots: Vec<RangeInclusive<u16>>,
    /// Turns the answer round.
    pub not: bool,
    /// The time that expiries are held against, Unix time in ms.
    pub now: i64,
}

/// A condition on the expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// There is one.
    Any,
    /// There is none.
    None,
    /// It has passed.
    Expired,
    /// It comes within so many ms from now.
    Below(i64),
    /// It comes later than so many ms from now.
    Above(i64),
}

impl Filter {
    /// Whether anything is asked for at all.
    pub fn is_empty(&self) -> bool {
        self.dbs.is_empty()
            && self.globs.is_empty()
            && self.regexes.is_empty()
            && self.types.is_empty()
            && self.ttl.is_none()
            && self.min_size.is_none()
            && self.max_size.is_none()
            && self.slots.is_empty()
            && !self.not
    }

    /// Whether this key is wanted.
    #[inline]
    pub fn keeps(&self, entry: &Entry<'_>) -> bool {
        self.meets_all(entry) != self.not
    }

    fn meets_all(&self, entry: &Entry<'_>) -> bool {
        (self.dbs.is_empty() || self.dbs.contains(&entry.db))
            && self.min_size.is_none_or(|min| entry.size >= min)
            && self.max_size.is_none_or(|max| entry.size <= max)
            && self.ttl.is_none_or(|ttl| ttl.meets(entry.expiry, self.now))
            && (self.types.is_empty() || self.meets_type(entry))
            && (self.globs.is_empty() || self.globs.iter().any(|glob| glob.matches(entry.key)))
            && (self.regexes.is_empty() || self.regexes.iter().any(|regex| regex.is_match(entry.key)))
            && (self.slots.is_empty() || {
                let slot = slot(entry.key);
                self.slots.iter().any(|range| range.contains(&slot))
            })
    }

    fn meets_type(&self, entry: &Entry<'_>) -> bool {
        let kind = entry.value.kind();
        self.types
            .iter()
            .any(|wanted| wanted == kind.name() || kind == Kind::Module && *wanted == *entry.value.type_name())
    }
}

impl Ttl {
    fn meets(self, expiry: Option<i64>, now: i64) -> bool {
        let left = expiry.map(|at| at.saturating_sub(now));
        match self {
            Ttl::Any => left.is_some(),
            Ttl::None => left.is_none(),
            Ttl::Expired => left.is_some_and(|left| left <= 0),
            Ttl::Below(ms) => left.is_some_and(|left| left > 0 && left < ms),
            Ttl::Above(ms) => left.is_some_and(|left| left > ms),
        }
    }
}
