//! What a dump says about itself: the summary of `info`, the rows of `keys`, and which servers can load it.

mod compat;
mod digest;
mod memory;
mod rows;
mod summary;

pub use compat::{Features, Loadable, lowest_redis, lowest_valkey};
pub use digest::{Digest, DigestOptions, Digests, digest};
pub use memory::{Allocator, MemoryModel, Overhead, Server, Usage};
pub use rows::{KeyRow, Sort, rows, sorted_rows};
pub use summary::{Database, EncodingTally, ModuleUse, Summarized, Summary, TypeKey, summarize};
