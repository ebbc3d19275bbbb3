//! Frames of commands: an array of bulk strings, as clients send it.
//!
//! ```text
//! *3\r\n  $3\r\nSET\r\n  $1\r\nk\r\n  $1\r\nv\r\n
//! ```

use crate::error::Result;

/// Appends the head of a command of `words` words.
pub fn array(words: usize, out: &mut Vec<u8>) {
    head(b'*', words, out);
}

/// Appends a word.
#[inline]
pub fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    head(b'$', bytes.len(), out);
    append(bytes, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends bytes, of which there are mostly few: two copies of a fixed length that overlap are cheaper than one of any.
#[inline]
fn append(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        16..=32 => append_twice::<16>(bytes, out),
        8..16 => append_twice::<8>(bytes, out),
        4..8 => append_twice::<4>(bytes, out),
        _ => out.extend_from_slice(bytes),
    }
}

#[inline(always)]
fn append_twice<const N: usize>(bytes: &[u8], out: &mut Vec<u8>) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        out.extend_from_slice(first);
        out.truncate(out.len() + bytes.len() - 2 * N);
        out.extend_from_slice(last);
    }
}

/// Appends an integer as a word.
pub fn bulk_int(n: impl itoa::Integer, out: &mut Vec<u8>) {
    bulk(itoa::Buffer::new().format(n).as_bytes(), out);
}

/// Appends what `write` appends as a word. On an error, part of it may be left.
pub fn bulk_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    write(out)?;
    head_in_front(b'$', out.len() - start, start, out);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends a command whose words are all at hand.
pub fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    array(words.len(), out);
    for word in words {
        bulk(word, out);
    }
}

/// A command that grows word by word at the end of a buffer; its head is put in front when it ends.
#[derive(Debug)]
pub struct Growing {
    start: usize,
    words: usize,
}

impl Growing {
    /// Begins with these words.
    pub fn begin(words: &[&[u8]], out: &mut Vec<u8>) -> Growing {
        let mut growing = Growing { start: out.len(), words: 0 };
        for word in words {
            growing.bulk(word, out);
        }
        growing
    }

    /// Appends a word.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        bulk(bytes, out);
        self.words += 1;
    }

    /// How many words there are.
    pub fn words(&self) -> usize {
        self.words
    }

    /// How many bytes they take.
    pub fn size(&self, out: &[u8]) -> usize {
        out.len() - self.start
    }

    /// Puts the head in front.
    pub fn end(self, out: &mut Vec<u8>) {
        head_in_front(b'*', self.words, self.start, out);
    }
}

/// Appends `mark`, a number and a line end.
#[inline(always)]
fn head(mark: u8, n: usize, out: &mut Vec<u8>) {
    match n {
        0..10 => out.extend_from_slice(&[mark, b'0' + n as u8, b'\r', b'\n']),
        10..100 => out.extend_from_slice(&[mark, b'0' + (n / 10) as u8, b'0' + (n % 10) as u8, b'\r', b'\n']),
        _ => {
            out.push(mark);
            out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Writes a head before what begins at `start`. The bytes move by a few; that is one copy, as a buffer of their own
/// would be.
fn head_in_front(mark: u8, n: usize, start: usize, out: &mut Vec<u8>) {
    let end = out.len();
    head(mark, n, out);
    let by = out.len() - end;
    out[start..].rotate_right(by);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_at_hand_and_one_that_grows_are_the_same_bytes() {
        let t = |words: &[&[u8]], want: &[u8]| {
            let mut at_once = b"x".to_vec();
            command(words, &mut at_once);
            assert_eq!(at_once[1..].escape_ascii().to_string(), want.escape_ascii().to_string());
            let mut grown = b"x".to_vec();
            let mut growing = Growing::begin(&words[..1], &mut grown);
            for word in &words[1..] {
                growing.bulk(word, &mut grown);
            }
            assert_eq!((growing.words(), growing.size(&grown)), (words.len(), want.len() - 4));
            growing.end(&mut grown);
            assert_eq!(grown, at_once);
        };
        t(&[b"PING"], b"*1\r\n$4\r\nPING\r\n");
        t(&[b"SET", b"", b"\r\n\0"], b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n\r\n\0\r\n");
        t(&[b"ECHO", &[b'a'; 10]], b"*2\r\n$4\r\nECHO\r\n$10\r\naaaaaaaaaa\r\n");
    }

    #[test]
    fn heads_of_every_width() {
        for n in [0, 9, 10, 99, 100, 1_048_576] {
            let mut out = Vec::new();
            bulk(&vec![b'a'; n], &mut out);
            assert!(out.starts_with(format!("${n}\r\na").as_bytes()) || n == 0, "{n}");
            let mut written = Vec::new();
            bulk_with(&mut written, |out| {
                out.resize(n, b'a');
                Ok(())
            })
            .unwrap();
            assert_eq!(written, out);
        }
        let mut out = Vec::new();
        bulk_int(i64::MIN, &mut out);
        bulk_int(7_u8, &mut out);
        assert_eq!(out, b"$20\r\n-9223372036854775808\r\n$1\r\n7\r\n");
    }
}
