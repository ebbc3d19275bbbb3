//! `rdbkit load --method replication`: what a server takes from us as its master, held against its own loading.

use std::path::Path;

use crate::corpus::{Case, case};
use crate::harness::{Ran, file, folder, read, run};
use crate::live::{Reply, Server, installed, poll};
use crate::server::{Contents, SOON, Way, dumps_of, prepare};

fn feed(dump: &Path, server: &Server, args: &[&str]) -> Ran {
    run(["load", "-q", "--method", "replication", "--yes"]).args([dump]).args([server.url()]).args(args).ok()
}

fn role(server: &mut Server) -> String {
    let info = server.ask("INFO replication", &[]);
    let info = String::from_utf8_lossy(info.text()).into_owned();
    info.lines().find_map(|line| line.strip_prefix("role:")).unwrap().to_owned()
}

/// What differs between a server that has loaded one dump itself and one that got another by replication.
fn differences(servers: &mut [Server; 2], loaded: &Path, fed: &Path, args: &[&str]) -> Vec<String> {
    let [one, two] = servers;
    one.load(loaded);
    feed(fed, two, args);
    assert_eq!(role(two), "master");
    let mut differences = Vec::new();
    poll(SOON, || {
        differences = Contents::of(one).differences(&Contents::of(two), Way::Import);
        differences.is_empty().then_some(())
    });
    differences
}

