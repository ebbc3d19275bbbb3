//! Checking: walks every value to its last byte and lists whatever is wrong, not only the first.
//!
//! Damage within a value does not end the walk, as the value's extent is known; damage that hides where the next
//! record begins does.

pub mod aof;
mod deep;
mod hints;
mod keys;
mod loadable;
mod stream;
mod vectorset;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

pub use deep::{Deep, Faults, field_expiry, header};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Batch, Buffers, Entry, Filter, Origin, Record, Scratch, Target, library_name};
use crate::pipeline::{Input, Work, run};
use crate::rdb::{Checksum, End, TrailingKind};
use hints::{Size, Sizes, Step};
use keys::{Keys, Known, Noted};
use loadable::Obstacles;

/// What is looked for.
#[derive(Default)]
pub struct Checks {
    /// Which keys are looked at.
    pub filter: Filter,
    /// Look with a server's eyes: for what can be read, but is refused, crashes it, or is not what was saved.
    pub deep: bool,
    /// Name what would keep this server from loading the file.
    pub loadable_by: Option<Target>,
}

/// Something that was found.
#[derive(Clone, Copy)]
pub enum Finding<'e> {
    /// Damage, or something unknown.
    Problem(&'e Error),
    /// What keeps the server that was named from loading the file.
    Obstacle(&'e Error),
}

/// What came of a check.
#[derive(Debug)]
pub struct Verdict {
    /// How many problems there are.
    pub problems: u64,
    /// How many of them are damage to the file.
    pub damage: u64,
    /// How many things keep the server that was named from loading it.
    pub obstacles: u64,
    /// Keys that were walked.
    pub keys: u64,
    /// Whether the file was read to its end.
    pub complete: bool,
    /// How the file ended, if it was read to its end.
    pub end: Option<End>,
}

/// A worker that walks values.
struct Walker<'c> {
    checks: &'c Checks,
    seen: Option<&'c Keys>,
    buffers: Buffers,
    eye: Eye,
}

/// What a worker needs to look deeper.
#[derive(Default)]
struct Eye {
    deep: Deep,
    faults: Faults,
    noted: Noted,
}

/// What a worker found in a batch.
#[derive(Default)]
struct Found {
    problems: Vec<Error>,
    keys: u64,
    steps: Vec<Step>,
    twins: Vec<Twin>,
    libraries: Vec<(Vec<u8>, u64)>,
    obstacles: Obstacles,
}

/// A key that was seen at two places.
struct Twin {
    db: u64,
    key: Vec<u8>,
    places: [u64; 2],
}

impl Found {
    fn clear(&mut self) {
        self.problems.clear();
        self.keys = 0;
        self.steps.clear();
        self.twins.clear();
        self.libraries.clear();
        self.obstacles.clear();
    }

    /// Counts a key for the size hints.
    #[inline]
    fn count(&mut self, expires: bool) {
        let size = Size { keys: 1, expires: u64::from(expires) };
        match self.steps.last_mut() {
            Some(Step::Keys(sum)) => {
                sum.keys += size.keys;
                sum.expires += size.expires;
            }
            _ => self.steps.push(Step::Keys(size)),
        }
    }
}

impl Work for Walker<'_> {
    type Output = Found;

    fn batch(&mut self, batch: &Batch, out: &mut Found) -> Result<()> {
        out.clear();
        let Walker { checks, seen, buffers, eye } = self;
        eye.noted.clear();
        let mut db = batch.db();
        for i in 0..batch.len() {
            let at = batch.offset_of(i);
            let outcome = batch.unit(i, &mut db, buffers, &mut |record, scratch| {
                if let Some(target) = &checks.loadable_by {
                    out.obstacles.record(&record, at, target);
                }
                match (&record, checks.deep) {
                    (Record::Entry(entry), false) => shallow(entry, &checks.filter, scratch, out),
                    (Record::Entry(entry), true) => {
                        out.count(entry.expiry.is_some());
                        if checks.filter.keeps(entry) {
                            eye.entry(entry, i, *seen, scratch, out);
                        }
                        Ok(())
                    }
                    (other, true) => {
                        eye.other(other, at, batch.origin(), out);
                        Ok(())
                    }
                    (_, false) => Ok(()),
                }
            });
            out.problems.extend(outcome.err());
        }
        if let Some(seen) = seen {
            seen.note(&mut eye.noted, &mut |Known { unit, mut db, place }, other| {
                let name_it = &mut |record: Record<'_>, _: &mut Scratch| {
                    if let Record::Entry(Entry { db, key, .. }) = record {
                        out.twins.push(Twin { db, key: key.to_vec(), places: [other, place] });
                    }
                    Ok(())
                };
                // It has been read a moment ago.
                drop(batch.unit(unit, &mut db, buffers, name_it));
            });
        }
        Ok(())
    }
}

