//! `rdbkit memory`: where the memory is.

mod change;
mod tables;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rdbkit::analysis::footprint::{
    Dissected, Lines, Measure, Options, Outline, Splitter, changes, dissect, findings, lines,
};
use rdbkit::analysis::report::document;
use rdbkit::{Error, Result, text};

use crate::cli::{self, Common, KeyArgs, MemoryArgs, Outcome, ServerArgs};
use crate::progress::Progress;

/// Show which keys, prefixes and types take the memory
///
/// One pass over the dump, all cores, bounded memory. Tables for people; JSON for all of it; CSV (in the columns of
/// rdb-tools) and NDJSON have a line for every key. Prefixes are those that explain the memory: heavy ones are shown by
/// themselves, the light ones of a place together as '*'. A damaged dump is described as far as it can be read; exit
/// status 1 then.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit memory dump.rdb
  rdbkit memory dump.rdb --key 'session:*' --depth 5 --top 30
  rdbkit memory dump.rdb --format csv > memory.csv            a line for every key
  rdbkit memory dump.rdb --format json | jq '.prefixes[0]'
  rdbkit memory huge.rdb --sample 0.1                         an estimate with its error
  rdbkit memory today.rdb --compare yesterday.rdb             what grew
  rdbkit memory dump.rdb --folded | inferno-flamegraph > memory.svg")]
pub(crate) struct Memory {
    /// The dump; '-' for standard input; or the URL of a live server
    file: PathBuf,
    /// The format: tables, one JSON object, or a line for every key (csv, ndjson)
    #[arg(long, short, value_enum, default_value = "table")]
    format: Format,
    /// Write prefixes as folded stacks, for flame graphs: 'user:;42: 1234'
    #[arg(long, conflicts_with_all = ["format", "compare"])]
    folded: bool,
    /// Show what grew since this dump
    #[arg(long, value_name = "OTHER")]
    compare: Option<PathBuf>,
    /// How many keys and prefixes to show, 10 keys and 25 prefixes if not given; with csv and ndjson, only so many keys
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// What the largest keys are the largest by. May be given several times
    #[arg(long, value_enum, value_name = "BY", value_delimiter = ',', default_value = "memory")]
    by: Vec<By>,
    #[command(flatten)]
    prefixes: PrefixArgs,
    /// Show the balance of so many shards, and the heaviest slots
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    shards: Option<u16>,
    /// Look only at this part of the keys below 8 kB, such as 0.1, drawn by their hash, and estimate the rest
    #[arg(long, value_name = "PART", value_parser = parse_sample)]
    sample: Option<u64>,
    #[command(flatten)]
    keys: KeyArgs,
}

/// How keys come apart into prefixes.
#[derive(Args)]
pub(crate) struct PrefixArgs {
    /// What keys are cut at, kept with what is before it. May be given several times. If not given: ':', and for keys
    /// without any: / | . - _ or the first digit
    #[arg(long, value_name = "TEXT")]
    separator: Vec<String>,
    /// How many levels of prefixes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    depth: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Ndjson,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Memory,
    /// Bytes in the file
    Size,
    Elements,
    /// The largest element
    Largest,
}

impl From<By> for Measure {
    fn from(by: By) -> Measure {
        match by {
            By::Memory => Measure::Memory,
            By::Size => Measure::Bytes,
            By::Elements => Measure::Elements,
            By::Largest => Measure::Longest,
        }
    }
}

impl PrefixArgs {
    pub(crate) fn splitter(&self) -> Splitter {
        let depth = usize::from(self.depth);
        if self.separator.is_empty() {
            return Splitter::guessing(depth);
        }
        Splitter::new(self.separator.iter().map(|text| text.as_bytes().to_vec()).collect(), depth)
    }
}

/// The part of all keys that is looked at, as one in so many.
fn parse_sample(text: &str) -> Result<u64, String> {
    let part: f64 = text.parse().map_err(|_| "use a part such as 0.1".to_owned())?;
    if !(part > 0.0 && part <= 1.0) {
        return Err("use a part above 0 and up to 1, such as 0.1".into());
    }
    Ok((1.0 / part).round().min(1e9) as u64)
}

/// A prefix is shown by itself if it has more than one part in so many of the memory.
const LEAST: u64 = 1000;

/// And in a table, where people look for the large ones.
const LEAST_ROW: u64 = 200;

