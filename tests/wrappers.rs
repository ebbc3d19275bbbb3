//! What dumps come wrapped in: compression, Valkey's envelope, the frame of a replication stream.

use std::io::Write;

use crate::corpus::case;
use crate::harness::{file, run, tutorial};
use crate::json::{Json, must_parse};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut packer = lz4_flex::frame::FrameEncoder::new(Vec::new());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn envelope(bytes: &[u8]) -> Vec<u8> {
    [b"VCS\x01\x01\x00\x01", lz4(bytes).as_slice()].concat()
}

const MARK: &[u8; 40] = b"0123456789abcdef0123456789abcdef01234567";

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes].concat()
}

fn marked(bytes: &[u8]) -> Vec<u8> {
    [b"$EOF:", MARK.as_slice(), b"\r\n", bytes, MARK].concat()
}

/// Everything that a dump may be wrapped in: a name, how `info` calls it, the bytes.
fn wrapped(bytes: &[u8]) -> Vec<(&'static str, Vec<&'static str>, Vec<u8>)> {
    vec![
        ("plain", vec![], bytes.to_vec()),
        ("gzip", vec!["gzip"], gzip(bytes)),
        ("gzip in two members", vec!["gzip"], [gzip(&bytes[..100]), gzip(&bytes[100..])].concat()),
        ("zstd", vec!["zstd"], zstd(bytes)),
        ("zstd in two frames", vec!["zstd"], [zstd(&bytes[..100]), zstd(&bytes[100..])].concat()),
        ("lz4", vec!["lz4"], lz4(bytes)),
        ("lz4 in two frames", vec!["lz4"], [lz4(&bytes[..100]), lz4(&bytes[100..])].concat()),
        ("Valkey's envelope", vec!["VCS"], envelope(bytes)),
        ("a bulk string", vec!["replication stream"], bulk(bytes)),
        ("a marked stream", vec!["replication stream"], marked(bytes)),
        ("newlines before", vec!["replication stream"], [b"\n\n\n", bulk(bytes).as_slice()].concat()),
        ("gzip of a bulk string", vec!["gzip", "replication stream"], gzip(&bulk(bytes))),
        ("zstd of a marked stream", vec!["zstd", "replication stream"], zstd(&marked(bytes))),
        ("zstd of gzip", vec!["zstd", "gzip"], zstd(&gzip(bytes))),
        ("an envelope in a bulk string", vec!["replication stream", "VCS"], bulk(&envelope(bytes))),
    ]
}

#[test]
fn every_wrapper_gives_the_same_export() {
    for dump in [tutorial(), case("redis-3.2.13", "nocompress").bytes()] {
        let (_folder, plain) = file("dump.rdb", &dump);
        let wanted = run(["export", "--format", "ndjson"]).args([&plain]).ok().stdout;
        for (name, _, bytes) in wrapped(&dump) {
            let (_folder, path) = file("dump", &bytes);
            let from_file = run(["export", "--format", "ndjson"]).args([&path]).ok().stdout;
            assert!(from_file == wanted, "{name}");
            let from_pipe = run(["export", "--format", "ndjson", "-"]).stdin(&bytes).ok().stdout;
            assert!(from_pipe == wanted, "{name}, from standard input");
        }
    }
}

#[test]
fn info_names_the_wrappers() {
    for (name, wrappers, bytes) in wrapped(&tutorial()) {
        let (_folder, path) = file("dump", &bytes);
        let info = must_parse(&run(["info", "--json"]).args([&path]).ok().stdout);
        let told: Vec<&str> = info.at("wrappers").items().iter().map(Json::str).collect();
        assert_eq!(told, wrappers, "{name}");
        assert_eq!(info.at("keys").int(), 11, "{name}");
        let shown = run(["info"]).args([&path]).ok();
        assert_eq!(shown.out().contains("wrapped in"), !wrappers.is_empty(), "{name}: {shown}");
        assert!(wrappers.iter().all(|wrapper| shown.out().contains(wrapper)), "{name}: {shown}");
    }
}

