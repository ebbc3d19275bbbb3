//! Streams as JSON.

use super::syntax::{comma, integer, member, pair, write_string};
use crate::codec::stream::{Meta, Node, Part, StreamId};

/// Writes a stream's parts in the order in which they come.
pub(super) struct StreamWriter {
    open: Open,
    /// The nodes, each with its first living entry.
    nodes: Vec<(Node, Option<StreamId>)>,
}

/// The array that the next part may go on with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Entries,
    Fields,
    Groups,
    Consumers,
    Pending,
    Nacked,
    Producers,
    Ids,
}

impl StreamWriter {
    pub(super) fn begin(out: &mut Vec<u8>) -> StreamWriter {
        out.extend_from_slice(b"{\"entries\":[");
        StreamWriter { open: Open::Entries, nodes: Vec::new() }
    }

    pub(super) fn part(&mut self, part: Part<'_>, out: &mut Vec<u8>) {
        match part {
            Part::Node(node) => self.nodes.push((node, None)),
            Part::Entry(id) => {
                if let Some((_, first)) = self.nodes.last_mut() {
                    first.get_or_insert(id);
                }
                self.close_member(out);
                object("id", out, |out| write_id(id, out));
                self.array("fields", Open::Fields, out);
            }
            Part::Field { name, value } => {
                comma(out);
                pair(out, |out| write_string(name, out), |out| write_string(value, out));
            }
            Part::Meta(meta) => {
                self.close_member(out);
                out.push(b']');
                write_meta(meta, out);
                self.write_nodes(out);
                self.array("groups", Open::Groups, out);
            }
            Part::Group { name, last, entries_read } => self.group(name, last, entries_read, out),
            Part::Consumer { name, seen, active } => write_consumer(name, seen, active, out),
            Part::Pending { id, consumer, delivered, deliveries } => {
                if self.open == Open::Consumers {
                    out.push(b']');
                    self.array("pending", Open::Pending, out);
                }
                write_pending(id, consumer, delivered, deliveries, out);
            }
            Part::Nacked(id) => {
                if self.open == Open::Consumers {
                    out.extend_from_slice(b"],\"pending\":[");
                    self.open = Open::Pending;
                }
                if self.open == Open::Pending {
                    out.push(b']');
                    self.array("nacked", Open::Nacked, out);
                }
                comma(out);
                write_id(id, out);
            }
            Part::Idempotency { duration, max_entries, added, duplicates } => {
                self.close_member(out);
                out.extend_from_slice(b"],\"idmp\":{\"duration\":");
                integer(duration, out);
                member("maxEntries", out, |out| integer(max_entries, out));
                member("added", out, |out| integer(added, out));
                member("duplicates", out, |out| integer(duplicates, out));
                self.array("producers", Open::Producers, out);
            }
            Part::Producer(id) => {
                self.close_member(out);
                object("id", out, |out| write_string(id, out));
                self.array("iids", Open::Ids, out);
            }
            Part::ProducerId { iid, id } => {
                comma(out);
                pair(out, |out| write_string(iid, out), |out| write_id(id, out));
            }
        }
    }

    /// How the entries lie in nodes, where a server that added them one by one would have made others.
    fn write_nodes(&self, out: &mut Vec<u8>) {
        let begins_alive = |(node, first): &(Node, Option<StreamId>)| *first == Some(node.master);
        let may_grow = |node: &Node| node.live <= 100 && node.bytes <= 4096;
        let Some((last, others)) = self.nodes.split_last() else { return };
        if self.nodes.iter().all(begins_alive) && may_grow(&last.0) && others.iter().all(|(node, _)| node.is_usual()) {
            return;
        }
        member("nodes", out, |out| out.push(b'['));
        for (node, _) in &self.nodes {
            comma(out);
            pair(out, |out| write_id(node.master, out), |out| integer(node.live, out));
        }
        out.push(b']');
    }

    fn group(&mut self, name: &[u8], last: StreamId, entries_read: Option<Option<u64>>, out: &mut Vec<u8>) {
        self.close_member(out);
        object("name", out, |out| write_string(name, out));
        member("lastId", out, |out| write_id(last, out));
        match entries_read {
            Some(Some(n)) => member("entriesRead", out, |out| integer(n, out)),
            Some(None) => member("entriesRead", out, null),
            None => {}
        }
        self.array("consumers", Open::Consumers, out);
    }

    pub(super) fn end(mut self, out: &mut Vec<u8>) {
        self.close_member(out);
        out.extend_from_slice(if self.open == Open::Producers { b"]}}" } else { b"]}" });
    }

    fn array(&mut self, name: &str, open: Open, out: &mut Vec<u8>) {
        member(name, out, |out| out.push(b'['));
        self.open = open;
    }

    /// Closes an entry, a group or a producer, if one is open.
    fn close_member(&mut self, out: &mut Vec<u8>) {
        let (rest, outer) = match self.open {
            Open::Fields => ("]}", Open::Entries),
            Open::Consumers => ("],\"pending\":[]}", Open::Groups),
            Open::Pending | Open::Nacked => ("]}", Open::Groups),
            Open::Ids => ("]}", Open::Producers),
            Open::Entries | Open::Groups | Open::Producers => return,
        };
        out.extend_from_slice(rest.as_bytes());
        self.open = outer;
    }
}

/// Begins an object in an array with its first member.
fn object(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    comma(out);
    out.push(b'{');
    member(name, out, value);
}

fn write_consumer(name: &[u8], seen: i64, active: Option<i64>, out: &mut Vec<u8>) {
    object("name", out, |out| write_string(name, out));
    member("seenAt", out, |out| integer(seen, out));
    match active {
        Some(-1) => member("activeAt", out, null),
        Some(at) => member("activeAt", out, |out| integer(at, out)),
        None => {}
    }
    out.push(b'}');
}

fn write_pending(id: StreamId, consumer: Option<&[u8]>, delivered: i64, deliveries: u64, out: &mut Vec<u8>) {
    object("id", out, |out| write_id(id, out));
    member("consumer", out, |out| match consumer {
        Some(name) => write_string(name, out),
        None => null(out),
    });
    member("deliveredAt", out, |out| integer(delivered, out));
    member("deliveries", out, |out| integer(deliveries, out));
    out.push(b'}');
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

fn write_meta(meta: Meta, out: &mut Vec<u8>) {
    member("lastId", out, |out| write_id(meta.last, out));
    if let Some(history) = meta.history {
        member("firstId", out, |out| write_id(history.first, out));
        member("maxDeletedId", out, |out| write_id(history.max_deleted, out));
        member("entriesAdded", out, |out| integer(history.entries_added, out));
    }
    // Development versions of 2018 could count wrongly; the server believes the count.
    if meta.length != meta.found {
        member("length", out, |out| integer(meta.length, out));
    }
}

fn write_id(id: StreamId, out: &mut Vec<u8>) {
    out.push(b'"');
    id.write(out);
    out.push(b'"');
}
