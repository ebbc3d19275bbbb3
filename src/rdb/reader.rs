//! The source: a growing window over any `Read`, cut into batches of whole records.
//!
//! Fill the window, measure; if the first record is not whole, fill fully, doubling, and measure again. What lies
//! behind the last whole record is carried over to the next batch. Nothing is allocated from a declared length.

use std::io::{self, Read};
use std::sync::Arc;

use super::feed::{Ahead, Feed, ReadAt};
use super::measure::{Measure, Unit};
use crate::codec::crc64::Jones;
use crate::codec::string::canonical_integer;
use crate::codec::{Cursor, Str, opcode};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Batch, Buffers, Origin, Record, Scratch};

/// Bytes of the file in a batch, unless a single record is larger.
const BATCH: usize = 1 << 20;

/// A batch ends early when its strings will have decoded to so many times its size.
const WEIGHT: u64 = 4;

/// A buffer grows by so much at once.
const STEP: usize = 8 << 20;

/// Reads an RDB file as batches of records.
pub struct Reader {
    input: Feed,
    /// How long the input is, where that is known.
    size: Option<u64>,
    at_end: bool,
    batch_size: usize,
    measure: Measure,
    /// Read but not given yet; the first `carried` bytes count.
    carry: Vec<u8>,
    carried: usize,
    /// Where `carry` stands in the input.
    offset: u64,
    crc: Jones,
    verify: bool,
    head: Option<Batch>,
    /// An error that waits until the records before it have been given.
    failed: Option<Error>,
    /// Why the input could not be read further, if not because it ended.
    read_error: Option<Error>,
    /// An error has been given; nothing follows.
    stopped: bool,
    end: Option<End>,
    behind: Behind,
}

/// What becomes of bytes behind the end of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behind {
    /// They are read, and told of in [`Reader::end`].
    Told,
    /// They are left to [`Reader::into_rest`].
    Left,
    /// They are an error: the file looked as if there were none.
    Refused,
}

/// How the file ended.
#[derive(Clone, Debug)]
pub struct End {
    /// What the checksum said.
    pub checksum: Checksum,
    /// Bytes up to and with the checksum.
    pub size: u64,
    /// Whatever follows.
    pub trailing: Option<Trailing>,
}

/// What the checksum at the end of the file said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// It is that of the bytes.
    Ok(u64),
    /// It is 0: the server was told not to compute it.
    Off,
    /// The version is from before checksums.
    Absent,
    /// It is not that of the bytes.
    Wrong {
        /// The one in the file.
        stored: u64,
        /// The one of the bytes.
        computed: u64,
    },
}

impl Checksum {
    /// One word for it: `ok`, `off`, `none`, `wrong`.
    pub fn name(self) -> &'static str {
        match self {
            Checksum::Ok(_) => "ok",
            Checksum::Off => "off",
            Checksum::Absent => "none",
            Checksum::Wrong { .. } => "wrong",
        }
    }
}

/// Bytes behind the end of the RDB file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailing {
    /// How many.
    pub bytes: u64,
    /// What they look like.
    pub kind: TrailingKind,
}

/// What the bytes behind the end of the RDB file look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrailingKind {
    /// Commands of an append-only file: data that the RDB file does not have.
    Commands,
    /// The end mark of a replication stream.
    EndMark,
    /// Something that no server reads.
    Unknown,
}

impl TrailingKind {
    /// It in words.
    pub fn name(self) -> &'static str {
        match self {
            TrailingKind::Commands => "commands of an append-only file",
            TrailingKind::EndMark => "the end mark of a replication stream",
            TrailingKind::Unknown => "which no server reads",
        }
    }
}

impl Reader {
    /// Starts reading: the header, and the records in front of the first key (aux fields, functions, templates…).
    pub fn new(input: Box<dyn Read + Send>) -> Result<Reader> {
        Reader::open(Feed::Stream(input), None, BATCH, Behind::Told)
    }

    /// As [`Reader::new`], for a dump that something follows: [`Reader::into_rest`] gives it.
    pub fn before_rest(input: Box<dyn Read + Send>) -> Result<Reader> {
        Reader::open(Feed::Stream(input), None, BATCH, Behind::Left)
    }

