//! How entries change on their way: names, databases, expiries, and masks over all that they say.

mod mask;
mod rename;
mod ttl;

use regex::bytes::CaptureLocations;

pub use mask::{Buf as MaskBuf, Mask};
pub use rename::Rename;
pub use ttl::TtlRule;

use super::record::Entry;
use super::types::RdbType;
use super::value::Element;
use crate::codec::string::canonical_integer;
use crate::codec::{length, opcode};
use crate::error::{Error, Result};

/// What is to be changed; the default changes nothing.
///
/// ```
/// use rdbkit::model::{Rename, Rewrite, TtlRule};
/// let rewrite = Rewrite {
///     renames: vec![Rename::new("s/^user:/u:/")?],
///     ttl: TtlRule::Strip,
///     ..Rewrite::default()
/// };
/// assert!(rewrite.changes_keys() && rewrite.changes_values());
/// # Ok::<(), rdbkit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// Where databases go.
    pub db_map: DbMap,
    /// Prefixes of which the first that a key begins with is removed. A key that is nothing but the prefix keeps it.
    pub strip: Vec<Vec<u8>>,
    /// Rules for names, applied one after the other.
    pub renames: Vec<Rename>,
    /// What is put in front of every key.
    pub add: Vec<u8>,
    /// What becomes of expiries.
    pub ttl: TtlRule,
    /// Whether keys whose expiry has passed are dropped: the expiry in the file, before `ttl` changes it.
    pub drop_expired: bool,
    /// The time that expiries are held against, Unix time in ms.
    pub now: i64,
    /// Pseudonyms for keys, once they have their new names, and for all texts of values.
    pub mask: Option<Mask>,
}

/// Which database becomes which.
#[derive(Clone, Debug, Default)]
pub struct DbMap {
    /// From and to.
    pub pairs: Vec<(u64, u64)>,
    /// Where all others go; `None`: they stay.
    pub others: Option<u64>,
}

/// Buffers for [`Rewrite::key`]. They belong to one `Rewrite` and are used again for every key.
#[derive(Default)]
pub struct KeyBuf {
    key: Vec<u8>,
    spare: Vec<u8>,
    member_expiries: Vec<u8>,
    groups: Vec<Option<CaptureLocations>>,
    mask: mask::Buf,
}

/// Buffers for [`Rewrite::element`], used again for every element.
#[derive(Default)]
pub struct ElementBuf(mask::Buf);

impl DbMap {
    /// What a database becomes.
    pub fn of(&self, db: u64) -> u64 {
        match self.pairs.iter().find(|(from, _)| *from == db) {
            Some((_, to)) => *to,
            None => self.others.unwrap_or(db),
        }
    }

    /// Whether every database stays.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.others.is_none()
    }
}

impl Rewrite {
    /// Whether nothing is changed at all.
    pub fn is_empty(&self) -> bool {
        !self.changes_keys() && self.ttl.is_keep() && !self.drop_expired
    }

    /// Whether keys get other names or databases.
    pub fn changes_keys(&self) -> bool {
        self.may_join_keys() || !self.add.is_empty() || self.mask.is_some()
    }

    /// Whether two different keys may become one.
    pub fn may_join_keys(&self) -> bool {
        !self.db_map.is_empty() || !self.strip.is_empty() || !self.renames.is_empty()
    }

    /// Whether anything in values changes: texts, or the expiries of fields and members.
    pub fn changes_values(&self) -> bool {
        self.mask.is_some() || !self.ttl.is_keep()
    }

    /// Whether a value of this type can change; one that can't may be copied as it is.
    pub fn changes(&self, rdb_type: RdbType) -> bool {
        self.mask.is_some() || !self.ttl.is_keep() && rdb_type.has_expiries()
    }

