//! What stands around the records of an RDB file: header, databases with their size hints, end and checksum.

use std::collections::BTreeMap;

use crate::codec::crc64::{self, Jones};
use crate::codec::{length, opcode};
use crate::model::Target;

/// The frame of one file, while it is written.
///
/// The sizes of the databases are known only at the end; where the output allows it, room is left for them, and
/// [`Frame::end`] gives what is to be put there.
pub struct Frame {
    version: u32,
    /// Whether room is left for size hints.
    hints: bool,
    checksum: bool,
    offset: u64,
    crc: Jones,
    /// The checksum and length of what stands before `crc` began, as far as it is known.
    before: Vec<Piece>,
    db: Option<u64>,
    sizes: BTreeMap<u64, Size>,
}

enum Piece {
    Bytes { crc: u64, len: u64 },
    Hint { db: u64 },
}

/// Keys of a database, and those with an expiry.
#[derive(Default)]
struct Size {
    keys: u64,
    expires: u64,
}

/// Bytes to be put at a place that was written already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patch {
    /// Where, from the file's first byte.
    pub offset: u64,
    /// What.
    pub bytes: [u8; HINT],
}

/// Two LENs in their form of five bytes.
const HINT: usize = 10;

impl Frame {
    /// Begins a file: appends its header. `hints`: the output can be patched.
    pub fn begin(target: &Target, checksum: bool, hints: bool, out: &mut Vec<u8>) -> Frame {
        let version = target.redis_version();
        let mut frame = Frame {
            version,
            hints: hints && version >= 7,
            checksum,
            offset: 0,
            crc: Jones::default(),
            before: Vec::new(),
            db: None,
            sizes: BTreeMap::new(),
        };
        frame.put(target.header().as_bytes(), out);
        frame
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
        self.written(bytes);
    }

    /// Notes bytes of records that are written after all that went before.
    pub fn written(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.offset += bytes.len() as u64;
    }

    /// How long the file is so far.
    pub fn len(&self) -> u64 {
        self.offset
    }

    /// Appends what must stand before keys of this database, if anything.
    pub fn select(&mut self, db: u64, out: &mut Vec<u8>) {
        if self.db == Some(db) {
            return;
        }
        self.db = Some(db);
        let mut bytes = vec![opcode::SELECTDB];
        length::write(db, &mut bytes);
        let is_first = !self.sizes.contains_key(&db);
        let leaves_room = self.hints && is_first;
        if leaves_room {
            bytes.push(opcode::RESIZEDB);
        }
        self.put(&bytes, out);
        self.sizes.entry(db).or_default();
        if leaves_room {
            self.end_piece();
            self.before.push(Piece::Hint { db });
            out.extend_from_slice(&[0; HINT]);
            self.offset += HINT as u64;
        }
    }

    fn end_piece(&mut self) {
        let done: u64 = self.before.iter().map(Piece::len).sum();
        let crc = std::mem::take(&mut self.crc).value();
        self.before.push(Piece::Bytes { crc, len: self.offset - done });
    }

    /// Counts a key of the database that was selected last.
    pub fn count(&mut self, expires: bool) {
        if let Some(size) = self.db.and_then(|db| self.sizes.get_mut(&db)) {
            size.keys += 1;
            size.expires += u64::from(expires);
        }
    }

    /// Ends the file: appends its last bytes, and gives what is to be put into the room that was left.
    pub fn end(mut self, out: &mut Vec<u8>) -> Vec<Patch> {
        self.put(&[opcode::EOF], out);
        self.end_piece();
        let (mut crc, mut offset, mut patches) = (0, 0, Vec::new());
        for piece in &self.before {
            let (piece_crc, len) = match piece {
                Piece::Bytes { crc, len } => (*crc, *len),
                Piece::Hint { db } => {
                    let bytes = self.sizes[db].hint();
                    patches.push(Patch { offset, bytes });
                    (crc64::jones(&bytes), HINT as u64)
                }
            };
            crc = crc64::jones_combine(crc, piece_crc, len);
            offset += len;
        }
        if self.version >= 5 {
            out.extend_from_slice(&if self.checksum { crc } else { 0 }.to_le_bytes());
        }
        patches
    }
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Piece::Bytes { len, .. } => *len,
            Piece::Hint { .. } => HINT as u64,
        }
    }
}

impl Size {
    /// Both numbers as LENs of five bytes; they are only hints, and may be too low.
    fn hint(&self) -> [u8; HINT] {
        let mut bytes = [0x80; HINT];
        for (i, n) in [self.keys, self.expires].into_iter().enumerate() {
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            bytes[5 * i + 1..5 * i + 5].copy_from_slice(&n.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_patched_bytes() {
        let target = Target::rdb(11).unwrap();
        let mut out = Vec::new();
        let mut frame = Frame::begin(&target, true, true, &mut out);
        for (db, key) in [(0, b"\x00\x01a\x01x"), (3, b"\x00\x01b\x01x"), (0, b"\x00\x01c\x01x")] {
            frame.select(db, &mut out);
            frame.written(key);
            out.extend_from_slice(key);
            frame.count(db == 3);
        }
        assert_eq!(frame.len(), out.len() as u64);
        for patch in frame.end(&mut out) {
            out[patch.offset as usize..][..HINT].copy_from_slice(&patch.bytes);
        }
        let (bytes, crc) = out.split_at(out.len() - 8);
        assert_eq!(crc, crc64::jones(bytes).to_le_bytes());
        let body = b"REDIS0011\xfe\x00\xfb\x80\0\0\0\x02\x80\0\0\0\0\x00\x01a\x01x\
            \xfe\x03\xfb\x80\0\0\0\x01\x80\0\0\0\x01\x00\x01b\x01x\xfe\x00\x00\x01c\x01x\xff";
        assert_eq!(bytes.escape_ascii().to_string(), body.escape_ascii().to_string());
    }

    #[test]
    fn a_pipe_gets_no_hints_and_old_versions_no_checksum() {
        let t = |version, checksum, want: &[u8]| {
            let mut out = Vec::new();
            let mut frame = Frame::begin(&Target::rdb(version).unwrap(), checksum, false, &mut out);
            frame.select(1, &mut out);
            assert!(frame.end(&mut out).is_empty());
            assert_eq!(out.escape_ascii().to_string(), want.escape_ascii().to_string());
        };
        t(4, true, b"REDIS0004\xfe\x01\xff");
        t(9, false, b"REDIS0009\xfe\x01\xff\0\0\0\0\0\0\0\0");
        t(80, false, b"VALKEY080\xfe\x01\xff\0\0\0\0\0\0\0\0");
    }
}
