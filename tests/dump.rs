//! `rdbkit dump`: snapshots of live servers, held against what the servers themselves have.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::corpus::{Case, case};
use crate::harness::{Ran, folder, read, run};
use crate::json::must_parse;
use crate::live::{Reply, Server, installed, poll};
use crate::server::{Between, Contents, SOON, Way, dumps_of, prepare};

/// Makes ready what `prepare` does not: idle times are saved, and replication begins at once.
fn make_ready(servers: &mut [Server], case: &Case) {
    prepare(servers, case);
    for server in servers {
        if !case.name.ends_with("_lfu") {
            server.ask("CONFIG SET maxmemory-policy allkeys-lru", &[]);
        }
        server.ask("CONFIG SET repl-diskless-sync-delay 0", &[]);
    }
}

/// Before 7.0 a server tells only how long a key stays, and what asks for it must add when that was.
fn blur_expiries(contents: &mut Contents) {
    for facts in contents.keys.values_mut() {
        let Between(from, to) = facts.expiry;
        if from >= 0 {
            facts.expiry = Between(from - 3, to + 3);
        }
    }
}

fn dump(server: &Server, args: &[&str], to: &Path) -> Ran {
    run(["dump", "-q", "--force", &server.url(), "-o"]).args([to]).args(args).ok()
}

