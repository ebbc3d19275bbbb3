//! Damage that knows where it hurts: it aims at types, lengths, counts, headers of compressed strings, and at totals,
//! counts, entries and back-lengths within packed lists, also within compressed ones.

use std::io::Cursor as Bytes;

use rdbkit::codec::{Cursor, Str, string::write_raw};
use rdbkit::model::{Entry, RdbType, Record};
use rdbkit::rdb::Reader;

/// Numbers that look random and are the same each time (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.roll() % n.max(1) as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A sound input, and where in it things stand.
pub struct Seed {
    pub bytes: Vec<u8>,
    /// Where records start; the last one is the end.
    pub starts: Vec<usize>,
    /// Types, lengths, counts, numbers.
    spots: Vec<usize>,
    /// Strings that are packed lists: where each starts, where it ends, and where its first entry stands.
    blobs: Vec<(usize, usize, usize)>,
    is_dump: bool,
}

impl Seed {
    /// A dump that can be read.
    pub fn of_dump(bytes: Vec<u8>) -> Seed {
        let mut seed = Seed { starts: vec![9], spots: vec![5, 8], blobs: Vec::new(), is_dump: true, bytes };
        let bytes = seed.bytes.clone();
        let mut reader = Reader::new(Box::new(Bytes::new(bytes.clone()))).expect("a seed is sound");
        reader.verify(false);
        let head = reader.take_head();
        let mut visit = |record: Record<'_>, _: &mut _| {
            if let Record::Entry(entry) = record {
                seed.key(&entry, &bytes);
            }
            Ok(())
        };
        if let Some(head) = head {
            head.each(&mut Default::default(), &mut visit).expect("a seed is sound");
        }
        reader.each(visit).expect("a seed is sound");
        seed.spots.push(bytes.len() - 1);
        seed.starts.push(bytes.len());
        seed
    }

    /// Backups, commands: a record a line.
    pub fn of_text(bytes: Vec<u8>) -> Seed {
        let mut starts: Vec<usize> = (0..bytes.len()).filter(|i| *i == 0 || bytes[i - 1] == b'\n').collect();
        let spots = (0..bytes.len()).filter(|i| b"\"{}[]:,*$\r\\0".contains(&bytes[*i])).collect();
        starts.push(bytes.len());
        Seed { bytes, starts, spots, blobs: Vec::new(), is_dump: false }
    }

    /// Notes where the parts of a key stand.
    fn key(&mut self, entry: &Entry<'_>, bytes: &[u8]) {
        let (start, size) = (entry.offset as usize, entry.size as usize);
        self.starts.push(start);
        let end = start + size - entry.member_expiries.len();
        let value = end - entry.value.bytes.len();
        self.spots.push(start);
        // The key's length stands behind the type byte, which is near the value.
        self.spots.push(value.saturating_sub(entry.key.len() + 2).max(start));
        self.spots.push(value.saturating_sub(entry.key.len() + 1).max(start));
        self.value(entry.value.rdb_type, Cursor::at(&bytes[..end], value));
    }

    /// Notes lengths and strings, one after the other, as far as the type's layout is one of these. A type may be lent
    /// the layout of another: it is only a map of where to hit.
    fn value(&mut self, rdb_type: RdbType, mut cur: Cursor<'_>) {
        use RdbType::*;
        let layout: (&str, &str) = match rdb_type {
            String | SetIntset | ListZiplist | ZsetZiplist | HashZiplist | HashZipmap | ZsetListpack | HashListpack
            | SetListpack | TemplateListpackRef => ("s", ""),
            HashListpackEx => ("8s", ""),
            List | Set | ListQuicklist => ("", "s"),
            Hash => ("", "ss"),
            ListQuicklist2 => ("", "ls"),
            Zset2 => ("", "s8"),
            HashMetadata => ("8", "lss"),
            ValkeyHash => ("", "ss8"),
            Stream1 | Stream2 | Stream3 | Stream4 | Stream5 => ("", "ss"),
            Array => ("l", "ls"),
            _ => ("", "l"),
        };
        if !self.parts(layout.0, &mut cur) || layout.1.is_empty() {
            return;
        }
        self.spots.push(cur.pos());
        let n = cur.length().unwrap_or_default();
        let is_whole = (0..n.min(200)).all(|_| self.parts(layout.1, &mut cur));
        if is_whole && rdb_type.stream_version().is_some() {
            // Behind the nodes stand counts, ids and groups.
            self.spots.extend((cur.pos()..cur.pos() + cur.rest().len()).step_by(3));
        }
    }

    fn parts(&mut self, layout: &str, cur: &mut Cursor<'_>) -> bool {
        layout.bytes().all(|part| self.part(part, cur))
    }

    fn part(&mut self, part: u8, cur: &mut Cursor<'_>) -> bool {
        let at = cur.pos();
        self.spots.push(at);
        match part {
            b'l' => cur.length().is_ok(),
            b'8' => cur.take(8).is_ok(),
            _ => {
                let string = Str::read(cur);
                if let Ok(Str::Raw(bytes)) = string {
                    self.blob(at, cur.pos(), bytes);
                } else if let Ok(Str::Lzf { .. }) = string {
                    // The two lengths of a compressed string; and its bytes are most likely those of a packed list.
                    self.spots.extend([at + 1, at + 2, at + 3, at + 4, cur.pos() - 1]);
                    self.blobs.push((at, cur.pos(), 0));
                }
                string.is_ok()
            }
        }
    }

    fn blob(&mut self, start: usize, end: usize, bytes: &[u8]) {
        if bytes.len() > 6 {
            self.blobs.push((start, end, end - bytes.len()));
        }
    }
}

