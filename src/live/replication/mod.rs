//! Loading by replication: we are the master from which a server takes all its data, at the speed at which it starts.

mod loan;
mod words;

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Read, Seek, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use loan::give_back_all;

use self::loan::{Loan, SETTING};
use super::connection::{Connection, Endpoint};
use super::info::Info;
use super::reply::Reply;
use super::url::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Meter, Output, scratch_file};
use crate::rdb::Framing;

/// How often a server is asked how far it has come.
const TICK: Duration = Duration::from_millis(25);
/// How long a server may take to come for its data: it looks for its master every second.
const ARRIVAL: Duration = Duration::from_secs(15);

/// Writes an RDB file into an output, and completes it; or fails, and then the server keeps what it has.
pub type Feed<'w> = &'w mut dyn FnMut(Output) -> Result<()>;

/// How the data went over.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Keys that the server has now.
    pub keys: u64,
    /// How long it took to send them.
    pub sent: Duration,
    /// How long the server took to read them after that.
    pub loaded: Duration,
    /// How it read them.
    pub reading: Reading,
}

/// How a server reads the data that it gets as a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Straight from us. `was`: what its `repl-diskless-load` was, if it must be set for that.
    AsTheyArrive {
        /// What it gets back.
        was: Option<String>,
    },
    /// When all of them are on its disk.
    FromItsDisk {
        /// Why not straight from us.
        why: String,
    },
}

impl Reading {
    /// What is possible without a risk for anything that the server has: nothing is asked of one that has something.
    fn of(control: &mut Connection, info: &Info) -> Result<Reading> {
        let from_disk = |why: &str| Ok(Reading::FromItsDisk { why: why.to_owned() });
        let setting = match control.ask(&[b"CONFIG", b"GET", SETTING])? {
            Reply::Error(words) => return from_disk(&words),
            reply => reply.items().get(1).and_then(Reply::to_text),
        };
        let Some(setting) = setting else { return from_disk("it has no repl-diskless-load") };
        let has_keys = info.keyspace().is_none_or(|dbs| !dbs.is_empty());
        let libraries = control.ask(&[b"FUNCTION", b"LIST"])?;
        let has_functions = match &libraries {
            Reply::Error(words) => !words.contains("unknown command"),
            libraries => !libraries.items().is_empty(),
        };
        match setting.as_str() {
            "swapdb" => Ok(Reading::AsTheyArrive { was: None }),
            _ if has_keys || has_functions => from_disk("so it keeps what it has until all of the data are there"),
            "on-empty-db" => Ok(Reading::AsTheyArrive { was: None }),
            _ => Ok(Reading::AsTheyArrive { was: Some(setting) }),
        }
    }
}

/// A server that is to take its data from us.
pub struct Master<'e> {
    endpoint: &'e Endpoint,
    control: Connection,
    listener: TcpListener,
    /// Where the server finds us.
    announced: SocketAddr,
    /// From where it may come; none if that can't be told.
    peer: Option<IpAddr>,
    reading: Reading,
}

