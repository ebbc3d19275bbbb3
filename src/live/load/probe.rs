//! What a server is: its version, what it can hold, what we may do there. It is only asked, never changed.

use std::sync::Arc;

use crate::codec::crc64;
use crate::error::{Error, Result};
use crate::live::{Connection, Info, Reply};
use crate::model::{Dialect, Origin, Target};

/// What a server says of itself.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its name and version, such as `Redis 7.0.15`.
    pub name: String,
    /// Version, for what depends on it; of a fork, that of the Redis that it stands for.
    pub version: (u32, u32),
    /// For whom values are written.
    pub target: Arc<Target>,
    /// Why RESTORE can't be used, if it can't.
    pub no_restore: Option<String>,
    /// What tells this run of the server from others.
    pub run_id: String,
    /// Whether it is a node of a cluster.
    pub is_cluster: bool,
    /// How many databases there are to select.
    pub databases: u64,
    /// How many keys it has.
    pub keys: u64,
    /// The longest word of a command that it takes, in bytes.
    pub max_bulk: u64,
    /// `maxmemory`, if it has a limit, and how much is used.
    pub max_memory: Option<(u64, u64)>,
    /// How it evicts keys.
    pub policy: String,
}

/// The limit of servers that don't tell theirs: `proto-max-bulk-len` has this default.
const MAX_BULK: u64 = 512 << 20;

impl Probe {
    /// Asks a server. `otherwise` is what to write for if it does not say what it is.
    ///
    /// Errors: a replica that takes no writes; a lost connection.
    pub fn ask(connection: &mut Connection, otherwise: &Origin) -> Result<Probe> {
        let info = Info::ask(connection)?;
        if info.get("role") == Some("slave") && info.get("slave_read_only") != Some("0") {
            let master = info.get("master_host").unwrap_or("another server");
            let port = info.get("master_port").unwrap_or("?");
            return Err(Error::refused("it is a replica, which takes no writes")
                .noting(format!("load into its master, {master}:{port}")));
        }
        let (name, version, mut target) = who(&info).unwrap_or_else(|| {
            let target = Target::of(otherwise);
            ("a server that does not say its version".into(), (6, 2), target)
        });
        let has_modules = match connection.ask(&[b"MODULE", b"LIST"])? {
            Reply::Array(modules) => !modules.is_empty(),
            _ => true,
        };
        if let Some(server) = target.server.as_mut().filter(|_| has_modules) {
            server.modules = vec!["all".into()];
        }
        let config = |connection: &mut Connection, name: &str| -> Result<Option<String>> {
            Ok(connection.ask(&[b"CONFIG", b"GET", name.as_bytes()])?.items().get(1).and_then(Reply::to_text))
        };
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let is_cluster = info.is_cluster();
        let limit = info.number("maxmemory").filter(|max| *max > 0);
        Ok(Probe {
            name,
            version,
            no_restore: no_restore(connection, &target, is_cluster)?,
            run_id: info.get("run_id").unwrap_or_default().to_owned(),
            is_cluster,
            databases: match number(config(connection, "databases")?) {
                Some(databases) => databases,
                None => count_databases(connection)?,
            },
            keys: info.keys(),
            max_bulk: number(config(connection, "proto-max-bulk-len")?).unwrap_or(MAX_BULK),
            max_memory: limit.map(|max| (max, info.number("used_memory").unwrap_or(0))),
            policy: info.get("maxmemory_policy").unwrap_or("noeviction").to_owned(),
            target: Arc::new(target),
        })
    }

    /// Whether the server is at least this new.
    pub fn since(&self, major: u32, minor: u32) -> bool {
        self.version >= (major, minor)
    }

    /// Whether a server is a node of a cluster.
    pub fn is_cluster_node(connection: &mut Connection) -> Result<bool> {
        let info = Info::ask(connection)?;
        Ok(info.is_cluster())
    }

    /// What tells this run of a server from others; none if it does not say.
    pub fn run_id(connection: &mut Connection) -> Result<Option<String>> {
        let info = Info::ask(connection)?;
        Ok(info.get("run_id").map(str::to_owned))
    }
}

/// How many databases can be selected, of a server that does not tell.
fn count_databases(connection: &mut Connection) -> Result<u64> {
    const MOST: u64 = 1 << 20;
    let mut can_select = |db: u64| -> Result<bool> {
        let reply = connection.ask(&[b"SELECT", itoa::Buffer::new().format(db).as_bytes()])?;
        Ok(!matches!(reply, Reply::Error(_)))
    };
    // 0 is selected from the start, and need not be allowed to be.
    let (mut there, mut not) = (0, 1);
    while not < MOST && can_select(not)? {
        (there, not) = (not, not * 2);
    }
    while there + 1 < not {
        let middle = there.midpoint(not);
        if can_select(middle)? {
            there = middle;
        } else {
            not = middle;
        }
    }
    can_select(0)?;
    Ok(there + 1)
}

