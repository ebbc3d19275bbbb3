//! `rdbkit load`: what arrives in real servers, and what is said of what does not.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::corpus::case;
use crate::harness::{Ran, TUTORIAL, file, folder, read, run, shell};
use crate::live::{Reply, Server, installed, poll};
use crate::server::{Way, rebuilds};

/// How long a test waits for something that is to happen.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn redis_7_0_gets_what_it_loads_from_the_dump() {
    rebuilds("redis-7.0.15", &["redis-7.0.15"], &Way::LOADS);
}

#[test]
fn redis_8_10_gets_what_it_loads_from_the_dump() {
    rebuilds("redis-8.10.2", &["redis-8.10.2"], &Way::LOADS);
}

#[test]
fn valkey_9_1_gets_what_it_loads_from_the_dump() {
    rebuilds("valkey-9.1.2", &["valkey-9.1.2"], &Way::LOADS);
}

#[test]
fn redis_6_2_gets_what_it_loads_from_the_dumps_of_older_ones() {
    rebuilds("redis-6.2.14", &["redis-2.4.18", "redis-2.8.24", "redis-5.0.14", "redis-6.2.14"], &Way::LOADS);
}

fn dump(server: &str, name: &str) -> PathBuf {
    case(server, name).path
}

fn load(dump: &Path, to: &Server, options: &[&str]) -> Ran {
    run(["load"]).args([dump]).args([to.url()]).args(options).go()
}

/// Loads; it must do so without a word beside its summary.
fn loads(dump: &Path, to: &Server, options: &[&str]) {
    let ran = load(dump, to, options);
    assert_eq!(ran.code, Some(0), "{ran}");
}

fn digest(server: &mut Server) -> Reply {
    server.ask("DEBUG DIGEST", &[])
}

/// The digest of a server that has read this file itself.
fn digest_of(name: &str, dump: &Path) -> Reply {
    digest(&mut installed(name).start_with(dump))
}

#[test]
fn other_servers_get_what_they_load_from_a_converted_dump() {
    for (from, cases, to) in [
        ("redis-8.10.2", ["small", "hfe", "himport"].as_slice(), "redis-7.0.15"),
        ("valkey-9.1.2", &["small", "hfe"], "redis-7.0.15"),
        ("redis-7.0.15", &["small"], "redis-5.0.10"),
        ("redis-7.0.15", &["small"], "valkey-9.1.2"),
    ] {
        let mut server = installed(to).start();
        let (kind, version) = to.split_once('-').unwrap();
        let minor = version.rsplit_once('.').unwrap().0;
        for name in cases {
            let folder = folder();
            let converted = folder.path().join("converted.rdb");
            let target = format!("{kind}-{minor}");
            run(["convert", "-q", "--on-loss", "downgrade", "--target", &target])
                .args([dump(from, name)])
                .args([Path::new("-o"), &converted])
                .go();
            let want = digest_of(to, &converted);
            for method in ["auto", "restore", "commands"] {
                server.empty();
                let ran = load(&dump(from, name), &server, &["--method", method, "--on-loss", "downgrade"]);
                assert_eq!(ran.code, Some(0), "{from}/{name} to {to} by {method}: {ran}");
                assert_eq!(digest(&mut server), want, "{from}/{name} to {to} by {method}");
            }
        }
    }
}

#[test]
fn what_a_server_cannot_hold_is_refused_and_told() {
    let mut server = installed("redis-7.0.15").start();
    let folder = folder();
    let list = folder.path().join("errors");
    let ran = load(&dump("redis-8.10.2", "hfe"), &server, &["--errors", list.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.err().contains("Redis 7.0.15 cannot hold expiries of its fields"), "{ran}");
    let errors = String::from_utf8(read(&list)).unwrap();
    let refused: Vec<serde_json::Value> = errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!refused.is_empty() && refused.iter().all(|line| line["error"].is_string() && line["key"].is_string()));
    for line in refused {
        let key = line["key"].as_str().unwrap();
        assert_eq!(server.ask("EXISTS", &[key.as_bytes()]), Reply::Int(0), "{key}");
    }
}

