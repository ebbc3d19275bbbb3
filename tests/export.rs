//! `rdbkit export`: the forms. What is in them is held against the servers in `corpus.rs`.

use crate::corpus::case;
use crate::dumps::{aux, dump, expiring, hash, items, string, zset};
use crate::harness::{Ran, TUTORIAL, file, run, tutorial};
use crate::json::{Json, must_parse};

fn export(bytes: &[u8], args: &[&str]) -> Ran {
    let (_folder, path) = file("dump.rdb", bytes);
    run(["export"]).args([&path]).args(args).ok()
}

/// The lines of the keys of an NDJSON export.
fn lines(records: &[Vec<u8>]) -> Vec<String> {
    let ran = export(&dump(9, records), &["--format", "ndjson"]);
    let lines: Vec<String> = ran.out().lines().map(str::to_owned).collect();
    lines.iter().for_each(|line| drop(must_parse(line.as_bytes())));
    lines[1..lines.len() - 1].to_vec()
}

#[test]
fn the_tutorial_as_json() {
    let ran = run(["export", TUTORIAL]).ok();
    let wanted = r#"{"rdbkit":1,"rdb":{"magic":"REDIS","version":9},"aux":{"redis-ver":"6.2.14","redis-bits":"64","ctime":"1795415805","used-mem":"939256","aof-preamble":"0"},
"functions":[],
"keys":[
{"db":0,"key":"pypa","type":"hash","value":{"url":"https://www.pypa.io/","github":"pypa","fullname":"Python Packaging Authority"}},
{"db":0,"key":"Lebanon","type":"string","value":"Beirut"},
{"db":0,"key":"fixes.co.za","type":"hash","value":{"url":"https://fixes.co.za/","github":"fixes","fullname":"fixes"}},
{"db":0,"key":"South_Africa","type":"string","value":"Pretoria"},
{"db":0,"key":"Bahamas","type":"string","value":"Nassau"},
{"db":0,"key":"Norway","type":"string","value":"Oslo"},
{"db":0,"key":"France","type":"string","value":"Paris"},
{"db":0,"key":"Croatia","type":"string","value":"Zagreb"},
{"db":1,"key":"hat:1736174144","type":"hash","value":{"color":"green","price":"99.99","style":"baseball","quantity":"200","npurchased":"0"}},
{"db":1,"key":"hat:1326692461","type":"hash","value":{"color":"maroon","price":"59.99","style":"hipster","quantity":"500","npurchased":"0"}},
{"db":1,"key":"hat:56854717","type":"hash","value":{"color":"black","price":"49.99","style":"fitted","quantity":"1000","npurchased":"0"}}
],
"end":{"keys":11,"crc64":""#;
    let (text, checksum) = ran.out().split_at(wanted.len());
    assert_eq!(text, wanted);
    assert_eq!(checksum.len(), "0123456789abcdef\"}}\n".len());
}

#[test]
fn an_empty_dump_is_a_document_too() {
    let ran = export(&dump(9, &[]), &[]);
    let document = must_parse(&ran.stdout);
    assert!(document.at("keys").items().is_empty() && document.at("end").at("keys").int() == 0, "{ran}");
    assert_eq!(export(&dump(9, &[]), &["--format", "ndjson"]).out().lines().count(), 2);
}

#[test]
fn text_stays_text_and_bytes_become_base64() {
    let values: [(&[u8], &str); 8] = [
        (b"plain", r#""plain""#),
        ("h\u{e9}, \u{1f600}".as_bytes(), "\"h\u{e9}, \u{1f600}\""),
        (b"\xff\x00", r#"{"base64":"/wA="}"#),
        (b"a\xc3", r#"{"base64":"YcM="}"#),
        (b"\"\\\n\x00\x7f", "\"\\\"\\\\\\n\\u0000\u{7f}\""),
        ("\u{85}\u{2028}".as_bytes(), r#""\u0085\u2028""#),
        // A surrogate in UTF-8 is no UTF-8.
        (b"\xed\xa0\x80", r#"{"base64":"7aCA"}"#),
        (b"", r#""""#),
    ];
    for (bytes, json) in values {
        assert_eq!(
            lines(&[string(b"k", bytes)]),
            [format!("{{\"db\":0,\"key\":\"k\",\"type\":\"string\",\"value\":{json}}}")]
        );
        assert_eq!(
            lines(&[string(bytes, b"v")]),
            [format!("{{\"db\":0,\"key\":{json},\"type\":\"string\",\"value\":\"v\"}}")]
        );
    }
}

#[test]
fn what_looks_like_a_number_stays_a_string() {
    for number in ["007", "-0", "+7", " 7", "1e3", "12345678901234567890"] {
        let line = format!("{{\"db\":0,\"key\":\"k\",\"type\":\"string\",\"value\":\"{number}\"}}");
        assert_eq!(lines(&[string(b"k", number.as_bytes())]), [line]);
    }
    // Integers of one, two and four bytes have a sign.
    for (bytes, value) in
        [(&b"\xc0\xff"[..], "-1"), (b"\xc1\x00\x80", "-32768"), (b"\xc2\xff\xff\xff\x7f", "2147483647")]
    {
        let line = format!("{{\"db\":0,\"key\":\"k\",\"type\":\"string\",\"value\":\"{value}\"}}");
        assert_eq!(lines(&[[b"\x00\x01k", bytes].concat()]), [line]);
    }
}

#[test]
fn hashes_are_objects_if_they_can_be() {
    let value = |fields: &[(&[u8], &[u8])]| {
        let line = must_parse(lines(&[hash(b"h", fields)])[0].as_bytes());
        line.at("value").clone()
    };
    assert!(matches!(value(&[(b"b", b"1"), (b"a", b"\xff")]), Json::Object(_)));
    assert!(matches!(value(&[(b"a", b"1"), (b"a", b"2")]), Json::Array(_)), "a field that stands twice");
    assert!(matches!(value(&[(b"\xff", b"1")]), Json::Array(_)), "a field that is no text");
    assert_eq!(
        crate::truth::pairs(&value(&[(b"\xff", b"1"), (b"", b"2")])),
        [(b"\xff".to_vec(), b"1".to_vec()), (b"".to_vec(), b"2".to_vec())]
    );
    let order: Vec<String> = value(&[(b"b", b"1"), (b"a", b"2")]).members().iter().map(|(n, _)| n.clone()).collect();
    assert_eq!(order, ["b", "a"], "the order is that of the file");
}

#[test]
fn scores_read_back_to_the_same_number() {
    let scores = [
        0.1,
        -0.0,
        3.0,
        1e17,
        9_007_199_254_740_993.0,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
        0.1 + 0.2,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e-7,
        -123_456.789,
    ];
    let names: Vec<String> = (0..scores.len()).map(|i| format!("m{i}")).collect();
    let members: Vec<(&[u8], f64)> = names.iter().zip(scores).map(|(name, score)| (name.as_bytes(), score)).collect();
    let line = must_parse(lines(&[zset(b"z", &members)])[0].as_bytes());
    for (pair, score) in line.at("value").items().iter().zip(scores) {
        let read: f64 = match &pair.items()[1] {
            Json::Number(text) => text.parse().unwrap(),
            Json::Text(text) if matches!(text.as_str(), "inf" | "-inf" | "nan") => text.parse().unwrap(),
            other => panic!("{other:?} is no score"),
        };
        assert!(read.to_bits() == score.to_bits() || read.is_nan() && score.is_nan(), "{score:e} became {pair:?}");
    }
}

#[test]
fn attributes_belong_to_their_key_alone() {
    let seconds = [vec![0xfd], 1_800_000_000_u32.to_le_bytes().to_vec(), string(b"s", b"1")].concat();
    let idle = [vec![0xf8, 0x40, 0x64], string(b"i", b"1")].concat();
    let freq = [vec![0xf9, 200], string(b"f", b"1")].concat();
    let both = expiring(-5, [vec![0xf8, 7], items(2, b"b", &[b"x"])].concat());
    let records = [expiring(1_800_000_000_123, string(b"ms", b"1")), seconds, idle, freq, both, string(b"none", b"1")];
    let told: Vec<[Option<i64>; 3]> = lines(&records)
        .iter()
        .map(|line| {
            let line = must_parse(line.as_bytes());
            ["expireAt", "idle", "freq"].map(|name| line.get(name).map(Json::int))
        })
        .collect();
    let wanted = [
        [Some(1_800_000_000_123), None, None],
        [Some(1_800_000_000_000), None, None],
        [None, Some(100), None],
        [None, None, Some(200)],
        [Some(-5), Some(7), None],
        [None; 3],
    ];
    assert_eq!(told, wanted);
}

#[test]
fn repeated_aux_fields_become_pairs() {
    let bytes = dump(9, &[aux(b"lua", b"return 1"), aux(b"lua", b"return 2"), aux(b"\xff", b"\xfe")]);
    let document = must_parse(&export(&bytes, &[]).stdout);
    let pairs: Vec<_> = document.at("aux").items().iter().map(|p| crate::truth::exported(&p.items()[1])).collect();
    assert_eq!(pairs, [b"return 1".to_vec(), b"return 2".to_vec(), b"\xfe".to_vec()]);
}

#[test]
fn a_filter_thins_the_lines_and_the_count() {
    let ran = run(["export", TUTORIAL, "--key", "hat:*"]).ok();
    let document = must_parse(&ran.stdout);
    assert_eq!(document.at("keys").items().len(), 3);
    assert_eq!(document.at("end").at("keys").int(), 3);
    let none = must_parse(&run(["export", TUTORIAL, "--db", "9"]).ok().stdout);
    assert_eq!(none.at("keys").items().len(), 0);
}

#[test]
fn csv_begins_with_its_heads() {
    let ran = run(["export", TUTORIAL, "--format", "csv"]).ok();
    let mut lines = ran.out().lines();
    let heads = lines.next().unwrap();
    assert!(heads.contains("key") && heads.contains("type") && !heads.contains("Norway"), "{ran}");
    assert_eq!(lines.clone().count(), 11, "a row a key: {ran}");
    let columns = heads.matches(',').count();
    assert!(lines.all(|line| line.matches(',').count() == columns), "{ran}");
}

#[test]
fn csv_can_have_a_row_an_element() {
    let ran = run(["export", TUTORIAL, "--format", "csv", "--elements"]).ok();
    assert_eq!(ran.out().lines().count(), 1 + 6 + 2 * 3 + 3 * 5, "{ran}");
    assert!(ran.out().contains("https://fixes.co.za/"), "{ran}");
}

#[test]
fn resp_begins_with_its_database() {
    let ran = run(["export", TUTORIAL, "--format", "resp"]).ok();
    assert!(ran.stdout.starts_with(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"), "{ran}");
    assert_eq!(commands(&ran.stdout).len(), 2 + 11, "two databases, a command a key");
    let restored = run(["export", TUTORIAL, "--format", "resp", "--restore"]).ok();
    let words: Vec<Vec<u8>> = commands(&restored.stdout).into_iter().map(|mut words| words.swap_remove(0)).collect();
    assert_eq!(words.iter().filter(|word| *word == b"RESTORE").count(), 11);
}

/// Reads commands, strictly.
fn commands(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let words = number(&mut bytes, b'*');
        let word = |bytes: &mut &[u8]| {
            let len = number(bytes, b'$');
            let (word, rest) = bytes.split_at(len);
            *bytes = rest.strip_prefix(b"\r\n").expect("CR LF behind a word");
            word.to_vec()
        };
        commands.push((0..words).map(|_| word(&mut bytes)).collect());
    }
    commands
}

fn number(bytes: &mut &[u8], mark: u8) -> usize {
    let end = bytes.windows(2).position(|w| w == b"\r\n").expect("CR LF");
    assert_eq!(bytes[0], mark);
    let digits = std::str::from_utf8(&bytes[1..end]).unwrap();
    *bytes = &bytes[end + 2..];
    digits.parse().unwrap()
}

#[test]
fn csv_and_resp_are_the_same_with_any_number_of_threads() {
    for case in [case("redis-2.4.18", "big"), case("redis-8.10.2", "array"), case("valkey-9.1.2", "slot_import")] {
        for format in [&["csv"][..], &["csv", "--elements"], &["resp"], &["resp", "--restore"]] {
            let args = [&["export", "--format"], format].concat();
            let one = run(&args).args(["--threads", "1"]).args([&case.path]).ok().stdout;
            assert!(
                run(&args).args(["--threads", "4"]).args([&case.path]).ok().stdout == one,
                "{} {format:?}",
                case.id()
            );
        }
    }
}

#[test]
fn options_of_one_format_do_not_go_with_another() {
    for args in
        [&["--elements"][..], &["--format", "ndjson", "--elements"], &["--format", "csv", "--restore"], &["--restore"]]
    {
        let said = run(["export", TUTORIAL]).args(args).refuses();
        assert!(said.contains("goes with --format"), "{said}");
    }
    assert_eq!(run(["export", TUTORIAL, "--format", "xml"]).fails_with(2).stdout, b"");
}

#[test]
fn keys_before_damage_are_exported_and_counted() {
    let (_folder, path) = file("dump.rdb", &tutorial()[..400]);
    let ran = run(["export", "--format", "ndjson"]).args([&path]).fails_with(2);
    let keys = ran.out().lines().filter(|line| line.starts_with("{\"db\":")).count();
    assert!(keys > 0 && !ran.out().contains("\"end\""), "{ran}");
    assert!(ran.err().contains("offset 400") && ran.err().contains(&format!("{keys} keys")), "{ran}");
}

#[test]
fn commands_behind_the_rdb_part_are_not_left_out_in_silence() {
    // A dump that does not call itself an append-only file.
    let (_folder, path) = file("dump.rdb", &[tutorial().as_slice(), b"*1\r\n$8\r\nFLUSHALL\r\n"].concat());
    let file = path.to_str().unwrap();
    for args in [["export", "-f", "ndjson", file], ["keys", "-f", "tsv", file]] {
        let said = run(args).fails_with(0).one_line();
        assert!(said.ends_with("only its RDB part was read; 18 bytes of commands follow it"), "{said}");
    }
}
