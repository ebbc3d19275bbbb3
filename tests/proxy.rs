//! Between rdbkit and a real server stands somebody who cuts, stalls and garbles. Whatever is said then is true, and what
//! was not finished can be.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Ran, TUTORIAL, folder, names, read, run};
use crate::live::{Reply, Server, installed};

/// What is done to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Both ends are told that it is gone, at once and for good.
    Reset,
    /// Nothing arrives any more, and nobody is told.
    Stall,
    /// Nothing arrives for so many milliseconds.
    Pause(u64),
    /// Bytes that nobody sent.
    Garbage,
    /// One end stops sending; the other direction goes on.
    HalfClosed,
    /// It arrives byte by byte.
    Drips,
}

/// From whom to whom it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Toward {
    Server,
    Client,
}

/// The end of a connection: clients come by TCP, and servers listen at a socket of their own.
pub(crate) enum End {
    Client(TcpStream),
    Server(UnixStream),
}

impl End {
    pub(crate) fn again(&self) -> End {
        match self {
            End::Client(stream) => End::Client(stream.try_clone().unwrap()),
            End::Server(stream) => End::Server(stream.try_clone().unwrap()),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> std::io::Result<()> {
        match self {
            End::Client(stream) => stream.shutdown(how),
            End::Server(stream) => stream.shutdown(how),
        }
    }

    pub(crate) fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            End::Client(stream) => stream.read(buf),
            End::Server(stream) => stream.read(buf),
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            End::Client(stream) => stream.write_all(bytes),
            End::Server(stream) => stream.write_all(bytes),
        }
    }
}

/// Somebody between a client and a server.
struct Proxy {
    url: String,
    /// Whether it has done what it is there for.
    struck: Arc<AtomicBool>,
    /// Whether it does nothing any more.
    is_tame: Arc<AtomicBool>,
}

impl Proxy {
    /// Does it after so many bytes, to the first connection that has as many; with `always`, to all that come later too.
    fn before(server: &Server, fault: Fault, toward: Toward, after: usize, always: bool) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let to = server.url().trim_start_matches("unix://").to_owned();
        let proxy = Proxy { url, struck: Arc::default(), is_tame: Arc::default() };
        let (struck, is_tame) = (proxy.struck.clone(), proxy.is_tame.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                client.set_nodelay(true).unwrap();
                let (client, server) = (End::Client(client), End::Server(UnixStream::connect(&to).unwrap()));
                for (from, to, way) in
                    [(client.again(), server.again(), Toward::Server), (server, client, Toward::Client)]
                {
                    let struck = struck.clone();
                    let is_wild = way == toward && !is_tame.load(Ordering::Relaxed);
                    let fault = is_wild.then_some((fault, after, always));
                    // Whoever is cut off gets an error; that is what it is for.
                    std::thread::spawn(move || drop(pump(from, to, fault, &struck)));
                }
            }
        });
        proxy
    }
}

/// Hands on what comes until there is no more.
pub(crate) fn pump(
    mut from: End,
    mut to: End,
    fault: Option<(Fault, usize, bool)>,
    struck: &AtomicBool,
) -> std::io::Result<()> {
    let (mut buf, mut passed) = (vec![0; 16 << 10], 0);
    loop {
        let n = from.read(&mut buf)?;
        if n == 0 {
            return to.shutdown(Shutdown::Write);
        }
        passed += n;
        match fault {
            Some((fault, after, always)) if passed > after || always && struck.load(Ordering::Relaxed) => {
                if struck.swap(true, Ordering::Relaxed) && !always {
                    to.write_all(&buf[..n])?;
                    continue;
                }
                let before = after.saturating_sub(passed - n).min(n);
                to.write_all(&buf[..before])?;
                if !strike(fault, &mut from, &mut to, &buf[before..n])? {
                    return Ok(());
                }
            }
            _ => to.write_all(&buf[..n])?,
        }
    }
}

