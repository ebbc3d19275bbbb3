//! Flags of the commands that write RDB files, and how they tell of what a target cannot hold.

use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rdbkit::model::{Limits, Target};
use rdbkit::pipeline::{Loss, Output, Plan, Report};
use rdbkit::rdb::{OnLoss, Options};
use rdbkit::{Error, Result, json, text};

use super::{Outcome, OutputArgs, complain};

/// For whom a file is written, and how.
#[derive(Args)]
#[command(next_help_heading = "What is written")]
pub(crate) struct WriteArgs {
    /// Write for this server: redis-2.4 to redis-8.10, valkey-7.2 to valkey-9.1, or for any that loads rdb:N
    #[arg(long, value_name = "SERVER")]
    target: Option<Target>,
    /// Module types that the target knows beyond its own, or 'all'
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "target")]
    with_modules: Vec<String>,
    /// Take the limits of compact encodings from this redis.conf instead of the servers' defaults
    #[arg(long, value_name = "CONF")]
    limits: Option<PathBuf>,
    /// Compress no string
    #[arg(long)]
    no_compress: bool,
    /// Write no checksum (eight zeros, as 'rdbchecksum no' does)
    #[arg(long)]
    no_checksum: bool,
    /// Set the file's time of creation, in Unix seconds
    #[arg(long, value_name = "SECONDS")]
    ctime: Option<u64>,
    /// Set an aux field of the file, such as used-mem=1000000. May be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_aux)]
    aux: Vec<(String, String)>,
}

/// What is done about data that the target cannot hold.
#[derive(Args)]
#[command(next_help_heading = "What the target cannot hold")]
pub(crate) struct LossArgs {
    /// Give up after naming all of it; leave such keys out; or keep as much of them as the target can hold
    #[arg(long, value_enum, default_value = "error")]
    on_loss: OnLossName,
    /// List all of it in this file, a line of JSON each; messages name the first twenty
    #[arg(long, value_name = "FILE")]
    losses: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum OnLossName {
    Error,
    Drop,
    Downgrade,
}

fn parse_aux(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.into(), value.into())).ok_or_else(|| "use NAME=VALUE".into())
}

impl WriteArgs {
    /// Whether nothing is asked for: whatever comes in may go out as it is.
    pub(crate) fn is_empty(&self) -> bool {
        let WriteArgs { target, limits, no_compress, no_checksum, ctime, aux, with_modules: _ } = self;
        target.is_none() && limits.is_none() && !no_compress && !no_checksum && ctime.is_none() && aux.is_empty()
    }

    /// The target that was named, else this one, with the limits that were given.
    fn target(&self, otherwise: Target) -> Result<Target> {
        let mut target = self.target.clone().unwrap_or(otherwise);
        if let Some(server) = &mut target.server {
            server.modules.clone_from(&self.with_modules);
        }
        if let Some(path) = &self.limits {
            let name = path.display().to_string();
            let conf = std::fs::read_to_string(path).map_err(Error::from).and_then(|conf| Limits::read_conf(&conf));
            target.limits = conf.map_err(|e| e.in_input(&name))?;
        }
        Ok(target)
    }

    /// The file's time of creation, where it is set.
    pub(crate) fn ctime(&self) -> Option<u64> {
        self.ctime
    }

    /// A plan that writes for the target that was named, else for `otherwise`, and changes nothing yet.
    pub(crate) fn plan(&self, otherwise: Target, losses: &LossArgs) -> Result<Plan> {
        let ctime = self.ctime.map(|seconds| (b"ctime".to_vec(), seconds.to_string().into_bytes()));
        let aux = self.aux.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()));
        Ok(Plan {
            options: Options {
                compress: !self.no_compress,
                rebuild: self.no_compress || self.limits.is_some(),
                same_server: self.target.is_none(),
                expand_templates: false,
                on_loss: losses.on_loss(),
            },
            aux: aux.chain(ctime).collect(),
            compares_keys: false,
            checksum: !self.no_checksum,
            ..Plan::new(self.target(otherwise)?, self.target.is_none())
        })
    }
}

