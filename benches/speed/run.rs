//! One run of a command: how long it took, as the system accounts for it.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::works::Work;

/// What a run took.
pub(crate) struct Ran {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of processors.
    pub(crate) cpu: f64,
    /// The most memory it had, in MiB.
    pub(crate) peak: f64,
}

/// Runs a command to its end; its output goes nowhere.
pub(crate) fn time(work: &Work) -> io::Result<Ran> {
    // The shell's own `times` would not tell the peak; GNU time tells all three.
    let started = Instant::now();
    let output = Command::new("time")
        .args(["-f", "%U %S %M"])
        .arg(&work.program)
        .args(&work.args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    let wall = started.elapsed().as_secs_f64();
    let told = String::from_utf8_lossy(&output.stderr);
    let figures: Vec<f64> =
        told.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    match (output.status.success(), figures.as_slice()) {
        (true, [user, system, peak]) => Ok(Ran { wall, cpu: user + system, peak: peak / 1024.0 }),
        _ => {
            let signal = output.status.signal().map_or(String::new(), |n| format!(" (signal {n})"));
            Err(io::Error::other(format!("{} failed{signal}: {told}", work.name)))
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
