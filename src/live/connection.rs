//! Connections: reaching a server, logging in, and saying clearly why that did not work.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::reply::{Replies, Reply, lost};
use super::socket::{Sender, Socket, Wire};
use super::tls::{Failure, Tls, TlsOptions};
use super::url::{Place, Url};
use crate::error::{Error, ErrorKind, Result};
use crate::resp::frame;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection and its first answer.
    pub connect: Duration,
    /// For every answer after that.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(10), answer: Duration::from_secs(60) }
    }
}

/// A server with all that is needed to connect to it, any number of times.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    tls: Option<Tls>,
    timeouts: Timeouts,
}

impl Endpoint {
    /// The server at a URL. Errors: certificates that can't be read.
    pub fn new(url: Url, tls: &TlsOptions, timeouts: Timeouts) -> Result<Endpoint> {
        let tls = if url.tls { Some(Tls::new(tls)?) } else { None };
        Ok(Endpoint { url, tls, timeouts })
    }

    /// Another server that is reached in the same way: a node of the same cluster.
    pub fn at(&self, place: Place) -> Endpoint {
        Endpoint { url: Url { place, ..self.url.clone() }, ..self.clone() }
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How long to wait for it.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Gives an error this server's name.
    pub fn name_it(&self, e: Error) -> Error {
        e.in_input(&self.url.to_string())
    }

    /// Connects and logs in. The database is 0, whatever the URL says.
    ///
    /// Errors: those of [`Endpoint::reach`], and [`ErrorKind::Refused`] of a server that is not ready, such as
    /// `LOADING`.
    pub fn connect(&self) -> Result<Connection> {
        let mut connection = self.reach()?;
        match connection.ask(&[b"PING"]).map_err(|e| self.name_it(e))? {
            // A user need not be allowed to PING.
            Reply::Error(words) if !words.starts_with("NOPERM") => Err(self.name_it(self.explained(words))),
            _ => Ok(connection),
        }
    }

    /// Connects and logs in, also to a server that answers nothing else yet.
    ///
    /// Errors: nobody listens there, no TLS or another certificate, no Redis, a wrong password; all name the server.
    pub fn reach(&self) -> Result<Connection> {
        let connected = self.open().and_then(|(wire, mut connection)| {
            self.greet(&mut connection)?;
            wire.socket.set_timeout(Some(self.timeouts.answer))?;
            Ok(connection)
        });
        connected.map_err(|e| self.name_it(e))
    }

    fn open(&self) -> Result<(Arc<Wire>, Connection)> {
        let socket = self.socket()?;
        socket.set_timeout(Some(self.timeouts.connect))?;
        let session = match &self.tls {
            None => None,
            Some(tls) => Some(tls.shake_hands(&socket, self.host()).map_err(|e| self.no_handshake(e))?),
        };
        let wire = Arc::new(Wire { socket, session });
        let connection = Connection { replies: Replies::new(wire.clone()), sender: Sender(wire.clone()) };
        Ok((wire, connection))
    }

    fn host(&self) -> &str {
        match &self.url.place {
            Place::Tcp { host, .. } => host,
            Place::Unix(_) => "localhost",
        }
    }

    fn socket(&self) -> Result<Socket> {
        match &self.url.place {
            Place::Tcp { host, port } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                let found = found.map_err(|e| Error::connection(format!("host {host} is not known: {}", plain(&e))))?;
                let mut last = None;
                for address in found {
                    match TcpStream::connect_timeout(&address, self.timeouts.connect) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Socket::Tcp(stream));
                        }
                        Err(e) => last = Some(e),
                    }
                }
                let e = last.unwrap_or_else(|| io::Error::other("the host has no address"));
                Err(no_connection(&e))
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).map_err(|e| no_connection(&e))?;
                Ok(Socket::Unix(stream))
            }
            #[cfg(not(unix))]
            Place::Unix(_) => Err(Error::connection("there are no such sockets on this system")),
        }
    }

    fn no_handshake(&self, failure: Failure) -> Error {
        Error::connection(match failure {
            Failure::NotTls => "what answers does not speak TLS; without it the URL begins with redis://".to_owned(),
            Failure::Tls(why) => format!("no TLS connection: {why}"),
            Failure::Io(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    "no answer to the greeting of TLS; a server without TLS is reached by redis://".to_owned()
                }
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                    "the connection was closed during the greeting of TLS; a server without TLS is reached by redis://"
                        .to_owned()
                }
                _ => format!("no TLS connection: {}", plain(&e)),
            },
        })
    }

    /// Logs in; without a password, makes sure that it is a server that answers.
    fn greet(&self, connection: &mut Connection) -> Result<()> {
        let Url { user, password, .. } = &self.url;
        let reply = match (user, password) {
            (Some(user), Some(password)) => connection.ask(&[b"AUTH", user.as_bytes(), password.as_bytes()]),
            (None, Some(password)) => connection.ask(&[b"AUTH", password.as_bytes()]),
            (Some(user), None) => {
                let hint = "give it in the URL, in REDISCLI_AUTH, or with --password-file";
                return Err(Error::usage(format!("user {user} needs a password: {hint}")));
            }
            (None, None) => connection.ask(&[b"ECHO", b"rdbkit"]),
        };
        match reply.map_err(|e| self.first_contact(e, &connection.replies))? {
            Reply::Error(words) => match words.split(' ').next().unwrap_or_default() {
                // It wants none.
                _ if password.is_some() && (words.contains("no password is set") || words.contains("without any")) => {
                    Ok(())
                }
                "LOADING" | "NOPERM" | "BUSY" | "MASTERDOWN" => Ok(()),
                _ => Err(self.explained(words)),
            },
            _ => Ok(()),
        }
    }

    /// What is wrong with somebody who does not even answer the first command.
    fn first_contact(&self, e: Error, replies: &Replies) -> Error {
        let arrived = replies.arrived();
        // An alert record of TLS.
        if self.tls.is_none() && arrived.starts_with(&[0x15, 0x03]) {
            return Error::connection("what answers speaks TLS; the URL then begins with rediss://");
        }
        if e.reason().contains("CertificateRequired") {
            return Error::connection("the server wants to see a certificate: name ours with --tls-cert and --tls-key");
        }
        match e.kind() {
            ErrorKind::Connection(_) if arrived.is_empty() => {
                let hint = if self.tls.is_none() { ", or does it speak TLS (rediss://)?" } else { "?" };
                Error::connection(format!("{}: the first command got no answer; is it a Redis{hint}", e.reason()))
            }
            _ => e,
        }
    }

    /// A server's refusal, with what to do about it.
    fn explained(&self, words: String) -> Error {
        let hint = match words.split(' ').next().unwrap_or_default() {
            "NOAUTH" => {
                "give a password in the URL (redis://:PASSWORD@HOST), in REDISCLI_AUTH, or with --password-file"
            }
            "WRONGPASS" if self.url.user.is_some() => "check user and password",
            "WRONGPASS" => "check the password; an ACL user is named in the URL: redis://USER:PASSWORD@HOST",
            "ERR" if words.contains("invalid password") => "check the password",
            "LOADING" => "it reads its own data; --wait 60s waits for that",
            "DENIED" => "it is in protected mode: it wants a password, or a connection from its own host",
            "MASTERDOWN" => "it is a replica without its master",
            "BUSY" => "a script runs there; try again when it is done",
            _ => return Error::refused(words),
        };
        Error::refused(words).noting(hint.to_owned())
    }
}

