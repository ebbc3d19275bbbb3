//! Flags that change keys and values on their way.

use std::path::Path;

use clap::{Args, ValueEnum};
use rdbkit::model::{DbMap, Mask, Rewrite, TtlRule};
use rdbkit::{Error, Result};

/// What is changed of keys: the same flags in every command that writes them.
#[derive(Args, Default)]
#[command(next_help_heading = "What is changed")]
pub(crate) struct RewriteArgs {
    /// Put keys of database FROM into TO; FROM '*' is every database that is not named. May be given several times
    #[arg(long, value_name = "FROM:TO", value_delimiter = ',', value_parser = parse_db_map)]
    db_map: Vec<(Option<u64>, u64)>,
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
    /// Replace what keys and values say by pseudonyms of the same length and form, so that the dump can be shared
    ///
    /// The same text has the same pseudonym everywhere, in every dump that is masked with the same secret. SECRET should
    /// be long and random: @FILE reads it from a file (a line end behind it does not count), env:NAME from the
    /// environment; given here as it is, others see it in the list of processes. Prefixes and hash tags of keys stay, as
    /// do times, stream ids, types and sizes. Values of modules, vector sets and function libraries can't be masked; they
    /// count as what the target cannot hold (--on-loss).
    #[arg(long, value_name = "SECRET|@FILE|env:NAME")]
    mask: Option<String>,
    /// With --mask: what stands between the parts of a key, one or more characters; up to the first one keys stay as
    /// they are. '' masks all of every key
    #[arg(long, value_name = "CHARS", default_value = ":", requires = "mask")]
    mask_separator: String,
    /// With --mask: names in values, such as user:1234, are masked as keys are, so that they still lead to their keys;
    /// what stands in front of their first separator stays readable
    #[arg(long, requires = "mask")]
    mask_references: bool,
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
            db_map: self.db_map()?,
            strip: self.prefix_strip.iter().map(|prefix| prefix.as_bytes().to_vec()).collect(),
            renames: self.rename.iter().map(|rule| rule.parse()).collect::<Result<_>>()?,
            add: self.prefix_add.as_bytes().to_vec(),
            ttl,
            default_expiry: None,
            drop_expired: self.expired == Expired::Drop,
            now: super::now(),
            mask: self.mask.as_deref().map(|from| self.masked_with(from)).transpose()?,
        })
    }

    fn db_map(&self) -> Result<DbMap> {
        let mut map = DbMap::default();
        for (from, to) in &self.db_map {
            let is_new = match from {
                None => map.others.replace(*to).is_none(),
                Some(from) => {
                    let is_new = map.pairs.iter().all(|(known, _)| known != from);
                    map.pairs.push((*from, *to));
                    is_new
                }
            };
            if !is_new {
                let from = from.map_or("*".into(), |from| from.to_string());
                return Err(Error::usage(format!("--db-map: database {from} is to go to two places")));
            }
        }
        Ok(map)
    }

    fn masked_with(&self, from: &str) -> Result<Mask> {
        let mask = Mask::new(&secret(from)?, self.mask_separator.as_bytes());
        let mut mask = mask.map_err(|e| Error::usage(format!("--mask: {e}")))?;
        mask.references = self.mask_references;
        Ok(mask)
    }
}

/// The secret that `--mask` names. It is never part of a message.
fn secret(from: &str) -> Result<Vec<u8>> {
    if let Some(path) = from.strip_prefix('@') {
        let mut secret = std::fs::read(Path::new(path)).map_err(|e| Error::from(e).in_input(path))?;
        // Editors and echo leave a line end that nobody means.
        if secret.pop_if(|b| *b == b'\n').is_some() {
            secret.pop_if(|b| *b == b'\r');
        }
        return Ok(secret);
    }
    match from.strip_prefix("env:") {
        Some(name) => std::env::var_os(name)
            .map(std::ffi::OsString::into_encoded_bytes)
            .ok_or_else(|| Error::usage(format!("--mask: there is no variable {name} in the environment"))),
        None => Ok(from.as_bytes().to_vec()),
    }
}

