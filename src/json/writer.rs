//! Records to JSON lines, and the frame around the lines.

use super::stream::StreamWriter;
use super::string::{try_string, write_base64, write_string};
use crate::codec::{Cursor, crc64, double, vectorset};
use crate::error::Result;
use crate::model::{Batch, Buffers, Element, Entry, Eviction, Kind, Origin, RdbType, Record, Scratch, Shape, Value};
use crate::model::conventional;

/// Which of the two forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One object.
    Json,
    /// A line an object.
    Ndjson,
}

impl Form {
    fn line_end(self) -> &'static [u8] {
        match self {
            Form::Json => b",\n",
            Form::Ndjson => b"\n",
        }
    }
}

/// Turns records into lines. Every worker has its own.
#[derive(Clone)]
pub struct Writer {
    form: Form,
    /// Hashes of the field names of the hash that is being written, to find repeated ones.
    names: Vec<u64>,
    /// `fieldExpireAt`, as it grows beside the hash.
    expiries: Vec<u8>,
}

impl Writer {
    /// A writer for this form.
    pub fn new(form: Form) -> Writer {
        Writer { form, names: Vec::new(), expiries: Vec::new() }
    }

    /// Appends the line of a key. On an error nothing is left of it.
    pub fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let written = self.object(entry, scratch, out);
        match written {
            Ok(()) => out.extend_from_slice(self.form.line_end()),
            Err(_) => out.truncate(start),
        }
        written
    }

    /// Appends the line of a record that is no key, if it says something that the keys don't.
    pub fn other(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        write_other(record, out)?;
        if out.len() > start {
            out.extend_from_slice(self.form.line_end());
        }
        Ok(())
    }

    /// Appends the object of a key, without a line end.
    pub fn object(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"db\":");
        integer(entry.db, out);
        out.extend_from_slice(b",\"key\":");
        write_string(entry.key, out);
        let kind = entry.value.kind();
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(kind.name().as_bytes());
        out.push(b'"');
        if let Some(at) = entry.expiry {
            member("expireAt", out, |out| integer(at, out));
        }
        match entry.eviction {
            Eviction::Idle(seconds) => member("idle", out, |out| integer(seconds, out)),
            Eviction::Freq(count) => member("freq", out, |out| integer(count, out)),
            Eviction::None => {}
        }
        self.value(entry.value, kind, scratch, out)?;
        write_meta(entry, out)?;
        write_fork_attributes(entry, out)?;
        out.push(b'}');
        Ok(())
    }

    fn value(&mut self, value: Value<'_>, kind: Kind, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        if matches!(kind, Kind::Module | Kind::Foreign) {
            return write_opaque(value, scratch, out);
        }
        out.extend_from_slice(b",\"value\":");
        let shape = match kind {
            Kind::String | Kind::Json => {
                value.each(scratch, |element| {
                    if let Element::Item(text) = element {
                        write_string(text, out);
                    }
                    Ok(())
                })?;
                return Ok(());
            }
            Kind::List => write_items(value, scratch, out, |_, _| {})?,
            Kind::Set => self.set(value, scratch, out)?,
            Kind::Zset => write_zset(value, scratch, out)?,
            Kind::Hash => self.hash(value, scratch, out)?,
            Kind::Stream => {
                let mut writer = StreamWriter::begin(out);
                value.each(scratch, |element| {
                    if let Element::Stream(part) = element {
                        writer.part(part, out);
                    }
                    Ok(())
                })?;
                writer.end(out);
                return Ok(());
            }
            Kind::Array => return write_array(value, scratch, out),
            Kind::VectorSet => return write_vectorset(value, scratch, out),
            Kind::Module | Kind::Foreign => unreachable!("opaque values were written above"),
        };
        write_encoding(value, kind, shape, out);
        Ok(())
    }

    fn set(&mut self, value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Shape> {
        self.expiries.clear();
        let expiries = &mut self.expiries;
        let shape = write_items(value, scratch, out, |member, expiry| {
            if let Some(at) = expiry {
                comma(expiries);
                expiries.push(b'[');
                write_string(member, expiries);
                expiries.push(b',');
                integer(at, expiries);
                expiries.push(b']');
            }
        })?;
        if !self.expiries.is_empty() {
            member("memberExpireAt", out, |out| {
                out.push(b'[');
                out.extend_from_slice(&self.expiries);
                out.push(b']');
            });
        }
        Ok(shape)
    }

    fn hash(&mut self, value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Shape> {
        let start = out.len();
        match self.fields(value, scratch, out, true)? {
            Some(shape) => Ok(shape),
            // A name is no UTF-8, or stands twice: an object can't say that, pairs can.
            None => {
                out.truncate(start);
                Ok(self.fields(value, scratch, out, false)?.unwrap_or_default())
            }
        }
    }

    /// Writes a hash as an object, or as pairs. `None` if it can't be an object.
    fn fields(
        &mut self,
        value: Value<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
        as_object: bool,
    ) -> Result<Option<Shape>> {
        let (open, close) = if as_object { (b'{', b'}') } else { (b'[', b']') };
        let Writer { names, expiries, .. } = self;
        names.clear();
        expiries.clear();
        let mut shape = Shape::default();
        let mut all_text = true;
        out.push(open);
        value.each(scratch, |element| {
            let Element::Field { name, value, expiry } = element else { return Ok(()) };
            shape.count += 1;
            shape.longest = shape.longest.max(name.len()).max(value.len());
            if shape.count > 1 {
                out.push(b',');
            }
            if as_object {
                names.push(foldhash::quality::FixedState::default().hash_one_bytes(name));
                all_text &= try_string(name, out);
                out.push(b':');
                write_string(value, out);
            } else {
                out.push(b'[');
                write_string(name, out);
                out.push(b',');
                write_string(value, out);
                out.push(b']');
            }
            if let Some(at) = expiry {
                shape.expiring = true;
                write_expiry(name, at, as_object, expiries);
            }
            Ok(())
        })?;
        out.push(close);
        if as_object && (!all_text || repeats(names)) {
            return Ok(None);
        }
        if shape.expiring {
            member("fieldExpireAt", out, |out| {
                out.push(open);
                out.extend_from_slice(expiries);
                out.push(close);
            });
        }
        Ok(Some(shape))
    }
}

/// Hashing of byte strings in one call.
trait HashBytes {
    fn hash_one_bytes(&self, bytes: &[u8]) -> u64;
}

impl<S: std::hash::BuildHasher> HashBytes for S {
    #[inline]
    fn hash_one_bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.build_hasher();
        std::hash::Hasher::write(&mut hasher, bytes);
        std::hash::Hasher::finish(&hasher)
    }
}

