//! Commands on lists.

use super::args::{self, Args};
use super::held::List;
use super::{Dataset, Known, behind_key, known, known_at};
use crate::error::{Error, Result};
use crate::resp::Words;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"RPUSH" => known(3, |data, words| data.push(words, End::Right)),
        b"LPUSH" => known(3, |data, words| data.push(words, End::Left)),
        b"RPUSHX" => known(3, |data, words| data.push_to_existing(words, End::Right)),
        b"LPUSHX" => known(3, |data, words| data.push_to_existing(words, End::Left)),
        b"RPOP" => known(2, |data, words| data.pop(words, End::Right)),
        b"LPOP" => known(2, |data, words| data.pop(words, End::Left)),
        b"LMPOP" => known_at(4, 2, Dataset::pop_of_many),
        b"LSET" => known(4, Dataset::set_item),
        b"LTRIM" => known(4, Dataset::trim_list),
        b"LREM" => known(4, Dataset::remove_items),
        b"LINSERT" => known(5, Dataset::insert_item),
        b"RPOPLPUSH" | b"BRPOPLPUSH" => {
            known(3, |data, words| data.move_items(&words[1], &words[2], [End::Right, End::Left], 1, false))
        }
        b"LMOVE" | b"BLMOVE" => known(5, |data, words| {
            let mut args = Args::new(words, 3);
            let ends = [end_of_list(&mut args)?, end_of_list(&mut args)?];
            data.move_items(&words[1], &words[2], ends, 1, false)
        }),
        b"LMOVEM" => known(5, Dataset::move_many),
        _ => None,
    }
}

fn end_of_list(args: &mut Args<'_>) -> Result<End> {
    match args {
        _ if args.takes("LEFT") => Ok(End::Left),
        _ if args.takes("RIGHT") => Ok(End::Right),
        _ => Err(args.unknown()),
    }
}

fn push(list: &mut List, end: End, item: Box<[u8]>) {
    match end {
        End::Left => list.push_front(item),
        End::Right => list.push_back(item),
    }
}

fn pop(list: &mut List, end: End) -> Option<Box<[u8]>> {
    match end {
        End::Left => list.pop_front(),
        End::Right => list.pop_back(),
    }
}

/// The place that an index means, counted from the end where it is negative.
fn place(index: i64, len: usize) -> i64 {
    if index < 0 { index.saturating_add(len as i64) } else { index }
}

impl Dataset {
    fn push(&mut self, words: &Words, end: End) -> Result<()> {
        let list = self.made::<List>(&words[1])?;
        words.from(2).for_each(|item| push(list, end, item.into()));
        Ok(())
    }

    fn push_to_existing(&mut self, words: &Words, end: End) -> Result<()> {
        self.change(&words[1], |list: &mut List| words.from(2).for_each(|item| push(list, end, item.into())))?;
        Ok(())
    }

    fn pop(&mut self, words: &Words, end: End) -> Result<()> {
        let mut args = behind_key(words);
        let count = if args.is_at_end() { 1 } else { args.count()? };
        args.end()?;
        self.pop_items(&words[1], end, count)
    }

    fn pop_items(&mut self, key: &[u8], end: End, count: usize) -> Result<()> {
        self.change(key, |list: &mut List| {
            let count = count.min(list.len());
            match end {
                End::Left => drop(list.drain(..count)),
                End::Right => list.truncate(list.len() - count),
            }
        })?;
        Ok(())
    }

    fn pop_of_many(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 1);
        let keys = args.counted()?;
        let end = end_of_list(&mut args)?;
        let count = if args.takes("COUNT") { args.count()? } else { 1 };
        args.end()?;
        match keys.into_iter().find(|key| self.exists(key)) {
            Some(key) => self.pop_items(key, end, count),
            None => Ok(()),
        }
    }

    fn set_item(&mut self, words: &Words) -> Result<()> {
        let index = args::integer(&words[2])?;
        let list = self.existing::<List>(&words[1])?.ok_or_else(|| Error::unsupported("there is no such key"))?;
        let item = usize::try_from(place(index, list.len())).ok().and_then(|i| list.get_mut(i));
        let item = item.ok_or_else(|| Error::unsupported(format!("the list has no index {index}")))?;
        *item = words[3].into();
        Ok(())
    }

    fn trim_list(&mut self, words: &Words) -> Result<()> {
        let (start, stop) = (args::integer(&words[2])?, args::integer(&words[3])?);
        self.change(&words[1], |list: &mut List| {
            let start = place(start, list.len()).max(0);
            let stop = place(stop, list.len()).min(list.len() as i64 - 1);
            if start > stop {
                list.clear();
            } else {
                list.truncate(stop as usize + 1);
                list.drain(..start as usize);
            }
        })?;
        Ok(())
    }

    fn remove_items(&mut self, words: &Words) -> Result<()> {
        let (count, item) = (args::integer(&words[2])?, &words[3]);
        self.change(&words[1], |list: &mut List| {
            let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
            let same = list.iter().filter(|found| ***found == *item).count() as u64;
            // From the right, all but the last ones are stepped over.
            let mut skipped = if count < 0 { same.saturating_sub(most) } else { 0 };
            let mut removed = 0;
            list.retain(|found| {
                if **found != *item || removed == most {
                    return true;
                }
                if skipped > 0 {
                    skipped -= 1;
                    return true;
                }
                removed += 1;
                false
            });
        })?;
        Ok(())
    }

    fn insert_item(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let behind = match args.takes("BEFORE") {
            true => 0,
            false if args.takes("AFTER") => 1,
            false => return Err(args.unknown()),
        };
        let (pivot, item) = (args.word()?, args.word()?);
        args.end()?;
        self.change(&words[1], |list: &mut List| {
            if let Some(i) = list.iter().position(|found| **found == *pivot) {
                list.insert(i + behind, item.into());
            }
        })?;
        Ok(())
    }

    /// Moves items from one list to another: one by one, or with the order that they have.
    fn move_items(&mut self, from: &[u8], to: &[u8], ends: [End; 2], count: usize, in_order: bool) -> Result<()> {
        let [end, other_end] = ends;
        if self.existing::<List>(from)?.is_none() {
            return Ok(());
        }
        self.existing::<List>(to)?;
        let Some(list) = self.existing::<List>(from)? else { return Ok(()) };
        let count = count.min(list.len());
        let mut moved: Vec<_> = (0..count).filter_map(|_| pop(list, end)).collect();
        // In its own order, what was taken from the left goes to the left from its last item on.
        if in_order && end == other_end {
            moved.reverse();
        }
        let list = self.made::<List>(to)?;
        moved.into_iter().for_each(|item| push(list, other_end, item));
        // Not before: a list that goes around stays, with its expiry.
        self.change(from, |_: &mut List| ())?;
        Ok(())
    }

    fn move_many(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 3);
        let ends = [end_of_list(&mut args)?, end_of_list(&mut args)?];
        let (mut count, mut exactly, mut in_order) = (1, false, false);
        while !args.is_at_end() {
            if args.takes("COUNT") {
                count = args.count()?;
            } else if args.takes("EXACTLY") {
                (count, exactly) = (args.count()?, true);
            } else if args.takes("BULK") {
                in_order = true;
            } else if !args.takes("OBO") {
                return Err(args.unknown());
            }
        }
        let len = self.existing::<List>(&words[1])?.map_or(0, |list| list.len());
        if exactly && len < count {
            return Ok(());
        }
        self.move_items(&words[1], &words[2], ends, count, in_order)
    }
}
