//! Replies of servers, in RESP2. Nothing is allocated because a length says so: only what has arrived is kept.

use std::io::{self, Read};
use std::sync::Arc;

use memchr::memchr;

use super::socket::{Incoming, Wire};
use crate::error::{Error, Result};
use crate::text;

/// A reply's first line is not longer than this.
const MAX_LINE: usize = 64 << 10;
/// Arrays are not nested deeper than this.
const MAX_DEPTH: usize = 32;
/// A reply has no more parts than this, nor more bytes.
const MAX_PARTS: u64 = 1 << 22;
const MAX_BYTES: u64 = 1 << 32;

/// A reply, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// A status or a string.
    Text(Vec<u8>),
    /// Several replies.
    Array(Vec<Reply>),
    /// A refusal, in the server's words.
    Error(String),
}

impl Reply {
    /// Takes an error for one of ours, with the server's words.
    pub fn ok(self) -> Result<Reply> {
        match self {
            Reply::Error(words) => Err(Error::refused(words)),
            other => Ok(other),
        }
    }

    /// The bytes of a status or a string.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Reply::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A status or a string as text, whatever bytes it has.
    pub fn to_text(&self) -> Option<String> {
        self.text().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// A number, also one that came as a string.
    pub fn int(&self) -> Option<i64> {
        match self {
            Reply::Int(n) => Some(*n),
            Reply::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The parts of an array; none for anything else.
    pub fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) => items,
            _ => &[],
        }
    }
}

/// The first line of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head<'a> {
    /// A status, without its `+`.
    Status(&'a [u8]),
    /// A refusal, without its `-`.
    Error(&'a [u8]),
    /// A number.
    Int(i64),
    /// So many bytes follow, and a line end; `None` for nil.
    Bulk(Option<u64>),
    /// So many replies follow; `None` for nil.
    Array(Option<u64>),
}

/// What a reply comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Skim {
    /// Something, or a status.
    Fine,
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// A refusal, in the server's words.
    Error(String),
}

/// What comes from a server: replies, or after PSYNC the bytes themselves ([`Read`]).
pub struct Replies {
    incoming: Incoming,
    buf: Vec<u8>,
    start: usize,
    end: usize,
}

impl Replies {
    pub(super) fn new(wire: Arc<Wire>) -> Replies {
        Replies { incoming: Incoming(wire), buf: vec![0; 32 << 10], start: 0, end: 0 }
    }

    /// Bytes that have arrived and are not taken yet.
    pub fn arrived(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// Waits for more bytes.
    fn more(&mut self) -> Result<()> {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buf.len() {
            self.buf.resize(self.buf.len() * 2, 0);
        }
        loop {
            match self.incoming.read(&mut self.buf[self.end..]) {
                Ok(0) => return Err(Error::connection("the server closed the connection")),
                Ok(n) => {
                    self.end += n;
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(lost(&e)),
            }
        }
    }

    /// The first line of the next reply, without its end: start and end in the buffer.
    fn line(&mut self) -> Result<(usize, usize)> {
        let mut seen = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.arrived()[seen..]) {
                let (start, end) = (self.start, self.start + seen + at);
                self.start = end + 1;
                return Ok((start, if self.buf[start..end].ends_with(b"\r") { end - 1 } else { end }));
            }
            seen = self.arrived().len();
            if seen > MAX_LINE {
                return Err(self.not_a_reply());
            }
            self.more()?;
        }
    }

    /// What has arrived is nothing that a server says.
    fn not_a_reply(&self) -> Error {
        let shown = self.arrived();
        let shown = text::quoted_short(&shown[..shown.len().min(40)]);
        Error::connection(format!("what answers is no Redis: {shown}"))
    }