/// Whether a number stands twice. A false yes, if two names hash alike, costs nothing but the shape of one hash.
fn repeats(hashes: &mut [u64]) -> bool {
    if hashes.len() <= 24 {
        return hashes.iter().enumerate().any(|(i, a)| hashes[..i].iter().fold(false, |found, b| found | (a == b)));
    }
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}

fn write_expiry(name: &[u8], at: i64, as_object: bool, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
    if !as_object {
        out.push(b'[');
    }
    write_string(name, out);
    out.push(if as_object { b':' } else { b',' });
    integer(at, out);
    if !as_object {
        out.push(b']');
    }
}

/// Writes a list or set; `note` sees every item.
fn write_items(
    value: Value<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
    mut note: impl FnMut(&[u8], Option<i64>),
) -> Result<Shape> {
    let mut shape = Shape { all_integers: true, ..Shape::default() };
    // Members of an intset are integers; asking costs time.
    let ask = value.rdb_type != RdbType::SetIntset;
    out.push(b'[');
    value.each(scratch, |element| {
        let (item, expiry) = match element {
            Element::Item(item) => (item, None),
            Element::Expiring { member, expiry } => (member, expiry),
            _ => return Ok(()),
        };
        if shape.count > 0 {
            out.push(b',');
        }
        shape.count += 1;
        shape.longest = shape.longest.max(item.len());
        if ask && shape.all_integers {
            shape.all_integers = crate::codec::string::canonical_integer(item).is_some();
        }
        write_string(item, out);
        note(item, expiry);
        Ok(())
    })?;
    out.push(b']');
    Ok(shape)
}

