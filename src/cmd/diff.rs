//! `rdbkit diff`: what differs between two data sets.

mod present;

use std::path::{Path, PathBuf};

use clap::Args;
use rdbkit::diff::{Change, Options, Side, Totals, diff};
use rdbkit::pipeline::Output;
use rdbkit::{Error, Result};

use self::present::{Lines, change_json, totals_json, totals_line};
use crate::cli::{Common, FilterArgs, IgnoreArgs, Outcome, ServerArgs, open_source, parse_ms};
use crate::progress::Progress;

/// Show what differs between two data sets, whatever their forms
///
/// Two sides are the same if they hold the same data: encodings, RDB versions, formats, and the order of keys, fields
/// and members do not matter. What only one side can know is not compared: streams of Redis 5 and 6 do not count what
/// they ever had, and a dump need not have idle times. Idle times, access counters, and when consumers of streams were
/// seen change by reading alone, so they are compared only with --also.
///
/// Lines begin with + for what only B has, - for what only A has, ~ for what is not the same, with the first difference.
/// Memory is bounded; both sides are read twice where keys differ. What can be read only once, such as standard input,
/// is copied into a temporary file (TMPDIR). Exit status: 0 the same, 1 different, 2 trouble.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit diff before.rdb after.rdb
  rdbkit diff master.rdb replica.rdb --ttl-tolerance 1s
  rdbkit diff dump.rdb backup.json.gz --summary
  rdbkit diff redis://localhost fixture.ndjson && echo unchanged
  rdbkit diff a.rdb b.rdb --key 'user:*' --ignore ttl --elements 10
  rdbkit diff a.rdb b.rdb --json | jq -r 'select(.change == \"added\").key'")]
pub(crate) struct Diff {
    /// The first side: a file, or the URL of a live server
    a: PathBuf,
    /// The second side
    b: PathBuf,
    /// Expiries of keys and fields that are no farther apart are the same, such as 1s or 500ms
    #[arg(long, value_name = "DURATION", value_parser = parse_ms)]
    ttl_tolerance: Option<i64>,
    /// Print how much differs and nothing else
    #[arg(long, conflicts_with_all = ["limit", "elements"])]
    summary: bool,
    /// Tell no more than so many changes, and count the others
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Tell so many differences within a key
    #[arg(long, value_name = "N", default_value_t = 1)]
    elements: u32,
    /// Print a JSON object for each change, and one with the counts at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ignore: IgnoreArgs,
    /// Compare these as well, where both sides have them: idle (with when consumers were seen), freq
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    also: Vec<Also>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Also {
    Idle,
    Freq,
}

impl Diff {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        if self.a == Path::new("-") && self.b == Path::new("-") {
            return Err(Error::usage("standard input can be one side, not both"));
        }
        let options = self.options()?;
        let mut out = Output::create(None, false)?;
        let (mut left, mut right) = (self.side(&self.a, common), self.side(&self.b, common));
        let (mut lines, mut objects) = (Lines::new(), String::new());
        let mut tell = |change: &Change| {
            /// Bytes that are written at once.
            const PIECE: usize = 64 << 10;
            if self.json {
                objects.push_str(&format!("{}\n", change_json(change)));
                return if objects.len() < PIECE { Ok(()) } else { out.put(std::mem::take(&mut objects).as_bytes()) };
            }
            lines.add(change);
            if lines.is_full() { out.put(lines.take().as_bytes()) } else { Ok(()) }
        };
        let totals = diff(&mut left, &mut right, common.threads(), &options, &mut tell)?;
        out.put(objects.as_bytes())?;
        out.put(lines.take().as_bytes())?;
        out.put(self.ending(&totals).as_bytes())?;
        Ok(if totals.is_same() { Outcome::Yes } else { Outcome::No })
    }

    fn options(&self) -> Result<Options> {
        let mut ignore = self.ignore.ignore();
        ignore.idle |= !self.also.contains(&Also::Idle);
        ignore.freq |= !self.also.contains(&Also::Freq);
        Ok(Options {
            filter: self.filter.filter()?,
            ignore,
            ttl_tolerance: self.ttl_tolerance.unwrap_or(0).unsigned_abs(),
            limit: if self.summary { Some(0) } else { self.limit },
            elements: self.elements as usize,
        })
    }

    /// One side; what is no regular file can be read only once.
    fn side<'s>(&'s self, place: &'s Path, common: Common) -> Side<'s> {
        let again = place.is_file() || place.is_dir();
        let mut progress = None;
        Side::new(!again, move || {
            let input = open_source(place, &self.server, common.threads())?;
            // The bar of the reading before goes away.
            drop(progress.replace(Progress::of(&input, common.quiet, true)));
            Ok(input)
        })
    }

    fn ending(&self, totals: &Totals) -> String {
        if self.json { format!("{}\n", totals_json(totals)) } else { totals_line(totals, self.summary) }
    }
}
