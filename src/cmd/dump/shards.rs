//! `rdbkit dump --per-shard`: a file for each master of a cluster, all of them or none.

use std::path::Path;
use std::sync::Arc;

use rdbkit::live::dump::{self, Method, Tally};
use rdbkit::live::{Endpoint, Place};
use rdbkit::model::Filter;
use rdbkit::pipeline::{Format, Meter, NewDir, Output};
use rdbkit::{Error, Result, text};
use serde_json::json;

use super::{Done, Dump, Wrote, amounts, summary, tell_of_lacks};
use crate::cli::{self, Common, Outcome};
use crate::progress::Progress;

/// A master with what was written of it.
struct Shard {
    server: String,
    file: String,
    method: Method,
    tally: Arc<Tally>,
    done: Done,
}

impl Dump {
    /// Writes the snapshots of all masters at the same time, none waiting for another.
    pub(super) fn shards(
        &self,
        endpoint: &Endpoint,
        filter: Filter,
        format: Option<Format>,
        place: Option<&Path>,
        common: Common,
    ) -> Result<Outcome> {
        let path = place.ok_or_else(|| Error::usage("--per-shard: name a directory with -o OUT"))?;
        let dir = NewDir::create(path)?;
        let endpoints = dump::masters(endpoint)?;
        let extension = extension(format.as_ref());
        let names: Vec<_> =
            endpoints.iter().map(|one| format!("{}.{extension}", file_name(&one.url().place))).collect();
        let outputs = names.iter().map(|name| dir.file(name)).collect::<Result<Vec<_>>>()?;
        let snapshots = self.begin(endpoint, &endpoints, common)?;
        let (keys, size) = amounts(&snapshots);
        let meter = Arc::new(Meter::default());
        let job = self.job(filter, format)?;
        let progress = match size {
            Some(size) => Progress::show(&meter, Some(size), common.quiet, false),
            None => Progress::keys(&meter, keys, common.quiet, false),
        };
        let facts: Vec<_> = snapshots.iter().map(|one| (one.method, one.tally.clone())).collect();
        let wrote: Vec<Result<Wrote>> = std::thread::scope(|scope| {
            let write = |((one, snapshot), output)| {
                let (job, meter) = (&job, &meter);
                scope.spawn(move || self.write(one, vec![snapshot], job, output, meter, common, |_| Progress::none()))
            };
            let writing: Vec<_> = endpoints.iter().zip(snapshots).zip(outputs).map(write).collect();
            let joined = writing.into_iter().map(|thread| thread.join());
            joined.map(|wrote| wrote.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        drop(progress);
        let mut shards = Vec::new();
        for (((one, file), (method, tally)), wrote) in endpoints.iter().zip(names).zip(facts).zip(wrote) {
            match wrote? {
                Wrote::Refused(target) => return job.end(Some(&target)),
                Wrote::Done(done) => shards.push(Shard { server: one.url().to_string(), file, method, tally, done }),
            }
        }
        job.end(None)?;
        dir.finish()?;
        self.tell_of_shards(path, &shards, common)
    }

    fn tell_of_shards(&self, path: &Path, shards: &[Shard], common: Common) -> Result<Outcome> {
        if self.json {
            let each = shards.iter().map(|shard| {
                let mut report = summary(&shard.server, shard.method, &shard.done, std::slice::from_ref(&shard.tally));
                report["file"] = json!(path.join(&shard.file).display().to_string());
                report
            });
            let keys: u64 = shards.iter().map(|shard| shard.done.keys).sum();
            let report = json!({ "keys": keys, "shards": each.collect::<Vec<_>>() });
            Output::create(None, false)?.put(format!("{report}\n").as_bytes())?;
        } else if !common.quiet {
            for Shard { file, method, done, .. } in shards {
                cli::complain(&format!("{}: {}", path.join(file).display(), done.facts(*method)));
            }
            let (keys, files) = (shards.iter().map(|shard| shard.done.keys).sum(), shards.len() as u64);
            let (keys, files) = (text::count(keys, "key"), text::count(files, "file"));
            cli::complain(&format!("{}: {keys} in {files}", path.display()));
        }
        let tallies: Vec<_> = shards.iter().map(|shard| shard.tally.clone()).collect();
        Ok(tell_of_lacks(&tallies, common))
    }
}

/// The name of a server's file: that of its host or socket.
fn file_name(place: &Place) -> String {
    match place {
        Place::Tcp { host, port } => format!("{}-{port}", host.replace([':', '/'], "_")),
        Place::Unix(path) => path.file_stem().map_or("server".into(), |name| name.to_string_lossy().into_owned()),
    }
}

fn extension(format: Option<&Format>) -> &'static str {
    match format {
        None => "rdb",
        Some(Format::Json) => "json",
        Some(Format::Ndjson) => "ndjson",
        Some(Format::Csv(_)) => "csv",
        Some(Format::Resp(_)) => "resp",
    }
}
