//! Being told to stop: a short message, nothing half-written stays behind, and no server a replica of nobody.

use std::io::{IsTerminal, Write, stderr};
use std::thread;
use std::time::{Duration, Instant};

use rdbkit::live::Endpoint;
use rdbkit::live::replication::give_back_all;
use rdbkit::pipeline::discard_unfinished;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli;

/// How long a server may take to read what it has got of a load by replication.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for SIGINT, SIGTERM and SIGHUP beside the work, and ends the process as shells expect of it: with 128 and the
/// signal's number. A panic, which is a fault of ours, ends it with 101, and leaves as little behind.
pub(crate) fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        cli::complain(&format!("{panic}; this is a fault of rdbkit, please report it"));
        // Whatever the thread that panicked holds is not waited for.
        let tidy = thread::spawn(|| {
            discard_unfinished();
            give_back_all(PATIENCE, |_| ())
        });
        let begun = Instant::now();
        while !tidy.is_finished() && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        std::process::exit(101);
    }));
    // Without the watch a signal still ends the process; it only leaves its unfinished file.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        let what = if discard_unfinished() > 0 { "interrupted; nothing was written" } else { "interrupted" };
        if stderr().is_terminal() {
            // Over the progress bar.
            drop(write!(stderr(), "\r\x1b[K"));
        }
        cli::complain(&what);
        // Whoever does not want to wait for that says so once more.
        thread::spawn(move || signals.forever().next().map(|signal| std::process::exit(128 + signal)));
        let before = |server: &Endpoint| cli::complain(&format!("{}: making it a master again …", server.url()));
        for e in give_back_all(PATIENCE, before) {
            cli::complain(&e);
        }
        std::process::exit(128 + signal);
    });
}
