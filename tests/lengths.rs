//! Lengths that a file only declares: no memory is taken before the bytes are there.

use std::io::Write;

use crate::harness::{file, run, shell};

/// The LEN 2^62.
const HUGE: &[u8] = b"\x81\x40\x00\x00\x00\x00\x00\x00\x00";

/// A file of this version whose only content begins like this, and then some bytes.
fn dump(header: &[u8; 9], parts: &[&[u8]]) -> Vec<u8> {
    [header.as_slice(), &parts.concat(), &[1; 40]].concat()
}

fn redis(parts: &[&[u8]]) -> Vec<u8> {
    dump(b"REDIS0015", parts)
}

/// A string that holds a packed list.
fn blob(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// The id of a vector set: its name in six-bit characters, and version 0.
const VECTORSET: &[u8] = b"\x81\xbd\xe7\x2d\xa2\xbb\x1e\xb4\x00";

/// Files that declare more than they have: a name and the bytes.
fn declarations() -> Vec<(&'static str, Vec<u8>)> {
    // A record begins with its type; the key is "k".
    let key = |rdb_type: u8, parts: &[&[u8]]| redis(&[&[rdb_type, 1, b'k'], &parts.concat()]);
    let stream = |parts: &[&[u8]]| key(21, &[b"\0\0\0\0\0\0\0\0\0", &parts.concat()]);
    let group = |parts: &[&[u8]]| stream(&[b"\x01\x01g\0\0\0", &parts.concat()]);
    let ziplist = blob(b"\xff\xff\xff\xff\x0a\0\0\0\xff\xff\0\0\xff");
    let long_entry = blob(b"\x15\0\0\0\x0a\0\0\0\x01\0\0\x80\xff\xff\xff\xffabcd\xff");
    let listpack = blob(b"\xff\xff\xff\xff\xff\xff\xff");
    let long_item = blob(b"\x10\0\0\0\x01\0\xf0\xff\xff\xff\xffabcd\xff");
    vec![
        ("a key", redis(&[b"\0", HUGE])),
        ("a string", key(0, &[HUGE])),
        ("a compressed string, unpacked", key(0, &[b"\xc3\x05", HUGE, b"\x02abc\0"])),
        ("a compressed string of a gigabyte", key(0, &[b"\xc3\x05\x80\x40\0\0\0\x02abc\0"])),
        ("a compressed string, packed", key(0, &[b"\xc3", HUGE, HUGE])),
        ("a compressed string, both", key(0, &[b"\xc3", HUGE, b"\x05abc"])),
        ("a list", key(1, &[HUGE])),
        ("a set", key(2, &[HUGE])),
        ("a sorted set with text", key(3, &[HUGE])),
        ("a hash", key(4, &[HUGE])),
        ("a sorted set", key(5, &[HUGE])),
        ("a zipmap", key(9, &[&blob(b"\x01\xfe\xff\xff\xff\xffa\xff")])),
        ("a ziplist", key(10, &[&ziplist])),
        ("an entry of a ziplist", key(10, &[&long_entry])),
        ("an intset", key(11, &[&blob(b"\x08\0\0\0\xff\xff\xff\xff")])),
        ("a list of ziplists", key(14, &[HUGE])),
        ("a list of one ziplist", key(14, &[b"\x01", &ziplist])),
        ("a listpack", key(16, &[&listpack])),
        ("an item of a listpack", key(16, &[&long_item])),
        ("a sorted set as listpack", key(17, &[&listpack])),
        ("a list of nodes", key(18, &[HUGE])),
        ("a plain node", key(18, &[b"\x01\x01", HUGE])),
        ("a set as listpack", key(20, &[&long_item])),
        ("a stream", key(21, &[HUGE])),
        ("groups of a stream", stream(&[HUGE])),
        ("pending entries", group(&[HUGE])),
        ("consumers", group(&[b"\0", HUGE])),
        ("a consumer's pending entries", group(&[b"\0\x01\x01c", &[0; 16], HUGE])),
        ("a hash with expiries", key(24, &[&[0; 8], HUGE])),
        ("a hash with expiries as listpack", key(25, &[&[0; 8], &listpack])),
        ("an array", key(28, &[HUGE, b"\0"])),
        ("a slot of an array", key(28, &[b"\x01\0\x05\x03", HUGE])),
        ("a template hash", key(31, &[b"\x01", HUGE])),
        ("a module's string", key(7, &[b"\x81abcdefgh\x05", HUGE])),
        ("a vector set", key(7, &[VECTORSET, b"\x02\x03\x02", HUGE, b"\x02\x01\x02\0"])),
        ("dimensions of vectors", key(7, &[VECTORSET, b"\x02", HUGE, b"\x02\x01\x02\x01\x02\0"])),
        ("a function", redis(&[b"\xf5", HUGE])),
        ("an early function", redis(&[b"\xf6\x01f\x01e\x01", HUGE])),
        ("an aux name", redis(&[b"\xfa", HUGE])),
        ("an aux value", redis(&[b"\xfa\x01a", HUGE])),
        ("module aux data", redis(&[b"\xf7\x81abcdefgh\x02\x01\x05", HUGE])),
        ("a hash template", redis(&[b"\xf2\x01", HUGE])),
        ("metadata of keys", redis(&[b"\xf3", HUGE])),
        ("slots that are imported", dump(b"VALKEY080", &[b"\xf3\x01j", HUGE])),
        ("a hash of Valkey", dump(b"VALKEY080", &[b"\x16\x01k", HUGE])),
    ]
}

/// Runs it with little memory, on two threads.
fn with_little_memory(args: &str) -> crate::harness::Ran {
    shell(&format!("ulimit -v 500000; exec rdbkit --threads 2 {args}")).go()
}

#[test]
fn declared_lengths_take_no_memory() {
    for (what, bytes) in declarations() {
        let (_folder, path) = file("dump.rdb", &bytes);
        for command in ["info", "keys", "check", "export --no-verify", "export -f csv", "export -f resp"] {
            let ran = with_little_memory(&format!("{command} {}", path.display()));
            let code = if matches!(command, "info" | "check") { 1 } else { 2 };
            assert_eq!(ran.code, Some(code), "{what}: {ran}");
        }
    }
}

#[test]
fn declared_lengths_take_no_memory_from_a_pipe() {
    for (what, bytes) in declarations() {
        let ran = shell("ulimit -v 500000; exec rdbkit --threads 2 check -").stdin(&bytes).go();
        assert_eq!(ran.code, Some(1), "{what}: {ran}");
    }
}

#[test]
fn the_limit_of_memory_is_one() {
    // 600 MB that are there need more than the limit; this shows that the limit works in this place.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"REDIS0009\0\x01k\x80\x23\xc3\x46\0").unwrap();
    (0..600).for_each(|_| packed.write_all(&[b'x'; 1_000_000]).unwrap());
    let (_folder, path) = file("dump.rdb.gz", &packed.finish().unwrap());
    let ran = with_little_memory(&format!("check {}", path.display()));
    assert_ne!(ran.code, Some(0), "{ran}");
}

#[test]
fn a_list_of_empty_strings_without_end_is_cut() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&[b"REDIS0009\x01\x01k", HUGE].concat()).unwrap();
    (0..20).for_each(|_| packed.write_all(&[0; 1_000_000]).unwrap());
    let (_folder, path) = file("dump.rdb.gz", &packed.finish().unwrap());
    let ran = with_little_memory(&format!("check {}", path.display()));
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.out().contains("the input ends here"), "{ran}");
    run(["export"]).args([&path]).fails_with(2);
}
