//! `rdbkit memory`: what it adds up, held against what servers say and against counting by hand.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::corpus::{case, cases};
use crate::dumps::{dump, expiring, hash, select, string};
use crate::harness::{TUTORIAL, file, read, run, tutorial};
use crate::json::{Json, must_parse};
use crate::live::{Reply, installed};
use crate::truth::exported;

/// The report as JSON.
fn report(path: &Path, args: &[&str]) -> Json {
    must_parse(&run(["memory", "--format", "json"]).args([path]).args(args).ok().stdout)
}

/// A number of it.
fn n(of: &Json, name: &str) -> u64 {
    of.at(name).int().cast_unsigned()
}

/// Every prefix that is shown, with what is below it.
fn prefixes(report: &Json) -> Vec<&Json> {
    fn visit<'j>(node: &'j Json, found: &mut Vec<&'j Json>) {
        found.push(node);
        node.get("children").map_or(&[][..], Json::items).iter().for_each(|child| visit(child, found));
    }
    let mut found = Vec::new();
    report.at("prefixes").items().iter().for_each(|node| visit(node, &mut found));
    found
}

/// How many rows there are of each kind, by what they say under this name.
fn counts(rows: &[Json], name: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        let what = match row.at(name) {
            Json::Text(text) => text.clone(),
            other => other.int().to_string(),
        };
        *counts.entry(what).or_default() += n(row, "keys");
    }
    counts
}

#[test]
fn keys_are_those_that_servers_counted() {
    let mut checked = 0;
    for case in cases().iter().filter(|case| !matches!(case.name.as_str(), "expired" | "slot_import")) {
        let (truth, report) = (case.truth(), report(&case.path, &["--separator", ":"]));
        let id = case.id();
        let keys = truth.keys.len() as u64;
        assert_eq!((n(&report, "keys"), report.at("damage")), (keys, &Json::Null), "{id}");
        let (mut dbs, mut types) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
        for ((db, _), told) in &truth.keys {
            *dbs.entry(db.to_string()).or_default() += 1;
            *types.entry(told.at("type").str().to_owned()).or_default() += 1;
        }
        assert_eq!(counts(report.at("databases").items(), "db"), dbs, "{id}");
        assert_eq!(counts(report.at("types").items(), "type"), types, "{id}");
        for class in ["ttl", "sizes"] {
            let sum: u64 = report.at(class).items().iter().map(|row| n(row, "keys")).sum();
            assert_eq!(sum, keys, "{id} {class}");
        }
        for node in prefixes(&report).iter().filter(|node| node.get("rest").is_none()) {
            let name = exported(node.at("prefix"));
            let is_below = |key: &Vec<u8>| if name.ends_with(b":") { key.starts_with(&name) } else { *key == name };
            let below = truth.keys.iter().filter(|((_, key), _)| is_below(key)).count() as u64;
            // A piece of more than 64 bytes is cut.
            if name.len() < 64 {
                assert_eq!(n(node, "keys"), below, "{id} {:?}", String::from_utf8_lossy(&name));
                checked += 1;
            }
        }
    }
    assert!(checked > 1000, "only {checked} prefixes were looked at");
}

#[test]
fn sums_are_those_of_the_keys() {
    for case in ["redis-7.0.15", "redis-8.10.2", "valkey-9.1.2"].map(|server| case(server, "small")) {
        let rows = run(["keys", "--memory", "--format", "ndjson"]).args([&case.path]).ok();
        let rows: Vec<Json> = rows.out().lines().map(|line| must_parse(line.as_bytes())).collect();
        let report = report(&case.path, &["--top", "1000"]);
        let sum = |name: &str| rows.iter().map(|row| n(row, name)).sum::<u64>();
        assert_eq!((n(&report, "memory"), n(&report, "bytes")), (sum("memory"), sum("bytes")), "{}", case.id());
        for part in ["types", "databases", "ttl", "sizes"] {
            let total: u64 = report.at(part).items().iter().map(|row| n(row, "memory")).sum();
            assert_eq!(total, sum("memory"), "{} {part}", case.id());
        }
        let slots: u64 = report.at("slots").at("shards").items().iter().map(|row| n(row, "memory")).sum();
        assert_eq!(slots, sum("memory"));
        let mut sizes: Vec<u64> = rows.iter().map(|row| n(row, "memory")).collect();
        sizes.sort_by(|a, b| b.cmp(a));
        let top: Vec<u64> = report.at("top").at("memory").items().iter().map(|row| n(row, "memory")).collect();
        assert_eq!(top, sizes, "{}", case.id());
        let lines = run(["memory", "--format", "ndjson"]).args([&case.path]).ok();
        let memory = |rows: &[Json]| -> Vec<(Vec<u8>, u64)> {
            rows.iter().map(|row| (exported(row.at("key")), n(row, "memory"))).collect()
        };
        let lines: Vec<Json> = lines.out().lines().map(|line| must_parse(line.as_bytes())).collect();
        assert_eq!(memory(&lines), memory(&rows));
    }
}

