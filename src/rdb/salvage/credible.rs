//! Whether a record begins at a place: by what follows, weighed as bits of evidence.
//!
//! A bit is a halving of the chance that random bytes look so. A chain of records must gather [`SURE`] bits. Wrong
//! places tend to run into right ones, so the first record must also be worth more by itself than the number of places
//! that were tried makes likely.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::super::measure::{Measure, Unit};
use super::trailer;
use crate::codec::{Cursor, Str, opcode};
use crate::model::{Dialect, Element, Origin, RdbType, Scratch, Value};

/// The evidence that makes a chain of records credible.
pub(super) const SURE: u32 = 48;

/// Databases of a server that is not told otherwise.
pub(super) const DATABASES: u64 = 16;

/// The evidence that is enough where the end of the file follows.
const ENOUGH: u32 = 20;
/// The same for records that would begin within one that has been read: that the file was cut is likelier, and a value may
/// end where a cut leaves it looking like the end of a dump.
const ENOUGH_WITHIN: u32 = 32;

/// How many records must follow each other, unless the end of the file does.
const RECORDS: usize = 3;

/// A chain that is not credible after so many records will not become so.
const LONGEST: usize = 64;

/// Evidence that the first record needs beyond the number of places that were tried.
const MARGIN: u32 = 3;

/// Work that is free, and work for each byte that is scanned.
const FREE: u64 = 1 << 30;
const PER_BYTE: u64 = 64;

/// What is looked at when there is no budget left.
const POOR: usize = 256;

/// What came of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chain {
    /// Records begin here, with so many bits of evidence.
    Credible(u32),
    /// They don't.
    No,
    /// That can be told only when more has been read.
    Short,
}

/// A place to be judged.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where.
    pub(super) at: usize,
    /// The records must go on beyond this place.
    pub(super) beyond: usize,
    /// The evidence that there must be in front of it.
    pub(super) before: u32,
    /// How many places were tried before.
    pub(super) scanned: u64,
    /// How far the input can go on at most, from the first of the bytes.
    pub(super) reach: u64,
}

/// What is at a place.
#[derive(Clone, Copy)]
enum Seen {
    /// A record, with so much evidence, and where the next one begins.
    Record { bits: u32, next: usize },
    /// The end of the file, with so much evidence.
    End(u32),
    /// The bytes end within a record, and nothing follows.
    Cut,
    /// Neither.
    Nothing,
    /// Not enough bytes.
    Short,
}

/// What is known of the file's records, and of the places that were looked at.
pub(super) struct Judge {
    seen: HashMap<usize, Seen>,
    path: Vec<usize>,
    scratch: Scratch,
    buf: Vec<u8>,
    habits: Habits,
    spent: u64,
    earned: u64,
}

impl Default for Judge {
    fn default() -> Judge {
        Judge {
            seen: HashMap::new(),
            path: Vec::new(),
            scratch: Scratch::default(),
            buf: Vec::new(),
            habits: Habits::default(),
            spent: 0,
            earned: FREE,
        }
    }
}

/// What the sound records of the file look like.
struct Habits {
    keys: u64,
    /// Keys that are text.
    text: u64,
    first_bytes: [bool; 256],
    last_key: Vec<u8>,
    longest: usize,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits { keys: 0, text: 0, first_bytes: [false; 256], last_key: Vec::new(), longest: 0 }
    }
}

impl Judge {
    /// Forgets what was seen: the bytes stand elsewhere now, or there are more of them.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Whether the database that a record names, and behind which bytes go on at `next`, is likely: servers write a size
    /// hint behind each, and have 16 unless they are told otherwise.
    pub(super) fn hinted(version: u32, bytes: &[u8], next: usize, db: u64) -> bool {
        const FIRST_WITH_HINTS: u32 = 7;
        let is_hinted = bytes.get(next) == Some(&opcode::RESIZEDB);
        is_hinted || db < DATABASES || version < FIRST_WITH_HINTS || next >= bytes.len()
    }

    /// Whether there was a key so far.
    pub(super) fn has_seen_keys(&self) -> bool {
        self.habits.keys > 0
    }

    /// Learns from a sound record.
    #[inline]
    pub(super) fn learn(&mut self, bytes: &[u8], start: usize, ordinal: usize) {
        self.habits.first_bytes[bytes[start] as usize] = true;
        if ordinal < 64 || ordinal.is_multiple_of(16) {
            self.learn_key(bytes, start);
        }
    }

    fn learn_key(&mut self, bytes: &[u8], start: usize) {
        let mut cur = Cursor::at(bytes, start);
        if cur.u8().is_ok_and(|code| code < opcode::DRAGONFLY_KEY_MASK)
            && let Ok(key) = Str::take(&mut cur, &mut self.buf)
        {
            self.habits.keys += 1;
            self.habits.longest = self.habits.longest.max(key.len());
            self.habits.text += u64::from(is_text(key));
            self.habits.last_key.clear();
            self.habits.last_key.extend_from_slice(&key[..key.len().min(64)]);
        }
    }

