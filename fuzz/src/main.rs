//! libFuzzer, on one of the promises that `tests/properties` keeps on fixed seeds: `RDBKIT_PROMISE` names it. For dumps it
//! is told where damage hurts, too.

#![no_main]

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/properties/blows.rs"]
mod blows;
#[path = "../../tests/properties/promises.rs"]
mod promises;

use std::panic::catch_unwind;
use std::sync::LazyLock;

use blows::{Dice, Seed, damaged};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static PROMISE: LazyLock<promises::Promise> = LazyLock::new(|| {
    let name = std::env::var("RDBKIT_PROMISE").expect("RDBKIT_PROMISE names a promise");
    let found = promises::PROMISES.iter().find(|(promise, _)| *promise == name);
    *found.unwrap_or_else(|| panic!("there is no promise {name}"))
});

fuzz_target!(|data: &[u8]| (PROMISE.1)(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let is_dump = matches!(PROMISE.0, "dump" | "anew" | "repair");
    if !is_dump || seed % 2 == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    // What is no sound dump any more has no map.
    let Some(map) = sound(&data[..size]) else { return fuzzer_mutate(data, size, max_size) };
    let mut bytes = damaged(&map, &map, &mut Dice(u64::from(seed)));
    bytes.truncate(max_size);
    if bytes.is_empty() {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
});

/// The map of a dump that can be read to its end.
fn sound(data: &[u8]) -> Option<Seed> {
    let mut reader = rdbkit::rdb::Reader::new(Box::new(std::io::Cursor::new(data.to_vec()))).ok()?;
    reader.verify(false);
    reader.each(|_, _| Ok(())).ok()?;
    catch_unwind(|| Seed::of_dump(data.to_vec())).ok()
}
