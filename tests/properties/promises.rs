//! What holds for any bytes whatever: nothing panics or hangs, however the bytes arrive; what can be read can be written
//! anew and is the same then; what is called sound is taken everywhere; what is repaired is sound.
//!
//! The tests here keep these promises on fixed seeds, and `fuzz/` on whatever libFuzzer thinks of.

use std::io::{Cursor, Read};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use rdbkit::analysis::{DigestOptions, digest};
use rdbkit::check::{Checks, Deep, Faults, Finding, check};
use rdbkit::codec::{intset::Intset, listpack::Listpack, lzf, ziplist::Ziplist, zipmap::Zipmap};
use rdbkit::model::{Element, Entry, Fingerprinter, Kind, Origin, RdbType, Record, Scratch, Target, Value, ValueBuf};
use rdbkit::pipeline::{Composer, Destination, Format, Input, Loaded, Meter, Output, Plan, Start, export, open};
use rdbkit::rdb::{Behind, Reader};
use rdbkit::repair::{Repair, Repairs};
use rdbkit::resp::{Commands, Manifest, Words};
use rdbkit::{Result, csv, json, resp};

/// Something that holds for any bytes, and its name. It panics where it does not.
pub type Promise = (&'static str, fn(&[u8]));

/// All of them.
pub const PROMISES: [Promise; 10] = [
    ("dump", dump),
    ("value", value),
    ("packed", packed),
    ("lzf", lzf_both_ways),
    ("json", json_document),
    ("csv", csv_rows),
    ("commands", commands),
    ("manifest", manifest),
    ("anew", anew),
    ("repair", repair),
];

/// Gives a few bytes at a time: one to seven, or always as many.
struct Drip(Cursor<Vec<u8>>, Option<usize>);

impl Read for Drip {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.1.unwrap_or(1 + self.0.position() as usize % 7);
        let n = buf.len().min(n);
        self.0.read(&mut buf[..n])
    }
}

fn at_once(data: &[u8]) -> Box<dyn Read + Send> {
    Box::new(Cursor::new(data.to_vec()))
}

fn in_drips(data: &[u8]) -> Box<dyn Read + Send> {
    Box::new(Drip(Cursor::new(data.to_vec()), None))
}

/// What an input holds: the sum of what its records are, and how it ends.
type Said = (u128, String);

fn said(sum: u128, outcome: Result<()>) -> Said {
    (sum, outcome.err().map_or(String::new(), |e| e.to_string()))
}

/// Adds what a record is to a sum.
fn add(sum: &mut u128, record: &Record<'_>, prints: &mut Fingerprinter, scratch: &mut Scratch) -> Result<()> {
    match record {
        Record::Entry(entry) => {
            entry.each_meta(|_| Ok(()))?;
            entry.each_member_expiry(|_, _| Ok(()))?;
            let print = prints.print(entry, scratch)?.data();
            let place = entry.key.iter().fold(entry.db, |n, b| n.wrapping_mul(31).wrapping_add(u64::from(*b)));
            *sum = sum.wrapping_mul(3).wrapping_add(print ^ u128::from(place) << 64 ^ u128::from(entry.offset));
        }
        Record::SlotImport { ranges, .. } => ranges.each(|_, _| Ok(()))?,
        _ => *sum = sum.wrapping_add(1),
    }
    Ok(())
}

fn walk(reader: Result<Reader>) -> Said {
    let (mut sum, mut prints) = (0, Fingerprinter::default());
    let outcome = reader.and_then(|mut reader| {
        reader.verify(false);
        reader.each(|record, scratch| add(&mut sum, &record, &mut prints, scratch))
    });
    said(sum, outcome)
}

/// Whether `check --deep` calls a dump sound; `None` where it can't tell.
fn is_sound(data: &[u8]) -> Option<bool> {
    deep(data, |_| {})
}

fn deep(data: &[u8], mut told: impl FnMut(String)) -> Option<bool> {
    let checks = Checks { deep: true, ..Checks::default() };
    let Ok(mut input) = Input::from_read("dump", at_once(data), Arc::default()) else { return Some(false) };
    let report = |finding: Finding<'_>| {
        match finding {
            Finding::Problem(e) | Finding::Obstacle(e) => told(e.to_string()),
        }
        Ok(())
    };
    match check(&mut input, NonZeroUsize::MIN, &checks, report) {
        Ok(verdict) => verdict.sound(),
        Err(_) => Some(false),
    }
}

