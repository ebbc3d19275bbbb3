//! Commands on streams and their entries.

use super::args::{self, Args};
use super::stream::{Fields, Idempotency, References, Stream, no_stream};
use super::{Dataset, Known, behind_key, known};
use crate::codec::stream::StreamId;
use crate::error::{Error, Result};
use crate::resp::Words;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"XADD" => known(5, Dataset::add_entry),
        b"XDEL" => known(3, |data, words| {
            let ids = words.from(2).map(|word| args::stream_id(word, 0)).collect::<Result<Vec<_>>>()?;
            data.delete_entries(&words[1], &ids, References::Keep)
        }),
        b"XDELEX" => known(5, |data, words| {
            let mut args = behind_key(words);
            let references = references(&mut args).unwrap_or_default();
            let ids = ids(&mut args)?;
            args.end()?;
            data.delete_entries(&words[1], &ids, references)
        }),
        b"XTRIM" => known(4, |data, words| {
            let mut args = behind_key(words);
            let trim = Trim::read(&mut args)?.ok_or_else(|| args.unknown())?;
            args.end()?;
            if let Some(stream) = data.existing::<Stream>(&words[1])? {
                trim.apply(stream);
            }
            Ok(())
        }),
        b"XSETID" => known(3, Dataset::set_last_id),
        b"XCFGSET" => known(4, Dataset::configure_stream),
        b"XIDMPRECORD" => known(5, |data, words| {
            let id = args::stream_id(&words[4], 0)?;
            let stream = data.existing::<Stream>(&words[1])?.ok_or_else(no_stream)?;
            if stream.entries.contains_key(&id) {
                stream.remember(&words[2], &words[3], id);
            }
            Ok(())
        }),
        _ => None,
    }
}

/// What becomes of references, if the next word says it.
pub(super) fn references(args: &mut Args<'_>) -> Option<References> {
    [("KEEPREF", References::Keep), ("DELREF", References::Delete), ("ACKED", References::Acknowledged)]
        .into_iter()
        .find_map(|(word, references)| args.takes(word).then_some(references))
}

/// `IDS`, how many, and that many ids.
pub(super) fn ids(args: &mut Args<'_>) -> Result<Vec<StreamId>> {
    if !args.takes("IDS") {
        return Err(args.unknown());
    }
    args.counted()?.into_iter().map(|word| args::stream_id(word, 0)).collect()
}

/// Which entries a stream loses.
struct Trim {
    until: Until,
    references: References,
}

enum Until {
    Length(usize),
    Id(StreamId),
}

impl Trim {
    /// Reads `MAXLEN` or `MINID` and what belongs to it. What may be left by `~` goes here: whoever wrote the command
    /// can do without it.
    fn read(args: &mut Args<'_>) -> Result<Option<Trim>> {
        let by_length = args.takes("MAXLEN");
        if !by_length && !args.takes("MINID") {
            return Ok(None);
        }
        if !args.takes("=") {
            args.takes("~");
        }
        let until = if by_length { Until::Length(args.count()?) } else { Until::Id(args.id()?) };
        if args.takes("LIMIT") {
            args.count()?;
        }
        let references = references(args).unwrap_or_default();
        Ok(Some(Trim { until, references }))
    }

    fn apply(&self, stream: &mut Stream) {
        let goes: Vec<_> = match self.until {
            Until::Length(len) => {
                let surplus = stream.len().saturating_sub(len);
                let ids = stream.entries.keys().copied();
                // One that has to stay does not count.
                if self.references == References::Acknowledged { ids.collect() } else { ids.take(surplus).collect() }
            }
            Until::Id(min) => stream.entries.range(..min).map(|(id, _)| *id).collect(),
        };
        for id in goes {
            if matches!(self.until, Until::Length(len) if stream.len() <= len) {
                break;
            }
            stream.delete(id, self.references);
        }
    }
}

impl Stream {
    /// The id of a new entry: as it is given, or what is lacking of it made.
    fn next_id(&self, word: &[u8], now: i64) -> Result<StreamId> {
        let now = StreamId { ms: now.max(0) as u64, seq: 0 };
        let behind = |id: StreamId| match id.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..id }),
            None => Some(StreamId { ms: id.ms.checked_add(1)?, seq: 0 }),
        };
        let id = match (word, word.strip_suffix(b"-*")) {
            (b"*", _) if now > self.last => Some(now),
            (b"*", _) => behind(self.last),
            (_, Some(ms)) => {
                let id = args::stream_id(ms, 0)?;
                if id.ms == self.last.ms { behind(self.last).filter(|next| next.ms == id.ms) } else { Some(id) }
            }
            _ => Some(args::stream_id(word, 0)?),
        };
        match id {
            Some(id) if id > self.last => Ok(id),
            _ => Err(Error::unsupported(format!("the id must come after {}, the last one", self.last))),
        }
    }

    /// Remembers that a producer's id stands for an entry.
    fn remember(&mut self, producer: &[u8], iid: &[u8], id: StreamId) {
        let all = self.idempotency.get_or_insert_default();
        let i = match all.producers.iter().position(|(name, _)| **name == *producer) {
            Some(i) => i,
            None => {
                all.producers.push((producer.into(), Vec::new()));
                all.producers.len() - 1
            }
        };
        let ids = &mut all.producers[i].1;
        ids.push((iid.into(), id));
        let surplus = ids.len().saturating_sub(usize::try_from(all.max_entries).unwrap_or(usize::MAX));
        ids.drain(..surplus);
        all.added += 1;
    }

    fn knows(&mut self, producer: &[u8], iid: &[u8]) -> bool {
        let Some(all) = &mut self.idempotency else { return false };
        let ids = all.producers.iter().find(|(name, _)| **name == *producer);
        let known = ids.is_some_and(|(_, ids)| ids.iter().any(|(known, _)| **known == *iid));
        all.duplicates += u64::from(known);
        known
    }
}

