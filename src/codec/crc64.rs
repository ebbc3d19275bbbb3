//! CRC-64/Jones, the checksum of RDB files and DUMP payloads, and CRC-64/XZ, that of our JSON backups.
//!
//! `crc64fast` computes CRC-64/XZ only; for Jones there is `crc-fast`, which runs at the same speed.

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
    let mut crc = Jones::default();
    crc.update(bytes);
    crc.value()
}

/// The CRC-64/Jones of two pieces one after the other, from that of each and the second's length.
pub fn jones_combine(first: u64, second: u64, second_len: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Redis, first, second, second_len)
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
