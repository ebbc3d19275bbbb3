//! The flags that choose keys, the same in every command.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::corpus::{Case, case};
use crate::dumps::{dump, expiring, string};
use crate::harness::{TUTORIAL, file, run};
use crate::json::{Json, must_parse};

/// A row of `keys`, as far as filters care.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Row {
    db: i64,
    key: String,
    kind: String,
    bytes: i64,
    expiry: Option<i64>,
}

fn rows(path: &std::path::Path, args: &[&str]) -> BTreeSet<Row> {
    let ran = run(["keys", "--format", "ndjson"]).args([path]).args(args).ok();
    let row = |line: &str| {
        let row = must_parse(line.as_bytes());
        Row {
            db: row.at("db").int(),
            key: row.at("key").str().to_owned(),
            kind: row.at("type").str().to_owned(),
            bytes: row.at("bytes").int(),
            expiry: row.get("expireAt").map(Json::int),
        }
    };
    ran.out().lines().map(row).collect()
}

fn sample() -> Case {
    case("redis-7.0.15", "multidb")
}

/// The flags must keep those keys for which `wanted` holds, and with `--not` the others; some of both.
fn keeps(args: &[&str], wanted: impl Fn(&Row) -> bool) {
    let path = sample().path;
    let (kept, left): (BTreeSet<Row>, BTreeSet<Row>) = rows(&path, &[]).into_iter().partition(wanted);
    assert!(!kept.is_empty() && !left.is_empty(), "{args:?} tests nothing");
    assert_eq!(rows(&path, args), kept, "{args:?}");
    assert_eq!(rows(&path, &[args, &["--not"]].concat()), left, "{args:?} --not");
}

#[test]
fn databases() {
    keeps(&["--db", "1"], |row| row.db == 1);
    keeps(&["--db", "1,15"], |row| [1, 15].contains(&row.db));
    keeps(&["--db", "1", "--db", "5"], |row| [1, 5].contains(&row.db));
}

#[test]
fn globs() {
    keeps(&["--key", "ttl:*"], |row| row.key.starts_with("ttl:"));
    keeps(&["--key", "*:1?"], |row| row.key.ends_with(":15"));
    keeps(&["--key", "[hl]*"], |row| row.key.starts_with(['h', 'l']));
    keeps(&["--key", "[^t]*"], |row| !row.key.starts_with('t'));
    keeps(&["--key", "plain:0"], |row| row.key == "plain:0");
    keeps(&["--key", "set:*", "--key", "zset:*"], |row| row.key.starts_with("set:") || row.key.starts_with("zset:"));
}

#[test]
fn regular_expressions() {
    keeps(&["--key-regex", "set"], |row| row.key.contains("set"));
    keeps(&["--key-regex", "^set:[01]$"], |row| row.key == "set:0" || row.key == "set:1");
    keeps(&["--key-regex", "^l", "--key-regex", "5$"], |row| row.key.starts_with('l') || row.key.ends_with('5'));
}

#[test]
fn types() {
    keeps(&["--type", "hash"], |row| row.kind == "hash");
    keeps(&["--type", "hash,zset"], |row| row.kind == "hash" || row.kind == "zset");
}

#[test]
fn sizes() {
    keeps(&["--min-size", "30"], |row| row.bytes >= 30);
    keeps(&["--max-size", "30"], |row| row.bytes <= 30);
    keeps(&["--min-size", "20", "--max-size", "30"], |row| (20..=30).contains(&row.bytes));
    assert_eq!(rows(&sample().path, &["--min-size", "1k"]).len(), 0);
    assert_eq!(rows(&sample().path, &["--max-size", "1K"]).len(), 31);
}

#[test]
fn suffixes_of_sizes_are_powers_of_1024() {
    let records = [string(b"small", &[0; 1014]), string(b"large", &[0; 1015])];
    let (_folder, path) = file("dump.rdb", &dump(9, &records));
    // Type, key with its length, two bytes of length, value: 1023 and 1024 bytes.
    let bytes: Vec<i64> = rows(&path, &[]).iter().map(|row| row.bytes).collect();
    assert_eq!(bytes, [1024, 1023]);
    for flag in ["1k", "1K", "1kb", "1024", "1024b"] {
        assert_eq!(rows(&path, &["--min-size", flag]).len(), 1, "{flag}");
    }
}

#[test]
fn expiries() {
    keeps(&["--ttl", "any"], |row| row.expiry.is_some());
    keeps(&["--ttl", "none"], |row| row.expiry.is_none());
}

