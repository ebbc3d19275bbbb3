//! The damage study: dumps of real servers are cut, flipped, overwritten and reordered; `check --deep` must notice, and
//! `repair` must keep what is not damaged. `RDBKIT_DAMAGE=full` runs all of it and prints the table of the README;
//! `RDBKIT_DAMAGE=5` five per cent of it; without, a sample runs. `RDBKIT_CORPUS=FOLDER` studies a larger corpus of the same layout.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use rdbkit::check::{Checks, check};
use rdbkit::model::{Fingerprinter, Kind, Origin, Record, Scratch};
use rdbkit::pipeline::{Output, open};
use rdbkit::rdb::Reader;
use rdbkit::repair::{Repair, Repairs, Report};
use tempfile::TempDir;

use crate::corpus::{Case, cases};
use crate::harness::{folder, read};
use crate::live::{installed, is_installed};

/// Numbers that look random and are always the same.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

/// Every key of a dump with all that belongs to it.
pub(crate) type Keys = BTreeMap<(u64, Vec<u8>), Vec<u8>>;

/// The keys, and where the records of keys begin, with their databases.
pub(crate) fn keys(bytes: &[u8]) -> Option<(Keys, Vec<(usize, u64)>)> {
    let mut reader = Reader::new(Box::new(Cursor::new(bytes.to_vec()))).ok()?;
    reader.verify(false);
    let (mut keys, mut starts, mut prints) = (Keys::new(), Vec::new(), Fingerprinter::default());
    let visit = |record: Record<'_>, scratch: &mut Scratch| {
        if let Record::Entry(entry) = record {
            // Hashes that refer to templates are written with their fields' names.
            let value = match entry.value.kind() {
                Kind::Hash => format!("{:?}", prints.print(&entry, scratch)?).into_bytes(),
                _ => [format!("{:?} ", entry.value.rdb_type).as_bytes(), entry.value.bytes].concat(),
            };
            let facts = format!("{:?} {:?} ", entry.expiry, entry.eviction).into_bytes();
            let all = [&facts, entry.meta, b" ", entry.member_expiries, b" ", &value].concat();
            keys.insert((entry.db, entry.key.to_vec()), all);
            starts.push((usize::try_from(entry.offset).unwrap(), entry.db));
        }
        Ok(())
    };
    reader.each(visit).ok()?;
    Some((keys, starts))
}

/// A kind of damage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Damage {
    Cut,
    Flip,
    Overwrite,
    Swap,
}

/// One damaged dump.
struct Variant {
    damage: Damage,
    /// The damaged bytes of the original.
    at: usize,
    len: usize,
    bytes: Vec<u8>,
}

/// How many variants of each kind.
#[derive(Clone, Copy)]
struct Counts {
    cuts: usize,
    flips: usize,
    overwrites: usize,
    swaps: usize,
}

fn variants(bytes: &[u8], starts: &[(usize, u64)], counts: Counts, random: &mut Random) -> Vec<Variant> {
    let mut all = Vec::new();
    let len = bytes.len();
    for _ in 0..counts.cuts {
        let at = 9 + random.below(len - 10);
        all.push(Variant { damage: Damage::Cut, at, len: len - at, bytes: bytes[..at].to_vec() });
    }
    for _ in 0..counts.flips {
        let at = random.below(len);
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1 + random.below(255) as u8;
        all.push(Variant { damage: Damage::Flip, at, len: 1, bytes });
    }
    for _ in 0..counts.overwrites {
        let at = random.below(len - 10);
        let mut bytes = bytes.to_vec();
        bytes[at..at + 10].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        all.push(Variant { damage: Damage::Overwrite, at, len: 10, bytes });
    }
    for _ in 0..counts.swaps {
        // Two records of one database, which stay in it.
        let pairs: Vec<_> = starts.windows(3).filter(|three| three.iter().all(|(_, db)| *db == three[0].1)).collect();
        if pairs.is_empty() {
            break;
        }
        let [(a, _), (b, _), (c, _)] = pairs[random.below(pairs.len())] else { unreachable!() };
        let (a, b, c) = (*a, *b, *c);
        let swapped = [&bytes[..a], &bytes[b..c], &bytes[a..b], &bytes[c..]].concat();
        all.push(Variant { damage: Damage::Swap, at: a, len: c - a, bytes: swapped });
    }
    all
}

/// What is known of one kind of damage.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    variants: u64,
    /// Found by `check --deep`.
    found: u64,
    /// Undamaged keys, and those of them that are in the repaired dump as they were.
    undamaged: u64,
    kept: u64,
    /// Keys in the repaired dump that were never saved so.
    invented: u64,
    /// The smallest share that was kept.
    worst: Option<f64>,
}

