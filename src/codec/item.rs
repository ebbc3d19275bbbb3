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

/// Bytes that were overwritten in a row reach so far beyond the first that shows.
pub(super) const CLOSE: usize = 10;

/// Gives what could be read of a damaged list, `step` elements at a time, as they belong together: those from its begin
/// that stand from `certain_from` on, and those up to its end. If its terminator was overwritten, the one before it
/// may have been.
pub(super) fn groups<'a>(
    front: &mut Vec<(usize, Item<'a>)>,
    back: &[(usize, Item<'a>)],
    certain_from: usize,
    is_terminated: bool,
    step: usize,
    keep: &mut impl FnMut(&[Item<'a>]),
) {
    if !is_terminated && back.is_empty() {
        front.pop();
    }
    let back = if is_terminated { &back[back.len() % step..] } else { &[] };
    let mut group = Vec::with_capacity(step);
    for elements in front.chunks_exact(step).chain(back.chunks_exact(step)) {
        if elements[0].0 >= certain_from {
            group.clear();
            group.extend(elements.iter().map(|(_, item)| *item));
            keep(&group);
        }
    }
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
