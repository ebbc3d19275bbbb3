//! The two directions of a connection, plain or encrypted: one thread may read while another one writes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::tls::Session;

/// A connected socket of either family.
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// How long a read or a write may take; `None` for ever.
    pub(super) fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)
            }
            #[cfg(unix)]
            Socket::Unix(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)
            }
        }
    }

    fn shut_down(&self) {
        // A socket that is closed already is as good.
        drop(match self {
            Socket::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
        });
    }
}

impl Read for &Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => (&mut &*stream).read(buf),
            #[cfg(unix)]
            Socket::Unix(stream) => (&mut &*stream).read(buf),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => (&mut &*stream).write(buf),
            #[cfg(unix)]
            Socket::Unix(stream) => (&mut &*stream).write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What both directions share.
pub(super) struct Wire {
    pub(super) socket: Socket,
    /// Where it is encrypted.
    pub(super) session: Option<Session>,
}

/// The direction to the server.
#[derive(Clone)]
pub struct Sender(pub(super) Arc<Wire>);

impl Sender {
    /// Ends the connection, for whoever still reads from it as well.
    pub fn close(&self) {
        self.0.socket.shut_down();
    }

    /// Changes how long a read or a write may take; `None` for ever.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.socket.set_timeout(timeout)
    }
}

impl Write for Sender {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &self.0.session {
            None => (&self.0.socket).write(buf),
            Some(session) => session.write(&self.0.socket, buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The direction from the server.
pub(super) struct Incoming(pub(super) Arc<Wire>);

impl Read for Incoming {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.0.session {
            None => (&self.0.socket).read(buf),
            Some(session) => session.read(&self.0.socket, buf),
        }
    }
}
