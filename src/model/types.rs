//! The object types of RDB files. Their numbers collide between dialects; [`RdbType`] does not.

use super::origin::{Dialect, Magic, Origin};
use crate::codec::stream::Version;

/// What a value is to its user: the answer of TYPE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A string.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    Zset,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
    /// An array (Redis 8.8).
    Array,
    /// A vector set (Redis 8).
    VectorSet,
    /// A module's value.
    Module,
    /// Dragonfly's own JSON value.
    Json,
    /// A fork's own value, kept as bytes: Dragonfly's sketches, KeyDB's cron jobs.
    Foreign,
}

impl Kind {
    /// All of them, in the order in which tables show them.
    pub const ALL: [Kind; 11] = [
        Kind::String,
        Kind::List,
        Kind::Set,
        Kind::Zset,
        Kind::Hash,
        Kind::Stream,
        Kind::Array,
        Kind::VectorSet,
        Kind::Module,
        Kind::Json,
        Kind::Foreign,
    ];

    /// Whether there is no such value without an element: servers drop what has none.
    pub fn is_collection(self) -> bool {
        matches!(self, Kind::List | Kind::Set | Kind::Zset | Kind::Hash | Kind::Array)
    }

    /// Its name, as TYPE gives it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
            Kind::Array => "array",
            Kind::VectorSet => "vectorset",
            Kind::Module => "module",
            Kind::Json => "json",
            Kind::Foreign => "foreign",
        }
    }
}

macro_rules! types {
    ($($name:ident $code:literal $doc:literal;)*) => {
        /// The layout of a value: its type byte with the dialect already taken into account.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum RdbType {
            $(#[doc = $doc] $name,)*
        }

        impl RdbType {
            /// How many there are.
            pub(crate) const COUNT: usize = [$(RdbType::$name),*].len();

            /// The type byte.
            pub fn code(self) -> u8 {
                match self { $(RdbType::$name => $code,)* }
            }
        }
    };
}

types! {
    String 0 "A string.";
    List 1 "A list, item by item.";
    Set 2 "A set, member by member.";
    Zset 3 "A sorted set with scores as text.";
    Hash 4 "A hash, field by field.";
    Zset2 5 "A sorted set with binary scores.";
    ModulePreGa 6 "A module value of the release candidates of 4.0: untagged, without an end mark.";
    Module2 7 "A module value.";
    HashZipmap 9 "A hash as zipmap.";
    ListZiplist 10 "A list as one ziplist.";
    SetIntset 11 "A set as intset.";
    ZsetZiplist 12 "A sorted set as ziplist.";
    HashZiplist 13 "A hash as ziplist.";
    ListQuicklist 14 "A list of ziplists.";
    Stream1 15 "A stream of 5.0.";
    HashListpack 16 "A hash as listpack.";
    ZsetListpack 17 "A sorted set as listpack.";
    ListQuicklist2 18 "A list of listpacks and plain nodes.";
    Stream2 19 "A stream of 7.0.";
    SetListpack 20 "A set as listpack.";
    Stream3 21 "A stream of 7.2.";
    HashMetadataPreGa 22 "A hash with field expiries of the release candidates of 7.4.";
    ValkeyHash 22 "A hash with field expiries of Valkey 9.";
    HashListpackExPreGa 23 "A small hash with field expiries of the release candidates of 7.4.";
    HashMetadata 24 "A hash with field expiries.";
    HashListpackEx 25 "A small hash with field expiries.";
    Stream4 26 "A stream of 8.6.";
    Stream5 27 "A stream of 8.8.";
    Array 28 "An array.";
    TemplateListpack 29 "A small template hash that carries its field names (DUMP).";
    TemplateListpackRef 30 "A small template hash whose field names stand once in the file.";
    TemplateArray 31 "A template hash that carries its field names (DUMP).";
    TemplateArrayRef 32 "A template hash whose field names stand once in the file.";
    DragonflyJson 30 "Dragonfly: a JSON document as text.";
    DragonflyHash 31 "Dragonfly: a hash with field expiries.";
    DragonflySet 32 "Dragonfly: a set with member expiries.";
    DragonflyBloom 33 "Dragonfly: a Bloom filter.";
    DragonflyBloom2 34 "Dragonfly: a Bloom filter in chunks.";
    DragonflyCountMin 35 "Dragonfly: a count-min sketch.";
    DragonflyTopK 36 "Dragonfly: a top-k sketch.";
    DragonflyCuckoo 37 "Dragonfly: a cuckoo filter.";
    KeyDbCron 64 "KeyDB: a cron job.";
}

impl RdbType {
    /// The type that this byte means in this file; `None` where nobody has told us.
    #[inline]
    pub fn resolve(code: u8, origin: &Origin) -> Option<RdbType> {
        use RdbType::*;
        const COMMON: [Option<RdbType>; 22] = [
            Some(String),
            Some(List),
            Some(Set),
            Some(Zset),
            Some(Hash),
            Some(Zset2),
            Some(ModulePreGa),
            Some(Module2),
            None,
            Some(HashZipmap),
            Some(ListZiplist),
            Some(SetIntset),
            Some(ZsetZiplist),
            Some(HashZiplist),
            Some(ListQuicklist),
            Some(Stream1),
            Some(HashListpack),
            Some(ZsetListpack),
            Some(ListQuicklist2),
            Some(Stream2),
            Some(SetListpack),
            Some(Stream3),
        ];
        match COMMON.get(code as usize) {
            Some(common) => *common,
            None => RdbType::resolve_recent(code, origin),
        }
    }

