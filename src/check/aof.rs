//! Append-only files: every error in them, and copies that end where they stop being sound.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::{Checks, Finding, Verdict, check};
use crate::error::{Error, Result};
use crate::pipeline::{AofDir, FileSurvey, Form, Input, Looks, Opened, Output, Survey, Visitor, form_of};
use crate::resp::Words;

/// What came of a check of append-only files.
#[derive(Debug)]
pub enum Checked {
    /// It is a dump and nothing else, or one whose end could not be found.
    Dump(Verdict),
    /// What is in the files, and whether all of it is sound; `None` if that can't be told, as in a [`Verdict`].
    Files(Survey, Option<bool>),
}

/// What came of a repair.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// Bytes that were kept.
    pub kept: u64,
    /// What was left out: the file, from where on, how many bytes, and why.
    pub lost: Vec<(PathBuf, u64, u64, String)>,
}

/// Checks append-only files in one reading: a dump in front as any dump, then the form of every command. Gives everything
/// that is found to `report`, file by file.
pub fn check_files(
    opened: Opened,
    threads: NonZeroUsize,
    checks: &Checks,
    report: &mut dyn FnMut(Finding<'_>) -> Result<()>,
) -> Result<Checked> {
    let mut checker = Checker { threads, checks, report, verdict: None, is_sound: Some(true) };
    let outcome = opened.look_through(&mut checker);
    let Checker { verdict, is_sound, .. } = checker;
    match (outcome, verdict) {
        (Ok(Survey { folder: None, files }), Some(verdict)) if files.iter().all(FileSurvey::is_dump_alone) => {
            Ok(Checked::Dump(verdict))
        }
        (Ok(survey), _) => Ok(Checked::Files(survey, is_sound)),
        (Err(e), _) => Err(e),
    }
}

struct Checker<'c> {
    threads: NonZeroUsize,
    checks: &'c Checks,
    report: &'c mut dyn FnMut(Finding<'_>) -> Result<()>,
    /// What came of the last dump.
    verdict: Option<Verdict>,
    is_sound: Option<bool>,
}

impl Checker<'_> {
    /// Hears of a part whether it is sound: damage is surer than doubt.
    fn hear(&mut self, is_sound: Option<bool>) {
        self.is_sound = match (self.is_sound, is_sound) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
    }
}

impl Visitor for Checker<'_> {
    fn dump(&mut self, dump: &mut Input) -> Result<()> {
        let mut last = None;
        let verdict = check(dump, self.threads, self.checks, |found| {
            if let Finding::Problem(e) = found {
                last = Some(e.again());
            }
            (self.report)(found)
        })?;
        self.hear(if verdict.obstacles > 0 { Some(false) } else { verdict.sound() });
        let is_complete = verdict.end.is_some();
        self.verdict = Some(verdict);
        // Nobody knows then where the commands begin.
        match last.filter(|_| !is_complete) {
            Some(e) if e.is_damage() => Err(e),
            Some(e) => Err(Error::malformed(e.reason()).at(e.offset().unwrap_or_default())),
            None => Ok(()),
        }
    }

    fn command(&mut self, _: u64, _: &Words) -> Result<()> {
        Ok(())
    }

    fn end(&mut self, file: &FileSurvey) -> Result<()> {
        // Damage in the dump has been told.
        let damage = file.damage.as_ref().filter(|_| file.dump > 0 || !file.has_dump);
        self.hear(Some(damage.is_none()));
        damage.into_iter().chain(&file.oddities).try_for_each(|e| (self.report)(Finding::Problem(e)))
    }
}

/// Looks through an append-only file or a directory of them; `None` for what is neither, for a dump that no command
/// follows, and for one that is damaged. Standard input and compressed files are not looked into.
pub fn survey(path: &Path) -> Result<Option<Survey>> {
    match form_of(path)? {
        Some(Form::AofDir) => Opened::open(path)?.look_through(&mut Looks).map(Some),
        Some(Form::Commands | Form::Preamble) => {
            let survey = Opened::open(path)?.look_through(&mut Looks)?;
            Ok(Some(survey).filter(|survey| !survey.files.iter().all(FileSurvey::is_dump_alone)))
        }
        _ => Ok(None),
    }
}

/// Writes what is sound, up to the first damage: a file, or a directory with its manifest. Increments behind the damage are
/// left out, as no server loads them then.
///
/// Errors: damage in the dump in front of the commands, which is another matter.
pub fn repair(survey: &Survey, output: &Path, force: bool) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let Some(folder) = &survey.folder else {
        let [file] = survey.files.as_slice() else { return Ok(repaired) };
        let mut out = Output::create(Some(output), force)?;
        repaired.keep(file, &mut out)?;
        out.finish()?;
        return Ok(repaired);
    };
    let dir = AofDir::create(output)?;
    let mut manifest = String::new();
    let mut is_cut = false;
    for (entry, file) in folder.manifest.loaded().zip(&survey.files) {
        if is_cut {
            let why = "it comes behind the damage".to_owned();
            repaired.lost.push((file.path.clone(), 0, file.size.unwrap_or_default(), why));
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

impl Repaired {
    /// Copies what is sound of a file.
    fn keep(&mut self, file: &FileSurvey, out: &mut Output) -> Result<()> {
        const PIECE: usize = 1 << 20;
        let name = file.path.display().to_string();
        let Some(size) = file.size.filter(|_| !file.is_wrapped) else {
            return Err(Error::usage("it is compressed; unpack it first").in_input(&name));
        };
        if let Some(e) = file.damage.as_ref().filter(|_| file.has_dump && file.dump == 0) {
            let why = format!("the dump in front of its commands is damaged ({}); repair that file first", e.reason());
            return Err(Error::usage(why).in_input(&name));
        }
        let opened = std::fs::File::open(&file.path);
        let mut input = opened.map_err(|e| Error::from(e).in_input(&name))?.take(file.sound_to);
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
            self.lost.push((file.path.clone(), file.sound_to, size.saturating_sub(file.sound_to), e.reason()));
        }
        Ok(())
    }
}
