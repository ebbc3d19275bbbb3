//! From a dump to another format: the one place that knows all of them.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::{Input, Output, Work, run};
use crate::error::Result;
use crate::model::{Batch, Buffers, Entry, Filter, Record, Scratch};
use crate::{csv, json, resp};

/// What to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON object.
    Json,
    /// A line of JSON a key.
    Ndjson,
    /// Comma-separated values: a row a key, or a row an element.
    Csv(csv::Level),
    /// Commands for `redis-cli --pipe`.
    Resp(resp::Options),
}

/// What a worker makes of a batch.
#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    keys: u64,
}

/// Writes all that `filter` keeps to `output`, and counts the keys in `keys`, also when it ends with an error.
pub fn export(
    input: &mut Input,
    format: Format,
    filter: &Filter,
    threads: NonZeroUsize,
    output: &mut Output,
    keys: &mut u64,
) -> Result<()> {
    let head = input.reader.take_head();
    match format {
        Format::Json | Format::Ndjson => {
            let form = if format == Format::Json { json::Form::Json } else { json::Form::Ndjson };
            let mut text = Vec::new();
            let mut frame = json::Frame::begin(form, input.reader.origin(), head.as_ref(), &mut text)?;
            output.put(&text)?;
            encode(input, None, json::Writer::new(form), filter, threads, |encoded| {
                *keys += encoded.keys;
                frame.lines(&encoded.bytes, encoded.keys).into_iter().try_for_each(|part| output.put(part))
            })?;
            text.clear();
            frame.end(&mut text);
            output.put(&text)
        }
        Format::Csv(level) => {
            output.put(csv::header(level).as_bytes())?;
            encode(input, head, csv::Writer::new(level), filter, threads, |encoded| {
                *keys += encoded.keys;
                output.put(&encoded.bytes)
            })
        }
        Format::Resp(options) => encode(input, head, resp::Writer::new(options), filter, threads, |encoded| {
            *keys += encoded.keys;
            output.put(&encoded.bytes)
        }),
    }
}

/// What a format's writer does, as far as the pipeline is concerned.
trait Encode: Clone + Send {
    /// A batch begins; what the writer knows of the one before means nothing now.
    fn start_batch(&mut self) {}
    /// Appends a key. On an error, nothing of it.
    fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()>;
    /// Appends any other record.
    fn other(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<()>;
}

impl Encode for json::Writer {
    fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        json::Writer::entry(self, entry, scratch, out)
    }

    fn other(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
        json::Writer::other(self, record, out)
    }
}

impl Encode for csv::Writer {
    fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        csv::Writer::entry(self, entry, scratch, out)
    }

    fn other(&mut self, _: &Record<'_>, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

impl Encode for resp::Writer {
    fn start_batch(&mut self) {
        resp::Writer::start_batch(self);
    }

    fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        resp::Writer::entry(self, entry, scratch, out)
    }

    fn other(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
        resp::Writer::other(self, record, out)
    }
}

/// A worker that encodes what the filter keeps.
struct Encoder<'f, E> {
    writer: E,
    filter: &'f Filter,
    filters: bool,
    buffers: Buffers,
}

impl<E: Encode> Work for Encoder<'_, E> {
    type Output = Encoded;

    fn batch(&mut self, batch: &Batch, out: &mut Encoded) -> Result<()> {
        let Encoder { writer, filter, filters, buffers } = self;
        out.bytes.clear();
        out.keys = 0;
        writer.start_batch();
        batch.each(buffers, |record, scratch| match &record {
            Record::Entry(entry) => {
                if !*filters || filter.keeps(entry) {
                    writer.entry(entry, scratch, &mut out.bytes)?;
                    out.keys += 1;
                }
                Ok(())
            }
            // A slot's counts would be wrong for a part of its keys.
            Record::SlotInfo { .. } | Record::Aux { name: b"slot-info", .. } if *filters => Ok(()),
            other => writer.other(other, &mut out.bytes),
        })
    }
}

fn encode<E: Encode>(
    input: &mut Input,
    head: Option<Batch>,
    writer: E,
    filter: &Filter,
    threads: NonZeroUsize,
    mut sink: impl FnMut(&Encoded) -> Result<()>,
) -> Result<()> {
    let filters = !filter.is_empty();
    // Cloned here and not in the threads, so that a writer need not be shared.
    let worker = || Encoder { writer: writer.clone(), filter, filters, buffers: Buffers::default() };
    if let Some(head) = head {
        let mut out = Encoded::default();
        worker().batch(&head, &mut out)?;
        sink(&out)?;
    }
    let meter = input.meter.clone();
    run(&mut input.reader, threads, &meter, worker, |encoded| {
        sink(encoded)?;
        encoded.release();
        Ok(ControlFlow::Continue(()))
    })
    .1
}

impl Encoded {
    /// Gives back the memory that a single huge value took.
    fn release(&mut self) {
        const KEPT: usize = 16 << 20;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }
}
