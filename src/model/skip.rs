//! Measuring: stepping over a value without decoding it.
//!
//! Every function here says how many bytes the value will have decoded (its weight), as far as it declares that, so
//! that batches can be cut by what they become and not only by what they are. A weight is a hint, never a promise.

use super::origin::Templates;
use super::types::RdbType;
use crate::codec::listpack::Listpack;
use crate::codec::{Cursor, Str, array, double, module, stream};
use crate::error::Result;

/// Steps over a value of this type.
#[inline]
pub fn skip_value(rdb_type: RdbType, cur: &mut Cursor<'_>, templates: &Templates) -> Result<u64> {
    match rdb_type {
        RdbType::String => Str::skip(cur),
        other => skip_compound(other, cur, templates),
    }
}

fn skip_compound(rdb_type: RdbType, cur: &mut Cursor<'_>, templates: &Templates) -> Result<u64> {
    use RdbType::*;
    match rdb_type {
        String | HashZipmap | ListZiplist | SetIntset | ZsetZiplist | HashZiplist | HashListpack | ZsetListpack
        | SetListpack | HashListpackExPreGa | TemplateListpackRef | DragonflyJson => Str::skip(cur),
        List | Set | ListQuicklist => repeat(cur, Str::skip),
        Hash => repeat(cur, |cur| Ok(Str::skip(cur)?.saturating_add(Str::skip(cur)?))),
        Zset => repeat(cur, |cur| {
            let weight = Str::skip(cur)?;
            double::skip_text(cur)?;
            Ok(weight)
        }),
        Zset2 => repeat(cur, |cur| {
            let weight = Str::skip(cur)?;
            cur.take(8)?;
            Ok(weight)
        }),
        ListQuicklist2 => repeat(cur, |cur| {
            cur.length()?;
            Str::skip(cur)
        }),
        HashMetadataPreGa => repeat(cur, ttl_field),
        HashMetadata => {
            cur.take(8)?;
            repeat(cur, ttl_field)
        }
        HashListpackEx => {
            cur.take(8)?;
            Str::skip(cur)
        }
        ValkeyHash => repeat(cur, |cur| {
            let weight = Str::skip(cur)?.saturating_add(Str::skip(cur)?);
            cur.take(8)?;
            Ok(weight)
        }),
        Stream1 | Stream2 | Stream3 | Stream4 | Stream5 => {
            stream::skip(cur, rdb_type.stream_version().expect("a stream type has a layout"))
        }
        Module2 => {
            cur.length()?;
            module::skip(cur)
        }
        ModulePreGa => Err(cur.malformed("module value of a 4.0 release candidate, which has no end mark")),
        Array => array::skip(cur),
        TemplateListpack => {
            skip_field_names(cur)?;
            Str::skip(cur)
        }
        TemplateArray => {
            let fields = skip_field_names(cur)?;
            strings(cur, fields)
        }
        TemplateArrayRef => {
            let start = *cur;
            let id = cur.length()?;
            match templates.get(&id) {
                Some(template) => strings(cur, template.fields.len() as u64),
                None => Err(start.malformed(format!("template hash: the file has no template {id}"))),
            }
        }
        DragonflyHash => repeat(cur, |cur| strings(cur, 3)),
        DragonflySet => repeat(cur, |cur| strings(cur, 2)),
        DragonflyBloom | DragonflyBloom2 | DragonflyCountMin | DragonflyTopK | DragonflyCuckoo => {
            skip_sketch(rdb_type, cur)
        }
        KeyDbCron => {
            Str::skip(cur)?;
            cur.take(16)?;
            repeat(cur, Str::skip)?;
            repeat(cur, Str::skip)
        }
    }
}

#[inline]
fn repeat<'a>(cur: &mut Cursor<'a>, mut skip: impl FnMut(&mut Cursor<'a>) -> Result<u64>) -> Result<u64> {
    let mut weight = 0_u64;
    for _ in 0..cur.length()? {
        weight = weight.saturating_add(skip(cur)?);
    }
    Ok(weight)
}

fn strings(cur: &mut Cursor<'_>, n: u64) -> Result<u64> {
    let mut weight = 0_u64;
    for _ in 0..n {
        weight = weight.saturating_add(Str::skip(cur)?);
    }
    Ok(weight)
}

fn ttl_field(cur: &mut Cursor<'_>) -> Result<u64> {
    cur.length()?;
    strings(cur, 2)
}

/// Steps over the field names that a template hash carries; says how many there are.
fn skip_field_names(cur: &mut Cursor<'_>) -> Result<u64> {
    let start = *cur;
    match cur.length()? {
        0 => {
            let mut buf = Vec::new();
            Listpack::new(Str::take(cur, &mut buf)?)?.count()
        }
        1 => {
            let n = cur.length()?;
            strings(cur, n)?;
            Ok(n)
        }
        n => Err(start.malformed(format!("template hash: unknown form {n} of the field names"))),
    }
}

/// The sketches of Dragonfly, whose layouts are private but known.
fn skip_sketch(rdb_type: RdbType, cur: &mut Cursor<'_>) -> Result<u64> {
    let lengths = |cur: &mut Cursor<'_>, n: usize| (0..n).try_for_each(|_| cur.length().map(drop));
    match rdb_type {
        RdbType::DragonflyCountMin => {
            let (width, depth) = (cur.length()?, cur.length()?);
            cur.length()?;
            cur.take_declared(width.saturating_mul(depth).saturating_mul(8))?;
        }
        RdbType::DragonflyTopK => {
            lengths(cur, 4)?;
            cur.take(8)?;
            repeat(cur, |cur| {
                Str::skip(cur)?;
                cur.length()
            })?;
            let n = cur.length()?;
            cur.take_declared(n)?;
        }
        RdbType::DragonflyCuckoo => {
            lengths(cur, 6)?;
            repeat(cur, chunked)?;
        }
        _ => {
            cur.length()?;
            cur.take(16)?;
            lengths(cur, 3)?;
            repeat(cur, |cur| {
                cur.length()?;
                if rdb_type == RdbType::DragonflyBloom { Str::skip(cur) } else { chunked(cur) }
            })?;
        }
    }
    Ok(0)
}

fn chunked(cur: &mut Cursor<'_>) -> Result<u64> {
    let total = cur.length()?;
    let mut seen = 0_u64;
    while seen < total {
        let start = *cur;
        let n = cur.length()?;
        if n == 0 || n > total - seen {
            return Err(start.malformed(format!("chunk of {n} bytes in a blob of {total}")));
        }
        cur.take_declared(n)?;
        seen += n;
    }
    Ok(total)
}

/// Steps over a module value of type 6, which has no end: it ends where `credible` says that records follow.
pub fn skip_value_pre_ga(cur: &mut Cursor<'_>, mut credible: impl FnMut(Cursor<'_>) -> bool) -> Result<u64> {
    cur.length()?;
    let mut end = *cur;
    while !end.is_empty() {
        if credible(end) {
            *cur = end;
            return Ok(0);
        }
        end.u8()?;
    }
    Err(end.truncated())
}
