//! Where JSON is read from: a backup or a map of fixtures, cut into batches of whole entries.
//!
//! The source only finds where entries end; workers read them. Three forms are told apart by how they begin: a backup
//! as one object (`"rdbkit"` comes first), lines of objects (with or without a header), and a plain map from keys to
//! values.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr2};

use super::head::Header;
use super::parse::{Parser, Token};
use super::reader::NAMES;
use crate::codec::crc64::Xz;
use crate::error::{Error, Result};

/// Bytes of a batch, unless a single entry is larger.
const BATCH: usize = 1 << 20;

/// A buffer grows by so much at once.
const STEP: usize = 8 << 20;

/// An entry is large that does not fit into this.
const LARGE: usize = 64 << 20;

/// How a document is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// One object; entries are the items of its member `keys`.
    Object,
    /// An object a line.
    Lines,
    /// One object; entries are its members.
    Fixtures,
}

/// Reads a JSON document as batches of entries.
pub struct Source {
    input: Box<dyn Read + Send>,
    layout: Layout,
    header: Option<Header>,
    verify: bool,
    batch_size: usize,
    /// Read and not given yet.
    carry: Vec<u8>,
    at_end: bool,
    /// Where `carry` stands: line and column, from 1.
    place: (u64, u64),
    crc: Xz,
    /// The trailer has been read, or the map has ended.
    done: bool,
    /// An error that waits until the entries before it have been given.
    failed: Option<Error>,
    any: bool,
}

/// Whole entries of a JSON document.
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where each entry starts and ends.
    pub(super) entries: Vec<(usize, usize)>,
    pub(super) layout: Layout,
    /// Line and column of the first byte.
    place: (u64, u64),
}

impl Batch {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives an error at a byte of the batch its line and column.
    pub(super) fn located(&self, e: Error, start: usize) -> Error {
        let at = (start + e.offset().unwrap_or(0) as usize).min(self.bytes.len());
        let (line, column) = advance(self.place, &self.bytes[..at]);
        e.at_line(line, column)
    }
}

/// The place behind `bytes`, which begin at `place`.
fn advance(place: (u64, u64), bytes: &[u8]) -> (u64, u64) {
    let lines = memchr_iter(b'\n', bytes).count() as u64;
    match bytes.iter().rposition(|b| *b == b'\n') {
        Some(last) => (place.0 + lines, (bytes.len() - last) as u64),
        None => (place.0, place.1 + bytes.len() as u64),
    }
}

impl Source {
    /// Reads what comes before the first entry. `verify`: a backup without a true trailer is an error.
    pub fn new(input: Box<dyn Read + Send>, verify: bool) -> Result<Source> {
        Source::with_batch_size(input, verify, BATCH)
    }

    /// As [`Source::new`] with batches of another size; tests make them tiny.
    pub fn with_batch_size(input: Box<dyn Read + Send>, verify: bool, batch_size: usize) -> Result<Source> {
        let mut source = Source {
            input,
            layout: Layout::Lines,
            header: None,
            verify,
            batch_size,
            carry: Vec::new(),
            at_end: false,
            place: (1, 1),
            crc: Xz::default(),
            done: false,
            failed: None,
            any: false,
        };
        let used = loop {
            let want = source.carry.len().max(batch_size / 2).saturating_mul(2).max(64);
            source.top_up(want)?;
            match source.begin() {
                Ok(used) => break used,
                Err(e) if !source.at_end && e.offset() == Some(source.carry.len() as u64) => {}
                Err(e) => {
                    let at = e.offset().unwrap_or(0) as usize;
                    let (line, column) = advance((1, 1), &source.carry[..at.min(source.carry.len())]);
                    return Err(e.at_line(line, column));
                }
            }
        };
        source.consume(used);
        Ok(source)
    }

    /// What a backup says of itself before its entries; `None` where there is no header.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Whether it is a map from keys to values, which say nothing of their types.
    pub fn is_fixtures(&self) -> bool {
        self.layout == Layout::Fixtures
    }

    /// Finds out what the document is; says how many bytes come before the first entry.
    fn begin(&mut self) -> Result<usize> {
        // A byte order mark says nothing.
        let mark = if self.carry.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut p = Parser::new(&self.carry);
        p.advance(mark);
        match p.peek()? {
            Token::Object => {}
            _ => return Err(p.wrong("JSON: no object; a backup begins with {\"rdbkit\":, a map of fixtures with {")),
        }
        let start = p;
        if let Some((header, end, is_object)) = Header::read(p)? {
            self.header = Some(header);
            self.layout = if is_object { Layout::Object } else { Layout::Lines };
            return Ok(end);
        }
        let more_from = (!self.at_end).then_some(self.carry.len() as u64);
        if looks_like_entry(start, more_from)? {
            self.layout = Layout::Lines;
            return Ok(mark);
        }
        self.layout = Layout::Fixtures;
        Ok(start.pos() + 1)
    }

