//! Batches: whole records on their way from the source to a worker.

use std::sync::Arc;

use super::origin::Origin;
use super::record::{Entry, Eviction, Record, SlotRanges};
use super::types::RdbType;
use super::value::{Scratch, Value};
use crate::codec::module::{self, ModuleId};
use crate::codec::{Cursor, Str, opcode};
use crate::error::{Error, Result};

/// Where a unit of a batch lies: a record that stands alone, or a key with all that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Its first byte.
    pub start: usize,
    /// The end of its value; what follows up to the next unit are KeyDB's member expiries.
    pub end: usize,
}

/// A few MiB of whole records, as they stand in the file.
pub struct Batch {
    /// The bytes; only those from `begin` to `used` are part of the batch.
    pub(crate) bytes: Vec<u8>,
    /// The first byte that counts.
    pub(crate) begin: usize,
    /// The end of those that count.
    pub(crate) used: usize,
    /// What was read into `bytes` before it was known to be needed: its place in the file, and where it ends here.
    pub(crate) ahead: Option<(u64, usize)>,
    /// The units.
    pub(crate) marks: Vec<Mark>,
    /// Where the first byte that counts stands in the (decompressed) file.
    pub(crate) offset: u64,
    /// The database at the first unit.
    pub(crate) db: u64,
    /// What the bytes mean.
    pub(crate) origin: Arc<Origin>,
}

/// What a worker needs to read batches: buffers, used again and again.
#[derive(Default)]
pub struct Buffers {
    first: Vec<u8>,
    second: Vec<u8>,
    third: Vec<u8>,
    fourth: Vec<u8>,
    scratch: Scratch,
}

/// Attributes that stand before a key.
#[derive(Clone, Copy, Default)]
struct Pending<'a> {
    expiry: Option<i64>,
    eviction: Eviction,
    meta: &'a [u8],
    mask: Option<(u32, u32)>,
}

impl Batch {
    /// An empty batch.
    pub(crate) fn new(origin: Arc<Origin>) -> Batch {
        Batch { bytes: Vec::new(), begin: 0, used: 0, ahead: None, marks: Vec::new(), offset: 0, db: 0, origin }
    }

    /// One record, which these bytes are.
    pub(crate) fn of_one(bytes: Vec<u8>, offset: u64, db: u64, origin: Arc<Origin>) -> Batch {
        let (used, marks) = (bytes.len(), vec![Mark { start: 0, end: bytes.len() }]);
        Batch { bytes, used, marks, offset, db, ..Batch::new(origin) }
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The database at the first unit.
    pub fn db(&self) -> u64 {
        self.db
    }

    /// All records, as they stand in the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.begin..self.used]
    }

    /// How many units are keys: those that do not begin with an opcode that stands alone.
    pub fn keys(&self) -> u64 {
        let is_alone = |mark: &&Mark| match self.bytes[mark.start] {
            opcode::SLOT_IMPORT => self.origin.is_valkey(),
            opcode::HASH_TEMPLATE | opcode::SLOT_INFO..=opcode::MODULE_AUX => true,
            opcode::AUX | opcode::RESIZEDB | opcode::SELECTDB => true,
            _ => false,
        };
        (self.len() - self.marks.iter().filter(is_alone).count()) as u64
    }

    /// What the bytes mean.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Where unit `i` starts in the (decompressed) file.
    pub fn offset_of(&self, i: usize) -> u64 {
        self.place(self.marks[i])
    }

    fn place(&self, mark: Mark) -> u64 {
        self.offset + (mark.start - self.begin) as u64
    }

    /// All bytes of unit `i`.
    pub fn unit_bytes(&self, i: usize) -> &[u8] {
        let next = self.marks.get(i + 1).map_or(self.used, |next| next.start);
        &self.bytes[self.marks[i].start..next]
    }

