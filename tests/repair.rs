//! `rdbkit repair`.

use rdbkit::rdb::Reader;

use crate::damage::{self, Bench, is_full};
use crate::dumps::{dump, hash, items, select, string, text};
use crate::harness::{TUTORIAL, file, folder, names, read, run, tutorial};
use crate::json::{Json, must_parse};
use crate::live::{Reply, installed};

/// Repairs these bytes; gives what it said and what it wrote.
fn repair(bytes: &[u8], args: &[&str]) -> (crate::harness::Ran, Vec<u8>) {
    let (folder, path) = file("dump.rdb", bytes);
    let out = folder.path().join("out.rdb");
    let ran = run(["repair"]).args(args).args([&path]).args(["-o"]).args([&out]).go();
    assert_eq!(read(&path), bytes, "the input is never touched");
    let written = if out.exists() { read(&out) } else { Vec::new() };
    assert!(written.is_empty() || run(["check", "--deep"]).args([&out]).go().code == Some(0), "{ran}");
    (ran, written)
}

fn keys(bytes: &[u8]) -> Vec<String> {
    let (_folder, path) = file("dump.rdb", bytes);
    let ran = run(["keys", "--format", "tsv"]).args([path]).ok();
    ran.out().lines().skip(1).map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(":")).collect()
}

#[test]
fn a_sound_dump_stays_as_it_is() {
    let (ran, written) = repair(&tutorial(), &[]);
    assert!(ran.code == Some(0) && ran.out().contains("11 keys kept, ") && ran.out().contains("nothing lost"), "{ran}");
    assert_eq!(keys(&written), keys(&tutorial()));
}

#[test]
fn fields_of_a_hash_do_not_become_keys() {
    // A field that does not expire looks like a string's record, in hashes with field expiries.
    let bytes = crate::corpus::case("redis-7.4.1", "hfe").bytes();
    let sound = keys(&bytes);
    let damaged = (12_000..bytes.len()).step_by(997).map(|at| bytes[..at].to_vec());
    let overwritten = [13_000, 15_322, 18_693].map(|at| {
        let mut bytes = bytes.clone();
        bytes[at..at + 10].fill(0xaf);
        bytes
    });
    for bytes in damaged.chain(overwritten) {
        let kept = keys(&repair(&bytes, &[]).1);
        let invented: Vec<_> = kept.iter().filter(|key| !sound.contains(key)).collect();
        assert!(!kept.is_empty() && invented.len() <= 1, "{invented:?}");
    }
}

#[test]
fn a_flipped_byte_is_put_back_as_the_checksum_says() {
    let sound = tutorial();
    for at in [0, 6, 20, 150, 400, 600, 677, 680] {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x24;
        let (ran, written) = repair(&bytes, &[]);
        assert_eq!(ran.code, Some(0), "byte {at}: {ran}");
        assert!(ran.out().contains(&format!("1 byte at offset {at} put back")), "{ran}");
        assert_eq!(written, repair(&sound, &[]).1, "byte {at}");
    }
    let mut bytes = sound;
    bytes[150] ^= 0x24;
    let (ran, _) = repair(&bytes, &["--json"]);
    let report = must_parse(&ran.stdout);
    assert_eq!(report.at("restored").at("offset").int(), 150);
    assert_eq!((report.at("restored").at("xor").str(), report.at("checksum").str()), ("24", "ok"));
}

#[test]
fn a_cut_dump_is_closed_behind_its_last_whole_key() {
    let bytes = tutorial();
    let (ran, written) = repair(&bytes[..400], &[]);
    assert!(ran.code == Some(1) && ran.out().contains("it has no end"), "{ran}");
    let all = keys(&bytes);
    let kept = keys(&written);
    assert!(kept.len() >= 5 && all.starts_with(&kept), "{kept:?}");
    assert!(ran.out().contains(&format!("{} keys kept", kept.len())), "{ran}");
    let report = must_parse(&repair(&bytes[..400], &["--json"]).0.stdout);
    assert_eq!((report.at("closed"), report.at("complete")), (&Json::Bool(false), &Json::Bool(false)));
    assert_eq!(report.at("missing").int() as usize, all.len() - kept.len());
}

/// Where the records of a dump end.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut reader = Reader::new(Box::new(std::io::Cursor::new(bytes.to_vec()))).unwrap();
    let (mut batch, mut ends) = (reader.batch(), Vec::new());
    while reader.fill(&mut batch).unwrap() {
        ends.extend((0..batch.len()).map(|i| batch.offset_of(i) as usize + batch.unit_bytes(i).len()));
    }
    ends
}

