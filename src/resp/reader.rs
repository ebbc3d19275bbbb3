//! Commands from bytes: arrays of bulk strings, as clients and append-only files have them, and inline commands as they
//! are typed.

use std::io::{BufRead, BufReader, Read};
use std::ops::Index;

use crate::codec::string::canonical_integer;
use crate::error::{Error, Result};

/// The longest line of a frame, and of an inline command.
const LINE: u64 = 64 << 20;

/// The words of a command: its name, and what follows.
#[derive(Clone, Default)]
pub struct Words {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word at a place, if there is one.
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Some(&self.text[start..end])
    }

    /// The words from a place on.
    pub fn from(&self, first: usize) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (first.min(self.len())..self.len()).map(|i| &self[i])
    }

    fn clear(&mut self) {
        /// What a single huge command may leave behind.
        const KEPT: usize = 16 << 20;
        if self.text.capacity() > KEPT {
            self.text = Vec::new();
        }
        self.text.clear();
        self.ends.clear();
    }

    fn end(&mut self) {
        self.ends.push(self.text.len());
    }
}

impl Index<usize> for Words {
    type Output = [u8];

    fn index(&self, i: usize) -> &[u8] {
        self.get(i).expect("whoever asks has counted the words")
    }
}

/// Reads one command after the other.
pub struct Commands<R> {
    input: BufReader<R>,
    offset: u64,
    line: Vec<u8>,
    is_strict: bool,
    timestamp: Option<i64>,
}

impl<R: Read> Commands<R> {
    /// Starts at the first byte of `input`.
    pub fn new(input: R) -> Commands<R> {
        Commands::at(input, 0)
    }

    /// As [`Commands::new`], for the rest of a file, from this byte on.
    pub fn at(input: R, offset: u64) -> Commands<R> {
        let input = BufReader::with_capacity(1 << 18, input);
        Commands { input, offset, line: Vec::new(), is_strict: false, timestamp: None }
    }

    /// Takes only what servers take in an append-only file: no typed commands.
    pub fn strict(self) -> Commands<R> {
        Commands { is_strict: true, ..self }
    }

    /// The byte behind what was read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The time that the last annotation gave (`#TS:`), Unix time in seconds.
    pub fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    /// Reads the next command's words; says where it starts. `None` at the end. Empty lines and lines that begin with
    /// `#` mean nothing.
    ///
    /// Errors: what is no command, and a command that is cut, each with the offset at which the command starts.
    pub fn next_command(&mut self, words: &mut Words) -> Result<Option<u64>> {
        words.clear();
        loop {
            let start = self.offset;
            if !self.read_line()? {
                return Ok(None);
            }
            match self.line.first() {
                Some(b'#') => {
                    let stamp = self.line.strip_prefix(b"#TS:").and_then(canonical_integer);
                    self.timestamp = stamp.or(self.timestamp);
                    continue;
                }
                Some(b'*') => self.array(words).map_err(|e| e.placed(start))?,
                _ if self.is_strict => return Err(Error::malformed("command: * must stand here").at(start)),
                None => continue,
                Some(_) => inline_words(&self.line, words).map_err(|e| e.placed(start))?,
            }
            if !words.is_empty() {
                return Ok(Some(start));
            }
        }
    }

    /// Reads a line without its end; `false` when there is none.
    fn read_line(&mut self) -> Result<bool> {
        let start = self.offset;
        self.line.clear();
        let n = (&mut self.input).take(LINE).read_until(b'\n', &mut self.line)?;
        self.offset += n as u64;
        match self.line.pop() {
            None => return Ok(false),
            Some(b'\n') => {}
            Some(other) if n as u64 == LINE => {
                self.line.push(other);
                return Err(Error::malformed("command: a line without end").at(start));
            }
            // An annotation need not end, nor the last line of a file that was typed.
            Some(other) => {
                self.line.push(other);
                if self.is_strict && self.line[0] != b'#' {
                    return Err(Error::truncated().at(start));
                }
            }
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(true)
    }

    fn array(&mut self, words: &mut Words) -> Result<()> {
        let count = number(&self.line[1..])?;
        for _ in 0..count {
            if !self.read_line()? {
                return Err(Error::truncated());
            }
            let Some((b'$', digits)) = self.line.split_first() else {
                return Err(Error::malformed("command: a word must begin with $ and its length"));
            };
            let len = number(digits)?;
            let n = (&mut self.input).take(len).read_to_end(&mut words.text)? as u64;
            let mut end = [0; 2];
            if n < len || self.input.read_exact(&mut end).is_err() {
                return Err(Error::truncated());
            }
            if &end != b"\r\n" {
                return Err(Error::malformed("command: a word that does not end where its length says"));
            }
            self.offset += len + 2;
            words.end();
        }
        Ok(())
    }
}

fn number(digits: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Error::malformed("command: a length must stand behind * and $"))
}