impl<'e> Master<'e> {
    /// Looks at a server, and listens where it can reach us: at `listen`, or at the address from which we reach it.
    ///
    /// Errors: it is out of reach, is no master, or can't replicate from us.
    pub fn new(endpoint: &'e Endpoint, listen: Option<SocketAddr>) -> Result<Master<'e>> {
        let mut control = endpoint.connect()?;
        let found = check(&mut control).and_then(|info| {
            let reading = Reading::of(&mut control, &info)?;
            let (here, peer) = addresses(&endpoint.url().place)?;
            let at = listen.unwrap_or(SocketAddr::new(here, 0));
            let listener = TcpListener::bind(at).map_err(|e| {
                Error::from(e).noting(format!("it is {at} where we would listen; --listen names another"))
            })?;
            listener.set_nonblocking(true)?;
            let ip = if at.ip().is_unspecified() { here } else { at.ip() };
            let announced = SocketAddr::new(ip, listener.local_addr()?.port());
            Ok((listener, announced, peer, reading))
        });
        let (listener, announced, peer, reading) = found.map_err(|e| endpoint.name_it(e))?;
        Ok(Master { endpoint, control, listener, announced, peer, reading })
    }

    /// How the server is going to read the data.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Makes the server take its data from us, and then a master again, whatever comes of it.
    ///
    /// Errors: it does not come, does not take the data, or `write` fails.
    pub fn feed(mut self, meter: &Arc<Meter>, write: Feed<'_>) -> Result<Fed> {
        let loan = Loan::new(self.endpoint);
        let fed = self.borrow(&loan).and_then(|()| self.serve(&loan, meter, write));
        if fed.is_err() {
            loan.break_off();
        }
        let freed = loan.give_back(&mut self.control, self.endpoint.timeouts().answer);
        let (sent, loaded) = fed.map_err(|e| match &freed {
            Ok(_) => self.endpoint.name_it(e),
            Err(why) => self.endpoint.name_it(e).noting(why.reason()),
        })?;
        let keys = freed.map_err(|e| self.endpoint.name_it(e))?;
        Ok(Fed { keys, sent, loaded, reading: self.reading })
    }

    /// Makes the server our replica, one that reads the data as they arrive where that loses nothing.
    fn borrow(&mut self, loan: &Loan) -> Result<()> {
        if let Reading::AsTheyArrive { was: Some(was) } = &self.reading {
            loan.had(Some(was));
            if let Reply::Error(words) = self.control.ask(&[b"CONFIG", b"SET", SETTING, b"on-empty-db"])? {
                loan.had(None);
                self.reading = Reading::FromItsDisk { why: words };
            }
        }
        let host = self.announced.ip().to_string();
        let port = self.announced.port().to_string();
        loan.follows(b"REPLICAOF");
        let mut reply = self.control.ask(&[b"REPLICAOF", host.as_bytes(), port.as_bytes()])?;
        // Before 5.0.
        if matches!(&reply, Reply::Error(words) if words.contains("unknown command")) {
            loan.follows(b"SLAVEOF");
            reply = self.control.ask(&[b"SLAVEOF", host.as_bytes(), port.as_bytes()])?;
        }
        reply.ok().map(drop)
    }

    /// Waits for the server, sends the data, waits until it has read them.
    fn serve(&mut self, loan: &Loan, meter: &Arc<Meter>, write: Feed<'_>) -> Result<(Duration, Duration)> {
        let deadline = Instant::now() + ARRIVAL.min(self.endpoint.timeouts().answer);
        let mut replica = loop {
            let stream = self.accept(deadline)?;
            match Replica::greet(stream, self.endpoint.timeouts().answer) {
                Ok(replica) => break replica,
                // Somebody else, or a first attempt that the server gave up.
                Err(_) if Instant::now() < deadline => {}
                Err(e) => return Err(e),
            }
        };
        loan.takes(&replica.stream);
        let begun = Instant::now();
        replica.send(meter, write)?;
        let sent = begun.elapsed();
        self.wait_for_load(&replica)?;
        Ok((sent, begun.elapsed() - sent))
    }

    fn accept(&mut self, deadline: Instant) -> Result<TcpStream> {
        loop {
            match self.listener.accept() {
                Ok((stream, from)) if self.peer.is_none_or(|peer| peer == from.ip().to_canonical()) => {
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => sleep(TICK),
                Err(e) => return Err(e.into()),
            }
            if Instant::now() > deadline {
                let at = self.announced;
                return Err(Error::connection(format!(
                    "it was told to take its data from {at}, but did not come there: can it reach this machine? --listen \
                     names the address at which it can"
                )));
            }
        }
    }

    /// The server has all the data; reads them; and is through.
    fn wait_for_load(&mut self, replica: &Replica) -> Result<()> {
        let patience = self.endpoint.timeouts().answer;
        let (mut alone, mut since) = (0, Instant::now());
        loop {
            let info = Info::ask(&mut self.control).map_err(gone)?;
            if info.number("loading") == Some(1) {
                since = Instant::now();
            } else if info.get("master_link_status") == Some("up") {
                return Ok(());
            } else {
                // It may be between two states; but not for long.
                alone = if replica.is_closed() { alone + 1 } else { 0 };
                if alone > 3 {
                    return Err(Error::connection("it gave up the load; its log says why"));
                }
                if since.elapsed() > patience {
                    return Err(Error::connection("it has the data, but does not read them; its log may say why"));
                }
            }
            sleep(TICK);
        }
    }
}

/// A server that went away while it read what we sent.
fn gone(e: Error) -> Error {
    Error::connection(format!("it went away while it read the data ({}); its log says why", e.reason()))
}

/// Errors: what keeps a server from replicating from us.
fn check(control: &mut Connection) -> Result<Info> {
    let info = Info::ask(control)?;
    if info.is_cluster() {
        let hint = "load without --method replication";
        return Err(Error::refused("a node of a cluster takes its data from no master but one of the cluster")
            .noting(hint.into()));
    }
    if info.get("role") == Some("slave") {
        let master = info.get("master_host").unwrap_or("another server");
        return Err(Error::refused("it is a replica").noting(format!("load into its master, {master}")));
    }
    let tls = control.ask(&[b"CONFIG", b"GET", b"tls-replication"])?;
    if tls.items().get(1).and_then(Reply::text) == Some(b"yes") {
        return Err(Error::refused("it replicates over TLS only (tls-replication)")
            .noting("load without --method replication".into()));
    }
    Ok(info)
}

/// From where we reach a server, and its own address.
fn addresses(place: &Place) -> Result<(IpAddr, Option<IpAddr>)> {
    let Place::Tcp { host, port } = place else { return Ok((Ipv4Addr::LOCALHOST.into(), None)) };
    // Nothing is sent: the system only chooses the way.
    let socket = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => UdpSocket::bind("[::]:0")?,
        _ => UdpSocket::bind("0.0.0.0:0").or_else(|_| UdpSocket::bind("[::]:0"))?,
    };
    socket.connect((host.as_str(), *port))?;
    let peer = socket.peer_addr()?.ip().to_canonical();
    Ok((socket.local_addr()?.ip().to_canonical(), Some(peer)))
}

/// The server, as it comes to us.
struct Replica {
    stream: TcpStream,
    /// It can read a file whose length it is not told.
    takes_marks: bool,
}

impl Replica {
    /// Answers what a replica says, up to its wish for the data.
    fn greet(stream: TcpStream, patience: Duration) -> Result<Replica> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut input = BufReader::new(stream.try_clone()?);
        let mut replica = Replica { stream, takes_marks: false };
        while let Some(words) = words::read(&mut input)? {
            let word = |i: usize| words.get(i).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
            let answer: &[u8] = match word(0).as_slice() {
                b"ping" => b"+PONG\r\n",
                b"auth" => b"+OK\r\n",
                b"replconf" => {
                    replica.takes_marks |= word(1) == b"capa" && (2..words.len()).any(|i| word(i) == b"eof");
                    b"+OK\r\n"
                }
                b"psync" => {
                    let id = format!("+FULLRESYNC {} 0\r\n", random_hex());
                    replica.stream.write_all(id.as_bytes())?;
                    return Ok(replica);
                }
                b"sync" => return Ok(replica),
                b"" => b"",
                _ => b"-ERR unknown command\r\n",
            };
            replica.stream.write_all(answer)?;
        }
        Err(Error::connection("it came for its data, and went away without asking for them"))
    }

