//! Flags that choose the format of an export.

use std::path::Path;

use clap::{Args, ValueEnum};
use rdbkit::pipeline::Format;
use rdbkit::{Error, Result, csv, resp};

/// In which format to write.
#[derive(Args)]
pub(crate) struct FormatArgs {
    /// The format; if not given, OUT's extension tells it
    #[arg(long, short, value_enum)]
    format: Option<FormatName>,
    /// With csv: a row an element instead of a row a key
    #[arg(long)]
    elements: bool,
    /// With resp: RESTORE for every key, for servers of the same version or later
    #[arg(long)]
    restore: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    Json,
    Ndjson,
    Csv,
    Resp,
}

impl FormatArgs {
    /// The format that was named, by the flag or by the extension of what is written; `None` if none was.
    pub(crate) fn format(&self, output: Option<&Path>) -> Result<Option<Format>> {
        let name = self.format.or_else(|| output.and_then(by_extension));
        let level = if self.elements { csv::Level::Elements } else { csv::Level::Keys };
        if self.elements && !matches!(name, Some(FormatName::Csv)) {
            return Err(Error::usage("--elements goes with --format csv"));
        }
        if self.restore && !matches!(name, Some(FormatName::Resp)) {
            return Err(Error::usage("--restore goes with --format resp"));
        }
        Ok(name.map(|name| match name {
            FormatName::Json => Format::Json,
            FormatName::Ndjson => Format::Ndjson,
            FormatName::Csv => Format::Csv(level),
            FormatName::Resp => Format::Resp(resp::Options { restore: self.restore, ..resp::Options::default() }),
        }))
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
