//! Commands on keys, whatever they hold, and on databases.

use super::args::{Args, Unit, integer};
use super::held::{Extra, Key};
use super::{Dataset, Known, MAX_DB, behind_key, known, known_at};
use crate::error::{Error, Result};
use crate::resp::Words;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"DEL" | b"UNLINK" => known(2, |data, words| {
            words.from(1).for_each(|key| drop(data.remove(key)));
            Ok(())
        }),
        b"EXPIRE" => known(3, |data, words| data.expire(words, Unit::Seconds)),
        b"PEXPIRE" => known(3, |data, words| data.expire(words, Unit::Ms)),
        b"EXPIREAT" => known(3, |data, words| data.expire(words, Unit::AtSeconds)),
        b"PEXPIREAT" => known(3, |data, words| data.expire(words, Unit::AtMs)),
        b"PERSIST" => known(2, |data, words| {
            if let Some(found) = data.find(&words[1]) {
                found.expiry = None;
            }
            Ok(())
        }),
        b"RENAME" => known(3, |data, words| data.rename(words, false)),
        b"RENAMENX" => known(3, |data, words| data.rename(words, true)),
        b"COPY" => known(3, Dataset::copy),
        b"MOVE" => known(3, Dataset::move_key),
        b"SELECT" => known_at(2, 0, |data, words| Ok(data.db = number_of_db(&words[1])?)),
        b"SWAPDB" => known_at(3, 0, |data, words| {
            let (one, two) = (number_of_db(&words[1])?, number_of_db(&words[2])?);
            let [a, b] = [one, two].map(|db| data.dbs.remove(&db));
            for (db, keys) in [(two, a), (one, b)] {
                if let Some(keys) = keys {
                    data.dbs.insert(db, keys);
                }
            }
            Ok(())
        }),
        b"FLUSHDB" => known_at(1, 0, |data, _| {
            data.dbs.remove(&data.db);
            Ok(())
        }),
        b"FLUSHALL" => known_at(1, 0, |data, _| Ok(data.dbs.clear())),
        _ => None,
    }
}

fn number_of_db(word: &[u8]) -> Result<u64> {
    match integer(word)? {
        n @ 0..MAX_DB => Ok(n as u64),
        n => Err(Error::unsupported(format!("{n} is no number of a database"))),
    }
}

impl Dataset {
    fn expire(&mut self, words: &Words, unit: Unit) -> Result<()> {
        let mut args = behind_key(words);
        let at = unit.resolve(args.int()?, self.now)?;
        let conditions = Conditions::read(&mut args)?;
        args.end()?;
        if let Some(found) = self.find(&words[1])
            && conditions.hold(found.expiry, at)
        {
            found.expiry = Some(at);
        }
        Ok(())
    }

    fn rename(&mut self, words: &Words, only_new: bool) -> Result<()> {
        let (from, to) = (&words[1], &words[2]);
        if !self.exists(from) {
            return Err(Error::unsupported("there is no such key"));
        }
        if from == to || only_new && self.exists(to) {
            return Ok(());
        }
        if let Some(key) = self.remove(from) {
            self.keys().insert(to.into(), key);
        }
        Ok(())
    }

    fn copy(&mut self, words: &Words) -> Result<()> {
        let (mut db, mut replace) = (self.db, false);
        let mut args = Args::new(words, 3);
        while !args.is_at_end() {
            if args.takes("DB") {
                db = number_of_db(args.word()?)?;
            } else if args.takes("REPLACE") {
                replace = true;
            } else {
                return Err(args.unknown());
            }
        }
        let Dataset { dbs, db: here, scratch, .. } = self;
        let Some(found) = dbs.get_mut(here).and_then(|keys| keys.get_mut(&words[1])) else { return Ok(()) };
        if db == *here && words[1] == words[2] {
            return Err(Error::unsupported("source and destination are the same"));
        }
        let Key { expiry, eviction, .. } = *found;
        let extra = found.extra.as_ref().map(|extra| {
            let Extra { meta, mask, member_expiries } = &**extra;
            Box::new(Extra { meta: meta.clone(), mask: *mask, member_expiries: member_expiries.clone() })
        });
        let copied = Key { expiry, eviction, extra, value: found.value.copy(scratch)? };
        let there = dbs.entry(db).or_default();
        if replace || !there.contains_key(&words[2]) {
            there.insert(words[2].into(), copied);
        }
        Ok(())
    }

    fn move_key(&mut self, words: &Words) -> Result<()> {
        let to = number_of_db(&words[2])?;
        if to == self.db {
            return Err(Error::unsupported("source and destination are the same"));
        }
        if self.dbs.get(&to).is_some_and(|keys| keys.contains_key(&words[1])) {
            return Ok(());
        }
        if let Some(key) = self.remove(&words[1]) {
            self.dbs.entry(to).or_default().insert(words[1].into(), key);
        }
        Ok(())
    }
}

/// Under which conditions an expiry is set.
#[derive(Clone, Copy, Default)]
pub(super) struct Conditions {
    only_new: bool,
    only_old: bool,
    only_later: bool,
    only_sooner: bool,
}

impl Conditions {
    /// Reads as many of them as there are.
    pub(super) fn read(args: &mut Args<'_>) -> Result<Conditions> {
        let mut conditions = Conditions::default();
        loop {
            let condition = if args.takes("NX") {
                &mut conditions.only_new
            } else if args.takes("XX") {
                &mut conditions.only_old
            } else if args.takes("GT") {
                &mut conditions.only_later
            } else if args.takes("LT") {
                &mut conditions.only_sooner
            } else {
                return Ok(conditions);
            };
            *condition = true;
        }
    }

    /// Whether a time is set in the place of an old one, none being forever.
    pub(super) fn hold(self, old: Option<i64>, new: i64) -> bool {
        let Conditions { only_new, only_old, only_later, only_sooner } = self;
        !(only_new && old.is_some()
            || only_old && old.is_none()
            || only_later && old.is_none_or(|old| new <= old)
            || only_sooner && old.is_some_and(|old| new >= old))
    }
}
