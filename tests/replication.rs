//! `rdbkit load --method replication`: what a server takes from us as its master, held against its own loading.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

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

fn setting(server: &mut Server) -> Vec<u8> {
    server.ask("CONFIG GET repl-diskless-load", &[]).items()[1].text().to_vec()
}

/// The data go straight into the memory of an empty server, which has its own setting again in the end, however it ends.
#[test]
fn an_empty_server_reads_as_they_come_and_is_as_it_was() {
    let small = case("redis-7.0.15", "small");
    let (_folder, damaged) = file("damaged.rdb", &{
        let mut bytes = read(&small.path);
        let at = bytes.len() - 20;
        bytes[at] ^= 0x10;
        bytes
    });
    for name in
        ["redis-6.0.16", "redis-6.2.14", "redis-7.0.15", "redis-8.6.3", "redis-8.10.2", "valkey-8.1.1", "valkey-9.1.2"]
    {
        let mut server = installed(name).start();
        let before = setting(&mut server);
        let said = load(&damaged, &server.url()).fails_with(2);
        assert_eq!((setting(&mut server), role(&mut server).as_str()), (before.clone(), "master"), "{name}: {said}");
        assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(0), "{name}: {said}");
        let dump = if server.installed.since(7, 0) { &small.path } else { &crate::harness::testdata("tutorial.rdb") };
        let trial = load(dump, &server.url()).args(["--dry-run"]).fails_with(0);
        assert!(trial.out().contains("repl-diskless-load would be on-empty-db"), "{name}: {trial}");
        assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(0), "{name}: {trial}");
        let ran = load(dump, &server.url()).fails_with(0);
        assert!(
            ran.err().contains("repl-diskless-load was on-empty-db for the load, is back at disabled"),
            "{name}: {ran}"
        );
        assert_eq!((setting(&mut server), role(&mut server).as_str()), (before.clone(), "master"), "{name}: {ran}");
        assert!(server.ask("DBSIZE", &[]).int() > 0, "{name}: {ran}");
        // One with keys is not asked for that.
        let ran = load(dump, &server.url()).args(["--yes"]).fails_with(0);
        assert!(ran.err().contains("by its disk: so it keeps what it has"), "{name}: {ran}");
        assert_eq!(setting(&mut server), before, "{name}");
    }
}

/// The server has read a good part of it when it comes to its end too early.
#[test]
fn a_file_that_breaks_off_leaves_an_empty_master() {
    let mut server = installed("redis-7.0.15").start();
    let bytes = crate::faults::strings(8000);
    let (_folder, path) = file("cut.rdb", &bytes[..bytes.len() / 2]);
    let begun = std::time::Instant::now();
    let ran = load(&path, &server.url()).fails_with(2);
    assert!(ran.err().contains("cut.rdb") && !ran.err().contains("may still be a replica"), "{ran}{}", server.log());
    assert_eq!((role(&mut server).as_str(), setting(&mut server)), ("master", b"disabled".to_vec()), "{ran}");
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(0), "{ran}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_may_not_be_set_reads_from_its_disk() {
    let mut server = installed("redis-7.0.15").start();
    server.ask("ACL SETUSER loader on >secret ~* +@all -config|set", &[]);
    let url = server.url().replace("unix://", "unix://loader:secret@");
    let ran = load(&case("redis-7.0.15", "small").path, &url).fails_with(0);
    assert!(ran.err().contains("by its disk: NOPERM"), "{ran}");
    assert_eq!(setting(&mut server), b"disabled");
}

/// One that says yes to all that it is told, and does not come for the data.
#[test]
fn a_server_that_can_not_reach_us_is_free_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buf = [0; 4096];
            while let Ok(n) = stream.read(&mut buf)
                && n > 0
            {
                tell.send(String::from_utf8_lossy(&buf[..n]).replace("\r\n", " ")).unwrap();
                let commands = buf[..n].iter().filter(|byte| **byte == b'*').count();
                // Whoever has hung up gets no more.
                drop(stream.write_all(&b"+OK\r\n".repeat(commands)));
            }
        }
    });
    let ran = load(&case("redis-7.0.15", "small").path, &url).args(["--timeout", "1s"]).fails_with(2);
    assert!(ran.err().contains("did not come there") && ran.err().contains("--listen"), "{ran}");
    let told: Vec<String> = told.try_iter().filter(|command| command.contains("REPLICAOF")).collect();
    assert!(told.len() == 2 && told[0].contains("127.0.0.1") && told[1].contains("NO $3 ONE"), "{told:?}");
}

#[test]
fn a_load_that_is_interrupted_leaves_a_master() {
    let mut server = installed("redis-7.0.15").start();
    let bytes = crate::faults::strings(8000);
    let args = ["load", "-", &server.url(), "--method", "replication", "--yes"];
    let mut child =
        Command::new(crate::harness::binary()).args(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
    // From now on it waits for more, and answers nobody.
    let reads = poll(SOON, || server.log().contains("Loading DB in memory").then_some(()));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(reads.is_some(), "{said}");
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("making it a master again"), "{said}");
    assert_eq!((role(&mut server).as_str(), setting(&mut server)), ("master", b"disabled".to_vec()), "{said}");
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(0));
    drop(stdin);
}
