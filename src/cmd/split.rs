//! `rdbkit split`: a dump into several.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use rdbkit::model::{Target, shard_ranges};
use rdbkit::pipeline::{Composer, Destination, Division, Loss};
use rdbkit::{Result, text};

use crate::cli::{self, Common, LossArgs, Outcome, ServerArgs, WriteArgs};
use crate::progress::Progress;

/// Divide a dump into several: by cluster slots, by database, or by size
///
/// Each part is a complete dump that a server loads; functions and modules' aux data are in every part. The parts
/// appear under their names when all are complete.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit split dump.rdb --shards 3 -o parts              slots-0-5460.rdb, slots-5461-10922.rdb, …
  rdbkit split dump.rdb --slots 0-8191,8192-16383 -o parts
  rdbkit split dump.rdb --by-db -o parts                 db-0.rdb, db-5.rdb, …
  rdbkit split dump.rdb --max-size 1G -o parts           part-001.rdb, part-002.rdb, …
  rdbkit split redis://localhost --shards 3 -o parts     of a live server")]
pub(crate) struct Split {
    /// The dump, '-' for standard input, or a live server or cluster: redis://HOST:PORT
    file: PathBuf,
    #[command(flatten)]
    division: DivisionArgs,
    /// Write the parts into this directory; it is made if it isn't there
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// Split even if the file's checksum is wrong
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    losses: LossArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct DivisionArgs {
    /// A part for each range of cluster slots, such as 0-5460,5461-10922,10923-16383
    #[arg(long, value_name = "A-B", value_delimiter = ',', value_parser = cli::parse_slots)]
    slots: Vec<RangeInclusive<u16>>,
    /// So many parts of equal ranges of slots, as 'redis-cli --cluster create' divides them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    shards: Option<u16>,
    /// A part for each database
    #[arg(long)]
    by_db: bool,
    /// A new part before one becomes larger than this (also 10k, 5M, 1G); a key that is larger gets its own
    #[arg(long, value_name = "BYTES", value_parser = cli::parse_size)]
    max_size: Option<u64>,
}

impl DivisionArgs {
    fn division(&self) -> Division {
        let named =
            |range: &RangeInclusive<u16>| (format!("slots-{}-{}", range.start(), range.end()), vec![range.clone()]);
        if let Some(size) = self.max_size {
            Division::Size(size)
        } else if self.by_db {
            Division::Dbs
        } else if let Some(shards) = self.shards {
            Division::Slots(shard_ranges(shards).iter().map(named).collect())
        } else {
            Division::Slots(self.slots.iter().map(named).collect())
        }
    }
}

impl Split {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let mut input = cli::open_whole(&self.file, &self.server, common.threads())?;
        if self.no_verify {
            input.reader.verify(false);
        }
        let mut plan = self.write.plan(Target::of(input.reader.origin()), &self.losses)?;
        plan.changes_content = true;
        let destination =
            Destination::Folder { path: self.output.clone(), division: self.division.division(), force: self.force };
        let mut losses = self.losses.listener(self.force)?;
        let mut tell = |loss: &Loss| losses.tell(loss);
        let mut composer = Composer::new(&plan, destination, &mut tell)?;
        let progress = Progress::of(&input, common.quiet, false);
        let added = composer.add(&mut input, common.threads());
        drop(progress);
        added.map_err(|e| input.name_it(e).noting("nothing was written".into()))?;
        cli::warn_of_commands(&input);
        if composer.is_refused() {
            drop(composer);
            return losses.refuse(&plan.target);
        }
        let report = composer.finish()?;
        losses.finish()?;
        if !common.quiet {
            for file in &report.files {
                let (keys, size) = (text::count(file.keys, "key"), text::bytes(file.size));
                cli::complain(&format!("{}: {keys}, {size}", self.output.join(format!("{}.rdb", file.name)).display()));
            }
            cli::summarize(&report, &plan.target, &self.output.display().to_string());
        }
        Ok(Outcome::Yes)
    }
}
