//! Reading on behind damage: batches of whole records as [`super::Reader`] gives them, and what lies between them that
//! is no record.
//!
//! Where a record can't be measured, the next place is looked for from which several credible records follow. It may
//! lie before that point: a length that is too large swallows the records behind it, and is noticed only when what
//! follows makes no sense. So the last few records are held back until those behind them have been measured.
//!
//! Memory is bounded by the largest record that is believed in; time is linear in the size of the input, as whatever is
//! tried at a place is paid for from a budget that grows with the bytes that are read.

mod credible;
mod fields;

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use super::measure::{Measure, Unit};
use super::reader::key_at;
use crate::codec::{Cursor, opcode};
use crate::error::Error;
use crate::model::{Batch, Mark, Origin, RdbType};
use credible::{Chain, Judge, SURE};
use fields::Fields;

/// Bytes of the file in a batch, unless a single record is larger.
const BATCH: usize = 1 << 20;

/// How many records are held back until those behind them have been measured.
const HELD: usize = 16;

/// How far beyond a place is looked for records that follow it.
const AHEAD: usize = 64 << 20;

/// Bytes between records that are no record.
#[derive(Debug)]
pub struct Gap {
    /// Their first byte in the input.
    pub start: u64,
    /// The byte behind their last.
    pub end: u64,
    /// What is wrong with them.
    pub why: Error,
    /// How sure it is that a record begins behind them: the odds as a power of two. `None` at the end of the input.
    pub bits: Option<u32>,
    /// The bytes themselves.
    pub raw: Vec<u8>,
    /// A part of a gap that is too large to be held in one piece: the next one goes on.
    pub goes_on: bool,
    /// The database that the following keys are taken to be in, as the record that says so is damaged.
    pub guessed_db: Option<u64>,
}

/// How the input ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With the end mark and whatever checksum.
    Closed,
    /// So, and commands of an append-only file follow.
    Commands,
    /// Without them.
    Cut,
}

/// Reads records and what is between them.
pub struct Salvager {
    input: Box<dyn Read + Send>,
    size: Option<u64>,
    max_record: usize,
    measure: Measure,
    judge: Judge,
    buf: Vec<u8>,
    have: usize,
    at_end: bool,
    /// Where `buf` stands in the input.
    base: u64,
    gaps: VecDeque<Gap>,
    /// A gap at the begin of the buffer, to be told when what is before it has been given.
    next_gap: Option<NextGap>,
    read_error: Option<Error>,
    ending: Option<Ending>,
    suspicious: bool,
    trusting: bool,
}

struct NextGap {
    len: usize,
    why: Error,
    bits: u32,
}

/// Records that were measured from the begin of the buffer.
struct Measured {
    marks: Vec<Mark>,
    /// What was known before a record, wherever that changed: at the first, and behind those that teach something.
    states: Vec<(usize, Measure)>,
    /// Where the record behind them begins.
    end: usize,
}

impl Measured {
    /// Where record `i` begins.
    fn start(&self, i: usize) -> usize {
        self.marks.get(i).map_or(self.end, |mark| mark.start)
    }

    /// What was known before record `i`.
    fn state(&self, i: usize) -> &Measure {
        let known = self.states.partition_point(|(from, _)| *from <= i);
        &self.states[known - 1].1
    }
}

/// Why measuring stopped.
enum Stop {
    /// There is enough for a batch.
    Full,
    /// More must be read to go on.
    Short,
    /// Nothing follows.
    End,
    /// What begins there can't be measured.
    Damage(Error),
}

impl Salvager {
    /// Reads what follows a header that was read already. `size`: of the whole input, where it is known; `offset`: how
    /// much of it the header was; `max_record`: what claims to be larger is not believed.
    pub fn new(
        input: Box<dyn Read + Send>,
        origin: Origin,
        offset: u64,
        size: Option<u64>,
        max_record: usize,
    ) -> Salvager {
        Salvager {
            input,
            size,
            max_record,
            measure: Measure { origin: Arc::new(origin), db: 0 },
            judge: Judge::default(),
            buf: Vec::new(),
            have: 0,
            at_end: false,
            base: offset,
            gaps: VecDeque::new(),
            next_gap: None,
            read_error: None,
            ending: None,
            suspicious: false,
            trusting: false,
        }
    }

    /// Takes every database for what the input says: its checksum is right.
    pub fn trust(&mut self) {
        self.trusting = true;
    }

    /// Looks into every record for others that it may have swallowed: slow, and only for files that are known to lack
    /// keys.
    pub fn suspect(&mut self) {
        self.suspicious = true;
    }

