//! Append-only files: what is in them, where they stop being sound, and what is left when they end there.

use std::path::{Path, PathBuf};
use std::process::Command;

use rdbkit::check::aof::{repair, survey};

use crate::commands::drive;
use crate::harness::{folder, names, read, run, testdata};
use crate::json::must_parse;
use crate::live::{Server, installed};

/// Up to which byte `redis-check-aof` finds a file sound, and whether it finds it whole.
fn their_verdict(server: &Server, path: &Path) -> (u64, bool) {
    let ran = Command::new(server.installed.program("check-aof")).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let line = said.lines().find(|line| line.starts_with("AOF analyzed: ")).unwrap_or_else(|| panic!("{said}"));
    let number = |name: &str| {
        let rest = line.split_once(name).unwrap_or_else(|| panic!("{line}")).1;
        rest.split(',').next().unwrap().trim().parse::<u64>().unwrap()
    };
    (number("ok_up_to="), ran.status.success())
}

/// A directory of append-only files that a server has written, with a base that holds data.
fn written(name: &str) -> (Server, PathBuf) {
    let mut server = installed(name).start();
    // While it waits for a busy disk it would put off writing, too.
    server.ask("CONFIG SET appendfsync", &[b"no"]);
    server.ask("CONFIG SET appendonly", &[b"yes"]);
    if server.installed.since(7, 0) {
        server.ask("CONFIG SET aof-timestamp-enabled", &[b"yes"]);
    }
    drive(&mut server, 300, 7);
    server.rewrite_aof();
    drive(&mut server, 300, 8);
    // A time is written down once a second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    for words in [&[b"a".as_slice(), b"1"], &[b"b", b"2"]] {
        server.ask("MULTI", &[]);
        server.ask("SET", words);
        server.ask("SADD set", words);
        server.ask("EXEC", &[]);
    }
    let aof = server.aof();
    (server, aof)
}

/// The increment in a directory.
fn increment(aof: &Path) -> PathBuf {
    let name = names(aof).into_iter().find(|name| name.contains(".incr.")).unwrap();
    aof.join(name)
}

