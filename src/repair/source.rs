//! The input of a repair: whatever wraps it taken off, its checksum asked, and a header made out that may be damaged.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::check;
use crate::codec::crc64::{Burst, Jones, locate};
use crate::codec::{Cursor, Str, opcode};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Origin, newest_version_of};
use crate::pipeline::{Meter, TextInput, open_text};
use crate::rdb::Salvager;

/// What the checksum at the end of the input says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Seal {
    /// It was not asked: the input can be read only once, or has none.
    #[default]
    Unknown,
    /// It is that of the bytes.
    Right,
    /// It is zero: the server was told not to compute it.
    Off,
    /// It is not that of the bytes.
    Wrong,
}

/// An input, and what is known of it before its records are read.
pub(super) struct Opened {
    bytes: Box<dyn Read + Send>,
    pub(super) origin: Origin,
    /// Bytes in front of the records.
    head: u64,
    /// How long it is without wrappers, where that is known.
    plain_size: Option<u64>,
    /// How long the file is.
    pub(super) size: Option<u64>,
    pub(super) name: String,
    pub(super) meter: Arc<Meter>,
    pub(super) seal: Seal,
    pub(super) restored: Option<Burst>,
    pub(super) header: Option<String>,
}

impl Opened {
    pub(super) fn open(path: &Path, use_checksum: bool) -> Result<Opened> {
        let meter = Arc::new(Meter::default());
        let first = open_text(path, &meter)?;
        let name = first.name.clone();
        Opened::examine(path, first, meter, use_checksum).map_err(|e| e.in_input(&name))
    }

    fn examine(path: &Path, first: TextInput, first_meter: Arc<Meter>, use_checksum: bool) -> Result<Opened> {
        if first.start.is_empty() {
            return Err(Error::new(ErrorKind::NotRdb(
                "the file is empty (0 bytes): there is nothing to repair".into(),
            )));
        }
        let skipped = in_front_of_header(&first.start);
        let (sealed, input, meter) = if path == Path::new("-") {
            (Sealed::default(), first, first_meter)
        } else {
            let sealed = Sealed::read(first.bytes, skipped as u64)?;
            // What the first pass read is no progress of the second.
            let meter = Arc::new(Meter::default());
            (sealed, open_text(path, &meter)?, meter)
        };
        let restored = sealed.burst.filter(|_| use_checksum);
        let mut start = input.start[skipped..].to_vec();
        if let Some(burst) = restored {
            burst.apply(0, &mut start);
        }
        let (origin, header) = origin_of(&start)?;
        let mut bytes: Box<dyn Read + Send> = Box::new(Restored { inner: input.bytes, offset: 0, skipped, restored });
        let head = start.len().min(9) as u64;
        std::io::copy(&mut (&mut bytes).take(head + skipped as u64), &mut std::io::sink())?;
        let seal = if restored.is_some() { Seal::Right } else { sealed.seal };
        let TextInput { name, size, .. } = input;
        let plain_size = sealed.size;
        Ok(Opened { bytes, origin, head, plain_size, size, name, meter, seal, restored, header })
    }

    pub(super) fn salvager(self, max_record: usize) -> Salvager {
        let mut salvager = Salvager::new(self.bytes, self.origin, self.head, self.plain_size, max_record);
        if self.seal == Seal::Right {
            salvager.trust();
        }
        salvager
    }
}

/// What a first pass says of all bytes.
#[derive(Default)]
struct Sealed {
    size: Option<u64>,
    seal: Seal,
    burst: Option<Burst>,
}

impl Sealed {
    /// Reads everything. What can't be read ends it; the second pass will say so.
    fn read(mut bytes: Box<dyn Read + Send>, skipped: u64) -> Result<Sealed> {
        const CHUNK: usize = 256 << 10;
        std::io::copy(&mut (&mut bytes).take(skipped), &mut std::io::sink())?;
        let (mut crc, mut len) = (Jones::default(), 0_u64);
        let (mut chunk, mut last) = (vec![0; CHUNK], Vec::new());
        while let Ok(n @ 1..) = bytes.read(&mut chunk) {
            // The last eight bytes are not part of what they are the checksum of.
            last.extend_from_slice(&chunk[..n]);
            let sure = last.len().saturating_sub(8);
            crc.update(&last[..sure]);
            last.drain(..sure);
            len += sure as u64;
        }
        let size = Some(len + last.len() as u64);
        let Ok(stored) = <[u8; 8]>::try_from(last).map(u64::from_le_bytes) else {
            return Ok(Sealed { size, ..Sealed::default() });
        };
        let computed = crc.value();
        Ok(match stored {
            0 => Sealed { size, seal: Seal::Off, burst: None },
            _ if stored == computed => Sealed { size, seal: Seal::Right, burst: None },
            _ => Sealed { size, seal: Seal::Wrong, burst: locate(stored, computed, len) },
        })
    }
}

