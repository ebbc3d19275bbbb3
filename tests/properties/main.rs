//! Damage of every kind, thousands of times, from fixed seeds: nothing panics, nothing hangs, nothing takes memory beyond
//! the input and 64 MB, and whatever else `promises` says is kept.
//!
//! A program of its own, so that its memory can be told apart from that of other tests. `RDBKIT_VARIANTS=100000 cargo
//! test --release --test properties` tries so many variants instead of a few thousand; `RDBKIT_VARIANT=7` only that one.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]
#![allow(unreachable_pub, reason = "fuzz/ uses the same files")]

mod blows;
mod promises;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

use blows::{Dice, Seed, damaged};
use promises::PROMISES;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Variants in the suite.
const VARIANTS: u64 = 3000;

/// Memory that a variant may take beside its input.
const ROOM: usize = 64 << 20;

/// A variant that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// Dumps of this size and more would only make it slow: what they have more of is keys.
const LARGE: usize = 60_000;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder with one of these endings, in a fixed order.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            found.push(path);
        }
    }
}

fn exported(path: &Path, format: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdbkit"));
    let ran = command.args(["export", "-q", "--threads", "1", "--format"]).args(format).arg(path).output().unwrap();
    assert!(ran.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// Seeds, and the promises that concern each.
fn seeds() -> Vec<(Seed, Vec<&'static str>)> {
    let (mut seeds, mut dumps) = (Vec::new(), Vec::new());
    files(&root().join("testdata"), &[".rdb"], &mut dumps);
    assert!(dumps.len() > 180, "there are only {} dumps", dumps.len());
    for path in dumps {
        let bytes = std::fs::read(&path).unwrap();
        if bytes.len() < LARGE {
            seeds.push((Seed::of_dump(bytes), vec!["dump", "anew", "repair"]));
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_new =
            ["redis-7.2.6", "redis-8.10.2", "valkey-9.1.2"].iter().any(|server| path.iter().any(|p| p == *server));
        if is_new && ["small", "array", "hfe", "vset", "stream_xnack", "multidb"].contains(&name.as_str()) {
            for (format, promise) in [
                (&["json"][..], "json"),
                (&["ndjson"], "json"),
                (&["csv", "--elements"], "csv"),
                (&["resp"], "commands"),
            ] {
                let text = exported(&path, format);
                seeds.extend((text.len() < LARGE).then(|| (Seed::of_text(text), vec![promise])));
            }
        }
    }
    let manifest =
        b"file a.1.base.rdb seq 1 type b\nfile \"b c\" seq 2 type h\nfile a.1.incr.aof seq 1 type i startoffset 7\n";
    seeds.push((Seed::of_text(manifest.to_vec()), vec!["manifest", "commands"]));
    seeds.push((Seed::of_text(b"set a 1\nhset \"b\\x00\" 'c' d\n#remark\n".to_vec()), vec!["commands"]));
    seeds
}

fn keep(promises: &[&str], bytes: &[u8]) {
    for (_, promise) in PROMISES.iter().filter(|(name, _)| promises.contains(name)) {
        promise(bytes);
    }
}

/// What was wrong with a variant, if anything.
fn try_out(promises: &[&str], bytes: &[u8]) -> Option<String> {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Threads that a variant starts may panic too.
            PANICKED.store(true, Ordering::Relaxed);
            usual(info);
        }));
    });
    // One at a time, so that memory is that of this one.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for &promise in promises {
        PANICKED.store(false, Ordering::Relaxed);
        MEMORY.reset_peak_usage();
        let (before, begun) = (MEMORY.current_usage(), Instant::now());
        drop(std::panic::catch_unwind(|| keep(&[promise], bytes)));
        let (took, taken) = (begun.elapsed(), MEMORY.peak_usage().saturating_sub(before));
        if PANICKED.load(Ordering::Relaxed) {
            return Some(format!("{promise}: it panicked"));
        }
        if taken > ROOM + bytes.len() {
            return Some(format!("{promise}: {taken} bytes of memory"));
        }
        // Other processes may have been in the way, of all of them hardly.
        let is_slow = || {
            let begun = Instant::now();
            keep(&[promise], bytes);
            begun.elapsed() > PATIENCE
        };
        if took > PATIENCE && (0..5).all(|_| is_slow()) {
            return Some(format!("{promise}: {took:?}"));
        }
    }
    None
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|n| n.parse().unwrap())
}

#[test]
fn damaged_variants_do_no_harm() {
    let seeds = seeds();
    let all = match number("RDBKIT_VARIANT") {
        Some(only) => only..only + 1,
        None => 0..number("RDBKIT_VARIANTS").unwrap_or(VARIANTS),
    };
    let begun = Instant::now();
    let (mut wrong, count) = (Vec::new(), all.end - all.start);
    for n in all {
        let dice = &mut Dice(n);
        let (seed, promises) = &seeds[dice.below(seeds.len())];
        let bytes = damaged(seed, &seeds[dice.below(seeds.len())].0, dice);
        if let Some(what) = try_out(promises, &bytes) {
            let kept = std::env::temp_dir().join(format!("rdbkit-variant-{n}"));
            std::fs::write(&kept, &bytes).unwrap();
            wrong.push(format!("variant {n}: {what}; it is in {}", kept.display()));
        }
    }
    println!("{count} variants in {:?}", begun.elapsed());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn sound_inputs_keep_every_promise() {
    for (seed, promises) in seeds() {
        assert_eq!(try_out(&promises, &seed.bytes), None, "{}", seed.bytes[..40.min(seed.bytes.len())].escape_ascii());
    }
}

/// Inputs that once broke a promise: `PROMISE-….bin` in `testdata/found`.
#[test]
fn what_was_found_before_stays_harmless() {
    let mut found = Vec::new();
    files(&root().join("testdata/found"), &[".bin"], &mut found);
    assert!(!found.is_empty());
    for path in found {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let promise = name.split('-').next().unwrap().to_owned();
        assert!(PROMISES.iter().any(|(name, _)| *name == promise), "{name}: there is no such promise");
        assert_eq!(try_out(&[&promise], &std::fs::read(&path).unwrap()), None, "{name}");
    }
}
