//! From source to sink on all cores: batches are measured one after the other, worked on by many threads, and
//! taken in order.
//!
//! One worker or many give the same results in the same order. Memory is bounded by the number of batches on their
//! way, each with its output: `threads + 2` at most.

mod aof;
mod compose;
mod expansion;
mod export;
mod forms;
mod import;
mod input;
mod opened;
mod output;
mod parts;
mod pipe;
mod recorder;
mod sort;
mod survey;
mod together;
mod unfinished;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use aof::{AofFolder, Loaded, Start, form_of};
pub use compose::{Composer, Report, Told, copy};
pub use expansion::set_max_expansion;
pub use export::{Format, export};
pub use forms::Form;
pub use input::{Input, TextInput, name_of, open, open_text};
pub use opened::Opened;
pub use output::{AofDir, NewDir, Output, scratch_file};
pub use parts::{Conflict, Destination, Division, Tally, Written};
pub use recorder::{Loss, Plan, Strip};
pub use sort::sorted;
pub use survey::{FileSurvey, Looks, SharedSurvey, Survey, Visitor};
pub use together::together;
pub use unfinished::discard_unfinished;

use crate::error::Result;
use crate::model::Batch;
use crate::rdb::Reader;

/// Reads the bytes of a batch before it is its turn to be filled.
pub type ReadAhead<B> = Box<dyn Fn(&mut B) + Send>;

/// Where batches come from: a dump, or another form of the same records.
pub trait Source: Send {
    /// A piece of the input that can be worked on by itself.
    type Batch: Send;

    /// An empty batch.
    fn batch(&self) -> Self::Batch;

    /// What reads the bytes of a batch before it is its turn to be filled, where that is possible.
    fn ahead(&self) -> Option<ReadAhead<Self::Batch>> {
        None
    }

    /// Fills a batch with what comes next; `false` when there is nothing. After an error there is nothing.
    fn fill(&mut self, batch: &mut Self::Batch) -> Result<bool>;

    /// How many records a batch has.
    fn count(batch: &Self::Batch) -> usize;
}

impl Source for Reader {
    type Batch = Batch;

    fn batch(&self) -> Batch {
        Reader::batch(self)
    }

    fn ahead(&self) -> Option<ReadAhead<Batch>> {
        let ahead = Reader::ahead(self)?;
        Some(Box::new(move |batch| ahead.read(batch)))
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<bool> {
        Reader::fill(self, batch)
    }

    fn count(batch: &Batch) -> usize {
        batch.len()
    }
}

/// What is done to batches, by one thread of possibly many.
pub trait Work<B = Batch>: Send {
    /// What comes of a batch. Used again: [`Work::batch`] finds in it what the sink left there.
    type Output: Default + Send;

    /// Works on one batch. What was put into `out` before an error is still taken.
    fn batch(&mut self, batch: &B, out: &mut Self::Output) -> Result<()>;
}

/// How far the work has come; shared with whoever shows it.
#[derive(Default, Debug)]
pub struct Meter {
    /// Bytes of the input, before decompression.
    pub bytes: AtomicU64,
    /// Records that are on their way out.
    pub records: AtomicU64,
    /// Keys that were not taken where they were to go.
    pub refused: AtomicU64,
}

/// What came of a batch, with its place in the order.
struct Done<O> {
    seq: u64,
    out: O,
    records: usize,
    result: Result<()>,
}

/// The source, which one worker at a time takes a batch from, while the next one reads ahead.
struct Turns<'s, S: Source> {
    ahead: Mutex<Option<ReadAhead<S::Batch>>>,
    fill: Mutex<Fill<'s, S>>,
}

struct Fill<'s, S> {
    source: &'s mut S,
    next: u64,
    ended: bool,
}

/// Sends all batches of `source` through workers and their outputs, in order, to `sink`, which may stop it early.
/// Returns the workers with what they have gathered. The first error in the order of the file ends it, after all that
/// came before has been taken.
pub fn run<S: Source, W: Work<S::Batch>>(
    source: &mut S,
    threads: NonZeroUsize,
    meter: &Meter,
    worker: impl Fn() -> W,
    mut sink: impl FnMut(&mut W::Output) -> Result<ControlFlow<()>>,
) -> (Vec<W>, Result<()>) {
    if threads.get() == 1 {
        let mut worker = worker();
        let outcome = run_inline(source, meter, &mut worker, &mut sink);
        (vec![worker], outcome)
    } else {
        run_threads(source, meter, worker(), (1..threads.get()).map(|_| worker()).collect(), &mut sink)
    }
}

