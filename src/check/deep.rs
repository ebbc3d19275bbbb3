//! What servers refuse, crash on or read wrongly, although every byte can be read.
//!
//! The rules are those of the servers' own sanitizer (`sanitize-dump-payload yes`, always on in Valkey 9.1) and of their
//! data structures: what no server ever writes.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::stream::StreamRules;
use super::vectorset::Links;
use crate::codec::intset::Intset;
use crate::codec::listpack::Listpack;
use crate::codec::string::canonical_integer;
use crate::codec::ziplist::Ziplist;
use crate::codec::{Cursor, Packed, Str};
use crate::error::{Error, Result};
use crate::model::{
    Element, Entry, Kind, Magic, Origin, RdbType, Record, SLOTS, Scratch, Value, fingerprint, library_head,
    newest_version_of, repeats,
};
use crate::text;

/// What is wrong with a record.
#[derive(Default)]
pub struct Faults {
    /// Why a server refuses it, or reads something else than was saved.
    pub errors: Vec<Error>,
    /// Whether it is a collection without elements: servers from 6.2 on skip such a key, older ones load it.
    pub is_empty: bool,
}

impl Faults {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.errors.clear();
        self.is_empty = false;
    }

    pub(super) fn add(&mut self, what: impl Into<std::borrow::Cow<'static, str>>) {
        self.errors.push(Error::malformed(what));
    }

    /// Adds the outcome of something that stops at its first error.
    fn take(&mut self, outcome: Result<()>) {
        self.errors.extend(outcome.err());
    }
}

/// Looks at records with a server's eyes. Every worker has its own.
#[derive(Default)]
pub struct Deep {
    names: Vec<u64>,
    previous: Vec<u8>,
    blob: Vec<u8>,
    stream: StreamRules,
    links: Links,
}

/// The greatest expiry of a hash field: 48 bits.
const LAST_FIELD_EXPIRY: i64 = (1 << 48) - 1;

/// The times at which a field of such a hash can go.
pub fn field_expiry(rdb_type: RdbType) -> RangeInclusive<i64> {
    0..=if rdb_type == RdbType::ValkeyHash { i64::MAX } else { LAST_FIELD_EXPIRY }
}

