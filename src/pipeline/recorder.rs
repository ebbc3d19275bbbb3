//! From records to pieces of an RDB file: what each worker of a conversion does.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::Work;
use super::parts::Conflict;
use crate::error::Result;
use crate::model::{
    Batch, Buffers, Dialect, Entry, Filter, KeyBuf, Kind, Origin, Record, Rewrite, Scratch, Target, library_name, slot,
};
use crate::rdb::{Carried, Frame, OnLoss, Options, Writer};

/// What is done to records on their way into an RDB file.
pub struct Plan {
    /// Who is to load it.
    pub target: Arc<Target>,
    /// How values are written.
    pub options: Options,
    /// Which keys go in.
    pub filter: Filter,
    /// What is changed of them.
    pub rewrite: Rewrite,
    /// Which modules' data stays out.
    pub strip: Strip,
    /// Aux fields that are set, whatever the input says.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// The input stands for more or for less than the output: positions in a replication stream, counts of slots and
    /// the like are no longer true.
    pub changes_content: bool,
    /// The input's hints on the sizes of databases go into an output that can't be given its own.
    pub keeps_hints: bool,
    /// Keys are compared, so that none gets in twice.
    pub compares_keys: bool,
    /// Which of two keys with the same name goes in.
    pub conflict: Conflict,
    /// Whether the files get a checksum.
    pub checksum: bool,
    /// Random keys for comparing names.
    pub seeds: [RandomState; 2],
}

/// Which modules' data stays out.
#[derive(Clone, Debug, Default)]
pub struct Strip {
    /// Aux data of every module.
    pub aux: bool,
    /// All values and aux data of modules; vector sets are no module's.
    pub all: bool,
    /// Those of these module types.
    pub names: Vec<String>,
}

impl Strip {
    /// Whether nothing is taken out.
    pub fn is_empty(&self) -> bool {
        !self.aux && !self.all && self.names.is_empty()
    }

    fn takes(&self, name: &str) -> bool {
        self.all || self.names.iter().any(|stripped| stripped == name)
    }
}

impl Plan {
    /// A plan that changes nothing, and lets no key in twice. `same_server`: the input's own server is to load it.
    pub fn new(target: Target, same_server: bool) -> Plan {
        Plan {
            target: Arc::new(target),
            options: Options {
                compress: true,
                rebuild: false,
                same_server,
                expand_templates: false,
                on_loss: OnLoss::Error,
            },
            filter: Filter::default(),
            rewrite: Rewrite::default(),
            strip: Strip::default(),
            aux: Vec::new(),
            changes_content: false,
            keeps_hints: false,
            compares_keys: true,
            conflict: Conflict::Error,
            checksum: true,
            seeds: [RandomState::new(), RandomState::new()],
        }
    }

    /// A name's identity: two different ones have the same one with a chance of 2^-128 a pair.
    fn id(&self, db: u64, name: &[u8]) -> u128 {
        let [a, b] = self.seeds.each_ref().map(|seed| seed.hash_one((db, name)));
        u128::from(a) << 64 | u128::from(b)
    }

    /// Whether an aux field of the input stays true of the output.
    fn keeps_aux(&self, name: &[u8]) -> bool {
        let is_named = self.target.server.is_some();
        match name {
            _ if self.aux.iter().any(|(set, _)| set == name) => false,
            b"redis-ver" | b"valkey-ver" => !is_named,
            b"repl-stream-db" | b"repl-id" | b"repl-offset" => !self.changes_content,
            b"slot-info" | b"cluster-slot-states" | b"cluster-asm-task" => !self.changes_content && !is_named,
            b"mvcc-tstamp" => self.target.origin.dialect == Dialect::KeyDb,
            _ => true,
        }
    }
}

/// A piece of the output, with where everything in it ends.
#[derive(Default)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) losses: Vec<Loss>,
    /// Keys that stayed out because their module's data was to.
    pub(super) stripped: u64,
    /// Keys that became values of another type.
    pub(super) changed: u64,
}

/// One record in a piece of the output.
pub(super) struct Item {
    /// The end of its bytes; they begin where those of the one before end.
    pub(super) end: usize,
    pub(super) what: What,
}

/// What a record in the output is.
pub(super) enum What {
    Key { db: u64, slot: u16, expires: bool, id: u128 },
    Function { id: u128, source: u128 },
    Other,
}

/// Something that the target cannot hold.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The key, with its database; none for what is outside the key space.
    pub key: Option<(u64, Vec<u8>)>,
    /// What the target has no place for.
    pub what: String,
    /// Whether the rest of the key was written.
    pub kept: bool,
}

impl Encoded {
    /// Forgets everything, and the memory that a single huge value took.
    pub(super) fn clear(&mut self) {
        const KEPT: usize = 16 << 20;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.items.clear();
        self.losses.clear();
        (self.stripped, self.changed) = (0, 0);
    }
}

/// Turns records into pieces of the output. Every worker has its own.
pub(super) struct Recorder<'p> {
    plan: &'p Plan,
    writer: Writer,
    key: KeyBuf,
    filters: bool,
    rewrites: bool,
    /// Aux fields stay out: they are those of a second input.
    pub(super) skips_aux: bool,
    buffers: Buffers,
}

