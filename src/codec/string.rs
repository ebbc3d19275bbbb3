//! STR: a byte string, raw, as an integer, or LZF-compressed (`rdbGenericLoadStringObject`).
//!
//! ```text
//! LEN n, n bytes        raw
//! C0 i8 · C1 i16 · C2 i32   little-endian integer; the string is its decimal text
//! C3 LEN clen, LEN len, clen bytes   LZF
//! ```

use super::{Cursor, length, lzf};
use crate::error::Result;

/// A string as it stands in the input, not decoded yet.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// The bytes themselves.
    Raw(&'a [u8]),
    /// The decimal text of this integer.
    Int(i32),
    /// Compressed bytes that give `len` bytes.
    Lzf {
        /// The LZF stream.
        packed: &'a [u8],
        /// The declared length of the string; not to be trusted.
        len: u64,
    },
}

impl<'a> Str<'a> {
    /// Reads a string's outside: its form and extent.
    #[inline(always)]
    pub fn read(cur: &mut Cursor<'a>) -> Result<Str<'a>> {
        match cur.peek() {
            Some(0xc0..) => Str::read_special(cur),
            _ => {
                let n = cur.length()?;
                Ok(Str::Raw(cur.take_declared(n)?))
            }
        }
    }

    fn read_special(cur: &mut Cursor<'a>) -> Result<Str<'a>> {
        let start = *cur;
        Ok(match cur.u8()? {
            0xc0 => Str::Int(i32::from(cur.u8()? as i8)),
            0xc1 => Str::Int(i32::from(cur.u16_le()? as i16)),
            0xc2 => Str::Int(cur.i32_le()?),
            0xc3 => {
                let packed = cur.length()?;
                let len = cur.length()?;
                Str::Lzf { packed: cur.take_declared(packed)?, len }
            }
            other => return Err(start.malformed(format!("string: unknown encoding 0x{other:02x}"))),
        })
    }

    /// Steps over a string without decoding it; says how many bytes it will have decoded, as far as it declares.
    #[inline]
    pub fn skip(cur: &mut Cursor<'a>) -> Result<u64> {
        Ok(match Str::read(cur)? {
            Str::Raw(bytes) => bytes.len() as u64,
            Str::Int(_) => 11,
            Str::Lzf { len, .. } => len,
        })
    }

    /// The string's bytes: borrowed from the input where they stand there, else decoded into `buf`.
    ///
    /// `buf` is scratch: it only grows, and what it holds beyond the returned slice means nothing.
    #[inline]
    pub fn decode<'b>(self, buf: &'b mut Vec<u8>) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Str::Raw(bytes) => Ok(bytes),
            Str::Int(n) => {
                let mut digits = itoa::Buffer::new();
                let text = digits.format(n).as_bytes();
                if buf.len() < text.len() {
                    buf.resize(text.len(), 0);
                }
                // Not cleared: what would be a large buffer again would have to be filled again.
                buf[..text.len()].copy_from_slice(text);
                Ok(&buf[..text.len()])
            }
            Str::Lzf { packed, len } => lzf::decompress(packed, len, buf),
        }
    }

    /// Reads and decodes in one go.
    #[inline(always)]
    pub fn take<'b>(cur: &mut Cursor<'a>, buf: &'b mut Vec<u8>) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        match cur.peek() {
            Some(0xc0..) => Str::take_special(cur, buf),
            _ => {
                let n = cur.length()?;
                cur.take_declared(n)
            }
        }
    }

    /// Steps over a string and makes sure that it can be decoded; `buf` is used where it can't, to say why.
    #[inline(always)]
    pub fn verify(cur: &mut Cursor<'a>, buf: &mut Vec<u8>) -> Result<()> {
        let start = cur.pos() as u64;
        match Str::read(cur)? {
            Str::Lzf { packed, len } if !lzf::is_sound(packed, len) => {
                lzf::decompress(packed, len, buf).map(drop).map_err(|e| e.placed(start))
            }
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn take_special<'b>(cur: &mut Cursor<'a>, buf: &'b mut Vec<u8>) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        let start = cur.pos() as u64;
        Str::read_special(cur)?.decode(buf).map_err(|e| e.placed(start))
    }
}

/// Writes strings in the form that servers choose (`rdbSaveRawString`). Every worker has its own.
#[derive(Clone, Default)]
pub struct StrWriter {
    /// `None` where nothing is to be compressed.
    lzf: Option<lzf::Compressor>,
    packed: Vec<u8>,
}

impl StrWriter {
    /// A writer that compresses, or not.
    pub fn new(compress: bool) -> StrWriter {
        StrWriter { lzf: compress.then(lzf::Compressor::default), packed: Vec::new() }
    }

