//! Live servers: where they are, connections to them, and what they say.
//!
//! Blocking calls on ordinary threads; the protocol is RESP2, which every server speaks.

pub mod cluster;
mod connection;
pub mod dump;
mod info;
pub mod load;
pub mod replication;
mod reply;
mod socket;
mod tls;
mod url;

pub use connection::{Connection, Endpoint, Timeouts};
pub use info::Info;
pub use reply::{Head, Replies, Reply, Skim};
pub use socket::Sender;
pub use tls::TlsOptions;
pub use url::{Place, Url, is_url};