impl Memory {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let options = self.options()?;
        let by_line = match self.format {
            Format::Csv => Some(Lines::Csv),
            Format::Ndjson => Some(Lines::Ndjson),
            _ => None,
        };
        if let Some(format) = by_line {
            self.check_lines()?;
            if self.top.is_none() {
                return self.all_lines(format, &options, common);
            }
        }
        let mut output = self.keys.output()?;
        let (name, after) = dissected(&self.file, &options, &self.keys.model, &self.keys.server, common)?;
        let mut outcome = outcome(&name, &after);
        let report = if let Some(other) = &self.compare {
            let (earlier, before) = dissected(other, &options, &self.keys.model, &self.keys.server, common)?;
            outcome = self::outcome(&earlier, &before).and_then(|before| outcome.map(|after| before.and(after)));
            let least = before.footprint.total.memory.max(after.footprint.total.memory) / LEAST;
            let change = changes(&before.footprint, &after.footprint, least, self.top.unwrap_or(25));
            match self.format {
                Format::Json => change::as_json(&change, &earlier, &name),
                _ => change::as_text(&change, &earlier, &name),
            }
        } else if let Some(format) = by_line {
            let mut text = format.header().as_bytes().to_vec();
            let by = self.by.first().copied().unwrap_or(By::Memory);
            after.footprint.tops.by(by.into()).iter().for_each(|key| format.write(key, &mut text));
            String::from_utf8_lossy(&text).into_owned()
        } else {
            self.whole(&name, &after)
        };
        output.put(report.as_bytes())?;
        output.finish()?;
        outcome
    }

    fn options(&self) -> Result<Options> {
        Ok(Options {
            filter: self.keys.filter.filter()?,
            splitter: self.prefixes.splitter(),
            top: self.top.unwrap_or(if self.format == Format::Json { 100 } else { 10 }),
            one_in: self.sample.unwrap_or(1),
            now: cli::now(),
        })
    }

    fn check_lines(&self) -> Result<()> {
        if self.compare.is_some() {
            return Err(Error::usage("--compare: use --format table or json; csv and ndjson are a line for every key"));
        }
        if self.sample.is_some() {
            return Err(Error::usage("--sample: use --format table or json; csv and ndjson are a line for every key"));
        }
        Ok(())
    }

    /// A line for every key, in the order of the file.
    fn all_lines(&self, format: Lines, options: &Options, common: Common) -> Result<Outcome> {
        let mut input = self.keys.open(&self.file, common)?;
        let mut output = self.keys.output()?;
        output.put(format.header().as_bytes())?;
        let progress = Progress::of(&input, common.quiet, self.keys.is_to_stdout());
        let model = self.keys.model.model(input.reader.origin());
        let outcome = lines(&mut input, common.threads(), options, &model, format, |text| output.put(text));
        drop(progress);
        outcome.map_err(|e| input.name_it(e))?;
        output.finish()?;
        cli::warn_of_commands(&input);
        Ok(Outcome::Yes)
    }

    /// All that is known of one dump.
    fn whole(&self, name: &str, dissected: &Dissected) -> String {
        let parts = if self.format == Format::Table && !self.folded { LEAST_ROW } else { LEAST };
        let mut outline = Outline::of(&dissected.footprint.prefixes, dissected.footprint.total.memory / parts);
        if self.folded {
            return folded(&outline);
        }
        let found = findings(dissected, &outline);
        if self.format == Format::Json {
            let document = document(name, dissected, &outline, &found, self.shards.unwrap_or(3));
            return format!("{document}\n");
        }
        outline.prune(self.top.unwrap_or(25));
        tables::Tables {
            name,
            dissected,
            by: self.by.iter().map(|by| Measure::from(*by)).collect(),
            shards: self.shards,
        }
        .text(&outline, &found)
    }
}

/// Opens and reads a dump; gives the name that it has in messages as well. One that is damaged before its first key is
/// an answer too.
pub(crate) fn dissected(
    path: &Path,
    options: &Options,
    model: &MemoryArgs,
    server: &ServerArgs,
    common: Common,
) -> Result<(String, Dissected)> {
    let mut input = match cli::open_source(path, server, common.threads()) {
        Ok(input) => input,
        Err(e) if e.is_damage() => return Ok((path.display().to_string(), Dissected::unread(e.without_input()))),
        Err(e) => return Err(e),
    };
    let model = model.model(input.reader.origin());
    let progress = Progress::of(&input, common.quiet, false);
    let dissected = dissect(&mut input, common.threads(), options, &model);
    drop(progress);
    cli::warn_of_commands(&input);
    Ok((input.name, dissected))
}

/// What the exit status is to say; damage is told on standard error as well.
pub(crate) fn outcome(name: &str, dissected: &Dissected) -> Result<Outcome> {
    match dissected.trouble() {
        Some(e) if e.is_damage() => {
            cli::complain(&format!("{name}: {e}"));
            Ok(Outcome::No)
        }
        Some(e) => Err(Error::unsupported(format!("{name}: {e}"))),
        None => Ok(Outcome::Yes),
    }
}

/// Prefixes as the stacks of flame graphs: a line each, pieces between semicolons, bytes of its own.
fn folded(outline: &Outline) -> String {
    fn lines(node: &Outline, stack: &str, out: &mut String) {
        let piece = String::from_utf8_lossy(&node.name[node.above..]).replace(';', ",");
        let piece = text::escaped(piece.as_bytes());
        let stack = if stack.is_empty() { "all".to_owned() } else { format!("{stack};{piece}") };
        let below: u64 = node.children.iter().map(|child| child.tally.memory).sum();
        let own = node.tally.memory.saturating_sub(below);
        if own > 0 {
            out.push_str(&format!("{stack} {own}\n"));
        }
        node.children.iter().for_each(|child| lines(child, &stack, out));
    }
    let mut out = String::new();
    lines(outline, "", &mut out);
    out
}
