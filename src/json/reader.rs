//! Entries of a JSON document, back to records.

use std::sync::Arc;

use super::parse::{Parser, Token};
use super::read_other::{Visit, read_other};
use super::read_stream::read_stream;
use super::source::{Batch, Layout};
use crate::codec::module::{self, ModuleId, class_spec};
use crate::codec::string::write_raw;
use crate::codec::{Cursor, array, length, opcode};
use crate::error::Result;
use crate::model::{Element, Entry, Eviction, Kind, Origin, RdbType, Record, Target, ValueBuf};

/// Reads entries. Every worker has its own.
pub struct EntryReader {
    target: Arc<Target>,
    /// Where a backup comes from: what the types of forks mean.
    origin: Option<Origin>,
    /// The database of entries that name none.
    db: u64,
    values: ValueBuf,
    key: Vec<u8>,
    a: Vec<u8>,
    b: Vec<u8>,
    meta: Vec<u8>,
    member_expiries: Vec<u8>,
}

/// The members of an entry that stand for themselves, and where the others stand.
#[derive(Default)]
struct Members<'a> {
    db: Option<u64>,
    has_key: bool,
    kind: Option<Kind>,
    expiry: Option<i64>,
    idle: Option<u64>,
    freq: Option<u8>,
    value: Option<Parser<'a>>,
    /// The value has been built already, as its type stood before it.
    is_built: bool,
    encoding: Option<Vec<u8>>,
    field_expiries: Option<Parser<'a>>,
    member_expiries: Option<Parser<'a>>,
    insert_index: Option<u64>,
    module: Option<Vec<u8>>,
    encver: Option<u32>,
    pre_ga: bool,
    raw: Option<Parser<'a>>,
    layout: Option<Parser<'a>>,
    rdb_type: Option<u8>,
    meta: Option<Parser<'a>>,
    key_mask: Option<u32>,
    memcached_flags: Option<u32>,
    sub_expiries: Option<Parser<'a>>,
    /// One bit for each name that stood already.
    seen: u32,
}

/// Every name that a member of an entry can have.
pub(super) const NAMES: [&[u8]; 21] = [
    b"db",
    b"key",
    b"type",
    b"value",
    b"expireAt",
    b"idle",
    b"freq",
    b"encoding",
    b"fieldExpireAt",
    b"memberExpireAt",
    b"insertIndex",
    b"module",
    b"encver",
    b"preGa",
    b"raw",
    b"layout",
    b"rdbType",
    b"meta",
    b"keyMask",
    b"memcachedFlags",
    b"subExpireAt",
];

impl Batch {
    /// Gives every record. Errors come with line and column, and with the key where there is one.
    pub fn each(&self, reader: &mut EntryReader, visit: Visit<'_>) -> Result<()> {
        self.entries.iter().try_for_each(|(start, end)| {
            let mut p = Parser::new(&self.bytes[*start..*end]);
            let read = match self.layout {
                Layout::Fixtures => reader.fixture(&mut p, visit),
                _ => reader.record(&mut p, visit),
            };
            read.and_then(|()| p.end()).map_err(|e| self.located(e, *start))
        })
    }
}

impl EntryReader {
    /// A reader whose values are built for `target`, and whose entries are in database `db` if they name none. `origin`
    /// is that of a backup.
    pub fn new(target: &Arc<Target>, compress: bool, origin: Option<&Origin>, db: u64) -> EntryReader {
        EntryReader {
            target: target.clone(),
            origin: origin.cloned(),
            db,
            values: ValueBuf::new(target, compress),
            key: Vec::new(),
            a: Vec::new(),
            b: Vec::new(),
            meta: Vec::new(),
            member_expiries: Vec::new(),
        }
    }

