//! Where a snapshot comes from: the facts that decide what its bytes mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::string::canonical_integer;

/// The first bytes of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Magic {
    /// `REDIS` and four digits.
    Redis,
    /// `VALKEY` and three digits.
    Valkey,
}

impl Magic {
    /// The letters.
    pub fn name(self) -> &'static str {
        match self {
            Magic::Redis => "REDIS",
            Magic::Valkey => "VALKEY",
        }
    }
}

/// Whose format it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Redis, and whatever writes as Redis does.
    Redis,
    /// Valkey.
    Valkey,
    /// KeyDB.
    KeyDb,
    /// Dragonfly.
    Dragonfly,
}

impl Dialect {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Redis => "redis",
            Dialect::Valkey => "valkey",
            Dialect::KeyDb => "keydb",
            Dialect::Dragonfly => "dragonfly",
        }
    }
}

/// The field names that many hashes share (Redis 8.10, opcode 242).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Template {
    /// The names in the order in which the values stand.
    pub fields: Vec<Box<[u8]>>,
}

/// The templates of a file, by id. Cheap to clone: batches on their way keep the state that they were read under.
pub type Templates = BTreeMap<u64, Arc<Template>>;

/// Where a snapshot comes from. Decided by the header and the aux fields, and handed on with every value.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The first bytes of the file.
    pub magic: Magic,
    /// The RDB version: the number behind the magic.
    pub version: u32,
    /// Whose format it is.
    pub dialect: Dialect,
    /// The version that the server gave of itself.
    pub server: Option<String>,
    /// Hash templates seen so far.
    pub templates: Templates,
}

impl Origin {
    /// The origin that the first nine bytes tell; `None` when they are no header.
    pub fn from_header(header: &[u8; 9]) -> Option<Origin> {
        let (magic, digits) = match header {
            [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (Magic::Redis, digits.as_slice()),
            [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (Magic::Valkey, digits.as_slice()),
            _ => return None,
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let version = digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'));
        let dialect = if magic == Magic::Valkey { Dialect::Valkey } else { Dialect::Redis };
        (version > 0).then_some(Origin { magic, version, dialect, server: None, templates: Templates::new() })
    }

    /// Whether the file has Valkey's magic, and with it Valkey's meaning of the bytes that collide.
    pub fn is_valkey(&self) -> bool {
        self.magic == Magic::Valkey
    }

    /// Whether this aux field would change anything here: most don't, and then the origin need not be copied.
    pub fn cares_about(name: &[u8]) -> bool {
        matches!(name, b"redis-ver" | b"valkey-ver" | b"df-ver" | b"mvcc-tstamp" | b"repl-masters")
            || name.starts_with(b"keydb-")
    }

    /// Learns from an aux field.
    pub fn learn(&mut self, name: &[u8], value: &[u8]) {
        let version = || Some(String::from_utf8_lossy(value).into_owned());
        match name {
            b"redis-ver" => {
                // There is no Redis 6.3; KeyDB gives its own version here.
                if value.starts_with(b"6.3.") {
                    self.dialect = Dialect::KeyDb;
                }
                if self.dialect != Dialect::Dragonfly {
                    self.server = version();
                }
            }
            b"valkey-ver" => {
                self.dialect = Dialect::Valkey;
                self.server = version();
            }
            b"df-ver" => {
                self.dialect = Dialect::Dragonfly;
                self.server = version();
            }
            _ if self.dialect == Dialect::Redis => self.dialect = Dialect::KeyDb,
            _ => {}
        }
    }

    /// The server that wrote it, as far as the file says: `Redis 7.0.15`.
    pub fn server_name(&self) -> Option<String> {
        let product = match self.dialect {
            Dialect::Redis => "Redis",
            Dialect::Valkey => "Valkey",
            Dialect::KeyDb => "KeyDB",
            Dialect::Dragonfly => "Dragonfly",
        };
        self.server.as_ref().map(|version| format!("{product} {version}"))
    }

    /// The server's version as numbers, for what depends on it: `7.0.15` is (7, 0).
    pub fn server_version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.server.as_ref()?.trim_start_matches("df-v").split('.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            canonical_integer(&part.as_bytes()[..digits]).and_then(|n| u32::try_from(n).ok())
        });
        Some((numbers.next()??, numbers.next()??))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let t = |header: &[u8; 9]| Origin::from_header(header).map(|o| (o.magic, o.version));
        assert_eq!(t(b"REDIS0011"), Some((Magic::Redis, 11)));
        assert_eq!(t(b"REDIS1002"), Some((Magic::Redis, 1002)));
        assert_eq!(t(b"VALKEY080"), Some((Magic::Valkey, 80)));
        assert_eq!(t(b"REDIS0000"), None);
        assert_eq!(t(b"REDIS00x1"), None);
        assert_eq!(t(b"<!DOCTYPE"), None);
    }

    #[test]
    fn aux_fields_tell_the_dialect() {
        let t = |aux: &[(&str, &str)]| {
            let mut origin = Origin::from_header(b"REDIS0009").unwrap();
            for (name, value) in aux {
                if Origin::cares_about(name.as_bytes()) {
                    origin.learn(name.as_bytes(), value.as_bytes());
                }
            }
            (origin.dialect, origin.server_version())
        };
        assert_eq!(t(&[("redis-ver", "6.2.14")]), (Dialect::Redis, Some((6, 2))));
        assert_eq!(t(&[("redis-ver", "6.3.4")]), (Dialect::KeyDb, Some((6, 3))));
        assert_eq!(t(&[("redis-ver", "5.0.7"), ("mvcc-tstamp", "1")]), (Dialect::KeyDb, Some((5, 0))));
        assert_eq!(t(&[("redis-ver", "6.2.11"), ("df-ver", "df-v1.21.2")]), (Dialect::Dragonfly, Some((1, 21))));
        assert_eq!(t(&[("valkey-ver", "8.1.1")]), (Dialect::Valkey, Some((8, 1))));
    }
}