fn shallow(entry: &Entry<'_>, filter: &Filter, scratch: &mut Scratch, out: &mut Found) -> Result<()> {
    if !filter.keeps(entry) {
        return Ok(());
    }
    out.keys += 1;
    entry.each_meta(|_| Ok(()))?;
    entry.value.verify(scratch)
}

impl Eye {
    fn entry(&mut self, entry: &Entry<'_>, unit: usize, seen: Option<&Keys>, scratch: &mut Scratch, out: &mut Found) {
        let Entry { db, key, offset, .. } = *entry;
        out.keys += 1;
        self.faults.clear();
        self.deep.entry(entry, scratch, &mut self.faults);
        if self.faults.is_empty {
            let kind = entry.value.kind().name();
            self.faults.add(format!("{kind}: it is empty; servers from 6.2 on skip the key, older ones load it"));
        }
        if !self.faults.errors.is_empty() {
            out.problems.extend(self.faults.errors.drain(..).map(|e| e.placed(offset).of_key(db, key)));
        }
        if let Some(seen) = seen {
            self.noted.add(seen, key, Known { unit, db, place: offset });
        }
    }

    fn other(&mut self, record: &Record<'_>, at: u64, origin: &Origin, out: &mut Found) {
        match *record {
            Record::SelectDb(db) => out.steps.push(Step::Select(db)),
            Record::ResizeDb { keys, expires, .. } => out.steps.push(Step::Hint(Size { keys, expires }, at)),
            Record::Function(source) => out.libraries.extend(library_name(source).map(|name| (name.to_vec(), at))),
            _ => {}
        }
        self.faults.clear();
        self.deep.other(record, origin, &mut self.faults);
        out.problems.extend(self.faults.errors.drain(..).map(|e| e.placed(at)));
    }
}

/// What is known of the whole file only at its end.
#[derive(Default)]
struct Whole {
    sizes: Sizes,
    /// Every place at which a key stands that stands more than once.
    twins: BTreeMap<(u64, Vec<u8>), BTreeSet<u64>>,
    libraries: HashSet<Vec<u8>>,
    obstacles: Obstacles,
}

impl Whole {
    /// Takes what a batch says; gives the libraries in it that were there before.
    fn take(&mut self, found: &Found) -> Vec<Error> {
        self.sizes.take(&found.steps);
        self.obstacles.merge(&found.obstacles);
        for Twin { db, key, places } in &found.twins {
            self.twins.entry((*db, key.clone())).or_default().extend(places);
        }
        let is_known = |(name, at): &(Vec<u8>, u64)| {
            let what = format!("file: the function library {} stands twice", crate::text::quoted_short(name));
            (!self.libraries.insert(name.clone())).then(|| Error::malformed(what).at(*at))
        };
        found.libraries.iter().filter_map(is_known).collect()
    }

    /// The keys that stand more than once, in the order of the file.
    fn twins(&self) -> Vec<Error> {
        let mut again = BTreeMap::new();
        for ((db, key), places) in &self.twins {
            let mut places = places.iter();
            let first = places.next().copied().unwrap_or_default();
            for place in places {
                let what = format!("file: the key stands twice, first at offset {first}");
                again.insert(*place, Error::malformed(what).at(*place).of_key(*db, key));
            }
        }
        again.into_values().collect()
    }
}

