//! Streams, types 15, 19, 21, 26 and 27 (`rdbLoadObject`, `t_stream.c`).
//!
//! ```text
//! nodes:LEN ( master id:STR of 16 bytes  entries:STR listpack )*
//! length:LEN  last id:LEN LEN  [v2: first id, max deleted id:LEN LEN each, entries added:LEN]
//! groups:LEN ( name:STR  last id:LEN LEN  [v2: entries read:LEN]
//!              pending:LEN ( id:16 bytes  time:i64le  deliveries:LEN )*
//!              consumers:LEN ( name:STR  seen:i64le  [v3: active:i64le]  pending:LEN ( id:16 bytes )* )*
//!              [v5: nacked:LEN ( id:16 bytes )*] )*
//! [v4: duration:LEN  max entries:LEN  producers:LEN ( id:STR  ids:LEN ( iid:STR  id:LEN LEN )* )*
//!      added:LEN  duplicates:LEN]
//!
//! listpack: count deleted n field*n 0   then entries: flags ms seq  [n (field value)*n | value*n]  back count
//! ```

mod build;
mod salvage;

use std::fmt;

pub use build::{Builder, Lost, NodeLimits, estimate_read};
pub use salvage::salvage;

use super::listpack::Listpack;
use super::{Cursor, Item, Str, length};
use crate::error::{Error, Result};

/// Which of the five layouts a stream has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// Type 15, Redis 5.0.
    V1,
    /// Type 19, Redis 7.0.
    V2,
    /// Type 21, Redis 7.2.
    V3,
    /// Type 26, Redis 8.6.
    V4,
    /// Type 27, Redis 8.8.
    V5,
}

/// The id of a stream's entry: `ms-seq`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct StreamId {
    /// Unix time in milliseconds.
    pub ms: u64,
    /// Counter within the millisecond.
    pub seq: u64,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl StreamId {
    fn read_raw(cur: &mut Cursor<'_>) -> Result<StreamId> {
        Ok(StreamId { ms: cur.u64_be()?, seq: cur.u64_be()? })
    }

    fn read(cur: &mut Cursor<'_>) -> Result<StreamId> {
        Ok(StreamId { ms: cur.length()?, seq: cur.length()? })
    }

    /// The id that this text stands for: `ms-seq`, both in decimal digits alone.
    pub fn parse(text: &[u8]) -> Option<StreamId> {
        let dash = text.iter().position(|b| *b == b'-')?;
        let number = |digits: &[u8]| {
            let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
        };
        Some(StreamId { ms: number(&text[..dash])?, seq: number(&text[dash + 1..])? })
    }

    /// Appends its 16 bytes.
    fn write_raw(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ms.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
    }

    /// Appends it as two LENs.
    fn write_pair(self, out: &mut Vec<u8>) {
        length::write(self.ms, out);
        length::write(self.seq, out);
    }

    /// Appends `ms-seq`.
    pub fn write(self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(self.ms).as_bytes());
        out.push(b'-');
        out.extend_from_slice(digits.format(self.seq).as_bytes());
    }
}

/// What a stream says of itself after its entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// Entries as the header counts them.
    pub length: u64,
    /// Entries that were found alive.
    pub found: u64,
    /// The id generated last.
    pub last: StreamId,
    /// From version 2 on.
    pub history: Option<History>,
}

/// What streams know of their past from version 2 on.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    /// The first living entry.
    pub first: StreamId,
    /// The greatest id that was ever deleted.
    pub max_deleted: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

/// A node of a stream: what its header says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Node {
    /// The id that the node is found by: its first entry's, which may be gone.
    pub master: StreamId,
    /// Living entries.
    pub live: u64,
    /// Deleted entries that still take room.
    pub deleted: u64,
    /// Bytes of its listpack.
    pub bytes: usize,
}

impl Node {
    /// Whether a server with its default limits would have begun the next node here: so all nodes but the last look
    /// where nothing was deleted and entries are small.
    pub fn is_usual(&self) -> bool {
        self.live == 100 && self.deleted == 0 && self.bytes < 4096
    }
}

