//! Opening inputs: a path or `-`, whatever wraps the file, told apart by its first bytes and not by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lz4_flex::frame::FrameDecoder;

use super::Meter;
use crate::error::{Error, Result};
use crate::rdb::Reader;

/// How deep wrappers may be nested: a gzip file of a replication capture has two.
const MAX_LAYERS: usize = 3;

/// An opened input.
pub struct Input {
    /// The records.
    pub reader: Reader,
    /// The name for messages.
    pub name: String,
    /// Size of the file before decompression, where it is known.
    pub size: Option<u64>,
    /// What was taken off: `gzip`, `zstd`, `lz4`, `VCS`, `replication stream`.
    pub wrappers: Vec<&'static str>,
    /// Counts what is read.
    pub meter: Arc<Meter>,
}

impl Input {
    /// An input of RDB bytes that come from anywhere, such as a socket or another thread; `meter` counts them. Reads up
    /// to the first key.
    ///
    /// An [`io::Error`] made of one of our own errors ([`io::Error::other`]) arrives as that error, with its place.
    pub fn from_read(name: &str, bytes: Box<dyn Read + Send>, meter: Arc<Meter>) -> Result<Input> {
        let metered = Box::new(Metered { inner: bytes, meter: meter.clone() });
        let reader = Reader::new(metered).map_err(|e| e.in_input(name))?;
        Ok(Input { reader, name: name.to_owned(), size: None, wrappers: Vec::new(), meter })
    }

    /// Gives an error this input's name.
    pub fn name_it(&self, e: Error) -> Error {
        e.in_input(&self.name)
    }
}

/// Opens a file, or standard input for `-`, and reads up to its first key.
pub fn open(path: &Path) -> Result<Input> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    open_named(path, &name).map_err(|e| e.in_input(&name))
}

fn open_named(path: &Path, name: &str) -> Result<Input> {
    let Plain { bytes, size, plain_size, wrappers, meter } = unwrap_all(path, unwrap)?;
    let reader = Reader::with_size(bytes, plain_size)?;
    Ok(Input { reader, name: name.to_owned(), size, wrappers, meter })
}

/// A file without its wrappers.
struct Plain {
    bytes: Box<dyn Read + Send>,
    size: Option<u64>,
    /// Its size where nothing wraps it.
    plain_size: Option<u64>,
    wrappers: Vec<&'static str>,
    meter: Arc<Meter>,
}

/// Opens a file, or standard input for `-`, and takes its wrappers off with `unwrap`.
fn unwrap_all(path: &Path, unwrap: impl Fn(Box<dyn Read + Send>) -> Result<Unwrapped>) -> Result<Plain> {
    let (raw, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(Error::usage("it is a directory; name the dump file in it, such as dump.rdb"));
        }
        (Box::new(file), meta.is_file().then_some(meta.len()))
    };
    let meter = Arc::new(Meter::default());
    let mut bytes: Box<dyn Read + Send> = Box::new(Metered { inner: raw, meter: meter.clone() });
    let mut wrappers = Vec::new();
    let mut plain_size = size;
    for _ in 0..=MAX_LAYERS {
        let (wrapper, inner) = unwrap(bytes)?;
        bytes = inner;
        match wrapper {
            None => break,
            Some(wrapper) => wrappers.push(wrapper),
        }
        plain_size = None;
    }
    Ok(Plain { bytes, size, plain_size, wrappers, meter })
}

/// An input of text: JSON, commands or CSV, told apart by how it begins.
pub struct TextInput {
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
    /// The name for messages.
    pub name: String,
    /// Size of the file before decompression, where it is known.
    pub size: Option<u64>,
    /// Counts what is read.
    pub meter: Arc<Meter>,
    /// Its first bytes.
    pub start: Vec<u8>,
}

/// Opens a file of text, or standard input for `-`.
pub fn open_text(path: &Path) -> Result<TextInput> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let opened = unwrap_all(path, unwrap_compressed).and_then(|Plain { mut bytes, size, meter, .. }| {
        let mut start = Vec::new();
        (&mut bytes).take(4096).read_to_end(&mut start)?;
        let bytes = Box::new(Cursor::new(start.clone()).chain(bytes));
        Ok(TextInput { bytes, name: name.clone(), size, meter, start })
    });
    opened.map_err(|e| e.in_input(&name))
}

