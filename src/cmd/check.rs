//! `rdbkit check`: every error of a dump.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use rdbkit::check::{Verdict, check};
use rdbkit::pipeline::{Input, Output, open};
use rdbkit::{Error, Result, text};
use serde_json::{Value, json};

use crate::cli::{Common, FilterArgs, Outcome};
use crate::progress::Progress;

/// Walk a dump to its last byte and list every error
///
/// Every value is decoded and the checksum is verified. Damage inside a value does not stop the walk; damage that
/// hides where the next record begins does. What is sound to read but not to a server, such as the same key twice, is
/// not looked for. Exit status: 0 sound, 1 damaged, 2 can't tell.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit check dump.rdb
  rdbkit check --json dump.rdb | jq -r '.errors[].key'
  rdbkit check dump.rdb && cp dump.rdb /backups/")]
pub(crate) struct Check {
    /// The dump; '-' for standard input
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

impl Check {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let filter = self.filter.filter()?;
        let mut out = Output::create(None, false)?;
        let mut input = match open(&self.file) {
            Ok(input) => input,
            Err(e) if e.is_damage() => return self.damaged_at_once(&e, &mut out),
            Err(e) => return Err(e),
        };
        let progress = Progress::of(&input, common.quiet, false);
        let mut errors = Vec::new();
        let verdict = check(&mut input, common.threads(), &filter, |e| {
            if self.json {
                errors.push(error_json(e));
                Ok(())
            } else {
                out.put(format!("{e}\n").as_bytes())
            }
        });
        drop(progress);
        let verdict = verdict.map_err(|e| input.name_it(e))?;
        out.put(if self.json { verdict_json(&verdict, errors) } else { verdict_text(&verdict, &input) }.as_bytes())?;
        match verdict.sound() {
            Some(true) => Ok(Outcome::Yes),
            Some(false) => Ok(Outcome::No),
            None => Err(input.name_it(Error::unsupported("can't tell whether it is sound: see above"))),
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

fn error_json(e: &Error) -> Value {
    json!({"offset": e.offset(), "db": e.db(), "key": e.key().map(text::escaped), "reason": e.reason()})
}

fn verdict_json(verdict: &Verdict, errors: Vec<Value>) -> String {
    let report = json!({
        "sound": verdict.sound(),
        "keys": verdict.keys,
        "complete": verdict.complete,
        "size": verdict.end.as_ref().map(|end| end.size),
        "checksum": verdict.end.as_ref().map(|end| end.checksum.name()),
        "trailingBytes": verdict.end.as_ref().and_then(|end| end.trailing).map(|t| t.bytes),
        "errors": errors,
    });
    format!("{report}\n")
}

fn verdict_text(verdict: &Verdict, input: &Input) -> String {
    let mut line = format!("{}: ", input.name);
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
    line.push('\n');
    line
}