    /// Sends the file, in the frame that the replica understands.
    fn send(&mut self, meter: &Arc<Meter>, write: Feed<'_>) -> Result<()> {
        if !self.takes_marks {
            return self.send_spooled(meter, write);
        }
        let mark: [u8; 40] = random_hex().into_bytes().try_into().map_err(|_| Error::usage("a mark has 40 bytes"))?;
        let framing = Framing::Mark(mark);
        self.stream.write_all(&framing.header()).map_err(broken_off)?;
        let direct = File::from(OwnedFd::from(self.stream.try_clone()?));
        write(Output::stream("the server", direct)).map_err(|e| if is_of_socket(&e) { broken_off(e) } else { e })?;
        self.stream.write_all(&mark).map_err(broken_off)
    }

    /// The same for one that must be told the length: the file is made first.
    fn send_spooled(&mut self, meter: &Arc<Meter>, write: Feed<'_>) -> Result<()> {
        let mut file = scratch_file()?;
        write(Output::stream("a temporary file", file.try_clone()?))?;
        file.rewind()?;
        self.stream.write_all(&Framing::Length(file.metadata()?.len()).header()).map_err(broken_off)?;
        let mut chunk = vec![0; 256 << 10];
        loop {
            let n = file.read(&mut chunk)?;
            if n == 0 {
                return Ok(());
            }
            self.stream.write_all(&chunk[..n]).map_err(broken_off)?;
            meter.bytes.fetch_add(n as u64, Ordering::Relaxed);
        }
    }

    /// Whether it has hung up.
    fn is_closed(&self) -> bool {
        let mut buf = [0; 512];
        match self.stream.set_nonblocking(true).and_then(|()| (&self.stream).read(&mut buf)) {
            Ok(n) => n == 0,
            Err(e) => e.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// Whether it was the socket that failed, and not what was to go into it.
fn is_of_socket(e: &Error) -> bool {
    use io::ErrorKind::*;
    matches!(e.kind(), ErrorKind::Io(e) if matches!(e.kind(), BrokenPipe | ConnectionReset | WouldBlock | TimedOut))
}

fn broken_off(e: impl Into<Error>) -> Error {
    let e: Error = e.into();
    match e.kind() {
        ErrorKind::Io(e) if e.kind() == io::ErrorKind::WouldBlock => {
            Error::connection("it takes no more of the data; --timeout sets how long to wait")
        }
        _ => Error::connection("it broke off while the data were sent, and keeps what it had; its log says why"),
    }
}

/// Forty digits that nobody can guess well enough to stand in a dump by accident.
fn random_hex() -> String {
    let digits = || format!("{:016x}", RandomState::new().hash_one(Instant::now()));
    let mut hex = digits() + &digits() + &digits();
    hex.truncate(40);
    hex
}
