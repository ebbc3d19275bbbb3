//! Being told to stop: a short message, nothing half-written stays behind, and no server a replica of nobody.

use std::io::{IsTerminal, Write, stderr};
use std::panic::PanicHookInfo;
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
    std::panic::set_hook(Box::new(end_by_fault));
    // Without the watch a signal still ends the process; it only leaves its unfinished file.
    let Ok(signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    drop(thread::Builder::new().spawn(move || end_by_signal(signals)));
}

/// The release build does not unwind: whatever is to be tidied up after a panic is tidied up here.
fn end_by_fault(panic: &PanicHookInfo<'_>) {
    let what = panic.to_string().replace('\n', " ");
    cli::complain(&format!("{what}; this is a fault of rdbkit, please report it"));
    // Whatever the thread that panicked holds is not waited for.
    let tidy = || {
        discard_unfinished();
        give_back_all(PATIENCE, |_| ())
    };
    match thread::Builder::new().spawn(tidy) {
        Ok(tidy) => {
            let begun = Instant::now();
            while !tidy.is_finished() && begun.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(5));
            }
        }
        // No thread can be started, which may be what the panic was about.
        Err(_) => drop(tidy()),
    }
    std::process::exit(101);
}

fn end_by_signal(mut signals: Signals) {
    let Some(signal) = signals.forever().next() else { return };
    let what = if discard_unfinished() > 0 { "interrupted; nothing was written" } else { "interrupted" };
    if stderr().is_terminal() {
        // Over the progress bar.
        drop(write!(stderr(), "\r\x1b[K"));
    }
    cli::complain(&what);
    // Whoever does not want to wait for that says so once more.
    let again = move || signals.forever().next().map(|signal| std::process::exit(128 + signal));
    drop(thread::Builder::new().spawn(again));
    let before = |server: &Endpoint| cli::complain(&format!("{}: making it a master again …", server.url()));
    for e in give_back_all(PATIENCE, before) {
        cli::complain(&e);
    }
    std::process::exit(128 + signal);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rdbkit::pipeline::Output;

    use super::*;

    /// Where the process that panics is to write; set by the test below only.
    const PLACE: &str = "PLACE_OF_THE_PANIC";

    /// Panics with an unfinished output, as a fault in the middle of the work would: in a process of its own.
    #[test]
    #[ignore = "the test below runs it"]
    fn panics() {
        let Some(place) = std::env::var_os(PLACE) else { return };
        watch();
        let mut output = Output::create(Some(place.as_ref()), false).unwrap();
        output.put(&vec![7; 3 << 20]).unwrap();
        let worker = thread::spawn(|| {
            let found = std::fs::read_dir(std::path::Path::new(&std::env::var_os(PLACE).unwrap()).parent().unwrap());
            panic!("{} unfinished\nin two lines", found.unwrap().count());
        });
        // The hook ends the process before anybody hears of it.
        drop(worker.join());
        output.finish().unwrap();
    }

    #[test]
    fn a_panic_leaves_nothing_behind_and_says_so_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let args = ["--ignored", "--exact", "interrupt::tests::panics", "--nocapture", "-q"];
        let mut command = Command::new(std::env::current_exe().unwrap());
        let ran = command.args(args).env(PLACE, folder.path().join("out.rdb")).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(101), "{said}");
        let line = said.strip_suffix('\n').filter(|line| !line.contains('\n')).unwrap_or_else(|| panic!("{said}"));
        assert!(line.starts_with("rdbkit: ") && line.contains("panicked at src/interrupt.rs"), "{line}");
        assert!(line.ends_with("1 unfinished in two lines; this is a fault of rdbkit, please report it"), "{line}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
