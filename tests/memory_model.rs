//! What the memory model says of keys, held against what servers said of the same keys.
//!
//! `cargo test memory_model -- --nocapture` prints the table that the README shows.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs::File;
use std::path::Path;

use rdbkit::analysis::{Allocator, MemoryModel, Server};
use rdbkit::model::Record;
use rdbkit::rdb::Reader;

use crate::corpus::{Case, cases};
use crate::harness::{file, run};
use crate::live::installed;
use crate::truth::Place;

/// Servers whose MEMORY USAGE is held against the model, and where they got their memory from.
fn allocator(server: &str) -> Option<Allocator> {
    Some(match server {
        "redis-6.0.9" | "redis-6.2.16" | "redis-7.2.6" | "redis-7.4.1" => Allocator::Jemalloc,
        "redis-6.0.16" | "redis-7.0.15" | "redis-8.0.2" | "valkey-8.0.1" | "valkey-8.1.1" => Allocator::JemallocSystem,
        "redis-8.0.6" | "redis-8.6.3" | "valkey-9.1.2" => Allocator::JemallocSystemPaged,
        "redis-6.2.14" => Allocator::Libc,
        _ => return None,
    })
}

/// What the model says of every key of a file.
fn modelled(path: &Path, change: impl FnOnce(MemoryModel) -> MemoryModel, allocator: Allocator) -> HashMap<Place, u64> {
    let mut reader = Reader::new(Box::new(File::open(path).unwrap())).unwrap();
    let mut model = change(MemoryModel::new(Server::of(reader.origin()), allocator));
    let mut all = HashMap::new();
    reader
        .each(|record, scratch| {
            if let Record::Entry(entry) = record {
                all.insert((entry.db, entry.key.to_vec()), model.usage(&entry, scratch)?.bytes);
            }
            Ok(())
        })
        .unwrap();
    all
}

/// Relative errors of some keys.
#[derive(Default)]
struct Errors(Vec<f64>);

impl Errors {
    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    fn share(&self, limit: f64) -> f64 {
        self.0.iter().filter(|e| **e <= limit).count() as f64 / self.0.len() as f64
    }

    fn row(&self, name: &str) -> String {
        let percent = |n: f64| format!("{:.1} %", n * 100.0);
        let [exact, median, within] = [self.share(0.0), self.median(), self.share(0.05)].map(percent);
        format!("| {name} | {} | {exact} | {median} | {within} |\n", self.0.len())
    }
}

/// Adds the errors of a case, by type and encoding.
fn compare(case: &Case, by_kind: &mut BTreeMap<String, Errors>, by_server: &mut Errors) {
    let Some(allocator) = allocator(&case.server) else { return };
    // What a module's values take only the module knows.
    if case.name == "modules" {
        return;
    }
    let cluster = |model: MemoryModel| if case.name == "cluster" { model.in_cluster() } else { model };
    let ours = modelled(&case.path, cluster, allocator);
    for (place, key) in &case.truth().keys {
        let (Some(ours), Some(truth)) = (ours.get(place), key.get("memory_usage")) else { continue };
        let error = (*ours as f64 - truth.int() as f64).abs() / truth.int() as f64;
        let kind = format!("{}, {}", key.at("type").str(), key.at("encoding").str());
        by_kind.entry(kind).or_default().0.push(error);
        by_server.0.push(error);
    }
}

#[test]
fn keys_take_what_their_servers_said() {
    let mut by_kind = BTreeMap::new();
    let mut by_server: BTreeMap<String, Errors> = BTreeMap::new();
    for case in cases() {
        let mut errors = Errors::default();
        compare(&case, &mut by_kind, &mut errors);
        by_server.entry(case.server).or_default().0.extend(errors.0);
    }
    by_server.retain(|_, errors| !errors.0.is_empty());
    let mut table = String::from("| | keys | exact | median error | within 5 % |\n|---|---|---|---|---|\n");
    for (name, errors) in by_server.iter().chain(&by_kind) {
        write!(table, "{}", errors.row(name)).unwrap();
    }
    println!("{table}");
    assert!(by_server.len() >= 13, "{table}");
    for (kind, errors) in &by_kind {
        assert!(errors.median() <= 0.01, "{kind}: a median error of {}\n{table}", errors.median());
    }
    for (server, errors) in &by_server {
        assert!(
            errors.share(0.05) >= 0.95,
            "{server}: only {} of the keys are within 5 %\n{table}",
            errors.share(0.05)
        );
    }
}

/// Fixtures of many types and sizes, some on both sides of every limit between encodings.
fn fixtures() -> String {
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut out = String::from("{");
    for i in 0..30_000 {
        let text = |n: u64| "x".repeat(usize::try_from(n).unwrap());
        let value = match random(20) {
            0..4 => random(1_000_000).to_string(),
            4..13 => format!("\"{i}:{}\"", text(random(300))),
            13..17 => {
                let fields = random(if i % 50 == 0 { 700 } else { 20 }) + 1;
                let fields: Vec<_> =
                    (0..fields).map(|f| format!("\"field{f}\":\"v{f}{}\"", text(random(40)))).collect();
                format!("{{{}}}", fields.join(","))
            }
            _ => {
                let items: Vec<_> = (0..random(60) + 1).map(|n| format!("\"item{n}{}\"", text(random(50)))).collect();
                format!("[{}]", items.join(","))
            }
        };
        write!(out, "{}\"key:{i}:{}\":{value}", if i > 0 { "," } else { "" }, text(random(30))).unwrap();
    }
    out + "}"
}

/// A number of INFO memory.
fn info(server: &mut crate::live::Server, name: &str) -> u64 {
    let info = String::from_utf8(server.ask("INFO memory", &[]).text().to_vec()).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn the_sum_is_what_a_server_uses() {
    let (_folder, json) = file("fixtures.json", fixtures().as_bytes());
    for (name, target, allocator) in [
        ("redis-7.0.15", "redis-7.0", Allocator::JemallocSystem),
        ("redis-8.6.3", "redis-8.6", Allocator::JemallocSystemPaged),
        ("valkey-9.1.2", "valkey-9.1", Allocator::JemallocSystemPaged),
    ] {
        let dump = json.with_file_name(format!("{name}.rdb"));
        run(["import"]).args([&json]).args(["--quiet", "--target", target, "-o"]).args([&dump]).go();
        let mut server = installed(name).start_with(&dump);
        let (keys, dataset) =
            (server.ask("DBSIZE", &[]).int().cast_unsigned(), info(&mut server, "used_memory_dataset"));
        let used = info(&mut server, "used_memory") - info(&mut server, "mem_clients_normal");
        let sum: u64 = modelled(&dump, |model| model.after_load().as_allocated(), allocator).values().sum();
        let origin = Reader::new(Box::new(File::open(&dump).unwrap())).unwrap().origin().clone();
        let overhead = MemoryModel::new(Server::of(&origin), allocator).after_load().keyspace(&[keys], &[0]);
        let ours = overhead.base + overhead.keys + overhead.expires + sum;
        let close = |what: &str, ours: u64, truth: u64| {
            let error = ours as f64 / truth as f64 - 1.0;
            println!("{name}: {what} {truth}, modelled {ours}, {:+.2} %", error * 100.0);
            assert!(error.abs() < 0.05, "{name}: {what} is {truth}, not {ours}");
        };
        close("used_memory", ours, used);
        close("used_memory_dataset", ours - overhead.reported, dataset);
    }
}
