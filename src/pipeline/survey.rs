//! What append-only files hold, found out in one reading, whatever is done with it meanwhile: how much of each there is,
//! and where it stops being sound.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::input::Plain;
use super::{AofFolder, Form, Input};
use crate::error::{Error, Result};
use crate::rdb::Behind;
use crate::resp::{Commands, Role, Words};
use crate::text;

/// A file of an append-only directory, or one that stands alone.
#[derive(Debug)]
pub struct FileSurvey {
    /// Where it is.
    pub path: PathBuf,
    /// What the manifest says it is; none for one that stands alone.
    pub role: Option<Role>,
    /// Its size in bytes, without wrappers; unknown of what is damaged and can't be asked for it.
    pub size: Option<u64>,
    /// Whether it is compressed.
    pub is_wrapped: bool,
    /// Whether it begins with a dump.
    pub has_dump: bool,
    /// Bytes of the dump in front; 0 for none, or a damaged one.
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
#[derive(Default, Debug)]
pub struct Survey {
    /// The manifest; none for a single file.
    pub folder: Option<AofFolder>,
    /// The files that are loaded, in their order.
    pub files: Vec<FileSurvey>,
}

/// A survey that is made by whoever reads; it is whole when all has been read.
pub type SharedSurvey = Arc<Mutex<Survey>>;

/// What is done with what stands in append-only files, while they are looked through.
pub trait Visitor {
    /// A dump in front of commands: it has to be read to its end.
    fn dump(&mut self, dump: &mut Input) -> Result<()>;

    /// A command, which begins at this byte.
    fn command(&mut self, offset: u64, words: &Words) -> Result<()>;

    /// What there is to say of a file at its end.
    fn end(&mut self, _file: &FileSurvey) -> Result<()> {
        Ok(())
    }
}

impl Survey {
    /// Whether every file is sound to its end.
    pub fn is_sound(&self) -> bool {
        self.files.iter().all(|file| file.damage.is_none())
    }
}

impl FileSurvey {
    pub(super) fn new(path: &Path, role: Option<Role>) -> FileSurvey {
        FileSurvey {
            path: path.to_owned(),
            role,
            size: None,
            is_wrapped: false,
            has_dump: false,
            dump: 0,
            commands: 0,
            transactions: 0,
            names: BTreeMap::new(),
            times: None,
            sound_to: 0,
            damage: None,
            oddities: Vec::new(),
        }
    }

    /// A file that holds so many bytes of a dump and nothing else.
    pub(super) fn of_dump(path: &Path, role: Role, dump: u64) -> FileSurvey {
        let size = Some(dump);
        FileSurvey { size, has_dump: dump > 0, dump, sound_to: dump, ..FileSurvey::new(path, Some(role)) }
    }

    /// Looks through a file to its end, or to its first damage, which does not make this fail.
    pub(super) fn read(
        path: &Path,
        role: Option<Role>,
        name: &str,
        plain: Plain,
        visitor: &mut dyn Visitor,
    ) -> Result<FileSurvey> {
        let mut found = FileSurvey::new(path, role);
        (found.size, found.is_wrapped) = (plain.plain_size(), plain.is_wrapped());
        match found.look_through(name, plain, visitor) {
            Ok(()) => found.size = Some(found.sound_to),
            Err(e) if e.is_damage() => found.damage = Some(e.in_input(name)),
            Err(e) => return Err(e.in_input(name)),
        }
        // Under however many spellings they stand there.
        for (name, count) in std::mem::take(&mut found.names) {
            *found.names.entry(name.to_ascii_uppercase()).or_default() += count;
        }
        visitor.end(&found).map_err(|e| e.in_input(name))?;
        Ok(found)
    }

    fn look_through(&mut self, name: &str, plain: Plain, visitor: &mut dyn Visitor) -> Result<()> {
        // What servers write is no typed text.
        let is_typed = self.role.is_none() && Form::of(&plain.start) == Some(Form::Typed);
        self.has_dump = plain.is_dump();
        if !self.has_dump {
            let commands = Commands::new(plain.bytes);
            return self.commands(if is_typed { commands } else { commands.strict() }, visitor);
        }
        let mut input = plain.into_input(name, Form::Rdb, Behind::Left)?;
        visitor.dump(&mut input)?;
        self.dump = input.reader.offset();
        self.sound_to = self.dump;
        self.commands(Commands::at(input.reader.into_rest(), self.dump).strict(), visitor)
    }

    fn commands(&mut self, mut commands: Commands<impl Read>, visitor: &mut dyn Visitor) -> Result<()> {
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
            self.annotated(commands.timestamp(), offset);
            self.transaction(&words[0], offset, &mut open)?;
            self.count(&words[0]);
            visitor.command(offset, &words)?;
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

    /// Notes the time that stood last in front of a command.
    fn annotated(&mut self, time: Option<i64>, offset: u64) {
        let Some(time) = time else { return };
        let (first, last) = self.times.unwrap_or((time, time));
        if time < last {
            let what = format!("annotation: its time {time} comes before {last}");
            self.oddities.push(Error::malformed(what).at(offset));
        }
        self.times = Some((first, time));
    }

    /// Keeps track of where the transaction begins that is open.
    fn transaction(&mut self, command: &[u8], offset: u64, open: &mut Option<u64>) -> Result<()> {
        let is = |name: &[u8]| command.eq_ignore_ascii_case(name);
        match open {
            None if is(b"MULTI") => *open = Some(offset),
            None if is(b"EXEC") => return Err(Error::malformed("command: EXEC without MULTI").at(offset)),
            Some(_) if is(b"MULTI") => {
                return Err(Error::malformed("command: MULTI within a transaction").at(offset));
            }
            Some(_) if is(b"EXEC") => {
                self.transactions += 1;
                *open = None;
            }
            Some(_) if is(b"DISCARD") => *open = None,
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, command: &[u8]) {
        self.commands += 1;
        let known = std::str::from_utf8(command).ok().and_then(|name| self.names.get_mut(name));
        match known {
            Some(count) => *count += 1,
            None => *self.names.entry(text::escaped(command)).or_default() += 1,
        }
    }

    /// What it is, in a word.
    pub fn role_name(&self) -> &'static str {
        self.role.map_or("file", Role::name)
    }

    /// Whether it is a dump and nothing else, as far as it could be read.
    pub fn is_dump_alone(&self) -> bool {
        self.has_dump && (self.dump == 0 || self.size == Some(self.dump))
    }
}

/// Only looks.
pub struct Looks;

impl Visitor for Looks {
    fn dump(&mut self, dump: &mut Input) -> Result<()> {
        dump.reader.skip_to_end()
    }

    fn command(&mut self, _: u64, _: &Words) -> Result<()> {
        Ok(())
    }
}
