//! Clusters: which node serves which slot.

use std::sync::atomic::{AtomicU16, Ordering};

use super::connection::Connection;
use super::reply::Reply;
use super::url::Place;
use crate::error::{Error, Result};
use crate::model::SLOTS;

/// The masters of a cluster and the slots of each. A table of one node without slots is a server by itself.
pub struct Topology {
    /// The masters.
    pub nodes: Vec<Place>,
    /// The node of each slot, by its place in `nodes`; nothing if it is no cluster.
    slots: Vec<AtomicU16>,
}

impl Topology {
    /// A server by itself.
    pub fn single(place: Place) -> Topology {
        Topology { nodes: vec![place], slots: Vec::new() }
    }

    /// Asks a node of a cluster. `place` is where that node was reached.
    ///
    /// Errors: the node's refusal; slots that nobody serves.
    pub fn ask(connection: &mut Connection, place: &Place) -> Result<Topology> {
        let reply = connection.demand(&[b"CLUSTER", b"SLOTS"])?;
        Topology::of(&reply, place)
    }

    fn of(reply: &Reply, place: &Place) -> Result<Topology> {
        let mut nodes: Vec<Place> = Vec::new();
        let mut slots: Vec<Option<u16>> = vec![None; usize::from(SLOTS)];
        for range in reply.items() {
            let [first, last, master, ..] = range.items() else { return Err(odd()) };
            let master = node(master, place).ok_or_else(odd)?;
            let at = nodes.iter().position(|known| *known == master).unwrap_or_else(|| {
                nodes.push(master);
                nodes.len() - 1
            });
            let slot = |reply: &Reply| reply.int().and_then(|n| usize::try_from(n).ok());
            let range = slot(first).zip(slot(last)).and_then(|(first, last)| slots.get_mut(first..=last));
            range.ok_or_else(odd)?.fill(Some(u16::try_from(at).map_err(|_| odd())?));
        }
        if let Some(first) = slots.iter().position(Option::is_none) {
            let n = slots.iter().filter(|node| node.is_none()).count();
            let hint = "; 'redis-cli --cluster check' tells more";
            return Err(Error::connection(format!("nobody in the cluster serves slot {first} ({n} in all){hint}")));
        }
        Ok(Topology { nodes, slots: slots.into_iter().flatten().map(AtomicU16::new).collect() })
    }

    /// Whether it is a cluster.
    pub fn is_cluster(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Which of the nodes serves a slot.
    pub fn node_of(&self, slot: u16) -> usize {
        self.slots.get(usize::from(slot)).map_or(0, |node| usize::from(node.load(Ordering::Relaxed)))
    }

    /// Notes that a slot has moved, if it is to a node that is known.
    pub fn moved(&self, slot: u16, to: &Place) {
        let node = self.nodes.iter().position(|node| node == to).and_then(|at| u16::try_from(at).ok());
        if let (Some(node), Some(slot)) = (node, self.slots.get(usize::from(slot))) {
            slot.store(node, Ordering::Relaxed);
        }
    }
}

fn odd() -> Error {
    Error::connection("the answer to CLUSTER SLOTS is not understood")
}

/// A node as CLUSTER SLOTS has it: host, port, id. A node that does not know its own host says nothing there.
fn node(reply: &Reply, asked: &Place) -> Option<Place> {
    let [host, port, ..] = reply.items() else { return None };
    let host = host.to_text().filter(|host| !host.is_empty() && host != "?");
    place(host.as_deref().unwrap_or_default(), u16::try_from(port.int()?).ok()?, asked)
}

fn place(host: &str, port: u16, asked: &Place) -> Option<Place> {
    let host = match (host, asked) {
        ("", Place::Tcp { host, .. }) => host.clone(),
        ("", Place::Unix(_)) => "127.0.0.1".into(),
        (host, _) => host.to_owned(),
    };
    Some(Place::Tcp { host, port })
}

/// Where `MOVED 3999 127.0.0.1:6381` or `ASK …` sends us: the slot and the node.
pub fn redirection(words: &str, asked: &Place) -> Option<(u16, Place)> {
    let mut parts = words.split(' ').skip(1);
    let slot = parts.next()?.parse().ok()?;
    let (host, port) = parts.next()?.rsplit_once(':')?;
    Some((slot, place(host, port.parse().ok()?, asked)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    fn range(first: i64, last: i64, host: &str, port: i64) -> Reply {
        let node = Reply::Array(vec![text(host), Reply::Int(port), text("id")]);
        Reply::Array(vec![Reply::Int(first), Reply::Int(last), node.clone(), node])
    }

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    #[test]
    fn slots_have_masters() {
        let reply = Reply::Array(vec![range(0, 99, "a", 1), range(200, 16383, "", 2), range(100, 199, "a", 1)]);
        let topology = Topology::of(&reply, &tcp("asked", 9)).unwrap();
        assert_eq!(topology.nodes, [tcp("a", 1), tcp("asked", 2)]);
        assert_eq!([0, 150, 200, 16383].map(|slot| topology.node_of(slot)), [0, 0, 1, 1]);
        topology.moved(150, &tcp("asked", 2));
        topology.moved(151, &tcp("unknown", 2));
        assert_eq!([150, 151].map(|slot| topology.node_of(slot)), [1, 0]);
    }

    #[test]
    fn gaps_and_nonsense_are_told() {
        let e = |ranges: Vec<Reply>| Topology::of(&Reply::Array(ranges), &tcp("h", 1)).err().unwrap().to_string();
        assert!(e(vec![range(0, 16382, "a", 1)]).contains("slot 16383 (1 in all)"));
        assert!(e(vec![range(0, 16384, "a", 1)]).contains("not understood"));
        assert!(e(vec![range(5, 4, "a", 1), text("x")]).contains("not understood"));
        assert!(e(vec![]).contains("slot 0 (16384 in all)"));
    }

    #[test]
    fn redirections_name_a_node() {
        let asked = tcp("h", 1);
        assert_eq!(redirection("MOVED 3999 127.0.0.1:6381", &asked), Some((3999, tcp("127.0.0.1", 6381))));
        assert_eq!(redirection("ASK 1 ::1:6381", &asked), Some((1, tcp("::1", 6381))));
        assert_eq!(redirection("MOVED 1 :6381", &asked), Some((1, tcp("h", 6381))));
        assert_eq!(redirection("MOVED 1", &asked), None);
    }
}
