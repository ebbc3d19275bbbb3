//! Live servers as sources: one moves into another, with nothing on disk in between.

use std::path::Path;

use crate::corpus::case;
use crate::harness::{TUTORIAL, folder, run};
use crate::live::{Reply, Server, installed};

/// A server that has loaded this dump, and gives it to replicas at once.
fn source(name: &str, of: &str, case_name: &str) -> Server {
    let mut server = installed(name).start_with(&case(of, case_name).path);
    if server.installed.since(6, 0) {
        server.ask("CONFIG SET repl-diskless-sync-delay 0", &[]);
    }
    server
}

fn digest(server: &mut Server) -> Reply {
    server.ask("DEBUG DIGEST", &[])
}

#[test]
fn a_server_moves_into_another() {
    for (from, of, to) in [
        ("redis-7.0.15", "redis-7.0.15", "redis-7.0.15"),
        ("redis-8.10.2", "redis-8.10.2", "redis-7.0.15"),
        ("valkey-9.1.2", "valkey-9.1.2", "redis-7.0.15"),
        ("redis-5.0.10", "redis-5.0.14", "valkey-9.1.2"),
    ] {
        let old = source(from, of, "small");
        // What the new server makes of the old one's dump, converted.
        let folder = folder();
        let converted = folder.path().join("converted.rdb");
        let target = installed(to).target();
        let ran = run(["convert", "-q", "--on-loss", "downgrade", "--target", &target, "-o"]);
        ran.args([&converted]).args([&case(of, "small").path]).go();
        let mut want = installed(to).start_with(&converted);
        for method in ["auto", "restore", "commands", "replication"] {
            let mut new = installed(to).start();
            let args = ["--method", method, "--on-loss", "downgrade"];
            let ran = run(["load", &old.url(), &new.url()]).args(args).go();
            assert_eq!(ran.code, Some(0), "{from} to {to} by {method}: {ran}");
            assert_eq!(digest(&mut new), digest(&mut want), "{from} to {to} by {method}: {ran}");
        }
    }
}

#[test]
fn functions_and_expiries_come_along_and_are_compared() {
    let mut old = source("redis-7.0.15", "redis-7.0.15", "functions");
    old.ask("SET mortal x PXAT 4102444800000", &[]);
    let mut new = installed("redis-8.6.3").start();
    let ran = run(["load", &old.url(), &new.url(), "--verify"]).go();
    assert!(ran.code == Some(0) && ran.err().contains(" libraries as in the files, 0 not"), "{ran}");
    assert_eq!(new.ask("PEXPIRETIME mortal", &[]), Reply::Int(4_102_444_800_000));
    let same = run(["diff", &old.url(), &new.url()]).go();
    assert_eq!(same.code, Some(0), "{same}");
    // A library that differs is a difference between servers, too.
    let name = new.ask("FUNCTION LIST", &[]).items()[0].items()[1].text().to_vec();
    new.ask("FUNCTION DELETE", &[&name]);
    let other = run(["diff", &old.url(), &new.url()]).go();
    assert!(other.code == Some(1) && other.out().contains("function"), "{other}");
}

#[test]
fn one_database_moves_also_within_a_server() {
    let mut server = installed("redis-7.0.15").start();
    server.load(Path::new(TUTORIAL));
    let url = server.url();
    let ran = run(["load", &format!("{url}?db=1"), &format!("{url}?db=7")]).go();
    assert!(ran.code == Some(0) && ran.err().contains("3 keys loaded"), "{ran}");
    server.ask("SELECT 7", &[]);
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(3));
}

#[test]
fn what_can_not_go_well_is_not_begun() {
    let mut server = installed("redis-7.0.15").start();
    server.load(Path::new(TUTORIAL));
    let other = installed("redis-7.0.15").start();
    let (url, to) = (server.url(), other.url());
    let before = digest(&mut server);
    for args in [["--flush", "--yes"], ["--method", "replication"]] {
        let said = run(["load", &url, &url]).args(args).refuses();
        assert!(said.contains("it is to be emptied, and is what is to be loaded as well"), "{said}");
    }
    assert_eq!(digest(&mut server), before);
    let said = run(["load", &url, TUTORIAL, &to]).refuses();
    assert!(said.contains("a server is loaded alone"), "{said}");
    let said = run(["load", &url, &to, "--resume", "state"]).refuses();
    assert!(said.contains("can't be read again"), "{said}");
    let said = run(["load", "redis://127.0.0.1:1", &to]).refuses();
    assert!(said.contains("no connection") && said.contains(":1"), "{said}");
}

#[test]
fn servers_are_converted_and_split_like_files() {
    let mut server = source("redis-8.10.2", "redis-8.10.2", "small");
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let whole = at("whole.rdb");
    run(["convert", "-q", &server.url(), "-o"]).args([&whole]).ok();
    assert_eq!(digest(&mut installed("redis-8.10.2").start_with(&whole)), digest(&mut server));
    run(["convert", "-q", &server.url(), "--target", "redis-7.0", "--on-loss", "downgrade", "-o"])
        .args([at("old.rdb")])
        .go();
    assert!(installed("redis-7.0.15").finds_sound(&at("old.rdb")));
    run(["split", "-q", &server.url(), "--shards", "2", "-o"]).args([at("parts")]).ok();
    let [one, two] = ["slots-0-8191.rdb", "slots-8192-16383.rdb"].map(|name| at("parts").join(name));
    let both = at("both.rdb");
    run(["convert", "-q"]).args([&one, &two]).args([Path::new("-o"), &both]).ok();
    assert_eq!(digest(&mut installed("redis-8.10.2").start_with(&both)), digest(&mut server));
    let said =
        run(["convert", "--on-conflict", "last", &server.url()]).args([&whole, Path::new("-o"), &at("x")]).refuses();
    assert!(said.contains("reads everything twice"), "{said}");
}
