//! Several dumps as one, read at the same time: those of servers, which do not wait for each other.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::parts::Conflict;
use super::pipe::produced;
use super::recorder::Plan;
use super::{Composer, Destination, Input, Meter, Source};
use crate::error::{Error, Result};
use crate::model::{Batch, Origin, Target};

/// One input of the records of all; their order is that in which they come, and a key or function library that stands
/// in several is taken once.
///
/// Errors: files of different kinds.
pub fn together(name: &str, inputs: Vec<Input>, threads: NonZeroUsize) -> Result<Input> {
    let mut origins = inputs.iter().map(|input| input.reader.origin());
    let first = origins.next().ok_or_else(|| Error::usage("there is nothing to put together"))?;
    let is_alike = |other: &Arc<Origin>| (other.magic, other.dialect) == (first.magic, first.dialect);
    if !origins.all(is_alike) {
        return Err(Error::unsupported("dumps of different kinds can't be put together").in_input(name));
    }
    let newest = inputs.iter().map(|input| input.reader.origin()).max_by_key(|origin| origin.version);
    let mut plan = Plan::new(Target::of(newest.unwrap_or(first)), true);
    plan.options.expand_templates = true;
    plan.conflict = Conflict::First;
    plan.changes_content = true;
    let bytes = produced(move |output| {
        let mut nothing_is_lost = |_: &super::Loss| Ok(());
        let mut composer = Composer::new(&plan, Destination::One(output), &mut nothing_is_lost)?;
        composer.add_together(inputs, threads)?;
        composer.finish().map(drop)
    })?;
    Input::from_read(name, Box::new(bytes), Arc::new(Meter::default()))
}

/// Batches of several dumps, as they come.
pub(super) struct Together(Receiver<Result<Batch>>);

impl Together {
    /// Where those that read put their batches.
    pub(super) fn new() -> (SyncSender<Result<Batch>>, Together) {
        /// Batches that wait to be worked on.
        const WAITING: usize = 2;
        let (give, take) = sync_channel(WAITING);
        (give, Together(take))
    }
}

/// Reads a dump to its end.
pub(super) fn pump(mut input: Input, to: &SyncSender<Result<Batch>>) {
    loop {
        let mut batch = input.reader.batch();
        let read = match input.reader.fill(&mut batch) {
            Ok(true) => Ok(batch),
            Ok(false) => return,
            Err(e) => Err(input.name_it(e)),
        };
        let is_over = read.is_err();
        // Nobody takes it when another one has failed.
        if to.send(read).is_err() || is_over {
            return;
        }
    }
}

impl Source for Together {
    type Batch = Option<Batch>;

    fn batch(&self) -> Option<Batch> {
        None
    }

    fn fill(&mut self, batch: &mut Option<Batch>) -> Result<bool> {
        *batch = self.0.recv().ok().transpose()?;
        Ok(batch.is_some())
    }

    fn count(batch: &Option<Batch>) -> usize {
        batch.as_ref().map_or(0, Batch::len)
    }
}