/// Says whether the connection goes on.
fn strike(fault: Fault, from: &mut End, to: &mut End, rest: &[u8]) -> std::io::Result<bool> {
    match fault {
        Fault::Reset => {
            from.shutdown(Shutdown::Both)?;
            to.shutdown(Shutdown::Both)?;
            return Ok(false);
        }
        Fault::Stall => {
            // As long as the other end holds on.
            std::thread::sleep(Duration::from_secs(20));
            return Ok(false);
        }
        Fault::Pause(ms) => {
            std::thread::sleep(Duration::from_millis(ms));
            to.write_all(rest)?;
        }
        Fault::Garbage => {
            to.write_all(b"\x00\xff?garbage\r\n\r\n*-7\r\n$x\r\n")?;
            to.write_all(rest)?;
        }
        Fault::HalfClosed => {
            to.shutdown(Shutdown::Write)?;
            return Ok(false);
        }
        Fault::Drips => {
            for byte in rest {
                to.write_all(&[*byte])?;
            }
        }
    }
    Ok(true)
}

/// A server with some thousand keys of several types, and a dump of it.
pub(crate) fn filled() -> (Server, PathBuf) {
    const FILL: &str = "for i = 1, 4000 do redis.call('SET', 'key:' .. i, string.rep('v' .. i, 20)) end
        for i = 1, 300 do redis.call('RPUSH', 'list', i); redis.call('SADD', 'set', 'm' .. i)
        redis.call('HSET', 'hash', 'f' .. i, i); redis.call('ZADD', 'zset', i, 'm' .. i) end
        redis.call('XADD', 'stream', '1-1', 'f', 'v')";
    let mut server = installed("redis-7.0.15").start();
    server.ask("EVAL", &[FILL.as_bytes(), b"0"]);
    let dump = server.save();
    (server, dump)
}

pub(crate) fn digest(server: &mut Server) -> Reply {
    server.ask("DEBUG DIGEST", &[])
}

fn load(dump: &Path, url: &str, state: &Path, more: &[&str]) -> Ran {
    let args = ["-q", "--timeout", "700ms", "--retry", "4s", "--resume"];
    run(["load"]).args([dump]).args([url]).args(args).args([state]).args(more).go()
}

/// What is said is one line or a few, names the server, and is no panic.
pub(crate) fn is_told(ran: &Ran, url: &str, what: &str) {
    let said = ran.err();
    assert!(!said.contains("panicked") && said.lines().count() < 8 && said.contains(url), "{what}: {ran}");
}

/// The keys that a list of refusals names; each line says why.
fn listed(list: &Path) -> Vec<Vec<u8>> {
    // Without a server there is none.
    let text = if list.exists() { String::from_utf8(read(list)).unwrap() } else { String::new() };
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let keys = lines.map(|line| {
        assert!(line["db"] == 0 && line["error"].as_str().is_some_and(|why| !why.is_empty()), "{line}");
        line["key"].as_str().unwrap().as_bytes().to_vec()
    });
    keys.collect()
}

/// The keys that are not in a server as they are in another.
fn differing(source: &mut Server, server: &mut Server) -> BTreeSet<Vec<u8>> {
    let keys: Vec<Vec<u8>> = source.ask("KEYS *", &[]).items().iter().map(|key| key.text().to_vec()).collect();
    let names: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let [here, there] = [source, server].map(|server| server.ask("DEBUG DIGEST-VALUE", &names).items().to_vec());
    let pairs = keys.iter().zip(here.iter().zip(&there));
    pairs.filter(|(_, (here, there))| here != there).map(|(key, _)| key.clone()).collect()
}

