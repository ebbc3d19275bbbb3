//! Where a load goes: a server or the masters of a cluster, asked what they are.

use std::thread;
use std::time::{Duration, Instant};

use super::probe::Probe;
use crate::error::{Error, ErrorKind, Result};
use crate::live::cluster::Topology;
use crate::live::{Connection, Endpoint};
use crate::model::Origin;

/// A server, or all masters of a cluster.
pub struct Site {
    /// What the user named.
    pub endpoint: Endpoint,
    /// Where slots are.
    pub topology: Topology,
    /// What each server of `topology` says of itself.
    pub nodes: Vec<Probe>,
}

impl Site {
    /// Asks who is there. `otherwise` is what to write for if they don't say what they are.
    pub fn find(endpoint: Endpoint, otherwise: &Origin) -> Result<Site> {
        let mut connection = endpoint.connect()?;
        let named = |e: Error| endpoint.name_it(e);
        let place = endpoint.url().place.clone();
        let is_cluster = Probe::is_cluster_node(&mut connection).map_err(named)?;
        let topology =
            if is_cluster { Topology::ask(&mut connection, &place).map_err(named)? } else { Topology::single(place) };
        drop(connection);
        let mut nodes = Vec::new();
        for place in &topology.nodes {
            let node = endpoint.at(place.clone());
            let mut connection = node.connect()?;
            nodes.push(Probe::ask(&mut connection, otherwise).map_err(|e| node.name_it(e))?);
        }
        Ok(Site { endpoint, topology, nodes })
    }

    /// How many keys there are.
    pub fn keys(&self) -> u64 {
        self.nodes.iter().map(|node| node.keys).sum()
    }

    /// What tells the runs of the servers from others; nothing of those that do not say.
    pub fn runs(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.run_id.clone()).collect()
    }

    /// Connections to all servers.
    fn connections(&self) -> impl Iterator<Item = Result<(Endpoint, Connection)>> + '_ {
        self.topology.nodes.iter().map(|place| {
            let node = self.endpoint.at(place.clone());
            let connection = node.connect()?;
            Ok((node, connection))
        })
    }

    /// Removes every key of every database, and all functions.
    pub fn flush(&mut self) -> Result<()> {
        for connected in self.connections() {
            let (node, mut connection) = connected?;
            connection.demand(&[b"FLUSHALL"]).map_err(|e| node.name_it(e))?;
            if self.nodes.first().is_some_and(|probe| probe.target.has_functions()) {
                connection.demand(&[b"FUNCTION", b"FLUSH"]).map_err(|e| node.name_it(e))?;
            }
        }
        self.nodes.iter_mut().for_each(|node| node.keys = 0);
        Ok(())
    }
}

/// Waits until a server answers and has read its own data.
///
/// Errors: the last reason why it is not ready, after that time; at once what waiting does not change, such as a wrong
/// password.
pub fn wait_until_ready(endpoint: &Endpoint, patience: Duration) -> Result<()> {
    /// Between two attempts.
    const PAUSE: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + patience;
    loop {
        let e = match endpoint.connect() {
            Ok(_) => return Ok(()),
            Err(e) => e,
        };
        let is_final = match e.kind() {
            ErrorKind::Connection(_) => false,
            ErrorKind::Refused(_) => !matches!(e.refusal(), Some("LOADING" | "BUSY" | "MASTERDOWN")),
            _ => true,
        };
        if is_final {
            return Err(e);
        }
        if Instant::now() + PAUSE > deadline {
            let waited = humantime::format_duration(patience);
            return Err(e.noting(format!("waited {waited} for it")));
        }
        thread::sleep(PAUSE);
    }
}
