//! The limits up to which a server keeps a collection in its compact encoding: its defaults, or those of a redis.conf.

use crate::codec::stream::NodeLimits;
use crate::error::{Error, Result};

/// Where compact encodings end. The defaults have been the same in every server since 2.6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `hash-max-listpack-entries`: fields of a compact hash.
    pub hash_entries: u64,
    /// `hash-max-listpack-value`: bytes of a name or value in it.
    pub hash_value: usize,
    /// `zset-max-listpack-entries`: members of a compact sorted set.
    pub zset_entries: u64,
    /// `zset-max-listpack-value`: bytes of a member in it.
    pub zset_value: usize,
    /// `set-max-intset-entries`: members of an intset.
    pub intset_entries: u64,
    /// `set-max-listpack-entries`: members of a compact set (7.2 and later).
    pub set_entries: u64,
    /// `set-max-listpack-value`: bytes of a member in it.
    pub set_value: usize,
    /// `list-max-listpack-size`: elements of a list's node, or -1 to -5 for 4 to 64 KiB (3.2 and later).
    pub list_fill: i64,
    /// `list-max-ziplist-entries`: items of a compact list (before 3.2).
    pub list_entries: u64,
    /// `list-max-ziplist-value`: bytes of an item in it.
    pub list_value: usize,
    /// `stream-node-max-bytes` and `stream-node-max-entries`.
    pub stream: NodeLimits,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            hash_entries: 512,
            hash_value: 64,
            zset_entries: 128,
            zset_value: 64,
            intset_entries: 512,
            set_entries: 128,
            set_value: 64,
            list_fill: -2,
            list_entries: 512,
            list_value: 64,
            stream: NodeLimits::default(),
        }
    }
}

impl Limits {
    /// Takes the limits out of a redis.conf, under their names of any version; every other line is left alone.
    ///
    /// Errors name the line.
    pub fn read_conf(text: &str) -> Result<Limits> {
        let mut limits = Limits::default();
        for (i, line) in text.lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
            let value = value.trim_matches(['"', '\'']);
            if limits.set(&name.to_ascii_lowercase(), value).is_none() {
                return Err(Error::usage(format!("line {}: {name} {value}: that is no number it can have", i + 1)));
            }
        }
        Ok(limits)
    }

    /// Sets what `name` names; `None` if it names a limit and the value is not one.
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let short = name.replace("-ziplist-", "-listpack-").replace("-zipmap-", "-listpack-");
        let entries = |to: &mut u64| Some(*to = value.parse().ok()?);
        let bytes = |to: &mut usize| Some(*to = usize::try_from(memory(value)?).ok()?);
        match short.as_str() {
            "hash-max-listpack-entries" => entries(&mut self.hash_entries),
            "hash-max-listpack-value" => bytes(&mut self.hash_value),
            "zset-max-listpack-entries" => entries(&mut self.zset_entries),
            "zset-max-listpack-value" => bytes(&mut self.zset_value),
            "set-max-intset-entries" => entries(&mut self.intset_entries),
            "set-max-listpack-entries" => entries(&mut self.set_entries),
            "set-max-listpack-value" => bytes(&mut self.set_value),
            "list-max-listpack-size" => Some(self.list_fill = value.parse().ok()?),
            "list-max-listpack-entries" => entries(&mut self.list_entries),
            "list-max-listpack-value" => bytes(&mut self.list_value),
            "stream-node-max-bytes" => Some(self.stream.max_bytes = memory(value)?),
            "stream-node-max-entries" => entries(&mut self.stream.max_entries),
            _ => Some(()),
        }
    }
}

/// A number of bytes as redis.conf writes it: `64`, `4kb` (1024), `4k` (1000).
fn memory(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conf_is_read_under_the_names_of_all_versions() {
        let conf = "# limits\nport 6379\nhash-max-ziplist-entries 5\nhash-max-listpack-value \"6\"\nZSET-max-ziplist-entries 7\n\
                    set-max-listpack-entries 8\nlist-max-ziplist-size -1\nlist-max-ziplist-entries 9\n\
                    stream-node-max-bytes 1kb\nstream-node-max-entries 10\nsave 900 1\n";
        let limits = Limits::read_conf(conf).unwrap();
        assert_eq!((limits.hash_entries, limits.hash_value, limits.zset_entries), (5, 6, 7));
        assert_eq!((limits.set_entries, limits.list_fill, limits.list_entries), (8, -1, 9));
        assert_eq!((limits.stream.max_bytes, limits.stream.max_entries), (1024, 10));
        assert_eq!(limits.intset_entries, 512);
        let e = Limits::read_conf("port 1\nhash-max-ziplist-entries many\n").unwrap_err();
        assert!(e.to_string().starts_with("line 2: hash-max-ziplist-entries many"), "{e}");
    }
}
