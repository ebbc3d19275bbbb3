//! Opening inputs: a path or `-`, whatever wraps the file, told apart by its first bytes and not by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lz4_flex::frame::FrameDecoder;

use super::Meter;
use super::expansion::Expansion;
use super::forms::Form;
use super::opened::Opened;
use crate::codec::opcode;
use crate::error::{Error, ErrorKind, Result};
use crate::rdb::{Behind, Framing, ReadAt, Reader};

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
    /// What the file holds; whatever it is, the reader reads a dump.
    pub form: Form,
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
        Ok(Input { reader, name: name.to_owned(), size: None, form: Form::Rdb, wrappers: Vec::new(), meter })
    }

    /// Gives an error this input's name.
    pub fn name_it(&self, e: Error) -> Error {
        e.in_input(&self.name)
    }
}

/// Opens whatever holds a dataset, and reads up to its first key: a dump, a backup or fixtures in JSON, CSV, commands,
/// append-only files and directories of them; standard input for `-`. What is no dump becomes one while it is read, in
/// a thread of its own; its errors arrive as they are, with line and column, or the offset of a command.
///
/// Commands are applied to a dataset in memory before the first key can be given; everything else flows.
pub fn open(path: &Path) -> Result<Input> {
    Opened::open(path)?.into_input(None)
}

/// What to call an input in messages.
pub fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// A file without its wrappers, of which only the first bytes were looked at.
pub(super) struct Plain {
    pub(super) bytes: Box<dyn Read + Send>,
    /// Its first bytes, which are part of `bytes`, too.
    pub(super) start: Vec<u8>,
    size: Option<u64>,
    /// The file itself and its size, where nothing wraps it.
    plain: Option<(File, u64)>,
    wrappers: Vec<&'static str>,
    meter: Arc<Meter>,
}

impl Plain {
    /// Bytes that come from anywhere.
    pub(super) fn of_bytes(bytes: Box<dyn Read + Send>, start: Vec<u8>) -> Plain {
        Plain { bytes, start, size: None, plain: None, wrappers: Vec::new(), meter: Arc::default() }
    }

    /// Its size, where nothing wraps it.
    pub(super) fn plain_size(&self) -> Option<u64> {
        self.plain.as_ref().map(|(_, size)| *size)
    }

    /// The size of the file, whatever wraps it.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    pub(super) fn is_wrapped(&self) -> bool {
        !self.wrappers.is_empty()
    }

    /// Whether it begins as a dump does.
    pub(super) fn is_dump(&self) -> bool {
        self.start.starts_with(b"REDIS") || self.start.starts_with(b"VALKEY")
    }

    /// Its records, up to the first key, of a dump.
    pub(super) fn into_input(self, name: &str, form: Form, behind: Behind) -> Result<Input> {
        let Plain { bytes, plain, size, wrappers, meter, .. } = self;
        let reader = match (plain, behind) {
            (Some((file, size)), _) => {
                Reader::of_file(Arc::new(MeteredFile { file, meter: meter.clone() }), size, behind)?
            }
            (None, Behind::Left) => Reader::before_rest(bytes)?,
            (None, _) => Reader::new(bytes)?,
        };
        Ok(Input { reader, name: name.to_owned(), size, form, wrappers, meter })
    }

    /// Its records, of what is no dump, which `make` turns into one.
    pub(super) fn made_input(
        self,
        name: &str,
        form: Form,
        make: impl FnOnce(Plain) -> Result<Box<dyn Read + Send>>,
    ) -> Result<Input> {
        let (size, wrappers, meter) = (self.size, self.wrappers.clone(), self.meter.clone());
        Ok(Input { reader: Reader::new(make(self)?)?, name: name.to_owned(), size, form, wrappers, meter })
    }

    /// Whether nothing follows the dump that an append-only file begins with. The last bytes tell that, nearly always:
    /// a dump ends with its end mark and eight bytes, commands with a line's end. Only where they have it both ways, or
    /// neither, is the file read for it, and read again by whoever wants to know what is in it.
    pub(super) fn is_dump_alone(&self) -> Result<bool> {
        let Some((file, size)) = &self.plain else { return Ok(false) };
        let mut last = [0; 9];
        if let Some(at) = size.checked_sub(9) {
            FileExt::read_exact_at(file, &mut last, at)?;
        }
        let (is_dumps_end, is_lines_end) = (last[0] == opcode::EOF, last.ends_with(b"\r\n"));
        if is_dumps_end != is_lines_end {
            return Ok(is_dumps_end);
        }
        let file = MeteredFile { file: file.try_clone()?, meter: Arc::default() };
        let end = Reader::of_file(Arc::new(file), *size, Behind::Left)
            .and_then(|mut reader| reader.skip_to_end().map(|()| reader.offset()));
        match end {
            Ok(end) => Ok(end == *size),
            // Whoever reads it in earnest will find that, too.
            Err(e) if !matches!(e.kind(), ErrorKind::Io(_)) => Ok(true),
            Err(e) => Err(e),
        }
    }
}

