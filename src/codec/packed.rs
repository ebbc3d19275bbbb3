//! A listpack or a ziplist: for the types that exist in both forms.

use super::item::Item;
use super::listpack::Listpack;
use super::ziplist::Ziplist;
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
        self.next_item()?.ok_or_else(|| Error::malformed(format!("{what}: it lacks its last element")))
    }

    /// How many elements the header declares; `None` when it does not know.
    pub fn declared(&self) -> Option<u64> {
        match self {
            Packed::Listpack(list) => list.declared(),
            Packed::Ziplist(list) => list.declared(),
        }
    }
}