    /// Reads until `want` bytes are there, or the input ends.
    fn top_up(&mut self, want: usize) -> Result<()> {
        let mut have = self.carry.len();
        if have >= want || self.at_end {
            return Ok(());
        }
        while have < want && !self.at_end {
            if self.carry.len() == have {
                // Room is made as bytes arrive.
                self.carry.resize(want.min(have.saturating_add(STEP)), 0);
            }
            match self.input.read(&mut self.carry[have..]) {
                Ok(0) => self.at_end = true,
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.carry.truncate(have);
                    return Err(e.into());
                }
            }
        }
        self.carry.truncate(have);
        Ok(())
    }

    /// Steps over bytes at the front of the carry; they count for the checksum.
    fn consume(&mut self, n: usize) {
        self.crc.update(&self.carry[..n]);
        self.place = advance(self.place, &self.carry[..n]);
        self.carry.drain(..n);
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch { bytes: Vec::new(), entries: Vec::new(), layout: self.layout, place: self.place }
    }

    /// Fills `batch` with the next entries; `false` when there are none. At the end the trailer is held against what
    /// was read.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<bool> {
        batch.entries.clear();
        batch.bytes.clear();
        batch.bytes.shrink_to(4 * self.batch_size);
        batch.place = self.place;
        if let Some(e) = self.failed.take() {
            self.done = true;
            return Err(e);
        }
        if self.done {
            return Ok(false);
        }
        let mut want = self.batch_size;
        loop {
            self.top_up(want)?;
            let measured = self.measure(&mut batch.entries);
            let used = match (measured, batch.entries.last()) {
                (Ok(used), _) => used,
                (Err(e), None) => return Err(e),
                (Err(e), Some((_, end))) => {
                    self.failed = Some(e);
                    *end
                }
            };
            if !batch.entries.is_empty() || self.done {
                // The buffers take turns.
                batch.bytes.extend_from_slice(&self.carry[used..]);
                std::mem::swap(&mut batch.bytes, &mut self.carry);
                batch.bytes.truncate(used);
                self.crc.update(&batch.bytes);
                self.place = advance(self.place, &batch.bytes);
                let ended = if self.done { self.end() } else { Ok(()) };
                return match ended {
                    Err(e) if batch.is_empty() => Err(e),
                    ended => {
                        self.failed = self.failed.take().or(ended.err());
                        Ok(!batch.is_empty())
                    }
                };
            }
            if self.at_end {
                return Err(self.cut());
            }
            want = want.max(self.carry.len());
            // What is read behind the end of a large entry has to be kept.
            want = want.saturating_add(if want < LARGE { want } else { want / 4 });
        }
    }

    /// Finds the whole entries at the front of the carry; says where they end.
    fn measure(&mut self, entries: &mut Vec<(usize, usize)>) -> Result<usize> {
        let mut used = 0;
        loop {
            let text = &self.carry;
            let mut at = used + spaces(&text[used..]);
            if self.layout == Layout::Lines {
                match self.line(at) {
                    Some(end) if is_trailer(&text[at..end]) => {
                        self.done = true;
                        return Ok(used);
                    }
                    Some(end) => {
                        entries.push((at, end));
                        self.any = true;
                        used = end;
                        continue;
                    }
                    None if self.at_end && at == text.len() => {
                        self.done = true;
                        return Ok(used);
                    }
                    None => return Ok(used),
                }
            }
            let close = if self.layout == Layout::Object { b']' } else { b'}' };
            match text.get(at) {
                None => return Ok(used),
                Some(b) if *b == close => {
                    self.done = true;
                    return Ok(used);
                }
                Some(b',') if self.any => {
                    at += 1;
                    at += spaces(&text[at..]);
                }
                Some(_) if self.any => {
                    return Err(self.misplaced(at, "JSON: a comma must stand between entries"));
                }
                Some(_) => {}
            }
            let Some(end) = self.entry_end(at) else { return Ok(used) };
            entries.push((at, end));
            self.any = true;
            used = end;
        }
    }

    /// The end of the line that starts here, if it is there.
    fn line(&self, at: usize) -> Option<usize> {
        match memchr(b'\n', &self.carry[at..]) {
            Some(len) => Some(at + len),
            None if self.at_end && at < self.carry.len() => Some(self.carry.len()),
            None => None,
        }
    }

    /// The end of the entry that starts here, if it is there: a value, or a name and its value.
    fn entry_end(&self, at: usize) -> Option<usize> {
        let text = &self.carry;
        if self.layout == Layout::Object {
            return value_end(text, at);
        }
        let name = value_end(text, at)?;
        let colon = name + spaces(&text[name..]);
        // What is wrong here is found when the entry is read.
        let value = colon + usize::from(*text.get(colon)? == b':');
        let value = value + spaces(&text[value..]);
        value_end(text, value)
    }

    #[cold]
    fn misplaced(&self, at: usize, what: &'static str) -> Error {
        let (line, column) = advance(self.place, &self.carry[..at]);
        Error::malformed(what).at_line(line, column)
    }

    #[cold]
    fn cut(&self) -> Error {
        self.misplaced(self.carry.len(), "JSON: the document ends in the middle")
    }

    /// Reads what follows the last entry: the trailer of a backup, or the end of the map.
    fn end(&mut self) -> Result<()> {
        const LONGEST: usize = 1 << 16;
        self.top_up(LONGEST)?;
        let text = std::mem::take(&mut self.carry);
        let mut p = Parser::new(&text);
        let place = self.place;
        let located = |e: Error| {
            let (line, column) = advance(place, &text[..(e.offset().unwrap_or(0) as usize).min(text.len())]);
            e.at_line(line, column)
        };
        let trailer = match self.layout {
            Layout::Fixtures => p.close(b'}').map(|()| None),
            Layout::Object => p.close(b']').and_then(|()| Trailer::in_object(&mut p)),
            Layout::Lines => Trailer::in_line(&mut p),
        };
        let trailer = trailer.map_err(located)?;
        p.end().map_err(located)?;
        if self.header.is_none() || !self.verify {
            return Ok(());
        }
        let Some(trailer) = trailer else {
            return Err(located(p.wrong(
                "the backup has no trailer: it was cut or edited; import it with --no-verify if that was on purpose",
            )));
        };
        self.crc.update(&text[..trailer.digits]);
        let computed = self.crc.value();
        if computed != trailer.crc64 {
            let why = format!(
                "the backup was cut or edited: its checksum is {computed:016x}, its trailer says {:016x}; import it with \
                 --no-verify if that was on purpose",
                trailer.crc64
            );
            return Err(located(p.wrong(why)));
        }
        Ok(())
    }
}

