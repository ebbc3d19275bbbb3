//! The words of a command, one after the other, and what they can mean.

use crate::codec::stream::StreamId;
use crate::codec::string::canonical_integer;
use crate::error::{Error, Result};
use crate::resp::Words;
use crate::text;

/// Steps through a command's words.
#[derive(Clone, Copy)]
pub(super) struct Args<'a> {
    words: &'a Words,
    at: usize,
}

impl<'a> Args<'a> {
    /// From the word at `at` on.
    pub(super) fn new(words: &'a Words, at: usize) -> Args<'a> {
        Args { words, at }
    }

    pub(super) fn left(&self) -> usize {
        self.words.len().saturating_sub(self.at)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.left() == 0
    }

    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        self.words.get(self.at)
    }

    pub(super) fn word(&mut self) -> Result<&'a [u8]> {
        let word = self.peek().ok_or_else(too_few)?;
        self.at += 1;
        Ok(word)
    }

    /// Steps over a word if it is this one, in any case.
    pub(super) fn takes(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()));
        self.at += usize::from(is);
        is
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        integer(self.word()?)
    }

    /// A number of things that is not negative.
    pub(super) fn count(&mut self) -> Result<usize> {
        let word = self.word()?;
        let number = canonical_integer(word).and_then(|n| usize::try_from(n).ok());
        number.ok_or_else(|| Error::unsupported(format!("{} is no count", text::quoted_short(word))))
    }

    pub(super) fn float(&mut self) -> Result<f64> {
        float(self.word()?)
    }

    /// The words that are left, in groups of `N`; they must come out even.
    pub(super) fn groups<const N: usize>(self) -> Result<impl Iterator<Item = [&'a [u8]; N]> + Clone> {
        if self.is_at_end() || !self.left().is_multiple_of(N) {
            return Err(too_few());
        }
        let words = self.words;
        Ok((self.at..words.len()).step_by(N).map(move |at| std::array::from_fn(|i| &words[at + i])))
    }

    /// All words that are left; there must be one.
    pub(super) fn rest(self) -> Result<impl ExactSizeIterator<Item = &'a [u8]> + Clone> {
        match self.is_at_end() {
            true => Err(too_few()),
            false => Ok(self.words.from(self.at)),
        }
    }

    /// A count, and as many words, such as keys.
    pub(super) fn counted(&mut self) -> Result<Vec<&'a [u8]>> {
        let count = self.count()?;
        if count == 0 || count > self.left() {
            return Err(too_few());
        }
        (0..count).map(|_| self.word()).collect()
    }

    pub(super) fn id(&mut self) -> Result<StreamId> {
        stream_id(self.word()?, 0)
    }

    /// That no word is left.
    pub(super) fn end(&self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(unknown_word(word)),
        }
    }

    /// The error for a word that means nothing here.
    pub(super) fn unknown(&self) -> Error {
        match self.peek() {
            None => too_few(),
            Some(word) => unknown_word(word),
        }
    }
}

#[cold]
pub(super) fn too_few() -> Error {
    Error::unsupported("too few words, or too many")
}

#[cold]
fn unknown_word(word: &[u8]) -> Error {
    Error::unsupported(format!("{} means nothing here", text::quoted_short(word)))
}

pub(super) fn integer(word: &[u8]) -> Result<i64> {
    canonical_integer(word)
        .ok_or_else(|| Error::unsupported(format!("{} is no integer from -2^63 to 2^63-1", text::quoted_short(word))))
}

/// A number as `strtod` reads it, but NaN.
pub(super) fn float(word: &[u8]) -> Result<f64> {
    let number = std::str::from_utf8(word).ok().and_then(|word| {
        let digits = word.trim_start_matches(['-', '+']);
        // Rust knows no `0x`, C does; Rust reads "infinity" as C does.
        match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(hex) => {
                u32::from_str_radix(hex, 16).ok().map(f64::from).map(|n| if word.starts_with('-') { -n } else { n })
            }
            None => word.parse::<f64>().ok(),
        }
    });
    let number = number.filter(|number| !number.is_nan());
    number.ok_or_else(|| Error::unsupported(format!("{} is no number", text::quoted_short(word))))
}

/// An id of a stream's entry: `ms-seq`, or `ms` alone, which lacks `seq`.
pub(super) fn stream_id(word: &[u8], seq: u64) -> Result<StreamId> {
    let id = match word {
        b"-" => Some(StreamId::default()),
        b"+" => Some(StreamId { ms: u64::MAX, seq: u64::MAX }),
        _ => StreamId::parse(word).or_else(|| {
            let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
            let ms = is_number.then(|| std::str::from_utf8(word).ok()?.parse().ok()).flatten()?;
            Some(StreamId { ms, seq })
        }),
    };
    id.ok_or_else(|| Error::unsupported(format!("{} is no id of a stream's entry", text::quoted_short(word))))
}

/// A time as commands give it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Ms,
    AtSeconds,
    AtMs,
}

impl Unit {
    /// The unit that an option such as `PXAT` stands for, which is stepped over.
    pub(super) fn option(args: &mut Args<'_>) -> Option<Unit> {
        [("PXAT", Unit::AtMs), ("PX", Unit::Ms), ("EXAT", Unit::AtSeconds), ("EX", Unit::Seconds)]
            .into_iter()
            .find_map(|(name, unit)| args.takes(name).then_some(unit))
    }

    /// Unix time in ms.
    pub(super) fn resolve(self, n: i64, now: i64) -> Result<i64> {
        let at = match self {
            Unit::Seconds => n.checked_mul(1000).and_then(|ms| ms.checked_add(now)),
            Unit::Ms => n.checked_add(now),
            Unit::AtSeconds => n.checked_mul(1000),
            Unit::AtMs => Some(n),
        };
        at.ok_or_else(|| Error::unsupported("the time is too far away"))
    }

    /// As [`Unit::resolve`], of a time that must be positive, as SET and the like want it.
    pub(super) fn resolve_positive(self, n: i64, now: i64) -> Result<i64> {
        if n <= 0 {
            return Err(Error::unsupported("an expiry must be positive"));
        }
        self.resolve(n, now)
    }
}
