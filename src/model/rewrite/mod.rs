//! How entries change on their way: names, databases, expiries, and masks over all that they say.

mod mask;
mod rename;
mod ttl;

use regex::bytes::CaptureLocations;

pub use mask::{Buf as MaskBuf, Mask};
pub use rename::Rename;
pub use ttl::TtlRule;

use super::functions::library_name;
use super::record::{Entry, Record};
use super::types::{Kind, RdbType};
use super::value::{Element, Value};
use crate::codec::string::canonical_integer;
use crate::codec::{length, opcode};
use crate::error::{Error, Result};
use crate::text;

/// What is to be changed; the default changes nothing.
///
/// ```
/// use rdbkit::model::{Rewrite, TtlRule};
/// let rewrite = Rewrite {
///     renames: vec!["s/^user:/u:/".parse()?],
///     ttl: TtlRule::Strip,
///     ..Rewrite::default()
/// };
/// assert!(rewrite.changes_keys() && rewrite.changes_values());
/// # Ok::<(), rdbkit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// Where databases go.
    pub db_map: DbMap,
    /// Prefixes of which the first that a key begins with is removed. A key that is nothing but the prefix keeps it.
    pub strip: Vec<Vec<u8>>,
    /// Rules for names, applied one after the other.
    pub renames: Vec<Rename>,
    /// What is put in front of every key.
    pub add: Vec<u8>,
    /// What becomes of expiries.
    pub ttl: TtlRule,
    /// The expiry of keys that have none, Unix time in ms.
    pub default_expiry: Option<i64>,
    /// Whether keys whose expiry has passed are dropped: the expiry in the file, before `ttl` changes it.
    pub drop_expired: bool,
    /// The time that expiries are held against, Unix time in ms.
    pub now: i64,
    /// Pseudonyms for keys, once they have their new names, and for all texts of values.
    pub mask: Option<Mask>,
}

/// Which database becomes which.
#[derive(Clone, Debug, Default)]
pub struct DbMap {
    /// From and to.
    pub pairs: Vec<(u64, u64)>,
    /// Where all others go; `None`: they stay.
    pub others: Option<u64>,
}

/// Buffers for [`Rewrite::key`]. They belong to one `Rewrite` and are used again for every key.
#[derive(Clone, Default)]
pub struct KeyBuf {
    key: Vec<u8>,
    spare: Vec<u8>,
    member_expiries: Vec<u8>,
    groups: Vec<Option<CaptureLocations>>,
    mask: mask::Buf,
}

/// Buffers for [`Rewrite::element`], used again for every element.
#[derive(Clone, Default)]
pub struct ElementBuf(mask::Buf);

impl DbMap {
    /// What a database becomes.
    pub fn of(&self, db: u64) -> u64 {
        match self.pairs.iter().find(|(from, _)| *from == db) {
            Some((_, to)) => *to,
            None => self.others.unwrap_or(db),
        }
    }

    /// Whether every database stays.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.others.is_none()
    }
}

impl Rewrite {
    /// Whether nothing is changed at all.
    pub fn is_empty(&self) -> bool {
        !self.changes_keys() && self.ttl.is_keep() && self.default_expiry.is_none() && !self.drop_expired
    }

    /// Whether keys get other names or databases.
    pub fn changes_keys(&self) -> bool {
        self.may_join_keys() || !self.add.is_empty() || self.mask.is_some()
    }

    /// Whether two different keys may become one.
    pub fn may_join_keys(&self) -> bool {
        !self.db_map.is_empty() || !self.strip.is_empty() || !self.renames.is_empty()
    }

    /// Whether anything in values changes: texts, or the expiries of fields and members.
    pub fn changes_values(&self) -> bool {
        self.mask.is_some() || !self.ttl.is_keep()
    }

    /// Whether a value of this type can change; one that can't may be copied as it is.
    pub fn changes(&self, rdb_type: RdbType) -> bool {
        self.mask.is_some() || !self.ttl.is_keep() && rdb_type.has_expiries()
    }