    /// The first line of the next reply. After [`Head::Bulk`] and [`Head::Array`] the rest must be read.
    pub fn head(&mut self) -> Result<Head<'_>> {
        while self.start == self.end {
            self.more()?;
        }
        if !b"+-:$*".contains(&self.buf[self.start]) {
            return Err(self.not_a_reply());
        }
        let (start, end) = self.line()?;
        let line = &self.buf[start + 1..end];
        let number = || {
            let n = std::str::from_utf8(line).ok().and_then(|digits| digits.parse::<i64>().ok());
            n.ok_or_else(|| Error::connection("what answers is no Redis: a length that is no number"))
        };
        Ok(match self.buf[start] {
            b'+' => Head::Status(line),
            b'-' => Head::Error(line),
            b':' => Head::Int(number()?),
            b'$' => Head::Bulk(u64::try_from(number()?).ok()),
            _ => Head::Array(u64::try_from(number()?).ok()),
        })
    }

    /// The next reply, whole.
    pub fn reply(&mut self) -> Result<Reply> {
        let mut budget = Budget { parts: MAX_PARTS, bytes: MAX_BYTES };
        self.nested(MAX_DEPTH, &mut budget)
    }

    fn nested(&mut self, depth: usize, budget: &mut Budget) -> Result<Reply> {
        Ok(match self.head()? {
            Head::Status(line) => Reply::Text(line.to_vec()),
            Head::Error(line) => Reply::Error(String::from_utf8_lossy(line).into_owned()),
            Head::Int(n) => Reply::Int(n),
            Head::Bulk(None) | Head::Array(None) => Reply::Nil,
            Head::Bulk(Some(len)) => {
                budget.take_bytes(len)?;
                let mut text = Vec::new();
                self.bulk(len, &mut text)?;
                Reply::Text(text)
            }
            Head::Array(Some(count)) => {
                let Some(depth) = depth.checked_sub(1) else {
                    return Err(Error::connection("a reply of the server is nested too deep"));
                };
                budget.take_parts(count)?;
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(self.nested(depth, budget)?);
                }
                Reply::Array(items)
            }
        })
    }

    /// The next reply, of which only its kind matters.
    pub fn skim(&mut self) -> Result<Skim> {
        let len = match self.head()? {
            Head::Status(_) => return Ok(Skim::Fine),
            Head::Error(words) => return Ok(Skim::Error(String::from_utf8_lossy(words).into_owned())),
            Head::Int(n) => return Ok(Skim::Int(n)),
            Head::Bulk(None) | Head::Array(None) => return Ok(Skim::Nil),
            Head::Array(Some(count)) => {
                let mut budget = Budget { parts: MAX_PARTS, bytes: MAX_BYTES };
                budget.take_parts(count)?;
                for _ in 0..count {
                    self.nested(MAX_DEPTH - 1, &mut budget)?;
                }
                return Ok(Skim::Fine);
            }
            Head::Bulk(Some(len)) => len,
        };
        self.bulk(len, &mut Vec::new())?;
        Ok(Skim::Fine)
    }

    /// Appends the bytes of a string, whose head was read, and takes its line end.
    pub fn bulk(&mut self, len: u64, out: &mut Vec<u8>) -> Result<()> {
        let mut left = len;
        while left > 0 {
            if self.start == self.end {
                self.more()?;
            }
            let n = self.arrived().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.extend_from_slice(&self.arrived()[..n]);
            self.start += n;
            left -= n as u64;
        }
        while self.arrived().len() < 2 {
            self.more()?;
        }
        if !self.arrived().starts_with(b"\r\n") {
            return Err(Error::connection("what answers is no Redis: a string without its end"));
        }
        self.start += 2;
        Ok(())
    }
}

/// What a reply may still take.
struct Budget {
    parts: u64,
    bytes: u64,
}

impl Budget {
    fn take_parts(&mut self, n: u64) -> Result<()> {
        self.parts = self.parts.checked_sub(n).ok_or_else(too_large)?;
        Ok(())
    }

