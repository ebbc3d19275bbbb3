//! LEN: the variable-length unsigned integer (`rdbLoadLenByRef`).
//!
//! ```text
//! 00vvvvvv              6 bits
//! 01vvvvvv b            14 bits, big-endian
//! 80 + 4 bytes          u32 big-endian
//! 81 + 8 bytes          u64 big-endian (RDB 8 and later)
//! 11eeeeee              no length: a specially encoded string
//! ```

use super::Cursor;
use crate::error::Result;

impl Cursor<'_> {
    /// A LEN.
    #[inline(always)]
    pub fn length(&mut self) -> Result<u64> {
        // Most lengths are short, and whoever reads one goes on at once: these two forms are worth having in place.
        match *self.rest() {
            [first @ ..0x40, ..] => {
                self.step(1);
                Ok(u64::from(first))
            }
            [first @ 0x40..0x80, second, ..] => {
                self.step(2);
                Ok(u64::from(first & 0x3f) << 8 | u64::from(second))
            }
            _ => self.long_length(),
        }
    }

    #[inline(never)]
    fn long_length(&mut self) -> Result<u64> {
        let start = *self;
        match self.u8()? {
            ..0x80 => Err(self.truncated()),
            0x80 => Ok(u64::from(self.u32_be()?)),
            0x81 => self.u64_be(),
            first => Err(start.malformed(format!("length: it can't start with byte 0x{first:02x}"))),
        }
    }
}

/// Appends `n` in its shortest form.
pub fn write(n: u64, out: &mut Vec<u8>) {
    match n {
        0..0x40 => out.push(n as u8),
        0x40..0x4000 => out.extend_from_slice(&[0x40 | (n >> 8) as u8, n as u8]),
        _ => match u32::try_from(n) {
            Ok(small) => {
                out.push(0x80);
                out.extend_from_slice(&small.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&n.to_be_bytes());
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_every_form() {
        let t = |n: u64, bytes: &[u8]| {
            let mut out = Vec::new();
            write(n, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(Cursor::new(bytes).length().unwrap(), n);
            for cut in 0..bytes.len() {
                assert!(Cursor::new(&bytes[..cut]).length().unwrap_err().is_truncated());
            }
        };
        t(0, &[0]);
        t(63, &[0x3f]);
        t(64, &[0x40, 0x40]);
        t(16383, &[0x7f, 0xff]);
        t(16384, &[0x80, 0, 0, 0x40, 0]);
        t(1 << 32, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
        t(u64::MAX, &[0x81, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn refuses_what_is_no_length() {
        for first in (0x82..=0xff_u8).filter(|b| *b != 0x80 && *b != 0x81) {
            assert!(!Cursor::new(&[first, 0, 0, 0, 0, 0, 0, 0, 0]).length().unwrap_err().is_truncated(), "{first:x}");
        }
    }
}
