//! What is timed: rdbkit's commands, the floor that the system sets, and other tools where they are installed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command to be timed.
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// For those that can be told.
    pub(crate) threads: Option<usize>,
}

impl Work {
    pub(crate) fn new(name: &str, program: &Path, args: &[&Path]) -> Work {
        let args = args.iter().map(|arg| arg.as_os_str().to_owned()).collect();
        Work { name: name.to_owned(), program: program.to_owned(), args, threads: None }
    }
}

/// The program that cargo built beside this one.
pub(crate) fn rdbkit() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_rdbkit"))
}

/// How many keys the dump has.
pub(crate) fn keys(dump: &Path) -> io::Result<u64> {
    let output = Command::new(rdbkit()).args(["info", "--json"]).arg(dump).output()?;
    let info: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(info["keys"].as_u64().unwrap_or(0))
}

/// The processor's name, where the system tells it.
pub(crate) fn processor() -> Option<String> {
    let told = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = told.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// What the system can do, and every command of rdbkit with every number of threads.
pub(crate) fn works(dump: &Path, folder: &Path, threads: &[usize]) -> io::Result<Vec<Work>> {
    let (lines, out) = (folder.join("dump.ndjson"), folder.join("out.rdb"));
    let made = Command::new(rdbkit()).args(["export", "--format", "ndjson", "-o"]).args([&lines, dump]).status()?;
    if !made.success() {
        return Err(io::Error::other("the dump can't be exported"));
    }
    let null = Path::new("/dev/null");
    let mut works = vec![
        Work::new("cat", Path::new("cat"), &[dump]),
        Work::new("cp", Path::new("cp"), &[dump, &folder.join("copy.rdb")]),
    ];
    for (name, words, input, output) in [
        ("info", "info", dump, None),
        ("check", "check", dump, None),
        ("keys", "keys --format tsv", dump, None),
        ("memory", "memory", dump, None),
        ("export json", "export --format json", dump, Some(null)),
        ("export ndjson", "export --format ndjson", dump, Some(null)),
        ("export csv", "export --format csv", dump, Some(null)),
        ("export resp", "export --format resp", dump, Some(null)),
        ("export resp --restore", "export --format resp --restore", dump, Some(null)),
        ("convert", "convert --force", dump, Some(out.as_path())),
        ("convert --recompress", "convert --force --recompress", dump, Some(&out)),
        ("import ndjson", "import --force", &lines, Some(&out)),
    ] {
        if !has_command(words) {
            continue;
        }
        for n in threads {
            let mut args: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            args.extend(["--threads".into(), n.to_string().into()]);
            args.extend(output.into_iter().flat_map(|out| ["-o".into(), out.as_os_str().to_owned()]));
            args.push(input.into());
            works.push(Work { name: name.to_owned(), program: rdbkit(), args, threads: Some(*n) });
        }
    }
    Ok(works)
}

/// Whether this build of rdbkit has the command.
fn has_command(words: &str) -> bool {
    let command = words.split(' ').next().unwrap_or_default();
    Command::new(rdbkit()).args([command, "--help"]).output().is_ok_and(|output| output.status.success())
}

/// Other tools that are on PATH.
pub(crate) fn peers(dump: &Path) -> Vec<Work> {
    let all = [
        ("librdb: JSON", "rdb-cli", "FILE json -o /dev/null"),
        ("librdb: RESP", "rdb-cli", "FILE resp -o /dev/null"),
        ("redis-rdb-cli: JSON", "rct", "-f jsonl -s FILE -o /dev/null"),
        ("redis-rdb-cli: RESP", "rct", "-f resp -s FILE -o /dev/null"),
        // Both HDT3213's tool and rdb-tools are called so, and both understand this.
        ("rdb: JSON", "rdb", "-c json FILE"),
    ];
    let installed = |program: &str| {
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|at| at.join(program).is_file()))
    };
    let with_file = |word: &str| if word == "FILE" { dump.as_os_str().to_owned() } else { word.into() };
    all.iter()
        .filter(|(_, program, _)| installed(program))
        .map(|(name, program, words)| Work {
            args: words.split(' ').map(with_file).collect(),
            ..Work::new(name, Path::new(program), &[])
        })
        .collect()
}