fn problems(data: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    deep(data, |problem| all.push(problem));
    all
}

/// Any bytes as a dump: every record is walked, and no way to cut the input into reads makes a difference.
pub fn dump(data: &[u8]) {
    let whole = walk(Reader::new(at_once(data)));
    for drip in [Some(1), Some(3), None] {
        let drip = Box::new(Drip(Cursor::new(data.to_vec()), drip));
        assert_eq!(whole, walk(Reader::with_batch_size(drip, 1)), "the size of reads makes a difference");
    }
    assert_eq!(
        whole,
        walk(Reader::of_file(Arc::new(data.to_vec()), data.len() as u64, Behind::Told)),
        "the known size does"
    );
    let sound = is_sound(data);
    assert!(whole.1.is_empty() || sound != Some(true), "it is called sound, and can't be read: {}", whole.1);
}

const HEADERS: [&[u8; 9]; 7] =
    [b"REDIS0003", b"REDIS0006", b"REDIS0009", b"REDIS0011", b"REDIS0012", b"REDIS0015", b"VALKEY080"];

/// Two bytes name a header and a type; the others are a value.
pub fn value(data: &[u8]) {
    let [header, code, bytes @ ..] = data else { return };
    let header = HEADERS[usize::from(*header) % HEADERS.len()];
    let Some(origin) = Origin::from_header(header) else { return };
    let Some(rdb_type) = RdbType::resolve(*code, &origin) else { return };
    of_value(Value { rdb_type, bytes, origin: &origin });
}

/// Two bytes name a header and a type; the others are what is packed into one string, with the right length in front.
pub fn packed(data: &[u8]) {
    let [header, code, blob @ ..] = data else { return };
    packed_alone(blob);
    let mut bytes = Vec::new();
    let header = HEADERS[usize::from(*header) % HEADERS.len()];
    let Some(origin) = Origin::from_header(header) else { return };
    let Some(rdb_type) = RdbType::resolve(*code, &origin) else { return };
    use RdbType::*;
    match rdb_type {
        ListQuicklist => bytes.push(1),
        ListQuicklist2 => bytes.extend_from_slice(b"\x01\x02"),
        HashListpackEx => bytes.extend_from_slice(&[0; 8]),
        Stream1 | Stream2 | Stream3 | Stream4 | Stream5 => {
            bytes.extend_from_slice(b"\x01\x10\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01")
        }
        _ => {}
    }
    rdbkit::codec::string::write_raw(blob, &mut bytes);
    if rdb_type.stream_version().is_some() {
        // As few entries as can be, and a last id behind all of them; no groups.
        bytes.extend_from_slice(b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00");
    }
    of_value(Value { rdb_type, bytes: &bytes, origin: &origin });
}

/// A packed list gives as many items as it says, if it says it, and none behind its bytes.
fn packed_alone(blob: &[u8]) {
    if let Ok(mut list) = Listpack::new(blob) {
        let (declared, mut found) = (list.declared(), 0);
        let counted = list.clone().count().map_err(|e| e.reason());
        let walked = loop {
            match list.next_item() {
                Ok(Some(_)) => found += 1,
                Ok(None) => break Ok(found as u64),
                Err(e) => break Err(e.reason()),
            }
        };
        assert_eq!(counted, walked, "counted and walked");
        assert!(found <= blob.len() && declared.is_none_or(|n| n <= u64::from(u16::MAX)));
    }
    if let Ok(mut list) = Ziplist::new(blob) {
        while let Ok(Some(_)) = list.next_item() {}
    }
    if let Ok(mut map) = Zipmap::new(blob) {
        while let Ok(Some(_)) = map.next_pair() {}
    }
    if let Ok(set) = Intset::new(blob) {
        assert_eq!(set.members().count() as u64, set.count());
    }
}

/// What holds for every value.
fn of_value(value: Value<'_>) {
    let (mut scratch, mut prints) = (Scratch::default(), Fingerprinter::default());
    let entry = Entry::plain(0, b"key", value);
    let _ = (value.count(&mut scratch), value.encoding(), value.type_name(), value.link_version());
    let verified = value.verify(&mut scratch).map_err(|e| e.to_string());
    assert_eq!(verified, value.each(&mut scratch, |_| Ok(())).map_err(|e| e.to_string()), "verified and walked");
    let mut faults = Faults::default();
    Deep::default().entry(&entry, &mut scratch, &mut faults);
    let before = prints.print(&entry, &mut scratch);
    if before.is_err() {
        assert!(!faults.errors.is_empty(), "{:?}: it can't be read, and nothing is wrong", value.rdb_type);
    }
    let (mut json, mut rows, mut text) = (json::Writer::new(json::Form::Ndjson), Vec::new(), Vec::new());
    let as_json = json.entry(&entry, &mut scratch, &mut text);
    let mut csv = csv::Writer::new(csv::Level::Elements);
    let as_csv = csv.entry(&entry, &mut scratch, &mut rows);
    let mut resp = resp::Writer::new(resp::Options::default());
    let _ = resp.entry(&entry, &mut scratch, &mut Vec::new());
    let Ok(before) = before else {
        // What only a module or a fork understands goes as it is, and commands may hand any value on as it is.
        let is_opaque = matches!(value.kind(), Kind::Module | Kind::Foreign);
        assert!(is_opaque || as_json.is_err() && as_csv.is_err(), "{:?}: it can't be read", value.rdb_type);
        return;
    };
    if let Some(after) = built_anew(value, faults.errors.is_empty(), &mut scratch) {
        assert!(before.agrees(&after, |_| true), "{:?}: built anew, it is another", value.rdb_type);
    }
    if faults.errors.is_empty() && as_json.is_ok() {
        let after = read_back(&text, value);
        let is_same = after.is_none_or(|after| before.agrees(&after, |_| true));
        assert!(is_same, "{:?}: read from JSON, it is another", value.rdb_type);
    }
}

/// The fingerprint of the same value, built of its elements; `None` where that is refused.
fn built_anew(value: Value<'_>, is_sound: bool, scratch: &mut Scratch) -> Option<rdbkit::model::Fingerprint> {
    if matches!(value.kind(), Kind::Module | Kind::Foreign | Kind::VectorSet) {
        return None;
    }
    let mut anew = ValueBuf::new(&Arc::new(Target::of(value.origin)), true);
    anew.begin(value.kind());
    let mut refused = Ok(());
    let walked = value.each(scratch, |element: Element<'_>| {
        if refused.is_ok() {
            refused = anew.push(element);
        }
        Ok(())
    });
    walked.expect("it has been walked before");
    // Members that stand twice, ids that do not ascend: readable, but nothing that is written.
    let built = refused.and_then(|()| anew.finish());
    match built {
        // An array becomes a hash where the header is older than arrays.
        Ok(built) if built.kind() != value.kind() => None,
        Ok(built) => {
            let print = Fingerprinter::default().print(&Entry::plain(0, b"key", built), scratch);
            Some(print.expect("what was written can be read"))
        }
        Err(e) => {
            assert!(!is_sound, "{:?}: nothing is wrong with it, and it can't be written: {e}", value.rdb_type);
            None
        }
    }
}