fn no_connection(e: &io::Error) -> Error {
    let hint = match e.kind() {
        io::ErrorKind::ConnectionRefused => "; does a server listen there?",
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "; is the host right, and no firewall in between?",
        _ => "",
    };
    Error::connection(format!("no connection: {}{hint}", plain(e)))
}

/// An error without its number, which helps nobody.
fn plain(e: &io::Error) -> String {
    let text = ErrorKind::Io(io::Error::other(e.to_string())).to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A connection on which one command is asked at a time.
pub struct Connection {
    replies: Replies,
    sender: Sender,
}

impl Connection {
    /// The reply to a command, also when it is a refusal.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Reply> {
        let mut bytes = Vec::new();
        frame::command(words, &mut bytes);
        self.send(&bytes)?;
        self.replies.reply()
    }

    /// The reply to a command; a refusal is an error.
    pub fn demand(&mut self, words: &[&[u8]]) -> Result<Reply> {
        self.ask(words)?.ok()
    }

    /// Sends commands without waiting for their replies.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.write_all(bytes).map_err(|e| lost(&e))
    }

    /// The next reply to what was sent.
    pub fn reply(&mut self) -> Result<Reply> {
        self.replies.reply()
    }

    /// The direction from the server.
    pub fn replies(&mut self) -> &mut Replies {
        &mut self.replies
    }

    /// The two directions, for two threads.
    pub fn split(self) -> (Replies, Sender) {
        (self.replies, self.sender)
    }
}
