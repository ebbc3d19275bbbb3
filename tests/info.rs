//! `rdbkit info`.

use crate::corpus::{case, cases};
use crate::dumps::{aux, dump, expiring, reseal, select, string};
use crate::harness::{Ran, TUTORIAL, file, run, tutorial};
use crate::json::{Json, must_parse};

fn info(path: impl AsRef<std::ffi::OsStr>) -> Json {
    must_parse(&run(["info", "--json"]).args([path]).ok().stdout)
}

/// Whether the text has a line of these words, with any space between them.
fn says(ran: &Ran, words: &str) -> bool {
    ran.out().lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(words))
}

#[test]
fn the_tutorial_in_words() {
    let ran = run(["info", TUTORIAL]).ok();
    assert!(ran.out().starts_with("testdata/tutorial.rdb\n"), "{ran}");
    for line in [
        "format REDIS0009, RDB version 9, dialect redis",
        "written by Redis 6.2.14, 64 bits",
        "created 2026-11-23T06:36:45",
        "checksum ok (6d9c2e175defde23)",
        "size 686 B",
        "keys 11 (0 with expiry, 0 of them expired)",
        "loads in Redis 5.0 or later; Valkey 7.2 or later",
        "0 8 0 0 281",
        "1 3 0 0 302",
        "string embstr 6 98 16.8 %",
        "hash ziplist 5 485 83.2 %",
    ] {
        assert!(says(&ran, line), "should say {line:?}: {ran}");
    }
}

#[test]
fn the_tutorial_as_json() {
    let info = info(TUTORIAL);
    for (name, value) in [("magic", "REDIS"), ("dialect", "redis"), ("serverVersion", "6.2.14"), ("checksum", "ok")] {
        assert_eq!(info.at(name).str(), value);
    }
    for (name, value) in [("version", 9), ("keys", 11), ("size", 686), ("trailingBytes", 0), ("bits", 64)] {
        assert_eq!(info.at(name).int(), value, "{name}");
    }
    let bytes = tutorial();
    let stored = u64::from_le_bytes(*bytes.last_chunk().unwrap());
    assert_eq!(format!("{stored:016x}"), "6d9c2e175defde23", "the checksum that the words name is that of the file");
    assert_eq!(info.at("createdAt").int(), 1_795_415_805_000);
    assert_eq!(*info.at("damage"), Json::Null);
}

#[test]
fn the_sizes_of_all_keys_are_the_file_without_its_frame() {
    let info = info(TUTORIAL);
    let sum: i64 = info.at("databases").items().iter().map(|db| db.at("bytes").int()).sum();
    let by_type: i64 = info.at("types").items().iter().map(|t| t.at("bytes").int()).sum();
    assert_eq!(sum, by_type);
    // Header, five aux fields, two SELECTDB and RESIZEDB, end mark, checksum.
    let bytes = tutorial();
    let frame = 9 + 2 * (2 + 3) + 1 + 8;
    let aux = bytes.windows(2).position(|w| w == [0xfe, 0]).unwrap() - 9;
    assert_eq!(sum as usize, bytes.len() - frame - aux);
}

#[test]
fn the_number_of_threads_does_not_show() {
    for case in [case("redis-7.0.15", "small"), case("redis-2.4.18", "big"), case("valkey-9.1.2", "cluster")] {
        let one = run(["info", "--json", "--threads", "1"]).args([&case.path]).ok().stdout;
        assert!(run(["info", "--json", "--threads", "4"]).args([&case.path]).ok().stdout == one, "{}", case.id());
    }
}

/// The version in a server's name, as far as two numbers.
fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[test]
fn the_server_that_saved_a_dump_can_load_it() {
    for case in cases() {
        let (product, of) = case.server.split_once('-').unwrap();
        // Development versions and release candidates wrote what nobody else reads.
        if of.contains("rc") || of.starts_with("rdb") {
            continue;
        }
        let member = if product == "redis" { "lowestRedis" } else { "lowestValkey" };
        let info = info(&case.path);
        let lowest = info.some(member).unwrap_or_else(|| panic!("{}: nobody can load it: {info:?}", case.id()));
        assert!(version(lowest.str()) <= version(of), "{}: loads in {} or later", case.id(), lowest.str());
        let dialect = if of == "9.1.2" || product == "redis" { product } else { info.at("dialect").str() };
        assert_eq!(info.at("dialect").str(), dialect, "{}", case.id());
    }
}

#[test]
fn who_wrote_it_is_named_where_the_file_says_so() {
    for case in cases() {
        let info = info(&case.path);
        let (product, of) = case.server.split_once('-').unwrap();
        let Some(server) = info.some("server") else {
            // Aux fields came with 3.2.
            assert!(product == "redis" && (of.starts_with("rdb") || version(of) < (3, 2)), "{}", case.id());
            continue;
        };
        let release = !of.contains("rc");
        assert!(server.str().to_lowercase().starts_with(product), "{}: {server:?}", case.id());
        assert!(!release || server.str().ends_with(&format!(" {of}")), "{}: {server:?}", case.id());
    }
}

