//! What keeps a server from loading a file: what it does not know, or knows only with modules or settings.

use crate::error::Error;
use crate::model::{Dialect, Magic, Origin, RdbType, Record, Target, Value, library_head};
use crate::text;

/// Something that a server does not load, with the first place that has it.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    what: What,
    count: u64,
    at: u64,
    key: Option<(u64, Vec<u8>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    Type(RdbType),
    Module(String),
    Meta(String),
    Library(String),
    Opcode(u8, &'static str),
    Db(u64),
    Slots,
}

/// What a worker found so far that stops the server.
#[derive(Default)]
pub(super) struct Obstacles(Vec<Obstacle>);

/// Databases of a server whose configuration does not say otherwise.
const DATABASES: u64 = 16;

impl Obstacles {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds what a later part of the file has.
    pub(super) fn merge(&mut self, later: &Obstacles) {
        for obstacle in &later.0 {
            match self.0.iter_mut().find(|known| known.what == obstacle.what) {
                Some(known) => known.count += obstacle.count,
                None => self.0.push(obstacle.clone()),
            }
        }
    }

    fn note(&mut self, what: What, at: u64, key: Option<(u64, &[u8])>) {
        match self.0.iter_mut().find(|known| known.what == what) {
            Some(known) => known.count += 1,
            None => self.0.push(Obstacle { what, count: 1, at, key: key.map(|(db, key)| (db, key.to_vec())) }),
        }
    }

    /// Notes what `target` would not load of a record.
    pub(super) fn record(&mut self, record: &Record<'_>, at: u64, target: &Target) {
        const MAY_BE_IGNORED: u32 = 1;
        let version = target.redis_version();
        match record {
            Record::Entry(entry) => {
                let key = Some((entry.db, entry.key));
                if entry.db >= DATABASES {
                    self.note(What::Db(entry.db), at, key);
                }
                if !target.accepts(entry.value) {
                    self.note(of_value(entry.value), at, key);
                }
                // A class that can't be read is found as damage.
                let _ = entry.each_meta(|meta| {
                    let is_known = meta.flags() & MAY_BE_IGNORED != 0 || target.has_module(&meta.name());
                    if !target.has_key_meta() || !is_known {
                        self.note(What::Meta(meta.name()), at, key);
                    }
                    Ok(())
                });
            }
            Record::Function(_) if !target.has_functions() => {
                self.note(What::Opcode(245, "a function library"), at, None)
            }
            Record::Function(source) => match library_head(source) {
                Some((engine, _)) if !engine.eq_ignore_ascii_case(b"lua") => {
                    self.note(What::Library(text::escaped(engine)), at, None);
                }
                _ => {}
            },
            Record::FunctionPreGa { .. } => {
                self.note(What::Opcode(246, "a function library of a 7.0 release candidate"), at, None);
            }
            Record::ModuleAux { id, .. } if version < 9 => {
                self.note(What::Opcode(247, "aux data of a module"), at, None);
                let _ = id;
            }
            Record::ModuleAux { id, .. } if !target.has_module(&id.name()) => {
                self.note(What::Module(id.name()), at, None);
            }
            Record::SlotInfo { .. } if version < 12 && !(target.origin.is_valkey()) => {
                self.note(What::Opcode(244, "slot info"), at, None);
            }
            Record::SlotImport { .. } if target.origin.is_valkey() => self.note(What::Slots, at, None),
            Record::SlotImport { .. } => self.note(What::Opcode(243, "an unfinished slot import"), at, None),
            Record::Template { .. } if !target.has_templates() => {
                self.note(What::Opcode(242, "a hash template"), at, None)
            }
            Record::Aux { .. } if version < 7 => self.note(What::Opcode(250, "an aux field"), at, None),
            Record::ResizeDb { .. } if version < 7 => self.note(What::Opcode(251, "a size hint"), at, None),
            _ => {}
        }
    }

    /// All of it in words, the header first.
    pub(super) fn errors(&self, origin: &Origin, target: &Target) -> Vec<Error> {
        let header = refused_header(origin, target).map(|why| Error::unsupported(why).at(0));
        header.into_iter().chain(self.0.iter().map(|obstacle| obstacle.error(target))).collect()
    }
}

impl Obstacle {
    fn error(&self, target: &Target) -> Error {
        let what = match &self.what {
            What::Type(rdb_type) => {
                format!("{target} does not know type {} ({})", rdb_type.code(), rdb_type.kind().name())
            }
            What::Module(name) => format!("{target} needs the module with type {name}"),
            What::Meta(class) => format!("{target} does not know the key metadata of class {class}"),
            What::Library(engine) => format!("{target} needs the function engine {engine}"),
            What::Opcode(code, name) => format!("{target} does not know opcode {code} ({name})"),
            What::Db(db) => format!("{target} needs 'databases {}' or more in its configuration", db.saturating_add(1)),
            What::Slots => format!("{target} loads an unfinished slot import only in cluster mode"),
        };
        let what = match (self.count, &self.key) {
            (1, _) => what,
            (n, Some(_)) => format!("{what}; {} have it, this is the first", text::count(n, "key")),
            (n, None) => format!("{what}; it is there {} times, here first", text::grouped(n)),
        };
        let e = Error::unsupported(what).at(self.at);
        match &self.key {
            Some((db, key)) => e.of_key(*db, key),
            None => e,
        }
    }
}

fn of_value(value: Value<'_>) -> What {
    match (value.rdb_type, value.module()) {
        (RdbType::Module2, Some(id)) => What::Module(id.name()),
        (other, _) => What::Type(other),
    }
}

/// Why the server does not even look beyond the first nine bytes.
fn refused_header(origin: &Origin, target: &Target) -> Option<String> {
    let last_of_redis = match target.origin.dialect {
        Dialect::Valkey => 11,
        _ => target.origin.version,
    };
    let newest = match origin.magic {
        Magic::Redis => last_of_redis,
        Magic::Valkey if target.origin.is_valkey() => target.origin.version,
        Magic::Valkey => return Some(format!("{target} does not know the header VALKEY")),
    };
    let version = origin.version;
    (version > newest).then(|| format!("{target} takes RDB versions up to {newest}, and this is {version}"))
}
