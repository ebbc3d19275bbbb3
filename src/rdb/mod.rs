//! RDB files: from bytes to batches of records, and from records to bytes.

mod feed;
mod frame;
mod framing;
mod key;
mod measure;
mod reader;
mod salvage;
mod writer;

pub use feed::{Ahead, ReadAt};
pub use frame::{Frame, Patch};
pub use framing::{Framed, Framing};
pub use key::key_span;
pub use reader::{Behind, Checksum, End, Reader, Trailing, TrailingKind};
pub use salvage::{Ending, Gap, Salvager};
pub use writer::{Adapted, Carried, OnLoss, Options, Writer};
