//! What a snapshot is made of: values, records and the batches they travel in, whatever format they came from or go to.

mod batch;
mod encoding;
mod filter;
mod glob;
mod origin;
mod record;
mod rewrite;
mod skip;
mod slot;
mod types;
mod value;

pub use batch::{Batch, Buffers, Mark};
pub use encoding::{Shape, conventional};
pub use filter::{Filter, Ttl};
pub use glob::Glob;
pub use origin::{Dialect, Magic, Origin, Template, Templates};
pub use record::{Entry, Eviction, KeyMeta, Record};
pub use rewrite::{DbMap, ElementBuf, KeyBuf, Mask, MaskBuf, Rename, Rewrite, TtlRule};
pub use skip::{skip_value, skip_value_pre_ga};
pub use slot::{SLOTS, slot};
pub use types::{Kind, RdbType};
pub use value::{Element, Scratch, Value};
