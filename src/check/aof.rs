//! Append-only files: what is in them, up to where they are sound, and copies that end there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Checks, Finding, Verdict, check};
use crate::error::{Error, Result};
use crate::pipeline::{AofDir, AofFolder, Form, Input, Meter, Output, end_of_dump, form_of};
use crate::resp::{Commands, Role, Words};
use crate::text;

/// A file of an append-only directory, or one that stands alone.
#[derive(Debug)]
pub struct AofFile {
    /// Where it is.
    pub path: PathBuf,
    /// What the manifest says it is; none for one that stands alone.
    pub role: Option<Role>,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of the dump in front; 0 for none.
    pub dump: u64,
    /// Whole commands.
    pub commands: u64,
    /// Whole transactions.
    pub transactions: u64,
    /// How often each command stands there, by its name in capitals.
    pub names: BTreeMap<String, u64>,
    /// The first and the last time that annotations give (`#TS:`), Unix time in seconds.
    pub times: Option<(i64, i64)>,
    /// Where the last command ends up to which everything is sound, outside of transactions.
    pub sound_to: u64,
    /// What is wrong there.
    pub damage: Option<Error>,
    /// Things that are odd, but do no harm.
    pub oddities: Vec<Error>,
}

/// What append-only files hold.
#[derive(Debug)]
pub struct Survey {
    /// The manifest; none for a single file.
    pub folder: Option<AofFolder>,
    /// The files that are loaded, in their order.
    pub files: Vec<AofFile>,
}

/// What came of a repair.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// Bytes that were kept.
    pub kept: u64,
    /// What was left out: the file, from where on, how many bytes, and why.
    pub lost: Vec<(PathBuf, u64, u64, String)>,
}

/// Looks through an append-only file or a directory of them; `None` for what is neither. Standard input and compressed
/// files are not looked into.
pub fn survey(path: &Path, meter: &Arc<Meter>) -> Result<Option<Survey>> {
    let form = if path.is_dir() { Some(Form::AofDir) } else { form_of(path)? };
    match form {
        Some(Form::AofDir) => {
            let folder = AofFolder::open(path)?;
            let loaded: Vec<_> = folder.manifest.loaded().map(|file| (folder.path_of(file), file.role)).collect();
            let files = loaded.into_iter().map(|(path, role)| look_through(path, Some(role), meter));
            let files = files.collect::<Result<_>>()?;
            Ok(Some(Survey { folder: Some(folder), files }))
        }
        Some(Form::Commands | Form::Preamble) => {
            Ok(Some(Survey { folder: None, files: vec![look_through(path.to_owned(), None, meter)?] }))
        }
        _ => Ok(None),
    }
}

/// Looks through one file. Damage does not make it fail.
fn look_through(path: PathBuf, role: Option<Role>, meter: &Arc<Meter>) -> Result<AofFile> {
    let name = path.display().to_string();
    let mut found = AofFile {
        path,
        role,
        size: 0,
        dump: 0,
        commands: 0,
        transactions: 0,
        names: BTreeMap::new(),
        times: None,
        sound_to: 0,
        damage: None,
        oddities: Vec::new(),
    };
    match found.read(meter) {
        Ok(()) => {}
        Err(e) if e.is_damage() => found.damage = Some(e.in_input(&name)),
        Err(e) => return Err(e.in_input(&name)),
    }
    Ok(found)
}

impl AofFile {
    fn read(&mut self, meter: &Arc<Meter>) -> Result<()> {
        let mut file = File::open(&self.path)?;
        self.size = file.metadata()?.len();
        if self.starts_with_dump()? {
            self.dump = end_of_dump(&self.path)?;
            self.sound_to = self.dump;
        }
        file.seek(SeekFrom::Start(self.dump))?;
        let counted = Counted { inner: file, meter: meter.clone() };
        self.commands(Commands::at(counted, self.dump).strict())
    }

