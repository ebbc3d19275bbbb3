//! Where the memory is: by key, prefix, type, database, time to live, age, size and slot, in one pass and bounded space.
//!
//! Workers make a [`Footprint`] of every batch; they are merged in the order of the file, so that the outcome is the
//! same for every number of threads, to the last bit of what is an estimate.

mod change;
mod findings;
mod hints;
mod histogram;
mod outline;
mod prefix;
mod rows;
mod slots;
mod split;
mod tally;
mod top;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use foldhash::fast::FixedState;

pub use change::{Change, Changed, changes};
pub use findings::{Finding, Weight, findings};
pub use hints::{COMPACT, Hints, Noticed};
pub use histogram::{FREQ_NAMES, Histogram, IDLE_NAMES, SIZES, TTL_NAMES};
pub use outline::Outline;
pub use prefix::PrefixTree;
pub use rows::{Lines, key_object, lines};
pub use slots::{Share, Slots, skew};
pub use split::{Segment, Splitter};
pub use tally::{Leading, Tally, Weighed, share};
pub use top::{KeyUsage, Measure, Measured, Tops};

use super::{MemoryModel, Overhead, TypeKey};
use crate::codec::string::canonical_integer;
use crate::error::{Error, Result};
use crate::model::{Batch, Buffers, Entry, Eviction, Filter, Kind, Origin, Record, Scratch, slot};
use crate::pipeline::{Input, Work, run};
use crate::rdb::End;

/// A key that takes at least so much in the file is looked at even if it is not in the sample: so few have so much
/// that to draw among them would be a lottery.
const CERTAIN: u64 = 8 << 10;

/// Databases and types beyond so many are counted as one.
const MOST: usize = 4096;

/// What is to be found out.
pub struct Options {
    /// Which keys.
    pub filter: Filter,
    /// How keys come apart.
    pub splitter: Splitter,
    /// How many of the largest keys.
    pub top: usize,
    /// Looks at one key in so many; 1 for all.
    pub one_in: u64,
    /// Now, Unix time in ms: what has passed is expired.
    pub now: i64,
}

/// Sums over the keys of a dump.
#[derive(Default)]
pub struct Footprint {
    /// Keys that the filter keeps, counted one by one even where the rest is an estimate.
    pub seen: u64,
    /// Keys with an expiry among them.
    pub expiring: u64,
    /// All of them.
    pub total: Tally,
    /// By database; the last one may stand for many.
    pub databases: BTreeMap<u64, Tally>,
    /// By type and encoding.
    pub types: Vec<(TypeKey, Tally)>,
    /// By prefix.
    pub prefixes: PrefixTree,
    /// The largest keys.
    pub tops: Tops,
    /// By the time that was left when the dump was made.
    pub ttl: Histogram<9>,
    /// By idle time, of the keys that have one.
    pub idle: Histogram<8>,
    /// By access counter, of the keys that have one.
    pub freq: Histogram<6>,
    /// By memory.
    pub sizes: Histogram<16>,
    /// By cluster slot.
    pub slots: Slots,
    /// What was noticed.
    pub hints: Hints,
    /// The first value that could not be decoded.
    pub damage: Option<Error>,
}

/// A dump and where its memory is.
pub struct Dissected {
    /// The sums, up to the damage if there is one.
    pub footprint: Footprint,
    /// Where the file comes from.
    pub origin: Arc<Origin>,
    /// Whose memory it is, in words.
    pub model: String,
    /// What the server has beside the keys; nothing where not all keys were looked for.
    pub overhead: Option<Overhead>,
    /// What the server itself said it used (`used-mem`).
    pub used: Option<u64>,
    /// When it was made, Unix time in ms.
    pub created: Option<i64>,
    /// The time to which times to live refer: when the dump was made, or now if it doesn't say.
    pub as_of: i64,
    /// How it ended, if it was read to its end.
    pub end: Option<End>,
    /// What stopped the reading before.
    pub damage: Option<Error>,
}

/// A worker.
struct Worker<'o> {
    options: &'o Options,
    as_of: i64,
    model: MemoryModel,
    buffers: Buffers,
}

