//! Makes dumps to measure with: seeded, of any size, saved by a real server or written by rdbkit itself.
//!
//! ```sh
//! cargo bench --bench dumps -- mixed --keys 2171200 --server redis-server -o mixed.rdb
//! ```

mod server;
mod shapes;

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use rdbkit::Result;
use rdbkit::model::{Entry, Rewrite, Scratch, Target};
use rdbkit::{rdb, resp};
use shapes::Shape;

/// Makes a dump to measure with. The same arguments give the same keys and values.
#[derive(Parser)]
#[command(name = "dumps")]
struct Args {
    /// What is in it.
    #[arg(value_enum)]
    shape: Shape,
    /// Where to put it.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How many keys.
    #[arg(long, required_unless_present = "mb")]
    keys: Option<u64>,
    /// About how many MB (10^6 bytes) of records.
    #[arg(long)]
    mb: Option<u64>,
    /// Where the random numbers begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A redis-server or valkey-server: it is given the data as commands and saves the file. Without one rdbkit
    /// writes the file, as Redis 7.0 would.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// `cargo bench` says this.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Where entries go.
enum Sink {
    Server { server: server::Server, writer: resp::Writer },
    File { file: BufWriter<File>, frame: rdb::Frame, writer: Box<rdb::Writer> },
}

impl Sink {
    fn open(args: &Args, target: &Arc<Target>) -> Result<Sink> {
        if let Some(program) = &args.server {
            let writer = resp::Writer::new(resp::Options { restore: false, chunk_elements: 512, chunk_bytes: 1 << 16 });
            return Ok(Sink::Server { server: server::Server::start(program)?, writer });
        }
        let mut head = Vec::new();
        let mut frame = rdb::Frame::begin(target, true, true, &mut head);
        for (name, value) in [(&b"redis-ver"[..], &b"7.0.15"[..]), (b"redis-bits", b"64")] {
            head.extend([250, name.len() as u8].iter().chain(name).chain(&[value.len() as u8]).chain(value));
        }
        frame.written(&head);
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&args.output)?);
        file.write_all(&head)?;
        let options = rdb::Options {
            compress: true,
            rebuild: false,
            same_server: true,
            expand_templates: false,
            on_loss: rdb::OnLoss::Error,
        };
        Ok(Sink::File { file, frame, writer: Box::new(rdb::Writer::new(target, options)) })
    }

    fn take(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Sink::Server { server, writer } => {
                writer.entry(entry, scratch, out)?;
                if out.len() >= 1 << 18 {
                    server.send(out)?;
                    out.clear();
                }
            }
            Sink::File { file, frame, writer } => {
                frame.key(entry.db, entry.expiry.is_some(), out);
                writer.entry(entry, &Rewrite::default(), scratch, out)?;
                frame.written(out);
                file.write_all(out)?;
                out.clear();
            }
        }
        Ok(())
    }

    fn end(self, mut out: Vec<u8>, output: &std::path::Path) -> Result<()> {
        match self {
            Sink::Server { mut server, .. } => {
                server.send(&out)?;
                server.save(output)
            }
            Sink::File { mut file, frame, .. } => {
                let patches = frame.end(&mut out);
                file.write_all(&out)?;
                for patch in patches {
                    file.seek(SeekFrom::Start(patch.offset))?;
                    file.write_all(&patch.bytes)?;
                }
                Ok(file.flush()?)
            }
        }
    }
}

fn make(args: &Args) -> Result<()> {
    let target = Arc::new(Target::rdb(10).expect("RDB version 10 is known"));
    let mut sink = Sink::open(args, &target)?;
    let mut shape = shapes::Maker::new(args.shape, args.seed, &target);
    let (mut keys, mut size) = (0, 0);
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    while keys < args.keys.unwrap_or(u64::MAX) && size < args.mb.map_or(u64::MAX, |mb| mb * 1_000_000) {
        // The last keys lie in a database of their own; where the size decides, in the first one too.
        let db = u64::from(args.keys.is_some_and(|all| keys >= all / 20 * 19));
        let whole = args.mb.map_or(0, |mb| mb * 1_000_000);
        let entry = shape.next(keys, db, whole)?;
        size += (entry.key.len() + entry.value.bytes.len() + 3) as u64 + if entry.expiry.is_some() { 9 } else { 0 };
        sink.take(&entry, &mut scratch, &mut out)?;
        keys += 1;
    }
    sink.end(out, &args.output)?;
    let size = std::fs::metadata(&args.output)?.len();
    println!("{}: {keys} keys, {} MB", args.output.display(), size / 1_000_000);
    Ok(())
}

fn main() -> ExitCode {
    match make(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("dumps: {e}");
            ExitCode::from(2)
        }
    }
}
