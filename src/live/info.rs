//! What a server says of itself.

use super::connection::Connection;
use crate::error::Result;

/// The answer to INFO.
#[derive(Clone, Default, Debug)]
pub struct Info(String);

impl Info {
    /// Asks a server. One that does not tell this user anything says nothing.
    pub fn ask(connection: &mut Connection) -> Result<Info> {
        Ok(Info(connection.ask(&[b"INFO"])?.to_text().unwrap_or_default()))
    }

    /// An answer that was given.
    pub fn of(text: &str) -> Info {
        Info(text.to_owned())
    }

    /// A field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
    }

    /// A field that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// Whether it is a node of a cluster.
    pub fn is_cluster(&self) -> bool {
        self.get("cluster_enabled") == Some("1") || self.get("redis_mode") == Some("cluster")
    }

    /// The aux field in which this server's dumps tell its version, and the version.
    pub fn version(&self) -> Option<(&'static str, &str)> {
        let fields =
            [("valkey_version", "valkey-ver"), ("dragonfly_version", "df-ver"), ("redis_version", "redis-ver")];
        fields.into_iter().find_map(|(field, aux)| Some((aux, self.get(field)?)))
    }

    /// The databases with keys in them: number and keys. `None` if it does not say.
    pub fn keyspace(&self) -> Option<Vec<(u64, u64)>> {
        if !self.0.contains("# Keyspace") {
            return None;
        }
        let db = |line: &str| {
            let (db, facts) = line.strip_prefix("db")?.split_once(":keys=")?;
            let keys = facts.split(',').next()?;
            Some((db.parse().ok()?, keys.trim_end().parse().ok()?))
        };
        Some(self.0.lines().filter_map(db).collect())
    }

    /// The keys of all databases.
    pub fn keys(&self) -> u64 {
        self.keyspace().unwrap_or_default().iter().map(|(_, keys)| keys).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_databases() {
        let info = Info(
            "# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\ncluster_enabled:0\r\n\
            # Keyspace\r\ndb0:keys=12,expires=3,avg_ttl=0\r\ndb15:keys=1,expires=0\r\n"
                .into(),
        );
        assert_eq!(info.version(), Some(("valkey-ver", "9.1.2")));
        assert_eq!(info.keyspace(), Some(vec![(0, 12), (15, 1)]));
        assert!(!info.is_cluster());
        assert_eq!(Info::default().keyspace(), None);
        assert_eq!(Info("# Keyspace\r\n".into()).keyspace(), Some(vec![]));
    }
}
