//! The rules that `src/lib.rs` states about its own layers, held against the sources.

use std::path::Path;

use regex::Regex;

use crate::harness::root;

/// The layers from the bottom up. A module may use those below its own.
const LAYERS: [&[&str]; 7] = [
    &["error", "text"],
    &["codec"],
    &["model"],
    &["rdb", "json", "csv", "resp"],
    &["pipeline"],
    &["analysis", "check", "diff", "live"],
    &["repair"],
];

/// What `src/lib.rs` gives a shorter name, and whose it is.
const REEXPORTS: [(&str, &str); 3] = [("Error", "error"), ("ErrorKind", "error"), ("Result", "error")];

/// The modules of the binary.
const BINARY: [&str; 6] = ["main", "cli", "interrupt", "progress", "table", "cmd"];

/// A source file: its name below `src`, its top module, its code without comments.
struct Source {
    name: String,
    module: String,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join("src"), "", &mut found);
    assert!(found.len() > 40, "there are only {} sources", found.len());
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<Source>) {
    for name in crate::harness::names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let full = format!("{prefix}{name}");
            let module = full.split(['/', '.']).next().unwrap().to_owned();
            let code = without_comments(&text);
            found.push(Source { name: full, module, text, code });
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn is_binary(source: &Source) -> bool {
    BINARY.contains(&source.module.as_str())
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The modules of the crate that the code names: `crate::a::b`, and all of `crate::{a, b::{c, d}}`.
fn modules_used(code: &str) -> Vec<String> {
    let path = Regex::new(r"\bcrate::(\{|\w+)").unwrap();
    let mut used = Vec::new();
    for found in path.captures_iter(code) {
        match &found[1] {
            "{" => used.extend(heads(&code[found.get(0).unwrap().end()..])),
            name => used.push(name.to_owned()),
        }
    }
    used.iter()
        .map(|name| REEXPORTS.iter().find(|(n, _)| n == name).map_or(name.clone(), |(_, m)| (*m).into()))
        .collect()
}

/// The first words of the parts of a group, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut at_head, mut heads, mut word) = (1, true, Vec::new(), String::new());
    for c in group.chars() {
        if at_head && (c.is_alphanumeric() || c == '_') {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            heads.push(std::mem::take(&mut word));
            at_head = false;
        }
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_head = true,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

#[test]
fn paths_are_found_in_code() {
    let code =
        "use crate::error::Error;\nuse crate::{csv, json::{Form, Writer}, Result};\nlet x = crate::rdb::Reader::new();";
    assert_eq!(modules_used(code), ["error", "csv", "json", "error", "rdb"]);
    assert_eq!(without_comments("a\n  // crate::b\nc\n"), "a\nc\n");
}

#[test]
fn modules_use_only_those_below_them() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_binary(source) && source.name != "lib.rs") {
        let own = layer(&source.module).unwrap_or_else(|| panic!("{} is in no layer of this test", source.name));
        for used in modules_used(&source.code) {
            let theirs =
                layer(&used).unwrap_or_else(|| panic!("{} uses crate::{used}, which is in no layer", source.name));
            // An error quotes bytes as text does.
            let fine = used == source.module || theirs < own || (own == 0 && theirs == 0);
            if !fine {
                wrong.push(format!("src/{} uses {used}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "upward or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn nothing_climbs_out_of_its_module_by_super() {
    for source in sources().iter().filter(|source| !is_binary(source)) {
        let code = source.code.split("#[cfg(test)]").next().unwrap();
        let depth = source.name.matches('/').count();
        let way_out = "super::".repeat(depth + 1);
        // In mod.rs, super is one step more.
        let way_out = if source.name.ends_with("mod.rs") { "super::".repeat(depth) } else { way_out };
        assert!(!code.contains(&way_out), "src/{} reaches the crate's root by {way_out}", source.name);
    }
}

#[test]
fn the_layers_are_those_that_the_documentation_lists() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let row = Regex::new(r"(?m)^//! \| (\d) \| (.+?) \|").unwrap();
    let name = Regex::new(r"\[`(\w+)`\]").unwrap();
    let listed: Vec<Vec<String>> = row
        .captures_iter(&lib)
        .map(|row| name.captures_iter(&row[2]).map(|name| name[1].to_owned()).collect::<Vec<_>>())
        .filter(|names| !names.is_empty())
        .collect();
    assert_eq!(listed, LAYERS);
}

#[test]
fn the_binary_uses_the_library_from_outside() {
    for source in sources().iter().filter(|source| is_binary(source)) {
        for used in modules_used(&source.code) {
            assert!(BINARY.contains(&used.as_str()), "src/{} uses crate::{used}; write rdbkit::{used}", source.name);
        }
    }
}

/// Says which library files match what only the binary may do.
fn found_in_library(pattern: &str, except: &[&str]) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    let sources = sources();
    let library = sources.iter().filter(|source| !is_binary(source) && !except.contains(&source.name.as_str()));
    library
        .filter_map(|source| {
            let code = source.code.split("#[cfg(test)]").next().unwrap();
            pattern.find(code).map(|found| format!("src/{}: {}", source.name, found.as_str()))
        })
        .collect()
}

#[test]
fn the_library_prints_nothing_and_reads_no_environment() {
    assert_eq!(found_in_library(r"\b(e?println?|dbg)!", &[]), [""; 0]);
    assert_eq!(found_in_library(r"\bstderr\b|\benv::|\benv!|std::env|process::", &[]), [""; 0]);
    assert_eq!(found_in_library(r"\bstdout\b", &["pipeline/output.rs"]), [""; 0]);
    assert_eq!(found_in_library(r"\bstdin\b", &["pipeline/input.rs"]), [""; 0]);
    assert_eq!(found_in_library(r"\b(clap\w*|indicatif)::", &[]), [""; 0]);
}

#[test]
fn a_dependency_has_one_home() {
    for (pattern, home) in [
        (r"\b(crc_fast|crc64fast)::", "codec/crc64/mod.rs"),
        (r"(^|[^\w:])::lzf::", "codec/lzf.rs"),
        (r"\b(flate2|lz4_flex|zstd)::", "pipeline/input.rs"),
        (r"\btempfile::", "pipeline/output.rs"),
        (r"\bbase64::", "json/syntax.rs"),
        (r"\bblake3::", "model/rewrite/mask/cipher.rs"),
        (r"\brustls\w*::", "live/tls.rs"),
    ] {
        assert_eq!(found_in_library(pattern, &[home]), [""; 0], "only src/{home} may name it");
    }
    let home = Regex::new(r"\b(crc_fast|crc64fast)\b").unwrap();
    assert!(sources().iter().any(|source| source.name == "codec/crc64/mod.rs" && home.is_match(&source.code)));
}

#[test]
fn every_source_says_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "src/{} does not begin with its description", source.name);
    }
    for name in crate::harness::names(&root().join("tests")).iter().filter(|name| name.ends_with(".rs")) {
        let text = std::fs::read_to_string(root().join("tests").join(name)).unwrap();
        assert!(text.starts_with("//! "), "tests/{name} does not begin with its description");
    }
}
