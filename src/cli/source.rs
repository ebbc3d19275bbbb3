//! Where records come from: a file, or a live server.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use rdbkit::Result;
use rdbkit::live::dump::{self, Method, Snapshot};
use rdbkit::live::{Endpoint, is_url};
use rdbkit::pipeline::{Input, open, together};

use super::{ServerArgs, complain};

/// Opens a file, or takes a snapshot of the server or cluster at a URL: key by key if it is small or a database is named,
/// which begins at once, else by replication where that is allowed.
pub(crate) fn open_source(place: &Path, server: &ServerArgs, threads: NonZeroUsize) -> Result<Input> {
    /// More keys than this are worth waiting until a server begins with replication.
    const SMALL: u64 = 200_000;
    open_either(place, server, threads, SMALL)
}

/// The same for what is to be kept: of one moment, if the server allows that, however long it takes to begin.
pub(crate) fn open_whole(place: &Path, server: &ServerArgs, threads: NonZeroUsize) -> Result<Input> {
    open_either(place, server, threads, 0)
}

fn open_either(place: &Path, server: &ServerArgs, threads: NonZeroUsize, scan_up_to: u64) -> Result<Input> {
    let Some(url) = url_in(place) else { return open(place) };
    let endpoint = server.endpoint(url)?;
    let db = endpoint.url().db;
    let options = dump::Options {
        method: if db.is_some() { Method::Scan } else { Method::Auto },
        scan_up_to,
        dbs: db.into_iter().collect(),
        ..dump::Options::default()
    };
    let endpoints = dump::masters(&endpoint)?;
    let mut snapshots = dump::open_all(&endpoints, &options)?;
    snapshots.iter().for_each(say_if_refused);
    match snapshots.len() {
        1 => snapshots.remove(0).into_input(Arc::default()),
        _ => as_one(&endpoint, snapshots, threads),
    }
}

/// The URL of a live server, if that is what is named.
pub(crate) fn url_in(place: &Path) -> Option<&str> {
    place.to_str().filter(|_| is_url(place.as_os_str()))
}

/// One input of the snapshots of all masters of a cluster.
pub(crate) fn as_one(endpoint: &Endpoint, snapshots: Vec<Snapshot>, threads: NonZeroUsize) -> Result<Input> {
    let inputs = snapshots.into_iter().map(|snapshot| snapshot.into_input(Arc::default()));
    together(&endpoint.url().to_string(), inputs.collect::<Result<_>>()?, threads)
}

/// Says so if a server did not allow replication.
pub(crate) fn say_if_refused(snapshot: &Snapshot) {
    if let Some(e) = &snapshot.refused {
        let why = e.reason();
        let name = &snapshot.name;
        complain(&format!("{name}: no replication ({why}); reading key by key, which is not of one moment"));
    }
}
