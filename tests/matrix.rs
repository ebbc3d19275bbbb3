//! Dumps of new servers for old ones and for others: every one loads, and what the target can hold is the same.
//!
//! `cargo test matrix -- --nocapture` prints the table of the README.

use std::collections::BTreeMap;
use std::path::Path;

use crate::corpus::{Case, cases};
use crate::harness::{folder, read, run};
use crate::json::{Json, must_parse};
use crate::live::{Reply, Server, installed};
use crate::truth::exported;

/// Who wrote the dumps, and who loads them as they are.
const SOURCES: [(&str, &str); 5] = [
    ("redis-8.10.2", "redis-8.10.2"),
    ("redis-8.6.3", "redis-8.6.3"),
    ("redis-8.0.6", "redis-8.6.3"),
    ("redis-7.0.15", "redis-7.0.15"),
    ("valkey-9.1.2", "valkey-9.1.2"),
];

/// Whom they are written for, and who loads what was written.
const TARGETS: [(&str, &str); 9] = [
    ("redis-5.0", "redis-5.0.10"),
    ("redis-6.0", "redis-6.0.16"),
    ("redis-6.2", "redis-6.2.14"),
    ("redis-7.0", "redis-7.0.15"),
    ("redis-8.0", "redis-8.0.2"),
    ("redis-8.6", "redis-8.6.3"),
    ("valkey-8.0", "valkey-8.0.1"),
    ("valkey-8.1", "valkey-8.1.1"),
    ("valkey-9.1", "valkey-9.1.2"),
];

/// Cases that a server without the module, or out of a cluster, does not load as they are: only that what was written
/// loads can be seen. Keys that have expired are gone after a start.
const NOT_LOADED: [&str; 4] = ["modules", "falkordb", "slot_import", "expired"];

type Place = (u64, Vec<u8>);

/// What every version says of a key: its type, what is in it, and how long it has left.
struct Fact {
    kind: Vec<u8>,
    content: String,
    left: i64,
}

/// What is in a key: its digest, where all versions compute the same one.
fn content(server: &mut Server, kind: &[u8], key: &[u8]) -> String {
    match kind {
        // Redis 8.10.2 never comes back from the digest of an array with gaps.
        b"array" => String::new(),
        // Digests of scores are those of their text, which has become shorter.
        b"zset" => {
            let reply = server.ask("ZRANGE", &[key, b"0", b"-1", b"WITHSCORES"]);
            let score = |text: &[u8]| std::str::from_utf8(text).unwrap().parse::<f64>().unwrap();
            let pair = |pair: &[Reply]| format!("{:?} {:?}", pair[0], score(pair[1].text()));
            reply.items().chunks(2).map(pair).collect::<Vec<_>>().join(", ")
        }
        // Expiries of fields are part of Redis' digests and not of Valkey's.
        b"hash" => {
            let reply = server.ask("HGETALL", &[key]);
            let mut fields: Vec<_> = reply.items().chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            fields.sort_unstable();
            let count = fields.len().to_string();
            let mut args = vec![key, b"FIELDS", count.as_bytes()];
            args.extend(fields.iter().map(|(name, _)| name.text()));
            let expiries = match server.try_ask("HPEXPIRETIME", &args) {
                Reply::Array(expiries) => expiries,
                _ => vec![Reply::Int(-1); fields.len()],
            };
            fields.iter().zip(expiries).map(|(field, at)| format!("{field:?} {at:?}")).collect::<Vec<_>>().join(", ")
        }
        _ => format!("{:?}", server.ask("DEBUG DIGEST-VALUE", &[key])),
    }
}

fn facts(server: &mut Server) -> BTreeMap<Place, Fact> {
    let mut facts = BTreeMap::new();
    for db in 0..16 {
        server.ask("SELECT", &[db.to_string().as_bytes()]);
        for key in server.ask("KEYS *", &[]).items() {
            let key = key.text();
            let kind = server.ask("TYPE", &[key]).text().to_vec();
            let content = content(server, &kind, key);
            let left = server.ask("PTTL", &[key]).int();
            facts.insert((db, key.to_vec()), Fact { kind, content, left });
        }
    }
    facts
}