/// Name and version of the server, and the target that it is.
fn who(info: &Info) -> Option<(String, (u32, u32), Target)> {
    let redis = info.get("redis_version")?;
    let version = major_minor(redis)?;
    if let Some(valkey) = info.get("valkey_version") {
        let own = major_minor(valkey)?;
        // A newer one than is known loads what the newest known does.
        let target = named("valkey", own).or_else(|| Target::rdb(80))?;
        // Valkey went on from 7.2, and has commands that came later under its own numbers.
        return Some((format!("Valkey {valkey}"), (7, 2), target));
    }
    if let Some(dragonfly) = info.get("dragonfly_version") {
        let mut target = Target::rdb(9)?;
        target.origin.dialect = Dialect::Dragonfly;
        return Some((format!("Dragonfly {dragonfly}"), version, target));
    }
    let mut target = named("redis", version).or_else(|| Target::rdb(if version > (8, 0) { 15 } else { 9 }))?;
    let is_keydb =
        info.get("executable").is_some_and(|path| path.ends_with("keydb-server")) || info.get("mvcc_depth").is_some();
    if is_keydb {
        target.origin.dialect = Dialect::KeyDb;
        return Some((format!("KeyDB {redis}"), version, target));
    }
    let name = if info.get("redict_version").is_some() { "Redict" } else { "Redis" };
    Some((format!("{name} {redis}"), version, target))
}

fn named(name: &str, version: (u32, u32)) -> Option<Target> {
    format!("{name}-{}.{}", version.0, version.1).parse().ok()
}

fn major_minor(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches("df-").trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Why RESTORE can't be used. A payload of a type that no server has is refused before any key is touched; the words
/// tell whether the command is allowed, and whether payloads of the target's version are taken.
fn no_restore(connection: &mut Connection, target: &Target, is_cluster: bool) -> Result<Option<String>> {
    const NO_TYPE: u8 = 200;
    let version = u16::try_from(target.origin.version).unwrap_or(u16::MAX).to_le_bytes();
    let mut payload = vec![NO_TYPE, version[0], version[1]];
    let crc = crc64::jones(&payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    let words = match connection.ask(&[b"RESTORE", b"rdbkit:probe", b"0", &payload])? {
        Reply::Error(words) => words,
        _ => return Ok(None),
    };
    let is_fine = words.contains("Bad data format")
        || is_cluster && (words.starts_with("MOVED") || words.starts_with("ASK") || words.starts_with("CLUSTERDOWN"))
        || ["LOADING", "BUSY", "OOM", "MISCONF", "READONLY", "TRYAGAIN"].iter().any(|word| words.starts_with(word));
    // A user may be kept to keys of certain names.
    let is_only_this_key = words.starts_with("NOPERM") && words.contains("key");
    // What it was told is of no interest to anybody.
    let words = words.split(", with args").next().unwrap_or_default().to_owned();
    Ok((!is_fine && !is_only_this_key).then_some(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(info: &str) -> (String, String, (u32, u32)) {
        let (name, version, target) = who(&Info::of(info)).unwrap();
        (name, target.header(), version)
    }

    #[test]
    fn servers_say_who_they_are() {
        let t = |info: &str, name: &str, header: &str, version| {
            assert_eq!(target_of(info), (name.into(), header.into(), version), "{info}");
        };
        t("redis_version:7.0.15\r\nrole:master", "Redis 7.0.15", "REDIS0010", (7, 0));
        t("redis_version:6.2.14\r\n", "Redis 6.2.14", "REDIS0009", (6, 2));
        t("redis_version:9.0.0", "Redis 9.0.0", "REDIS0015", (9, 0));
        t("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.1", "Valkey 9.0.1", "VALKEY080", (7, 2));
        t("redis_version:7.2.4\r\nvalkey_version:10.1.0", "Valkey 10.1.0", "VALKEY080", (7, 2));
        t("redis_version:7.2.4\r\nvalkey_version:8.1.0", "Valkey 8.1.0", "REDIS0011", (7, 2));
        t("redis_version:7.4.0\r\ndragonfly_version:df-v1.30.0", "Dragonfly df-v1.30.0", "REDIS0009", (7, 4));
        t("redis_version:6.3.4\r\nmvcc_depth:0", "KeyDB 6.3.4", "REDIS0009", (6, 3));
    }

    #[test]
    fn keys_are_counted_over_all_databases() {
        let info = Info::of(
            "db_x:1\r\n# Keyspace\r\ndb0:keys=3,expires=0\r\ndb11:keys=4,expires=1,avg_ttl=0\r\nmaxmemory:7\r\n",
        );
        assert_eq!((info.keys(), info.number("maxmemory"), info.get("db")), (7, Some(7), None));
    }
}
