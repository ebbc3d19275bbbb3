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
    use RdbType::*;
    /// The first version with RESTORE.
    const FIRST: u16 = 6;
    let of_type = match entry.value.rdb_type {
        String | List | Set | Zset | Hash | HashZipmap | ListZiplist | SetIntset | ZsetZiplist | HashZiplist => FIRST,
        ListQuicklist => 7,
        Zset2 | ModulePreGa | Module2 => 8,
        Stream1 => 9,
        HashListpack | ZsetListpack | ListQuicklist2 | Stream2 => 10,
        SetListpack | Stream3 => 11,
        HashMetadataPreGa | HashListpackExPreGa | HashMetadata | HashListpackEx => 12,
        Stream4 => 13,
        Stream5 | Array => 14,
        TemplateListpack | TemplateListpackRef | TemplateArray | TemplateArrayRef => 15,
        ValkeyHash => 80,
        // Dragonfly and KeyDB write 9, whatever the type.
        DragonflyJson | DragonflyHash | DragonflySet | DragonflyBloom | DragonflyBloom2 | DragonflyCountMin
        | DragonflyTopK | DragonflyCuckoo | KeyDbCron => 9,
    };
    let of_meta = if entry.meta.is_empty() { FIRST } else { 13 };
    // Up to 3.2.0 a server takes no version but its own.
    let of_server = if entry.value.origin.version == 7 { 7 } else { FIRST };
    of_type.max(of_meta).max(of_server)
}
