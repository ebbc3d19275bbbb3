//! `rdbkit check`: every error of a dump.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use rdbkit::check::aof::{Checked, check_files};
use rdbkit::check::{Checks, Finding, Verdict, check};
use rdbkit::model::Target;
use rdbkit::pipeline::{Opened, Output};
use rdbkit::{Error, Result, text};
use serde_json::{Value, json};

use crate::cli::{self, Common, FilterArgs, Outcome, ServerArgs};
use crate::progress::Progress;

/// Walk a dump to its last byte and list every error
///
/// Every value is decoded and the checksum is verified. Damage inside a value does not stop the walk; damage that
/// hides where the next record begins does. --deep also looks for what can be read, but is refused by a server, crashes
/// it or was never saved by one: keys, fields and members that stand twice, sorted sets out of order, scores that are no
/// numbers, empty collections, streams whose counts, ids or pending entries contradict each other, size hints that lie.
/// It takes 19 to 25 bytes of memory for each key. Of append-only files the dump in front is checked so, then the form of
/// every command, and that each MULTI has its EXEC; the answer says up to which byte a file is sound. Exit status: 0 sound (and loadable), 1 damaged (or not loadable), 2
/// can't tell.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit check dump.rdb
  rdbkit check --deep dump.rdb && cp dump.rdb /backups/
  rdbkit check --loadable-by valkey-8.1 dump.rdb
  rdbkit check --json dump.rdb | jq -r '.errors[].key'")]
pub(crate) struct Check {
    /// The dump, or an append-only file or appendonlydir; '-' for standard input; or the URL of a live server
    file: PathBuf,
    /// Look with a server's eyes, too: for what it refuses or what no server writes
    #[arg(long)]
    deep: bool,
    /// Name what would keep this server from loading the file: redis-2.4 to redis-8.10, valkey-7.2 to valkey-9.1
    #[arg(long, value_name = "SERVER")]
    loadable_by: Option<Target>,
    /// Module types that this server knows beyond its own, or 'all'
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "loadable_by")]
    with_modules: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Check {
    pub(crate) fn run(mut self, common: Common) -> Result<Outcome> {
        let checks = self.checks()?;
        let mut out = Output::create(None, false)?;
        let opened = match cli::url_in(&self.file) {
            Some(_) => cli::open_source(&self.file, &self.server, common.threads()),
            None => match Opened::open(&self.file)? {
                files if files.is_append_only() => return self.append_only(files, &checks, common, &mut out),
                file => file.into_input(None),
            },
        };
        let mut input = match opened {
            Ok(input) => input,
            Err(e) if e.is_damage() => return self.damaged_at_once(&e, &mut out),
            Err(e) => return Err(e),
        };
        let progress = Progress::of(&input, common.quiet, false);
        let (mut errors, mut obstacles) = (Vec::new(), Vec::new());
        let verdict = check(&mut input, common.threads(), &checks, |found| {
            let (e, list) = match found {
                Finding::Problem(e) => (e, &mut errors),
                Finding::Obstacle(e) => (e, &mut obstacles),
            };
            if self.json {
                list.push(error_json(e));
                Ok(())
            } else {
                out.put(format!("{e}\n").as_bytes())
            }
        });
        drop(progress);
        let verdict = verdict.map_err(|e| input.name_it(e))?;
        self.tell(&verdict, &checks, &input.name, errors, obstacles, &mut out)
    }

    /// Tells what came of a dump.
    fn tell(
        &self,
        verdict: &Verdict,
        checks: &Checks,
        name: &str,
        errors: Vec<Value>,
        obstacles: Vec<Value>,
        out: &mut Output,
    ) -> Result<Outcome> {
        let told = match self.json {
            true => verdict_json(verdict, checks, errors, obstacles),
            false => verdict_text(verdict, checks, name),
        };
        out.put(told.as_bytes())?;
        match verdict.sound() {
            Some(true) if verdict.obstacles == 0 => Ok(Outcome::Yes),
            Some(_) => Ok(Outcome::No),
            None => Err(cant_tell().in_input(name)),
        }
    }

    fn checks(&mut self) -> Result<Checks> {
        let mut loadable_by = self.loadable_by.take();
        if let Some(server) = loadable_by.as_mut().and_then(|target| target.server.as_mut()) {
            server.modules = std::mem::take(&mut self.with_modules);
        }
        Ok(Checks { filter: self.filter.filter()?, deep: self.deep, loadable_by })
    }

    /// Append-only files: the dump in front as any dump, and the form of the commands.
    fn append_only(&self, opened: Opened, checks: &Checks, common: Common, out: &mut Output) -> Result<Outcome> {
        let (mut errors, mut obstacles) = (Vec::new(), Vec::new());
        let name = opened.name().to_owned();
        let (meter, size) = opened.extent();
        let progress = Progress::show(&meter, size, common.quiet, false);
        let checked = check_files(opened, common.threads(), checks, &mut |found| {
            let (e, list) = match found {
                Finding::Problem(e) => (e, &mut errors),
                Finding::Obstacle(e) => (e, &mut obstacles),
            };
            match self.json {
                true => Ok(list.push(error_json(e))),
                false => out.put(format!("{e}\n").as_bytes()),
            }
        });
        drop(progress);
        let (survey, is_sound) = match checked? {
            Checked::Dump(verdict) => return self.tell(&verdict, checks, &name, errors, obstacles, out),
            Checked::Files(survey, is_sound) => (survey, is_sound),
        };
        if self.json {
            let mut report = cli::aof::as_json(&survey);
            report["sound"] = json!(is_sound);
            errors.append(&mut obstacles);
            report["errors"] = json!(errors);
            out.put(format!("{report}\n").as_bytes())?;
        } else {
            survey.files.iter().try_for_each(|file| out.put(cli::aof::verdict(file).as_bytes()))?;
        }
        match is_sound {
            Some(true) => Ok(Outcome::Yes),
            Some(false) => Ok(Outcome::No),
            None => Err(cant_tell().in_input(&name)),
        }
    }

    /// A file that is cut before its first record.
    fn damaged_at_once(&self, e: &Error, out: &mut Output) -> Result<Outcome> {
        if self.json {
            let report = json!({"sound": false, "keys": 0, "complete": false, "errors": [error_json(e)]});
            out.put(format!("{report}\n").as_bytes())?;
        } else {
            out.put(format!("{e}\n").as_bytes())?;
        }
        Ok(Outcome::No)
    }
}

