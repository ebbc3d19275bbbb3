//! One number for a whole data set: the same for equal data whatever its form.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::model::facts::{Class, Ignore, Loose, combine, hash};
use crate::model::{Batch, Buffers, Entry, Filter, Fingerprint, Fingerprinter, Record};
use crate::pipeline::{Input, Work, run};

/// The digest of some keys: the sum of their hashes, so that neither order nor threads count, and two parts of a data set
/// add up to the whole.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Digest {
    /// How many keys there are.
    pub keys: u64,
    /// The sum.
    pub sum: u128,
}

impl Digest {
    fn add(&mut self, keys: u64, hash: u128) {
        self.keys += keys;
        self.sum = self.sum.wrapping_add(hash);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}

/// What to look at, and how to divide it.
#[derive(Clone, Default, Debug)]
pub struct DigestOptions {
    /// Which keys. With a filter that asks for something, only keys count.
    pub filter: Filter,
    /// What is left out beside idle times and access counters, which always are.
    pub ignore: Ignore,
    /// Divide by what stands in front of this byte in the key.
    pub prefix: Option<u8>,
}

/// What came of it.
#[derive(Clone, Default, Debug)]
pub struct Digests {
    /// All of it: keys, functions, aux data of modules.
    pub total: Digest,
    /// Function libraries and records of module data.
    pub loose: u64,
    /// The keys of each database.
    pub dbs: BTreeMap<u64, Digest>,
    /// The keys of each prefix; `None` for those without one. Empty if it was not asked for.
    pub prefixes: HashMap<Option<Vec<u8>>, Digest>,
}

/// A worker that adds up.
struct Adder<'o> {
    options: &'o DigestOptions,
    prints: Fingerprinter,
    buffers: Buffers,
    digests: Digests,
}

impl<'o> Adder<'o> {
    fn new(options: &'o DigestOptions) -> Adder<'o> {
        Adder { options, prints: Fingerprinter::default(), buffers: Buffers::default(), digests: Digests::default() }
    }
}

impl Work for Adder<'_> {
    type Output = ();

    fn batch(&mut self, batch: &Batch, _: &mut ()) -> Result<()> {
        let Adder { options, prints, buffers, digests } = self;
        let keys_only = !options.filter.is_empty();
        batch.each(buffers, |record, scratch| {
            if let Record::Entry(entry) = &record {
                if options.filter.keeps(entry) {
                    let print = prints.print(entry, scratch)?;
                    digests.key(entry, key_hash(entry, &print, options.ignore), options.prefix);
                }
            } else if !keys_only && let Some((_, hash)) = Loose::of(&record, options.ignore)? {
                digests.loose += 1;
                digests.total.add(0, hash);
            }
            Ok(())
        })
    }
}

/// The hash of a key with all that counts: database, name, value, expiry.
fn key_hash(entry: &Entry<'_>, print: &Fingerprint, ignore: Ignore) -> u128 {
    let db = u128::from(entry.db);
    if ignore.ttl {
        return combine([db, hash(entry.key), print.of(Class::Content)]);
    }
    // No expiry is not the same as any number of ms.
    let expiry = entry.expiry.map_or(u128::MAX, |at| u128::from(at as u64));
    combine([db, hash(entry.key), print.data(), expiry])
}

impl Digests {
    fn key(&mut self, entry: &Entry<'_>, hash: u128, prefix: Option<u8>) {
        self.total.add(1, hash);
        self.dbs.entry(entry.db).or_default().add(1, hash);
        if let Some(delimiter) = prefix {
            let prefix = entry.key.iter().position(|b| *b == delimiter).map(|at| entry.key[..at].to_vec());
            self.prefixes.entry(prefix).or_default().add(1, hash);
        }
    }

    fn merge(&mut self, other: Digests) {
        self.total.add(other.total.keys, other.total.sum);
        self.loose += other.loose;
        for (db, digest) in other.dbs {
            self.dbs.entry(db).or_default().add(digest.keys, digest.sum);
        }
        for (prefix, digest) in other.prefixes {
            self.prefixes.entry(prefix).or_default().add(digest.keys, digest.sum);
        }
    }
}

/// Reads the whole input and gives its digests.
pub fn digest(input: &mut Input, threads: NonZeroUsize, options: &DigestOptions) -> Result<Digests> {
    let mut head = Adder::new(options);
    if let Some(batch) = input.reader.take_head() {
        head.batch(&batch, &mut ())?;
    }
    let mut digests = head.digests;
    let meter = input.meter.clone();
    let goes_on = |(): &mut ()| Ok(ControlFlow::Continue(()));
    let (adders, outcome) = run(&mut input.reader, threads, &meter, || Adder::new(options), goes_on);
    outcome?;
    adders.into_iter().for_each(|adder| digests.merge(adder.digests));
    Ok(digests)
}