    /// Whether credible records begin at a place. `whole`: nothing follows `bytes`.
    pub(super) fn chain(&mut self, measure: &Measure, bytes: &[u8], place: Place, whole: bool) -> Chain {
        self.earned += PER_BYTE;
        if !self.may_begin(bytes[place.at], &measure.origin) {
            return Chain::No;
        }
        let needed = 64 - place.scanned.leading_zeros() + MARGIN;
        let enough = if place.beyond > 0 { ENOUGH_WITHIN } else { ENOUGH };
        let (mut bits, mut at, mut after) = (0, place.at, 0);
        let mut probe = measure.clone();
        self.path.clear();
        loop {
            let seen = match self.seen.get(&at) {
                Some(seen) => *seen,
                None => {
                    let seen = self.look(&mut probe, bytes, at, whole, place.reach);
                    self.seen.insert(at, seen);
                    seen
                }
            };
            let is_first = self.path.is_empty();
            match seen {
                Seen::Record { bits: first, .. } if is_first && first < needed => return Chain::No,
                Seen::Record { .. } if at >= place.beyond && after == 0 && bits < place.before => return Chain::No,
                Seen::Record { bits: more, next } => {
                    self.path.push(at);
                    bits += more;
                    after += usize::from(at >= place.beyond);
                    at = next;
                }
                Seen::Short => return Chain::Short,
                // Nothing is lost by taking this for the end, if all before it is a gap.
                Seen::End(_) if is_first && place.beyond == 0 => return Chain::Credible(SURE),
                Seen::End(more) if !is_first && bits + more >= enough => return Chain::Credible(bits + more),
                Seen::Cut if bits >= SURE && after >= RECORDS => return Chain::Credible(bits),
                Seen::End(_) | Seen::Cut | Seen::Nothing => {
                    // No way that leads here leads on.
                    let Judge { path, seen, .. } = self;
                    path.drain(..).for_each(|at| _ = seen.insert(at, Seen::Nothing));
                    return Chain::No;
                }
            }
            if bits >= SURE && after >= RECORDS {
                return Chain::Credible(bits);
            }
            if after >= LONGEST {
                return Chain::No;
            }
        }
    }

    /// The evidence that a measured record is one.
    pub(super) fn evidence(&mut self, measure: &Measure, bytes: &[u8], at: usize, whole: bool) -> u32 {
        match self.look(&mut measure.clone(), bytes, at, whole, u64::MAX) {
            Seen::Record { bits, .. } => bits,
            _ => 0,
        }
    }

    /// Whether a record can begin with this byte.
    fn may_begin(&self, code: u8, origin: &Origin) -> bool {
        match code {
            6 => self.habits.first_bytes[6],
            opcode::DRAGONFLY_KEY_MASK => origin.dialect == Dialect::Dragonfly,
            opcode::HASH_TEMPLATE..=opcode::MODULE_AUX => true,
            opcode::IDLE.. => true,
            code => RdbType::resolve(code, origin).is_some(),
        }
    }

    /// Looks at one record. `reach`: how far the input can go on at most.
    fn look(&mut self, probe: &mut Measure, bytes: &[u8], at: usize, whole: bool, reach: u64) -> Seen {
        let is_poor = self.spent > self.earned;
        let limit = if is_poor { bytes.len().min(at + POOR) } else { bytes.len() };
        let Some(code) = bytes.get(at) else { return if whole { Seen::Cut } else { Seen::Short } };
        if !self.may_begin(*code, &probe.origin) {
            return Seen::Nothing;
        }
        let mut cur = Cursor::at(&bytes[..limit], at);
        let measured = probe.unit(&mut cur, true, false);
        self.spent += (cur.pos() - at) as u64;
        match measured {
            Ok(Unit::Eof) => match (cur.rest().len().cmp(&trailer(&probe.origin)), whole) {
                // Eight zeros stand for no checksum.
                (Ordering::Equal, true) => Seen::End(if cur.rest() == [0; 8] { SURE } else { 12 }),
                (Ordering::Greater, _) | (_, true) => Seen::Nothing,
                (_, false) => Seen::Short,
            },
            Ok(Unit::Record { end, .. }) => match self.weigh(bytes, at, end, &probe.origin) {
                Some(bits) => Seen::Record { bits, next: cur.pos() },
                None => Seen::Nothing,
            },
            Ok(Unit::Key) => Seen::Nothing,
            Err(e) if e.is_truncated() && !is_poor && e.needed() <= reach => {
                if whole {
                    Seen::Cut
                } else {
                    Seen::Short
                }
            }
            Err(_) => Seen::Nothing,
        }
    }