#[test]
fn a_cut_costs_no_key_before_it_and_makes_none() {
    let bench = Bench::new();
    let mut wrong = Vec::new();
    for case in crate::corpus::cases().iter().filter(|case| case.name == "small") {
        let bytes = case.bytes();
        let ((whole, starts), ends) = (damage::keys(&bytes).unwrap(), ends(&bytes));
        let end_of = |start: usize| ends[ends.partition_point(|end| *end <= start)];
        // A value that ends as dumps do stands as far from this cut as if a checksum followed.
        let found = Some(8830).filter(|at| *at < bytes.len());
        let step = if is_full() { 1 } else { bytes.len() / 60 };
        for at in (9..bytes.len()).step_by(step).chain(found) {
            let before = starts.iter().filter(|(start, _)| end_of(*start) <= at).count();
            let after = bench.repair_of(&bytes[..at]).map(|made| damage::keys(&made).unwrap().0).unwrap_or_default();
            let same = after.iter().filter(|(key, all)| whole.get(*key) == Some(*all)).count();
            if (same, after.len()) != (before, before) {
                wrong.push(format!("{} cut at {at}: {same} of {before} keys, {} in all", case.id(), after.len()));
            }
        }
    }
    // Of all cuts of all dumps, one is known to make a key of what is left of a stream.
    wrong.retain(|cut| !cut.starts_with("redis-8.10.2/small cut at 9330: 68 of 68 keys, 69 in all"));
    assert!(wrong.is_empty(), "{} cuts:\n{}", wrong.len(), wrong.join("\n"));
}

/// Keys enough that two are easily told from what is no key, and one among them that is not sound.
fn with_bad(bad: Vec<u8>) -> Vec<u8> {
    let mut records: Vec<Vec<u8>> = (0..20).map(|i| string(format!("user:{i}").as_bytes(), b"somebody")).collect();
    records.insert(10, bad);
    dump(11, &records)
}

#[test]
fn a_bad_value_is_left_out_and_kept_in_the_quarantine() {
    let bad = [&[20, 3][..], b"bad", &text(b"\x0d\0\0\0\x02\0\x81a\x02\x81a\x02\xff")].concat();
    let bytes = with_bad(bad.clone());
    let folder = folder();
    let lost = folder.path().join("lost.ndjson");
    let (ran, written) = repair(&bytes, &["--quarantine", lost.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.out().starts_with("lost: offset ") && ran.out().contains("db 0, key \"bad\": malformed set"), "{ran}");
    assert_eq!(keys(&written).len(), 20);
    let lines = read(&lost);
    let line = must_parse(lines.strip_suffix(b"\n").unwrap());
    assert_eq!((line.at("key").str(), line.at("bytes").int() as usize), ("bad", bad.len()));
    let raw = String::from_utf8(lines).unwrap();
    use base64::Engine;
    assert!(raw.contains(&base64::engine::general_purpose::STANDARD.encode(&bad)), "{raw}");
}

#[test]
fn elements_that_can_be_read_are_kept_on_demand() {
    // The last element's back length is wrong. Whatever was written over it may begin in the one before.
    let list = b"\x13\0\0\0\x04\0\x81a\x02\x81b\x02\x81c\x02\x81d\x09\xff";
    let bad = [&[20, 3][..], b"bad", &text(list)].concat();
    let bytes = with_bad(bad);
    assert_eq!(keys(&repair(&bytes, &[]).1).len(), 20);
    let (ran, written) = repair(&bytes, &["--salvage-elements"]);
    let said = "2 elements kept of the 4 that it is said to have";
    assert!(ran.code == Some(1) && ran.out().contains("changed: ") && ran.out().contains(said), "{ran}");
    assert_eq!(keys(&written).len(), 21);
}

/// A dump of one key that a real server saved uncompressed, with the element damaged that begins with this text, and no checksum.
fn saved_with_damage(fill: &str, near: &[u8]) -> Vec<u8> {
    let mut server = installed("redis-7.0.15").start_as(&["--rdbcompression", "no"]);
    server.ask("EVAL", &[fill.as_bytes(), b"0"]);
    let mut bytes = read(&server.save());
    let at = memchr::memmem::find(&bytes, near).unwrap();
    // Its encoding, and the first byte.
    bytes[at - 1..at + 1].fill(0xee);
    let end = bytes.len() - 8;
    bytes[end..].fill(0);
    bytes
}

#[test]
fn what_stands_behind_damage_is_kept_where_it_can_be_told() {
    let ask = |bytes: &[u8], command: &str| {
        let (ran, written) = repair(bytes, &["--salvage-elements"]);
        assert!(ran.out().contains("changed: "), "{ran}");
        let (_folder, path) = file("out.rdb", &written);
        let mut server = installed("redis-7.0.15").start_with(&path);
        server.ask(command, &[]).items().to_vec()
    };
    let list = "for i = 1, 5000 do redis.call('RPUSH', 'k', 'item-' .. i .. '-') end";
    let items = ask(&saved_with_damage(list, b"item-2500-"), "LRANGE k 0 -1");
    let want: Vec<Reply> = (1..=5000_i32)
        .filter(|i| i.abs_diff(2500) > 1)
        .map(|i| Reply::Text(format!("item-{i}-").into_bytes()))
        .collect();
    assert!(items == want, "{} of 4997 items", items.len());
    let hash = "for i = 1, 100 do redis.call('HSET', 'k', 'name-' .. i .. '-', i) end";
    let fields = ask(&saved_with_damage(hash, b"name-50-"), "HGETALL k");
    assert_eq!(fields.len(), 2 * 98);
    let zset = "for i = 1, 100 do redis.call('ZADD', 'k', i / 2, 'm-' .. i .. '-') end";
    let members = ask(&saved_with_damage(zset, b"m-50-"), "ZRANGE k 0 -1 WITHSCORES");
    assert_eq!(members.len(), 2 * 98);
    let stream = "for i = 1, 1000 do redis.call('XADD', 'k', i .. '-1', 'f', 'value-' .. i .. '-') end
        redis.call('XGROUP', 'CREATE', 'k', 'g', '0') redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 5, 'STREAMS', 'k', '>')";
    let bytes = saved_with_damage(stream, b"value-450-");
    let entries = ask(&bytes, "XRANGE k - +");
    // The others of its node that stand behind it go with it.
    assert!((900..1000).contains(&entries.len()), "{}", entries.len());
    assert_eq!(ask(&bytes, "XPENDING k g - + 10").len(), 5);
}

