//! Arrays of Redis 8.8 and later (type 28).
//!
//! ```text
//! count:LEN  has_cursor:LEN  [cursor:LEN]  count × ( index:LEN  tag:u8  payload )
//! tag 0 STR · 1 i64le · 2 f64le · 3 LEN n, n bytes
//! ```

use super::{Cursor, Str, double};
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
fn write_double(value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    double::write(value, out);
    if out[start..].iter().all(|b| b.is_ascii_digit() || *b == b'-') {
        out.extend_from_slice(b".0");
    }
}
