//! A server that takes commands and saves them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdbkit::{Error, Result};

/// It runs in a folder of its own, and ends with this.
pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    stream: TcpStream,
    port: u16,
    replies: Option<JoinHandle<std::io::Result<Option<String>>>>,
}

/// Asked for last: when it comes back, all replies have come.
const LAST: &str = "that was all";

impl Server {
    pub(crate) fn start(program: &Path) -> Result<Server> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new(program)
            .args(["--port", &port.to_string(), "--save", "", "--rdbcompression", "yes", "--databases", "16"])
            .args(["--daemonize", "no", "--bind", "127.0.0.1", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(50));
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                let replies = Some(thread::spawn({
                    let stream = stream.try_clone()?;
                    move || read_replies(stream)
                }));
                return Ok(Server { child, folder, stream, port, replies });
            }
        }
        drop(child.kill());
        Err(Error::usage(format!("{} does not listen", program.display())))
    }

    pub(crate) fn send(&mut self, commands: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(commands)?)
    }

    /// Waits until everything has been done, and saves it.
    pub(crate) fn save(mut self, to: &Path) -> Result<()> {
        self.stream.write_all(format!("*2\r\n$4\r\nECHO\r\n${}\r\n{LAST}\r\n", LAST.len()).as_bytes())?;
        let replies = self.replies.take().map(|thread| thread.join().expect("reading replies does not panic"));
        if let Some(refused) = replies.transpose()?.flatten() {
            return Err(Error::usage(format!("the server refused a command: {refused}")));
        }
        let mut other = TcpStream::connect(("127.0.0.1", self.port))?;
        other.write_all(b"SAVE\r\n")?;
        let mut reply = [0; 3];
        other.read_exact(&mut reply)?;
        if &reply != b"+OK" {
            return Err(Error::usage("the server can't save"));
        }
        // Not renamed: the folder may lie on another disk.
        std::fs::copy(self.folder.path().join("dump.rdb"), to)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads until the last reply; gives the first error among them.
fn read_replies(stream: TcpStream) -> std::io::Result<Option<String>> {
    let mut refused = None;
    let mut line = Vec::new();
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line)? == 0 || line.starts_with(LAST.as_bytes()) {
            return Ok(refused);
        }
        if line.starts_with(b"-") {
            refused.get_or_insert_with(|| String::from_utf8_lossy(&line).trim().to_owned());
        }
    }
}