#[test]
fn replication_is_shown() {
    let path = case("redis-7.0.15", "repl").path;
    let replication = info(&path);
    let replication = replication.at("replication");
    let id = replication.at("id").str();
    assert!(id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let ran = run(["info"]).args([&path]).ok();
    assert!(ran.out().contains(&format!("id {id}, offset {}", replication.at("offset").int())), "{ran}");
    assert_eq!(*info(TUTORIAL).at("replication"), Json::Null);
}

#[test]
fn modules_are_listed() {
    let path = case("redis-8.10.2", "modules").path;
    let info = info(&path);
    let modules: Vec<_> =
        info.at("modules").items().iter().map(|m| (m.at("name").str(), m.at("encver").int())).collect();
    assert_eq!(modules, [("labtype-A", 7), ("labtype_B", 1023)]);
    assert!(info.at("keysWithMetadata").int() > 0);
    let ran = run(["info"]).args([&path]).ok();
    assert!(says(&ran, "labtype-A 7") && says(&ran, "labtype_B 1023"), "{ran}");
}

#[test]
fn functions_slots_templates_and_imports_are_counted() {
    let count = |server, name, member: &str| info(&case(server, name).path).at(member).int();
    let functions = info(&case("redis-7.2.6", "functions").path);
    assert!(functions.at("functions").items().iter().all(|f| f.str().starts_with("#!lua name=")), "{functions:?}");
    assert!(count("redis-7.4.1", "cluster", "slots") > 0);
    assert!(count("valkey-9.1.2", "cluster", "slots") > 0);
    assert_eq!(count("redis-7.0.15", "cluster", "slots"), 0);
    assert!(count("redis-8.10.2", "himport", "templates") > 0);
    assert_eq!(count("valkey-9.1.2", "slot_import", "slotImports"), 1);
    assert_eq!(count("redis-7.0.15", "multidb", "lruKeys"), 31);
    assert_eq!(count("redis-7.0.15", "multidb_lfu", "lfuKeys"), 31);
    assert_eq!(count("redis-7.0.15", "multidb_lfu", "lruKeys"), 0);
}

#[test]
fn a_checksum_that_is_off_absent_or_wrong_is_told() {
    assert_eq!(info(case("redis-8.10.2", "nocompress").path).at("checksum").str(), "off");
    assert_eq!(info(case("redis-2.4.18", "small").path).at("checksum").str(), "none");
    let mut bytes = tutorial();
    *bytes.last_mut().unwrap() ^= 1;
    let (_folder, path) = file("dump.rdb", &bytes);
    let ran = run(["info", "--json"]).args([&path]).fails_with(1);
    assert_eq!(must_parse(&ran.stdout).at("checksum").str(), "wrong");
    let ran = run(["info"]).args([&path]).fails_with(1);
    assert!(
        ran.out().contains("WRONG") && ran.out().contains("6c9c2e175defde23") || ran.out().contains("6d9c2e175defde22")
    );
    assert!(ran.out().contains("6d9c2e175defde23"), "{ran}");
}

#[test]
fn a_cut_dump_is_described_up_to_the_cut() {
    let (_folder, path) = file("dump.rdb", &tutorial()[..400]);
    let ran = run(["info"]).args([&path]).fails_with(1);
    assert!(ran.out().contains("DAMAGE") && ran.out().contains("offset 400"), "{ran}");
    assert!(ran.one_line().contains("the input ends here"), "{ran}");
    let report = must_parse(&run(["info", "--json"]).args([&path]).fails_with(1).stdout);
    assert_eq!(report.at("damage").at("offset").int(), 400);
    assert!((1..11).contains(&report.at("keys").int()));
}

#[test]
fn what_has_expired_is_counted() {
    let records = [
        select(0),
        expiring(1_000_000_000_000, string(b"gone", b"1")),
        expiring(9_000_000_000_000, string(b"stays", b"1")),
        string(b"forever", b"1"),
        select(3),
        expiring(1, string(b"long gone", b"1")),
    ];
    let (_folder, path) = file("dump.rdb", &dump(9, &records));
    let info = info(&path);
    assert_eq!(["keys", "expires", "expired"].map(|name| info.at(name).int()), [4, 3, 2]);
    let databases: Vec<[i64; 4]> = info
        .at("databases")
        .items()
        .iter()
        .map(|db| ["db", "keys", "expires", "expired"].map(|name| db.at(name).int()))
        .collect();
    assert_eq!(databases, [[0, 3, 2, 1], [3, 1, 1, 1]]);
}

#[test]
fn an_empty_dump_has_no_keys() {
    let (_folder, path) = file("dump.rdb", &dump(11, &[]));
    assert_eq!(info(&path).at("keys").int(), 0);
    let ran = run(["info"]).args([&path]).ok();
    assert!(says(&ran, "keys 0") && !ran.out().contains("databases"), "{ran}");
}

#[test]
fn odd_facts_do_no_harm() {
    let huge = i64::MAX.to_string();
    for (name, value) in [
        ("ctime", huge.as_str()),
        ("ctime", "-9223372036854775808"),
        ("ctime", "yesterday"),
        ("used-mem", huge.as_str()),
        ("used-mem", "-1"),
        ("redis-bits", "\u{7f}\n"),
        ("redis-ver", "\x1b[31m"),
        ("redis-ver", ""),
        ("repl-offset", "x"),
    ] {
        let records = [aux(name.as_bytes(), value.as_bytes()), aux(b"repl-id", b"x"), aux(b"\xff", b"\xfe")];
        let (_folder, path) = file("dump.rdb", &dump(9, &records));
        let ran = run(["info"]).args([&path]).ok();
        assert!(!ran.out().contains('\x1b'), "control characters reach the terminal: {ran}");
        assert_eq!(info(&path).at("aux").items().len(), 3);
    }
}

#[test]
fn a_version_from_the_future_is_read() {
    let mut bytes = tutorial();
    bytes[5..9].copy_from_slice(b"0099");
    reseal(&mut bytes);
    let (_folder, path) = file("dump.rdb", &bytes);
    let info = info(&path);
    assert_eq!((info.at("version").int(), info.at("keys").int()), (99, 11));
    assert_eq!(*info.at("lowestRedis"), Json::Null);
}
