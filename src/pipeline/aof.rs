//! Append-only files: a dump in front, commands behind it, and directories of both.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::input::{Plain, name_of, unwrap_all, unwrap_compressed};
use super::{Form, Meter};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Batch, Buffers, Target};
use crate::rdb::Reader;
use crate::resp::{AofFile, Commands, Dataset, Manifest, Role, Words};

/// What append-only files have built.
pub struct Loaded {
    /// The data.
    pub dataset: Dataset,
    /// Who can load it, and where it comes from as far as is known.
    pub target: Target,
}

/// A directory of append-only files.
#[derive(Debug)]
pub struct AofFolder {
    /// The directory.
    pub path: PathBuf,
    /// Its manifest's name.
    pub manifest_name: String,
    /// What the manifest says.
    pub manifest: Manifest,
}

impl AofFolder {
    /// Opens the directory, or the manifest in it.
    pub fn open(path: &Path) -> Result<AofFolder> {
        if path == Path::new("-") {
            return Err(Error::usage("it is a manifest, which only names files: name it, or the directory it lies in"));
        }
        let manifest = if path.is_dir() { find_manifest(path)? } else { path.to_owned() };
        let name = manifest.display().to_string();
        let read = std::fs::read(&manifest).map_err(Error::from).and_then(|bytes| Manifest::read(&bytes));
        Ok(AofFolder {
            path: manifest.parent().unwrap_or(Path::new("")).to_owned(),
            manifest_name: manifest.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            manifest: read.map_err(|e| e.in_input(&name))?,
        })
    }

    /// Where a file of it lies.
    pub fn path_of(&self, file: &AofFile) -> PathBuf {
        self.path.join(&file.name)
    }

    /// Bytes of all files that are loaded, as far as they are there.
    pub fn size(&self) -> u64 {
        self.manifest.loaded().filter_map(|file| self.path_of(file).metadata().ok()).map(|meta| meta.len()).sum()
    }

    /// The base, where no command follows it.
    pub(super) fn base_alone(&self) -> Option<PathBuf> {
        let is_empty = |file: &AofFile| self.path_of(file).metadata().is_ok_and(|meta| meta.len() == 0);
        let mut files = self.manifest.loaded();
        let base = files.next().filter(|file| file.role == Role::Base)?;
        files.all(is_empty).then(|| self.path_of(base))
    }
}

/// The manifest in a directory.
fn find_manifest(folder: &Path) -> Result<PathBuf> {
    let name = folder.display().to_string();
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(|e| Error::from(e).in_input(&name))? {
        let path = entry.map_err(|e| Error::from(e).in_input(&name))?.path();
        let is_temporary = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"temp-"));
        if path.extension().is_some_and(|extension| extension == "manifest") && !is_temporary {
            found.push(path);
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        (Some(_), false) => Err(Error::usage("it has several manifests; name the one that is meant")),
        (None, _) => Err(Error::usage(
            "it is a directory without the manifest of append-only files; name the dump file in it, such as dump.rdb",
        )),
    }
    .map_err(|e| e.in_input(&name))
}

/// What commands begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// What relative times are counted from, Unix time in ms.
    pub now: i64,
    /// The database of commands in front of the first SELECT.
    pub db: u64,
}

impl Loaded {
    fn new(start: Start) -> Loaded {
        Loaded { dataset: Dataset::new(start.now, start.db), target: Target::least(0) }
    }

    /// Reads the files of a directory, or one file: commands, with or without a dump in front of them.
    pub fn read(path: &Path, from: Start, meter: &Arc<Meter>) -> Result<Loaded> {
        let mut loaded = Loaded::new(from);
        let start = match path.is_dir() {
            true => Vec::new(),
            false => start_of(path)?,
        };
        if path.is_dir() || Manifest::is_one(&start) {
            let folder = AofFolder::open(path)?;
            // Only 7.0 and later have such directories.
            loaded.dataset.is_recent();
            for file in folder.manifest.loaded() {
                loaded.add_file(&folder.path_of(file), meter)?;
            }
        } else {
            loaded.add_file(path, meter)?;
        }
        loaded.finish()
    }

    /// Reads commands that come from anywhere, with or without a dump in front of them.
    pub fn read_stream(name: &str, bytes: Box<dyn Read + Send>, start: &[u8], from: Start) -> Result<Loaded> {
        let mut loaded = Loaded::new(from);
        loaded.add(bytes, start).map_err(|e| e.in_input(name))?;
        loaded.finish()
    }