#[test]
fn the_mark_behind_a_stream_is_told_and_does_no_harm() {
    let (_folder, path) = file("dump", &marked(&tutorial()));
    let info = must_parse(&run(["info", "--json"]).args([&path]).ok().stdout);
    assert_eq!(info.at("trailingBytes").int(), 40);
    let shown = run(["info"]).args([&path]).ok();
    assert!(shown.out().contains("the end mark of a replication stream"), "{shown}");
    run(["check"]).args([&path]).ok();
}

#[test]
fn commands_behind_a_dump_that_calls_itself_none_are_told() {
    let commands = b"*1\r\n$8\r\nFLUSHALL\r\n";
    let (_folder, path) = file("dump", &[tutorial().as_slice(), commands].concat());
    let info = must_parse(&run(["info", "--json"]).args([&path]).ok().stdout);
    assert_eq!(info.at("trailingBytes").int(), commands.len() as i64);
    let shown = run(["info"]).args([&path]).ok();
    assert!(shown.out().contains("commands of an append-only file"), "{shown}");
}

#[test]
fn no_cut_wrapper_passes_for_a_dump() {
    for (name, _, bytes) in wrapped(&tutorial()) {
        // Behind the dump a compressed file has a checksum of its own, and a stream its mark: without them the dump
        // is still whole.
        let whole = bytes.len() - if name.contains("marked") { 40 } else { 0 };
        for len in (1..whole.saturating_sub(30)).step_by(29) {
            let (_folder, path) = file("dump", &bytes[..len]);
            let ran = run(["export", "--format", "ndjson"]).args([&path]).fails_with(2);
            assert!(ran.err().starts_with("rdbkit: "), "{name}, {len} bytes: {ran}");
            let checked = run(["check"]).args([&path]).go();
            assert!(matches!(checked.code, Some(1 | 2)), "{name}, {len} bytes: {checked}");
        }
    }
}

#[test]
fn a_wrapper_that_is_damaged_inside_is_an_error() {
    for (name, wrappers, mut bytes) in wrapped(&tutorial()) {
        if wrappers.is_empty() {
            continue;
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        let (_folder, path) = file("dump", &bytes);
        let ran = run(["export"]).args([&path]).fails_with(2);
        assert!(ran.err().starts_with("rdbkit: "), "{name}: {ran}");
    }
}

#[test]
fn an_envelope_of_another_kind_is_refused() {
    let frame = lz4(&tutorial());
    for envelope in [b"\x02\x01\x00\x01", b"\x01\x02\x00\x01", b"\x01\x01\x01\x01", b"\x01\x01\x00\x02"] {
        let (_folder, path) = file("dump", &[b"VCS", envelope.as_slice(), &frame].concat());
        let said = run(["info"]).args([&path]).refuses();
        assert!(said.contains("stream"), "{said}");
    }
    let (_folder, path) = file("dump", b"VCS\x01\x01");
    run(["export"]).args([&path]).refuses();
}

#[test]
fn what_only_begins_like_a_wrapper_is_refused() {
    let header = format!("$EOF:{}\r\n", &"x".repeat(39));
    let cases: [&[u8]; 10] = [
        b"$12x\r\nREDIS0009",
        b"$\r\nREDIS0009",
        b"$EOF:short\r\nREDIS0009",
        header.as_bytes(),
        b"\n\n\n",
        b"\nREDIS0009",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"VCS",
    ];
    for bytes in cases {
        let (_folder, path) = file("dump", bytes);
        run(["export"]).args([&path]).refuses();
    }
    // Much longer than any header, and no end of line.
    let (_folder, path) = file("dump", &[b"$".as_slice(), &[b'1'; 100_000]].concat());
    run(["export"]).args([&path]).refuses();
}

#[test]
fn wrappers_in_wrappers_end_somewhere() {
    let mut bytes = tutorial();
    (0..20).for_each(|_| bytes = gzip(&bytes));
    let (_folder, path) = file("dump", &bytes);
    run(["export"]).args([&path]).refuses();
}
