//! Puts the sound records together: no name twice, databases with their true sizes, the end and the checksum.

use std::collections::BTreeMap;

use super::names::Names;
use super::surgeon::{Item, Outcome, What};
use super::{Duplicates, Fate, Left, Report, Told};
use crate::codec::string::write_raw;
use crate::codec::{Cursor, Str};
use crate::error::Result;
use crate::model::Target;
use crate::pipeline::Output;
use crate::rdb::{Frame, key_span};

/// The output while it grows.
pub(super) struct Stitcher<'r> {
    names: Names,
    output: &'r mut Output,
    told: Told<'r>,
    frame: Frame,
    /// What has not gone out yet.
    buf: Vec<u8>,
    report: Report,
    /// For each database, the keys it is said to have and those that are kept.
    sizes: BTreeMap<u64, (u64, u64)>,
}

impl<'r> Stitcher<'r> {
    pub(super) fn new(
        target: &Target,
        names: Names,
        output: &'r mut Output,
        told: Told<'r>,
        report: Report,
    ) -> Stitcher<'r> {
        let mut buf = Vec::new();
        let frame = Frame::begin(target, true, output.is_patchable(), &mut buf);
        Stitcher { names, output, told, frame, buf, report, sizes: BTreeMap::new() }
    }

    /// Takes what came of a batch.
    pub(super) fn take(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.report.gaps += outcome.gaps;
        self.report.trimmed += outcome.trimmed;
        for (db, keys) in &outcome.hints {
            // A hint may say anything.
            let said = &mut self.sizes.entry(*db).or_default().0;
            *said = said.saturating_add(*keys);
        }
        for left in outcome.left.drain(..) {
            self.tell(&left)?;
        }
        let mut start = 0;
        for item in &outcome.items {
            let bytes = &outcome.bytes[start..item.end];
            start = item.end;
            self.item(item, bytes)?;
        }
        Ok(())
    }

    fn tell(&mut self, left: &Left) -> Result<()> {
        match left.fate {
            Fate::Lost => {
                self.report.lost += u64::from(left.bits.is_none() && left.key.is_some());
                self.report.lost_bytes += left.end - left.start;
            }
            Fate::Dropped => self.report.dropped += 1,
            Fate::Changed => self.report.changed += 1,
        }
        (self.told)(left)
    }

    fn item(&mut self, item: &Item, bytes: &[u8]) -> Result<()> {
        match item.what {
            What::Other => self.put(bytes),
            What::Library { id } if self.names.admits(id) => {
                self.report.libraries += 1;
                self.put(bytes)
            }
            What::Library { .. } => {
                let why = "the function library stands twice".to_owned();
                self.leave(item, bytes, None, why, Fate::Lost)
            }
            What::Key { db, expires, id } if self.names.admits(id) => self.key(db, expires, bytes),
            What::Key { db, expires, .. } => self.duplicate(db, expires, item, bytes),
        }
    }

    fn key(&mut self, db: u64, expires: bool, bytes: &[u8]) -> Result<()> {
        self.report.keys += 1;
        self.sizes.entry(db).or_default().1 += 1;
        self.frame.key(db, expires, &mut self.buf);
        self.put(bytes)
    }

    fn duplicate(&mut self, db: u64, expires: bool, item: &Item, bytes: &[u8]) -> Result<()> {
        let span = key_span(bytes)?;
        let mut buf = Vec::new();
        let key = Str::take(&mut Cursor::new(&bytes[span.clone()]), &mut buf)?.to_vec();
        let (which, fate) = match self.names.duplicates {
            Duplicates::First => ("the key stands twice, and the first one is kept".to_owned(), Fate::Lost),
            Duplicates::Last => ("the key stands twice, and the last one is kept".to_owned(), Fate::Lost),
            Duplicates::Rename => {
                let other = self.names.another(db, &key);
                let mut renamed = bytes[..span.start].to_vec();
                write_raw(&other, &mut renamed);
                renamed.extend_from_slice(&bytes[span.end..]);
                self.key(db, expires, &renamed)?;
                (format!("the key stands twice; this one is now {}", crate::text::quoted_short(&other)), Fate::Changed)
            }
        };
        self.leave(item, bytes, Some((db, key)), which, fate)
    }

    fn leave(&mut self, item: &Item, bytes: &[u8], key: Option<(u64, Vec<u8>)>, why: String, fate: Fate) -> Result<()> {
        let (start, end) = (item.offset, item.offset + bytes.len() as u64);
        self.tell(&Left { start, end, key, why, fate, bits: None, raw: bytes.to_vec() })
    }

    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        const LARGE: usize = 256 << 10;
        self.buf.extend_from_slice(bytes);
        if self.buf.len() < LARGE {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.frame.written(&self.buf);
        let put = self.output.put(&self.buf);
        self.buf.clear();
        put
    }

    /// Closes the file.
    pub(super) fn end(mut self) -> Result<Report> {
        let before = self.frame.offset();
        let patches = self.frame.end(&mut self.buf);
        self.output.put(&self.buf)?;
        patches.iter().try_for_each(|patch| self.output.patch(patch.offset, &patch.bytes))?;
        self.report.size = before + self.buf.len() as u64;
        self.report.expected = self
            .sizes
            .into_iter()
            .filter(|(_, (said, _))| *said > 0)
            .map(|(db, (said, kept))| (db, said, kept))
            .collect();
        Ok(self.report)
    }
}