/// The fingerprint of an entry that stands in a line of JSON; `None` where the header is older than the value's type.
fn read_back(line: &[u8], value: Value<'_>) -> Option<rdbkit::model::Fingerprint> {
    let origin = value.origin;
    let target = Arc::new(Target::of(origin));
    let mut source = json::Source::new(at_once(line), false).expect("what was written can be read");
    let mut reader = json::EntryReader::new(&target, true, Some(origin), 0);
    let (mut batch, mut print) = (source.batch(), None);
    while source.fill(&mut batch).expect("what was written can be read") {
        let visit = &mut |record: Record<'_>| {
            if let Record::Entry(entry) = record {
                let after = Fingerprinter::default().print(&entry, &mut Scratch::default())?;
                print = Some((entry.value.kind(), after));
            }
            Ok(())
        };
        match batch.each(&mut reader, visit) {
            Err(e) if e.reason().contains("has no place for such a value") => return None,
            outcome => outcome.expect("what was written can be read"),
        }
    }
    let (kind, print) = print.expect("an entry is an entry");
    (kind == value.kind()).then_some(print)
}

/// LZF both ways: bytes that claim to be compressed, and bytes that are compressed and must come back. The judge is
/// the crate that does what liblzf does.
pub fn lzf_both_ways(data: &[u8]) {
    let [a, b, packed @ ..] = data else { return };
    let len = usize::from(u16::from_le_bytes([*a, *b]));
    let mut out = Vec::new();
    let ours = lzf::decompress(packed, len as u64, &mut out).ok().map(<[u8]>::to_vec);
    let theirs = oracle(packed, len);
    assert_eq!(lzf::is_sound(packed, len as u64), theirs.is_some(), "{len} bytes of {}", packed.escape_ascii());
    assert_eq!(ours, theirs, "{len} bytes of {}", packed.escape_ascii());
    for want in [1, 6, len / 2] {
        if let (Some(whole), Ok(start)) = (&ours, lzf::decompress_start(packed, len as u64, want, &mut out)) {
            assert!(start.len() >= want.min(len) && whole.starts_with(start));
        }
    }
    let mut compressed = Vec::new();
    if lzf::Compressor::default().compress(data, data.len(), &mut compressed) {
        let back = lzf::decompress(&compressed, data.len() as u64, &mut out).expect("what we compressed is sound");
        assert_eq!(back, data);
        assert_eq!(oracle(&compressed, data.len()).as_deref(), Some(data), "liblzf reads what we compressed");
    }
}

