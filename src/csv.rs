//! Comma-separated values: a row a key, or a row an element. For spreadsheets and scripts; it is no backup: not
//! all that a dump holds fits into rows.
//!
//! Every column of strings is escaped in the same way, so that a row is one line and the bytes can be had again: what
//! is valid UTF-8 stays as it is, but for the backslash, which is `\\`, and control characters and line separators,
//! which are `\n`, `\r`, `\t` or `\xHH` byte by byte, as are bytes that are no UTF-8. After that a column with a comma,
//! a quote, or a space at either end stands in quotes, its own quotes doubled (RFC 4180).

mod reader;
mod rows;

pub use reader::{Reader, is_header};

use crate::codec::stream::Part;
use crate::codec::{double, vectorset};
use crate::error::Result;
use crate::model::{Element, Entry, Kind, Scratch, Value};
use crate::text;

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// A key.
    Keys,
    /// An element: an item, a member, a field, a stream's field, an array's slot, a vector. What only a module or a
    /// fork understands has one row, with no value.
    Elements,
}

/// The first line: the names of the columns.
pub fn header(level: Level) -> &'static str {
    match level {
        Level::Keys => "database,type,key,size_in_bytes,encoding,num_elements,len_largest_element,expiry\n",
        Level::Elements => "database,type,key,expiry,index,field,value,field_expiry\n",
    }
}

/// Turns keys into rows. Every worker has its own.
#[derive(Clone)]
pub struct Writer {
    level: Level,
    /// The columns that all rows of a key begin with.
    start: Vec<u8>,
    /// The index of the next row, or the id of a stream's entry.
    index: Vec<u8>,
}

impl Writer {
    /// A writer for this level.
    pub fn new(level: Level) -> Writer {
        Writer { level, start: Vec::new(), index: Vec::new() }
    }

    /// Appends the row of a key, or the rows of its elements. On an error nothing is left of them.
    pub fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let written = match self.level {
            Level::Keys => key_row(entry, scratch, out),
            Level::Elements => self.element_rows(entry, scratch, out),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn element_rows(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let Writer { start, index, .. } = self;
        start.clear();
        begin(entry.db, &entry.value.type_name(), entry.key, start);
        time(entry.expiry, start);
        start.push(b',');
        let is_list = entry.value.kind() == Kind::List;
        let mut rows = 0_u64;
        entry.value.each_dyn(scratch, &mut |element| {
            if is_list {
                index.clear();
                integer(rows, index);
                rows += 1;
            }
            element_row(element, start, index, is_list, out);
            Ok(())
        })
    }
}

/// Database, type and key, each with its comma.
fn begin(db: u64, type_name: &str, key: &[u8], out: &mut Vec<u8>) {
    integer(db, out);
    out.push(b',');
    out.extend_from_slice(type_name.as_bytes());
    out.push(b',');
    string(key, out);
    out.push(b',');
}

fn key_row(entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    let elements = entry.value.count(scratch)?;
    let longest = if entry.value.kind() == Kind::String { elements } else { longest(entry.value, scratch)? };
    KeyRow {
        db: entry.db,
        type_name: &entry.value.type_name(),
        key: entry.key,
        size: entry.size,
        encoding: entry.value.encoding(),
        elements,
        longest,
        expiry: entry.expiry,
    }
    .write(out);
    Ok(())
}

/// What stands in the row of a key.
pub struct KeyRow<'a> {
    /// The database.
    pub db: u64,
    /// What TYPE answers.
    pub type_name: &'a str,
    /// The key.
    pub key: &'a [u8],
    /// Its bytes: in the file, or in memory.
    pub size: u64,
    /// The encoding.
    pub encoding: &'a str,
    /// Elements, or the length of a string; `None` for opaque values.
    pub elements: Option<u64>,
    /// Bytes of the longest element.
    pub longest: Option<u64>,
    /// Unix time in ms.
    pub expiry: Option<i64>,
}

