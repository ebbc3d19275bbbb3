//! `rdbkit export`: from a dump to JSON, CSV or commands.

use std::path::PathBuf;

use clap::Args;
use rdbkit::pipeline::{Format, Output, export};
use rdbkit::{Result, text};

use crate::cli::{self, Common, FilterArgs, FormatArgs, Outcome, OutputArgs, ServerArgs};
use crate::progress::Progress;

/// Write a dump as JSON, NDJSON, CSV or Redis commands
///
/// JSON and NDJSON are lossless, JSON is what is written if no format is named. CSV is a row a key, with --elements a row an element. RESP is a stream of commands
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
    /// The dump; '-' for standard input; or the URL of a live server
    file: PathBuf,
    /// Export even if the file's checksum is wrong
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Export {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let format = self.format.format(self.output.output.as_deref())?.unwrap_or(Format::Json);
        let filter = self.filter.filter()?;
        let mut input = cli::open_source(&self.file, &self.server, common.threads())?;
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
}
