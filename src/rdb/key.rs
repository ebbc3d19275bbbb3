//! Where the key of a record stands.

use std::ops::Range;

use crate::codec::{Cursor, Str, module, opcode};
use crate::error::Result;

/// The key's string in the bytes of a record as [`super::Writer::entry`] writes it: attributes, type, key, value.
pub fn key_span(record: &[u8]) -> Result<Range<usize>> {
    let mut cur = Cursor::new(record);
    loop {
        match cur.u8()? {
            opcode::EXPIRETIME_MS => drop(cur.take(8)?),
            opcode::EXPIRETIME => drop(cur.take(4)?),
            opcode::IDLE => drop(cur.length()?),
            opcode::FREQ => drop(cur.u8()?),
            opcode::KEY_META => drop(module::skip_key_meta(&mut cur)?),
            opcode::DRAGONFLY_KEY_MASK => {
                if cur.u32_le()? & 2 != 0 {
                    cur.u32_le()?;
                }
            }
            _ => {
                let start = cur.pos();
                Str::skip(&mut cur)?;
                return Ok(start..cur.pos());
            }
        }
    }
}
