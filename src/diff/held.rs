//! Entries that are held until they can be compared: as bytes, and taken out of them again.

use std::sync::Arc;

use super::spill::{
    eviction_as_numbers, eviction_of_numbers, read_array, read_bytes, read_number, write_bytes, write_number,
};
use crate::codec::stream::Version;
use crate::model::{Entry, Eviction, Origin, RdbType, Value};

/// An entry with all that is compared.
pub(super) struct Held {
    pub(super) db: u64,
    pub(super) key: Vec<u8>,
    pub(super) expiry: Option<i64>,
    pub(super) eviction: Eviction,
    meta: Vec<u8>,
    mask: Option<(u32, u32)>,
    member_expiries: Vec<u8>,
    rdb_type: RdbType,
    bytes: Vec<u8>,
    origin: Arc<Origin>,
}

impl Held {
    /// Writes an entry down; its origin is to be remembered by whoever wants it back.
    pub(super) fn write(entry: &Entry<'_>, out: &mut Vec<u8>) {
        let (eviction, of_eviction) = eviction_as_numbers(entry.eviction);
        let (first, second) = entry.mask.unwrap_or_default();
        out.push(eviction | u8::from(entry.expiry.is_some()) << 2 | u8::from(entry.mask.is_some()) << 3);
        out.push(entry.value.rdb_type.code());
        out.extend_from_slice(&entry.expiry.unwrap_or_default().to_le_bytes());
        for number in [entry.db, of_eviction, u64::from(first), u64::from(second)] {
            write_number(number, out);
        }
        for bytes in [entry.key, entry.meta, entry.member_expiries, entry.value.bytes] {
            write_bytes(bytes, out);
        }
    }

    /// Takes an entry from the front of `bytes`.
    pub(super) fn read(bytes: &mut &[u8], origin: &Arc<Origin>) -> Option<Held> {
        let [flags, code] = read_array(bytes)?;
        let expiry = i64::from_le_bytes(read_array(bytes)?);
        let mut number = || read_number(bytes);
        let (db, of_eviction, first, second) = (number()?, number()?, number()? as u32, number()? as u32);
        let mut these = || read_bytes(bytes).map(<[u8]>::to_vec);
        let (key, meta, member_expiries, value) = (these()?, these()?, these()?, these()?);
        Some(Held {
            db,
            key,
            expiry: (flags & 4 > 0).then_some(expiry),
            eviction: eviction_of_numbers(flags & 3, of_eviction),
            meta,
            mask: (flags & 8 > 0).then_some((first, second)),
            member_expiries,
            rdb_type: RdbType::resolve(code, origin)?,
            bytes: value,
            origin: origin.clone(),
        })
    }

    pub(super) fn value(&self) -> Value<'_> {
        Value { rdb_type: self.rdb_type, bytes: &self.bytes, origin: &self.origin }
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        Entry {
            expiry: self.expiry,
            eviction: self.eviction,
            meta: &self.meta,
            mask: self.mask,
            member_expiries: &self.member_expiries,
            ..Entry::plain(self.db, &self.key, self.value())
        }
    }

    pub(super) fn layout(&self) -> Version {
        self.rdb_type.stream_version().unwrap_or(Version::V5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let origin = Arc::new(Origin::from_header(b"REDIS0012").unwrap());
        let value = Value { rdb_type: RdbType::HashListpackEx, bytes: b"any bytes", origin: &origin };
        let plain = Entry::plain(1 << 40, b"key", value);
        let all = [
            Entry { expiry: Some(-5), eviction: Eviction::Idle(u64::MAX), ..plain },
            Entry { eviction: Eviction::Freq(255), mask: Some((3, u32::MAX)), meta: b"meta", ..plain },
            Entry { member_expiries: b"members", key: b"", ..plain },
        ];
        let mut bytes = Vec::new();
        all.iter().for_each(|entry| Held::write(entry, &mut bytes));
        let mut rest = bytes.as_slice();
        for entry in &all {
            let held = Held::read(&mut rest, &origin).unwrap();
            let back = held.entry();
            assert_eq!((back.db, back.key, back.expiry), (entry.db, entry.key, entry.expiry));
            assert_eq!((back.eviction, back.meta, back.mask), (entry.eviction, entry.meta, entry.mask));
            assert_eq!((back.member_expiries, back.value.bytes), (entry.member_expiries, entry.value.bytes));
            assert_eq!(back.value.rdb_type, entry.value.rdb_type);
        }
        assert!(rest.is_empty() && Held::read(&mut rest, &origin).is_none());
    }
}
