//! What is changed of entries on their way.

use super::record::Entry;
use super::value::Element;
use crate::error::Result;

/// What is changed of entries on their way.
#[derive(Default, Clone)]
pub struct Rewrite {
    /// Masks.
    pub mask: Option<()>,
}

impl Rewrite {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        true
    }
    /// Keys.
    pub fn changes_keys(&self) -> bool {
        false
    }
    /// Values.
    pub fn changes_values(&self) -> bool {
        false
    }
    /// Key.
    pub fn key<'k>(&self, entry: &Entry<'k>, _buf: &'k mut Vec<u8>) -> Option<Entry<'k>> {
        Some(*entry)
    }
    /// Element.
    pub fn element(&self, element: Element<'_>, mut give: impl FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        give(element)
    }
}
