//! `rdbkit man`: the manual pages, made from the same definitions as the help.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use rdbkit::pipeline::Output;
use rdbkit::{Error, Result};

use super::Cli;
use crate::cli::Outcome;

/// Print the manual page of rdbkit or of one of its commands
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit man | man -l -
  rdbkit man export | man -l -
  rdbkit man --dir /usr/local/share/man/man1     write all pages: rdbkit.1, rdbkit-info.1, …")]
pub(crate) struct Man {
    /// The command; rdbkit itself if not given
    command: Option<String>,
    /// Write the pages of all commands into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> Result<Outcome> {
        let pages = pages()?;
        if let Some(dir) = self.dir {
            for (name, page) in pages {
                let mut output = Output::create(Some(&dir.join(format!("{name}.1"))), true)?;
                output.put(&page)?;
                output.finish()?;
            }
            return Ok(Outcome::Yes);
        }
        let name = self.command.as_ref().map_or("rdbkit".to_owned(), |command| format!("rdbkit-{command}"));
        match pages.iter().find(|(known, _)| *known == name) {
            Some((_, page)) => Output::create(None, false)?.put(page)?,
            None => return Err(Error::usage(format!("there is no command {:?}", self.command.unwrap_or_default()))),
        }
        Ok(Outcome::Yes)
    }
}

/// Name and text of every page.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let subcommands: Vec<_> = root.get_subcommands().cloned().collect();
    let mut pages = Vec::new();
    for command in std::iter::once(root).chain(subcommands) {
        let name = command.get_display_name().unwrap_or("rdbkit").to_owned();
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        pages.push((name, page));
    }
    Ok(pages)
}