#[test]
fn a_server_says_the_same() {
    let mut server = installed("redis-7.0.15").start();
    crate::sample::fill(&mut server);
    server.ask("SELECT 0", &[]);
    for i in 0..3000 {
        let (key, value) = (format!("page:{}:{i}", i % 7), "x".repeat(i % 300));
        server.ask("SET", &[key.as_bytes(), value.as_bytes()]);
        if i % 3 == 0 {
            server.ask("PEXPIREAT", &[key.as_bytes(), b"4102444800000"]);
        }
    }
    let saved = server.save();
    let report = report(&saved, &["--allocator", "jemalloc-system"]);
    let (mut sum, mut keys, mut stats) = (0, 0, 0);
    for db in [0, 3] {
        server.ask(&format!("SELECT {db}"), &[]);
        for key in server.ask("KEYS *", &[]).items() {
            sum += server.ask("MEMORY USAGE", &[key.text(), b"SAMPLES", b"0"]).int().cast_unsigned();
            keys += 1;
        }
    }
    assert_eq!(n(&report, "keys"), keys);
    let ours = n(&report, "memory");
    assert!(ours.abs_diff(sum) * 100 <= sum, "the sum of all MEMORY USAGE is {sum}, ours is {ours}");
    let said = server.ask("MEMORY STATS", &[]);
    for pair in said.items().chunks(2).filter(|pair| pair[0].text().starts_with(b"db.")) {
        stats += pair[1]
            .items()
            .iter()
            .filter(|item| matches!(item, Reply::Int(_)))
            .map(|n| n.int().cast_unsigned())
            .sum::<u64>();
    }
    // What MEMORY STATS counts of each key, MEMORY USAGE counts as well: a dictEntry and a robj. The rest are the tables,
    // by their size as it was asked for.
    let tables = n(&self::report(&saved, &[]), "keySpace");
    assert!(tables.abs_diff(stats - keys * (24 + 16)) < 256, "{tables}, but {stats} for {keys} keys");
}

/// A dump of so many prefixes that they cannot all be kept: ids in two places, one heavy id early, one late.
pub(crate) fn many_prefixes() -> Vec<u8> {
    let mut seed = 1_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 40
    };
    let mut records = Vec::new();
    for i in 0..240_000 {
        let key = match i {
            0..100 => format!("user:early:{}", next()),
            239_000.. => format!("user:late:{}", next()),
            _ => format!("user:{}:{}", next(), if i % 4 == 0 { "cart" } else { "profile" }),
        };
        records.push(string(key.as_bytes(), &[b'v'; 9]));
        if i == 50 {
            records.push(string(b"user:early:big", &[b'v'; 16_000]));
        }
    }
    dump(9, &records)
}

#[test]
fn the_number_of_threads_does_not_show() {
    let (_folder, big) = file("dump.rdb", &many_prefixes());
    let small = case("redis-7.0.15", "multidb").path;
    for (path, formats) in [(&big, &["json"][..]), (&small, &["json", "table", "csv", "ndjson"])] {
        for format in formats {
            let out =
                |threads: &str| run(["memory", "--format", format, "--threads", threads]).args([path]).ok().stdout;
            let one = out("1");
            assert!(["2", "5"].iter().all(|threads| out(threads) == one), "{format} of {}", path.display());
        }
    }
    // Nor does it show where the bytes come from.
    let piped = run(["memory", "--format", "json", "-"]).stdin(&read(&big)).ok().stdout;
    let piped = String::from_utf8(piped).unwrap().replace("standard input", big.to_str().unwrap());
    assert_eq!(piped.as_bytes(), run(["memory", "--format", "json"]).args([&big]).ok().stdout);
}

#[test]
fn prefixes_beyond_number_are_counted_within_the_error_that_is_said() {
    let (_folder, path) = file("dump.rdb", &many_prefixes());
    let report = report(&path, &[]);
    let rows = run(["keys", "--memory", "--format", "tsv"]).args([&path]).ok();
    let keys: Vec<(&str, u64)> = rows
        .out()
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|cells| (cells[1], cells[6].parse().unwrap()))
        .collect();
    let shown: HashMap<&str, &Json> = prefixes(&report).iter().map(|node| (node.at("prefix").str(), *node)).collect();
    for name in ["user:early:", "user:late:", "user:*:cart", "user:*:profile"] {
        let node = shown.get(name).unwrap_or_else(|| panic!("{name} is not shown: {:?}", shown.keys()));
        let is_in = |key: &str| match name.split_once('*') {
            Some((head, tail)) => key.starts_with(head) && key.ends_with(tail),
            None => key.starts_with(name),
        };
        let truth: u64 = keys.iter().filter(|(key, _)| is_in(key)).map(|(_, memory)| memory).sum();
        let (least, lacking) = (n(node, "memory"), node.get("lacking").map_or(0, |_| n(node, "lacking")));
        assert!(least <= truth && truth <= least + lacking, "{name}: {truth} is not in {least} + {lacking}");
        assert!(lacking * 20 < n(&report, "memory"), "{name}: an error of {lacking} says nothing");
    }
}

