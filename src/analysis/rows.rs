//! A row a key: what `keys` shows of each.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::memory::MemoryModel;
use crate::error::Result;
use crate::model::{Batch, Buffers, Entry, Eviction, Filter, Record, Scratch};
use crate::pipeline::{Input, Work, run};

/// A key without its value.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The database.
    pub db: u64,
    /// The key.
    pub key: Vec<u8>,
    /// What TYPE answers.
    pub type_name: Cow<'static, str>,
    /// The encoding.
    pub encoding: &'static str,
    /// Elements, or the length of a string; `None` for opaque values.
    pub elements: Option<u64>,
    /// Bytes of the record in the file.
    pub bytes: u64,
    /// Bytes in a server's memory, if they were asked for.
    pub memory: Option<u64>,
    /// Unix time in ms.
    pub expiry: Option<i64>,
    /// Idle time or access counter.
    pub eviction: Eviction,
}

/// The order of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// Largest first.
    Size,
    /// Most memory first.
    Memory,
    /// Most elements first.
    Elements,
    /// By database and key, as bytes.
    Key,
    /// Soonest expiry first, keys without one last.
    Ttl,
}

impl Sort {
    /// Rows that are equal otherwise come in the order of database and key, so that the outcome is always the same.
    fn compare(self, a: &KeyRow, b: &KeyRow) -> Ordering {
        match self {
            Sort::Size => b.bytes.cmp(&a.bytes),
            Sort::Memory => b.memory.cmp(&a.memory),
            Sort::Elements => b.elements.cmp(&a.elements),
            Sort::Ttl => a.expiry.unwrap_or(i64::MAX).cmp(&b.expiry.unwrap_or(i64::MAX)),
            Sort::Key => Ordering::Equal,
        }
        .then_with(|| (a.db, &a.key).cmp(&(b.db, &b.key)))
    }
}

impl KeyRow {
    fn new(entry: &Entry<'_>, memory: Option<&mut MemoryModel>, scratch: &mut Scratch) -> Result<KeyRow> {
        Ok(KeyRow {
            db: entry.db,
            key: entry.key.to_vec(),
            type_name: entry.value.type_name(),
            encoding: entry.value.encoding(),
            elements: entry.value.count(scratch)?,
            bytes: entry.size,
            memory: memory.map(|model| model.usage(entry, scratch)).transpose()?.map(|usage| usage.bytes),
            expiry: entry.expiry,
            eviction: entry.eviction,
        })
    }
}

/// A worker that makes rows.
struct RowMaker<'f> {
    filter: &'f Filter,
    buffers: Buffers,
    memory: Option<MemoryModel>,
    /// With an order and a limit, no more rows than that are kept.
    best: Option<(Sort, usize)>,
}

impl Work for RowMaker<'_> {
    type Output = Vec<KeyRow>;

    fn batch(&mut self, batch: &Batch, out: &mut Vec<KeyRow>) -> Result<()> {
        let RowMaker { filter, buffers, memory, best } = self;
        out.clear();
        let outcome = batch.each(buffers, |record, scratch| {
            if let Record::Entry(entry) = &record
                && filter.keeps(entry)
            {
                out.push(KeyRow::new(entry, memory.as_mut(), scratch)?);
            }
            Ok(())
        });
        if let Some((sort, limit)) = *best {
            keep_best(out, sort, limit);
        }
        outcome
    }
}

/// Gives the rows of the keys that `filter` keeps, in file order and in pieces; `sink` may stop it. With a model they say
/// what memory the keys take.
pub fn rows(
    input: &mut Input,
    threads: NonZeroUsize,
    filter: &Filter,
    memory: Option<&MemoryModel>,
    mut sink: impl FnMut(&[KeyRow]) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let meter = input.meter.clone();
    // Only keys make rows; the head of the file has none.
    input.reader.take_head();
    let maker = || RowMaker { filter, buffers: Buffers::default(), memory: memory.cloned(), best: None };
    run(&mut input.reader, threads, &meter, maker, |rows| sink(rows)).1
}

/// The first `limit` rows in this order; all of them are held in memory, and no others.
pub fn sorted_rows(
    input: &mut Input,
    threads: NonZeroUsize,
    filter: &Filter,
    memory: Option<&MemoryModel>,
    sort: Sort,
    limit: Option<usize>,
) -> Result<Vec<KeyRow>> {
    let meter = input.meter.clone();
    input.reader.take_head();
    let limit = limit.unwrap_or(usize::MAX);
    let best = Some((sort, limit));
    let maker = || RowMaker { filter, buffers: Buffers::default(), memory: memory.cloned(), best };
    let mut all: Vec<KeyRow> = Vec::new();
    run(&mut input.reader, threads, &meter, maker, |rows| {
        all.append(rows);
        // Not after each batch, which would sort the same rows over and over.
        if all.len() / 2 > limit {
            keep_best(&mut all, sort, limit);
        }
        Ok(ControlFlow::Continue(()))
    })
    .1?;
    keep_best(&mut all, sort, limit);
    all.sort_unstable_by(|a, b| sort.compare(a, b));
    Ok(all)
}

/// Leaves the first `limit` rows, in any order.
fn keep_best(rows: &mut Vec<KeyRow>, sort: Sort, limit: usize) {
    if limit == 0 {
        rows.clear();
    } else if rows.len() > limit {
        rows.select_nth_unstable_by(limit - 1, |a, b| sort.compare(a, b));
        rows.truncate(limit);
    }
}