impl<'p> Recorder<'p> {
    pub(super) fn new(plan: &'p Plan) -> Recorder<'p> {
        let mut options = plan.options;
        // Templates would show the names of fields that hashes have masked.
        options.expand_templates |= plan.rewrite.mask.is_some();
        Recorder {
            plan,
            writer: Writer::new(&plan.target, options),
            key: KeyBuf::default(),
            filters: !plan.filter.is_empty(),
            rewrites: !plan.rewrite.is_empty(),
            skips_aux: false,
            buffers: Buffers::default(),
        }
    }

    /// The aux fields that the output begins with, beside those that are kept of the input.
    pub(super) fn own_aux(&mut self, out: &mut Encoded) -> Result<()> {
        let Target { origin, server, .. } = &*self.plan.target;
        let version_of_named = origin.server.as_ref().filter(|_| server.is_some());
        let name: &[u8] = if origin.dialect == Dialect::Valkey { b"valkey-ver" } else { b"redis-ver" };
        let version = version_of_named.map(|version| (name, version.as_bytes()));
        let set = self.plan.aux.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        version
            .into_iter()
            .chain(set)
            .try_for_each(|(name, value)| self.other(&Record::Aux { name, value }, origin, out))
    }

    /// Takes one record.
    pub(super) fn record(
        &mut self,
        record: &Record<'_>,
        origin: &Origin,
        scratch: &mut Scratch,
        out: &mut Encoded,
    ) -> Result<()> {
        match record {
            Record::Entry(entry) => self.entry(entry, scratch, out),
            Record::Aux { name, .. } if self.skips_aux || !self.plan.keeps_aux(name) => Ok(()),
            Record::SlotInfo { .. } if self.plan.changes_content => Ok(()),
            Record::ResizeDb { db, keys, expires } if self.plan.keeps_hints => {
                Frame::hint(*db, *keys, *expires, &mut out.bytes);
                out.items.push(Item { end: out.bytes.len(), what: What::Other });
                Ok(())
            }
            Record::ModuleAux { id, .. } if self.plan.strip.aux || self.plan.strip.takes(&id.name()) => Ok(()),
            other => match self.plan.rewrite.unmaskable_record(other) {
                Some(what) => {
                    out.losses.push(Loss { key: None, what, kept: false });
                    Ok(())
                }
                None => self.other(other, origin, out),
            },
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Encoded) -> Result<()> {
        let plan = self.plan;
        if self.filters && !plan.filter.keeps(entry) {
            return Ok(());
        }
        if !plan.strip.is_empty()
            && entry.value.module().is_some_and(|id| {
                let is_own = plan.strip.all && entry.value.kind() == Kind::VectorSet;
                plan.strip.takes(&id.name()) && !is_own
            })
        {
            out.stripped += 1;
            return Ok(());
        }
        if !self.rewrites {
            return write(plan, &mut self.writer, entry, scratch, out);
        }
        match plan.rewrite.key(entry, &mut self.key)? {
            Some(entry) => write(plan, &mut self.writer, &entry, scratch, out),
            None => Ok(()),
        }
    }

    fn other(&mut self, record: &Record<'_>, origin: &Origin, out: &mut Encoded) -> Result<()> {
        match self.writer.other(record, origin, &mut out.bytes)? {
            Carried::Left(what) => {
                let what = match *record {
                    Record::Function(source) => match library_name(source) {
                        Some(name) => format!("function library {}", crate::text::quoted_short(name)),
                        None => what.into_owned(),
                    },
                    _ => what.into_owned(),
                };
                out.losses.push(Loss { key: None, what, kept: false });
            }
            Carried::Nothing => {}
            _ => {
                let what = match *record {
                    Record::Function(source) => What::Function {
                        id: self.plan.id(u64::MAX, library_name(source).unwrap_or(source)),
                        source: self.plan.id(u64::MAX, source),
                    },
                    _ => What::Other,
                };
                out.items.push(Item { end: out.bytes.len(), what });
            }
        }
        Ok(())
    }

    /// All records of a batch of a dump.
    pub(super) fn records(&mut self, batch: &Batch, out: &mut Encoded) -> Result<()> {
        let mut buffers = std::mem::take(&mut self.buffers);
        let origin = batch.origin().clone();
        let taken = batch.each(&mut buffers, |record, scratch| self.record(&record, &origin, scratch, out));
        self.buffers = buffers;
        taken
    }
}

fn write(plan: &Plan, writer: &mut Writer, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Encoded) -> Result<()> {
    let carried = writer.entry(entry, &plan.rewrite, scratch, &mut out.bytes)?;
    let (loss, kept) = match carried {
        Carried::Whole => (None, true),
        Carried::As(_) => {
            out.changed += 1;
            (None, true)
        }
        Carried::Less(what) => (Some(what), true),
        Carried::Left(what) => (Some(what), false),
        Carried::Nothing => (None, false),
    };
    if let Some(what) = loss {
        let key = Some((entry.db, entry.key.to_vec()));
        out.losses.push(Loss { key, what: what.into_owned(), kept });
    }
    if kept {
        let id = if plan.compares_keys { plan.id(entry.db, entry.key) } else { 0 };
        let what = What::Key { db: entry.db, slot: slot(entry.key), expires: entry.expiry.is_some(), id };
        out.items.push(Item { end: out.bytes.len(), what });
    }
    Ok(())
}

impl Work for Recorder<'_> {
    type Output = Encoded;

    fn batch(&mut self, batch: &Batch, out: &mut Encoded) -> Result<()> {
        out.clear();
        self.records(batch, out)
    }
}

impl Work<Option<Batch>> for Recorder<'_> {
    type Output = Encoded;

    fn batch(&mut self, batch: &Option<Batch>, out: &mut Encoded) -> Result<()> {
        out.clear();
        batch.as_ref().map_or(Ok(()), |batch| self.records(batch, out))
    }
}