/// Decompresses slowly and carefully, as the format is defined.
fn oracle(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < packed.len() {
        let control = usize::from(packed[at]);
        at += 1;
        if control < 32 {
            out.extend_from_slice(packed.get(at..at + control + 1)?);
            at += control + 1;
        } else {
            let mut n = control >> 5;
            if n == 7 {
                n += usize::from(*packed.get(at)?);
                at += 1;
            }
            let distance = ((control & 31) << 8 | usize::from(*packed.get(at)?)) + 1;
            at += 1;
            let from = out.len().checked_sub(distance)?;
            for i in 0..n + 2 {
                out.push(out[from + i]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

fn json_said(source: Result<json::Source>) -> Said {
    let (mut sum, mut prints, mut scratch) = (0, Fingerprinter::default(), Scratch::default());
    let outcome = source.and_then(|mut source| {
        let origin = source.header().map(|header| header.origin().clone());
        let target = Arc::new(origin.as_ref().map_or_else(|| Target::least(u32::MAX), Target::of));
        let mut reader = json::EntryReader::new(&target, true, origin.as_ref(), 0);
        let mut batch = source.batch();
        while source.fill(&mut batch)? {
            batch.each(&mut reader, &mut |record| add(&mut sum, &record, &mut prints, &mut scratch))?;
        }
        Ok(())
    });
    said(sum, outcome)
}

/// Any bytes as a JSON or NDJSON backup, or as a map of fixtures.
pub fn json_document(data: &[u8]) {
    let whole = json_said(json::Source::new(at_once(data), false));
    let drips = json_said(json::Source::with_batch_size(in_drips(data), false, 1));
    assert_eq!(whole, drips, "the size of reads makes a difference");
    let _ = json_said(json::Source::new(at_once(data), true));
}

/// Any bytes as rows of CSV.
pub fn csv_rows(data: &[u8]) {
    let read = |input| {
        let (mut sum, mut prints, mut scratch) = (0, Fingerprinter::default(), Scratch::default());
        let mut values = ValueBuf::new(&Arc::new(Target::least(u32::MAX)), true);
        let outcome = csv::Reader::new(input).and_then(|mut reader| {
            while let Some(record) = reader.next_key(&mut values, 0)? {
                add(&mut sum, &record, &mut prints, &mut scratch)?;
            }
            Ok(())
        });
        said(sum, outcome)
    };
    assert_eq!(read(at_once(data)), read(in_drips(data)), "the size of reads makes a difference");
}

/// Any bytes as commands (RESP, annotated or typed), with or without a dump in front; they are applied to a dataset.
pub fn commands(data: &[u8]) {
    let parse = |input: Box<dyn Read + Send>, strict: bool| {
        let commands = Commands::new(input);
        let mut commands = if strict { commands.strict() } else { commands };
        let (mut words, mut all) = (Words::default(), Vec::new());
        let end = loop {
            match commands.next_command(&mut words) {
                Ok(Some(offset)) => all.push((offset, words.from(0).map(<[u8]>::to_vec).collect::<Vec<_>>())),
                Ok(None) => break String::new(),
                Err(e) => break e.to_string(),
            }
        };
        assert!(commands.offset() <= data.len() as u64);
        (all, end)
    };
    for strict in [false, true] {
        assert_eq!(parse(at_once(data), strict), parse(in_drips(data), strict), "the size of reads makes a difference");
    }
    let start = &data[..data.len().min(4096)];
    drop(Loaded::read_stream("commands", at_once(data), start, Start { now: 1_700_000_000_000, db: 0 }));
}

/// Any bytes as the manifest of an append-only directory: what is read is the same when it is written and read again.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::read(data) else { return };
    let lines: String = manifest.files.iter().map(resp::AofFile::line).collect();
    // Quoting makes names longer, and no server takes a line of more than a kilobyte.
    if lines.lines().any(|line| line.len() > 1000) {
        return;
    }
    assert_eq!(Manifest::read(lines.as_bytes()).expect("what was written can be read"), manifest, "{lines}");
}

/// A file of this thread that is written again and again.
fn place(name: &str) -> PathBuf {
    thread_local!(static FOLDER: tempfile::TempDir = folder());
    FOLDER.with(|folder| folder.path().join(name))
}

/// In memory, where there is a place for that.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is a place for a file")
}

fn sums(input: &mut Input) -> Result<(u64, u128)> {
    let total = digest(input, NonZeroUsize::MIN, &DigestOptions::default())?.total;
    Ok((total.keys, total.sum))
}

/// Whether a header's version has a place for all that follows it: servers do not ask, and those who write do.
fn is_of_its_version(data: &[u8]) -> bool {
    let Ok(mut reader) = Reader::new(at_once(data)) else { return false };
    reader.verify(false);
    let target = Target::of(reader.origin());
    let mut fits = true;
    let walked = reader.each(|record, _| {
        if let Record::Entry(entry) = record {
            let has_milliseconds = entry.expiry.is_some_and(|at| at % 1000 != 0);
            fits &= target.accepts(entry.value) && (target.redis_version() >= 3 || !has_milliseconds);
        }
        Ok(())
    });
    walked.is_ok() && fits
}

/// A sound dump that is written anew, as a dump or as JSON, holds the same.
pub fn anew(data: &[u8]) {
    if is_sound(data) != Some(true) || !is_of_its_version(data) {
        return;
    }
    let input = || Input::from_read("dump", at_once(data), Arc::new(Meter::default())).expect("it is sound");
    let before = sums(&mut input()).expect("it is sound");
    for rebuild in [false, true] {
        let path = place("anew.rdb");
        let mut first = input();
        let mut plan = Plan::new(Target::of(first.reader.origin()), true);
        plan.options.rebuild = rebuild;
        let mut refused = |_: &rdbkit::pipeline::Loss| Ok(());
        let output = Output::create(Some(&path), true).expect("there is room");
        let mut composer = Composer::new(&plan, Destination::One(output), &mut refused).expect("there is room");
        composer.add(&mut first, NonZeroUsize::MIN).expect("a sound dump can be written anew");
        let report = composer.finish().expect("there is room");
        if report.left + report.less + report.changed == 0 {
            let written = std::fs::read(&path).expect("it was written");
            assert_eq!(is_sound(&written), Some(true), "what was written is sound (rebuilt: {rebuild})");
            let after = sums(&mut open(&path).expect("it was written")).expect("it was written");
            assert_eq!(before, after, "written anew, it is another (rebuilt: {rebuild})");
        }
    }
    let path = place("anew.json");
    let mut output = Output::create(Some(&path), true).expect("there is room");
    let filter = rdbkit::model::Filter::default();
    export(&mut input(), Format::Json, &filter, NonZeroUsize::MIN, &mut output, &mut 0).expect("a sound dump can");
    output.finish().expect("there is room");
    let after = sums(&mut open(&path).expect("a backup can be read")).expect("a backup can be read");
    assert_eq!(before, after, "as JSON, it is another");
}

/// What was repaired is sound, and has as many keys as the report says.
pub fn repair(data: &[u8]) {
    let (from, to) = (place("damaged.rdb"), place("repaired.rdb"));
    std::fs::write(&from, data).expect("there is room");
    for salvage_elements in [false, true] {
        let repairs = Repairs { salvage_elements, ..Repairs::default() };
        let Ok(repair) = Repair::open(&from, repairs) else { return };
        let mut output = Output::create(Some(&to), true).expect("there is room");
        let report = repair.run(NonZeroUsize::MIN, &mut output, &mut |_| Ok(()));
        let Ok(report) = report else { return };
        output.finish().expect("there is room");
        let written = std::fs::read(&to).expect("it was written");
        assert_eq!(report.size, written.len() as u64);
        let sound = is_sound(&written);
        assert!(sound != Some(false), "what was repaired is not sound: {:?}", problems(&written));
        if sound == Some(true) {
            assert_eq!(sums(&mut open(&to).expect("it is sound")).expect("it is sound").0, report.keys);
        }
    }
}
