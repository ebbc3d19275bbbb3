//! `rdbkit keys`.

use crate::corpus::case;
use crate::dumps::{dump, expiring, items, select, string};
use crate::harness::{TUTORIAL, file, run};
use crate::json::{Json, must_parse};

/// The rows for these arguments.
fn rows(args: &[&str]) -> Vec<Json> {
    let ran = run(["keys", "--format", "ndjson"]).args(args).ok();
    ran.out().lines().map(|line| must_parse(line.as_bytes())).collect()
}

#[test]
fn the_tutorial_with_tabs() {
    let ran = run(["keys", TUTORIAL]).ok();
    let wanted = "\
db\tkey\ttype\tencoding\telements\tbytes\texpiry\tidle/freq
0\tpypa\thash\tziplist\t3\t98\t\t
0\tLebanon\tstring\tembstr\t6\t16\t\t
0\tfixes.co.za\thash\tziplist\t3\t85\t\t
0\tSouth_Africa\tstring\tembstr\t8\t23\t\t
0\tBahamas\tstring\tembstr\t6\t16\t\t
0\tNorway\tstring\tembstr\t4\t13\t\t
0\tFrance\tstring\tembstr\t5\t14\t\t
0\tCroatia\tstring\tembstr\t6\t16\t\t
1\that:1736174144\thash\tziplist\t5\t102\t\t
1\that:1326692461\thash\tziplist\t5\t102\t\t
1\that:56854717\thash\tziplist\t5\t98\t\t
";
    assert_eq!(ran.out(), wanted);
    assert_eq!(run(["keys", TUTORIAL, "--format", "tsv"]).ok().out(), wanted);
    assert_eq!(run(["keys", TUTORIAL, "--format", "csv"]).ok().out(), wanted.replace('\t', ","));
}

#[test]
fn tables_align() {
    let ran = run(["keys", TUTORIAL, "--format", "table"]).ok();
    let wanted = "\
db  key             type    encoding  elements  bytes  expiry  idle/freq
 0  pypa            hash    ziplist          3     98
";
    assert!(ran.out().starts_with(wanted), "{ran}");
    assert!(ran.out().lines().all(|line| line == line.trim_end()), "{ran}");
}

