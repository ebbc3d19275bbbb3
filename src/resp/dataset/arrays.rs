//! Commands on arrays (Redis 8.8 and later).

use super::args::{self, Args};
use super::held::Array;
use super::{Known, behind_key, known};
use crate::error::{Error, Result};

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"ARSET" => known(4, |data, words| {
            let first = index(&words[2])?;
            let array = data.made::<Array>(&words[1])?;
            words.from(3).enumerate().try_for_each(|(i, item)| array.set(first, i as u64, item))
        }),
        b"ARMSET" => known(4, |data, words| {
            let pairs = behind_key(words).groups::<2>()?.map(|[at, item]| Ok((index(at)?, item)));
            let pairs = pairs.collect::<Result<Vec<_>>>()?;
            let array = data.made::<Array>(&words[1])?;
            pairs.into_iter().try_for_each(|(at, item)| array.set(at, 0, item))
        }),
        b"ARINSERT" => known(3, |data, words| {
            let array = data.made::<Array>(&words[1])?;
            words.from(2).try_for_each(|item| array.insert(item))
        }),
        b"ARRING" => known(4, |data, words| {
            let size = Args::new(words, 2).count()? as u64;
            if size == 0 {
                return Err(Error::unsupported("a ring has a size"));
            }
            let array = data.made::<Array>(&words[1])?;
            array.resize_ring(size);
            words.from(3).try_for_each(|item| array.push_to_ring(size, item))
        }),
        b"ARSEEK" => known(3, |data, words| {
            let at = index(&words[2])?;
            if let Some(array) = data.existing::<Array>(&words[1])? {
                array.insert_index = at.checked_sub(1);
            }
            Ok(())
        }),
        b"ARDEL" => known(3, |data, words| {
            let indexes = words.from(2).map(index).collect::<Result<Vec<_>>>()?;
            data.change(&words[1], |array: &mut Array| indexes.iter().for_each(|at| drop(array.slots.remove(at))))?;
            Ok(())
        }),
        b"ARDELRANGE" => known(4, |data, words| {
            let ranges = behind_key(words).groups::<2>()?.map(|[from, to]| Ok((index(from)?, index(to)?)));
            let ranges = ranges.collect::<Result<Vec<_>>>()?;
            data.change(&words[1], |array: &mut Array| {
                for (from, to) in ranges {
                    array.slots.retain(|at, _| *at < from.min(to) || *at > from.max(to));
                }
            })?;
            Ok(())
        }),
        _ => None,
    }
}

/// An index: 0 to 2^64 - 2.
fn index(word: &[u8]) -> Result<u64> {
    let digits = std::str::from_utf8(word).ok().filter(|word| word.bytes().all(|b| b.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok()).filter(|n| *n != u64::MAX);
    number.ok_or_else(|| args::integer(word).err().unwrap_or_else(|| Error::unsupported("an index is not negative")))
}

impl Array {
    fn set(&mut self, first: u64, by: u64, item: &[u8]) -> Result<()> {
        let at = first.checked_add(by).filter(|at| *at != u64::MAX);
        self.slots.insert(at.ok_or_else(beyond)?, item.into());
        Ok(())
    }

    fn insert(&mut self, item: &[u8]) -> Result<()> {
        let at = match self.insert_index {
            Some(last) => last.checked_add(1).ok_or_else(beyond)?,
            None => 0,
        };
        self.set(at, 0, item)?;
        self.insert_index = Some(at);
        Ok(())
    }
}

impl Array {
    /// Where the next item goes.
    fn next(&self) -> u64 {
        self.insert_index.map_or(0, |last| last.wrapping_add(1))
    }

    /// Makes a ring of another size: what was put in last stays, back to the first gap, and stands in front in its order.
    fn resize_ring(&mut self, size: u64) {
        let len = self.slots.keys().next_back().map_or(0, |last| last + 1);
        let grows = len < size && self.insert_index.is_some() && self.next() < len;
        if len <= size && !grows {
            return;
        }
        let mut at = if self.insert_index.is_some() { self.next() } else { len };
        let mut kept = Vec::new();
        while (kept.len() as u64) < size.min(len) {
            at = at.checked_sub(1).unwrap_or(len - 1) % len;
            match self.slots.remove(&at) {
                Some(item) => kept.push(item),
                None => break,
            }
        }
        self.slots = (0..).zip(kept.into_iter().rev()).collect();
        self.insert_index = (self.slots.len() as u64).checked_sub(1);
    }

    fn push_to_ring(&mut self, size: u64, item: &[u8]) -> Result<()> {
        let at = self.next() % size;
        self.insert_index = Some(at);
        self.set(at, 0, item)
    }
}

fn beyond() -> Error {
    Error::unsupported("an index beyond 2^64 - 2")
}
