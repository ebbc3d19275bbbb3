//! RDB files: from bytes to batches of records.

mod measure;
mod reader;

pub use reader::{Checksum, End, Reader, Trailing, TrailingKind};
