//! Keys from rows of CSV: those of `--elements`, and what a person would write.

use std::io::Read;

use super::rows::{Row, Rows};
use super::{Level, header};
use crate::codec::stream::{Meta, Part, StreamId};
use crate::codec::{array, double};
use crate::error::{Error, Result};
use crate::model::{Element, Entry, Kind, Record, ValueBuf};
use crate::text;

/// The columns that rows can have.
const COLUMNS: [&str; 8] = ["database", "type", "key", "expiry", "index", "field", "value", "field_expiry"];

const DATABASE: usize = 0;
const TYPE: usize = 1;
const KEY: usize = 2;
const EXPIRY: usize = 3;
const INDEX: usize = 4;
const FIELD: usize = 5;
const VALUE: usize = 6;
const FIELD_EXPIRY: usize = 7;

/// Reads keys. The rows of each must stand together.
pub struct Reader {
    rows: Rows,
    /// Where each of [`COLUMNS`] stands in a row.
    places: [Option<usize>; COLUMNS.len()],
    /// The row that is next, if it has been read.
    row: Row,
    has_row: bool,
    key: Vec<u8>,
}

/// What the rows of a key have in common.
struct Common {
    db: u64,
    kind: Kind,
    expiry: Option<i64>,
}

/// What of a key's elements has to be remembered from row to row.
#[derive(Default)]
struct Progress {
    rows: u64,
    id: Option<StreamId>,
    index: Option<u64>,
}

/// Whether a line names columns that keys can be read from.
pub fn is_header(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut names = line.split(|b| *b == b',').map(name_of_column);
    line.contains(&b',') && names.any(|name| name == "key")
}

fn name_of_column(cell: &[u8]) -> String {
    let name = String::from_utf8_lossy(cell).trim().trim_matches('"').to_ascii_lowercase();
    match name.as_str() {
        "db" => "database".to_owned(),
        "member" => "field".to_owned(),
        "score" | "item" => "value".to_owned(),
        _ => name,
    }
}

impl Reader {
    /// Reads the names of the columns.
    pub fn new(input: Box<dyn Read + Send>) -> Result<Reader> {
        let (mut rows, mut row) = (Rows::new(input), Row::default());
        if !rows.next(&mut row)? {
            return Err(Error::malformed("CSV: it has no first line, which names the columns"));
        }
        let names: Vec<_> = (0..row.len())
            .map(|i| name_of_column(row.get(i).strip_prefix(b"\xef\xbb\xbf").unwrap_or(row.get(i))))
            .collect();
        let mut places = [None; COLUMNS.len()];
        for (i, name) in names.iter().enumerate() {
            let known = COLUMNS.iter().position(|column| column == name);
            let is_of_keys = header(Level::Keys).trim_end().split(',').any(|column| column == name);
            match known {
                Some(column) if places[column].is_none() => places[column] = Some(i),
                Some(_) => return Err(row.locate(Error::malformed(format!("CSV: two columns {name}")), i)),
                None if is_of_keys => {
                    let what = "rows of keys hold no values; 'export --format csv --elements' writes them";
                    return Err(row.locate(Error::unsupported(what), i));
                }
                None => {
                    let name = text::quoted_short(name.as_bytes());
                    let what = format!("CSV: unknown column {name}; there are {}", COLUMNS.join(", "));
                    return Err(row.locate(Error::malformed(what), i));
                }
            }
        }
        for needed in [KEY, VALUE] {
            if places[needed].is_none() {
                return Err(row.locate(Error::malformed(format!("CSV: no column {}", COLUMNS[needed])), 0));
            }
        }
        // Backslashes are what they look like in files of others.
        rows.escapes = names.join(",") == header(Level::Elements).trim_end();
        Ok(Reader { rows, places, row, has_row: false, key: Vec::new() })
    }

    /// Reads the next key, whose value is built in `values`; it is in `db` if it names no database. `None` at the end.
    ///
    /// Errors name line, column and key.
    pub fn next_key<'a>(&'a mut self, values: &'a mut ValueBuf, db: u64) -> Result<Option<Record<'a>>> {
        if !self.has_row && !self.read_row()? {
            return Ok(None);
        }
        let common = self.common(db)?;
        self.key.clear();
        self.key.extend_from_slice(self.row.get(self.places[KEY].unwrap_or(0)));
        let first = self.row.locate(Error::truncated(), 0);
        values.begin(common.kind);
        if common.kind == Kind::Array {
            values.push(Element::ArrayHead(array::Head { count: 0, insert_index: None }))?;
        }
        let mut progress = Progress::default();
        loop {
            self.element(&common, &mut progress, values).map_err(|e| e.of_key(common.db, &self.key))?;
            self.has_row = false;
            if !self.read_row()? || self.cell(KEY) != self.key || self.common(db)?.db != common.db {
                break;
            }
        }
        if common.kind == Kind::Stream {
            let last = progress.id.unwrap_or_default();
            values.push(Element::Stream(Part::Meta(Meta { length: 0, found: 0, last, history: None })))?;
        }
        let value = match values.finish() {
            Ok(value) => value,
            Err(e) => return Err(first.instead(e).of_key(common.db, &self.key)),
        };
        Ok(Some(Record::Entry(Entry { expiry: common.expiry, ..Entry::plain(common.db, &self.key, value) })))
    }

