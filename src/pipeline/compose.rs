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
use crate::error::{Error, Result};
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
        let fill = move || {
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
        };
        let no_thread = |e| Error::from(e).noting("no thread could be started; --threads 1 needs none".into());
        thread::Builder::new().spawn_scoped(scope, fill).map_err(no_thread)?;
        for batch in take_full {
            let batch = batch?;
            take(&batch)?;
            // The reader may have come to its end already.
            drop(give_free.try_send(batch));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::time::{Duration, Instant};

    use super::*;

    /// Strings of a thousand bytes, eight batches of them and a little more.
    fn dump() -> Vec<u8> {
        let mut dump = b"REDIS0009\xfe\x00".to_vec();
        for i in 0..8200_u32 {
            dump.extend_from_slice(&[0, 8]);
            dump.extend_from_slice(format!("{i:08}").as_bytes());
            dump.extend_from_slice(&[0x43, 0xe8]);
            dump.extend((0..1000_u32).map(|j| (i ^ j.wrapping_mul(2_654_435_761)) as u8));
        }
        dump.push(0xff);
        dump.extend_from_slice(&[0; 8]);
        dump
    }

    /// Bytes that say how far they were read.
    struct Watched(Cursor<Vec<u8>>, Arc<AtomicU64>);

    impl Read for Watched {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(buf)?;
            self.1.fetch_add(n as u64, Ordering::SeqCst);
            Ok(n)
        }
    }

    fn input(bytes: Vec<u8>) -> (Input, Arc<AtomicU64>) {
        let so_far = Arc::new(AtomicU64::new(0));
        let watched = Box::new(Watched(Cursor::new(bytes), so_far.clone()));
        (Input::from_read("test", watched, Arc::default()).unwrap(), so_far)
    }

    fn threads(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[test]
    fn batches_come_in_order_and_before_the_error_behind_them() {
        let whole = dump();
        for (bytes, is_cut) in [(whole.clone(), false), (whole[..whole.len() - 700].to_vec(), true)] {
            for n in [1, 2, 4] {
                let (mut input, _) = input(bytes.clone());
                let mut taken = b"REDIS0009".to_vec();
                taken.extend_from_slice(input.reader.take_head().unwrap().bytes());
                let outcome = read_ahead(&mut input, threads(n), |batch| Ok(taken.extend_from_slice(batch.bytes())));
                assert_eq!(outcome.is_err(), is_cut, "{n} threads: {outcome:?}");
                // All whole records, and none twice; only the last one was cut.
                let records = whole.len() - 9 - if is_cut { 1012 } else { 0 };
                assert!(taken == whole[..records], "{n} threads: {} bytes of {records}", taken.len());
            }
        }
    }

    #[test]
    fn what_follows_is_read_meanwhile_but_not_without_bound() {
        const BATCH: u64 = 1 << 20;
        let dump = dump();
        let all = dump.len() as u64;
        let (mut input, so_far) = input(dump);
        let mut taken = 0;
        let mut most = 0;
        let outcome = read_ahead(&mut input, threads(2), |batch| {
            let before = taken;
            taken += batch.bytes().len() as u64;
            // It goes on by itself, as long as there is more.
            let (begun, wanted) = (Instant::now(), (taken + BATCH).min(all));
            while so_far.load(Ordering::SeqCst) < wanted {
                assert!(begun.elapsed() < Duration::from_secs(20), "nothing is read ahead");
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(20));
            most = most.max(so_far.load(Ordering::SeqCst) - before);
            Ok(())
        });
        outcome.unwrap();
        // The batch that is taken, two more, and what was read of the one behind them.
        assert!(most <= 4 * BATCH + 2048, "{most} bytes were held");
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        for n in [1, 2] {
            let (mut input, so_far) = input(dump());
            let mut count = 0;
            let outcome = read_ahead(&mut input, threads(n), |_| {
                count += 1;
                if count == 2 { Err(Error::usage("enough")) } else { Ok(()) }
            });
            assert_eq!((outcome.unwrap_err().reason().as_str(), count), ("enough", 2), "{n} threads");
            assert!(so_far.load(Ordering::SeqCst) < 7 << 20, "{n} threads: it was read on");
        }
    }
}