impl Work for Worker<'_> {
    type Output = Footprint;

    fn batch(&mut self, batch: &Batch, out: &mut Footprint) -> Result<()> {
        let Worker { options, as_of, model, buffers } = self;
        out.clear(options);
        batch.each(buffers, |record, scratch| {
            if let Record::Entry(entry) = &record
                && options.filter.keeps(entry)
            {
                out.seen += 1;
                out.expiring += u64::from(entry.expiry.is_some());
                let weight = options.weight(entry);
                if weight > 0 {
                    let measured = measure(entry, model, scratch);
                    out.entry(entry, weight, measured, options, *as_of);
                }
            }
            Ok(())
        })
    }
}

impl Options {
    /// For how many keys this one stands; 0 for none.
    fn weight(&self, entry: &Entry<'_>) -> u64 {
        if self.one_in <= 1 || entry.size >= CERTAIN {
            return 1;
        }
        let hash = FixedState::with_seed(entry.db).hash_one(entry.key);
        // The high bits: the low ones of this hash are its weakest.
        if (hash >> 32).is_multiple_of(self.one_in) { self.one_in } else { 0 }
    }
}

/// What a key takes.
#[inline]
fn measure(entry: &Entry<'_>, model: &mut MemoryModel, scratch: &mut Scratch) -> Result<Measured> {
    let usage = model.usage(entry, scratch)?;
    let is_opaque = matches!(entry.value.kind(), Kind::Module | Kind::Json | Kind::Foreign);
    let known = |n: u64| (!is_opaque).then_some(n);
    Ok(Measured { memory: usage.bytes, elements: known(usage.elements), longest: known(usage.largest) })
}

impl Footprint {
    fn clear(&mut self, options: &Options) {
        let (mut prefixes, mut tops) = (std::mem::take(&mut self.prefixes), std::mem::take(&mut self.tops));
        let mut slots = std::mem::take(&mut self.slots);
        prefixes.clear(options.splitter.depth());
        tops.clear(options.top);
        slots.clear();
        *self = Footprint { prefixes, tops, slots, ..Footprint::default() };
    }

    fn entry(&mut self, entry: &Entry<'_>, weight: u64, measured: Result<Measured>, options: &Options, as_of: i64) {
        let measured = measured.unwrap_or_else(|e| {
            self.hints.damaged += 1;
            self.damage.get_or_insert_with(|| e.at(entry.offset).of_key(entry.db, entry.key));
            Measured { memory: entry.size, elements: None, longest: None }
        });
        let (kind, lasting) = (entry.value.kind(), entry.expiry.is_none());
        let key = Weighed { weight, memory: measured.memory, bytes: entry.size, lasting, kind };
        self.total.add(&key);
        self.database(entry.db).add(&key);
        self.type_of(TypeKey::of(entry)).add(&key);
        self.prefixes.add(&options.splitter, entry.key, &key);
        self.tops.add(entry, &measured);
        self.ttl.add(histogram::ttl_class(entry.expiry, as_of), &key);
        match entry.eviction {
            Eviction::None => {}
            Eviction::Idle(seconds) => self.idle.add(histogram::idle_class(seconds), &key),
            Eviction::Freq(counter) => self.freq.add(histogram::freq_class(counter), &key),
        }
        self.sizes.add(histogram::size_class(measured.memory), &key);
        self.slots.add(slot(entry.key), &key);
        self.hints.add(entry, &key, &measured, options.now);
    }

    fn database(&mut self, db: u64) -> &mut Tally {
        let is_full = self.databases.len() >= MOST && !self.databases.contains_key(&db);
        self.databases.entry(if is_full { u64::MAX } else { db }).or_default()
    }

    fn type_of(&mut self, key: TypeKey) -> &mut Tally {
        let known = self.types.iter().position(|(known, _)| known.is(&key));
        let place = known.unwrap_or_else(|| {
            if self.types.len() < MOST {
                self.types.push((key, Tally::default()));
            }
            self.types.len() - 1
        });
        &mut self.types[place].1
    }

