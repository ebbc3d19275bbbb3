//! A snapshot by replication: we are a replica that goes away when it has the file.

use std::io::{self, BufReader, Read};

use crate::error::{Error, Result};
use crate::live::connection::Connection;
use crate::live::info::Info;
use crate::live::reply::{Replies, lost};
use crate::rdb::{Framed, Framing};
use crate::resp::frame;
use crate::text;

/// Asks for the file; comes back when it begins, which takes a server a while. With it comes its size, if it is known.
pub(super) fn begin(mut connection: Connection, info: &Info) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    introduce(&mut connection, info)?;
    let mut bytes = Vec::new();
    frame::command(&[b"PSYNC", b"?", b"-1"], &mut bytes);
    connection.send(&bytes)?;
    let (replies, mut sender) = connection.split();
    let mut input = BufReader::new(FromServer(replies));
    let mut first = header(&mut input)?;
    if let Err(line) = &first
        && is_unknown_command(line)
    {
        // Before 2.8 there was only this.
        io::Write::write_all(&mut sender, b"*1\r\n$4\r\nSYNC\r\n").map_err(|e| lost(&e))?;
        first = header(&mut input)?;
    } else if let Err(line) = &first
        && line.starts_with(b"+FULLRESYNC ")
    {
        first = header(&mut input)?;
    }
    let framing = first.map_err(|line| match line.strip_prefix(b"-") {
        Some(words) => Error::refused(String::from_utf8_lossy(words)),
        None => Error::connection(format!("not what a master says to a replica: {}", text::quoted_short(&line))),
    })?;
    let size = match framing {
        Framing::Length(len) => Some(len),
        Framing::Mark(_) => None,
    };
    Ok((Box::new(Framed::new(input, framing)), size))
}

/// Says what kind of replica we are. A server that does not know these words says so, and that does no harm.
fn introduce(connection: &mut Connection, info: &Info) -> Result<()> {
    // We want the file and nothing after it, and are no replica that anybody should count on: so no port is told
    // either, at which a sentinel would look for us.
    connection.ask(&[b"REPLCONF", b"rdb-only", b"1"])?;
    connection.ask(&[b"REPLCONF", b"capa", b"eof"])?;
    if let Some((_, version)) = info.version() {
        // To a replica that does not tell its version, Valkey 9 gives a file that Valkey 8 could read: with less in it.
        connection.ask(&[b"REPLCONF", b"version", version.as_bytes()])?;
    }
    Ok(())
}

fn header(input: &mut BufReader<FromServer>) -> Result<Result<Framing, Vec<u8>>> {
    match Framing::read(input)? {
        Some(line) => Ok(line),
        None => Err(Error::connection("the server closed the connection when it was asked for replication")),
    }
}

fn is_unknown_command(line: &[u8]) -> bool {
    line.starts_with(b"-ERR unknown command")
}

/// Bytes from a server; errors say what they mean.
struct FromServer(Replies);

impl Read for FromServer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => io::Error::other(lost(&e)),
        })
    }
}