#[test]
fn keys_that_exist_are_kept_unless_they_are_to_be_replaced() {
    let mut server = installed("redis-7.0.15").start();
    for method in ["auto", "restore", "commands"] {
        server.ask("FLUSHALL", &[]);
        server.ask("SET", &[b"Bahamas", b"mine"]);
        server.ask("SADD", &[b"pypa", b"mine"]);
        let ran = load(Path::new(TUTORIAL), &server, &["--method", method]);
        assert_eq!(ran.code, Some(1), "{method}: {ran}");
        for said in
            ["key \"Bahamas\": it exists already", "key \"pypa\": it exists already", "9 keys loaded", "2 left out"]
        {
            assert!(ran.err().contains(said), "{method}: {ran}");
        }
        assert_eq!(server.ask("GET Bahamas", &[]).text(), b"mine");
        assert_eq!(server.ask("SMEMBERS pypa", &[]).items().len(), 1);
        let ran = load(Path::new(TUTORIAL), &server, &["--method", method, "--on-exists", "skip"]);
        assert!(ran.code == Some(0) && ran.err().contains("0 keys loaded"), "{method}: {ran}");
        let ran = load(Path::new(TUTORIAL), &server, &["--method", method, "--on-exists", "replace"]);
        assert!(ran.code == Some(0) && ran.err().contains("11 keys loaded"), "{method}: {ran}");
        assert_eq!(digest(&mut server), digest_of("redis-7.0.15", Path::new(TUTORIAL)), "{method}");
        // Nothing of ours is left.
        assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(8), "{method}");
    }
}

#[test]
fn one_of_several_strings_that_are_set_together_may_exist() {
    let mut server = installed("redis-7.0.15").start();
    let (_folder, fixtures) = file("fixtures.json", br#"{"a":"1","b":"2","a2":"3"}"#);
    let dump = fixtures.with_file_name("dump.rdb");
    run(["import", "-q"]).args([&fixtures]).args([Path::new("-o"), &dump]).ok();
    // The keys come while it believes that the server is empty.
    let two = [dump.clone(), dump.clone()];
    let ran = run(["load"]).args(&two).args([server.url()]).go();
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.err().contains("3 keys loaded") && ran.err().contains("key \"a2\": it exists already"), "{ran}");
    assert_eq!(server.ask("MGET a b a2", &[]).items().len(), 3);
}

#[test]
fn a_trial_changes_nothing() {
    let mut server = installed("redis-7.0.15").start();
    server.ask("SET", &[b"Bahamas", b"mine"]);
    let before = digest(&mut server);
    let ran = load(Path::new(TUTORIAL), &server, &["--dry-run"]);
    assert!(ran.code == Some(1) && ran.err().contains("10 keys would be loaded"), "{ran}");
    assert!(ran.err().contains("key \"Bahamas\": it exists already"), "{ran}");
    assert_eq!(digest(&mut server), before);
}

#[test]
fn verifying_finds_what_differs() {
    let mut server = installed("redis-7.0.15").start();
    for method in ["auto", "commands"] {
        server.empty();
        let ran = load(&dump("redis-7.0.15", "small"), &server, &["--verify", "--method", method]);
        assert!(ran.code == Some(0) && ran.err().contains(" 0 not"), "{ran}");
    }
    server.empty();
    server.ask("SET", &[b"Bahamas", b"mine"]);
    let ran = load(Path::new(TUTORIAL), &server, &["--verify", "--on-exists", "skip"]);
    assert!(ran.code == Some(1) && ran.err().contains("key \"Bahamas\": compared, it holds something else"), "{ran}");
    assert!(ran.err().contains("10 keys as in the files, 1 not"), "{ran}");
}

