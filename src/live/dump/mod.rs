//! Snapshots of live servers, as RDB bytes: by replication, which a server may refuse, or key by key.

mod names;
mod payload;
mod save;
mod scan;
mod sync;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use save::{Saved, save};

use super::cluster::Topology;
use super::connection::Endpoint;
use super::info::Info;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Input, Meter};

/// How a snapshot is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Method {
    /// By replication if the server lets us, else key by key.
    #[default]
    Auto,
    /// As a replica: the file that the server makes for it, all of one moment.
    Sync,
    /// Key by key: SCAN, DUMP and expiries, while the data go on changing.
    Scan,
}

/// What is wanted of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How it is taken.
    pub method: Method,
    /// With [`Method::Auto`]: a server with at most so many keys is read key by key, which begins at once.
    pub scan_up_to: u64,
    /// With [`Method::Scan`]: ask also how long ago or how often each key was used.
    pub eviction: bool,
    /// With [`Method::Scan`]: only these databases; none listed means all.
    pub dbs: Vec<u64>,
    /// With [`Method::Scan`]: only keys that match this glob pattern.
    pub pattern: Option<Vec<u8>>,
}

/// What happened while a snapshot was taken. It grows while its bytes are read.
#[derive(Default, Debug)]
pub struct Tally {
    /// Keys that were gone when their turn came.
    gone: AtomicU64,
    /// Keys that this user may not read.
    forbidden: AtomicU64,
    /// This user may not read the function libraries.
    functions_forbidden: AtomicBool,
}

impl Tally {
    /// Keys that were gone when their turn came.
    pub fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }

    /// Keys that this user may not read.
    pub fn forbidden(&self) -> u64 {
        self.forbidden.load(Ordering::Relaxed)
    }

    /// Whether this user may not read the function libraries.
    pub fn functions_forbidden(&self) -> bool {
        self.functions_forbidden.load(Ordering::Relaxed)
    }
}

/// A snapshot that has begun. Nothing is kept here: its bytes come from the server as they are read.
pub struct Snapshot {
    /// An RDB file. Errors come as [`Error`]s inside of the I/O errors.
    pub bytes: Box<dyn Read + Send>,
    /// How many bytes there are, if the server says so.
    pub size: Option<u64>,
    /// How many keys there are about, if the server says so.
    pub keys: Option<u64>,
    /// How it is taken: never [`Method::Auto`].
    pub method: Method,
    /// Why not by replication, where that was tried.
    pub refused: Option<Error>,
    /// What happened.
    pub tally: Arc<Tally>,
    /// The server.
    pub name: String,
}

impl Snapshot {
    /// The snapshot as an input like any other.
    pub fn into_input(self, meter: Arc<Meter>) -> Result<Input> {
        let mut input = Input::from_read(&self.name, self.bytes, meter)?;
        input.size = self.size;
        Ok(input)
    }
}

/// Begins a snapshot of one server; comes back when the first bytes are there.
///
/// Errors: the server can't be reached; it refuses what was asked for.
pub fn open(endpoint: &Endpoint, options: &Options) -> Result<Snapshot> {
    let begun = begin(endpoint, options);
    begun.map_err(|e| endpoint.name_it(e))
}

/// The masters of the cluster that a server belongs to, or only this server.
///
/// Errors: it can't be reached; slots that nobody serves.
pub fn masters(endpoint: &Endpoint) -> Result<Vec<Endpoint>> {
    let find = || {
        let mut connection = endpoint.connect()?;
        if !Info::ask(&mut connection)?.is_cluster() {
            return Ok(vec![endpoint.clone()]);
        }
        let topology = Topology::ask(&mut connection, &endpoint.url().place)?;
        Ok(topology.nodes.into_iter().map(|place| endpoint.at(place)).collect())
    };
    find().map_err(|e| endpoint.name_it(e))
}

/// Begins snapshots of several servers, all at the same time.
pub fn open_all(endpoints: &[Endpoint], options: &Options) -> Result<Vec<Snapshot>> {
    std::thread::scope(|scope| {
        let opening: Vec<_> = endpoints.iter().map(|endpoint| scope.spawn(|| open(endpoint, options))).collect();
        let joined = opening.into_iter().map(|thread| thread.join());
        joined.map(|opened| opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn begin(endpoint: &Endpoint, options: &Options) -> Result<Snapshot> {
    let mut connection = endpoint.connect()?;
    let info = Info::ask(&mut connection)?;
    let keys = info.keyspace().map(|dbs| dbs.iter().map(|(_, keys)| keys).sum());
    let method = match options.method {
        Method::Auto if keys.is_some_and(|keys: u64| keys <= options.scan_up_to) => Method::Scan,
        method => method,
    };
    let mut snapshot = Snapshot {
        bytes: Box::new(std::io::empty()),
        size: None,
        keys,
        method,
        refused: None,
        tally: Arc::default(),
        name: endpoint.url().to_string(),
    };
    if method != Method::Scan {
        snapshot.method = Method::Sync;
        match sync::begin(connection, &info) {
            Ok((bytes, size)) => {
                (snapshot.bytes, snapshot.size) = (bytes, size);
                return Ok(snapshot);
            }
            Err(e) if method == Method::Auto && is_refusal(&e) => snapshot.refused = Some(e),
            Err(e) => return Err(e),
        }
        connection = endpoint.connect()?;
    }
    snapshot.method = Method::Scan;
    let scan = scan::Scan::begin(connection, &info, options, snapshot.tally.clone())?;
    snapshot.bytes = Box::new(scan);
    Ok(snapshot)
}

/// Whether a server, or somebody in between, does not want replication, as opposed to being out of reach.
fn is_refusal(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::Refused(_) | ErrorKind::Connection(_))
}
