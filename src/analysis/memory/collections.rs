//! Sets, hashes and sorted sets: packed in one blob, or as tables.

use super::{MemoryModel, Part, vset};
use crate::codec::intset::Intset;
use crate::codec::listpack::Listpack;
use crate::codec::string::canonical_integer;
use crate::codec::ziplist::Ziplist;
use crate::codec::{Cursor, Item, Packed, Str, double};
use crate::error::Result;
use crate::model::{Element, Kind, RdbType, Scratch, Value};

/// What a walk over the elements of a table finds.
#[derive(Default)]
struct Found {
    elements: u64,
    largest: usize,
    /// As entries of the server's tables.
    table: f64,
    /// As elements of a listpack or ziplist.
    packed: u64,
    all_integers: bool,
    /// Bits that the members need as integers.
    width: u64,
    expiring: bool,
}

impl MemoryModel {
    pub(super) fn collection(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Result<Part> {
        use RdbType::*;
        // Whoever loads a blob with more in it than its limits makes a table of it.
        let limit = match (value.rdb_type, value.kind()) {
            (SetIntset, _) => self.limits.intset_entries,
            (_, Kind::Set) => self.limits.set_entries,
            (_, Kind::Zset) => self.limits.zset_entries,
            _ => self.limits.hash_entries,
        };
        if self.loaded && value.count(scratch)?.is_some_and(|count| count > limit) {
            return self.elements_of(value, scratch);
        }
        match value.rdb_type {
            SetIntset => self.intset(value),
            SetListpack if self.facts.server.redis(7, 2) => self.blob_of(value, 1, 0),
            HashListpack | ZsetListpack if self.facts.listpacks => self.blob_of(value, 2, 0),
            HashZiplist | ZsetZiplist if !self.facts.listpacks => self.blob_of(value, 2, 0),
            TemplateListpack | TemplateListpackRef if self.facts.server.redis(8, 10) => self.template_listpack(value),
            TemplateArray | TemplateArrayRef if self.facts.server.redis(8, 10) => self.template_array(value, scratch),
            HashListpackEx | HashListpackExPreGa if self.facts.server.redis(7, 4) => self.blob_of(value, 3, 8),
            _ => self.elements_of(value, scratch),
        }
    }

    fn intset(&mut self, value: Value<'_>) -> Result<Part> {
        let blob = Self::take(&mut self.blob, &mut Cursor::new(value.bytes))?;
        let set = Intset::new(blob)?;
        let mut digits = itoa::Buffer::new();
        let ends = [set.members().next(), set.members().last()];
        let largest = ends.into_iter().flatten().map(|n| digits.format(n).len()).max().unwrap_or(0);
        Ok(Part { bytes: self.facts.packed(blob.len() as u64) as f64, elements: set.count(), largest: largest as u64 })
    }

    /// A value that is packed in the form that the server has, too: `each` items are an element.
    fn blob_of(&mut self, value: Value<'_>, each: u64, skipped: usize) -> Result<Part> {
        let mut cur = Cursor::new(value.bytes);
        if value.rdb_type != RdbType::HashListpackExPreGa {
            cur.take(skipped)?;
        }
        let blob = Self::take(&mut self.blob, &mut cur)?;
        let list = match value.rdb_type {
            RdbType::HashZiplist | RdbType::ZsetZiplist => Packed::Ziplist(Ziplist::new(blob)?),
            _ => Packed::Listpack(Listpack::new(blob)?),
        };
        let (items, largest) = items(list)?;
        let head = match each {
            3 if self.facts.server.redis(8, 2) => 24,
            3 => 32,
            _ => 0,
        };
        Ok(Part { bytes: (head + self.facts.packed(blob.len() as u64)) as f64, elements: items / each, largest })
    }

    /// The values of a hash whose names are in a template. The share of the template, which MEMORY USAGE adds, depends on
    /// all the hashes that have it.
    fn template_listpack(&mut self, value: Value<'_>) -> Result<Part> {
        let mut cur = Cursor::new(value.bytes);
        if value.rdb_type == RdbType::TemplateListpack {
            skip_names(&mut cur)?;
        }
        let blob = Self::take(&mut self.blob, &mut cur)?;
        let (items, largest) = items(Packed::Listpack(Listpack::new(blob)?))?;
        Ok(Part { bytes: self.facts.packed(blob.len() as u64) as f64, elements: items.saturating_sub(1), largest })
    }

    fn template_array(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Result<Part> {
        let facts = self.facts;
        let mut part = Part { bytes: 16.0, ..Part::default() };
        value.each_dyn(scratch, &mut |element| {
            if let Element::Field { name, value, .. } = element {
                part.elements += 1;
                part.largest = part.largest.max(name.len().max(value.len()) as u64);
                part.bytes += (8 + facts.text(value.len() as u64)) as f64;
            }
            Ok(())
        })?;
        Ok(part)
    }

    /// A value whose elements stand one by one in the file, or in a form that the server does not have.
    fn elements_of(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Result<Part> {
        let facts = self.facts;
        let count = value.count(scratch)?.unwrap_or(0);
        let limits = &self.limits;
        let most = limits.hash_entries.max(limits.set_entries).max(limits.zset_entries).max(limits.intset_entries);
        let may_be_packed = self.may_be_packed(value) && count <= most;
        self.expiries.clear();
        let (expiries, text) = (&mut self.expiries, &mut self.blob);
        let mut found = Found { all_integers: true, width: 2, ..Found::default() };
        value.each_dyn(scratch, &mut |element| {
            found.elements += 1;
            match element {
                Element::Item(member) | Element::Expiring { member, .. } => {
                    found.string(member, may_be_packed, facts.listpacks);
                    found.table += facts.set_member(member.len() as u64) as f64;
                }
                Element::Scored { member, score } => {
                    found.string(member, may_be_packed, facts.listpacks);
                    if may_be_packed {
                        text.clear();
                        double::write(score, text);
                        found.packed += entry_size(text, facts.listpacks);
                    }
                    found.table += facts.zset_member(member.len() as u64);
                }
                Element::Field { name, value, expiry } => {
                    found.string(name, may_be_packed, facts.listpacks);
                    found.string(value, may_be_packed, facts.listpacks);
                    expiries.extend(expiry);
                    found.table += facts.hash_field(name.len() as u64, value.len() as u64, expiry.is_some()) as f64;
                }
                _ => {}
            }
            Ok(())
        })?;
        found.expiring = !expiries.is_empty();
        if found.expiring && facts.server.valkey(9, 0) {
            found.table += 8.0 + vset::index(expiries, &facts, &mut self.rax);
        }
        Ok(self.part(value, &found, may_be_packed))
    }

    /// Whether the server might have the value packed: it loads it, or has not the form of the file.
    fn may_be_packed(&self, value: Value<'_>) -> bool {
        use RdbType::*;
        self.loaded
            || !matches!(value.rdb_type, Set | Zset | Zset2 | Hash | HashMetadata | HashMetadataPreGa | ValkeyHash)
    }

    fn part(&self, value: Value<'_>, found: &Found, may_be_packed: bool) -> Part {
        let facts = &self.facts;
        // With expiries the loader does not make room for all entries at once.
        let table = if found.expiring && self.loaded && facts.server.redis(7, 4) {
            facts.grown_table(found.elements)
        } else {
            facts.table(found.elements, self.loaded)
        };
        let limits = &self.limits;
        let small = |entries, bytes| may_be_packed && found.elements <= entries && found.largest <= bytes;
        let frame = if facts.listpacks { 7 } else { 11 };
        let packed = facts.packed(frame + found.packed) as f64;
        let bytes = match value.kind() {
            Kind::Set if found.all_integers && small(limits.intset_entries, usize::MAX) => {
                facts.packed(8 + found.width * found.elements) as f64
            }
            Kind::Set if facts.server.redis(7, 2) && small(limits.set_entries, limits.set_value) => packed,
            Kind::Hash if !found.expiring && small(limits.hash_entries, limits.hash_value) => packed,
            Kind::Zset if small(limits.zset_entries, limits.zset_value) => packed,
            kind => {
                let skiplist = if kind == Kind::Zset { facts.skiplist() } else { 0 };
                skiplist as f64 + table + found.table + facts.entries(kind, found.elements)
            }
        };
        Part { bytes, elements: found.elements, largest: found.largest as u64 }
    }
}

/// Steps over the field names that a template hash has with it in a DUMP.
fn skip_names(cur: &mut Cursor<'_>) -> Result<()> {
    let names = match cur.length()? {
        0 => 1,
        _ => cur.length()?,
    };
    (0..names).try_for_each(|_| Str::skip(cur).map(drop))
}

impl Found {
    #[inline]
    fn string(&mut self, text: &[u8], may_be_packed: bool, listpacks: bool) {
        self.largest = self.largest.max(text.len());
        if may_be_packed {
            self.packed += entry_size(text, listpacks);
            match canonical_integer(text) {
                Some(n) => self.width = self.width.max(width(n)),
                None => self.all_integers = false,
            }
        }
    }
}

/// Bytes of an integer in an intset.
fn width(n: i64) -> u64 {
    match (i16::try_from(n), i32::try_from(n)) {
        (Ok(_), _) => 2,
        (_, Ok(_)) => 4,
        _ => 8,
    }
}

/// Bytes of an element in a listpack, or in a ziplist between short neighbours.
pub(super) fn entry_size(text: &[u8], listpack: bool) -> u64 {
    let len = text.len() as u64;
    let integer = if len <= 20 { canonical_integer(text) } else { None };
    // The two formats differ in where their short forms end.
    let (tiny, short, medium) = if listpack { (0..=127, -4096..=4095, 4096) } else { (0..=12, -128..=127, 16_384) };
    let size = match integer {
        Some(n) if tiny.contains(&n) => 1,
        Some(n) if short.contains(&n) => 2,
        Some(-32_768..=32_767) => 3,
        Some(-8_388_608..=8_388_607) => 4,
        Some(-2_147_483_648..=2_147_483_647) => 5,
        Some(_) => 9,
        None if len < 64 => len + 1,
        None if len < medium => len + 2,
        None => len + 5,
    };
    let back_length = match size {
        _ if !listpack => 1,
        ..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    size + back_length
}

/// How many items a packed list has, and the length of the longest.
pub(super) fn items(mut list: Packed<'_>) -> Result<(u64, u64)> {
    let (mut count, mut longest) = (0, 0);
    while let Some(item) = list.next_item()? {
        count += 1;
        let len = match item {
            Item::Bytes(bytes) => bytes.len(),
            // No integer is longer than 20 characters.
            Item::Int(_) if longest >= 20 => 0,
            Item::Int(n) => itoa::Buffer::new().format(n).len(),
        };
        longest = longest.max(len);
    }
    Ok((count, longest as u64))
}