#[test]
fn values_go_in_pieces_where_they_are_too_large() {
    let mut server = installed("redis-7.0.15").start();
    let mut filled = installed("redis-7.0.15").start();
    crate::sample::fill(&mut filled);
    filled.ask("SET", &[b"long", &vec![b'x'; 3 << 20]]);
    filled.ask("PEXPIREAT long 4102444800000", &[]);
    let dump = filled.save();
    loads(&dump, &server, &["--max-restore", "100", "--flush"]);
    assert_eq!(digest(&mut server), digest(&mut filled));
    assert_eq!(server.ask("DBSIZE", &[]), filled.ask("DBSIZE", &[]));
}

#[test]
fn databases_are_mapped_and_have_to_be_there() {
    let mut server = installed("redis-7.0.15").start_as(&["--databases", "1"]);
    let ran = load(Path::new(TUTORIAL), &server, &[]);
    assert!(ran.code == Some(1) && ran.err().contains("1 database can be selected there; --db-map"), "{ran}");
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(8));
    loads(Path::new(TUTORIAL), &server, &["--flush", "--db-map", "*:0"]);
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(11));
    let mut server = installed("redis-7.0.15").start();
    run(["load", "-q", TUTORIAL]).args([format!("{}?db=5", server.url())]).ok();
    server.ask("SELECT 5", &[]);
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(11));
}

#[test]
fn expired_keys_stay_out_and_can_come_in() {
    let mut server = installed("redis-7.0.15").start();
    let ran = load(&dump("redis-7.0.15", "expired"), &server, &[]);
    assert!(ran.code == Some(0) && ran.err().contains("6 left out: their expiry has passed"), "{ran}");
    loads(&dump("redis-7.0.15", "expired"), &server, &["--flush", "--ttl", "strip"]);
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(8));
}

#[test]
fn functions_are_not_replaced_unasked() {
    let mut server = installed("redis-7.0.15").start();
    let dump = dump("redis-7.0.15", "functions");
    loads(&dump, &server, &[]);
    let ran = load(&dump, &server, &["--on-exists", "skip"]);
    assert!(ran.code == Some(0) && !ran.err().contains("function"), "{ran}");
    loads(&dump, &server, &["--on-exists", "replace"]);
    let before = server.ask("FUNCTION LIST WITHCODE", &[]).ordered();
    // What is flushed is all: functions as well.
    loads(&dump, &server, &["--flush"]);
    assert_eq!(server.ask("FUNCTION LIST WITHCODE", &[]).ordered(), before);
}

#[test]
fn functions_are_compared_as_well() {
    let mut server = installed("redis-7.0.15").start();
    let dump = dump("redis-7.0.15", "functions");
    let ran = load(&dump, &server, &["--verify"]);
    assert!(ran.code == Some(0) && ran.err().contains(" libraries as in the files, 0 not"), "{ran}");
    let names = server.ask("FUNCTION LIST", &[]);
    let name = names.items()[0].items()[1].text().to_vec();
    let code =
        [b"#!lua name=".as_slice(), &name, b"\nredis.register_function('other', function() return 1 end)"].concat();
    server.ask("FUNCTION LOAD REPLACE", &[&code]);
    let compared = || load(&dump, &server, &["--verify", "--on-exists", "skip"]);
    let ran = compared();
    let said = format!("function library \"{}\": it has another source", String::from_utf8_lossy(&name));
    assert!(ran.code == Some(1) && ran.err().contains(&said) && ran.err().contains(", 1 not"), "{ran}");
}

