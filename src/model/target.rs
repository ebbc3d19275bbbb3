//! The server that a file is written for: which header it takes, which types it knows, what it can hold.

use std::fmt;
use std::str::FromStr;

use super::limits::Limits;
use super::origin::{Dialect, Magic, Origin, Templates};
use super::types::RdbType;
use super::value::Value;
use crate::codec::stream::Version;
use crate::error::Error;

/// Who takes a file, and in which form values are written for it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Header and dialect of the file that is written.
    pub origin: Origin,
    /// Where compact encodings end.
    pub limits: Limits,
    /// The server, where one was named.
    pub server: Option<Server>,
}

/// A server that was named, such as `redis-7.0`: one without modules beyond its own, unless it is said to have them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// As the user named it.
    pub name: String,
    /// Its version.
    pub version: (u32, u32),
    /// Module types that it knows; `all` stands for whatever is asked for.
    pub modules: Vec<String>,
}

/// The first Redis with each RDB version. Versions 3 to 5 were never released.
pub const REDIS_VERSIONS: [((u32, u32), u32); 12] = [
    ((1, 0), 1),
    ((2, 4), 2),
    ((2, 6), 6),
    ((3, 2), 7),
    ((4, 0), 8),
    ((5, 0), 9),
    ((7, 0), 10),
    ((7, 2), 11),
    ((7, 4), 12),
    ((8, 6), 13),
    ((8, 8), 14),
    ((8, 10), 15),
];

/// The newest RDB version that the server writes which the origin names, as far as it is known here.
pub fn newest_version_of(origin: &Origin) -> Option<u32> {
    /// Development versions count their patches from here, and write what the next version will.
    const DEVELOPMENT: u32 = 100;
    /// The release candidates of Valkey 8.0 wrote this one.
    const VALKEY_8: u32 = 12;
    let patch = origin.server.as_ref()?.split('.').nth(2)?.parse().unwrap_or(DEVELOPMENT);
    let version = origin.server_version().filter(|version| patch < DEVELOPMENT && *version <= (8, 10))?;
    match origin.dialect {
        Dialect::Redis => REDIS_VERSIONS.iter().rev().find(|(first, _)| *first <= version).map(|(_, newest)| *newest),
        Dialect::Valkey if version < (9, 0) => Some(VALKEY_8),
        _ => None,
    }
}

/// The last RDB version that Redis and Valkey both know.
const LAST_SHARED: u32 = 11;

impl Target {
    /// Any server that loads files with this header.
    pub fn of(origin: &Origin) -> Target {
        let origin = Origin { templates: Templates::new(), ..origin.clone() };
        Target { origin, limits: Limits::default(), server: None }
    }

    /// A file of this RDB version: 1 to 15, or Valkey's 80 and 81.
    pub fn rdb(version: u32) -> Option<Target> {
        let (magic, dialect) = match version {
            1..=15 => (Magic::Redis, Dialect::Redis),
            80 | 81 => (Magic::Valkey, Dialect::Valkey),
            _ => return None,
        };
        Some(Target::of(&Origin { magic, version, dialect, server: None, templates: Templates::new() }))
    }

    /// A file that has what came with this version of Redis, and that as many servers as possible load.
    pub fn least(version: u32) -> Target {
        /// What every server from 5.0 on loads, and Valkey.
        const PORTABLE: u32 = 9;
        const NEWEST: u32 = 15;
        Target::rdb(version.clamp(PORTABLE, NEWEST)).expect("there are all these versions")
    }

    fn named(name: &str, dialect: Dialect, version: (u32, u32)) -> Option<Target> {
        let rdb_version = match dialect {
            Dialect::Valkey => match version {
                (9, 0 | 1) => 80,
                (9, 2) => 81,
                (7, 2) | (8, 0..=1) => LAST_SHARED,
                _ => return None,
            },
            _ if version > (8, 10) => return None,
            _ => REDIS_VERSIONS.iter().rev().find(|(first, _)| *first <= version)?.1,
        };
        let mut target = Target::rdb(rdb_version)?;
        target.origin.dialect = dialect;
        target.origin.server = Some(format!("{}.{}.0", version.0, version.1));
        target.server = Some(Server { name: name.to_owned(), version, modules: Vec::new() });
        Some(target)
    }

    /// The RDB version that types of Redis are held against: Valkey knows those up to the fork.
    pub fn redis_version(&self) -> u32 {
        if self.origin.is_valkey() { LAST_SHARED } else { self.origin.version }
    }

    /// Whether the target loads a value as it stands.
    pub fn accepts(&self, value: Value<'_>) -> bool {
        match (value.rdb_type, &self.server) {
            (RdbType::ValkeyHash, _) => self.origin.is_valkey(),
            (RdbType::Module2, server) if self.redis_version() >= 8 => match (value.module(), server) {
                (Some(id), Some(server)) if id.is_vectorset() && self.origin.dialect == Dialect::Redis => {
                    server.version >= (8, 0) && (self.has_worst_links() || value.link_version() != Some(1))
                }
                (Some(id), Some(server)) => server.has_module(&id.name()),
                _ => true,
            },
            (RdbType::ModulePreGa, _) => false,
            (RdbType::KeyDbCron, _) => self.origin.dialect == Dialect::KeyDb,
            (other, _) => match other.first_version() {
                Some(first) => first <= self.redis_version() || self.is_dragonfly() && first <= LAST_SHARED,
                None => self.is_dragonfly(),
            },
        }
    }

