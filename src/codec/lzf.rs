//! LZF, both ways.
//!
//! ```text
//! 000LLLLL                 L+1 literal bytes follow
//! LLLooooo o2              copy L+2 bytes from distance (ooooo o2)+1, L = 1…6
//! 111ooooo x o2            copy x+9 bytes from distance (ooooo o2)+1
//! ```
//!
//! Our own code instead of the `lzf` crate, which allocates for each call and is the slower one (README); the crate
//! is the oracle of the tests.

use crate::error::{Error, Result};

/// One control byte and its operands give at most this many bytes for each of theirs (264 from 3).
const MAX_EXPANSION: u64 = 88;

/// Bytes that an instruction and its operands take at most, and those that a wide copy of literals reads.
const AHEAD: usize = 33;

/// How far a wide copy may write past the end of what it is for.
const SLACK: usize = 32;

/// Decompresses `packed` into `buf` and returns the `len` bytes that it must give.
///
/// `buf` only grows; a declared `len` that `packed` can't reach is refused before anything is allocated.
pub fn decompress<'b>(packed: &[u8], len: u64, buf: &'b mut Vec<u8>) -> Result<&'b [u8]> {
    let len = room_for(packed, len, buf)?;
    let out = &mut buf[..len + SLACK];
    let (from, to) = run_wide(packed, packed.len().saturating_sub(AHEAD), out, len, 0)?;
    // The last instructions in a place of their own, where bytes stand behind them as well.
    let mut last = [0; 2 * AHEAD];
    let rest = &packed[from..];
    last[..rest.len()].copy_from_slice(rest);
    let (end, to) = run_wide(&last, rest.len(), out, len, to)?;
    if end != rest.len() {
        return Err(cut());
    }
    if to != len {
        return Err(Error::malformed("LZF: it gives fewer bytes than declared"));
    }
    Ok(&buf[..len])
}

/// Decompresses only as much as is needed for the first `want` bytes; returns at least these where there are as many.
pub fn decompress_start<'b>(packed: &[u8], len: u64, want: usize, buf: &'b mut Vec<u8>) -> Result<&'b [u8]> {
    let len = room_for(packed, len, buf)?;
    let done = run(packed, &mut buf[..len + SLACK], len, 0, 0, want.min(len))?;
    Ok(&buf[..done])
}

/// Whether `packed` gives just `len` bytes, found without decompressing: by a look at the instructions alone.
pub fn is_sound(packed: &[u8], len: u64) -> bool {
    let (mut from, mut to) = (0, 0_u64);
    while let Some(&control) = packed.get(from) {
        if control < 0x20 {
            let n = u64::from(control) + 1;
            from += n as usize + 1;
            to += n;
            continue;
        }
        let high = u64::from(control & 0x1f) << 8;
        let Some(&second) = packed.get(from + 1) else { return false };
        let (low, n) = if control < 0xe0 {
            from += 2;
            (second, u64::from(control >> 5) + 2)
        } else {
            let Some(&third) = packed.get(from + 2) else { return false };
            from += 3;
            (third, 9 + u64::from(second))
        };
        if high + u64::from(low) + 1 > to {
            return false;
        }
        to += n;
    }
    from == packed.len() && to == len
}

#[inline]
fn room_for(packed: &[u8], len: u64, buf: &mut Vec<u8>) -> Result<usize> {
    if len > packed.len() as u64 * MAX_EXPANSION {
        return Err(Error::malformed(format!("LZF: {} bytes can't give the declared {len}", packed.len())));
    }
    let len = len as usize;
    if buf.len() < len + SLACK {
        buf.resize(len + SLACK, 0);
    }
    Ok(len)
}

