//! Repair: a new dump of all that is sound in a damaged one, and a list of what is not.
//!
//! First the checksum is asked: where only a few bytes in a row differ from what was saved, it tells which and what they
//! were, and nothing is lost. Else every record is measured, past damage as well ([`crate::rdb::Salvager`]), and looked
//! at with a server's eyes ([`crate::check::Deep`]); what is sound is written, everything else is told and, if wanted,
//! kept byte for byte in a quarantine. The input is only read.

mod names;
mod quarantine;
mod rescue;
mod rows;
mod source;
mod stitch;
mod surgeon;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

pub use quarantine::Quarantine;
pub use source::Seal;

use crate::codec::crc64::Burst;
use crate::codec::{Cursor, opcode};
use crate::error::{Error, Result};
use crate::model::Target;
use crate::pipeline::{Meter, Output, Source, run};
use crate::rdb::{Ending, Salvager};
use names::Names;
use source::Opened;
use stitch::Stitcher;
use surgeon::{Outcome, Piece, Surgeon};

/// Which of several keys with one name is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Duplicates {
    /// The first in the file.
    #[default]
    First,
    /// The last in the file: takes a second pass.
    Last,
    /// All of them, the later ones under new names.
    Rename,
}

/// How a dump is repaired.
#[derive(Clone, Copy, Debug)]
pub struct Repairs {
    /// Which of several keys with one name is kept.
    pub duplicates: Duplicates,
    /// Write keys whose collection is empty; servers from 6.2 on skip them.
    pub keep_empty: bool,
    /// Keep what can be read of a damaged collection.
    pub salvage_elements: bool,
    /// Put back what the checksum says was there.
    pub use_checksum: bool,
    /// What claims to be larger is not believed.
    pub max_record: usize,
}

impl Default for Repairs {
    fn default() -> Repairs {
        Repairs {
            duplicates: Duplicates::First,
            keep_empty: false,
            salvage_elements: false,
            use_checksum: true,
            max_record: 1 << 30,
        }
    }
}

/// What became of something that is not as it was in the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is lost.
    Lost,
    /// It was left out, and nothing is lost by that.
    Dropped,
    /// It is in the output, but not as it was.
    Changed,
}

/// Something that is not in the output as it was in the input.
#[derive(Debug)]
pub struct Left {
    /// Its first byte in the input.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
    /// The key, where there is one.
    pub key: Option<(u64, Vec<u8>)>,
    /// Why.
    pub why: String,
    /// What became of it.
    pub fate: Fate,
    /// For bytes that are no records: how sure it is that a record begins behind them, as a power of two.
    pub bits: Option<u32>,
    /// The bytes.
    pub raw: Vec<u8>,
}

/// What came of a repair.
#[derive(Debug, Default)]
pub struct Report {
    /// Keys in the output.
    pub keys: u64,
    /// Function libraries in the output.
    pub libraries: u64,
    /// Bytes of the output.
    pub size: u64,
    /// Keys and other records that were recognised and lost.
    pub lost: u64,
    /// Keys that were left out, and nothing is lost by that.
    pub dropped: u64,
    /// Keys that are in the output, but not as they were.
    pub changed: u64,
    /// Those of them that lack some of their elements.
    pub trimmed: u64,
    /// Stretches of bytes that are no records.
    pub gaps: u64,
    /// Bytes of all that is lost.
    pub lost_bytes: u64,
    /// For each database, how many keys the input says it has, and how many are kept.
    pub expected: Vec<(u64, u64, u64)>,
    /// What the checksum of the input said.
    pub seal: Seal,
    /// What was put back because the checksum says so.
    pub restored: Option<Burst>,
    /// What was wrong with the header, if anything.
    pub header: Option<String>,
    /// Whether the input ends with its end mark.
    pub closed: bool,
    /// Whether commands of an append-only file follow it, which are not in the output.
    pub commands: bool,
    /// Why the input could not be read further.
    pub unreadable: Option<Error>,
}

impl Report {
    /// Whether something was lost.
    pub fn is_loss(&self) -> bool {
        self.lost + self.gaps + self.trimmed > 0
            || !self.closed
            || self.commands
            || self.unreadable.is_some()
            || self.missing() > 0
    }

    /// Keys that the databases are said to have had beyond those that are kept or were left out for nothing.
    pub fn missing(&self) -> u64 {
        let of_each = self.expected.iter().map(|(_, said, kept)| said.saturating_sub(*kept));
        of_each.fold(0, u64::saturating_add).saturating_sub(self.dropped)
    }
}

/// Where everything goes that is not in the output as it was.
pub type Told<'r> = &'r mut dyn FnMut(&Left) -> Result<()>;

impl Source for Salvager {
    type Batch = Piece;

    fn batch(&self) -> Piece {
        Piece { batch: Salvager::batch(self), gaps: Vec::new() }
    }

    fn fill(&mut self, piece: &mut Piece) -> Result<bool> {
        Ok(Salvager::fill(self, &mut piece.batch, &mut piece.gaps))
    }

