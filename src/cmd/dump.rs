//! `rdbkit dump`: a snapshot of a live server.

mod shards;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::{Args, ValueEnum};
use rdbkit::live::Endpoint;
use rdbkit::live::dump::{self, Method, Saved, Snapshot, Tally};
use rdbkit::model::{Filter, Target};
use rdbkit::pipeline::{Composer, Destination, Format, Loss, Meter, Output, export, sorted};
use rdbkit::{Error, Result, text};
use serde_json::{Value, json};

use crate::cli::{self, Common, FilterArgs, FormatArgs, LossArgs, Losses, Outcome, OutputArgs, ServerArgs, WriteArgs};
use crate::progress::Progress;

/// Take a snapshot of a live server
///
/// By replication where the server allows it: then it is of one moment, and byte for byte what the server sends a
/// replica. Otherwise key by key (SCAN and DUMP), while the data go on changing: what needs no more than the right to
/// read. Of a cluster, all masters are read at the same time into one file, or with --per-shard into a file each. The
/// result is an RDB file, or JSON, NDJSON, CSV or commands, by --format or OUT's extension.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit dump redis://localhost -o dump.rdb
  rdbkit dump rediss://backup:PASSWORD@db.example:6380 -o dump.rdb
  rdbkit dump redis://localhost --method scan --key 'user:*' -o users.rdb
  rdbkit dump redis://localhost/2 -o fixture.ndjson --sort
  rdbkit dump redis://node1:7000 --per-shard -o backup
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
    /// Of a cluster, write a file for each master, HOST-PORT.rdb, into the directory OUT, which appears when all are complete
    #[arg(long, requires = "output")]
    per_shard: bool,
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

/// What comes of writing a snapshot.
enum Wrote {
    Done(Done),
    /// Something would be lost that was not allowed to be.
    Refused(Arc<Target>),
}

/// How snapshots are written, several at the same time.
struct Job {
    filter: Filter,
    format: Option<Format>,
    losses: Mutex<Losses>,
}

impl Job {
    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said in the end of what was not written.
    fn end(self, refused: Option<&Target>) -> Result<Outcome> {
        let losses = self.losses.into_inner().unwrap_or_else(PoisonError::into_inner);
        match refused {
            Some(target) => losses.refuse(target),
            None => losses.finish().map(|()| Outcome::Yes),
        }
    }
}

