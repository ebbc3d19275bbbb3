//! Hashes: plain, with expiries of fields in each server's form, and on templates.

use super::{Elements, Hint, Maker};
use crate::codec::{length, listpack, zipmap};
use crate::error::Result;
use crate::model::origin::Dialect;
use crate::model::types::{Kind, RdbType};

impl Maker {
    pub(super) fn hash(&mut self, elements: &mut Elements, less: bool, out: &mut Vec<u8>) -> Result<RdbType> {
        elements.refuse_repeated("hash: field", 2, &mut self.fingerprints)?;
        if less && !self.target.has_field_expiry() {
            elements.shape.expiring = false;
        }
        if elements.shape.expiring {
            return Ok(self.expiring_hash(elements, out));
        }
        if self.target.has_templates() && elements.count() > 0 {
            match self.hint {
                Some(Hint::TemplateListpack) => return Ok(self.template_listpack(elements, out)),
                Some(Hint::TemplateArray) => return Ok(self.template_array(elements, out)),
                _ => {}
            }
        }
        if self.hint == Some(Hint::PackedExpiring) && self.target.has_expiring_listpacks() {
            return Ok(self.expiring_listpack(elements, out));
        }
        if self.packs(Kind::Hash, elements) {
            if self.target.origin.version < 4 {
                self.text.clear();
                zipmap::write(elements.count(), elements.strings(), &mut self.text);
                self.strings.write(&self.text, out);
                return Ok(RdbType::HashZipmap);
            }
            self.packed(elements.strings(), out);
            return Ok(if self.target.has_listpacks() { RdbType::HashListpack } else { RdbType::HashZiplist });
        }
        self.one_by_one(elements.count(), elements.strings(), out);
        Ok(RdbType::Hash)
    }

    fn expiring_hash(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        match self.target.origin.dialect {
            Dialect::Dragonfly => self.dragonfly_hash(elements, out),
            _ if self.target.origin.is_valkey() => self.valkey_hash(elements, out),
            _ if self.packs(Kind::Hash, elements) => self.expiring_listpack(elements, out),
            _ => self.expiring_table(elements, out),
        }
    }

    /// Name, value and expiry of each field.
    fn fields(elements: &Elements) -> impl Iterator<Item = (&[u8], &[u8], Option<i64>)> {
        let field = |i: usize| (elements.get(2 * i), elements.get(2 * i + 1), elements.expiries[i]);
        (0..elements.count()).map(field)
    }

    fn dragonfly_hash(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        length::write(elements.shape.count, out);
        for (name, value, expiry) in Maker::fields(elements) {
            self.strings.write(name, out);
            self.strings.write(value, out);
            self.expiry_in_seconds(expiry, out);
        }
        RdbType::DragonflyHash
    }

    fn valkey_hash(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        length::write(elements.shape.count, out);
        for (name, value, expiry) in Maker::fields(elements) {
            self.strings.write(name, out);
            self.strings.write(value, out);
            out.extend_from_slice(&expiry.unwrap_or(-1).to_le_bytes());
        }
        RdbType::ValkeyHash
    }

    /// The smallest expiry, and then each as its distance from that, plus 1.
    fn expiring_table(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        let min = elements.expiries.iter().flatten().copied().min().unwrap_or(0);
        out.extend_from_slice(&min.to_le_bytes());
        length::write(elements.shape.count, out);
        for (name, value, expiry) in Maker::fields(elements) {
            length::write(expiry.map_or(0, |at| at.wrapping_sub(min) as u64 + 1), out);
            self.strings.write(name, out);
            self.strings.write(value, out);
        }
        RdbType::HashMetadata
    }

    /// The smallest expiry, and a listpack of triplets: the soonest first, those that stay last.
    fn expiring_listpack(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        let expiry = |i: &usize| elements.expiries[*i].unwrap_or(i64::MAX);
        self.order.clear();
        self.order.extend(0..elements.count());
        self.order.sort_by_key(expiry);
        let min = elements.expiries.iter().flatten().copied().min().unwrap_or(0);
        out.extend_from_slice(&min.to_le_bytes());
        self.listpack.clear();
        for i in &self.order {
            self.listpack.push(elements.get(2 * i));
            self.listpack.push(elements.get(2 * i + 1));
            self.listpack.push_int(elements.expiries[*i].unwrap_or(0));
        }
        self.strings.write(self.listpack.finish(), out);
        RdbType::HashListpackEx
    }

    /// The order of a template's fields: by length, then by bytes.
    fn sort_by_template(&mut self, elements: &Elements) {
        let name = |i: &usize| elements.get(2 * i);
        self.order.clear();
        self.order.extend(0..elements.count());
        self.order.sort_unstable_by(|i, j| name(i).len().cmp(&name(j).len()).then_with(|| name(i).cmp(name(j))));
    }

    fn template_listpack(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        self.sort_by_template(elements);
        // 0: the names are a listpack.
        length::write(0, out);
        let write = |list: &mut listpack::Builder, strings: &mut dyn Iterator<Item = &[u8]>| {
            strings.for_each(|string| list.push(string));
        };
        self.listpack.clear();
        write(&mut self.listpack, &mut self.order.iter().map(|i| elements.get(2 * i)));
        self.strings.write(self.listpack.finish(), out);
        self.listpack.clear();
        // The id that the template had in the server; a loader gives it another.
        self.listpack.push_int(0);
        write(&mut self.listpack, &mut self.order.iter().map(|i| elements.get(2 * i + 1)));
        self.strings.write(self.listpack.finish(), out);
        RdbType::TemplateListpack
    }

    fn template_array(&mut self, elements: &Elements, out: &mut Vec<u8>) -> RdbType {
        self.sort_by_template(elements);
        // 1: the names are strings one by one.
        length::write(1, out);
        length::write(elements.shape.count, out);
        let names = self.order.iter().map(|i| elements.get(2 * i));
        let values = self.order.iter().map(|i| elements.get(2 * i + 1));
        for string in names.chain(values) {
            self.strings.write(string, out);
        }
        RdbType::TemplateArray
    }
}
