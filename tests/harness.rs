//! The program as its users run it: a command line, what goes in, what comes out. And places for files.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A command that runs longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command before it runs.
pub(crate) struct Run {
    program: OsString,
    args: Vec<OsString>,
    stdin: Vec<u8>,
}

/// A command that has run.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    shown: String,
}

/// `rdbkit` with these arguments, in the root of the repository.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    program(binary(), args)
}

/// A shell script in the same place. It finds `rdbkit` in its PATH.
pub(crate) fn shell(script: &str) -> Run {
    program("sh", ["-c", script])
}

fn program<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Run {
    Run {
        program: program.as_ref().to_owned(),
        args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
        stdin: Vec::new(),
    }
}

/// The program that is tested.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rdbkit"))
}

fn path_with_binary() -> OsString {
    let mut folders = vec![binary().parent().unwrap().to_owned()];
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    std::env::join_paths(folders).unwrap()
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file among the test data.
pub(crate) fn testdata(name: &str) -> PathBuf {
    root().join("testdata").join(name)
}

/// The small dump of the documentation, by the name that the documentation uses.
pub(crate) const TUTORIAL: &str = "testdata/tutorial.rdb";

/// The bytes of [`TUTORIAL`].
pub(crate) fn tutorial() -> Vec<u8> {
    read(&testdata("tutorial.rdb"))
}

/// All of a file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A folder that goes away with its handle.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A folder with one file in it, and the file's path.
pub(crate) fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl Run {
    /// What it gets on standard input.
    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Run {
        self.stdin = bytes.to_vec();
        self
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, more: impl IntoIterator<Item = A>) -> Run {
        self.args.extend(more.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Runs it, whatever comes of it.
    pub(crate) fn go(self) -> Ran {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(root()).env("PATH", path_with_binary());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = self.shown();
        let child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
        watch(child, self.stdin, shown)
    }

    /// Runs it; it must succeed and say nothing on standard error.
    pub(crate) fn ok(self) -> Ran {
        let ran = self.go();
        assert!(ran.code == Some(0) && ran.stderr.is_empty(), "should have succeeded, quietly: {ran}");
        ran
    }

    /// Runs it; it must end with this exit code, neither crash nor be killed.
    pub(crate) fn fails_with(self, code: i32) -> Ran {
        let ran = self.go();
        assert_eq!(ran.code, Some(code), "should have exited with {code}: {ran}");
        assert!(!ran.err().contains("panicked"), "{ran}");
        ran
    }

    /// Runs it; it must refuse with exit code 2, one line on standard error that says why, and nothing on standard
    /// output.
    pub(crate) fn refuses(self) -> String {
        let ran = self.fails_with(2);
        assert!(ran.stdout.is_empty(), "nothing should be on standard output: {ran}");
        ran.one_line()
    }

    fn shown(&self) -> String {
        let mut shown = self.program.to_string_lossy().into_owned();
        for arg in &self.args {
            shown.push_str(&format!(" {arg:?}"));
        }
        if !self.stdin.is_empty() {
            shown.push_str(&format!(" < {} bytes", self.stdin.len()));
        }
        shown
    }
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or_else(|e| panic!("standard output is no text, {e}: {self}"))
    }

    /// Standard error as text.
    pub(crate) fn err(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap_or_else(|e| panic!("standard error is no text, {e}: {self}"))
    }

    /// The only line on standard error, without the program's name.
    pub(crate) fn one_line(&self) -> String {
        let message = self.err().strip_prefix("rdbkit: ").and_then(|rest| rest.strip_suffix('\n'));
        match message {
            Some(line) if !line.contains('\n') && !line.is_empty() => line.to_owned(),
            _ => panic!("standard error should be one line that begins with 'rdbkit: ': {self}"),
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 2000;
        writeln!(f, "\n$ {}\nexit code {:?}", self.shown, self.code)?;
        for (name, bytes) in [("standard output", &self.stdout), ("standard error", &self.stderr)] {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
            writeln!(f, "--- {name}, {} bytes\n{text}", bytes.len())?;
        }
        Ok(())
    }
}

/// Which of the two outputs.
enum Stream {
    Out,
    Err,
}

/// Feeds a child and collects what it says, without ever waiting for longer than [`PATIENCE`].
fn watch(mut child: Child, input: Vec<u8>, shown: String) -> Ran {
    let mut stdin = child.stdin.take().unwrap();
    // A program that has seen enough closes its end; that is its right.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (send, receive) = channel();
    collect(child.stdout.take().unwrap(), Stream::Out, send.clone());
    collect(child.stderr.take().unwrap(), Stream::Err, send);
    let Some((stdout, stderr)) = both(&receive) else {
        child.kill().unwrap();
        panic!("{shown}: hangs");
    };
    let code = child.wait().unwrap().code();
    Ran { code, stdout, stderr, shown }
}

fn collect(mut pipe: impl Read + Send + 'static, stream: Stream, send: Sender<(Stream, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).unwrap();
        // Nobody listens any more if the program was given up.
        drop(send.send((stream, all)));
    });
}

fn both(receive: &Receiver<(Stream, Vec<u8>)>) -> Option<(Vec<u8>, Vec<u8>)> {
    let deadline = Instant::now() + PATIENCE;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        match receive.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()? {
            (Stream::Out, all) => out = all,
            (Stream::Err, all) => err = all,
        }
    }
    Some((out, err))
}