/// A reader whose first bytes were looked at.
type Peeked = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// The name of the wrapper that was taken off, if there was one, and what is left to read.
type Unwrapped = (Option<&'static str>, Box<dyn Read + Send>);

/// Takes one wrapper off, if there is one.
fn unwrap(mut input: Box<dyn Read + Send>) -> Result<Unwrapped> {
    let mut start = Vec::with_capacity(8);
    (&mut input).take(8).read_to_end(&mut start)?;
    match start.as_slice() {
        [b'$' | b'\n', ..] => {
            let mut input = BufReader::new(Cursor::new(start).chain(input));
            bulk_header(&mut input)?;
            Ok((Some("replication stream"), Box::new(input)))
        }
        _ => unwrap_compressed(Box::new(Cursor::new(start).chain(input))),
    }
}

/// Takes one layer of compression off, if there is one.
fn unwrap_compressed(mut input: Box<dyn Read + Send>) -> Result<Unwrapped> {
    let mut start = Vec::with_capacity(8);
    (&mut input).take(8).read_to_end(&mut start)?;
    let again = |start: Vec<u8>, input| -> Peeked { Cursor::new(start).chain(input) };
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => {
            (Some("gzip"), Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(again(start, input)))))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => (Some("zstd"), Box::new(zstd::Decoder::new(again(start, input))?)),
        [0x04, 0x22, 0x4d, 0x18, ..] => {
            (Some("lz4"), Box::new(Lz4Frames(FrameDecoder::new(BufReader::new(again(start, input))))))
        }
        [b'V', b'C', b'S', envelope @ ..] => {
            check_envelope(envelope)?;
            let frame = again(start[7..].to_vec(), input);
            (Some("VCS"), Box::new(FrameDecoder::new(BufReader::new(frame))))
        }
        _ => (None, Box::new(again(start, input))),
    })
}

/// Checks the rest of a Valkey Compressed Stream's envelope: version 1, codec LZ4, reserved, kind RDB.
fn check_envelope(envelope: &[u8]) -> Result<()> {
    match envelope {
        [1, 1, 0, 1, ..] => Ok(()),
        [version, codec, reserved, kind, ..] => Err(Error::unsupported(format!(
            "Valkey compressed stream with version {version}, codec {codec}, reserved byte {reserved}, kind {kind}; \
             known is only 1, 1 (LZ4), 0, 1 (RDB)"
        ))),
        _ => Err(Error::truncated()),
    }
}

/// Steps over what a master sends before the file: keep-alive newlines, then `$<length>` or `$EOF:<mark>`.
fn bulk_header(input: &mut BufReader<Peeked>) -> Result<()> {
    const LONGEST: usize = 64;
    let mut line = Vec::new();
    for byte in input.bytes() {
        match byte? {
            b'\n' if line.is_empty() => {}
            b'\n' if is_bulk_header(line.strip_suffix(b"\r").unwrap_or(&line)) => return Ok(()),
            b'\n' => break,
            byte if line.len() < LONGEST => line.push(byte),
            _ => break,
        }
    }
    Err(Error::new(crate::ErrorKind::NotRdb("not an RDB file: it begins like a replication stream, but isn't".into())))
}

fn is_bulk_header(line: &[u8]) -> bool {
    match line {
        [b'$', b'E', b'O', b'F', b':', mark @ ..] => mark.len() == 40,
        [b'$', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// One LZ4 frame after the other, as `lz4 -d` reads them; the decoder itself ends with each.
struct Lz4Frames(FrameDecoder<BufReader<Peeked>>);

impl Read for Lz4Frames {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.0.read(buf)?;
            if n > 0 || buf.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(n);
            }
        }
    }
}

/// Counts what goes by.
struct Metered {
    inner: Box<dyn Read + Send>,
    meter: Arc<Meter>,
}

impl Read for Metered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.meter.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_source_arrives_as_it_is_behind_the_records_before_it() {
        struct Failing(Cursor<Vec<u8>>);
        impl Read for Failing {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buf)? {
                    0 => Err(io::Error::other(Error::malformed("text: bad").at_line(3, 4).in_input("a.json"))),
                    n => Ok(n),
                }
            }
        }
        let bytes = Cursor::new(b"REDIS0009\xfe\x00\x00\x01k\x01v".to_vec());
        let meter = Arc::new(Meter::default());
        let mut input = Input::from_read("outer", Box::new(Failing(bytes)), meter.clone()).unwrap();
        let mut keys = 0;
        let e = input.reader.each(|record, _| {
            keys += usize::from(matches!(record, crate::model::Record::Entry(_)));
            Ok(())
        });
        let e = input.name_it(e.unwrap_err());
        assert_eq!((keys, e.to_string().as_str()), (1, "a.json: line 3, column 4, malformed text: bad"));
        assert_eq!(meter.bytes.load(Ordering::Relaxed), 16);
    }
}
