//! RESP, the protocol that servers speak: keys as the commands that rebuild them. It only writes; sending is not done
//! here.

pub mod frame;
mod payload;
mod stream;
mod writer;

pub use payload::dump_payload;
pub use writer::{Options, Writer, restore};