    /// Reads a member of a map of fixtures: a string or number is a string, an object a hash, an array a list.
    fn fixture(&mut self, p: &mut Parser<'_>, visit: Visit<'_>) -> Result<()> {
        self.key.clear();
        let (values, key, mut buf) = (&mut self.values, &mut self.key, std::mem::take(&mut self.a));
        let db = self.db;
        let read = p.member(|p, name| {
            key.extend_from_slice(name);
            read_fixture(p, values, &mut buf).map_err(|e| e.of_key(db, name))
        });
        self.a = buf;
        read?;
        let value = self.values.finish().map_err(|e| e.of_key(db, &self.key))?;
        visit(Record::Entry(Entry::plain(db, &self.key, value)))
    }

    /// Reads one line: an entry, or a record that is no key.
    fn record(&mut self, p: &mut Parser<'_>, visit: Visit<'_>) -> Result<()> {
        let start = *p;
        let mut members = Members::default();
        let mut other = false;
        p.object(|p, name, at| match members.seen {
            0 if !NAMES.contains(&name) => {
                other = true;
                read_other(p, name, at, visit)
            }
            _ => members.read(p, name, at, self),
        })?;
        if other {
            return Ok(());
        }
        if !members.has_key {
            return Err(start.wrong("entry: it has no key"));
        }
        let db = members.db.unwrap_or(self.db);
        let (key, mut meta) = (std::mem::take(&mut self.key), std::mem::take(&mut self.meta));
        let entry = self.entry(&members, db, &key, start, &mut meta, visit).map_err(|e| e.of_key(db, &key));
        (self.key, self.meta) = (key, meta);
        entry
    }

    fn entry(
        &mut self,
        members: &Members<'_>,
        db: u64,
        key: &[u8],
        start: Parser<'_>,
        meta: &mut Vec<u8>,
        visit: Visit<'_>,
    ) -> Result<()> {
        meta.clear();
        if let Some(mut p) = members.meta {
            read_meta(&mut p, meta)?;
        }
        let mut expiries = std::mem::take(&mut self.member_expiries);
        expiries.clear();
        if let Some(mut p) = members.sub_expiries {
            read_sub_expiries(&mut p, &mut expiries)?;
        }
        let place = members.value.or(members.raw).unwrap_or(start);
        self.value(members, start)?;
        if let Some(encoding) = &members.encoding {
            self.values.prefer(&String::from_utf8_lossy(encoding));
        }
        let value = self.values.finish().map_err(|e| e.placed(place.pos() as u64))?;
        let is_own = self.target.server.is_none() && self.origin.is_some();
        if is_own && members.raw.is_none() && !self.target.accepts(value) {
            let why = format!("entry: {} has no place for such a value; name a newer --target", self.target);
            return Err(place.wrong(why));
        }
        let eviction = match (members.idle, members.freq) {
            (Some(_), Some(_)) => return Err(start.wrong("entry: idle and freq exclude each other")),
            (Some(seconds), None) => Eviction::Idle(seconds),
            (None, Some(count)) => Eviction::Freq(count),
            (None, None) => Eviction::None,
        };
        let mask = members.key_mask.map(|flags| (flags, members.memcached_flags.unwrap_or(0)));
        let entry = Entry {
            expiry: members.expiry,
            eviction,
            meta,
            mask,
            member_expiries: &expiries,
            ..Entry::plain(db, key, value)
        };
        let visited = visit(Record::Entry(entry));
        self.member_expiries = expiries;
        visited
    }

    /// Puts the value together, unless that is done.
    fn value(&mut self, members: &Members<'_>, start: Parser<'_>) -> Result<()> {
        if members.is_built {
            return Ok(());
        }
        match (members.kind, members.value) {
            (Some(kind), _) if is_opaque(kind) => {
                self.values.begin(kind);
                self.opaque(kind, members, start)
            }
            (Some(kind), Some(mut p)) => self.build(kind, &mut p, members),
            (None, Some(mut p)) => read_fixture(&mut p, &mut self.values, &mut self.a),
            (_, None) => Err(start.wrong("entry: it has no value")),
        }
    }