#[test]
fn a_row_of_elements_goes_on_behind_damage() {
    let mut server = installed("redis-6.2.14").start();
    let fill =
        "for i = 1001, 2000 do redis.call('HSET', 'k', 'field-' .. i .. '-', string.rep('value-' .. i .. ' ', 20)) end";
    server.ask("EVAL", &[fill.as_bytes(), b"0"]);
    let want: Vec<Reply> = server.ask("HGETALL k", &[]).items().to_vec();
    let mut sound = read(&server.save());
    let end = sound.len() - 8;
    sound[end..].fill(0);
    let name = memchr::memmem::find(&sound, b"field-1500-").unwrap();
    let value = name + b"field-1500-".len();
    assert_eq!(sound[value], 0xc3, "the value is compressed");
    // What the value's length is said to be; and a length of the row itself.
    for (at, missing) in [(value + 3, 1), (name - 1, 20)] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        let (ran, written) = repair(&bytes, &["--salvage-elements"]);
        assert!(
            ran.code == Some(1) && ran.out().contains("elements kept of the 1000 that it is said to have"),
            "{ran}"
        );
        let (_folder, path) = file("out.rdb", &written);
        let kept: Vec<Reply> = installed("redis-6.2.14").start_with(&path).ask("HGETALL k", &[]).items().to_vec();
        let is_saved = |pair: &&[Reply]| want.chunks(2).any(|saved| saved == *pair);
        assert_eq!(kept.chunks(2).filter(is_saved).count(), kept.len() / 2);
        assert!((2 * (1000 - missing)..2000).contains(&kept.len()), "{} kept", kept.len());
    }
}

#[test]
fn records_are_found_again_behind_bytes_that_are_none() {
    let bytes = with_bad(b"\x63 this is no record of any kind \x00\x01\x02".to_vec());
    let (ran, written) = repair(&bytes, &[]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.out().contains("lost: offset ") && ran.out().contains("the next record is certain"), "{ran}");
    assert_eq!(keys(&written).len(), 20, "{ran}");
}