fn write_zset(value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Shape> {
    let mut shape = Shape::default();
    out.push(b'[');
    value.each(scratch, |element| {
        let Element::Scored { member, score } = element else { return Ok(()) };
        if shape.count > 0 {
            out.push(b',');
        }
        shape.count += 1;
        shape.longest = shape.longest.max(member.len());
        out.push(b'[');
        write_string(member, out);
        out.push(b',');
        number(score, out);
        out.push(b']');
        Ok(())
    })?;
    out.push(b']');
    Ok(shape)
}

fn write_array(value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    let mut insert_index = None;
    out.push(b'[');
    value.each(scratch, |element| {
        match element {
            Element::ArrayHead(head) => insert_index = head.insert_index,
            Element::Slot { index, item } => {
                comma(out);
                out.push(b'[');
                write_index(index, out);
                out.push(b',');
                write_string(item, out);
                out.push(b']');
            }
            _ => {}
        }
        Ok(())
    })?;
    out.push(b']');
    if let Some(index) = insert_index {
        member("insertIndex", out, |out| write_index(index, out));
    }
    Ok(())
}

/// An index of an array; beyond 2^63 it is a string, as in the server's own answers.
fn write_index(index: u64, out: &mut Vec<u8>) {
    match i64::try_from(index) {
        Ok(index) => integer(index, out),
        Err(_) => write_string(itoa::Buffer::new().format(index).as_bytes(), out),
    }
}

fn write_vectorset(value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    value.each(scratch, |element| {
        match element {
            Element::VectorHead(head) => {
                out.extend_from_slice(b"{\"dim\":");
                integer(head.dim, out);
                out.extend_from_slice(b",\"quantization\":\"");
                out.extend_from_slice(head.quantization.name().as_bytes());
                out.push(b'"');
                member("m", out, |out| integer(head.m, out));
                if let Some(dim) = head.input_dim {
                    member("inputDim", out, |out| integer(dim, out));
                }
                member("elements", out, |out| out.push(b'['));
            }
            Element::Vector(vectorset::Element { name, attributes, vector }) => {
                comma(out);
                out.extend_from_slice(b"{\"element\":");
                write_string(name, out);
                member("vector", out, |out| {
                    out.push(b'[');
                    for &component in vector {
                        comma(out);
                        float(component, out);
                    }
                    out.push(b']');
                });
                member("attributes", out, |out| match attributes {
                    Some(attributes) => write_string(attributes, out),
                    None => out.extend_from_slice(b"null"),
                });
                out.push(b'}');
            }
            _ => {}
        }
        Ok(())
    })?;
    out.extend_from_slice(b"]}");
    write_module_bytes(value, out)
}

/// Module values and those of forks: who understands them, and the bytes.
fn write_opaque(value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    // Walked to its last byte, so that a damaged value is no backup.
    value.each(scratch, |_| Ok(()))?;
    let Some(id) = value.module() else {
        member("layout", out, |out| write_string(value.encoding().as_bytes(), out));
        member("rdbType", out, |out| integer(value.rdb_type.code(), out));
        return raw(value.bytes, out);
    };
    member("module", out, |out| write_string(id.name().as_bytes(), out));
    if value.rdb_type == RdbType::ModulePreGa {
        member("preGa", out, |out| out.extend_from_slice(b"true"));
    }
    write_module_bytes(value, out)?;
    if id.is_json() {
        write_redisjson(value, scratch, out)?;
    }
    Ok(())
}

fn write_module_bytes(value: Value<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut cur = Cursor::new(value.bytes);
    let id = crate::codec::module::ModuleId(cur.length()?);
    member("encver", out, |out| integer(id.version(), out));
    raw(cur.rest(), out)
}

/// RedisJSON of encoding versions 2 and 3 keeps the document as text: shown readably beside the bytes that count.
fn write_redisjson(value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    let version = value.module().map_or(0, |id| id.version());
    let mut document = Vec::new();
    value.each(scratch, |element| {
        let Element::Opaque(items) = element else { return Ok(()) };
        if let (2 | 3, Ok(crate::codec::module::Tagged::String(text))) =
            (version, crate::codec::module::Tagged::read(&mut Cursor::new(items)))
        {
            document.extend_from_slice(text.decode(&mut Vec::new())?);
        }
        Ok(())
    })?;
    if serde_json::from_slice::<&serde_json::value::RawValue>(&document).is_ok() && !document.contains(&b'\n') {
        member("value", out, |out| out.extend_from_slice(&document));
    }
    Ok(())
}

fn raw(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    member("raw", out, |out| {
        out.push(b'"');
        write_base64(bytes, out);
        out.push(b'"');
    });
    Ok(())
}

/// The encoding, where the server would not have chosen it by itself.
fn write_encoding(value: Value<'_>, kind: Kind, shape: Shape, out: &mut Vec<u8>) {
    let encoding = value.encoding();
    let alike = |name| if name == "listpack" && kind == Kind::List { "quicklist" } else { name };
    if conventional(kind, shape, value.origin).is_some_and(|usual| usual != alike(encoding)) {
        member("encoding", out, |out| write_string(encoding.as_bytes(), out));
    }
}

fn write_meta(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    if entry.meta.is_empty() {
        return Ok(());
    }
    member("meta", out, |out| out.push(b'['));
    entry.each_meta(|meta| {
        comma(out);
        out.extend_from_slice(b"{\"class\":");
        write_string(meta.name().as_bytes(), out);
        member("version", out, |out| integer(meta.version(), out));
        member("flags", out, |out| integer(meta.flags(), out));
        raw(meta.data, out)?;
        out.push(b'}');
        Ok(())
    })?;
    out.push(b']');
    Ok(())
}

/// What only forks say of a key: Dragonfly's flags, KeyDB's member expiries.
fn write_fork_attributes(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    if let Some((flags, memcached)) = entry.mask {
        member("keyMask", out, |out| integer(flags, out));
        member("memcachedFlags", out, |out| integer(memcached, out));
    }
    if entry.member_expiries.is_empty() {
        return Ok(());
    }
    member("subExpireAt", out, |out| out.push(b'['));
    entry.each_member_expiry(|member, when| {
        comma(out);
        out.push(b'[');
        write_string(member, out);
        out.push(b',');
        write_string(when, out);
        out.push(b']');
        Ok(())
    })?;
    out.push(b']');
    Ok(())
}

/// Records that are no keys, where they say something that the keys don't.
fn write_other(record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
    match *record {
        Record::Aux { name, value } => {
            out.extend_from_slice(b"{\"aux\":[");
            write_string(name, out);
            out.push(b',');
            write_string(value, out);
            out.extend_from_slice(b"]}");
        }
        Record::Function(_) | Record::FunctionPreGa { .. } => {
            out.extend_from_slice(b"{\"function\":");
            write_function(record, out);
            out.push(b'}');
        }
        Record::ModuleAux { id, when, data } => {
            out.extend_from_slice(b"{\"moduleAux\":{\"module\":");
            write_string(id.name().as_bytes(), out);
            member("encver", out, |out| integer(id.version(), out));
            member("when", out, |out| integer(when, out));
            raw(data, out)?;
            out.extend_from_slice(b"}}");
        }
        Record::SlotInfo { slot, keys, expires } => {
            out.extend_from_slice(b"{\"slotInfo\":[");
            for (i, n) in [slot, keys, expires].into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                integer(n, out);
            }
            out.extend_from_slice(b"]}");
        }
        Record::SlotImport { job, ranges } => {
            out.extend_from_slice(b"{\"slotImport\":{\"job\":");
            write_string(job, out);
            member("ranges", out, |out| out.push(b'['));
            ranges.each(|first, last| {
                comma(out);
                out.push(b'[');
                integer(first, out);
                out.push(b',');
                integer(last, out);
                out.push(b']');
                Ok(())
            })?;
            out.extend_from_slice(b"]}}");
        }
        // Databases stand with the keys, sizes are hints that a writer finds out itself, templates stand in the hashes.
        Record::SelectDb(_) | Record::ResizeDb { .. } | Record::Template { .. } | Record::Entry(_) => {}
    }
    Ok(())
}

