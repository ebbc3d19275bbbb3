//! Dumps of several batches: the answer does not depend on the number of threads, on where a batch ends, on whether the
//! input can be read ahead (a file) or not (a pipe), or on damage further on.

use crate::dumps::{dump, string};
use crate::harness::{Ran, file, run};

/// Keys with values of many sizes: smaller than the room that is kept for what a batch leaves over, larger than that, larger
/// than a batch. The text of a value says what it is.
fn values() -> Vec<(String, Vec<u8>)> {
    let sizes = [100, 30_000, 7, 70_000, 300_000, 1_048_500, 3_000_000, 20, 65_536, 1_048_576];
    (0..120)
        .map(|i| (format!("key:{i}"), format!("{i:09};").into_bytes().repeat(sizes[i % sizes.len()] / 10 + 1)))
        .collect()
}

fn records(values: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    values.iter().map(|(key, value)| string(key.as_bytes(), value)).collect()
}

fn with_threads(args: &[&str], path: &std::path::Path, threads: &str) -> Ran {
    run(args.iter().map(std::ffi::OsStr::new).chain([path.as_os_str()])).args(["--threads", threads]).go()
}

/// The keys and values of an NDJSON export, read as the simple text that it is.
fn exported(text: &str) -> Vec<(String, Vec<u8>)> {
    let part = |line: &str, name: &str| -> Option<String> {
        let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    text.lines().filter_map(|line| Some((part(line, "key")?, part(line, "value")?.into_bytes()))).collect()
}

#[test]
fn any_number_of_threads_gives_every_key_once_and_in_order() {
    let values = values();
    let bytes = dump(9, &records(&values));
    assert!(bytes.len() > 40 << 20);
    let (_folder, path) = file("dump.rdb", &bytes);
    let export = ["export", "--format", "ndjson"];
    for threads in ["1", "2", "4"] {
        let ran = with_threads(&export, &path, threads);
        assert_eq!(ran.code, Some(0), "{}", ran.err());
        assert!(exported(ran.out()) == values, "{threads} threads");
        assert_eq!(with_threads(&["check"], &path, threads).code, Some(0), "the checksum is that of all bytes");
    }
    let piped = run(["export", "--format", "ndjson", "-", "--threads", "2"]).stdin(&bytes).ok();
    assert!(exported(piped.out()) == values);
}

#[test]
fn what_stands_before_damage_is_given_once() {
    let values = values();
    let bytes = dump(9, &records(&values));
    for cut in [3 << 20, 20_000_000, bytes.len() - 500_000] {
        let whole = {
            let mut end = 9;
            let ends = records(&values).into_iter().map(move |record| {
                end += record.len();
                end
            });
            ends.take_while(|end| *end <= cut).count()
        };
        let (_folder, path) = file("cut.rdb", &bytes[..cut]);
        let alone = with_threads(&["export", "--format", "ndjson"], &path, "1").one_line();
        for threads in ["1", "2", "4"] {
            let ran = with_threads(&["export", "--format", "ndjson"], &path, threads);
            assert_ne!(ran.code, Some(0));
            assert!(exported(ran.out()) == values[..whole], "cut at {cut}, {threads} threads");
            assert_eq!(ran.one_line(), alone);
        }
    }
}
