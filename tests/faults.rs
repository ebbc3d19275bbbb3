//! What goes wrong around the program: kills and signals at any moment, full disks, inputs that shrink, files that are
//! none. An output is there whole or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{binary, file, folder, names, read, root, run, shell, tutorial};
use crate::live::installed;

/// A dump of so many strings of a thousand bytes, with its checksum off.
pub(crate) fn strings(count: u32) -> Vec<u8> {
    let mut dump = b"REDIS0009".to_vec();
    for i in 0..count {
        dump.extend_from_slice(&[0, 8]);
        dump.extend_from_slice(format!("{i:08}").as_bytes());
        dump.extend_from_slice(&[0x43, 0xe8]);
        dump.extend((0..1000_u32).map(|j| b'a' + ((i ^ j.wrapping_mul(2_654_435_761)) >> 7 & 15) as u8));
    }
    dump.push(0xff);
    dump.extend_from_slice(&[0; 8]);
    dump
}

/// `rdbkit` on its way, with its outputs open.
fn start(args: &[&str], stdin: Stdio) -> Child {
    let mut command = Command::new(binary());
    command.args(args).current_dir(root()).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All files below a folder, with their names from there; the unfinished ones that a kill leaves are not counted.
fn finished(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for name in names(folder).into_iter().filter(|name| !name.starts_with(".rdbkit-")) {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(finished(&path).into_iter().map(|(inner, bytes)| (Path::new(&name).join(inner), bytes)));
        } else {
            found.push((name.into(), read(&path)));
        }
    }
    found
}

/// Kills a command at many moments of its life. `OUT` among its arguments stands for where it is to write; a file there is
/// one of the first run's or passes for `whole`.
fn killed(args: &[&str], whole: impl Fn(&[u8]) -> bool) {
    let place = |folder: &TempDir| -> Vec<String> {
        args.iter().map(|arg| arg.replace("OUT", folder.path().join("out").to_str().unwrap())).collect()
    };
    let first = folder();
    let begun = Instant::now();
    run(place(&first)).fails_with(0);
    let life = begun.elapsed();
    let first = finished(first.path());
    assert!(!first.is_empty(), "{args:?} wrote nothing");
    for moment in 1..10 {
        let folder = folder();
        let args = place(&folder);
        let mut child = start(&args.iter().map(String::as_str).collect::<Vec<_>>(), Stdio::null());
        std::thread::sleep(life * moment / 9);
        child.kill().unwrap();
        child.wait().unwrap();
        for (name, bytes) in finished(folder.path()) {
            let complete = first.iter().any(|(other, first)| *other == name && *first == bytes) || whole(&bytes);
            assert!(complete, "{args:?} was killed and left a part of {}", name.display());
        }
    }
}

#[test]
fn a_kill_leaves_no_part_of_a_file_under_its_name() {
    let (_folder, dump) = file("dump.rdb", &strings(8000));
    let dump = dump.to_str().unwrap();
    let json = folder();
    let json = json.path().join("dump.json");
    let json = json.to_str().unwrap();
    run(["export", dump, "-o", json]).ok();
    for args in [
        &["export", dump, "-o", "OUT"][..],
        &["keys", dump, "-o", "OUT"],
        &["import", json, "-o", "OUT"],
        &["convert", dump, "-o", "OUT"],
        &["convert", dump, "--recompress", "-o", "OUT"],
        &["convert", dump, "--target", "redis-7.2", "--aof-dir", "OUT"],
        &["split", dump, "--shards", "3", "-o", "OUT"],
        &["repair", dump, "-o", "OUT"],
        &["repair", dump, "-o", "OUT", "--quarantine", "OUT.bad"],
    ] {
        killed(args, |_| false);
    }
    killed(&["report", dump, "-o", "OUT"], |_| false);
}

#[test]
fn a_kill_leaves_no_part_of_a_snapshot() {
    let mut server = installed("redis-7.0.15").start();
    server.ask("DEBUG POPULATE", &[b"20000", b"key", b"300"]);
    let is_whole = |dump: &[u8]| {
        let (_folder, path) = file("out.rdb", dump);
        run(["check"]).args([path]).go().code == Some(0)
    };
    for method in ["sync", "scan"] {
        killed(&["dump", "-q", &server.url(), "--method", method, "-o", "OUT"], is_whole);
    }
}

/// Feeds the start of a dump to a command, which then waits for the rest as long as the handle lives.
fn feed(child: &mut Child, bytes: Vec<u8>) -> std::sync::mpsc::Sender<()> {
    let mut stdin = child.stdin.take().unwrap();
    let (hold, released) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        stdin.write_all(&bytes).unwrap();
        // It fails when the handle is gone, which is what is waited for.
        let _ = released.recv();
    });
    hold
}

/// What a command said on standard error, and how it ended.
fn end(mut child: Child) -> (ExitStatus, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_signal_ends_it_with_a_word_and_without_debris() {
    let start_of_dump = strings(8000)[..6_000_000].to_vec();
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let (folder, path) = file("out.json", b"precious");
        let mut child = start(&["export", "-", "--force", "-o", path.to_str().unwrap()], Stdio::piped());
        let held = feed(&mut child, start_of_dump.clone());
        until("an unfinished file", || names(folder.path()).len() == 2);
        signal(&child, name);
        let (status, said) = end(child);
        assert_eq!((status.code(), said.as_str()), (Some(code), "rdbkit: interrupted; nothing was written\n"));
        assert_eq!((names(folder.path()), read(&path)), (vec!["out.json".to_owned()], b"precious".to_vec()));
        drop(held);
    }
}