#[test]
fn a_sample_says_its_error_and_keeps_it() {
    let (_folder, path) = file("dump.rdb", &many_prefixes());
    let (all, some) = (report(&path, &[]), report(&path, &["--sample", "0.1"]));
    let (truth, estimate, margin) = (n(&all, "memory"), n(&some, "memory"), n(&some, "margin"));
    assert_eq!((n(&all, "margin"), n(&some, "keys")), (0, n(&all, "keys")), "keys are counted, not estimated");
    // Twice the interval of 95 % is left in one case of 10,000, and the hash is always the same.
    assert!(estimate.abs_diff(truth) <= 2 * margin, "{estimate} ± {margin}, and {truth} in truth");
    assert!(margin > 0 && margin * 20 < truth && estimate != truth, "{estimate} ± {margin}");
    let table = run(["memory", "--sample", "0.1"]).args([&path]).ok();
    assert!(table.out().contains(" ± ") && table.out().contains("estimated from a sample"), "{table}");
    // A key that is large in the file is always looked at.
    assert_eq!(some.at("top").at("memory").items()[0].at("key").str(), "user:early:big");
}

/// Two dumps of which the second has more of one prefix and type, and nothing of another.
fn before_and_after() -> [Vec<u8>; 2] {
    let some = |name: &str, n: usize, len: usize| {
        (0..n).map(|i| string(format!("{name}:{i}").as_bytes(), &vec![b'x'; len])).collect::<Vec<_>>()
    };
    let table = hash(b"table:1", &[(b"f", b"v")]);
    let before = [some("same", 50, 30), some("gone", 20, 20), some("grown:a", 10, 40)].concat();
    let after = [some("same", 50, 30), some("grown:a", 40, 40), vec![table]].concat();
    [dump(9, &before), dump(9, &after)]
}

#[test]
fn what_grew_is_found() {
    let [before, after] = before_and_after();
    let ((_a, before), (_b, after)) = (file("before.rdb", &before), file("after.rdb", &after));
    let change = report(&after, &["--compare", before.to_str().unwrap()]);
    let of = |list: &str, what: &str, name: &str| {
        let row = change.at(list).items().iter().find(|row| match row.at(what) {
            Json::Text(text) => text == name,
            Json::Array(words) => words[0].str() == name,
            _ => false,
        });
        row.unwrap_or_else(|| panic!("{name} is not among {list}: {change:?}"))
    };
    let sides = |row: &Json, name: &str| (n(row.at("before"), name), n(row.at("after"), name));
    assert_eq!(sides(of("prefixes", "prefix", "grown:a:"), "keys"), (10, 40));
    assert_eq!(sides(of("prefixes", "prefix", "gone:"), "keys"), (20, 0));
    assert_eq!(sides(of("types", "type", "hash"), "keys"), (0, 1));
    assert_eq!(sides(of("types", "type", "string"), "keys"), (80, 90));
    assert!(!change.at("prefixes").items().iter().any(|row| row.at("prefix").str().starts_with("same")));
    let [alone, other] = [report(&after, &[]), report(&before, &[])].map(|report| n(&report, "memory"));
    assert_eq!(change.at("total").at("change").int(), alone.cast_signed() - other.cast_signed());
    let table = run(["memory"]).args([&after]).args(["--compare"]).args([&before]).ok();
    let row = table.out().lines().find(|line| line.contains("gone:")).unwrap();
    assert!(row.contains("  gone  ") && row.contains("-20"), "{table}");
    let same = report(&after, &["--compare", after.to_str().unwrap()]);
    assert_eq!((same.at("prefixes").items().len(), same.at("total").at("change").int()), (0, 0));
}

#[test]
fn folded_stacks_add_up() {
    for path in [Path::new(TUTORIAL), &case("redis-7.0.15", "small").path] {
        let folded = run(["memory", "--folded"]).args([path]).ok();
        let sum: u64 = folded.out().lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
        assert_eq!(sum, n(&report(path, &[]), "memory"), "{folded}");
    }
    let ran = run(["memory", "--folded", TUTORIAL]).ok();
    assert!(ran.out().lines().any(|line| line.starts_with("all;hat: ")), "{ran}");
}