impl LossArgs {
    fn on_loss(&self) -> OnLoss {
        match self.on_loss {
            OnLossName::Error => OnLoss::Error,
            OnLossName::Drop => OnLoss::Drop,
            OnLossName::Downgrade => OnLoss::Downgrade,
        }
    }

    /// Who hears of losses.
    pub(crate) fn listener(&self, force: bool) -> Result<Losses> {
        let list = self.losses.as_deref().map(|path| Output::create(Some(path), force)).transpose()?;
        Ok(Losses { list, told: 0, on_loss: self.on_loss() })
    }
}

/// Tells of losses: the first ones in messages, all in a file where that was asked for.
pub(crate) struct Losses {
    list: Option<Output>,
    told: u64,
    on_loss: OnLoss,
}

impl Losses {
    pub(crate) fn tell(&mut self, loss: &Loss) -> Result<()> {
        /// More would bury the summary.
        const SHOWN: u64 = 20;
        let what = if loss.kept { "written without" } else { "left out for" };
        self.told += 1;
        if self.told <= SHOWN {
            match &loss.key {
                Some((db, key)) => complain(&format!("db {db}, key {}: {what} {}", text::quoted_short(key), loss.what)),
                None => complain(&format!("left out: {}", loss.what)),
            }
        } else if self.told == SHOWN + 1 {
            complain(&"… (--losses FILE lists all)");
        }
        let Some(list) = &mut self.list else { return Ok(()) };
        let mut line = Vec::new();
        if let Some((db, key)) = &loss.key {
            write!(line, "{{\"db\":{db},\"key\":")?;
            json::write_string(key, &mut line);
            line.push(b',');
        } else {
            line.push(b'{');
        }
        line.extend_from_slice(b"\"lost\":");
        json::write_string(loss.what.as_bytes(), &mut line);
        writeln!(line, ",\"kept\":{}}}", loss.kept)?;
        list.put(&line)
    }

    /// Completes the list.
    pub(crate) fn finish(self) -> Result<()> {
        self.list.map_or(Ok(()), Output::finish)
    }

    /// The answer where something was left out that was not allowed to be.
    pub(crate) fn refuse(self, target: &Target) -> Result<Outcome> {
        let told = text::count(self.told, "loss").replace("losss", "losses");
        debug_assert!(self.on_loss == OnLoss::Error);
        complain(&format!(
            "{told}: {target} cannot hold all of the input; nothing was written. --on-loss downgrade keeps as much as it \
             can hold, --on-loss drop leaves such keys out"
        ));
        self.finish()?;
        Ok(Outcome::No)
    }
}

/// Where a dump goes: a file, or standard output if that is no terminal.
pub(crate) fn rdb_output(args: &OutputArgs) -> Result<Output> {
    if args.output.is_none() && stdout().is_terminal() {
        return Err(Error::usage("a dump is nothing to be read on a terminal; name a file with -o OUT"));
    }
    Output::create(args.output.as_deref(), args.force)
}

/// Says what was written, and what was not.
pub(crate) fn summarize(report: &Report, target: &Target, place: &str) {
    let keys = report.files.iter().map(|file| file.keys).sum();
    let size = report.files.iter().map(|file| file.size).sum();
    let files = match report.files.len() {
        1 => String::new(),
        n => format!(" in {}", text::count(n as u64, "file")),
    };
    complain(&format!("{place}: {}{files}, {}, {}", text::count(keys, "key"), text::bytes(size), target.header()));
    let note = |n: u64, what: &str| {
        if n > 0 {
            complain(&format!("{place}: {} {what}", text::count(n, "key")));
        }
    };
    note(report.changed, "written as hashes from index to item: the target has no arrays");
    note(report.stripped, "left out with their modules");
    note(report.tally.duplicates, "left out, as another one has their name");
    note(report.tally.elsewhere, "left out, in none of the slots");
    if report.left + report.less > 0 {
        let left = text::grouped(report.left);
        complain(&format!("{place}: {left} left out, {} written in part, as the target cannot hold them", report.less));
    }
}
