//! The `rdbkit` command: arguments, presentation, progress and exit codes around the library.

mod cli;
mod cmd;
mod progress;
mod table;

use std::process::ExitCode;

use clap::Parser;

use cli::Outcome;

fn main() -> ExitCode {
    match cmd::run(cmd::Cli::parse()) {
        Ok(Outcome::Yes) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        // Whoever read our output has seen enough.
        Err(e) if e.is_broken_pipe() => ExitCode::SUCCESS,
        Err(e) => {
            cli::complain(&e);
            ExitCode::from(2)
        }
    }
}
