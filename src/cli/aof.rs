//! How commands show append-only files: tables and JSON of what is in each.

use rdbkit::pipeline::{FileSurvey, Survey, name_of};
use rdbkit::text;
use serde_json::{Value, json};

use crate::table::Table;

/// The tables that `info` shows of append-only files.
pub(crate) fn tables(survey: &Survey) -> String {
    let mut out = String::from("\nappend-only files\n");
    let columns = ["file", "role", ">bytes", ">dump", ">commands", ">transactions", "annotated times"];
    let mut table = Table::new(&columns).indented(2);
    for file in &survey.files {
        table.row(vec![
            short_name(file),
            file.role_name().to_owned(),
            file.size.map_or(String::new(), text::grouped),
            text::grouped(file.dump),
            text::grouped(file.commands),
            text::grouped(file.transactions),
            file.times.map_or(String::new(), |(first, last)| format!("{} to {}", time(first), time(last))),
        ]);
    }
    table.flush(&mut out);
    let mut names = Vec::new();
    for (name, count) in survey.files.iter().flat_map(|file| &file.names) {
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += count,
            None => names.push((name, *count)),
        }
    }
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if !names.is_empty() {
        out.push_str("\ncommands in them\n");
        let mut table = Table::new(&["name", ">times"]).indented(2);
        names.iter().for_each(|(name, count)| table.row(vec![(*name).clone(), text::grouped(*count)]));
        table.flush(&mut out);
    }
    out
}

fn short_name(file: &FileSurvey) -> String {
    match file.path.file_name() {
        Some(name) if name != "-" => text::escaped(name.as_encoded_bytes()),
        _ => name_of(&file.path),
    }
}

fn time(seconds: i64) -> String {
    text::timestamp(seconds.saturating_mul(1000)).replace(".000Z", "Z")
}

/// A line of what came of looking through a file.
pub(crate) fn verdict(file: &FileSurvey) -> String {
    let path = name_of(&file.path);
    let commands = text::count(file.commands, "command");
    match &file.damage {
        None => format!("{path}: sound, {commands}, {}\n", text::bytes(file.sound_to)),
        Some(_) => {
            let of_all = file.size.map_or(String::new(), |all| format!(" of {}", text::grouped(all)));
            let sound = text::grouped(file.sound_to);
            format!("{path}: {commands}, sound up to byte {sound}{of_all}; 'rdbkit repair' cuts it there\n")
        }
    }
}

/// All of it as JSON.
pub(crate) fn as_json(survey: &Survey) -> Value {
    let files = survey.files.iter().map(|file| {
        json!({
            "file": name_of(&file.path),
            "role": file.role_name(),
            "size": file.size,
            "dump": file.dump,
            "commands": file.commands,
            "transactions": file.transactions,
            "names": file.names,
            "firstTime": file.times.map(|(first, _)| first.saturating_mul(1000)),
            "lastTime": file.times.map(|(_, last)| last.saturating_mul(1000)),
            "soundTo": file.sound_to,
            "damage": file.damage.as_ref().map(|e| json!({"offset": e.offset(), "reason": e.reason()})),
            "oddities": file.oddities.iter().map(|e| json!({"offset": e.offset(), "reason": e.reason()})).collect::<Vec<_>>(),
        })
    });
    json!({
        "manifest": survey.folder.as_ref().map(|folder| &folder.manifest_name),
        "sound": survey.is_sound(),
        "files": files.collect::<Vec<_>>(),
    })
}
