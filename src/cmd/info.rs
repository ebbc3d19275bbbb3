//! `rdbkit info`: what is in a dump, who wrote it, and who can load it.

use std::path::PathBuf;
use std::sync::PoisonError;

use clap::Args;
use rdbkit::analysis::{Loadable, Summarized, Summary, lowest_redis, lowest_valkey, summarize};
use rdbkit::pipeline::{FileSurvey, Form, Input, Opened, Output, SharedSurvey, Survey};
use rdbkit::rdb::{Checksum, End};
use rdbkit::{Result, text};
use serde_json::{Value, json};

use crate::cli::{self, Common, Outcome, ServerArgs};
use crate::progress::Progress;
use crate::table::Table;

/// Show what is in a dump: version, server, databases, types, modules, checksum
///
/// Reads the whole file, but looks inside no value. A damaged file is described as far as it can be read; exit status
/// 1 then, or when the checksum is wrong. Of append-only files also which there are, their sizes, commands,
/// transactions and annotated times.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit info dump.rdb
  rdbkit info --json dump.rdb | jq .databases
  rdbkit info appendonlydir
  ssh backup cat dump.rdb.gz | rdbkit info -")]
pub(crate) struct Info {
    /// The dump; '-' for standard input; or the URL of a live server
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Info {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let shared = SharedSurvey::default();
        let opened = self.open(common, &shared);
        let mut survey = std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner));
        let mut input = match opened {
            Ok(input) => input,
            // The dump in front is damaged: it is described as far as it can be read.
            Err(_)
                if self.file.is_file()
                    && survey.folder.is_none()
                    && survey.files.iter().any(FileSurvey::is_dump_alone) =>
            {
                survey = Survey::default();
                Opened::open(&self.file)?.into_dump()?
            }
            Err(_) if !survey.is_sound() => return self.damaged_aof(&survey),
            Err(e) => return Err(e),
        };
        let now = cli::now();
        let progress = Progress::of(&input, common.quiet, false);
        let found = summarize(&mut input, common.threads(), now);
        drop(progress);
        // A base without commands has only now been read.
        if let (Some(e), Some(base)) = (&found.damage, survey.files.first_mut()) {
            (base.dump, base.sound_to, base.damage) = (0, 0, Some(e.again()));
        }
        let survey = Some(survey).filter(|survey| !survey.files.is_empty());
        let report = if self.json {
            let mut report = as_json(&found, &input);
            report["appendOnly"] = json!(survey.as_ref().map(cli::aof::as_json));
            format!("{report}\n")
        } else {
            as_text(&found, &input, now) + &survey.as_ref().map_or(String::new(), cli::aof::tables)
        };
        Output::create(None, false)?.put(report.as_bytes())?;
        let wrong = matches!(found.end, Some(End { checksum: Checksum::Wrong { .. }, .. }));
        match found.damage {
            Some(e) if e.is_damage() => {
                cli::complain(&input.name_it(e));
                Ok(Outcome::No)
            }
            Some(e) => Err(input.name_it(e)),
            None if wrong => Ok(Outcome::No),
            None => Ok(Outcome::Yes),
        }
    }
}

impl Info {
    fn open(&self, common: Common, survey: &SharedSurvey) -> Result<Input> {
        match cli::url_in(&self.file) {
            Some(_) => cli::open_source(&self.file, &self.server, common.threads()),
            None => Opened::open(&self.file)?.into_input(Some(survey)),
        }
    }

    /// What can be said of append-only files that no server loads as they are.
    fn damaged_aof(&self, survey: &Survey) -> Result<Outcome> {
        let report = match self.json {
            true => format!("{}\n", json!({"appendOnly": cli::aof::as_json(survey)})),
            false => format!("{}\n{}", self.file.display(), cli::aof::tables(survey)),
        };
        Output::create(None, false)?.put(report.as_bytes())?;
        for (file, e) in survey.files.iter().filter_map(|file| Some((file, file.damage.as_ref()?))) {
            let what = format!("{e}; it is sound up to byte {}: 'rdbkit repair' cuts it there", file.sound_to);
            cli::complain(&what);
        }
        Ok(Outcome::No)
    }
}