impl Tally {
    fn share(&self) -> f64 {
        if self.undamaged == 0 { 1.0 } else { self.kept as f64 / self.undamaged as f64 }
    }
}

/// A place for damaged and repaired files.
pub(crate) struct Bench(TempDir);

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench(folder())
    }

    fn damaged(&self) -> PathBuf {
        self.0.path().join("damaged.rdb")
    }

    fn repaired(&self) -> PathBuf {
        self.0.path().join("repaired.rdb")
    }

    /// Whether `check --deep` finds something.
    fn is_found(&self) -> bool {
        let checks = Checks { deep: true, ..Checks::default() };
        let Ok(mut input) = open(&self.damaged()) else { return true };
        let verdict = check(&mut input, NonZeroUsize::MIN, &checks, |_| Ok(()));
        !verdict.is_ok_and(|verdict| verdict.sound() == Some(true))
    }

    /// Repairs these bytes; nothing, where nothing can be made of them.
    pub(crate) fn repair_of(&self, damaged: &[u8]) -> Option<Vec<u8>> {
        std::fs::write(self.damaged(), damaged).unwrap();
        self.repair().map(|_| read(&self.repaired()))
    }

    /// Repairs the damaged file; nothing, where nothing can be made of it.
    fn repair(&self) -> Option<Report> {
        let repair = Repair::open(&self.damaged(), Repairs::default()).ok()?;
        let mut output = Output::create(Some(&self.repaired()), true).unwrap();
        let report = repair.run(NonZeroUsize::MIN, &mut output, &mut |_| Ok(())).unwrap();
        output.finish().unwrap();
        Some(report)
    }

    /// Damages a dump in every way; adds to the tallies.
    fn study(&self, name: &str, bytes: &[u8], counts: Counts, tallies: &mut BTreeMap<Damage, Tally>) {
        let (truth, starts) = keys(bytes).unwrap();
        let mut random = Random(7);
        for variant in variants(bytes, &starts, counts, &mut random) {
            if variant.bytes == bytes {
                continue;
            }
            let repaired = self.repair_of(&variant.bytes);
            let tally = tallies.entry(variant.damage).or_default();
            tally.variants += 1;
            let is_found = self.is_found();
            tally.found += u64::from(is_found);
            let after = repaired.as_ref().map(|bytes| keys(bytes).expect("what was repaired can be read").0);
            let after = after.unwrap_or_default();
            let lost = damaged_keys(&starts, bytes.len(), &variant);
            let undamaged = (truth.len() - lost.min(truth.len())) as u64;
            let same = truth.iter().filter(|(key, all)| after.get(*key) == Some(*all)).count() as u64;
            tally.undamaged += undamaged;
            tally.kept += same.min(undamaged);
            let invented = after.iter().filter(|(key, all)| truth.get(*key) != Some(*all)).count() as u64;
            tally.invented += invented;
            if verbose() && invented > 3 {
                println!("{name}: {:?} at {}: {invented} invented", variant.damage, variant.at);
            }
            let share = if undamaged == 0 { 1.0 } else { same.min(undamaged) as f64 / undamaged as f64 };
            if verbose() && (share < 0.99 || !is_found) {
                let Variant { damage, at, .. } = variant;
                println!("{name}: {damage:?} at {at}: found {is_found}, {same} of {undamaged} kept");
            }
            tally.worst = Some(tally.worst.map_or(share, |worst| worst.min(share)));
        }
    }
}

fn verbose() -> bool {
    std::env::var_os("RDBKIT_DAMAGE_VERBOSE").is_some()
}

/// How many keys the damage touches.
fn damaged_keys(starts: &[(usize, u64)], end: usize, variant: &Variant) -> usize {
    if variant.damage == Damage::Swap {
        return 0;
    }
    let last = variant.at + variant.len;
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([end - 9]);
    starts.iter().zip(ends).filter(|((start, _), end)| *start < last && *end > variant.at).count()
}

/// The same dump, as with `rdbchecksum no`.
pub(crate) fn unsealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let version = Origin::from_header(bytes.first_chunk().unwrap()).unwrap().version;
    if version >= 5 {
        let body = bytes.len() - 8;
        bytes[body..].fill(0);
    }
    bytes
}

/// How many per cent of the study are wanted: 100 for `full`; nothing for the sample that runs with the tests.
fn wanted() -> Option<usize> {
    let how = std::env::var("RDBKIT_DAMAGE").ok()?;
    if how == "full" { Some(100) } else { how.parse().ok() }
}

pub(crate) fn is_full() -> bool {
    wanted().is_some()
}

impl Counts {
    /// As many of them as are wanted, one of each kind at least.
    fn wanted(self) -> Counts {
        let some = |count: usize| (count * wanted().unwrap_or(100) / 100).max(count.min(1));
        let Counts { cuts, flips, overwrites, swaps } = self;
        Counts { cuts: some(cuts), flips: some(flips), overwrites: some(overwrites), swaps: some(swaps) }
    }
}