    /// Puts a value of a known type together, which stands here.
    fn build(&mut self, kind: Kind, p: &mut Parser<'_>, members: &Members<'_>) -> Result<()> {
        self.values.begin(kind);
        let (token, wanted) = (p.peek()?, wanted(kind));
        let as_bytes = token == Token::Object && p.is_base64_object() && wanted.contains(&Token::String);
        if !(wanted.contains(&token) || as_bytes) {
            let (kind, wanted) = (kind.name(), wanted[0].name());
            return Err(p.wrong(format!("value: a {kind} is {wanted} here, not {}", token.name())));
        }
        match kind {
            Kind::String | Kind::Json => {
                let text = p.bytes("value", &mut self.a)?;
                self.values.push(Element::Item(text))
            }
            Kind::List => p.array(|p| self.values.push(Element::Item(p.bytes("item", &mut self.a)?))),
            Kind::Set => self.set(p, members),
            Kind::Zset => p.array(|p| {
                let (mut member, mut score): (&[u8], f64) = (b"", 0.0);
                p.pair(|p| Ok(member = p.bytes("member", &mut self.a)?), |p| Ok(score = read_score(p)?))?;
                self.values.push(Element::Scored { member, score })
            }),
            Kind::Hash => self.hash(p, members),
            Kind::Stream => read_stream(p, &mut self.values),
            Kind::Array => self.array(p, members),
            Kind::VectorSet | Kind::Module | Kind::Foreign => Ok(()),
        }
    }

    fn set(&mut self, p: &mut Parser<'_>, members: &Members<'_>) -> Result<()> {
        let Some(mut expiries) = members.member_expiries else {
            return p.array(|p| self.values.push(Element::Item(p.bytes("member", &mut self.a)?)));
        };
        let start = expiries;
        let mut expiries = read_expiries(&mut expiries, &mut self.b)?;
        p.array(|p| {
            let member = p.bytes("member", &mut self.a)?;
            self.values.push(Element::Expiring { member, expiry: expiries.remove(member) })
        })?;
        if expiries.is_empty() { Ok(()) } else { Err(start.wrong("memberExpireAt: it names what is no member")) }
    }

    fn hash(&mut self, p: &mut Parser<'_>, members: &Members<'_>) -> Result<()> {
        let mut expiries = match members.field_expiries {
            Some(mut p) => read_expiries(&mut p, &mut self.b)?,
            None => Expiries::new(),
        };
        let has_expiries = !expiries.is_empty();
        let (values, a, b) = (&mut self.values, &mut self.a, &mut self.b);
        let mut field = |name: &[u8], value: &[u8]| {
            let expiry = if has_expiries { expiries.remove(name) } else { None };
            values.push(Element::Field { name, value, expiry })
        };
        if p.peek()? == Token::Array {
            p.array(|p| {
                let (mut name, mut value): (&[u8], &[u8]) = (b"", b"");
                p.pair(|p| Ok(name = p.bytes("field", a)?), |p| Ok(value = p.bytes("value of a field", b)?))?;
                field(name, value)
            })?;
        } else {
            p.object(|p, name, at| match p.peek()? {
                Token::String => field(name, p.text_string(a)?),
                _ => {
                    let what = format!("field {}", crate::text::quoted_short(name));
                    let value = p.bytes(&what, a).map_err(|e| e.at(at.pos() as u64))?;
                    field(name, value)
                }
            })?;
        }
        match members.field_expiries {
            Some(start) if !expiries.is_empty() => Err(start.wrong("fieldExpireAt: it names what is no field")),
            _ => Ok(()),
        }
    }

