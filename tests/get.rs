//! `rdbkit get`.

use crate::corpus::case;
use crate::dumps::{dump, hash, items, select, string, zset};
use crate::harness::{Ran, TUTORIAL, file, run};

fn get(args: &[&str]) -> Ran {
    run(["get", TUTORIAL]).args(args).ok()
}

#[test]
fn a_string_as_redis_cli_shows_it() {
    assert_eq!(get(&["Norway"]).out(), "\"Oslo\"\n");
}

#[test]
fn a_hash_as_redis_cli_shows_it() {
    let wanted = "\
1) \"url\"
2) \"https://www.pypa.io/\"
3) \"github\"
4) \"pypa\"
5) \"fullname\"
6) \"Python Packaging Authority\"
";
    assert_eq!(get(&["pypa"]).out(), wanted);
}

#[test]
fn numbers_of_elements_align_to_the_right() {
    let wanted = [
        " 1) \"color\"",
        " 2) \"black\"",
        " 3) \"price\"",
        " 4) \"49.99\"",
        " 5) \"style\"",
        " 6) \"fitted\"",
        " 7) \"quantity\"",
        " 8) \"1000\"",
        " 9) \"npurchased\"",
        "10) \"0\"",
    ];
    assert_eq!(get(&["hat:56854717", "--db", "1"]).out().lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn the_database_is_told_if_it_was_not_asked_for() {
    let ran = run(["get", TUTORIAL, "hat:56854717"]).go();
    assert_eq!((ran.code, ran.one_line().as_str()), (Some(0), "(from database 1)"), "{ran}");
    assert_eq!(get(&["hat:56854717", "--quiet"]).stdout, ran.stdout);
}

#[test]
fn a_key_that_is_not_there_is_exit_code_1() {
    for args in
        [&["Atlantis"][..], &["Norway", "--db", "1"], &["hat:56854717", "--db", "0"], &["norway"], &["Norwa"], &[""]]
    {
        let ran = run(["get", TUTORIAL]).args(args).fails_with(1);
        assert!(ran.stdout.is_empty(), "{ran}");
        let said = ran.one_line();
        assert!(said.contains("there is no key") && said.contains(&format!("\"{}\"", args[0])), "{ran}");
    }
}

#[test]
fn the_first_database_that_has_the_key_is_shown() {
    let path = case("redis-7.0.15", "multidb").path;
    let of = |db: &str| run(["get", "--json"]).args([&path]).args(["same-name", "--db", db]).ok();
    assert!(of("0").out().contains("\"db\":0,\"key\":\"same-name\""));
    assert!(of("1").out().contains("\"db\":1,\"key\":\"same-name\""));
    let any = run(["get", "--json"]).args([&path]).args(["same-name"]).ok();
    assert_eq!(any.out(), of("0").out());
    let not_zero = run(["get", "--json", "--quiet"]).args([&path]).args(["same-name", "--not", "--db", "0"]).ok();
    assert_eq!(not_zero.out(), of("1").out());
}

#[test]
fn json_is_the_line_of_the_export() {
    let export = run(["export", "--format", "ndjson", TUTORIAL]).ok();
    for key in ["Norway", "pypa"] {
        let shown = get(&[key, "--json"]);
        assert!(export.out().contains(&format!("\n{}", shown.out())), "{shown}");
    }
}

/// A dump with every kind of value that needs care.
fn sample() -> Vec<u8> {
    dump(
        9,
        &[
            string(b"bytes", b"\x00\xff\n\"\\\ttext"),
            string(b"", b"the empty key"),
            string(b"empty", b""),
            string(b"\x00\xffk", b"binary key"),
            items(1, b"list", &[b"a", b"", b"\r\n"]),
            items(2, b"set", &[b"m"]),
            hash(b"hash", &[(b"f\"", b"1"), (b"f\"", b"2")]),
            zset(b"zset", &[(b"a", 1.5), (b"b", f64::INFINITY), (b"c", -0.0), (b"d", 1e100), (b"e", 3.0)]),
            select(5),
            string(b"far", b"away"),
        ],
    )
}

fn sample_get(args: &[&str]) -> Ran {
    let (_folder, path) = file("dump.rdb", &sample());
    run(["get"]).args([&path]).args(args).ok()
}

#[test]
fn bytes_are_escaped_as_redis_cli_does() {
    assert_eq!(sample_get(&["bytes"]).out(), "\"\\x00\\xff\\n\\\"\\\\\\ttext\"\n");
    assert_eq!(sample_get(&["list"]).out(), "1) \"a\"\n2) \"\"\n3) \"\\r\\n\"\n");
    assert_eq!(sample_get(&["set"]).out(), "1) \"m\"\n");
    assert_eq!(sample_get(&["hash"]).out(), "1) \"f\\\"\"\n2) \"1\"\n3) \"f\\\"\"\n4) \"2\"\n");
    assert_eq!(sample_get(&["empty"]).out(), "\"\"\n");
}

#[test]
fn a_sorted_set_is_sorted_and_its_scores_are_the_shortest_numbers() {
    // In the file the members stand in another order; a server answers from the lowest score to the highest.
    let shown = sample_get(&["zset", "--raw"]);
    assert_eq!(shown.out(), "c\n-0\na\n1.5\ne\n3\nd\n1e+100\nb\ninf\n");
}

#[test]
fn raw_bytes_come_as_they_are() {
    assert_eq!(sample_get(&["bytes", "--raw"]).stdout, b"\x00\xff\n\"\\\ttext");
    assert_eq!(sample_get(&["empty", "--raw"]).stdout, b"");
    assert_eq!(sample_get(&["list", "--raw"]).stdout, b"a\n\n\r\n\n");
}

#[test]
fn hexadecimal_bytes() {
    assert_eq!(sample_get(&["bytes", "--hex"]).out(), "00ff0a225c0974657874\n");
    assert_eq!(sample_get(&["list", "--hex"]).out(), "61\n\n0d0a\n");
}

#[test]
fn keys_can_be_escaped() {
    assert_eq!(sample_get(&["--escaped", r"\x00\xffk"]).out(), "\"binary key\"\n");
    assert_eq!(sample_get(&["--escaped", r"\x62ytes", "--hex"]).out(), "00ff0a225c0974657874\n");
    assert_eq!(sample_get(&[""]).out(), "\"the empty key\"\n");
    let (_folder, path) = file("dump.rdb", &sample());
    let said = run(["get", "--escaped"]).args([&path]).args([r"\x4"]).refuses();
    assert!(said.contains("hexadecimal"), "{said}");
}

#[test]
fn every_key_that_keys_shows_can_be_got() {
    let (_folder, path) = file("dump.rdb", &sample());
    let listed = run(["keys"]).args([&path]).ok();
    assert_eq!(listed.out().lines().count(), 10);
    for line in listed.out().lines().skip(1) {
        let key = line.split('\t').nth(1).unwrap();
        run(["get", "--escaped", "--quiet"]).args([&path]).args([key]).ok();
    }
}

#[test]
fn a_stream_as_redis_cli_shows_it() {
    let path = case("redis-7.0.15", "small").path;
    let shown = run(["get"]).args([&path]).args(["stream:small"]).ok();
    let wanted = "\
1) 1) \"1526919030474-0\"
   2) 1) \"temp\"
      2) \"36.6\"
      3) \"unit\"
      4) \"C\"