/// The larger dumps of a corpus are damaged less often.
const LARGE: usize = 400 << 10;

/// The cases that are damaged: all, or the small ones of each server.
fn studied() -> Vec<(Case, Vec<u8>)> {
    let limit = if is_full() { usize::MAX } else { 30 << 10 };
    let with_bytes = cases().into_iter().map(|case| {
        let bytes = case.bytes();
        (case, bytes)
    });
    // What has no checksum and no end mark of its own is another matter.
    with_bytes.filter(|(case, bytes)| bytes.len() < limit && !case.id().contains("4.0-rc2/modules")).collect()
}

fn show(what: &str, tallies: &BTreeMap<Damage, Tally>) {
    for (damage, tally) in tallies {
        println!(
            "{what} {damage:?}: {} variants, {} found, {:.3} % of undamaged keys kept (worst {:.2} %), {} invented",
            tally.variants,
            tally.found,
            tally.share() * 100.0,
            tally.worst.unwrap_or(1.0) * 100.0,
            tally.invented
        );
    }
}

#[test]
fn damage_of_the_corpus_is_found_and_repaired() {
    let full = Counts { cuts: 100, flips: 1000, overwrites: 100, swaps: 10 };
    let sample = Counts { cuts: 1, flips: 4, overwrites: 2, swaps: 1 };
    let of_large = Counts { cuts: 10, flips: 40, overwrites: 10, swaps: 2 };
    let bench = Bench::new();
    let (mut sealed, mut open) = (BTreeMap::new(), BTreeMap::new());
    for (case, bytes) in studied() {
        let counts = match is_full() {
            true if bytes.len() >= LARGE => of_large.wanted(),
            true => full.wanted(),
            false => sample,
        };
        if bytes[..9] >= b"REDIS0005"[..] && bytes[bytes.len() - 8..] != [0; 8] {
            bench.study(&case.id(), &bytes, counts, &mut sealed);
        }
        bench.study(&format!("{} unsealed", case.id()), &unsealed(&bytes), counts, &mut open);
    }
    show("with checksum", &sealed);
    show("without checksum", &open);
    for (damage, tally) in &sealed {
        assert_eq!(tally.found, tally.variants, "{damage:?} that check --deep does not find");
    }
    let flips = &sealed[&Damage::Flip];
    assert_eq!((flips.kept, flips.invented), (flips.undamaged, 0), "the checksum tells which byte was flipped");
}

/// A dump of several thousand keys of all types, as a server saves it.
fn thousands() -> Vec<u8> {
    const FILL: &str = "for i = 1, 1500 do local n = tostring(i)
        redis.call('SET', 'user:' .. n, 'name of the user ' .. n)
        redis.call('SET', 'counter:' .. n, i * 7)
        redis.call('HSET', 'session:' .. n, 'token', n .. ':abcdef', 'ip', '10.0.0.' .. n, 'hits', i)
        if i % 3 == 0 then redis.call('RPUSH', 'queue:' .. n, 'job', n, 'again', 'and again', i, i + 1) end
        if i % 3 == 1 then redis.call('ZADD', 'board:' .. n, i, 'alice', i / 2, 'bob', -i, 'carol') end
        if i % 3 == 2 then redis.call('SADD', 'tags:' .. n, 'red', 'green', n) end
        if i % 5 == 0 then redis.call('PEXPIREAT', 'user:' .. n, 4000000000000 + i) end
        if i % 50 == 0 then for j = 1, 200 do redis.call('HSET', 'big:' .. n, 'field:' .. j, 'value ' .. j) end end
        if i % 40 == 0 then redis.call('XADD', 'log:' .. n, '1-' .. n, 'temperature', n, 'unit', 'C') end
        if i % 100 == 0 then redis.call('SET', 'page:' .. n, string.rep('<li>item ' .. n .. '</li>', 200)) end
    end";
    let mut server = installed("redis-7.0.15").start();
    server.ask("EVAL", &[FILL.as_bytes(), b"0"]);
    read(&server.save())
}

#[test]
fn nearly_all_of_a_large_dump_survives() {
    let bytes = thousands();
    let counts = match is_full() {
        true => Counts { cuts: 100, flips: 1000, overwrites: 100, swaps: 10 }.wanted(),
        false => Counts { cuts: 5, flips: 60, overwrites: 15, swaps: 1 },
    };
    let bench = Bench::new();
    let (mut sealed, mut open) = (BTreeMap::new(), BTreeMap::new());
    bench.study("thousands", &bytes, counts, &mut sealed);
    bench.study("thousands unsealed", &unsealed(&bytes), counts, &mut open);
    show("large, with checksum", &sealed);
    show("large, without checksum", &open);
    assert_eq!(sealed[&Damage::Flip].share(), 1.0);
    for tallies in [&sealed, &open] {
        assert_eq!(tallies[&Damage::Cut].share(), 1.0, "all keys before a cut are kept");
    }
    assert!(sealed.values().all(|tally| tally.worst >= Some(0.99)), "{sealed:?}");
    // A flipped bit can make an expiry's opcode that of another database, which only the checksum would tell.
    assert!(open.values().all(|tally| tally.share() >= 0.98), "{open:?}");
}