/// A pair of databases; `None` stands for all others.
fn parse_db_map(text: &str) -> Result<(Option<u64>, u64), String> {
    let wrong = || "use two database numbers, such as 3:0, or '*:0'".to_owned();
    let (from, to) = text.split_once(':').ok_or_else(wrong)?;
    let from = if from == "*" { None } else { Some(from.parse().map_err(|_| wrong())?) };
    Ok((from, to.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;
    use rdbkit::model::MaskBuf;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        rewrite: RewriteArgs,
    }

    fn rewrite(flags: &[&str]) -> Result<Rewrite> {
        let flags =
            Flags::try_parse_from(std::iter::once(&"x").chain(flags)).map_err(|e| Error::usage(e.to_string()))?;
        flags.rewrite.rewrite(TtlRule::Keep)
    }

    fn said(flags: &[&str]) -> String {
        rewrite(flags).unwrap_err().to_string()
    }

    #[test]
    fn no_flag_changes_nothing() {
        assert!(rewrite(&[]).unwrap().is_empty());
    }

    #[test]
    fn databases() {
        let map = rewrite(&["--db-map", "3:0,5:1", "--db-map", "*:9"]).unwrap().db_map;
        assert_eq!([3, 5, 0, 7].map(|db| map.of(db)), [0, 1, 9, 9]);
        assert!(said(&["--db-map", "3:0,3:1"]).contains("database 3 is to go to two places"));
        assert!(said(&["--db-map", "*:0", "--db-map", "*:1"]).contains("database * is"));
        for wrong in ["3", "a:1", "1:a", "1:*", ":", "*"] {
            assert!(said(&["--db-map", wrong]).contains("two database numbers"), "{wrong}");
        }
    }

    #[test]
    fn names() {
        let flags = ["--rename", "s/a/b/", "--rename", "s/b,/c/g", "--prefix-strip", "x:", "--prefix-add", "y:"];
        let rewrite = rewrite(&flags).unwrap();
        assert_eq!((rewrite.renames.len(), rewrite.strip, rewrite.add), (2, vec![b"x:".to_vec()], b"y:".to_vec()));
        assert!(said(&["--rename", "a/b"]).contains("--rename a/b: "));
    }

    #[test]
    fn expired_keys() {
        assert!(rewrite(&["--expired", "drop"]).unwrap().drop_expired);
        assert!(!rewrite(&["--expired", "keep"]).unwrap().drop_expired);
    }

    #[test]
    fn secrets_come_from_three_places() {
        let pseudonym = |flags: &[&str]| {
            let mask = rewrite(flags).unwrap().mask.unwrap();
            mask.key(b"user:alice", &mut MaskBuf::default()).to_vec()
        };
        let want = pseudonym(&["--mask", "tr0ub4dor"]);
        assert_ne!(want, pseudonym(&["--mask", "tr0ub4dor "]));
        for (text, is_same) in
            [("tr0ub4dor", true), ("tr0ub4dor\n", true), ("tr0ub4dor\r\n", true), ("tr0ub4dor\n\n", false)]
        {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let from = format!("@{}", file.path().display());
            assert_eq!(pseudonym(&["--mask", &from]) == want, is_same, "{text:?}");
        }
        // Every process has one.
        let path = std::env::var("PATH").unwrap();
        assert_eq!(pseudonym(&["--mask", "env:PATH"]), pseudonym(&["--mask", &path]));
        assert!(said(&["--mask", "env:NO_SUCH_VARIABLE_1"]).contains("NO_SUCH_VARIABLE_1"));
        assert!(said(&["--mask", "@/no/such/file"]).contains("/no/such/file"));
        assert!(said(&["--mask", ""]).contains("--mask: the secret to mask with is empty"));
    }

    #[test]
    fn what_of_keys_is_masked() {
        let masked = |flags: &[&str], key: &str| {
            let mask = rewrite(&[&["--mask", "s"], flags].concat()).unwrap().mask.unwrap();
            String::from_utf8(mask.key(key.as_bytes(), &mut MaskBuf::default()).to_vec()).unwrap()
        };
        assert!(masked(&[], "user:alice").starts_with("user:"));
        assert!(masked(&["--mask-separator", "/-"], "user-alice:x/bob").starts_with("user-"));
        assert!(!masked(&["--mask-separator", ""], "user:alice").starts_with("user:"));
        assert!(said(&["--mask", "s", "--mask-separator", "x"]).contains("separator"));
        assert!(rewrite(&["--mask", "s", "--mask-references"]).unwrap().mask.unwrap().references);
        assert!(said(&["--mask-references"]).contains("--mask"));
    }
}