/// A list of refusals is true: no key twice, and none that is there as it should be; of a load that came to its end, all.
fn is_listed(listed: &[Vec<u8>], ran: &Ran, source: &mut Server, server: &mut Server, what: &str) {
    let named: BTreeSet<Vec<u8>> = listed.iter().cloned().collect();
    assert_eq!(named.len(), listed.len(), "{what}: a key is named twice: {ran}");
    let differing = differing(source, server);
    let wrongly = named.difference(&differing).count();
    assert_eq!(wrongly, 0, "{what}: {wrongly} keys are there and named: {ran}");
    if ran.code != Some(2) {
        assert_eq!(named, differing, "{what}: not all that are lacking are named: {ran}");
    }
}

#[test]
fn the_list_of_refusals_is_true_whatever_happens_to_the_connection() {
    for (fault, toward) in [
        (Fault::Reset, Toward::Server),
        (Fault::Reset, Toward::Client),
        (Fault::Stall, Toward::Client),
        (Fault::HalfClosed, Toward::Client),
    ] {
        for method in ["restore", "commands"] {
            let what = format!("{fault:?} toward {toward:?} by {method}");
            let (mut source, dump) = filled();
            let mut server = installed("redis-7.0.15").start();
            // Every twentieth key is there with another value, also in what is sent again.
            server.ask("EVAL", &[b"for i = 20, 4000, 20 do redis.call('SET', 'key:' .. i, 'own') end", b"0"]);
            let proxy = Proxy::before(&server, fault, toward, 12_000, false);
            let folder = folder();
            let list = folder.path().join("refused.ndjson");
            let args = ["--method", method, "--errors", list.to_str().unwrap(), "--json"];
            let ran = load(&dump, &proxy.url, &folder.path().join("state"), &args);
            assert!(proxy.struck.load(Ordering::Relaxed) && ran.code == Some(1), "{what}: {ran}");
            let keys = listed(&list);
            assert_eq!(keys.len(), 200, "{what}: {ran}");
            is_listed(&keys, &ran, &mut source, &mut server, &what);
            let summary: serde_json::Value = serde_json::from_str(ran.out()).unwrap();
            assert_eq!((&summary["existed"], &summary["refused"]), (&200.into(), &0.into()), "{what}: {ran}");
            assert_eq!(server.ask("GET key:20", &[]), Reply::Text(b"own".into()), "{what}");
        }
    }
}

/// A load that is disturbed ends well by itself, or says that it did not; then the same command finishes it.
fn load_disturbed(fault: Fault, toward: Toward, after: usize, always: bool, method: &str) -> Ran {
    let what = format!("{fault:?} toward {toward:?} after {after} by {method}, always: {always}");
    let (mut source, dump) = filled();
    let mut server = installed("redis-7.0.15").start();
    let proxy = Proxy::before(&server, fault, toward, after, always);
    let folder = folder();
    let state = folder.path().join("state");
    let list = folder.path().join("refused.ndjson");
    let ran = load(&dump, &proxy.url, &state, &["--method", method, "--errors", list.to_str().unwrap()]);
    assert!(proxy.struck.load(Ordering::Relaxed), "{what}: it never came to that: {ran}");
    let want = digest(&mut source);
    let named = listed(&list);
    // Garbage between two commands is answered as if it were one itself: every answer behind it is taken for another's.
    if fault != Fault::Garbage {
        is_listed(&named, &ran, &mut source, &mut server, &what);
    }
    match ran.code {
        Some(0) => assert_eq!(digest(&mut server), want, "{what}: it says that all is well: {ran}"),
        Some(2) => {
            is_told(&ran, &proxy.url, &what);
            finish(&dump, &proxy, &state, method);
            assert_eq!(digest(&mut server), want, "{what}: {ran}");
        }
        // What was garbled was refused, and every such key is named.
        Some(1) if fault == Fault::Garbage => {
            assert!(ran.err().contains("key \""), "{what}: {ran}");
            finish(&dump, &proxy, &state, method);
            assert_eq!(digest(&mut server), want, "{what}: {ran}");
        }
        _ => panic!("{what}: {ran}"),
    }
    ran
}

