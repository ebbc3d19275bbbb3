//! `rdbkit load`: dumps and fixtures into a live server or cluster.

mod replication;

use std::ffi::OsString;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rdbkit::live::load::{
    Load, Method, Note, OnExists, Plan, Purpose, Site, Start, State, Taken, Tally, wait_until_ready,
};
use rdbkit::live::{Endpoint, Info, is_url};
use rdbkit::model::TtlRule;
use rdbkit::pipeline::Input;
use rdbkit::{Error, Result, json, text};
use serde_json::json;

use crate::cli::{self, Common, FilterArgs, Outcome, RewriteArgs, ServerArgs, complain};
use crate::progress::Progress;

/// Load dumps, backups, fixtures and other servers into a live server or cluster
///
/// URL is redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH; any node of a cluster will do.
/// A DB in the URL takes the keys of all databases. The server is asked what it is, and every key goes over in a form
/// that it takes: values that it does not know are written anew, as 'rdbkit convert --target' does. A URL in place of FILE
/// moves a server or cluster into another one, with nothing on disk in between.
///
/// No key that exists is touched unless --on-exists replace says so; those and every other key that the server refuses
/// are named, and the exit status is then 1. --resume goes on after a break: no key is lost, none is loaded twice.
#[derive(Args)]
#[command(
    override_usage = "rdbkit load [OPTIONS] FILE… URL",
    after_help = "Examples:
  rdbkit load dump.rdb redis://localhost
  rdbkit load dump.rdb redis://localhost --dry-run
  rdbkit load fixtures/ redis://localhost:6380 --flush --wait 30s
  rdbkit load dump.rdb rediss://loader@db.example:6380 --password-file secret --tls-ca ca.pem
  rdbkit load a.rdb b.rdb redis://node1:7000 --on-exists replace --db-map '*:0'
  rdbkit load dump.rdb redis://localhost --key 'user:*' --prefix-add 'old:' --ttl strip
  rdbkit load huge.rdb redis://localhost --resume state.json --errors refused.ndjson --verify
  rdbkit load huge.rdb redis://localhost --method replication --yes
  rdbkit load redis://old:6379 redis://:PASSWORD@new:6379 --verify"
)]
pub(crate) struct LoadArgs {
    /// What to load: files, directories of files, '-' for standard input, or live servers; and last the server to load
    /// into, or a node of the cluster
    #[arg(required = true, value_name = "FILE… URL")]
    places: Vec<OsString>,
    /// How keys go over: in the form that the server executes fastest; by RESTORE; by the commands that applications
    /// use, where RESTORE is not allowed; or all at once by replication, which replaces whatever the server has, at the
    /// speed at which it reads its own files
    #[arg(long, value_enum, default_value = "auto")]
    method: MethodName,
    /// What becomes of a key that exists: it stays and counts as refused; it stays; or the new one takes its place
    #[arg(long, value_enum, default_value = "fail")]
    on_exists: OnExistsName,
    /// What the server cannot hold: such keys are refused, or as much of them is loaded as it can hold
    #[arg(long, value_enum, default_value = "refuse")]
    on_loss: OnLossName,
    /// Remove everything that is on the server first, from all databases; asks on a terminal
    #[arg(long)]
    flush: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Wait so long until the server answers and has read its own data
    #[arg(long, value_name = "TIME", value_parser = cli::parse_duration)]
    wait: Option<Duration>,
    /// Change nothing: tell what the server is, and what would become of the keys
    #[arg(long, conflicts_with_all = ["flush", "resume", "verify"])]
    dry_run: bool,
    /// Read all keys and function libraries back in the end and compare them, with their expiries, with what was to be
    /// loaded
    #[arg(long)]
    verify: bool,
    /// Keep in this file how far it has come, and go on from there if it exists
    #[arg(long, value_name = "STATE", conflicts_with = "flush")]
    resume: Option<PathBuf>,
    /// List every key that was not taken in this file, a line of JSON each; messages name the first twenty
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Send no more than so many bytes a second (also 500k, 20M)
    #[arg(long, value_name = "BYTES", value_parser = cli::parse_size)]
    rate: Option<u64>,
    /// Send values that are larger than this in the file in pieces; else those that are too large for one command
    #[arg(long, value_name = "BYTES", value_parser = cli::parse_size)]
    max_restore: Option<u64>,
    /// With --method replication: listen at this address of this machine, ADDRESS or ADDRESS:PORT; else at the one from
    /// which the server is reached
    #[arg(long, value_name = "ADDRESS", value_parser = replication::parse_listen)]
    listen: Option<SocketAddr>,
    /// Connections to each server
    #[arg(long, value_name = "N", default_value = "1")]
    connections: NonZeroUsize,
    /// Try so long again when a server is not ready or a connection breaks
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = cli::parse_duration)]
    retry: Duration,
    /// Print what became of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    rewrite: RewriteArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodName {
    Auto,
    Restore,
    Commands,
    Replication,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnExistsName {
    Fail,
    Skip,
    Replace,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnLossName {
    Refuse,
    Downgrade,
}

impl LoadArgs {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let (url, files) = self.places()?;
        let endpoint = self.server.endpoint(url)?;
        let files = expand(&files)?;
        let waiting = files.iter().any(|path| cli::url_in(path).is_some());
        let waiting = waiting.then(|| Progress::waiting("waiting for the server to begin", common.quiet));
        let opened = files.iter().map(|path| cli::open_whole(path, &self.server, common.threads()));
        let mut inputs = opened.collect::<Result<Vec<_>>>()?;
        drop(waiting);
        let origin = inputs[0].reader.origin().clone();
        let (mut state, is_resumed) = self.state(&endpoint, &inputs)?;
        if let Some(patience) = self.wait {
            wait_until_ready(&endpoint, patience)?;
        }
        let mut site = Site::find(endpoint, &origin)?;
        self.check(&site, &files)?;
        if self.method == MethodName::Replication {
            return self.replicate(&site, &mut inputs, common);
        }
        if let (MethodName::Auto, Some(words), false) = (self.method, &site.nodes[0].no_restore, self.dry_run) {
            complain(&format!("{}: all goes by commands, as RESTORE is refused: {words}", site.endpoint.url()));
        }
        if self.flush {
            self.empty(&mut site, common.quiet)?;
        }
        let mut start = Start { skip: state.done, is_resumed };
        if is_resumed && state.runs != site.runs() {
            let url = site.endpoint.url();
            complain(&format!("{url}: it was started anew since then, so every key is looked at again"));
            (start.skip, state.input, state.done, state.not_taken) = (0, 0, 0, 0);
        }
        state.runs = site.runs();
        let run = Run { args: &self, site: &site, common, begun: Instant::now() };
        let before = state.not_taken;
        let (tally, loaded) = run.load(&mut inputs, start, &mut state)?;
        let verified = if self.verify && loaded.is_ok() { Some(run.verify(&files, &state)?) } else { None };
        run.tell(&tally, loaded.is_ok(), verified.as_ref());
        loaded?;
        if let Some(path) = &self.resume {
            std::fs::remove_file(path).map_err(|e| Error::from(e).in_input(&path.display().to_string()))?;
        }
        let differing = verified.map_or(0, |tally| tally.refused);
        Ok(if before + self.not_taken(&tally) + differing == 0 { Outcome::Yes } else { Outcome::No })
    }

    /// The server, and what is to be loaded.
    fn places(&self) -> Result<(&str, Vec<PathBuf>)> {
        let url = self.places.split_last().filter(|(url, files)| is_url(url) && !files.is_empty());
        let (url, files) = url.ok_or_else(|| {
            let forms = "redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH";
            Error::usage(format!("load takes files, and behind them the server: {forms}"))
        })?;
        Ok((url.to_str().unwrap_or_default(), files.iter().map(PathBuf::from).collect()))
    }

    /// Keys that were not taken against what was wanted.
    fn not_taken(&self, tally: &Tally) -> u64 {
        tally.refused + if self.skips() { 0 } else { tally.existed }
    }

    fn skips(&self) -> bool {
        self.on_exists == OnExistsName::Skip
    }

    /// How far an earlier load has come, or the state of a new one.
    fn state(&self, endpoint: &Endpoint, inputs: &[Input]) -> Result<(State, bool)> {
        let mut what = vec![endpoint.url().to_string()];
        what.extend(inputs.iter().map(|input| format!("{} {}", input.name, input.size.unwrap_or(0))));
        let id = format!("{:016x}", std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), &what));
        let new = State { id, what, input: 0, done: 0, runs: Vec::new(), not_taken: 0 };
        if self.verify && inputs.iter().any(|input| input.name == "standard input") {
            return Err(Error::usage("--verify: standard input can't be read again to compare; name a file"));
        }
        let Some(path) = &self.resume else { return Ok((new, false)) };
        let once = inputs.iter().find(|input| input.name == "standard input" || is_url(input.name.as_ref()));
        if let Some(input) = once {
            let name = &input.name;
            let hint = "name a file";
            return Err(Error::usage(format!("--resume: {name} can't be read again from where it broke off; {hint}")));
        }
        match State::read(path)? {
            Some(state) if state.what == new.what => Ok((state, true)),
            Some(state) => {
                let hint = "name another file, or remove this one";
                let of = state.what.join(", ");
                Err(Error::usage(format!("it belongs to another load ({of}); {hint}"))
                    .in_input(&path.display().to_string()))
            }
            None => Ok((new, false)),
        }
    }

    /// Errors: what can't be done on this server, or with these sources.
    fn check(&self, site: &Site, files: &[PathBuf]) -> Result<()> {
        let probe = &site.nodes[0];
        let sources = files.iter().filter_map(|path| cli::url_in(path));
        for url in sources.filter(|_| self.flush || self.method == MethodName::Replication) {
            let endpoint = self.server.endpoint(url)?;
            let info = Info::ask(&mut endpoint.connect()?).map_err(|e| endpoint.name_it(e))?;
            if info.get("run_id").is_some_and(|id| !id.is_empty() && site.runs().iter().any(|run| run == id)) {
                return Err(endpoint.name_it(Error::usage("it is to be emptied, and is what is to be loaded as well")));
            }
        }
        if let (MethodName::Restore, Some(words)) = (self.method, &probe.no_restore) {
            let hint = "--method commands does without RESTORE";
            return Err(site.endpoint.name_it(Error::refused(words).noting(hint.into())));
        }
        Ok(())
    }

    /// Makes sure that it is meant to lose all that is there.
    fn confirm(&self, site: &Site) -> Result<()> {
        let keys = site.keys();
        let (url, there) = (site.endpoint.url().to_string(), text::count(keys, "key"));
        if !self.yes && keys > 0 && stderr().is_terminal() && stdin().is_terminal() {
            write!(stderr(), "rdbkit: remove all {there} from {url}? [y/N] ")?;
            let mut answer = String::new();
            stdin().read_line(&mut answer)?;
            if !matches!(answer.trim(), "y" | "Y" | "yes") {
                return Err(Error::usage("nothing was removed, and nothing loaded"));
            }
        }
        Ok(())
    }

    /// Removes everything, if that is meant.
    fn empty(&self, site: &mut Site, quiet: bool) -> Result<()> {
        self.confirm(site)?;
        let keys = site.keys();
        let (url, there) = (site.endpoint.url().to_string(), text::count(keys, "key"));
        site.flush()?;
        if !quiet && keys > 0 {
            complain(&format!("{url}: removed {there}"));
        }
        Ok(())
    }

    fn plan(&self, site: &Site, input: &Input, state: &State) -> Result<Plan> {
        let (filter, ttl) = self.filter.filter_and_rule()?;
        let mut rewrite = self.rewrite.rewrite(rebased(ttl, input)?)?;
        if let Some(db) = site.endpoint.url().db {
            if !rewrite.db_map.is_empty() {
                return Err(Error::usage("a database in the URL takes all keys; with --db-map leave it out"));
            }
            rewrite.db_map.others = Some(db);
        }
        Ok(Plan {
            method: match self.method {
                MethodName::Auto | MethodName::Replication => Method::Auto,
                MethodName::Restore => Method::Restore,
                MethodName::Commands => Method::Commands,
            },
            on_exists: match self.on_exists {
                OnExistsName::Fail => OnExists::Fail,
                OnExistsName::Skip => OnExists::Skip,
                OnExistsName::Replace => OnExists::Replace,
            },
            filter,
            rewrite,
            downgrades: self.on_loss == OnLossName::Downgrade,
            max_restore: self.max_restore,
            connections: self.connections,
            rate: self.rate,
            retry: self.retry,
            purpose: if self.dry_run { Purpose::Try } else { Purpose::Load },
            is_empty_target: site.keys() == 0,
            id: state.id.clone(),
        })
    }
}