impl Dataset {
    fn add_entry(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let (mut makes, mut trim, mut keeps, mut producer) = (true, None, References::Keep, None);
        loop {
            if args.takes("NOMKSTREAM") {
                makes = false;
            } else if args.takes("IDMP") {
                producer = Some((args.word()?, args.word()?));
            } else if args.takes("IDMPAUTO") {
                return Err(Error::unsupported("with IDMPAUTO it can't be applied offline"));
            } else if let Some(found) = references(&mut args) {
                keeps = found;
            } else if let Some(found) = Trim::read(&mut args)? {
                trim = Some(found);
            } else {
                break;
            }
        }
        let id = args.word()?;
        let fields: Fields = args.groups::<2>()?.flatten().map(Into::into).collect();
        let (key, now) = (&words[1], self.now);
        if !makes && !self.exists(key) {
            return Ok(());
        }
        let stream = self.made::<Stream>(key)?;
        if let Some((pid, iid)) = producer
            && stream.knows(pid, iid)
        {
            return Ok(());
        }
        let id = stream.next_id(id, now)?;
        stream.entries.insert(id, fields);
        stream.last = id;
        stream.added += 1;
        if let Some((pid, iid)) = producer {
            stream.remember(pid, iid, id);
        }
        if let Some(mut trim) = trim {
            if keeps != References::Keep {
                trim.references = keeps;
            }
            trim.apply(stream);
        }
        Ok(())
    }

    fn delete_entries(&mut self, key: &[u8], ids: &[StreamId], references: References) -> Result<()> {
        if let Some(stream) = self.existing::<Stream>(key)? {
            for id in ids {
                if stream.delete(*id, references) {
                    stream.max_deleted = stream.max_deleted.max(*id);
                }
            }
        }
        Ok(())
    }

    fn set_last_id(&mut self, words: &Words) -> Result<()> {
        let last = args::stream_id(&words[2], 0)?;
        let mut args = Args::new(words, 3);
        let (mut added, mut max_deleted) = (None, None);
        while !args.is_at_end() {
            if args.takes("ENTRIESADDED") {
                added = Some(args.count()? as u64);
            } else if args.takes("MAXDELETEDID") {
                max_deleted = Some(args.id()?);
            } else {
                return Err(args.unknown());
            }
        }
        let stream = self.existing::<Stream>(&words[1])?.ok_or_else(no_stream)?;
        if stream.entries.keys().next_back().is_some_and(|top| *top > last) {
            return Err(Error::unsupported("the id comes before that of the last entry"));
        }
        if added.is_some_and(|added| added < stream.len() as u64) || max_deleted.is_some_and(|id| id > last) {
            return Err(Error::unsupported("fewer entries than there are, or an id that comes after the last one"));
        }
        stream.last = last;
        stream.added = added.unwrap_or(stream.added);
        stream.max_deleted = max_deleted.unwrap_or(stream.max_deleted);
        // No group can have read more: servers let it stand, and do not load it again.
        for group in stream.groups.values_mut() {
            group.read = group.read.map(|read| read.min(stream.added));
        }
        Ok(())
    }

    fn configure_stream(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let stream = self.existing::<Stream>(&words[1])?.ok_or_else(no_stream)?;
        let all = stream.idempotency.get_or_insert_default();
        let (mut duration, mut max_entries) = (all.duration, all.max_entries);
        while !args.is_at_end() {
            if args.takes("IDMP-DURATION") {
                duration = args.count()? as u64;
            } else if args.takes("IDMP-MAXSIZE") {
                max_entries = args.count()? as u64;
            } else {
                return Err(args.unknown());
            }
        }
        if (duration, max_entries) != (all.duration, all.max_entries) {
            // Other settings begin with nothing that is remembered.
            let Idempotency { added, duplicates, .. } = *all;
            *all = Idempotency { duration, max_entries, added, duplicates, producers: Vec::new() };
        }
        Ok(())
    }
}