    /// As [`Reader::new`], for a file of `size` bytes: a record that can't fit in is found without reading on, and several
    /// threads may read it at once.
    pub fn of_file(file: Arc<dyn ReadAt>, size: u64, behind: Behind) -> Result<Reader> {
        Reader::open(Feed::file(file, BATCH), Some(size), BATCH, behind)
    }

    /// As [`Reader::new`] with batches of another size; tests make them tiny.
    pub fn with_batch_size(input: Box<dyn Read + Send>, batch_size: usize) -> Result<Reader> {
        Reader::open(Feed::Stream(input), None, batch_size, Behind::Told)
    }

    fn open(mut input: Feed, size: Option<u64>, batch_size: usize, behind: Behind) -> Result<Reader> {
        let mut header = Vec::with_capacity(9);
        (&mut input).take(9).read_to_end(&mut header)?;
        let origin = match <&[u8; 9]>::try_from(header.as_slice()).ok().and_then(Origin::from_header) {
            Some(origin) => Arc::new(origin),
            None => return Err(not_rdb(&header)),
        };
        let mut crc = Jones::default();
        crc.update(&header);
        let measure = Measure { origin: origin.clone(), db: 0 };
        let mut reader = Reader {
            input,
            size,
            at_end: false,
            batch_size,
            measure,
            carry: Vec::new(),
            carried: 0,
            offset: 9,
            crc,
            verify: true,
            head: None,
            failed: None,
            read_error: None,
            stopped: false,
            end: None,
            behind,
        };
        let mut head = Batch::new(origin);
        reader.fill_until(&mut head, true)?;
        reader.head = Some(head);
        Ok(reader)
    }

    /// Measures all that is left, and looks into nothing; a wrong checksum is no error.
    pub fn skip_to_end(&mut self) -> Result<()> {
        self.verify(false);
        let mut batch = self.batch();
        while self.fill(&mut batch)? {}
        Ok(())
    }

    /// Whether a wrong checksum is an error (the default) or only said in [`Reader::end`].
    pub fn verify(&mut self, verify: bool) {
        self.verify = verify;
        if !verify && self.failed.as_ref().is_some_and(|e| matches!(e.kind(), ErrorKind::Checksum { .. })) {
            self.failed = None;
        }
    }