/// The files to load: those of directories in the order of their names.
fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if cli::url_in(path).is_some() || !path.is_dir() || is_aof(path) {
            files.push(path.clone());
            continue;
        }
        let named = |e: std::io::Error| Error::from(e).in_input(&path.display().to_string());
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(named)? {
            let entry = entry.map_err(named)?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !is_hidden && entry.path().is_file() {
                found.push(entry.path());
            }
        }
        if found.is_empty() {
            return Err(Error::usage("there are no files in it").in_input(&path.display().to_string()));
        }
        found.sort();
        files.append(&mut found);
    }
    if files.len() > 1 && files.iter().any(|path| cli::url_in(path).is_some()) {
        return Err(Error::usage("a server is loaded alone: while other sources are, it would tire of waiting"));
    }
    if files.iter().filter(|path| *path == Path::new("-")).count() > 1 {
        return Err(Error::usage("standard input can be read only once; give it a file's name"));
    }
    Ok(files)
}

/// Whether a directory is one append-only file in parts.
fn is_aof(path: &Path) -> bool {
    let mut names = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.any(|name| name.as_encoded_bytes().ends_with(b".manifest"))
}

/// The rule with the time of creation that the input has.
fn rebased(ttl: TtlRule, input: &Input) -> Result<TtlRule> {
    if ttl != TtlRule::Rebase {
        return Ok(ttl);
    }
    let created = input.reader.created()?;
    let created = created.ok_or_else(|| {
        input.name_it(Error::usage("--ttl rebase: it does not say when it was made; use --ttl shift=…"))
    })?;
    Ok(ttl.resolve(created.saturating_mul(1000), cli::now()))
}