    /// Whether vector sets can have the worst link of each level. The first to write it was 8.0.6; any 8.0 is meant here.
    pub fn has_worst_links(&self) -> bool {
        self.server.as_ref().is_none_or(|server| server.version >= (8, 2))
    }

    fn is_dragonfly(&self) -> bool {
        self.origin.dialect == Dialect::Dragonfly
    }

    /// Whether the target knows a module that keeps data outside the key space, or with keys.
    pub fn has_module(&self, name: &str) -> bool {
        self.server.as_ref().is_none_or(|server| server.has_module(name))
    }

    /// The newest layout of streams that it loads; `None` before 5.0.
    pub fn stream_version(&self) -> Option<Version> {
        Some(match self.redis_version() {
            _ if self.is_dragonfly() => Version::V3,
            ..9 => return None,
            9 => Version::V1,
            10 => Version::V2,
            11 | 12 => Version::V3,
            13 => Version::V4,
            _ => Version::V5,
        })
    }

    /// Whether compact values are listpacks (7.0) and not ziplists.
    pub fn has_listpacks(&self) -> bool {
        self.redis_version() >= 10 || self.is_dragonfly()
    }

    /// Whether there are compact sets of any members (7.2).
    pub fn has_packed_sets(&self) -> bool {
        self.redis_version() >= 11
    }

    /// Whether a field of a hash can expire, in Redis' form or in Valkey's.
    pub fn has_field_expiry(&self) -> bool {
        self.origin.is_valkey() || self.origin.version >= 12 || self.is_dragonfly()
    }

    /// Whether small hashes can be listpacks with expiries of fields (Redis 7.4).
    pub fn has_expiring_listpacks(&self) -> bool {
        self.redis_version() >= 12
    }

    /// Whether it knows arrays (Redis 8.8).
    pub fn has_arrays(&self) -> bool {
        self.redis_version() >= 14
    }

    /// Whether it knows hash templates (Redis 8.10).
    pub fn has_templates(&self) -> bool {
        self.redis_version() >= 15
    }

    /// Whether it knows function libraries (Redis 7.0).
    pub fn has_functions(&self) -> bool {
        self.redis_version() >= 10
    }

    /// Whether it takes metadata of keys (Redis 8.6).
    pub fn has_key_meta(&self) -> bool {
        self.redis_version() >= 13
    }

    /// What to call it in a message.
    pub fn name(&self) -> String {
        match &self.server {
            Some(server) => server.name.clone(),
            None => self.header(),
        }
    }

    /// The first nine bytes of the file.
    pub fn header(&self) -> String {
        let magic = self.origin.magic.name();
        format!("{magic}{:0digits$}", self.origin.version, digits = 9 - magic.len())
    }
}

impl Server {
    fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|module| module == "all" || module == name)
    }
}

impl FromStr for Target {
    type Err = Error;

    /// `redis-2.4` … `redis-8.10`, `valkey-7.2` … `valkey-9.1` (a patch version may follow, a minor one may lack), or
    /// `rdb:N`.
    fn from_str(text: &str) -> Result<Target, Error> {
        let target = match text.split_once(['-', ':']) {
            Some(("rdb", n)) => n.parse().ok().and_then(Target::rdb),
            Some(("redis", version)) => {
                server_version(version).and_then(|version| Target::named(text, Dialect::Redis, version))
            }
            Some(("valkey", version)) => {
                server_version(version).and_then(|version| Target::named(text, Dialect::Valkey, version))
            }
            _ => None,
        };
        target.ok_or_else(|| {
            Error::usage(format!(
                "{text}: use redis-2.4 … redis-8.10, valkey-7.2 … valkey-9.1, or rdb:1 … rdb:15, rdb:80"
            ))
        })
    }
}

/// `7.0.15`, `7.0`, or `7`, which is 7.0.
fn server_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
    let major = parts.next()??;
    let minor = match parts.next() {
        Some(minor) => minor?,
        None => 0,
    };
    parts.all(|part| part.is_some()).then_some((major, minor))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_the_header_that_the_server_takes() {
        let t = |name: &str| name.parse::<Target>().map(|target| target.header()).ok();
        for (name, header) in [
            ("redis-2.6", "REDIS0006"),
            ("redis-3.0.7", "REDIS0006"),
            ("redis-3.2", "REDIS0007"),
            ("redis-6.2.14", "REDIS0009"),
            ("redis-7", "REDIS0010"),
            ("redis-7.4", "REDIS0012"),
            ("redis-8.2", "REDIS0012"),
            ("redis-8.6", "REDIS0013"),
            ("redis-8.10.2", "REDIS0015"),
            ("valkey-7.2", "REDIS0011"),
            ("valkey-8", "REDIS0011"),
            ("valkey-9", "VALKEY080"),
            ("valkey-9.1.2", "VALKEY080"),
            ("rdb:7", "REDIS0007"),
            ("rdb:80", "VALKEY080"),
        ] {
            assert_eq!(t(name).as_deref(), Some(header), "{name}");
        }
        for name in ["redis", "redis-", "redis-9.0", "valkey-6", "rdb:0", "rdb:16", "rdb:x", "redis-7.x", "dragonfly-1"]
        {
            assert_eq!(t(name), None, "{name}");
        }
    }
}