/// Runs the instructions that begin before `end`; says how far it came in `packed`, which has `AHEAD` bytes behind
/// `end`, and in `out`, which has `SLACK` bytes more than `len`.
///
/// What takes time here are branches that can't be foreseen. So 32 literals are copied whatever their number, and eight
/// bytes for the most frequent copies; the next instruction overwrites the surplus.
#[inline(always)]
fn run_wide(packed: &[u8], end: usize, out: &mut [u8], len: usize, mut to: usize) -> Result<(usize, usize)> {
    let mut from = 0;
    while from < end {
        let Some(ahead) = packed[from..].first_chunk::<AHEAD>() else { break };
        let control = ahead[0] as usize;
        if control < 32 {
            let n = control + 1;
            if n > len - to {
                return Err(overlong());
            }
            out[to..to + 32].copy_from_slice(&ahead[1..33]);
            from += n + 1;
            to += n;
            continue;
        }
        let second = ahead[1] as usize;
        let high = (control & 31) << 8;
        if control < 0xe0 {
            // Three to eight bytes: the most frequent copies.
            let n = (control >> 5) + 2;
            let distance = (high | second) + 1;
            check_copy(to, distance, n, len)?;
            if distance >= 8 {
                copy_bytes::<8>(out, to - distance, to);
            } else {
                copy_near(out, to, distance, n);
            }
            from += 2;
            to += n;
        } else {
            let n = 9 + second;
            let distance = (high | ahead[2] as usize) + 1;
            check_copy(to, distance, n, len)?;
            copy_back(out, to, distance, n);
            from += 3;
            to += n;
        }
    }
    Ok((from, to))
}

/// Runs on from these places until `packed` is used up or `want` bytes are there; says how many there are.
fn run(packed: &[u8], out: &mut [u8], len: usize, mut from: usize, mut to: usize, want: usize) -> Result<usize> {
    while to < want || (want == len && from < packed.len()) {
        let Some(&control) = packed.get(from) else { break };
        from += 1;
        if control < 32 {
            let n = control as usize + 1;
            if n > len - to {
                return Err(overlong());
            }
            let run = packed.get(from..from + n).ok_or_else(cut)?;
            out[to..to + n].copy_from_slice(run);
            from += n;
            to += n;
        } else {
            let mut n = (control >> 5) as usize + 2;
            if n == 9 {
                n += *packed.get(from).ok_or_else(cut)? as usize;
                from += 1;
            }
            let low = *packed.get(from).ok_or_else(cut)? as usize;
            from += 1;
            let distance = ((control as usize & 31) << 8 | low) + 1;
            if distance > to {
                return Err(too_far());
            }
            if n > len - to {
                return Err(overlong());
            }
            copy_back(out, to, distance, n);
            to += n;
        }
    }
    Ok(to)
}

#[inline(always)]
fn check_copy(to: usize, distance: usize, n: usize, len: usize) -> Result<()> {
    if distance > to {
        return Err(too_far());
    }
    if n > len - to {
        return Err(overlong());
    }
    Ok(())
}

/// Copies `n` bytes from `distance` back to `to`; the two may overlap, and up to `SLACK` bytes more may be written.
#[inline(always)]
fn copy_back(out: &mut [u8], to: usize, distance: usize, n: usize) {
    const WIDE: usize = 16;
    let from = to - distance;
    if distance >= 8 && n <= 8 {
        copy_bytes::<8>(out, from, to);
    } else if distance >= WIDE {
        for done in (0..n).step_by(WIDE) {
            copy_bytes::<WIDE>(out, from + done, to + done);
        }
    } else {
        copy_near(out, to, distance, n);
    }
}

#[inline(always)]
fn copy_bytes<const N: usize>(out: &mut [u8], from: usize, to: usize) {
    let (before, after) = out.split_at_mut(to);
    after[..N].copy_from_slice(&before[from..from + N]);
}

/// A copy that overlaps with what it copies from.
#[inline(never)]
fn copy_near(out: &mut [u8], to: usize, distance: usize, n: usize) {
    if distance == 1 {
        let byte = out[to - 1];
        out[to..to + n].fill(byte);
    } else {
        for i in to..to + n {
            out[i] = out[i - distance];
        }
    }
}

#[cold]
fn too_far() -> Error {
    Error::malformed("LZF: a copy from before the start")
}