#[test]
fn servers_with_other_names_for_commands_are_loaded_by_those_they_have() {
    let without = |names: &[&str]| {
        let settings: Vec<&str> = names.iter().flat_map(|name| ["--rename-command", *name, ""]).collect();
        installed("redis-7.0.15").start_as(&settings)
    };
    let mut server = without(&["RESTORE", "CONFIG", "FLUSHALL"]);
    let ran = load(Path::new(TUTORIAL), &server, &["--verify"]);
    let said = "all goes by commands, as RESTORE is refused: ERR unknown command 'RESTORE'\n";
    assert!(ran.code == Some(0) && ran.err().contains(said), "{ran}");
    assert_eq!(digest(&mut server), digest_of("redis-7.0.15", Path::new(TUTORIAL)));
    let ran = load(Path::new(TUTORIAL), &server, &["--method", "restore"]);
    assert!(ran.code == Some(2) && ran.err().contains("unknown command 'RESTORE'"), "{ran}");
    let before = digest(&mut server);
    let ran = load(Path::new(TUTORIAL), &server, &["--flush", "--yes"]);
    assert!(ran.code == Some(2) && ran.err().contains("unknown command 'FLUSHALL'"), "{ran}");
    assert_eq!(digest(&mut server), before);
    // One that does not even say what it is gets all that goes without knowing it.
    let server = without(&["INFO", "CONFIG", "CLIENT", "MODULE"]);
    let ran = load(Path::new(TUTORIAL), &server, &["--verify"]);
    assert!(ran.code == Some(0) && ran.err().contains("compared: 11 keys as in the files, 0 not"), "{ran}");
    let server = without(&["SET", "MSETNX", "RESTORE"]);
    let ran = load(Path::new(TUTORIAL), &server, &[]);
    assert!(ran.code == Some(1) && ran.err().contains("unknown command"), "{ran}");
}

#[test]
fn several_connections_bring_the_same() {
    let (mut source, dump) = populated(60_000);
    for method in ["auto", "restore", "commands"] {
        let mut server = installed("redis-7.0.15").start();
        loads(&dump, &server, &["--connections", "3", "--method", method, "--verify"]);
        assert_eq!(digest(&mut server), digest(&mut source), "{method}");
    }
}

#[test]
fn a_rate_is_kept() {
    let (_source, dump) = populated(20_000);
    let server = installed("redis-7.0.15").start();
    let begun = std::time::Instant::now();
    // Some 2.6 MB of commands.
    loads(&dump, &server, &["--rate", "2M"]);
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(900), "{took:?}");
}

#[test]
fn a_directory_of_files_is_loaded_in_order() {
    let mut server = installed("redis-7.0.15").start();
    let folder = folder();
    for (name, text) in [("b", r#"{"k":"second"}"#), ("a", r#"{"k":"first","l":["x"]}"#)] {
        let fixtures = folder.path().join(".fixtures.json");
        std::fs::write(&fixtures, text).unwrap();
        run(["import", "-q"]).args([&fixtures]).args([Path::new("-o"), &folder.path().join(name)]).ok();
    }
    loads(folder.path(), &server, &["--on-exists", "replace"]);
    assert_eq!(server.ask("GET k", &[]).text(), b"second");
    assert_eq!(server.ask("LLEN l", &[]), Reply::Int(1));
}

#[test]
fn it_waits_for_a_server_that_starts() {
    let mut server = installed("redis-7.0.15").start();
    server.kill();
    let waits = go(&["load", "-q", TUTORIAL, &server.url(), "--wait", "30s"]);
    std::thread::sleep(Duration::from_millis(300));
    server.start_again();
    assert_eq!(waits.join().unwrap().code, Some(0));
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(8));
    server.kill();
    let ran = run(["load", TUTORIAL]).args([server.url()]).args(["--wait", "200ms"]).go();
    assert!(ran.code == Some(2) && ran.err().contains("waited 200ms"), "{ran}");
}

/// Runs it beside the test.
pub(crate) fn go(args: &[&str]) -> JoinHandle<Ran> {
    let run = run(args);
    std::thread::spawn(move || run.go())
}