/// Keys that go around now, by name.
fn around_now() -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let hour = 3_600_000;
    let at = |key: &str, at| expiring(at, string(key.as_bytes(), b"v"));
    let records = [
        at("gone", now - hour),
        at("long gone", 1),
        at("soon", now + hour / 2),
        at("later", now + 2 * hour),
        at("far", now + 100 * 24 * hour),
        string(b"forever", b"v"),
    ];
    dump(9, &records)
}

#[test]
fn expiries_around_now() {
    let (_folder, path) = file("dump.rdb", &around_now());
    for (condition, wanted) in [
        ("expired", &["gone", "long gone"][..]),
        ("<1h", &["soon"]),
        ("<3h", &["later", "soon"]),
        (">1h", &["far", "later"]),
        (">7d", &["far"]),
        (">1000d", &[]),
        ("any", &["far", "gone", "later", "long gone", "soon"]),
        ("none", &["forever"]),
    ] {
        let mut names: Vec<String> = rows(&path, &["--ttl", condition]).into_iter().map(|row| row.key).collect();
        names.sort();
        assert_eq!(names, wanted, "--ttl {condition}");
    }
}

/// The slot of a key: CRC-16/XMODEM of the key, or of what stands in its first braces, bit by bit.
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let crc = tag.filter(|tag| !tag.is_empty()).unwrap_or(key).bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 })
    });
    crc % 16384
}

#[test]
fn slots() {
    assert_eq!((slot("foo"), slot("{user1000}.following")), (12182, slot("user1000")));
    keeps(&["--slot", "0-8191"], |row| slot(&row.key) < 8192);
    keeps(&["--slot", "0-5460,10923-16383"], |row| !(5461..10923).contains(&slot(&row.key)));
    keeps(&["--slot", &slot("plain:0").to_string()], |row| row.key == "plain:0");
    for server in ["redis-7.0.15", "valkey-9.1.2"] {
        let path = case(server, "cluster").path;
        let all = rows(&path, &[]);
        let (low, high) = (rows(&path, &["--slot", "0-8191"]), rows(&path, &["--slot", "8192-16383"]));
        assert!(low.iter().all(|row| slot(&row.key) < 8192) && low.len() + high.len() == all.len());
    }
}

#[test]
fn conditions_hold_together() {
    keeps(&["--db", "0,1", "--type", "string", "--ttl", "any", "--key", "*ms*"], |row| {
        row.db < 2 && row.kind == "string" && row.expiry.is_some() && row.key.contains("ms")
    });
    keeps(&["--key", "*:1", "--key-regex", "set"], |row| row.key.ends_with(":1") && row.key.contains("set"));
}

#[test]
fn modules_go_by_their_name_and_as_modules() {
    let path = case("redis-7.0.15", "modules").path;
    let named = rows(&path, &["--type", "labtype-A"]);
    assert!(!named.is_empty() && named.iter().all(|row| row.kind == "labtype-A"));
    let all = rows(&path, &["--type", "module"]);
    assert!(all.len() > named.len() && all.iter().all(|row| row.kind.starts_with("labtype")));
}

#[test]
fn every_command_takes_them() {
    let args = ["--key", "hat:*", "--not", "--type", "hash"];
    let wanted = rows(std::path::Path::new(TUTORIAL), &args).len();
    assert_eq!(wanted, 8, "not (hats and hashes)");
    let export = must_parse(&run(["export", TUTORIAL]).args(args).ok().stdout);
    assert_eq!(export.at("keys").items().len(), wanted);
    let check = must_parse(&run(["check", "--json", TUTORIAL]).args(args).ok().stdout);
    assert_eq!(check.at("keys").int() as usize, wanted);
    run(["get", TUTORIAL, "Norway"]).args(args).ok();
    run(["get", TUTORIAL, "hat:56854717"]).args(args).fails_with(1);
}

#[test]
fn values_that_make_no_sense_are_usage() {
    for (flag, value) in [
        ("--db", "x"),
        ("--db", "-1"),
        ("--ttl", "soon"),
        ("--ttl", "<"),
        ("--ttl", "<5"),
        ("--ttl", "=1h"),
        ("--ttl", ""),
        ("--min-size", "10x"),
        ("--min-size", "-1"),
        ("--max-size", "k"),
        ("--max-size", "99999999999G"),
        ("--slot", "16384"),
        ("--slot", "5-1"),
        ("--slot", "a-b"),
        ("--slot", "0-16384"),
        ("--key-regex", "("),
        ("--threads", "0"),
        ("--threads", "many"),
        ("--type", "strnig"),
    ] {
        let ran = run(["keys", TUTORIAL]).args([format!("{flag}={value}")]).fails_with(2);
        assert!(ran.stdout.is_empty() && ran.err().contains(flag), "{ran}");
    }
}
