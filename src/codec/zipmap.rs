//! Zipmap, the small hash of Redis 2.4 and before (`zipmap.c`).
//!
//! ```text
//! pairs:u8 (254, 255 = walk to count)  ( len field  len free:u8 value pad*free )*  FF
//! len = one byte up to 253, or FE + u32le
//! ```

use super::Cursor;
use crate::error::{Error, Result};

/// A zipmap, read from front to back.
pub struct Zipmap<'a> {
    cur: Cursor<'a>,
    declared: u8,
    seen: u64,
}

impl<'a> Zipmap<'a> {
    /// Reads the header.
    pub fn new(blob: &'a [u8]) -> Result<Zipmap<'a>> {
        let mut cur = Cursor::new(blob);
        Ok(Zipmap { declared: cur.u8().map_err(inside)?, cur, seen: 0 })
    }

    /// The next field and value; `None` at the end.
    pub fn next_pair(&mut self) -> Result<Option<(&'a [u8], &'a [u8])>> {
        self.pair().map_err(inside)
    }

    fn pair(&mut self) -> Result<Option<(&'a [u8], &'a [u8])>> {
        let cur = &mut self.cur;
        if cur.peek() == Some(0xff) {
            cur.u8()?;
            cur.finish("zipmap")?;
            return match self.declared {
                declared @ 0..254 if u64::from(declared) != self.seen => {
                    Err(Error::malformed(format!("zipmap: {} pairs, its header says {declared}", self.seen)))
                }
                _ => Ok(None),
            };
        }
        let len = length(cur)?;
        let field = cur.take(len)?;
        let len = length(cur)?;
        let free = cur.u8()?;
        let value = cur.take(len)?;
        cur.take(free as usize)?;
        self.seen += 1;
        Ok(Some((field, value)))
    }
}

fn length(cur: &mut Cursor<'_>) -> Result<usize> {
    match cur.u8()? {
        0xfe => Ok(cur.u32_le()? as usize),
        0xff => Err(cur.malformed("zipmap: it ends between field and value")),
        n => Ok(n as usize),
    }
}

/// The blob is whole, so an end within it is no cut file but a lie.
fn inside(e: Error) -> Error {
    if e.is_truncated() { Error::malformed("zipmap: an entry runs over the end") } else { e }
}

/// Appends a zipmap of these strings, fields and values in turns.
pub fn write<'s>(pairs: usize, strings: impl Iterator<Item = &'s [u8]>, out: &mut Vec<u8>) {
    out.push(u8::try_from(pairs).map_or(254, |pairs| pairs.min(254)));
    for (i, string) in strings.enumerate() {
        match u8::try_from(string.len()) {
            Ok(len @ 0..254) => out.push(len),
            _ => {
                out.push(0xfe);
                out.extend_from_slice(&(string.len() as u32).to_le_bytes());
            }
        }
        if i % 2 == 1 {
            // No bytes lie free behind the value.
            out.push(0);
        }
        out.extend_from_slice(string);
    }
    out.push(0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(blob: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut map = Zipmap::new(blob)?;
        let mut out = Vec::new();
        while let Some((f, v)) = map.next_pair()? {
            out.push((f.to_vec(), v.to_vec()));
        }
        Ok(out)
    }

    #[test]
    fn reads_pairs_and_skips_what_is_free() {
        let blob = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world__\xff";
        let want = [(b"foo".to_vec(), b"bar".to_vec()), (b"hello".to_vec(), b"world".to_vec())];
        assert_eq!(pairs(blob).unwrap(), want);
        for cut in 0..blob.len() {
            assert!(pairs(&blob[..cut]).is_err_and(|e| !e.is_truncated()));
        }
        assert!(pairs(b"\x01\xff").is_err());
        assert_eq!(pairs(b"\xfe\x01a\x01\x00b\xff").unwrap().len(), 1);
    }

    #[test]
    fn what_is_written_is_what_servers_write() {
        let mut out = Vec::new();
        write(2, [b"foo".as_slice(), b"bar", b"hello", b"world"].into_iter(), &mut out);
        assert_eq!(out, b"\x02\x03foo\x03\x00bar\x05hello\x05\x00world\xff");
        let long = vec![b'x'; 254];
        out.clear();
        write(1, [long.as_slice(), &long].into_iter(), &mut out);
        assert_eq!(Zipmap::new(&out).unwrap().next_pair().unwrap(), Some((&*long, &*long)));
    }
}