    fn array(&mut self, p: &mut Parser<'_>, members: &Members<'_>) -> Result<()> {
        // How many slots there are is counted while they are pushed.
        self.values.push(Element::ArrayHead(array::Head { count: 0, insert_index: members.insert_index }))?;
        p.array(|p| {
            let (mut index, mut item): (u64, &[u8]) = (0, b"");
            p.pair(|p| Ok(index = read_index(p)?), |p| Ok(item = p.bytes("item", &mut self.a)?))?;
            self.values.push(Element::Slot { index, item })
        })
    }

    /// A value that only its module or fork understands: its bytes.
    fn opaque(&mut self, kind: Kind, members: &Members<'_>, start: Parser<'_>) -> Result<()> {
        let Some(mut raw) = members.raw else {
            return Err(
                start.wrong(format!("a {} can only be restored from its raw bytes, which are not there", kind.name()))
            );
        };
        let place = raw;
        raw.base64(&mut self.a)?;
        if kind == Kind::Foreign {
            let rdb_type =
                members.rdb_type.zip(self.origin.as_ref()).and_then(|(code, origin)| RdbType::resolve(code, origin));
            let rdb_type = rdb_type.filter(|found| found.kind() == Kind::Foreign);
            let rdb_type =
                rdb_type.ok_or_else(|| start.wrong("rdbType: no type of the fork that wrote this backup"))?;
            self.values.raw(rdb_type, &self.a);
            return Ok(());
        }
        let name = members.module.as_deref().unwrap_or(if kind == Kind::VectorSet { b"vectorset" } else { b"" });
        let id = std::str::from_utf8(name).ok().and_then(|name| ModuleId::from_name(name, members.encver.unwrap_or(0)));
        let id = id
            .ok_or_else(|| start.wrong("module: a module type's name has nine characters, its encver is below 1024"))?;
        if !members.pre_ga {
            check_items(&self.a).map_err(|_| place.wrong("raw: these bytes are no module's data"))?;
        }
        self.b.clear();
        // Servers always write the long form.
        self.b.push(0x81);
        self.b.extend_from_slice(&id.0.to_be_bytes());
        self.b.extend_from_slice(&self.a);
        self.values.raw(if members.pre_ga { RdbType::ModulePreGa } else { RdbType::Module2 }, &self.b);
        Ok(())
    }
}

impl<'a> Members<'a> {
    /// Reads the value of a member, or notes where it stands.
    fn read(&mut self, p: &mut Parser<'a>, name: &[u8], at: Parser<'a>, reader: &mut EntryReader) -> Result<()> {
        let Some(i) = NAMES.iter().position(|known| *known == name) else {
            return Err(at.wrong(format!("entry: unknown member {}", crate::text::quoted_short(name))));
        };
        if self.seen & 1 << i != 0 {
            return Err(at.wrong(format!("entry: member {} stands twice", crate::text::quoted_short(name))));
        }
        self.seen |= 1 << i;
        match name {
            b"db" => self.db = Some(p.integer("db")?),
            b"key" => {
                let key = p.bytes("key", &mut reader.a)?;
                reader.key.clear();
                reader.key.extend_from_slice(key);
                self.has_key = true;
            }
            b"type" => {
                let start = *p;
                let name = p.bytes("type", &mut reader.a)?;
                let kind = Kind::ALL.into_iter().find(|kind| kind.name().as_bytes() == name);
                self.kind = Some(kind.ok_or_else(|| {
                    start.wrong(format!("type: there is no type {}", crate::text::quoted_short(name)))
                })?);
            }
            b"expireAt" => self.expiry = Some(p.integer("expireAt")?),
            b"idle" => self.idle = Some(p.integer("idle")?),
            b"freq" => self.freq = Some(p.integer("freq")?),
            b"encoding" => self.encoding = Some(p.bytes("encoding", &mut reader.a)?.to_vec()),
            b"insertIndex" => {
                self.insert_index = Some(read_index(p)?);
                self.is_built = false;
            }
            b"module" => self.module = Some(p.bytes("module", &mut reader.a)?.to_vec()),
            b"encver" => self.encver = Some(p.integer("encver")?),
            b"preGa" => {
                p.word(b"true")?;
                self.pre_ga = true;
            }
            b"rdbType" => self.rdb_type = Some(p.integer("rdbType")?),
            b"keyMask" => self.key_mask = Some(p.integer("keyMask")?),
            b"memcachedFlags" => self.memcached_flags = Some(p.integer("memcachedFlags")?),
            b"value" => self.read_value(p, reader)?,
            b"fieldExpireAt" => {
                self.field_expiries = Some(p.later()?);
                self.is_built = false;
            }
            b"memberExpireAt" => {
                self.member_expiries = Some(p.later()?);
                self.is_built = false;
            }
            b"raw" => self.raw = Some(p.later()?),
            b"layout" => self.layout = Some(p.later()?),
            b"meta" => self.meta = Some(p.later()?),
            _ => self.sub_expiries = Some(p.later()?),
        }
        Ok(())
    }

