//! `rdbkit digest`: one number for a data set.

use std::path::PathBuf;

use clap::Args;
use rdbkit::analysis::{Digest as Sum, DigestOptions, Digests, digest};
use rdbkit::pipeline::Output;
use rdbkit::{Error, Result, text};
use serde_json::{Value, json};

use crate::cli::{self, Common, FilterArgs, IgnoreArgs, Outcome, ServerArgs};
use crate::progress::Progress;
use crate::table::Table;

/// Print one fingerprint of a data set, the same for equal data whatever its form
///
/// Equal data has the same digest whatever the encodings, the order of keys, fields and members, the RDB version, the
/// format and the number of threads. In it are databases, keys, values with their types, expiries of keys and fields,
/// streams with their groups, consumers and pending entries, function libraries, and aux data of modules. Left out are
/// aux fields and hints of the file, idle times and access counters, when consumers were seen, links of vector sets, and
/// what streams count only since Redis 7.0 (entries added, entries read): `rdbkit diff` compares those where both sides
/// have them. Keys whose expiry has passed count as long as they are there; '--ttl expired --not' leaves them out.
///
/// The digest finds every accident. It is no proof against somebody who forges data on purpose.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit digest dump.rdb
  rdbkit digest before.rdb after.json.gz                 the same number: the same data
  rdbkit digest dump.rdb --expect 5dee77cf3f56a1bb0e5a55ae66b1b0a2 && echo unchanged
  rdbkit digest dump.rdb redis://localhost               before and after a migration
  rdbkit digest dump.rdb --by-prefix --ignore ttl")]
pub(crate) struct Digest {
    /// What to read: files, '-' for standard input, URLs of live servers. Several are read one after the other
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Exit with 1 if a digest is not this one
    #[arg(long, value_name = "HEX")]
    expect: Option<String>,
    /// A row for each database
    #[arg(long)]
    by_db: bool,
    /// A row for each prefix of keys: what stands in front of the first ':', or of another character
    #[arg(long, value_name = "CHAR", num_args = 0..=1, require_equals = true, default_missing_value = ":")]
    by_prefix: Option<char>,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ignore: IgnoreArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Digest {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let prefix = match self.by_prefix {
            Some(delimiter) if !delimiter.is_ascii() => {
                return Err(Error::usage("--by-prefix: use a single ASCII character"));
            }
            delimiter => delimiter.and_then(|c| u8::try_from(c).ok()),
        };
        let expected = self.expect.as_deref().map(parse_digest).transpose()?;
        let options = DigestOptions { filter: self.filter.filter()?, ignore: self.ignore.ignore(), prefix };
        let mut out = Output::create(None, false)?;
        let mut outcome = Outcome::Yes;
        for file in &self.files {
            let mut input = cli::open_source(file, &self.server, common.threads())?;
            let progress = Progress::of(&input, common.quiet, false);
            let digests = digest(&mut input, common.threads(), &options);
            drop(progress);
            let digests = digests.map_err(|e| input.name_it(e))?;
            cli::warn_of_commands(&input);
            let shown = if self.json { self.object(&input.name, &digests) } else { self.lines(&input.name, &digests) };
            out.put(shown.as_bytes())?;
            if expected.is_some_and(|sum| sum != digests.total.sum) {
                outcome = Outcome::No;
            }
        }
        Ok(outcome)
    }

    fn lines(&self, name: &str, digests: &Digests) -> String {
        let mut keys = text::count(digests.total.keys, "key");
        if digests.loose > 0 {
            keys = format!("{keys} and {} beside them", text::count(digests.loose, "record"));
        }
        let mut out = format!("{}  {name} ({keys})\n", digests.total);
        if self.by_db {
            let rows = digests.dbs.iter().map(|(db, sum)| (db.to_string(), *sum));
            table(&[">db", ">keys", "digest"], rows, &mut out);
        }
        if self.by_prefix.is_some() {
            let prefixes = sorted_prefixes(digests);
            let rows = prefixes.iter().map(|(prefix, sum)| match prefix {
                Some(prefix) => (text::quoted_short(prefix), *sum),
                None => ("(none)".to_owned(), *sum),
            });
            table(&["prefix", ">keys", "digest"], rows, &mut out);
        }
        out
    }

    fn object(&self, name: &str, digests: &Digests) -> String {
        let part = |sum: &Sum| json!({"keys": sum.keys, "digest": sum.to_string()});
        let mut object = json!({"file": name, "digest": digests.total.to_string(), "keys": digests.total.keys,
            "otherRecords": digests.loose});
        if self.by_db {
            let rows = digests.dbs.iter().map(|(db, sum)| with(part(sum), "db", json!(db)));
            object = with(object, "databases", rows.collect());
        }
        if self.by_prefix.is_some() {
            let rows = sorted_prefixes(digests)
                .into_iter()
                .map(|(prefix, sum)| with(part(&sum), "prefix", prefix.map_or(Value::Null, cli::json_bytes)));
            object = with(object, "prefixes", rows.collect());
        }
        format!("{object}\n")
    }
}

/// An object with one more member.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn sorted_prefixes(digests: &Digests) -> Vec<(Option<&[u8]>, Sum)> {
    let mut all: Vec<_> = digests.prefixes.iter().map(|(prefix, sum)| (prefix.as_deref(), *sum)).collect();
    all.sort_by_key(|(prefix, _)| *prefix);
    all
}

fn table(heads: &[&str], rows: impl Iterator<Item = (String, Sum)>, out: &mut String) {
    let mut table = Table::new(heads).indented(2);
    for (name, sum) in rows {
        table.row(vec![name, text::grouped(sum.keys), sum.to_string()]);
    }
    table.flush(out);
}

/// A digest as it is printed.
fn parse_digest(text: &str) -> Result<u128> {
    match u128::from_str_radix(text, 16) {
        Ok(sum) if text.len() == 32 => Ok(sum),
        _ => Err(Error::usage(format!("--expect {text}: a digest has 32 hexadecimal digits"))),
    }
}
