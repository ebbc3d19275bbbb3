//! Commands on HyperLogLogs: strings of a form of their own, sparse or dense, kept byte for byte as servers keep them.
//!
//! ```text
//! "HYLL"  encoding:u8 (0 dense, 1 sparse)  3 zero bytes  cardinality:u64le (highest bit: no longer true)
//! dense   16384 registers of 6 bits
//! sparse  00xxxxxx  x+1 registers of 0      01xxxxxx yyyyyyyy  xy+1 registers of 0      1vvvvvxx  x+1 registers of v+1
//! ```

use super::{Dataset, Known, known};
use crate::error::{Error, Result};
use crate::resp::Words;

const REGISTERS: usize = 1 << 14;
const HEADER: usize = 16;
const DENSE: usize = HEADER + REGISTERS * 6 / 8;
/// `hll-sparse-max-bytes`: a longer one becomes dense.
const LONGEST_SPARSE: usize = 3000;
/// The highest value that a sparse one can hold.
const MAX_SPARSE: u8 = 32;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"PFADD" => known(2, Dataset::add_to_counter),
        b"PFMERGE" => known(2, Dataset::merge_counters),
        b"PFCOUNT" => known(2, |data, words| {
            // Of a single one, what is counted is kept in it.
            if let (2, Some(text)) = (words.len(), data.existing::<Vec<u8>>(&words[1])?) {
                check(text)?;
                if text[15] & 0x80 != 0 {
                    let count = count(&registers(text)?);
                    text[8..16].copy_from_slice(&count.to_le_bytes());
                }
            }
            Ok(())
        }),
        _ => None,
    }
}

impl Dataset {
    fn add_to_counter(&mut self, words: &Words) -> Result<()> {
        let is_new = !self.exists(&words[1]);
        let text = self.made::<Vec<u8>>(&words[1])?;
        if is_new {
            *text = empty();
        }
        check(text)?;
        let mut changed = is_new;
        for item in words.from(2) {
            let hash = murmur(item);
            let index = hash as usize & (REGISTERS - 1);
            let run = (hash >> 14 | 1 << 50).trailing_zeros() as u8 + 1;
            changed |= set(text, index, run)?;
        }
        if changed {
            text[15] |= 0x80;
        }
        Ok(())
    }

    fn merge_counters(&mut self, words: &Words) -> Result<()> {
        let mut max = vec![0; REGISTERS];
        let mut is_dense = false;
        for key in words.from(1) {
            let Some(text) = self.existing::<Vec<u8>>(key)? else { continue };
            check(text)?;
            is_dense |= text[4] == 0;
            let registers = registers(text)?;
            max.iter_mut().zip(registers).for_each(|(max, n)| *max = n.max(*max));
        }
        let is_new = !self.exists(&words[1]);
        let text = self.made::<Vec<u8>>(&words[1])?;
        if is_new {
            *text = empty();
        }
        if is_dense {
            densify(text)?;
        }
        for (index, run) in max.into_iter().enumerate().filter(|(_, run)| *run > 0) {
            set(text, index, run)?;
        }
        text[15] |= 0x80;
        Ok(())
    }
}

/// One that has counted nothing.
fn empty() -> Vec<u8> {
    let mut text = b"HYLL\x01".to_vec();
    text.resize(HEADER, 0);
    text.extend_from_slice(&[0x7f, 0xff]);
    text
}

fn check(text: &[u8]) -> Result<()> {
    let is_one = text.starts_with(b"HYLL") && text.len() >= HEADER;
    match text.get(4) {
        Some(0) if is_one && text.len() == DENSE => Ok(()),
        Some(1) if is_one => Ok(()),
        _ => Err(Error::unsupported("the string is no HyperLogLog")),
    }
}

/// A run of registers in a sparse one: how many, of which value, in how many bytes.
fn run_at(sparse: &[u8], at: usize) -> Result<(usize, u8, usize)> {
    match sparse[at] {
        op @ 0..0x40 => Ok((usize::from(op) + 1, 0, 1)),
        op @ 0x40..0x80 => {
            let low = sparse.get(at + 1).ok_or_else(damaged)?;
            Ok(((usize::from(op & 0x3f) << 8 | usize::from(*low)) + 1, 0, 2))
        }
        op => Ok((usize::from(op & 3) + 1, (op >> 2 & 0x1f) + 1, 1)),
    }
}

fn damaged() -> Error {
    Error::unsupported("the HyperLogLog is damaged")
}

fn registers(text: &[u8]) -> Result<Vec<u8>> {
    let body = &text[HEADER..];
    let mut all = Vec::with_capacity(REGISTERS);
    if text[4] == 0 {
        all.extend((0..REGISTERS).map(|i| dense_register(body, i)));
        return Ok(all);
    }
    let mut at = 0;
    while at < body.len() {
        let (run, value, bytes) = run_at(body, at)?;
        if all.len() + run > REGISTERS {
            return Err(damaged());
        }
        all.resize(all.len() + run, value);
        at += bytes;
    }
    if all.len() == REGISTERS { Ok(all) } else { Err(damaged()) }
}