    /// Builds the value at once where its type is known: what may follow and change it is rare, and it is read again
    /// then. So it is if something is wrong with it, when all is known that the message is to say.
    fn read_value(&mut self, p: &mut Parser<'a>, reader: &mut EntryReader) -> Result<()> {
        p.peek()?;
        let mut behind = *p;
        self.is_built = match self.kind {
            Some(kind) if !is_opaque(kind) => reader.build(kind, &mut behind, self).is_ok(),
            _ => false,
        };
        self.value = Some(*p);
        if self.is_built {
            *p = behind;
            return Ok(());
        }
        p.skip().map(drop)
    }
}

/// Whether only the bytes of such a value can bring it back.
fn is_opaque(kind: Kind) -> bool {
    matches!(kind, Kind::VectorSet | Kind::Module | Kind::Foreign)
}

/// What the value of a kind is in JSON.
fn wanted(kind: Kind) -> &'static [Token] {
    match kind {
        Kind::String | Kind::Json => &[Token::String],
        Kind::Hash => &[Token::Object, Token::Array],
        Kind::Stream => &[Token::Object],
        _ => &[Token::Array],
    }
}

type Expiries = std::collections::HashMap<Vec<u8>, i64>;

/// Names and times: an object, or pairs.
fn read_expiries(p: &mut Parser<'_>, buf: &mut Vec<u8>) -> Result<Expiries> {
    let mut expiries = Expiries::new();
    if p.peek()? == Token::Array {
        p.array(|p| {
            let (mut name, mut at) = (Vec::new(), 0);
            p.pair(|p| Ok(name = p.bytes("name", buf)?.to_vec()), |p| Ok(at = p.integer("expiry")?))?;
            expiries.insert(name, at);
            Ok(())
        })?;
    } else {
        p.object(|p, name, _| {
            expiries.insert(name.to_vec(), p.integer("expiry")?);
            Ok(())
        })?;
    }
    Ok(expiries)
}

/// A value without a type: a string or number is a string, an object a hash, an array a list.
fn read_fixture(p: &mut Parser<'_>, values: &mut ValueBuf, buf: &mut Vec<u8>) -> Result<()> {
    match p.peek()? {
        Token::String | Token::Number => {
            values.begin(Kind::String);
            values.push(Element::Item(text_or_number(p, "value", buf)?))
        }
        Token::Object if p.is_base64_object() => {
            values.begin(Kind::String);
            values.push(Element::Item(p.bytes("value", buf)?))
        }
        Token::Object => {
            values.begin(Kind::Hash);
            p.object(|p, name, _| {
                let what = || format!("field {}", crate::text::quoted_short(name));
                let value = match p.peek()? {
                    Token::String => p.text_string(buf)?,
                    _ => text_or_number(p, &what(), buf)?,
                };
                values.push(Element::Field { name, value, expiry: None })
            })
        }
        Token::Array => {
            values.begin(Kind::List);
            let mut i = 0;
            p.array(|p| {
                i += 1;
                values.push(Element::Item(text_or_number(p, &format!("item {i}"), buf)?))
            })
        }
        Token::Bool | Token::Null => {
            Err(p.wrong("value: true, false and null are no values of a key; write them as strings"))
        }
    }
}

