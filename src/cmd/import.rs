//! `rdbkit import`: from JSON, CSV and commands to a dump.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rdbkit::model::{Rewrite, Target, TtlRule};
use rdbkit::pipeline::{Composer, Destination, Form, Loaded, Loss, Meter, Plan, Start, TextInput, name_of, open_text};
use rdbkit::{Error, Result, csv, json};

use crate::cli::{self, Common, LossArgs, Outcome, OutputArgs, WriteArgs};
use crate::progress::Progress;

/// Make a dump of JSON (a backup of ours, or a map of fixtures), of CSV, or of commands (an append-only file)
///
/// A backup ('rdbkit export', json or ndjson) comes back as it was, for the server that it came from or for another
/// --target; its trailer must be true. A plain map becomes a dump too: a string or number is a string, an object a
/// hash, an array a list. CSV has a row an element, under the names of its columns: key and value, and any of database,
/// type, expiry, index, field and field_expiry. Commands, as in append-only files or as they are typed, are applied to
/// a dataset in memory, as a server would do; one that can't be applied without a server is named, and nothing is
/// written. An append-only file may begin with a dump, and an appendonlydir is read with its manifest. Without
/// --target, the dump is one that every server from Redis 5.0 on loads, and Valkey, unless commands made something
/// newer. The same input gives the same bytes; --ctime fixes what relative times in commands are counted from.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit import backup.json -o dump.rdb
  rdbkit import backup.ndjson --target redis-6.2 -o dump.rdb
  echo '{\"Croatia\":\"Zagreb\",\"hat:1\":{\"color\":\"black\",\"price\":49.99}}' | rdbkit import - -o dump.rdb
  rdbkit import fixtures.json --db 1 --ttl 1h --target valkey-9 -o dump.rdb
  rdbkit import appendonlydir -o dump.rdb
  rdbkit import commands.txt --target redis-7.2 -o dump.rdb
  rdbkit import people.csv --ttl 1h -o dump.rdb
  rdbkit export dump.rdb --format ndjson | grep -v '\"key\":\"tmp:' | rdbkit import - --no-verify -o dump2.rdb")]
pub(crate) struct Import {
    /// The file, or an appendonlydir; '-' for standard input. It may be compressed
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

/// What is imported, read as far as can be told before anything is written.
enum Source {
    Json(json::Source),
    Csv(csv::Reader),
    Commands(Box<Loaded>),
}

impl Import {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let (meter, name) = (Arc::new(Meter::default()), name_of(&self.file));
        let nothing_written = |e: Error| e.in_input(&name).noting_more("nothing was written");
        let opened = if self.file.is_dir() { None } else { Some(open_text(&self.file, &meter)?) };
        let progress = Progress::show(&meter, opened.as_ref().and_then(|text| text.size), common.quiet, false);
        let mut source = self.source(opened, &meter).map_err(nothing_written)?;
        let plan = self.plan(&source)?;
        let mut losses = self.losses.listener(self.output.force)?;
        let mut tell = |loss: &Loss| losses.tell(loss);
        let output = cli::rdb_output(&self.output)?;
        let mut composer = Composer::new(&plan, Destination::One(output), &mut tell)?;
        let added = match &mut source {
            Source::Json(source) => composer.add_json(source, self.db, common.threads(), &meter),
            Source::Csv(reader) => composer.add_csv(reader, self.db),
            Source::Commands(loaded) => composer.add_dataset(&mut loaded.dataset, common.threads(), &meter),
        };
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

    /// Reads what the file is, and of commands all.
    fn source(&self, opened: Option<TextInput>, meter: &Arc<Meter>) -> Result<Source> {
        let from = Start { now: self.now(), db: self.db };
        let Some(TextInput { bytes, name, start, .. }) = opened else {
            return Loaded::read(&self.file, from, meter).map(|loaded| Source::Commands(Box::new(loaded)));
        };
        match Form::of(&start) {
            Some(Form::Json) => json::Source::new(bytes, !self.no_verify).map(Source::Json),
            Some(Form::Csv) => csv::Reader::new(bytes).map(Source::Csv),
            Some(Form::Commands | Form::Typed | Form::Preamble) => {
                Loaded::read_stream(&name, bytes, &start, from).map(|loaded| Source::Commands(Box::new(loaded)))
            }
            Some(Form::AofDir) => {
                Loaded::read(&self.file, from, meter).map(|loaded| Source::Commands(Box::new(loaded)))
            }
            Some(Form::Rdb) => Err(Error::usage("it is a dump already; 'rdbkit convert' rewrites dumps")),
            // It says what is lacking.
            None if start.trim_ascii_start().starts_with(b"[") => {
                json::Source::new(bytes, !self.no_verify).map(Source::Json)
            }
            None if start.is_empty() => Err(Error::usage("it is empty; {} is a map without keys")),
            None => Err(Error::usage(
                "it is nothing that can be imported: it begins neither as JSON, nor with a command, nor with the names of \
                 CSV columns, such as key,value",
            )),
        }
    }

    /// What times are counted from, Unix time in ms: the file's time of creation, if it is set.
    fn now(&self) -> i64 {
        match self.write.ctime() {
            Some(seconds) => i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000),
            None => cli::now(),
        }
    }

    fn plan(&self, source: &Source) -> Result<Plan> {
        let header = match source {
            Source::Json(source) => source.header(),
            _ => None,
        };
        let otherwise = match (source, header) {
            (_, Some(header)) => Target::of(header.origin()),
            (Source::Commands(loaded), _) => loaded.target.clone(),
            _ => Target::least(0),
        };
        let mut plan = self.write.plan(otherwise, &self.losses)?;
        plan.options.same_server &= header.is_some();
        plan.options.expand_templates = matches!(source, Source::Commands(_));
        // A backup with a true trailer is as a dump was, and comes back as that.
        plan.compares_keys = match source {
            Source::Commands(_) => false,
            _ => header.is_none() || self.no_verify,
        };
        let (ttl, default_expiry) = match self.ttl {
            Ttl::In(ms) => (TtlRule::Keep, Some(self.now().saturating_add(ms))),
            Ttl::Rule(TtlRule::Rebase) => {
                let old = header.and_then(json::Header::created);
                let old = old.ok_or_else(|| Error::usage("--ttl rebase: the file does not say when it was made"))?;
                (TtlRule::Rebase.resolve(old.saturating_mul(1000), self.now()), None)
            }
            Ttl::Rule(rule) => (rule, None),
        };
        plan.rewrite = Rewrite { ttl, default_expiry, ..Rewrite::default() };
        Ok(plan)
    }
}
