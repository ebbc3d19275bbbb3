//! `rdbkit check`.

use std::io::Cursor;

use rdbkit::model::{RdbType, Record, Scratch};
use rdbkit::rdb::Reader;

use crate::corpus::case;
use crate::dumps::{dump, hash, reseal, string};
use crate::harness::{TUTORIAL, file, run, shell, tutorial};
use crate::json::{Json, must_parse};

#[test]
fn a_sound_dump_is_exit_code_0() {
    let ran = run(["check", TUTORIAL]).ok();
    assert!(ran.out().starts_with("testdata/tutorial.rdb: sound, 11 keys"), "{ran}");
    assert_eq!(ran.out().lines().count(), 1, "{ran}");
    let report = must_parse(&run(["check", "--json", TUTORIAL]).ok().stdout);
    assert_eq!(*report.at("sound"), Json::Bool(true));
    assert_eq!((report.at("keys").int(), report.at("size").int()), (11, 686));
    assert_eq!(report.at("checksum").str(), "ok");
}

#[test]
fn a_wrong_checksum_is_damage() {
    let mut bytes = tutorial();
    *bytes.last_mut().unwrap() ^= 0x80;
    let (_folder, path) = file("dump.rdb", &bytes);
    let ran = run(["check"]).args([&path]).fails_with(1);
    assert!(ran.out().contains("checksum") && ran.out().contains("wrong"), "{ran}");
    assert!(ran.stderr.is_empty(), "{ran}");
    let report = must_parse(&run(["check", "--json"]).args([&path]).fails_with(1).stdout);
    assert_eq!((report.at("sound"), report.at("checksum").str()), (&Json::Bool(false), "wrong"));
    assert_eq!(report.at("errors").items().len(), 1);
    assert_eq!(report.at("errors").items()[0].at("offset").int(), 678);
}

#[test]
fn a_wrong_checksum_stops_an_export_that_does_not_look_away() {
    let mut bytes = tutorial();
    *bytes.last_mut().unwrap() ^= 1;
    let (folder, path) = file("dump.rdb", &bytes);
    let out = folder.path().join("out.json");
    let said = run(["export"]).args([&path]).args(["-o"]).args([&out]).refuses();
    assert!(said.contains("wrong checksum"), "{said}");
    assert!(!out.exists());
    let looked_away = run(["export", "--no-verify"]).args([&path]).ok();
    assert_eq!(looked_away.stdout, run(["export", TUTORIAL]).ok().stdout);
}

#[test]
fn a_checksum_of_zero_is_none() {
    let mut bytes = tutorial();
    let body = bytes.len() - 8;
    bytes[body..].fill(0);
    let (_folder, path) = file("dump.rdb", &bytes);
    let ran = run(["check"]).args([&path]).ok();
    assert!(ran.out().contains("checksum off"), "{ran}");
    run(["export"]).args([&path]).ok();
}

/// The last byte of a listpack that stands in the file as it is in memory: key, and where the byte is.
struct Terminator {
    key: String,
    at: usize,
}

/// A dump without compression and checksum, and the ends of its small sorted set and its small hash, in file order.
fn uncompressed() -> (Vec<u8>, Vec<Terminator>) {
    let bytes = case("redis-8.10.2", "nocompress").bytes();
    let mut found = Vec::new();
    let mut reader = Reader::new(Box::new(Cursor::new(bytes.clone()))).unwrap();
    let visit = |record: Record<'_>, _: &mut Scratch| {
        if let Record::Entry(entry) = record
            && [RdbType::HashListpack, RdbType::ZsetListpack].contains(&entry.value.rdb_type)
        {
            let at = usize::try_from(entry.offset + entry.size - 1).unwrap();
            found.push(Terminator { key: String::from_utf8(entry.key.to_vec()).unwrap(), at });
        }
        Ok(())
    };
    reader.each(visit).unwrap();
    assert!(found.len() == 2 && found.iter().all(|end| bytes[end.at] == 0xff));
    (bytes, found)
}

#[test]
fn every_damaged_value_is_listed() {
    // This file has no checksum; all that can be found is found in the values.
    let (mut bytes, ends) = uncompressed();
    ends.iter().for_each(|end| bytes[end.at] = 0);
    let (_folder, path) = file("dump.rdb", &bytes);
    let ran = run(["check"]).args([&path]).fails_with(1);
    for Terminator { key, .. } in &ends {
        let line = ran.out().lines().find(|line| line.contains(&format!("key \"{key}\"")));
        assert!(line.is_some_and(|line| line.contains("offset ") && line.contains("malformed")), "{key}: {ran}");
    }
    assert_eq!(ran.out().lines().count(), 3, "an error a line, and the verdict: {ran}");
    assert!(ran.out().contains(": 2 errors, 11 keys walked"), "{ran}");
}

#[test]
fn errors_as_json_name_key_and_place() {
    let (mut bytes, ends) = uncompressed();
    ends.iter().for_each(|end| bytes[end.at] = 0);
    let (_folder, path) = file("dump.rdb", &bytes);
    let one = run(["check", "--json", "--threads", "1"]).args([&path]).fails_with(1);
    assert_eq!(run(["check", "--json", "--threads", "4"]).args([&path]).fails_with(1).stdout, one.stdout);
    let report = must_parse(&one.stdout);
    assert_eq!(*report.at("complete"), Json::Bool(true));
    let errors = report.at("errors").items();
    assert_eq!(errors.len(), ends.len());
    for (error, end) in errors.iter().zip(&ends) {
        assert_eq!((error.at("key").str(), error.at("db").int()), (end.key.as_str(), 0));
        assert!(usize::try_from(error.at("offset").int()).unwrap() <= end.at, "{error:?}");
    }
}

