//! Which server versions can load a file. Facts: the servers' own limits on the header version (`RDB_VERSION`), and the
//! release in which each type and opcode first appeared.

use std::fmt;

use Loadable::{Never, Since};

use crate::model::{Magic, Origin, RdbType};

/// What a file uses, beyond its header, that not every server knows.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// Bit set of [`RdbType`]s.
    types: u64,
    /// Function libraries.
    pub functions: bool,
    /// Function libraries of the release candidates of 7.0.
    pub functions_pre_ga: bool,
    /// Metadata of keys.
    pub key_meta: bool,
    /// Hash templates.
    pub templates: bool,
    /// Module aux data.
    pub module_aux: bool,
    /// Slot info records.
    pub slot_info: bool,
    /// An unfinished slot import.
    pub slot_import: bool,
}

impl Features {
    /// Notes that a value of this type was seen.
    #[inline]
    pub fn note(&mut self, rdb_type: RdbType) {
        self.types |= 1 << rdb_type as u64;
    }

    /// Whether a value of this type was seen.
    pub fn has(&self, rdb_type: RdbType) -> bool {
        self.types & 1 << rdb_type as u64 != 0
    }

    /// Adds what another part of the file uses.
    pub fn merge(&mut self, other: &Features) {
        self.types |= other.types;
        self.functions |= other.functions;
        self.functions_pre_ga |= other.functions_pre_ga;
        self.key_meta |= other.key_meta;
        self.templates |= other.templates;
        self.module_aux |= other.module_aux;
        self.slot_info |= other.slot_info;
        self.slot_import |= other.slot_import;
    }
}

/// The first server that can load a file, or why none can.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loadable {
    /// This version (major, minor) and later ones.
    Since(u32, u32),
    /// None.
    Never(&'static str),
}

impl fmt::Display for Loadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Since(major, minor) => write!(f, "{major}.{minor}"),
            Never(why) => write!(f, "none ({why})"),
        }
    }
}

impl Loadable {
    /// The stricter of two conditions.
    fn and(self, other: Loadable) -> Loadable {
        match (self, other) {
            (Since(a, b), Since(c, d)) => {
                let (major, minor) = (a, b).max((c, d));
                Since(major, minor)
            }
            (never @ Never(_), _) | (_, never) => never,
        }
    }
}

/// The lowest Redis version that loads a file of this origin with these features.
pub fn lowest_redis(origin: &Origin, features: &Features) -> Loadable {
    let header = match (origin.magic, origin.version) {
        (Magic::Valkey, _) => Never("it has Valkey's header"),
        (_, 1) => Since(1, 0),
        (_, 2) => Since(2, 4),
        (_, 3..=6) => Since(2, 6),
        (_, 7) => Since(3, 2),
        (_, 8) => Since(4, 0),
        (_, 9) => Since(5, 0),
        (_, 10) => Since(7, 0),
        (_, 11) => Since(7, 2),
        (_, 12) => Since(7, 4),
        (_, 13) => Since(8, 6),
        (_, 14) => Since(8, 8),
        (_, 15) => Since(8, 10),
        _ => Never("its RDB version is newer than 15"),
    };
    let flags = [
        (features.functions, Since(7, 0)),
        (features.functions_pre_ga, Never("functions of a 7.0 release candidate")),
        (features.module_aux, Since(5, 0)),
        (features.slot_info, Since(7, 4)),
        (features.key_meta, Since(8, 6)),
        (features.templates, Since(8, 10)),
        (features.slot_import, Never("an unfinished slot import of Valkey")),
    ];
    let flags = flags.into_iter().filter(|(used, _)| *used).fold(header, |all, (_, one)| all.and(one));
    ALL_TYPES.iter().filter(|t| features.has(**t)).fold(flags, |all, t| all.and(first_redis(*t)))
}

/// The lowest Valkey version that loads a file of this origin with these features.
pub fn lowest_valkey(origin: &Origin, features: &Features) -> Loadable {
    let header = match (origin.magic, origin.version) {
        (Magic::Valkey, 80) => Since(9, 0),
        (Magic::Valkey, 81) => Since(9, 2),
        (Magic::Valkey, _) => Never("its RDB version is newer than 81"),
        (_, ..=11) => Since(7, 2),
        _ => Never("Valkey takes files with Redis' header up to RDB version 11"),
    };
    let flags = [
        (features.functions_pre_ga, Never("functions of a 7.0 release candidate")),
        (features.slot_info, Since(9, 0)),
        (features.key_meta, Never("key metadata of Redis 8.6")),
        (features.templates, Never("hash templates of Redis 8.10")),
        (features.slot_import, Since(9, 0)),
    ];
    let flags = flags.into_iter().filter(|(used, _)| *used).fold(header, |all, (_, one)| all.and(one));
    ALL_TYPES.iter().filter(|t| features.has(**t)).fold(flags, |all, t| all.and(first_valkey(*t)))
}