/// A load on its way.
struct Run<'r> {
    args: &'r LoadArgs,
    site: &'r Site,
    common: Common,
    begun: Instant,
}

impl Run<'_> {
    /// Loads the inputs that are not done yet. The inner result is that of the load, which has gone as far as the tally
    /// says.
    fn load(&self, inputs: &mut [Input], mut start: Start, state: &mut State) -> Result<(Tally, Result<()>)> {
        let mut listener = Listener::new(self.args, start.is_resumed)?;
        let mut listen = |note: &Note| listener.hear(note);
        let mut load = Load::new(self.site, self.threads(), &mut listen);
        let (first, before) = (state.input, state.not_taken);
        let mut outcome = Ok(());
        for (number, input) in inputs.iter_mut().enumerate().skip(first) {
            let plan = self.args.plan(self.site, input, state)?;
            let progress = Progress::of(input, self.common.quiet, false);
            let mut checkpoint = |done: u64, tally: &Tally| match &self.args.resume {
                Some(path) => {
                    (state.input, state.done) = (number, done);
                    state.not_taken = before + self.args.not_taken(tally);
                    state.write(path)
                }
                None => Ok(()),
            };
            outcome = load.add(input, &plan, number, start, &mut checkpoint);
            drop(progress);
            if outcome.is_err() {
                break;
            }
            cli::warn_of_commands(input);
            start.skip = 0;
        }
        let tally = load.tally();
        listener.finish()?;
        Ok((tally, outcome))
    }

    /// Threads that prepare what is sent: one keeps several servers busy, and more would take the time of a server on the
    /// same machine.
    fn threads(&self) -> NonZeroUsize {
        let most = NonZeroUsize::new(self.site.nodes.len().div_ceil(2)).unwrap_or(NonZeroUsize::MIN);
        self.common.threads_up_to(most)
    }

    /// Reads all keys back: as many as are right are loaded, to this tally, and those that differ refused.
    fn verify(&self, files: &[PathBuf], state: &State) -> Result<Tally> {
        let mut listener = Listener::new(self.args, true)?;
        let mut listen = |note: &Note| {
            if note.taken == Taken::Not {
                listener.hear(&Note { reason: format!("compared, {}", note.reason), ..note.clone() });
            }
        };
        let mut load = Load::new(self.site, self.threads(), &mut listen);
        for path in files {
            let mut input = cli::open_whole(path, &self.args.server, self.common.threads())?;
            let plan = Plan { purpose: Purpose::Verify, ..self.args.plan(self.site, &input, state)? };
            let progress = Progress::of(&input, self.common.quiet, false);
            let outcome = load.add(&mut input, &plan, 0, Start::default(), &mut |_, _| Ok(()));
            drop(progress);
            outcome?;
        }
        let tally = load.tally();
        listener.finish()?;
        Ok(tally)
    }

    /// Says what became of it all.
    fn tell(&self, tally: &Tally, is_done: bool, verified: Option<&Tally>) {
        let url = self.site.endpoint.url();
        let seconds = self.begun.elapsed().as_secs_f64();
        if self.args.json {
            return print_json(tally, is_done, verified, seconds);
        }
        if self.common.quiet {
            return;
        }
        if self.args.dry_run {
            self.show_findings();
        }
        let verb = if self.args.dry_run { "would be loaded" } else { "loaded" };
        let rate = text::grouped((tally.loaded as f64 / seconds.max(0.001)) as u64);
        let mut line = format!("{url}: {} {verb}", text::count(tally.loaded, "key"));
        if tally.functions > 0 {
            line += &format!(", {}", libraries(tally.functions));
        }
        let time = if seconds < 0.95 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") };
        let rate = if seconds < 0.1 { String::new() } else { format!(" ({rate} keys/s)") };
        complain(&format!("{line} in {time}{rate}"));
        let note = |n: u64, what: &str| {
            if n > 0 {
                complain(&format!("{url}: {} {what}", text::grouped(n)));
            }
        };
        note(tally.had, "were there from the run before");
        note(tally.existed, "left out: there are keys of these names (--on-exists replace takes their place)");
        note(tally.refused, "refused");
        note(tally.reduced, "loaded in part");
        note(tally.changed, "loaded as hashes from index to item: the server has no arrays");
        note(tally.expired, "left out: their expiry has passed (--ttl rebase, shift or strip loads such keys)");
        note(tally.retried, "tries were repeated, as a server was not ready or a slot had moved");
        note(tally.reconnected, "times the connection was lost and made again");
        if let Some(Tally { loaded, refused, functions, .. }) = verified {
            let mut right = text::count(*loaded, "key");
            if *functions > 0 {
                right += &format!(" and {}", libraries(*functions));
            }
            complain(&format!("{url}: compared: {right} as in the files, {} not", text::grouped(*refused)));
        }
        if let (false, Some(path)) = (is_done, &self.args.resume) {
            complain(&format!("{url}: not complete; the same command goes on ({})", path.display()));
        }
    }
}