/// Loads every dump of these servers into one, takes a snapshot, loads that into another, and compares.
fn comes_over(name: &str, dumps_by: &[&str]) {
    let installed = installed(name);
    let mut servers = [installed.start(), installed.start()];
    let folder = folder();
    let mut wrong = Vec::new();
    let is_compared = |case: &&Case| {
        // A server writes the elements of a vector set in the reverse of the order in which it read them, and Valkey 9
        // keeps the layout of a hash whose fields have gone.
        case.name != "vset" && !(case.name == "expired" && case.server.starts_with("valkey-9"))
    };
    for case in dumps_of(dumps_by).iter().filter(is_compared) {
        make_ready(&mut servers, case);
        for (method, flag) in [("sync", None), ("scan", Some("--with-eviction"))] {
            let path = folder.path().join(format!("{method}.rdb"));
            let [one, two] = &mut servers;
            one.load(&case.path);
            let args: Vec<&str> = ["--method", method].into_iter().chain(flag).collect();
            dump(one, &args, &path);
            assert!(keys_in(&path) > 0 || case.name == "functions", "{}", case.id());
            // Anew: DUMP uses keys, where a server can't be told otherwise (before 7.2).
            one.load(&case.path);
            two.load(&path);
            let mut differences = Vec::new();
            poll(SOON, || {
                let mut contents = [Contents::of(one), Contents::of(two)];
                assert!(!contents[0].keys.is_empty() || keys_in(&path) == 0, "{} is not loaded", case.id());
                if !installed.since(7, 0) {
                    contents.iter_mut().for_each(blur_expiries);
                }
                if method == "scan" {
                    // Scripts are no keys.
                    let scripts = contents[0].scripts.clone();
                    contents[1].scripts = scripts;
                }
                differences = contents[0].differences(&contents[1], Way::Import);
                differences.is_empty().then_some(())
            });
            wrong.extend(differences.iter().map(|why| format!("{} {method}: {why}", case.id())));
        }
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

/// What an old server says of all that it has: it can tell less, and only loads a dump when it starts.
fn digest(server: &mut Server) -> Reply {
    assert!(server.ask("DBSIZE", &[]).int() > 0);
    server.ask("DEBUG DIGEST", &[])
}

#[test]
fn old_servers_come_over() {
    let folder = folder();
    for (name, by) in [("redis-5.0.10", "redis-5.0.14"), ("redis-6.0.16", "redis-6.0.16")] {
        let installed = installed(name);
        for case in ["small", "multidb"].map(|case_name| case(by, case_name)) {
            let mut one = installed.start_with(&case.path);
            for method in ["sync", "scan"] {
                let path = dumped(&folder, method);
                dump(&one, &["--method", method], &path);
                let mut two = installed.start_with(&path);
                assert_eq!(digest(&mut one), digest(&mut two), "{name} {method} {}", case.id());
            }
        }
    }
}

#[test]
fn redis_6_2_comes_over() {
    comes_over("redis-6.2.14", &["redis-6.2.14"]);
}

#[test]
fn redis_7_0_comes_over() {
    comes_over("redis-7.0.15", &["redis-7.0.15"]);
}

#[test]
fn redis_8_6_comes_over() {
    comes_over("redis-8.6.3", &["redis-8.6.3"]);
}

#[test]
fn redis_8_10_comes_over() {
    comes_over("redis-8.10.2", &["redis-8.10.2"]);
}

#[test]
fn valkey_8_comes_over() {
    comes_over("valkey-8.1.1", &["valkey-8.1.1"]);
}

#[test]
fn valkey_9_comes_over() {
    comes_over("valkey-9.1.2", &["valkey-9.1.2"]);
}

fn loaded(name: &str, case: &Case) -> Server {
    let mut server = installed(name).start();
    server.ask("CONFIG SET repl-diskless-sync-delay 0", &[]);
    server.load(&case.path);
    server
}

fn dumped(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

fn keys_in(path: &Path) -> i64 {
    must_parse(&run(["info", "--json"]).args([path]).ok().stdout).at("keys").int()
}

#[test]
fn with_and_without_a_file_for_the_disk_it_is_what_the_server_sends() {
    let mut server = loaded("redis-7.0.15", &case("redis-7.0.15", "small"));
    let folder = folder();
    for diskless in ["yes", "no"] {
        server.ask("CONFIG SET repl-diskless-sync", &[diskless.as_bytes()]);
        let path = dumped(&folder, diskless);
        let ran = run(["dump", &server.url(), "--method", "sync", "-o"]).args([&path]).fails_with(0);
        assert!(ran.err().contains("by replication") && ran.err().contains("checksum ok"), "{ran}");
        assert!(server.installed.finds_sound(&path));
        assert!(ran.err().contains(&format!("{} keys", keys_in(&path))), "{ran}");
    }
}

#[test]
fn a_user_who_may_not_replicate_gets_it_key_by_key() {
    let mut server = loaded("redis-7.0.15", &case("redis-7.0.15", "functions"));
    server.ask("ACL SETUSER reader on >secret ~* +@all -psync -sync", &[]);
    server.ask("ACL SETUSER blind on >secret ~no* +@all -psync -sync -function", &[]);
    let folder = folder();
    let url = |user: &str| server.url().replace("unix://", &format!("unix://{user}:secret@"));
    let path = dumped(&folder, "a.rdb");
    let ran = run(["dump", &url("reader"), "-o"]).args([&path]).fails_with(0);
    assert!(ran.err().contains("no replication (the server says: NOPERM"), "{ran}");
    assert!(ran.err().contains("key by key") && !ran.err().contains("secret"), "{ran}");
    let whole = keys_in(&path);
    assert_eq!(
        whole,
        must_parse(&run(["info", "--json"]).args([&case("redis-7.0.15", "functions").path]).ok().stdout)
            .at("keys")
            .int()
    );
    let said = run(["dump", &url("reader"), "--method", "sync", "-o"]).args([dumped(&folder, "b.rdb")]).refuses();
    assert!(said.contains("NOPERM") && !dumped(&folder, "b.rdb").exists(), "{said}");
    let ran = run(["dump", &url("blind"), "--method", "scan", "-o"]).args([dumped(&folder, "c.rdb")]).fails_with(1);
    assert!(ran.err().contains("function libraries are left out"), "{ran}");
    assert!(ran.err().contains("may not read") && keys_in(&dumped(&folder, "c.rdb")) == 0, "{ran}");
    let said = run(["dump", &server.url().replace("unix://", "unix://reader:wrong@"), "-o"])
        .args([dumped(&folder, "d.rdb")])
        .refuses();
    assert!(said.contains("WRONGPASS"), "{said}");
}

#[test]
fn databases_keys_and_formats_are_chosen() {
    let mut server = installed("redis-7.0.15").start();
    server.ask("CONFIG SET repl-diskless-sync-delay 0", &[]);
    for (db, key) in [("0", "a:1"), ("0", "b:1"), ("3", "a:2"), ("3", "b:2")] {
        server.ask("SELECT", &[db.as_bytes()]);
        server.ask("SET", &[key.as_bytes(), b"x"]);
    }
    for method in ["sync", "scan"] {
        let t = |url: &str, args: &[&str]| {
            let ran = run(["dump", "-q", url, "--method", method, "--format", "csv"]).args(args).ok();
            let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
            let rows = ran.out().lines().skip(1).map(cells);
            let mut keys: Vec<String> = rows.map(|cells| format!("{} {}", cells[0], cells[2])).collect();
            keys.sort();
            keys.join(", ")
        };
        let url = server.url();
        assert_eq!(t(&url, &[]), "0 a:1, 0 b:1, 3 a:2, 3 b:2", "{method}");
        assert_eq!(t(&url, &["--key", "a:*"]), "0 a:1, 3 a:2", "{method}");
        assert_eq!(t(&url, &["--key", "a:*", "--not"]), "0 b:1, 3 b:2", "{method}");
        assert_eq!(t(&url, &["--db", "3"]), "3 a:2, 3 b:2", "{method}");
        assert_eq!(t(&format!("{url}?db=3"), &["--key", "b*"]), "3 b:2", "{method}");
        assert_eq!(t(&url, &["--db", "3", "--not"]), "0 a:1, 0 b:1", "{method}");
    }
    let folder = folder();
    let old = dumped(&folder, "old.rdb");
    dump(&server, &["--target", "redis-6.2", "--db", "0"], &old);
    assert!(read(&old).starts_with(b"REDIS0009") && keys_in(&old) == 2);
    let ran = run(["dump", &server.url(), "--json", "--force", "-o"]).args([&old]).ok();
    assert_eq!((must_parse(&ran.stdout).at("keys").int(), must_parse(&ran.stdout).at("method").str()), (4, "sync"));
}

#[test]
fn keys_that_scan_gives_twice_or_that_go_meanwhile_do_no_harm() {
    let mut server = installed("redis-7.0.15").start();
    server.ask("DEBUG POPULATE 200000 k 8", &[]);
    let url = server.url();
    // A table that shrinks gives keys twice.
    let churn = std::thread::spawn(move || {
        for n in (100_000..200_000).step_by(500) {
            let keys: Vec<String> = (n..n + 500).map(|i| format!("k:{i}")).collect();
            server.ask("DEL", &keys.iter().map(|key| key.as_bytes()).collect::<Vec<_>>());
        }
        server
    });
    let folder = folder();
    let path = dumped(&folder, "a.rdb");
    let ran = run(["dump", &url, "--method", "scan", "-o"]).args([&path]).fails_with(0);
    let mut server = churn.join().unwrap();
    assert!(server.installed.finds_sound(&path), "{ran}");
    // A key that stands twice keeps a server from starting.
    server.load(&path);
    let keys = server.ask("DBSIZE", &[]).int();
    assert!((100_000..=200_000).contains(&keys) && keys == keys_in(&path), "{keys}: {ran}");
    assert_eq!(server.ask("EXISTS k:0 k:50000 k:99999", &[]), Reply::Int(3));
}

/// Somebody who answers the first commands as a server does, and what comes after SYNC with this.
fn stub(after: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut buf = [0; 4096];
            while let Ok(n) = stream.read(&mut buf)
                && n > 0
            {
                let sync = buf[..n].windows(5).any(|word| word == b"PSYNC");
                let commands = buf[..n].iter().filter(|byte| **byte == b'*').count();
                let reply = if sync { after.to_vec() } else { b"+OK\r\n".repeat(commands) };
                // Whoever has hung up gets no more.
                drop(stream.write_all(&reply));
                if sync && after.ends_with(b"!") {
                    break;
                }
            }
        }
    });
    url
}

