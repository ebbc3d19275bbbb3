//! Loading by replication, with somebody in between who cuts, stalls and garbles what the server gets from us as its
//! master. Whatever is said then is true, and the server is a master again, with its own settings.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use crate::harness::{Ran, run};
use crate::live::{Reply, Server, installed, poll};
use crate::proxy::{End, Fault, Toward, digest, filled, is_told, pump};

/// Somebody on both ways between us and a server: on that of commands it only says where the data are to be had, which is
/// at its own place, and on that of the data it does what it is there for.
struct Between {
    url: String,
    struck: Arc<AtomicBool>,
}

impl Between {
    fn new(server: &Server, fault: Fault, toward: Toward, after: usize) -> Between {
        let [commands, data] = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let url = format!("redis://{}", commands.local_addr().unwrap());
        let own_port = data.local_addr().unwrap().port();
        let to = server.url().trim_start_matches("unix://").to_owned();
        let (struck, our_port) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU16::new(0)));
        let port = our_port.clone();
        std::thread::spawn(move || {
            for client in commands.incoming().map_while(Result::ok) {
                let (client, server) = (End::Client(client), End::Server(UnixStream::connect(&to).unwrap()));
                let (from, into, port) = (client.again(), server.again(), port.clone());
                std::thread::spawn(move || drop(redirect(from, into, own_port, &port)));
                std::thread::spawn(move || drop(pump(server, client, None, &AtomicBool::new(false))));
            }
        });
        let has_struck = struck.clone();
        std::thread::spawn(move || {
            for replica in data.incoming().map_while(Result::ok) {
                // Nobody may listen there any more.
                let Ok(master) = TcpStream::connect(("127.0.0.1", our_port.load(Ordering::Relaxed))) else { continue };
                let (replica, master) = (End::Client(replica), End::Client(master));
                for (from, to, way) in
                    [(master.again(), replica.again(), Toward::Server), (replica, master, Toward::Client)]
                {
                    let struck = has_struck.clone();
                    let fault = (way == toward).then_some((fault, after, false));
                    std::thread::spawn(move || drop(pump(from, to, fault, &struck)));
                }
            }
        });
        Between { url, struck }
    }
}

/// Hands commands on; where one says from which port to replicate, it is another then.
fn redirect(mut from: End, mut to: End, own_port: u16, our_port: &AtomicU16) -> std::io::Result<()> {
    const COMMAND: &[u8] = b"REPLICAOF\r\n$9\r\n127.0.0.1\r\n$";
    let mut buf = vec![0; 16 << 10];
    loop {
        let n = from.read(&mut buf)?;
        if n == 0 {
            return to.shutdown(std::net::Shutdown::Write);
        }
        let Some(at) = buf[..n].windows(COMMAND.len()).position(|bytes| bytes == COMMAND) else {
            to.write_all(&buf[..n])?;
            continue;
        };
        let text = std::str::from_utf8(&buf[at + COMMAND.len()..n]).unwrap();
        let mut lines = text.split("\r\n");
        let port = lines.nth(1).unwrap();
        our_port.store(port.parse().unwrap(), Ordering::Relaxed);
        to.write_all(&buf[..at + COMMAND.len()])?;
        let own_port = own_port.to_string();
        let rest: Vec<&str> = lines.collect();
        to.write_all(format!("{}\r\n{own_port}\r\n{}", own_port.len(), rest.join("\r\n")).as_bytes())?;
    }
}

fn load(dump: &Path, url: &str) -> Ran {
    run(["load", "-q", "--method", "replication", "--yes", "--timeout", "1500ms"]).args([dump]).args([url]).go()
}

/// What a server says of itself: its role, and how it reads what a master sends.
fn state(server: &mut Server) -> (bool, Vec<u8>) {
    let info = server.ask("INFO replication", &[]);
    let setting = server.ask("CONFIG GET repl-diskless-load", &[]).items()[1].text().to_vec();
    (String::from_utf8_lossy(info.text()).contains("role:master"), setting)
}

