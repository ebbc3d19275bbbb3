//! Cluster slots: CRC16 of the key, or of the hash tag in it (`keyHashSlot`).

use std::ops::{Range, RangeInclusive};

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// The slot of a key: of what stands between the first `{` and the next `}`, unless that is nothing.
pub fn slot(key: &[u8]) -> u16 {
    crc16(tag(key).map_or(key, |tag| &key[tag])) % SLOTS
}

/// The slots of each shard, of a cluster that has so many, rounded as redis-cli does.
pub fn shard_ranges(shards: u16) -> Vec<RangeInclusive<u16>> {
    let each = f64::from(SLOTS) / f64::from(shards);
    let end = |i: u16| (f64::from(i + 1) * each - 1.0).round() as u16;
    (0..shards).map(|i| if i == 0 { 0..=end(0) } else { end(i - 1) + 1..=end(i) }).collect()
}

/// Where a key's hash tag stands: what decides its slot, between the braces.
pub(super) fn tag(key: &[u8]) -> Option<Range<usize>> {
    let start = key.iter().position(|&b| b == b'{')? + 1;
    let len = key[start..].iter().position(|&b| b == b'}').filter(|&n| n > 0)?;
    Some(start..start + len)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &b| crc << 8 ^ TABLE[((crc >> 8) as u8 ^ b) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_cluster_keyslot() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // Answers of CLUSTER KEYSLOT.
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"somekey"), 11058);
        assert_eq!(slot(b"foo{hash_tag}"), 2515);
        assert_eq!(slot(b"bar{hash_tag}"), 2515);
        assert_eq!(slot(b""), 0);
        assert_eq!(slot(b"{}x"), crc16(b"{}x") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    #[test]
    fn shards_are_those_of_redis_cli() {
        assert_eq!(shard_ranges(3), [0..=5460, 5461..=10922, 10923..=16383]);
        assert_eq!(shard_ranges(1), [0..=16383]);
        for shards in 1..=1000 {
            let ranges = shard_ranges(shards);
            assert_eq!((*ranges[0].start(), *ranges[ranges.len() - 1].end()), (0, 16383));
            assert!(ranges.windows(2).all(|pair| pair[0].end() + 1 == *pair[1].start()));
        }
    }
}
