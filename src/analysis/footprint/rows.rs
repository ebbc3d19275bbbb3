//! A line a key: CSV under the header of rdb-tools, or NDJSON.

use std::num::NonZeroUsize;

use std::ops::ControlFlow;

use super::top::{KeyUsage, Measured};
use super::{Options, measure};
use crate::analysis::MemoryModel;
use crate::csv::{self, Level};
use crate::error::Result;
use crate::json;
use crate::model::{Batch, Buffers, Entry, Eviction, Record};
use crate::pipeline::{Input, Work, run};

/// How a line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lines {
    /// `database,type,key,size_in_bytes,encoding,num_elements,len_largest_element,expiry`; the size is that in memory.
    Csv,
    /// JSON objects.
    Ndjson,
}

impl Lines {
    /// What stands before the first line.
    pub fn header(self) -> &'static str {
        match self {
            Lines::Csv => csv::header(Level::Keys),
            Lines::Ndjson => "",
        }
    }

    /// Appends the line of a key.
    pub fn write(self, key: &KeyUsage, out: &mut Vec<u8>) {
        match self {
            Lines::Csv => csv::KeyRow {
                db: key.db,
                type_name: &key.type_name,
                key: &key.key,
                size: key.memory,
                encoding: key.encoding,
                elements: key.elements,
                longest: key.longest,
                expiry: key.expiry,
            }
            .write(out),
            Lines::Ndjson => ndjson(key, out),
        }
    }
}

/// Appends a key as a JSON object, without the end of its line.
pub fn key_object(key: &KeyUsage, out: &mut Vec<u8>) {
    let number = |name: &str, n: Option<u64>, out: &mut Vec<u8>| {
        if let Some(n) = n {
            out.extend_from_slice(format!(",\"{name}\":{n}").as_bytes());
        }
    };
    out.extend_from_slice(format!("{{\"db\":{},\"key\":", key.db).as_bytes());
    json::write_string(&key.key, out);
    let (type_name, encoding) = (&key.type_name, key.encoding);
    out.extend_from_slice(format!(",\"type\":\"{type_name}\",\"encoding\":\"{encoding}\"").as_bytes());
    number("memory", Some(key.memory), out);
    number("bytes", Some(key.bytes), out);
    number("elements", key.elements, out);
    number("largestElement", key.longest, out);
    if let Some(at) = key.expiry {
        out.extend_from_slice(format!(",\"expireAt\":{at}").as_bytes());
    }
    match key.eviction {
        Eviction::None => {}
        Eviction::Idle(seconds) => number("idle", Some(seconds), out),
        Eviction::Freq(counter) => number("freq", Some(u64::from(counter)), out),
    }
    number("slot", Some(u64::from(key.slot)), out);
    out.push(b'}');
}

fn ndjson(key: &KeyUsage, out: &mut Vec<u8>) {
    key_object(key, out);
    out.push(b'\n');
}

/// A worker that writes lines.
struct Liner<'o> {
    options: &'o Options,
    lines: Lines,
    model: MemoryModel,
    buffers: Buffers,
}

impl Work for Liner<'_> {
    type Output = Vec<u8>;

    fn batch(&mut self, batch: &Batch, out: &mut Vec<u8>) -> Result<()> {
        let Liner { options, lines, model, buffers } = self;
        out.clear();
        batch.each(buffers, |record, scratch| {
            if let Record::Entry(entry) = &record
                && options.filter.keeps(entry)
            {
                let measured = measure(entry, model, scratch)?;
                lines.write(&whole(entry, &measured), out);
            }
            Ok(())
        })
    }
}

/// As [`KeyUsage::new`], but for a key that is not cut, however long it is.
fn whole(entry: &Entry<'_>, measured: &Measured) -> KeyUsage {
    KeyUsage { key: entry.key.to_vec(), ..KeyUsage::new(entry, measured) }
}

/// Gives a line for every key, in the order of the file and in pieces.
pub fn lines(
    input: &mut Input,
    threads: NonZeroUsize,
    options: &Options,
    model: &MemoryModel,
    lines: Lines,
    mut sink: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let meter = input.meter.clone();
    input.reader.take_head();
    let worker = || Liner { options, lines, model: model.clone(), buffers: Buffers::default() };
    run(&mut input.reader, threads, &meter, worker, |text| sink(text).map(|()| ControlFlow::Continue(()))).1
}
