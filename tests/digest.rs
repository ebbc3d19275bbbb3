//! `rdbkit digest`: the same for the same data, and only then.

use crate::corpus::{Case, cases};
use crate::dumps::{dump, expiring, hash, items, select, string, zset};
use crate::harness::{Ran, TUTORIAL, file, folder, run, shell, testdata};

/// The digest that stands at the begin of a line.
fn digest_of(ran: &Ran) -> String {
    let digest = ran.out().split("  ").next().unwrap().to_owned();
    assert!(digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{ran}");
    digest
}

fn digest_of_records(version: u32, records: &[Vec<u8>], args: &[&str]) -> String {
    let (_folder, path) = file("dump.rdb", &dump(version, records));
    digest_of(&run(["digest"]).args([&path]).args(args).ok())
}

/// The digests of a dump, of its backup that became a dump again, and of what else it can be turned into; each with
/// another number of threads.
fn in_all_forms(case: &Case) -> Vec<String> {
    let script = r#"set -e
        rdbkit digest -q "$1" --threads 1
        rdbkit export "$1" --format ndjson | rdbkit import -q - -o "$2/imported.rdb"
        rdbkit digest -q "$2/imported.rdb" --threads 3
        rdbkit convert -q "$1" --recompress -o "$2/anew.rdb"
        gzip -c "$2/anew.rdb" | rdbkit digest -q - --threads 2
        rdbkit diff -q "$1" "$2/imported.rdb" --also idle,freq >&2 || rdbkit diff -q "$1" "$2/anew.rdb" >&2"#;
    let folder = folder();
    let ran = shell(script).args(["sh"]).args([case.path.as_path(), folder.path()]).go();
    assert_eq!(ran.code, Some(0), "{}: {ran}", case.id());
    ran.out().lines().map(|line| line[..32].to_owned()).collect()
}

#[test]
fn every_dump_has_one_digest_in_all_its_forms() {
    for case in cases() {
        let digests = in_all_forms(&case);
        assert!(digests.len() == 3 && digests.iter().all(|d| *d == digests[0]), "{}: {digests:?}", case.id());
    }
}

#[test]
fn order_and_layout_mean_nothing_and_all_else_counts() {
    let digest = |records: &[Vec<u8>]| digest_of_records(9, records, &[]);
    let text = string(b"k", b"v");
    let list = items(1, b"l", &[b"a", b"b"]);
    let set = items(2, b"s", &[b"1", b"2"]);
    let base = digest(&[text.clone(), list.clone(), set.clone()]);
    assert_eq!(base, digest(&[items(2, b"s", &[b"2", b"1"]), list.clone(), text.clone()]));
    let intset = [b"\x0b\x01s\x0c\x02\0\0\0\x02\0\0\0\x01\0\x02\0".to_vec(), list.clone(), text.clone()];
    assert_eq!(base, digest(&intset));
    let others = [
        vec![text.clone(), list.clone()],
        vec![text.clone(), set.clone(), items(1, b"l", &[b"b", b"a"])],
        vec![string(b"k", b"w"), list.clone(), set.clone()],
        vec![string(b"j", b"v"), list.clone(), set.clone()],
        vec![expiring(5_000_000_000_000, text.clone()), list.clone(), set.clone()],
        vec![expiring(-1, text.clone()), list.clone(), set.clone()],
        vec![text.clone(), list.clone(), select(1), set.clone()],
        vec![text.clone(), set.clone(), items(2, b"l", &[b"a", b"b"])],
        vec![text, list, hash(b"s", &[(b"1", b"2")])],
    ];
    let mut all: Vec<String> = others.iter().map(|records| digest(records)).collect();
    all.push(base);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), others.len() + 1, "two of them are alike");
    assert_ne!(digest(&[zset(b"z", &[(b"m", 0.0)])]), digest(&[zset(b"z", &[(b"m", -0.0)])]));
    assert_eq!(digest(&[]), "0".repeat(32));
}

#[test]
fn what_is_ignored_does_not_count() {
    let (with, without) = ([expiring(5_000_000_000_000, string(b"k", b"v"))], [string(b"k", b"v")]);
    let digest = |records: &[Vec<u8>], args: &[&str]| digest_of_records(9, records, args);
    assert_ne!(digest(&with, &[]), digest(&without, &[]));
    assert_eq!(digest(&with, &["--ignore", "ttl"]), digest(&without, &["--ignore", "ttl"]));
    let dump = testdata("corpus/redis-7.0.15/functions.rdb");
    let of_keys = |args: &[&str]| digest_of(&run(["digest"]).args([&dump]).args(args).ok());
    assert_ne!(of_keys(&[]), of_keys(&["--ignore", "functions"]));
    assert_eq!(of_keys(&["--key", "*"]), of_keys(&["--ignore", "functions,modules"]));
}

#[test]
fn parts_add_up_to_the_whole() {
    let object = |args: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&run(["digest", "--json", TUTORIAL]).args(args).ok().stdout).unwrap()
    };
    let sum = |parts: &serde_json::Value| {
        let parts = parts.as_array().unwrap();
        let number = |part: &serde_json::Value| u128::from_str_radix(part["digest"].as_str().unwrap(), 16).unwrap();
        assert_eq!(parts.iter().map(|part| part["keys"].as_u64().unwrap()).sum::<u64>(), 11);
        format!("{:032x}", parts.iter().map(number).fold(0, u128::wrapping_add))
    };
    let all = object(&["--by-db", "--by-prefix"]);
    assert_eq!(sum(&all["databases"]), all["digest"].as_str().unwrap());
    assert_eq!(sum(&all["prefixes"]), all["digest"].as_str().unwrap());
    assert_eq!(all["prefixes"][1]["prefix"], "hat");
    let table = run(["digest", TUTORIAL, "--by-db", "--by-prefix=:"]).ok();
    assert!(table.out().contains("\n  db  keys  digest\n   0     8  "), "{table}");
    assert!(table.out().contains("\n  \"hat\"      3  "), "{table}");
}

#[test]
fn an_expected_digest_is_a_question() {
    let digest = digest_of(&run(["digest", TUTORIAL]).ok());
    run(["digest", TUTORIAL, "--expect", &digest]).ok();
    run(["digest", TUTORIAL, "--expect", &"0".repeat(32)]).fails_with(1);
    assert!(run(["digest", TUTORIAL, "--expect", "12"]).refuses().contains("32 hexadecimal digits"));
    assert!(run(["digest", TUTORIAL, "--by-prefix=é"]).refuses().contains("ASCII"));
}

#[test]
fn a_damaged_dump_has_no_digest() {
    let (_folder, path) = file("cut.rdb", &crate::harness::tutorial()[..300]);
    run(["digest"]).args([&path]).refuses();
}

#[test]
fn the_digest_of_the_tutorial_is_what_it_always_was() {
    // Digests are kept and compared years later: a change of this number breaks a promise.
    assert_eq!(digest_of(&run(["digest", TUTORIAL]).ok()), "4fc6d6d4318d189b14207d3833826967");
}