/// What was told of the target: keys that were left out (`false`) or written in part (`true`).
fn losses(list: &Path) -> BTreeMap<Place, bool> {
    let mut losses = BTreeMap::new();
    for line in read(list).split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let loss = must_parse(line);
        let (Some(Json::Number(db)), Some(key)) = (loss.get("db"), loss.get("key")) else { continue };
        let key = exported(key);
        losses.insert((db.parse().unwrap(), key), loss.get("kept") == Some(&Json::Bool(true)));
    }
    losses
}

#[derive(Default)]
struct Cell {
    same: usize,
    less: usize,
    left: usize,
}

fn compare(
    before: &BTreeMap<Place, Fact>,
    after: &BTreeMap<Place, Fact>,
    lost: &BTreeMap<Place, bool>,
    cell: &mut Cell,
) -> Vec<String> {
    /// Two looks are no further apart.
    const WHILE: i64 = 120_000;
    let mut wrong = Vec::new();
    for (place, old) in before {
        let mut complain = |why: String| wrong.push(format!("db {}, key {:?}: {why}", place.0, String::from_utf8_lossy(&place.1)));
        match (after.get(place), lost.get(place)) {
            (None, Some(false)) => cell.left += 1,
            (Some(_), Some(false)) => complain("is said to be left out, and is there".into()),
            (None, _) => complain("is not there".into()),
            (Some(new), kept) => {
                let is_array = old.kind == b"array";
                *if kept.is_some() { &mut cell.less } else { &mut cell.same } += 1;
                if !is_array && old.kind != new.kind {
                    complain(format!("{:?} became {:?}", String::from_utf8_lossy(&old.kind), String::from_utf8_lossy(&new.kind)));
                }
                if !is_array && kept.is_none() && old.content != new.content {
                    complain(format!("{:.200} became {:.200}", old.content, new.content));
                }
                if (old.left - new.left).abs() > WHILE || (old.left < 0) != (new.left < 0) {
                    complain(format!("{} ms to live became {}", old.left, new.left));
                }
            }
        }
    }
    wrong.extend(after.keys().filter(|place| !before.contains_key(place)).map(|(db, key)| {
        format!("db {db}, key {:?}: came from nowhere", String::from_utf8_lossy(key))
    }));
    wrong
}

/// Writes a case for a target, starts it with that, and compares.
fn convert(case: &Case, before: Option<&BTreeMap<Place, Fact>>, target: (&str, &str), cell: &mut Cell) -> Vec<String> {
    let folder = folder();
    let (new, list) = (folder.path().join("new.rdb"), folder.path().join("losses.ndjson"));
    let converted = run(["convert", "--target", target.0, "--on-loss", "downgrade"])
        .args([Path::new("-o"), &new, Path::new("--losses"), &list, &case.path])
        .go();
    assert_eq!(converted.code, Some(0), "{converted}");
    let mut server = installed(target.1).start_with(&new);
    let after = facts(&mut server);
    match before {
        Some(before) => compare(before, &after, &losses(&list), cell),
        None => Vec::new(),
    }
}

#[test]
fn the_matrix_of_dumps_and_targets() {
    let mut wrong = Vec::new();
    println!("| dumps of | {} |", TARGETS.map(|(name, _)| name).join(" | "));
    println!("|---|{}", "---|".repeat(TARGETS.len()));
    for (source, loader) in SOURCES {
        let mut cells: Vec<Cell> = TARGETS.iter().map(|_| Cell::default()).collect();
        for case in cases().iter().filter(|case| case.server == source) {
            let before = (!NOT_LOADED.contains(&case.name.as_str()))
                .then(|| facts(&mut installed(loader).start_with(&case.path)));
            for (target, cell) in TARGETS.iter().zip(&mut cells) {
                let found = convert(case, before.as_ref(), *target, cell);
                wrong.extend(found.iter().map(|why| format!("{} for {}: {why}", case.id(), target.0)));
            }
        }
        let row: Vec<String> = cells.iter().map(|c| format!("{} / {} / {}", c.same, c.less, c.left)).collect();
        println!("| {source} | {} |", row.join(" | "));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}
