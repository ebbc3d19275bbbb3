//! What is named on a command line, opened and told by its first bytes; how it is read on is up to whoever wants it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::aof::{AofFolder, Loaded, Start};
use super::import::{commands_as_dump, csv_as_dump, json_as_dump};
use super::input::{Input, Plain, name_of, open_plain, unwrap, unwrap_all};
use super::survey::{FileSurvey, SharedSurvey, Survey, Visitor};
use super::{Form, Meter};
use crate::error::Result;
use crate::rdb::Behind;

/// A file or directory that has been opened, and of which no more than the first bytes were read.
pub struct Opened {
    path: PathBuf,
    name: String,
    meter: Arc<Meter>,
    what: What,
}

enum What {
    Folder(AofFolder),
    File(Box<Plain>, Form),
}

impl Opened {
    /// Opens a file, a directory of append-only files or its manifest; standard input for `-`.
    pub fn open(path: &Path) -> Result<Opened> {
        let (name, meter) = (name_of(path), Arc::default());
        match What::of(path, &meter) {
            Ok(what) => Ok(Opened { path: path.to_owned(), name, meter, what }),
            Err(e) => Err(e.in_input(&name)),
        }
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What counts how much was read, and how much there is, where that is known.
    pub fn extent(&self) -> (Arc<Meter>, Option<u64>) {
        let size = match &self.what {
            What::Folder(folder) => Some(folder.size()),
            What::File(plain, _) => plain.size(),
        };
        (self.meter.clone(), size)
    }

    /// Whether it is an append-only file or a directory of them. Behind a dump that says so of itself there need be no
    /// command.
    pub fn is_append_only(&self) -> bool {
        matches!(self.what, What::Folder(_) | What::File(_, Form::Commands | Form::Preamble))
    }

    /// Reads on as one does who wants its records, up to the first key. What append-only files hold goes into `survey`
    /// beside; then all of them are read, whatever is wrong with one.
    pub fn into_input(self, survey: Option<&SharedSurvey>) -> Result<Input> {
        let Opened { path, name, meter, what } = self;
        let opened = match what {
            What::Folder(folder) => folder_input(folder, &name, meter, survey.cloned()),
            What::File(plain, form) => file_input(&path, &name, *plain, form, survey.cloned()),
        };
        opened.map_err(|e| e.in_input(&name))
    }

    /// Reads on as one does who wants nothing but a dump, whatever follows it.
    pub fn into_dump(self) -> Result<Input> {
        match self.what {
            What::File(plain, _) => {
                plain.into_input(&self.name, Form::Rdb, Behind::Told).map_err(|e| e.in_input(&self.name))
            }
            What::Folder(_) => self.into_input(None),
        }
    }

    /// Looks through append-only files.
    pub fn look_through(self, visitor: &mut dyn Visitor) -> Result<Survey> {
        let Opened { path, name, meter, what } = self;
        match what {
            What::Folder(folder) => {
                let mut files = Vec::new();
                for file in folder.manifest.loaded() {
                    let path = folder.path_of(file);
                    let name = name_of(&path);
                    let plain = open_plain(&path, &meter)?;
                    files.push(FileSurvey::read(&path, Some(file.role), &name, plain, visitor)?);
                }
                Ok(Survey { folder: Some(folder), files })
            }
            What::File(plain, _) => {
                Ok(Survey { folder: None, files: vec![FileSurvey::read(&path, None, &name, *plain, visitor)?] })
            }
        }
    }
}

impl What {
    fn of(path: &Path, meter: &Arc<Meter>) -> Result<What> {
        if path.is_dir() {
            return AofFolder::open(path).map(What::Folder);
        }
        let plain = unwrap_all(path, meter, unwrap)?;
        match Form::of(&plain.start) {
            Some(Form::AofDir) => AofFolder::open(path).map(What::Folder),
            form => Ok(What::File(Box::new(plain), form.unwrap_or(Form::Rdb))),
        }
    }
}

fn file_input(path: &Path, name: &str, plain: Plain, form: Form, survey: Option<SharedSurvey>) -> Result<Input> {
    let name_of_it = name.to_owned();
    match form {
        Form::Rdb => plain.into_input(name, form, Behind::Told),
        Form::Preamble if plain.is_dump_alone()? => plain.into_input(name, Form::Rdb, Behind::Refused),
        Form::Json => plain.made_input(name, form, move |plain| json_as_dump(&name_of_it, plain.bytes)),
        Form::Csv => plain.made_input(name, form, move |plain| csv_as_dump(&name_of_it, plain.bytes)),
        Form::Commands | Form::Typed | Form::Preamble | Form::AofDir => {
            let path = path.to_owned();
            // Typed text is no append-only file.
            let survey = survey.filter(|_| form != Form::Typed);
            plain.made_input(name, form, move |plain| {
                commands_as_dump(move || Loaded::read_file(&path, &name_of_it, plain, from_now(), survey))
            })
        }
    }
}

/// A directory of append-only files. A base without commands behind it flows as any dump does.
fn folder_input(folder: AofFolder, name: &str, meter: Arc<Meter>, survey: Option<SharedSurvey>) -> Result<Input> {
    let form = Form::AofDir;
    if let Some((path, role)) = folder.base_alone() {
        let base = name_of(&path);
        let plain = open_plain(&path, &meter)?;
        if plain.is_dump() && plain.is_dump_alone()? {
            if let Some(survey) = survey {
                let size = plain.plain_size().unwrap_or_default();
                let mut survey = survey.lock().unwrap_or_else(PoisonError::into_inner);
                survey.files = vec![FileSurvey::of_dump(&path, role, size)];
                let others = folder.manifest.loaded().skip(1);
                survey.files.extend(others.map(|file| FileSurvey::of_dump(&folder.path_of(file), file.role, 0)));
                survey.folder = Some(folder);
            }
            let input = plain.into_input(name, form, Behind::Refused).map_err(|e| e.in_input(&base))?;
            return Ok(Input { form, ..input });
        }
    }
    let size = Some(folder.size());
    let counts = meter.clone();
    let loads = move || Loaded::read_folder(folder, from_now(), &counts, survey);
    let reader = crate::rdb::Reader::new(commands_as_dump(loads)?)?;
    Ok(Input { reader, name: name.to_owned(), size, form, wrappers: Vec::new(), meter })
}

/// Commands begin in database 0, and their times count from now.
fn from_now() -> Start {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Start { now: i64::try_from(since.as_millis()).unwrap_or(i64::MAX), db: 0 }
}