fn write_function(record: &Record<'_>, out: &mut Vec<u8>) {
    match *record {
        Record::FunctionPreGa { name, engine, description, code } => {
            out.extend_from_slice(b"{\"name\":");
            write_string(name, out);
            member("engine", out, |out| write_string(engine, out));
            if let Some(description) = description {
                member("description", out, |out| write_string(description, out));
            }
            member("code", out, |out| write_string(code, out));
            out.push(b'}');
        }
        Record::Function(code) => write_string(code, out),
        _ => {}
    }
}

/// The frame around the lines: header, trailer, checksum.
pub struct Frame {
    form: Form,
    crc: crc64::Xz,
    keys: u64,
    /// Whether a line was written, so that the next one must be separated from it.
    any: bool,
}

impl Frame {
    /// Begins a document: the header, from the records in front of the first key.
    pub fn begin(form: Form, origin: &Origin, head: Option<&Batch>, out: &mut Vec<u8>) -> Result<Frame> {
        let mut frame = Frame { form, crc: crc64::Xz::default(), keys: 0, any: false };
        let start = out.len();
        out.extend_from_slice(b"{\"rdbkit\":1,\"rdb\":{\"magic\":\"");
        out.extend_from_slice(origin.magic.name().as_bytes());
        out.push(b'"');
        member("version", out, |out| integer(origin.version, out));
        out.push(b'}');
        let mut header = Header::default();
        if let Some(head) = head {
            head.each(&mut Buffers::default(), |record, _| header.take(&record))?;
        }
        header.write(form, out);
        frame.crc.update(&out[start..]);
        Ok(frame)
    }

