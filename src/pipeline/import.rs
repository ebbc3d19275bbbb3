//! Text into RDB files.

use std::num::NonZeroUsize;

use super::compose::Composer;
use super::recorder::{Encoded, Plan, Recorder};
use super::{Meter, Source, Work};
use crate::error::Result;
use crate::json;
use crate::model::{Origin, Scratch};

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
