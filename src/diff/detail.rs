//! The second look: both sides are read again for the keys that differ.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::compare::{Comparer, Held};
use super::partitions::key_hash;
use super::{Change, How, Options, Side, Subject, Totals};
use crate::error::{Error, Result};
use crate::model::{Batch, Buffers, Filter, Record};
use crate::pipeline::{Work, run};

/// Bytes of values that are held to be compared.
const HELD: u64 = 64 << 20;

/// What the join found out about a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Added,
    Removed,
    Changed,
    Unsure,
}

/// A key that may be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) key: u128,
    /// Which of the keys of this name it is; 0 where there is but one.
    pub(super) nth: u32,
    pub(super) fate: Fate,
    pub(super) size: u64,
    pub(super) offset: u64,
}

/// What is told of differing keys.
pub(super) struct Detail<'d, 's> {
    pub(super) left: &'d mut Side<'s>,
    pub(super) right: &'d mut Side<'s>,
    pub(super) threads: NonZeroUsize,
    pub(super) options: &'d Options,
    pub(super) totals: Totals,
    pub(super) sink: &'d mut dyn FnMut(&Change) -> Result<()>,
    pub(super) waiting: Vec<Candidate>,
}

impl Detail<'_, '_> {
    /// Counts what is sure, and keeps what may be told.
    pub(super) fn count(&mut self, candidates: &mut Vec<Candidate>) {
        for candidate in candidates.iter() {
            match candidate.fate {
                Fate::Added => self.totals.added += 1,
                Fate::Removed => self.totals.removed += 1,
                Fate::Changed => self.totals.changed += 1,
                Fate::Unsure => {}
            }
        }
        let tells = self.options.limit != Some(0);
        self.waiting.extend(candidates.drain(..).filter(|candidate| tells || candidate.fate == Fate::Unsure));
    }

    /// How many keys wait to be told.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Tells the keys that wait.
    pub(super) fn tell(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        // What comes first in the files is told first.
        waiting.sort_unstable_by_key(|candidate| (candidate.fate == Fate::Added, candidate.offset, candidate.key));
        let (unsure, sure): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|c| c.fate == Fate::Unsure);
        let mut changes = Vec::new();
        let mut left = self.options.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.totals.told));
        let told = sure.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.look(&sure[..told], &mut changes)?;
        left -= told as u64;
        let before = changes.len();
        self.look(&unsure, &mut changes)?;
        let found = (changes.len() - before) as u64;
        self.totals.changed += found;
        self.totals.same += unsure.len() as u64 - found;
        changes.truncate(before + usize::try_from(left.min(found)).unwrap_or(usize::MAX));
        changes.sort_by(|a, b| a.subject.cmp(&b.subject));
        self.totals.told += changes.len() as u64;
        changes.iter().try_for_each(|change| (self.sink)(change))
    }

    /// Looks at candidates, as many at once as may be held.
    fn look(&mut self, mut candidates: &[Candidate], changes: &mut Vec<Change>) -> Result<()> {
        while !candidates.is_empty() {
            let mut bytes = 0;
            let fits = candidates.iter().take_while(|candidate| {
                let was_empty = bytes == 0;
                bytes += candidate.size;
                was_empty || bytes <= HELD
            });
            let (now, later) = candidates.split_at(fits.count());
            self.look_at_once(now, changes)?;
            candidates = later;
        }
        Ok(())
    }

    fn look_at_once(&mut self, candidates: &[Candidate], changes: &mut Vec<Change>) -> Result<()> {
        let options = self.options;
        let filter = &options.filter;
        let of_left = Wanted::new(candidates.iter().filter(|c| c.fate != Fate::Added));
        let of_right = Wanted::new(candidates.iter().filter(|c| c.fate != Fate::Removed));
        let mut comparer = Comparer::default();
        let mut held = HashMap::new();
        visit(self.left, self.threads, filter, of_left, |candidate, old| {
            match candidate.fate {
                Fate::Removed => changes.push(change(&old, How::Removed(comparer.outline(&old)?))),
                _ => drop(held.insert((candidate.key, candidate.nth), old)),
            }
            Ok(())
        })?;
        visit(self.right, self.threads, filter, of_right, |candidate, new| {
            if candidate.fate == Fate::Added {
                changes.push(change(&new, How::Added(comparer.outline(&new)?)));
            } else if let Some(old) = held.remove(&(candidate.key, candidate.nth)) {
                let (count, first) = comparer.compare(&old, &new, options)?;
                if count > 0 {
                    let type_name = comparer.outline(&old)?.type_name;
                    changes.push(change(&old, How::Changed { type_name, count, first }));
                }
            }
            Ok(())
        })
    }
}

fn change(held: &Held, how: How) -> Change {
    Change { subject: Subject::Key { db: held.db, key: held.key.clone() }, how }
}

/// The keys that are looked for in one side.
struct Wanted {
    keys: HashMap<u128, Vec<Candidate>>,
    count: usize,
}

impl Wanted {
    fn new<'c>(candidates: impl Iterator<Item = &'c Candidate>) -> Wanted {
        let mut wanted = Wanted { keys: HashMap::new(), count: 0 };
        for candidate in candidates {
            wanted.keys.entry(candidate.key).or_default().push(*candidate);
            wanted.count += 1;
        }
        wanted
    }
}

/// Gives the wanted keys of one side, in file order.
fn visit(
    side: &mut Side<'_>,
    threads: NonZeroUsize,
    filter: &Filter,
    mut wanted: Wanted,
    mut take: impl FnMut(&Candidate, Held) -> Result<()>,
) -> Result<()> {
    if wanted.count == 0 {
        return Ok(());
    }
    let keys = Arc::new(std::mem::take(&mut wanted.keys));
    let mut input = side.open()?;
    let meter = input.meter.clone();
    let mut left = wanted.count;
    let mut seen: HashMap<u128, u32> = HashMap::new();
    let finder = || Finder { filter, keys: keys.clone(), buffers: Buffers::default() };
    let mut gather = |found: &mut Vec<(u128, Held)>| {
        for (key, held) in found.drain(..) {
            let nth = seen.entry(key).or_insert(0);
            if let Some(candidate) = keys[&key].iter().find(|candidate| candidate.nth == *nth) {
                take(candidate, held)?;
                left -= 1;
            }
            *nth += 1;
        }
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let mut outcome = Ok(());
    if let Some(head) = input.reader.take_head() {
        let mut found = Vec::new();
        outcome = finder().batch(&head, &mut found).and_then(|()| gather(&mut found).map(drop));
    }
    outcome = outcome.and_then(|()| run(&mut input.reader, threads, &meter, finder, &mut gather).1);
    outcome.map_err(|e| input.name_it(e))?;
    match left {
        0 => Ok(()),
        _ => Err(input.name_it(Error::malformed("it changed while it was being compared: compare a copy"))),
    }
}

/// A worker that picks wanted keys.
struct Finder<'f> {
    filter: &'f Filter,
    keys: Arc<HashMap<u128, Vec<Candidate>>>,
    buffers: Buffers,
}

impl Work for Finder<'_> {
    type Output = Vec<(u128, Held)>;

    fn batch(&mut self, batch: &Batch, out: &mut Vec<(u128, Held)>) -> Result<()> {
        let Finder { filter, keys, buffers } = self;
        out.clear();
        batch.each(buffers, |record, _| {
            if let Record::Entry(entry) = &record {
                let key = key_hash(entry);
                if keys.contains_key(&key) && filter.keeps(entry) {
                    out.push((key, Held::new(entry, batch.origin())));
                }
            }
            Ok(())
        })
    }
}
