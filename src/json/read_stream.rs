//! Streams, read back from JSON.

use super::parse::Parser;
use crate::codec::stream::{History, Meta, Node, Part, StreamId};
use crate::error::Result;
use crate::model::{Element, ValueBuf};

/// The members of a stream: ids and counts, and where the arrays stand.
#[derive(Default)]
struct Members<'a> {
    last: Option<StreamId>,
    first: Option<StreamId>,
    max_deleted: Option<StreamId>,
    entries_added: Option<u64>,
    length: Option<u64>,
    entries: Option<Parser<'a>>,
    nodes: Vec<(StreamId, u64)>,
    groups: Option<Parser<'a>>,
    idempotency: Option<Parser<'a>>,
}

/// Reads a stream and pushes its parts, in whatever order its members stand.
pub(super) fn read_stream(p: &mut Parser<'_>, values: &mut ValueBuf) -> Result<()> {
    let start = *p;
    let mut members = Members::default();
    p.object(|p, name, at| {
        match name {
            b"entries" => members.entries = Some(p.later()?),
            b"nodes" => p.array(|p| {
                let (mut id, mut count) = (StreamId::default(), 0);
                p.pair(|p| Ok(id = read_id(p)?), |p| Ok(count = p.integer("nodes")?))?;
                members.nodes.push((id, count));
                Ok(())
            })?,
            b"lastId" => members.last = Some(read_id(p)?),
            b"firstId" => members.first = Some(read_id(p)?),
            b"maxDeletedId" => members.max_deleted = Some(read_id(p)?),
            b"entriesAdded" => members.entries_added = Some(p.integer("entriesAdded")?),
            b"length" => members.length = Some(p.integer("length")?),
            b"groups" => members.groups = Some(p.later()?),
            b"idmp" => members.idempotency = Some(p.later()?),
            _ => return Err(at.wrong(format!("stream: unknown member {}", crate::text::quoted_short(name)))),
        }
        Ok(())
    })?;
    let Some(last) = members.last else { return Err(start.wrong("stream: it has no lastId")) };
    let history = match (members.first, members.max_deleted, members.entries_added) {
        (Some(first), Some(max_deleted), Some(entries_added)) => Some(History { first, max_deleted, entries_added }),
        (None, None, None) => None,
        _ => return Err(start.wrong("stream: firstId, maxDeletedId and entriesAdded belong together")),
    };
    let mut count = 0;
    if let Some(mut p) = members.entries {
        read_entries(&mut p, values, &members.nodes, &mut count)?;
    }
    let length = members.length.unwrap_or(count);
    push(values, Part::Meta(Meta { length, found: count, last, history }))?;
    if let Some(mut p) = members.groups {
        p.array(|p| read_group(p, values))?;
    }
    match members.idempotency {
        Some(mut p) => read_idempotency(&mut p, values),
        None => Ok(()),
    }
}

fn push(values: &mut ValueBuf, part: Part<'_>) -> Result<()> {
    values.push(Element::Stream(part))
}

fn read_id(p: &mut Parser<'_>) -> Result<StreamId> {
    p.peek()?;
    let start = *p;
    let mut buf = Vec::new();
    let text = p.text_string(&mut buf)?;
    StreamId::parse(text).ok_or_else(|| start.wrong("stream: an id such as \"1526919030474-55\" must stand here"))
}

fn read_entries(p: &mut Parser<'_>, values: &mut ValueBuf, nodes: &[(StreamId, u64)], count: &mut u64) -> Result<()> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let (mut nodes, mut left) = (nodes.iter(), 0);
    p.array(|p| {
        if left == 0
            && let Some((master, live)) = nodes.next()
        {
            left = *live;
            push(values, Part::Node(Node { master: *master, live: *live, ..Node::default() }))?;
        }
        left = left.saturating_sub(1);
        let start = *p;
        let (mut id, mut fields) = (None, None);
        p.object(|p, name, at| match name {
            b"id" => Ok(id = Some(read_id(p)?)),
            b"fields" => Ok(fields = Some(p.later()?)),
            _ => Err(at.wrong("stream: an unknown member of an entry")),
        })?;
        let (Some(id), Some(mut fields)) = (id, fields) else {
            return Err(start.wrong("stream: an entry has id and fields"));
        };
        push(values, Part::Entry(id)).map_err(|e| e.at(start.pos() as u64))?;
        *count += 1;
        fields.array(|p| {
            let (mut name, mut value): (&[u8], &[u8]) = (b"", b"");
            p.pair(|p| Ok(name = p.bytes("field", &mut a)?), |p| Ok(value = p.bytes("value", &mut b)?))?;
            push(values, Part::Field { name, value })
        })
    })
}

