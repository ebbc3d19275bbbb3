//! `rdbkit load --method replication`: the server takes all its data from us, as from its master.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use rdbkit::live::load::Site;
use rdbkit::live::replication::{Fed, Master, Reading};
use rdbkit::model::Target;
use rdbkit::pipeline::{Composer, Destination, Input, Loss, Meter, Output, Plan};
use rdbkit::rdb::OnLoss;
use rdbkit::{Error, Result, text};
use serde_json::json;

use super::{LoadArgs, OnLossName};
use crate::cli::{Common, Outcome, complain};
use crate::progress::Progress;

/// An address of this machine, with or without a port.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let ip = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    text.parse().or_else(|_| ip()).map_err(|_| "use an address of this machine, with or without a port".into())
}

impl LoadArgs {
    /// Replaces all that the server has.
    pub(super) fn replicate(&self, site: &Site, inputs: &mut [Input], common: Common) -> Result<Outcome> {
        if self.resume.is_some() || self.rate.is_some() || self.errors.is_some() || self.verify {
            return Err(Error::usage(
                "--method replication: all goes over at once or nothing does; leave out --resume, --rate, --errors and \
                 --verify",
            ));
        }
        let plan = self.replication_plan(site, inputs)?;
        let master = Master::new(&site.endpoint, self.listen)?;
        if self.dry_run {
            self.show_what_would_be(site, master.reading());
            return Ok(Outcome::Yes);
        }
        self.confirm(site)?;
        let begun = Instant::now();
        let meter: Arc<Meter> = inputs[0].meter.clone();
        let size = if inputs.len() == 1 { inputs[0].size } else { None };
        let progress = Progress::show(&meter, size, common.quiet, false);
        let mut left = 0;
        let fed = master.feed(&meter, &mut |output| {
            left = 0;
            write(&plan, inputs, output, common, &mut left)
        });
        drop(progress);
        match fed {
            Ok(fed) => {
                self.tell_of(site, &fed, begun, common);
                Ok(Outcome::Yes)
            }
            Err(_) if left > 0 => {
                complain(&format!(
                    "{}: it cannot hold {} of the input, and keeps what it had; --on-loss downgrade loads what it can hold",
                    site.endpoint.url(),
                    text::count(left, "thing")
                ));
                Ok(Outcome::No)
            }
            Err(e) => Err(e),
        }
    }

    fn tell_of(&self, site: &Site, fed: &Fed, begun: Instant, common: Common) {
        let seconds = begun.elapsed().as_secs_f64();
        let [sent, loaded] = [fed.sent, fed.loaded].map(|time| time.as_secs_f64());
        let url = site.endpoint.url();
        if self.json {
            let report = json!({
                "server": url.to_string(), "method": "replication", "keys": fed.keys,
                "seconds": seconds, "secondsToSend": sent, "secondsToRead": loaded,
                "diskless": matches!(fed.reading, Reading::AsTheyArrive { .. }),
            });
            // A summary that nobody takes is no failure of the load.
            drop(Output::create(None, false).and_then(|mut out| out.put(format!("{report}\n").as_bytes())));
        } else if !common.quiet {
            let keys = text::count(fed.keys, "key");
            let read = match &fed.reading {
                Reading::AsTheyArrive { .. } => "and read as they came",
                Reading::FromItsDisk { .. } => "read from its disk",
            };
            complain(&format!(
                "{url}: {keys} by replication in {seconds:.1} s; sent in {sent:.1} s {read} in {loaded:.1} s more"
            ));
            complain(&format!("{url}: {}", told(&fed.reading, "was", "is back at")));
        }
    }

    /// What a load would do, without doing it.
    fn show_what_would_be(&self, site: &Site, reading: &Reading) {
        let probe = &site.nodes[0];
        let there = text::count(site.keys(), "key");
        let facts = [
            ("server", probe.name.clone()),
            ("has", format!("{there}, all of which would be replaced, and functions as well")),
            ("in the form of", probe.target.to_string()),
            ("reading", told(reading, "would be", "then back at")),
        ];
        super::show_facts(&facts);
    }

    fn replication_plan(&self, site: &Site, inputs: &[Input]) -> Result<Plan> {
        let state = self.state(&site.endpoint, inputs)?.0;
        let wanted = self.plan(site, &inputs[0], &state)?;
        let target = site.nodes[0].target.clone();
        let alone = inputs.len() == 1 && wanted.filter.is_empty() && wanted.rewrite.is_empty();
        let compares_keys = inputs.len() > 1 || wanted.rewrite.may_join_keys();
        let mut plan = Plan::new(Target::clone(&target), false);
        plan.options.expand_templates = inputs.len() > 1;
        if self.on_loss == OnLossName::Downgrade {
            plan.options.on_loss = OnLoss::Downgrade;
        }
        plan.filter = wanted.filter;
        plan.rewrite = wanted.rewrite;
        // A position in another master's stream means nothing to this one.
        plan.changes_content = true;
        plan.keeps_hints = alone && target.redis_version() >= 7;
        plan.compares_keys = compares_keys;
        Ok(plan)
    }
}

/// How a server reads what it gets.
fn told(reading: &Reading, tense: &str, back: &str) -> String {
    match reading {
        Reading::AsTheyArrive { was: Some(was) } => {
            format!("repl-diskless-load {tense} on-empty-db for the load, {back} {was}")
        }
        Reading::AsTheyArrive { was: None } => {
            "the data go straight into its memory, as repl-diskless-load is set".into()
        }
        Reading::FromItsDisk { why } => format!("the data go by its disk: {why}"),
    }
}

/// Writes all inputs as one file. What the server cannot hold is told and counted, and an error unless it may be left.
fn write(plan: &Plan, inputs: &mut [Input], output: Output, common: Common, left: &mut u64) -> Result<()> {
    /// More would bury the summary.
    const SHOWN: u64 = 20;
    let mut told = 0_u64;
    let mut tell = |loss: &Loss| {
        told += 1;
        let what = if loss.kept { "loaded without" } else { "left out for" };
        if told <= SHOWN {
            match &loss.key {
                Some((db, key)) => complain(&format!("db {db}, key {}: {what} {}", text::quoted_short(key), loss.what)),
                None => complain(&format!("left out: {}", loss.what)),
            }
        }
        Ok(())
    };
    let mut composer = Composer::new(plan, Destination::One(output), &mut tell)?;
    for input in inputs {
        composer.add(input, common.threads()).map_err(|e| input.name_it(e))?;
    }
    if composer.is_refused() {
        drop(composer);
        *left = told;
        return Err(Error::refused("it cannot hold all of the input"));
    }
    composer.finish().map(drop)
}