    /// The entry with its new key, database and expiry; `None` if it is dropped. The value is still the old one.
    ///
    /// Errors: what can't be masked.
    #[inline]
    pub fn key<'k>(&self, entry: &Entry<'k>, buf: &'k mut KeyBuf) -> Result<Option<Entry<'k>>> {
        if self.drop_expired && entry.expiry.is_some_and(|at| at <= self.now) {
            return Ok(None);
        }
        let mut new = Entry { db: self.db_map.of(entry.db), expiry: self.ttl.apply(entry.expiry), ..*entry };
        if self.mask.is_some() && !entry.meta.is_empty() {
            return Err(Error::unsupported(
                "what a module attached to the key can't be masked; leave it out with \
                --strip-modules",
            ));
        }
        if self.changes_values() && !entry.member_expiries.is_empty() {
            self.change_member_expiries(entry, buf)?;
        }
        let stripped = self.stripped(entry.key);
        let copied = self.change_name(stripped, buf);
        let KeyBuf { key, member_expiries, .. } = buf;
        new.key = if copied { key } else { stripped };
        if self.changes_values() && !entry.member_expiries.is_empty() {
            new.member_expiries = member_expiries;
        }
        Ok(Some(new))
    }

    /// The element as it has to be in the new value. Errors: what can't be masked.
    #[inline]
    pub fn element<'e>(&self, element: Element<'e>, buf: &'e mut ElementBuf) -> Result<Element<'e>> {
        let element = match element {
            Element::Field { name, value, expiry } => Element::Field { name, value, expiry: self.ttl.apply(expiry) },
            Element::Expiring { member, expiry } => Element::Expiring { member, expiry: self.ttl.apply(expiry) },
            other => other,
        };
        match &self.mask {
            Some(mask) => mask.element(element, &mut buf.0),
            None => Ok(element),
        }
    }

    fn stripped<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let found = self.strip.iter().find_map(|prefix| key.strip_prefix(prefix.as_slice()));
        found.filter(|rest| !rest.is_empty()).unwrap_or(key)
    }

    /// Writes the new name to `buf.key`; false, and nothing written, if it is the old one.
    fn change_name(&self, name: &[u8], buf: &mut KeyBuf) -> bool {
        let KeyBuf { key, spare, groups, mask, .. } = buf;
        let mut copied = false;
        groups.resize_with(self.renames.len(), || None);
        for (rename, groups) in self.renames.iter().zip(groups) {
            let from = if copied { key.as_slice() } else { name };
            if rename.apply(from, groups, spare) {
                std::mem::swap(key, spare);
                copied = true;
            }
        }
        if !self.add.is_empty() {
            let from = if copied { key.as_slice() } else { name };
            spare.clear();
            spare.extend_from_slice(&self.add);
            spare.extend_from_slice(from);
            std::mem::swap(key, spare);
            copied = true;
        }
        if let Some(with) = &self.mask {
            let pseudonym = with.key(if copied { key.as_slice() } else { name }, mask);
            key.clear();
            key.extend_from_slice(pseudonym);
            copied = true;
        }
        copied
    }

    /// Writes KeyDB's member expiries anew: pairs of aux records.
    fn change_member_expiries(&self, entry: &Entry<'_>, buf: &mut KeyBuf) -> Result<()> {
        let KeyBuf { member_expiries: out, mask, .. } = buf;
        out.clear();
        entry.each_member_expiry(|member, when| {
            let member = self.mask.as_ref().map_or(member, |with| with.text(member, mask));
            let at = canonical_integer(when);
            let at = at.ok_or_else(|| Error::malformed("expiry of a member: no integer"))?;
            if let Some(at) = self.ttl.apply(Some(at)) {
                write_aux(b"keydb-subexpire-key", member, out);
                write_aux(b"keydb-subexpire-when", itoa::Buffer::new().format(at).as_bytes(), out);
            }
            Ok(())
        })
    }
}

fn write_aux(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(opcode::AUX);
    for text in [name, value] {
        length::write(text.len() as u64, out);
        out.extend_from_slice(text);
    }
}