/// The parts of a stream in the order in which [`each`] gives them: entries with their fields, the meta part, groups
/// each with its consumers, its pending entries and its NACKed ids, and the idempotency data with its producers.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A node; its entries follow. It says how they lie in memory, and nothing of what they are.
    Node(Node),
    /// An entry; its fields follow.
    Entry(StreamId),
    /// A field of the last entry.
    Field {
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// After all entries.
    Meta(Meta),
    /// A consumer group; its consumers and pending entries follow.
    Group {
        /// Its name.
        name: &'a [u8],
        /// The id delivered last.
        last: StreamId,
        /// How many entries it has read: `None` before version 2, `Some(None)` when the server does not know.
        entries_read: Option<Option<u64>>,
    },
    /// A consumer of the last group.
    Consumer {
        /// Its name.
        name: &'a [u8],
        /// When it was last seen, Unix time in ms.
        seen: i64,
        /// When it last got something: `None` before version 3, `Some(-1)` for never.
        active: Option<i64>,
    },
    /// A pending entry of the last group, all after the group's consumers.
    Pending {
        /// The entry's id; the entry itself may be gone.
        id: StreamId,
        /// Whose it is; `None` for a NACKed one.
        consumer: Option<&'a [u8]>,
        /// Unix time in ms.
        delivered: i64,
        /// Times it was delivered.
        deliveries: u64,
    },
    /// An id in the last group's queue of NACKed entries, in the queue's order.
    Nacked(StreamId),
    /// Idempotency settings and counters; the producers follow.
    Idempotency {
        /// Seconds for which ids are kept.
        duration: u64,
        /// How many ids a producer may have.
        max_entries: u64,
        /// Ids ever added.
        added: u64,
        /// Duplicates ever refused.
        duplicates: u64,
    },
    /// A producer; its ids follow.
    Producer(&'a [u8]),
    /// An idempotency id of the last producer.
    ProducerId {
        /// The id that the producer gave.
        iid: &'a [u8],
        /// The entry that it stands for.
        id: StreamId,
    },
}

/// Buffers for walking a stream.
#[derive(Default)]
pub struct Scratch {
    blob: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
    /// The names of a group's consumers, one after the other, and where each ends.
    names: Vec<u8>,
    name_ends: Vec<usize>,
    /// Who owns which pending id, sorted by id.
    owners: Vec<(StreamId, usize)>,
}

/// Walks a stream from its first byte to its last.
pub fn each(
    cur: &mut Cursor<'_>,
    version: Version,
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Part<'_>) -> Result<()>,
) -> Result<()> {
    let mut found = 0;
    for _ in 0..cur.length()? {
        let master = master_id(cur, &mut scratch.name)?;
        let start = cur.pos() as u64;
        let blob = Str::take(cur, &mut scratch.blob)?;
        found += node(blob, master, visit).map_err(|e| e.placed(start))?;
    }
    let mut meta = read_meta(cur, version)?;
    meta.found = found;
    visit(Part::Meta(meta))?;
    for _ in 0..cur.length()? {
        group(cur, version, scratch, visit)?;
    }
    if version >= Version::V4 {
        idempotency(cur, scratch, visit)?;
    }
    Ok(())
}

fn master_id(cur: &mut Cursor<'_>, buf: &mut Vec<u8>) -> Result<StreamId> {
    let start = *cur;
    match Str::take(cur, buf)? {
        id if id.len() == 16 => StreamId::read_raw(&mut Cursor::new(id)),
        id => Err(start.malformed(format!("stream: a node id of {} bytes", id.len()))),
    }
}

fn read_meta(cur: &mut Cursor<'_>, version: Version) -> Result<Meta> {
    let mut meta = Meta { length: cur.length()?, last: StreamId::read(cur)?, ..Meta::default() };
    if version >= Version::V2 {
        meta.history = Some(History {
            first: StreamId::read(cur)?,
            max_deleted: StreamId::read(cur)?,
            entries_added: cur.length()?,
        });
    }
    Ok(meta)
}

/// Walks one node and says how many living entries it has.
fn node(blob: &[u8], master: StreamId, visit: &mut impl FnMut(Part<'_>) -> Result<()>) -> Result<u64> {
    const DELETED: i64 = 1;
    const SAME_FIELDS: i64 = 2;
    let mut list = Listpack::new(blob)?;
    let (live, deleted) = (int(&mut list)?, int(&mut list)?);
    let counts = (u64::try_from(live).unwrap_or(0), u64::try_from(deleted).unwrap_or(0));
    visit(Part::Node(Node { master, live: counts.0, deleted: counts.1, bytes: blob.len() }))?;
    let names = count(&mut list)?;
    // The master's field names are read again for every entry that shares them; a listpack is cheap to walk.
    let master_names = list.clone();
    for _ in 0..names {
        item(&mut list)?;
    }
    if int(&mut list)? != 0 {
        return Err(Error::malformed("stream: the master entry does not end with 0"));
    }
    let (mut found, mut dead) = (0, 0);
    while let Some(flags) = list.next_item()? {
        let flags = flags.int("stream entry flags")?;
        let id = StreamId {
            ms: master.ms.wrapping_add(int(&mut list)? as u64),
            seq: master.seq.wrapping_add(int(&mut list)? as u64),
        };
        let alive = flags & DELETED == 0;
        if alive {
            found += 1;
            visit(Part::Entry(id))?;
        } else {
            dead += 1;
        }
        let same = flags & SAME_FIELDS != 0;
        let fields = if same { names } else { count(&mut list)? };
        let mut shared = same.then(|| master_names.clone());
        for _ in 0..fields {
            let name = match &mut shared {
                Some(names) => item(names)?,
                None => item(&mut list)?,
            };
            let value = item(&mut list)?;
            if alive {
                let (mut a, mut b) = (itoa::Buffer::new(), itoa::Buffer::new());
                visit(Part::Field { name: name.text(&mut a), value: value.text(&mut b) })?;
            }
        }
        let back = if same { fields + 3 } else { 2 * fields + 4 };
        if int(&mut list)? as u64 != back {
            return Err(Error::malformed(format!("stream: entry {id} has a wrong element count")));
        }
    }
    if (live, deleted) != (found, dead) {
        return Err(Error::malformed(format!(
            "stream: a node with {found} living and {dead} deleted entries says {live} and {deleted}"
        )));
    }
    Ok(found as u64)
}

fn item<'a>(list: &mut Listpack<'a>) -> Result<Item<'a>> {
    list.next_item()?.ok_or_else(|| Error::malformed("stream: a node ends within an entry"))
}