/// Every type that some server cannot load.
const ALL_TYPES: [RdbType; 34] = {
    use RdbType::*;
    [
        Hash,
        Zset2,
        ModulePreGa,
        Module2,
        HashZipmap,
        ListZiplist,
        SetIntset,
        ZsetZiplist,
        HashZiplist,
        ListQuicklist,
        Stream1,
        HashListpack,
        ZsetListpack,
        ListQuicklist2,
        Stream2,
        SetListpack,
        Stream3,
        HashMetadataPreGa,
        ValkeyHash,
        HashListpackExPreGa,
        HashMetadata,
        HashListpackEx,
        Stream4,
        Stream5,
        Array,
        TemplateListpack,
        TemplateListpackRef,
        TemplateArray,
        TemplateArrayRef,
        DragonflyJson,
        DragonflyHash,
        DragonflySet,
        DragonflyBloom,
        KeyDbCron,
    ]
};

fn first_redis(rdb_type: RdbType) -> Loadable {
    use RdbType::*;
    match rdb_type {
        String | List | Set | Zset => Since(1, 0),
        Hash => Since(2, 0),
        HashZipmap | ListZiplist | SetIntset | ZsetZiplist => Since(2, 4),
        HashZiplist => Since(2, 6),
        ListQuicklist => Since(3, 2),
        Zset2 | Module2 => Since(4, 0),
        ModulePreGa => Never("module values of a 4.0 release candidate"),
        Stream1 => Since(5, 0),
        HashListpack | ZsetListpack | ListQuicklist2 | Stream2 => Since(7, 0),
        SetListpack | Stream3 => Since(7, 2),
        HashMetadataPreGa | HashListpackExPreGa | HashMetadata | HashListpackEx => Since(7, 4),
        Stream4 => Since(8, 6),
        Stream5 | Array => Since(8, 8),
        TemplateListpack | TemplateListpackRef | TemplateArray | TemplateArrayRef => Since(8, 10),
        ValkeyHash => Never("hashes with field expiries in Valkey's form"),
        DragonflyJson | DragonflyHash | DragonflySet | DragonflyBloom | DragonflyBloom2 | DragonflyCountMin
        | DragonflyTopK | DragonflyCuckoo => Never("values that only Dragonfly knows"),
        KeyDbCron => Never("cron jobs of KeyDB"),
    }
}

fn first_valkey(rdb_type: RdbType) -> Loadable {
    use RdbType::*;
    match rdb_type {
        ValkeyHash => Since(9, 0),
        Stream4 | Stream5 => Never("streams of Redis 8.6 or later"),
        Array => Never("arrays of Redis 8.8"),
        HashMetadataPreGa | HashListpackExPreGa | HashMetadata | HashListpackEx => {
            Never("hashes with field expiries in Redis' form")
        }
        TemplateListpack | TemplateListpackRef | TemplateArray | TemplateArrayRef => {
            Never("hash templates of Redis 8.10")
        }
        other => match first_redis(other) {
            Since(..) => Since(7, 2),
            never => never,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_types_and_opcodes_count() {
        let t = |header: &[u8; 9], types: &[RdbType], redis: &str, valkey: &str| {
            let origin = Origin::from_header(header).expect("a header");
            let mut features = Features::default();
            types.iter().for_each(|t| features.note(*t));
            let lowest = (lowest_redis(&origin, &features).to_string(), lowest_valkey(&origin, &features).to_string());
            assert!(lowest.0.starts_with(redis) && lowest.1.starts_with(valkey), "{lowest:?}");
        };
        t(b"REDIS0006", &[RdbType::String], "2.6", "7.2");
        t(b"REDIS0009", &[RdbType::ListQuicklist2], "7.0", "7.2");
        t(b"REDIS0011", &[RdbType::SetListpack], "7.2", "7.2");
        t(b"REDIS0012", &[RdbType::HashListpackEx], "7.4", "none");
        t(b"VALKEY080", &[RdbType::ValkeyHash], "none", "9.0");
        t(b"REDIS0016", &[], "none", "none");
    }
}