    /// An empty batch for [`Salvager::fill`].
    pub fn batch(&self) -> Batch {
        Batch::new(self.measure.origin.clone())
    }

    /// How the input ended, when it has been read to its end.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// What kept the input from being read further, if anything did.
    pub fn read_error(&mut self) -> Option<Error> {
        self.read_error.take()
    }

    /// Fills `batch` with the next records, and `gaps` with what lies in front of them; `false` when there is nothing.
    pub fn fill(&mut self, batch: &mut Batch, gaps: &mut Vec<Gap>) -> bool {
        gaps.clear();
        batch.marks.clear();
        (batch.begin, batch.used) = (0, 0);
        loop {
            if let Some(NextGap { len, why, bits }) = self.next_gap.take() {
                self.push_gap(len, why, Some(bits), false);
            }
            gaps.extend(self.gaps.drain(..));
            if self.ending.is_some() || gaps.iter().any(|gap| gap.goes_on) {
                return !gaps.is_empty();
            }
            let (measured, stop) = self.units();
            let all = measured.marks.len();
            let (mut sound, mut is_end) = match stop {
                Stop::Full => (all.saturating_sub(HELD), false),
                Stop::End => (all, true),
                Stop::Damage(e) => (self.resync(&measured, e), false),
                Stop::Short => {
                    self.measure = measured.state(0).clone();
                    self.top_up(self.have.max(BATCH / 2).saturating_mul(2));
                    continue;
                }
            };
            if let Some(unit) = self.swallower(&measured, sound) {
                (sound, is_end) = (unit, false);
            }
            if sound > 0 || is_end {
                self.give(batch, &measured, sound);
                self.ending = is_end.then(|| self.how_it_ends());
                return !gaps.is_empty() || !batch.is_empty();
            }
        }
    }

    /// Measures records from the begin of the buffer.
    fn units(&mut self) -> (Measured, Stop) {
        self.top_up(BATCH);
        let states = vec![(0, self.measure.clone())];
        let mut measured = Measured { marks: Vec::new(), states, end: 0 };
        let bytes = &self.buf[..self.have];
        let mut cur = Cursor::new(bytes);
        let stop = loop {
            let start = cur.pos();
            measured.end = start;
            let known = measured.marks.len();
            if start >= BATCH && known > HELD {
                break Stop::Full;
            }
            match self.measure.unit(&mut cur, self.at_end, false) {
                Ok(Unit::Eof) if self.is_end(cur) => break Stop::End,
                Ok(Unit::Eof) if !self.at_end && cur.rest().len() <= 64 => break Stop::Short,
                Ok(Unit::Eof) => break Stop::Damage(Error::malformed("end mark: it is not the end")),
                Ok(Unit::Record { .. })
                    if !self.trusting
                        && bytes[start] == opcode::SELECTDB
                        && !Judge::hinted(self.measure.origin.version, bytes, cur.pos(), self.measure.db) =>
                {
                    break Stop::Damage(Error::malformed("database: its number is none that the file has"));
                }
                Ok(Unit::Record { end, .. }) => {
                    self.judge.learn(bytes, start, known);
                    measured.marks.push(Mark { start, end });
                }
                Ok(Unit::Key) => unreachable!("nobody asked to stop at a key"),
                Err(e) if e.is_truncated() && !self.at_end => {
                    break match self.beyond(&e) {
                        Some(e) => Stop::Damage(e),
                        None if known > HELD => Stop::Full,
                        None if self.have - start > self.max_record => {
                            Stop::Damage(Error::malformed("length: larger than any record that is believed in"))
                        }
                        None => Stop::Short,
                    };
                }
                Err(e) => break Stop::Damage(e),
            }
            let (_, last) = &measured.states[measured.states.len() - 1];
            if last.db != self.measure.db || !Arc::ptr_eq(&last.origin, &self.measure.origin) {
                measured.states.push((known + 1, self.measure.clone()));
            }
        };
        (measured, stop)
    }

    /// What would not fit into the input.
    fn beyond(&self, e: &Error) -> Option<Error> {
        let over = self.base.saturating_add(e.needed()).saturating_sub(self.size?);
        let what = format!("length: it goes {} beyond the end of the file", crate::text::count(over, "byte"));
        (over > 0).then(|| Error::malformed(what))
    }

    /// How far the input goes on at most, from the first byte of the buffer.
    fn reach(&self) -> u64 {
        self.size.map_or(u64::MAX, |size| size.saturating_sub(self.base))
    }

