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
    /// Bytes that have been written, and their checksum.
    offset: u64,
    crc: Jones,
    db: Option<u64>,
    sizes: BTreeMap<u64, Size>,
}

/// Keys of a database, and those with an expiry.
#[derive(Default)]
struct Size {
    keys: u64,
    expires: u64,
    /// Where room was left for these numbers.
    room: Option<u64>,
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
    ///
    /// Here and below, `out` holds all bytes that go to the file and were not given to [`Frame::written`] yet.
    pub fn begin(target: &Target, checksum: bool, hints: bool, out: &mut Vec<u8>) -> Frame {
        out.extend_from_slice(target.header().as_bytes());
        let version = target.origin.version;
        let (crc, sizes) = (Jones::default(), BTreeMap::new());
        Frame { version, hints: hints && version >= 7, checksum, offset: 0, crc, db: None, sizes }
    }

    /// Notes bytes of the file, in their order.
    pub fn written(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.offset += bytes.len() as u64;
    }

    /// How many bytes have been written.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Counts a key that is written next, and appends what must stand before it if its database is another one.
    #[inline]
    pub fn key(&mut self, db: u64, expires: bool, out: &mut Vec<u8>) {
        if self.db != Some(db) {
            self.select(db, out);
        }
        if let Some(size) = self.sizes.get_mut(&db) {
            size.keys += 1;
            size.expires += u64::from(expires);
        }
    }

    fn select(&mut self, db: u64, out: &mut Vec<u8>) {
        self.db = Some(db);
        out.push(opcode::SELECTDB);
        length::write(db, out);
        if self.sizes.contains_key(&db) {
            return;
        }
        let mut size = Size::default();
        if self.hints {
            out.push(opcode::RESIZEDB);
            size.room = Some(self.offset + out.len() as u64);
            out.extend_from_slice(&[0; HINT]);
        }
        self.sizes.insert(db, size);
    }

    /// Appends a database with a hint on its size, for a version that knows such hints (7). The next key names its
    /// database again.
    pub fn hint(db: u64, keys: u64, expires: u64, out: &mut Vec<u8>) {
        out.push(opcode::SELECTDB);
        length::write(db, out);
        out.push(opcode::RESIZEDB);
        length::write(keys, out);
        length::write(expires, out);
    }

    /// Ends the file: appends its last bytes, and gives what is to be put into the room that was left.
    pub fn end(mut self, out: &mut Vec<u8>) -> Vec<Patch> {
        out.push(opcode::EOF);
        self.written(out);
        let patches: Vec<Patch> = self.sizes.values().filter_map(Size::patch).collect();
        let mut crc = self.crc.value();
        for patch in &patches {
            // The room was full of zeros, and this checksum is linear.
            let behind = self.offset - patch.offset - HINT as u64;
            crc ^= crc64::jones_combine(crc64::jones(&patch.bytes), 0, behind);
        }
        if self.version >= 5 {
            out.extend_from_slice(&if self.checksum { crc } else { 0 }.to_le_bytes());
        }
        patches
    }
}

impl Size {
    /// Both numbers as LENs of five bytes; they are only hints, and may be too low.
    fn patch(&self) -> Option<Patch> {
        let mut bytes = [0x80; HINT];
        for (i, n) in [self.keys, self.expires].into_iter().enumerate() {
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            bytes[5 * i + 1..5 * i + 5].copy_from_slice(&n.to_be_bytes());
        }
        Some(Patch { offset: self.room?, bytes })
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
            frame.key(db, db == 3, &mut out);
            out.extend_from_slice(key);
        }
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
            frame.key(1, false, &mut out);
            assert!(frame.end(&mut out).is_empty());
            assert_eq!(out.escape_ascii().to_string(), want.escape_ascii().to_string());
        };
        t(4, true, b"REDIS0004\xfe\x01\xff");
        t(9, false, b"REDIS0009\xfe\x01\xff\0\0\0\0\0\0\0\0");
        t(80, false, b"VALKEY080\xfe\x01\xff\0\0\0\0\0\0\0\0");
    }
}
