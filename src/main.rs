//! The `rdbkit` command: arguments, presentation, progress and exit codes around the library.

mod cli;
mod cmd;
mod interrupt;
mod progress;
mod table;

use std::process::ExitCode;

use clap::Parser;

use cli::Outcome;

fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    interrupt::watch();
    match cmd::run(cli) {
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
