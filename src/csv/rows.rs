//! Rows of CSV: cells between commas, in quotes where need be (RFC 4180).

use std::io::{BufRead, BufReader, Read};

use crate::error::{Error, Result};

/// Reads one row after the other.
pub(super) struct Rows {
    input: BufReader<Box<dyn Read + Send>>,
    /// The line that was read last, from 1.
    line: u64,
    /// Whether backslashes escape, as in our own exports.
    pub(super) escapes: bool,
    buf: Vec<u8>,
}

/// A row: the texts of its cells.
#[derive(Default)]
pub(super) struct Row {
    text: Vec<u8>,
    cells: Vec<Cell>,
}

/// Where a cell's text ends, and where it stands in the file.
struct Cell {
    end: usize,
    place: (u64, u64),
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The text of a cell; one that is not there has none.
    pub(super) fn get(&self, i: usize) -> &[u8] {
        let Some(cell) = self.cells.get(i) else { return b"" };
        let start = if i == 0 { 0 } else { self.cells[i - 1].end };
        &self.text[start..cell.end]
    }

    /// Gives an error the place of a cell.
    pub(super) fn locate(&self, e: Error, i: usize) -> Error {
        let cell = self.cells.get(i).or_else(|| self.cells.last());
        let (line, column) = cell.map_or((1, 1), |cell| cell.place);
        e.at_line(line, column)
    }
}

impl Rows {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Rows {
        Rows { input: BufReader::with_capacity(1 << 18, input), line: 0, escapes: false, buf: Vec::new() }
    }

    /// Appends the next line to the buffer, without its end; `false` if there is none.
    fn read_line(&mut self) -> Result<bool> {
        if self.input.read_until(b'\n', &mut self.buf)? == 0 {
            return Ok(false);
        }
        self.line += 1;
        Ok(true)
    }

    /// Reads the next row that is not empty; `false` if there is none.
    pub(super) fn next(&mut self, row: &mut Row) -> Result<bool> {
        row.text.clear();
        row.cells.clear();
        loop {
            self.buf.clear();
            if !self.read_line()? {
                return Ok(false);
            }
            if !self.buf.trim_ascii().is_empty() {
                break;
            }
        }
        let mut at = 0;
        let mut line_start = 0;
        loop {
            let place = (self.line, (at - line_start) as u64 + 1);
            let start = row.text.len();
            let (next, is_last) = if self.buf.get(at) == Some(&b'"') {
                self.quoted(at + 1, row, place, &mut line_start)?
            } else {
                self.plain(at, row)
            };
            if self.escapes {
                let raw = row.text.split_off(start);
                unescape(&raw, &mut row.text).map_err(|e| e.at_line(place.0, place.1))?;
            }
            row.cells.push(Cell { end: row.text.len(), place });
            if is_last {
                return Ok(true);
            }
            at = next;
        }
    }

    /// Takes a cell without quotes; says where the next one starts, and whether there is none.
    fn plain(&self, at: usize, row: &mut Row) -> (usize, bool) {
        let rest = &self.buf[at..];
        match memchr::memchr2(b',', b'\n', rest) {
            Some(len) if rest[len] == b',' => {
                row.text.extend_from_slice(&rest[..len]);
                (at + len + 1, false)
            }
            found => {
                let cell = &rest[..found.unwrap_or(rest.len())];
                row.text.extend_from_slice(cell.strip_suffix(b"\r").unwrap_or(cell));
                (self.buf.len(), true)
            }
        }
    }

    /// Takes a cell in quotes, over as many lines as it has.
    fn quoted(&mut self, mut at: usize, row: &mut Row, place: (u64, u64), line: &mut usize) -> Result<(usize, bool)> {
        loop {
            let Some(len) = memchr::memchr(b'"', &self.buf[at..]) else {
                row.text.extend_from_slice(&self.buf[at..]);
                at = self.buf.len();
                *line = at;
                if !self.read_line()? {
                    return Err(Error::malformed("CSV: a quote that does not end").at_line(place.0, place.1));
                }
                continue;
            };
            row.text.extend_from_slice(&self.buf[at..at + len]);
            at += len + 1;
            match self.buf.get(at) {
                Some(b'"') => {
                    row.text.push(b'"');
                    at += 1;
                }
                Some(b',') => return Ok((at + 1, false)),
                None | Some(b'\n') => return Ok((at, true)),
                Some(b'\r') if matches!(self.buf.get(at + 1), None | Some(b'\n')) => return Ok((at, true)),
                Some(_) => {
                    let column = (at - *line) as u64 + 1;
                    let what = "CSV: a comma must follow a quote; one within a cell is doubled";
                    return Err(Error::malformed(what).at_line(self.line, column));
                }
            }
        }
    }
}

/// Takes the escapes of our own exports out: `\\`, `\n`, `\r`, `\t`, `\xHH`.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let hex = |b: u8| char::from(b).to_digit(16);
        let (byte, len) = match &rest[at + 1..] {
            [b'\\', ..] => (b'\\', 2),
            [b'n', ..] => (b'\n', 2),
            [b'r', ..] => (b'\r', 2),
            [b't', ..] => (b'\t', 2),
            [b'x', high, low, ..] if hex(*high).zip(hex(*low)).is_some() => {
                let (high, low) = hex(*high).zip(hex(*low)).unwrap_or_default();
                ((high << 4 | low) as u8, 4)
            }
            _ => return Err(Error::malformed("CSV: a backslash that escapes nothing; write it as \\\\")),
        };
        out.push(byte);
        rest = &rest[at + len..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &'static [u8], escapes: bool) -> Result<Vec<String>> {
        let (mut rows, mut row) = (Rows { escapes, ..Rows::new(Box::new(text)) }, Row::default());
        let mut all = Vec::new();
        while rows.next(&mut row)? {
            all.push((0..row.len()).map(|i| row.get(i).escape_ascii().to_string()).collect::<Vec<_>>().join("|"));
        }
        Ok(all)
    }

    #[test]
    fn cells_are_what_spreadsheets_write() {
        let text = b"a,\"b,\"\"c\",\r\n\r\n\"two\nlines\",x\\n,\"\"\n,";
        assert_eq!(rows(text, false).unwrap(), [r#"a|b,\"c|"#, r"two\nlines|x\\n|", "|"]);
        assert_eq!(rows(b"a\\\\,\\n\\x00\n", true).unwrap(), [r"a\\|\n\x00"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        let t = |text: &'static [u8], place: &str| {
            let e = rows(text, true).unwrap_err().to_string();
            assert!(e.starts_with(place), "{e}");
        };
        t(b"a,b\nc,\"d", "line 2, column 3,");
        t(b"a,\"b\"c\n", "line 1, column 6,");
        t(b"a,\"b\n\"c\n", "line 2, column 2,");
        t(b"a,b\\q\n", "line 1, column 3,");
    }
}