impl KeyRow<'_> {
    /// Appends the row.
    pub fn write(&self, out: &mut Vec<u8>) {
        begin(self.db, self.type_name, self.key, out);
        integer(self.size, out);
        out.push(b',');
        out.extend_from_slice(self.encoding.as_bytes());
        out.push(b',');
        optional(self.elements, out);
        out.push(b',');
        optional(self.longest, out);
        out.push(b',');
        time(self.expiry, out);
        out.push(b'\n');
    }
}

/// The length of the longest element: item, member, name or value. `None` for what only a module or fork understands.
fn longest(value: Value<'_>, scratch: &mut Scratch) -> Result<Option<u64>> {
    let mut longest = 0;
    let mut is_opaque = false;
    value.each_dyn(scratch, &mut |element| {
        let len = match element {
            Element::Item(item) | Element::Slot { item, .. } => item.len(),
            Element::Expiring { member, .. } | Element::Scored { member, .. } => member.len(),
            Element::Field { name, value, .. } => name.len().max(value.len()),
            Element::Stream(Part::Field { name, value }) => name.len().max(value.len()),
            Element::Vector(vector) => vector.name.len(),
            Element::Opaque(_) => {
                is_opaque = true;
                0
            }
            Element::Stream(_) | Element::ArrayHead(_) | Element::VectorHead(_) => 0,
        };
        longest = longest.max(len);
        Ok(())
    })?;
    Ok((!is_opaque).then_some(longest as u64))
}

/// Appends the row of an element. `index` holds the index in a list; of a stream's entry it keeps the id.
fn element_row(element: Element<'_>, start: &[u8], index: &mut Vec<u8>, is_list: bool, out: &mut Vec<u8>) {
    let mut row = |index: &[u8], field: &[u8], write: &dyn Fn(&mut Vec<u8>), expiry: Option<i64>| {
        out.extend_from_slice(start);
        out.extend_from_slice(index);
        out.push(b',');
        string(field, out);
        out.push(b',');
        write(out);
        out.push(b',');
        time(expiry, out);
        out.push(b'\n');
    };
    match element {
        Element::Item(item) => row(if is_list { index } else { b"" }, b"", &|out| string(item, out), None),
        Element::Expiring { member, expiry } => row(b"", b"", &|out| string(member, out), expiry),
        Element::Scored { member, score } => row(b"", member, &|out| double::write(score, out), None),
        Element::Field { name, value, expiry } => row(b"", name, &|out| string(value, out), expiry),
        Element::Slot { index, item } => {
            row(itoa::Buffer::new().format(index).as_bytes(), b"", &|out| string(item, out), None);
        }
        Element::Stream(Part::Entry(id)) => {
            index.clear();
            id.write(index);
        }
        Element::Stream(Part::Field { name, value }) => row(index, name, &|out| string(value, out), None),
        Element::Vector(vectorset::Element { name, vector, .. }) => row(b"", name, &|out| floats(vector, out), None),
        Element::Opaque(_) => row(b"", b"", &|_| {}, None),
        Element::Stream(_) | Element::ArrayHead(_) | Element::VectorHead(_) => {}
    }
}

fn integer(n: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

fn optional(n: Option<u64>, out: &mut Vec<u8>) {
    if let Some(n) = n {
        integer(n, out);
    }
}

fn time(at: Option<i64>, out: &mut Vec<u8>) {
    if let Some(at) = at {
        out.extend_from_slice(text::timestamp(at).as_bytes());
    }
}

/// A vector as a JSON array, in quotes for its commas. What JSON has no number for is a string: `inf`, `nan`.
fn floats(vector: &[f32], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"[");
    for (i, &component) in vector.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if component.is_finite() {
            out.extend_from_slice(ryu::Buffer::new().format_finite(component).as_bytes());
        } else {
            out.extend_from_slice(b"\"\"");
            double::write(f64::from(component), out);
            out.extend_from_slice(b"\"\"");
        }
    }
    out.extend_from_slice(b"]\"");
}

/// Appends a column of a string: escaped, and in quotes if need be.
#[inline]
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    let at_end = |b: Option<&u8>| b == Some(&b' ');
    if bytes.iter().all(|&b| is_plain(b)) && !at_end(bytes.first()) && !at_end(bytes.last()) {
        out.extend_from_slice(bytes);
    } else {
        escaped_string(bytes, out);
    }
}