    /// The entry with its new key, database and expiry; `None` if it is dropped. The value is still the old one, and so
    /// is what modules attached to the key, which can't be masked.
    ///
    /// Errors: damaged expiries of members.
    #[inline]
    pub fn key<'k>(&self, entry: &Entry<'k>, buf: &'k mut KeyBuf) -> Result<Option<Entry<'k>>> {
        if self.drop_expired && entry.expiry.is_some_and(|at| at <= self.now) {
            return Ok(None);
        }
        let expiry = self.ttl.apply(entry.expiry).or(self.default_expiry);
        let mut new = Entry { db: self.db_map.of(entry.db), expiry, ..*entry };
        if self.changes_values() && !entry.member_expiries.is_empty() {
            self.change_member_expiries(entry, buf)?;
        }
        let stripped = self.stripped(entry.key);
        let copied = self.change_name(stripped, buf);
        let KeyBuf { key, member_expiries, .. } = buf;
        new.key = if copied { key } else { stripped };
        if self.changes_values() && !entry.member_expiries.is_empty() {
            new.member_expiries = member_expiries;
        }
        Ok(Some(new))
    }

    /// A value that is to be masked and can't be, since nobody but its module or fork understands it: what it is.
    pub fn unmaskable_value(&self, value: Value<'_>) -> Option<String> {
        let what = match value.kind() {
            _ if self.mask.is_none() => return None,
            Kind::Module => format!("a value of module {}", value.type_name()),
            Kind::VectorSet => "a vector set".into(),
            Kind::Foreign => format!("a value of type {}", value.encoding()),
            _ => return None,
        };
        Some(format!("{what}, which can't be masked"))
    }

    /// What is no key, and would say in a masked file what it says in the old one: programs and modules' data.
    pub fn unmaskable_record(&self, record: &Record<'_>) -> Option<String> {
        let library =
            |name: Option<&[u8]>| format!("function library {}", text::quoted_short(name.unwrap_or_default()));
        let what = match record {
            _ if self.mask.is_none() => return None,
            Record::Function(source) => library(library_name(source)),
            Record::FunctionPreGa { name, .. } => library(Some(name)),
            Record::ModuleAux { id, .. } => format!("aux data of module {}", id.name()),
            Record::Aux { name: b"lua", .. } => "a Lua script".into(),
            _ => return None,
        };
        Some(format!("{what}, which can't be masked"))
    }

    /// The element as it has to be in the new value. Errors: what can't be masked.
    #[inline]
    pub fn element<'e>(&self, element: Element<'e>, buf: &'e mut ElementBuf) -> Result<Element<'e>> {
        let element = match element {
            Element::Field { name, value, expiry } => Element::Field { name, value, expiry: self.ttl.apply(expiry) },
            Element::Expiring { member, expiry } => Element::Expiring { member, expiry: self.ttl.apply(expiry) },
            other => other,
        };
        match &self.mask {
            Some(mask) => mask.element(element, &mut buf.0),
            None => Ok(element),
        }
    }