    /// What the bytes mean, as far as it is known by now.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.measure.origin
    }

    /// How the file ended, when it has been read to its end.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What follows the end of the dump, of a reader that was made to leave it.
    pub fn into_rest(mut self) -> impl Read + Send {
        self.carry.truncate(self.carried);
        io::Cursor::new(self.carry).chain(self.input)
    }

    /// Bytes of the (decompressed) input that have been given so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What reads the bytes of batches before it is their turn to be filled, where the input is a file.
    pub fn ahead(&self) -> Option<Ahead> {
        self.input.ahead()
    }

    /// The records in front of the first key, up to a batch of them; once.
    pub fn take_head(&mut self) -> Option<Batch> {
        self.head.take()
    }

    /// When the file was made, Unix time in seconds, as the records in front of the first key say.
    pub fn created(&self) -> Result<Option<i64>> {
        let mut created = None;
        if let Some(head) = &self.head {
            head.each(&mut Buffers::default(), |record, _| {
                if let Record::Aux { name: b"ctime", value } = record {
                    created = canonical_integer(value);
                }
                Ok(())
            })?;
        }
        Ok(created)
    }

    /// An empty batch for [`Reader::fill`].
    pub fn batch(&self) -> Batch {
        Batch::new(self.measure.origin.clone())
    }

    /// Fills `batch` with the next records; `false` when there are none. After an error there are none.
    ///
    /// The records before a damaged place are given first, then the error.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<bool> {
        self.fill_until(batch, false)
    }

    /// Gives every record, from the head to the end.
    pub fn each(&mut self, mut visit: impl FnMut(Record<'_>, &mut Scratch) -> Result<()>) -> Result<()> {
        let mut buffers = Buffers::default();
        let mut batch = match self.take_head() {
            Some(head) => head,
            None => self.batch(),
        };
        batch.each(&mut buffers, &mut visit)?;
        while self.fill(&mut batch)? {
            batch.each(&mut buffers, &mut visit)?;
        }
        Ok(())
    }

    /// After an error: reads on to the end of the input, and says whether its last eight bytes are the checksum of all
    /// before them. If they are, the file is as its writer left it, whatever could not be understood.
    pub fn is_intact_to_its_end(&mut self) -> Result<bool> {
        const CHUNK: usize = 64 << 10;
        let mut last = std::mem::take(&mut self.carry);
        last.truncate(std::mem::take(&mut self.carried));
        loop {
            let sure = last.len().saturating_sub(8);
            self.crc.update(&last[..sure]);
            last.drain(..sure);
            if self.at_end {
                break;
            }
            let mut have = last.len();
            self.top_up(&mut last, &mut have, CHUNK);
            last.truncate(have);
        }
        if let Some(e) = self.read_error.take() {
            return Err(e);
        }
        Ok(self.measure.origin.version >= 5 && last == self.crc.value().to_le_bytes())
    }

    fn fill_until(&mut self, batch: &mut Batch, stop_at_key: bool) -> Result<bool> {
        batch.marks.clear();
        (batch.begin, batch.used) = (0, 0);
        batch.db = self.measure.db;
        if let Some(e) = self.failed.take() {
            self.stopped = true;
            return Err(e);
        }
        if self.end.is_some() || self.stopped {
            return Ok(false);
        }
        let mut have = self.take_carry(batch);
        batch.offset = self.offset;
        let outcome = self.window(batch, &mut have, stop_at_key);
        batch.origin = self.measure.origin.clone();
        self.carry_over(batch, have);
        let outcome = match outcome {
            Ok(Some(Unit::Eof)) => self.finish(),
            other => other.map(drop),
        };
        match outcome {
            Ok(()) => Ok(!batch.is_empty() || stop_at_key),
            // What went before is sound, and is given first.
            Err(e) if !batch.is_empty() || stop_at_key => {
                self.failed = Some(e);
                Ok(true)
            }
            Err(e) => {
                self.stopped = true;
                Err(e)
            }
        }
    }

    /// Lets the batch begin with what the one before left over. It is copied, so that the batch keeps its buffer, which
    /// is in the cache of the core that works on it; only much of it changes hands.
    fn take_carry(&mut self, batch: &mut Batch) -> usize {
        let carried = std::mem::take(&mut self.carried);
        if let Some(have) = self.input.take_chunk(batch, &self.carry[..carried]) {
            return have;
        }
        if carried > self.batch_size {
            std::mem::swap(&mut batch.bytes, &mut self.carry);
        } else {
            if batch.bytes.len() < carried {
                batch.bytes.resize(carried, 0);
            }
            batch.bytes[..carried].copy_from_slice(&self.carry[..carried]);
        }
        carried
    }

    /// Reads and measures until the batch is full, a key or the end is reached, or nothing more is whole.
    fn window(&mut self, batch: &mut Batch, have: &mut usize, stop_at_key: bool) -> Result<Option<Unit>> {
        let mut want = batch.begin + self.batch_size;
        let mut weight = 0;
        loop {
            self.top_up(&mut batch.bytes, have, want);
            match self.units(batch, *have, &mut weight, stop_at_key) {
                Err(e) if e.is_truncated() => {
                    if let Some(e) = self.read_error.take() {
                        return Err(e);
                    }
                    if self.at_end {
                        return Err(self.located(e, batch, *have));
                    }
                    if let Some(beyond) = self.beyond_end(&e, batch) {
                        return Err(self.located(beyond, batch, *have));
                    }
                    if batch.used > batch.begin {
                        return Ok(None);
                    }
                    want = grown(want.max(*have), e.needed());
                }
                Err(e) => return Err(self.located(e, batch, *have)),
                Ok(found) => return Ok(found),
            }
        }
    }

    /// Turns an error for want of bytes that the whole input does not have into one that needs no further reading.
    fn beyond_end(&self, e: &Error, batch: &Batch) -> Option<Error> {
        let needed = e.needed().saturating_sub(batch.begin as u64);
        let beyond = self.offset.saturating_add(needed).saturating_sub(self.size?);
        let what = format!("length: it goes {} beyond the end of the file", crate::text::count(beyond, "byte"));
        (beyond > 0).then(|| Error::malformed(what).at(e.offset().unwrap_or_default()))
    }

    fn units(&mut self, batch: &mut Batch, have: usize, weight: &mut u64, stop_at_key: bool) -> Result<Option<Unit>> {
        let limit = (self.batch_size as u64).saturating_mul(WEIGHT);
        let bytes = &batch.bytes[..have];
        while *weight <= limit {
            if !stop_at_key && begins_late_templates(batch, bytes) {
                return Ok(None);
            }
            let mut cur = Cursor::at(bytes, batch.used);
            match self.measure.unit(&mut cur, self.at_end, stop_at_key)? {
                Unit::Record { end, weight: more } => {
                    batch.marks.push(crate::model::Mark { start: batch.used, end });
                    batch.used = cur.pos();
                    *weight = weight.saturating_add(more);
                }
                Unit::Key => return Ok(Some(Unit::Key)),
                Unit::Eof => return Ok(Some(Unit::Eof)),
            }
        }
        Ok(None)
    }

    /// Reads until `want` bytes are there or the input ends.
    fn top_up(&mut self, bytes: &mut Vec<u8>, have: &mut usize, want: usize) {
        if bytes.len() > self.batch_size.max(want).saturating_mul(4) {
            bytes.truncate(want.max(*have));
            bytes.shrink_to_fit();
        }
        while *have < want && !self.at_end {
            if bytes.len() == *have {
                // Room is made as bytes arrive, whatever is wanted.
                bytes.resize(want.min(have.saturating_add(STEP)), 0);
            }
            let room = bytes.len().min(want);
            match self.input.read(&mut bytes[*have..room]) {
                Ok(0) => self.at_end = true,
                Ok(n) => *have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A decompressor says so when its own input is cut; what came before is still to be given.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => self.at_end = true,
                Err(e) => {
                    self.at_end = true;
                    // One of our own knows its place better: it may have none in these bytes.
                    let is_own = e.get_ref().is_some_and(|inner| inner.is::<Error>());
                    let e = Error::from(e);
                    self.read_error = Some(if is_own { e } else { e.at(self.offset + *have as u64) });
                }
            }
        }
    }

    /// Keeps what lies behind the batch for the next one, and adds the batch to the checksum.
    fn carry_over(&mut self, batch: &Batch, have: usize) {
        let tail = &batch.bytes[batch.used..have];
        if self.carry.len() > 4 * self.batch_size.max(tail.len()) {
            self.carry = Vec::new();
        }
        if self.carry.len() < tail.len() {
            self.carry.resize(tail.len(), 0);
        }
        self.carry[..tail.len()].copy_from_slice(tail);
        self.carried = tail.len();
        self.input.left_over(self.carried);
        self.crc.update(batch.bytes());
        self.offset += batch.bytes().len() as u64;
    }

    /// Reads what follows the last record: the end opcode, the checksum, and whatever should not be there.
    fn finish(&mut self) -> Result<()> {
        let trailer = if self.measure.origin.version < 5 { 0 } else { 8 };
        let mut carry = std::mem::take(&mut self.carry);
        let mut have = self.carried;
        self.top_up(&mut carry, &mut have, 1 + trailer);
        if let Some(e) = self.read_error.take() {
            return Err(e);
        }
        if have < 1 + trailer {
            return Err(Error::truncated().at(self.offset + have as u64));
        }
        self.crc.update(&[opcode::EOF]);
        let computed = self.crc.value();
        let checksum = match carry[1..].first_chunk::<8>().map(|b| u64::from_le_bytes(*b)) {
            _ if trailer == 0 => Checksum::Absent,
            Some(0) => Checksum::Off,
            Some(stored) if stored == computed => Checksum::Ok(stored),
            stored => Checksum::Wrong { stored: stored.unwrap_or(0), computed },
        };
        let size = self.offset + 1 + trailer as u64;
        let rest = carry[1 + trailer..have].to_vec();
        let trailing = if self.behind == Behind::Left {
            (self.carried, self.carry) = (rest.len(), rest);
            None
        } else {
            self.trailing(rest)
        };
        self.offset = size;
        self.end = Some(End { checksum, size, trailing });
        match checksum {
            Checksum::Wrong { stored, computed } if self.verify => {
                Err(Error::new(ErrorKind::Checksum { stored, computed }).at(size - 8))
            }
            _ => match trailing {
                Some(Trailing { bytes, .. }) if self.behind == Behind::Refused => {
                    let bytes = crate::text::count(bytes, "byte");
                    let what = format!("file: {bytes} follow the dump, and do not end as commands do");
                    Err(Error::malformed(what).at(size))
                }
                _ => Ok(()),
            },
        }
    }

    fn trailing(&mut self, mut first: Vec<u8>) -> Option<Trailing> {
        let (mut bytes, mut chunk) = (first.len() as u64, vec![0; 64 << 10]);
        while !self.at_end {
            let mut n = 0;
            self.top_up(&mut chunk, &mut n, 64 << 10);
            bytes += n as u64;
            if first.len() < 64 {
                first.extend_from_slice(&chunk[..n.min(64)]);
            }
        }
        let kind = match first.first() {
            Some(b'*' | b'#') => TrailingKind::Commands,
            _ if bytes == 40 && first.iter().all(u8::is_ascii_hexdigit) => TrailingKind::EndMark,
            _ => TrailingKind::Unknown,
        };
        (bytes > 0).then_some(Trailing { bytes, kind })
    }

    /// Adds where in the input, and in which key, a record could not be measured.
    #[cold]
    fn located(&self, e: Error, batch: &Batch, have: usize) -> Error {
        // The end of a cut file is where the bytes stop, wherever the record began.
        let e = if e.is_truncated() { e.placed(have as u64) } else { e }.moved(self.offset, batch.begin);
        match key_at(&batch.bytes[..have], batch.used) {
            Some(key) => e.of_key(self.measure.db, &key),
            None => e,
        }
    }
}

