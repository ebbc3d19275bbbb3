//! One side of a comparison: read once to survey it, and again where keys differ.

use std::fs::File;
use std::io::{Seek, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Options;
use super::partitions::{Partitions, Short};
use crate::codec::opcode;
use crate::error::Result;
use crate::model::facts::Loose;
use crate::model::{Batch, Buffers, Fingerprinter, Origin, Record};
use crate::pipeline::{Input, Meter, Work, run, scratch_file};

/// Where one side comes from.
pub struct Side<'s> {
    open: Box<dyn FnMut() -> Result<Input> + 's>,
    /// For what can be read only once: keep a copy of it on disk.
    once: bool,
    /// What was copied, and the input's name. The file has none, and goes away with its handle.
    copy: Option<(File, String)>,
}

/// What was found in one side.
pub(super) struct Survey {
    pub(super) partitions: Partitions,
    pub(super) loose: Vec<(Loose, u128)>,
    pub(super) keys: u64,
}

impl<'s> Side<'s> {
    /// A side that `open` gives as often as it is called, and the same each time; with `once`, it is called once, and a
    /// copy of all records is kept in a temporary file until the end.
    pub fn new(once: bool, open: impl FnMut() -> Result<Input> + 's) -> Side<'s> {
        Side { open: Box::new(open), once, copy: None }
    }

    /// Opens it again.
    pub(super) fn open(&mut self) -> Result<Input> {
        match &mut self.copy {
            Some((copy, name)) => {
                copy.rewind()?;
                Input::from_read(name, Box::new(copy.try_clone()?), Arc::new(Meter::default()))
            }
            None => (self.open)(),
        }
    }

    /// Reads all of it.
    pub(super) fn survey(&mut self, threads: NonZeroUsize, options: &Options) -> Result<Survey> {
        let mut input = (self.open)()?;
        let mut copy = if self.once { Some(Copy::begin(input.reader.origin())?) } else { None };
        let mut survey = Survey { partitions: Partitions::new(), loose: Vec::new(), keys: 0 };
        let once = self.once;
        let surveyor = || Surveyor { options, once, prints: Fingerprinter::default(), buffers: Buffers::default() };
        if let Some(head) = input.reader.take_head() {
            let mut found = Found::default();
            surveyor().batch(&head, &mut found).map_err(|e| input.name_it(e))?;
            survey.take(&found, &mut copy)?;
        }
        let meter = input.meter.clone();
        let take = |found: &mut Found| survey.take(found, &mut copy).map(ControlFlow::Continue);
        run(&mut input.reader, threads, &meter, surveyor, take).1.map_err(|e| input.name_it(e))?;
        if let Some(copy) = copy {
            self.copy = Some((copy.end(input.reader.origin())?, input.name));
        }
        Ok(survey)
    }
}

impl Survey {
    fn take(&mut self, found: &Found, copy: &mut Option<Copy>) -> Result<()> {
        if let Some(copy) = copy {
            copy.file.write_all(&found.raw)?;
        }
        self.keys += found.shorts.len() as u64;
        self.loose.extend_from_slice(&found.loose);
        found.shorts.iter().try_for_each(|short| self.partitions.add(short))
    }
}

/// A worker that surveys batches.
struct Surveyor<'o> {
    options: &'o Options,
    once: bool,
    prints: Fingerprinter,
    buffers: Buffers,
}

#[derive(Default)]
struct Found {
    shorts: Vec<Short>,
    loose: Vec<(Loose, u128)>,
    /// The records themselves, where a copy is kept.
    raw: Vec<u8>,
}

impl Work for Surveyor<'_> {
    type Output = Found;

    fn batch(&mut self, batch: &Batch, out: &mut Found) -> Result<()> {
        let Surveyor { options, once, prints, buffers } = self;
        let Found { shorts, loose, raw } = out;
        shorts.clear();
        loose.clear();
        raw.clear();
        if *once {
            raw.extend_from_slice(batch.bytes());
        }
        let keys_only = !options.filter.is_empty();
        batch.each(buffers, |record, scratch| {
            if let Record::Entry(entry) = &record {
                if options.filter.keeps(entry) {
                    shorts.push(Short::new(entry, &prints.print(entry, scratch)?));
                }
            } else if !keys_only {
                loose.extend(Loose::of(&record, options.ignore)?);
            }
            Ok(())
        })
    }
}

/// A copy of what can't be read twice.
struct Copy {
    file: File,
}

impl Copy {
    fn begin(origin: &Origin) -> Result<Copy> {
        let mut file = scratch_file()?;
        let magic = origin.magic.name();
        let digits = 9 - magic.len();
        write!(file, "{magic}{:0digits$}", origin.version)?;
        Ok(Copy { file })
    }

    /// Ends it, without a checksum: what was read has been verified.
    fn end(mut self, origin: &Origin) -> Result<File> {
        self.file.write_all(&[opcode::EOF])?;
        if origin.version >= 5 {
            self.file.write_all(&[0; 8])?;
        }
        Ok(self.file)
    }
}
