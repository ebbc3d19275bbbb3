//! Any number of inputs into RDB files: conversion, merging, division; and the plain copy where nothing changes.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::parts::{Destination, Parts, Tally, Written};
use super::recorder::{Encoded, Loss, Plan, Recorder};
use super::together::{Together, pump};
use super::{Input, Meter, Output, Source, Work, run};
use crate::codec::opcode;
use crate::error::Result;
use crate::model::{Batch, Target};
use crate::rdb::{Checksum, OnLoss};

/// What came of a conversion.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The files.
    pub files: Vec<Written>,
    /// Keys and other things that the target cannot hold, and which were left out.
    pub left: u64,
    /// Keys that were written without something.
    pub less: u64,
    /// Keys that became values of another type: arrays as hashes.
    pub changed: u64,
    /// Keys that were left out with their modules.
    pub stripped: u64,
    /// What else did not go in.
    pub tally: Tally,
}

/// Who hears of what the target cannot hold.
pub type Told<'p> = &'p mut dyn FnMut(&Loss) -> Result<()>;

/// Takes inputs one after the other, and writes what the plan says.
pub struct Composer<'p> {
    plan: &'p Plan,
    parts: Parts<'p>,
    told: Told<'p>,
    report: Report,
    has_begun: bool,
}

impl<'p> Composer<'p> {
    /// Begins; `told` hears of everything that the target cannot hold.
    pub fn new(plan: &'p Plan, destination: Destination, told: Told<'p>) -> Result<Composer<'p>> {
        let parts = Parts::new(plan, destination)?;
        Ok(Composer { plan, parts, told, report: Report::default(), has_begun: false })
    }

    /// First pass over an input, where the last of several keys is wanted: over all inputs, before any is added.
    pub fn survey(&mut self, input: &mut Input, threads: NonZeroUsize) -> Result<()> {
        let plan = self.plan;
        if let Some(head) = input.reader.take_head() {
            let mut encoded = Encoded::default();
            Recorder::new(plan).batch(&head, &mut encoded)?;
            self.parts.survey(&encoded);
        }
        let parts = &mut self.parts;
        let meter = input.meter.clone();
        run(
            &mut input.reader,
            threads,
            &meter,
            || Recorder::new(plan),
            |encoded| {
                parts.survey(encoded);
                Ok(ControlFlow::Continue(()))
            },
        )
        .1
    }

    /// Adds a dump. The first one's aux fields are those of the output.
    pub fn add(&mut self, input: &mut Input, threads: NonZeroUsize) -> Result<()> {
        let plan = self.plan;
        let is_first = self.begin()?;
        if let Some(head) = input.reader.take_head() {
            let mut recorder = Recorder::new(plan);
            recorder.skips_aux = !is_first;
            let mut encoded = Encoded::default();
            recorder.batch(&head, &mut encoded)?;
            self.take(&encoded)?;
        }
        let meter = input.meter.clone();
        self.run(&mut input.reader, threads, &meter, || Recorder::new(plan))
    }

    /// Adds several dumps that are read at the same time.
    pub(super) fn add_together(&mut self, mut inputs: Vec<Input>, threads: NonZeroUsize) -> Result<()> {
        let plan = self.plan;
        for input in &mut inputs {
            let is_first = self.begin()?;
            let mut recorder = Recorder::new(plan);
            recorder.skips_aux = !is_first;
            let mut encoded = Encoded::default();
            if let Some(head) = input.reader.take_head() {
                recorder.batch(&head, &mut encoded)?;
            }
            self.take(&encoded)?;
        }
        thread::scope(|scope| {
            let (give, mut together) = Together::new();
            for input in inputs {
                let give = give.clone();
                scope.spawn(move || pump(input, &give));
            }
            drop(give);
            self.run(&mut together, threads, &Meter::default(), || Recorder::new(plan))
        })
    }

    pub(super) fn plan(&self) -> &'p Plan {
        self.plan
    }

    /// Begins with an input; says whether it is the first, in front of which the output's own aux fields go.
    pub(super) fn begin(&mut self) -> Result<bool> {
        if self.has_begun {
            return Ok(false);
        }
        self.has_begun = true;
        self.parts.end_survey();
        let mut encoded = Encoded::default();
        Recorder::new(self.plan).own_aux(&mut encoded)?;
        self.take(&encoded)?;
        Ok(true)
    }

    /// Sends all batches of a source through workers, and what comes of them into the files.
    pub(super) fn run<S: Source, W: Work<S::Batch, Output = Encoded>>(
        &mut self,
        source: &mut S,
        threads: NonZeroUsize,
        meter: &Meter,
        worker: impl Fn() -> W,
    ) -> Result<()> {
        run(source, threads, meter, worker, |encoded| self.take(encoded).map(ControlFlow::Continue)).1
    }

    /// Takes a piece of the output.
    pub(super) fn take(&mut self, encoded: &Encoded) -> Result<()> {
        for loss in &encoded.losses {
            *if loss.kept { &mut self.report.less } else { &mut self.report.left } += 1;
            (self.told)(loss)?;
        }
        self.report.stripped += encoded.stripped;
        self.report.changed += encoded.changed;
        self.parts.take(encoded)
    }

    /// Whether anything was left out that the user did not allow to be.
    pub fn is_refused(&self) -> bool {
        self.plan.options.on_loss == OnLoss::Error && self.report.left > 0
    }

    /// Completes the files and gives them their names.
    pub fn finish(self) -> Result<Report> {
        let tally = self.parts.tally;
        let files = self.parts.end()?;
        Ok(Report { files, tally, ..self.report })
    }
}