fn as_text(found: &Summarized, input: &Input, now: i64) -> String {
    let mut out = format!("{}\n", input.name);
    for (name, value) in facts(found, input, now) {
        out.push_str(&format!("  {name:<13}{value}\n"));
    }
    databases(&found.summary, &mut out);
    types(&found.summary, &mut out);
    modules(&found.summary, &mut out);
    if !found.summary.functions.is_empty() {
        out.push_str("\nfunction libraries\n");
        for code in &found.summary.functions {
            out.push_str(&format!("  {} ({})\n", text::escaped(first_line(code)), text::bytes(code.len() as u64)));
        }
    }
    out
}

/// The lines at the top: name and value.
fn facts(found: &Summarized, input: &Input, now: i64) -> Vec<(&'static str, String)> {
    let Summarized { summary, origin, end, damage } = found;
    let as_dump = format!("{}, RDB version {}, dialect {}", header(found), origin.version, origin.dialect.name());
    let mut facts = match input.form {
        Form::Rdb => vec![("format", as_dump)],
        other => vec![("format", other.name().to_owned()), ("as a dump", as_dump)],
    };
    if !input.wrappers.is_empty() {
        facts.push(("wrapped in", input.wrappers.join(", ")));
    }
    facts.extend(writer_facts(found, now));
    if input.form == Form::Rdb {
        facts.push(("checksum", checksum(end.as_ref(), damage.is_some())));
    } else if let Some(size) = input.size {
        facts.push(("size", exact_bytes(size)));
    }
    if let Some(End { size, trailing, .. }) = end {
        facts.push((if input.form == Form::Rdb { "size" } else { "dump's size" }, exact_bytes(*size)));
        if let Some(trailing) = trailing {
            let what = trailing.kind.name();
            facts.push(("trailing", format!("{} behind the end: {what}", text::count(trailing.bytes, "byte"))));
        }
    }
    let total = summary.total();
    let [keys, expires, expired] = [total.keys, total.expires, total.expired].map(text::grouped);
    facts.push(("keys", format!("{keys} ({expires} with expiry, {expired} of them expired)")));
    facts.extend(summary_facts(summary));
    facts.push(("loads in", loads_in(found)));
    if let Some(e) = damage {
        facts.push(("DAMAGE", format!("{e}; what is said here goes up to there")));
    }
    facts
}

/// Who wrote the file, and when.
fn writer_facts(found: &Summarized, now: i64) -> Vec<(&'static str, String)> {
    let summary = &found.summary;
    let aux = |name| summary.aux(name).map(text::escaped);
    let mut facts = Vec::new();
    if let Some(server) = found.origin.server_name() {
        let bits = aux("redis-bits").map_or(String::new(), |bits| format!(", {bits} bits"));
        facts.push(("written by", text::escaped(server.as_bytes()) + &bits));
    }
    if let Some(ctime) = number(summary, "ctime") {
        let created = text::timestamp(ctime.saturating_mul(1000)).replace(".000Z", "Z");
        facts.push(("created", format!("{created} ({})", age(ctime, now))));
    }
    if let Some(used) = number(summary, "used-mem") {
        facts.push(("used memory", text::bytes(used.unsigned_abs())));
    }
    if let (Some(id), Some(offset)) = (aux("repl-id"), aux("repl-offset")) {
        let db = aux("repl-stream-db").map_or(String::new(), |db| format!(", stream db {db}"));
        facts.push(("replication", format!("id {id}, offset {offset}{db}")));
    }
    facts
}

