//! What is changed of keys on their way: their names, databases and expiries.

mod rename;
mod ttl;

pub use rename::Rename;
pub use ttl::TtlRule;

use super::record::Entry;
use super::value::Element;
use crate::error::Result;

/// What is changed of keys on their way; by default, nothing.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// Databases that become others.
    pub db_map: Vec<(u64, u64)>,
    /// Prefixes that are taken off: the first one that a key begins with, unless nothing would be left.
    pub strip: Vec<Vec<u8>>,
    /// Renaming rules, one after the other.
    pub renames: Vec<Rename>,
    /// A prefix that every key gets.
    pub add: Vec<u8>,
    /// What becomes of expiries.
    pub ttl: TtlRule,
    /// The expiry of keys that have none.
    pub default_expiry: Option<i64>,
    /// Keys are left out whose expiry has passed.
    pub drop_expired: bool,
    /// The time that this is held against, Unix time in ms.
    pub now: i64,
}

impl Rewrite {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        !self.changes_keys() && self.ttl == TtlRule::Keep && self.default_expiry.is_none() && !self.drop_expired
    }

    /// Whether keys get other names or databases: two may become one.
    pub fn changes_keys(&self) -> bool {
        !(self.db_map.is_empty() && self.strip.is_empty() && self.renames.is_empty() && self.add.is_empty())
    }

    /// Whether values are changed: fields of hashes can have expiries too.
    pub fn changes_values(&self) -> bool {
        self.ttl != TtlRule::Keep
    }

    /// A key as it is to be written, its new name in `buf`; `None` where it is left out.
    ///
    /// Prefixes are taken off, then the rules for renaming apply, then the new prefix is put in front.
    pub fn key<'k>(&self, entry: &Entry<'k>, buf: &'k mut Vec<u8>) -> Option<Entry<'k>> {
        if self.drop_expired && entry.expiry.is_some_and(|at| at <= self.now) {
            return None;
        }
        let db = self.db_map.iter().find(|(from, _)| *from == entry.db).map_or(entry.db, |(_, to)| *to);
        let expiry = self.ttl.apply(entry.expiry).or(self.default_expiry);
        if self.strip.is_empty() && self.renames.is_empty() && self.add.is_empty() {
            return Some(Entry { db, expiry, ..*entry });
        }
        let stripped = self.strip.iter().find_map(|prefix| entry.key.strip_prefix(prefix.as_slice()));
        let mut key = std::borrow::Cow::Borrowed(stripped.filter(|rest| !rest.is_empty()).unwrap_or(entry.key));
        for rename in &self.renames {
            if let Some(renamed) = rename.apply(&key) {
                key = renamed.into();
            }
        }
        buf.clear();
        buf.extend_from_slice(&self.add);
        buf.extend_from_slice(&key);
        Some(Entry { db, expiry, key: buf, ..*entry })
    }

    /// Gives an element as it is to be written: the expiries in it change as those of keys do.
    #[inline]
    pub fn element(&self, element: Element<'_>, give: impl FnOnce(Element<'_>) -> Result<()>) -> Result<()> {
        give(match element {
            Element::Field { name, value, expiry } => Element::Field { name, value, expiry: self.ttl.apply(expiry) },
            Element::Expiring { member, expiry } => Element::Expiring { member, expiry: self.ttl.apply(expiry) },
            other => other,
        })
    }
}