#[test]
fn a_cut_in_a_huge_value_names_its_key() {
    // A string of 80 MB, of which 70 are there, most of them a hole of the file system's.
    let huge = [b"REDIS0009\0\x05small\x01v\0\x04huge\x80".as_slice(), &80_000_000_u32.to_be_bytes()].concat();
    let (_folder, path) = file("dump.rdb", &huge);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(70_000_000).unwrap();
    let ran = run(["check"]).args([&path]).fails_with(1);
    let said = "db 0, key \"huge\", malformed length: it goes 10,000,029 bytes beyond the end of the file";
    assert!(ran.out().contains(said), "{ran}");
    let ran = shell("rdbkit check - < \"$1\"").args(["sh"]).args([&path]).fails_with(1);
    assert!(ran.out().contains("offset 70000000, db 0, key \"huge\", the input ends here"), "{ran}");
}

#[test]
fn damage_in_a_value_does_not_stop_other_commands_that_need_not_look_inside() {
    let (mut bytes, ends) = uncompressed();
    bytes[ends[0].at] = 0;
    let (_folder, path) = file("dump.rdb", &bytes);
    run(["info"]).args([&path]).ok();
    let ran = run(["export"]).args([&path]).fails_with(2);
    assert!(ran.err().contains("malformed"), "{ran}");
}

#[test]
fn a_filter_narrows_what_is_checked() {
    let (mut bytes, ends) = uncompressed();
    bytes[ends[0].at] = 0;
    let (_folder, path) = file("dump.rdb", &bytes);
    run(["check"]).args([&path]).args(["--type", "zset"]).fails_with(1);
    run(["check"]).args([&path]).args(["--type", "hash,string"]).ok();
}

#[test]
fn a_cut_dump_is_damaged_where_it_is_cut() {
    let bytes = tutorial();
    for len in [9, 100, 300, 677, 685] {
        let (_folder, path) = file("dump.rdb", &bytes[..len]);
        let report = must_parse(&run(["check", "--json"]).args([&path]).fails_with(1).stdout);
        assert_eq!((report.at("sound"), report.at("complete")), (&Json::Bool(false), &Json::Bool(false)), "{len}");
        assert_eq!(report.at("errors").items()[0].at("offset").int() as usize, len);
        let ran = run(["check"]).args([&path]).fails_with(1);
        assert!(ran.out().contains(&format!("offset {len}")), "{ran}");
    }
}

#[test]
fn what_follows_the_end_is_told() {
    let (_folder, path) = file("dump.rdb", &[tutorial(), b"and more".to_vec()].concat());
    let ran = run(["check"]).args([&path]).go();
    assert!(ran.out().contains("8 ") && ran.out().contains("behind its end"), "{ran}");
    let report = must_parse(&run(["check", "--json"]).args([&path]).go().stdout);
    assert_eq!((report.at("trailingBytes").int(), report.at("size").int()), (8, 686));
}

#[test]
fn damage_that_hides_the_next_record_ends_the_walk() {
    let mut bytes = tutorial();
    let at = bytes.windows(9).position(|w| w == b"\x00\x06Norway\x04").unwrap();
    // A length that no string has.
    bytes[at + 8] = 0xbf;
    reseal(&mut bytes);
    let (_folder, path) = file("dump.rdb", &bytes);
    let report = must_parse(&run(["check", "--json"]).args([&path]).fails_with(1).stdout);
    assert_eq!(*report.at("complete"), Json::Bool(false));
    let error = &report.at("errors").items()[0];
    assert_eq!((error.at("key").str(), error.at("db").int()), ("Norway", 0), "{error:?}");
}

#[test]
fn every_byte_of_a_listpack_counts() {
    // Each change inside a value whose bounds are known is one error of that value, or none if it is sound as well.
    let record = |blob: &[u8]| [vec![16, 1, b'k', blob.len() as u8], blob.to_vec()].concat();
    let sound = b"\x0d\0\0\0\x02\0\x81f\x02\x81v\x02\xff";
    let (_folder, path) = file("dump.rdb", &dump(11, &[record(sound)]));
    run(["check"]).args([&path]).ok();
    for at in [0, 4, 6, 8, 9, 11, 12] {
        let mut blob = sound.to_vec();
        blob[at] = blob[at].wrapping_add(1);
        let (_folder, path) = file("dump.rdb", &dump(11, &[record(&blob), string(b"after", b"1")]));
        let report = must_parse(&run(["check", "--json"]).args([&path]).fails_with(1).stdout);
        assert_eq!((report.at("keys").int(), report.at("errors").items().len()), (2, 1), "byte {at}: {report:?}");
    }
}

#[test]
fn an_empty_dump_and_an_empty_hash_can_be_checked() {
    let (_folder, path) = file("dump.rdb", &dump(11, &[]));
    assert!(run(["check"]).args([&path]).ok().out().contains("0 keys"));
    let (_folder, path) = file("dump.rdb", &dump(11, &[hash(b"h", &[])]));
    // Whether this is an error may be argued about; that it is walked may not.
    assert!(matches!(run(["check"]).args([&path]).go().code, Some(0 | 1)));
}
