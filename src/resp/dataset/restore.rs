//! RESTORE: keys from payloads of DUMP.

use std::sync::Arc;

use super::args::{self, Args};
use super::held::{Extra, Held, Key, Raw};
use super::{Dataset, Known, known};
use crate::codec::{Cursor, crc64, module, opcode};
use crate::error::{Error, Result};
use crate::model::{Dialect, Eviction, Magic, Origin, RdbType, Templates, Value, skip_value};
use crate::resp::Words;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"RESTORE" | b"RESTORE-ASKING" => known(4, Dataset::restore),
        _ => None,
    }
}

/// What a payload holds, without the version and the checksum at its end, which is checked.
pub(super) fn check_payload(payload: &[u8]) -> Result<(&[u8], u16)> {
    let wrong = |what: &str| Error::unsupported(format!("the payload {what}"));
    let (rest, crc) = payload.split_last_chunk::<8>().ok_or_else(|| wrong("is cut"))?;
    if u64::from_le_bytes(*crc) != crc64::jones(rest) {
        return Err(wrong("does not have the checksum that its bytes give"));
    }
    let (data, version) = rest.split_last_chunk::<2>().ok_or_else(|| wrong("is cut"))?;
    Ok((data, u16::from_le_bytes(*version)))
}

/// Whose payload has this version.
fn origin_of(version: u16) -> Origin {
    /// From here on versions are Valkey's.
    const VALKEY: u16 = 80;
    let (magic, dialect) = match version {
        ..VALKEY => (Magic::Redis, Dialect::Redis),
        _ => (Magic::Valkey, Dialect::Valkey),
    };
    Origin { magic, version: u32::from(version), dialect, server: None, templates: Templates::new() }
}

impl Dataset {
    fn restore(&mut self, words: &Words) -> Result<()> {
        let key = &words[1];
        let ttl = args::integer(&words[2])?;
        let mut args = Args::new(words, 4);
        let (mut replaces, mut is_absolute, mut eviction) = (false, false, Eviction::None);
        while !args.is_at_end() {
            if args.takes("REPLACE") {
                replaces = true;
            } else if args.takes("ABSTTL") {
                is_absolute = true;
            } else if args.takes("IDLETIME") {
                eviction = Eviction::Idle(args.count()? as u64);
            } else if args.takes("FREQ") {
                let freq = u8::try_from(args.int()?).map_err(|_| Error::unsupported("a frequency is 0 to 255"))?;
                eviction = Eviction::Freq(freq);
            } else {
                return Err(args.unknown());
            }
        }
        let expiry = match ttl {
            ..0 => return Err(Error::unsupported("the time is negative")),
            0 => None,
            _ if is_absolute => Some(ttl),
            _ => Some(self.now.saturating_add(ttl)),
        };
        if !replaces && self.exists(key) {
            return Err(Error::unsupported("there is such a key already, and REPLACE does not follow"));
        }
        let restored = self.payload(&words[3])?;
        self.remove(key);
        self.keys().insert(key.into(), Key { expiry, eviction, ..restored });
        Ok(())
    }

    /// The key that a payload holds, walked to its last byte.
    fn payload(&mut self, payload: &[u8]) -> Result<Key> {
        let (data, version) = check_payload(payload)?;
        let origin = Arc::new(origin_of(version));
        let mut cur = Cursor::new(data);
        let mut code = cur.u8()?;
        let mut extra = None;
        if code == opcode::KEY_META && !origin.is_valkey() {
            let start = cur.pos();
            module::skip_key_meta(&mut cur)?;
            let meta = cur.since(start).into();
            extra = Some(Box::new(Extra { meta, mask: None, member_expiries: Box::default() }));
            code = cur.u8()?;
        }
        let rdb_type = RdbType::resolve(code, &origin)
            .ok_or_else(|| Error::unsupported(format!("the payload has the unknown type {code}")))?;
        let bytes = cur.rest();
        skip_value(rdb_type, &mut cur, &origin.templates)?;
        cur.finish("payload")?;
        Value { rdb_type, bytes, origin: &origin }.verify(&mut self.scratch)?;
        let value = Held::Raw(Box::new(Raw { rdb_type, bytes: bytes.into(), origin }));
        Ok(Key { extra, ..Key::from(value) })
    }
}