#[cold]
fn cut() -> Error {
    Error::malformed("LZF: it ends within an instruction")
}

#[cold]
fn overlong() -> Error {
    Error::malformed("LZF: it gives more bytes than declared")
}

/// Matches are looked for by a hash of the next three bytes.
const HASH_BITS: u32 = 16;
/// The farthest that a copy reaches back.
const FARTHEST: usize = 8192;
/// The longest copy.
const LONGEST: usize = 264;
/// The longest run of literals.
const RUN: usize = 32;

/// Compresses strings. One for each worker: its table is used for one string after the other and never cleared.
#[derive(Clone)]
pub struct Compressor {
    /// Where three bytes with this hash stood last, counted from the start of the first string of all.
    table: Box<[u32; 1 << HASH_BITS]>,
    /// Where the current string starts in that count; what is lower is of an earlier one.
    base: u32,
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor { table: Box::new([0; 1 << HASH_BITS]), base: 1 }
    }
}

impl Compressor {
    /// Appends `input` compressed, if that takes at most `limit` bytes; else nothing, and the answer is no.
    ///
    /// The input has less than 4 GiB.
    pub fn compress(&mut self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
        let Ok(len) = u32::try_from(input.len()) else { return false };
        if u32::MAX - self.base <= len {
            *self = Compressor::default();
        }
        let start = out.len();
        let fits = self.run(input, start + limit, out);
        if !fits {
            out.truncate(start);
        }
        self.base += len;
        fits
    }

    /// Appends the instructions; `false` when `out` would grow beyond `limit`.
    fn run(&mut self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
        let (mut at, mut literals) = (0, 0);
        while let Some(next) = three(input, at) {
            let slot = &mut self.table[hash(next)];
            let found = std::mem::replace(slot, self.base + at as u32);
            let from = found.wrapping_sub(self.base) as usize;
            // Places of earlier strings lie beyond all that could be reached.
            if at.wrapping_sub(from) > FARTHEST || three(input, from) != Some(next) {
                at += 1;
                continue;
            }
            let max = LONGEST.min(input.len() - at);
            let len = 3 + common(&input[from + 3..], &input[at + 3..at + max]);
            // Only now is it known how far the literals go.
            if out.len() + (at - literals) + (at - literals) / RUN + 4 > limit {
                return false;
            }
            write_literals(&input[literals..at], out);
            write_copy(at - from - 1, len, out);
            let end = at + len;
            // The places within a copy are worth remembering only at its end.
            for i in [end - 1, end - 2] {
                if let Some(next) = three(input, i) {
                    self.table[hash(next)] = self.base + i as u32;
                }
            }
            (at, literals) = (end, end);
        }
        let rest = &input[literals..];
        if out.len() + rest.len() + rest.len().div_ceil(RUN) > limit {
            return false;
        }
        write_literals(rest, out);
        true
    }
}

/// The three bytes that stand here, where four do.
#[inline(always)]
fn three(input: &[u8], at: usize) -> Option<u32> {
    let four = input.get(at..at.wrapping_add(4))?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four) & 0xff_ffff)
}

