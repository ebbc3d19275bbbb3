//! Commands on the groups of streams.

use super::args::{self, Args};
use super::stream::{Consumer, Group, Pending, Stream, no_stream};
use super::streams::{ids, references};
use super::{Dataset, Known, known, known_at};
use crate::codec::stream::StreamId;
use crate::error::{Error, Result};
use crate::resp::Words;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"XGROUP" => known_at(4, 2, Dataset::change_group),
        b"XCLAIM" => known(6, Dataset::claim),
        b"XACK" => known(4, |data, words| {
            let ids = words.from(3).map(|word| args::stream_id(word, 0)).collect::<Result<Vec<_>>>()?;
            let Some(stream) = data.existing::<Stream>(&words[1])? else { return Ok(()) };
            if let Some(group) = stream.groups.get_mut(&words[2]) {
                ids.into_iter().for_each(|id| drop(group.release(id)));
            }
            Ok(())
        }),
        b"XACKDEL" => known(6, Dataset::acknowledge_and_delete),
        b"XNACK" => known(7, Dataset::hand_back),
        _ => None,
    }
}

impl Dataset {
    fn change_group(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 1);
        let now = self.now;
        if args.takes("CREATE") {
            return self.create_group(words);
        }
        let is_set = args.takes("SETID");
        let what = Args::new(words, 1);
        let (key, name) = (&words[2], &words[3]);
        let Some(stream) = self.existing::<Stream>(key)? else { return Err(no_stream()) };
        if is_set {
            let mut args = Args::new(words, 4);
            let (last, read) = start(&mut args, stream)?;
            let group = stream.group(name)?;
            (group.last, group.read) = (last, read);
            return Ok(());
        }
        let mut args = what;
        if args.takes("DESTROY") {
            stream.groups.remove(name);
            return Ok(());
        }
        let is_made = args.takes("CREATECONSUMER");
        if !is_made && !args.takes("DELCONSUMER") {
            return Err(args.unknown());
        }
        let consumer = Args::new(words, 4).word()?;
        let group = stream.group(name)?;
        if is_made {
            if !group.consumers.contains_key(consumer) {
                group.consumer(consumer, now);
            }
        } else if group.consumers.remove(consumer).is_some() {
            group.pending.retain(|_, pending| pending.consumer.as_deref() != Some(consumer));
        }
        Ok(())
    }

    fn create_group(&mut self, words: &Words) -> Result<()> {
        let (key, name) = (&words[2], &words[3]);
        let makes = words.from(4).any(|word| word.eq_ignore_ascii_case(b"MKSTREAM"));
        if !makes && !self.exists(key) {
            return Err(no_stream());
        }
        let stream = self.made::<Stream>(key)?;
        let (last, read) = start(&mut Args::new(words, 4), stream)?;
        if stream.groups.contains_key(name) {
            return Err(Error::unsupported("there is a group of this name"));
        }
        stream.groups.insert(name.into(), Group { last, read, ..Group::default() });
        Ok(())
    }

    fn claim(&mut self, words: &Words) -> Result<()> {
        let (now, keeps_gone) = (self.now, self.claims_gone);
        let mut args = Args::new(words, 4);
        let min_idle = args.int()?.max(0);
        let mut ids = Vec::new();
        while let Some(id) = args.peek().and_then(|word| args::stream_id(word, 0).ok()) {
            ids.push(id);
            args.word()?;
        }
        let claim = Claim::read(&mut args, now)?;
        let stream = self.existing::<Stream>(&words[1])?.ok_or_else(no_stream)?;
        let Stream { entries, groups, .. } = stream;
        let group = groups.get_mut(&words[2]).ok_or_else(|| Error::unsupported("there is no such group"))?;
        group.last = group.last.max(claim.last);
        let (name, _) = group.consumer(&words[3], now);
        for id in ids {
            if !keeps_gone && !entries.contains_key(&id) {
                // What is gone can't be claimed, and is no longer owed.
                group.release(id);
                continue;
            }
            let old = match group.pending.get(&id) {
                Some(pending) if min_idle > 0 && now.saturating_sub(pending.delivered) < min_idle => continue,
                Some(_) => group.release(id),
                None if !claim.force => continue,
                None => None,
            };
            let before = old.map_or(0, |old| old.deliveries);
            let deliveries = claim.retries.unwrap_or(before + u64::from(!claim.only_ids));
            group.pending.insert(id, Pending { consumer: Some(name.clone()), delivered: claim.delivered, deliveries });
            if let Some(consumer) = group.consumers.get_mut(&name) {
                *consumer = Consumer { active: Some(now), ..*consumer };
            }
        }
        Ok(())
    }

    fn acknowledge_and_delete(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 3);
        let references = references(&mut args).unwrap_or_default();
        let ids = ids(&mut args)?;
        args.end()?;
        let Some(stream) = self.existing::<Stream>(&words[1])? else { return Ok(()) };
        for id in ids {
            let Some(group) = stream.groups.get_mut(&words[2]) else { return Ok(()) };
            if group.release(id).is_some() && stream.delete(id, references) {
                stream.max_deleted = stream.max_deleted.max(id);
            }
        }
        Ok(())
    }

    fn hand_back(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 3);
        let change: fn(u64) -> u64 = match args {
            _ if args.takes("SILENT") => |deliveries| deliveries.saturating_sub(1),
            _ if args.takes("FAIL") => |deliveries| deliveries,
            _ if args.takes("FATAL") => |_| i64::MAX as u64,
            _ => return Err(args.unknown()),
        };
        let ids = ids(&mut args)?;
        let (mut retries, mut force) = (None, false);
        while !args.is_at_end() {
            if args.takes("RETRYCOUNT") {
                retries = Some(args.count()? as u64);
            } else if args.takes("FORCE") {
                force = true;
            } else {
                return Err(args.unknown());
            }
        }
        let stream = self.existing::<Stream>(&words[1])?.ok_or_else(no_stream)?;
        stream.group(&words[2])?;
        let Stream { entries, groups, .. } = stream;
        let Some(group) = groups.get_mut(&words[2]) else { return Ok(()) };
        for id in ids {
            let deliveries = match group.release(id) {
                Some(old) => change(old.deliveries),
                None if !force || !entries.contains_key(&id) => continue,
                None => change(0),
            };
            let deliveries = retries.unwrap_or(deliveries);
            group.pending.insert(id, Pending { consumer: None, delivered: 0, deliveries });
            group.nacked.push(id);
        }
        Ok(())
    }
}

