//! Flags that change keys on their way.

use clap::{Args, ValueEnum};
use rdbkit::Result;
use rdbkit::model::{Rename, Rewrite, TtlRule};

/// What is changed of keys: the same flags in every command that writes them.
#[derive(Args, Default)]
#[command(next_help_heading = "What is changed")]
pub(crate) struct RewriteArgs {
    /// Put keys of database FROM into TO. May be given several times
    #[arg(long, value_name = "FROM:TO", value_delimiter = ',', value_parser = parse_db_map)]
    db_map: Vec<(u64, u64)>,
    /// Rename keys as sed would: 's/^user:/u:/', with g for every match and i for any case; $1 or \1 is a group. May be
    /// given several times
    #[arg(long, value_name = "RULE")]
    rename: Vec<String>,
    /// Put this in front of every key, after --prefix-strip and --rename
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    prefix_add: String,
    /// Take this off keys that begin with it, unless nothing would be left. May be given several times
    #[arg(long, value_name = "PREFIX")]
    prefix_strip: Vec<String>,
    /// What becomes of keys whose expiry has passed
    #[arg(long, value_enum, default_value = "keep")]
    expired: Expired,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Expired {
    #[default]
    Keep,
    Drop,
}

impl RewriteArgs {
    /// What the flags describe.
    pub(crate) fn rewrite(&self, ttl: TtlRule) -> Result<Rewrite> {
        Ok(Rewrite {
            db_map: self.db_map.clone(),
            strip: self.prefix_strip.iter().map(|prefix| prefix.as_bytes().to_vec()).collect(),
            renames: self.rename.iter().map(|rule| rule.parse::<Rename>()).collect::<Result<_>>()?,
            add: self.prefix_add.as_bytes().to_vec(),
            ttl,
            default_expiry: None,
            drop_expired: self.expired == Expired::Drop,
            now: super::now(),
        })
    }
}

fn parse_db_map(text: &str) -> Result<(u64, u64), String> {
    let numbers = text.split_once(':').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    numbers.ok_or_else(|| "use two database numbers, such as 3:0".into())
}