    fn finish(mut self) -> Result<Loaded> {
        let least = self.dataset.least_version();
        let is_enough = self.target.redis_version() >= least || self.target.origin.is_valkey();
        if !is_enough {
            self.target = Target::least(least);
        }
        Ok(self)
    }

    fn add_file(&mut self, path: &Path, meter: &Arc<Meter>) -> Result<()> {
        let name = name_of(path);
        let opened = unwrap_all(path, meter, unwrap_compressed);
        let added = opened.and_then(|Plain { mut bytes, .. }| {
            let mut start = Vec::new();
            (&mut bytes).take(9).read_to_end(&mut start)?;
            let bytes = Box::new(std::io::Cursor::new(start.clone()).chain(bytes));
            self.add(bytes, &start)
        });
        added.map_err(|e| e.in_input(&name))
    }

    fn add(&mut self, bytes: Box<dyn Read + Send>, start: &[u8]) -> Result<()> {
        self.dataset.start_file();
        let is_dump = start.starts_with(b"REDIS") || start.starts_with(b"VALKEY");
        if !is_dump {
            let commands = Commands::new(bytes);
            let is_typed = Form::of(start) == Some(Form::Typed);
            return self.commands(if is_typed { commands } else { commands.strict() });
        }
        let mut reader = Reader::before_rest(bytes)?;
        let mut buffers = Buffers::default();
        let mut batch = match reader.take_head() {
            Some(head) => head,
            None => reader.batch(),
        };
        self.records(&batch, &mut buffers)?;
        while reader.fill(&mut batch)? {
            self.records(&batch, &mut buffers)?;
        }
        self.target = Target::of(reader.origin());
        if reader.origin().version >= 10 {
            self.dataset.is_recent();
        }
        let end = reader.offset();
        self.commands(Commands::at(reader.into_rest(), end).strict())
    }

    fn records(&mut self, batch: &Batch, buffers: &mut Buffers) -> Result<()> {
        let origin = batch.origin().clone();
        batch.each(buffers, |record, _| self.dataset.record(&record, &origin))
    }

    fn commands(&mut self, mut commands: Commands<impl Read>) -> Result<()> {
        let mut words = Words::default();
        loop {
            match commands.next_command(&mut words) {
                Ok(Some(offset)) => self.dataset.apply(offset, &words)?,
                Ok(None) => return self.dataset.end_of_commands().map_err(cut),
                Err(e) => return Err(if e.is_truncated() { cut(e) } else { e }),
            }
        }
    }
}

/// Says what helps against a file that ends in the middle of a command, as one does whose server was killed.
fn cut(e: Error) -> Error {
    let offset = e.offset().unwrap_or(0);
    e.noting(format!("the file is sound up to byte {offset}; 'rdbkit repair' cuts it there"))
}

/// The first bytes of a file.
fn start_of(path: &Path) -> Result<Vec<u8>> {
    const LOOKED_AT: u64 = 4096;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start));
    read.map(|_| start).map_err(|e| Error::from(e).in_input(&name_of(path)))
}

/// Whether commands follow the dump in a file.
pub(super) fn has_commands(path: &Path) -> Result<bool> {
    let size = path.metadata()?.len();
    match end_of_dump(path) {
        Ok(end) => Ok(end < size),
        // Whoever reads it in earnest will find that, too.
        Err(e) if !matches!(e.kind(), ErrorKind::Io(_)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The byte behind the dump that a file begins with. It is read for that, but nothing is looked into.
pub fn end_of_dump(path: &Path) -> Result<u64> {
    let mut reader = Reader::before_rest(Box::new(std::fs::File::open(path)?))?;
    reader.verify(false);
    let mut batch = reader.batch();
    while reader.fill(&mut batch)? {}
    Ok(reader.offset())
}

/// What a file holds, as far as its first bytes tell; standard input, pipes and the like are not looked at.
pub fn form_of(path: &Path) -> Result<Option<Form>> {
    if path == Path::new("-") || !path.metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    match Form::of(&start_of(path)?) {
        Some(Form::Preamble) => Ok(Some(if has_commands(path)? { Form::Preamble } else { Form::Rdb })),
        form => Ok(form),
    }
}