/// Gives every dump of these servers to one by replication, and compares with what another loads itself.
fn is_loaded_alike(name: &str, dumps_by: &[&str]) {
    let installed = installed(name);
    let mut servers = [installed.start(), installed.start()];
    let mut wrong = Vec::new();
    for case in dumps_of(dumps_by) {
        prepare(&mut servers, &case);
        let why = differences(&mut servers, &case.path, &case.path, &[]);
        wrong.extend(why.iter().map(|why| format!("{}: {why}", case.id())));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

/// Old servers can tell less, and only load a dump when they start.
#[test]
fn old_servers_load_it_alike() {
    for (name, by) in [("redis-5.0.10", "redis-5.0.14"), ("redis-6.0.16", "redis-6.0.16")] {
        let installed = installed(name);
        for case in ["small", "multidb"].map(|case_name| case(by, case_name)) {
            let (mut one, mut two) = (installed.start_with(&case.path), installed.start());
            feed(&case.path, &two, &[]);
            assert_eq!((role(&mut two).as_str(), one.ask("DBSIZE", &[]).int() > 0), ("master", true));
            let [digest, fed] = [&mut one, &mut two].map(|server| server.ask("DEBUG DIGEST", &[]));
            assert_eq!(digest, fed, "{name} {}", case.id());
        }
    }
}

#[test]
fn redis_7_0_loads_it_alike() {
    is_loaded_alike("redis-7.0.15", &["redis-7.0.15"]);
}

#[test]
fn redis_8_6_loads_it_alike() {
    is_loaded_alike("redis-8.6.3", &["redis-8.6.3"]);
}

#[test]
fn redis_8_10_loads_it_alike() {
    is_loaded_alike("redis-8.10.2", &["redis-8.10.2"]);
}

#[test]
fn valkey_8_loads_it_alike() {
    is_loaded_alike("valkey-8.1.1", &["valkey-8.1.1"]);
}

#[test]
fn valkey_9_loads_it_alike() {
    is_loaded_alike("valkey-9.1.2", &["valkey-9.1.2"]);
}

#[test]
fn an_older_server_gets_what_it_can_hold() {
    let installed = installed("redis-7.0.15");
    let mut servers = [installed.start(), installed.start()];
    let folder = folder();
    let converted = folder.path().join("converted.rdb");
    let from = |server: &str, name: &str| case(server, name);
    let mut wrong = Vec::new();
    for case in [
        from("redis-8.10.2", "small"),
        from("redis-8.10.2", "hfe"),
        from("redis-8.10.2", "himport"),
        from("redis-8.10.2", "functions"),
        from("redis-8.10.2", "stream_xnack"),
        from("valkey-9.1.2", "small"),
        from("valkey-9.1.2", "hfe"),
    ] {
        prepare(&mut servers, &case);
        let convert = ["convert", "-q", "--force", "--target", "redis-7.0", "--on-loss", "downgrade"];
        run(convert).args([&case.path]).args([Path::new("-o"), &converted]).fails_with(0);
        let [one, two] = &mut servers;
        one.load(&converted);
        let args = ["--method", "replication", "-q", "--on-loss", "downgrade"];
        run(["load"]).args([&case.path]).args([two.url()]).args(args).fails_with(0);
        let why = Contents::of(one).differences(&Contents::of(two), Way::Import);
        wrong.extend(why.iter().map(|why| format!("{}: {why}", case.id())));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

/// A server with one key of its own.
fn occupied(name: &str) -> Server {
    let mut server = installed(name).start();
    server.ask("SET own value", &[]);
    server
}

fn is_untouched(server: &mut Server) {
    assert_eq!(role(server), "master");
    assert_eq!(server.ask("GET own", &[]), Reply::Text(b"value".into()));
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(1));
}

fn load(dump: &Path, url: &str) -> crate::harness::Run {
    run(["load", "--method", "replication"]).args([dump]).args([url])
}

#[test]
fn what_is_damaged_or_can_not_be_held_leaves_the_server_as_it_was() {
    let mut server = occupied("redis-7.0.15");
    let small = read(&case("redis-7.0.15", "small").path);
    let mut flipped = small.clone();
    flipped[small.len() - 20] ^= 0x10;
    for bytes in [flipped, small[..small.len() - 9].to_vec()] {
        let (_folder, path) = file("damaged.rdb", &bytes);
        let ran = load(&path, &server.url()).fails_with(2);
        assert!(ran.err().contains("damaged.rdb"), "{ran}");
        is_untouched(&mut server);
    }
    let ran = load(&case("redis-8.10.2", "array").path, &server.url()).fails_with(1);
    assert!(ran.err().contains("keeps what it had"), "{ran}");
    is_untouched(&mut server);
}

#[test]
fn who_may_not_is_told_so() {
    let mut server = occupied("redis-7.0.15");
    server.ask("ACL SETUSER loader on >secret ~* +@all -replicaof -slaveof", &[]);
    let small = case("redis-7.0.15", "small");
    let url = server.url().replace("unix://", "unix://loader:secret@");
    let said = load(&small.path, &url).refuses();
    assert!(said.contains("NOPERM"), "{said}");
    is_untouched(&mut server);
    let said = load(&small.path, &server.url()).args(["--listen", "192.0.2.1"]).refuses();
    assert!(said.contains("192.0.2.1") && said.contains("--listen"), "{said}");
    is_untouched(&mut server);
    let said = load(&small.path, &server.url()).args(["--resume", "state"]).refuses();
    assert!(said.contains("--resume"), "{said}");
}

#[test]
fn everything_else_goes_in_in_the_place_of_what_was_there() {
    let mut server = occupied("redis-7.0.15");
    let tutorial = crate::harness::testdata("tutorial.rdb");
    let ran = load(&tutorial, &server.url()).fails_with(0);
    assert!(ran.err().contains("11 keys by replication"), "{ran}");
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(8));
    let ran = load(&tutorial, &server.url()).args(["--key", "hat:*", "--db-map", "1:0", "--json", "-q"]).ok();
    assert_eq!(crate::json::must_parse(&ran.stdout).at("keys").int(), 3);
    assert_eq!(server.ask("EXISTS own Bahamas hat:56854717", &[]), Reply::Int(1));
}

#[test]
fn several_files_become_one() {
    let mut server = occupied("valkey-9.1.2");
    let [one, two]: [Case; 2] = [case("redis-7.0.15", "small"), case("redis-7.0.15", "functions")];
    feed(&one.path, &server, &["--prefix-add", "a:"]);
    let alone = server.ask("DBSIZE", &[]).int();
    let ran = run(["load", "-q", "--method", "replication"]).args([&one.path, &two.path]).args([server.url()]).ok();
    assert!(server.ask("DBSIZE", &[]).int() >= alone, "{ran}");
    assert!(!server.ask("FUNCTION LIST", &[]).items().is_empty(), "{ran}");
}
