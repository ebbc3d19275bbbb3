//! How a master sends an RDB file to a replica: a line with its length, or with a mark that stands again at its end.

use std::io::{self, BufRead, Read};

use memchr::memmem;

use crate::error::{Error, Result};

/// Bytes of a mark.
const MARK: usize = 40;
/// A header is not longer than this; an error's text may be.
const LONGEST: usize = 1 << 10;

/// How it is known where the file ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// `$<length>`: after so many bytes.
    Length(u64),
    /// `$EOF:<mark>`: at this mark, which does not belong to it.
    Mark([u8; MARK]),
}

impl Framing {
    /// Reads the line of a header, after any newlines that kept the connection alive; gives the line where it is
    /// something else. `None`: the input ended.
    pub fn read(input: &mut impl BufRead) -> io::Result<Option<Result<Framing, Vec<u8>>>> {
        let mut line = Vec::new();
        for byte in input.bytes() {
            match byte? {
                b'\n' if line.is_empty() => {}
                b'\n' => {
                    let line = line.strip_suffix(b"\r").unwrap_or(&line);
                    return Ok(Some(Framing::parse(line).ok_or_else(|| line.to_vec())));
                }
                byte if line.len() < LONGEST => line.push(byte),
                _ => return Ok(Some(Err(line))),
            }
        }
        Ok(None)
    }

    fn parse(line: &[u8]) -> Option<Framing> {
        match line {
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => mark.try_into().ok().map(Framing::Mark),
            [b'$', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
                std::str::from_utf8(digits).ok()?.parse().ok().map(Framing::Length)
            }
            _ => None,
        }
    }

    /// The line of the header.
    pub fn header(&self) -> Vec<u8> {
        match self {
            Framing::Length(len) => format!("${len}\r\n").into_bytes(),
            Framing::Mark(mark) => [b"$EOF:", mark.as_slice(), b"\r\n"].concat(),
        }
    }
}

/// The file without its frame; whatever follows the frame is not read.
pub struct Framed<R> {
    input: R,
    end: Ending,
}

enum Ending {
    /// So many bytes are left.
    Length(u64),
    Mark(Box<Window>),
}

/// What was read in search of a mark.
struct Window {
    finder: memmem::Finder<'static>,
    bytes: Vec<u8>,
    /// Bytes from here on were not given yet.
    start: usize,
    /// Bytes up to here were read.
    end: usize,
    /// Bytes up to here are surely in front of the mark.
    sure: usize,
    is_found: bool,
}

impl<R: Read> Framed<R> {
    /// What follows the header.
    pub fn new(input: R, framing: Framing) -> Framed<R> {
        const WINDOW: usize = 256 << 10;
        let end = match framing {
            Framing::Length(len) => Ending::Length(len),
            Framing::Mark(mark) => Ending::Mark(Box::new(Window {
                finder: memmem::Finder::new(&mark).into_owned(),
                bytes: vec![0; WINDOW],
                start: 0,
                end: 0,
                sure: 0,
                is_found: false,
            })),
        };
        Framed { input, end }
    }
}

impl<R: Read> Read for Framed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.end {
            Ending::Length(0) => Ok(0),
            Ending::Length(left) => {
                let most = buf.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                let n = self.input.read(&mut buf[..most])?;
                if n == 0 && most > 0 {
                    let missing = crate::text::count(*left, "byte");
                    return Err(cut(&format!("{missing} before the end of the dump")));
                }
                *left -= n as u64;
                Ok(n)
            }
            Ending::Mark(window) => window.read(&mut self.input, buf),
        }
    }
}

impl Window {
    fn read(&mut self, input: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
        while self.start == self.sure {
            if self.is_found || buf.is_empty() {
                return Ok(0);
            }
            self.search(input)?;
        }
        let n = buf.len().min(self.sure - self.start);
        buf[..n].copy_from_slice(&self.bytes[self.start..self.start + n]);
        self.start += n;
        Ok(n)
    }

    /// Reads more, and looks for the mark in it and in what could be its beginning.
    fn search(&mut self, input: &mut impl Read) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let n = input.read(&mut self.bytes[self.end..])?;
        if n == 0 {
            return Err(cut("before the mark that ends the dump"));
        }
        self.end += n;
        let found = self.finder.find(&self.bytes[..self.end]);
        self.is_found = found.is_some();
        self.sure = found.unwrap_or((self.end + 1).saturating_sub(MARK));
        Ok(())
    }
}

fn cut(where_: &str) -> io::Error {
    io::Error::other(Error::connection(format!("the server closed the connection {where_}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: &[u8; 40] = b"0123456789abcdef0123456789abcdef01234567";

    /// Gives so many bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(buf.len()).min(self.0.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn headers_after_newlines() {
        let t = |mut bytes: &[u8]| Framing::read(&mut bytes).unwrap();
        assert_eq!(t(b"\n\n\r\n$12\r\nx"), Some(Err(b"".to_vec())));
        assert_eq!(t(b"\n\n$12\r\nx"), Some(Ok(Framing::Length(12))));
        assert_eq!(t(&[b"$EOF:", M.as_slice(), b"\r\n"].concat()), Some(Ok(Framing::Mark(*M))));
        assert_eq!(t(b"$EOF:short\r\n"), Some(Err(b"$EOF:short".to_vec())));
        assert_eq!(t(b"$\n"), Some(Err(b"$".to_vec())));
        assert_eq!(t(b"$99999999999999999999\n"), Some(Err(b"$99999999999999999999".to_vec())));
        assert_eq!(t(b"-ERR no\r\n"), Some(Err(b"-ERR no".to_vec())));
        assert_eq!((t(b""), t(b"\n\n$1")), (None, None));
        assert!(matches!(t(&[b'x'; 5000]), Some(Err(line)) if line.len() == LONGEST));
        for framing in [Framing::Length(7), Framing::Mark(*M)] {
            assert_eq!(t(&framing.header()), Some(Ok(framing)));
        }
    }

    #[test]
    fn the_mark_is_found_wherever_reads_end() {
        // All but one byte of the mark, again and again.
        let body: Vec<u8> = M[..39].iter().copied().cycle().take(1000).collect();
        let framed = [body.as_slice(), M, b"+PING"].concat();
        for drop in [1, 7, 39, 40, 41, 999, 1000, 1020, 5000] {
            let mut read = Vec::new();
            Framed::new(Drops(&framed, drop), Framing::Mark(*M)).read_to_end(&mut read).unwrap();
            assert!(read == body, "{drop}");
        }
        let e = Framed::new(Drops(&framed[..1020], 100), Framing::Mark(*M)).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(e.to_string(), "the server closed the connection before the mark that ends the dump");
    }

    #[test]
    fn a_length_ends_it() {
        let mut read = Vec::new();
        Framed::new(b"abcdef".as_slice(), Framing::Length(4)).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abcd");
        let e = Framed::new(b"ab".as_slice(), Framing::Length(4)).read_to_end(&mut read).unwrap_err();
        assert_eq!(e.to_string(), "the server closed the connection 2 bytes before the end of the dump");
    }
}