    /// The evidence that a record is one; `None` if it is none, or can't be read.
    fn weigh(&mut self, bytes: &[u8], at: usize, end: usize, origin: &Arc<Origin>) -> Option<u32> {
        let mut cur = Cursor::at(&bytes[..end], at);
        let mut bits = 0;
        loop {
            let code = cur.u8().ok()?;
            let known = self.habits.first_bytes[code as usize];
            match code {
                opcode::EXPIRETIME_MS => {
                    /// The years 2000 to 2100.
                    const LIKELY: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;
                    bits += if LIKELY.contains(&cur.i64_le().ok()?) { 24 } else { 0 };
                }
                opcode::EXPIRETIME => drop(cur.take(4).ok()?),
                opcode::IDLE => drop(cur.length().ok()?),
                opcode::FREQ => drop(cur.u8().ok()?),
                opcode::SELECTDB => {
                    let next = bytes.get(end);
                    return Some(if next == Some(&opcode::RESIZEDB) { 16 } else { 4 });
                }
                opcode::RESIZEDB => return Some(if known { 12 } else { 4 }),
                opcode::AUX => {
                    let name = Str::take(&mut cur, &mut self.buf).ok()?;
                    return is_text(name).then_some(8 + 2 * name.len().min(8) as u32);
                }
                opcode::FUNCTION2 => {
                    let source = Str::take(&mut cur, &mut self.buf).ok()?;
                    return source.starts_with(b"#!").then_some(SURE);
                }
                opcode::DRAGONFLY_KEY_MASK..=opcode::MODULE_AUX => return Some(if known { 12 } else { 4 }),
                _ => {
                    bits += if known { 4 } else { 1 };
                    let more = self.weigh_key(code, cur, origin)?;
                    return Some(if more == 0 { 0 } else { bits + more });
                }
            }
        }
    }

    fn weigh_key(&mut self, code: u8, mut cur: Cursor<'_>, origin: &Arc<Origin>) -> Option<u32> {
        /// So many keys make a habit.
        const HABIT: u64 = 3;
        let key = Str::take(&mut cur, &mut self.buf).ok()?;
        let text = is_text(key);
        let Habits { keys, text: texts, longest, last_key, .. } = &self.habits;
        /// Nobody has keys of binary data that are longer, unless the file shows that somebody does.
        const LONGEST_BINARY: usize = 255;
        let is_unusual = !text && keys == texts || key.len() > 4 * longest + 64;
        if is_unusual && (*keys > HABIT || !text && key.len() > LONGEST_BINARY) {
            return None;
        }
        if key.is_empty() || is_unusual {
            return Some(0);
        }
        let shared = key.iter().zip(last_key).take_while(|(a, b)| a == b).count();
        let is_short = key.len() <= 1024;
        let mut bits = if text && is_short { (key.len() as u32 * 5 / 4).min(20) } else { 0 };
        bits += (shared as u32 * 4).min(16);
        let rdb_type = RdbType::resolve(code, origin)?;
        let value = Value { rdb_type, bytes: cur.rest(), origin };
        // A damaged value is no evidence, but may stand in a row of sound records.
        Some(weigh_value(value, &mut self.scratch).map_or(0, |more| bits + more))
    }
}

/// The evidence that a value gives, by what had to be right in it; `None` if it can't be read.
fn weigh_value(value: Value<'_>, scratch: &mut Scratch) -> Option<u32> {
    use RdbType::*;
    let (mut elements, mut texts) = (0_u32, 0_u32);
    value
        .each_dyn(scratch, &mut |element| {
            elements = elements.saturating_add(1);
            if let Element::Item(item) | Element::Field { value: item, .. } | Element::Scored { member: item, .. } =
                element
            {
                texts = texts.saturating_add(u32::from(item.len() > 1 && is_text(item)));
            }
            Ok(())
        })
        .ok()?;
    Some(match value.rdb_type {
        String => match Str::read(&mut Cursor::new(value.bytes)).ok()? {
            Str::Lzf { .. } => 20,
            Str::Int(_) => 3,
            Str::Raw(text) => 1 + if is_text(text) { (text.len() as u32).min(12) } else { 0 },
        },
        _ if elements == 0 => 0,
        List | Set | Zset | Zset2 | Hash | ValkeyHash | HashMetadata | HashMetadataPreGa | Array => {
            if texts > 0 {
                elements.min(4) + (3 * texts).min(20)
            } else {
                1
            }
        }
        Module2 => 16,
        _ => 28,
    })
}

/// Whether these bytes are text as people write it.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.iter().any(|b| *b < 0x20 || *b == 0x7f) && std::str::from_utf8(bytes).is_ok()
}
