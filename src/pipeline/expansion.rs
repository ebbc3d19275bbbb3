//! How far a compressed input may grow: a small file that unpacks to zeros without end must not fill memory or time.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Meter;
use crate::error::Error;

/// How many times its size an input may become. One for the process: inputs are opened in many places, one in another.
static MOST: AtomicU64 = AtomicU64::new(500);

/// So many bytes may come out of any input.
const FREE: u64 = 256 << 20;

/// Sets how many times its size a compressed input may become, once it is larger than 256 MiB; 500 if this is never
/// called. Dumps rarely shrink to less than a twentieth, archives made to do harm to a thousandth.
pub fn set_max_expansion(factor: u64) {
    MOST.store(factor, Ordering::Relaxed);
}

/// What comes out of the decompressors, as long as it is in proportion to what goes in.
pub(super) struct Expansion<R> {
    inner: R,
    /// Counts what goes in.
    meter: Arc<Meter>,
    given: u64,
}

impl<R> Expansion<R> {
    pub(super) fn new(inner: R, meter: &Arc<Meter>) -> Expansion<R> {
        Expansion { inner, meter: meter.clone(), given: 0 }
    }
}

impl<R: Read> Read for Expansion<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.given += n as u64;
        let taken = self.meter.bytes.load(Ordering::Relaxed);
        let most = MOST.load(Ordering::Relaxed);
        if self.given > FREE.max(taken.saturating_mul(most)) {
            let what =
                format!("it unpacks to more than {most} times its size; --max-expansion {} allows more", most * 10);
            return Err(io::Error::other(Error::usage(what)));
        }
        Ok(n)
    }
}
