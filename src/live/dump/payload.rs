//! What DUMP answers: metadata, type, value, version and checksum.

use crate::codec::{Cursor, crc64, module, opcode};
use crate::error::{Error, Result};
use crate::model::{Dialect, Magic, Origin, RdbType, Templates, Value};

/// Versions from here on are Valkey's own.
const FIRST_OF_VALKEY: u32 = 80;

/// An answer of DUMP whose checksum is right.
pub(super) struct Payload<'a> {
    /// The RDB version of the server.
    pub(super) version: u32,
    /// Metadata of modules, or nothing.
    pub(super) meta: &'a [u8],
    code: u8,
    bytes: &'a [u8],
}

/// Takes an answer apart.
pub(super) fn open(payload: &[u8], is_valkey: bool) -> Result<Payload<'_>> {
    let damaged = || Error::malformed("answer to DUMP: its checksum is wrong");
    let (rest, crc) = payload.split_last_chunk::<8>().ok_or_else(damaged)?;
    if crc64::jones(rest) != u64::from_le_bytes(*crc) {
        return Err(damaged());
    }
    let (rest, version) = rest.split_last_chunk::<2>().ok_or_else(damaged)?;
    let mut cur = Cursor::new(rest);
    let mut meta: &[u8] = &[];
    let mut code = cur.u8()?;
    if code == opcode::KEY_META && !is_valkey {
        let start = cur.pos();
        module::skip_key_meta(&mut cur)?;
        meta = cur.since(start);
        code = cur.u8()?;
    }
    Ok(Payload { version: u32::from(u16::from_le_bytes(*version)), meta, code, bytes: cur.rest() })
}

impl<'a> Payload<'a> {
    /// The value.
    pub(super) fn value<'o: 'a>(&self, origin: &'o Origin) -> Result<Value<'a>> {
        let rdb_type = RdbType::resolve(self.code, origin)
            .ok_or_else(|| Error::unsupported(format!("unknown type {}", self.code)))?;
        Ok(Value { rdb_type, bytes: self.bytes, origin })
    }
}

/// Where the values of a server of this RDB version come from.
pub(super) fn origin(version: u32, is_valkey: bool) -> Origin {
    let magic = if is_valkey && version >= FIRST_OF_VALKEY { Magic::Valkey } else { Magic::Redis };
    let dialect = if is_valkey { Dialect::Valkey } else { Dialect::Redis };
    Origin { magic, version, dialect, server: None, templates: Templates::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart_if_it_is_whole() {
        // What Redis 7.0.15 answers for a string "b".
        let mut answer = b"\x00\x01b\x0a\x00".to_vec();
        answer.extend_from_slice(&crc64::jones(&answer).to_le_bytes());
        let payload = open(&answer, false).unwrap();
        assert_eq!(
            (payload.version, payload.code, payload.bytes, payload.meta),
            (10, 0, b"\x01b".as_slice(), b"".as_slice())
        );
        answer[1] ^= 1;
        assert!(open(&answer, false).is_err());
        assert!(open(b"", false).is_err() && open(b"\0\0\0\0\0\0\0\0", false).is_err());
    }
}