impl Deep {
    /// Everything that is wrong with a key, its attributes and its value.
    pub fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, faults: &mut Faults) {
        if let Some(at @ ..=0) = entry.expiry {
            faults.add(format!("expiry: {at} is no time at which a key can go"));
        }
        faults.take(entry.each_meta(|_| Ok(())));
        faults.take(entry.each_member_expiry(|_, _| Ok(())));
        let walked = self.value(entry.value, scratch, faults);
        faults.take(walked);
    }

    fn value(&mut self, value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
        match value.kind() {
            Kind::List => self.list(value, scratch, faults),
            Kind::Set if value.rdb_type == RdbType::SetIntset => self.intset(value, faults),
            Kind::Set => self.set(value, scratch, faults),
            Kind::Zset => self.zset(value, scratch, faults),
            Kind::Hash => self.hash(value, scratch, faults),
            Kind::Stream => self.stream.check(value, scratch, faults),
            Kind::Array => array(value, scratch, faults),
            Kind::VectorSet => {
                value.verify(scratch)?;
                self.links.check(value, faults)
            }
            Kind::String | Kind::Module | Kind::Json | Kind::Foreign => value.verify(scratch),
        }
    }

    /// A list, node by node: an empty node crashes servers or is skipped by them.
    fn list(&mut self, value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
        let mut cur = Cursor::new(value.bytes);
        let (nodes, has_containers, is_packed) = match value.rdb_type {
            RdbType::ListZiplist => (1, false, true),
            RdbType::ListQuicklist => (cur.length()?, false, true),
            RdbType::ListQuicklist2 => (cur.length()?, true, true),
            _ => (0, false, false),
        };
        let mut items = 0_u64;
        if !is_packed {
            value.each_dyn(scratch, &mut |_| Ok(items += 1))?;
            faults.is_empty = items == 0;
            return Ok(());
        }
        for node in 0..nodes {
            let container = if has_containers { cur.length()? } else { 2 };
            let blob = Str::take(&mut cur, &mut self.blob)?;
            let found = match container {
                1 if blob.is_empty() => {
                    faults.add(format!("list: node {node} is a plain one without a byte"));
                    1
                }
                1 => 1,
                2 => packed(value.rdb_type, blob)?.count()?,
                n => return Err(Error::malformed(format!("list: unknown node container {n}"))),
            };
            if found == 0 && nodes > 1 {
                faults.add(format!("list: node {node} is empty"));
            }
            items += found;
        }
        faults.is_empty = items == 0;
        cur.finish("value")
    }

    fn intset(&mut self, value: Value<'_>, faults: &mut Faults) -> Result<()> {
        let mut cur = Cursor::new(value.bytes);
        let set = Intset::new(Str::take(&mut cur, &mut self.blob)?)?;
        if set.count() == 0 {
            faults.add("intset: it is empty");
        }
        let mut previous = None;
        for member in set.members() {
            if previous.is_some_and(|previous| member <= previous) {
                faults.add(format!("intset: {member} stands behind {}", previous.unwrap_or_default()));
                break;
            }
            previous = Some(member);
        }
        cur.finish("value")
    }

    fn set(&mut self, value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
        let names = &mut self.names;
        names.clear();
        value.each(scratch, |element| {
            if let Some(name) = name_of(&element) {
                names.push(fingerprint(name));
            }
            Ok(())
        })?;
        self.distinct("set: the member", value, scratch, faults)
    }

    fn zset(&mut self, value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
        let is_packed = matches!(value.rdb_type, RdbType::ZsetZiplist | RdbType::ZsetListpack);
        let Deep { names, previous, .. } = self;
        names.clear();
        let (mut last, mut is_number, mut is_sorted) = (f64::NEG_INFINITY, true, true);
        value.each(scratch, |element| {
            let Element::Scored { member, score } = element else { return Ok(()) };
            if score.is_nan() && std::mem::replace(&mut is_number, false) {
                faults.add(format!("sorted set: the score of {} is not a number", text::quoted_short(member)));
            }
            if is_packed {
                let is_behind = last < score || last == score && (names.is_empty() || previous.as_slice() < member);
                if is_number && !is_behind && std::mem::replace(&mut is_sorted, false) && previous.as_slice() != member
                {
                    faults.add(format!("sorted set: {} is not in its place by score", text::quoted_short(member)));
                }
                previous.clear();
                previous.extend_from_slice(member);
                last = score;
            }
            names.push(fingerprint(member));
            Ok(())
        })?;
        self.distinct("sorted set: the member", value, scratch, faults)
    }

    fn hash(&mut self, value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
        let mut expiries = FieldExpiries::new(value);
        let names = &mut self.names;
        names.clear();
        value.each(scratch, |element| {
            if let Element::Field { name, expiry, .. } = element {
                names.push(fingerprint(name));
                expiries.note(name, expiry, faults);
            }
            Ok(())
        })?;
        expiries.end(faults);
        self.distinct("hash: the field", value, scratch, faults)
    }

    /// No name may stand twice, and there must be one. Called when `names` has them all.
    fn distinct(&mut self, what: &str, value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
        faults.is_empty = self.names.is_empty();
        if !repeats(&mut self.names) {
            return Ok(());
        }
        // Most likely; only the names themselves are proof.
        let (mut seen, mut told) = (HashSet::new(), HashSet::new());
        value.each(scratch, |element| {
            if let Some(name) = name_of(&element)
                && !seen.insert(name.to_vec())
                && told.insert(name.to_vec())
            {
                faults.add(format!("{what} {} stands twice", text::quoted_short(name)));
            }
            Ok(())
        })
    }

    /// Everything that is wrong with a record that is no key.
    pub fn other(&mut self, record: &Record<'_>, origin: &Origin, faults: &mut Faults) {
        match *record {
            Record::Aux { name: b"slot-info", value } => {
                let numbers = value.split(|b| *b == b',').map_while(canonical_integer).count();
                if numbers < 3 {
                    faults.add(format!("aux field slot-info: {} are not three numbers", text::quoted_short(value)));
                }
            }
            Record::Function(source) => function(source, faults),
            Record::ModuleAux { when, .. } if !matches!(when, 1 | 2) => {
                faults.add(format!("module aux: it is for moment {when}, and there are 1 and 2"));
            }
            Record::SlotInfo { slot, .. } if slot >= u64::from(SLOTS) => {
                faults.add(format!("slot info: there is no slot {slot}"));
            }
            Record::SlotImport { job, ranges } => {
                if job.len() != 40 {
                    faults.add(format!("slot import: the name of the job has {} bytes instead of 40", job.len()));
                }
                let checked = ranges.each(|first, last| match first <= last && last < u64::from(SLOTS) {
                    true => Ok(()),
                    false => Err(Error::malformed(format!("slot import: {first} to {last} are no slots"))),
                });
                faults.take(checked);
            }
            Record::Template { id, .. } => {
                let fields = origin.templates.get(&id).map(|t| t.fields.as_slice()).unwrap_or_default();
                if !fields.windows(2).all(|w| (w[0].len(), &w[0]) < (w[1].len(), &w[1])) {
                    faults.add(format!("hash template {id}: its fields are not in order"));
                }
            }
            _ => {}
        }
    }
}

/// What of an element must be there only once.
fn name_of<'a>(element: &Element<'a>) -> Option<&'a [u8]> {
    match *element {
        Element::Item(name) | Element::Expiring { member: name, .. } => Some(name),
        Element::Scored { member: name, .. } | Element::Field { name, .. } => Some(name),
        _ => None,
    }
}

