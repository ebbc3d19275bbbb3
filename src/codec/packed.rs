//! A listpack or a ziplist: for the types that exist in both forms.

use super::item::Item;
use super::listpack::{self, Listpack};
use super::ziplist::{self, Ziplist};
use crate::error::{Error, Result};

/// A listpack or a ziplist, read from front to back.
pub enum Packed<'a> {
    /// From Redis 7.0 on.
    Listpack(Listpack<'a>),
    /// Before.
    Ziplist(Ziplist<'a>),
}

impl<'a> Packed<'a> {
    /// The next element; `None` at the end, when all that the header declares has been found true.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>> {
        match self {
            Packed::Listpack(list) => list.next_item(),
            Packed::Ziplist(list) => list.next_item(),
        }
    }

    /// The next element, which must be there.
    #[inline]
    pub fn expect(&mut self, what: &'static str) -> Result<Item<'a>> {
        self.next_item()?.ok_or_else(|| Packed::lacking(what))
    }

    /// The error for a list whose elements belong together, when there are too few.
    #[cold]
    pub fn lacking(what: &'static str) -> Error {
        Error::malformed(format!("{what}: it lacks its last element"))
    }

    /// Walks to the end; says how many elements there were.
    pub fn count(self) -> Result<u64> {
        match self {
            Packed::Listpack(list) => list.count(),
            Packed::Ziplist(mut list) => {
                let mut n = 0;
                while list.next_item()?.is_some() {
                    n += 1;
                }
                Ok(n)
            }
        }
    }

    /// How many elements the header declares; `None` when it does not know.
    pub fn declared(&self) -> Option<u64> {
        match self {
            Packed::Listpack(list) => list.declared(),
            Packed::Ziplist(list) => list.declared(),
        }
    }
}

/// Builds a listpack or a ziplist.
#[derive(Clone, Debug)]
pub enum PackedBuilder {
    /// From Redis 7.0 on.
    Listpack(listpack::Builder),
    /// Before.
    Ziplist(ziplist::Builder),
}

/// The same call to whichever it is.
macro_rules! either {
    ($self:ident, $list:ident => $call:expr) => {
        match $self {
            PackedBuilder::Listpack($list) => $call,
            PackedBuilder::Ziplist($list) => $call,
        }
    };
}

impl PackedBuilder {
    /// Begins anew.
    pub fn clear(&mut self) {
        either!(self, list => list.clear());
    }

    /// Appends a string; the canonical text of a 64-bit integer becomes an integer.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        either!(self, list => list.push(bytes));
    }

    /// How many elements there are.
    pub fn count(&self) -> u64 {
        either!(self, list => list.count())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How long it is, with header and terminator.
    pub fn len(&self) -> usize {
        either!(self, list => list.len())
    }

    /// Writes header and terminator. After that comes [`PackedBuilder::clear`].
    pub fn finish(&mut self) -> &[u8] {
        either!(self, list => list.finish())
    }
}
