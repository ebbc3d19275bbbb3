//! JSON backups: lossless, readable, streamable, diffable.
//!
//! `json` is one object, an entry a line; `ndjson` is the same lines without the frame. A string is a JSON string when
//! it is valid UTF-8, else `{"base64":"…"}`. The README describes every member.

mod stream;
mod string;
mod writer;

pub use string::write_string;
pub use writer::{Form, Frame, Writer};
