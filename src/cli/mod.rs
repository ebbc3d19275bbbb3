//! What the commands have in common: flags, answers, messages.

pub(crate) mod aof;
mod format;
mod ignore;
mod memory;
mod rewrite;
mod server;
mod source;
mod writing;

pub(crate) use format::FormatArgs;
pub(crate) use ignore::IgnoreArgs;
pub(crate) use memory::{KeyArgs, MemoryArgs};
pub(crate) use rewrite::RewriteArgs;
pub(crate) use server::{ServerArgs, parse_duration};
pub(crate) use source::{as_one, open_source, open_whole, say_if_refused, url_in};
pub(crate) use writing::{LossArgs, Losses, WriteArgs, rdb_output, summarize};

use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use rdbkit::model::{Filter, Glob, Kind, Ttl, TtlRule};
use rdbkit::pipeline::Input;
use rdbkit::rdb::{Trailing, TrailingKind};
use rdbkit::{Error, Result, text};

/// Flags that every command takes.
#[derive(Args, Clone, Copy)]
pub(crate) struct Common {
    /// Number of worker threads; all cores if not given. The output is the same for every number
    #[arg(long, global = true, value_name = "N", help_heading = "General")]
    threads: Option<NonZeroUsize>,
    /// Show no progress
    #[arg(long, short, global = true, help_heading = "General")]
    pub(crate) quiet: bool,
    /// Refuse compressed input that unpacks to more than so many times its size, beyond 256 MiB
    #[arg(long, global = true, value_name = "FACTOR", default_value = "500", help_heading = "General")]
    pub(crate) max_expansion: u64,
}

impl Common {
    /// As many as were asked for; else no more than these.
    pub(crate) fn threads_up_to(self, most: NonZeroUsize) -> NonZeroUsize {
        self.threads.unwrap_or_else(|| self.threads().min(most))
    }

    pub(crate) fn threads(self) -> NonZeroUsize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
}

/// What a command answers: exit status 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Done, or yes.
    Yes,
    /// The answer is no.
    No,
}

impl Outcome {
    /// No, if either is.
    pub(crate) fn and(self, other: Outcome) -> Outcome {
        if self == Outcome::No { self } else { other }
    }
}

/// Prints a message; if even that can't be done there is nobody to tell. What a server or a file put into it can move no
/// cursor: control characters are shown as escapes.
pub(crate) fn complain(message: &dyn std::fmt::Display) {
    let mut text = String::new();
    for c in message.to_string().chars() {
        match c {
            '\n' => text.push(c),
            _ if c.is_control() => text.extend(c.escape_unicode()),
            _ => text.push(c),
        }
    }
    drop(writeln!(std::io::stderr(), "rdbkit: {text}"));
}

/// Says so when an input went on with commands behind its RDB part, which are not in what was made of it.
pub(crate) fn warn_of_commands(input: &Input) {
    if let Some(Trailing { bytes, kind: TrailingKind::Commands }) = input.reader.end().and_then(|end| end.trailing) {
        let what = text::count(bytes, "byte");
        complain(&format!("{}: only its RDB part was read; {what} of commands follow it", input.name));
    }
}

/// Bytes as backups have them: a JSON string, or an object with their base64 where they are no text.
pub(crate) fn json_bytes(bytes: &[u8]) -> serde_json::Value {
    let mut line = Vec::new();
    rdbkit::json::write_string(bytes, &mut line);
    serde_json::from_slice(&line).unwrap_or_default()
}

/// Now, as Unix time in ms.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Which keys: the same flags in every command that takes keys one by one.
#[derive(Args, Default)]
#[command(next_help_heading = "Which keys (all conditions must hold)")]
pub(crate) struct FilterArgs {
    /// Only these databases
    #[arg(long, value_name = "N", value_delimiter = ',')]
    db: Vec<u64>,
    /// Only keys that match this glob pattern, as in KEYS: * ? [a-z] \x. May be given several times
    #[arg(long, value_name = "GLOB")]
    key: Vec<String>,
    /// Only keys in which this regular expression is found. May be given several times
    #[arg(long, value_name = "RE")]
    key_regex: Vec<String>,
    /// Only these types: string, list, set, zset, hash, stream, array, vectorset, module, or a module type's name
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Only keys whose expiry is so: any, none, expired, '<1h' (goes within an hour), '>7d' (stays longer than that)
    #[arg(long, value_name = "COND", value_parser = parse_ttl)]
    ttl: Vec<TtlFlag>,
    /// Only keys that take at least so many bytes in the file (also 10k, 5M, 1G)
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    min_size: Option<u64>,
    /// Only keys that take at most so many bytes in the file
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    max_size: Option<u64>,
    /// Only keys in these cluster slots
    #[arg(long, value_name = "A-B", value_delimiter = ',', value_parser = parse_slots)]
    slot: Vec<RangeInclusive<u16>>,
    /// The opposite: only keys for which the conditions do not all hold
    #[arg(long)]
    not: bool,
}

impl FilterArgs {
    /// Whether databases were named.
    pub(crate) fn names_db(&self) -> bool {
        !self.db.is_empty()
    }

    /// The databases that can be in what is chosen, as far as flags and the URL of a server name them; none for all.
    pub(crate) fn only_dbs(&self, of_url: Option<u64>) -> Vec<u64> {
        if self.not {
            of_url.into_iter().collect()
        } else {
            of_url.into_iter().chain(self.db.iter().copied()).collect()
        }
    }