fn text_or_number<'b, 'a: 'b>(p: &mut Parser<'a>, what: &str, buf: &'b mut Vec<u8>) -> Result<&'b [u8]> {
    if p.peek()? == Token::Number { p.number() } else { p.bytes(what, buf) }
}

fn read_score(p: &mut Parser<'_>) -> Result<f64> {
    let token = p.peek()?;
    let start = *p;
    let mut buf = Vec::new();
    let text = if token == Token::String { p.text_string(&mut buf)? } else { p.number()? };
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    match number {
        Some(number) if number.is_finite() || matches!(text, b"inf" | b"-inf" | b"nan") => Ok(number),
        Some(_) => Err(start.wrong("score: the number is out of range")),
        None => Err(start.wrong("score: a number, \"inf\" or \"-inf\" must stand here")),
    }
}

/// An index of an array: a number, or beyond 2^63 a string.
fn read_index(p: &mut Parser<'_>) -> Result<u64> {
    if p.peek()? == Token::Number {
        return p.integer("index");
    }
    let start = *p;
    let mut buf = Vec::new();
    let text = p.text_string(&mut buf)?;
    let index = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    index.ok_or_else(|| start.wrong("index: a number from 0 to 18446744073709551614 must stand here"))
}

/// The metadata of a key: as in the file, a count and then the classes.
fn read_meta(p: &mut Parser<'_>, out: &mut Vec<u8>) -> Result<()> {
    let (mut classes, mut count) = (Vec::new(), 0);
    p.array(|p| {
        let start = *p;
        let (mut class, mut version, mut flags, mut raw) = (Vec::new(), 0, 0, Vec::new());
        p.object(|p, name, at| match name {
            b"class" => Ok(class = p.bytes("class", &mut Vec::new())?.to_vec()),
            b"version" => Ok(version = p.integer("version")?),
            b"flags" => Ok(flags = p.integer("flags")?),
            b"raw" => p.base64(&mut raw),
            _ => Err(at.wrong("meta: an unknown member")),
        })?;
        let spec = std::str::from_utf8(&class).ok().and_then(|class| class_spec(class, version, flags));
        let spec =
            spec.ok_or_else(|| start.wrong("meta: a class has four characters, a version below 32 and flags below 8"))?;
        check_items(&raw).map_err(|_| start.wrong("meta: its raw bytes are no module's data"))?;
        classes.extend_from_slice(&spec.to_le_bytes());
        classes.extend_from_slice(&raw);
        count += 1;
        Ok(())
    })?;
    length::write(count, out);
    out.extend_from_slice(&classes);
    Ok(())
}

/// KeyDB's expiries of members: as in the file, two aux fields each.
fn read_sub_expiries(p: &mut Parser<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut buf = Vec::new();
    p.array(|p| {
        for name in [b"keydb-subexpire-key".as_slice(), b"keydb-subexpire-when"] {
            out.push(opcode::AUX);
            write_raw(name, out);
            if name.ends_with(b"-key") {
                p.open(b'[')?;
                write_raw(p.bytes("member", &mut buf)?, out);
            } else {
                if !p.try_comma() {
                    return Err(p.wrong("subExpireAt: a pair of member and time must stand here"));
                }
                write_raw(p.bytes("time", &mut buf)?, out);
                p.close(b']')?;
            }
        }
        Ok(())
    })
}

/// Whether these are tagged items up to their end mark, and nothing more.
pub(super) fn check_items(data: &[u8]) -> Result<()> {
    let mut cur = Cursor::new(data);
    module::check(&mut cur, &mut Vec::new())?;
    cur.finish("module data")
}