/// Where a group begins: an id or `$`, and how many entries it has read.
fn start(args: &mut Args<'_>, stream: &Stream) -> Result<(StreamId, Option<u64>)> {
    let last = if args.takes("$") { stream.last } else { args.id()? };
    let mut read = None;
    while !args.is_at_end() {
        if args.takes("ENTRIESREAD") {
            // Not more than there ever were.
            read = u64::try_from(args.int()?).ok().map(|read| read.min(stream.added));
        } else if !args.takes("MKSTREAM") {
            return Err(args.unknown());
        }
    }
    Ok((last, read))
}

/// What XCLAIM says behind the ids.
struct Claim {
    delivered: i64,
    retries: Option<u64>,
    force: bool,
    only_ids: bool,
    last: StreamId,
}

impl Claim {
    fn read(args: &mut Args<'_>, now: i64) -> Result<Claim> {
        let mut claim =
            Claim { delivered: now, retries: None, force: false, only_ids: false, last: StreamId::default() };
        while !args.is_at_end() {
            if args.takes("TIME") {
                let at = args.int()?;
                // A time that can't be is now.
                claim.delivered = if (0..=now).contains(&at) { at } else { now };
            } else if args.takes("IDLE") {
                claim.delivered = now.saturating_sub(args.int()?);
            } else if args.takes("RETRYCOUNT") {
                claim.retries = Some(args.count()? as u64);
            } else if args.takes("FORCE") {
                claim.force = true;
            } else if args.takes("JUSTID") {
                claim.only_ids = true;
            } else if args.takes("LASTID") {
                claim.last = args.id()?;
            } else {
                return Err(args.unknown());
            }
        }
        Ok(claim)
    }
}
