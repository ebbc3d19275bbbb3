//! Arrays (Redis 8.8): slices of 4096 slots, found by a directory.

use super::blocks::{Facts, sds};
use super::{MemoryModel, Part};
use crate::codec::{Cursor, array};
use crate::error::Result;
use crate::model::Value;

/// Bytes of the struct of an array.
const ARRAY: u64 = 88;
/// Slots of a slice.
const SLICE: u64 = 4096;
/// Pointers to slices in a part of the directory.
const DIRECTORY: u64 = 2048;

/// The slice that is being filled.
#[derive(Default)]
struct Slice {
    number: Option<u64>,
    first: u64,
    last: u64,
    count: u64,
}

impl MemoryModel {
    pub(super) fn array(&mut self, value: Value<'_>) -> Result<Part> {
        let facts = self.facts;
        let mut cur = Cursor::new(value.bytes);
        let head = array::head(&mut cur)?;
        let mut part = Part { elements: head.count, ..Part::default() };
        let mut bytes = ARRAY;
        let mut slice = Slice::default();
        let mut parts = 0;
        for _ in 0..head.count {
            let index = cur.length()?;
            let len = self.slot(&mut cur, &mut bytes)?;
            part.largest = part.largest.max(len);
            if slice.number != Some(index / SLICE) {
                let before = slice.number.map(|number| number / DIRECTORY);
                parts += u64::from(before != Some(index / SLICE / DIRECTORY));
                bytes += slice.bytes(&facts);
                slice = Slice { number: Some(index / SLICE), first: index, last: index, count: 0 };
            }
            slice.last = slice.last.max(index);
            slice.first = slice.first.min(index);
            slice.count += 1;
        }
        cur.finish("array")?;
        bytes += slice.bytes(&facts) + directory(slice.number.unwrap_or(0), parts, &facts);
        part.bytes = bytes as f64;
        Ok(part)
    }

    /// The length of a slot's text. Numbers and the shortest strings stand in the slot itself.
    fn slot(&mut self, cur: &mut Cursor<'_>, bytes: &mut u64) -> Result<u64> {
        /// The longest string that a slot holds.
        const INLINE: u64 = 7;
        let start = *cur;
        match cur.u8()? {
            0 => {
                let text = Self::take(&mut self.blob, cur)?;
                let len = text.len() as u64;
                if len > INLINE {
                    *bytes += self.facts.size(sds(len));
                }
                Ok(len)
            }
            1 => Ok(itoa::Buffer::new().format(cur.i64_le()?).len() as u64),
            2 => {
                let mut text = std::mem::take(&mut self.blob);
                text.clear();
                array::write_double(cur.f64_le()?, &mut text);
                self.blob = text;
                Ok(self.blob.len() as u64)
            }
            3 => {
                let len = cur.length()?;
                cur.take_declared(len)?;
                Ok(len)
            }
            tag => Err(start.malformed(format!("array: unknown tag {tag}"))),
        }
    }
}

impl Slice {
    /// With few slots in use a slice is a list of them, with more a window from the first to the last.
    fn bytes(&self, facts: &Facts) -> u64 {
        const HEADER: u64 = 32;
        /// A slot in the list: its offset and what is in it.
        const LISTED: u64 = 10;
        let window = (self.last - self.first + 1).next_power_of_two().max(16);
        match self.count {
            0 => 0,
            1..=4 => facts.size(HEADER + 4 * LISTED),
            5..=8 => facts.size(HEADER + 8 * LISTED),
            9..=10 => facts.size(HEADER + 10 * LISTED),
            _ => facts.size(HEADER + 8 * window),
        }
    }
}

/// One table of pointers up to its full size; then as many as are needed, found by another.
fn directory(last: u64, parts: u64, facts: &Facts) -> u64 {
    if last < DIRECTORY {
        return facts.size(8 * (last + 1).next_power_of_two());
    }
    parts * facts.size(8 * DIRECTORY) + facts.size(40 + 20 * parts.next_power_of_two().max(4))
}