#[inline(always)]
fn hash(three: u32) -> usize {
    (three.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes are the same at the front of both.
#[inline]
fn common(a: &[u8], b: &[u8]) -> usize {
    let mut n = 0;
    for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        let differ = u64::from_le_bytes(eight(x)) ^ u64::from_le_bytes(eight(y));
        if differ != 0 {
            return n + differ.trailing_zeros() as usize / 8;
        }
        n += 8;
    }
    n + a[n..].iter().zip(&b[n..]).take_while(|(x, y)| x == y).count()
}

#[inline]
fn eight(bytes: &[u8]) -> [u8; 8] {
    std::array::from_fn(|i| bytes[i])
}

#[inline]
fn write_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(RUN) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

#[inline]
fn write_copy(offset: usize, len: usize, out: &mut Vec<u8>) {
    let (high, low) = ((offset >> 8) as u8, offset as u8);
    match len - 2 {
        short @ 1..7 => out.extend_from_slice(&[(short as u8) << 5 | high, low]),
        long => out.extend_from_slice(&[7 << 5 | high, (long - 7) as u8, low]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, len: usize, alphabet: u8) -> Vec<u8> {
        let mut state = seed;
        let next = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) as u8
        };
        (0..len).map(|_| next(&mut state) % alphabet).collect()
    }

    #[test]
    fn agrees_with_the_lzf_crate() {
        let mut buf = Vec::new();
        for seed in 1..400_u64 {
            for alphabet in [1, 2, 3, 5, 17] {
                let plain = noise(seed, 21 + (seed as usize * 37) % 3000, alphabet);
                let Ok(packed) = lzf::compress(&plain) else { continue };
                assert_eq!(decompress(&packed, plain.len() as u64, &mut buf).unwrap(), plain);
                assert_eq!(lzf::decompress(&packed, plain.len()).unwrap(), plain);
                let start = decompress_start(&packed, plain.len() as u64, 6, &mut buf).unwrap();
                assert!(start.len() >= 6 && plain.starts_with(start));
            }
        }
    }

    #[test]
    fn refuses_what_the_lzf_crate_refuses() {
        let plain = noise(7, 500, 3);
        let packed = lzf::compress(&plain).unwrap();
        let mut buf = Vec::new();
        for i in 0..packed.len() {
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut bad = packed.clone();
                bad[i] ^= flip;
                let ours = decompress(&bad, plain.len() as u64, &mut buf).map(<[u8]>::to_vec).ok();
                let theirs = lzf::decompress(&bad, plain.len()).ok().filter(|out| out.len() == plain.len());
                assert_eq!(ours, theirs, "byte {i} flipped by {flip:x}");
            }
            assert!(decompress(&packed[..i], plain.len() as u64, &mut buf).is_err(), "cut at {i}");
        }
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut lzf = Compressor::default();
        let mut buf = Vec::new();
        let mut t = |plain: &[u8]| {
            let mut packed = b"x".to_vec();
            if !lzf.compress(plain, plain.len() - 4, &mut packed) {
                assert_eq!(packed, b"x");
                return false;
            }
            assert!(packed.len() <= plain.len() - 3, "{}", packed.len());
            assert_eq!(decompress(&packed[1..], plain.len() as u64, &mut buf).unwrap(), plain);
            assert_eq!(lzf::decompress(&packed[1..], plain.len()).unwrap(), plain);
            true
        };
        for seed in 1..400_u64 {
            for alphabet in [1, 2, 3, 5, 17, 255] {
                t(&noise(seed, 21 + (seed as usize * 37) % 20_000, alphabet));
            }
        }
        assert!(t(&[b'a'; 93]) && t(&[b'a'; 21]) && t(&vec![0; 100_000]));
        assert!(!t(b"abcdefghijklmnopqrstuvwxyz"));
        // Repetitions at the farthest distance, and one beyond.
        for (distance, worth_it) in [(8191, true), (8192, true), (8193, false)] {
            let mut plain = noise(9, distance, 255);
            plain.extend_from_within(..200);
            assert_eq!(t(&plain), worth_it && plain.len() - distance > 0 && t(&plain), "{distance}");
        }
    }

    #[test]
    fn the_table_survives_the_end_of_its_count() {
        let mut lzf = Compressor { base: u32::MAX - 50, ..Compressor::default() };
        for _ in 0..3 {
            let mut packed = Vec::new();
            assert!(lzf.compress(&[b'a'; 93], 89, &mut packed));
            assert_eq!(lzf::decompress(&packed, 93).unwrap(), [b'a'; 93]);
        }
    }

    #[test]
    fn a_bomb_allocates_nothing() {
        let mut buf = Vec::new();
        assert!(decompress(&[0, 1, 2], 1 << 62, &mut buf).is_err());
        assert_eq!(buf.capacity(), 0);
    }
}
