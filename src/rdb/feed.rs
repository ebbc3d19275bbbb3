//! Where the bytes come from: a stream, or a file that several threads may read at once.
//!
//! To read a file from the page cache takes as long as to measure it. So a worker reads the next chunk of a file into its
//! own batch before it is its turn to measure. The chunk is a guess: only who measures knows what is needed, and reads that
//! itself where the guess was wrong.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::Batch;

/// A file that can be read from any place.
pub trait ReadAt: Send + Sync {
    /// Reads what stands at `offset`, as [`Read::read`] does.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(bytes.len());
        bytes[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

/// What is left over of a batch is put in front of the next chunk if it is at most so much.
const ROOM: usize = 64 << 10;

/// No chunk is worth reading ahead: more is left over than there is room for.
const NOWHERE: u64 = u64::MAX;

/// The source of bytes.
pub(super) enum Feed {
    /// It comes in one piece after the other.
    Stream(Box<dyn Read + Send>),
    /// It can be read at any place; the next byte is at `place`.
    File {
        /// The file.
        ahead: Ahead,
        /// Where the next byte is.
        place: u64,
    },
}

/// Reads the chunks of a file before it is known where they begin. Clones share their place.
#[derive(Clone)]
pub struct Ahead {
    file: Arc<dyn ReadAt>,
    next: Arc<AtomicU64>,
    chunk: usize,
}

impl Feed {
    /// A file, from its begin on.
    pub(super) fn file(file: Arc<dyn ReadAt>, chunk: usize) -> Feed {
        let next = Arc::new(AtomicU64::new(NOWHERE));
        Feed::File { ahead: Ahead { file, next, chunk }, place: 0 }
    }

    /// What reads ahead, where that is possible.
    pub(super) fn ahead(&self) -> Option<Ahead> {
        match self {
            Feed::Stream(_) => None,
            Feed::File { ahead, .. } => Some(ahead.clone()),
        }
    }

    /// Lets a batch begin in the chunk that was read into it: behind `carry`, which was left over, and so is known to
    /// stand before the next byte. Says how far the bytes of the batch go, or `None` if the chunk is of no use.
    pub(super) fn take_chunk(&mut self, batch: &mut Batch, carry: &[u8]) -> Option<usize> {
        let (start, end) = batch.ahead.take()?;
        let Feed::File { ahead, place } = self else { return None };
        let known = place.checked_sub(start).and_then(|n| usize::try_from(n).ok())?;
        let first = (ROOM + known).checked_sub(carry.len()).filter(|_| ROOM + known < end);
        let Some(first) = first else {
            ahead.next.store(NOWHERE, Ordering::Relaxed);
            return None;
        };
        batch.bytes[first..ROOM + known].copy_from_slice(carry);
        (batch.begin, batch.used) = (first, first);
        *place = start + (end - ROOM) as u64;
        Some(end)
    }

    /// So many bytes are left over of a batch: says whether the next chunk can be read ahead, and from where.
    pub(super) fn left_over(&mut self, n: usize) {
        if let Feed::File { ahead, place } = self {
            let next = match ahead.next.load(Ordering::Relaxed) {
                _ if n > ROOM => NOWHERE,
                NOWHERE => *place,
                next => next.max(*place),
            };
            ahead.next.store(next, Ordering::Relaxed);
        }
    }
}

impl Read for Feed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Feed::Stream(input) => input.read(bytes),
            Feed::File { ahead, place } => {
                let n = ahead.file.read_at(bytes, *place)?;
                *place += n as u64;
                Ok(n)
            }
        }
    }
}

impl Ahead {
    /// Reads the next chunk into the bytes of `batch`. One thread at a time, in the order in which the batches are filled.
    pub(crate) fn read(&self, batch: &mut Batch) {
        batch.ahead = None;
        let start = self.next.load(Ordering::Relaxed);
        if start == NOWHERE {
            return;
        }
        if batch.bytes.len() < ROOM + self.chunk {
            batch.bytes.resize(ROOM + self.chunk, 0);
        }
        let chunk = &mut batch.bytes[ROOM..ROOM + self.chunk];
        let mut n = 0;
        // An error is left to whoever reads here when it is known that it must be.
        while n < chunk.len()
            && let Ok(more @ 1..) = self.file.read_at(&mut chunk[n..], start + n as u64)
        {
            n += more;
        }
        batch.ahead = (n > 0).then_some((start, ROOM + n));
        let end = start + n as u64;
        // Who fills batches may have found another place meanwhile.
        let _ = self.next.compare_exchange(start, end, Ordering::Relaxed, Ordering::Relaxed);
    }
}