    fn stripped<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let found = self.strip.iter().find_map(|prefix| key.strip_prefix(prefix.as_slice()));
        found.filter(|rest| !rest.is_empty()).unwrap_or(key)
    }

    /// Writes the new name to `buf.key`; false, and nothing written, if it is the old one.
    fn change_name(&self, name: &[u8], buf: &mut KeyBuf) -> bool {
        let KeyBuf { key, spare, groups, mask, .. } = buf;
        let mut copied = false;
        groups.resize_with(self.renames.len(), || None);
        for (rename, groups) in self.renames.iter().zip(groups) {
            let from = if copied { key.as_slice() } else { name };
            if rename.apply(from, groups, spare) {
                std::mem::swap(key, spare);
                copied = true;
            }
        }
        if !self.add.is_empty() {
            let from = if copied { key.as_slice() } else { name };
            spare.clear();
            spare.extend_from_slice(&self.add);
            spare.extend_from_slice(from);
            std::mem::swap(key, spare);
            copied = true;
        }
        if let Some(with) = &self.mask {
            let pseudonym = with.key(if copied { key.as_slice() } else { name }, mask);
            key.clear();
            key.extend_from_slice(pseudonym);
            copied = true;
        }
        copied
    }

    /// Writes KeyDB's member expiries anew: pairs of aux records.
    fn change_member_expiries(&self, entry: &Entry<'_>, buf: &mut KeyBuf) -> Result<()> {
        let KeyBuf { member_expiries: out, mask, .. } = buf;
        out.clear();
        entry.each_member_expiry(|member, when| {
            let member = self.mask.as_ref().map_or(member, |with| with.text(member, mask));
            let at = canonical_integer(when);
            let at = at.ok_or_else(|| Error::malformed("expiry of a member: no integer"))?;
            if let Some(at) = self.ttl.apply(Some(at)) {
                write_aux(b"keydb-subexpire-key", member, out);
                write_aux(b"keydb-subexpire-when", itoa::Buffer::new().format(at).as_bytes(), out);
            }
            Ok(())
        })
    }
}