#[test]
fn a_password_is_asked_for_and_found() {
    let server = installed("redis-7.0.15").start();
    let client = |args: &[&str]| drop(server.client_says(args));
    client(&["ACL", "SETUSER", "loader", "on", ">s@fe", "~*", "+@all"]);
    client(&["ACL", "SETUSER", "reader", "on", ">s@fe", "~*", "+@read", "+info"]);
    client(&["ACL", "SETUSER", "partly", "on", ">s@fe", "~hat:*", "+@all"]);
    client(&["ACL", "SETUSER", "poor", "on", ">s@fe", "~*", "+@all", "-restore"]);
    client(&["CONFIG", "SET", "requirepass", "secret"]);
    let at = |login: &str| server.url().replace("unix://", &format!("unix://{login}"));
    let refused = |login: &str| run(["load", TUTORIAL]).args([at(login)]).refuses();
    assert!(refused("").contains("NOAUTH") && refused("").contains("REDISCLI_AUTH"));
    let wrong = refused("wrong@");
    assert!(
        wrong.contains("WRONGPASS") && wrong.contains("check the password") && !wrong.contains("wrong@"),
        "{wrong}"
    );
    assert!(refused("loader:wrong@").contains("check user and password"));
    let (_folder, password) = file("password", b"secret\n");
    run(["load", "-q", TUTORIAL]).args([at("")]).args([Path::new("--password-file"), &password]).ok();
    let again = run(["load", TUTORIAL, "--on-exists", "replace", "-q"]);
    again.args([at("loader:s%40fe@")]).ok();
    shell(r#"REDISCLI_AUTH=secret rdbkit load -q --on-exists replace "$1" "$2""#).args(["sh", TUTORIAL, &at("")]).ok();
    // Who may not write is told so for each key; and who may only write some gets those.
    let ran = run(["load", TUTORIAL, "--on-exists", "replace"]).args([at("reader:s%40fe@")]).go();
    assert!(ran.code == Some(1) && ran.err().contains("NOPERM") && ran.err().contains("11 refused"), "{ran}");
    let ran = run(["load", TUTORIAL, "--on-exists", "replace"]).args([at("partly:s%40fe@")]).go();
    assert!(ran.code == Some(1) && ran.err().contains("3 keys loaded") && ran.err().contains("8 refused"), "{ran}");
    // Without RESTORE, commands do.
    let poor = |method: &str| {
        run(["load", TUTORIAL, "--on-exists", "replace", "--method", method]).args([at("poor:s%40fe@")]).go()
    };
    assert_eq!(poor("auto").code, Some(0));
    let ran = poor("restore");
    assert!(ran.code == Some(2) && ran.err().contains("--method commands"), "{ran}");
}

#[test]
fn a_port_without_a_server_is_told_from_one_with_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let speaks = std::thread::spawn(move || {
        for (connection, says) in listener.incoming().take(3).zip([
            b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
            b"",
            b"\x15\x03\x01\0\x02\x02\x46",
        ]) {
            let mut connection: TcpStream = connection.unwrap();
            std::io::Write::write_all(&mut connection, says).unwrap();
        }
    });
    let said = || run(["load", TUTORIAL]).args([format!("redis://127.0.0.1:{port}")]).refuses();
    assert!(said().contains("is no Redis: \"HTTP/1.1 400 Bad Request"));
    assert!(said().contains("rediss://"));
    assert!(said().contains("speaks TLS"));
    speaks.join().unwrap();
    let closed = said();
    assert!(closed.contains("connection refused; does a server listen there?"), "{closed}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let said = run(["load", TUTORIAL, &url, "--connect-timeout", "200ms"]).refuses();
    assert!(said.contains("the first command got no answer"), "{said}");
    assert!(run(["load", TUTORIAL, "redis://no-such-host.invalid"]).refuses().contains("is not known"));
    assert!(run(["load", TUTORIAL, "unix:///no/such/socket"]).refuses().contains("no connection: no such file"));
}

/// A port that is free, and ten thousand above it too, where a node of a cluster listens for others.
pub(crate) fn free_port() -> u16 {
    let found = (0..50).find_map(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").ok()?;
        let port = listener.local_addr().ok()?.port();
        let above = port.checked_add(10_000)?;
        TcpListener::bind(("127.0.0.1", above)).ok().map(|_| port)
    });
    found.unwrap()
}

