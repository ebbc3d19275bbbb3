//! Classes of keys: by time to live, idle time, access frequency, size.

use super::tally::{Tally, Weighed};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Time that is left, as the bounds of its classes in ms.
pub(super) const TTL: [(i64, &str); 7] = [
    (0, "expired"),
    (MINUTE, "< 1 minute"),
    (HOUR, "< 1 hour"),
    (DAY, "< 1 day"),
    (7 * DAY, "< 7 days"),
    (30 * DAY, "< 30 days"),
    (365 * DAY, "< 1 year"),
];

/// Names of the classes of time to live: those below each bound, then what lives longer, then what lives for ever.
pub const TTL_NAMES: [&str; 9] =
    [TTL[0].1, TTL[1].1, TTL[2].1, TTL[3].1, TTL[4].1, TTL[5].1, TTL[6].1, "1 year or more", "no expiry"];

/// Names of the classes of idle time.
pub const IDLE_NAMES: [&str; 8] =
    ["< 1 minute", "< 1 hour", "< 1 day", "< 7 days", "< 30 days", "< 90 days", "< 1 year", "1 year or more"];

const IDLE: [u64; 7] = [60, 3600, 86_400, 7 * 86_400, 30 * 86_400, 90 * 86_400, 365 * 86_400];

/// Names of the classes of the access counter, which is logarithmic.
pub const FREQ_NAMES: [&str; 6] = ["0", "1 - 4", "5 - 9", "10 - 49", "50 - 99", "100 - 255"];

const FREQ: [u8; 5] = [1, 5, 10, 50, 100];

/// The largest memory of a key of each size class but the last.
pub const SIZES: [u64; 15] = [
    64,
    100,
    200,
    500,
    1000,
    2000,
    5000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
];

/// Tallies of so many classes.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<const N: usize>(pub [Tally; N]);

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram([Tally::default(); N])
    }
}

impl<const N: usize> Histogram<N> {
    #[inline]
    pub(super) fn add(&mut self, class: usize, key: &Weighed) {
        self.0[class].add(key);
    }

    pub(super) fn merge(&mut self, other: &Histogram<N>) {
        self.0.iter_mut().zip(&other.0).for_each(|(tally, more)| tally.merge(more));
    }

    /// All classes together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.0.iter().for_each(|tally| total.merge(tally));
        total
    }
}

/// The class of an expiry as of a time, both Unix time in ms.
pub(super) fn ttl_class(expiry: Option<i64>, as_of: i64) -> usize {
    match expiry {
        None => TTL.len() + 1,
        Some(at) => match at.saturating_sub(as_of) {
            left if left <= 0 => 0,
            left => TTL.iter().position(|(bound, _)| left < *bound).unwrap_or(TTL.len()),
        },
    }
}

/// The class of an idle time in seconds.
pub(super) fn idle_class(seconds: u64) -> usize {
    IDLE.iter().position(|bound| seconds < *bound).unwrap_or(IDLE.len())
}

/// The class of an access counter.
pub(super) fn freq_class(counter: u8) -> usize {
    FREQ.iter().position(|bound| counter < *bound).unwrap_or(FREQ.len())
}

/// The class of a key's memory.
pub(super) fn size_class(memory: u64) -> usize {
    SIZES.iter().position(|bound| memory <= *bound).unwrap_or(SIZES.len())
}