#[test]
fn rows_as_ndjson() {
    let ran = run(["keys", TUTORIAL, "--format", "ndjson", "--limit", "2"]).ok();
    let wanted = "\
{\"db\":0,\"key\":\"pypa\",\"type\":\"hash\",\"encoding\":\"ziplist\",\"elements\":3,\"bytes\":98}
{\"db\":0,\"key\":\"Lebanon\",\"type\":\"string\",\"encoding\":\"embstr\",\"elements\":6,\"bytes\":16}
";
    assert_eq!(ran.out(), wanted);
}

#[test]
fn memory_stands_in_the_row_if_it_is_asked_for() {
    let args = ["--sort", "memory", "--limit", "2", "--format", "tsv"];
    let ran = run(["keys", TUTORIAL]).args(args).ok();
    let wanted = "\
db\tkey\ttype\tencoding\telements\tbytes\tmemory\texpiry\tidle/freq
1\that:1326692461\thash\tziplist\t5\t102\t140\t\t
1\that:1736174144\thash\tziplist\t5\t102\t140\t\t
";
    assert_eq!(ran.out(), wanted);
    let lebanon =
        |more: &[&str]| rows(&[&[TUTORIAL, "--key", "Lebanon"], more].concat())[0].get("memory").map(Json::int);
    assert_eq!(lebanon(&[]), None);
    assert_eq!(lebanon(&["--memory"]), Some(64));
    assert_eq!(lebanon(&["--server", "redis-7.2"]), Some(72));
    assert_eq!(lebanon(&["--server", "redis-7.2", "--cluster"]), Some(80));
    assert_eq!(lebanon(&["--server", "redis-8.6"]), Some(40));
    assert_eq!(lebanon(&["--server", "valkey-9.1", "--allocator", "libc"]), Some(40));
    let said = run(["keys", TUTORIAL, "--server", "redis-9.9"]).fails_with(2);
    assert!(said.err().contains("redis-8.10"), "{said}");
}

#[test]
fn expiry_and_eviction_stand_in_the_row() {
    let path = case("redis-7.0.15", "multidb").path;
    let ran = run(["keys"]).args([&path]).args(["--key", "hash:0"]).ok();
    assert_eq!(ran.out().lines().last(), Some("0\thash:0\thash\tlistpack\t1\t33\t2100-01-01T00:16:40.000Z\t3600s"));
    let row = &rows(&[path.to_str().unwrap(), "--key", "hash:0"])[0];
    assert_eq!(row.at("expireAt").int(), 4_102_445_800_000);
    assert_eq!(row.at("idle").int(), 3600);
    let path = case("redis-7.0.15", "multidb_lfu").path;
    let row = &rows(&[path.to_str().unwrap(), "--key", "hash:0"])[0];
    assert!((0..256).contains(&row.at("freq").int()) && row.get("idle").is_none(), "{row:?}");
}

/// A dump whose keys need care: of any length, with anything in them.
fn difficult() -> Vec<u8> {
    let keys: [&[u8]; 7] = [b"", b"a,b", b"say \"hi\"", b"tab\tline\n", b"\x00\xff", "é".as_bytes(), b"\x1b[31m"];
    let mut records: Vec<Vec<u8>> = keys.iter().map(|key| string(key, b"v")).collect();
    records.push(string(&[b'k'; 500], b"v"));
    dump(9, &records)
}

#[test]
fn difficult_keys_stay_in_their_column() {
    let (_folder, path) = file("dump.rdb", &difficult());
    let ran = run(["keys"]).args([&path]).ok();
    let second: Vec<&str> = ran.out().lines().skip(1).map(|line| line.split('\t').nth(1).unwrap()).collect();
    let wanted = ["", "a,b", r#"say \"hi\""#, r"tab\tline\n", r"\x00\xff", r"\xc3\xa9", r"\x1b[31m", &"k".repeat(500)];
    assert_eq!(second, wanted);
    assert!(ran.out().lines().all(|line| line.matches('\t').count() == 7), "{ran}");
    let ran = run(["keys", "--format", "table"]).args([&path]).ok();
    assert!(ran.out().is_ascii() || ran.out().contains('…'), "{ran}");
    assert!(ran.out().lines().all(|line| line.chars().count() < 200), "long keys are cut: {ran}");
}

#[test]
fn csv_cells_are_quoted_where_they_must_be() {
    let (_folder, path) = file("dump.rdb", &difficult());
    let ran = run(["keys", "--format", "csv"]).args([&path]).ok();
    let lines: Vec<&str> = ran.out().lines().collect();
    assert!(lines[2].starts_with("0,\"a,b\",string"), "{ran}");
    assert!(lines[3].starts_with(r#"0,"say \""hi\""",string"#), "{ran}");
    assert_eq!(lines.len(), 9, "a row a line: {ran}");
}

#[test]
fn binary_keys_are_base64_in_ndjson() {
    let (_folder, path) = file("dump.rdb", &difficult());
    let keys: Vec<Vec<u8>> =
        rows(&[path.to_str().unwrap()]).iter().map(|row| crate::truth::exported(row.at("key"))).collect();
    assert_eq!(keys[4], b"\x00\xff");
    assert_eq!(keys[3], b"tab\tline\n");
    assert_eq!(keys[0], b"");
}

/// Rows of a corpus file that has many kinds of keys.
fn sample(args: &[&str]) -> Vec<Json> {
    let path = case("redis-7.0.15", "multidb").path;
    rows(&[&[path.to_str().unwrap()], args].concat())
}

fn sorted_by<K: Ord>(args: &[&str], key: impl Fn(&Json) -> K) {
    let (all, sorted) = (sample(&[]), sample(args));
    let as_text = |rows: &[Json]| {
        let mut texts: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        texts.sort();
        texts
    };
    assert_eq!(as_text(&all), as_text(&sorted), "sorting must lose nothing");
    let keys: Vec<K> = sorted.iter().map(key).collect();
    assert!(keys.is_sorted(), "{args:?}: {sorted:?}");
    assert_ne!(all, sorted, "the file is not in this order already");
    for limit in [0, 1, 3, 7, 31, 100] {
        let some = sample(&[args, &["--limit", &limit.to_string()]].concat());
        assert_eq!(some, sorted[..limit.min(sorted.len())], "{args:?} with --limit {limit}");
    }
}

#[test]
fn rows_can_be_sorted() {
    let place = |row: &Json| (row.at("db").int(), row.at("key").str().to_owned());
    let expiry = |row: &Json| row.get("expireAt").map_or(i64::MAX, Json::int);
    sorted_by(&["--sort", "size"], |row| (-row.at("bytes").int(), place(row)));
    sorted_by(&["--sort", "elements"], |row| (-row.at("elements").int(), place(row)));
    sorted_by(&["--sort", "key"], place);
    sorted_by(&["--sort", "ttl"], |row| (expiry(row), place(row)));
}

#[test]
fn unsorted_rows_come_in_the_order_of_the_file() {
    let records = [string(b"z", b""), string(b"a", b""), select(2), string(b"m", b""), select(1), string(b"b", b"")];
    let (_folder, path) = file("dump.rdb", &dump(9, &records));
    let places: Vec<(i64, String)> = rows(&[path.to_str().unwrap()])
        .iter()
        .map(|row| (row.at("db").int(), row.at("key").str().to_owned()))
        .collect();
    let wanted = [(0, "z"), (0, "a"), (2, "m"), (1, "b")].map(|(db, key)| (db, key.to_owned()));
    assert_eq!(places, wanted);
}

#[test]
fn a_limit_ends_the_reading() {
    // Behind the second key the file is damaged; who wants one row does not get to see that.
    let mut bytes = dump(9, &[string(b"a", b"1"), string(b"b", b"2")]);
    let end = bytes.len() - 9;
    bytes.truncate(end);
    bytes.extend_from_slice(&[200; 30]);
    let (_folder, path) = file("dump.rdb", &bytes);
    assert_eq!(rows(&[path.to_str().unwrap(), "--limit", "1", "--threads", "1"]).len(), 1);
    run(["keys"]).args([&path]).fails_with(2);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let path = case("redis-2.4.18", "big").path;
    for args in [&[][..], &["--sort", "size"], &["--sort", "key", "--limit", "20"], &["--limit", "5"]] {
        let one = run(["keys", "--threads", "1"]).args([&path]).args(args).ok().stdout;
        assert!(run(["keys", "--threads", "4"]).args([&path]).args(args).ok().stdout == one, "{args:?}");
    }
}

#[test]
fn times_at_the_ends_of_time_are_shown() {
    let times = [0, -1, i64::MIN, i64::MAX, 253_402_300_799_999, 253_402_300_800_000];
    let records: Vec<Vec<u8>> =
        times.iter().map(|at| expiring(*at, items(1, at.to_string().as_bytes(), &[b"x"]))).collect();
    let (_folder, path) = file("dump.rdb", &dump(9, &records));
    let shown: Vec<i64> = rows(&[path.to_str().unwrap()]).iter().map(|row| row.at("expireAt").int()).collect();
    assert_eq!(shown, times);
    let ran = run(["keys"]).args([&path]).ok();
    let expiries: Vec<&str> = ran.out().lines().skip(1).map(|line| line.split('\t').nth(6).unwrap()).collect();
    assert_eq!(expiries[0], "1970-01-01T00:00:00.000Z");
    assert_eq!(expiries[4], "9999-12-31T23:59:59.999Z");
    assert_eq!(expiries[2], i64::MIN.to_string());
}

#[test]
fn rows_before_damage_are_given() {
    let whole = run(["keys", TUTORIAL]).ok();
    let (_folder, path) = file("dump.rdb", &crate::harness::tutorial()[..400]);
    let ran = run(["keys"]).args([&path]).fails_with(2);
    assert!(ran.out().lines().count() > 2 && whole.out().starts_with(ran.out()), "{ran}");
    assert!(ran.one_line().contains("the input ends here"), "{ran}");
}