/// Splits a typed line as redis-cli does: by spaces, with quotes around words and escapes in double ones.
pub(super) fn inline_words(line: &[u8], words: &mut Words) -> Result<()> {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        rest = match rest.first() {
            None => return Ok(()),
            Some(quote @ (b'"' | b'\'')) => quoted_word(&rest[1..], *quote, &mut words.text)?,
            Some(_) => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                words.text.extend_from_slice(&rest[..end]);
                &rest[end..]
            }
        };
        words.end();
    }
}

/// Appends the word that ends with this quote; gives what follows it.
fn quoted_word<'t>(text: &'t [u8], quote: u8, word: &mut Vec<u8>) -> Result<&'t [u8]> {
    let mut at = 0;
    loop {
        match (text.get(at), quote) {
            (None, _) => return Err(Error::malformed("command: a quote that does not end")),
            (Some(c), _) if *c == quote => break,
            (Some(b'\\'), b'"') => at += escape(&text[at + 1..], word),
            (Some(b'\\'), _) if text.get(at + 1) == Some(&b'\'') => {
                word.push(b'\'');
                at += 1;
            }
            (Some(c), _) => word.push(*c),
        }
        at += 1;
    }
    let rest = &text[at + 1..];
    match rest.first() {
        Some(c) if !c.is_ascii_whitespace() => Err(Error::malformed("command: a space must follow a quote")),
        _ => Ok(rest),
    }
}

/// Appends what an escape stands for; says how long it is, without the backslash.
fn escape(text: &[u8], word: &mut Vec<u8>) -> usize {
    let hex = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    if let (Some(b'x'), Some(high), Some(low)) = (text.first(), hex(text.get(1)), hex(text.get(2))) {
        word.push((high << 4 | low) as u8);
        return 3;
    }
    match text.first() {
        None => return 0,
        Some(b'n') => word.push(b'\n'),
        Some(b'r') => word.push(b'\r'),
        Some(b't') => word.push(b'\t'),
        Some(b'b') => word.push(8),
        Some(b'a') => word.push(7),
        Some(other) => word.push(*other),
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &[u8]) -> Result<Vec<(u64, String)>> {
        let (mut commands, mut words, mut all) = (Commands::new(text), Words::default(), Vec::new());
        while let Some(at) = commands.next_command(&mut words)? {
            all.push((at, words.from(0).map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join("|")));
        }
        Ok(all)
    }

    #[test]
    fn both_forms_are_read() {
        let text = b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n#TS:17\r\n\r\nSET 'a b' \"c\\x00\\n\\\"\"\nDEL k";
        let want = [(0, r"GET|\r\n"), (31, r#"SET|a b|c\x00\n\""#), (53, "DEL|k")];
        assert_eq!(commands(text).unwrap(), want.map(|(at, words)| (at, words.to_owned())));
    }

    #[test]
    fn every_cut_is_an_error_at_the_commands_offset() {
        let text = b"PING\r\n*2\r\n$3\r\nGET\r\n$2\r\nab\r\n";
        for cut in 8..text.len() {
            let e = commands(&text[..cut]).unwrap_err();
            assert_eq!(e.offset(), Some(6), "{cut}: {e}");
        }
        // Nothing typed is an append-only file; an annotation is.
        let mut strict = Commands::new(b"#TS:17\r\nPING\r\n".as_slice()).strict();
        assert_eq!(strict.next_command(&mut Words::default()).unwrap_err().offset(), Some(8));
        assert_eq!(strict.timestamp(), Some(17));
        assert!(commands(b"*1\r\n$99999999999999\r\nx").unwrap_err().is_truncated());
        assert!(commands(b"*x\r\n").is_err() && commands(b"SET 'a").is_err() && commands(b"SET 'a'b").is_err());
    }
}
