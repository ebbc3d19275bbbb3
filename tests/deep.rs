//! `rdbkit check --deep` and `--loadable-by`: what can be read, and yet no server wrote or takes.

use crate::corpus::cases;
use crate::dumps::{dump, hash, reseal, string, text};
use crate::harness::{Ran, file, run};
use crate::json::{Json, must_parse};

/// What `check --deep` says of a dump of this version with these records.
fn deep(version: u32, records: &[Vec<u8>]) -> Ran {
    let (_folder, path) = file("dump.rdb", &dump(version, records));
    run(["check", "--deep"]).args([path]).go()
}

/// A key of this type: the type byte, the key `k`, the value.
fn key(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, 1, b'k'], value].concat()
}

/// A listpack of these elements, each with its back length.
fn listpack(count: u16, elements: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = elements.iter().flat_map(|e| [e, &[e.len() as u8][..]].concat()).collect();
    let total = (7 + body.len() as u32).to_le_bytes();
    text(&[&total[..], &count.to_le_bytes(), &body, b"\xff"].concat())
}

fn intset(members: &[i16]) -> Vec<u8> {
    let body: Vec<u8> = members.iter().flat_map(|n| n.to_le_bytes()).collect();
    text(&[&b"\x02\0\0\0"[..], &(members.len() as u32).to_le_bytes(), &body].concat())
}

#[test]
fn dumps_of_real_servers_have_no_fault() {
    for case in cases() {
        let ran = run(["check", "--deep"]).args([&case.path]).go();
        assert_eq!(ran.code, Some(0), "{}: {ran}", case.id());
    }
}