    /// Whether an end mark in front of `cur` is the end: nothing follows but the checksum, the mark of a replication
    /// stream, or commands.
    fn is_end(&self, cur: Cursor<'_>) -> bool {
        let rest = cur.rest();
        match rest.get(trailer(&self.measure.origin)..) {
            None | Some([]) => self.at_end,
            Some([b'*' | b'#', ..]) => true,
            Some(more) => self.at_end && more.len() == 40 && more.iter().all(u8::is_ascii_hexdigit),
        }
    }

    /// What follows the end mark that the buffer begins with.
    fn how_it_ends(&self) -> Ending {
        match self.buf[..self.have].get(1 + trailer(&self.measure.origin)) {
            Some(b'*' | b'#') => Ending::Commands,
            _ => Ending::Closed,
        }
    }

    /// Hands the first `n` records of the buffer over, and keeps the rest.
    fn give(&mut self, batch: &mut Batch, measured: &Measured, n: usize) {
        let used = measured.start(n);
        self.measure = measured.state(n).clone();
        batch.db = measured.state(0).db;
        batch.offset = self.base;
        batch.origin = self.measure.origin.clone();
        batch.marks.extend_from_slice(&measured.marks[..n]);
        batch.bytes.clear();
        batch.bytes.extend_from_slice(&self.buf[..used]);
        batch.used = used;
        self.consume(used);
    }

    /// Forgets the first bytes of the buffer.
    fn consume(&mut self, n: usize) {
        self.buf.copy_within(n..self.have, 0);
        self.have -= n;
        self.base += n as u64;
        self.judge.forget();
        if self.buf.len() > 8 * BATCH && self.have < BATCH {
            self.buf.truncate(BATCH);
            self.buf.shrink_to_fit();
        }
    }