/// A load that is disturbed gives the server all of the data or says that it did not. One that had something reads the
/// data from its disk; if it could not, it still has that.
fn disturbed(fault: Fault, toward: Toward, after: usize, is_empty: bool) -> (Ran, Server) {
    let what = format!("{fault:?} toward {toward:?} after {after}, empty: {is_empty}");
    let (mut source, dump) = filled();
    let mut server = installed("redis-7.0.15").start();
    if !is_empty {
        server.ask("SET own value", &[]);
    }
    let between = Between::new(&server, fault, toward, after);
    let ran = load(&dump, &between.url);
    assert!(between.struck.load(Ordering::Relaxed), "{what}: it never came to that: {ran}");
    match ran.code {
        Some(0) => assert_eq!(digest(&mut server), digest(&mut source), "{what}: it says that all is well: {ran}"),
        Some(2) => is_told(&ran, &between.url, &what),
        _ => panic!("{what}: {ran}"),
    }
    (ran, server)
}

#[test]
fn a_server_that_was_cut_off_is_a_master_again() {
    for is_empty in [true, false] {
        for fault in [Fault::Reset, Fault::Stall, Fault::HalfClosed] {
            let (ran, mut server) = disturbed(fault, Toward::Server, 20_000, is_empty);
            let what = format!("{fault:?}, empty: {is_empty}");
            assert_eq!(ran.code, Some(2), "{what}: {ran}");
            if is_empty && fault == Fault::Stall {
                // It reads what comes, and answers nobody until it gives up: all that can be done is to say what to do.
                for advice in ["REPLICAOF NO ONE", "CONFIG SET repl-diskless-load disabled"] {
                    assert!(ran.err().contains(advice), "{what}: {ran}");
                }
                continue;
            }
            assert_eq!(state(&mut server), (true, b"disabled".to_vec()), "{what}: {ran}");
            // What it had read until then goes away.
            let left = poll(Duration::from_secs(5), || {
                let keys = server.ask("DBSIZE", &[]).int();
                (keys == if is_empty { 0 } else { 1 }).then_some(())
            });
            assert!(left.is_some(), "{what}: it has {:?} keys: {ran}{}", server.ask("DBSIZE", &[]), server.log());
            assert_eq!(server.ask("EXISTS own", &[]), Reply::Int(if is_empty { 0 } else { 1 }), "{what}: {ran}");
        }
    }
}

#[test]
fn a_server_that_only_has_to_wait_gets_everything() {
    for (fault, after) in [(Fault::Pause(400), 20_000), (Fault::Drips, 60_000)] {
        for is_empty in [true, false] {
            let (ran, mut server) = disturbed(fault, Toward::Server, after, is_empty);
            assert_eq!(ran.code, Some(0), "{fault:?}, empty: {is_empty}: {ran}");
            assert_eq!(state(&mut server), (true, b"disabled".to_vec()), "{fault:?}: {ran}");
        }
    }
}

/// What it says in front of the data is garbled or cut: then it comes again.
#[test]
fn a_server_that_is_not_understood_comes_again() {
    for fault in [Fault::Garbage, Fault::Reset] {
        let (ran, mut server) = disturbed(fault, Toward::Client, 20, true);
        assert_eq!(state(&mut server), (true, b"disabled".to_vec()), "{fault:?}: {ran}");
        assert_eq!(ran.code, Some(0), "{fault:?}: {ran}{}", server.log());
    }
}

/// A server that meets garbage gives up the load or ends itself, as with a damaged file of its own; either is told.
#[test]
fn garbage_among_the_data_is_never_taken_for_a_load() {
    for after in [20_000, 45_000] {
        let (ran, server) = disturbed(Fault::Garbage, Toward::Server, after, true);
        assert_eq!(ran.code, Some(2), "{ran}{}", server.log());
        assert!(ran.err().contains("its log says why") || ran.err().contains("its log may say why"), "{ran}");
    }
}
