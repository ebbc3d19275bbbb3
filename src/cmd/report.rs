//! `rdbkit report`: one page that shows where the memory is.

use std::path::PathBuf;

use clap::Args;
use rdbkit::Result;
use rdbkit::analysis::footprint::{Options, Outline, findings};
use rdbkit::analysis::report::{document, page};

use super::memory::{PrefixArgs, dissected, outcome};
use crate::cli::{self, Common, KeyArgs, Outcome};

/// Write a page with pictures and tables of what takes the memory
///
/// One HTML file that needs nothing else: headline facts, findings with what to do, a map of prefixes that can be gone
/// into, the largest keys, types, times to live, sizes, slots. It opens from disk, loads nothing and sends nothing.
/// The page of a damaged dump shows what could be read and says so; exit status 1 then.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit report dump.rdb -o report.html
  rdbkit report dump.rdb --key 'session:*' -o sessions.html --force
  ssh backup cat dump.rdb.gz | rdbkit report - > report.html")]
pub(crate) struct Report {
    /// The dump; '-' for standard input; or the URL of a live server
    file: PathBuf,
    #[command(flatten)]
    prefixes: PrefixArgs,
    /// How many keys to list by each measure
    #[arg(long, value_name = "N", default_value_t = 100)]
    top: usize,
    /// How many shards to deal the slots to
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    shards: u16,
    #[command(flatten)]
    keys: KeyArgs,
}

/// More prefixes than this a page does not show one by one.
const MOST: usize = 2000;

impl Report {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let options = Options {
            filter: self.keys.filter.filter()?,
            splitter: self.prefixes.splitter(),
            top: self.top,
            one_in: 1,
            now: cli::now(),
        };
        let mut output = self.keys.output()?;
        let (name, dissected) = dissected(&self.file, &options, &self.keys.model, &self.keys.server, common)?;
        // What is below a five-thousandth of the picture can't be seen in it.
        let mut outline = Outline::of(&dissected.footprint.prefixes, dissected.footprint.total.memory / 5000);
        let found = findings(&dissected, &outline);
        outline.prune(MOST);
        let document = document(&name, &dissected, &outline, &found, self.shards);
        output.put(page(&document, env!("CARGO_PKG_VERSION")).as_bytes())?;
        output.finish()?;
        outcome(&name, &dissected)
    }
}