    /// The one glob pattern that every key that is chosen matches, if there is one.
    pub(crate) fn only_glob(&self) -> Option<Vec<u8>> {
        match self.key.as_slice() {
            [glob] if !self.not => Some(glob.as_bytes().to_vec()),
            _ => None,
        }
    }

    /// The filter that the flags describe, for commands that change no expiries.
    pub(crate) fn filter(&self) -> Result<Filter> {
        match self.filter_and_rule()? {
            (filter, TtlRule::Keep) => Ok(filter),
            _ => Err(Error::usage("--ttl strip, rebase and shift change expiries, which this command does not")),
        }
    }

    /// The filter, and what is to become of expiries: `--ttl` takes conditions and rules.
    pub(crate) fn filter_and_rule(&self) -> Result<(Filter, TtlRule)> {
        let regex = |re: &String| {
            regex::bytes::Regex::new(re).map_err(|e| Error::usage(format!("--key-regex {re}: {}", one_line(&e))))
        };
        let (mut ttl, mut rule) = (None, TtlRule::Keep);
        for flag in &self.ttl {
            match flag {
                TtlFlag::Only(condition) if ttl.is_none() => ttl = Some(*condition),
                TtlFlag::Only(_) => return Err(Error::usage("--ttl: only one condition can be asked for")),
                TtlFlag::Change(change) => rule = *change,
            }
        }
        let filter = Filter {
            dbs: self.db.clone(),
            globs: self.key.iter().map(|glob| Glob::new(glob.as_bytes())).collect(),
            regexes: self.key_regex.iter().map(regex).collect::<Result<_>>()?,
            types: self.types.iter().map(|name| known_type(name)).collect::<Result<_>>()?,
            ttl,
            min_size: self.min_size,
            max_size: self.max_size,
            slots: self.slot.clone(),
            not: self.not,
            now: now(),
        };
        Ok((filter, rule))
    }
}

/// What `--ttl` can say.
#[derive(Clone, Copy)]
enum TtlFlag {
    /// Which keys are meant.
    Only(Ttl),
    /// What becomes of expiries.
    Change(TtlRule),
}

/// A type's name, if there can be such a type: those of modules have nine characters, whatever they are.
fn known_type(name: &str) -> Result<String> {
    let lower = name.to_ascii_lowercase();
    if Kind::ALL.iter().any(|kind| kind.name() == lower) {
        return Ok(lower);
    }
    if name.len() == 9 {
        return Ok(name.to_owned());
    }
    let known = Kind::ALL.map(Kind::name).join(", ");
    Err(Error::usage(format!(
        "--type {name}: no such type; there are {known}, and names of module types (9 characters)"
    )))
}

/// The last line of a regex error says what is wrong; those before it draw a picture.
fn one_line(e: &regex::Error) -> String {
    let text = e.to_string();
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

fn parse_ttl(text: &str) -> Result<TtlFlag, String> {
    let only = |ttl| Ok(TtlFlag::Only(ttl));
    match text {
        "any" => only(Ttl::Any),
        "none" => only(Ttl::None),
        "expired" => only(Ttl::Expired),
        _ => match (parse_ttl_rule(text)?, text.split_at_checked(1)) {
            (Some(rule), _) => Ok(TtlFlag::Change(rule)),
            (None, Some(("<", duration))) => only(Ttl::Below(parse_ms(duration)?)),
            (None, Some((">", duration))) => only(Ttl::Above(parse_ms(duration)?)),
            _ => Err("use any, none, expired, '<1h' or '>7d'; or, where expiries are changed, keep, strip, rebase, \
                      shift=+7d or shift=-1h"
                .into()),
        },
    }
}

/// What becomes of expiries; `None` if the text is no such rule.
pub(crate) fn parse_ttl_rule(text: &str) -> Result<Option<TtlRule>, String> {
    Ok(Some(match (text, text.strip_prefix("shift=")) {
        ("keep", _) => TtlRule::Keep,
        ("strip", _) => TtlRule::Strip,
        ("rebase", _) => TtlRule::Rebase,
        (_, Some(by)) => TtlRule::Shift(match by.strip_prefix('-') {
            Some(earlier) => -parse_ms(earlier)?,
            None => parse_ms(by.strip_prefix('+').unwrap_or(by))?,
        }),
        _ => return Ok(None),
    }))
}

/// A duration such as `90s` or `1h 30m`, in ms.
pub(crate) fn parse_ms(text: &str) -> Result<i64, String> {
    let parsed = humantime::parse_duration(text).map_err(|e| format!("{text:?}: {e}"))?;
    i64::try_from(parsed.as_millis()).map_err(|_| format!("{text:?} is too long"))
}

/// A number of bytes; k, M and G are powers of 1024 as in redis.conf's kb, mb and gb.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err("use a number of bytes, or 10k, 5M, 1G".into()),
    };
    let n: u64 = digits.parse().map_err(|_| "use a number of bytes, or 10k, 5M, 1G".to_owned())?;
    n.checked_mul(1 << shift).ok_or_else(|| "that is too large".into())
}

pub(crate) fn parse_slots(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last && last < rdbkit::model::SLOTS => Ok(first..=last),
        _ => Err("use a slot from 0 to 16383, or a range such as 0-5460".into()),
    }
}

/// Where results go.
#[derive(Args)]
pub(crate) struct OutputArgs {
    /// Write to this file instead of standard output; it appears under its name when it is complete
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replace OUT if it exists
    #[arg(long)]
    pub(crate) force: bool,
}
