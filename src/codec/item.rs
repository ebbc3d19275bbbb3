//! What listpacks and ziplists hold: a flat list of strings and integers in one blob.

use crate::error::{Error, Result};

/// One element of a packed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A string.
    Bytes(&'a [u8]),
    /// An integer; as a string it is its decimal text.
    Int(i64),
}

impl<'a> Item<'a> {
    /// The element as a string; an integer is written into `buf`.
    #[inline]
    pub fn text<'b>(self, buf: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Item::Bytes(bytes) => bytes,
            Item::Int(n) => buf.format(n).as_bytes(),
        }
    }

    /// The element where only an integer element will do.
    pub fn int(self, what: &'static str) -> Result<i64> {
        match self {
            Item::Int(n) => Ok(n),
            Item::Bytes(_) => Err(Error::malformed(format!("{what}: a string where an integer must stand"))),
        }
    }

    /// The element as a score.
    pub fn score(self) -> Result<f64> {
        match self {
            Item::Int(n) => Ok(n as f64),
            Item::Bytes(text) => super::double::parse(text),
        }
    }
}

/// The number of elements that the first bytes of a blob declare: at bytes 4-5 of a listpack, 8-9 of a ziplist.
pub fn declared(start: &[u8], at: usize) -> Option<u64> {
    let count = u16::from_le_bytes(start.get(at..at + 2)?.try_into().ok()?);
    (count != u16::MAX).then_some(u64::from(count))
}

/// Checks what a listpack and a ziplist have alike: the total at their front, and the terminator at their end.
#[inline]
pub(super) fn check_frame(blob: &[u8], header: usize, what: &'static str) -> Result<()> {
    let total = blob.first_chunk::<4>().map_or(0, |total| u32::from_le_bytes(*total));
    if blob.len() <= header || total as usize != blob.len() {
        return Err(Error::malformed(format!("{what}: {} bytes, its header says {total}", blob.len())));
    }
    match blob[blob.len() - 1] {
        0xff => Ok(()),
        _ => Err(Error::malformed(format!("{what}: no terminator at its end"))),
    }
}
