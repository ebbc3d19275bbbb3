//! Commands on hashes, and on the expiries of their fields.

use super::args::{self, Args, Unit};
use super::held::{Field, Hash};
use super::keys::Conditions;
use super::{Dataset, Known, behind_key, known};
use crate::error::{Error, Result};
use crate::resp::Words;

/// Fields up to which a hash keeps its order when one is removed, as a packed one does.
const ORDERED: usize = 512;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"HSET" | b"HMSET" => known(4, |data, words| {
            let mut pairs = behind_key(words).groups::<2>()?;
            let hash = data.made::<Hash>(&words[1])?;
            pairs.try_for_each(|[name, value]| Ok(hash.set(name, value, None)))
        }),
        b"HSETNX" => known(4, |data, words| {
            let hash = data.made::<Hash>(&words[1])?;
            if !hash.fields.contains_key(&words[2]) {
                hash.set(&words[2], &words[3], None);
            }
            Ok(())
        }),
        b"HINCRBY" => known(4, Dataset::increment_field),
        b"HDEL" => known(3, |data, words| {
            data.change(&words[1], |hash: &mut Hash| words.from(2).for_each(|name| hash.remove(name)))?;
            Ok(())
        }),
        b"HGETDEL" => known(5, |data, words| {
            let names = fields(&mut behind_key(words))?;
            data.change(&words[1], |hash: &mut Hash| names.into_iter().for_each(|name| hash.remove(name)))?;
            Ok(())
        }),
        b"HEXPIRE" => known(6, |data, words| data.expire_fields(words, Unit::Seconds)),
        b"HPEXPIRE" => known(6, |data, words| data.expire_fields(words, Unit::Ms)),
        b"HEXPIREAT" => known(6, |data, words| data.expire_fields(words, Unit::AtSeconds)),
        b"HPEXPIREAT" => known(6, |data, words| data.expire_fields(words, Unit::AtMs)),
        b"HPERSIST" => known(5, |data, words| {
            let names = fields(&mut behind_key(words))?;
            data.set_expiries(&words[1], &names, None)
        }),
        b"HSETEX" => known(6, Dataset::set_expiring_fields),
        b"HGETEX" => known(5, Dataset::get_expiring_fields),
        _ => None,
    }
}

impl Hash {
    /// Sets a field; the place of one that is there stays.
    fn set(&mut self, name: &[u8], value: &[u8], expiry: Option<i64>) {
        match self.fields.get_mut(name) {
            Some(field) => *field = Field { value: value.into(), expiry },
            None => drop(self.fields.insert(name.into(), Field { value: value.into(), expiry })),
        }
    }

    fn remove(&mut self, name: &[u8]) {
        match self.fields.len() {
            0..=ORDERED => drop(self.fields.shift_remove(name)),
            _ => drop(self.fields.swap_remove(name)),
        }
    }
}

/// `FIELDS`, how many, and that many names, which are the last words.
fn fields<'a>(args: &mut Args<'a>) -> Result<Vec<&'a [u8]>> {
    if !args.takes("FIELDS") {
        return Err(args.unknown());
    }
    let names = args.counted()?;
    args.end()?;
    Ok(names)
}

impl Dataset {
    fn increment_field(&mut self, words: &Words) -> Result<()> {
        let by = args::integer(&words[3])?;
        let hash = self.made::<Hash>(&words[1])?;
        let (old, expiry) = match hash.fields.get(&words[2]) {
            Some(field) => (args::integer(&field.value)?, field.expiry),
            None => (0, None),
        };
        let sum = old.checked_add(by).ok_or_else(|| Error::unsupported("the sum is out of range"))?;
        hash.set(&words[2], itoa::Buffer::new().format(sum).as_bytes(), expiry);
        Ok(())
    }

    fn expire_fields(&mut self, words: &Words, unit: Unit) -> Result<()> {
        let mut args = behind_key(words);
        let at = unit.resolve(args.int()?, self.now)?;
        let conditions = Conditions::read(&mut args)?;
        let names = fields(&mut args)?;
        if let Some(hash) = self.existing::<Hash>(&words[1])? {
            for name in names {
                if let Some(field) = hash.fields.get_mut(name).filter(|field| conditions.hold(field.expiry, at)) {
                    field.expiry = Some(at);
                }
            }
        }
        Ok(())
    }

    fn set_expiries(&mut self, key: &[u8], names: &[&[u8]], expiry: Option<i64>) -> Result<()> {
        if let Some(hash) = self.existing::<Hash>(key)? {
            for name in names {
                if let Some(field) = hash.fields.get_mut(*name) {
                    field.expiry = expiry;
                }
            }
        }
        Ok(())
    }

    fn set_expiring_fields(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let (mut expiry, mut keeps, mut only_new, mut only_old) = (None, false, false, false);
        let (mut key_new, mut key_old) = (false, false);
        while !args.takes("FIELDS") {
            if let Some(unit) = Unit::option(&mut args) {
                expiry = Some(unit.resolve_positive(args.int()?, self.now)?);
                continue;
            }
            *match args {
                _ if args.takes("KEEPTTL") => &mut keeps,
                _ if args.takes("FNX") => &mut only_new,
                _ if args.takes("FXX") => &mut only_old,
                _ if args.takes("NX") => &mut key_new,
                _ if args.takes("XX") => &mut key_old,
                _ => return Err(args.unknown()),
            } = true;
        }
        let count = args.count()?;
        if count == 0 || args.left() != count.saturating_mul(2) {
            return Err(args::too_few());
        }
        let exists = self.exists(&words[1]);
        if key_new && exists || key_old && !exists {
            return Ok(());
        }
        let mut pairs = args.groups::<2>()?;
        let hash = self.existing::<Hash>(&words[1])?;
        let is_there = |name: &[u8]| hash.as_ref().is_some_and(|hash| hash.fields.contains_key(name));
        if only_new && pairs.clone().any(|[name, _]| is_there(name))
            || only_old && !pairs.clone().all(|[name, _]| is_there(name))
        {
            return Ok(());
        }
        let hash = self.made::<Hash>(&words[1])?;
        pairs.try_for_each(|[name, value]| {
            let old = hash.fields.get(name).and_then(|field| field.expiry);
            Ok(hash.set(name, value, if keeps { old } else { expiry }))
        })
    }

    fn get_expiring_fields(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let expiry = match Unit::option(&mut args) {
            Some(unit) => Some(unit.resolve_positive(args.int()?, self.now)?),
            None if args.takes("PERSIST") => None,
            None => return fields(&mut args).map(drop),
        };
        let names = fields(&mut args)?;
        self.set_expiries(&words[1], &names, expiry)
    }
}