    /// Reads until there are `want` bytes in the buffer, or the input ends.
    fn top_up(&mut self, want: usize) {
        if self.buf.len() < want && !self.at_end {
            self.buf.resize(want, 0);
        }
        while self.have < want && !self.at_end {
            match self.input.read(&mut self.buf[self.have..want]) {
                Ok(0) => self.at_end = true,
                Ok(n) => self.have += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.at_end = true;
                    self.read_error = Some(Error::from(e).at(self.base + self.have as u64));
                }
            }
        }
    }

    /// What to do where records can't be measured further: says how many of those before are to be given first.
    fn resync(&mut self, measured: &Measured, why: Error) -> usize {
        let known = measured.marks.len();
        if let Some((unit, at, bits)) = self.look_back(measured) {
            let start = measured.start(unit);
            self.measure = measured.state(unit).clone();
            let why = self.located(Error::malformed("length: other records begin within the record"), start);
            self.next_gap = Some(NextGap { len: at - start, why, bits });
            return unit;
        }
        self.measure = measured.state(known).clone();
        if known == 0 {
            let why = self.located(why, 0);
            self.look_ahead(why);
        }
        // Else the same damage is met again, at the begin of the buffer.
        known
    }

    /// Looks for a place within the last records from which credible ones go on beyond the damage. Gives the record
    /// that it lies in, the place, and how sure it is.
    fn look_back(&mut self, measured: &Measured) -> Option<(usize, usize, u32)> {
        let damaged = measured.end;
        let held = measured.marks.len().saturating_sub(HELD);
        let first = (measured.marks.get(held)?.start + 1).max(damaged.saturating_sub(AHEAD));
        self.top_up(damaged + BATCH);
        self.judge.forget();
        let reach = self.reach();
        // What is there now must be less likely: the evidence of each record with all behind it.
        let mut rivals = vec![1; measured.marks.len() - held];
        for i in (0..rivals.len()).rev() {
            let behind = rivals.get(i + 1).copied().unwrap_or(1);
            rivals[i] = self.evidence(measured, held + i).saturating_add(behind);
        }
        for at in first..damaged {
            let unit = measured.marks.partition_point(|mark| mark.start <= at) - 1;
            if measured.start(unit) == at {
                continue;
            }
            let before = rivals[unit - held];
            let place = credible::Place { at, beyond: damaged, before, scanned: (at - first) as u64, reach };
            let chain = self.judge.chain(measured.state(unit), &self.buf[..self.have], place, self.at_end);
            if let Chain::Credible(bits) = chain {
                return Some((unit, at, bits));
            }
        }
        None
    }

    fn evidence(&mut self, measured: &Measured, i: usize) -> u32 {
        self.judge.evidence(measured.state(i), &self.buf[..self.have], measured.start(i), self.at_end)
    }

    /// Where keys are known to be lacking: the first of these records within which others begin that go on behind it, as
    /// when its length is too large and yet ends where another record does.
    fn swallower(&mut self, measured: &Measured, sound: usize) -> Option<usize> {
        /// A smaller one can't have swallowed much.
        const SMALL: usize = 48;
        if !self.suspicious {
            return None;
        }
        self.top_up(measured.end + BATCH / 4);
        self.judge.forget();
        let reach = self.reach();
        for unit in 0..sound {
            let (start, end) = (measured.start(unit), measured.start(unit + 1));
            if end - start < SMALL {
                continue;
            }
            let fields = Fields::of(&self.buf[..end], start, &self.measure.origin);
            for at in (start + 2..end).filter(|at| !fields.begins_at(*at)) {
                let place = credible::Place { at, beyond: end, before: SURE, scanned: (at - start) as u64, reach };
                let chain = self.judge.chain(measured.state(unit), &self.buf[..self.have], place, self.at_end);
                if let Chain::Credible(bits) = chain {
                    self.measure = measured.state(unit).clone();
                    let why = Error::malformed("length: other records begin within the record");
                    self.next_gap = Some(NextGap { len: at - start, why: self.located(why, start), bits });
                    return Some(unit);
                }
            }
        }
        None
    }

    /// Looks for the next credible record behind the begin of the buffer; everything up to there is a gap.
    fn look_ahead(&mut self, why: Error) {
        let (mut at, mut scanned) = (1, 0);
        let mut why = Some(why);
        let mut fields = Fields::of(&self.buf[..self.have], 0, &self.measure.origin).said;
        self.judge.forget();
        loop {
            if at >= self.have {
                self.top_up(self.have + BATCH);
                if at >= self.have {
                    break;
                }
            }
            let place = credible::Place { at, beyond: 0, before: 0, scanned, reach: self.reach() };
            match self.judge.chain(&self.measure, &self.buf[..self.have], place, self.at_end) {
                Chain::Credible(_) if fields > 0 && self.buf[at] == RdbType::String.code() => {
                    fields -= 1;
                    at += fields::length(&self.buf[..self.have], at);
                }
                Chain::Credible(bits) => {
                    return self.push_gap(at, why.take().unwrap_or_else(goes_on), Some(bits), false);
                }
                Chain::Short if self.have - at < AHEAD => {
                    self.top_up(at + (self.have - at).max(BATCH / 4) * 2);
                    self.judge.forget();
                    continue;
                }
                _ => at += 1,
            }
            scanned += 1;
            if at >= BATCH {
                // Too much to be kept: what is sure to be lost goes at once.
                self.push_gap(at - 1, why.take().unwrap_or_else(goes_on), None, true);
                at = 1;
            }
        }
        if self.have > 0 {
            self.push_gap(self.have, why.take().unwrap_or_else(goes_on), None, false);
        }
        self.ending = Some(Ending::Cut);
    }

    /// Makes a gap of the first bytes of the buffer and goes on behind them.
    fn push_gap(&mut self, len: usize, why: Error, bits: Option<u32>, goes_on: bool) {
        let raw = self.buf[..len].to_vec();
        let guessed_db = self.lost_database(&raw);
        let (start, end) = (self.base, self.base + len as u64);
        self.gaps.push_back(Gap { start, end, why, bits, raw, goes_on, guessed_db });
        self.consume(len);
    }

    /// A size hint always follows the record that names its database: where that is damaged, the number may still be
    /// there.
    fn lost_database(&mut self, raw: &[u8]) -> Option<u64> {
        if self.buf[..self.have].get(raw.len()) != Some(&opcode::RESIZEDB) {
            return None;
        }
        self.measure.db = match raw.last() {
            Some(&db) if u64::from(db) < credible::DATABASES => u64::from(db),
            _ if self.judge.has_seen_keys() => (self.measure.db + 1).min(credible::DATABASES - 1),
            _ => 0,
        };
        Some(self.measure.db)
    }

    fn located(&self, e: Error, at: usize) -> Error {
        let e = e.placed(self.base + at as u64);
        match key_at(&self.buf[..self.have], at) {
            Some(key) if key.len() <= 1024 => e.of_key(self.measure.db, &key),
            _ => e,
        }
    }
}

/// Bytes of the checksum.
fn trailer(origin: &Origin) -> usize {
    if origin.version < 5 { 0 } else { 8 }
}

fn goes_on() -> Error {
    Error::malformed("bytes: they are no records")
}