    /// What the server has beside the keys.
    fn overhead(&self, model: &MemoryModel) -> Overhead {
        let (keys, expires): (Vec<u64>, Vec<u64>) =
            self.databases.values().map(|tally| (tally.keys, tally.keys - tally.lasting)).unzip();
        model.keyspace(&keys, &expires)
    }

    /// Adds what comes later in the file.
    fn merge(&mut self, later: &mut Footprint) {
        self.seen += later.seen;
        self.expiring += later.expiring;
        self.total.merge(&later.total);
        later.databases.iter().for_each(|(db, more)| self.database(*db).merge(more));
        later.types.iter().for_each(|(key, more)| self.type_of(*key).merge(more));
        self.prefixes.merge(&later.prefixes);
        self.tops.merge(&later.tops);
        self.ttl.merge(&later.ttl);
        self.idle.merge(&later.idle);
        self.freq.merge(&later.freq);
        self.sizes.merge(&later.sizes);
        self.slots.merge(&later.slots);
        self.hints.merge(&later.hints);
        if self.damage.is_none() {
            self.damage = later.damage.take();
        }
    }
}

impl Dissected {
    /// What is known of a file that is damaged before its first key: nothing but that.
    pub fn unread(damage: Error) -> Dissected {
        let origin = Origin::from_header(b"REDIS0001").expect("a header as they come");
        Dissected {
            footprint: Footprint::default(),
            origin: Arc::new(origin),
            model: String::new(),
            overhead: None,
            used: None,
            created: None,
            as_of: 0,
            end: None,
            damage: Some(damage),
        }
    }

    /// The tables in which keys and expiries are found, beside the keys themselves.
    pub fn key_space(&self) -> Option<u64> {
        self.overhead.map(|overhead| overhead.keys + overhead.expires)
    }

    /// Keys, and the tables that they are in.
    pub fn memory(&self) -> u64 {
        self.footprint.total.memory.saturating_add(self.key_space().unwrap_or(0))
    }

    /// What part of the server's own figure that explains, with what an empty server has, 0 to 1.
    pub fn explained(&self) -> Option<f64> {
        let base = self.overhead.map_or(0, |overhead| overhead.base);
        Some(share(self.memory().saturating_add(base), self.used?))
    }

    /// The error that keeps this from being all of the dump: what ended the reading, or a value that can't be decoded.
    pub fn trouble(&self) -> Option<&Error> {
        self.damage.as_ref().or(self.footprint.damage.as_ref())
    }
}

/// Reads the whole input and finds out where its memory is. Damage does not make it fail: what was read until there is
/// the answer.
pub fn dissect(input: &mut Input, threads: NonZeroUsize, options: &Options, model: &MemoryModel) -> Dissected {
    input.reader.verify(false);
    let (mut used, mut created, mut damage) = (None, None, None);
    if let Some(head) = input.reader.take_head() {
        let outcome = head.each(&mut Buffers::default(), |record, _| {
            match record {
                Record::Aux { name: b"used-mem", value } => used = canonical_integer(value),
                Record::Aux { name: b"ctime", value } => created = canonical_integer(value),
                _ => {}
            }
            Ok(())
        });
        damage = outcome.err();
    }
    let created = created.map(|seconds: i64| seconds.saturating_mul(1000));
    let as_of = created.unwrap_or(options.now);
    let mut footprint = Footprint::default();
    footprint.clear(options);
    if damage.is_none() {
        let worker = || Worker { options, as_of, model: model.clone(), buffers: Buffers::default() };
        let meter = input.meter.clone();
        let (_, outcome) = run(&mut input.reader, threads, &meter, worker, |batch| {
            footprint.merge(batch);
            Ok(ControlFlow::Continue(()))
        });
        damage = outcome.err();
    }
    footprint.types.sort_by_key(|(key, tally)| (u64::MAX - tally.memory, *key));
    let used = used.and_then(|n: i64| u64::try_from(n).ok());
    let overhead = options.filter.is_empty().then(|| footprint.overhead(model));
    let (origin, end) = (input.reader.origin().clone(), input.reader.end().cloned());
    Dissected { footprint, origin, model: model.name(), overhead, used, created, as_of, end, damage }
}
