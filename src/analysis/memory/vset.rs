//! The index of field expiries that Valkey 9 counts with a hash (`vset.c`).
//!
//! Up to 127 fields lie in one vector; more in a radix tree by time, with a vector for each window of 8192 ms in which
//! anything expires. A window with more than a vector holds is cut in halves; what expires within 16 ms of each other
//! can't be, and becomes a hash table.

use super::blocks::Facts;
use super::rax::RaxCounter;

/// The longest vector.
const VECTOR: usize = 127;
/// The longest window in ms, and the shortest.
const WINDOWS: (i64, i64) = (8192, 16);

/// Bytes of the index of these expiries, which are sorted here.
pub(super) fn index(expiries: &mut [i64], facts: &Facts, rax: &mut RaxCounter) -> f64 {
    if expiries.len() <= VECTOR {
        return vector(expiries.len(), facts);
    }
    expiries.sort_unstable();
    rax.clear();
    let mut bytes = 0.0;
    let mut rest = &*expiries;
    while let Some(first) = rest.first() {
        let end = (first.div_euclid(WINDOWS.0)).saturating_add(1).saturating_mul(WINDOWS.0);
        let (window, after) = rest.split_at(rest.partition_point(|at| *at < end).max(1));
        bytes += buckets(window, end, facts, rax);
        rest = after;
    }
    bytes + facts.rax(rax) as f64
}

/// The buckets of one window, each with its end as its key.
fn buckets(window: &[i64], end: i64, facts: &Facts, rax: &mut RaxCounter) -> f64 {
    if window.len() > VECTOR {
        // The place nearest to the middle where one short window ends and another begins.
        let key = |i: usize| window[i].div_euclid(WINDOWS.1);
        let middle = window.len() / 2;
        let cuts = (0..middle).flat_map(|by| [middle - by, middle + by]);
        let cut = cuts.filter(|cut| (1..window.len()).contains(cut)).find(|cut| key(cut - 1) != key(*cut));
        if let Some(cut) = cut {
            let first_end = key(cut - 1).saturating_add(1).saturating_mul(WINDOWS.1);
            return buckets(&window[..cut], first_end, facts, rax) + buckets(&window[cut..], end, facts, rax);
        }
    }
    rax.push(&end.to_be_bytes(), |n| facts.size(n));
    if window.len() > VECTOR { facts.table(window.len() as u64, false) } else { vector(window.len(), facts) }
}

/// One field is its own index; more have a vector that grows as it needs to.
fn vector(len: usize, facts: &Facts) -> f64 {
    match len as u64 {
        0 | 1 => 0.0,
        // Made at once for two, and counted as it was asked for.
        2 => 24.0,
        n => facts.size(8 + 8 * n) as f64,
    }
}
