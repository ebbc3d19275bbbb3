//! What a snapshot is made of: values, records and the batches they travel in, whatever format they came from or go to.

mod batch;
mod build;
mod encoding;
pub mod facts;
mod filter;
mod functions;
mod glob;
mod limits;
mod origin;
mod record;
mod repeats;
mod rewrite;
mod skip;
mod slot;
mod target;
mod types;
mod value;

pub use batch::{Batch, Buffers, Mark};
pub use build::ValueBuf;
pub use encoding::{Shape, conventional};
pub use facts::{Class, Fingerprint, Fingerprinter};
pub use filter::{Filter, Ttl};
pub use functions::{library_head, library_name};
pub use glob::Glob;
pub use limits::Limits;
pub use origin::{Dialect, Magic, Origin, Template, Templates};
pub use record::{Entry, Eviction, KeyMeta, Record, SlotRanges};
pub use repeats::{fingerprint, repeats};
pub use rewrite::{DbMap, ElementBuf, KeyBuf, Mask, MaskBuf, Rename, Rewrite, TtlRule};
pub use skip::{skip_value, skip_value_pre_ga};
pub use slot::{SLOTS, shard_ranges, slot};
pub use target::{REDIS_VERSIONS, Server, Target, newest_version_of};
pub use types::{Kind, RdbType};
pub use value::{Element, Scratch, Value};
