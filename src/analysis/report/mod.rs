//! The report: what there is to know of a dump's memory, as JSON and as one page that needs nothing else.

mod document;

pub use document::{bytes, document};