    fn resolve_recent(code: u8, origin: &Origin) -> Option<RdbType> {
        use RdbType::*;
        Some(match (code, origin.magic, origin.dialect) {
            (22, Magic::Valkey, _) => ValkeyHash,
            (22, Magic::Redis, _) => HashMetadataPreGa,
            (23, ..) => HashListpackExPreGa,
            (24, ..) => HashMetadata,
            (25, ..) => HashListpackEx,
            (26, ..) => Stream4,
            (27, ..) => Stream5,
            (28, ..) => Array,
            (30, _, Dialect::Dragonfly) => DragonflyJson,
            (31, _, Dialect::Dragonfly) => DragonflyHash,
            (32, _, Dialect::Dragonfly) => DragonflySet,
            (29, ..) => TemplateListpack,
            (30, ..) => TemplateListpackRef,
            (31, ..) => TemplateArray,
            (32, ..) => TemplateArrayRef,
            (33, _, Dialect::Dragonfly) => DragonflyBloom,
            (34, _, Dialect::Dragonfly) => DragonflyBloom2,
            (35, _, Dialect::Dragonfly) => DragonflyCountMin,
            (36, _, Dialect::Dragonfly) => DragonflyTopK,
            (37, _, Dialect::Dragonfly) => DragonflyCuckoo,
            (64, ..) => KeyDbCron,
            _ => return None,
        })
    }

    /// What kind of value it is; for a module type the value itself must be asked ([`super::Value::kind`]).
    pub fn kind(self) -> Kind {
        use RdbType::*;
        match self {
            String => Kind::String,
            List | ListZiplist | ListQuicklist | ListQuicklist2 => Kind::List,
            Set | SetIntset | SetListpack | DragonflySet => Kind::Set,
            Zset | Zset2 | ZsetZiplist | ZsetListpack => Kind::Zset,
            Hash | HashZipmap | HashZiplist | HashListpack | HashMetadataPreGa | ValkeyHash | HashListpackExPreGa
            | HashMetadata | HashListpackEx | TemplateListpack | TemplateListpackRef | TemplateArray
            | TemplateArrayRef | DragonflyHash => Kind::Hash,
            Stream1 | Stream2 | Stream3 | Stream4 | Stream5 => Kind::Stream,
            Array => Kind::Array,
            ModulePreGa | Module2 => Kind::Module,
            DragonflyJson => Kind::Json,
            DragonflyBloom | DragonflyBloom2 | DragonflyCountMin | DragonflyTopK | DragonflyCuckoo | KeyDbCron => {
                Kind::Foreign
            }
        }
    }

    /// Whether fields or members of such a value can have expiries of their own.
    pub fn has_expiries(self) -> bool {
        use RdbType::*;
        matches!(
            self,
            HashMetadataPreGa
                | HashMetadata
                | ValkeyHash
                | HashListpackEx
                | HashListpackExPreGa
                | DragonflyHash
                | DragonflySet
        )
    }

    /// The first RDB version with this type; Valkey's own in its counting. `None` for the types of forks, which do not
    /// count versions.
    pub fn first_version(self) -> Option<u32> {
        use RdbType::*;
        Some(match self {
            String | List | Set | Zset | Hash => 1,
            HashZipmap | ListZiplist | SetIntset | ZsetZiplist => 2,
            HashZiplist => 4,
            ListQuicklist => 7,
            Zset2 | ModulePreGa | Module2 => 8,
            Stream1 => 9,
            HashListpack | ZsetListpack | ListQuicklist2 | Stream2 => 10,
            SetListpack | Stream3 => 11,
            HashMetadataPreGa | HashListpackExPreGa | HashMetadata | HashListpackEx => 12,
            Stream4 => 13,
            Stream5 | Array => 14,
            TemplateListpack | TemplateListpackRef | TemplateArray | TemplateArrayRef => 15,
            ValkeyHash => 80,
            DragonflyJson | DragonflyHash | DragonflySet | DragonflyBloom | DragonflyBloom2 | DragonflyCountMin
            | DragonflyTopK | DragonflyCuckoo | KeyDbCron => return None,
        })
    }

    /// The layout of a stream type.
    pub fn stream_version(self) -> Option<Version> {
        Some(match self {
            RdbType::Stream1 => Version::V1,
            RdbType::Stream2 => Version::V2,
            RdbType::Stream3 => Version::V3,
            RdbType::Stream4 => Version::V4,
            RdbType::Stream5 => Version::V5,
            _ => return None,
        })
    }

    /// The type of streams in this layout.
    pub fn of_stream(version: Version) -> RdbType {
        match version {
            Version::V1 => RdbType::Stream1,
            Version::V2 => RdbType::Stream2,
            Version::V3 => RdbType::Stream3,
            Version::V4 => RdbType::Stream4,
            Version::V5 => RdbType::Stream5,
        }
    }
}
