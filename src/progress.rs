//! The progress bar: bytes read, keys a second, time left. On a terminal only, and not where results go to the same
//! terminal.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rdbkit::pipeline::{Input, Meter};
use rdbkit::text;

/// Work that takes no longer than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(100);

/// A bar that goes away when this is dropped.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Shows how far the reading of `input` has come. `to_stdout`: results stream to standard output meanwhile.
    pub(crate) fn of(input: &Input, quiet: bool, to_stdout: bool) -> Progress {
        Progress::show(&input.meter, input.size, quiet, to_stdout)
    }

    /// Shows how far the reading of so many bytes has come.
    pub(crate) fn show(meter: &Arc<Meter>, size: Option<u64>, quiet: bool, to_stdout: bool) -> Progress {
        if quiet || !stderr().is_terminal() || (to_stdout && stdout().is_terminal()) {
            return Progress(None);
        }
        let (meter, begun) = (meter.clone(), Instant::now());
        Progress::draw(move || bar(size), move |bar| show(bar, &meter, begun))
    }

    /// Shows how many of about so many keys have come.
    pub(crate) fn keys(meter: &Arc<Meter>, keys: Option<u64>, quiet: bool, to_stdout: bool) -> Progress {
        let Some(keys) = keys else { return Progress::show(meter, None, quiet, to_stdout) };
        if quiet || !stderr().is_terminal() || (to_stdout && stdout().is_terminal()) {
            return Progress(None);
        }
        let meter = meter.clone();
        let begin = move || styled(ProgressBar::new(keys), "{bar:30} {percent:>3} %  {msg}, {eta} left");
        Progress::draw(begin, move |bar| {
            let (keys, bytes) = (meter.records.load(Ordering::Relaxed), meter.bytes.load(Ordering::Relaxed));
            bar.set_message(format!("{} keys, {}", text::grouped(keys), text::bytes(bytes)));
            bar.set_position(keys);
        })
    }

    /// Shows nothing.
    pub(crate) fn none() -> Progress {
        Progress(None)
    }

    /// Shows that something is waited for.
    pub(crate) fn waiting(what: &'static str, quiet: bool) -> Progress {
        if quiet || !stderr().is_terminal() {
            return Progress(None);
        }
        let begin = move || {
            let bar = styled(ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}");
            bar.set_message(what);
            bar
        };
        Progress::draw(begin, |bar| bar.tick())
    }

    /// Draws again and again, when it has taken long enough.
    fn draw(
        begin: impl FnOnce() -> ProgressBar + Send + 'static,
        show: impl Fn(&ProgressBar) + Send + 'static,
    ) -> Progress {
        let (stop, stopped) = channel();
        let body = move || {
            if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = begin();
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                show(&bar);
            }
            bar.finish_and_clear();
        };
        // Without a thread there is no picture, and the work goes on.
        Progress(std::thread::Builder::new().spawn(body).ok().map(|thread| (stop, thread)))
    }
}

fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:30} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {msg}, \
             {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {decimal_bytes}, {decimal_bytes_per_sec}, {msg}"),
    };
    styled(bar, template)
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    // The template is a constant, and a bad one would show at the first use; a plain bar does no harm.
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, meter: &Meter, begun: Instant) {
    let keys = meter.records.load(Ordering::Relaxed);
    let rate = keys as f64 / begun.elapsed().as_secs_f64().max(0.001);
    let refused = match meter.refused.load(Ordering::Relaxed) {
        0 => String::new(),
        n => format!(", {} refused", text::grouped(n)),
    };
    bar.set_message(format!("{} keys, {} keys/s{refused}", text::grouped(keys), text::grouped(rate as u64)));
    bar.set_position(meter.bytes.load(Ordering::Relaxed));
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // The bar is only a picture: if its thread fails, the work goes on.
            drop(thread.join());
        }
    }
}
