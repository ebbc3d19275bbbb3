//! Listpack (`listpack.c`).
//!
//! ```text
//! total:u32le  count:u16le  element*  FF
//! element = encoding+data, back length (7 bits a byte, last byte holds the lowest)
//!
//! 0xxxxxxx                 integer 0…127
//! 10llllll  data           string of up to 63 bytes
//! 110vvvvv v               13-bit signed integer
//! 1110llll l  data         string of up to 4095 bytes
//! F0 u32le  data           string
//! F1 F2 F3 F4              16-, 24-, 32-, 64-bit signed little-endian integer
//! ```

use super::item::{self, Item};
use super::string::canonical_integer;
use crate::error::{Error, Result};

const HEADER: usize = 6;
/// By its first byte how long an element is, and which bits of its second byte are to be added; 0 if that does not tell.
const SIZES: [(u16, u8); 256] = {
    let mut sizes = [(0, 0); 256];
    let mut first = 0;
    while first < 256 {
        sizes[first] = match first {
            0..0x80 => (1, 0),
            0x80..0xc0 => ((first as u16 & 0x3f) + 1, 0),
            0xc0..0xe0 => (2, 0),
            0xe0..=0xef => ((first as u16 & 0x0f) << 8 | 2, 0xff),
            0xf1..0xf4 => (first as u16 - 0xee, 0),
            0xf4 => (9, 0),
            _ => (0, 0),
        };
        first += 1;
    }
    sizes
};
/// In the header: more elements than it can say.
const UNKNOWN: u64 = u16::MAX as u64;

/// A listpack, read from front to back.
#[derive(Clone)]
pub struct Listpack<'a> {
    /// All of it.
    blob: &'a [u8],
    pos: usize,
    seen: u64,
}

