//! What a dataset holds, key by key in batches, so that all cores can serialize it.

use super::held::{Extra, Held, Key};
use super::{Dataset, Map};
use crate::error::Result;
use crate::model::{Entry, Record, ValueBuf};

/// Bytes of a batch, roughly.
const BATCH: usize = 1 << 20;

/// Keys of a batch.
const KEYS: usize = 4096;

/// The keys of a database that are still there.
type Rest = indexmap::map::IntoIter<Box<[u8]>, Key>;

/// Gives the keys of a dataset away, database by database.
pub struct Drain {
    dbs: std::collections::btree_map::IntoIter<u64, Map<Key>>,
    keys: Option<(u64, Rest)>,
}

/// Some keys of a database.
#[derive(Default)]
pub struct Batch {
    db: u64,
    keys: Vec<(Box<[u8]>, Key)>,
}

impl Dataset {
    /// Gives the records that stand in front of all keys: aux fields, functions, modules' data, scripts.
    pub fn head(&self, mut visit: impl FnMut(Record<'_>) -> Result<()>) -> Result<()> {
        self.aux.iter().try_for_each(|(name, value)| visit(Record::Aux { name, value }))?;
        self.scripts.iter().try_for_each(|value| visit(Record::Aux { name: b"lua", value }))?;
        self.functions.values().try_for_each(|code| visit(Record::Function(code)))?;
        self.modules.iter().try_for_each(|(id, when, data)| visit(Record::ModuleAux { id: *id, when: *when, data }))
    }

    /// The lowest RDB version that has all that is in here.
    pub fn least_version(&self) -> u32 {
        let of_keys = self.dbs.values().flat_map(|keys| keys.values()).map(|key| {
            let of_meta = if key.extra.as_ref().is_some_and(|extra| !extra.meta.is_empty()) { 13 } else { 0 };
            key.value.least_version().max(of_meta)
        });
        let of_functions = if self.functions.is_empty() { 0 } else { 10 };
        of_keys.max().unwrap_or(0).max(of_functions)
    }

    /// All keys, which are gone from here.
    pub fn drain(&mut self) -> Drain {
        Drain { dbs: std::mem::take(&mut self.dbs).into_iter(), keys: None }
    }
}

impl Drain {
    /// Fills a batch with the next keys; `false` when there are none.
    pub fn fill(&mut self, batch: &mut Batch) -> bool {
        batch.keys.clear();
        let mut weight = 0;
        loop {
            let Some((db, keys)) = &mut self.keys else {
                match self.dbs.next() {
                    Some((db, keys)) => self.keys = Some((db, keys.into_iter())),
                    None => return false,
                }
                continue;
            };
            batch.db = *db;
            while weight < BATCH && batch.keys.len() < KEYS {
                let Some((name, key)) = keys.next() else { break };
                weight += name.len() + key.value.weight();
                batch.keys.push((name, key));
            }
            if !batch.keys.is_empty() {
                return true;
            }
            self.keys = None;
        }
    }
}

impl Batch {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Gives every key as a record; `values` serializes those that are not yet.
    pub fn each(&self, values: &mut ValueBuf, visit: &mut dyn FnMut(Record<'_>) -> Result<()>) -> Result<()> {
        for (name, key) in &self.keys {
            let place = |e: crate::Error| e.of_key(self.db, name);
            let value = Held::build(&key.value, values).map_err(place)?;
            let mut entry = Entry::plain(self.db, name, value);
            (entry.expiry, entry.eviction) = (key.expiry, key.eviction);
            if let Some(Extra { meta, mask, member_expiries }) = key.extra.as_deref() {
                (entry.meta, entry.mask, entry.member_expiries) = (meta, *mask, member_expiries);
            }
            visit(Record::Entry(entry)).map_err(place)?;
        }
        Ok(())
    }
}
