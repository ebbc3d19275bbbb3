//! The summary of a dump: everything that can be said without looking inside values.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::compat::Features;
use crate::codec::module::ModuleId;
use crate::error::{Error, Result};
use crate::model::{Batch, Buffers, Entry, Eviction, Kind, Origin, RdbType, Record, Value};
use crate::pipeline::{Input, Work, run};
use crate::rdb::End;

/// All that `info` shows.
#[derive(Clone, Default)]
pub struct Summary {
    /// Aux fields in file order, without the slot infos that Valkey puts between keys.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// By number.
    pub databases: BTreeMap<u64, Database>,
    /// By type and encoding; most of it unsorted.
    pub types: Vec<(TypeKey, EncodingTally)>,
    /// Source of each function library.
    pub functions: Vec<Vec<u8>>,
    /// Modules with values or aux data here.
    pub modules: BTreeMap<ModuleId, ModuleUse>,
    /// Keys with an idle time.
    pub idle: u64,
    /// Keys with an access counter.
    pub freq: u64,
    /// Keys with metadata of modules.
    pub with_meta: u64,
    /// Slots of which the file gives key counts.
    pub slots: u64,
    /// Unfinished slot imports.
    pub slot_imports: u64,
    /// Hash templates.
    pub templates: u64,
    /// What decides who can load it.
    pub features: Features,
}

/// A database.
#[derive(Clone, Copy, Default, Debug)]
pub struct Database {
    /// Keys in it.
    pub keys: u64,
    /// Keys that have an expiry.
    pub expires: u64,
    /// Keys whose expiry has passed.
    pub expired: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Database {
    fn add(&mut self, more: Database) {
        self.keys += more.keys;
        self.expires += more.expires;
        self.expired += more.expired;
        self.bytes += more.bytes;
    }
}

/// A row of the table of types.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TypeKey {
    /// The kind of value.
    pub kind: Kind,
    /// Whose, for module values.
    pub module: Option<ModuleId>,
    /// The encoding.
    pub encoding: &'static str,
}

impl TypeKey {
    /// The row that an entry belongs to.
    pub fn of(entry: &Entry<'_>) -> TypeKey {
        TypeKey { kind: entry.value.kind(), module: entry.value.module(), encoding: entry.value.encoding() }
    }

    /// The type as TYPE names it.
    pub fn type_name(&self) -> String {
        match (self.kind, self.module) {
            (Kind::Module, Some(id)) => id.name(),
            (kind, _) => kind.name().to_owned(),
        }
    }

    /// Whether they are the same. Names of encodings are nearly always the same text in memory too.
    #[inline]
    pub(super) fn is(&self, other: &TypeKey) -> bool {
        let (a, b) = (self.encoding, other.encoding);
        self.kind == other.kind && self.module == other.module && (std::ptr::eq(a, b) || a == b)
    }
}

/// What stands in a row of the table of types.
#[derive(Clone, Copy, Default, Debug)]
pub struct EncodingTally {
    /// Number of keys.
    pub keys: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

/// What a module has in the file.
#[derive(Clone, Copy, Default, Debug)]
pub struct ModuleUse {
    /// Number of keys.
    pub values: u64,
    /// Records of aux data.
    pub aux: u64,
}

impl Summary {
    #[inline(always)]
    fn entry(&mut self, entry: &Entry<'_>, places: &mut Places) {
        match entry.eviction {
            Eviction::Idle(_) => self.idle += 1,
            Eviction::Freq(_) => self.freq += 1,
            Eviction::None => {}
        }
        if !entry.meta.is_empty() {
            self.with_meta += 1;
            self.features.key_meta = true;
        }
        let place = &mut places[entry.value.rdb_type as usize][entry.value.form()];
        let tally = match place.and_then(|i| self.types.get_mut(usize::from(i))) {
            Some((_, tally)) => tally,
            None => self.new_row(entry, place),
        };
        tally.keys += 1;
        tally.bytes += entry.size;
    }

    /// The row of an entry whose place in the table is not known yet, or depends on its module.
    #[inline(never)]
    fn new_row(&mut self, entry: &Entry<'_>, place: &mut Option<u16>) -> &mut EncodingTally {
        let key = TypeKey::of(entry);
        self.features.note(entry.value.rdb_type);
        let i = self.row(key);
        match key.module {
            Some(id) => self.modules.entry(id).or_default().values += 1,
            None => *place = u16::try_from(i).ok(),
        }
        &mut self.types[i].1
    }

    /// The place of a row in the table, which has it then.
    fn row(&mut self, key: TypeKey) -> usize {
        let known = self.types.iter().position(|(known, _)| known.is(&key));
        known.unwrap_or_else(|| {
            self.types.push((key, EncodingTally::default()));
            self.types.len() - 1
        })
    }