fn read_group(p: &mut Parser<'_>, values: &mut ValueBuf) -> Result<()> {
    let start = *p;
    let (mut name, mut last, mut entries_read) = (None, None, None);
    let (mut consumers, mut pending, mut nacked) = (None, None, None);
    p.object(|p, member, at| {
        match member {
            b"name" => name = Some(p.bytes("name", &mut Vec::new())?.to_vec()),
            b"lastId" => last = Some(read_id(p)?),
            b"entriesRead" => entries_read = Some(p.integer_or_null("entriesRead")?),
            b"consumers" => consumers = Some(p.later()?),
            b"pending" => pending = Some(p.later()?),
            b"nacked" => nacked = Some(p.later()?),
            _ => return Err(at.wrong("stream: an unknown member of a group")),
        }
        Ok(())
    })?;
    let (Some(name), Some(last)) = (name, last) else { return Err(start.wrong("stream: a group has name and lastId")) };
    let located = |e: crate::Error| e.at(start.pos() as u64);
    push(values, Part::Group { name: &name, last, entries_read }).map_err(located)?;
    if let Some(mut p) = consumers {
        p.array(|p| read_consumer(p, values))?;
    }
    let mut of_nobody = Vec::new();
    if let Some(mut p) = pending {
        p.array(|p| read_pending(p, &mut of_nobody, values))?;
    }
    match nacked {
        Some(mut p) => p.array(|p| push(values, Part::Nacked(read_id(p)?))),
        // Whoever writes by hand need not say in which order they wait.
        None => {
            of_nobody.sort_unstable();
            of_nobody.iter().try_for_each(|id| push(values, Part::Nacked(*id)))
        }
    }
}

fn read_consumer(p: &mut Parser<'_>, values: &mut ValueBuf) -> Result<()> {
    let start = *p;
    let (mut name, mut seen, mut active) = (None, 0, None);
    p.object(|p, member, at| {
        match member {
            b"name" => name = Some(p.bytes("name", &mut Vec::new())?.to_vec()),
            b"seenAt" => seen = p.integer("seenAt")?,
            b"activeAt" => active = Some(p.integer_or_null("activeAt")?.unwrap_or(-1)),
            _ => return Err(at.wrong("stream: an unknown member of a consumer")),
        }
        Ok(())
    })?;
    let Some(name) = name else { return Err(start.wrong("stream: a consumer has a name")) };
    push(values, Part::Consumer { name: &name, seen, active }).map_err(|e| e.at(start.pos() as u64))
}

fn read_pending(p: &mut Parser<'_>, of_nobody: &mut Vec<StreamId>, values: &mut ValueBuf) -> Result<()> {
    let start = *p;
    let (mut id, mut consumer, mut delivered, mut deliveries) = (None, None, 0, 1);
    p.object(|p, member, at| {
        match member {
            b"id" => id = Some(read_id(p)?),
            b"consumer" if p.try_null()? => {}
            b"consumer" => consumer = Some(p.bytes("consumer", &mut Vec::new())?.to_vec()),
            b"deliveredAt" => delivered = p.integer("deliveredAt")?,
            b"deliveries" => deliveries = p.integer("deliveries")?,
            _ => return Err(at.wrong("stream: an unknown member of a pending entry")),
        }
        Ok(())
    })?;
    let Some(id) = id else { return Err(start.wrong("stream: a pending entry has an id")) };
    of_nobody.extend(consumer.is_none().then_some(id));
    let part = Part::Pending { id, consumer: consumer.as_deref(), delivered, deliveries };
    push(values, part).map_err(|e| e.at(start.pos() as u64))
}

fn read_idempotency(p: &mut Parser<'_>, values: &mut ValueBuf) -> Result<()> {
    let (mut duration, mut max_entries, mut added, mut duplicates) = (100, 100, 0, 0);
    let mut producers = None;
    p.object(|p, member, at| {
        match member {
            b"duration" => duration = p.integer("duration")?,
            b"maxEntries" => max_entries = p.integer("maxEntries")?,
            b"added" => added = p.integer("added")?,
            b"duplicates" => duplicates = p.integer("duplicates")?,
            b"producers" => producers = Some(p.later()?),
            _ => return Err(at.wrong("stream: an unknown member of idmp")),
        }
        Ok(())
    })?;
    push(values, Part::Idempotency { duration, max_entries, added, duplicates })?;
    match producers {
        Some(mut p) => p.array(|p| read_producer(p, values)),
        None => Ok(()),
    }
}

fn read_producer(p: &mut Parser<'_>, values: &mut ValueBuf) -> Result<()> {
    let start = *p;
    let (mut id, mut iids) = (None, None);
    p.object(|p, member, at| {
        match member {
            b"id" => id = Some(p.bytes("id", &mut Vec::new())?.to_vec()),
            b"iids" => iids = Some(p.later()?),
            _ => return Err(at.wrong("stream: an unknown member of a producer")),
        }
        Ok(())
    })?;
    let (Some(id), Some(mut iids)) = (id, iids) else { return Err(start.wrong("stream: a producer has id and iids")) };
    push(values, Part::Producer(&id))?;
    let mut buf = Vec::new();
    iids.array(|p| {
        let (mut iid, mut id): (&[u8], _) = (b"", StreamId::default());
        p.pair(|p| Ok(iid = p.bytes("iid", &mut buf)?), |p| Ok(id = read_id(p)?))?;
        push(values, Part::ProducerId { iid, id })
    })
}