/// What lengths, counts and tags are broken with.
const ODD: [&[u8]; 14] = [
    b"\x00",
    b"\x01",
    b"\x3f",
    b"\x40\x00",
    b"\x7f\xff",
    b"\x80\x7f\xff\xff\xff",
    b"\x80\xff\xff\xff\xff",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x81\x00\x00\x00\x00\x00\x00\x00\x01",
    b"\xc0\x80",
    b"\xc3\x05\x80\xff\xff\xff\xff",
    b"\xff",
    b"\xfe",
];

/// Bytes on which encodings turn: of listpacks, ziplists, lengths, LZF.
const TURNS: [u8; 22] = [
    0, 1, 2, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xc3, 0xdf, 0xe0, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xfd,
    0xfe, 0xff,
];

/// Damages a packed list from within; what is around it stays right.
fn within(blob: &mut Vec<u8>, dice: &mut Dice) {
    if blob.len() < 7 {
        return;
    }
    let last = blob.len() - 1;
    match dice.below(8) {
        // The total, and the counts behind it.
        0 => blob[dice.below(4)] = dice.one(&TURNS),
        1 => blob[4 + dice.below(7.min(last - 4))] = dice.one(&TURNS),
        2 => blob[last - dice.below(4.min(last))] = dice.one(&TURNS),
        3 => blob.truncate(1 + dice.below(last)),
        4 => {
            // An entry more: lengths are no longer what they were.
            let (from, n) = (dice.below(last), 1 + dice.below(12));
            let piece = blob[from..(from + n).min(blob.len())].to_vec();
            let to = dice.below(blob.len());
            drop(blob.splice(to..to, piece));
            if dice.below(2) == 0 {
                let len = (blob.len() as u32).to_le_bytes();
                blob[..4].copy_from_slice(&len);
            }
        }
        5 => {
            let (a, b) = (dice.below(blob.len()), dice.below(blob.len()));
            blob.swap(a, b);
        }
        _ => {
            // Some entry's encoding, its bytes or its back-length.
            let at = 6 + dice.below(last - 5);
            blob[at] = if dice.below(3) == 0 { blob[at].wrapping_add(1) } else { dice.one(&TURNS) };
        }
    }
}

/// Puts a packed list back that was damaged from within, compressed or not.
fn hit_within(bytes: &mut Vec<u8>, seed: &Seed, dice: &mut Dice) {
    let (start, end, _) = dice.one(&seed.blobs);
    let mut buf = Vec::new();
    let Ok(blob) = Str::take(&mut Cursor::new(&seed.bytes[start..end]), &mut buf) else { return };
    let mut blob = blob.to_vec();
    within(&mut blob, dice);
    let mut written = Vec::new();
    write_raw(&blob, &mut written);
    if end <= bytes.len() {
        drop(bytes.splice(start..end, written));
    }
}

/// A damaged variant: one to three blows.
pub fn damaged(seed: &Seed, other: &Seed, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.bytes.clone();
    if !seed.blobs.is_empty() && dice.below(3) == 0 {
        // First, as it finds its place only in what is still as it was.
        hit_within(&mut bytes, seed, dice);
    }
    for _ in 0..dice.below(3) + usize::from(bytes == seed.bytes) {
        if bytes.is_empty() {
            break;
        }
        blow(&mut bytes, seed, other, dice);
    }
    if seed.is_dump && bytes.len() > 8 && dice.below(2) == 0 {
        // As with `rdbchecksum no`: then nothing tells what was there.
        let end = bytes.len() - 8;
        bytes[end..].fill(0);
    }
    bytes
}

fn blow(bytes: &mut Vec<u8>, seed: &Seed, other: &Seed, dice: &mut Dice) {
    let last = bytes.len() - 1;
    let at = match dice.below(4) {
        0 => dice.below(bytes.len()),
        1 => (dice.one(&seed.starts) + dice.below(24)).min(last),
        _ => dice.one(&seed.spots).min(last),
    };
    let record = |of: &Seed, dice: &mut Dice| {
        let i = dice.below(of.starts.len() - 1);
        of.bytes[of.starts[i]..of.starts[i + 1]].to_vec()
    };
    match dice.below(11) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes[at] = dice.one(&TURNS),
        2 => bytes[at] = bytes[at].wrapping_add(if dice.below(2) == 0 { 1 } else { 0xff }),
        3 => bytes.truncate(at),
        4 => {
            let odd = dice.one(&ODD);
            let end = (at + odd.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&odd[..end - at]);
        }
        5 => drop(bytes.splice(at..=at, dice.one(&ODD).iter().copied())),
        6 => drop(bytes.drain(at..(at + 1 + dice.below(16)).min(bytes.len()))),
        7 => {
            // A record stands twice.
            let to = dice.one(&seed.starts).min(bytes.len());
            drop(bytes.splice(to..to, record(seed, dice)));
        }
        8 => {
            // A record of another dump.
            let to = dice.one(&seed.starts).min(bytes.len());
            drop(bytes.splice(to..to, record(other, dice)));
        }
        9 => {
            // Two records have changed places.
            let i = dice.below(seed.starts.len().saturating_sub(2));
            if let [a, b, c, ..] = seed.starts[i..]
                && c <= bytes.len()
            {
                bytes[a..c].rotate_left(b - a);
            }
        }
        _ => {
            let n = (1 + dice.below(10)).min(bytes.len() - at);
            bytes[at..at + n].iter_mut().for_each(|b| *b = dice.roll() as u8);
        }
    }
}