/// The same load once more, undisturbed. The state says how far the one before has come; without one, keys that are there
/// are replaced.
fn finish(dump: &Path, proxy: &Proxy, state: &Path, method: &str) {
    proxy.is_tame.store(true, Ordering::Relaxed);
    let again = load(dump, &proxy.url, state, &["--method", method, "--on-exists", "replace"]);
    assert_eq!(again.code, Some(0), "{again}");
}

#[test]
fn a_load_survives_what_happens_once() {
    for method in ["restore", "commands"] {
        for (fault, toward) in [
            (Fault::Reset, Toward::Server),
            (Fault::Reset, Toward::Client),
            (Fault::Stall, Toward::Client),
            (Fault::Pause(300), Toward::Server),
            (Fault::HalfClosed, Toward::Client),
            (Fault::HalfClosed, Toward::Server),
        ] {
            let ran = load_disturbed(fault, toward, 12_000, false, method);
            assert_eq!(ran.code, Some(0), "{fault:?} toward {toward:?} by {method}: {ran}");
        }
    }
    let ran = load_disturbed(Fault::Drips, Toward::Client, 100, true, "restore");
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn a_load_tells_what_happens_again_and_again() {
    for (fault, toward) in
        [(Fault::Reset, Toward::Server), (Fault::Stall, Toward::Server), (Fault::Stall, Toward::Client)]
    {
        let ran = load_disturbed(fault, toward, 2000, true, "restore");
        assert_eq!(ran.code, Some(2), "{fault:?} toward {toward:?}: {ran}");
    }
}

#[test]
fn garbage_in_a_load_does_no_harm() {
    for method in ["restore", "commands"] {
        for toward in [Toward::Server, Toward::Client] {
            load_disturbed(Fault::Garbage, toward, 3000, false, method);
        }
    }
}

/// A snapshot that is disturbed is complete, or there is none.
fn dump_disturbed(fault: Fault, after: usize, method: &str) -> Ran {
    let what = format!("{fault:?} after {after} by {method}");
    let (mut server, _) = filled();
    server.ask("CONFIG SET repl-diskless-sync-delay 0", &[]);
    let proxy = Proxy::before(&server, fault, Toward::Client, after, false);
    let folder = folder();
    let path = folder.path().join("out.rdb");
    let args = ["dump", "-q", "--timeout", "1500ms", "--method", method, &proxy.url, "-o"];
    let ran = run(args).args([&path]).go();
    assert!(proxy.struck.load(Ordering::Relaxed), "{what}: it never came to that: {ran}");
    match ran.code {
        Some(0) => {
            let mut other = installed("redis-7.0.15").start_with(&path);
            assert_eq!(digest(&mut other), digest(&mut server), "{what}: it says that all is well: {ran}");
        }
        Some(2) => {
            is_told(&ran, &proxy.url, &what);
            assert!(names(folder.path()).is_empty(), "{what}: {ran}");
        }
        _ => panic!("{what}: {ran}"),
    }
    ran
}

#[test]
fn a_snapshot_is_complete_or_not_there() {
    for method in ["sync", "scan"] {
        for fault in [Fault::Reset, Fault::Stall, Fault::Garbage, Fault::HalfClosed] {
            let ran = dump_disturbed(fault, 60_000, method);
            assert_eq!(ran.code, Some(2), "{fault:?} by {method}: {ran}");
        }
        for fault in [Fault::Pause(400), Fault::Drips] {
            let ran = dump_disturbed(fault, 60_000, method);
            assert_eq!(ran.code, Some(0), "{fault:?} by {method}: {ran}");
        }
    }
}

#[test]
fn what_is_far_away_is_told_soon() {
    // It takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    for args in [["load", TUTORIAL, &url], ["dump", &url, "-q"]] {
        let said =
            run(args).args(["--timeout", "300ms"]).args(if args[0] == "load" { &["--retry", "1s"][..] } else { &[] });
        let ran = said.go();
        assert_eq!(ran.code, Some(2), "{ran}");
        is_told(&ran, &url, args[0]);
    }
}