/// Opens a file, or standard input for `-`, and takes its wrappers off with `unwrap`; `meter` counts what is read.
pub(super) fn unwrap_all(
    path: &Path,
    meter: &Arc<Meter>,
    unwrap: impl Fn(Box<dyn Read + Send>) -> Result<Unwrapped>,
) -> Result<Plain> {
    let mut plain = None;
    let (raw, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(Error::usage("it is a directory; name a file in it"));
        }
        if meta.is_file() {
            plain = Some((file.try_clone()?, meta.len()));
        }
        (Box::new(file), meta.is_file().then_some(meta.len()))
    };
    let mut bytes: Box<dyn Read + Send> = Box::new(Metered { inner: raw, meter: meter.clone() });
    let mut wrappers = Vec::new();
    for _ in 0..=MAX_LAYERS {
        let (wrapper, inner) = unwrap(bytes)?;
        bytes = inner;
        match wrapper {
            None => break,
            Some(wrapper) => wrappers.push(wrapper),
        }
        plain = None;
    }
    if !wrappers.is_empty() {
        bytes = Box::new(Expansion::new(bytes, meter));
    }
    let (start, bytes) = peek(bytes)?;
    Ok(Plain { bytes, start, size, plain, wrappers, meter: meter.clone() })
}

/// Opens a file, or standard input for `-`, that nothing wraps but compression; errors name it.
pub(super) fn open_plain(path: &Path, meter: &Arc<Meter>) -> Result<Plain> {
    unwrap_all(path, meter, unwrap_compressed).map_err(|e| e.in_input(&name_of(path)))
}

/// An input of text: JSON, commands or CSV, told apart by how it begins.
pub struct TextInput {
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
    /// The name for messages.
    pub name: String,
    /// Size of the file before decompression, where it is known.
    pub size: Option<u64>,
    /// Its first bytes.
    pub start: Vec<u8>,
}

/// Opens a file of text, or standard input for `-`; `meter` counts what is read.
pub fn open_text(path: &Path, meter: &Arc<Meter>) -> Result<TextInput> {
    let Plain { bytes, size, start, .. } = open_plain(path, meter)?;
    Ok(TextInput { bytes, name: name_of(path), size, start })
}

/// The first bytes of an input, and all of it.
fn peek(mut bytes: Box<dyn Read + Send>) -> Result<(Vec<u8>, Box<dyn Read + Send>)> {
    const LOOKED_AT: u64 = 4096;
    let mut start = Vec::new();
    (&mut bytes).take(LOOKED_AT).read_to_end(&mut start)?;
    let all = Cursor::new(start.clone()).chain(bytes);
    Ok((start, Box::new(all)))
}

/// A reader whose first bytes were looked at.
type Peeked = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// The name of the wrapper that was taken off, if there was one, and what is left to read.
pub(super) type Unwrapped = (Option<&'static str>, Box<dyn Read + Send>);

/// Takes one wrapper off, if there is one.
pub(super) fn unwrap(mut input: Box<dyn Read + Send>) -> Result<Unwrapped> {
    let mut start = Vec::with_capacity(8);
    (&mut input).take(8).read_to_end(&mut start)?;
    match start.as_slice() {
        [b'$', ..] | [b'\n', b'\n' | b'$', ..] => {
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

/// Steps over what a master sends before the file. What follows the file is left for the reader to tell.
fn bulk_header(input: &mut BufReader<Peeked>) -> Result<()> {
    match Framing::read(input)? {
        Some(Ok(_)) => Ok(()),
        _ => {
            Err(Error::new(ErrorKind::NotRdb("not an RDB file: it begins like a replication stream, but isn't".into())))
        }
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

/// A file, and what counts how far it was read.
struct MeteredFile {
    file: File,
    meter: Arc<Meter>,
}

impl ReadAt for MeteredFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = FileExt::read_at(&self.file, bytes, offset)?;
        self.meter.bytes.fetch_max(offset + n as u64, Ordering::Relaxed);
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
