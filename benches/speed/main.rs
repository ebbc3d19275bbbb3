//! Times rdbkit's commands on a dump against `cat`, `cp`, `redis-check-rdb` and other tools.
//!
//! ```sh
//! cargo bench --bench speed -- mixed.rdb --check-rdb redis-check-rdb
//! cargo bench --bench speed -- mixed.rdb --only live --server redis-server
//! ```
//!
//! Every command is a process of its own, run in turn with the yardstick, so that a ratio holds when the machine's
//! speed drifts; medians are printed. The file is read once before, so that it lies in the page cache.

mod live;
mod run;
mod works;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use run::{Ran, median, time};
use works::{Work, peers, works};

/// Times rdbkit on a dump.
#[derive(Parser)]
#[command(name = "speed")]
struct Args {
    /// The dump.
    dump: PathBuf,
    /// How often each command is run.
    #[arg(short = 'n', long, default_value_t = 5)]
    runs: usize,
    /// Numbers of threads to run with.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Only works whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The yardstick, if it is not on PATH.
    #[arg(long, value_name = "PROGRAM", default_value = "redis-check-rdb")]
    check_rdb: PathBuf,
    /// Time loads into this server and snapshots of it as well, and nothing else with '--only live'.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// The server's client.
    #[arg(long, value_name = "PROGRAM", default_value = "redis-cli")]
    client: PathBuf,
    /// Where files may be written; about three times the dump.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// `cargo bench` says this.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("speed: {e}");
            ExitCode::from(2)
        }
    }
}

fn measure(args: &Args) -> std::io::Result<()> {
    let folder = match &args.scratch {
        Some(at) => tempfile::tempdir_in(at)?,
        None => tempfile::tempdir()?,
    };
    let size = std::fs::metadata(&args.dump)?.len() as f64 / 1e6;
    let yardstick = Work::new("redis-check-rdb", &args.check_rdb, &[&args.dump]);
    let has_yardstick = time(&yardstick).is_ok();
    let works = works(&args.dump, folder.path(), &args.threads)?;
    let keys = works::keys(&args.dump)? as f64;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let processor = works::processor().unwrap_or("unknown processor".into());
    println!(
        "{}: {size:.0} MB, {keys} keys; medians of {} runs; {processor}, {cores} cores\n",
        args.dump.display(),
        args.runs
    );
    println!("| work | threads | s | CPU s | MB/s | 1000 keys/s | peak MiB | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| name.contains(only.as_str()));
    for work in works.into_iter().chain(peers(&args.dump)).filter(|work| is_wanted(&work.name)) {
        let (mut runs, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..args.runs {
            match time(&work) {
                Ok(ran) => runs.push(ran),
                Err(e) => eprintln!("{e}"),
            }
            if has_yardstick && let Some(ran) = runs.last() {
                ratios.push(time(&yardstick)?.wall / ran.wall);
            }
        }
        let of = |figure: fn(&Ran) -> f64| median(runs.iter().map(figure).collect());
        let (wall, cpu, peak) = (of(|ran| ran.wall), of(|ran| ran.cpu), of(|ran| ran.peak));
        let threads = work.threads.map_or("–".to_owned(), |n| n.to_string());
        let ratio = if has_yardstick { format!("{:.2}×", median(ratios)) } else { "–".to_owned() };
        let (mb, keys) = (size / wall, keys / wall / 1000.0);
        println!("| {} | {threads} | {wall:.3} | {cpu:.3} | {mb:.0} | {keys:.0} | {peak:.0} | {ratio} |", work.name);
    }
    match &args.server {
        Some(server) if is_wanted("live") => {
            let programs = live::Programs { server: server.clone(), client: args.client.clone() };
            live::measure(&programs, &args.dump, folder.path(), args.runs)
        }
        _ => Ok(()),
    }
}