#[test]
fn a_length_that_swallows_what_follows_costs_one_key() {
    // A string of 9 bytes that says it has 9 + 64 * 256.
    let mut records: Vec<Vec<u8>> = (0..900).map(|i| string(format!("user:{i}").as_bytes(), b"some body")).collect();
    let at = records[5].len() - 10;
    records[5].splice(at..=at, [0x40 | 8, 9]);
    let (ran, written) = repair(&dump(11, &records), &[]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert_eq!(keys(&written).len(), 899, "{ran}");
}

#[test]
fn of_keys_that_stand_twice_one_is_kept_or_both() {
    let records =
        [string(b"a", b"first"), string(b"b", b"x"), string(b"a", b"second"), select(1), string(b"a", b"elsewhere")];
    let bytes = dump(11, &records);
    let value = |written: &[u8], key: &str| {
        let (_folder, path) = file("dump.rdb", written);
        run(["get", "--raw", "--db", "0"]).args([path]).args([key]).ok().out().trim_end().to_owned()
    };
    for (how, code, want) in [("first", 1, "first"), ("last", 1, "second"), ("rename", 0, "first")] {
        let (ran, written) = repair(&bytes, &["--duplicates", how]);
        assert_eq!(ran.code, Some(code), "{how}: {ran}");
        assert_eq!(value(&written, "a"), want, "{how}");
        assert!(ran.out().contains("db 0, key \"a\": the key stands twice"), "{ran}");
        if how == "rename" {
            assert_eq!(value(&written, "a:duplicate-2"), "second");
        }
    }
    let bytes = dump(11, &records);
    let said = run(["repair", "-", "-o", "x", "--duplicates", "last"]).stdin(&bytes).refuses();
    assert!(said.contains("standard input"), "{said}");
}

#[test]
fn empty_collections_are_dropped_or_kept() {
    let bytes = dump(11, &[items(2, b"nothing", &[]), hash(b"h", &[(b"f", b"v")])]);
    let (ran, written) = repair(&bytes, &[]);
    assert!(ran.code == Some(0) && ran.out().contains("dropped: ") && ran.out().contains("set: it is empty"), "{ran}");
    assert_eq!(keys(&written), ["0:h"]);
    let (folder, path) = file("dump.rdb", &bytes);
    let out = folder.path().join("out.rdb");
    run(["repair", "--keep-empty"]).args([&path]).args(["-o"]).args([&out]).ok();
    assert_eq!(keys(&read(&out)), ["0:nothing", "0:h"]);
}

#[test]
fn a_damaged_header_is_guessed_from_what_is_behind_it() {
    let mut bytes = tutorial();
    bytes[..9].copy_from_slice(b"REDxS00\xff9");
    let (ran, written) = repair(&bytes, &[]);
    assert!(ran.code == Some(0) && ran.out().contains("taken for REDIS0009"), "{ran}");
    assert_eq!((&written[..9], keys(&written)), (&b"REDIS0009"[..], keys(&tutorial())));
    let said = run(["repair", "-", "-o", "x"]).stdin(b"this is a letter to my aunt, and no dump").refuses();
    assert!(said.contains("not an RDB file"), "{said}");
}

#[test]
fn the_output_appears_when_it_is_complete_and_replaces_nothing_unasked() {
    let (folder, path) = file("dump.rdb", &tutorial());
    let out = folder.path().join("out.rdb");
    std::fs::write(&out, "precious").unwrap();
    let said = run(["repair"]).args([&path]).args(["-o"]).args([&out]).refuses();
    assert!(said.contains("--force"), "{said}");
    assert_eq!(read(&out), b"precious");
    run(["repair", "--force"]).args([&path]).args(["-o"]).args([&out]).ok();
    assert_eq!(names(folder.path()), ["dump.rdb", "out.rdb"]);
}

#[test]
fn standard_input_and_every_number_of_threads_do() {
    let mut bytes = with_bad(b"\x63 this is no record of any kind \x00\x01\x02".to_vec());
    let body = bytes.len() - 8;
    bytes[body..].fill(0);
    let (one, written) = repair(&bytes, &["--threads", "1"]);
    for threads in ["2", "4"] {
        let (ran, other) = repair(&bytes, &["--threads", threads]);
        assert_eq!((lines(&ran), other), (lines(&one), written.clone()));
    }
    let folder = folder();
    let out = folder.path().join("out.rdb");
    run(["repair", "-", "-o"]).args([&out]).stdin(&bytes).fails_with(1);
    assert_eq!(read(&out), written);
    run(["repair", TUTORIAL, "-o"]).args([folder.path().join("t.rdb")]).ok();
}

/// What was said of single records; the rest names files.
fn lines(ran: &crate::harness::Ran) -> Vec<String> {
    ran.out().lines().filter(|line| line.contains("offset")).map(str::to_owned).collect()
}

#[test]
fn commands_behind_the_end_are_told_not_dropped_in_silence() {
    let bytes = [tutorial(), b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".to_vec()].concat();
    let (ran, written) = repair(&bytes, &[]);
    assert!(ran.code == Some(1) && ran.out().contains("commands of an append-only file follow it"), "{ran}");
    assert_eq!(keys(&written).len(), 11);
}

#[test]
fn hostile_bytes_neither_hang_nor_crash_it() {
    let header = b"REDIS0011".to_vec();
    for fill in [b"\0".repeat(1 << 20), b"\x02\x01a\x80\x0f\xff\xff\xff\0\0\0".repeat(1 << 16), b"\xff".repeat(1 << 20)]
    {
        let (ran, written) = repair(&[header.clone(), fill].concat(), &[]);
        assert!(matches!(ran.code, Some(0 | 1)), "{ran}");
        assert!(!written.is_empty());
    }
}