#[test]
fn tls_is_verified() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let script = r#"cd "$1" && exec 2>/dev/null
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
        for who in server client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$who -keyout $who.key -out $who.csr
            echo subjectAltName=DNS:localhost > $who.ext
            openssl x509 -req -days 2 -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile $who.ext -out $who.pem
        done; test -s client.pem"#;
    shell(script).args(["sh"]).args([folder.path()]).ok();
    let (port, plain) = (free_port().to_string(), free_port().to_string());
    let mut settings = vec!["--port", &plain, "--tls-port", &port, "--tls-auth-clients", "optional"];
    let files = [at("server.pem"), at("server.key"), at("ca.pem")];
    for (name, file) in ["--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file"].iter().zip(&files) {
        settings.extend([name, file.as_str()]);
    }
    let mut server = installed("redis-7.0.15").start_as(&settings);
    let load = |url: &str, options: &[&str]| {
        run(["load", "-q", TUTORIAL, url, "--on-exists", "replace", "--connect-timeout", "2s"]).args(options)
    };
    let (url, by_address) = (format!("rediss://localhost:{port}"), format!("rediss://127.0.0.1:{port}"));
    load(&url, &["--tls-ca", &at("ca.pem")]).ok();
    load(&url, &["--insecure"]).ok();
    load(&by_address, &["--tls-ca", &at("ca.pem"), "--tls-name", "localhost"]).ok();
    let said = load(&url, &[]).refuses();
    assert!(said.contains("--tls-ca"), "{said}");
    let said = load(&by_address, &["--tls-ca", &at("ca.pem")]).refuses();
    assert!(said.contains("its certificate is not accepted"), "{said}");
    let said = load(&format!("redis://localhost:{port}"), &[]).refuses();
    assert!(said.contains("rediss://"), "{said}");
    let said = load(&format!("rediss://localhost:{plain}"), &["--insecure"]).refuses();
    assert!(said.contains("redis://"), "{said}");
    server.ask("CONFIG SET tls-auth-clients yes", &[]);
    assert_eq!(load(&url, &["--tls-ca", &at("ca.pem")]).go().code, Some(2));
    load(&url, &["--tls-ca", &at("ca.pem"), "--tls-cert", &at("client.pem"), "--tls-key", &at("client.key")]).ok();
    // Enough that both directions are busy at once.
    server.ask("FLUSHALL", &[]);
    let (_source, dump) = populated(100_000);
    run(["load", "-q"])
        .args([&dump])
        .args([&url, "--tls-ca", &at("ca.pem"), "--tls-cert", &at("client.pem"), "--tls-key", &at("client.key")])
        .ok();
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(100_000 + 3));
}

/// A server with so many strings and some larger values, and a dump of it.
pub(crate) fn populated(keys: u32) -> (Server, PathBuf) {
    let mut server = installed("redis-7.0.15").start();
    server.ask("DEBUG POPULATE", &[keys.to_string().as_bytes(), b"key", b"100"]);
    server.ask(
        "EVAL",
        &[
            b"for i = 1, 2000 do redis.call('RPUSH', 'list', i); redis.call('SADD', 'set', 'm' .. i); \
        redis.call('ZADD', 'zset', i, 'm' .. i) end",
            b"0",
        ],
    );
    let dump = server.save();
    (server, dump)
}

/// Starts a slow load and waits until it is in the middle.
fn in_the_middle(args: &[&str], server: &mut Server) -> JoinHandle<Ran> {
    let slow = go(args);
    let begun = poll(SOON, || matches!(server.ask("DBSIZE", &[]), Reply::Int(10_000..)).then_some(()));
    assert!(begun.is_some(), "it does not begin");
    slow
}

#[test]
fn a_connection_that_is_lost_is_made_again() {
    let (mut source, dump) = populated(60_000);
    let want = digest(&mut source);
    for method in ["auto", "restore", "commands"] {
        let mut server = installed("redis-7.0.15").start();
        let url = server.url();
        let load =
            in_the_middle(&["load", dump.to_str().unwrap(), &url, "--rate", "5M", "--method", method], &mut server);
        for _ in 0..3 {
            server.ask("CLIENT KILL TYPE normal SKIPME yes", &[]);
            std::thread::sleep(Duration::from_millis(100));
        }
        let ran = load.join().unwrap();
        assert_eq!(ran.code, Some(0), "{method}: {ran}");
        assert!(ran.err().contains("times the connection was lost and made again"), "{method}: {ran}");
        assert_eq!(digest(&mut server), want, "{method}");
        assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(60_003), "{method}");
    }
}

