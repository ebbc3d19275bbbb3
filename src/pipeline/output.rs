//! Outputs: standard output, or a file that appears under its name only when it is complete.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use tempfile::{NamedTempFile, TempDir};

use super::pipe::Message;
use super::unfinished::Unfinished;
use crate::error::{Error, Result};

/// At most so much goes to another thread at once.
const PIECE: usize = 1 << 20;

/// Where results go. Not buffered: to be written to in large pieces.
pub struct Output {
    name: String,
    place: Place,
}

enum Place {
    /// Standard output, a pipe or a device: whatever is written is gone.
    Stream(File),
    /// Another thread.
    Pipe(SyncSender<Message>),
    /// A file beside its final place, and whether it may replace one that is there.
    File { temp: NamedTempFile, path: PathBuf, force: bool, entry: Unfinished },
}

impl Output {
    /// Opens standard output for `None` and `-`, else a new file that replaces an old one only with `force`.
    pub fn create(path: Option<&Path>, force: bool) -> Result<Output> {
        let (name, place) = match path.filter(|path| *path != Path::new("-")) {
            Some(path) => (path.display().to_string(), Place::create(path, force)),
            None => ("standard output".to_owned(), Place::stdout()),
        };
        match place {
            Ok(place) => Ok(Output { name, place }),
            Err(e) => Err(e.in_input(&name)),
        }
    }

    /// What is open already, and can only be written to, such as a socket.
    pub fn stream(name: &str, open: File) -> Output {
        Output { name: name.to_owned(), place: Place::Stream(open) }
    }

    /// What is written goes to another thread.
    pub(super) fn to_thread(sender: SyncSender<Message>) -> Output {
        Output { name: "pipe".to_owned(), place: Place::Pipe(sender) }
    }

    /// Writes all of `bytes`; a failure names the output.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.place {
            Place::Stream(out) => out.write_all(bytes),
            // Whoever was to read it has gone.
            Place::Pipe(to) => bytes.chunks(PIECE).try_for_each(|piece| {
                to.send(Message::Bytes(piece.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }),
            Place::File { temp, .. } => temp.write_all(bytes),
        };
        written.map_err(|e| Error::from(e).in_input(&self.name))
    }

    /// Whether bytes that were written can be written over.
    pub fn is_patchable(&self) -> bool {
        matches!(self.place, Place::File { .. })
    }

    /// Writes over bytes that were written before. Only for what [`Output::is_patchable`].
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        match &self.place {
            Place::Stream(_) | Place::Pipe(_) => Ok(()),
            Place::File { temp, .. } => temp.as_file().write_all_at(bytes, offset),
        }
        .map_err(|e| Error::from(e).in_input(&self.name))
    }

    /// Puts everything in its place: a file gets its name. Without this call, a file disappears again.
    pub fn finish(self) -> Result<()> {
        let Place::File { temp, path, force, entry } = self.place else { return Ok(()) };
        let moved = entry.complete(|| if force { temp.persist(&path) } else { temp.persist_noclobber(&path) });
        match moved {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
            Err(e) => Err(e.error.into()),
        }
        .map_err(|e| e.in_input(&self.name))
    }
}

/// A temporary file without a name (below `TMPDIR`): it goes away with its handle, whatever ends the program.
pub fn scratch_file() -> Result<File> {
    Ok(tempfile::tempfile()?)
}

/// A directory that gets its name when it is complete.
pub struct NewDir {
    folder: TempDir,
    path: PathBuf,
    entry: Unfinished,
}

impl NewDir {
    /// Begins one that is to have this name; a directory with anything in it is not replaced.
    pub fn create(path: &Path) -> Result<NewDir> {
        let name = path.display().to_string();
        if path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::usage("the directory exists and is not empty").in_input(&name));
        }
        let parent = folder_of(path);
        let make = || tempfile::Builder::new().prefix(".rdbkit-").suffix(".part").tempdir_in(parent);
        let made = Unfinished::create(make, TempDir::path);
        let (folder, entry) = made.map_err(|e| cannot_create(parent, &e).in_input(&name))?;
        Ok(NewDir { folder, path: path.to_owned(), entry })
    }

    /// A file of this name in it.
    pub fn file(&self, name: &str) -> Result<Output> {
        Output::create(Some(&self.folder.path().join(name)), false)
    }

    /// Gives it its name.
    pub fn finish(self) -> Result<()> {
        let folder = self.folder.path();
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))
            .and_then(|()| self.entry.complete(|| std::fs::rename(folder, &self.path)))
            .map_err(|e| Error::from(e).in_input(&self.path.display().to_string()))?;
        // It has another name now, and is to stay.
        drop(self.folder.keep());
        Ok(())
    }
}

/// An append-only directory of 7.0 and later: a base file, an increment without commands, and the manifest. It gets its
/// name when it is complete.
pub struct AofDir(NewDir);

impl AofDir {
    const BASE: &str = "appendonly.aof.1.base.rdb";
    const INCREMENT: &str = "appendonly.aof.1.incr.aof";

    /// Begins one that is to have this name; a directory with anything in it is not replaced.
    pub fn create(path: &Path) -> Result<AofDir> {
        NewDir::create(path).map(AofDir)
    }

    /// The base file.
    pub fn base(&self) -> Result<Output> {
        self.file(AofDir::BASE)
    }

    /// A file of this name in it.
    pub fn file(&self, name: &str) -> Result<Output> {
        self.0.file(name)
    }

    /// Adds what is lacking beside the base file, and gives the directory its name.
    pub fn finish(self) -> Result<()> {
        let (base, increment) = (AofDir::BASE, AofDir::INCREMENT);
        self.file(increment)?.finish()?;
        let manifest = format!("file {base} seq 1 type b\nfile {increment} seq 1 type i\n");
        self.finish_with("appendonly.aof.manifest", &manifest)
    }

    /// Adds the manifest, and gives the directory its name.
    pub fn finish_with(self, manifest_name: &str, manifest: &str) -> Result<()> {
        let mut file = self.file(manifest_name)?;
        file.put(manifest.as_bytes())?;
        file.finish()?;
        self.0.finish()
    }
}

impl Place {
    fn stdout() -> Result<Place> {
        Ok(Place::Stream(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }

    fn create(path: &Path, force: bool) -> Result<Place> {
        match path.metadata() {
            Ok(meta) if meta.is_dir() => return Err(Error::usage("it is a directory; name a file in it")),
            // A pipe or device is written to as it is: nothing may be renamed over it.
            Ok(meta) if !meta.is_file() => return Ok(Place::Stream(OpenOptions::new().write(true).open(path)?)),
            Ok(_) if !force => return Err(exists()),
            _ => {}
        }
        let folder = folder_of(path);
        // Readable and writable as the umask allows, like any new file.
        let make = || {
            let mut builder = tempfile::Builder::new();
            let builder = builder.prefix(".rdbkit-").suffix(".part");
            builder.permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
        };
        let (temp, entry) = Unfinished::create(make, NamedTempFile::path).map_err(|e| cannot_create(folder, &e))?;
        Ok(Place::File { temp, path: path.to_owned(), force, entry })
    }
}

/// The directory that a path lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn cannot_create(folder: &Path, e: &io::Error) -> Error {
    let folder = folder.display();
    match e.kind() {
        io::ErrorKind::NotFound => Error::usage(format!("there is no directory {folder}; make it first")),
        io::ErrorKind::PermissionDenied => Error::usage(format!("no permission to write into the directory {folder}")),
        kind => Error::from(io::Error::from(kind)),
    }
}

fn exists() -> Error {
    Error::usage("the file exists; use --force to replace it")
}