/// `3days 4h ago`: the two largest units.
fn age(ctime: i64, now: i64) -> String {
    let age = (now / 1000).saturating_sub(ctime);
    let units = humantime::format_duration(std::time::Duration::from_secs(age.unsigned_abs())).to_string();
    let largest: Vec<&str> = units.split(' ').take(2).collect();
    format!("{} {}", largest.join(" "), if age >= 0 { "ago" } else { "from now" })
}

/// `1.5 MB (1,500,000 bytes)`.
fn exact_bytes(n: u64) -> String {
    if n < 1000 { text::bytes(n) } else { format!("{} ({} bytes)", text::bytes(n), text::grouped(n)) }
}

fn loads_in(found: &Summarized) -> String {
    let Summarized { summary, origin, .. } = found;
    let redis = since(&lowest_redis(origin, &summary.features));
    let valkey = since(&lowest_valkey(origin, &summary.features));
    let modules = if summary.modules.keys().any(|id| !id.is_vectorset()) { "; with its modules loaded" } else { "" };
    format!("Redis {redis}; Valkey {valkey}{modules}")
}

fn summary_facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let known: Vec<String> = [(summary.idle, "LRU idle times"), (summary.freq, "LFU counters")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{what} of {} keys", text::grouped(n)))
        .collect();
    facts.push(("eviction", if known.is_empty() { "no LRU or LFU data".to_owned() } else { known.join(", ") }));
    for (n, name, what) in [
        (summary.slots, "cluster", "slots with key counts"),
        (summary.slot_imports, "slot import", "unfinished slot imports"),
        (summary.templates, "templates", "hash templates"),
        (summary.with_meta, "key metadata", "keys with metadata of modules"),
    ] {
        if n > 0 {
            facts.push((name, format!("{} {what}", text::grouped(n))));
        }
    }
    let scripts = summary.aux.iter().filter(|(name, _)| name == b"lua").count();
    if scripts > 0 {
        facts.push(("scripts", format!("{scripts} cached Lua scripts")));
    }
    facts
}

fn header(found: &Summarized) -> String {
    let (name, version) = (found.origin.magic.name(), found.origin.version);
    let digits = 9 - name.len();
    format!("{name}{version:0digits$}")
}

fn since(lowest: &Loadable) -> String {
    match lowest {
        Loadable::Since(..) => format!("{lowest} or later"),
        Loadable::Never(_) => lowest.to_string(),
    }
}

fn number(summary: &Summary, name: &str) -> Option<i64> {
    std::str::from_utf8(summary.aux(name)?).ok()?.parse().ok()
}

fn checksum(end: Option<&End>, damaged: bool) -> String {
    match end.map(|end| end.checksum) {
        Some(Checksum::Ok(crc)) => format!("ok ({crc:016x})"),
        Some(Checksum::Off) => "off (the server was told not to compute it)".into(),
        Some(Checksum::Absent) => "none (versions before 5 have none)".into(),
        Some(Checksum::Wrong { stored, computed }) => {
            format!("WRONG: the file says {stored:016x}, its bytes give {computed:016x}; see rdbkit check")
        }
        None if damaged => "unknown: the file could not be read to its end".into(),
        None => "unknown".into(),
    }
}

fn databases(summary: &Summary, out: &mut String) {
    if summary.databases.is_empty() {
        return;
    }
    out.push_str("\ndatabases\n");
    let mut table = Table::new(&[">db", ">keys", ">with expiry", ">expired", ">bytes"]).indented(2);
    for (db, d) in &summary.databases {
        table.row(vec![
            db.to_string(),
            text::grouped(d.keys),
            text::grouped(d.expires),
            text::grouped(d.expired),
            text::grouped(d.bytes),
        ]);
    }
    table.flush(out);
}

