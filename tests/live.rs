//! Real servers: getting them, starting them, asking them. None outlives the test that started it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::root;

/// A server that needs longer than this to start or to answer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The programs of one server.
#[derive(Clone)]
pub(crate) struct Installed {
    name: String,
    folder: PathBuf,
}

/// A server's programs, fetched if they are not there yet. Without them a test fails: it never passes unrun.
pub(crate) fn installed(name: &str) -> Installed {
    static FETCHED: LazyLock<Mutex<HashMap<String, Result<(), String>>>> = LazyLock::new(Mutex::default);
    let fetched = FETCHED.lock().unwrap().entry(name.into()).or_insert_with(|| fetch(name)).clone();
    if let Err(why) = fetched {
        panic!("this test needs {name}, and tests/servers.sh cannot get it: {why}");
    }
    Installed { name: name.into(), folder: servers().join(name) }
}

/// Whether a server is already here.
pub(crate) fn is_installed(name: &str) -> bool {
    servers().join(name).join("run-server").exists()
}

fn servers() -> PathBuf {
    root().join(std::env::var_os("RDBKIT_SERVERS").unwrap_or("target/servers".into()))
}

fn fetch(name: &str) -> Result<(), String> {
    let ran = Command::new("tests/servers.sh").arg(name).current_dir(root()).stdin(Stdio::null()).output();
    match ran {
        Ok(ran) if ran.status.success() => Ok(()),
        Ok(ran) => Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

impl Installed {
    pub(crate) fn program(&self, tool: &str) -> PathBuf {
        self.folder.join(format!("run-{tool}"))
    }

    /// Whether the server's own program says that a dump is sound.
    pub(crate) fn finds_sound(&self, dump: &Path) -> bool {
        output(&self.program("check-rdb"), [dump]).status.success()
    }

    fn version(&self) -> (u32, u32) {
        let number = self.name.split_once('-').unwrap().1;
        let mut parts = number.split('.').map(|part| part.parse().unwrap());
        (parts.next().unwrap(), parts.next().unwrap())
    }

    /// Its name as a target: without the patch version.
    pub(crate) fn target(&self) -> String {
        let (product, (major, minor)) = (self.name.split_once('-').unwrap().0, self.version());
        format!("{product}-{major}.{minor}")
    }

    pub(crate) fn is_redis(&self) -> bool {
        self.name.starts_with("redis-")
    }

    /// Whether the server is at least this new.
    pub(crate) fn since(&self, major: u32, minor: u32) -> bool {
        self.version() >= (major, minor)
    }

    pub(crate) fn start(&self) -> Server {
        self.start_as(&[])
    }

    /// Starts it with these settings beside the usual ones.
    pub(crate) fn start_as(&self, settings: &[&str]) -> Server {
        Server::start(self.clone(), None, settings)
    }

    /// Starts it with a dump as its data, which every version can.
    pub(crate) fn start_with(&self, dump: &Path) -> Server {
        Server::start(self.clone(), Some(dump), &[])
    }

    /// Starts it with a dump as its data, which it looks at as closely as it can; nothing if it refuses, or crashes.
    pub(crate) fn tries(&self, dump: &Path) -> Option<Server> {
        Server::try_start(self.clone(), dump)
    }

    /// Starts it with `appendonly yes` on a copy of this directory, or before 7.0 of this file.
    pub(crate) fn start_from_aof(&self, folder: &Path) -> Server {
        Server::start(self.clone(), Some(folder), &[])
    }
}

/// Runs a program to its end.
fn output<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>) -> Output {
    let ran = Command::new(program).args(args).stdin(Stdio::null()).output();
    ran.unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

/// A server that runs as long as this lives.
pub(crate) struct Server {
    pub(crate) installed: Installed,
    replies: BufReader<UnixStream>,
    // In this order: what is first goes first.
    life: Option<Life>,
    folder: TempDir,
    /// All that it was started with.
    settings: Vec<OsString>,
}

/// A server's process. It ends when this is dropped, and also when the whole test program is killed.
pub(crate) struct Life {
    keeper: Child,
    stdin: Option<ChildStdin>,
}

/// Ends the server when nobody holds the other end of the standard input any more, and not before.
const KEEPER: &str = r#"trap '' INT TERM HUP; "$@" < /dev/null & cat > /dev/null; kill -9 $!"#;

/// The same, and writes into the log when the server has ended by itself.
const WATCHFUL_KEEPER: &str = r#"trap '' INT TERM HUP; "$@" < /dev/null & p=$!
(while kill -0 $p 2> /dev/null; do sleep 0.02; done; echo '[the server has ended]') & cat > /dev/null; kill -9 $p"#;

const ENDED: &str = "[the server has ended]";

impl Life {
    pub(crate) fn begin(program: &Path, settings: &[OsString], log: &Path) -> Life {
        Life::kept_by(KEEPER, program, settings, log)
    }

    fn watched(program: &Path, settings: &[OsString], log: &Path) -> Life {
        Life::kept_by(WATCHFUL_KEEPER, program, settings, log)
    }

    fn kept_by(script: &str, program: &Path, settings: &[OsString], log: &Path) -> Life {
        let log = File::create(log).unwrap();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", script, "sh"]).arg(program).args(settings);
        keeper.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut keeper = keeper.spawn().unwrap();
        Life { stdin: keeper.stdin.take(), keeper }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Starts a server and connects to it.
fn launch(installed: &Installed, settings: &[OsString], folder: &Path) -> (Life, BufReader<UnixStream>) {
    let log = folder.join("log");
    let life = Life::begin(&installed.program("server"), settings, &log);
    let stream = connect(&folder.join("socket"));
    let stream = stream.unwrap_or_else(|| panic!("{}: does not start\n{}", installed.name, text(&log)));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (life, BufReader::new(stream))
}

impl Server {
    fn start(installed: Installed, dump: Option<&Path>, more: &[&str]) -> Server {
        // Directly below /tmp, for a socket's path must be short.
        let folder = tempfile::Builder::new().prefix("rdbkit").tempdir_in("/tmp").unwrap();
        let is_aof = dump.is_some_and(|path| path.is_dir() || path.extension() == Some(OsStr::new("aof")));
        match dump {
            Some(aof) if aof.is_file() && is_aof => {
                std::fs::copy(aof, folder.path().join("appendonly.aof")).unwrap();
            }
            Some(aof) if is_aof => {
                let copy = folder.path().join("appendonlydir");
                std::fs::create_dir(&copy).unwrap();
                for name in crate::harness::names(aof) {
                    std::fs::copy(aof.join(&name), copy.join(&name)).unwrap();
                }
            }
            Some(dump) => drop(std::fs::copy(dump, folder.path().join("dump.rdb")).unwrap()),
            None => {}
        }
        let socket = folder.path().join("socket");
        let mut settings: Vec<OsString> =
            vec!["--unixsocket".into(), socket.into(), "--dir".into(), folder.path().into()];
        let usual = [
            "--port",
            "0",
            "--dbfilename",
            "dump.rdb",
            "--save",
            "",
            "--appendonly",
            if is_aof { "yes" } else { "no" },
        ];
        settings.extend(usual.map(OsString::from));
        // Reading a key later must not make it look less used.
        settings.extend(["--lfu-decay-time", "0"].map(OsString::from));
        if installed.since(7, 0) {
            settings.extend(["--enable-debug-command", "yes"].map(OsString::from));
        }
        settings.extend(more.iter().map(OsString::from));
        let (life, replies) = launch(&installed, &settings, folder.path());
        let mut server = Server { installed, replies, life: Some(life), folder, settings };
        server.get_ready();
        server
    }

    fn try_start(installed: Installed, dump: &Path) -> Option<Server> {
        let folder = tempfile::Builder::new().prefix("rdbkit").tempdir_in("/tmp").unwrap();
        std::fs::copy(dump, folder.path().join("dump.rdb")).unwrap();
        let (socket, log) = (folder.path().join("socket"), folder.path().join("log"));
        let mut settings: Vec<OsString> =
            vec!["--unixsocket".into(), socket.clone().into(), "--dir".into(), folder.path().into()];
        settings.extend(["--port", "0", "--save", "", "--appendonly", "no"].map(OsString::from));
        if installed.since(6, 2) {
            settings.extend(["--sanitize-dump-payload", "yes"].map(OsString::from));
        }
        if installed.since(7, 0) {
            settings.extend(["--enable-debug-command", "yes"].map(OsString::from));
        }
        let life = Life::watched(&installed.program("server"), &settings, &log);
        let is_over = || whole(&log).contains(ENDED);
        let stream = poll(PATIENCE, || match UnixStream::connect(&socket) {
            Ok(stream) => Some(Some(stream)),
            Err(_) => is_over().then_some(None),
        })??;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut server = Server { installed, replies: BufReader::new(stream), life: Some(life), folder, settings };
        poll(PATIENCE, || {
            let sent = server.replies.get_mut().write_all(b"PING\r\n").and_then(|()| Reply::read(&mut server.replies));
            match sent {
                Ok(Reply::Text(_)) => Some(true),
                Ok(_) => None,
                Err(_) => Some(false),
            }
        })?
        .then_some(server)
    }

    fn get_ready(&mut self) {
        // It listens before it looks for a dump; the first answer says that it is through with that.
        let ready = poll(PATIENCE, || match self.try_ask("PING", &[]) {
            Reply::Error(why) => (!why.starts_with("LOADING")).then_some(()),
            _ => Some(()),
        });
        assert!(ready.is_some(), "{}: does not get ready\n{}", self.installed.name, self.log());
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.life = None;
    }

    /// Starts it again on what it has saved.
    pub(crate) fn start_again(&mut self) {
        self.life = None;
        drop(std::fs::remove_file(self.socket()));
        let (life, replies) = launch(&self.installed, &self.settings, self.folder.path());
        (self.life, self.replies) = (Some(life), replies);
        self.get_ready();
    }

    /// Where it listens, for rdbkit.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Makes a dump the server's data, as on a start.
    pub(crate) fn load(&mut self, dump: &Path) {
        std::fs::copy(dump, self.folder.path().join("dump.rdb")).unwrap();
        self.ask("SCRIPT FLUSH", &[]);
        self.ask("DEBUG RELOAD NOSAVE", &[]);
    }

    /// Saves its data; returns where.
    pub(crate) fn save(&mut self) -> PathBuf {
        self.ask("SAVE", &[]);
        let saved = self.folder.path().join("saved.rdb");
        std::fs::rename(self.folder.path().join("dump.rdb"), &saved).unwrap();
        saved
    }

    /// Has it write its append-only file anew.
    pub(crate) fn rewrite_aof(&mut self) {
        // It may be at it already, since it was told to write one at all.
        self.await_rewrite();
        self.ask("BGREWRITEAOF", &[]);
        self.await_rewrite();
    }

    fn await_rewrite(&mut self) {
        let done = poll(PATIENCE, || {
            let info = self.ask("INFO persistence", &[]);
            let info = String::from_utf8_lossy(info.text()).into_owned();
            let idle = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"].iter().all(|line| info.contains(line));
            idle.then_some(())
        });
        assert!(done.is_some(), "{}: does not rewrite its append-only file\n{}", self.installed.name, self.log());
    }

    /// Where it writes its append-only file: a directory, or before 7.0 a file.
    pub(crate) fn aof(&self) -> PathBuf {
        let name = if self.installed.since(7, 0) { "appendonlydir" } else { "appendonly.aof" };
        self.folder.path().join(name)
    }

    /// Forgets everything.
    pub(crate) fn empty(&mut self) {
        self.ask("FLUSHALL", &[]);
        self.ask("SCRIPT FLUSH", &[]);
        if self.installed.since(7, 0) {
            self.ask("FUNCTION FLUSH", &[]);
        }
    }

    /// The command line of this server's own client.
    pub(crate) fn client(&self) -> [PathBuf; 3] {
        [self.installed.program("cli"), "-s".into(), self.socket()]
    }

    /// What the server's own client prints, with these arguments.
    pub(crate) fn client_says<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Vec<u8> {
        let [program, option, socket] = self.client();
        let args: Vec<_> = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let ran = output(&program, [option.into(), socket.into()].into_iter().chain(args.clone()));
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    }

    /// The reply to a command: the words of `command` and then `more`.
    pub(crate) fn ask(&mut self, command: &str, more: &[&[u8]]) -> Reply {
        match self.try_ask(command, more) {
            Reply::Error(why) => panic!("{}: {command} {}: {why}", self.installed.name, shown(more)),
            reply => reply,
        }
    }

    /// As [`Server::ask`], but an error is a reply like any other.
    pub(crate) fn try_ask(&mut self, command: &str, more: &[&[u8]]) -> Reply {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).chain(more.iter().copied()).collect();
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        let reply = self.replies.get_mut().write_all(&bytes).and_then(|()| Reply::read(&mut self.replies));
        reply.unwrap_or_else(|e| panic!("{}: {command} {}: {e}\n{}", self.installed.name, shown(more), self.log()))
    }

    pub(crate) fn log(&self) -> String {
        text(&self.folder.path().join("log"))
    }
}

fn shown(words: &[&[u8]]) -> String {
    String::from_utf8_lossy(&words.join(b" ".as_slice())).chars().take(80).collect()
}

/// The begin of a log, where a crash is explained before its stack is listed.
fn text(log: &Path) -> String {
    let log = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&log).lines().take(60).collect::<Vec<_>>().join("\n")
}

fn whole(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned()
}

fn connect(socket: &Path) -> Option<UnixStream> {
    poll(PATIENCE, || UnixStream::connect(socket).ok())
}

/// Asks until there is an answer, but not for longer than this.
pub(crate) fn poll<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > deadline {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a server answers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reply {
    Nil,
    Int(i64),
    /// Also a status.
    Text(Vec<u8>),
    Array(Vec<Reply>),
    Error(String),
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Nil => write!(f, "nil"),
            Reply::Int(number) => write!(f, "{number}"),
            Reply::Text(text) => write!(f, "\"{}\"", text.escape_ascii()),
            Reply::Array(items) => f.debug_list().entries(items).finish(),
            Reply::Error(why) => write!(f, "-{why}"),
        }
    }
}

impl Reply {
    fn read(from: &mut impl BufRead) -> std::io::Result<Reply> {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        // Old servers repeat in an error what they were asked, whatever bytes that were.
        let line = String::from_utf8_lossy(&line);
        let Some((kind, rest)) = line.trim_end().split_at_checked(1) else {
            return Err(std::io::Error::other("the server is gone"));
        };
        let number = || rest.parse::<i64>().map_err(std::io::Error::other);
        Ok(match kind {
            "+" => Reply::Text(rest.into()),
            "-" => Reply::Error(rest.into()),
            ":" => Reply::Int(number()?),
            _ => match (kind, usize::try_from(number()?)) {
                (_, Err(_)) => Reply::Nil,
                ("$", Ok(size)) => Reply::Text(read_text(from, size)?),
                (_, Ok(count)) => Reply::Array((0..count).map(|_| Reply::read(from)).collect::<Result<_, _>>()?),
            },
        })
    }

    pub(crate) fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) => items,
            other => panic!("{other:?} is not an array"),
        }
    }

    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Reply::Text(text) => text,
            other => panic!("{other:?} is not a text"),
        }
    }

    pub(crate) fn int(&self) -> i64 {
        match self {
            Reply::Int(number) => *number,
            other => panic!("{other:?} is not a number"),
        }
    }

    /// Without those members of maps that have one of these names, wherever they are.
    pub(crate) fn without(&self, names: &[&str]) -> Reply {
        let is_one = |name: &Reply| names.iter().any(|n| *name == Reply::Text((*n).into()));
        let Reply::Array(items) = self else { return self.clone() };
        let mut kept = Vec::new();
        let mut items = items.iter();
        while let Some(item) = items.next() {
            if is_one(item) {
                items.next();
            } else {
                kept.push(item.without(names));
            }
        }
        Reply::Array(kept)
    }

    /// With those arrays in order that hold nothing but arrays: what a server keeps in no order.
    pub(crate) fn ordered(&self) -> Reply {
        let Reply::Array(items) = self else { return self.clone() };
        let mut items: Vec<Reply> = items.iter().map(Reply::ordered).collect();
        if items.iter().all(|item| matches!(item, Reply::Array(_))) {
            items.sort();
        }
        Reply::Array(items)
    }
}

fn read_text(from: &mut impl Read, size: usize) -> std::io::Result<Vec<u8>> {
    let mut text = vec![0; size + 2];
    from.read_exact(&mut text)?;
    text.truncate(size);
    Ok(text)
}
