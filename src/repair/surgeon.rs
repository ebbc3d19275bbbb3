//! What each worker of a repair does: it looks at every record and writes those that are sound.

use std::hash::RandomState;
use std::sync::Arc;

use super::names::id;
use super::rescue::Rescuer;
use super::{Fate, Left, Repairs, rows};
use crate::check::{Deep, Faults};
use crate::error::{Error, Result};
use crate::model::{Batch, Buffers, Entry, Origin, RdbType, Record, Rewrite, Scratch, Target, library_name};
use crate::pipeline::Work;
use crate::rdb::{Carried, Gap, OnLoss, Options, Writer};

/// A batch, and what lies in front of it that is no record.
pub struct Piece {
    pub(super) batch: Batch,
    pub(super) gaps: Vec<Gap>,
}

/// A piece of the output, and what is not in it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) left: Vec<Left>,
    /// Size hints: database and keys.
    pub(super) hints: Vec<(u64, u64)>,
    pub(super) gaps: u64,
    /// Values without some of their elements.
    pub(super) trimmed: u64,
}

/// A record in a piece of the output.
pub(super) struct Item {
    /// The end of its bytes; they begin where those of the one before end.
    pub(super) end: usize,
    /// Where it stood in the input.
    pub(super) offset: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Key { db: u64, expires: bool, id: u128 },
    Library { id: u128 },
    Other,
}

impl Item {
    /// The identity of its name, where it has one.
    pub(super) fn id(&self) -> Option<u128> {
        match self.what {
            What::Key { id, .. } | What::Library { id } => Some(id),
            What::Other => None,
        }
    }
}

pub(super) struct Surgeon<'r> {
    repairs: Repairs,
    seeds: &'r [RandomState; 2],
    is_intact: bool,
    writer: Writer,
    deep: Deep,
    faults: Faults,
    rescuer: Rescuer,
    buffers: Buffers,
}

impl<'r> Surgeon<'r> {
    /// `is_intact`: the bytes are what was saved, so hash templates are what hashes need.
    pub(super) fn new(
        target: &Arc<Target>,
        repairs: Repairs,
        seeds: &'r [RandomState; 2],
        is_intact: bool,
    ) -> Surgeon<'r> {
        let options = Options {
            compress: true,
            rebuild: false,
            same_server: true,
            expand_templates: !is_intact,
            on_loss: OnLoss::Error,
        };
        Surgeon {
            repairs,
            seeds,
            is_intact,
            writer: Writer::new(target, options),
            deep: Deep::default(),
            faults: Faults::default(),
            rescuer: Rescuer::new(target),
            buffers: Buffers::default(),
        }
    }

    fn records(&mut self, batch: &Batch, out: &mut Outcome) {
        let mut buffers = std::mem::take(&mut self.buffers);
        let mut db = batch.db();
        for i in 0..batch.len() {
            let (start, raw) = (batch.offset_of(i), batch.unit_bytes(i));
            let outcome = batch.unit(i, &mut db, &mut buffers, &mut |record, scratch| {
                self.faults.clear();
                match &record {
                    Record::Entry(entry) => self.entry(entry, raw, scratch, out),
                    other => self.other(other, start, raw, batch.origin(), out),
                }
            });
            if let Err(e) = outcome {
                let key = e.key().map(|key| (e.db().unwrap_or(db), key.to_vec()));
                out.leave(start, raw, key, e.reason(), Fate::Lost);
            }
        }
        self.buffers = buffers;
    }

    fn entry(&mut self, entry: &Entry<'_>, raw: &[u8], scratch: &mut Scratch, out: &mut Outcome) -> Result<()> {
        self.deep.entry(entry, scratch, &mut self.faults);
        if entry.value.rdb_type == RdbType::ModulePreGa && !self.is_intact {
            self.faults.errors.push(Error::malformed(
                "module value of a 4.0 release candidate: where it ends can't be told where bytes are damaged",
            ));
        }
        let key = || Some((entry.db, entry.key.to_vec()));
        if self.faults.is_empty && !self.repairs.keep_empty {
            let kind = entry.value.kind().name();
            out.leave(entry.offset, raw, key(), format!("{kind}: it is empty"), Fate::Dropped);
            return Ok(());
        }
        if self.faults.errors.is_empty() {
            return self.write(entry, raw, scratch, out);
        }
        let why: Vec<String> = self.faults.errors.iter().map(Error::reason).collect();
        let why = why.join("; ");
        let said = entry.value.count(scratch).ok().flatten();
        match self.rescue(entry, said, scratch, out)? {
            Some(kept) => out.leave(entry.offset, raw, key(), format!("{why}; {kept}"), Fate::Changed),
            None => out.leave(entry.offset, raw, key(), why, Fate::Lost),
        }
        Ok(())
    }

    /// Writes what can be kept of a damaged value, if that is wanted; says how much of what it is said to have.
    fn rescue(
        &mut self,
        entry: &Entry<'_>,
        said: Option<u64>,
        scratch: &mut Scratch,
        out: &mut Outcome,
    ) -> Result<Option<String>> {
        if !self.repairs.salvage_elements {
            return Ok(None);
        }
        let Some((value, kept)) = self.rescuer.rescue(entry.value, scratch) else { return Ok(None) };
        let rescued = Entry { value, ..sane(*entry) };
        self.faults.clear();
        self.deep.entry(&rescued, scratch, &mut self.faults);
        if !self.faults.errors.is_empty() || self.faults.is_empty {
            return Ok(None);
        }
        let start = out.bytes.len();
        let carried = self.writer.entry(&rescued, &Rewrite::default(), scratch, &mut out.bytes)?;
        if carried != Carried::Whole || out.bytes.len() == start {
            out.bytes.truncate(start);
            return Ok(None);
        }
        out.push_key(&rescued, self.seeds);
        out.trimmed += u64::from(said != Some(kept));
        let kept = crate::text::count(kept, "element");
        Ok(Some(match said {
            Some(said) => format!("{kept} kept of the {said} that it is said to have"),
            None => format!("{kept} kept"),
        }))
    }

    /// Tells of bytes between records; keeps what it can of a row of elements whose lengths are damaged.
    fn gap(&mut self, gap: &Gap, origin: &Arc<Origin>, out: &mut Outcome) {
        let mut kept = None;
        if self.repairs.salvage_elements
            && !gap.goes_on
            && let Some((bytes, said)) = rows::record_around_damage(&gap.raw, origin)
        {
            let mut buffers = std::mem::take(&mut self.buffers);
            let mut db = gap.why.db().unwrap_or_default();
            let batch = Batch::of_one(bytes, gap.start, db, origin.clone());
            let rescued = batch.unit(0, &mut db, &mut buffers, &mut |record, scratch| {
                if let Record::Entry(entry) = record {
                    kept = self.rescue(&entry, Some(said), scratch, out)?;
                }
                Ok(())
            });
            self.buffers = buffers;
            kept = kept.filter(|_| rescued.is_ok());
        }
        out.leave_gap(gap, kept);
    }

    fn write(&mut self, entry: &Entry<'_>, raw: &[u8], scratch: &mut Scratch, out: &mut Outcome) -> Result<()> {
        let raw_key = || Some((entry.db, entry.key.to_vec()));
        let lost = match self.writer.entry(entry, &Rewrite::default(), scratch, &mut out.bytes)? {
            Carried::Left(why) => why,
            Carried::Nothing => "it is nothing that is written".into(),
            Carried::Whole | Carried::As(_) | Carried::Less(_) => {
                out.push_key(entry, self.seeds);
                return Ok(());
            }
        };
        out.leave(entry.offset, raw, raw_key(), lost.into_owned(), Fate::Lost);
        Ok(())
    }

    fn other(&mut self, record: &Record<'_>, start: u64, raw: &[u8], origin: &Origin, out: &mut Outcome) -> Result<()> {
        self.deep.other(record, origin, &mut self.faults);
        if let Some(e) = self.faults.errors.first() {
            out.leave(start, raw, None, e.reason(), Fate::Lost);
            return Ok(());
        }
        if let Some(why) = misleads(record, origin) {
            out.leave(start, raw, None, why, Fate::Dropped);
            return Ok(());
        }
        if let Record::ResizeDb { db, keys, .. } = record {
            out.hints.push((*db, *keys));
        }
        self.writer.other(record, origin, &mut out.bytes)?;
        let what = match record {
            Record::Function(source) => {
                What::Library { id: id(self.seeds, u64::MAX, library_name(source).unwrap_or(source)) }
            }
            _ => What::Other,
        };
        if out.items.last().map_or(0, |item| item.end) < out.bytes.len() {
            out.items.push(Item { end: out.bytes.len(), offset: start, what });
        }
        Ok(())
    }
}