    fn commands(&mut self, mut commands: Commands<impl Read>) -> Result<()> {
        let (mut words, mut open) = (Words::default(), None);
        loop {
            let next = commands.next_command(&mut words);
            let at = match &next {
                Ok(found) => *found,
                Err(e) => e.offset(),
            };
            if let (Some(at), None) = (at, open) {
                // Annotations in front of it are sound.
                self.sound_to = at;
            }
            let Some(offset) = next? else { break };
            if let Some(time) = commands.timestamp() {
                let (first, last) = self.times.unwrap_or((time, time));
                if time < last {
                    let what = format!("annotation: its time {time} comes before {last}");
                    self.oddities.push(Error::malformed(what).at(offset));
                }
                self.times = Some((first, time));
            }
            let name = text::escaped(&words[0]).to_ascii_uppercase();
            match (name.as_str(), open) {
                ("MULTI", None) => open = Some(offset),
                ("MULTI", Some(_)) => return Err(Error::malformed("command: MULTI within a transaction").at(offset)),
                ("EXEC", None) => return Err(Error::malformed("command: EXEC without MULTI").at(offset)),
                ("EXEC", Some(_)) => {
                    self.transactions += 1;
                    open = None;
                }
                _ => {}
            }
            self.commands += 1;
            match self.names.get_mut(&name) {
                Some(count) => *count += 1,
                None => drop(self.names.insert(name, 1)),
            }
            if open.is_none() {
                self.sound_to = commands.offset();
            }
        }
        if let Some(offset) = open {
            return Err(Error::malformed("command: MULTI, and no EXEC follows").at(offset));
        }
        // Annotations may follow the last command.
        self.sound_to = commands.offset();
        Ok(())
    }

    /// What it is, in a word.
    pub fn role_name(&self) -> &'static str {
        self.role.map_or("file", Role::name)
    }

    /// Checks the dump in front as any dump; `None` where there is none.
    pub fn check_dump(
        &self,
        threads: NonZeroUsize,
        checks: &Checks,
        report: impl FnMut(Finding<'_>) -> Result<()>,
    ) -> Result<Option<Verdict>> {
        // One that is damaged is looked at as far as it goes.
        let len = if self.dump == 0 { self.size } else { self.dump };
        if !self.starts_with_dump()? {
            return Ok(None);
        }
        let file = File::open(&self.path)?;
        let name = self.path.display().to_string();
        let mut input = Input::from_read(&name, Box::new(file.take(len)), Arc::default())?;
        check(&mut input, threads, checks, report).map(Some).map_err(|e| e.in_input(&name))
    }
}

impl Survey {
    /// Whether every file is sound to its end.
    pub fn is_sound(&self) -> bool {
        self.files.iter().all(|file| file.damage.is_none())
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Writes what is sound, up to the first damage: a file, or a directory with its manifest. Increments behind the
    /// damage are left out, as no server loads them then.
    ///
    /// Errors: damage in the dump in front of the commands, which is another matter.
    pub fn repair(&self, output: &Path, force: bool) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        let Some(folder) = &self.folder else {
            let [file] = self.files.as_slice() else { return Ok(repaired) };
            let mut out = Output::create(Some(output), force)?;
            repaired.keep(file, &mut out)?;
            out.finish()?;
            return Ok(repaired);
        };
        let dir = AofDir::create(output)?;
        let mut manifest = String::new();
        let mut is_cut = false;
        for (entry, file) in folder.manifest.loaded().zip(&self.files) {
            if is_cut {
                let why = "it comes behind the damage".to_owned();
                repaired.lost.push((file.path.clone(), 0, file.size, why));
                continue;
            }
            let mut out = dir.file(&entry.name)?;
            repaired.keep(file, &mut out)?;
            out.finish()?;
            is_cut = file.damage.is_some();
            manifest.push_str(&entry.line());
        }
        dir.finish_with(&folder.manifest_name, &manifest)?;
        Ok(repaired)
    }
}

impl Repaired {
    /// Copies what is sound of a file.
    fn keep(&mut self, file: &AofFile, out: &mut Output) -> Result<()> {
        const PIECE: usize = 1 << 20;
        let name = file.path.display().to_string();
        if let Some(e) = file.damage.as_ref().filter(|_| file.dump == 0)
            && file.starts_with_dump()?
        {
            let why = format!("the dump in front of its commands is damaged ({}); repair that file first", e.reason());
            return Err(Error::usage(why).in_input(&name));
        }
        let mut input = File::open(&file.path).map_err(|e| Error::from(e).in_input(&name))?.take(file.sound_to);
        let mut piece = vec![0; PIECE];
        loop {
            match input.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => out.put(&piece[..n])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::from(e).in_input(&name)),
            }
        }
        self.kept += file.sound_to;
        if let Some(e) = &file.damage {
            self.lost.push((file.path.clone(), file.sound_to, file.size - file.sound_to, e.reason()));
        }
        Ok(())
    }
}

impl AofFile {
    fn starts_with_dump(&self) -> Result<bool> {
        let mut start = Vec::new();
        File::open(&self.path)?.take(6).read_to_end(&mut start)?;
        Ok(start.starts_with(b"REDIS") || start.starts_with(b"VALKEY"))
    }
}

/// Counts what goes by.
struct Counted {
    inner: File,
    meter: Arc<Meter>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.meter.bytes.fetch_add(n as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(n)
    }
}
