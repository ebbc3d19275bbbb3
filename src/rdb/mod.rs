//! RDB files: from bytes to batches of records, and from records to bytes.

mod frame;
mod key;
mod measure;
mod reader;
mod salvage;
mod writer;

pub use frame::{Frame, Patch};
pub use key::key_span;
pub use reader::{Checksum, End, Reader, Trailing, TrailingKind};
pub use salvage::{Ending, Gap, Salvager};
pub use writer::{Carried, OnLoss, Options, Writer};
