//! `rdbkit completions`: shell completions, made from the same definitions as the help.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use rdbkit::Result;
use rdbkit::pipeline::Output;

use super::Cli;
use crate::cli::Outcome;

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit completions bash > ~/.local/share/bash-completion/completions/rdbkit
  rdbkit completions zsh > ~/.zfunc/_rdbkit
  rdbkit completions fish > ~/.config/fish/completions/rdbkit.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<Outcome> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "rdbkit", &mut text);
        Output::create(None, false)?.put(&text)?;
        Ok(Outcome::Yes)
    }
}
