//! `rdbkit dump`: a snapshot of a live server.

use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use rdbkit::live::Endpoint;
use rdbkit::live::dump::{self, Method, Saved, Snapshot, Tally};
use rdbkit::model::{Filter, Target};
use rdbkit::pipeline::{Composer, Destination, Loss, Meter, Output, export, sorted};
use rdbkit::{Error, Result, text};
use serde_json::{Value, json};

use crate::cli::{self, Common, FilterArgs, FormatArgs, LossArgs, Outcome, OutputArgs, ServerArgs, WriteArgs};
use crate::progress::Progress;

/// Take a snapshot of a live server
///
/// By replication where the server allows it: then it is of one moment, and byte for byte what the server sends a
/// replica. Otherwise key by key (SCAN and DUMP), while the data go on changing: what needs no more than the right to
/// read. Of a cluster, all masters are read at the same time into one file. The result is an RDB file, or JSON, NDJSON, CSV or commands, by --format or OUT's extension.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit dump redis://localhost -o dump.rdb
  rdbkit dump rediss://backup:PASSWORD@db.example:6380 -o dump.rdb
  rdbkit dump redis://localhost --method scan --key 'user:*' -o users.rdb
  rdbkit dump redis://localhost/2 -o fixture.ndjson --sort
  rdbkit dump unix:///run/redis.sock -o - | zstd > dump.rdb.zst")]
pub(crate) struct Dump {
    /// The server: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… for TLS, unix:///PATH. With /DB, only that database
    url: String,
    /// By replication (sync), key by key (scan), or the first if the server allows it, else the second (auto)
    #[arg(long, value_enum, default_value = "auto")]
    method: MethodName,
    /// Key by key: ask also how long ago or how often each key was used, as the server's eviction policy has it
    #[arg(long)]
    with_eviction: bool,
    /// Sort by database and key, and the members of sets and hashes: two dumps of the same data are the same text
    #[arg(long)]
    sort: bool,
    /// Print a summary as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    losses: LossArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodName {
    Auto,
    Sync,
    Scan,
}

/// What was written.
#[derive(Default)]
struct Done {
    keys: u64,
    size: Option<u64>,
    /// What the file is, in few words.
    form: String,
}

