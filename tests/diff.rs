//! `rdbkit diff`: real servers change one thing after the other, and every change is found, and nothing else.

use std::path::Path;

use serde_json::Value;

use crate::dumps::{dump, expiring, items, string};
use crate::harness::{Ran, TUTORIAL, file, folder, run, shell, testdata};
use crate::live::{Server, installed};
use crate::sample::fill;

/// What a server is told, and what then differs.
const CHANGES: [(&str, &str); 32] = [
    ("SET text other", r#"~  0  "text"  string  value: "value" -> "other""#),
    ("SET number -43", r#"~  0  "number"  string  value: "-42" -> "-43""#),
    ("DEL bits", r#"-  0  "bits"  string  9 bytes"#),
    ("SET fresh 1", r#"+  0  "fresh"  string  1 byte"#),
    ("COPY text copied DB 3", r#"+  3  "copied"  string  5 bytes"#),
    ("SADD ints 5", r#"~  0  "ints"  set  member "5" added"#),
    ("SREM ints 1", r#"~  0  "ints"  set  member "1" removed"#),
    ("ZADD scores 0.2 tenth", r#"~  0  "scores"  zset  member "tenth": 0.1 -> 0.2"#),
    ("ZADD scores -inf up", r#"member "up": inf -> -inf"#),
    ("ZINCRBY odd-scores 5e-324 least", r#"member "least": 5e-324 -> 1e-323"#),
    ("HSET many:hash new x", r#"field "new" added: "x""#),
    ("HSET many:hash new y", r#"field "new": "x" -> "y""#),
    ("HDEL many:hash new", r#"field "new" removed: "y""#),
    ("LSET many:list 700 x", r#"[700]: "item 700" -> "x""#),
    ("RPUSH many:list x", r#"[1500] added: "x""#),
    ("LMOVE many:list many:list LEFT RIGHT", r#"[0]: "item 0" -> "item 1"  (and 1,500 more)"#),
    ("PEXPIREAT text 4102444800000", "expiry added: 2100-01-01T00:00:00.000Z"),
    ("PEXPIREAT text 4102444800900", "expiry: 2100-01-01T00:00:00.000Z -> 2100-01-01T00:00:00.900Z"),
    ("PERSIST text", "expiry removed: 2100-01-01T00:00:00.900Z"),
    ("XADD stream 1700000000009-0 k v", "entry 1700000000009-0 added  (and 3 more)"),
    ("XDEL stream 1-1", "entry 1-1 removed  (and 1 more)"),
    ("XACK stream all 1-1", r#"group "all" pending 1-1 removed: "bob", delivered 2020-09-13T12:26:40.000Z, 7 times"#),
    ("XCLAIM stream all bob 0 1700000000000-0 TIME 1600000000000 RETRYCOUNT 9 JUSTID", r#"-> "bob", delivered 2020"#),
    ("XGROUP SETID stream new 1-1", r#"group "new" last id: 1700000000000-7 -> 1-1"#),
    ("XGROUP CREATECONSUMER stream new another", r#"group "new" consumer "another" added"#),
    ("XGROUP DELCONSUMER stream new another", r#"group "new" consumer "another" removed"#),
    ("XGROUP DESTROY stream untouched", r#"group "untouched" last id removed: 1-1"#),
    ("XSETID trimmed 5-7 ENTRIESADDED 10 MAXDELETEDID 5-6", "entriesAdded: 3 -> 10"),
    ("XSETID trimmed 5-9 ENTRIESADDED 10 MAXDELETEDID 5-6", "lastId: 5-7 -> 5-9"),
    ("APPEND large:0 x", r#"value from byte "#),
    ("FUNCTION DELETE lib", r#"-    function library "lib""#),
    ("RENAME ints other-ints", r#""other-ints""#),
];

/// What only some servers know.
const NEWER: [(&str, &str, (u32, u32)); 6] = [
    (
        "HPEXPIREAT expiring:small 4102444800001 FIELDS 1 f",
        r#"expiry of "f": 2100-01-01T00:00:00.000Z -> 2100-01-01T00:00:00.001Z"#,
        (7, 4),
    ),
    ("HPERSIST expiring:small FIELDS 1 f", r#"expiry of "f" removed: 2100-01-01T00:00:00.001Z"#, (7, 4)),
    ("VADD vectors VALUES 3 0.5 -1 0.25 e2 NOQUANT", r#"vector of "e2" added: "#, (8, 0)),
    ("VSETATTR vectors e1 {\"a\":1}", r#"attributes of "e1" added: "{\"a\":1}""#, (8, 0)),
    ("ARSET array 70 there", r#"[70] added: "there""#, (8, 8)),
    ("ARSET array 70 here", r#"[70]: "there" -> "here""#, (8, 8)),
];

fn diff(a: &Path, b: &Path, args: &[&str]) -> crate::harness::Run {
    run(["diff", "-q"]).args([a, b]).args(args)
}

/// Tells a server to change something; that and nothing else must be found.
fn changes(server: &mut Server, before: &Path, command: &str, want: &str) {
    server.ask(command, &[]);
    let after = server.save();
    let expected = if command.starts_with("RENAME") { 2 } else { 1 };
    let told = diff(before, &after, &[]).fails_with(1);
    let lines: Vec<&str> = told.out().lines().collect();
    assert!(lines.len() == expected + 1 && lines.iter().any(|line| line.contains(want)), "{command}: {want}\n{told}");
    let back = diff(&after, before, &["--summary"]).fails_with(1);
    assert_eq!(back.out().lines().count(), 1, "{back}");
    let digest = |path: &Path| run(["digest", "-q"]).args([path]).ok().out()[..32].to_owned();
    let is_history = command.starts_with("XSETID") && command.contains("5-7");
    assert_eq!(digest(before) == digest(&after), is_history, "{command}: digests count what every version has");
    std::fs::copy(&after, before).unwrap();
}

fn every_change_is_found(name: &str) {
    let server = &mut installed(name).start();
    fill(server);
    let is_redis = name.starts_with("redis");
    if is_redis && server.installed.since(8, 0) {
        server.ask("VADD vectors VALUES 3 1 0 0 e1 NOQUANT", &[]);
    }
    if is_redis && server.installed.since(8, 8) {
        server.ask("ARSET array 5 x", &[]);
    }
    let folder = folder();
    let before = folder.path().join("before.rdb");
    std::fs::copy(server.save(), &before).unwrap();
    for (command, want) in CHANGES {
        changes(server, &before, command, want);
    }
    for (command, want, (major, minor)) in NEWER {
        let has = server.installed.since(major, minor) && (is_redis || command.starts_with('H'));
        if has {
            changes(server, &before, command, want);
        }
    }
}

#[test]
fn every_change_of_redis_8_10_is_found() {
    every_change_is_found("redis-8.10.2");
}

#[test]
fn every_change_of_redis_7_0_is_found() {
    every_change_is_found("redis-7.0.15");
}

#[test]
fn every_change_of_valkey_9_1_is_found() {
    every_change_is_found("valkey-9.1.2");
}

/// Dumps that are loaded by servers of other versions and saved again.
const LOADED: [&str; 8] = [
    "redis-2.4.18/small",
    "redis-2.8.24/small",
    "redis-4.0.14/small",
    "redis-5.0.14/small",
    "redis-6.2.16/small",
    "redis-6.2.16/multidb",
    "redis-7.0.15/functions",
    "redis-7.0.15/small",
];

#[test]
fn what_another_server_loads_and_saves_is_the_same() {
    for name in ["redis-7.0.15", "redis-8.6.3", "valkey-8.1.1", "valkey-9.1.2"] {
        for loaded in LOADED {
            let dump = testdata("corpus").join(format!("{loaded}.rdb"));
            let mut server = installed(name).start_with(&dump);
            let saved = server.save();
            // What has expired is gone in the server.
            let ran = diff(&dump, &saved, &["--ttl", "expired", "--not"]).go();
            assert_eq!(ran.code, Some(0), "{loaded} in {name}: {ran}");
            let json = r#"rdbkit export "$1" | rdbkit import -q - -o - | rdbkit diff -q - "$1" --summary"#;
            shell(json).args(["sh"]).args([&saved]).ok();
        }
    }
}

fn records(a: &[Vec<u8>], b: &[Vec<u8>], args: &[&str]) -> Ran {
    let (_a, a) = file("a.rdb", &dump(9, a));
    let (_b, b) = file("b.rdb", &dump(9, b));
    diff(&a, &b, args).go()
}

#[test]
fn expiries_may_be_a_little_apart() {
    let at = |ms: i64| [expiring(5_000_000_000_000 + ms, string(b"k", b"v"))];
    assert_eq!(records(&at(0), &at(1000), &[]).code, Some(1));
    assert_eq!(records(&at(0), &at(1000), &["--ttl-tolerance", "1s"]).code, Some(0));
    assert_eq!(records(&at(0), &at(1001), &["--ttl-tolerance", "1s"]).code, Some(1));
    assert_eq!(records(&at(0), &[string(b"k", b"v")], &["--ttl-tolerance", "1s"]).code, Some(1));
    assert_eq!(records(&at(0), &[string(b"k", b"v")], &["--ignore", "ttl"]).code, Some(0));
    // Fields as well: type 24 has the smallest expiry first, and distances from it.
    let hash = |at: i64| {
        let record = [b"\x18\x01h".as_slice(), &at.to_le_bytes(), b"\x02\x01\x01a\x01b\x00\x01c\x01d"].concat();
        dump(12, &[record])
    };
    let (_a, a) = file("a.rdb", &hash(5_000_000_000_000));
    let (_b, b) = file("b.rdb", &hash(5_000_000_000_400));
    let told = diff(&a, &b, &[]).fails_with(1);
    assert!(told.out().contains(r#"expiry of "a": "#), "{told}");
    diff(&a, &b, &["--ttl-tolerance", "400ms"]).ok();
    diff(&a, &b, &["--ttl-tolerance", "399ms"]).fails_with(1);
    diff(&a, &b, &["--ignore", "ttl"]).ok();
}

#[test]
fn idle_times_are_compared_when_asked_for() {
    let idle = |seconds| [[vec![0xf8, seconds], string(b"k", b"v")].concat()];
    let freq = |count| [[vec![0xf9, count], string(b"k", b"v")].concat()];
    assert_eq!(records(&idle(1), &idle(2), &[]).code, Some(0));
    let told = records(&idle(1), &idle(2), &["--also", "idle"]);
    assert!(told.code == Some(1) && told.out().contains("idle time: 1 -> 2"), "{told}");
    let told = records(&freq(1), &freq(2), &["--also", "idle,freq"]);
    assert!(told.code == Some(1) && told.out().contains("access counter: 1 -> 2"), "{told}");
    assert_eq!(records(&idle(1), &freq(2), &["--also", "idle,freq"]).code, Some(0), "neither side knows both");
}

#[test]
fn more_than_one_difference_is_shown_when_asked_for() {
    let (a, b) = ([items(1, b"l", &[b"a", b"b", b"c"])], [items(1, b"l", &[b"x", b"b", b"y", b"z"])]);
    let told = records(&a, &b, &["--elements", "2"]);
    let want = "~  0  \"l\"  list  [0]: \"a\" -> \"x\"\n                 [2]: \"c\" -> \"y\"  (and 1 more)\n\
                1 key and 1 key: 0 the same, 0 added, 0 removed, 1 changed\n";
    assert_eq!(told.out(), want);
}

#[test]
fn a_limit_shows_less_and_counts_all() {
    let of = |keys: std::ops::Range<u8>| keys.map(|i| string(&[i], b"v")).collect::<Vec<_>>();
    let told = records(&of(10..40), &of(20..60), &["--limit", "3"]);
    let last = "30 keys and 40 keys: 20 the same, 20 added, 10 removed, 0 changed (27 not shown)";
    assert_eq!((told.out().lines().count(), told.out().lines().last()), (4, Some(last)));
    let told = records(&of(10..40), &of(20..60), &["--summary"]);
    assert_eq!(told.out(), "30 keys and 40 keys: 20 the same, 20 added, 10 removed, 0 changed\n");
    assert_eq!(records(&of(10..40), &of(20..60), &["--key", "1*"]).code, Some(1), "0x31 is the character 1");
}

/// More than is put in order at once, and more than is held in memory: everything is told, and once.
#[test]
fn however_much_differs_it_is_told_once() {
    let of = |keys: std::ops::Range<u32>, end: u8| -> Vec<Vec<u8>> {
        keys.map(|i| string(&i.to_be_bytes(), &[i.to_le_bytes().repeat(90), vec![end]].concat())).collect()
    };
    // Of three parts one goes, one changes, one comes.
    let (_a, a) = file("a.rdb", &dump(9, &of(0..80_000, b'a')));
    let (_b, b) = file("b.rdb", &dump(9, &of(40_000..120_000, b'b')));
    let told = diff(&a, &b, &["--json"]).fails_with(1);
    let (mut lines, mut counts) = (std::collections::BTreeSet::new(), std::collections::BTreeMap::new());
    for line in told.out().lines().filter(|line| line.contains("\"key\"")) {
        let change: Value = serde_json::from_str(line).unwrap();
        assert!(lines.insert(change["key"].to_string()), "twice: {line}");
        *counts.entry(change["change"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let want = ["added", "changed", "removed"].map(|how| (how.to_owned(), 40_000));
    assert!(counts.into_iter().eq(want), "{} lines", lines.len());
    // With a limit that is large no order is kept, but the number is.
    for limit in ["70000", "100"] {
        let told = diff(&a, &b, &["--limit", limit]).fails_with(1);
        assert_eq!(told.out().lines().count(), limit.parse::<usize>().unwrap() + 1, "{limit}");
        assert!(told.out().contains("40,000 added, 40,000 removed, 40,000 changed"), "{}", told.out().len());
    }
    // The first ones are those of the file.
    let told = diff(&a, &b, &["--limit", "2"]).fails_with(1);
    let first = r#"-  0  "\x00\x00\x00\x00"  string"#;
    assert!(told.out().starts_with(first), "{told}");
}

#[test]
fn keys_that_stand_twice_are_paired_in_their_order() {
    let k = |value: &[u8]| string(b"k", value);
    assert_eq!(records(&[k(b"a"), k(b"b")], &[k(b"a"), k(b"b")], &[]).code, Some(0));
    let told = records(&[k(b"a"), k(b"b")], &[k(b"a"), k(b"c")], &[]);
    assert!(told.out().contains(r#"value: "b" -> "c""#), "{told}");
    let told = records(&[k(b"a"), k(b"b")], &[k(b"a")], &[]);
    assert!(told.out().contains("1 the same, 0 added, 1 removed, 0 changed"), "{told}");
}

#[test]
fn changes_as_json_have_typed_paths() {
    let a = [string(b"k", b"old"), string(b"gone", b"1"), items(2, b"\xff", &[b"m"])];
    let b = [string(b"k", b"new"), items(2, b"\xff", &[b"n"])];
    let told = records(&a, &b, &["--json", "--elements", "9"]);
    let lines: Vec<Value> = told.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let want = [
        r#"{"change":"removed","db":0,"key":"gone","type":"string","elements":1}"#,
        r#"{"change":"changed","db":0,"key":"k","type":"string","count":1,
            "differences":[{"path":["value"],"old":"old","new":"new"}]}"#,
        r#"{"change":"changed","db":0,"key":{"base64":"/w=="},"type":"set","count":2,"differences":[
            {"path":["member","m"],"old":true,"new":null},{"path":["member","n"],"old":null,"new":true}]}"#,
        r#"{"summary":{"equal":false,"left":3,"right":2,"same":0,"added":0,"removed":1,"changed":2,"besideKeys":0,
            "shown":3}}"#,
    ];
    assert_eq!(lines, want.map(|line| serde_json::from_str::<Value>(line).unwrap()), "{told}");
}

#[test]
fn what_can_be_read_once_is_copied() {
    let script = format!("gzip -c {TUTORIAL} | rdbkit diff -q - testdata/corpus/redis-6.2.16/small.rdb | tail -1");
    let told = shell(&script).ok();
    assert_eq!(told.out(), "11 keys and 71 keys: 0 the same, 71 added, 11 removed, 0 changed\n");
    let told = shell(&format!("rdbkit diff -q {TUTORIAL} - < {TUTORIAL}")).ok();
    assert_eq!(told.out(), "the same: 11 keys\n");
    assert!(run(["diff", "-", "-"]).refuses().contains("one side"));
}

#[test]
fn trouble_is_no_difference() {
    let (_folder, cut) = file("cut.rdb", &crate::harness::tutorial()[..300]);
    let said = diff(Path::new(TUTORIAL), &cut, &[]).refuses();
    assert!(said.contains("cut.rdb"), "{said}");
    let said = diff(Path::new("no-such-file.rdb"), Path::new(TUTORIAL), &[]).refuses();
    assert!(said.contains("no-such-file.rdb"), "{said}");
}

#[test]
fn a_live_server_is_a_side_like_any_other() {
    let mut server = installed("redis-7.0.15").start();
    let url = server.url();
    run(["load", "-q", TUTORIAL, &url]).ok();
    assert_eq!(run(["diff", &url, TUTORIAL]).ok().out(), "the same: 11 keys\n");
    let digests = run(["digest", &url, TUTORIAL]).ok();
    let sums: Vec<_> = digests.out().lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{digests}");
    server.ask("HSET pypa url elsewhere", &[]);
    let told = run(["diff", TUTORIAL, &url]).fails_with(1);
    assert!(told.out().starts_with("~  0  \"pypa\""), "{told}");
}