fn copy(aof: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in names(aof) {
        std::fs::copy(aof.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn every_cut_is_sound_up_to_where_the_servers_own_tool_says() {
    let (server, aof) = written("redis-7.0.15");
    let folder = folder();
    let cut = folder.path().join("cut");
    copy(&aof, &cut);
    let path = increment(&cut);
    let bytes = read(&path);
    assert!(bytes.len() > 5_000);
    let mut in_transactions = 0;
    for back in (0..600).step_by(7).chain((600..bytes.len()).step_by(1009)) {
        std::fs::write(&path, &bytes[..bytes.len() - back]).unwrap();
        let (sound_to, is_whole) = their_verdict(&server, &path);
        let found = survey(&path).unwrap().unwrap();
        let ours = (found.files[0].sound_to, found.is_sound());
        assert_eq!(ours, (sound_to, is_whole), "cut by {back} bytes");
        in_transactions += usize::from(found.files[0].damage.as_ref().is_some_and(|e| e.reason().contains("no EXEC")));
        let code = run(["check"]).args([&cut]).go().code;
        assert_eq!(code, Some(if is_whole { 0 } else { 1 }), "cut by {back} bytes");
    }
    assert!(in_transactions > 0, "no cut was between the commands of a transaction");
}

#[test]
fn a_server_starts_from_what_is_left_of_a_cut_directory() {
    let (mut server, aof) = written("redis-7.0.15");
    let folder = folder();
    let (cut, repaired) = (folder.path().join("cut"), folder.path().join("repaired"));
    copy(&aof, &cut);
    let path = increment(&cut);
    let bytes = read(&path);
    std::fs::write(&path, &bytes[..bytes.len() - 50]).unwrap();
    let ran = run(["repair"]).args([&cut]).args(["-o"]).args([&repaired]).fails_with(1);
    assert!(ran.out().contains(": lost from offset "), "{ran}");
    assert_eq!(names(folder.path()), ["cut", "repaired"]);
    assert!(their_verdict(&server, &increment(&repaired)).1);
    run(["check"]).args([&repaired]).ok();
    let mut again = installed("redis-7.0.15").start_from_aof(&repaired);
    // The last transaction was cut: nothing of it is there.
    assert_eq!(again.ask("EXISTS", &[b"a"]).int(), 1);
    assert_eq!(again.ask("EXISTS", &[b"b"]).int(), 0);
    // And the rest is what the first server has without it.
    server.ask("DEL b", &[]);
    server.ask("SREM set b 2", &[]);
    assert_eq!(again.ask("DEBUG DIGEST", &[]), server.ask("DEBUG DIGEST", &[]));
}

#[test]
fn damage_in_the_middle_is_named_with_the_commands_offset() {
    let (server, aof) = written("redis-7.0.15");
    let folder = folder();
    let broken = folder.path().join("broken");
    copy(&aof, &broken);
    let path = increment(&broken);
    let bytes = read(&path);
    let starts: Vec<_> = (2..bytes.len()).filter(|i| bytes[i - 2..].starts_with(b"\r\n*")).collect();
    let at = starts[starts.len() / 2];
    let mut damaged = bytes.clone();
    damaged[at] = b'+';
    std::fs::write(&path, &damaged).unwrap();
    let (sound_to, is_whole) = their_verdict(&server, &path);
    assert!(!is_whole);
    let ran = run(["check", "--json"]).args([&broken]).fails_with(1);
    let report = must_parse(&ran.stdout);
    let file = &report.at("files").items()[1];
    assert_eq!(file.at("soundTo").int() as u64, sound_to);
    assert_eq!(file.at("damage").at("offset").int(), at as i64);
    let said = run(["export", "--format", "ndjson"]).args([&broken]).fails_with(2);
    assert!(said.err().contains(&format!("offset {at}, malformed command")), "{}", said.err());
}

#[test]
fn info_says_what_is_in_the_files() {
    let (_server, aof) = written("redis-7.0.15");
    let shown = run(["info"]).args([&aof]).ok();
    for part in ["append-only directory", "as a dump", "increment", "base", "commands in them", "RPUSH", " to 20"] {
        assert!(shown.out().contains(part), "{part}: {shown}");
    }
    let report = must_parse(&run(["info", "--json"]).args([&aof]).ok().stdout);
    let files = report.at("appendOnly").at("files");
    assert_eq!(files.items()[0].at("role").str(), "base");
    assert!(files.items()[1].at("transactions").int() >= 2);
    // A single file from before 7.0, with a dump in front.
    let path = testdata("corpus/redis-5.0.14/aof/appendonly.aof");
    let report = must_parse(&run(["info", "--json"]).args([&path]).ok().stdout);
    let file = &report.at("appendOnly").at("files").items()[0];
    assert!(file.at("dump").int() > 100 && file.at("commands").int() > 10);
    assert_eq!(file.at("size").int(), read(&path).len() as i64);
}

#[test]
fn a_damaged_dump_in_front_is_found() {
    let (_server, aof) = written("redis-7.0.15");
    let folder = folder();
    let broken = folder.path().join("broken");
    copy(&aof, &broken);
    let base = broken.join(names(&broken).into_iter().find(|name| name.contains(".base.")).unwrap());
    let mut bytes = read(&base);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&base, &bytes).unwrap();
    let ran = run(["check"]).args([&broken]).fails_with(1);
    assert!(ran.out().contains(base.to_str().unwrap()), "{ran}");
    bytes.truncate(middle);
    std::fs::write(&base, &bytes).unwrap();
    run(["check"]).args([&broken]).fails_with(1);
    let found = survey(&broken).unwrap().unwrap();
    let e = repair(&found, &folder.path().join("repaired"), false).unwrap_err();
    assert!(e.to_string().contains("repair that file first"), "{e}");
    assert_eq!(names(folder.path()), ["broken"]);
}

/// The base that a Redis 7.0.15 wrote, and the increment behind it: an append-only file as servers before 7.0 have it.
fn base_and_commands() -> (Vec<u8>, Vec<u8>) {
    let folder = testdata("corpus/redis-7.0.15/aof/appendonlydir");
    (read(&folder.join("appendonly.aof.2.base.rdb")), read(&folder.join("appendonly.aof.2.incr.aof")))
}

#[test]
fn what_comes_through_a_pipe_is_told_as_that_of_a_file() {
    let (base, commands) = base_and_commands();
    let whole = [base.as_slice(), &commands].concat();
    let cut = &whole[..whole.len() - 3];
    for (what, bytes) in [("both", whole.as_slice()), ("commands", &commands), ("a dump", &base), ("a cut one", cut)] {
        let (_folder, path) = crate::harness::file("a.aof", bytes);
        // Whether commands follow a dump is known at its end, and info takes it for the begin of what they build.
        let commands = if what == "a dump" { &["check"][..] } else { &["check", "info"] };
        for command in commands {
            // Nobody can read a pipe twice.
            let of_pipe = run([*command, "--json", "-"]).stdin(bytes).go();
            let of_file = run([*command, "--json"]).args([&path]).go();
            assert_eq!(of_pipe.code, of_file.code, "{command} of {what}: {of_pipe}{of_file}");
            let named = of_file.out().replace(path.to_str().unwrap(), "standard input");
            // A pipe does not say how much it would have had.
            let named = named.replace(&format!("\"size\":{}", cut.len()), "\"size\":null");
            assert_eq!(of_pipe.out(), named, "{command} of {what}");
        }
    }
}

#[test]
fn whether_commands_follow_a_dump_is_told_by_its_end() {
    let (base, _) = base_and_commands();
    let keys = run(["keys", "-q", "-"]).stdin(&base).ok().out().lines().count();
    let tail = |value: &[u8], len: usize| {
        let head = format!("*3\r\n$3\r\nSET\r\n$3\r\nnew\r\n${len}\r\n");
        [base.as_slice(), head.as_bytes(), value].concat()
    };
    let keys_of = |bytes: &[u8]| {
        let (folder, path) = crate::harness::file("a.aof", bytes);
        (run(["keys", "-q"]).args([&path]).go(), run(["check"]).args([&path]).go(), folder)
    };
    // As a dump ends, as commands do, and both: an end mark stands nine bytes before a line's end.
    for (bytes, more) in [(base.clone(), 0), (tail(b"abc\r\n", 3), 1), (tail(b"\xffabcdef\r\n", 7), 1)] {
        let (listed, checked, _folder) = keys_of(&bytes);
        assert_eq!((listed.code, listed.out().lines().count()), (Some(0), keys + more), "{listed}");
        assert_eq!(checked.code, Some(0), "{checked}");
    }
    // As neither does, and as a dump does although a command follows that is cut.
    for bytes in [tail(b"abcdefghijklm", 90), tail(b"abcdef\xffabcdefgh", 90)] {
        let (listed, checked, _folder) = keys_of(&bytes);
        assert_eq!(listed.code, Some(2), "{listed}");
        assert_eq!(checked.code, Some(1), "{checked}");
        assert!(checked.out().contains(&format!("sound up to byte {} of", base.len())), "{checked}");
    }
}

#[test]
fn all_is_looked_through_though_it_cannot_be_applied() {
    let (base, commands) = base_and_commands();
    let script = b"*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n";
    let mut whole = [base.as_slice(), script, &commands].concat();
    let refused = run(["info", "-"]).stdin(&whole).refuses();
    assert!(
        refused.contains(&format!("offset {}, EVAL: this command can't be applied offline", base.len())),
        "{refused}"
    );
    let checked = run(["check", "--json", "-"]).stdin(&whole).ok();
    assert_eq!(must_parse(&checked.stdout).at("files").items()[0].at("names").at("EVAL").int(), 1);
    // What is damaged behind it is told first: it can be mended.
    whole.truncate(whole.len() - 3);
    let ran = run(["info", "-"]).stdin(&whole).fails_with(1);
    assert!(ran.out().contains("EVAL") && ran.err().contains("'rdbkit repair' cuts it there"), "{ran}");
    // And of a dump in front that is damaged as much as can be read.
    let (_folder, path) = crate::harness::file("a.aof", &{
        let mut bytes = [base.as_slice(), &commands].concat();
        bytes[base.len() - 30] ^= 0xff;
        bytes
    });
    let ran = run(["info"]).args([&path]).fails_with(1);
    assert!(ran.out().contains("databases") && ran.out().contains("written by"), "{ran}");
    run(["check"]).args([&path]).fails_with(1);
}
