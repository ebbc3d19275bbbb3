//! `rdbkit import`: from JSON back to a dump.

use std::path::PathBuf;

use clap::Args;
use rdbkit::model::{Rewrite, Target, TtlRule};
use rdbkit::pipeline::{Composer, Destination, Loss, Plan, TextInput, open_text};
use rdbkit::{Error, Result, json};

use crate::cli::{self, Common, LossArgs, Outcome, OutputArgs, WriteArgs};
use crate::progress::Progress;

/// Make a dump of JSON: a backup of ours, or a map of fixtures
///
/// A backup ('rdbkit export', json or ndjson) comes back as it was, for the server that it came from or for another
/// --target; its trailer must be true. A plain map becomes a dump too: a string or number is a string, an object a
/// hash, an array a list. Without --target, fixtures become a dump that every server from Redis 5.0 on loads, and
/// Valkey. The same input gives the same bytes.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit import backup.json -o dump.rdb
  rdbkit import backup.ndjson --target redis-6.2 -o dump.rdb
  echo '{\"Croatia\":\"Zagreb\",\"hat:1\":{\"color\":\"black\",\"price\":49.99}}' | rdbkit import - -o dump.rdb
  rdbkit import fixtures.json --db 1 --ttl 1h --target valkey-9 -o dump.rdb
  rdbkit export dump.rdb --format ndjson | grep -v '\"key\":\"tmp:' | rdbkit import - --no-verify -o dump2.rdb")]
pub(crate) struct Import {
    /// The file; '-' for standard input. It may be compressed
    file: PathBuf,
    /// The database of keys that name none
    #[arg(long, value_name = "N", default_value_t = 0)]
    db: u64,
    /// What becomes of expiries: keep, strip, shift=+7d, rebase (as much time is left as when the backup was made), or
    /// a time such as 1h for keys that have none
    #[arg(long, value_name = "RULE|TIME", default_value = "keep", value_parser = parse_ttl)]
    ttl: Ttl,
    /// Take a backup that was edited: do not hold it against its trailer
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    losses: LossArgs,
}

/// What `--ttl` can say here.
#[derive(Clone, Copy)]
enum Ttl {
    Rule(TtlRule),
    /// In so many ms, for keys that have no expiry.
    In(i64),
}

fn parse_ttl(text: &str) -> Result<Ttl, String> {
    if let Some(rule) = cli::parse_ttl_rule(text)? {
        return Ok(Ttl::Rule(rule));
    }
    cli::parse_ms(text).map(Ttl::In).map_err(|_| "use keep, strip, rebase, shift=+7d, or a time such as 1h".into())
}

impl Import {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let input = open_text(&self.file)?;
        let name = input.name.clone();
        let nothing_written = |e: Error| e.in_input(&name).noting("nothing was written".into());
        refuse_other_formats(&input).map_err(nothing_written)?;
        let (meter, size) = (input.meter.clone(), input.size);
        let mut source = json::Source::new(input.bytes, !self.no_verify).map_err(nothing_written)?;
        let plan = self.plan(&source)?;
        let mut losses = self.losses.listener(self.output.force)?;
        let mut tell = |loss: &Loss| losses.tell(loss);
        let output = cli::rdb_output(&self.output)?;
        let mut composer = Composer::new(&plan, Destination::One(output), &mut tell)?;
        let progress = Progress::show(&meter, size, common.quiet, false);
        let added = composer.add_json(&mut source, self.db, common.threads(), &meter);
        drop(progress);
        added.map_err(nothing_written)?;
        if composer.is_refused() {
            drop(composer);
            return losses.refuse(&plan.target);
        }
        let report = composer.finish()?;
        losses.finish()?;
        if !common.quiet {
            let place = self.output.output.as_ref().map_or("standard output".into(), |path| path.display().to_string());
            cli::summarize(&report, &plan.target, &place);
        }
        Ok(Outcome::Yes)
    }

    fn plan(&self, source: &json::Source) -> Result<Plan> {
        /// What every server from 5.0 on loads, and Valkey.
        const PORTABLE: u32 = 9;
        let header = source.header();
        let otherwise = match header {
            Some(header) => Some(Target::of(header.origin())),
            None => Target::rdb(PORTABLE),
        };
        let otherwise = otherwise.ok_or_else(|| Error::unsupported("there is no such RDB version"))?;
        let mut plan = self.write.plan(otherwise, &self.losses)?;
        plan.options.same_server &= header.is_some();
        plan.compares_keys = true;
        let now = match self.write.ctime() {
            Some(seconds) => i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000),
            None => cli::now(),
        };
        let (ttl, default_expiry) = match self.ttl {
            Ttl::In(ms) => (TtlRule::Keep, Some(now.saturating_add(ms))),
            Ttl::Rule(TtlRule::Rebase) => {
                let old = header.and_then(json::Header::created);
                let old = old.ok_or_else(|| Error::usage("--ttl rebase: the file does not say when it was made"))?;
                (TtlRule::Rebase.resolve(old.saturating_mul(1000), now), None)
            }
            Ttl::Rule(rule) => (rule, None),
        };
        plan.rewrite = Rewrite { ttl, default_expiry, ..Rewrite::default() };
        Ok(plan)
    }
}

/// Says what to do with a file that is no JSON.
fn refuse_other_formats(input: &TextInput) -> Result<()> {
    match input.start.as_slice() {
        [b'R', b'E', b'D', b'I', b'S', ..] | [b'V', b'A', b'L', b'K', b'E', b'Y', ..] => {
            Err(Error::usage("it is a dump already; 'rdbkit convert' rewrites dumps"))
        }
        [] => Err(Error::usage("it is empty; {} is a map without keys")),
        _ => Ok(()),
    }
}