#[test]
fn what_servers_refuse_is_found_although_it_can_be_read() {
    let t = |what: &str, version: u32, record: Vec<u8>, says: &str| {
        let ran = deep(version, &[string(b"first", b"x"), record.clone()]);
        assert_eq!(ran.code, Some(1), "{what}: {ran}");
        let line = ran.out().lines().find(|line| line.contains(says));
        assert!(line.is_some_and(|line| line.contains("offset ") && line.contains("key \"k\"")), "{what}: {ran}");
        let (_folder, path) = file("dump.rdb", &dump(version, &[record]));
        let shallow = run(["check"]).args([path]).go();
        assert_eq!(shallow.code, Some(0), "{what} is no matter of depth: {shallow}");
    };
    t("a member twice", 11, key(2, b"\x03\x01a\x01b\x01a"), "the member \"a\" stands twice");
    t("a member twice, packed", 11, key(20, &listpack(2, &[b"\x81a", b"\x81a"])), "the member \"a\" stands twice");
    t("an integer and its text", 11, key(20, &listpack(2, &[b"\x07", b"\x817"])), "the member \"7\" stands twice");
    t("a field twice", 11, key(4, b"\x02\x01f\x01a\x01f\x01b"), "the field \"f\" stands twice");
    t("a field twice, packed", 11, key(16, &listpack(4, &[b"\x81f", b"\x01", b"\x81f", b"\x02"])), "stands twice");
    t("a scored member twice", 11, key(3, b"\x02\x01a\x011\x01a\x012"), "the member \"a\" stands twice");
    t("no number", 11, key(3, b"\x01\x01a\xfd"), "the score of \"a\" is not a number");
    t("no number, packed", 11, key(17, &listpack(2, &[b"\x81a", b"\x83nan"])), "is not a number");
    t("out of order", 11, key(17, &listpack(4, &[b"\x81a", b"\x02", b"\x81b", b"\x01"])), "\"b\" is not in its place");
    t("out of order by name", 11, key(17, &listpack(4, &[b"\x81b", b"\x01", b"\x81a", b"\x01"])), "\"a\" is not in");
    t("an unsorted intset", 11, key(11, &intset(&[3, 2])), "intset: 2 stands behind 3");
    t("an intset member twice", 11, key(11, &intset(&[2, 2])), "intset: 2 stands behind 2");
    t("an empty intset", 11, key(11, &intset(&[])), "intset: it is empty");
    t("an empty list", 11, key(1, b"\0"), "list: it is empty");
    t("an empty node", 11, key(18, &[&b"\x02\x02"[..], &listpack(0, &[]), b"\x01\x01x"].concat()), "node 0 is empty");
    t("a plain node of nothing", 11, key(18, b"\x01\x01\x00"), "node 0 is a plain one without a byte");
    t("an empty hash", 11, key(4, b"\0"), "hash: it is empty");
    t(
        "an expiry of -1",
        11,
        [&b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff"[..], &string(b"k", b"v")].concat(),
        "expiry: -1",
    );
    let ttl = |min: i64, lp: &[u8]| key(25, &[&min.to_le_bytes(), lp].concat());
    let two = |a: &[u8], b: &[u8]| listpack(6, &[b"\x81f", b"\x01", a, b"\x81g", b"\x02", b]);
    t("fields out of order", 12, ttl(1, &two(b"\x09", b"\x08")), "the field \"g\" goes before the one in front");
    t("a field without expiry in front", 12, ttl(1, &two(b"\x00", b"\x08")), "goes before the one in front");
    t(
        "a smallest expiry that is not",
        12,
        ttl(9, &two(b"\x08", b"\x00")),
        "its first field goes at 9, but one goes at 8",
    );
    t("a time before all", 12, ttl(1, &two(b"\xdf\xff", b"\x00")), "the field \"f\" goes at -1");
    t("an array out of order", 14, key(28, b"\x02\x00\x07\x03\x01a\x06\x03\x01b"), "array: slot 6 is not in its place");
}

#[test]
fn sound_values_have_no_fault() {
    let records = [
        key(17, &listpack(4, &[b"\x81a", b"\x01", b"\x81b", b"\x01"])),
        hash(b"h", &[(b"f", b"a"), (b"g", b"a")]),
        [&b"\x0b\x01i"[..], &intset(&[-3, 2])].concat(),
    ];
    let ran = deep(11, &records);
    assert_eq!(ran.code, Some(0), "{ran}");
}

/// A stream as in the format's description: entries 1000-1, 1005-0 (deleted), 1005-1, a group with one pending entry.
const STREAM: &[u8] = b"\x0f\x01k\x01\x10\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01\
    \x34\x34\0\0\0\x14\0\x02\x01\x01\x01\x01\x01\x84temp\x05\0\x01\x02\x01\0\x01\0\x01\x14\x01\x04\x01\
    \x03\x01\x05\x01\xdf\xff\x02\x15\x01\x04\x01\x02\x01\x05\x01\0\x01\x16\x01\x04\x01\xff\
    \x02\x43\xed\x01\x01\x01g\x43\xe8\x01\x01\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01\0\x68\xe5\xcf\x8b\x01\0\0\x01\
    \x01\x01c\0\x68\xe5\xcf\x8b\x01\0\0\x01\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01";

#[test]
fn streams_must_agree_with_themselves() {
    assert_eq!(deep(9, &[STREAM.to_vec()]).code, Some(0));
    let t = |at: usize, was: u8, byte: u8, says: &str| {
        let mut bytes = STREAM.to_vec();
        assert_eq!(bytes[at], was, "byte {at}");
        bytes[at] = byte;
        let ran = deep(9, &[bytes]);
        assert!(ran.code == Some(1) && ran.out().contains(says), "{says}: {ran}");
    };
    const LENGTH: usize = 74;
    t(LENGTH, 2, 3, "it has 2 entries and says 3");
    t(LENGTH + 2, 0xed, 0xec, "its last id is 1004-1, but it has entry 1005-1");
}

#[test]
fn a_key_that_stands_twice_is_found_wherever_it_stands() {
    let mut records: Vec<Vec<u8>> = (0..3000).map(|i| string(format!("key:{i}").as_bytes(), b"value")).collect();
    records.push(string(b"key:7", b"again"));
    records.push(vec![0xfe, 1]);
    records.push(string(b"key:7", b"elsewhere"));
    records.push(string(b"key:7", b"twice there"));
    let bytes = dump(11, &records);
    let (_folder, path) = file("dump.rdb", &bytes);
    let one = run(["check", "--deep", "--threads", "1"]).args([&path]).fails_with(1);
    let places: Vec<&str> = one.out().lines().filter(|line| line.contains("the key stands twice")).collect();
    assert_eq!(places.len(), 2, "{one}");
    assert!(places[0].contains("db 0, key \"key:7\"") && places[1].contains("db 1, key \"key:7\""), "{one}");
    for threads in ["2", "4"] {
        let other = run(["check", "--deep", "--threads", threads]).args([&path]).fails_with(1);
        assert_eq!(other.out(), one.out());
    }
    assert_eq!(run(["check"]).args([&path]).go().code, Some(0));
}

#[test]
fn functions_must_be_libraries() {
    let function = |source: &[u8]| [&[0xf5], &text(source)[..]].concat();
    let good = function(b"#!lua name=one\nreturn 1");
    assert_eq!(deep(10, std::slice::from_ref(&good)).code, Some(0));
    for (records, says) in [
        (vec![good.clone(), good], "the function library \"one\" stands twice"),
        (vec![function(b"return 1")], "does not begin with '#!engine name="),
        (vec![function(b"#!lua name=a-b\n")], "\"a-b\" is no name for a library"),
        (vec![function(b"#!lua name=one\n\xff")], "byte 15 of its source is not UTF-8"),
    ] {
        let ran = deep(10, &records);
        assert!(ran.code == Some(1) && ran.out().contains(says), "{says}: {ran}");
    }
}

#[test]
fn size_hints_that_lie_are_found() {
    let hint = |keys: u8, expires: u8| vec![0xfb, keys, expires];
    let keys = [string(b"a", b"x"), string(b"b", b"x")];
    let with = |hint: Vec<u8>| deep(11, &[&[vec![0xfe, 0], hint][..], &keys].concat());
    assert_eq!(with(hint(2, 0)).code, Some(0));
    for wrong in [hint(3, 0), hint(2, 1), hint(1, 0)] {
        let ran = with(wrong);
        assert!(ran.code == Some(1) && ran.out().contains("size hint: database 0 is said to have"), "{ran}");
    }
    let again = [vec![0xfe, 0], hint(1, 0), keys[0].clone(), vec![0xfe, 0], hint(1, 0), keys[1].clone()];
    let ran = deep(11, &again);
    assert!(ran.code == Some(1) && ran.out().contains("database 0 has one already"), "{ran}");
}

#[test]
fn header_and_server_must_fit() {
    let aux = |name: &[u8], value: &[u8]| [&[0xfa], &text(name)[..], &text(value)].concat();
    let with = |version, server: &[u8]| deep(version, &[aux(b"redis-ver", server), string(b"a", b"x")]);
    assert_eq!(with(11, b"7.2.4").code, Some(0));
    assert_eq!(with(9, b"7.2.4").code, Some(0));
    let ran = with(12, b"7.2.4");
    assert!(
        ran.code == Some(1) && ran.out().contains("it says RDB version 12, but Redis 7.2.4 writes up to 11"),
        "{ran}"
    );
    let mut foreign = dump(11, &[string(b"a", b"x")]);
    foreign[..9].copy_from_slice(b"REDIS0080");
    reseal(&mut foreign);
    let (_folder, path) = file("dump.rdb", &foreign);
    let ran = run(["check", "--deep"]).args([path]).fails_with(1);
    assert!(ran.out().contains("no server writes RDB version 80 after REDIS"), "{ran}");
}

#[test]
fn what_stops_a_server_is_named_with_its_first_place() {
    let dump = "testdata/corpus/redis-8.10.2/himport.rdb";
    let ran = run(["check", dump, "--loadable-by", "redis-7.0"]).fails_with(1);
    for says in [
        "offset 0, redis-7.0 takes RDB versions up to 10, and this is 15",
        "redis-7.0 does not know opcode 242 (a hash template)",
        "key \"tmpl:4\", redis-7.0 does not know type 30 (hash)",
        "redis-7.0 does not load it",
    ] {
        assert!(ran.out().contains(says), "{says}: {ran}");
    }
    let report = must_parse(&run(["check", "--json", dump, "--loadable-by", "redis-7.0"]).fails_with(1).stdout);
    assert_eq!((report.at("sound"), report.at("loadableBy").at("loads")), (&Json::Bool(true), &Json::Bool(false)));
    assert!(report.at("loadableBy").at("obstacles").items().len() >= 4);
    let ran = run(["check", dump, "--loadable-by", "redis-8.10"]).ok();
    assert!(ran.out().contains("redis-8.10 loads it"), "{ran}");
}

#[test]
fn modules_stop_a_server_that_is_not_said_to_have_them() {
    let dump = "testdata/corpus/redis-7.2.6/modules.rdb";
    let ran = run(["check", dump, "--loadable-by", "redis-7.2"]).fails_with(1);
    assert!(ran.out().contains("redis-7.2 needs the module with type labtype-A"), "{ran}");
    run(["check", dump, "--loadable-by", "redis-7.2", "--with-modules", "all"]).ok();
}