#[test]
fn servers_that_send_nonsense_or_nothing_end_it() {
    let folder = folder();
    for (after, want) in [
        (b"+FULLRESYNC x 0\r\n$100\r\nREDIS0009!".as_slice(), "90 bytes before the end of the dump"),
        (b"+FULLRESYNC x 0\r\n$EOF:0123456789012345678901234567890123456789\r\nREDIS0009\xff!", "before the mark"),
        (b"+FULLRESYNC x 0\r\n$18\r\nREDIS0009\xff\x01\x02\x03\x04\x05\x06\x07\x08", "wrong checksum"),
        (b"+FULLRESYNC x 0\r\n$9\r\nHTTP/1.1 ", "not an RDB file"),
        (b"+FULLRESYNC x 0\r\n$12\r\nREDIS0009\xfe\x00\x00", "in the middle of a record"),
        (b"+FULLRESYNC x 0\r\n+FULLRESYNC\r\n", "not what a master says"),
        (b"+FULLRESYNC x 0\r\n", "does not answer in time"),
        (b"+CONTINUE\r\n", "not what a master says"),
        (b"\n\n-NOMASTERLINK Can't SYNC while not connected with my master\r\n", "NOMASTERLINK"),
        (b"!\n", "not what a master says"),
        (b"!", "the server closed the connection"),
    ] {
        let path = dumped(&folder, "a.rdb");
        let said = run(["dump", &stub(after), "--method", "sync", "--timeout", "500ms", "-o"]).args([&path]).refuses();
        assert!(said.contains(want) && said.starts_with("redis://127.0.0.1:"), "{}: {said}", after.escape_ascii());
        assert!(crate::harness::names(folder.path()).is_empty());
    }
    let said = run(["dump", "redis://127.0.0.1:1", "-o"]).args([dumped(&folder, "a.rdb")]).refuses();
    assert!(said.contains("no connection"), "{said}");
}

#[test]
fn sorted_dumps_of_the_same_data_are_the_same_text() {
    let mut servers = ["redis-7.0.15", "redis-7.0.15"].map(|name| loaded(name, &case("redis-7.0.15", "multidb")));
    for (server, members) in servers.iter_mut().zip(["c a b", "b c a"]) {
        server.ask("SELECT 0", &[]);
        server.ask(&format!("SADD some:set {members}"), &[]);
        for member in members.split(' ') {
            server.ask("HSET some:hash", &[member.as_bytes(), &[b'v'; 100]]);
        }
    }
    let text = |server: &Server, method: &str| {
        run(["dump", "-q", &server.url(), "--sort", "--format", "ndjson", "--method", method]).ok().stdout
    };
    let first = text(&servers[0], "sync");
    assert!(String::from_utf8_lossy(&first).contains(r#""value":["a","b","c"]"#));
    assert!(first == text(&servers[1], "scan") && first == text(&servers[1], "sync"));
    let info = must_parse(&run(["info", "--json", &servers[0].url()]).ok().stdout);
    assert_eq!(info.at("keys").int() + 1, String::from_utf8_lossy(&first).lines().count() as i64 - 1);
}