#[test]
fn a_signal_to_who_writes_no_file_ends_it_too() {
    let mut child = start(&["check", "-"], Stdio::piped());
    let held = feed(&mut child, tutorial()[..100].to_vec());
    // It has to be there to hear it.
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "-INT");
    let (status, said) = end(child);
    assert_eq!((status.code(), said.as_str()), (Some(130), "rdbkit: interrupted\n"));
    drop(held);
}

#[test]
fn an_input_that_shrinks_while_it_is_read_is_cut() {
    let (_folder, path) = file("dump.rdb", &strings(60_000));
    let mut child = start(&["export", path.to_str().unwrap(), "--format", "ndjson"], Stdio::null());
    let mut out = child.stdout.take().unwrap();
    // Nothing more is taken for now: the rest is read after the file is only half of itself.
    out.read_exact(&mut [0]).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    let (status, said) = end(child);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("dump.rdb: offset ") && said.contains("ends"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_disk_that_fills_up_leaves_nothing() {
    let (folder, _) = file("dump.rdb", &strings(1000));
    let here = folder.path().display();
    for command in ["export dump.rdb", "convert dump.rdb --recompress", "convert dump.rdb", "keys dump.rdb"] {
        // No file may grow beyond four blocks of 512 bytes, as if the disk were full then.
        let script = format!("cd {here} && trap '' XFSZ && ulimit -f 4 && rdbkit {command} -o out");
        let said = shell(&script).refuses();
        assert!(said.contains("out: File too large"), "{command}: {said}");
        assert_eq!(names(folder.path()), ["dump.rdb"], "{command}");
    }
}

/// A folder with little room in it; `None` for whoever may not mount one.
fn small_disk(kb: u32) -> Option<SmallDisk> {
    let folder = folder();
    let size = format!("size={kb}k");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).output();
    mount.is_ok_and(|ran| ran.status.success()).then_some(SmallDisk(folder))
}

/// It is taken away with its handle.
struct SmallDisk(TempDir);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}

#[test]
fn a_disk_that_is_too_small_is_told_and_left_clean() {
    // Whoever may not mount one has the limit on files of the test above.
    let Some(disk) = small_disk(400) else { return };
    let dump = disk.0.path().join("dump.rdb");
    std::fs::write(&dump, strings(300)).unwrap();
    let out = disk.0.path().join("out");
    for command in [
        &["export"][..],
        &["convert"],
        &["convert", "--recompress"],
        &["split", "--shards", "2"],
        &["repair"],
        &["repair", "--quarantine", "/dev/null"],
    ] {
        let ran = run(command).args([&dump]).args([Path::new("-o"), &out]).go();
        assert!(ran.code == Some(2) && ran.one_line().contains("No space left on device"), "{ran}");
        assert_eq!(names(disk.0.path()), ["dump.rdb"], "{ran}");
    }
}

/// Runs a script as somebody to whom permissions apply: a superuser becomes nobody.
fn as_anybody(script: &str) -> String {
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    let script = match id.as_slice() {
        b"0\n" => format!("exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c \"{script}\""),
        _ => script.to_owned(),
    };
    shell(&script).refuses()
}

#[test]
fn files_that_may_not_be_read_or_written_are_trouble() {
    let (folder, dump) = file("dump.rdb", &tutorial());
    let copy = folder.path().join("rdbkit");
    std::fs::copy(binary(), &copy).unwrap();
    let (rdbkit, dump) = (copy.display(), dump.display());
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(folder.path(), 0o755);
    let said = as_anybody(&format!("{rdbkit} convert {dump} -o {}/out.rdb", folder.path().display()));
    assert!(said.contains("no permission to write into the directory"), "{said}");
    mode(&folder.path().join("dump.rdb"), 0o000);
    let said = as_anybody(&format!("{rdbkit} info {dump}"));
    assert!(said.to_lowercase().contains("permission denied"), "{said}");
    assert_eq!(names(folder.path()), ["dump.rdb", "rdbkit"]);
}

#[test]
fn what_is_no_file_of_data_is_said_to_be_so() {
    let folder = folder();
    let socket = folder.path().join("socket");
    let _listening = UnixListener::bind(&socket).unwrap();
    for (path, word) in [
        (Path::new("/dev/null"), "empty"),
        (folder.path(), "directory"),
        (&socket, "socket"),
        (&folder.path().join("missing"), "no such file"),
    ] {
        for command in ["info", "keys", "check", "export"] {
            let ran = run([command]).args([path]).go();
            let said = format!("{}{}", ran.err(), ran.out());
            assert!(said.to_lowercase().contains(word), "{command}: {ran}");
            assert_ne!(ran.code, Some(0), "{command}: {ran}");
        }
    }
}

#[test]
fn zeros_without_end_are_no_dump() {
    let said = run(["info", "/dev/zero"]).refuses();
    assert!(said.contains("not an RDB file"), "{said}");
}