impl<'a> Listpack<'a> {
    /// Checks the header, the total and the terminator.
    #[inline]
    pub fn new(blob: &'a [u8]) -> Result<Listpack<'a>> {
        item::check_frame(blob, HEADER, "listpack")?;
        Ok(Listpack { blob, pos: HEADER, seen: 0 })
    }

    /// How many elements the header declares; `None` when it does not know.
    pub fn declared(&self) -> Option<u64> {
        item::declared(self.blob, 4)
    }

    /// The next element; `None` at the end.
    #[inline(always)]
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>> {
        // Nearly all elements are short: of these two forms, with a byte behind them that says so.
        let rest = &self.blob[self.pos..];
        let first = rest[0];
        if first < 0xc0 {
            let size = if first < 0x80 { 1 } else { (first as usize & 0x3f) + 1 };
            // The terminator at the end is not part of any element, so there is always a byte to come to.
            if let Some(element) = rest.get(..size + 2)
                && element[size] == size as u8
            {
                self.pos += size + 1;
                self.seen += 1;
                let item = if first < 0x80 { Item::Int(i64::from(first)) } else { Item::Bytes(&element[1..size]) };
                return Ok(Some(item));
            }
        }
        self.any_item()
    }

    /// The next element, of any form.
    #[inline(never)]
    fn any_item(&mut self) -> Result<Option<Item<'a>>> {
        let rest = &self.blob[self.pos..];
        let first = rest[0];
        let (item, size) = match first {
            0..0x80 => (Item::Int(i64::from(first)), 1),
            0x80..0xc0 => self.string(1, first as usize & 0x3f)?,
            0xc0..0xe0 => {
                let [hi, lo] = self.bytes(0)?;
                let unsigned = i64::from(hi & 0x1f) << 8 | i64::from(lo);
                (Item::Int(if unsigned < 0x1000 { unsigned } else { unsigned - 0x2000 }), 2)
            }
            0xe0..0xf0 => {
                let [hi, lo] = self.bytes(0)?;
                self.string(2, (hi as usize & 0x0f) << 8 | lo as usize)?
            }
            0xf0 => self.string(5, u32::from_le_bytes(self.bytes(1)?) as usize)?,
            0xf1 => (Item::Int(i64::from(i16::from_le_bytes(self.bytes(1)?))), 3),
            0xf2 => {
                let [a, b, c] = self.bytes(1)?;
                (Item::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)), 4)
            }
            0xf3 => (Item::Int(i64::from(i32::from_le_bytes(self.bytes(1)?))), 5),
            0xf4 => (Item::Int(i64::from_le_bytes(self.bytes(1)?)), 9),
            0xff => return self.end(),
            _ => return Err(self.bad(format!("encoding byte 0x{first:02x}"))),
        };
        self.back_length(size)?;
        self.seen += 1;
        Ok(Some(item))
    }

    /// Walks to the end; says how many elements there are in all.
    pub fn count(mut self) -> Result<u64> {
        loop {
            let rest = &self.blob[self.pos..];
            // Of what form an element is can't be foreseen, so its size is looked up, and only its back length decides.
            if let [first, second, ..] = *rest {
                let (size, more) = SIZES[first as usize];
                let size = usize::from(size) + usize::from(second & more);
                if (1..=127).contains(&size) && size + 1 < rest.len() && rest[size] == size as u8 {
                    self.pos += size + 1;
                    self.seen += 1;
                    continue;
                }
            }
            if self.any_item()?.is_none() {
                return Ok(self.seen);
            }
        }
    }

    #[inline]
    fn bytes<const N: usize>(&self, skip: usize) -> Result<[u8; N]> {
        let rest = &self.blob[self.pos + skip..];
        rest.first_chunk::<N>().copied().ok_or_else(|| self.bad("an element runs over the end"))
    }

    #[inline]
    fn string(&self, head: usize, len: usize) -> Result<(Item<'a>, usize)> {
        match self.blob.get(self.pos + head..self.pos + head + len) {
            Some(bytes) => Ok((Item::Bytes(bytes), head + len)),
            None => Err(self.bad("a string runs over the end")),
        }
    }

    /// Steps over an element of `size` bytes and its back length, which must say the same.
    #[inline]
    fn back_length(&mut self, size: usize) -> Result<()> {
        let at = self.pos + size;
        let width = if size <= 127 {
            if self.blob.get(at) != Some(&(size as u8)) {
                return Err(self.bad("a back length that is not the element's"));
            }
            1
        } else {
            self.long_back_length(at, size)?
        };
        // The terminator at the end is not part of any element, so there is always a byte to come to.
        if at + width >= self.blob.len() {
            return Err(self.bad("an element runs over the end"));
        }
        self.pos = at + width;
        Ok(())
    }

    fn long_back_length(&self, at: usize, size: usize) -> Result<usize> {
        let width = back_width(size);
        let stored = self.blob.get(at..at + width).ok_or_else(|| self.bad("an element runs over the end"))?;
        let sound = stored.iter().enumerate().all(|(i, &b)| {
            let seven = (size >> (7 * (width - 1 - i)) & 0x7f) as u8;
            b == if i == 0 { seven } else { seven | 0x80 }
        });
        if sound { Ok(width) } else { Err(self.bad("a back length that is not the element's")) }
    }

    #[cold]
    fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::malformed(format!("listpack: {what} (element {}, byte {} of {})", self.seen, self.pos, self.blob.len()))
    }

    fn end(&self) -> Result<Option<Item<'a>>> {
        if self.pos != self.blob.len() - 1 {
            return Err(self.bad("a terminator before its end"));
        }
        let declared = self.declared().unwrap_or(UNKNOWN);
        if declared != UNKNOWN && declared != self.seen {
            return Err(self.bad(format!("{} elements, its header says {declared}", self.seen)));
        }
        Ok(None)
    }
}

