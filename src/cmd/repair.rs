//! `rdbkit repair`: a sound dump of all that is left of a damaged one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rdbkit::check::aof;
use rdbkit::pipeline::{Output, Survey};
use rdbkit::repair::{Duplicates, Fate, Left, Quarantine, Repair, Repairs, Report, Seal};
use rdbkit::{Error, Result, text};
use serde_json::{Value, json};

use crate::cli::{Common, Outcome, parse_size};
use crate::progress::Progress;

/// Write a sound dump of all that is left of a damaged one
///
/// The input is only read. First its checksum is asked: where only a few bytes in a row are not as they were saved, it
/// tells which they are and what they were; they are put back, and nothing is lost. Else every record that is sound, as
/// 'check --deep' sees it, is kept. A damaged value is left out; behind bytes that make no sense, the next place is
/// looked for from which several credible records follow. The output has its end, true size hints and a right checksum.
///
/// An append-only file, or an appendonlydir, is copied up to the last command that is whole and not within an unfinished
/// transaction, into a new file or directory; increments behind the damage are left out.
///
/// What is left out is listed on standard output, each with its bytes and the reason, and stays in --quarantine byte for
/// byte. Exit status: 0 nothing was lost, 1 something was, 2 trouble.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit repair dump.rdb -o repaired.rdb
  rdbkit repair dump.rdb -o repaired.rdb --quarantine lost.ndjson
  rdbkit repair dump.rdb -o repaired.rdb --duplicates rename --salvage-elements
  rdbkit repair --json dump.rdb -o repaired.rdb | jq '.lost[].key'
  rdbkit repair appendonlydir -o repaired-aof
  rdbkit check --deep repaired.rdb")]
pub(crate) struct RepairCommand {
    /// The dump; '-' for standard input, whose checksum can't be asked
    file: PathBuf,
    /// Write the sound dump to this file; it appears under its name when it is complete
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Replace OUT and the quarantine if they exist
    #[arg(long)]
    force: bool,
    /// Which of several keys with one name is kept; 'rename' keeps all, the later ones as NAME:duplicate-2 and so on
    #[arg(long, value_enum, default_value = "first")]
    duplicates: DuplicatesName,
    /// Keep keys whose collection is empty; servers from 6.2 on skip them
    #[arg(long)]
    keep_empty: bool,
    /// Keep what can still be read of a damaged list, set, sorted set, hash or stream
    #[arg(long)]
    salvage_elements: bool,
    /// Do not put back what the checksum says was there
    #[arg(long)]
    no_checksum: bool,
    /// Believe no record that claims to be larger than this
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = parse_size)]
    max_record: u64,
    /// Keep everything that is left out in this file, a line of JSON each with offset, bytes, reason and base64
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum DuplicatesName {
    First,
    Last,
    Rename,
}

impl RepairCommand {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let mut out = Output::create(None, false)?;
        if let Some(survey) = aof::survey(&self.file)? {
            return self.append_only(&survey, &mut out);
        }
        let repair = Repair::open(&self.file, self.repairs())?;
        let mut output = Output::create(Some(&self.output), self.force)?;
        let mut quarantine = match &self.quarantine {
            Some(path) => Some(Quarantine::create(path, self.force)?),
            None => None,
        };
        let name = repair.name().to_owned();
        let (meter, size) = repair.meter();
        let progress = Progress::show(meter, size, common.quiet, false);
        let mut listed = Vec::new();
        let mut tell = |left: &Left| {
            if let Some(quarantine) = &mut quarantine {
                quarantine.add(left)?;
            }
            if self.json {
                listed.push(left_json(left));
                Ok(())
            } else {
                out.put(left_text(left).as_bytes())
            }
        };
        let repaired = repair.run(common.threads(), &mut output, &mut tell);
        drop(progress);
        let report = repaired.map_err(|e| e.in_input(&name).noting("nothing was written".into()))?;
        quarantine.map_or(Ok(()), Quarantine::finish)?;
        output.finish()?;
        let place = self.output.display().to_string();
        let told = if self.json { report_json(&report, listed) } else { report_text(&report, &name, &place) };
        out.put(told.as_bytes())?;
        Ok(if report.is_loss() { Outcome::No } else { Outcome::Yes })
    }

    /// Append-only files: copies that end where they stop being sound.
    fn append_only(&self, survey: &Survey, out: &mut Output) -> Result<Outcome> {
        let repaired = aof::repair(survey, &self.output, self.force)?;
        if self.json {
            let lost = repaired.lost.iter().map(|(path, from, bytes, why)| {
                json!({"file": path.display().to_string(), "offset": from, "bytes": bytes, "reason": why})
            });
            let report = json!({
                "complete": repaired.lost.is_empty(),
                "kept": {"size": repaired.kept},
                "lost": lost.collect::<Vec<_>>(),
            });
            out.put(format!("{report}\n").as_bytes())?;
        } else {
            for (path, from, bytes, why) in &repaired.lost {
                let bytes = text::count(*bytes, "byte");
                out.put(format!("{}: lost from offset {from} on, {bytes}: {why}\n", path.display()).as_bytes())?;
            }
            let (place, kept) = (self.output.display(), text::bytes(repaired.kept));
            out.put(format!("{place}: {kept} of append-only files\n").as_bytes())?;
        }
        Ok(if repaired.lost.is_empty() { Outcome::Yes } else { Outcome::No })
    }

    fn repairs(&self) -> Repairs {
        Repairs {
            duplicates: match self.duplicates {
                DuplicatesName::First => Duplicates::First,
                DuplicatesName::Last => Duplicates::Last,
                DuplicatesName::Rename => Duplicates::Rename,
            },
            keep_empty: self.keep_empty,
            salvage_elements: self.salvage_elements,
            use_checksum: !self.no_checksum,
            max_record: usize::try_from(self.max_record).unwrap_or(usize::MAX),
        }
    }
}