fn cant_tell() -> Error {
    Error::unsupported("can't tell whether it is sound: see above")
}

fn error_json(e: &Error) -> Value {
    json!({"offset": e.offset(), "db": e.db(), "key": e.key().map(text::escaped), "reason": e.reason()})
}

fn verdict_json(verdict: &Verdict, checks: &Checks, errors: Vec<Value>, obstacles: Vec<Value>) -> String {
    let mut report = json!({
        "sound": verdict.sound(),
        "keys": verdict.keys,
        "complete": verdict.complete,
        "size": verdict.end.as_ref().map(|end| end.size),
        "checksum": verdict.end.as_ref().map(|end| end.checksum.name()),
        "trailingBytes": verdict.end.as_ref().and_then(|end| end.trailing).map(|t| t.bytes),
        "errors": errors,
    });
    if let Some(target) = &checks.loadable_by {
        report["loadableBy"] = json!({"server": target.name(), "loads": loads(verdict), "obstacles": obstacles});
    }
    format!("{report}\n")
}

/// Whether the server that was named loads the file; `None` if that can't be told.
fn loads(verdict: &Verdict) -> Option<bool> {
    if verdict.obstacles > 0 { Some(false) } else { verdict.sound() }
}

fn verdict_text(verdict: &Verdict, checks: &Checks, name: &str) -> String {
    let mut line = format!("{name}: ");
    // A String takes whatever is written to it.
    let _ = match (verdict.sound(), verdict.problems) {
        (Some(true), _) => write!(line, "sound"),
        (_, n) => line.write_str(&text::count(n, "error")),
    };
    let _ = write!(line, ", {} walked", text::count(verdict.keys, "key"));
    if let Some(end) = &verdict.end {
        let _ = write!(line, ", {}, checksum {}", text::bytes(end.size), end.checksum.name());
        if let Some(trailing) = end.trailing {
            let what = trailing.kind.name();
            let _ = write!(line, "; {} behind its end ({what})", text::count(trailing.bytes, "byte"));
        }
    } else {
        line.push_str("; the rest of the file could not be read");
    }
    if let Some(target) = &checks.loadable_by {
        let _ = match loads(verdict) {
            Some(true) => write!(line, "; {target} loads it"),
            Some(false) => write!(line, "; {target} does not load it (rdbkit convert --target {target} may help)"),
            None => write!(line, "; can't tell whether {target} loads it"),
        };
    }
    line.push('\n');
    line
}
