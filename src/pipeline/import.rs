//! Text into RDB files: JSON, CSV, commands.

use std::io::Read;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use super::aof::Loaded;
use super::compose::Composer;
use super::parts::Destination;
use super::pipe::produced;
use super::recorder::{Encoded, Loss, Plan, Recorder};
use super::{Meter, Output, Source, Work};
use crate::error::{Error, Result};
use crate::model::{Origin, Scratch, Target, ValueBuf};
use crate::{csv, json, resp};

impl Source for json::Source {
    type Batch = json::Batch;

    fn batch(&self) -> json::Batch {
        json::Source::batch(self)
    }

    fn fill(&mut self, batch: &mut json::Batch) -> Result<bool> {
        json::Source::fill(self, batch)
    }

    fn count(batch: &json::Batch) -> usize {
        batch.len()
    }
}

/// Reads entries and records them. Every worker has its own.
struct JsonRecorder<'p> {
    reader: json::EntryReader,
    recorder: Recorder<'p>,
    origin: &'p Origin,
    scratch: Scratch,
}

impl Work<json::Batch> for JsonRecorder<'_> {
    type Output = Encoded;

    fn batch(&mut self, batch: &json::Batch, out: &mut Encoded) -> Result<()> {
        let JsonRecorder { reader, recorder, origin, scratch } = self;
        out.clear();
        batch.each(reader, &mut |record| recorder.record(&record, origin, scratch, out))
    }
}

impl<'p> Composer<'p> {
    /// Adds a JSON document. Entries that name no database are in `db`.
    pub fn add_json(&mut self, source: &mut json::Source, db: u64, threads: NonZeroUsize, meter: &Meter) -> Result<()> {
        let plan: &'p Plan = self.plan();
        self.begin()?;
        let origin = source.header().map(|header| header.origin().clone());
        if let Some(header) = source.header() {
            let (mut encoded, mut scratch) = (Encoded::default(), Scratch::default());
            let mut recorder = Recorder::new(plan);
            header.each(&mut |record| recorder.record(&record, header.origin(), &mut scratch, &mut encoded))?;
            self.take(&encoded)?;
        }
        self.run(source, threads, meter, || JsonRecorder {
            reader: json::EntryReader::new(&plan.target, plan.options.compress, origin.as_ref(), db),
            recorder: Recorder::new(plan),
            origin: &plan.target.origin,
            scratch: Scratch::default(),
        })
    }
}

impl Source for resp::Drain {
    type Batch = resp::Batch;

    fn batch(&self) -> resp::Batch {
        resp::Batch::default()
    }

    fn fill(&mut self, batch: &mut resp::Batch) -> Result<bool> {
        Ok(resp::Drain::fill(self, batch))
    }

    fn count(batch: &resp::Batch) -> usize {
        batch.len()
    }
}

/// Serializes what commands have built, and records it. Every worker has its own.
struct DatasetRecorder<'p> {
    values: ValueBuf,
    recorder: Recorder<'p>,
    origin: &'p Origin,
    scratch: Scratch,
}

impl Work<resp::Batch> for DatasetRecorder<'_> {
    type Output = Encoded;

    fn batch(&mut self, batch: &resp::Batch, out: &mut Encoded) -> Result<()> {
        let DatasetRecorder { values, recorder, origin, scratch } = self;
        out.clear();
        batch.each(values, &mut |record| recorder.record(&record, origin, scratch, out))
    }
}

impl<'p> Composer<'p> {
    /// Adds what commands have built, which is gone then.
    pub fn add_dataset(&mut self, dataset: &mut resp::Dataset, threads: NonZeroUsize, meter: &Meter) -> Result<()> {
        let plan: &'p Plan = self.plan();
        self.begin()?;
        let (mut encoded, mut scratch) = (Encoded::default(), Scratch::default());
        let origin = &plan.target.origin;
        let mut recorder = Recorder::new(plan);
        dataset.head(|record| recorder.record(&record, origin, &mut scratch, &mut encoded))?;
        self.take(&encoded)?;
        self.run(&mut dataset.drain(), threads, meter, || DatasetRecorder {
            values: ValueBuf::new(&plan.target, plan.options.compress),
            recorder: Recorder::new(plan),
            origin,
            scratch: Scratch::default(),
        })
    }

    /// Adds the keys that rows of CSV describe. Those that name no database are in `db`.
    pub fn add_csv(&mut self, reader: &mut csv::Reader, db: u64) -> Result<()> {
        /// Bytes that are handed on at once.
        const PIECE: usize = 256 << 10;
        let plan: &'p Plan = self.plan();
        self.begin()?;
        let mut recorder = Recorder::new(plan);
        let mut values = ValueBuf::new(&plan.target, plan.options.compress);
        let (mut encoded, mut scratch) = (Encoded::default(), Scratch::default());
        while let Some(record) = reader.next_key(&mut values, db)? {
            recorder.record(&record, &plan.target.origin, &mut scratch, &mut encoded)?;
            if encoded.bytes.len() >= PIECE {
                self.take(&encoded)?;
                encoded.clear();
            }
        }
        self.take(&encoded)
    }
}

/// Turns what a target can hold all of into the bytes of a dump.
fn compose(output: Output, plan: &Plan, add: impl FnOnce(&mut Composer<'_>) -> Result<()>) -> Result<()> {
    let mut refuse = |loss: &Loss| -> Result<()> {
        let what = format!("{}, which {} can't hold", loss.what, plan.target);
        let e = Error::unsupported(what);
        Err(match &loss.key {
            Some((db, key)) => e.of_key(*db, key),
            None => e,
        })
    };
    let mut composer = Composer::new(plan, Destination::One(output), &mut refuse)?;
    add(&mut composer)?;
    composer.finish().map(drop)
}

fn all_cores() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// A JSON document as the bytes of a dump.
pub(super) fn json_as_dump(name: &str, bytes: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut source = json::Source::new(bytes, true)?;
    let target = match source.header() {
        Some(header) => Target::of(header.origin()),
        None => Target::least(if source.is_fixtures() { 0 } else { u32::MAX }),
    };
    let mut plan = Plan::new(target, source.header().is_some());
    // A backup with a true trailer is as a dump was.
    plan.compares_keys = source.header().is_none();
    let name = name.to_owned();
    let produce = move |output| {
        let meter = Meter::default();
        compose(output, &plan, |composer| composer.add_json(&mut source, 0, all_cores(), &meter))
            .map_err(|e| e.in_input(&name))
    };
    Ok(Box::new(produced(produce)?))
}

/// Rows of CSV as the bytes of a dump.
pub(super) fn csv_as_dump(name: &str, bytes: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut reader = csv::Reader::new(bytes)?;
    let (plan, name) = (Plan::new(Target::least(u32::MAX), false), name.to_owned());
    let produce = move |output| {
        compose(output, &plan, |composer| composer.add_csv(&mut reader, 0)).map_err(|e| e.in_input(&name))
    };
    Ok(Box::new(produced(produce)?))
}

/// What commands build as the bytes of a dump.
pub(super) fn commands_as_dump(load: impl FnOnce() -> Result<Loaded> + Send + 'static) -> Result<Box<dyn Read + Send>> {
    let produce = move |output| {
        let Loaded { mut dataset, target } = load()?;
        let mut plan = Plan::new(target, false);
        plan.options.expand_templates = true;
        let meter = Meter::default();
        compose(output, &plan, |composer| composer.add_dataset(&mut dataset, all_cores(), &meter))
    };
    Ok(Box::new(produced(produce)?))
}
