//! The permutation behind the pseudonyms: a Feistel network over strings whose places have alphabets of their own.
//!
//! ```text
//! key     = BLAKE3 derive_key("rdbkit mask 1", secret)
//! tweak   = BLAKE3 keyed(key, kind ‖ skeleton)         the text, each changeable byte replaced by its class's mark
//! digits  = the changeable bytes, each as its place in its class's alphabet; left half the shorter
//! round i = left or right, in turns: digit += u16le(stream) * radix >> 16, modulo the radix, where
//! stream  = BLAKE3 keyed(key, tweak ‖ i ‖ the other half's digits), two bytes a digit
//! ```
//!
//! A single changeable byte goes through an alphabet shuffled by `BLAKE3 keyed(key, tweak)` (Fisher–Yates from the
//! end). Every step can be undone, so that different texts keep different pseudonyms. This is the construction of the
//! format-preserving modes of NIST SP 800-38G (addition digit by digit, 10 rounds), with another round function.

use super::class::{Class, Kind};

/// As many as FF1 has.
const ROUNDS: u8 = 10;

/// The separation of this use of a secret from all others. To change it, or anything of the construction, changes
/// every pseudonym.
const CONTEXT: &str = "rdbkit mask 1";

/// The secret, ready for use.
#[derive(Clone)]
pub(super) struct Cipher {
    key: [u8; 32],
}

/// Buffers, used again for every text.
#[derive(Clone, Default)]
pub(super) struct Scratch {
    classes: Vec<Class>,
    skeleton: Vec<u8>,
    digits: Vec<u8>,
    radices: Vec<u8>,
}

/// Long texts go through the hash in pieces of so many bytes.
const CHUNK: usize = 4096;

impl Cipher {
    pub(super) fn new(secret: &[u8]) -> Cipher {
        Cipher { key: blake3::derive_key(CONTEXT, secret) }
    }

    /// What tells ciphers of different secrets apart.
    pub(super) fn id(&self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|i| self.key[i]))
    }

    /// Permutes the texts of this kind and of the same classes among each other, in place.
    ///
    /// `stays` says whether a text belongs to those that are permuted; `text` itself must. What does not belong is
    /// permuted again until it does, which keeps the permutation one to one.
    pub(super) fn permute(&self, kind: Kind, text: &mut [u8], buf: &mut Scratch, mut stays: impl FnMut(&[u8]) -> bool) {
        kind.classes(text, &mut buf.classes);
        take_apart(text, buf);
        if buf.digits.is_empty() {
            return;
        }
        let tweak = self.tweak(kind, text, &buf.classes, &mut buf.skeleton);
        loop {
            match buf.digits.as_mut_slice() {
                [digit] => *digit = self.shuffled(&tweak, usize::from(*digit), buf.radices[0]),
                _ => self.feistel(&tweak, buf),
            }
            let mut digits = buf.digits.iter();
            for (byte, class) in text.iter_mut().zip(&buf.classes).filter(|(_, class)| **class != Class::Kept) {
                *byte = digits.next().map_or(*byte, |digit| class.byte(*digit));
            }
            if stays(text) {
                return;
            }
        }
    }

    /// The hash of what all texts have in common that are permuted among each other.
    fn tweak(&self, kind: Kind, text: &[u8], classes: &[Class], skeleton: &mut Vec<u8>) -> [u8; 32] {
        skeleton.clear();
        skeleton.push(kind as u8);
        if text.len() < CHUNK {
            skeleton.extend(marks(text, classes));
            return *blake3::keyed_hash(&self.key, skeleton).as_bytes();
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for (text, classes) in text.chunks(CHUNK).zip(classes.chunks(CHUNK)) {
            skeleton.extend(marks(text, classes));
            hasher.update(skeleton);
            skeleton.clear();
        }
        *hasher.finalize().as_bytes()
    }

    fn feistel(&self, tweak: &[u8; 32], buf: &mut Scratch) {
        let middle = buf.digits.len() / 2;
        let (left, right) = buf.digits.split_at_mut(middle);
        let (left_radices, right_radices) = buf.radices.split_at(middle);
        for round in 0..ROUNDS {
            match round % 2 {
                0 => self.round(tweak, round, left, left_radices, right),
                _ => self.round(tweak, round, right, right_radices, left),
            }
        }
    }

    fn round(&self, tweak: &[u8; 32], round: u8, half: &mut [u8], radices: &[u8], other: &[u8]) {
        const BLOCK: usize = blake3::BLOCK_LEN;
        let end = tweak.len() + 1 + other.len();
        // What fits into one block needs no hasher, which is large.
        if end <= BLOCK && 2 * half.len() <= blake3::OUT_LEN {
            let mut block = [0; BLOCK];
            block[..32].copy_from_slice(tweak);
            block[32] = round;
            block[33..end].copy_from_slice(other);
            return add(half, radices, blake3::keyed_hash(&self.key, &block[..end]).as_bytes());
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let mut reader = hasher.update(tweak).update(&[round]).update(other).finalize_xof();
        let mut stream = [0; CHUNK];
        for (half, radices) in half.chunks_mut(CHUNK / 2).zip(radices.chunks(CHUNK / 2)) {
            let stream = &mut stream[..2 * half.len()];
            reader.fill(stream);
            add(half, radices, stream);
        }
    }

    /// Where a digit comes to lie in its shuffled alphabet.
    fn shuffled(&self, tweak: &[u8; 32], digit: usize, radix: u8) -> u8 {
        let mut alphabet: [u8; 256] = std::array::from_fn(|i| i as u8);
        let mut stream = [0; 512];
        blake3::Hasher::new_keyed(&self.key).update(tweak).finalize_xof().fill(&mut stream[..2 * usize::from(radix)]);
        for (last, pair) in (1..radix).rev().zip(stream.chunks_exact(2)) {
            alphabet.swap(usize::from(last), usize::from(below(last + 1, pair)));
        }
        alphabet[digit]
    }
}

/// A number below `n` from two pseudorandom bytes: `u16le * n >> 16`.
fn below(n: u8, pair: &[u8]) -> u16 {
    ((u32::from(u16::from_le_bytes([pair[0], pair[1]])) * u32::from(n)) >> 16) as u16
}

/// Adds a stream to digits, two bytes to each.
fn add(digits: &mut [u8], radices: &[u8], stream: &[u8]) {
    for ((digit, radix), pair) in digits.iter_mut().zip(radices).zip(stream.chunks_exact(2)) {
        let sum = u16::from(*digit) + below(*radix, pair);
        let radix = u16::from(*radix);
        *digit = if sum >= radix { sum - radix } else { sum } as u8;
    }
}

/// The skeleton of a text: its bytes, a mark in place of each that may change.
fn marks(text: &[u8], classes: &[Class]) -> impl Iterator<Item = u8> {
    text.iter().zip(classes).map(|(byte, class)| class.mark().unwrap_or(*byte))
}

/// Takes the digits of a text and their radices.
fn take_apart(text: &[u8], buf: &mut Scratch) {
    buf.digits.clear();
    buf.radices.clear();
    for (byte, class) in text.iter().zip(&buf.classes).filter(|(_, class)| **class != Class::Kept) {
        buf.digits.push(class.digit(*byte));
        buf.radices.push(class.radix());
    }
}
