//! Where results go: whole files or none, and readers that have seen enough.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::corpus::case;
use crate::harness::{TUTORIAL, folder, names, read, run, shell, testdata, tutorial};

/// `rdbkit export` of the tutorial to this file.
fn export_to(path: &Path) -> crate::harness::Run {
    run(["export", TUTORIAL, "-o"]).args([path])
}

#[test]
fn a_file_is_what_standard_output_would_be() {
    let folder = folder();
    let path = folder.path().join("out.json");
    let ran = export_to(&path).ok();
    assert!(ran.stdout.is_empty(), "{ran}");
    assert_eq!(read(&path), run(["export", TUTORIAL]).ok().stdout);
    assert_eq!(names(folder.path()), ["out.json"]);
}

#[test]
fn keys_write_files_too() {
    let folder = folder();
    let path = folder.path().join("keys.tsv");
    run(["keys", TUTORIAL, "-o"]).args([&path]).ok();
    assert_eq!(read(&path), run(["keys", TUTORIAL]).ok().stdout);
}

#[test]
fn the_extension_tells_the_format() {
    let folder = folder();
    for (name, format) in [
        ("a.json", "json"),
        ("a.ndjson", "ndjson"),
        ("a.jsonl", "ndjson"),
        ("a.csv", "csv"),
        ("a.resp", "resp"),
        ("a", "json"),
    ] {
        let path = folder.path().join(name);
        export_to(&path).ok();
        assert_eq!(read(&path), run(["export", TUTORIAL, "--format", format]).ok().stdout, "{name}");
    }
    let path = folder.path().join("b.csv");
    export_to(&path).args(["--format", "ndjson"]).ok();
    assert_eq!(read(&path), run(["export", TUTORIAL, "--format", "ndjson"]).ok().stdout, "--format has the last word");
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("out.json");
    std::fs::write(&path, "precious").unwrap();
    let said = export_to(&path).refuses();
    assert!(said.contains(path.to_str().unwrap()) && said.contains("--force"), "{said}");
    assert_eq!(read(&path), b"precious");
    assert_eq!(names(folder.path()), ["out.json"]);
}

#[test]
fn force_replaces_it() {
    let folder = folder();
    let path = folder.path().join("out.json");
    std::fs::write(&path, "precious").unwrap();
    export_to(&path).args(["--force"]).ok();
    assert_eq!(read(&path), run(["export", TUTORIAL]).ok().stdout);
    assert_eq!(names(folder.path()), ["out.json"]);
}

#[test]
fn a_failure_leaves_the_old_file_and_no_debris() {
    let folder = folder();
    let (dump, path) = (folder.path().join("dump.rdb"), folder.path().join("out.json"));
    std::fs::write(&path, "precious").unwrap();
    for damaged in [tutorial()[..500].to_vec(), [&tutorial()[..685], &[0]].concat()] {
        std::fs::write(&dump, damaged).unwrap();
        run(["export", "--force"]).args([&dump]).args(["-o"]).args([&path]).refuses();
        assert_eq!(read(&path), b"precious");
        assert_eq!(names(folder.path()), ["dump.rdb", "out.json"]);
    }
}

#[test]
fn a_file_may_be_read_as_any_new_file() {
    let folder = folder();
    let (path, other) = (folder.path().join("out.json"), folder.path().join("other"));
    export_to(&path).ok();
    std::fs::write(&other, "").unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), mode(&other));
}

#[test]
fn a_dash_is_standard_output() {
    let folder = folder();
    let script = format!("cd {} && rdbkit export {} -o -", folder.path().display(), testdata("tutorial.rdb").display());
    assert_eq!(shell(&script).ok().stdout, run(["export", TUTORIAL]).ok().stdout);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn places_that_cannot_be_written_are_trouble() {
    let folder = folder();
    let said = export_to(&folder.path().join("no/such/folder/out.json")).refuses();
    assert!(said.contains("no/such/folder"), "{said}");
    let said = export_to(folder.path()).refuses();
    assert!(said.contains("directory"), "{said}");
    let said = export_to(&testdata("tutorial.rdb").join("out.json")).refuses();
    assert!(said.contains("out.json"), "{said}");
}

#[test]
fn a_full_disk_is_trouble() {
    for script in [
        format!("rdbkit export {TUTORIAL} -o /dev/full"),
        format!("rdbkit export {TUTORIAL} > /dev/full"),
        format!("rdbkit keys {TUTORIAL} > /dev/full"),
        format!("rdbkit info {TUTORIAL} > /dev/full"),
        format!("rdbkit check {TUTORIAL} > /dev/full"),
        format!("rdbkit get {TUTORIAL} pypa > /dev/full"),
        "rdbkit man > /dev/full".to_owned(),
        "rdbkit completions bash > /dev/full".to_owned(),
    ] {
        let said = shell(&script).refuses();
        assert!(said.to_lowercase().contains("no space"), "{script}: {said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_trouble() {
    let big = case("redis-2.4.18", "big").path;
    let big = big.display();
    for command in [
        format!("rdbkit export {big}"),
        format!("rdbkit export {big} --threads 4"),
        format!("rdbkit export {big} --format csv --elements"),
        format!("rdbkit export {big} --format resp"),
        format!("rdbkit keys {big} --format ndjson"),
        format!("rdbkit export {big} -o /dev/stdout"),
    ] {
        // The exit code goes the long way round, as the pipe's is that of head.
        let ran = shell(&format!("{{ {command}; echo $? >&2; }} | head -c 10")).go();
        assert_eq!((ran.stdout.len(), ran.err()), (10, "0\n"), "{command}: {ran}");
    }
}

#[test]
fn nothing_is_said_where_no_terminal_is() {
    for args in [&["export"][..], &["export", "--threads", "3"], &["info"], &["keys"], &["check"]] {
        let ran = run(args).args([case("redis-2.4.18", "big").path]).ok();
        assert!(ran.stderr.is_empty(), "{ran}");
    }
}

#[test]
fn a_closed_standard_input_is_an_empty_file() {
    let said = run(["info", "-"]).refuses();
    assert!(said.contains("empty"), "{said}");
}