/// How sure it is that a record begins behind a gap, in a word.
fn sureness(bits: u32) -> &'static str {
    match bits {
        ..64 => "likely",
        _ => "certain",
    }
}

fn left_text(left: &Left) -> String {
    let Left { start, end, key, why, fate, bits, .. } = left;
    let key = match key {
        Some((db, key)) => format!(", db {db}, key {}", text::quoted_short(key)),
        None => String::new(),
    };
    let next = match bits {
        Some(bits) => format!("; the next record is {}", sureness(*bits)),
        None => String::new(),
    };
    let bytes = text::count(end - start, "byte");
    format!("{}: offset {start}, {bytes}{key}: {why}{next}\n", fate.name())
}

fn left_json(left: &Left) -> Value {
    json!({
        "offset": left.start,
        "bytes": left.end - left.start,
        "fate": left.fate.name(),
        "db": left.key.as_ref().map(|(db, _)| db),
        "key": left.key.as_ref().map(|(_, key)| text::escaped(key)),
        "reason": left.why,
        "nextRecord": left.bits.map(sureness),
    })
}

fn seal_name(seal: Seal) -> &'static str {
    match seal {
        Seal::Unknown => "unknown",
        Seal::Right => "ok",
        Seal::Off => "off",
        Seal::Wrong => "wrong",
    }
}

fn report_json(report: &Report, listed: Vec<Value>) -> String {
    let with = |fate: Fate| -> Vec<&Value> { listed.iter().filter(|left| left["fate"] == fate.name()).collect() };
    let expected = |(db, said, kept): &(u64, u64, u64)| json!({"db": db, "said": said, "kept": kept});
    let restored = report.restored.map(|burst| json!({"offset": burst.offset, "xor": xor_text(burst.pattern)}));
    let report = json!({
        "complete": !report.is_loss(),
        "kept": {"keys": report.keys, "functions": report.libraries, "size": report.size},
        "gaps": report.gaps,
        "lostBytes": report.lost_bytes,
        "missing": report.missing(),
        "databases": report.expected.iter().map(expected).collect::<Vec<_>>(),
        "checksum": seal_name(report.seal),
        "restored": restored,
        "header": report.header,
        "closed": report.closed,
        "commandsFollow": report.commands,
        "unreadable": report.unreadable.as_ref().map(Error::to_string),
        "lost": with(Fate::Lost),
        "dropped": with(Fate::Dropped),
        "changed": with(Fate::Changed),
    });
    format!("{report}\n")
}

/// The bytes of a pattern, the first one first, without those behind it that are zero.
fn xor_text(pattern: u64) -> String {
    let bytes = pattern.to_le_bytes();
    let len = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    bytes[..len].iter().map(|b| format!("{b:02x}")).collect()
}

fn report_text(report: &Report, name: &str, place: &str) -> String {
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(format!("{name}: {text}\n"));
    if let Some(header) = &report.header {
        line(header.clone());
    }
    if let Some(burst) = report.restored {
        let xor = xor_text(burst.pattern);
        let bytes = text::count(xor.len() as u64 / 2, "byte");
        line(format!("{bytes} at offset {} put back, as the checksum says (XOR {xor})", burst.offset));
    }
    if let Some(e) = &report.unreadable {
        line(format!("it could not be read further: {e}"));
    }
    if !report.closed {
        line("it has no end: it was cut, or its end is damaged".into());
    }
    if report.commands {
        line("only its RDB part is repaired; commands of an append-only file follow it".into());
    }
    let lost = [
        (report.lost, text::count(report.lost, "key")),
        (report.gaps, text::count(report.gaps, "gap") + " in which there are no records"),
    ];
    let lost: Vec<String> = lost.into_iter().filter(|(n, _)| *n > 0).map(|(_, what)| what).collect();
    if !lost.is_empty() {
        line(format!("lost: {}; {} in all", lost.join(", "), text::bytes(report.lost_bytes)));
    }
    if report.missing() > 0 {
        line(format!("its size hints speak of {} more than are kept", text::count(report.missing(), "key")));
    }
    let is_whole = !report.is_loss();
    if is_whole && report.seal == Seal::Wrong {
        line("its checksum is wrong, and every record makes sense: a key or value may not be what was saved".into());
    }
    let (keys, size) = (text::count(report.keys, "key"), text::bytes(report.size));
    let verdict = match (is_whole, report.dropped + report.changed) {
        (true, 0) => ", nothing lost",
        (true, _) => ", nothing lost but what is listed above",
        _ => "",
    };
    lines.push(format!("{place}: {keys} kept, {size}{verdict}\n"));
    lines.concat()
}