fn run_inline<S: Source, W: Work<S::Batch>>(
    source: &mut S,
    meter: &Meter,
    worker: &mut W,
    sink: &mut dyn FnMut(&mut W::Output) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut batch = source.batch();
    let mut out = W::Output::default();
    while source.fill(&mut batch)? {
        let result = worker.batch(&batch, &mut out);
        meter.records.fetch_add(S::count(&batch) as u64, Ordering::Relaxed);
        let flow = sink(&mut out)?;
        result?;
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Each worker takes its next batch from the source itself: the bytes then stay in the cache of one core. The caller's
/// thread is one of them and hands the outputs of all to the sink, so that nobody has to be woken for a batch.
fn run_threads<S: Source, W: Work<S::Batch>>(
    source: &mut S,
    meter: &Meter,
    mut own: W,
    others: Vec<W>,
    sink: &mut dyn FnMut(&mut W::Output) -> Result<ControlFlow<()>>,
) -> (Vec<W>, Result<()>) {
    let on_the_way = others.len() + 3;
    let pool = Pool::new(on_the_way);
    let (give_done, take_done) = sync_channel::<Done<W::Output>>(on_the_way);
    let batch = source.batch();
    let jobs: Vec<_> = others.into_iter().map(|worker| (worker, source.batch())).collect();
    let turns = Turns { ahead: Mutex::new(source.ahead()), fill: Mutex::new(Fill { source, next: 0, ended: false }) };
    thread::scope(|scope| {
        let mut handles = Vec::new();
        for (mut worker, mut batch) in jobs {
            let (turns, pool, done) = (&turns, &pool, give_done.clone());
            let work = move || {
                let _closing = Closing(pool);
                while let Some(out) = pool.take()
                    && let Some(job) = next_job::<S, W>(turns, &mut worker, &mut batch, out)
                    && done.send(job).is_ok()
                {}
                worker
            };
            match thread::Builder::new().spawn_scoped(scope, work) {
                Ok(handle) => handles.push(handle),
                // The system allows no more: fewer do the same.
                Err(_) => break,
            }
        }
        drop(give_done);
        let closing = Closing(&pool);
        let mut order = Order { waiting: BTreeMap::new(), next: 0, pool: &pool, meter, sink };
        let outcome = work_and_order::<S, W>(&turns, &mut own, batch, &take_done, &mut order);
        // With nothing to take or to give to, the threads that still run come to their end.
        drop(closing);
        drop(take_done);
        (handles.into_iter().map(join).chain([own]).collect(), outcome)
    })
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Takes the next batch and works on it. `None` when there is none, or another worker panicked, which is told of where that
/// is joined.
fn next_job<S: Source, W: Work<S::Batch>>(
    turns: &Turns<'_, S>,
    worker: &mut W,
    batch: &mut S::Batch,
    mut out: W::Output,
) -> Option<Done<W::Output>> {
    let (seq, filled) = turns.take(batch)?;
    let result = match filled {
        Ok(false) => return None,
        Ok(true) => worker.batch(batch, &mut out),
        // It takes its place in the order, so that whatever came before is written first, and nothing of it twice.
        Err(e) => {
            out = W::Output::default();
            Err(e)
        }
    };
    Some(Done { seq, out, records: S::count(batch), result })
}

/// Works on batches as all do, and between them hands on what the others have done.
fn work_and_order<S: Source, W: Work<S::Batch>>(
    turns: &Turns<'_, S>,
    worker: &mut W,
    mut batch: S::Batch,
    done: &Receiver<Done<W::Output>>,
    order: &mut Order<'_, W::Output>,
) -> Result<()> {
    loop {
        let job = if let Ok(job) = done.try_recv() {
            job
        } else if let Some(out) = order.pool.try_take() {
            match next_job::<S, W>(turns, worker, &mut batch, out) {
                Some(job) => job,
                None => {
                    order.pool.close();
                    continue;
                }
            }
        } else if let Ok(job) = done.recv() {
            job
        } else {
            return Ok(());
        };
        if order.take(job)?.is_break() {
            return Ok(());
        }
    }
}

/// Buffers for what comes of batches. There are just so many, which bounds what is on its way.
struct Pool<O> {
    /// `None` when nobody is to go on.
    free: Mutex<Option<Vec<O>>>,
    given: Condvar,
}

impl<O> Pool<O> {
    fn new(size: usize) -> Pool<O>
    where
        O: Default,
    {
        let free = std::iter::repeat_with(O::default).take(size).collect();
        Pool { free: Mutex::new(Some(free)), given: Condvar::new() }
    }

    fn free(&self) -> MutexGuard<'_, Option<Vec<O>>> {
        // Nobody panics while it is held.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them, as soon as there is one.
    fn take(&self) -> Option<O> {
        let mut free = self.free();
        loop {
            if let Some(out) = free.as_mut()?.pop() {
                return Some(out);
            }
            free = self.given.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn try_take(&self) -> Option<O> {
        self.free().as_mut()?.pop()
    }

    fn give(&self, out: O) {
        if let Some(free) = &mut *self.free() {
            free.push(out);
        }
        self.given.notify_one();
    }

    fn close(&self) {
        self.free().take();
        self.given.notify_all();
    }
}

impl<S: Source> Turns<'_, S> {
    /// Fills a batch, and says which it is in the order. `None` when another worker panicked.
    fn take(&self, batch: &mut S::Batch) -> Option<(u64, Result<bool>)> {
        let ahead = self.ahead.lock().ok()?;
        if let Some(read) = &*ahead {
            read(batch);
        }
        // Who has read ahead is the next to fill: nobody else asks for it before the other lock is given up.
        let mut fill = self.fill.lock().ok()?;
        drop(ahead);
        let seq = fill.next;
        fill.next += 1;
        let filled = if fill.ended { Ok(false) } else { fill.source.fill(batch) };
        fill.ended = !matches!(filled, Ok(true));
        Some((seq, filled))
    }
}

/// Where one of the workers ends, or panics, nobody is to wait for outputs any more: there is nothing left to work on, or
/// nobody who hands them on.
struct Closing<'p, O>(&'p Pool<O>);

impl<O> Drop for Closing<'_, O> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Hands the outputs to the sink in the order of the file.
struct Order<'r, O> {
    waiting: BTreeMap<u64, Done<O>>,
    next: u64,
    pool: &'r Pool<O>,
    meter: &'r Meter,
    sink: &'r mut dyn FnMut(&mut O) -> Result<ControlFlow<()>>,
}

impl<O> Order<'_, O> {
    /// Takes an output, and hands on those whose turn it is then.
    fn take(&mut self, job: Done<O>) -> Result<ControlFlow<()>> {
        self.waiting.insert(job.seq, job);
        while let Some(mut job) = self.waiting.remove(&self.next) {
            self.next += 1;
            let flow = (self.sink)(&mut job.out)?;
            job.result?;
            if flow.is_break() {
                return Ok(flow);
            }
            self.meter.records.fetch_add(job.records as u64, Ordering::Relaxed);
            self.pool.give(job.out);
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Numbers without an end.
    struct Numbers(u64);

    impl Source for Numbers {
        type Batch = u64;

        fn batch(&self) -> u64 {
            0
        }

        fn fill(&mut self, batch: &mut u64) -> Result<bool> {
            *batch = self.0;
            self.0 += 1;
            Ok(true)
        }

        fn count(_: &u64) -> usize {
            1
        }
    }

    /// Panics at its hundredth number, on whatever thread that is, or on all but this one.
    struct Panics(u64, Option<thread::ThreadId>);

    impl Work<u64> for Panics {
        type Output = ();

        fn batch(&mut self, _: &u64, _: &mut ()) -> Result<()> {
            self.0 += 1;
            assert!(self.0 < 100 || self.1 == Some(thread::current().id()), "a fault");
            Ok(())
        }
    }

    #[test]
    fn a_worker_that_panics_ends_it_and_nobody_waits_for_ever() {
        let own = Some(thread::current().id());
        for (threads, spared) in [(1, None), (2, None), (4, None), (2, own), (4, own)] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let worker = || Panics(0, spared);
            let run = || run(&mut Numbers(0), threads, &Meter::default(), worker, |()| Ok(ControlFlow::Continue(())));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{threads} threads");
        }
    }
}
