//! RDB files that are written: copies, conversions, merges, parts, and what JSON becomes.

use std::path::Path;

use crate::corpus::cases;
use crate::dumps::{dump, expiring, hash, items, select, string};
use crate::harness::{Ran, TUTORIAL, file, folder, names, read, run, testdata};
use crate::live::{Server, installed};

/// The lines of keys in an NDJSON export of a file.
fn keys_of(path: &Path) -> Vec<String> {
    let ran = run(["export", "--format", "ndjson"]).args([path]).ok();
    let lines = ran.out().lines().filter(|line| line.starts_with("{\"db\":"));
    lines.map(str::to_owned).collect()
}

/// Converts files with these arguments; returns the keys of what comes of it.
fn convert(args: &[&str], files: &[&Path]) -> Vec<String> {
    let folder = folder();
    let out = folder.path().join("out.rdb");
    let ran = run(["convert", "-q", "-o"]).args([&out]).args(args).args(files).go();
    assert_eq!(ran.code, Some(0), "{ran}");
    run(["check", "-q"]).args([&out]).ok();
    keys_of(&out)
}

/// A conversion that must fail: what it says, and that it leaves nothing.
fn fails(args: &[&str], files: &[&Path], code: i32) -> Ran {
    let folder = folder();
    let ran = run(["convert", "-o"]).args([folder.path().join("out.rdb")]).args(args).args(files).fails_with(code);
    assert_eq!(names(folder.path()), [""; 0], "{ran}");
    ran
}

#[test]
fn without_options_a_copy_is_the_same_byte_for_byte() {
    let folder = folder();
    let copy = folder.path().join("copy.rdb");
    for case in cases() {
        for threads in ["1", "4"] {
            run(["convert", "-q", "--force", "--threads", threads, "-o"]).args([&copy, &case.path]).ok();
            assert!(case.bytes() == read(&copy), "{} is not the same", case.id());
        }
    }
}