2) 1) \"1526919030474-1\"
";
    assert!(shown.out().starts_with(wanted), "{shown}");
    assert!(shown.out().contains("\n      2) \"\"\n      3) \"unit\"\n      4) \"\\x00\\xff\"\n"), "{shown}");
    assert_eq!(run(["get"]).args([&path]).args(["stream:mkstream"]).ok().out(), "(empty array)\n");
}

#[test]
fn what_only_a_module_understands_is_named() {
    let path = case("redis-8.10.2", "modules").path;
    let shown = run(["get"]).args([&path]).args(["mod:a"]).ok();
    assert!(shown.out().contains("labtype-A"), "{shown}");
    let json = run(["get", "--json"]).args([&path]).args(["mod:a"]).ok();
    assert!(json.out().contains("\"module\":\"labtype-A\",\"encver\":7,\"raw\":\""), "{json}");
}

#[test]
fn forms_exclude_each_other() {
    for two in [["--json", "--raw"], ["--raw", "--hex"], ["--json", "--hex"]] {
        let ran = run(["get", TUTORIAL, "Norway"]).args(two).fails_with(2);
        assert!(ran.stdout.is_empty(), "{ran}");
    }
}

#[test]
fn nothing_behind_the_key_is_read() {
    let mut bytes = dump(9, &[string(b"a", b"1")]);
    let end = bytes.len() - 9;
    bytes.truncate(end);
    bytes.extend_from_slice(&[200; 30]);
    let (_folder, path) = file("dump.rdb", &bytes);
    assert_eq!(run(["get"]).args([&path]).args(["a"]).ok().out(), "\"1\"\n");
    let ran = run(["get"]).args([&path]).args(["b"]).fails_with(2);
    assert!(ran.one_line().contains("unknown type 200"), "whether the key is there can't be told: {ran}");
}
