//! Ziplist (`ziplist.c`), the packed list before Redis 7.0.
//!
//! ```text
//! bytes:u32le  tail:u32le  count:u16le  entry*  FF
//! entry = previous entry's size (u8, or FE + u32le), encoding, data
//!
//! 00pppppp data · 01pppppp q data · 80 u32be data      string; its length is big-endian
//! C0 D0 E0 F0 FE           16-, 32-, 64-, 24-, 8-bit signed little-endian integer
//! F1…FD                    integer 0…12
//! ```

mod salvage;

pub use salvage::salvage;

use super::item::{self, Item};
use super::string::canonical_integer;
use crate::error::{Error, Result};

const HEADER: usize = 10;

/// A ziplist, read from front to back.
pub struct Ziplist<'a> {
    blob: &'a [u8],
    pos: usize,
    previous: usize,
    seen: u64,
}

impl<'a> Ziplist<'a> {
    /// Checks the header, the total and the terminator.
    pub fn new(blob: &'a [u8]) -> Result<Ziplist<'a>> {
        item::check_frame(blob, HEADER, "ziplist")?;
        Ok(Ziplist { blob, pos: HEADER, previous: 0, seen: 0 })
    }

    /// How many elements the header declares; `None` when it does not know.
    pub fn declared(&self) -> Option<u64> {
        item::declared(self.blob, 8)
    }

    /// The next element; `None` at the end.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>> {
        let (previous, mut at) = match self.blob[self.pos] {
            0xff => return self.end(),
            0xfe => (u32::from_le_bytes(self.bytes(self.pos + 1)?) as usize, self.pos + 5),
            n => (n as usize, self.pos + 1),
        };
        if previous != self.previous {
            return Err(
                self.bad(format!("an entry says that its predecessor has {previous} bytes, not {}", self.previous))
            );
        }
        let [encoding] = self.bytes(at)?;
        at += 1;
        let item = match encoding {
            0..0x40 => self.string(&mut at, encoding as usize)?,
            0x40..0x80 => {
                let [low] = self.bytes(at)?;
                at += 1;
                self.string(&mut at, (encoding as usize & 0x3f) << 8 | low as usize)?
            }
            0x80 => {
                let len = u32::from_be_bytes(self.bytes(at)?) as usize;
                at += 4;
                self.string(&mut at, len)?
            }
            0xc0 => self.int(&mut at, 2, |b| i64::from(i16::from_le_bytes([b[0], b[1]])))?,
            0xd0 => self.int(&mut at, 4, |b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])))?,
            0xe0 => self.int(&mut at, 8, i64::from_le_bytes)?,
            0xf0 => self.int(&mut at, 3, |b| i64::from(i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8))?,
            0xfe => self.int(&mut at, 1, |b| i64::from(b[0] as i8))?,
            0xf1..=0xfd => Item::Int(i64::from(encoding & 0x0f) - 1),
            _ => return Err(self.bad(format!("encoding byte 0x{encoding:02x}"))),
        };
        if at >= self.blob.len() {
            return Err(self.bad("an entry runs over the end"));
        }
        self.previous = at - self.pos;
        self.pos = at;
        self.seen += 1;
        Ok(Some(item))
    }

    #[inline]
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        match self.blob.get(at..at + N) {
            Some(bytes) => Ok(std::array::from_fn(|i| bytes[i])),
            None => Err(self.bad("an entry runs over the end")),
        }
    }

    #[inline]
    fn string(&self, at: &mut usize, len: usize) -> Result<Item<'a>> {
        let start = *at;
        *at += len;
        match self.blob.get(start..*at) {
            Some(bytes) => Ok(Item::Bytes(bytes)),
            None => Err(self.bad("a string runs over the end")),
        }
    }

    #[inline]
    fn int(&self, at: &mut usize, width: usize, value: impl Fn([u8; 8]) -> i64) -> Result<Item<'a>> {
        let bytes = self.blob.get(*at..*at + width).ok_or_else(|| self.bad("an integer runs over the end"))?;
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(bytes);
        *at += width;
        Ok(Item::Int(value(wide)))
    }

    #[cold]
    fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::malformed(format!("ziplist: {what} (entry {}, byte {} of {})", self.seen, self.pos, self.blob.len()))
    }

    fn end(&self) -> Result<Option<Item<'a>>> {
        if self.pos != self.blob.len() - 1 {
            return Err(self.bad("a terminator before its end"));
        }
        let tail = self.blob[4..8].iter().rev().fold(0_usize, |n, &b| n << 8 | b as usize);
        if tail != self.pos - self.previous {
            return Err(
                self.bad(format!("the header's tail is {tail}, the last entry is at {}", self.pos - self.previous))
            );
        }
        match self.declared() {
            Some(declared) if declared != self.seen => {
                Err(self.bad(format!("{} entries, its header says {declared}", self.seen)))
            }
            _ => Ok(None),
        }
    }
}

