//! CRC-64/Jones, the checksum of RDB files and DUMP payloads, and CRC-64/XZ, that of our JSON backups.
//!
//! `crc64fast` computes CRC-64/XZ only; for Jones there is `crc-fast`, which runs at the same speed.

#[cfg(target_arch = "x86_64")]
mod short;

use crc_fast::{CrcAlgorithm, Digest};

/// A running CRC-64/Jones: polynomial ad93d23594c935a9, reflected, initial value 0.
#[derive(Clone)]
pub struct Jones(Digest);

impl Default for Jones {
    fn default() -> Jones {
        Jones(Digest::new(CrcAlgorithm::Crc64Redis))
    }
}

impl Jones {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u64 {
        self.0.clone().finalize()
    }
}

/// The CRC-64/Jones of `bytes`.
pub fn jones(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() <= short::LIMIT
        && let Some(crc) = short::jones(bytes)
    {
        return crc;
    }
    let mut crc = Jones::default();
    crc.update(bytes);
    crc.value()
}

/// The CRC-64/Jones of two pieces one after the other, from that of each and the second's length.
pub fn jones_combine(first: u64, second: u64, second_len: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Redis, first, second, second_len)
}

/// A few bytes in a row that differ from what they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Burst {
    /// The first of them.
    pub offset: u64,
    /// What each must be XORed with, the first in the lowest byte.
    pub pattern: u64,
}

impl Burst {
    /// Puts it right in bytes that begin at `offset` of the input.
    pub fn apply(self, offset: u64, bytes: &mut [u8]) {
        for (i, xor) in self.pattern.to_le_bytes().into_iter().enumerate() {
            let place = (self.offset + i as u64).checked_sub(offset).and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = place.and_then(|at| bytes.get_mut(at)) {
                *byte ^= xor;
            }
        }
    }
}

/// Where `len` bytes differ from those whose checksum was `stored`, if they do so in a few bytes in a row: found from the
/// two checksums alone, as the difference of two checksums is the checksum of the differences. `None` if there is no such
/// place, or more than one; how many bytes in a row are looked for depends on the length, so that a wrong answer has a
/// chance of less than one in a million.
pub fn locate(stored: u64, computed: u64, len: u64) -> Option<Burst> {
    let places = 64 - len.leading_zeros();
    let widest = 44_u32.checked_sub(places)? / 8;
    let limit = 1_u64 << (8 * widest.clamp(1, 4));
    let mut state = stored ^ computed;
    let mut found = None;
    // One byte of the checksum itself.
    if state.to_le_bytes().iter().filter(|b| **b != 0).count() == 1 {
        let at = state.trailing_zeros() / 8;
        found = Some(Burst { offset: len + u64::from(at), pattern: state >> (8 * at) });
    }
    let (table, index) = undo_tables();
    for offset in (0..len).rev() {
        let i = index[(state >> 56) as usize];
        state = (state ^ table[i as usize]) << 8 | u64::from(i);
        if state < limit && state & 0xff != 0 {
            let burst = Burst { offset, pattern: state };
            if found.replace(burst).is_some() {
                return None;
            }
        }
    }
    found
}

/// The table of the checksum, and which of its entries has which highest byte: enough to take bytes out again.
fn undo_tables() -> ([u64; 256], [u8; 256]) {
    const REFLECTED: u64 = 0x95ac_9329_ac4b_c9b5;
    let (mut table, mut index) = ([0; 256], [0; 256]);
    for i in 0..=255_u8 {
        let crc = (0..8).fold(u64::from(i), |crc, _| if crc & 1 == 1 { crc >> 1 ^ REFLECTED } else { crc >> 1 });
        table[i as usize] = crc;
        index[(crc >> 56) as usize] = i;
    }
    (table, index)
}

/// A running CRC-64/XZ.
#[derive(Clone, Default)]
pub struct Xz(crc64fast::Digest);

impl Xz {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u64 {
        self.0.sum64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_found_from_two_checksums() {
        let sound: Vec<u8> = (0..5000_u32).map(|i| (i * 7 / 3) as u8).collect();
        let stored = jones(&sound);
        for (offset, pattern) in [(0, 1), (4999, 0x80), (1234, 0x55), (77, 0x0101), (4000, 0xff_00ff)] {
            let mut bytes = sound.clone();
            let burst = Burst { offset, pattern };
            burst.apply(0, &mut bytes);
            assert_ne!(bytes, sound);
            assert_eq!(locate(stored, jones(&bytes), 5000), Some(burst));
            burst.apply(0, &mut bytes);
            assert_eq!(bytes, sound);
        }
        let flipped = stored ^ 0x1200_0000;
        assert_eq!(locate(flipped, stored, 5000), Some(Burst { offset: 5003, pattern: 0x12 }));
        let mut far_apart = sound;
        far_apart[10] ^= 1;
        far_apart[3000] ^= 1;
        assert_eq!(locate(stored, jones(&far_apart), 5000), None);
    }

    #[test]
    fn a_short_piece_has_the_checksum_that_its_bytes_have_one_by_one() {
        let (table, _) = undo_tables();
        let bytes: Vec<u8> = (0..700_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for start in 0..3 {
            let mut one_by_one = 0_u64;
            for (n, byte) in bytes[start..].iter().enumerate() {
                assert_eq!(jones(&bytes[start..start + n]), one_by_one, "{n} bytes from {start}");
                one_by_one = one_by_one >> 8 ^ table[usize::from(one_by_one as u8 ^ byte)];
            }
        }
    }

    #[test]
    fn check_values() {
        assert_eq!(jones(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let mut crc = Jones::default();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.value(), 0xe9c6_d914_c4b8_d9ca);
        let combined = jones_combine(jones(b"1234"), jones(b"56789"), 5);
        assert_eq!(combined, 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(jones_combine(0, jones(b"12"), 2), jones(b"12"));
        let mut xz = Xz::default();
        xz.update(b"123456789");
        assert_eq!(xz.value(), 0x995d_c9bb_df19_39fa);
    }
}