fn write_aux(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(opcode::AUX);
    for text in [name, value] {
        length::write(text.len() as u64, out);
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{stream, vectorset};
    use crate::model::{Eviction, Origin};

    fn with_entry<T>(db: u64, key: &[u8], expiry: Option<i64>, run: impl FnOnce(Entry<'_>) -> T) -> T {
        let origin = Origin::from_header(b"REDIS0011").unwrap();
        let value = Value { rdb_type: RdbType::String, bytes: b"\x01v", origin: &origin };
        run(Entry {
            db,
            key,
            expiry,
            eviction: Eviction::Freq(7),
            meta: b"",
            mask: None,
            member_expiries: b"",
            offset: 9,
            size: 20,
            value,
        })
    }

    /// Key, database and expiry of what becomes of an entry.
    fn changed(rewrite: &Rewrite, db: u64, key: &str, expiry: Option<i64>) -> Option<(String, u64, Option<i64>)> {
        with_entry(db, key.as_bytes(), expiry, |entry| {
            let mut buf = KeyBuf::default();
            let new = rewrite.key(&entry, &mut buf).unwrap()?;
            assert_eq!((new.eviction, new.offset, new.size), (entry.eviction, entry.offset, entry.size));
            Some((String::from_utf8(new.key.to_vec()).unwrap(), new.db, new.expiry))
        })
    }

    fn name(rewrite: &Rewrite, key: &str) -> String {
        changed(rewrite, 0, key, None).unwrap().0
    }

    fn mask() -> Mask {
        Mask::new(b"correct horse", b":").unwrap()
    }

    #[test]
    fn the_default_changes_nothing() {
        let rewrite = Rewrite::default();
        assert!(rewrite.is_empty() && !rewrite.changes_keys() && !rewrite.changes_values());
        assert_eq!(changed(&rewrite, 3, "k", Some(5)), Some(("k".into(), 3, Some(5))));
    }

    #[test]
    fn databases_are_mapped() {
        let mut map = DbMap { pairs: vec![(3, 0), (0, 3)], others: None };
        assert_eq!([0, 1, 3].map(|db| map.of(db)), [3, 1, 0]);
        map.others = Some(9);
        assert_eq!([0, 1, 3, 9].map(|db| map.of(db)), [3, 9, 0, 9]);
        let rewrite = Rewrite { db_map: map, ..Rewrite::default() };
        assert!(rewrite.may_join_keys() && !rewrite.changes_values());
        assert_eq!(changed(&rewrite, 3, "k", None).unwrap().1, 0);
    }

    #[test]
    fn prefixes_are_removed_where_something_is_left() {
        let rewrite = Rewrite { strip: vec![b"app:".to_vec(), b"app".to_vec(), b"x".to_vec()], ..Rewrite::default() };
        for (key, want) in [("app:1", "1"), ("app1", "1"), ("xapp:", "app:"), ("app:", "app:"), ("x", "x"), ("y", "y")]
        {
            assert_eq!(name(&rewrite, key), want, "{key}");
        }
    }

    #[test]
    fn names_change_in_order() {
        let renames = ["s/^a/b/", "s/^b/c:/"].map(|rule| rule.parse().unwrap()).to_vec();
        let mut rewrite = Rewrite { strip: vec![b"p:".to_vec()], renames, add: b"q:".to_vec(), ..Rewrite::default() };
        for (key, want) in [("p:ax", "q:c:x"), ("b", "q:c:"), ("p:p:a", "q:p:a"), ("z", "q:z"), ("p:", "q:p:")] {
            assert_eq!(name(&rewrite, key), want, "{key}");
        }
        rewrite.mask = Some(mask());
        let masked = name(&rewrite, "p:a1234");
        assert_eq!(masked, String::from_utf8(mask().key(b"q:c:1234", &mut MaskBuf::default()).to_vec()).unwrap());
        assert!(masked.starts_with("q:") && masked.ends_with(":4027"), "{masked}");
    }

    #[test]
    fn one_buffer_serves_many_keys() {
        let renames = vec!["s/^(.)(.)/$2$1/".parse().unwrap()];
        let rewrite = Rewrite { renames, add: b"+".to_vec(), ..Rewrite::default() };
        let mut buf = KeyBuf::default();
        for (key, want) in [("abcdef", "+bacdef"), ("x", "+x"), ("yz", "+zy"), ("", "+")] {
            with_entry(0, key.as_bytes(), None, |entry| {
                let new = rewrite.key(&entry, &mut buf).unwrap().unwrap();
                assert_eq!(String::from_utf8_lossy(new.key), want);
            });
        }
    }

    #[test]
    fn what_has_expired_in_the_file_is_dropped() {
        let mut rewrite = Rewrite { drop_expired: true, now: 1000, ttl: TtlRule::Shift(10_000), ..Rewrite::default() };
        assert!(!rewrite.is_empty());
        assert_eq!(changed(&rewrite, 0, "k", Some(1000)), None);
        assert_eq!(changed(&rewrite, 0, "k", Some(1001)).unwrap().2, Some(11_001));
        assert_eq!(changed(&rewrite, 0, "k", None).unwrap().2, None);
        rewrite.drop_expired = false;
        assert_eq!(changed(&rewrite, 0, "k", Some(1000)).unwrap().2, Some(11_000));
        rewrite.ttl = TtlRule::Strip;
        assert_eq!(changed(&rewrite, 0, "k", Some(1000)).unwrap().2, None);
        rewrite = Rewrite { default_expiry: Some(7), ..Rewrite::default() };
        assert!(!rewrite.is_empty() && !rewrite.changes_values());
        assert_eq!([None, Some(5)].map(|at| changed(&rewrite, 0, "k", at).unwrap().2), [Some(7), Some(5)]);
    }

    #[test]
    fn only_values_with_expiries_change_by_a_ttl_rule() {
        let mut rewrite = Rewrite { ttl: TtlRule::Strip, ..Rewrite::default() };
        assert!(rewrite.changes_values() && !rewrite.changes_keys());
        assert!(rewrite.changes(RdbType::HashListpackEx) && rewrite.changes(RdbType::DragonflySet));
        assert!(!rewrite.changes(RdbType::Hash) && !rewrite.changes(RdbType::Stream3));
        rewrite.ttl = TtlRule::Shift(0);
        assert!(rewrite.is_empty() && !rewrite.changes(RdbType::HashListpackEx));
        rewrite.mask = Some(mask());
        assert!(rewrite.changes(RdbType::String));
    }

    /// The element in the words of `Debug`, with its texts readable.
    fn element(rewrite: &Rewrite, element: Element<'_>) -> Result<String> {
        let mut buf = ElementBuf::default();
        let t = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
        Ok(match rewrite.element(element, &mut buf)? {
            Element::Item(item) => t(item),
            Element::Expiring { member, expiry } => format!("{} {expiry:?}", t(member)),
            Element::Scored { member, score } => format!("{} {score}", t(member)),
            Element::Field { name, value, expiry } => format!("{} {} {expiry:?}", t(name), t(value)),
            Element::Slot { index, item } => format!("{index} {}", t(item)),
            Element::Stream(stream::Part::Field { name, value }) => format!("{} {}", t(name), t(value)),
            Element::Stream(stream::Part::Group { name, last, .. }) => format!("{} {last}", t(name)),
            Element::Stream(stream::Part::Consumer { name, seen, active }) => format!("{} {seen} {active:?}", t(name)),
            Element::Stream(stream::Part::Pending { id, consumer, .. }) => format!("{id} {:?}", consumer.map(t)),
            Element::Stream(stream::Part::Producer(id)) => t(id),
            Element::Stream(stream::Part::ProducerId { iid, id }) => format!("{} {id}", t(iid)),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn elements_are_masked_part_by_part() {
        // The pseudonyms of "hello", "1234" and 42 that `mask` pins.
        let (hello, id) = (&b"hello"[..], stream::StreamId { ms: 5, seq: 1 });
        let rewrite = Rewrite { mask: Some(mask()), ttl: TtlRule::Shift(1), ..Rewrite::default() };
        let t = |from: Element<'_>, want: &str| assert_eq!(element(&rewrite, from).unwrap(), want);
        t(Element::Item(hello), "julrb");
        t(Element::Expiring { member: hello, expiry: Some(5) }, "julrb Some(6)");
        t(Element::Scored { member: hello, score: 42.0 }, "julrb 11");
        t(Element::Field { name: hello, value: b"1234", expiry: Some(5) }, "julrb 4027 Some(6)");
        t(Element::Field { name: b"1234", value: hello, expiry: None }, "4027 julrb None");
        t(Element::Slot { index: 1234, item: hello }, "1234 julrb");
        t(Element::Stream(stream::Part::Field { name: hello, value: b"1234" }), "julrb 4027");
        t(Element::Stream(stream::Part::Group { name: hello, last: id, entries_read: None }), "julrb 5-1");
        t(Element::Stream(stream::Part::Consumer { name: hello, seen: 7, active: Some(8) }), "julrb 7 Some(8)");
        let pending = |consumer| stream::Part::Pending { id, consumer, delivered: 7, deliveries: 1 };
        t(Element::Stream(pending(Some(hello))), "5-1 Some(\"julrb\")");
        t(Element::Stream(pending(None)), "5-1 None");
        t(Element::Stream(stream::Part::Producer(hello)), "julrb");
        t(Element::Stream(stream::Part::ProducerId { iid: hello, id }), "julrb 5-1");
        let same = Element::Stream(stream::Part::Entry(id));
        t(same, &format!("{same:?}"));
    }

    #[test]
    fn what_can_not_be_masked_is_an_error_and_passes_otherwise() {
        let rewrite = Rewrite { mask: Some(mask()), ..Rewrite::default() };
        let vector = Element::Vector(vectorset::Element { name: b"v", attributes: None, vector: &[1.0] });
        for (from, want) in [(Element::Opaque(b"x"), "module"), (vector, "vector set")] {
            let e = element(&rewrite, from).unwrap_err();
            assert!(matches!(e.kind(), crate::ErrorKind::Unsupported(_)) && e.to_string().contains(want), "{e}");
            assert!(element(&Rewrite { ttl: TtlRule::Strip, ..Rewrite::default() }, from).is_ok());
        }
        let origin = Origin::from_header(b"REDIS0011").unwrap();
        // The id of `labtype-A`, version 7.
        let module = b"\x81\x95\xa6\xed\xca\x97\xbe\x00\x07\x00";
        for (rdb_type, bytes, want) in [
            (RdbType::Module2, &module[..], Some("a value of module labtype-A, which can't be masked")),
            (RdbType::KeyDbCron, b"", Some("a value of type cron, which can't be masked")),
            (RdbType::String, b"", None),
        ] {
            let value = Value { rdb_type, bytes, origin: &origin };
            assert_eq!(rewrite.unmaskable_value(value).as_deref(), want);
            assert_eq!(Rewrite::default().unmaskable_value(value), None);
        }
    }

    #[test]
    fn what_is_no_key_and_can_not_be_masked_is_named() {
        let rewrite = Rewrite { mask: Some(mask()), ..Rewrite::default() };
        let id = crate::codec::module::ModuleId(0x95a6_edca_97be_0007);
        let pre_ga = Record::FunctionPreGa { name: b"old", engine: b"LUA", description: None, code: b"" };
        for (record, want) in [
            (Record::Function(b"#!lua name=my\n"), Some("function library \"my\", which can't be masked")),
            (pre_ga, Some("function library \"old\", which can't be masked")),
            (Record::ModuleAux { id, when: 1, data: b"" }, Some("aux data of module labtype-A, which can't be masked")),
            (Record::Aux { name: b"lua", value: b"return 1" }, Some("a Lua script, which can't be masked")),
            (Record::Aux { name: b"redis-ver", value: b"7.0.0" }, None),
            (Record::SelectDb(1), None),
        ] {
            assert_eq!(rewrite.unmaskable_record(&record).as_deref(), want);
            assert_eq!(Rewrite::default().unmaskable_record(&record), None);
        }
    }

    #[test]
    fn expiries_of_members_change_with_the_others() {
        // As KeyDB writes them (rdb.cpp): a pair of aux fields behind the value.
        let records = b"\xfa\x13keydb-subexpire-key\x05hello\xfa\x14keydb-subexpire-when\x0d1700000000000\
            \xfa\x13keydb-subexpire-key\x041234\xfa\x14keydb-subexpire-when\xc1\xe8\x03";
        let t = |rewrite: Rewrite, want: &[(&str, &str)]| {
            let want = want.iter().map(|(member, when)| ((*member).to_owned(), (*when).to_owned())).collect::<Vec<_>>();
            with_entry(0, b"k", None, |entry| {
                let mut buf = KeyBuf::default();
                let entry = Entry { member_expiries: records, ..entry };
                let new = rewrite.key(&entry, &mut buf).unwrap().unwrap();
                let mut got = Vec::new();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                new.each_member_expiry(|member, when| {
                    got.push((text(member), text(when)));
                    Ok(())
                })
                .unwrap();
                assert_eq!(got, want);
                assert_eq!(new.member_expiries == records, rewrite.is_empty());
            });
        };
        t(Rewrite::default(), &[("hello", "1700000000000"), ("1234", "1000")]);
        t(Rewrite { ttl: TtlRule::Strip, ..Rewrite::default() }, &[]);
        let (mask, ttl) = (Some(mask()), TtlRule::Shift(5));
        t(Rewrite { mask: mask.clone(), ttl, ..Rewrite::default() }, &[("julrb", "1700000000005"), ("4027", "1005")]);
        t(Rewrite { mask, ..Rewrite::default() }, &[("julrb", "1700000000000"), ("4027", "1000")]);
        let broken = b"\xfa\x13keydb-subexpire-key\x05hello\xfa\x14keydb-subexpire-when\x04soon";
        with_entry(0, b"k", None, |entry| {
            let entry = Entry { member_expiries: broken, ..entry };
            let rewrite = Rewrite { ttl: TtlRule::Strip, ..Rewrite::default() };
            assert!(rewrite.key(&entry, &mut KeyBuf::default()).err().unwrap().is_damage());
        });
    }
}
