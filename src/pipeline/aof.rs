//! Append-only files: a dump in front, commands behind it, and directories of both.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::input::{Input, Plain, name_of, open_plain};
use super::survey::{FileSurvey, SharedSurvey, Visitor};
use super::{Form, Meter};
use crate::error::{Error, Result};
use crate::model::{Batch, Buffers, Target};
use crate::resp::{AofFile, Dataset, Manifest, Role, Words};

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

    /// The base, where no increment follows it that is not empty.
    pub(super) fn base_alone(&self) -> Option<(PathBuf, Role)> {
        let is_empty = |file: &AofFile| self.path_of(file).metadata().is_ok_and(|meta| meta.len() == 0);
        let mut files = self.manifest.loaded();
        let base = files.next().filter(|file| file.role == Role::Base)?;
        files.all(is_empty).then(|| (self.path_of(base), base.role))
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
    /// Reads the files of a directory, or of the one in which a manifest lies.
    pub fn read(path: &Path, from: Start, meter: &Arc<Meter>) -> Result<Loaded> {
        Loaded::read_folder(AofFolder::open(path)?, from, meter, None)
    }

    /// Reads commands that come from anywhere, with or without a dump in front of them.
    pub fn read_stream(name: &str, bytes: Box<dyn Read + Send>, start: &[u8], from: Start) -> Result<Loaded> {
        Loaded::read_file(Path::new(name), name, Plain::of_bytes(bytes, start.to_vec()), from, None)
    }

    pub(super) fn read_file(
        path: &Path,
        name: &str,
        plain: Plain,
        from: Start,
        survey: Option<SharedSurvey>,
    ) -> Result<Loaded> {
        let mut loading = Loading::new(from, survey);
        loading.add(path, None, name, plain)?;
        loading.finish()
    }

    pub(super) fn read_folder(
        folder: AofFolder,
        from: Start,
        meter: &Arc<Meter>,
        survey: Option<SharedSurvey>,
    ) -> Result<Loaded> {
        let mut loading = Loading::new(from, survey);
        // Only 7.0 and later have such directories.
        loading.dataset.is_recent();
        for file in folder.manifest.loaded() {
            let path = folder.path_of(file);
            let name = name_of(&path);
            let plain = open_plain(&path, meter)?;
            loading.add(&path, Some(file.role), &name, plain)?;
        }
        if let Some(survey) = &loading.survey {
            survey.lock().unwrap_or_else(PoisonError::into_inner).folder = Some(folder);
        }
        loading.finish()
    }
}

/// Data on their way from append-only files into memory.
struct Loading {
    dataset: Dataset,
    target: Target,
    /// Where to put what the files hold. With one, all files are read to their ends, whatever is wrong with one of them or
    /// can't be applied.
    survey: Option<SharedSurvey>,
    /// What was wrong, or could not be applied.
    failed: Option<Error>,
}

impl Loading {
    fn new(start: Start, survey: Option<SharedSurvey>) -> Loading {
        Loading { dataset: Dataset::new(start.now, start.db), target: Target::least(0), survey, failed: None }
    }

    fn add(&mut self, path: &Path, role: Option<Role>, name: &str, plain: Plain) -> Result<()> {
        self.dataset.start_file();
        // What is typed is repaired by whoever typed it.
        let is_typed = Form::of(&plain.start) == Some(Form::Typed);
        let mut found = FileSurvey::read(path, role, name, plain, self)?;
        match &self.survey {
            Some(survey) => {
                if let Some(e) = &found.damage {
                    self.failed.get_or_insert_with(|| e.again());
                }
                survey.lock().unwrap_or_else(PoisonError::into_inner).files.push(found);
                Ok(())
            }
            None => match found.damage.take() {
                // What helps against a file that ends in the middle, as one does whose server was killed.
                Some(e) if found.dump > 0 || !found.has_dump && !is_typed => {
                    let sound_to = found.sound_to;
                    Err(e.noting(format!("the file is sound up to byte {sound_to}; 'rdbkit repair' cuts it there")))
                }
                damage => damage.map_or(Ok(()), Err),
            },
        }
    }

    fn finish(self) -> Result<Loaded> {
        let Loading { dataset, mut target, failed, .. } = self;
        if let Some(e) = failed {
            return Err(e);
        }
        let least = dataset.least_version();
        let is_enough = target.redis_version() >= least || target.origin.is_valkey();
        if !is_enough {
            target = Target::least(least);
        }
        Ok(Loaded { dataset, target })
    }

    fn records(&mut self, batch: &Batch, buffers: &mut Buffers) -> Result<()> {
        let origin = batch.origin().clone();
        let taken = batch.each(buffers, |record, _| self.dataset.record(&record, &origin));
        self.or_fail_later(taken)
    }

    /// Puts an error off where all is to be read.
    fn or_fail_later(&mut self, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(e) if self.survey.is_some() => Ok(self.failed = Some(e)),
            other => other,
        }
    }
}

impl Visitor for Loading {
    fn dump(&mut self, dump: &mut Input) -> Result<()> {
        let reader = &mut dump.reader;
        let mut buffers = Buffers::default();
        let mut batch = match reader.take_head() {
            Some(head) => head,
            None => reader.batch(),
        };
        loop {
            if self.failed.is_none() {
                self.records(&batch, &mut buffers)?;
            }
            if !reader.fill(&mut batch)? {
                break;
            }
        }
        self.target = Target::of(reader.origin());
        if reader.origin().version >= 10 {
            self.dataset.is_recent();
        }
        Ok(())
    }

    fn command(&mut self, offset: u64, words: &Words) -> Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        let applied = self.dataset.apply(offset, words);
        self.or_fail_later(applied)
    }
}

/// The first bytes of a file.
fn start_of(path: &Path) -> Result<Vec<u8>> {
    const LOOKED_AT: u64 = 4096;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start));
    read.map(|_| start).map_err(|e| Error::from(e).in_input(&name_of(path)))
}

/// What a file holds, as far as its first bytes tell; standard input, pipes and the like are not looked at.
pub fn form_of(path: &Path) -> Result<Option<Form>> {
    if path.is_dir() {
        return Ok(Some(Form::AofDir));
    }
    if path == Path::new("-") || !path.metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    start_of(path).map(|start| Form::of(&start))
}