    /// Takes a worker's lines, `keys` of them keys: what to put out before them, and how much of them.
    pub fn lines<'l>(&mut self, lines: &'l [u8], keys: u64) -> [&'l [u8]; 2] {
        let end = self.form.line_end();
        let Some(body) = lines.strip_suffix(end) else { return [b"", b""] };
        // In an array the separator goes between lines and not behind the last.
        let before = if self.any { end } else { b"" };
        self.any = true;
        self.keys += keys;
        self.crc.update(before);
        self.crc.update(body);
        [before, body]
    }

    /// Ends the document: the number of keys and the CRC-64/XZ of all bytes before its digits.
    pub fn end(mut self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.any {
            out.push(b'\n');
        }
        out.extend_from_slice(if self.form == Form::Json { b"],\n" } else { b"{" });
        out.extend_from_slice(b"\"end\":{\"keys\":");
        integer(self.keys, out);
        out.extend_from_slice(b",\"crc64\":\"");
        self.crc.update(&out[start..]);
        out.extend_from_slice(format!("{:016x}\"}}}}\n", self.crc.value()).as_bytes());
    }
}

/// What goes into the first lines.
#[derive(Default)]
struct Header {
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    functions: Vec<u8>,
    others: Vec<u8>,
}

impl Header {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        match *record {
            Record::Aux { name, value } => self.aux.push((name.to_vec(), value.to_vec())),
            Record::Function(_) | Record::FunctionPreGa { .. } => {
                comma_unless_empty(&mut self.functions);
                write_function(record, &mut self.functions);
            }
            Record::ModuleAux { .. } | Record::SlotImport { .. } | Record::SlotInfo { .. } => {
                comma_unless_empty(&mut self.others);
                write_other(record, &mut self.others)?;
            }
            Record::SelectDb(_) | Record::ResizeDb { .. } | Record::Template { .. } | Record::Entry(_) => {}
        }
        Ok(())
    }

    fn write(&self, form: Form, out: &mut Vec<u8>) {
        member("aux", out, |out| self.write_aux(out));
        let line = if form == Form::Json { "\n" } else { "" };
        if !self.functions.is_empty() || form == Form::Json {
            out.push(b',');
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\"functions\":[");
            out.extend_from_slice(&self.functions);
            out.push(b']');
        }
        if !self.others.is_empty() {
            out.push(b',');
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\"before\":[");
            out.extend_from_slice(&self.others);
            out.push(b']');
        }
        out.extend_from_slice(if form == Form::Json { b",\n\"keys\":[\n" } else { b"}\n" });
    }

    fn write_aux(&self, out: &mut Vec<u8>) {
        let is_text = |(name, _): &(Vec<u8>, _)| std::str::from_utf8(name).is_ok();
        let repeats = (1..self.aux.len()).any(|i| self.aux[..i].iter().any(|(name, _)| *name == self.aux[i].0));
        let as_object = self.aux.iter().all(is_text) && !repeats;
        out.push(if as_object { b'{' } else { b'[' });
        for (i, (name, value)) in self.aux.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if !as_object {
                out.push(b'[');
            }
            write_string(name, out);
            out.push(if as_object { b':' } else { b',' });
            write_string(value, out);
            if !as_object {
                out.push(b']');
            }
        }
        out.push(if as_object { b'}' } else { b']' });
    }
}

/// Appends a comma, unless an array or object has just been opened.
#[inline]
pub(super) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'[' | b'{') | None) {
        out.push(b',');
    }
}

fn comma_unless_empty(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}

/// Appends a member of an object.
#[inline]
pub(super) fn member(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    value(out);
}

#[inline]
pub(super) fn integer(n: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// A score: a number, or one of the strings `inf`, `-inf`, `nan`. Minus zero keeps its sign as `-0.0`.
fn number(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        out.push(b'"');
        double::write(value, out);
        out.push(b'"');
    } else {
        double::write(value, out);
        if value == 0.0 && value.is_sign_negative() {
            out.extend_from_slice(b".0");
        }
    }
}

/// A component of a vector.
fn float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        number(f64::from(value), out);
    }
}