    /// Gives every record. Errors, those of `visit` as well, come back with the record's offset, database and key.
    pub fn each(
        &self,
        buffers: &mut Buffers,
        mut visit: impl FnMut(Record<'_>, &mut Scratch) -> Result<()>,
    ) -> Result<()> {
        let mut db = self.db;
        (0..self.len()).try_for_each(|i| self.unit(i, &mut db, buffers, &mut visit))
    }

    /// Gives the records of unit `i`: one, or the aux fields in front of a key's type byte and then the key.
    pub fn unit(
        &self,
        i: usize,
        db: &mut u64,
        buffers: &mut Buffers,
        visit: &mut impl FnMut(Record<'_>, &mut Scratch) -> Result<()>,
    ) -> Result<()> {
        let mark = self.marks[i];
        let next = self.marks.get(i + 1).map_or(self.used, |next| next.start);
        let mut cur = Cursor::at(&self.bytes[..mark.end], mark.start);
        let mut pending = Pending::default();
        while !cur.is_empty() {
            let code = cur.u8().map_err(|e| self.located(e, mark))?;
            if code < opcode::DRAGONFLY_KEY_MASK {
                let tail = &self.bytes[mark.end..next];
                return self.entry(code, cur, mark, tail, pending, *db, buffers, visit);
            }
            self.before_key(code, &mut cur, &mut pending, db, buffers, visit).map_err(|e| self.located(e, mark))?;
        }
        Ok(())
    }

    fn located(&self, e: Error, mark: Mark) -> Error {
        e.placed(self.place(mark))
    }

    #[inline]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop, split in two for the reader's sake")]
    fn entry(
        &self,
        code: u8,
        mut cur: Cursor<'_>,
        mark: Mark,
        member_expiries: &[u8],
        pending: Pending<'_>,
        db: u64,
        buffers: &mut Buffers,
        visit: &mut impl FnMut(Record<'_>, &mut Scratch) -> Result<()>,
    ) -> Result<()> {
        let key = Str::take(&mut cur, &mut buffers.first).map_err(|e| self.located(e, mark))?;
        let locate = |e| self.located(e, mark).of_key(db, key);
        let rdb_type = RdbType::resolve(code, &self.origin)
            .ok_or_else(|| locate(Error::unsupported(format!("unknown type {code}"))))?;
        let value = Value { rdb_type, bytes: cur.rest(), origin: &self.origin };
        let Pending { expiry, eviction, meta, mask } = pending;
        let offset = self.place(mark);
        let size = (mark.end - mark.start + member_expiries.len()) as u64;
        let entry = Entry { db, key, expiry, eviction, meta, mask, member_expiries, offset, size, value };
        visit(Record::Entry(entry), &mut buffers.scratch).map_err(locate)
    }

    /// Reads one record that is no key: an attribute of the next key goes to `pending`, anything else is given.
    fn before_key<'a>(
        &self,
        code: u8,
        cur: &mut Cursor<'a>,
        pending: &mut Pending<'a>,
        db: &mut u64,
        buffers: &mut Buffers,
        visit: &mut impl FnMut(Record<'_>, &mut Scratch) -> Result<()>,
    ) -> Result<()> {
        match code {
            opcode::EXPIRETIME => {
                // Servers wrote the low half of a 64-bit time: what looks negative is a time after 2038.
                pending.expiry = Some(i64::from(cur.u32_le()?) * 1000);
            }
            opcode::EXPIRETIME_MS => pending.expiry = Some(cur.i64_le()?),
            opcode::IDLE => pending.eviction = Eviction::Idle(cur.length()?),
            opcode::FREQ => pending.eviction = Eviction::Freq(cur.u8()?),
            opcode::DRAGONFLY_KEY_MASK => {
                let flags = cur.u32_le()?;
                pending.mask = Some((flags, if flags & 2 != 0 { cur.u32_le()? } else { 0 }));
            }
            opcode::KEY_META if !self.origin.is_valkey() => {
                let start = cur.pos();
                module::skip_key_meta(cur)?;
                pending.meta = cur.since(start);
            }
            other => return self.other(other, cur, db, buffers, visit),
        }
        Ok(())
    }

    /// Reads and gives a record that has nothing to do with a key.
    fn other(
        &self,
        code: u8,
        cur: &mut Cursor<'_>,
        db: &mut u64,
        buffers: &mut Buffers,
        visit: &mut impl FnMut(Record<'_>, &mut Scratch) -> Result<()>,
    ) -> Result<()> {
        let Buffers { first, second, third, fourth, scratch } = buffers;
        let record = match code {
            opcode::SLOT_IMPORT => {
                let job = Str::take(cur, first)?;
                let ranges = cur.length()?;
                let start = cur.pos();
                for _ in 0..ranges {
                    cur.length().and(cur.length())?;
                }
                Record::SlotImport { job, ranges: SlotRanges(cur.since(start)) }
            }
            opcode::SELECTDB => {
                *db = cur.length()?;
                Record::SelectDb(*db)
            }
            opcode::RESIZEDB => Record::ResizeDb { db: *db, keys: cur.length()?, expires: cur.length()? },
            opcode::AUX => Record::Aux { name: Str::take(cur, first)?, value: Str::take(cur, second)? },
            opcode::FUNCTION2 => Record::Function(Str::take(cur, first)?),
            opcode::FUNCTION_PRE_GA => Record::FunctionPreGa {
                name: Str::take(cur, first)?,
                engine: Str::take(cur, second)?,
                description: if cur.length()? == 0 { None } else { Some(Str::take(cur, third)?) },
                code: Str::take(cur, fourth)?,
            },
            opcode::MODULE_AUX => {
                let id = ModuleId(cur.length()?);
                cur.length()?;
                let when = cur.length()?;
                let start = cur.pos();
                module::check(cur, first)?;
                Record::ModuleAux { id, when, data: cur.since(start) }
            }
            opcode::SLOT_INFO => Record::SlotInfo { slot: cur.length()?, keys: cur.length()?, expires: cur.length()? },
            opcode::HASH_TEMPLATE => {
                let id = cur.length()?;
                let fields = cur.length()?;
                for _ in 0..fields {
                    Str::skip(cur)?;
                }
                Record::Template { id, fields }
            }
            other => return Err(Error::unsupported(format!("unknown opcode {other}"))),
        };
        visit(record, scratch)
    }
}