/// Whether the next unit is a hash template behind units that are none: those are not to know it, wherever batches end.
fn begins_late_templates(batch: &Batch, bytes: &[u8]) -> bool {
    let is_template = |at: usize| bytes.get(at) == Some(&opcode::HASH_TEMPLATE);
    is_template(batch.used) && batch.marks.last().is_some_and(|mark| !is_template(mark.start))
}

/// How much to want when so much was not enough, and this much is needed at least: of a large value only a little more,
/// as what is read behind its end has to be kept.
fn grown(want: usize, needed: u64) -> usize {
    const LARGE: usize = 64 << 20;
    let more = want.saturating_add(if want < LARGE { want } else { want / 4 });
    match usize::try_from(needed).unwrap_or(usize::MAX) {
        needed @ LARGE.. => more.max(needed),
        _ => more,
    }
}

/// The key of the unit that starts here, if one can be read.
pub(super) fn key_at(bytes: &[u8], unit: usize) -> Option<Vec<u8>> {
    let mut cur = Cursor::at(bytes, unit);
    let mut buf = Vec::new();
    loop {
        match cur.u8().ok()? {
            opcode::EXPIRETIME_MS => drop(cur.take(8).ok()?),
            opcode::EXPIRETIME => drop(cur.take(4).ok()?),
            opcode::IDLE => drop(cur.length().ok()?),
            opcode::FREQ => drop(cur.u8().ok()?),
            opcode::DRAGONFLY_KEY_MASK.. => return None,
            _ => return Str::take(&mut cur, &mut buf).ok().map(<[u8]>::to_vec),
        }
    }
}