impl Run<'_> {
    /// What the server is, for people.
    fn show_findings(&self) {
        let Site { nodes, topology, .. } = self.site;
        let probe = &nodes[0];
        let masters =
            if topology.is_cluster() { format!(", a cluster of {} masters", nodes.len()) } else { String::new() };
        let databases = if topology.is_cluster() { 1 } else { probe.databases };
        let by = match &probe.no_restore {
            _ if self.args.method == MethodName::Commands => "commands".to_owned(),
            None if self.args.method == MethodName::Auto => "SET and RESTORE".to_owned(),
            None => "RESTORE".to_owned(),
            Some(words) => format!("commands, as RESTORE is refused: {words}"),
        };
        let mut facts = vec![
            ("server", format!("{}{masters}", probe.name)),
            ("has", format!("{} in {}", text::count(self.site.keys(), "key"), text::count(databases, "database"))),
            ("keys go by", by),
            ("in the form of", probe.target.to_string()),
            ("one value", format!("{} at most, larger ones in pieces", text::bytes(probe.max_bulk))),
        ];
        if let Some((max, used)) = probe.max_memory {
            let of = format!("{} of {} used, {}", text::bytes(used), text::bytes(max), probe.policy);
            facts.push(("memory", of));
        }
        show_facts(&facts);
    }
}

