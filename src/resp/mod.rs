//! RESP, the protocol that servers speak: keys as the commands that rebuild them. It only writes; sending is not done
//! here.

pub mod frame;
mod writer;

pub use writer::{Options, Writer, dump_payload};
