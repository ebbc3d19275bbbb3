//! Values as JSON: the member `value` and whatever stands beside it.

use super::stream::StreamWriter;
use super::syntax::{comma, float, integer, member, number, pair, raw, try_string, write_string};
use crate::codec::module::{ModuleId, Tagged};
use crate::codec::string::canonical_integer;
use crate::codec::{Cursor, listpack, vectorset};
use crate::error::Result;
use crate::model::{Element, Kind, Limits, RdbType, Scratch, Shape, Value, conventional, fingerprint, repeats};

/// Writes values. Every worker has its own.
#[derive(Clone, Default)]
pub(super) struct ValueWriter {
    /// Hashes of the field names of the hash that is being written, to find repeated ones.
    names: Vec<u64>,
    /// The expiries of fields or members, as they grow beside the value.
    expiries: Vec<u8>,
    /// A list as one node.
    node: listpack::Builder,
}

impl ValueWriter {
    /// Appends the members of an entry that its value gives rise to.
    pub(super) fn write(
        &mut self,
        value: Value<'_>,
        kind: Kind,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if matches!(kind, Kind::Module | Kind::Foreign) {
            return write_opaque(value, scratch, out);
        }
        out.extend_from_slice(b",\"value\":");
        let shape = match kind {
            Kind::String | Kind::Json => {
                write_string(value.text(scratch)?, out);
                return Ok(());
            }
            Kind::List => return self.list(value, scratch, out),
            Kind::Set => self.set(value, scratch, out)?,
            Kind::Zset => write_zset(value, scratch, out)?,
            Kind::Hash => self.hash(value, scratch, out)?,
            Kind::Stream => {
                let mut writer = StreamWriter::begin(out);
                value.each_dyn(scratch, &mut |element| {
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

    /// A list. From 7.2 on one that fits into a single node is loaded as a listpack, unless it has more nodes.
    fn list(&mut self, value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        /// The largest node that is a listpack by default.
        const NODE: usize = 8192;
        let may_fit = value.origin.version >= 11 && value.encoding() == "quicklist";
        let node = &mut self.node;
        node.clear();
        let shape = write_items(value, scratch, out, |item, _| {
            if may_fit && node.len() <= NODE {
                node.push(item);
            }
        })?;
        if may_fit && node.len() <= NODE {
            member("encoding", out, |out| write_string(b"quicklist", out));
        } else {
            write_encoding(value, Kind::List, shape, out);
        }
        Ok(())
    }

    fn set(&mut self, value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Shape> {
        self.expiries.clear();
        let expiries = &mut self.expiries;
        let shape = write_items(value, scratch, out, |member, expiry| {
            if let Some(at) = expiry {
                comma(expiries);
                pair(expiries, |out| write_string(member, out), |out| integer(at, out));
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
        let ValueWriter { names, expiries, .. } = self;
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
                names.push(fingerprint(name));
                all_text &= try_string(name, out);
                out.push(b':');
                write_string(value, out);
            } else {
                pair(out, |out| write_string(name, out), |out| write_string(value, out));
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
            shape.all_integers = canonical_integer(item).is_some();
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
        pair(out, |out| write_string(member, out), |out| number(score, out));
        Ok(())
    })?;
    out.push(b']');
    Ok(shape)
}

fn write_array(value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    let mut insert_index = None;
    out.push(b'[');
    value.each_dyn(scratch, &mut |element| {
        match element {
            Element::ArrayHead(head) => insert_index = head.insert_index,
            Element::Slot { index, item } => {
                comma(out);
                pair(out, |out| write_index(index, out), |out| write_string(item, out));
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
    value.each_dyn(scratch, &mut |element| {
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
    value.verify(scratch)?;
    let Some(id) = value.module() else {
        member("layout", out, |out| write_string(value.encoding().as_bytes(), out));
        member("rdbType", out, |out| integer(value.rdb_type.code(), out));
        raw(value.bytes, out);
        return Ok(());
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
    let id = ModuleId(cur.length()?);
    member("encver", out, |out| integer(id.version(), out));
    raw(cur.rest(), out);
    Ok(())
}

/// RedisJSON of encoding versions 2 and 3 keeps the document as text: shown readably beside the bytes that count.
fn write_redisjson(value: Value<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    let version = value.module().map_or(0, |id| id.version());
    let mut document = Vec::new();
    value.each_dyn(scratch, &mut |element| {
        let Element::Opaque(items) = element else { return Ok(()) };
        if let (2 | 3, Ok(Tagged::String(text))) = (version, Tagged::read(&mut Cursor::new(items))) {
            document.extend_from_slice(text.decode(&mut Vec::new())?);
        }
        Ok(())
    })?;
    if serde_json::from_slice::<&serde_json::value::RawValue>(&document).is_ok() && !document.contains(&b'\n') {
        member("value", out, |out| out.extend_from_slice(&document));
    }
    Ok(())
}

/// The encoding, where the server would not have chosen it by itself.
fn write_encoding(value: Value<'_>, kind: Kind, shape: Shape, out: &mut Vec<u8>) {
    let encoding = value.encoding();
    let alike = |name| if name == "listpack" && kind == Kind::List { "quicklist" } else { name };
    if conventional(kind, shape, value.origin, &Limits::default()).is_some_and(|usual| usual != alike(encoding)) {
        member("encoding", out, |out| write_string(encoding.as_bytes(), out));
    }
}