    fn count(piece: &Piece) -> usize {
        piece.batch.len()
    }
}

/// A repair that has looked at the input.
pub struct Repair {
    repairs: Repairs,
    opened: Opened,
    path: std::path::PathBuf,
}

impl Repair {
    /// Opens a file, or standard input for `-`; reads it once for its checksum, if it can be read again.
    pub fn open(path: &Path, repairs: Repairs) -> Result<Repair> {
        if repairs.duplicates == Duplicates::Last && path == Path::new("-") {
            return Err(Error::usage("--duplicates last reads the input twice, which standard input can't be"));
        }
        let opened = Opened::open(path, repairs.use_checksum)?;
        Ok(Repair { repairs, opened, path: path.to_owned() })
    }

    /// The name of the input, for messages.
    pub fn name(&self) -> &str {
        &self.opened.name
    }

    /// How far the reading has come, and of how many bytes.
    pub fn meter(&self) -> (&Arc<Meter>, Option<u64>) {
        (&self.opened.meter, self.opened.size)
    }

    /// Writes what is sound to `output`. The caller completes it with [`Output::finish`].
    pub fn run(self, threads: NonZeroUsize, output: &mut Output, told: Told<'_>) -> Result<Report> {
        let Repair { repairs, opened, path } = self;
        let is_suspicious = matches!(opened.seal, Seal::Wrong | Seal::Off) && deserves_suspicion(&path, repairs)?;
        let mut names = Names::new(repairs.duplicates);
        let target = Arc::new(Target::of(&opened.origin));
        let surgeon = || Surgeon::new(&target, repairs, &names.seeds, true);
        if repairs.duplicates == Duplicates::Last {
            let (surveyed, mut ids) = (Opened::open(&path, repairs.use_checksum)?, Vec::new());
            let mut salvager = surveyed.salvager(repairs.max_record);
            if is_suspicious {
                salvager.suspect();
            }
            let meter = Meter::default();
            run(&mut salvager, threads, &meter, surgeon, |outcome: &mut Outcome| {
                ids.extend(outcome.items.iter().filter_map(|item| item.id()));
                Ok(ControlFlow::Continue(()))
            })
            .1?;
            names.survey(ids);
        }
        let seeds = names.seeds.clone();
        let is_intact = opened.seal == Seal::Right;
        let surgeon = || Surgeon::new(&target, repairs, &seeds, is_intact);
        let Opened { seal, restored, header, meter, .. } = &opened;
        let report = Report { seal: *seal, restored: *restored, header: header.clone(), ..Report::default() };
        let meter = meter.clone();
        let mut stitcher = Stitcher::new(&target, names, output, told, report);
        let mut salvager = opened.salvager(repairs.max_record);
        if is_suspicious {
            salvager.suspect();
        }
        run(&mut salvager, threads, &meter, surgeon, |outcome| {
            stitcher.take(outcome)?;
            Ok(ControlFlow::Continue(()))
        })
        .1?;
        let mut report = stitcher.end()?;
        report.closed = salvager.ending() != Some(Ending::Cut);
        report.commands = salvager.ending() == Some(Ending::Commands);
        report.unreadable = salvager.read_error();
        Ok(report)
    }
}

/// Whether records must be suspected of having swallowed others: the size hints speak of more keys than can be read, and
/// with suspicion more can. Reads the input for this.
fn deserves_suspicion(path: &Path, repairs: Repairs) -> Result<bool> {
    let open = || -> Result<Salvager> { Ok(Opened::open(path, repairs.use_checksum)?.salvager(repairs.max_record)) };
    let plain = Counted::of(open()?);
    if plain.is_cut || plain.found + plain.gaps >= plain.said {
        return Ok(false);
    }
    let mut suspicious = open()?;
    suspicious.suspect();
    Ok(Counted::of(suspicious).found > plain.found)
}

/// What can be read of an input.
struct Counted {
    /// Keys as the size hints say.
    said: u64,
    /// Keys.
    found: u64,
    /// Stretches that are no records.
    gaps: u64,
    is_cut: bool,
}

impl Counted {
    fn of(mut salvager: Salvager) -> Counted {
        let (mut batch, mut gaps) = (Salvager::batch(&salvager), Vec::new());
        let mut counted = Counted { said: 0, found: 0, gaps: 0, is_cut: false };
        while Salvager::fill(&mut salvager, &mut batch, &mut gaps) {
            counted.gaps += gaps.len() as u64;
            counted.found += batch.keys();
            for i in 0..batch.len() {
                let mut cur = Cursor::new(batch.unit_bytes(i));
                if cur.u8().is_ok_and(|code| code == opcode::RESIZEDB) {
                    counted.said = counted.said.saturating_add(cur.length().unwrap_or_default());
                }
            }
        }
        counted.is_cut = salvager.ending() == Some(Ending::Cut);
        counted
    }
}
