//! Bounds-checked reading from a slice. Every failed read says at which byte of the slice it failed.

use crate::error::{Error, Result};

/// A position in a slice that moves forward as things are read.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    data: &'a [u8],
    pos: usize,
}

macro_rules! number {
    ($($name:ident $type:ty, $from:ident: $doc:literal;)*) => {$(
        #[doc = $doc]
        #[inline]
        pub fn $name(&mut self) -> Result<$type> {
            Ok(<$type>::$from(self.array()?))
        }
    )*};
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte of `data`.
    #[inline]
    pub fn new(data: &'a [u8]) -> Cursor<'a> {
        Cursor { data, pos: 0 }
    }

    /// Starts at byte `pos` of `data`.
    #[inline]
    pub fn at(data: &'a [u8], pos: usize) -> Cursor<'a> {
        Cursor { data, pos }
    }

    /// The byte that comes next, counted from the start of the slice.
    #[inline]
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// What is left to read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.pos..).unwrap_or_default()
    }

    /// Whether all has been read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pos >= self.data.len()
    }

    /// The next byte, without taking it.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.data.get(self.pos).copied()
    }

    /// Moves over `n` bytes that are known to be there.
    #[inline]
    pub(super) fn step(&mut self, n: usize) {
        self.pos += n;
    }

    /// The bytes from `start` to here.
    #[inline]
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.data[start..self.pos]
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        match self.data.get(self.pos) {
            Some(&b) => {
                self.pos += 1;
                Ok(b)
            }
            None => Err(self.truncated()),
        }
    }

    /// `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        match self.rest().get(..n) {
            Some(bytes) => {
                self.pos += n;
                Ok(bytes)
            }
            None => Err(self.lacks(n as u64)),
        }
    }

    /// `n` bytes, where `n` was declared by the input and may be anything.
    #[inline]
    pub fn take_declared(&mut self, n: u64) -> Result<&'a [u8]> {
        match usize::try_from(n) {
            Ok(n) => self.take(n),
            Err(_) => Err(self.lacks(n)),
        }
    }

    /// `N` bytes by value.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest().first_chunk::<N>() {
            Some(bytes) => {
                self.pos += N;
                Ok(*bytes)
            }
            None => Err(self.truncated()),
        }
    }

    number! {
        u16_le u16, from_le_bytes: "A little-endian u16.";
        u32_le u32, from_le_bytes: "A little-endian u32.";
        u64_le u64, from_le_bytes: "A little-endian u64.";
        u32_be u32, from_be_bytes: "A big-endian u32.";
        u64_be u64, from_be_bytes: "A big-endian u64.";
        i32_le i32, from_le_bytes: "A little-endian i32.";
        i64_le i64, from_le_bytes: "A little-endian i64.";
        f32_le f32, from_le_bytes: "A little-endian binary32.";
        f64_le f64, from_le_bytes: "A little-endian binary64.";
    }

    /// Fails unless all has been read: a value that is followed by more bytes is no whole value.
    pub fn finish(&self, what: &'static str) -> Result<()> {
        match self.rest().len() {
            0 => Ok(()),
            n => Err(Error::malformed(format!("{what}: {n} bytes left over")).at(self.pos as u64)),
        }
    }

    /// The error for a slice that ends here.
    #[cold]
    pub fn truncated(&self) -> Error {
        Error::truncated().at(self.pos as u64)
    }

    /// The error for a slice that has not `n` bytes more.
    #[cold]
    fn lacks(&self, n: u64) -> Error {
        Error::truncated_before(n.saturating_add(self.pos as u64)).at(self.pos as u64)
    }

    /// The error for a slice that is wrong here.
    #[cold]
    pub fn malformed(&self, what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::malformed(what).at(self.pos as u64)
    }
}