/// How many bytes the back length of an element takes. The limits are those of `lpEncodeBacklen`: the last three are
/// one below the powers of two.
fn back_width(size: usize) -> usize {
    match size {
        ..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Gives what can be read of a damaged listpack from its begin on, and from its end by the back lengths, `step` elements
/// at a time, as they belong together.
pub fn salvage(blob: &[u8], step: usize, keep: &mut impl FnMut(&[Item<'_>])) {
    let Some(last) = blob.len().checked_sub(1).filter(|last| *last >= HEADER) else { return };
    // A frame that says nothing of what is inside.
    let mut framed = blob.to_vec();
    framed[..4].copy_from_slice(&(blob.len() as u32).to_le_bytes());
    framed[4..HEADER].fill(0xff);
    framed[last] = 0xff;
    let at = |pos| Listpack { blob: &framed, pos, seen: 0 };
    let mut list = at(HEADER);
    let (mut front, mut back) = (Vec::new(), Vec::new());
    while list.pos < last {
        let start = list.pos;
        match list.next_item() {
            Ok(Some(item)) => front.push((start, item)),
            _ => break,
        }
    }
    let is_whole = list.pos == last;
    let mut end = last;
    while let Some(start) = element_before(&framed, end).filter(|start| *start >= list.pos) {
        let mut one = at(start);
        match one.next_item() {
            Ok(Some(item)) if one.pos == end => back.push((start, item)),
            _ => break,
        }
        end = start;
    }
    back.reverse();
    if !is_whole {
        // Whatever was written over what is between them may look like an element by chance.
        front.pop();
        back.drain(..back.len().min(1));
    }
    let count = item::declared(blob, 4).filter(|_| is_whole).unwrap_or(front.len() as u64);
    let is_header_sound = blob[..4] == framed[..4] && count == front.len() as u64;
    let certain_from = if is_header_sound { HEADER } else { HEADER + item::CLOSE };
    item::groups(&mut front, &back, certain_from, blob[last] == 0xff, step, keep);
}

/// Where the element begins that ends here, as its back length says.
fn element_before(blob: &[u8], end: usize) -> Option<usize> {
    let (mut size, mut at) = (0, end);
    for i in 0..5 {
        at = at.checked_sub(1)?;
        size |= usize::from(blob[at] & 0x7f) << (7 * i);
        if blob[at] & 0x80 == 0 {
            return at.checked_sub(size).filter(|start| size > 0 && *start >= HEADER);
        }
    }
    None
}

/// Builds a listpack, element by element, in the canonical forms that servers choose.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    count: u64,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { bytes: vec![0; HEADER], count: 0 }
    }
}

impl Builder {
    /// Begins anew.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER);
        self.count = 0;
    }

    /// How many elements there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long the listpack is, with header and terminator.
    pub fn len(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends a string; the canonical text of a 64-bit integer becomes an integer.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        match canonical_integer(bytes) {
            Some(n) => self.push_int(n),
            None => self.push_string(bytes),
        }
    }

    fn push_string(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        match bytes.len() {
            len @ 0..64 => self.bytes.push(0x80 | len as u8),
            len @ 64..4096 => self.bytes.extend_from_slice(&[0xe0 | (len >> 8) as u8, len as u8]),
            len => {
                self.bytes.push(0xf0);
                // No listpack is larger than its own total of 32 bits can tell.
                self.bytes.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(bytes);
        self.end_element(start);
    }

    /// Appends an integer.
    pub fn push_int(&mut self, n: i64) {
        let start = self.bytes.len();
        let raw = n.to_le_bytes();
        match n {
            0..=127 => self.bytes.push(n as u8),
            -4096..=4095 => self.bytes.extend_from_slice(&[0xc0 | (n >> 8) as u8 & 0x1f, n as u8]),
            -32_768..=32_767 => self.form(0xf1, &raw[..2]),
            -8_388_608..=8_388_607 => self.form(0xf2, &raw[..3]),
            -2_147_483_648..=2_147_483_647 => self.form(0xf3, &raw[..4]),
            _ => self.form(0xf4, &raw),
        }
        self.end_element(start);
    }

    fn form(&mut self, encoding: u8, raw: &[u8]) {
        self.bytes.push(encoding);
        self.bytes.extend_from_slice(raw);
    }

    /// Appends the element's size, 7 bits a byte, to be read from right to left.
    fn end_element(&mut self, start: usize) {
        let size = self.bytes.len() - start;
        let width = back_width(size);
        for i in (0..width).rev() {
            let more = if i + 1 == width { 0 } else { 0x80 };
            self.bytes.push((size >> (7 * i)) as u8 & 0x7f | more);
        }
        self.count += 1;
    }

    /// Appends all elements of another, as they are.
    pub fn append(&mut self, other: &Builder) {
        self.bytes.extend_from_slice(&other.bytes[HEADER..]);
        self.count += other.count;
    }

    /// Writes header and terminator. After that comes [`Builder::clear`].
    pub fn finish(&mut self) -> &[u8] {
        self.bytes.push(0xff);
        let total = (self.bytes.len() as u32).to_le_bytes();
        self.bytes[..4].copy_from_slice(&total);
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.bytes[4..6].copy_from_slice(&count.to_le_bytes());
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_damaged_one_is_found_from_both_ends() {
        let long = [b'x'; 200];
        let words: [&[u8]; 8] = [b"a", b"1", &long, b"-70000", b"e", b"f", b"7", b"h"];
        let mut list = Builder::default();
        words.iter().for_each(|word| list.push(word));
        let sound = list.finish().to_vec();
        let left = |blob: &[u8], step| {
            let mut words = Vec::new();
            salvage(blob, step, &mut |group| {
                words.extend(group.iter().map(|item| item.text(&mut itoa::Buffer::new()).to_vec()));
            });
            words
        };
        assert_eq!(left(&sound, 1), words);
        // The length of the long one, or its back length: it is lost, and what is beside it, or all of their groups.
        for at in [11, 12, 213, 214] {
            let mut bad = sound.clone();
            bad[at] ^= 0x15;
            assert_eq!(left(&bad, 1), [&words[..1], &words[4..]].concat(), "byte {at}");
            assert_eq!(left(&bad, 2), words[4..], "byte {at}");
        }
        // A header, and what is close to it.
        for at in 0..6 {
            let mut bad = sound.clone();
            bad[at] ^= 0xff;
            assert_eq!(left(&bad, 2), words[4..], "byte {at} of the header");
        }
        for at in 0..sound.len() {
            let mut bad = sound.clone();
            bad[at] ^= 0xff;
            assert!(left(&bad, 1).len() >= 5, "byte {at}");
            left(&sound[..at], 3);
        }
    }

    fn pack(elements: &[&[u8]], count: u16) -> Vec<u8> {
        let body: Vec<u8> = elements.concat();
        let mut blob = ((HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        blob.extend_from_slice(&count.to_le_bytes());
        blob.extend_from_slice(&body);
        blob.push(0xff);
        blob
    }

    fn items(blob: &[u8]) -> Result<Vec<String>> {
        let mut list = Listpack::new(blob)?;
        let mut out = Vec::new();
        while let Some(item) = list.next_item()? {
            out.push(String::from_utf8_lossy(item.text(&mut itoa::Buffer::new())).into_owned());
        }
        Ok(out)
    }

    #[test]
    fn reads_every_form() {
        let blob = pack(
            &[
                b"\x81a\x02",
                b"\x03\x01",
                b"\xdf\xff\x02",
                b"\xf1\x00\x80\x03",
                b"\xf2\x00\x00\x80\x04",
                b"\xf3\x00\x00\x00\x80\x05",
                b"\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09",
                b"\xe0\x01b\x03",
                b"\xf0\x01\x00\x00\x00c\x06",
            ],
            9,
        );
        let want = ["a", "3", "-1", "-32768", "-8388608", "-2147483648", "-9223372036854775808", "b", "c"];
        assert_eq!(items(&blob).unwrap(), want);
        assert_eq!(items(&[7, 0, 0, 0, 0, 0, 0xff]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn back_lengths_at_their_limits() {
        for (size, back) in [
            (127_usize, vec![127_u8]),
            (128, vec![1, 0x80]),
            (16_382, vec![0x7f, 0xfe]),
            (16_383, vec![0, 0xff, 0xff]),
            (16_384, vec![1, 0x80, 0x80]),
        ] {
            let mut element = Vec::new();
            let head = if size < 4098 { 2 } else { 5 };
            let len = size - head;
            if head == 2 {
                element.extend_from_slice(&[0xe0 | (len >> 8) as u8, len as u8]);
            } else {
                element.push(0xf0);
                element.extend_from_slice(&(len as u32).to_le_bytes());
            }
            element.resize(size, b'x');
            element.extend_from_slice(&back);
            assert_eq!(items(&pack(&[&element], 1)).unwrap()[0].len(), len, "size {size}");
            *element.last_mut().unwrap() ^= 1;
            assert!(items(&pack(&[&element], 1)).is_err());
        }
    }

    #[test]
    fn refuses_what_lies() {
        let good = pack(&[b"\x81a\x02", b"\x03\x01"], 2);
        assert!(items(&good).is_ok());
        for cut in 0..good.len() {
            assert!(items(&good[..cut]).is_err());
        }
        assert!(items(&pack(&[b"\x81a\x02"], 2)).is_err());
        assert!(items(&pack(&[b"\x81a\x02"], u16::MAX)).is_ok());
        assert!(items(&pack(&[b"\xf5\x01"], 1)).is_err());
        assert!(items(&pack(&[b"\xf0\xff\xff\xff\xff\x05"], 1)).is_err());
        // An element that swallows the terminator.
        assert!(items(&pack(&[b"\x82a"], 1)).is_err());
    }
}
