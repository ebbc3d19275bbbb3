//! Which server's memory is asked for, and who hands memory out to it.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::{Dialect, Origin, REDIS_VERSIONS};

/// A server by product and version: what the formulas depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    /// Valkey, and not Redis.
    valkey: bool,
    version: (u32, u32),
}

impl Server {
    /// The server that wrote the file, as far as the file says; the first with its RDB version otherwise.
    ///
    /// KeyDB counts as the Redis 6.2 that it comes from. Dragonfly keeps its data in ways of its own, and its files
    /// are counted as Redis 7.2 would hold them.
    pub fn of(origin: &Origin) -> Server {
        let redis = |version| Server { valkey: false, version };
        match (origin.dialect, origin.server_version()) {
            (Dialect::KeyDb, _) => redis((6, 2)),
            (Dialect::Dragonfly, _) => redis((7, 2)),
            (Dialect::Valkey, version) => Server { valkey: true, version: version.unwrap_or((9, 0)) },
            (Dialect::Redis, version) => {
                let first = REDIS_VERSIONS.iter().rev().find(|(_, rdb)| *rdb <= origin.version);
                let first = first.map_or((1, 0), |(version, _)| *version);
                match version {
                    // Redict is a Redis 7.2 that goes on counting.
                    Some((7, 3)) if first <= (7, 2) => redis((7, 2)),
                    // Release candidates call themselves 6.9 and 7.3.
                    version => redis(version.unwrap_or(first).max(first)),
                }
            }
        }
    }

    /// Whether it is this Redis or a later one. Valkey left at 7.2.
    pub(super) fn redis(self, major: u32, minor: u32) -> bool {
        let version = if self.valkey { (7, 2) } else { self.version };
        version >= (major, minor)
    }

    /// Whether it is this Valkey or a later one.
    pub(super) fn valkey(self, major: u32, minor: u32) -> bool {
        self.valkey && self.version >= (major, minor)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.valkey { "Valkey" } else { "Redis" };
        write!(f, "{name} {}.{}", self.version.0, self.version.1)
    }
}

const PAGE: u64 = 4 << 10;

/// Who hands out the memory: its size classes decide what a string of so many bytes takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Allocator {
    /// The jemalloc that comes with the server: what it is built with on Linux, Docker images included.
    #[default]
    Jemalloc,
    /// The jemalloc of a distribution, which has no classes between multiples of 16: Debian's packages, for one.
    JemallocSystem,
    /// The same from 5.3.1 on, which hands out large allocations by pages.
    JemallocSystemPaged,
    /// The C library's own (glibc), as some distributions build them.
    Libc,
}

impl FromStr for Allocator {
    type Err = Error;

    fn from_str(text: &str) -> Result<Allocator, Error> {
        match text {
            "jemalloc" => Ok(Allocator::Jemalloc),
            "jemalloc-system" => Ok(Allocator::JemallocSystem),
            "jemalloc-system-5.3.1" => Ok(Allocator::JemallocSystemPaged),
            "libc" => Ok(Allocator::Libc),
            _ => Err(Error::usage(format!("{text}: use jemalloc, jemalloc-system, jemalloc-system-5.3.1 or libc"))),
        }
    }
}

impl Allocator {
    /// How many bytes may be used of an allocation of `n`: what `zmalloc_size` says.
    #[inline]
    pub(super) fn size(self, n: u64) -> u64 {
        match self {
            Allocator::Jemalloc => jemalloc(n, 8),
            Allocator::JemallocSystem => jemalloc(n, 16),
            Allocator::JemallocSystemPaged if n > 4 * PAGE => n.saturating_add(PAGE - 1) & !(PAGE - 1),
            Allocator::JemallocSystemPaged => jemalloc(n, 16),
            Allocator::Libc => glibc(n),
        }
    }
}

/// 8, multiples of the quantum up to 64 and of 16 up to 128, then four classes for each doubling.
#[inline]
fn jemalloc(n: u64, quantum: u64) -> u64 {
    if n <= 8 {
        return 8;
    }
    if n <= 64 {
        return n.next_multiple_of(quantum);
    }
    let step = 1 << ((n - 1).ilog2() - 2);
    n.saturating_add(step - 1) & !(step - 1)
}

/// Chunks of multiples of 16 of which 8 are the chunk's own; large ones are whole pages of which 16 are.
#[inline]
fn glibc(n: u64) -> u64 {
    const MAPPED: u64 = 128 << 10;
    if n < MAPPED {
        return (n + 8).next_multiple_of(16).max(32) - 8;
    }
    (n.saturating_add(16 + PAGE - 1) & !(PAGE - 1)) - 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes() {
        let classes =
            |allocator: Allocator, sizes: &[u64]| sizes.iter().map(|n| allocator.size(*n)).collect::<Vec<_>>();
        let sizes = [0, 1, 8, 9, 24, 25, 64, 65, 128, 129, 160, 161, 1000, 4096, 4097, 16_385];
        assert_eq!(
            classes(Allocator::Jemalloc, &sizes),
            [8, 8, 8, 16, 24, 32, 64, 80, 128, 160, 160, 192, 1024, 4096, 5120, 20_480]
        );
        assert_eq!(
            classes(Allocator::JemallocSystem, &sizes),
            [8, 8, 8, 16, 32, 32, 64, 80, 128, 160, 160, 192, 1024, 4096, 5120, 20_480]
        );
        assert_eq!(
            classes(Allocator::Libc, &sizes),
            [24, 24, 24, 24, 24, 40, 72, 72, 136, 136, 168, 168, 1000, 4104, 4104, 16_392]
        );
    }
}
