//! Checking: walks every value to its last byte and lists whatever is wrong, not only the first.
//!
//! Damage within a value does not end the walk, as the value's extent is known; damage that hides where the next
//! record begins does.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Batch, Buffers, Filter, Record};
use crate::pipeline::{Input, Work, run};
use crate::rdb::{Checksum, End};

/// What came of a check.
#[derive(Debug)]
pub struct Verdict {
    /// How many problems there are.
    pub problems: u64,
    /// How many of them are damage to the file.
    pub damage: u64,
    /// Keys that were walked.
    pub keys: u64,
    /// Whether the file was read to its end.
    pub complete: bool,
    /// How the file ended, if it was read to its end.
    pub end: Option<End>,
}

/// A worker that walks values.
struct Walker<'f> {
    filter: &'f Filter,
    buffers: Buffers,
}

/// What a worker found in a batch.
#[derive(Default)]
struct Found {
    problems: Vec<Error>,
    keys: u64,
}

impl Work for Walker<'_> {
    type Output = Found;

    fn batch(&mut self, batch: &Batch, out: &mut Found) -> Result<()> {
        let Walker { filter, buffers } = self;
        out.problems.clear();
        out.keys = 0;
        let mut db = batch.db();
        for i in 0..batch.len() {
            let outcome = batch.unit(i, &mut db, buffers, &mut |record, scratch| {
                let Record::Entry(entry) = &record else { return Ok(()) };
                if !filter.keeps(entry) {
                    return Ok(());
                }
                out.keys += 1;
                entry.each_meta(|_| Ok(()))?;
                entry.value.each(scratch, |_| Ok(()))
            });
            out.problems.extend(outcome.err());
        }
        Ok(())
    }
}

/// Walks the whole input and gives every problem, in file order, to `report`.
pub fn check(
    input: &mut Input,
    threads: NonZeroUsize,
    filter: &Filter,
    mut report: impl FnMut(&Error) -> Result<()>,
) -> Result<Verdict> {
    input.reader.verify(false);
    let mut verdict = Verdict { problems: 0, damage: 0, keys: 0, complete: false, end: None };
    let mut take = |found: &Found, verdict: &mut Verdict| {
        verdict.keys += found.keys;
        found.problems.iter().try_for_each(|problem| verdict.note(problem, &mut report))
    };
    let walker = || Walker { filter, buffers: Buffers::default() };
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
        verdict.note(&e, &mut report)?;
        if !e.is_damage() && !input.reader.is_intact_to_its_end()? {
            verdict.note(&unknown_or_damaged(), &mut report)?;
        }
    }
    verdict.end = input.reader.end().cloned();
    if let Some(End { checksum: Checksum::Wrong { stored, computed }, size, .. }) = verdict.end {
        let wrong = Error::new(ErrorKind::Checksum { stored, computed }).at(size - 8);
        verdict.note(&wrong, &mut report)?;
    }
    Ok(verdict)
}

/// What is unknown may be so because it is damaged: the checksum of the whole file tells.
fn unknown_or_damaged() -> Error {
    Error::malformed("file: its last eight bytes are not the checksum of what is before them")
}

impl Verdict {
    fn note(&mut self, problem: &Error, report: &mut impl FnMut(&Error) -> Result<()>) -> Result<()> {
        self.problems += 1;
        self.damage += u64::from(problem.is_damage());
        report(problem)
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
