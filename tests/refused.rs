//! What is no dump, or holds what nobody knows: one line that says so, and exit code 2.

use crate::dumps::reseal;
use crate::harness::{TUTORIAL, file, folder, run, testdata, tutorial};
use crate::json::must_parse;

/// The commands that read a file from its beginning to its end.
const COMMANDS: [&[&str]; 5] = [&["info"], &["keys"], &["check"], &["export"], &["get", "--quiet"]];

fn refused(bytes: &[u8], why: &str) {
    let (_folder, path) = file("dump.rdb", bytes);
    for command in COMMANDS {
        let key = if command[0] == "get" { &["k"][..] } else { &[] };
        let said = run(command).args([&path]).args(key).refuses();
        assert!(said.starts_with(path.to_str().unwrap()), "{said}");
        assert!(said.contains(why), "{said:?} should say {why:?}");
        let said = run(command).args(["-"]).args(key).stdin(bytes).refuses();
        assert!(said.starts_with("standard input: ") && said.contains(why), "{said}");
    }
}

#[test]
fn an_empty_file() {
    refused(b"", "empty");
}

#[test]
fn a_web_page() {
    refused(b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n", "HTML");
}

#[test]
fn a_backup_of_a_form_to_come() {
    refused(b"{\"rdbkit\":9,\"keys\":[]}", "the backup is of form 9, this rdbkit reads form 1");
}

#[test]
fn the_manifest_of_an_append_only_file_without_its_directory() {
    let path = testdata("corpus/redis-7.0.15/aof/appendonlydir/appendonly.aof.manifest");
    let said = run(["info", "-"]).stdin(&std::fs::read(path).unwrap()).refuses();
    assert!(said.contains("manifest"), "{said}");
}

#[test]
fn the_error_reply_of_a_server() {
    refused(b"-NOAUTH Authentication required.\r\n", "error reply");
}

#[test]
fn zeros() {
    refused(&[0; 4096], "zero bytes");
}

#[test]
fn a_header_that_is_none() {
    refused(b"REDIS00x9\xff\0\0\0\0\0\0\0\0", "neither");
    refused(b"REDIZ0009\xff\0\0\0\0\0\0\0\0", "neither");
    refused(&[7; 300], "neither");
}

#[test]
fn a_directory() {
    for command in COMMANDS {
        let key = if command[0] == "get" { &["k"][..] } else { &[] };
        let said = run(command).args(["testdata"]).args(key).refuses();
        assert!(said.starts_with("testdata: ") && said.contains("directory"), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there() {
    let said = run(["info", "no/such/dump.rdb"]).refuses();
    assert!(said.starts_with("no/such/dump.rdb: ") && said.to_lowercase().contains("no such file"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read() {
    // A file is no folder: that fails for everybody, root as well.
    let said = run(["info", "testdata/tutorial.rdb/dump.rdb"]).refuses();
    assert!(said.to_lowercase().contains("not a directory"), "{said}");
}

#[test]
fn a_cut_header_is_damage() {
    for len in 1..9 {
        let (_folder, path) = file("dump.rdb", &b"REDIS0009"[..len]);
        run(["export"]).args([&path]).refuses();
        let ran = run(["check"]).args([&path]).fails_with(1);
        assert!(ran.out().contains("the input ends here"), "{ran}");
        run(["check", "--json"]).args([&path]).fails_with(1);
    }
}

/// The tutorial with the type byte of the key `Norway` changed and a right checksum, and where that byte stands.
fn with_unknown_type(code: u8) -> (Vec<u8>, usize) {
    let mut bytes = tutorial();
    let at = bytes.windows(8).position(|w| w == b"\x00\x06Norway").expect("a string with the key Norway");
    bytes[at] = code;
    reseal(&mut bytes);
    (bytes, at)
}

#[test]
fn an_unknown_type_is_named_with_its_place() {
    let (bytes, at) = with_unknown_type(200);
    let (_folder, path) = file("dump.rdb", &bytes);
    let ran = run(["export", "--format", "ndjson"]).args([&path]).fails_with(2);
    let last = ran.err().lines().last().unwrap_or_default().to_owned();
    for part in
        [path.to_str().unwrap(), &format!("offset {at}"), "db 0", "\"Norway\"", "type 200", "redis", "version 9"]
    {
        assert!(last.contains(part), "{part:?} is missing: {ran}");
    }
    assert!(ran.err().lines().all(|line| line.starts_with("rdbkit: ")), "{ran}");
    let before = ran.out().lines().filter(|line| line.starts_with("{\"db\":")).count();
    assert_eq!(before, keys_before("Norway"), "the keys before it are exported: {ran}");
}

/// How many keys stand before this one in the tutorial.
fn keys_before(key: &str) -> usize {
    let all = run(["keys", "--format", "ndjson", TUTORIAL]).ok();
    all.out().lines().position(|line| must_parse(line.as_bytes()).at("key").str() == key).unwrap()
}

#[test]
fn an_unknown_opcode_is_named_with_its_place() {
    for code in [241, 230, 220] {
        let (mut bytes, at) = with_unknown_type(0);
        bytes.splice(at..at, [code]);
        reseal(&mut bytes);
        let (_folder, path) = file("dump.rdb", &bytes);
        let ran = run(["export", "--format", "ndjson"]).args([&path]).fails_with(2);
        let known_by_dragonfly = code == 220;
        if !known_by_dragonfly {
            assert!(ran.err().contains(&format!("offset {at}, unknown opcode {code}")), "{ran}");
            assert_eq!(ran.out().lines().filter(|line| line.starts_with("{\"db\":")).count(), keys_before("Norway"));
        }
    }
}

#[test]
fn an_unknown_type_leaves_no_file_behind() {
    let (bytes, _) = with_unknown_type(200);
    let folder = folder();
    std::fs::write(folder.path().join("dump.rdb"), bytes).unwrap();
    let out = folder.path().join("out.json");
    run(["export"]).args([&folder.path().join("dump.rdb")]).args(["-o"]).args([&out]).refuses();
    assert_eq!(crate::harness::names(folder.path()), ["dump.rdb"]);
}

#[test]
fn whether_an_unknown_construct_is_sound_cannot_be_told() {
    let (bytes, at) = with_unknown_type(200);
    let (_folder, path) = file("dump.rdb", &bytes);
    let ran = run(["check"]).args([&path]).fails_with(2);
    assert!(ran.out().contains(&format!("offset {at}")) && ran.out().contains("unknown type 200"), "{ran}");
    let report = run(["check", "--json"]).args([&path]).fails_with(2);
    assert_eq!(*must_parse(&report.stdout).at("sound"), crate::json::Json::Null);
}