/// Copies a dump as it is, byte for byte: whole batches, with the checksum that it has.
pub fn copy(input: &mut Input, threads: NonZeroUsize, mut output: Output) -> Result<Written> {
    let (mut keys, mut size) = (0, 0);
    let mut put = |bytes: &[u8]| {
        size += bytes.len() as u64;
        output.put(bytes)
    };
    put(Target::of(input.reader.origin()).header().as_bytes())?;
    if let Some(head) = input.reader.take_head() {
        put(head.bytes())?;
    }
    read_ahead(input, threads, |batch| {
        keys += batch.keys();
        put(batch.bytes())
    })?;
    put(&[opcode::EOF])?;
    match input.reader.end().map(|end| end.checksum) {
        Some(Checksum::Absent) | None => {}
        Some(Checksum::Off) => put(&[0; 8])?,
        Some(Checksum::Ok(crc) | Checksum::Wrong { computed: crc, .. }) => put(&crc.to_le_bytes())?,
    }
    output.finish()?;
    Ok(Written { name: String::new(), keys, size })
}

/// Gives every batch to `sink`, while another thread reads and measures what follows it.
fn read_ahead(input: &mut Input, threads: NonZeroUsize, mut sink: impl FnMut(&Batch) -> Result<()>) -> Result<()> {
    /// One is written, one is filled, and one waits.
    const BATCHES: usize = 3;
    let Input { reader, meter, .. } = input;
    let mut take = |batch: &Batch| {
        meter.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
        sink(batch)
    };
    if threads.get() == 1 {
        let mut batch = reader.batch();
        while reader.fill(&mut batch)? {
            take(&batch)?;
        }
        return Ok(());
    }
    let (give_free, take_free) = sync_channel(BATCHES);
    let (give_full, take_full) = sync_channel(BATCHES);
    (0..BATCHES).for_each(|_| drop(give_free.try_send(reader.batch())));
    thread::scope(move |scope| {
        scope.spawn(move || {
            for mut batch in take_free {
                let filled = match reader.fill(&mut batch) {
                    Ok(true) => Ok(batch),
                    Ok(false) => return,
                    Err(e) => Err(e),
                };
                let is_last = filled.is_err();
                if give_full.send(filled).is_err() || is_last {
                    return;
                }
            }
        });
        for batch in take_full {
            let batch = batch?;
            take(&batch)?;
            // The reader may have come to its end already.
            drop(give_free.try_send(batch));
        }
        Ok(())
    })
}