    /// Appends a string: an integer if it is one of 32 bits, else compressed if that saves 4 bytes, else as it is.
    #[inline]
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        /// Shorter strings are not worth the attempt.
        const WORTH_IT: usize = 21;
        /// The longest text of a 32-bit integer.
        const LONGEST: usize = 11;
        if bytes.len() >= WORTH_IT {
            self.write_long(bytes, out);
        } else if let Some(n) = (bytes.len() <= LONGEST).then(|| canonical_integer(bytes)).flatten()
            && let Ok(n) = i32::try_from(n)
        {
            write_int(n, out);
        } else {
            write_raw(bytes, out);
        }
    }

    fn write_long(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        const SAVED: usize = 4;
        let StrWriter { lzf: Some(lzf), packed } = self else { return write_raw(bytes, out) };
        packed.clear();
        // Positions in the compressor are of 32 bits, and servers give up on such strings too.
        if u32::try_from(bytes.len()).is_err() || !lzf.compress(bytes, bytes.len() - SAVED, packed) {
            return write_raw(bytes, out);
        }
        out.push(0xc3);
        length::write(packed.len() as u64, out);
        length::write(bytes.len() as u64, out);
        out.extend_from_slice(packed);
    }
}

fn write_int(n: i32, out: &mut Vec<u8>) {
    let raw = n.to_le_bytes();
    match n {
        -128..=127 => out.extend_from_slice(&[0xc0, raw[0]]),
        -32_768..=32_767 => out.extend_from_slice(&[0xc1, raw[0], raw[1]]),
        _ => {
            out.push(0xc2);
            out.extend_from_slice(&raw);
        }
    }
}

/// Appends a string as it is.
#[inline]
pub fn write_raw(bytes: &[u8], out: &mut Vec<u8>) {
    length::write(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The integer whose canonical decimal text `bytes` is: no plus, no leading zero, no `-0` (`string2ll`).
pub fn canonical_integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let is_negative = digits.len() < bytes.len();
    match digits {
        [b'0'] => return (!is_negative).then_some(0),
        // So many digits fit into 64 bits without a sign.
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut n = 0_u64;
    for byte in digits {
        match byte.wrapping_sub(b'0') {
            digit @ ..=9 => n = n * 10 + u64::from(digit),
            _ => return None,
        }
    }
    if is_negative { 0_i64.checked_sub_unsigned(n) } else { i64::try_from(n).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(bytes: &[u8], want: &[u8]) {
        let mut buf = Vec::new();
        let mut cur = Cursor::new(bytes);
        assert_eq!(Str::take(&mut cur, &mut buf).unwrap(), want);
        assert!(cur.is_empty());
    }

    #[test]
    fn decodes_every_form() {
        t(b"\x00", b"");
        t(b"\x03007", b"007");
        t(b"\xc0\xfb", b"-5");
        t(b"\xc1\x2c\x01", b"300");
        t(b"\xc2\x70\x11\x01\x00", b"70000");
        t(b"\xc2\x00\x00\x00\x80", b"-2147483648");
        t(b"\xc3\x09\x40\x5d\x01aa\xe0\x50\x00\x01aa", &[b'a'; 93]);
    }

    #[test]
    fn writes_what_servers_write() {
        let t = |text: &[u8], want: &[u8]| {
            let mut out = Vec::new();
            StrWriter::new(true).write(text, &mut out);
            assert_eq!(out.escape_ascii().to_string(), want.escape_ascii().to_string());
        };
        t(b"", b"\x00");
        t(b"007", b"\x03007");
        t(b"-5", b"\xc0\xfb");
        t(b"300", b"\xc1\x2c\x01");
        t(b"70000", b"\xc2\x70\x11\x01\x00");
        t(b"-2147483648", b"\xc2\x00\x00\x00\x80");
        t(b"2147483648", b"\x0a2147483648");
        t(&[b'a'; 20], &[&[20][..], &[b'a'; 20]].concat());
        t(b"abcdefghijklmnopqrstuvwxyz", b"\x1aabcdefghijklmnopqrstuvwxyz");
        let mut out = Vec::new();
        StrWriter::new(true).write(&[b'a'; 93], &mut out);
        assert!(out.len() < 12 && out[0] == 0xc3, "{out:?}");
        t(Str::take(&mut Cursor::new(&out), &mut Vec::new()).unwrap(), &out);
        let mut out = Vec::new();
        StrWriter::new(false).write(&[b'a'; 93], &mut out);
        assert_eq!(out.len(), 95);
    }

    #[test]
    fn declared_lengths_cost_nothing() {
        let huge = b"\x81\x40\x00\x00\x00\x00\x00\x00\x00abc";
        assert!(Str::read(&mut Cursor::new(huge)).unwrap_err().is_truncated());
        let bomb = b"\xc3\x03\x81\x40\x00\x00\x00\x00\x00\x00\x00abc";
        let mut buf = Vec::new();
        assert!(Str::take(&mut Cursor::new(bomb), &mut buf).is_err());
        assert!(buf.capacity() < 1024);
    }

    #[test]
    fn only_canonical_text_is_an_integer() {
        for (text, want) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-0", None),
            ("007", None),
            ("+7", None),
            (" 7", None),
            ("", None),
            ("-", None),
            ("1e3", None),
        ] {
            assert_eq!(canonical_integer(text.as_bytes()), want, "{text:?}");
        }
    }
}
