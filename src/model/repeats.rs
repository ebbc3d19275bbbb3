//! Whether a name stands twice among many, found without comparing them all.

use std::hash::{BuildHasher, Hasher};

/// A 64-bit fingerprint of a name.
#[inline]
pub fn fingerprint(name: &[u8]) -> u64 {
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    hasher.write(name);
    hasher.finish()
}

/// Whether a number stands twice; the numbers may be put into another order. Of fingerprints, a yes says that two
/// names are most likely the same, a no that none is.
pub fn repeats(fingerprints: &mut [u64]) -> bool {
    if fingerprints.len() <= 24 {
        return fingerprints
            .iter()
            .enumerate()
            .any(|(i, a)| fingerprints[..i].iter().fold(false, |found, b| found | (a == b)));
    }
    fingerprints.sort_unstable();
    fingerprints.windows(2).any(|pair| pair[0] == pair[1])
}