    fn take_bytes(&mut self, n: u64) -> Result<()> {
        self.bytes = self.bytes.checked_sub(n).ok_or_else(too_large)?;
        Ok(())
    }
}

fn too_large() -> Error {
    Error::connection("a reply of the server is larger than any that is expected")
}

impl Read for Replies {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            return self.incoming.read(buf);
        }
        let n = buf.len().min(self.end - self.start);
        buf[..n].copy_from_slice(&self.buf[self.start..self.start + n]);
        self.start += n;
        Ok(n)
    }
}

/// What to say of a connection that broke.
pub(super) fn lost(e: &io::Error) -> Error {
    use io::ErrorKind::*;
    Error::connection(match e.kind() {
        WouldBlock | TimedOut => "the server does not answer in time; --timeout sets how long to wait".into(),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => "the connection was lost".into(),
        _ => format!("the connection was lost: {}", crate::ErrorKind::Io(io::Error::other(e.to_string()))),
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::live::socket::Socket;

    /// What is read of these bytes, sent by a peer that then hangs up.
    fn replies(bytes: &[u8]) -> Replies {
        let (ours, mut theirs) = UnixStream::pair().expect("sockets can be made");
        let bytes = bytes.to_vec();
        std::thread::spawn(move || drop(theirs.write_all(&bytes)));
        Replies::new(Arc::new(Wire { socket: Socket::Unix(ours), session: None }))
    }

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    #[test]
    fn replies_of_every_kind() {
        let mut all =
            replies(b"+OK\r\n-ERR no\r\n:-7\r\n$2\r\n\r\n\r\n$-1\r\n*-1\r\n*2\r\n$0\r\n\r\n*1\r\n:1\r\n$3\r\nraw");
        assert_eq!(all.reply().unwrap(), text("OK"));
        assert_eq!(all.reply().unwrap(), Reply::Error("ERR no".into()));
        assert_eq!(all.reply().unwrap(), Reply::Int(-7));
        assert_eq!(all.reply().unwrap(), text("\r\n"));
        assert_eq!((all.reply().unwrap(), all.reply().unwrap()), (Reply::Nil, Reply::Nil));
        assert_eq!(all.reply().unwrap(), Reply::Array(vec![text(""), Reply::Array(vec![Reply::Int(1)])]));
        assert_eq!(all.head().unwrap(), Head::Bulk(Some(3)));
        let mut raw = Vec::new();
        all.read_to_end(&mut raw).unwrap();
        assert_eq!(raw, b"raw");
    }

    #[test]
    fn large_strings_arrive_in_pieces() {
        let long = vec![b'x'; 300_000];
        let mut all = replies(&[b"$300000\r\n", long.as_slice(), b"\r\n+OK\r\n"].concat());
        assert_eq!(all.reply().unwrap(), Reply::Text(long));
        assert_eq!(all.reply().unwrap(), text("OK"));
    }

    #[test]
    fn what_is_no_reply_is_told() {
        let deep = b"*1\r\n".repeat(40);
        let long = [b"+".as_slice(), &[b'a'; 100_000]].concat();
        for (bytes, want) in [
            (b"HTTP/1.1 400 Bad Request\r\n".as_slice(), "is no Redis: \"HTTP/1.1 400 Bad Request"),
            (b":x\r\n", "no number"),
            (b"$2\r\nabc\r\n", "without its end"),
            (b"$9223372036854775807\r\n", "larger than any"),
            (b"$4000000000\r\nabc", "closed the connection"),
            (b"*9223372036854775807\r\n", "larger than any"),
            (b"*4000000\r\n+a\r\n", "closed the connection"),
            (&deep, "nested too deep"),
            (&long, "is no Redis"),
            (b"+OK", "closed the connection"),
            (b"", "closed the connection"),
        ] {
            let e = replies(bytes).reply().unwrap_err().to_string();
            assert!(e.contains(want), "{}: {e}", bytes[..bytes.len().min(40)].escape_ascii());
        }
    }
}