fn int(list: &mut Listpack<'_>) -> Result<i64> {
    item(list)?.int("stream node")
}

fn count(list: &mut Listpack<'_>) -> Result<u64> {
    let n = int(list)?;
    u64::try_from(n).map_err(|_| Error::malformed(format!("stream: {n} fields")))
}

fn group(
    cur: &mut Cursor<'_>,
    version: Version,
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Part<'_>) -> Result<()>,
) -> Result<()> {
    let name = Str::take(cur, &mut scratch.name)?;
    let last = StreamId::read(cur)?;
    let entries_read = match version {
        Version::V1 => None,
        _ => Some(Some(cur.length()?).filter(|n| *n != u64::MAX)),
    };
    visit(Part::Group { name, last, entries_read })?;
    let pending = cur.length()?;
    let mut pending_cur = *cur;
    for _ in 0..pending {
        skip_pending(cur)?;
    }
    scratch.names.clear();
    scratch.name_ends.clear();
    scratch.owners.clear();
    for consumer in 0..cur.length()? {
        let name = Str::take(cur, &mut scratch.name)?;
        scratch.names.extend_from_slice(name);
        scratch.name_ends.push(scratch.names.len());
        let seen = cur.i64_le()?;
        let active = if version >= Version::V3 { Some(cur.i64_le()?) } else { None };
        visit(Part::Consumer { name, seen, active })?;
        for _ in 0..cur.length()? {
            scratch.owners.push((StreamId::read_raw(cur)?, consumer as usize));
        }
    }
    give_pending(&mut pending_cur, pending, version, scratch, visit)?;
    if version >= Version::V5 {
        for _ in 0..cur.length()? {
            visit(Part::Nacked(StreamId::read_raw(cur)?))?;
        }
    }
    Ok(())
}

