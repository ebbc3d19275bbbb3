//! The commands, one file each: arguments, help with examples, `run`, and the presentation of what it finds.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod diff;
pub(crate) mod digest;
pub(crate) mod dump;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod man;
pub(crate) mod memory;
pub(crate) mod repair;
pub(crate) mod report;
pub(crate) mod split;

use clap::{Parser, Subcommand};
use rdbkit::Result;
use rdbkit::pipeline::set_max_expansion;

use crate::cli::{Common, Outcome};

/// Read, write, check, convert, compare and load Redis and Valkey RDB files of every version and dialect
#[derive(Parser)]
#[command(
    name = "rdbkit",
    version,
    arg_required_else_help = true,
    after_help = "Examples:
  rdbkit info dump.rdb                       what is in this file, and who can load it
  rdbkit keys dump.rdb --sort size --limit 20
  rdbkit get dump.rdb user:1
  rdbkit export dump.rdb -o backup.json
  rdbkit check dump.rdb
  rdbkit repair dump.rdb -o repaired.rdb
  rdbkit convert dump.rdb --target redis-6.2 -o old.rdb
  rdbkit memory dump.rdb                     which keys and prefixes take the memory
  rdbkit diff before.rdb after.json
  rdbkit dump redis://localhost -o dump.rdb
  rdbkit load dump.rdb redis://localhost

FILE may be '-' for standard input, compressed with gzip, zstd or lz4, a dump, JSON, CSV, commands or an append-only
file; most commands that read also take the URL of a live server.
Exit status: 0 done / yes, 1 the answer is no (damage found, data differ, keys refused), 2 trouble."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What `rdbkit` can do.
#[derive(Subcommand)]
enum Command {
    Info(info::Info),
    Keys(keys::Keys),
    Get(get::Get),
    Export(export::Export),
    Check(check::Check),
    Digest(digest::Digest),
    Diff(diff::Diff),
    Repair(repair::RepairCommand),
    Import(import::Import),
    Convert(Box<convert::Convert>),
    Split(split::Split),
    Memory(Box<memory::Memory>),
    Report(Box<report::Report>),
    Load(Box<load::LoadArgs>),
    Dump(Box<dump::Dump>),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli) -> Result<Outcome> {
    let common = cli.common;
    set_max_expansion(common.max_expansion);
    match cli.command {
        Command::Info(info) => info.run(common),
        Command::Keys(keys) => keys.run(common),
        Command::Get(get) => get.run(common),
        Command::Export(export) => export.run(common),
        Command::Check(check) => check.run(common),
        Command::Digest(digest) => digest.run(common),
        Command::Diff(diff) => diff.run(common),
        Command::Repair(repair) => repair.run(common),
        Command::Import(import) => import.run(common),
        Command::Convert(convert) => convert.run(common),
        Command::Split(split) => split.run(common),
        Command::Memory(memory) => memory.run(common),
        Command::Report(report) => report.run(common),
        Command::Load(load) => load.run(common),
        Command::Dump(dump) => dump.run(common),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}
