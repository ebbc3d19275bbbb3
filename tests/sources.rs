//! Every form of a dataset goes into a live server: held against the server that it was taken from.

use std::path::{Path, PathBuf};

use crate::harness::{folder, read, run, shell};
use crate::live::{Reply, Server, installed};

/// All types that every form can tell, with expiries and bytes that are no text, in two databases.
fn filled(settings: &[&str]) -> Server {
    let mut server = installed("redis-7.0.15").start_as(settings);
    for db in ["0", "3"] {
        server.ask("SELECT", &[db.as_bytes()]);
        server.ask("SET text hello", &[]);
        server.ask("SET number 12345", &[]);
        server.ask("SET", &[b"bytes\xff\x00", b"\x80\r\n\x00,\""]);
        server.ask("SET mortal x PXAT 4102444800000", &[]);
        server.ask("RPUSH list a b a", &[]);
        server.ask("SADD set 1 2 3", &[]);
        server.ask("SADD names x", &[&[b'y'; 100]]);
        server.ask("ZADD zset 1.5 a -inf b 3e20 c", &[]);
        server.ask("HSET hash f v", &[b"\xfe", b""]);
        server.ask("PEXPIREAT hash 4102444800001", &[]);
        server.ask("SET", &[b"long", &[b'z'; 5000]]);
    }
    server.ask("SELECT 0", &[]);
    server
}

fn digest(server: &mut Server) -> Reply {
    server.ask("DEBUG DIGEST", &[])
}

fn arrives(form: &str, place: &Path, want: &Reply) {
    let mut server = installed("redis-7.0.15").start();
    let ran = run(["load", "--verify"]).args([place]).args([server.url()]).go();
    assert_eq!(ran.code, Some(0), "{form}: {ran}");
    assert_eq!(digest(&mut server), *want, "{form}: {ran}");
}

#[test]
fn every_form_of_a_dump_arrives() {
    let mut server = filled(&[]);
    let want = digest(&mut server);
    let dump = server.save();
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    arrives("rdb", &dump, &want);
    for (name, args) in [
        ("backup.json", [].as_slice()),
        ("backup.ndjson", &[]),
        ("commands.resp", &[]),
        ("restores.resp", &["--restore"]),
        ("elements.csv", &["--elements"]),
    ] {
        run(["export", "-q"]).args([&dump]).args(args).args([Path::new("-o"), &at(name)]).ok();
        arrives(name, &at(name), &want);
    }
    let packed = |name: &str, bytes: Vec<u8>| {
        std::fs::write(at(name), bytes).unwrap();
        arrives(name, &at(name), &want);
    };
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, bytes).unwrap();
        packed.finish().unwrap()
    };
    packed("dump.rdb.gz", gzip(&read(&dump)));
    packed("backup.ndjson.gz", gzip(&read(&at("backup.ndjson"))));
    packed("dump.rdb.zst", zstd::encode_all(read(&dump).as_slice(), 1).unwrap());
    packed("no-extension", zstd::encode_all(read(&at("commands.resp")).as_slice(), 1).unwrap());
}

#[test]
fn append_only_files_arrive() {
    // Which waits for no busy disk before it writes.
    let at_once = ["--appendonly", "yes", "--appendfsync", "no"];
    let mut old = installed("redis-6.2.14").start_as(&[&at_once[..], &["--aof-use-rdb-preamble", "yes"]].concat());
    old.ask("SET early 1", &[]);
    for (name, mut server) in [("a directory", filled(&at_once)), ("a file", old)] {
        server.rewrite_aof();
        server.ask("RPUSH list after the rewrite", &[]);
        server.ask("DEL set", &[]);
        server.ask("SELECT 5", &[]);
        server.ask("INCRBY counter 7", &[]);
        arrives(name, &server.aof(), &digest(&mut server));
    }
}

#[test]
fn standard_input_arrives() {
    let mut source = filled(&[]);
    let dump = source.save();
    let want = digest(&mut source);
    for script in [
        r#"rdbkit load -q - "$2" < "$1""#,
        r#"gzip -c "$1" | rdbkit load -q - "$2""#,
        r#"rdbkit export -q "$1" --format ndjson | rdbkit load -q - "$2""#,
        r#"rdbkit export -q "$1" --format resp | rdbkit load -q - "$2""#,
    ] {
        let mut server = installed("redis-7.0.15").start();
        shell(script).args([Path::new("sh"), &dump, Path::new(&server.url())]).ok();
        assert_eq!(digest(&mut server), want, "{script}");
    }
}

#[test]
fn fixtures_arrive_alone_and_by_the_directory() {
    let folder = folder();
    let fixtures: PathBuf = folder.path().join("fixtures");
    std::fs::create_dir(&fixtures).unwrap();
    std::fs::write(fixtures.join("a.json"), r#"{"Croatia":"Zagreb","hat:1":{"color":"black","price":49.99}}"#).unwrap();
    std::fs::write(fixtures.join("b.json"), r#"{"q":["a","b"],"n":7}"#).unwrap();
    let mut want = installed("redis-7.0.15").start();
    want.ask("SET Croatia Zagreb", &[]);
    want.ask("HSET hat:1 color black price 49.99", &[]);
    let one = digest(&mut want);
    want.ask("RPUSH q a b", &[]);
    want.ask("SET n 7", &[]);
    arrives("a fixture", &fixtures.join("a.json"), &one);
    arrives("fixtures", &fixtures, &digest(&mut want));
}