    fn other(&mut self, record: &Record<'_>) {
        match *record {
            Record::Aux { name: b"slot-info", .. } => self.slots += 1,
            Record::Aux { name, value } => self.aux.push((name.to_vec(), value.to_vec())),
            Record::Function(code) => {
                self.features.functions = true;
                self.functions.push(code.to_vec());
            }
            Record::FunctionPreGa { name, engine, .. } => {
                self.features.functions_pre_ga = true;
                self.functions.push([b"#!", engine, b" name=", name].concat());
            }
            Record::ModuleAux { id, .. } => {
                self.features.module_aux = true;
                self.modules.entry(id).or_default().aux += 1;
            }
            Record::SlotInfo { .. } => {
                self.features.slot_info = true;
                self.slots += 1;
            }
            Record::SlotImport { .. } => {
                self.features.slot_import = true;
                self.slot_imports += 1;
            }
            Record::Template { .. } => {
                self.features.templates = true;
                self.templates += 1;
            }
            Record::SelectDb(_) | Record::ResizeDb { .. } | Record::Entry(_) => {}
        }
    }

    /// Adds what another worker has seen.
    fn merge(&mut self, other: Summary) {
        self.aux.extend(other.aux);
        self.functions.extend(other.functions);
        for (db, more) in other.databases {
            self.databases.entry(db).or_default().add(more);
        }
        for (key, more) in other.types {
            let i = self.row(key);
            self.types[i].1.keys += more.keys;
            self.types[i].1.bytes += more.bytes;
        }
        for (id, more) in other.modules {
            let all = self.modules.entry(id).or_default();
            all.values += more.values;
            all.aux += more.aux;
        }
        self.idle += other.idle;
        self.freq += other.freq;
        self.with_meta += other.with_meta;
        self.slots += other.slots;
        self.slot_imports += other.slot_imports;
        self.templates += other.templates;
        self.features.merge(&other.features);
    }

    /// The value of an aux field; names are compared as servers do, without regard to case.
    pub fn aux(&self, name: &str) -> Option<&[u8]> {
        let named = self.aux.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.as_slice())
    }

    /// All databases together.
    pub fn total(&self) -> Database {
        let mut total = Database::default();
        self.databases.values().for_each(|db| total.add(*db));
        total
    }
}

/// By type and form of a value the place of its row, where these decide it.
type Places = [[Option<u16>; Value::FORMS]; RdbType::COUNT];

/// A worker that counts.
struct Counter {
    summary: Summary,
    places: Places,
    now: i64,
    buffers: Buffers,
}

impl Work for Counter {
    type Output = ();

    fn batch(&mut self, batch: &Batch, _: &mut ()) -> Result<()> {
        let Counter { summary, places, now, buffers } = self;
        // Keys of a database stand together: it is looked up once for all of them.
        let (mut number, mut db) = (batch.db(), Database::default());
        let outcome = batch.each(buffers, |record, _| {
            match &record {
                Record::Entry(entry) => {
                    if entry.db != number {
                        if db.keys > 0 {
                            summary.databases.entry(number).or_default().add(std::mem::take(&mut db));
                        }
                        number = entry.db;
                    }
                    let expires = entry.expiry.is_some();
                    let expired = entry.expiry.is_some_and(|at| at <= *now);
                    let bytes = entry.size;
                    db.add(Database { keys: 1, expires: u64::from(expires), expired: u64::from(expired), bytes });
                    summary.entry(entry, places);
                }
                other => summary.other(other),
            }
            Ok(())
        });
        if db.keys > 0 {
            summary.databases.entry(number).or_default().add(db);
        }
        outcome
    }
}

/// What came of summing up a whole file.
pub struct Summarized {
    /// The counts, up to the damage if there is one.
    pub summary: Summary,
    /// Where the file comes from.
    pub origin: Arc<Origin>,
    /// How it ended, if it was read to its end.
    pub end: Option<End>,
    /// What stopped the reading before.
    pub damage: Option<Error>,
}

/// Reads the whole input and sums it up as of `now` (Unix time in ms). Damage does not make it fail: what was read
/// until there is the answer.
pub fn summarize(input: &mut Input, threads: NonZeroUsize, now: i64) -> Summarized {
    input.reader.verify(false);
    let counter = || Counter {
        summary: Summary::default(),
        places: [[None; Value::FORMS]; RdbType::COUNT],
        now,
        buffers: Buffers::default(),
    };
    let mut head = counter();
    let mut damage = None;
    if let Some(batch) = input.reader.take_head() {
        damage = head.batch(&batch, &mut ()).err();
    }
    let mut summary = head.summary;
    let meter = input.meter.clone();
    if damage.is_none() {
        let (workers, outcome) = run(&mut input.reader, threads, &meter, counter, |()| Ok(ControlFlow::Continue(())));
        workers.into_iter().for_each(|worker| summary.merge(worker.summary));
        damage = outcome.err();
    }
    summary.types.sort_by_key(|(key, tally)| (key.kind, key.module, std::cmp::Reverse(tally.bytes)));
    let origin = input.reader.origin().clone();
    Summarized { summary, origin, end: input.reader.end().cloned(), damage }
}