/// Builds a ziplist, entry by entry, in the canonical forms that servers choose.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    count: u64,
    /// Size of the last entry; 0 when there is none.
    previous: usize,
    old_integers: bool,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new(false)
    }
}

impl Builder {
    /// An empty one. `old_integers`: only those of 16, 32 and 64 bits, as before RDB version 6.
    pub fn new(old_integers: bool) -> Builder {
        Builder { bytes: vec![0; HEADER], count: 0, previous: 0, old_integers }
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER);
        self.count = 0;
        self.previous = 0;
    }

    /// How many entries there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long the ziplist is, with header and terminator.
    pub fn len(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends a string; the canonical text of a 64-bit integer becomes an integer.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        match self.previous {
            short @ 0..254 => self.bytes.push(short as u8),
            long => self.form(0xfe, &(long as u32).to_le_bytes()),
        }
        match canonical_integer(bytes) {
            Some(n) => self.int(n),
            None => self.string(bytes),
        }
        self.previous = self.bytes.len() - start;
        self.count += 1;
    }

    fn string(&mut self, bytes: &[u8]) {
        match bytes.len() {
            len @ 0..64 => self.bytes.push(len as u8),
            len @ 64..16384 => self.bytes.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
            // No ziplist is larger than its own total of 32 bits can tell.
            len => self.form(0x80, &(len as u32).to_be_bytes()),
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn int(&mut self, n: i64) {
        let raw = n.to_le_bytes();
        match n {
            0..=12 if !self.old_integers => self.bytes.push(0xf1 + n as u8),
            -128..=127 if !self.old_integers => self.form(0xfe, &raw[..1]),
            -32_768..=32_767 => self.form(0xc0, &raw[..2]),
            -8_388_608..=8_388_607 if !self.old_integers => self.form(0xf0, &raw[..3]),
            -2_147_483_648..=2_147_483_647 => self.form(0xd0, &raw[..4]),
            _ => self.form(0xe0, &raw),
        }
    }

    fn form(&mut self, encoding: u8, raw: &[u8]) {
        self.bytes.push(encoding);
        self.bytes.extend_from_slice(raw);
    }

    /// Writes header and terminator. After that comes [`Builder::clear`].
    pub fn finish(&mut self) -> &[u8] {
        let tail = (self.bytes.len() - self.previous) as u32;
        self.bytes.push(0xff);
        let total = (self.bytes.len() as u32).to_le_bytes();
        self.bytes[..4].copy_from_slice(&total);
        self.bytes[4..8].copy_from_slice(&tail.to_le_bytes());
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.bytes[8..10].copy_from_slice(&count.to_le_bytes());
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(entries: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        let (mut previous, mut tail) = (0_usize, HEADER);
        for entry in entries {
            tail = HEADER + body.len();
            if previous < 254 {
                body.push(previous as u8);
            } else {
                body.push(0xfe);
                body.extend_from_slice(&(previous as u32).to_le_bytes());
            }
            body.extend_from_slice(entry);
            previous = HEADER + body.len() - tail;
        }
        let mut blob = ((HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        blob.extend_from_slice(&(tail as u32).to_le_bytes());
        blob.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        blob.extend_from_slice(&body);
        blob.push(0xff);
        blob
    }

    fn items(blob: &[u8]) -> Result<Vec<String>> {
        let mut list = Ziplist::new(blob)?;
        let mut out = Vec::new();
        while let Some(item) = list.next_item()? {
            out.push(String::from_utf8_lossy(item.text(&mut itoa::Buffer::new())).into_owned());
        }
        Ok(out)
    }

    #[test]
    fn reads_every_form() {
        let long = [b"\x40\xfd".as_slice(), &[b'x'; 253]].concat();
        let blob = pack(&[
            b"\x01a",
            &long,
            b"\x80\x00\x00\x00\x01b",
            b"\xc0\x00\x80",
            b"\xd0\x00\x00\x00\x80",
            b"\xe0\x00\x00\x00\x00\x00\x00\x00\x80",
            b"\xf0\x00\x00\x80",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
        ]);
        let got = items(&blob).unwrap();
        assert_eq!(got[0], "a");
        assert_eq!(got[1].len(), 253);
        let rest = ["b", "-32768", "-2147483648", "-9223372036854775808", "-8388608", "-128", "0", "12"];
        assert_eq!(got[2..], rest);
        assert_eq!(items(&[11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0xff]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn refuses_what_lies() {
        let good = pack(&[b"\x01a", b"\xf3"]);
        assert_eq!(items(&good).unwrap(), ["a", "2"]);
        for i in 0..good.len() {
            assert!(items(&good[..i]).is_err());
            let mut bad = good.clone();
            bad[i] ^= 0xff;
            if let Ok(got) = items(&bad) {
                assert!(got.len() == 2 && (i == 11 || i == 12 || i == 14), "byte {i} gave {got:?}");
            }
        }
    }
}