/// Bytes with what is wrong in them put right.
struct Restored {
    inner: Box<dyn Read + Send>,
    offset: u64,
    skipped: usize,
    restored: Option<Burst>,
}

impl Read for Restored {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf)?;
        if let Some(burst) = self.restored {
            let burst = Burst { offset: burst.offset + self.skipped as u64, ..burst };
            burst.apply(self.offset, &mut buf[..n]);
        }
        self.offset += n as u64;
        Ok(n)
    }
}

/// How many bytes a replication stream puts in front of the file.
fn in_front_of_header(start: &[u8]) -> usize {
    if !matches!(start.first(), Some(b'$' | b'\n')) {
        return 0;
    }
    let is_magic = |at: &usize| start[*at..].starts_with(b"REDIS0") || start[*at..].starts_with(b"VALKEY");
    (0..start.len().min(256)).find(is_magic).unwrap_or(0)
}

/// The origin that the first bytes tell, and what is wrong with them, if anything.
fn origin_of(start: &[u8]) -> Result<(Origin, Option<String>)> {
    let header = start.first_chunk::<9>();
    let written = header.and_then(Origin::from_header);
    if let Some(mut origin) = written.clone() {
        learn(&mut origin, start);
        if check::header(&origin).is_none() && (origin.is_valkey() || origin.version <= newest_known()) {
            return Ok((Origin { server: None, ..written.unwrap_or(origin) }, None));
        }
    }
    let shown = crate::text::quoted(&start[..start.len().min(9)]);
    match guessed(start) {
        Some(origin) => {
            let target = crate::model::Target::of(&origin).header();
            Ok((origin, Some(format!("header: {shown} is none; taken for {target}"))))
        }
        None => match written {
            Some(origin) => Ok((origin, None)),
            None => Err(Error::new(ErrorKind::NotRdb(format!(
                "not an RDB file, as far as can be seen: it begins with {shown}, and no aux field follows"
            )))),
        },
    }
}

fn newest_known() -> u32 {
    crate::model::REDIS_VERSIONS.iter().map(|(_, version)| *version).max().unwrap_or_default()
}

/// The header that a damaged one was, from what is left of it and from the server's version behind it.
fn guessed(start: &[u8]) -> Option<Origin> {
    let alike = |magic: &[u8]| magic.iter().zip(start).filter(|(a, b)| a == b).count();
    let (redis, valkey) = (alike(b"REDIS"), alike(b"VALKEY"));
    let header = |header: &str| Origin::from_header(header.as_bytes().first_chunk::<9>()?);
    let mut origin = header(if valkey > redis { "VALKEY080" } else { "REDIS0006" })?;
    let knows = learn(&mut origin, start);
    if !knows && redis.max(valkey) < 4 {
        return None;
    }
    let by_server = newest_version_of(&Origin { version: 0, ..origin.clone() });
    let is_valkey_9 = origin.server_version().is_some_and(|version| version >= (9, 0)) && valkey >= redis;
    let digits = start.get(5..9).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
    let version = match by_server {
        _ if is_valkey_9 || valkey > redis => return header("VALKEY080"),
        Some(12) if origin.dialect == crate::model::Dialect::Valkey => 11,
        Some(version) => version,
        None => digits.filter(|version| (1..=newest_known()).contains(version)).unwrap_or(11),
    };
    header(&format!("REDIS{version:04}"))
}

/// Learns what the aux fields at the begin say; whether there was one that does.
fn learn(origin: &mut Origin, start: &[u8]) -> bool {
    let mut cur = Cursor::at(start, 9);
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let mut knows = false;
    while cur.u8().is_ok_and(|code| code == opcode::AUX) {
        let (Ok(name), Ok(value)) = (Str::take(&mut cur, &mut name), Str::take(&mut cur, &mut value)) else { break };
        if Origin::cares_about(name) {
            origin.learn(name, value);
            knows = true;
        }
    }
    knows
}