/// Walks the whole input and gives everything that is found to `report`: problems of single records in file order, then
/// those of the file as a whole.
pub fn check(
    input: &mut Input,
    threads: NonZeroUsize,
    checks: &Checks,
    mut report: impl FnMut(Finding<'_>) -> Result<()>,
) -> Result<Verdict> {
    input.reader.verify(false);
    let mut verdict = Verdict { problems: 0, damage: 0, obstacles: 0, keys: 0, complete: false, end: None };
    let mut whole = Whole::default();
    let mut take = |found: &Found, verdict: &mut Verdict| {
        verdict.keys += found.keys;
        let twice = whole.take(found);
        found.problems.iter().chain(&twice).try_for_each(|problem| verdict.note(problem, &mut report))
    };
    let seen = checks.deep.then(Keys::default);
    let walker = || Walker { checks, seen: seen.as_ref(), buffers: Buffers::default(), eye: Eye::default() };
    if let Some(head) = input.reader.take_head() {
        let mut found = Found::default();
        walker().batch(&head, &mut found)?;
        take(&found, &mut verdict)?;
    }
    let meter = input.meter.clone();
    let mut reported = Ok(());
    let (_, outcome) = run(&mut input.reader, threads, &meter, walker, |found| {
        reported = take(found, &mut verdict);
        Ok(if reported.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    });
    reported?;
    verdict.complete = outcome.is_ok();
    if let Err(e) = outcome {
        // A bound that the user set says nothing about the file.
        if matches!(e.kind(), ErrorKind::Usage(_)) {
            return Err(e);
        }
        verdict.note(&e, &mut report)?;
        if !e.is_damage() && !input.reader.is_intact_to_its_end()? {
            verdict.note(&unknown_or_damaged(), &mut report)?;
        }
    }
    verdict.end = input.reader.end().cloned();
    of_the_whole(input, checks, &whole, &mut verdict, &mut report)?;
    if let Some(End { checksum: Checksum::Wrong { stored, computed }, size, .. }) = verdict.end {
        let wrong = Error::new(ErrorKind::Checksum { stored, computed }).at(size - 8);
        verdict.note(&wrong, &mut report)?;
    }
    Ok(verdict)
}

/// Says what is wrong with the file as a whole.
fn of_the_whole(
    input: &Input,
    checks: &Checks,
    whole: &Whole,
    verdict: &mut Verdict,
    report: &mut impl FnMut(Finding<'_>) -> Result<()>,
) -> Result<()> {
    let origin = input.reader.origin();
    if checks.deep {
        // Where the end was not reached, keys are lacking for a reason that was told already.
        let lies = if verdict.complete { whole.sizes.lies(origin) } else { Vec::new() };
        let all = header(origin).into_iter().chain(whole.twins()).chain(lies);
        all.into_iter().try_for_each(|problem| verdict.note(&problem, report))?;
        if let Some(trailing) = verdict.end.as_ref().and_then(|end| end.trailing)
            && trailing.kind == TrailingKind::Unknown
        {
            let what =
                format!("file: {} follow its end, which no server reads", crate::text::count(trailing.bytes, "byte"));
            let at = verdict.end.as_ref().map_or(0, |end| end.size);
            verdict.note(&Error::malformed(what).at(at), report)?;
        }
    }
    for obstacle in checks.loadable_by.iter().flat_map(|target| whole.obstacles.errors(origin, target)) {
        verdict.obstacles += 1;
        report(Finding::Obstacle(&obstacle))?;
    }
    Ok(())
}

/// What is unknown may be so because it is damaged: the checksum of the whole file tells.
fn unknown_or_damaged() -> Error {
    Error::malformed("file: its last eight bytes are not the checksum of what is before them")
}

impl Verdict {
    fn note(&mut self, problem: &Error, report: &mut impl FnMut(Finding<'_>) -> Result<()>) -> Result<()> {
        self.problems += 1;
        self.damage += u64::from(problem.is_damage());
        report(Finding::Problem(problem))
    }

    /// Whether the file is sound: `None` when that can't be told, as something in it is unknown or can't be read.
    pub fn sound(&self) -> Option<bool> {
        match (self.problems, self.damage) {
            (0, _) => Some(true),
            (_, 0) => None,
            _ => Some(false),
        }
    }
}