/// Gives the group's pending entries, each joined with the consumer that has it.
fn give_pending(
    cur: &mut Cursor<'_>,
    pending: u64,
    version: Version,
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Part<'_>) -> Result<()>,
) -> Result<()> {
    let Scratch { names, name_ends, owners, .. } = scratch;
    owners.sort_unstable();
    let mut used = 0;
    for _ in 0..pending {
        let id = StreamId::read_raw(cur)?;
        let (delivered, deliveries) = (cur.i64_le()?, cur.length()?);
        let owner = owners.binary_search_by_key(&id, |(id, _)| *id).ok().map(|i| owners[i].1);
        let consumer = owner.map(|i| {
            let start = if i == 0 { 0 } else { name_ends[i - 1] };
            &names[start..name_ends[i]]
        });
        if consumer.is_none() && version < Version::V5 {
            return Err(cur.malformed(format!("stream: pending entry {id} belongs to no consumer")));
        }
        used += u64::from(consumer.is_some());
        visit(Part::Pending { id, consumer, delivered, deliveries })?;
    }
    if used != owners.len() as u64 {
        return Err(cur.malformed("stream: a consumer has a pending entry that its group has not, or has it twice"));
    }
    Ok(())
}

fn skip_pending(cur: &mut Cursor<'_>) -> Result<()> {
    cur.take(24)?;
    cur.length()?;
    Ok(())
}

fn idempotency(
    cur: &mut Cursor<'_>,
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Part<'_>) -> Result<()>,
) -> Result<()> {
    let (duration, max_entries) = (cur.length()?, cur.length()?);
    let producers = cur.length()?;
    let mut producers_cur = *cur;
    for _ in 0..producers {
        skip_producer(cur)?;
    }
    let (added, duplicates) = (cur.length()?, cur.length()?);
    visit(Part::Idempotency { duration, max_entries, added, duplicates })?;
    let cur = &mut producers_cur;
    for _ in 0..producers {
        visit(Part::Producer(Str::take(cur, &mut scratch.name)?))?;
        for _ in 0..cur.length()? {
            let iid = Str::take(cur, &mut scratch.value)?;
            visit(Part::ProducerId { iid, id: StreamId::read(cur)? })?;
        }
    }
    Ok(())
}

fn skip_producer(cur: &mut Cursor<'_>) -> Result<()> {
    Str::skip(cur)?;
    for _ in 0..cur.length()? {
        Str::skip(cur)?;
        StreamId::read(cur)?;
    }
    Ok(())
}

/// Steps over a stream; says how many bytes its listpacks decode to.
pub fn skip(cur: &mut Cursor<'_>, version: Version) -> Result<u64> {
    let mut weight = 0_u64;
    for _ in 0..cur.length()? {
        Str::skip(cur)?;
        weight = Str::skip(cur)?.saturating_add(weight);
    }
    read_meta(cur, version)?;
    for _ in 0..cur.length()? {
        skip_group(cur, version)?;
    }
    if version >= Version::V4 {
        cur.length()?;
        cur.length()?;
        for _ in 0..cur.length()? {
            skip_producer(cur)?;
        }
        cur.length()?;
        cur.length()?;
    }
    Ok(weight)
}