#[test]
fn a_server_that_crashed_gets_the_rest_and_nothing_twice() {
    let (mut source, dump) = populated(60_000);
    for appends in [&["--appendonly", "yes", "--appendfsync", "no"][..], &[]] {
        let mut server = installed("redis-7.0.15").start_as(appends);
        let folder = folder();
        let state = folder.path().join("state");
        let (dump, url, state) = (dump.to_str().unwrap(), server.url(), state.to_str().unwrap());
        let args = ["load", dump, &url, "--resume", state, "--rate", "5M", "--retry", "20s"];
        let load = in_the_middle(&args, &mut server);
        server.kill();
        server.start_again();
        let ran = load.join().unwrap();
        assert!(ran.code == Some(2) && ran.err().contains("was started anew meanwhile"), "{ran}");
        assert!(ran.err().contains("the same command goes on"), "{ran}");
        let ran = run(&args[..5]).go();
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(ran.err().contains("every key is looked at again"), "{ran}");
        assert_eq!(ran.err().contains("were there from the run before"), !appends.is_empty(), "{ran}");
        assert_eq!(digest(&mut server), digest(&mut source));
        assert!(!Path::new(state).exists(), "the state of a complete load is of no use");
    }
}

#[test]
fn a_load_that_was_killed_goes_on_where_it_was() {
    let (mut source, dump) = populated(60_000);
    let mut server = installed("redis-7.0.15").start();
    let folder = folder();
    let state = folder.path().join("state");
    let options = ["--rate", "4M", "--method", "commands", "--resume"];
    let mut killed = Command::new(env!("CARGO_BIN_EXE_rdbkit"));
    killed.arg("load").arg(&dump).arg(server.url()).args(options).arg(&state);
    let mut killed = killed.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The second half is still to come, and what was done of the first has been noted.
    let begun = poll(SOON, || (state.exists() && server.ask("DBSIZE", &[]).int() > 10_000).then_some(()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(begun.is_some() && server.ask("DBSIZE", &[]).int() < 60_000);
    let args = ["load", dump.to_str().unwrap(), &server.url(), "--resume", state.to_str().unwrap()];
    let other = run(["load", TUTORIAL, &server.url(), "--resume", state.to_str().unwrap()]).refuses();
    assert!(other.contains("it belongs to another load"), "{other}");
    let ran = run(args).args(["--method", "commands"]).go();
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(digest(&mut server), digest(&mut source));
    assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(60_003));
}

#[test]
fn a_server_at_its_limit_says_so() {
    let (mut source, dump) = populated(30_000);
    let mut server = installed("redis-7.0.15").start_as(&["--maxmemory", "4mb"]);
    let folder = folder();
    let state = folder.path().join("state");
    let args = ["load", dump.to_str().unwrap(), &server.url(), "--retry", "1s", "--resume", state.to_str().unwrap()];
    let ran = run(args).go();
    assert_eq!(ran.code, Some(2), "{ran}");
    for said in ["the server says: OOM", "raise it ('CONFIG SET maxmemory')", "the same command goes on"] {
        assert!(ran.err().contains(said), "{ran}");
    }
    server.ask("CONFIG SET maxmemory 0", &[]);
    let ran = run(args).go();
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(digest(&mut server), digest(&mut source));
}

#[test]
fn a_replica_is_not_loaded() {
    let mut server = installed("redis-7.0.15").start();
    server.ask("REPLICAOF 127.0.0.1 1", &[]);
    let said = run(["load", TUTORIAL]).args([server.url()]).refuses();
    assert!(said.contains("it is a replica") && said.contains("load into its master, 127.0.0.1:1"), "{said}");
}

#[test]
fn a_summary_for_programs() {
    let server = installed("redis-7.0.15").start();
    let ran = run(["load", "--json", "-q", TUTORIAL]).args([server.url()]).ok();
    let summary: serde_json::Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!((&summary["complete"], &summary["loaded"], &summary["refused"]), (&true.into(), &11.into(), &0.into()));
}
