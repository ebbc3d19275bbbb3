//! Commands on strings.

use super::args::{self, Args, Unit};
use super::held::{Held, Key};
use super::{Dataset, Known, behind_key, known};
use crate::error::{Error, Result};
use crate::resp::Words;

/// The longest string that servers make by default.
const LONGEST: usize = 512 << 20;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"SET" => known(3, Dataset::set_string),
        b"SETNX" => known(3, |data, words| {
            if !data.exists(&words[1]) {
                data.set(&words[1], Held::String(words[2].to_vec()));
            }
            Ok(())
        }),
        b"SETEX" => known(4, |data, words| data.set_expiring(words, Unit::Seconds)),
        b"PSETEX" => known(4, |data, words| data.set_expiring(words, Unit::Ms)),
        b"GETSET" => known(3, |data, words| {
            data.existing::<Vec<u8>>(&words[1])?;
            data.set(&words[1], Held::String(words[2].to_vec()));
            Ok(())
        }),
        b"GETDEL" => known(2, |data, words| {
            data.existing::<Vec<u8>>(&words[1])?;
            data.remove(&words[1]);
            Ok(())
        }),
        b"GETEX" => known(2, Dataset::get_expiring),
        b"MSET" => known(3, |data, words| data.set_many(words, false)),
        b"MSETNX" => known(3, |data, words| data.set_many(words, true)),
        b"MSETEX" => known(4, Dataset::set_many_expiring),
        b"APPEND" => known(3, |data, words| {
            let text = data.made::<Vec<u8>>(&words[1])?;
            check_length(text.len() + words[2].len())?;
            text.extend_from_slice(&words[2]);
            Ok(())
        }),
        b"SETRANGE" => known(4, Dataset::set_range),
        b"INCR" => known(2, |data, words| data.increment(&words[1], 1)),
        b"DECR" => known(2, |data, words| data.increment(&words[1], -1)),
        b"INCRBY" => known(3, |data, words| data.increment(&words[1], args::integer(&words[2])?)),
        b"DECRBY" => known(3, |data, words| {
            let by = args::integer(&words[2])?.checked_neg();
            data.increment(&words[1], by.ok_or_else(out_of_range)?)
        }),
        b"DELIFEQ" => known(3, |data, words| data.delete_if(&words[1], |text| *text == words[2])),
        b"DELEX" => known(2, Dataset::delete_conditionally),
        _ => None,
    }
}

fn out_of_range() -> Error {
    Error::unsupported("the sum is out of range")
}

pub(super) fn check_length(len: usize) -> Result<()> {
    match len {
        0..=LONGEST => Ok(()),
        _ => Err(Error::unsupported("a string of over 512 MiB")),
    }
}

/// What SET says beside key and value.
#[derive(Default)]
struct SetOptions {
    expiry: Option<i64>,
    keeps_expiry: bool,
    only_new: bool,
    only_old: bool,
    gets: bool,
    /// Whether it is set only where the value is, or is not, this.
    equal: Option<(bool, Vec<u8>)>,
}

impl SetOptions {
    fn read(args: &mut Args<'_>, now: i64) -> Result<SetOptions> {
        let mut options = SetOptions::default();
        while !args.is_at_end() {
            if let Some(unit) = Unit::option(args) {
                options.expiry = Some(unit.resolve_positive(args.int()?, now)?);
            } else if args.takes("KEEPTTL") {
                options.keeps_expiry = true;
            } else if args.takes("NX") {
                options.only_new = true;
            } else if args.takes("XX") {
                options.only_old = true;
            } else if args.takes("GET") {
                options.gets = true;
            } else if args.takes("IFEQ") {
                options.equal = Some((true, args.word()?.to_vec()));
            } else if args.takes("IFNE") {
                options.equal = Some((false, args.word()?.to_vec()));
            } else {
                return Err(args.unknown());
            }
        }
        if options.only_new && options.only_old || options.keeps_expiry && options.expiry.is_some() {
            return Err(Error::unsupported("its options exclude each other"));
        }
        Ok(options)
    }
}

