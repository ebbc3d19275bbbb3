//! Damaged, cut and slow inputs, in process: nothing panics, nothing hangs, and no damage goes by unseen.

use std::io::{Cursor, Read};
use std::sync::Arc;

use rdbkit::model::{Origin, RdbType, Record, Scratch, Value};
use rdbkit::rdb::{Behind, Reader};
use rdbkit::{Result, json};

use crate::corpus::case;
use crate::harness::{testdata, tutorial};

/// A dump with a name, and how far apart the bytes are that are tried.
struct Sample {
    name: &'static str,
    bytes: Vec<u8>,
    step: usize,
    /// From version 5 on a file ends with its checksum.
    has_checksum: bool,
}

/// The dumps that are damaged here: every kind of record and value of every layout among them.
fn samples() -> Vec<Sample> {
    let corpus = |server: &'static str, name: &'static str, step| {
        let bytes = case(server, name).bytes();
        Sample { name: server, bytes, step, has_checksum: !matches!(server, "redis-rdb3" | "redis-2.4.18") }
    };
    vec![
        Sample { name: "tutorial", bytes: tutorial(), step: 1, has_checksum: true },
        corpus("redis-rdb3", "multidb", 1),
        corpus("redis-rdb3", "small", 5),
        corpus("redis-6.2.16", "modules", 1),
        corpus("redis-7.0-rc2", "functions", 1),
        corpus("redis-7.0.15", "multidb", 1),
        corpus("redis-7.0.15", "small", 3),
        corpus("redis-7.4.1", "hfe", 61),
        corpus("redis-8.6.3", "stream_idmp", 1),
        corpus("redis-8.0.6", "vset", 97),
        corpus("redis-8.10.2", "stream_xnack", 1),
        corpus("redis-8.10.2", "modules", 1),
        corpus("redis-8.10.2", "himport", 211),
        corpus("redis-8.10.2", "array", 997),
        corpus("valkey-9.1.2", "hfe", 61),
        corpus("valkey-9.1.2", "slot_import", 499),
        corpus("valkey-9.1.2", "cluster", 1),
    ]
}

/// Starts reading.
fn open(bytes: &[u8]) -> Result<Reader> {
    Reader::new(Box::new(Cursor::new(bytes.to_vec())))
}

/// Reads everything there is: every record, every value, every part.
fn walk(mut reader: Reader) -> Result<Reader> {
    reader.each(|record, scratch| match record {
        Record::Entry(entry) => {
            entry.each_meta(|_| Ok(()))?;
            entry.value.each(scratch, |_| Ok(()))
        }
        Record::SlotImport { ranges, .. } => ranges.each(|_, _| Ok(())),
        _ => Ok(()),
    })?;
    Ok(reader)
}

/// What the keys are as JSON, up to the end or the damage, and what that was.
fn lines(reader: Result<Reader>) -> (Vec<u8>, Option<String>) {
    let mut out = Vec::new();
    let mut writer = json::Writer::new(json::Form::Ndjson);
    let outcome = reader.and_then(|mut reader| {
        reader.each(|record, scratch| match record {
            Record::Entry(entry) => writer.entry(&entry, scratch, &mut out),
            other => writer.other(&other, &mut out),
        })
    });
    (out, outcome.err().map(|e| e.to_string()))
}

#[test]
fn no_prefix_of_a_dump_passes_for_a_dump() {
    for sample in samples() {
        let (whole, error) = lines(open(&sample.bytes));
        assert_eq!(error, None, "{}", sample.name);
        for len in (0..sample.bytes.len()).step_by(sample.step) {
            let (some, error) = lines(open(&sample.bytes[..len]));
            assert!(error.is_some(), "{}: the first {len} bytes pass for a dump", sample.name);
            assert!(whole.starts_with(&some), "{}: the first {len} bytes give other keys", sample.name);
        }
    }
}

#[test]
fn a_known_length_makes_no_cut_file_whole() {
    for sample in samples() {
        for len in (0..sample.bytes.len()).step_by(sample.step.max(3)) {
            let cut = sample.bytes[..len].to_vec();
            let sized = lines(Reader::of_file(Arc::new(cut.clone()), len as u64, Behind::Told));
            assert_eq!(sized, lines(open(&cut)), "{}: cut to {len} bytes", sample.name);
        }
    }
}

#[test]
fn the_checksum_finds_every_changed_byte() {
    for sample in samples().iter().filter(|sample| sample.has_checksum) {
        let mut bytes = sample.bytes.clone();
        for at in (0..bytes.len()).step_by(sample.step) {
            bytes[at] ^= 1;
            // A version below 5 has no checksum; then the one that is there is bytes too many, and that is told.
            let noticed = open(&bytes).and_then(walk).map_or(true, |reader| {
                let end = reader.end().unwrap();
                at < 9 && end.checksum.name() == "none" && end.trailing.is_some_and(|trailing| trailing.bytes == 8)
            });
            assert!(noticed, "{}: byte {at} was changed, and nobody noticed", sample.name);
            bytes[at] ^= 1;
        }
    }
}