/// The error for an input that does not begin as an RDB file.
fn not_rdb(header: &[u8]) -> Error {
    let is_cut = |magic: &[u8]| magic.starts_with(&header[..header.len().min(magic.len())]);
    if header.is_empty() {
        return Error::new(ErrorKind::NotRdb("the file is empty (0 bytes): nothing was ever saved into it".into()));
    }
    if header.len() < 9 && (is_cut(b"REDIS") || is_cut(b"VALKEY")) {
        return Error::truncated().at(header.len() as u64);
    }
    let looks_like = match header {
        [b'<', ..] => "it looks like an HTML or XML page",
        [b'{' | b'[', ..] => "it looks like JSON",
        [b'*' | b'#', ..] => "it looks like an append-only file of commands, without an RDB preamble",
        [b'-', ..] => "it looks like the error reply of a server",
        [b'f', b'i', b'l', b'e', b' ', ..] => "it looks like the manifest of an append-only file",
        [b'P', b'K', 3, 4, ..] => "it looks like a zip archive; unpack it first",
        [b'B', b'Z', b'h', ..] => "it looks like bzip2; unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "it looks like xz; unpack it first",
        [0, 0, 0, ..] => "it begins with zero bytes, as a file does whose blocks were never written",
        _ => "it has neither the header REDIS nor VALKEY",
    };
    Error::new(ErrorKind::NotRdb(format!(
        "not an RDB file: {looks_like} (first bytes {})",
        crate::text::quoted(header)
    )))
}
