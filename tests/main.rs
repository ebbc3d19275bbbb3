//! The tests of the whole: one module a command, and those of the library that need files.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod aof;
mod browser;
mod check;
mod cluster;
mod commands;
mod corpus;
mod damage;
mod deep;
mod diff;
mod digest;
mod dump;
mod dumps;
mod export;
mod faults;
mod filter;
mod get;
mod harness;
mod hostile;
mod info;
mod json;
mod keys;
mod layers;
mod lengths;
mod live;
mod load;
mod man;
mod matrix;
mod memory;
mod memory_model;
mod migrate;
mod output;
mod proxy;
mod proxy_master;
mod readme;
mod refused;
mod repair;
mod replication;
mod report;
mod salvage;
mod sample;
mod server;
mod sources;
mod tables;
mod threads;
mod truth;
mod wrappers;
mod writing;

#[test]
fn every_file_here_is_a_module_of_this_list() {
    let listed = include_str!("main.rs");
    let files = harness::names(&harness::root().join("tests"));
    let modules = files.iter().filter_map(|name| name.strip_suffix(".rs")).filter(|name| *name != "main");
    for module in modules {
        assert!(
            listed.contains(&format!("\nmod {module};\n")),
            "tests/{module}.rs is not in tests/main.rs: its tests don't run"
        );
    }
}
