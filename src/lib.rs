//! Reads RDB files: the snapshots (`dump.rdb`) of Redis, Valkey and their kin, of every version and dialect.
//!
//! # How it is built
//!
//! A snapshot is a stream of records. A source reads it in **batches** of whole records, which it only *measures*
//! (lengths are read, contents skipped); workers turn each batch into output bytes or into tallies; the results are
//! taken in order, so that the output never depends on the number of threads.
//!
//! A value has one form everywhere: its type and its serialized bytes, borrowed ([`model::Value`]). Whoever needs
//! what is inside walks the bytes ([`model::Value::each`]); whoever does not, copies or counts them.
//!
//! # Layers
//!
//! Each may use those above it in this list; formats never use each other.
//!
//! | layer | modules | what it knows |
//! |---|---|---|
//! | 0 | [`error`], [`text`] | what went wrong and where; bytes as people read them |
//! | 1 | [`codec`] | bytes: lengths, strings, LZF, CRC-64, listpacks, streams… |
//! | 2 | [`model`] | values, records, batches, the filter |
//! | 3 | [`rdb`], [`json`], [`csv`], [`resp`] | one format each |
//! | 4 | [`pipeline`] | inputs and outputs, threads, order |
//! | 5 | [`analysis`], [`check`], [`diff`], [`live`] | what commands are for |
//! | 6 | [`repair`] | what is put together from those |
//! | 7 | the binary | arguments, presentation, progress |
//!
//! The library never prints and never reads the environment.
//!
//! ```
//! use rdbkit::model::Record;
//!
//! let file = std::fs::File::open("testdata/tutorial.rdb")?;
//! let mut reader = rdbkit::rdb::Reader::new(Box::new(file))?;
//! let mut keys = 0;
//! reader.each(|record, _| {
//!     keys += usize::from(matches!(record, Record::Entry(_)));
//!     Ok(())
//! })?;
//! assert_eq!(keys, 11);
//! # Ok::<(), rdbkit::Error>(())
//! ```

pub mod analysis;
pub mod check;
pub mod codec;
pub mod csv;
pub mod diff;
pub mod error;
pub mod json;
pub mod live;
pub mod model;
pub mod pipeline;
pub mod rdb;
pub mod repair;
pub mod resp;
pub mod text;

pub use error::{Error, ErrorKind, Result};