fn libraries(n: u64) -> String {
    text::count(n, "function library").replace("librarys", "libraries")
}

fn show_facts(facts: &[(&str, String)]) {
    let lines = facts.iter().map(|(name, fact)| format!("  {name:14} {fact}\n"));
    drop(write!(std::io::stdout(), "{}", lines.collect::<String>()));
}

fn print_json(tally: &Tally, is_done: bool, verified: Option<&Tally>, seconds: f64) {
    let Tally { loaded, existed, refused, reduced, expired, changed, functions, had, retried, reconnected } = tally;
    let summary = json!({
        "complete": is_done, "loaded": loaded, "had": had, "existed": existed, "refused": refused,
        "reduced": reduced, "changed": changed, "expired": expired, "functions": functions,
        "retried": retried, "reconnected": reconnected,
        "verified": verified.map(|tally| json!({ "same": tally.loaded, "functions": tally.functions, "differing": tally.refused })),
        "seconds": (seconds * 1000.0).round() / 1000.0,
    });
    // Nobody to tell if even that can't be done; the exit status says the rest.
    drop(writeln!(std::io::stdout(), "{summary}"));
}

/// Tells of keys that were not taken: the first ones in messages, all in a file where that was asked for.
struct Listener {
    list: Option<std::io::BufWriter<std::fs::File>>,
    name: String,
    failed: Option<std::io::Error>,
    told: u64,
    skips: bool,
}