/// What a real server says of a dump: nothing if it refuses it or crashes, else a digest of all data.
fn digest(server: &str, dump: &std::path::Path) -> Option<Vec<u8>> {
    let mut server = installed(server).tries(dump)?;
    server.ask("DEBUG SET-ACTIVE-EXPIRE 0", &[]);
    let functions = server.installed.since(7, 0).then(|| server.ask("FUNCTION LIST WITHCODE", &[]));
    Some([server.ask("DEBUG DIGEST", &[]).text(), format!("{functions:?}").as_bytes()].concat())
}

/// What came of damage that real servers were shown.
#[derive(Default, Debug)]
struct Judged {
    shown: u64,
    refused: u64,
    differing: u64,
    /// Loaded with other data, with no checksum to tell.
    silent: u64,
    started: u64,
}

impl Judged {
    /// Shows a server the damaged dump, and what was made of it where it refuses that.
    fn add(&mut self, bench: &Bench, server: &str, truth: &[u8], is_sealed: bool) -> Result<(), &'static str> {
        let (said, is_found) = (digest(server, &bench.damaged()), bench.is_found());
        self.shown += 1;
        let Some(said) = said else {
            self.refused += 1;
            bench.repair().ok_or("nothing is made of it")?;
            digest(server, &bench.repaired()).ok_or("the server does not start from what was repaired")?;
            self.started += 1;
            return if is_found { Ok(()) } else { Err("the server refuses it, we don't") };
        };
        if said != truth {
            self.differing += 1;
            self.silent += u64::from(!is_found);
            if is_sealed && !is_found {
                return Err("the server reads it otherwise, we don't tell");
            }
        }
        Ok(())
    }
}

/// Dumps that servers are shown: of a few versions, or of all that are installed.
fn shown() -> Vec<(Case, Counts)> {
    let count = if is_full() { 100 } else { 5 };
    let counts = Counts { cuts: count / 5, flips: count, overwrites: count / 2, swaps: 0 }.wanted();
    let few = ["redis-7.0.15", "redis-8.10.2", "valkey-9.1.2"];
    let mut shown: Vec<_> = few.map(|server| (crate::corpus::case(server, "small"), counts)).into();
    if is_full() {
        /// Modules are not here; a cluster is needed; DEBUG DIGEST does not come back; loaded, nothing of it is left.
        const NOT_SHOWN: [&str; 5] = ["modules", "falkordb", "slot_import", "array", "expired"];
        let counts = Counts { cuts: 2, flips: 10, overwrites: 5, swaps: 0 }.wanted();
        let others = cases().into_iter().filter(|case| {
            let is_shown = case.name == "small" && few.contains(&case.server.as_str());
            // Older ones load what crashes them later.
            let is_judge = is_installed(&case.server) && installed(&case.server).since(6, 2);
            is_judge && !is_shown && !NOT_SHOWN.contains(&case.name.as_str())
        });
        shown.extend(others.map(|case| (case, counts)));
    }
    shown
}

#[test]
fn what_servers_refuse_or_misread_is_found_and_what_is_repaired_starts() {
    let bench = Bench::new();
    let (mut judged, mut wrong) = (Judged::default(), Vec::new());
    for (case, counts) in shown() {
        let sealed = case.bytes();
        let (_, starts) = keys(&sealed).unwrap();
        let open = unsealed(&sealed);
        // Some were saved without a checksum.
        let is_sealed = open != sealed;
        for (bytes, is_sealed) in [(open, false), (sealed, true)].into_iter().take(1 + usize::from(is_sealed)) {
            std::fs::write(bench.damaged(), &bytes).unwrap();
            let truth = digest(&case.server, &bench.damaged()).expect("a sound dump is loaded");
            for variant in variants(&bytes, &starts, counts, &mut Random(41)) {
                std::fs::write(bench.damaged(), &variant.bytes).unwrap();
                if let Err(why) = judged.add(&bench, &case.server, &truth, is_sealed) {
                    let Variant { damage, at, .. } = variant;
                    wrong.push(format!("{}: {damage:?} at {at} (sealed: {is_sealed}): {why}", case.id()));
                }
            }
        }
    }
    println!("{judged:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged.refused > 10, "{judged:?}");
}
