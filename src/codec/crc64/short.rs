//! CRC-64/Jones of a few hundred bytes: the checksum at the end of a DUMP payload.
//!
//! `crc-fast` takes 65 ns for 150 bytes, most of it to look up what it is to compute, and to finish three times, before
//! the first aligned byte, behind the last and in the end; this takes 15 ns. Above [`LIMIT`] it computes on several
//! streams at once and is the faster one.
//!
//! Folding as in "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Gopal et al., Intel, 2009),
//! in the reflected form. With P the polynomial, the constants are, in reflected order, x¹⁹¹ mod P and x¹²⁷ mod P, and
//! for Barrett's reduction ⌊x¹²⁸ / P⌋ and P, each without its lowest bit that does not fit.

use std::arch::x86_64::{
    __m128i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_unpackhi_epi64, _mm_xor_si128,
};

/// Up to so many bytes this is the faster way.
pub(super) const LIMIT: usize = 512;

const FOLD: u128 = 0x381d_0015_c96f_4444_d9d7_be7d_505d_a32c;
const REDUCE: u128 = 0x2b59_2653_5897_936b_3e6c_fa32_9aef_9f77;

/// The checksum, where the processor can multiply without carries.
#[inline]
pub(super) fn jones(bytes: &[u8]) -> Option<u64> {
    if !std::arch::is_x86_feature_detected!("pclmulqdq") {
        return None;
    }
    #[allow(unsafe_code, reason = "--restore takes a fifth less processor time with it (README)")]
    // SAFETY: the function is safe but for the processor feature that it is compiled for, and that has just been found.
    Some(unsafe { folded(bytes) })
}

#[target_feature(enable = "pclmulqdq")]
fn folded(bytes: &[u8]) -> u64 {
    // The checksum begins with 0, so zeros in front change nothing: they fill up the first sixteen bytes.
    let (odd, blocks) = bytes.as_rchunks::<16>();
    let first = match bytes.first_chunk::<16>() {
        _ if odd.is_empty() => 0,
        Some(sixteen) => u128::from_le_bytes(*sixteen) << (8 * (16 - odd.len())),
        None => {
            let mut filled = [0; 16];
            filled[16 - odd.len()..].copy_from_slice(odd);
            u128::from_le_bytes(filled)
        }
    };
    let (fold, reduce) = (vector(FOLD), vector(REDUCE));
    let mut state = vector(first);
    for block in blocks {
        let far = _mm_clmulepi64_si128::<0x00>(state, fold);
        let near = _mm_clmulepi64_si128::<0x11>(state, fold);
        state = _mm_xor_si128(_mm_xor_si128(far, near), vector(u128::from_le_bytes(*block)));
    }
    let far = _mm_clmulepi64_si128::<0x10>(state, fold);
    let rest = _mm_xor_si128(far, _mm_set_epi64x(0, high(state) as i64));
    let quotient = _mm_clmulepi64_si128::<0x00>(rest, reduce);
    high(_mm_clmulepi64_si128::<0x10>(quotient, reduce)) ^ low(quotient) ^ high(rest)
}

#[inline]
#[target_feature(enable = "sse2")]
fn vector(bytes: u128) -> __m128i {
    _mm_set_epi64x((bytes >> 64) as i64, bytes as i64)
}

#[inline]
#[target_feature(enable = "sse2")]
fn low(vector: __m128i) -> u64 {
    _mm_cvtsi128_si64(vector) as u64
}

#[inline]
#[target_feature(enable = "sse2")]
fn high(vector: __m128i) -> u64 {
    low(_mm_unpackhi_epi64(vector, vector))
}