impl Listener {
    fn new(args: &LoadArgs, is_resumed: bool) -> Result<Listener> {
        let mut listener = Listener { list: None, name: String::new(), failed: None, told: 0, skips: args.skips() };
        let Some(path) = &args.errors else { return Ok(listener) };
        listener.name = path.display().to_string();
        let mut options = std::fs::OpenOptions::new();
        if is_resumed {
            options.append(true).create(true);
        } else {
            options.write(true).create_new(true);
        }
        let list = options.open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Error::usage("it exists; remove it, or name another file"),
            _ => e.into(),
        });
        listener.list = Some(std::io::BufWriter::new(list.map_err(|e| e.in_input(&listener.name))?));
        Ok(listener)
    }

    fn hear(&mut self, note: &Note) {
        /// More would bury the summary.
        const SHOWN: u64 = 20;
        if note.taken == Taken::Existed && self.skips {
            return;
        }
        self.told += 1;
        if self.told <= SHOWN {
            match &note.key {
                Some((db, key)) => complain(&format!("db {db}, key {}: {}", text::quoted_short(key), note.reason)),
                None => complain(&note.reason),
            }
        } else if self.told == SHOWN + 1 && self.list.is_none() {
            complain(&"… (--errors FILE lists all)");
        }
        let Some(list) = &mut self.list else { return };
        let mut line = b"{".to_vec();
        if let Some((db, key)) = &note.key {
            line.extend_from_slice(format!("\"db\":{db},\"key\":").as_bytes());
            json::write_string(key, &mut line);
            line.push(b',');
        }
        line.extend_from_slice(b"\"error\":");
        json::write_string(note.reason.as_bytes(), &mut line);
        let partly = if note.taken == Taken::Part { ",\"loaded\":\"in part\"" } else { "" };
        line.extend_from_slice(format!("{partly}}}\n").as_bytes());
        if let Err(e) = list.write_all(&line) {
            self.failed.get_or_insert(e);
        }
    }

    fn finish(mut self) -> Result<()> {
        if let Some(Err(e)) = self.list.as_mut().map(Write::flush) {
            self.failed.get_or_insert(e);
        }
        self.failed.map_or(Ok(()), |e| Err(Error::from(e).in_input(&self.name)))
    }
}