fn dense_register(body: &[u8], i: usize) -> u8 {
    let (byte, bit) = (i * 6 / 8, i * 6 % 8);
    let two = u16::from(body[byte]) | u16::from(body.get(byte + 1).copied().unwrap_or(0)) << 8;
    (two >> bit) as u8 & 63
}

fn set_dense(body: &mut [u8], i: usize, value: u8) {
    for bit in 0..6 {
        let at = i * 6 + bit;
        let mask = 1 << (at % 8);
        if value >> bit & 1 == 1 { body[at / 8] |= mask } else { body[at / 8] &= !mask }
    }
}

fn densify(text: &mut Vec<u8>) -> Result<()> {
    if text[4] == 0 {
        return Ok(());
    }
    let registers = registers(text)?;
    text.truncate(HEADER);
    text[4] = 0;
    text.resize(DENSE, 0);
    registers.iter().enumerate().for_each(|(i, value)| set_dense(&mut text[HEADER..], i, *value));
    Ok(())
}

/// Raises a register to a value; says whether that changed anything.
fn set(text: &mut Vec<u8>, index: usize, value: u8) -> Result<bool> {
    if text[4] == 1 {
        if let Some(changed) = set_sparse(text, index, value)? {
            return Ok(changed);
        }
        densify(text)?;
    }
    let body = &mut text[HEADER..];
    let is_higher = dense_register(body, index) < value;
    if is_higher {
        set_dense(body, index, value);
    }
    Ok(is_higher)
}

fn push_zeros(run: usize, out: &mut Vec<u8>) {
    let n = run - 1;
    match run {
        ..=64 => out.push(n as u8),
        _ => out.extend_from_slice(&[0x40 | (n >> 8) as u8, n as u8]),
    }
}

fn run_of(value: u8, run: usize) -> u8 {
    0x80 | (value - 1) << 2 | (run - 1) as u8
}

/// Raises a register of a sparse one; `None` if it has to become dense for that.
fn set_sparse(text: &mut Vec<u8>, index: usize, value: u8) -> Result<Option<bool>> {
    if value > MAX_SPARSE {
        return Ok(None);
    }
    let (mut at, mut before, mut first) = (HEADER, HEADER, 0);
    let (run, old, bytes) = loop {
        if at >= text.len() {
            return Err(damaged());
        }
        let found = run_at(text, at)?;
        if index < first + found.0 {
            break found;
        }
        (before, at, first) = (at, at + found.2, first + found.0);
    };
    if old >= value {
        return Ok(Some(false));
    }
    let mut split = Vec::with_capacity(5);
    let rest = |run: usize, split: &mut Vec<u8>| match (run, old) {
        (0, _) => {}
        (_, 0) => push_zeros(run, split),
        _ => split.push(run_of(old, run)),
    };
    rest(index - first, &mut split);
    split.push(run_of(value, 1));
    rest(first + run - 1 - index, &mut split);
    if split.len() > bytes && text.len() + split.len() - bytes > LONGEST_SPARSE {
        return Ok(None);
    }
    text.splice(at..at + bytes, split);
    merge_runs(text, before);
    Ok(Some(true))
}

/// Joins runs of one value from here on, as far as servers look.
fn merge_runs(text: &mut Vec<u8>, mut at: usize) {
    const LOOKS: usize = 5;
    const LONGEST: usize = 4;
    let mut looks = 0;
    while at < text.len() && looks < LOOKS {
        looks += 1;
        match text[at] {
            0..0x40 => at += 1,
            0x40..0x80 => at += 2,
            op => {
                let next = text.get(at + 1).copied().filter(|next| *next >= 0x80 && *next >> 2 == op >> 2);
                let run = next.map(|next| usize::from(op & 3) + usize::from(next & 3) + 2);
                match run.filter(|run| *run <= LONGEST) {
                    Some(run) => {
                        text.remove(at);
                        text[at] = run_of((op >> 2 & 0x1f) + 1, run);
                    }
                    None => at += 1,
                }
            }
        }
    }
}

/// How many different things were counted (O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches").
fn count(registers: &[u8]) -> u64 {
    const Q: usize = 50;
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let mut histogram = [0_u32; 64];
    registers.iter().for_each(|value| histogram[usize::from(*value)] += 1);
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(histogram[Q + 1])) / m);
    for n in histogram[1..=Q].iter().rev() {
        z = (z + f64::from(*n)) * 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (ALPHA * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        let before = z;
        x *= x;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        let before = z;
        x = x.sqrt();
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// MurmurHash64A with the seed that servers use.
fn murmur(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xadc8_3b19;
    let mut h = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 47;
        h = (h ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        h = (h ^ last).wrapping_mul(M);
    }
    h = (h ^ h >> 47).wrapping_mul(M);
    h ^ h >> 47
}