#[test]
fn a_backup_comes_back_to_the_byte() {
    let folder = folder();
    let [backup, one, many] = ["backup", "one.rdb", "many.rdb"].map(|name| folder.path().join(name));
    let mut wrong = Vec::new();
    for case in cases() {
        for format in ["json", "ndjson"] {
            run(["export", "--force", "--format", format, "-o"]).args([&backup, &case.path]).ok();
            for (threads, out) in [("1", &one), ("4", &many)] {
                run(["import", "-q", "--force", "--threads", threads, "-o"]).args([out, &backup]).ok();
            }
            if read(&one) != read(&many) {
                wrong.push(format!("{} {format}: other bytes with other threads", case.id()));
            }
            if run(["export", "--format", format]).args([&one]).ok().stdout != read(&backup) {
                wrong.push(format!("{} {format}: the backup of what was imported is another", case.id()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn values_written_anew_are_the_same() {
    let folder = folder();
    let anew = folder.path().join("anew.rdb");
    // Modules' own bytes are compressed anew, and so are others in a backup.
    for case in cases().iter().filter(|case| !["modules", "falkordb", "vset"].contains(&case.name.as_str())) {
        for option in ["--recompress", "--no-compress"] {
            run(["convert", "-q", "--force", option, "-o"]).args([&anew, &case.path]).ok();
            assert_eq!(keys_of(&anew), keys_of(&case.path), "{} {option}", case.id());
        }
    }
}

/// Starts a server on what a map of fixtures became.
fn server_with_fixtures(fixtures: &Path, args: &[&str]) -> Server {
    let folder = folder();
    let out = folder.path().join("dump.rdb");
    run(["import", "-q", "-o"]).args([out.as_path(), fixtures]).args(args).ok();
    installed("redis-6.2.14").start_with(&out)
}

#[test]
fn fixtures_arrive_in_a_server() {
    let server = server_with_fixtures(&testdata("fixtures.json"), &[]);
    let says = |args: &[&str]| String::from_utf8(server.client_says(args)).unwrap();
    assert_eq!(says(&["CONFIG", "GET", "rdbcompression"]), "rdbcompression\nyes\n");
    assert_eq!(says(&["DBSIZE"]), "10\n");
    assert_eq!(says(&["GET", "Bahamas"]), "Nassau\n");
    assert_eq!(says(&["GET", "Cameroon"]), "Yaoundé\n");
    assert_eq!(
        says(&["HGETALL", "realpython"]),
        "url\nhttps://realpython.com/\ngithub\nrealpython\nfullname\nReal Python\n"
    );
    assert_eq!(says(&["HMGET", "hat:1236154736", "color", "price", "quantity"]), "maroon\n59.90\n500\n");
    assert_eq!(says(&["LRANGE", "queue", "0", "-1"]), "first\nsecond\n3\n");
    assert_eq!(says(&["INCR", "visits"]), "13\n");
}

#[test]
fn fixtures_get_a_database_and_an_expiry() {
    let mut server = server_with_fixtures(&testdata("fixtures.json"), &["--db", "3", "--ttl", "1h"]);
    server.ask("SELECT", &[b"3"]);
    assert_eq!(server.ask("DBSIZE", &[]).int(), 10);
    let left = server.ask("TTL", &[b"Oslo"]).int();
    assert_eq!(left, -2);
    let left = server.ask("TTL", &[b"Norway"]).int();
    assert!((3500..=3600).contains(&left), "{left}");
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let folder = folder();
    let out = folder.path().join("out.rdb");
    let t = |text: &str, want: &str| {
        let said = run(["import", "-", "-o"]).args([&out]).stdin(text.as_bytes()).refuses();
        assert!(said.contains(want) && said.ends_with("; nothing was written"), "{text}: {said}");
        assert_eq!(names(folder.path()), [""; 0]);
    };
    t("", "it is empty");
    t("hello", "it is nothing that can be imported");
    t("[1]", "line 1, column 1, malformed JSON: no object");
    t("{\n\"a\":1,", "line 2, column 7, malformed JSON: the document ends in the middle");
    t("{\"a\":1}x", "line 1, column 8, malformed JSON: the end must stand here");
    t("{\"a\":\"\\ud800\"}", "line 1, column 7");
    t("{\"a\":\"\u{1}\"}", "a control character");
    t("{\"a\":01}", "line 1, column 6, db 0, key \"a\"");
    t("{\"a\":true}", "key \"a\", malformed value: true, false and null");
    t("{\"a\":{\"b\":[1]}}", "key \"a\", malformed field \"b\"");
    t("{\"a\":1,\"b\":2,\"a\":3}", "key \"a\", the key stands twice");
    t("{\"a\":{\"f\":1,\"f\":2}}", "key \"a\", malformed hash: field \"f\" stands twice");
    t("{\"rdbkit\":2,\"rdb\":{}}", "the backup is of form 2, this rdbkit reads form 1");
    t("{\"rdbkit\":1,\"rdb\":{\"magic\":\"RUDIS\",\"version\":1}}", "there are no RDB files with RUDIS");
    let entry = |entry: &str| format!("{{\"db\":0,\"key\":\"k\",{entry}}}\n");
    t(&entry("\"type\":\"zset\",\"value\":[[\"m\",1e999]]"), "key \"k\", malformed score: the number is out of range");
    t(&entry("\"type\":\"list\",\"value\":{}"), "key \"k\", malformed value: a list is an array here, not an object");
    t(&entry("\"type\":\"hash\",\"value\":{\"a\":5}"), "key \"k\", malformed field \"a\"");
    t(&entry("\"type\":\"set\",\"value\":[\"x\",\"x\"]"), "key \"k\", malformed set: member \"x\" stands twice");
    t(&entry("\"type\":\"sett\",\"value\":[]"), "there is no type \"sett\"");
    t(&entry("\"expireAT\":5,\"value\":\"x\",\"type\":\"string\""), "unknown member \"expireAT\"");
    t(&entry("\"expireAt\":99999999999999999999,\"value\":\"x\""), "expireAt: 99999999999999999999 is out of range");
    t(&entry("\"type\":\"vectorset\",\"value\":{}"), "can only be restored from its raw bytes");
    t(
        &entry(
            "\"type\":\"stream\",\"value\":{\"entries\":[{\"id\":\"5-1\",\"fields\":[]},{\"id\":\"4-1\",\"fields\":[]}],\
              \"lastId\":\"5-1\"}",
        ),
        "key \"k\", malformed stream: entry 4-1 does not come after 5-1",
    );
}

#[test]
fn a_backup_that_was_cut_or_edited_is_refused() {
    let folder = folder();
    let out = folder.path().join("out.rdb");
    for format in ["json", "ndjson"] {
        let backup = run(["export", "--format", format, TUTORIAL]).ok().stdout;
        let refused = |text: &[u8]| {
            let said = run(["import", "-", "-o"]).args([&out]).stdin(text).refuses();
            assert_eq!(names(folder.path()), [""; 0], "{said}");
            said
        };
        for cut in (1..backup.len() - 1).step_by(7) {
            refused(&backup[..cut]);
        }
        let text = String::from_utf8(backup).unwrap();
        let edited = text.replace("Nassau", "nassau");
        assert!(refused(edited.as_bytes()).contains("cut or edited"), "{format}");
        run(["import", "-q", "-", "--no-verify", "-o"]).args([&out]).stdin(edited.as_bytes()).ok();
        assert!(keys_of(&out).iter().any(|line| line.contains("\"nassau\"")));
        std::fs::remove_file(&out).unwrap();
    }
}

/// A dump in which a key stands twice, as no server writes one. Its backup is as it was: the trailer says so, and nothing
/// is compared. Without that word for it, the second one is an error.
#[test]
fn a_trailer_that_is_true_vouches_for_every_key() {
    let twice = crate::faults::strings(3);
    let second = twice.windows(8).position(|bytes| bytes == b"00000002").unwrap();
    let mut twice = twice;
    twice[second + 7] = b'1';
    let folder = folder();
    let [dump, backup, again] = ["twice.rdb", "twice.json", "again.rdb"].map(|name| folder.path().join(name));
    std::fs::write(&dump, &twice).unwrap();
    for format in ["json", "ndjson"] {
        run(["export", "-q", "--format", format]).args([&dump]).args(["--force", "-o"]).args([&backup]).ok();
        run(["import", "-q"]).args([&backup]).args(["--force", "-o"]).args([&again]).ok();
        assert_eq!(keys_of(&again), keys_of(&dump), "{format}");
        assert_eq!(keys_of(&again).iter().filter(|key| key.contains("00000001")).count(), 2, "{format}");
        // So do all who read it as the dump that it would make.
        let listed = run(["keys", "-q"]).args([&backup]).ok();
        assert_eq!(listed.out().matches("00000001").count(), 2, "{format}: {listed}");
        let import = ["import", "-q", "--no-verify", "--force"];
        let ran = run(import).args([&backup]).args(["-o"]).args([&folder.path().join("no.rdb")]).fails_with(2);
        assert!(ran.err().contains("key \"00000001\"") && ran.err().contains("nothing was written"), "{format}: {ran}");
        // A false trailer vouches for nothing.
        let edited = String::from_utf8(read(&backup)).unwrap().replacen("00000000", "00000001", 1);
        let ran = run(["import", "-q", "-", "-o"]).args([&folder.path().join("no.rdb")]).stdin(edited.as_bytes());
        ran.fails_with(2);
        assert_eq!(names(folder.path()).len(), 3, "{format}");
    }
}

#[test]
fn what_a_target_cannot_hold_is_named() {
    let expiring_fields = "{\"db\":0,\"key\":\"k\",\"type\":\"hash\",\"value\":{\"f\":\"v\"},\"fieldExpireAt\":{\"f\":1893456000000}}\n\
                           {\"db\":0,\"key\":\"s\",\"type\":\"string\",\"value\":\"v\"}\n";
    let (place, source) = file("new.rdb", b"");
    run(["import", "-q", "-", "--force", "--target", "redis-8.0", "-o"])
        .args([&source])
        .stdin(expiring_fields.as_bytes())
        .ok();
    let said = fails(&["--target", "redis-7.2"], &[&source], 1);
    assert!(said.err().contains("db 0, key \"k\": left out for expiries of its fields"), "{said}");
    assert!(said.err().contains("1 loss: redis-7.2 cannot hold all of the input; nothing was written"), "{said}");
    let keys = convert(&["--target", "redis-7.2", "--on-loss", "drop"], &[&source]);
    assert_eq!(keys, ["{\"db\":0,\"key\":\"s\",\"type\":\"string\",\"value\":\"v\"}"]);
    let keys = convert(&["--target", "redis-7.2", "--on-loss", "downgrade"], &[&source]);
    assert_eq!(keys[0], "{\"db\":0,\"key\":\"k\",\"type\":\"hash\",\"value\":{\"f\":\"v\"}}");
    // Valkey has expiries of fields too, in a form of its own.
    assert_eq!(convert(&["--target", "valkey-9"], &[&source]), keys_of(&source));
    drop(place);
}

#[test]
fn expiries_that_an_old_target_can_only_hold_in_part_are_named() {
    let (_folder, source) = file(
        "new.rdb",
        &dump(
            9,
            &[
                expiring(1_893_456_000_000, string(b"whole", b"1")),
                expiring(1_893_456_000_123, string(b"part", b"2")),
                expiring(9_000_000_000_000, string(b"late", b"3")),
            ],
        ),
    );
    let said = fails(&["--target", "redis-2.4"], &[&source], 1);
    assert!(said.err().contains("key \"part\": left out for the milliseconds of its expiry"), "{said}");
    assert!(said.err().contains("key \"late\": left out for its expiry, which 32 bits can't hold"), "{said}");
    let keys = convert(&["--target", "redis-2.4", "--on-loss", "downgrade"], &[&source]);
    let at = |key: &str| keys.iter().find(|line| line.contains(key)).unwrap().contains("\"expireAt\":1893456000000");
    assert_eq!([at("whole"), at("part"), at("late")], [true, true, false], "{keys:?}");
}

/// Two small dumps that have a key in common.
fn pair() -> [(tempfile::TempDir, std::path::PathBuf); 2] {
    let one =
        dump(9, &[string(b"a", b"1"), expiring(4_102_444_800_000, string(b"b", b"1")), hash(b"h", &[(b"f", b"v")])]);
    let two = dump(9, &[select(3), items(1, b"l", &[b"x"]), select(0), string(b"b", b"2")]);
    [file("one.rdb", &one), file("two.rdb", &two)]
}

/// The keys alone, each with its database.
fn short(keys: &[String]) -> Vec<String> {
    let key = |line: &String| {
        let (db, rest) = line.strip_prefix("{\"db\":").unwrap().split_once(",\"key\":\"").unwrap();
        format!("{db}:{}", rest.split('"').next().unwrap())
    };
    keys.iter().map(key).collect()
}

#[test]
fn a_merge_has_no_key_twice() {
    let [(_a, one), (_b, two)] = pair();
    let files = [one.as_path(), &two];
    let said = fails(&[], &files, 2);
    assert!(
        said.err().contains("db 0, key \"b\", the key stands twice") && said.err().contains("--on-conflict"),
        "{said}"
    );
    let first = convert(&["--on-conflict", "first"], &files);
    assert_eq!(short(&first), ["0:a", "0:b", "0:h", "3:l"]);
    assert!(first[1].contains("\"value\":\"1\""), "{first:?}");
    let last = convert(&["--on-conflict", "last"], &files);
    assert_eq!(short(&last), ["0:a", "0:h", "3:l", "0:b"]);
    assert!(last[3].contains("\"value\":\"2\""), "{last:?}");
    // Renaming can make two keys one.
    let said = fails(&["--rename", "s/[ab]/c/"], &[&one], 2);
    assert!(said.err().contains("key \"c\", the key stands twice"), "{said}");
}

#[test]
fn keys_are_chosen_renamed_and_moved() {
    let [(_a, one), (_b, two)] = pair();
    let t = |args: &[&str], file: &Path, want: &[&str]| assert_eq!(short(&convert(args, &[file])), want, "{args:?}");
    t(&["--key", "a"], &one, &["0:a"]);
    t(&["--rename", "s/^(.)$/k:$1/"], &one, &["0:k:a", "0:k:b", "0:k:h"]);
    t(&["--prefix-add", "x:"], &one, &["0:x:a", "0:x:b", "0:x:h"]);
    t(&["--prefix-add", "x:", "--prefix-strip", "h", "--prefix-strip", "x"], &one, &["0:x:a", "0:x:b", "0:x:h"]);
    t(&["--db-map", "3:0", "--db-map", "0:5"], &two, &["0:l", "5:b"]);
    t(&["--ttl", "any"], &one, &["0:b"]);
    let expiry = |args: &[&str]| convert(args, &[&one])[1].split("\"expireAt\":").nth(1).map(|at| at[..13].to_owned());
    assert_eq!(expiry(&["--prefix-add", ""]).as_deref(), Some("4102444800000"));
    assert_eq!(expiry(&["--ttl", "shift=+1s"]).as_deref(), Some("4102444801000"));
    assert_eq!(expiry(&["--ttl", "shift=-1s"]).as_deref(), Some("4102444799000"));
    assert_eq!(expiry(&["--ttl", "strip"]), None);
    let past = file("past.rdb", &dump(9, &[expiring(1000, string(b"old", b"1")), string(b"new", b"1")]));
    t(&["--expired", "drop"], &past.1, &["0:new"]);
    let said = run(["keys", "--ttl", "strip", TUTORIAL]).refuses();
    assert!(said.contains("change expiries, which this command does not"), "{said}");
}

#[test]
fn masked_keys_and_values_keep_their_form_alone() {
    let [(_a, one), _] = pair();
    let secret = ["--mask", "a secret"];
    let masked = convert(&secret, &[&one]);
    assert_eq!(masked, convert(&secret, &[&one]), "the same secret gives the same pseudonyms");
    assert_ne!(masked, convert(&["--mask", "another"], &[&one]));
    assert!(masked[1].contains("\"expireAt\":4102444800000"), "{masked:?}");
    let (_folder, users) = file("users.rdb", &dump(9, &[hash(b"user:{7}:anna", &[(b"mail", b"anna@example.org")])]));
    let masked = convert(&secret, &[&users]).concat();
    assert!(masked.contains("\"key\":\"user:{7}:"), "{masked}");
    assert!(!masked.contains("anna") && !masked.contains("mail") && !masked.contains("example"), "{masked}");
    for case in cases().iter().filter(|case| case.name == "small") {
        // Same keys, types, counts: nothing that the servers told apart has become one.
        let (plain, masked) = (keys_of(&case.path), convert(&["--mask", "s", "--on-loss", "drop"], &[&case.path]));
        assert_eq!(plain.len(), masked.len(), "{}", case.id());
    }
}

#[test]
fn modules_are_stripped() {
    for case in cases().iter().filter(|case| case.name == "modules" && !case.server.contains("rc")) {
        let all = keys_of(&case.path);
        let plain = convert(&["--strip-modules", "all"], &[&case.path]);
        let kept: Vec<_> = all.iter().filter(|line| !line.contains("\"type\":\"module\"")).cloned().collect();
        assert!(plain == kept && kept.len() < all.len(), "{}", case.id());
    }
}

#[test]
fn a_server_starts_from_an_append_only_directory() {
    let folder = folder();
    let target = folder.path().join("appendonlydir");
    run(["convert", "-q", TUTORIAL, "--target", "redis-7.0", "--aof-dir"]).args([&target]).ok();
    assert_eq!(names(&target), ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "appendonly.aof.manifest"]);
    let mut server = installed("redis-7.0.15").start_from_aof(&target);
    assert_eq!(server.ask("DBSIZE", &[]).int(), 8);
    assert_eq!(server.ask("GET", &[b"Bahamas"]).text(), b"Nassau");
    let said = run(["convert", TUTORIAL, "--target", "redis-7.0", "--aof-dir"]).args([&target]).refuses();
    assert!(said.contains("exists and is not empty"), "{said}");
}

#[test]
fn parts_are_the_whole() {
    for case in cases().iter().filter(|case| ["multidb", "functions", "big"].contains(&case.name.as_str())) {
        let whole = keys_of(&case.path);
        for args in [&["--shards", "3"][..], &["--slots", "0-99,100-16383"], &["--by-db"], &["--max-size", "20k"]] {
            let folder = folder();
            run(["split", "-q", "-o"]).args([folder.path(), &case.path]).args(args).ok();
            let mut parts = Vec::new();
            for name in names(folder.path()) {
                let path = folder.path().join(name);
                run(["check", "-q"]).args([&path]).ok();
                let functions = |path: &Path| {
                    let header = run(["export"]).args([path]).ok().out().lines().nth(1).unwrap().to_owned();
                    header.starts_with("\"functions\"").then_some(header)
                };
                assert_eq!(functions(&path), functions(&case.path), "{} {args:?}", case.id());
                parts.extend(keys_of(&path));
            }
            let (mut parts, mut whole) = (parts, whole.clone());
            parts.sort();
            whole.sort();
            assert!(parts == whole, "{} {args:?}", case.id());
        }
    }
}

#[test]
fn a_full_disk_or_a_damaged_input_leaves_nothing() {
    let said = run(["convert", TUTORIAL, "--recompress", "-o", "/dev/full"]).refuses();
    assert!(said.contains("No space left on device"), "{said}");
    let whole = read(&testdata("tutorial.rdb"));
    let (_folder, cut) = file("cut.rdb", &whole[..whole.len() - 20]);
    for args in [&[][..], &["--recompress"], &["--target", "redis-7.0"]] {
        let said = fails(args, &[&cut], 2);
        assert!(said.err().contains("nothing was written"), "{said}");
    }
}
