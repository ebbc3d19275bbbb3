//! RDB files: from bytes to batches of records, and from records to bytes.

mod frame;
mod framing;
mod measure;
mod reader;
mod writer;

pub use frame::{Frame, Patch};
pub use framing::{Framed, Framing};
pub use reader::{Checksum, End, Reader, Trailing, TrailingKind};
pub use writer::{Adapted, Carried, OnLoss, Options, Writer};