fn skip_group(cur: &mut Cursor<'_>, version: Version) -> Result<()> {
    Str::skip(cur)?;
    StreamId::read(cur)?;
    if version >= Version::V2 {
        cur.length()?;
    }
    for _ in 0..cur.length()? {
        skip_pending(cur)?;
    }
    for _ in 0..cur.length()? {
        Str::skip(cur)?;
        cur.take(if version >= Version::V3 { 16 } else { 8 })?;
        skip_ids(cur)?;
    }
    if version >= Version::V5 {
        skip_ids(cur)?;
    }
    Ok(())
}

fn skip_ids(cur: &mut Cursor<'_>) -> Result<()> {
    let n = cur.length()?;
    cur.take_declared(n.saturating_mul(16)).map(drop)
}

/// How many living entries the stream's header declares; it stands behind the nodes.
pub fn declared_length(cur: &mut Cursor<'_>) -> Result<u64> {
    for _ in 0..cur.length()? {
        Str::skip(cur)?;
        Str::skip(cur)?;
    }
    cur.length()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream of type 15 of the format's test vectors: two living entries, one deleted, a group with one pending.
    const V1: &[u8] = b"\
        \x01\x10\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01\x34\x34\0\0\0\x14\0\x02\x01\x01\x01\x01\x01\x84temp\x05\0\
        \x01\x02\x01\0\x01\0\x01\x14\x01\x04\x01\x03\x01\x05\x01\xdf\xff\x02\x15\x01\x04\x01\x02\x01\x05\x01\0\
        \x01\x16\x01\x04\x01\xff\x02\x43\xed\x01\x01\x01g\x43\xe8\x01\x01\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\x01\
        \0\x68\xe5\xcf\x8b\x01\0\0\x01\x01\x01c\0\x68\xe5\xcf\x8b\x01\0\0\x01\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\0\
        \x01";

    fn parts(bytes: &[u8]) -> Result<Vec<String>> {
        let mut out = Vec::new();
        let mut cur = Cursor::new(bytes);
        each(&mut cur, Version::V1, &mut Scratch::default(), &mut |part| {
            out.push(match part {
                Part::Entry(id) => format!("{id}"),
                Part::Field { name, value } => format!("{}={}", name.escape_ascii(), value.escape_ascii()),
                Part::Meta(meta) => format!("{} of {} last {}", meta.found, meta.length, meta.last),
                Part::Group { name, last, entries_read: None } => format!("group {} {last}", name.escape_ascii()),
                Part::Consumer { name, seen, active: None } => format!("consumer {} {seen}", name.escape_ascii()),
                Part::Pending { id, consumer, delivered, deliveries } => {
                    format!("pending {id} {} {delivered} {deliveries}", consumer.unwrap().escape_ascii())
                }
                Part::Node(node) => format!("node {} {}+{}", node.master, node.live, node.deleted),
                other => panic!("{other:?}"),
            });
            Ok(())
        })?;
        cur.finish("stream")?;
        Ok(out)
    }

    #[test]
    fn walks_a_stream_of_a_real_server() {
        let want = [
            "node 1000-1 2+1",
            "1000-1",
            "temp=20",
            "1005-1",
            "temp=22",
            "2 of 2 last 1005-1",
            "group g 1000-1",
            "consumer c 1700000000000",
            "pending 1000-1 c 1700000000000 1",
        ];
        assert_eq!(parts(V1).unwrap(), want);
        let mut cur = Cursor::new(V1);
        skip(&mut cur, Version::V1).unwrap();
        assert!(cur.is_empty());
        assert_eq!(declared_length(&mut Cursor::new(V1)).unwrap(), 2);
    }

    #[test]
    fn every_cut_is_an_error() {
        for cut in 0..V1.len() {
            assert!(parts(&V1[..cut]).is_err(), "{cut}");
            assert!(skip(&mut Cursor::new(&V1[..cut]), Version::V1).unwrap_err().is_truncated(), "{cut}");
        }
    }

    #[test]
    fn the_pending_lists_must_agree() {
        let mut stray = V1.to_vec();
        *stray.last_mut().unwrap() = 9;
        assert!(parts(&stray).is_err());
    }
}