fn packed(rdb_type: RdbType, blob: &[u8]) -> Result<Packed<'_>> {
    Ok(match rdb_type {
        RdbType::ListQuicklist2 => Packed::Listpack(Listpack::new(blob)?),
        _ => Packed::Ziplist(Ziplist::new(blob)?),
    })
}

/// Slots stand in ascending order, and there is one at least.
fn array(value: Value<'_>, scratch: &mut Scratch, faults: &mut Faults) -> Result<()> {
    let (mut previous, mut is_sorted) = (None, true);
    value.each_dyn(scratch, &mut |element| {
        if let Element::Slot { index, .. } = element {
            if previous.is_some_and(|previous| index <= previous) && std::mem::replace(&mut is_sorted, false) {
                faults.add(format!("array: slot {index} is not in its place"));
            }
            if index == u64::MAX {
                faults.add("array: an index beyond the last one");
            }
            previous = Some(index);
        }
        Ok(())
    })?;
    faults.is_empty = previous.is_none();
    Ok(())
}

/// A library must be text and begin with the line that names its engine and itself.
fn function(source: &[u8], faults: &mut Faults) {
    if let Err(e) = std::str::from_utf8(source) {
        faults.add(format!("function library: byte {} of its source is not UTF-8", e.valid_up_to()));
    }
    match library_head(source) {
        Some((engine, name)) if !engine.is_empty() && !name.is_empty() => {
            if !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                faults.add(format!("function library: {} is no name for a library", text::quoted_short(name)));
            }
        }
        _ => faults.add("function library: it does not begin with '#!engine name=…'"),
    }
}

/// The rules of hash fields' own expiries.
struct FieldExpiries {
    rdb_type: RdbType,
    /// The smallest one, as the value's head says.
    declared: Option<i64>,
    smallest: Option<i64>,
    previous: i64,
    told: bool,
}

impl FieldExpiries {
    fn new(value: Value<'_>) -> FieldExpiries {
        let has_declared = matches!(value.rdb_type, RdbType::HashMetadata | RdbType::HashListpackEx);
        let declared = if has_declared { Cursor::new(value.bytes).i64_le().ok() } else { None };
        FieldExpiries { rdb_type: value.rdb_type, declared, smallest: None, previous: 0, told: false }
    }

    #[inline]
    fn note(&mut self, name: &[u8], expiry: Option<i64>, faults: &mut Faults) {
        if self.rdb_type.has_expiries() {
            self.note_expiry(name, expiry, faults);
        }
    }

    fn note_expiry(&mut self, name: &[u8], expiry: Option<i64>, faults: &mut Faults) {
        let is_packed = matches!(self.rdb_type, RdbType::HashListpackEx | RdbType::HashListpackExPreGa);
        let name = || text::quoted_short(name);
        let fault = match expiry {
            Some(at @ ..0) => Some(format!("hash: the field {} goes at {at}, which is no time", name())),
            Some(at) if at > LAST_FIELD_EXPIRY && self.rdb_type != RdbType::ValkeyHash => {
                Some(format!("hash: the field {} goes at {at}, beyond the last time there is", name()))
            }
            at if is_packed => {
                let at = at.unwrap_or(i64::MAX);
                let fault =
                    (at < self.previous).then(|| format!("hash: the field {} goes before the one in front", name()));
                self.previous = at;
                fault
            }
            _ => None,
        };
        self.smallest = match (self.smallest, expiry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let Some(fault) = fault
            && !std::mem::replace(&mut self.told, true)
        {
            faults.add(fault);
        }
    }

    /// What the head says may be too low, as fields go without it being told, but never too high.
    fn end(&self, faults: &mut Faults) {
        let Some(declared) = self.declared else { return };
        match self.smallest {
            _ if !(0..=LAST_FIELD_EXPIRY).contains(&declared) => {
                faults.add(format!("hash: it says that its first field goes at {declared}, which is no time"));
            }
            Some(smallest) if declared > smallest => {
                faults
                    .add(format!("hash: it says that its first field goes at {declared}, but one goes at {smallest}"));
            }
            _ => {}
        }
    }
}

/// What the header and the aux fields contradict each other about.
pub fn header(origin: &Origin) -> Option<Error> {
    const FIRST_OF_VALKEY: u32 = 80;
    let Origin { magic, version, .. } = origin;
    let of_magic = match magic {
        Magic::Redis => *version < FIRST_OF_VALKEY,
        Magic::Valkey => *version >= FIRST_OF_VALKEY,
    };
    if !of_magic {
        let magic = magic.name();
        return Some(Error::malformed(format!("header: no server writes RDB version {version} after {magic}")).at(0));
    }
    let newest = newest_version_of(origin).filter(|newest| version > newest)?;
    let server = origin.server_name().unwrap_or_default();
    Some(Error::malformed(format!("header: it says RDB version {version}, but {server} writes up to {newest}")).at(0))
}