#[test]
fn whatever_byte_is_changed_nothing_panics() {
    for sample in samples() {
        let mut bytes = sample.bytes.clone();
        for at in (0..bytes.len()).step_by(sample.step) {
            for mask in [0xff, 1, 0x80] {
                bytes[at] ^= mask;
                let unverified = open(&bytes).and_then(|mut reader| {
                    reader.verify(false);
                    walk(reader)
                });
                // A changed byte may well give another sound dump, but never with the same checksum.
                let end = unverified.ok().map(|reader| reader.end().unwrap().checksum.name());
                assert!(!(sample.has_checksum && end == Some("ok")), "{}: byte {at}", sample.name);
                bytes[at] ^= mask;
            }
        }
    }
}

/// A reader that gives so many bytes at a time.
struct Drops(Cursor<Vec<u8>>, usize);

impl Read for Drops {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = buf.len().min(self.1);
        self.0.read(&mut buf[..n])
    }
}

fn in_drops(bytes: &[u8], drop: usize, batch: usize) -> Result<Reader> {
    Reader::with_batch_size(Box::new(Drops(Cursor::new(bytes.to_vec()), drop)), batch)
}

const BATCHES: [usize; 6] = [1, 2, 3, 17, 64, 1000];

#[test]
fn neither_batches_nor_slow_inputs_show() {
    for case in crate::corpus::cases() {
        let bytes = case.bytes();
        let whole = lines(open(&bytes));
        assert_eq!(whole.1, None, "{}", case.id());
        let batches = if bytes.len() < 10_000 { &BATCHES[..] } else { &BATCHES[3..] };
        for &batch in batches {
            let drop = if batch % 2 == 0 { 1 } else { 7 };
            assert!(lines(in_drops(&bytes, drop, batch)) == whole, "{}: batches of {batch}", case.id());
        }
    }
}

#[test]
fn damage_is_told_alike_with_all_sizes_of_batches() {
    for sample in samples() {
        let mut bytes = sample.bytes.clone();
        for at in (9..bytes.len()).step_by(sample.step.max(13)) {
            bytes[at] ^= 0xff;
            let whole = lines(open(&bytes));
            for batch in [1, 17, 1000] {
                let other = lines(in_drops(&bytes, 7, batch));
                assert!(other == whole, "{}, byte {at}: {:?} becomes {:?}", sample.name, whole.1, other.1);
            }
            bytes[at] ^= 0xff;
        }
    }
}

/// Numbers that look random and are always the same.
struct Lcg(u64);

impl Lcg {
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut byte = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 56) as u8
        };
        (0..n).map(|_| byte()).collect()
    }
}

#[test]
fn random_bytes_are_no_dump() {
    let mut random = Lcg(7);
    for round in 0..20_000 {
        for header in [&b""[..], b"REDIS0003", b"REDIS0009", b"REDIS0015", b"VALKEY080"] {
            let bytes = [header, &random.bytes(1 + round % 300)].concat();
            let Ok(reader) = open(&bytes).and_then(walk) else { continue };
            // The end mark at the very start is a dump, if a version has no checksum.
            assert!(
                header == b"REDIS0003" && bytes[9..].contains(&0xff),
                "{bytes:x?} passes for a dump: {:?}",
                reader.end()
            );
        }
    }
}

#[test]
fn pieces_of_dumps_in_any_order_do_not_panic() {
    let files: Vec<Vec<u8>> = samples().into_iter().map(|sample| sample.bytes).filter(|b| b.len() < 10_000).collect();
    let mut random = Lcg(11);
    for _ in 0..5_000 {
        let mut bytes = files[random.bytes(1)[0] as usize % files.len()][..9].to_vec();
        for _ in 0..4 {
            let file = &files[random.bytes(1)[0] as usize % files.len()];
            let at = random.bytes(2).iter().fold(0, |n, b| n << 8 | *b as usize) % file.len();
            let len = random.bytes(1)[0] as usize;
            bytes.extend_from_slice(&file[at..file.len().min(at + len)]);
        }
        drop(open(&bytes).and_then(walk));
    }
}

#[test]
fn an_empty_dump_of_every_version_is_sound() {
    for version in 1..=20 {
        let mut bytes = format!("REDIS{version:04}").into_bytes();
        bytes.push(0xff);
        if version >= 5 {
            let crc = rdbkit::codec::crc64::jones(&bytes);
            bytes.extend_from_slice(&crc.to_le_bytes());
        }
        let name = open(&bytes).and_then(walk).unwrap().end().unwrap().checksum.name();
        assert_eq!(name, if version < 5 { "none" } else { "ok" });
    }
    assert!(testdata("tutorial.rdb").exists());
}

#[test]
fn a_value_that_is_followed_by_more_bytes_is_no_value() {
    let origin = Origin::from_header(b"REDIS0011").unwrap();
    for (rdb_type, bytes) in [
        (RdbType::String, &b"\x01a"[..]),
        (RdbType::List, b"\x01\x01a"),
        (RdbType::Hash, b"\x01\x01f\x01v"),
        (RdbType::SetIntset, b"\x0a\x02\0\0\0\x01\0\0\0\x05\0"),
        (RdbType::HashListpack, b"\x0d\x0d\0\0\0\x02\0\x81f\x02\x81v\x02\xff"),
    ] {
        let each = |bytes: &[u8]| Value { rdb_type, bytes, origin: &origin }.each(&mut Scratch::default(), |_| Ok(()));
        assert!(each(bytes).is_ok(), "{rdb_type:?}");
        assert!(each(&[bytes, b"\0"].concat()).is_err(), "{rdb_type:?} with a byte too many");
        assert!(each(&bytes[..bytes.len() - 1]).is_err(), "{rdb_type:?} with a byte too few");
    }
}
