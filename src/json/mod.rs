//! JSON backups: lossless, readable, streamable, diffable.
//!
//! `json` is one object, an entry a line; `ndjson` is the same lines without the frame. A string is a JSON string when
//! it is valid UTF-8, else `{"base64":"…"}`. The README describes every member.

mod frame;
mod head;
mod parse;
mod read_other;
mod read_stream;
mod reader;
mod source;
mod stream;
mod syntax;
mod values;
mod writer;

pub use frame::Frame;
pub use head::Header;
pub use reader::EntryReader;
pub use source::{Batch, Source};
pub use syntax::{write_base64, write_string};
pub use writer::{Form, Writer};
