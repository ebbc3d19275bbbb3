//! The README shows what the program does: every session in it is played again.

use crate::harness::{root, shell};

/// A command of a session, and the lines that are shown below it.
struct Shown {
    command: String,
    output: Vec<String>,
}

/// The sessions in the `console` blocks of a document.
fn sessions(document: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match (inside, line.strip_prefix("$ ")) {
            (false, _) => inside = line == "```console",
            (true, _) if line == "```" => inside = false,
            (true, Some(command)) => shown.push(Shown { command: command.into(), output: Vec::new() }),
            (true, None) => shown.last_mut().expect("a command before its output").output.push(line.into()),
        }
    }
    shown
}

/// Whether a line is the one shown; `…` stands for anything.
fn is_like(shown: &str, line: &str) -> bool {
    let Some((head, tail)) = shown.split_once('…') else { return shown == line };
    let Some(rest) = line.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| is_like(tail, &rest[at..]))
}

#[test]
fn the_sessions_of_the_readme_are_true() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let sessions = sessions(&readme);
    let ours: Vec<&Shown> = sessions.iter().filter(|shown| shown.command.starts_with("rdbkit ")).collect();
    assert!(ours.len() >= 4, "the README shows only {} commands", ours.len());
    for shown in ours {
        let ran = shell(&shown.command).go();
        // 1 is an answer too.
        assert!(matches!(ran.code, Some(0 | 1)), "{ran}");
        let lines: Vec<&str> = ran.out().lines().collect();
        let same = lines.len() == shown.output.len() && shown.output.iter().zip(&lines).all(|(s, l)| is_like(s, l));
        assert!(same, "the README shows\n{}\n\nbut: {ran}", shown.output.join("\n"));
    }
}

#[test]
fn sessions_are_found() {
    let found = sessions("text\n```console\n$ rdbkit a\nx\n\ny\n$ rdbkit b\n```\n$ no\n```sh\n$ no\n```\n");
    let found: Vec<_> = found.iter().map(|shown| (shown.command.as_str(), shown.output.join("|"))).collect();
    assert_eq!(found, [("rdbkit a", "x||y".to_owned()), ("rdbkit b", String::new())]);
    assert!(is_like("a … c", "a b c") && is_like("…", "") && is_like("(…) x…", "(1 h) x"));
    assert!(!is_like("a … c", "a b") && !is_like("ab", "abc"));
}
