//! RESP, the protocol that servers speak: keys as the commands that rebuild them, and what commands have built. Sending
//! is not done here.

mod dataset;
pub mod frame;
mod manifest;
mod payload;
mod reader;
mod stream;
mod writer;

pub use dataset::{Batch, Dataset, Drain, is_command};
pub use manifest::{AofFile, Manifest, Role};
pub use payload::dump_payload;
pub use reader::{Commands, Words};
pub use writer::{Options, Writer, restore};