/// Whether a byte can stand in a column as it is, at least between others.
#[inline]
fn is_plain(b: u8) -> bool {
    matches!(b, b' '..=b'~') && !matches!(b, b'"' | b',' | b'\\')
}

fn escaped_string(bytes: &[u8], out: &mut Vec<u8>) {
    let in_quotes = bytes.starts_with(b" ") || bytes.ends_with(b" ") || bytes.iter().any(|b| matches!(b, b',' | b'"'));
    if in_quotes {
        out.push(b'"');
    }
    for chunk in bytes.utf8_chunks() {
        escaped_text(chunk.valid(), out);
        chunk.invalid().iter().for_each(|&b| text::hex_escape(b, out));
    }
    if in_quotes {
        out.push(b'"');
    }
}

fn escaped_text(text: &str, out: &mut Vec<u8>) {
    for c in text.chars() {
        let mut utf8 = [0; 4];
        match c {
            '"' => out.extend_from_slice(b"\"\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // To some programs these end a line as well.
            '\u{2028}' | '\u{2029}' => c.encode_utf8(&mut utf8).bytes().for_each(|b| text::hex_escape(b, out)),
            _ if c.is_control() => c.encode_utf8(&mut utf8).bytes().for_each(|b| text::hex_escape(b, out)),
            _ => out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Eviction, Origin, RdbType};

    fn column(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        string(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_escaped_and_then_quoted() {
        let t = |bytes: &[u8], want: &str| assert_eq!(column(bytes), want, "{}", bytes.escape_ascii());
        t(b"", "");
        t(b"plain text", "plain text");
        t("Übung 日本 🦀".as_bytes(), "Übung 日本 🦀");
        t(br"a\b", r"a\\b");
        t(b"\n\r\t\0\x1b\x7f", r"\n\r\t\x00\x1b\x7f");
        t("a\u{85}b\u{2028}c\u{2029}".as_bytes(), r"a\xc2\x85b\xe2\x80\xa8c\xe2\x80\xa9");
        t(b"a\xffb", r"a\xffb");
        t(b"\xe6\x97\xe6\x97\xa5\xe6", r"\xe6\x97日\xe6");
        t(b"a,b", r#""a,b""#);
        t(b"say \"hi\"", r#""say ""hi""""#);
        t(b" x", r#"" x""#);
        t(b"x ", r#""x ""#);
        t(b" ", r#"" ""#);
        t("é ".as_bytes(), r#""é ""#);
        t(b"\xff,\"\n", r#""\xff,""\n""#);
    }

    /// Undoes quoting and escaping, as the module's documentation lets one do it.
    fn read_back(column: &str) -> Vec<u8> {
        let text = match column.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"').unwrap().replace("\"\"", "\""),
            None => column.to_owned(),
        };
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(b) = bytes.next() {
            out.push(match b {
                b'\\' => match bytes.next().unwrap() {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'x' => {
                        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                    }
                    other => other,
                },
                b => b,
            });
        }
        out
    }

    #[test]
    fn a_column_is_one_line_and_reads_back() {
        for a in 0..=255 {
            for b in 0..=255 {
                for bytes in [vec![a, b], vec![b'n', a, b'x', b, b'\\'], vec![0xc2, a, 0xe2, 0x80, b]] {
                    let column = column(&bytes);
                    assert_eq!(column.lines().count(), 1, "{column}");
                    assert_eq!(read_back(&column), bytes, "{column}");
                }
            }
        }
    }

    fn rows(level: Level, rdb_type: RdbType, expiry: Option<i64>, bytes: &[u8]) -> Result<String> {
        let origin = Origin::from_header(b"REDIS0011").unwrap();
        let value = Value { rdb_type, bytes, origin: &origin };
        let entry = Entry {
            db: 3,
            key: b"k,",
            expiry,
            eviction: Eviction::None,
            meta: b"",
            mask: None,
            member_expiries: b"",
            offset: 0,
            size: 77,
            value,
        };
        let mut out = b"before".to_vec();
        let written = Writer::new(level).entry(&entry, &mut Scratch::default(), &mut out);
        let out = String::from_utf8(out).unwrap();
        let out = out.strip_prefix("before").unwrap().to_owned();
        assert!(written.is_ok() || out.is_empty(), "{out}");
        written.map(|()| out)
    }

    const MODULE: &[u8] = b"\x81\x95\xa6\xed\xca\x97\xbe\x00\x07\x02\x01\x00";

    #[test]
    fn a_row_a_key() {
        let t = |rdb_type, expiry, bytes: &[u8], want: &str| {
            assert_eq!(rows(Level::Keys, rdb_type, expiry, bytes).unwrap(), format!("3,{want}\n"));
        };
        t(RdbType::String, None, b"\x05hello", r#"string,"k,",77,embstr,5,5,"#);
        t(RdbType::String, Some(0), b"\xc1\x2c\x01", r#"string,"k,",77,int,3,3,1970-01-01T00:00:00.000Z"#);
        t(RdbType::List, Some(-1), b"\x02\x01a\x03bcd", r#"list,"k,",77,linkedlist,2,3,-1"#);
        t(RdbType::Set, None, b"\x00", r#"set,"k,",77,hashtable,0,0,"#);
        t(RdbType::Hash, None, b"\x02\x05field\x01v\x01f\x03val", r#"hash,"k,",77,hashtable,2,5,"#);
        t(RdbType::Module2, None, MODULE, r#"labtype-A,"k,",77,raw,,,"#);
    }

    #[test]
    fn a_row_an_element() {
        let t = |rdb_type, expiry, bytes: &[u8], want: &[&str]| {
            let got = rows(Level::Elements, rdb_type, expiry, bytes).unwrap();
            assert_eq!(got.lines().map(|row| row.strip_prefix("3,").unwrap()).collect::<Vec<_>>(), want);
        };
        t(RdbType::String, Some(0), b"\x02a,", &[r#"string,"k,",1970-01-01T00:00:00.000Z,,,"a,","#]);
        t(RdbType::List, None, b"\x02\x01a\xc0\x07", &[r#"list,"k,",,0,,a,"#, r#"list,"k,",,1,,7,"#]);
        t(RdbType::Set, None, b"\x01\x01a", &[r#"set,"k,",,,,a,"#]);
        t(RdbType::Zset, None, b"\x02\x01a\x031.5\x01b\xff", &[r#"zset,"k,",,,a,1.5,"#, r#"zset,"k,",,,b,-inf,"#]);
        t(
            RdbType::ValkeyHash,
            None,
            b"\x02\x01f\x01v\0\0\0\0\0\0\0\0\x01g\x01w\xff\xff\xff\xff\xff\xff\xff\xff",
            &[r#"hash,"k,",,,f,v,1970-01-01T00:00:00.000Z"#, r#"hash,"k,",,,g,w,"#],
        );
        t(
            RdbType::DragonflySet,
            None,
            b"\x02\x01m\x011\x01n\x02-1",
            &[r#"set,"k,",,,,m,1970-01-01T00:00:01.000Z"#, r#"set,"k,",,,,n,"#],
        );
        t(RdbType::Array, None, b"\x01\0\x05\x03\x01a", &[r#"array,"k,",,5,,a,"#]);
        t(RdbType::Module2, None, MODULE, &[r#"labtype-A,"k,",,,,,"#]);
        t(RdbType::List, None, b"\x00", &[]);
    }

    #[test]
    fn a_damaged_value_leaves_nothing() {
        assert!(rows(Level::Keys, RdbType::List, None, b"\x02\x01a").is_err());
        assert!(rows(Level::Elements, RdbType::List, None, b"\x02\x01a").is_err());
    }

    #[test]
    fn a_vector_is_json() {
        let mut out = Vec::new();
        floats(&[1.0, -0.25, f32::INFINITY], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#""[1.0,-0.25,""inf""]""#);
    }
}
