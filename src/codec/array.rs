//! Arrays of Redis 8.8 and later (type 28).
//!
//! ```text
//! count:LEN  has_cursor:LEN  [cursor:LEN]  count × ( index:LEN  tag:u8  payload )
//! tag 0 STR · 1 i64le · 2 f64le · 3 LEN n, n bytes
//! ```

use super::string::{StrWriter, canonical_integer};
use super::{Cursor, Str, double, length};
use crate::error::Result;

/// What stands before the slots of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Slots that hold something.
    pub count: u64,
    /// The index that ARINSERT wrote last.
    pub insert_index: Option<u64>,
}

/// Reads the head.
pub fn head(cur: &mut Cursor<'_>) -> Result<Head> {
    let count = cur.length()?;
    let start = *cur;
    let insert_index = match cur.length()? {
        0 => None,
        1 => Some(cur.length()?),
        n => return Err(start.malformed(format!("array: cursor mark {n}"))),
    };
    Ok(Head { count, insert_index })
}

/// Reads one slot: its index and its text.
pub fn slot<'a: 'b, 'b>(cur: &mut Cursor<'a>, buf: &'b mut Vec<u8>) -> Result<(u64, &'b [u8])> {
    let index = cur.length()?;
    let start = *cur;
    let text = match cur.u8()? {
        0 => Str::take(cur, buf)?,
        1 => {
            buf.clear();
            buf.extend_from_slice(itoa::Buffer::new().format(cur.i64_le()?).as_bytes());
            buf
        }
        2 => {
            buf.clear();
            write_double(cur.f64_le()?, buf);
            buf
        }
        3 => {
            let n = cur.length()?;
            cur.take_declared(n)?
        }
        tag => return Err(start.malformed(format!("array: unknown tag {tag}"))),
    };
    Ok((index, text))
}

/// Appends the head.
pub fn write_head(head: Head, out: &mut Vec<u8>) {
    length::write(head.count, out);
    length::write(u64::from(head.insert_index.is_some()), out);
    if let Some(index) = head.insert_index {
        length::write(index, out);
    }
}

/// Appends one slot, in the form that servers choose.
pub fn write_slot(index: u64, item: &[u8], strings: &mut StrWriter, out: &mut Vec<u8>) {
    /// Integers that leave room for the tag bits of a pointer.
    const INTEGERS: std::ops::Range<i64> = -(1 << 61)..1 << 61;
    /// The longest string that a pointer's bytes hold.
    const INLINE: usize = 7;
    length::write(index, out);
    if let Some(n) = canonical_integer(item).filter(|n| INTEGERS.contains(n)) {
        out.push(1);
        out.extend_from_slice(&n.to_le_bytes());
    } else if let Some(value) = double_of(item) {
        out.push(2);
        out.extend_from_slice(&value.to_le_bytes());
    } else if item.len() <= INLINE {
        out.push(3);
        super::string::write_raw(item, out);
    } else {
        out.push(0);
        strings.write(item, out);
    }
}

/// The double that stands for this text: `-?digits.digits` that comes back the same although the two lowest bits are
/// lost to the tag.
fn double_of(item: &[u8]) -> Option<f64> {
    let digits = item.strip_prefix(b"-").unwrap_or(item);
    let point = digits.iter().position(|b| *b == b'.')?;
    let are_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if !are_digits(&digits[..point]) || !are_digits(&digits[point + 1..]) {
        return None;
    }
    let value = double::parse(item).ok()?;
    let value = f64::from_bits(value.to_bits() & !3);
    let mut text = Vec::new();
    write_double(value, &mut text);
    (text == item).then_some(value)
}

/// Steps over an array; says how many bytes its strings decode to.
pub fn skip(cur: &mut Cursor<'_>) -> Result<u64> {
    let mut weight = 0_u64;
    for _ in 0..head(cur)?.count {
        cur.length()?;
        let start = *cur;
        let size = match cur.u8()? {
            0 => Str::skip(cur)?,
            1 | 2 => cur.take(8)?.len() as u64,
            3 => {
                let n = cur.length()?;
                cur.take_declared(n)?.len() as u64
            }
            tag => return Err(start.malformed(format!("array: unknown tag {tag}"))),
        };
        weight = size.saturating_add(weight);
    }
    Ok(weight)
}

/// A double as the array shows it: the shortest text, with `.0` where it would look like an integer.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    double::write(value, out);
    if out[start..].iter().all(|b| b.is_ascii_digit() || *b == b'-') {
        out.extend_from_slice(b".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_the_tags_that_servers_choose() {
        let t = |item: &[u8], tag: u8| {
            let mut out = Vec::new();
            write_slot(300, item, &mut StrWriter::new(true), &mut out);
            assert_eq!(out[2], tag, "{}", item.escape_ascii());
            let mut cur = Cursor::new(&out);
            assert_eq!(slot(&mut cur, &mut Vec::new()).unwrap(), (300, item));
            assert!(cur.is_empty());
        };
        t(b"7", 1);
        t(b"-7", 1);
        t(b"007", 3);
        t(b"9223372036854775807", 0);
        t(b"1.5", 2);
        t(b"-0.25", 2);
        t(b"2.0", 2);
        t(b"1.50", 3);
        t(b"1.", 3);
        t(b"", 3);
        t(b"seven77", 3);
        t(b"eight888", 0);
    }
}