    /// Reads a row into its place; `false` at the end.
    fn read_row(&mut self) -> Result<bool> {
        self.has_row = self.rows.next(&mut self.row)?;
        if self.has_row && self.row.len() > self.places.iter().flatten().count() {
            let e = Error::malformed("CSV: more cells than there are columns");
            return Err(self.row.locate(e, self.row.len() - 1));
        }
        Ok(self.has_row)
    }

    fn cell(&self, column: usize) -> &[u8] {
        self.places[column].map_or(b"", |i| self.row.get(i))
    }

    fn wrong(&self, column: usize, what: &str) -> Error {
        let e = Error::malformed(format!("CSV: {}: {what}", COLUMNS[column]));
        self.row.locate(e, self.places[column].unwrap_or(0))
    }

    fn common(&self, db: u64) -> Result<Common> {
        let named = self.cell(DATABASE);
        let db = match named {
            b"" => db,
            named => number(named).ok_or_else(|| self.wrong(DATABASE, "a number must stand here"))?,
        };
        let kind = match self.cell(TYPE) {
            b"" if !self.cell(FIELD).is_empty() => Kind::Hash,
            b"" => Kind::String,
            name => {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                match kind {
                    Some(Kind::VectorSet | Kind::Module | Kind::Foreign | Kind::Json) | None => {
                        let what =
                            format!("rows do not hold all of a {name}; string, list, set, zset, hash, stream, array");
                        return Err(self.wrong(TYPE, &what));
                    }
                    Some(kind) => kind,
                }
            }
        };
        Ok(Common { db, kind, expiry: self.time(EXPIRY)? })
    }

    /// A time: RFC 3339, or Unix time in ms.
    fn time(&self, column: usize) -> Result<Option<i64>> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(cell).unwrap_or_default();
        let ms = text.parse().ok().or_else(|| text::parse_timestamp(text));
        match ms {
            Some(ms) => Ok(Some(ms)),
            None => Err(self.wrong(column, "a time such as 2030-01-01T00:00:00Z must stand here, or Unix time in ms")),
        }
    }

    /// Takes the element of a row.
    fn element(&self, common: &Common, progress: &mut Progress, values: &mut ValueBuf) -> Result<()> {
        let (field, value) = (self.cell(FIELD), self.cell(VALUE));
        progress.rows += 1;
        match common.kind {
            Kind::String if progress.rows > 1 => {
                Err(self.wrong(KEY, "it stands in several rows: a column type must say whether it is a list or a set"))
            }
            Kind::List => {
                let index = self.index()?;
                if index.is_some() && progress.index.is_some() && index <= progress.index {
                    return Err(self.wrong(INDEX, "the indexes of a list must ascend"));
                }
                progress.index = index;
                values.push(Element::Item(value))
            }
            Kind::Set => match self.time(FIELD_EXPIRY)? {
                None => values.push(Element::Item(value)),
                expiry => values.push(Element::Expiring { member: value, expiry }),
            },
            Kind::Zset => {
                let score = double::parse(value).ok().filter(|score| !score.is_nan());
                let score = score.ok_or_else(|| self.wrong(VALUE, "a score is a number, inf or -inf"))?;
                values.push(Element::Scored { member: field, score })
            }
            Kind::Hash => values.push(Element::Field { name: field, value, expiry: self.time(FIELD_EXPIRY)? }),
            Kind::Array => {
                let index = self.index()?.ok_or_else(|| self.wrong(INDEX, "a number must stand here"))?;
                values.push(Element::Slot { index, item: value })
            }
            Kind::Stream => {
                let id = StreamId::parse(self.cell(INDEX));
                let id = id.ok_or_else(|| self.wrong(INDEX, "the id of an entry must stand here"))?;
                if progress.id != Some(id) {
                    let pushed = values.push(Element::Stream(Part::Entry(id)));
                    pushed.map_err(|e| self.wrong(INDEX, &e.reason()))?;
                }
                progress.id = Some(id);
                values.push(Element::Stream(Part::Field { name: field, value }))
            }
            _ => values.push(Element::Item(value)),
        }
    }

    fn index(&self) -> Result<Option<u64>> {
        match self.cell(INDEX) {
            b"" => Ok(None),
            cell => Ok(Some(number(cell).ok_or_else(|| self.wrong(INDEX, "a number must stand here"))?)),
        }
    }
}

fn number(cell: &[u8]) -> Option<u64> {
    std::str::from_utf8(cell).ok()?.trim().parse().ok()
}
