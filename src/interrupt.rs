//! Being told to stop: a short message, and nothing half-written stays behind.

use std::io::{IsTerminal, Write, stderr};
use std::thread;

use rdbkit::pipeline::discard_unfinished;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli;

/// Waits for SIGINT, SIGTERM and SIGHUP beside the work, and ends the process as shells expect of it: with 128 and the
/// signal's number.
pub(crate) fn watch() {
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
        std::process::exit(128 + signal);
    });
}
