//! DUMP payloads: what RESTORE takes.

use crate::codec::listpack::Listpack;
use crate::codec::{Cursor, Str, crc64, length, opcode};
use crate::error::{Error, Result};
use crate::model::{Entry, RdbType, Value};

/// Appends what DUMP would answer for a key and RESTORE takes: metadata, type, value, version and checksum. On an
/// error nothing is left of it.
pub fn dump_payload(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    if !entry.meta.is_empty() {
        out.push(opcode::KEY_META);
        out.extend_from_slice(entry.meta);
    }
    if let Err(e) = type_and_value(entry.value, out) {
        out.truncate(start);
        return Err(e);
    }
    out.extend_from_slice(&payload_version(entry).to_le_bytes());
    let crc = crc64::jones(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Appends the type byte and the value; a template hash that refers to its field names gets them.
fn type_and_value(value: Value<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut cur = Cursor::new(value.bytes);
    let (own, id, values) = match value.rdb_type {
        RdbType::TemplateListpackRef => {
            let mut buf = Vec::new();
            let mut list = Listpack::new(Str::take(&mut cur, &mut buf)?)?;
            let id = list.next_item()?.map(|id| id.int("template hash")).transpose()?;
            (RdbType::TemplateListpack, id.and_then(|id| u64::try_from(id).ok()), value.bytes)
        }
        RdbType::TemplateArrayRef => (RdbType::TemplateArray, Some(cur.length()?), cur.rest()),
        other => {
            out.push(other.code());
            out.extend_from_slice(value.bytes);
            return Ok(());
        }
    };
    let template = id
        .and_then(|id| value.origin.templates.get(&id))
        .ok_or_else(|| Error::malformed("template hash: the file does not have its template"))?;
    out.push(own.code());
    // 1: the names are strings one by one, not a listpack.
    length::write(1, out);
    length::write(template.fields.len() as u64, out);
    for name in &template.fields {
        length::write(name.len() as u64, out);
        out.extend_from_slice(name);
    }
    out.extend_from_slice(values);
    Ok(())
}

/// The version of a payload: the lowest that has the type, as servers refuse those above their own.
fn payload_version(entry: &Entry<'_>) -> u16 {
    /// The first version with RESTORE.
    const FIRST: u32 = 6;
    /// Dragonfly and KeyDB write this one, whatever the type.
    const OF_FORKS: u32 = 9;
    let of_type = entry.value.rdb_type.first_version().unwrap_or(OF_FORKS);
    let of_meta = if entry.meta.is_empty() { FIRST } else { 13 };
    // Up to 3.2.0 a server takes no version but its own.
    let of_server = if entry.value.origin.version == 7 { 7 } else { FIRST };
    of_type.max(of_meta).max(of_server) as u16
}
