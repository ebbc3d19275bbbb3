//! `rdbkit export`: from a dump to JSON, CSV or commands.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rdbkit::pipeline::{Format, Output, export, open};
use rdbkit::{Error, Result, csv, resp, text};

use crate::cli::{self, Common, FilterArgs, Outcome, OutputArgs};
use crate::progress::Progress;

/// Write a dump as JSON, NDJSON, CSV or Redis commands
///
/// JSON and NDJSON are lossless. CSV is a row a key, with --elements a row an element. RESP is a stream of commands
/// for 'redis-cli --pipe'; what has no commands (module values, vector sets, arrays) goes as RESTORE.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit export dump.rdb -o backup.json
  rdbkit export dump.rdb --format ndjson | grep '\"key\":\"user:' | jq .value
  rdbkit export dump.rdb --format csv --type hash --elements
  rdbkit export dump.rdb --format resp | redis-cli --pipe
  rdbkit export dump.rdb --format resp --restore --key 'session:*' | redis-cli --pipe
  zstdcat dump.rdb.zst | rdbkit export - --format ndjson -o dump.ndjson")]
pub(crate) struct Export {
    /// The dump; '-' for standard input
    file: PathBuf,
    /// The format; if not given, OUT's extension tells it, else it is json
    #[arg(long, short, value_enum)]
    format: Option<FormatName>,
    /// With csv: a row an element instead of a row a key
    #[arg(long)]
    elements: bool,
    /// With resp: RESTORE for every key, for servers of the same version or later
    #[arg(long)]
    restore: bool,
    /// Export even if the file's checksum is wrong
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    Json,
    Ndjson,
    Csv,
    Resp,
}

impl Export {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let format = self.format()?;
        let filter = self.filter.filter()?;
        let mut input = open(&self.file)?;
        let mut output = Output::create(self.output.output.as_deref(), self.output.force)?;
        if self.no_verify {
            input.reader.verify(false);
        }
        let progress = Progress::of(&input, common.quiet, self.output.output.is_none());
        let mut keys = 0;
        let outcome = export(&mut input, format, &filter, common.threads(), &mut output, &mut keys);
        drop(progress);
        match outcome.and_then(|()| output.finish()) {
            Ok(()) => {
                cli::warn_of_commands(&input);
                Ok(Outcome::Yes)
            }
            Err(e) if self.output.output.is_none() => {
                Err(input.name_it(e).noting(format!("{} written before that", text::count(keys, "key"))))
            }
            Err(e) => Err(input.name_it(e).noting("nothing was written".into())),
        }
    }

    fn format(&self) -> Result<Format> {
        let by_name = || self.output.output.as_deref().and_then(by_extension);
        let name = self.format.or_else(by_name).unwrap_or(FormatName::Json);
        let level = if self.elements { csv::Level::Elements } else { csv::Level::Keys };
        if self.elements && !matches!(name, FormatName::Csv) {
            return Err(Error::usage("--elements goes with --format csv"));
        }
        if self.restore && !matches!(name, FormatName::Resp) {
            return Err(Error::usage("--restore goes with --format resp"));
        }
        Ok(match name {
            FormatName::Json => Format::Json,
            FormatName::Ndjson => Format::Ndjson,
            FormatName::Csv => Format::Csv(level),
            FormatName::Resp => Format::Resp(resp::Options { restore: self.restore, ..resp::Options::default() }),
        })
    }
}

fn by_extension(path: &Path) -> Option<FormatName> {
    Some(match path.extension()?.to_str()? {
        "json" => FormatName::Json,
        "ndjson" | "jsonl" => FormatName::Ndjson,
        "csv" => FormatName::Csv,
        "resp" | "aof" => FormatName::Resp,
        _ => return None,
    })
}