impl Dataset {
    fn set_string(&mut self, words: &Words) -> Result<()> {
        let key = &words[1];
        if words.len() == 3 {
            self.set(key, Held::String(words[2].to_vec()));
            return Ok(());
        }
        let options = SetOptions::read(&mut Args::new(words, 3), self.now)?;
        if options.gets {
            self.existing::<Vec<u8>>(key)?;
        }
        if let Some((wants_equal, wanted)) = &options.equal {
            match self.existing::<Vec<u8>>(key)? {
                Some(text) if (text == wanted) != *wants_equal => return Ok(()),
                None if *wants_equal => return Ok(()),
                _ => {}
            }
        }
        let expiry = match self.find(key) {
            Some(_) if options.only_new => return Ok(()),
            None if options.only_old => return Ok(()),
            Some(found) if options.keeps_expiry => found.expiry,
            _ => options.expiry,
        };
        self.set_with(key, words[2].to_vec(), expiry);
        Ok(())
    }

    fn set_with(&mut self, key: &[u8], text: Vec<u8>, expiry: Option<i64>) {
        self.set(key, Held::String(text));
        if let Some(found) = self.find(key) {
            found.expiry = expiry;
        }
    }

    fn set_expiring(&mut self, words: &Words, unit: Unit) -> Result<()> {
        let expiry = unit.resolve_positive(args::integer(&words[2])?, self.now)?;
        self.set_with(&words[1], words[3].to_vec(), Some(expiry));
        Ok(())
    }

    fn get_expiring(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        self.existing::<Vec<u8>>(&words[1])?;
        if args.is_at_end() {
            return Ok(());
        }
        let expiry = match Unit::option(&mut args) {
            Some(unit) => Some(unit.resolve_positive(args.int()?, self.now)?),
            None if args.takes("PERSIST") => None,
            None => return Err(args.unknown()),
        };
        args.end()?;
        if let Some(Key { expiry: old, .. }) = self.find(&words[1]) {
            *old = expiry;
        }
        Ok(())
    }

    fn set_many(&mut self, words: &Words, only_new: bool) -> Result<()> {
        let mut pairs = Args::new(words, 1).groups::<2>()?;
        if only_new && pairs.clone().any(|[key, _]| self.exists(key)) {
            return Ok(());
        }
        pairs.try_for_each(|[key, value]| Ok(self.set(key, Held::String(value.to_vec()))))
    }

    fn set_many_expiring(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 1);
        let count = args.count()?;
        if count == 0 || count > args.left() / 2 {
            return Err(args::too_few());
        }
        let pairs = (0..count).map(|_| Ok((args.word()?, args.word()?))).collect::<Result<Vec<_>>>()?;
        let options = SetOptions::read(&mut args, self.now)?;
        let found = pairs.iter().filter(|(key, _)| self.exists(key)).count();
        if options.only_new && found > 0 || options.only_old && found < pairs.len() {
            return Ok(());
        }
        for (key, value) in pairs {
            let old = self.find(key).and_then(|found| found.expiry);
            self.set_with(key, value.to_vec(), if options.keeps_expiry { old } else { options.expiry });
        }
        Ok(())
    }

    fn set_range(&mut self, words: &Words) -> Result<()> {
        let offset = Args::new(words, 2).count()?;
        let (key, piece) = (&words[1], &words[3]);
        if piece.is_empty() {
            self.existing::<Vec<u8>>(key)?;
            return Ok(());
        }
        check_length(offset.saturating_add(piece.len()))?;
        let text = self.made::<Vec<u8>>(key)?;
        if text.len() < offset + piece.len() {
            text.resize(offset + piece.len(), 0);
        }
        text[offset..offset + piece.len()].copy_from_slice(piece);
        Ok(())
    }

    fn increment(&mut self, key: &[u8], by: i64) -> Result<()> {
        let old = match self.existing::<Vec<u8>>(key)? {
            Some(text) => args::integer(text)?,
            None => 0,
        };
        let sum = old.checked_add(by).ok_or_else(out_of_range)?;
        let text = self.made::<Vec<u8>>(key)?;
        text.clear();
        text.extend_from_slice(itoa::Buffer::new().format(sum).as_bytes());
        Ok(())
    }

    fn delete_if(&mut self, key: &[u8], condition: impl FnOnce(&[u8]) -> bool) -> Result<()> {
        if self.existing::<Vec<u8>>(key)?.is_some_and(|text| condition(text)) {
            self.remove(key);
        }
        Ok(())
    }

    fn delete_conditionally(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        if args.takes("IFEQ") {
            let wanted = args.word()?;
            args.end()?;
            return self.delete_if(&words[1], |text| text == wanted);
        }
        if args.takes("IFNE") {
            let unwanted = args.word()?;
            args.end()?;
            return self.delete_if(&words[1], |text| text != unwanted);
        }
        args.end()?;
        self.remove(&words[1]);
        Ok(())
    }
}
