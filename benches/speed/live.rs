//! Live servers: how long loads and snapshots take beside the server's own tools, and what of that is the server's work.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::median;
use crate::works::rdbkit;

/// A server and its client, by their programs.
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) client: PathBuf,
}

/// A server on a socket of its own.
struct Server<'p> {
    programs: &'p Programs,
    process: Child,
    socket: PathBuf,
}

/// What a run took: seconds, and those of processors that the server took.
struct Took {
    wall: f64,
    server: f64,
}

impl<'p> Server<'p> {
    /// Starts one; with a dump in the folder it reads that first.
    fn start(programs: &'p Programs, folder: &Path) -> io::Result<Server<'p>> {
        let socket = folder.join("socket");
        // One of before is of no use.
        drop(std::fs::remove_file(&socket));
        let process = Command::new(&programs.server)
            .args(["--port", "0", "--save", "", "--repl-diskless-sync-delay", "0", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Server { programs, process, socket };
        let deadline = Instant::now() + Duration::from_secs(120);
        while server.says(&["PING"])? != "PONG" {
            if Instant::now() > deadline || server.process.try_wait()?.is_some() {
                return Err(io::Error::other("the server does not start"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    fn client(&self) -> Command {
        let mut client = Command::new(&self.programs.client);
        client.arg("-s").arg(&self.socket);
        client
    }

    fn says(&self, words: &[&str]) -> io::Result<String> {
        let output = self.client().args(words).stderr(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Seconds of processors that it has taken so far.
    fn cpu(&self) -> io::Result<f64> {
        let info = self.says(&["INFO", "cpu"])?;
        let of = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name)?.parse::<f64>().ok());
        let both = of("used_cpu_user:").zip(of("used_cpu_sys:"));
        both.map(|(user, system)| user + system).ok_or_else(|| io::Error::other("the server does not tell its time"))
    }

    /// Runs a command beside it.
    fn beside(&self, command: &mut Command) -> io::Result<Took> {
        let (before, begun) = (self.cpu()?, Instant::now());
        let output = command.stdout(Stdio::null()).output()?;
        let wall = begun.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(Took { wall, server: self.cpu()? - before })
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // One that has ended is as good.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Into an empty server by its own client: RESTOREs that are ready.
fn by_pipe(programs: &Programs, ready: &Path, folder: &Path) -> io::Result<Took> {
    let server = Server::start(programs, folder)?;
    server.beside(server.client().arg("--pipe").stdin(File::open(ready)?))
}

fn by_load(programs: &Programs, dump: &Path, method: &str, folder: &Path) -> io::Result<Took> {
    let server = Server::start(programs, folder)?;
    server.beside(Command::new(rdbkit()).args(["load", "-q", "--yes", "--method", method]).arg(dump).arg(server.url()))
}

/// A server that starts with the dump, less one that starts with nothing.
fn by_start(programs: &Programs, dump: &Path, folder: &Path) -> io::Result<Took> {
    let timed = |with: bool| {
        let folder = tempfile::tempdir_in(folder)?;
        if with {
            std::fs::copy(dump, folder.path().join("dump.rdb"))?;
        }
        let begun = Instant::now();
        let server = Server::start(programs, folder.path())?;
        Ok::<_, io::Error>((begun.elapsed().as_secs_f64(), server.cpu()?))
    };
    let ((wall, cpu), (wall_empty, cpu_empty)) = (timed(true)?, timed(false)?);
    Ok(Took { wall: wall - wall_empty, server: cpu - cpu_empty })
}

/// Out of a server that has the dump.
fn out_of(programs: &Programs, dump: &Path, ours: bool, folder: &Path) -> io::Result<Took> {
    let folder = tempfile::tempdir_in(folder)?;
    std::fs::copy(dump, folder.path().join("dump.rdb"))?;
    let server = Server::start(programs, folder.path())?;
    let out = folder.path().join("out.rdb");
    if !ours {
        return server.beside(server.client().arg("--rdb").arg(&out));
    }
    server.beside(Command::new(rdbkit()).args(["dump", "-q", "--method", "sync"]).arg(server.url()).arg("-o").arg(&out))
}

/// Prints a row for each way into and out of a server, each in turn with what it is held against.
pub(crate) fn measure(programs: &Programs, dump: &Path, folder: &Path, runs: usize) -> io::Result<()> {
    let ready = folder.join("restores.resp");
    let export = ["export", "-q", "--force", "--format", "resp", "--restore", "-o"];
    Command::new(rdbkit()).args(export).arg(&ready).arg(dump).status()?;
    println!("\n| live | s | server CPU s | against | s | server CPU s | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for (name, against) in [
        ("restore", "redis-cli --pipe, ready RESTOREs"),
        ("auto", "redis-cli --pipe, ready RESTOREs"),
        ("replication", "the server's own start"),
        ("dump sync", "redis-cli --rdb"),
    ] {
        let (mut all, mut yardstick) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let (one, other) = match name {
                "dump sync" => (out_of(programs, dump, true, folder)?, out_of(programs, dump, false, folder)?),
                "replication" => (by_load(programs, dump, name, folder)?, by_start(programs, dump, folder)?),
                _ => (by_load(programs, dump, name, folder)?, by_pipe(programs, &ready, folder)?),
            };
            all.push(one);
            yardstick.push(other);
        }
        let of = |all: &[Took], figure: fn(&Took) -> f64| median(all.iter().map(figure).collect());
        let ratio = median(all.iter().zip(&yardstick).map(|(one, other)| other.wall / one.wall).collect());
        println!(
            "| {name} | {:.2} | {:.2} | {against} | {:.2} | {:.2} | {ratio:.2}× |",
            of(&all, |took| took.wall),
            of(&all, |took| took.server),
            of(&yardstick, |took| took.wall),
            of(&yardstick, |took| took.server),
        );
    }
    Ok(())
}
