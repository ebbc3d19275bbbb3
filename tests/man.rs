//! Help, manual pages and completions: made from one definition, and complete.

use crate::harness::{folder, names, read, root, run};

const COMMANDS: [&str; 17] = [
    "info",
    "keys",
    "get",
    "check",
    "repair",
    "export",
    "import",
    "convert",
    "split",
    "diff",
    "digest",
    "memory",
    "report",
    "load",
    "dump",
    "completions",
    "man",
];

#[test]
fn the_manual_pages_are_those_that_the_program_makes() {
    let made = folder();
    run(["man", "--dir"]).args([made.path()]).ok();
    let committed = root().join("man");
    let how = "to renew them: cargo run -- man --dir man";
    assert_eq!(names(made.path()), names(&committed), "the manual pages are not all there; {how}");
    for name in names(made.path()) {
        let same = read(&made.path().join(&name)) == read(&committed.join(&name));
        assert!(same, "man/{name} is out of date; {how}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let made = folder();
    run(["man", "--dir"]).args([made.path()]).ok();
    for command in COMMANDS {
        let page = read(&made.path().join(format!("rdbkit-{command}.1")));
        assert_eq!(run(["man", command]).ok().stdout, page, "{command}");
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(".TH") && page.contains("Examples:"), "{command}: {page}");
    }
    assert_eq!(run(["man"]).ok().stdout, read(&made.path().join("rdbkit.1")));
}

#[test]
fn there_is_no_manual_page_of_a_command_that_is_not_there() {
    let said = run(["man", "nonsense"]).refuses();
    assert!(said.contains("nonsense"), "{said}");
}

#[test]
fn every_help_has_examples() {
    for command in COMMANDS {
        let help = run([command, "--help"]).ok();
        assert!(help.out().contains("Examples:\n"), "{help}");
        let example = format!("rdbkit {command}");
        assert!(help.out().contains(&example), "an example should use the command: {help}");
        assert!(help.out().contains("Usage: rdbkit"), "{help}");
    }
    let help = run(["--help"]).ok();
    assert!(COMMANDS.iter().all(|command| help.out().contains(&format!("\n  {command} "))), "{help}");
    assert!(help.out().contains("Exit status"), "{help}");
}

#[test]
fn no_example_names_a_flag_that_is_not_there() {
    let flag = regex::Regex::new(r" --[a-z][a-z-]*").unwrap();
    for command in COMMANDS {
        let help = run([command, "--help"]).ok();
        let (flags, examples) = help.out().split_once("Examples:").unwrap();
        for line in examples.lines().filter(|line| line.contains(&format!("rdbkit {command}"))) {
            let ours = line.split(" | ").find(|part| part.contains(&format!("rdbkit {command}"))).unwrap();
            for used in flag.find_iter(ours) {
                assert!(flags.contains(used.as_str()), "{command} has no{}: {line}", used.as_str());
            }
        }
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let made = run(["completions", shell]).ok();
        for word in COMMANDS.iter().chain(&["no-verify", "min-size", "threads"]) {
            assert!(made.out().contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(run(["completions", "nonsense"]).go().code, Some(2));
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(run(["--version"]).ok().out(), format!("rdbkit {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_command_and_unknown_commands_are_trouble() {
    for args in [&[][..], &["nonsense"], &["info"], &["get", "testdata/tutorial.rdb"], &["info", "a", "b"]] {
        let ran = run(args).fails_with(2);
        assert!(ran.stdout.is_empty() && ran.err().contains("Usage: rdbkit"), "{ran}");
    }
}
