//! Commands on sets.

use super::args::Args;
use super::held::Strings;
use super::{Dataset, Known, known, known_at};
use crate::error::{Error, Result};
use crate::resp::Words;

/// Members up to which a set keeps its order when one is removed, as a packed one does.
const ORDERED: usize = 128;

/// What is made of several sets.
#[derive(Clone, Copy)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"SADD" => known(3, |data, words| {
            let set = data.made::<Strings>(&words[1])?;
            words.from(2).for_each(|member| add(set, member));
            Ok(())
        }),
        b"SREM" => known(3, |data, words| {
            data.change(&words[1], |set: &mut Strings| {
                for member in words.from(2) {
                    remove(set, member);
                }
            })?;
            Ok(())
        }),
        b"SMOVE" => known(4, Dataset::move_member),
        b"SPOP" => known(2, Dataset::pop_members),
        b"SUNIONSTORE" => known(3, |data, words| data.combine_sets(words, Operation::Union)),
        b"SINTERSTORE" => known(3, |data, words| data.combine_sets(words, Operation::Intersection)),
        b"SDIFFSTORE" => known(3, |data, words| data.combine_sets(words, Operation::Difference)),
        b"SORT" => known_at(2, 0, |_, words| {
            let stores = words.from(2).any(|word| word.eq_ignore_ascii_case(b"STORE"));
            if stores { Err(Error::unsupported("with STORE it can't be applied offline")) } else { Ok(()) }
        }),
        _ => None,
    }
}

fn add(set: &mut Strings, member: &[u8]) {
    if !set.contains(member) {
        set.insert(member.into());
    }
}

fn remove(set: &mut Strings, member: &[u8]) -> bool {
    if set.len() <= ORDERED { set.shift_remove(member) } else { set.swap_remove(member) }
}

impl Dataset {
    fn move_member(&mut self, words: &Words) -> Result<()> {
        let (from, to, member) = (&words[1], &words[2], &words[3]);
        if self.existing::<Strings>(from)?.is_none() || from == to {
            return Ok(());
        }
        self.existing::<Strings>(to)?;
        if self.change(from, |set: &mut Strings| remove(set, member))? == Some(true) {
            add(self.made::<Strings>(to)?, member);
        }
        Ok(())
    }

    /// Only where nothing is left to chance.
    fn pop_members(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 2);
        let count = if args.is_at_end() { 1 } else { args.count()? };
        args.end()?;
        let len = self.existing::<Strings>(&words[1])?.map_or(0, |set| set.len());
        if len <= count {
            self.remove(&words[1]);
        } else if count > 0 {
            return Err(Error::unsupported("which members go is left to the server; name them with SREM"));
        }
        Ok(())
    }

    fn combine_sets(&mut self, words: &Words, operation: Operation) -> Result<()> {
        let mut keys = Args::new(words, 2).rest()?;
        let mut result = Strings::default();
        if let Some(first) = keys.next().map(|key| self.existing::<Strings>(key)).transpose()?.flatten() {
            result.extend(first.iter().cloned());
        }
        for key in keys {
            let other = self.existing::<Strings>(key)?;
            match (operation, other) {
                (Operation::Union, Some(other)) => result.extend(other.iter().cloned()),
                (Operation::Intersection, Some(other)) => result.retain(|member| other.contains(member)),
                (Operation::Intersection, None) => result.clear(),
                (Operation::Difference, Some(other)) => result.retain(|member| !other.contains(member)),
                (_, None) => {}
            }
        }
        self.set_collection(&words[1], result);
        Ok(())
    }
}