fn types(summary: &Summary, out: &mut String) {
    if summary.types.is_empty() {
        return;
    }
    out.push_str("\ntypes\n");
    let all = summary.total().bytes.max(1);
    let mut table = Table::new(&["type", "encoding", ">keys", ">bytes", ">share"]).indented(2);
    for (key, tally) in &summary.types {
        table.row(vec![
            key.module.filter(|id| !id.is_vectorset()).map_or(key.kind.name().to_owned(), |id| id.name()),
            key.encoding.to_owned(),
            text::grouped(tally.keys),
            text::grouped(tally.bytes),
            format!("{:.1} %", tally.bytes as f64 * 100.0 / all as f64),
        ]);
    }
    table.flush(out);
}

fn modules(summary: &Summary, out: &mut String) {
    if summary.modules.is_empty() {
        return;
    }
    out.push_str("\nmodule types\n");
    let mut table = Table::new(&["name", ">encver", ">keys", ">aux records"]).indented(2);
    for (id, uses) in &summary.modules {
        table.row(vec![id.name(), id.version().to_string(), text::grouped(uses.values), text::grouped(uses.aux)]);
    }
    table.flush(out);
}

fn first_line(code: &[u8]) -> &[u8] {
    code.split(|b| *b == b'\n').next().unwrap_or_default()
}

fn as_json(found: &Summarized, input: &Input) -> Value {
    let Summarized { summary, origin, end, damage } = found;
    let total = summary.total();
    let strings = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| text::escaped(bytes));
    let aux: Vec<Value> = summary.aux.iter().map(|(n, v)| json!([strings(n), strings(v)])).collect();
    json!({
        "file": input.name,
        "form": input.form.name(),
        "wrappers": input.wrappers,
        "magic": origin.magic.name(),
        "version": origin.version,
        "dialect": origin.dialect.name(),
        "server": origin.server_name(),
        "serverVersion": origin.server,
        "createdAt": number(summary, "ctime").map(|s| s.saturating_mul(1000)),
        "usedMemory": number(summary, "used-mem"),
        "bits": number(summary, "redis-bits"),
        "size": end.as_ref().map(|end| end.size),
        "checksum": end.as_ref().map(|end| end.checksum.name()),
        "trailingBytes": end.as_ref().map(|end| end.trailing.map_or(0, |t| t.bytes)),
        "replication": summary.aux("repl-id").map(|id| json!({
            "id": strings(id),
            "offset": number(summary, "repl-offset"),
            "streamDb": number(summary, "repl-stream-db"),
        })),
        "keys": total.keys,
        "expires": total.expires,
        "expired": total.expired,
        "databases": summary.databases.iter().map(|(db, d)| json!({
            "db": db, "keys": d.keys, "expires": d.expires, "expired": d.expired, "bytes": d.bytes,
        })).collect::<Vec<_>>(),
        "types": summary.types.iter().map(|(key, tally)| json!({
            "type": key.kind.name(), "module": key.module.map(|id| id.name()), "encoding": key.encoding,
            "keys": tally.keys, "bytes": tally.bytes,
        })).collect::<Vec<_>>(),
        "modules": summary.modules.iter().map(|(id, uses)| json!({
            "name": id.name(), "encver": id.version(), "keys": uses.values, "aux": uses.aux,
        })).collect::<Vec<_>>(),
        "functions": summary.functions.iter().map(|code| strings(first_line(code))).collect::<Vec<_>>(),
        "lruKeys": summary.idle,
        "lfuKeys": summary.freq,
        "keysWithMetadata": summary.with_meta,
        "slots": summary.slots,
        "slotImports": summary.slot_imports,
        "templates": summary.templates,
        "lowestRedis": loadable(&lowest_redis(origin, &summary.features)),
        "lowestValkey": loadable(&lowest_valkey(origin, &summary.features)),
        "aux": aux,
        "damage": damage.as_ref().map(|e| json!({"offset": e.offset(), "reason": e.reason()})),
    })
}

fn loadable(lowest: &Loadable) -> Value {
    match lowest {
        Loadable::Since(..) => json!(lowest.to_string()),
        Loadable::Never(_) => Value::Null,
    }
}