impl Dump {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let place = self.output.output.as_deref().filter(|path| *path != Path::new("-"));
        if self.json && place.is_none() {
            return Err(Error::usage("--json prints on standard output, where the dump goes; name a file with -o OUT"));
        }
        let endpoint = self.server.endpoint(&self.url)?;
        let filter = self.filter(&endpoint)?;
        let format = self.format.format(place)?;
        if format.is_some() && !self.write.is_empty() {
            return Err(Error::usage(
                "what is written into RDB files (--target and the like) is nothing for other formats",
            ));
        }
        let output = match format {
            Some(_) => Output::create(place, self.output.force)?,
            None => cli::rdb_output(&self.output)?,
        };
        let waiting = Progress::waiting("waiting for the server to begin", common.quiet);
        let endpoints = dump::masters(&endpoint)?;
        let snapshots = dump::open_all(&endpoints, &self.options(&endpoint))?;
        drop(waiting);
        snapshots.iter().for_each(cli::say_if_refused);
        let name = endpoint.url().to_string();
        let method = if snapshots.iter().all(|one| one.method == Method::Sync) { Method::Sync } else { Method::Scan };
        let tallies: Vec<Arc<Tally>> = snapshots.iter().map(|snapshot| snapshot.tally.clone()).collect();
        let done = self.write(&endpoint, snapshots, filter, format, output, common)?;
        let Some(done) = done else { return Ok(Outcome::No) };
        self.tell(&done, &name, method, &tallies, common)
    }

    fn options(&self, endpoint: &Endpoint) -> dump::Options {
        dump::Options {
            method: match self.method {
                MethodName::Auto => Method::Auto,
                MethodName::Sync => Method::Sync,
                MethodName::Scan => Method::Scan,
            },
            scan_up_to: 0,
            eviction: self.with_eviction,
            dbs: self.filter.only_dbs(endpoint.url().db),
            pattern: self.filter.only_glob(),
        }
    }

    fn filter(&self, endpoint: &Endpoint) -> Result<Filter> {
        let mut filter = self.filter.filter()?;
        if let Some(db) = endpoint.url().db {
            if self.filter.names_db() {
                return Err(Error::usage("the URL names a database and --db as well; one of them is enough"));
            }
            filter.dbs = vec![db];
        }
        Ok(filter)
    }

    /// Writes the snapshot. `None` where something would be lost that was not allowed to be.
    fn write(
        &self,
        endpoint: &Endpoint,
        mut snapshots: Vec<Snapshot>,
        filter: Filter,
        format: Option<rdbkit::pipeline::Format>,
        mut output: Output,
        common: Common,
    ) -> Result<Option<Done>> {
        let meter = Arc::new(Meter::default());
        let to_stdout = self.output.output.is_none();
        let keys = snapshots.iter().map(|snapshot| snapshot.keys).sum();
        let size = snapshots.iter().map(|snapshot| snapshot.size).sum();
        let show = |meter: &Arc<Meter>| match size {
            Some(size) => Progress::show(meter, Some(size), common.quiet, to_stdout),
            None => Progress::keys(meter, keys, common.quiet, to_stdout),
        };
        let changes = format.is_some() || self.sort || !filter.is_empty() || !self.write.is_empty();
        if snapshots.len() == 1 && snapshots[0].method == Method::Sync && !changes {
            let progress = show(&meter);
            let saved = dump::save(snapshots.remove(0), output, &meter).map_err(nothing_written)?;
            drop(progress);
            return Ok(Some(self.saved(saved)));
        }
        let name = endpoint.url().to_string();
        let mut input = match snapshots.len() {
            1 => snapshots.remove(0).into_input(meter)?,
            _ => cli::as_one(endpoint, snapshots, common.threads())?,
        };
        if self.sort {
            input = sorted(input)?;
        }
        let progress = show(&input.meter);
        if let Some(format) = format {
            let mut keys = 0;
            let written = export(&mut input, format, &filter, common.threads(), &mut output, &mut keys);
            drop(progress);
            written.and_then(|()| output.finish()).map_err(|e| nothing_written(e.in_input(&name)))?;
            return Ok(Some(Done { keys, size: None, form: String::new() }));
        }
        let mut plan = self.write.plan(Target::of(input.reader.origin()), &self.losses)?;
        plan.changes_content = !filter.is_empty();
        plan.filter = filter;
        let mut losses = self.losses.listener(self.output.force)?;
        let mut tell = |loss: &Loss| losses.tell(loss);
        let mut composer = Composer::new(&plan, Destination::One(output), &mut tell)?;
        let added = composer.add(&mut input, common.threads());
        drop(progress);
        added.map_err(|e| nothing_written(e.in_input(&name)))?;
        if composer.is_refused() {
            drop(composer);
            losses.refuse(&plan.target)?;
            return Ok(None);
        }
        let report = composer.finish()?;
        losses.finish()?;
        let sum = |of: fn(&rdbkit::pipeline::Written) -> u64| report.files.iter().map(of).sum::<u64>();
        Ok(Some(Done { keys: sum(|file| file.keys), size: Some(sum(|file| file.size)), form: plan.target.header() }))
    }

    fn saved(&self, saved: Saved) -> Done {
        if let Some(e) = &saved.odd {
            cli::complain(&format!("the dump is whole, but has something that is not known here: {e}"));
        }
        let form = format!("{}, checksum {}", saved.header, saved.checksum.name());
        Done { keys: saved.keys, size: Some(saved.size), form }
    }

    fn tell(&self, done: &Done, name: &str, method: Method, tallies: &[Arc<Tally>], common: Common) -> Result<Outcome> {
        let sum = |of: fn(&Tally) -> u64| tallies.iter().map(|tally| of(tally)).sum::<u64>();
        let (gone, forbidden) = (sum(Tally::gone), sum(Tally::forbidden));
        let functions = tallies.iter().any(|tally| tally.functions_forbidden());
        let way = if method == Method::Sync { "sync" } else { "scan" };
        if self.json {
            let report = json!({
                "server": name, "method": way, "keys": done.keys, "size": done.size, "gone": gone,
                "forbidden": forbidden, "functionsForbidden": functions,
                "file": self.output.output.as_ref().map_or(Value::Null, |path| json!(path.display().to_string())),
            });
            Output::create(None, false)?.put(format!("{report}\n").as_bytes())?;
        } else if !common.quiet {
            let place = self.output.output.as_ref().map_or("standard output".into(), |path| path.display().to_string());
            let mut facts = vec![text::count(done.keys, "key")];
            facts.extend(done.size.map(text::bytes));
            facts.extend(Some(&done.form).filter(|form| !form.is_empty()).cloned());
            facts.push(if method == Method::Sync { "by replication".into() } else { "key by key".into() });
            cli::complain(&format!("{place}: {}", facts.join(", ")));
        }
        if gone > 0 && !common.quiet {
            let keys = text::count(gone, "key");
            cli::complain(&format!("{keys} had gone when their turn came: deleted, expired or moved"));
        }
        if forbidden > 0 {
            cli::complain(&format!("{} left out, which this user may not read", text::count(forbidden, "key")));
        }
        if functions {
            cli::complain(&"function libraries are left out: this user may not read them (FUNCTION LIST)");
        }
        Ok(if forbidden > 0 || functions { Outcome::No } else { Outcome::Yes })
    }
}

fn nothing_written(e: Error) -> Error {
    e.noting("nothing was written".into())
}
