//! The commands, one file each: arguments, help with examples, `run`, and the presentation of what it finds.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod info;
pub(crate) mod keys;
pub(crate) mod man;

use rdbkit::Result;

use crate::cli::{Cli, Command, Outcome};

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli) -> Result<Outcome> {
    let common = cli.common;
    match cli.command {
        Command::Info(info) => info.run(common),
        Command::Keys(keys) => keys.run(common),
        Command::Get(get) => get.run(common),
        Command::Export(export) => export.run(common),
        Command::Check(check) => check.run(common),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}