/// Why an aux field would make readers take the dump for another's: it names a server that does not write such headers.
fn misleads(record: &Record<'_>, origin: &Origin) -> Option<String> {
    let Record::Aux { name, value } = record else { return None };
    if !Origin::cares_about(name) {
        return None;
    }
    let mut learned = origin.clone();
    learned.learn(name, value);
    crate::check::header(&learned).map(|e| e.reason())
}

/// A key without an expiry that no server takes.
fn sane(entry: Entry<'_>) -> Entry<'_> {
    Entry { expiry: entry.expiry.filter(|at| *at > 0), ..entry }
}

impl Outcome {
    fn clear(&mut self) {
        const KEPT: usize = 16 << 20;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.items.clear();
        self.left.clear();
        self.hints.clear();
        (self.gaps, self.trimmed) = (0, 0);
    }

    fn push_key(&mut self, entry: &Entry<'_>, seeds: &[RandomState; 2]) {
        let id = id(seeds, entry.db, entry.key);
        let what = What::Key { db: entry.db, expires: entry.expiry.is_some(), id };
        self.items.push(Item { end: self.bytes.len(), offset: entry.offset, what });
    }

    fn leave(&mut self, start: u64, raw: &[u8], key: Option<(u64, Vec<u8>)>, why: String, fate: Fate) {
        let end = start + raw.len() as u64;
        self.left.push(Left { start, end, key, why, fate, bits: None, raw: raw.to_vec() });
    }

    fn leave_gap(&mut self, gap: &Gap, kept: Option<String>) {
        let mut why = gap.why.reason();
        if let Some(db) = gap.guessed_db {
            why.push_str(&format!("; the keys behind are taken to be in database {db}"));
        }
        let key = gap.why.key().map(|key| (gap.why.db().unwrap_or_default(), key.to_vec()));
        let fate = if kept.is_some() { Fate::Changed } else { Fate::Lost };
        why.extend(kept.map(|kept| format!("; {kept}")));
        let Gap { start, end, bits, .. } = *gap;
        self.gaps += u64::from(!gap.goes_on);
        self.left.push(Left { start, end, key, why, fate, bits, raw: gap.raw.clone() });
    }
}

impl Work<Piece> for Surgeon<'_> {
    type Output = Outcome;

    fn batch(&mut self, piece: &Piece, out: &mut Outcome) -> Result<()> {
        out.clear();
        piece.gaps.iter().for_each(|gap| self.gap(gap, piece.batch.origin(), out));
        self.records(&piece.batch, out);
        Ok(())
    }
}