#[test]
fn csv_has_the_columns_of_rdb_tools() {
    let ran = run(["memory", "--format", "csv", TUTORIAL]).ok();
    let mut lines = ran.out().lines();
    let header = "database,type,key,size_in_bytes,encoding,num_elements,len_largest_element,expiry";
    assert_eq!(lines.next(), Some(header));
    let memory = run(["keys", "--memory", "--format", "tsv", TUTORIAL]).ok();
    for (line, row) in lines.zip(memory.out().lines().skip(1)) {
        let (cells, row): (Vec<&str>, Vec<&str>) = (line.split(',').collect(), row.split('\t').collect());
        assert_eq!(
            [cells[0], cells[2], cells[1], cells[3], cells[4], cells[5]],
            [row[0], row[1], row[2], row[6], row[3], row[4]]
        );
    }
    assert_eq!(ran.out().lines().count(), 12);
    let top = run(["memory", "--format", "csv", "--top", "2", "--by", "largest", TUTORIAL]).ok();
    assert_eq!(top.out().lines().count(), 3, "{top}");
    let said = run(["memory", "--format", "csv", "--sample", "0.5", TUTORIAL]).refuses();
    assert!(said.contains("--sample"), "{said}");
}

#[test]
fn filters_are_those_of_all_commands() {
    let report = |args: &[&str]| report(Path::new(TUTORIAL), args);
    assert_eq!(n(&report(&["--key", "hat:*"]), "keys"), 3);
    assert_eq!(n(&report(&["--db", "0", "--type", "string"]), "keys"), 6);
    assert_eq!(report(&["--db", "0"]).at("keySpace"), &Json::Null, "tables are those of all keys");
    assert_eq!(n(&report(&["--key", "nothing"]), "keys"), 0);
}

#[test]
fn tables_fit_and_align() {
    let mut records = vec![select(3)];
    for i in 0..300 {
        records.push(string(format!("{}:{i}", "long name ".repeat(i % 30)).as_bytes(), b"v"));
        records.push(expiring(4_102_444_800_000, string(format!("cache:\x1b[31m{i}").as_bytes(), b"v")));
    }
    let (_folder, path) = file("dump.rdb", &dump(9, &records));
    let table = run(["memory", "--shards", "4", "--by", "memory,elements,size,largest"]).args([&path]).ok();
    for line in table.out().lines() {
        assert!(line.chars().count() <= 140 && line == line.trim_end() && !line.contains('\x1b'), "{line:?}");
    }
    for part in ["by type", "by prefix", "largest keys by memory", "by time to live", "by memory of a key", "by shard"]
    {
        assert!(table.out().contains(&format!("\n{part}")), "{part}: {table}");
    }
}

#[test]
fn damage_is_said_and_what_was_before_it_is_shown() {
    let whole = tutorial();
    for len in [300, 500, whole.len() - 9] {
        let (_folder, path) = file("dump.rdb", &whole[..len]);
        let table = run(["memory"]).args([&path]).fails_with(1);
        assert!(table.one_line().contains("ends"), "{table}");
        assert!(table.out().contains("by type"), "{table}");
        let json = run(["memory", "--format", "json"]).args([&path]).fails_with(1);
        let json = must_parse(&json.stdout);
        assert!(json.at("complete") == &Json::Bool(false) && json.at("damage").get("reason").is_some(), "{json:?}");
    }
    // Before the first key.
    let (_folder, path) = file("dump.rdb", &whole[..40]);
    let table = run(["memory"]).args([&path]).fails_with(1);
    assert!(table.out().contains("no key could be read") && table.one_line().contains("offset 40"), "{table}");
    // A value that can't be decoded counts with its bytes in the file, and those after it count as ever.
    let bad = [&[13, 3][..], b"bad", &[3, 1, 2, 3]].concat();
    let (_folder, path) = file("dump.rdb", &dump(9, &[string(b"first", b"v"), bad, string(b"good", b"v")]));
    let ran = run(["memory", "--format", "json"]).args([&path]).fails_with(1);
    let json = must_parse(&ran.stdout);
    assert_eq!((n(&json, "keys"), json.at("complete")), (3, &Json::Bool(true)), "{ran}");
    assert!(json.at("damage").at("key").str() == "bad" && ran.err().contains("\"bad\""), "{ran}");
}

#[test]
fn an_empty_dump_has_no_memory() {
    let (_folder, path) = file("dump.rdb", &dump(9, &[]));
    let report = report(&path, &[]);
    assert_eq!((n(&report, "keys"), n(&report, "memory"), n(&report, "keySpace")), (0, 0, 0));
    let table = run(["memory"]).args([&path]).ok();
    assert!(table.out().contains("there are no keys"), "{table}");
    assert_eq!(run(["memory", "--folded"]).args([&path]).ok().out(), "");
}
