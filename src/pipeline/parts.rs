//! The files of a conversion: where each record goes, that no key goes in twice, and that all appear or none.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::Output;
use super::recorder::{Encoded, Plan, What};
use super::unfinished::MadeFolders;
use crate::codec::{Cursor, Str};
use crate::error::{Error, Result};
use crate::model::Target;
use crate::rdb::{Frame, key_span};

/// Which of two keys with the same name goes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Conflict {
    /// Neither: it is an error.
    #[default]
    Error,
    /// The one that comes first.
    First,
    /// The one that comes last.
    Last,
}

/// How keys are divided among files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Division {
    /// By ranges of cluster slots: a file for each set of ranges, under its name.
    Slots(Vec<(String, Vec<RangeInclusive<u16>>)>),
    /// By database.
    Dbs,
    /// A new file before one would become larger than this many bytes.
    Size(u64),
}

/// Where the records go.
pub enum Destination {
    /// Into one file.
    One(Output),
    /// Into files of a folder.
    Folder {
        /// The folder; it is made if it isn't there.
        path: PathBuf,
        /// Who gets what.
        division: Division,
        /// Replace files that are there.
        force: bool,
    },
}

/// A file that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its name; empty for the one that was given.
    pub name: String,
    /// Keys in it.
    pub keys: u64,
    /// Bytes of it.
    pub size: u64,
}

/// One file, while it is written.
struct Part {
    name: String,
    output: Output,
    frame: Frame,
    keys: u64,
    /// What has not gone out yet.
    buf: Vec<u8>,
}

/// A file that is complete but for its name.
struct Done {
    output: Output,
    written: Written,
}

impl Part {
    fn begin(name: String, output: Output, target: &Target, checksum: bool) -> Part {
        let mut buf = Vec::new();
        let frame = Frame::begin(target, checksum, output.is_patchable(), &mut buf);
        Part { name, output, frame, keys: 0, buf }
    }

    /// Appends the bytes of a record.
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        const LARGE: usize = 256 << 10;
        if bytes.len() >= LARGE {
            self.flush()?;
            self.frame.written(bytes);
            return self.output.put(bytes);
        }
        self.buf.extend_from_slice(bytes);
        if self.buf.len() < LARGE { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        self.frame.written(&self.buf);
        let put = self.output.put(&self.buf);
        self.buf.clear();
        put
    }

    fn size(&self) -> u64 {
        self.frame.offset() + self.buf.len() as u64
    }

    fn end(mut self) -> Result<Done> {
        let written = self.size();
        let before = self.buf.len();
        let patches = self.frame.end(&mut self.buf);
        self.output.put(&self.buf)?;
        patches.iter().try_for_each(|patch| self.output.patch(patch.offset, &patch.bytes))?;
        let size = written + (self.buf.len() - before) as u64;
        Ok(Done { output: self.output, written: Written { name: self.name, keys: self.keys, size } })
    }
}

/// All files of a conversion.
pub(super) struct Parts<'p> {
    plan: &'p Plan,
    division: Division,
    /// The folder and whether its files may be replaced; none for a single file.
    folder: Option<(PathBuf, bool)>,
    parts: Vec<Part>,
    /// Those that have come to their size.
    done: Vec<Done>,
    by_db: HashMap<u64, usize>,
    /// Functions and the like so far: every file has them.
    common: Vec<u8>,
    seen: HashSet<u128>,
    /// The source of each function library.
    libraries: HashMap<u128, u128>,
    /// With [`Conflict::Last`]: which occurrence of a name is its last.
    last: HashMap<u128, u64>,
    ordinal: u64,
    pub(super) tally: Tally,
    /// The last to go: when the files that did not get their names have gone.
    made: Option<MadeFolders>,
}

/// What did not go in.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Keys that were left out because another one has their name.
    pub duplicates: u64,
    /// Keys in none of the ranges of slots.
    pub elsewhere: u64,
}