/// The last member or line of a backup.
struct Trailer {
    crc64: u64,
    /// Where the digits of the checksum start.
    digits: usize,
}

impl Trailer {
    fn in_object(p: &mut Parser<'_>) -> Result<Option<Trailer>> {
        let mut trailer = None;
        while p.try_comma() {
            p.member(|p, name| {
                if name != b"end" || trailer.is_some() {
                    return Err(p.wrong("backup: only \"end\" may follow the keys"));
                }
                trailer = Some(Trailer::read(p)?);
                Ok(())
            })?;
        }
        p.close(b'}')?;
        Ok(trailer)
    }

    fn in_line(p: &mut Parser<'_>) -> Result<Option<Trailer>> {
        if p.is_at_end() {
            return Ok(None);
        }
        let mut trailer = None;
        p.object(|p, _, _| {
            trailer = Some(Trailer::read(p)?);
            Ok(())
        })?;
        Ok(trailer)
    }

    fn read(p: &mut Parser<'_>) -> Result<Trailer> {
        let mut trailer = None;
        p.object(|p, name, at| match name {
            b"keys" => p.integer::<u64>("keys").map(drop),
            b"crc64" => {
                let (mut start, mut buf) = (*p, Vec::new());
                start.peek()?;
                let text = p.text_string(&mut buf)?;
                let crc64 = std::str::from_utf8(text).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
                let crc64 = crc64.ok_or_else(|| start.wrong("crc64: sixteen hex digits must stand here"))?;
                trailer = Some(Trailer { crc64, digits: start.pos() + 1 });
                Ok(())
            }
            _ => Err(at.wrong("backup: an unknown member of the trailer")),
        })?;
        trailer.ok_or_else(|| p.wrong("backup: its trailer has no crc64"))
    }
}

fn is_trailer(line: &[u8]) -> bool {
    line.starts_with(b"{\"end\":") || {
        let rest = line.strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b"\"end\"").is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
    }
}

/// Whether an object is an entry on its own, and no map of fixtures: it has a key and a value, or the bytes of one, and
/// says of what type it is or where it belongs. An error where more is to be read, from
/// `more_from` on, before that can be told.
fn looks_like_entry(mut p: Parser<'_>, more_from: Option<u64>) -> Result<bool> {
    /// With so many names that an entry doesn't know, it is none. A few are misspelt.
    const STRANGE: usize = 16;
    let (mut has_key, mut has_value, mut has_more, mut strange) = (false, false, false, 0);
    let read = p.object(|p, name, at| {
        match name {
            b"key" => has_key = true,
            b"value" | b"raw" => has_value = true,
            b"db" | b"type" => has_more = true,
            _ if NAMES.contains(&name) => {}
            _ => strange += 1,
        }
        match strange {
            STRANGE.. => Err(at.wrong("no member of an entry")),
            _ => p.skip().map(drop),
        }
    });
    match read {
        // Only what comes next can tell.
        Err(e) if strange < STRANGE && more_from.is_some() && e.offset() == more_from => Err(e),
        read => Ok(read.is_ok() && has_key && has_value && has_more),
    }
}

fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')).count()
}

/// The end of the value that starts here, as far as quotes and brackets tell; `None` if it is not all there.
fn value_end(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_u64);
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at + 1)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                if depth <= 1 {
                    return Some(at + usize::from(depth == 1));
                }
                depth -= 1;
            }
            // A number or a word ends where something else begins; a comma that stands alone is found by the reader.
            b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Some(at.max(start + 1)),
            _ => {}
        }
        at += 1;
    }
}

/// The byte behind the quote that ends a string.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}