impl Dump {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let place = self.output.output.as_deref().filter(|path| *path != Path::new("-"));
        if self.json && place.is_none() {
            return Err(Error::usage("--json prints on standard output, where the dump goes; name a file with -o OUT"));
        }
        let endpoint = self.server.endpoint(&self.url)?;
        let filter = self.filter(&endpoint)?;
        let format = self.format.format(if self.per_shard { None } else { place })?;
        if format.is_some() && !self.write.is_empty() {
            return Err(Error::usage(
                "what is written into RDB files (--target and the like) is nothing for other formats",
            ));
        }
        if self.per_shard {
            return self.shards(&endpoint, filter, format, place, common);
        }
        let output = match format {
            Some(_) => Output::create(place, self.output.force)?,
            None => cli::rdb_output(&self.output)?,
        };
        let snapshots = self.begin(&endpoint, &dump::masters(&endpoint)?, common)?;
        let method = if snapshots.iter().all(|one| one.method == Method::Sync) { Method::Sync } else { Method::Scan };
        let tallies: Vec<Arc<Tally>> = snapshots.iter().map(|snapshot| snapshot.tally.clone()).collect();
        let job = self.job(filter, format)?;
        let (keys, size) = amounts(&snapshots);
        let to_stdout = self.output.output.is_none();
        let wrote = self.write(&endpoint, snapshots, &job, output, &Arc::default(), common, |meter| match size {
            Some(size) => Progress::show(meter, Some(size), common.quiet, to_stdout),
            None => Progress::keys(meter, keys, common.quiet, to_stdout),
        })?;
        match wrote {
            Wrote::Refused(target) => job.end(Some(&target)),
            Wrote::Done(done) => {
                job.end(None)?;
                self.tell(&done, &endpoint.url().to_string(), method, &tallies, common)
            }
        }
    }

    fn job(&self, filter: Filter, format: Option<Format>) -> Result<Job> {
        Ok(Job { filter, format, losses: Mutex::new(self.losses.listener(self.output.force)?) })
    }

    /// Begins the snapshots of all these.
    fn begin(&self, named: &Endpoint, endpoints: &[Endpoint], common: Common) -> Result<Vec<Snapshot>> {
        let waiting = Progress::waiting("waiting for the server to begin", common.quiet);
        let snapshots = dump::open_all(endpoints, &self.options(named))?;
        drop(waiting);
        snapshots.iter().for_each(cli::say_if_refused);
        Ok(snapshots)
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

    /// Writes snapshots as one; `show` shows how far it has come.
    #[allow(clippy::too_many_arguments, reason = "one half of `run`, which a shard has for itself")]
    fn write(
        &self,
        endpoint: &Endpoint,
        mut snapshots: Vec<Snapshot>,
        job: &Job,
        mut output: Output,
        meter: &Arc<Meter>,
        common: Common,
        show: impl FnOnce(&Arc<Meter>) -> Progress,
    ) -> Result<Wrote> {
        let changes = job.format.is_some() || self.sort || !job.filter.is_empty() || !self.write.is_empty();
        if snapshots.len() == 1 && snapshots[0].method == Method::Sync && !changes {
            let progress = show(meter);
            let saved = dump::save(snapshots.remove(0), output, meter).map_err(nothing_written)?;
            drop(progress);
            return Ok(Wrote::Done(self.saved(saved)));
        }
        let name = endpoint.url().to_string();
        let mut input = match snapshots.len() {
            1 => snapshots.remove(0).into_input(meter.clone())?,
            _ => cli::as_one(endpoint, snapshots, common.threads())?,
        };
        if self.sort {
            input = sorted(input)?;
        }
        let progress = show(&input.meter);
        if let Some(format) = job.format {
            let mut keys = 0;
            let written = export(&mut input, format, &job.filter, common.threads(), &mut output, &mut keys);
            drop(progress);
            written.and_then(|()| output.finish()).map_err(|e| nothing_written(e.in_input(&name)))?;
            return Ok(Wrote::Done(Done { keys, size: None, form: String::new() }));
        }
        let mut plan = self.write.plan(Target::of(input.reader.origin()), &self.losses)?;
        plan.changes_content = !job.filter.is_empty();
        plan.filter = job.filter.clone();
        let mut tell = |loss: &Loss| job.losses().tell(loss);
        let mut composer = Composer::new(&plan, Destination::One(output), &mut tell)?;
        let added = composer.add(&mut input, common.threads());
        drop(progress);
        added.map_err(|e| nothing_written(e.in_input(&name)))?;
        if composer.is_refused() {
            drop(composer);
            return Ok(Wrote::Refused(plan.target));
        }
        let report = composer.finish()?;
        let sum = |of: fn(&rdbkit::pipeline::Written) -> u64| report.files.iter().map(of).sum::<u64>();
        let (keys, size) = (sum(|file| file.keys), sum(|file| file.size));
        Ok(Wrote::Done(Done { keys, size: Some(size), form: plan.target.header() }))
    }

    fn saved(&self, saved: Saved) -> Done {
        if let Some(e) = &saved.odd {
            cli::complain(&format!("the dump is whole, but has something that is not known here: {e}"));
        }
        let form = format!("{}, checksum {}", saved.header, saved.checksum.name());
        Done { keys: saved.keys, size: Some(saved.size), form }
    }

    fn tell(&self, done: &Done, name: &str, method: Method, tallies: &[Arc<Tally>], common: Common) -> Result<Outcome> {
        if self.json {
            let mut report = summary(name, method, done, tallies);
            report["file"] = self.output.output.as_ref().map_or(Value::Null, |path| json!(path.display().to_string()));
            Output::create(None, false)?.put(format!("{report}\n").as_bytes())?;
        } else if !common.quiet {
            let place = self.output.output.as_ref().map_or("standard output".into(), |path| path.display().to_string());
            cli::complain(&format!("{place}: {}", done.facts(method)));
        }
        Ok(tell_of_lacks(tallies, common))
    }
}

impl Done {
    fn facts(&self, method: Method) -> String {
        let mut facts = vec![text::count(self.keys, "key")];
        facts.extend(self.size.map(text::bytes));
        facts.extend(Some(&self.form).filter(|form| !form.is_empty()).cloned());
        facts.push(if method == Method::Sync { "by replication".into() } else { "key by key".into() });
        facts.join(", ")
    }
}

fn summary(name: &str, method: Method, done: &Done, tallies: &[Arc<Tally>]) -> Value {
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(|tally| of(tally)).sum::<u64>();
    json!({
        "server": name, "method": if method == Method::Sync { "sync" } else { "scan" }, "keys": done.keys,
        "size": done.size, "gone": sum(Tally::gone), "forbidden": sum(Tally::forbidden),
        "functionsForbidden": tallies.iter().any(|tally| tally.functions_forbidden()),
    })
}

/// Says what is not in the dump that was on the server.
fn tell_of_lacks(tallies: &[Arc<Tally>], common: Common) -> Outcome {
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(|tally| of(tally)).sum::<u64>();
    let (gone, forbidden) = (sum(Tally::gone), sum(Tally::forbidden));
    let functions = tallies.iter().any(|tally| tally.functions_forbidden());
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
    if forbidden > 0 || functions { Outcome::No } else { Outcome::Yes }
}

/// How many keys and bytes are to come, as far as servers say so.
fn amounts(snapshots: &[Snapshot]) -> (Option<u64>, Option<u64>) {
    let keys = snapshots.iter().map(|snapshot| snapshot.keys).sum();
    (keys, snapshots.iter().map(|snapshot| snapshot.size).sum())
}

fn nothing_written(e: Error) -> Error {
    e.noting("nothing was written".into())
}