impl<'p> Parts<'p> {
    pub(super) fn new(plan: &'p Plan, destination: Destination) -> Result<Parts<'p>> {
        let mut parts = Parts {
            plan,
            division: Division::Size(u64::MAX),
            folder: None,
            parts: Vec::new(),
            done: Vec::new(),
            by_db: HashMap::new(),
            common: Vec::new(),
            seen: HashSet::new(),
            libraries: HashMap::new(),
            last: HashMap::new(),
            ordinal: 0,
            tally: Tally::default(),
            made: None,
        };
        match destination {
            Destination::One(output) => {
                parts.parts.push(Part::begin(String::new(), output, &plan.target, plan.checksum));
            }
            Destination::Folder { path, division, force } => {
                let made =
                    MadeFolders::create(&path).map_err(|e| Error::from(e).in_input(&path.display().to_string()))?;
                parts.made = Some(made);
                parts.folder = Some((path, force));
                parts.division = division;
                parts.open_first()?;
            }
        }
        Ok(parts)
    }

    /// Opens the files that are there whatever the input holds.
    fn open_first(&mut self) -> Result<()> {
        match &self.division {
            Division::Slots(ranges) => {
                let names: Vec<_> = ranges.iter().map(|(name, _)| name.clone()).collect();
                names.into_iter().try_for_each(|name| self.open(name).map(drop))
            }
            Division::Dbs => Ok(()),
            Division::Size(_) => self.open("part-001".into()).map(drop),
        }
    }

    /// Opens one more file, with all that every file has.
    fn open(&mut self, name: String) -> Result<usize> {
        let (folder, force) = self.folder.as_ref().map_or((Path::new("."), false), |(path, force)| (path, *force));
        let output = Output::create(Some(&folder.join(format!("{name}.rdb"))), force)?;
        let mut part = Part::begin(name, output, &self.plan.target, self.plan.checksum);
        part.put(&self.common)?;
        self.parts.push(part);
        Ok(self.parts.len() - 1)
    }

    /// First pass, with [`Conflict::Last`]: notes which occurrence of each name is its last.
    pub(super) fn survey(&mut self, encoded: &Encoded) {
        for item in &encoded.items {
            if let What::Key { id, .. } | What::Function { id, .. } = item.what {
                self.ordinal += 1;
                self.last.insert(id, self.ordinal);
            }
        }
    }

    /// The first pass is over.
    pub(super) fn end_survey(&mut self) {
        self.ordinal = 0;
    }

    /// Takes a piece of the output.
    pub(super) fn take(&mut self, encoded: &Encoded) -> Result<()> {
        let mut start = 0;
        for item in &encoded.items {
            let bytes = &encoded.bytes[start..item.end];
            start = item.end;
            match item.what {
                What::Key { db, slot, expires, id } => {
                    if self.admits(db, id, bytes)?
                        && let Some(part) = self.part_of(db, slot, bytes.len() as u64)?
                    {
                        let part = &mut self.parts[part];
                        part.keys += 1;
                        part.frame.key(db, expires, &mut part.buf);
                        part.put(bytes)?;
                    }
                }
                What::Function { id, source } => {
                    if self.admits_library(id, source)? {
                        self.put_common(bytes)?;
                    }
                }
                What::Other => self.put_common(bytes)?,
            }
        }
        Ok(())
    }

    fn put_common(&mut self, bytes: &[u8]) -> Result<()> {
        if self.folder.is_some() {
            self.common.extend_from_slice(bytes);
        }
        self.parts.iter_mut().try_for_each(|part| part.put(bytes))
    }

    /// Whether this is the one key of its name that goes in.
    fn admits(&mut self, db: u64, id: u128, bytes: &[u8]) -> Result<bool> {
        if !self.plan.compares_keys {
            return Ok(true);
        }
        self.ordinal += 1;
        let admitted = match self.plan.conflict {
            Conflict::Last => self.last.get(&id) == Some(&self.ordinal),
            _ => self.seen.insert(id),
        };
        if !admitted && self.plan.conflict == Conflict::Error {
            let twice = Error::usage("the key stands twice, and only one can go in");
            return Err(twice.of_key(db, &key_of(bytes)?));
        }
        self.tally.duplicates += u64::from(!admitted);
        Ok(admitted)
    }

    /// The same for function libraries; one that stands twice in the same words does no harm.
    fn admits_library(&mut self, id: u128, source: u128) -> Result<bool> {
        self.ordinal += 1;
        let known = self.libraries.get(&id).copied();
        match (self.plan.conflict, known) {
            (Conflict::Last, _) if self.last.get(&id) != Some(&self.ordinal) => return Ok(false),
            (Conflict::Error, Some(known)) if known != source => {
                return Err(Error::malformed(
                    "input: two function libraries of one name; --on-conflict first or last chooses",
                ));
            }
            (Conflict::Error | Conflict::First, Some(_)) => return Ok(false),
            _ => {}
        }
        self.libraries.insert(id, source);
        Ok(true)
    }

    /// The file that a key goes into.
    fn part_of(&mut self, db: u64, slot: u16, size: u64) -> Result<Option<usize>> {
        /// What may stand around a key: a database with its hint, the end of the file.
        const AROUND: u64 = 32;
        match &self.division {
            Division::Slots(ranges) => {
                let part = ranges.iter().position(|(_, ranges)| ranges.iter().any(|range| range.contains(&slot)));
                self.tally.elsewhere += u64::from(part.is_none());
                Ok(part)
            }
            Division::Dbs => match self.by_db.get(&db) {
                Some(part) => Ok(Some(*part)),
                None => {
                    let part = self.open(format!("db-{db}"))?;
                    self.by_db.insert(db, part);
                    Ok(Some(part))
                }
            },
            Division::Size(max) => {
                let max = *max;
                let is_full = |part: &Part| part.keys > 0 && part.size().saturating_add(size + AROUND) > max;
                if let Some(full) = self.parts.pop_if(|part| is_full(part)) {
                    self.done.push(full.end()?);
                    self.open(format!("part-{:03}", self.done.len() + 1))?;
                }
                Ok(Some(0))
            }
        }
    }

    /// Ends all files and gives them their names.
    pub(super) fn end(mut self) -> Result<Vec<Written>> {
        for part in std::mem::take(&mut self.parts) {
            self.done.push(part.end()?);
        }
        let finish = |done: Done| done.output.finish().map(|()| done.written);
        let written = self.done.into_iter().map(finish).collect::<Result<_>>()?;
        if let Some(made) = self.made {
            made.keep();
        }
        Ok(written)
    }
}

/// The key of a record that was written here.
fn key_of(record: &[u8]) -> Result<Vec<u8>> {
    let mut buf = Vec::new();
    Ok(Str::take(&mut Cursor::new(&record[key_span(record)?]), &mut buf)?.to_vec())
}
