//! What a replica says to its master: commands as arrays of strings, or, of older servers, as lines.

use std::io::{BufRead, Read};

use crate::error::{Error, Result};

/// No word of a replica is longer than this, nor does a command have more words.
const MAX_WORD: u64 = 16 << 10;
const MAX_WORDS: u64 = 64;

/// The next command; an empty line is one without words. `None` when the replica has hung up.
pub(super) fn read(input: &mut impl BufRead) -> Result<Option<Vec<Vec<u8>>>> {
    let Some(line) = line(input)? else { return Ok(None) };
    let Some(count) = line.strip_prefix(b"*") else {
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        return Ok(Some(words.map(<[u8]>::to_vec).collect()));
    };
    let mut words = Vec::new();
    for _ in 0..number(count, MAX_WORDS)? {
        let head = self::line(input)?.ok_or_else(Error::truncated)?;
        let len = number(head.strip_prefix(b"$").ok_or_else(odd)?, MAX_WORD)?;
        let mut word = Vec::new();
        input.take(len + 2).read_to_end(&mut word)?;
        if word.pop() != Some(b'\n') || word.pop() != Some(b'\r') {
            return Err(odd());
        }
        words.push(word);
    }
    Ok(Some(words))
}

fn line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(MAX_WORD).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line.strip_suffix(b"\r").unwrap_or(&line).to_vec())),
        Some(_) => Err(odd()),
    }
}

fn number(digits: &[u8], most: u64) -> Result<u64> {
    let n = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    n.filter(|n| *n <= most).ok_or_else(odd)
}

fn odd() -> Error {
    Error::connection("what came is no replica")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_lines() {
        let mut input = b"*2\r\n$8\r\nREPLCONF\r\n$2\r\n\r\n\r\nPSYNC ? -1\r\n\nPING\n".as_slice();
        let mut next = || read(&mut input).unwrap().map(|words| words.join(b"|".as_slice()));
        assert_eq!(next(), Some(b"REPLCONF|\r\n".to_vec()));
        assert_eq!(next(), Some(b"PSYNC|?|-1".to_vec()));
        assert_eq!((next(), next(), next()), (Some(b"".to_vec()), Some(b"PING".to_vec()), None));
    }

    #[test]
    fn what_no_replica_says() {
        for bytes in [
            b"*99999\r\n".as_slice(),
            b"*x\r\n",
            b"*1\r\n$99999999\r\n",
            b"*1\r\nPING\r\n",
            b"*1\r\n$4\r\nPINGx\r\n",
            b"*2\r\n$4\r\nPING\r\n",
            b"GET",
            &[b'a'; 20_000],
            b"\x16\x03\x01",
        ] {
            assert!(read(&mut &*bytes).is_err(), "{}", bytes[..bytes.len().min(20)].escape_ascii());
        }
    }
}
