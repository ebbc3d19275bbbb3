//! Module values: an id, then tagged items up to a zero tag. Opaque but for their framing.
//!
//! ```text
//! id:LEN   nine 6-bit characters, first in the top bits, and 10 bits of encoding version
//! 1 LEN · 2 LEN · 3 f32le · 4 f64le · 5 STR · 0 end     (each tag is a LEN)
//! ```

use super::string::StrWriter;
use super::{Cursor, Str, length};
use crate::error::Result;

/// A module type's id: its name of nine characters and its encoding version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ModuleId(pub u64);

impl ModuleId {
    /// The id of this name and version; `None` if it is no name of nine characters, or the version beyond 1023.
    pub fn from_name(name: &str, version: u32) -> Option<ModuleId> {
        let name: &[u8; 9] = name.as_bytes().try_into().ok()?;
        let is_valid = name.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
        (is_valid && version < 1 << 10).then(|| ModuleId(pack(name) << 10 | u64::from(version)))
    }

    /// The type's name, such as `ReJSON-RL`.
    pub fn name(self) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..9).map(|i| ALPHABET[(self.0 >> (10 + 6 * (8 - i)) & 0x3f) as usize] as char).collect()
    }

    /// The version of the module's own format.
    pub fn version(self) -> u32 {
        (self.0 & 0x3ff) as u32
    }

    /// Whether this is Redis 8's own vector set, whatever its version.
    pub fn is_vectorset(self) -> bool {
        self.0 >> 10 == VECTORSET
    }

    /// Whether this is RedisJSON.
    pub fn is_json(self) -> bool {
        self.0 >> 10 == REJSON
    }
}

const VECTORSET: u64 = pack(b"vectorset");
const REJSON: u64 = pack(b"ReJSON-RL");

const fn pack(name: &[u8; 9]) -> u64 {
    let mut id = 0;
    let mut i = 0;
    while i < 9 {
        let index = match name[i] {
            c @ b'A'..=b'Z' => c - b'A',
            c @ b'a'..=b'z' => c - b'a' + 26,
            c @ b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        id = id << 6 | index as u64;
        i += 1;
    }
    id
}

/// The classes of key metadata have names of four characters, in an alphabet that ends the other way round.
pub fn class_name(spec: u32) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    (0..4).map(|i| ALPHABET[(spec >> (8 + 6 * (3 - i)) & 0x3f) as usize] as char).collect()
}

/// The spec of a class: the inverse of [`class_name`]. `None` if it is no name of four characters, the version is beyond
/// 31 or the flags are beyond 7.
pub fn class_spec(name: &str, version: u32, flags: u32) -> Option<u32> {
    let name: &[u8; 4] = name.as_bytes().try_into().ok()?;
    let mut spec = 0;
    for c in name {
        let index = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'_' => 62,
            b'-' => 63,
            _ => return None,
        };
        spec = spec << 6 | u32::from(index);
    }
    (version < 32 && flags < 8).then_some(spec << 8 | version << 3 | flags)
}

/// One tagged item of a module's stream.
#[derive(Clone, Copy, Debug)]
pub enum Tagged<'a> {
    /// The end of the stream.
    End,
    /// Tags 1 and 2: an integer; a signed one stands in two's complement.
    Int(u64),
    /// Tag 3.
    Float(f32),
    /// Tag 4.
    Double(f64),
    /// Tag 5.
    String(Str<'a>),
}

impl<'a> Tagged<'a> {
    /// Reads one item.
    pub fn read(cur: &mut Cursor<'a>) -> Result<Tagged<'a>> {
        let start = *cur;
        Ok(match cur.length()? {
            0 => Tagged::End,
            1 | 2 => Tagged::Int(cur.length()?),
            3 => Tagged::Float(cur.f32_le()?),
            4 => Tagged::Double(cur.f64_le()?),
            5 => Tagged::String(Str::read(cur)?),
            tag => return Err(start.malformed(format!("module data: unknown tag {tag}"))),
        })
    }
}

/// Steps over tagged items and the zero tag that ends them; says how many bytes their strings decode to.
pub fn skip(cur: &mut Cursor<'_>) -> Result<u64> {
    let mut weight = 0_u64;
    loop {
        match Tagged::read(cur)? {
            Tagged::End => return Ok(weight),
            Tagged::String(Str::Lzf { len, .. }) => weight = len.saturating_add(weight),
            _ => {}
        }
    }
}

/// Decodes every string of a module's stream, so that a damaged one is found.
pub fn check(cur: &mut Cursor<'_>, buf: &mut Vec<u8>) -> Result<()> {
    loop {
        match Tagged::read(cur)? {
            Tagged::End => return Ok(()),
            Tagged::String(string) => drop(string.decode(buf)?),
            _ => {}
        }
    }
}

/// Copies tagged items with their end mark; the strings among them are written anew.
pub fn rewrite(cur: &mut Cursor<'_>, buf: &mut Vec<u8>, strings: &mut StrWriter, out: &mut Vec<u8>) -> Result<()> {
    const STRING: u64 = 5;
    loop {
        let start = cur.pos();
        match Tagged::read(cur)? {
            Tagged::String(string) => {
                length::write(STRING, out);
                strings.write(string.decode(buf)?, out);
            }
            Tagged::End => {
                out.push(0);
                return Ok(());
            }
            _ => out.extend_from_slice(cur.since(start)),
        }
    }
}

/// Steps over the payload of a key metadata record: a count, then for each a class of 4 bytes and tagged items.
pub fn skip_key_meta(cur: &mut Cursor<'_>) -> Result<u64> {
    let classes = cur.length()?;
    let mut weight = 0_u64;
    for _ in 0..classes {
        cur.u32_le()?;
        weight = skip(cur)?.saturating_add(weight);
    }
    Ok(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_spell_their_names() {
        // From a dump of 4.0-rc2: labtype-A, version 7, and labtype_B, version 1023.
        let a = ModuleId(0x95a6_edca_97be_0007);
        assert_eq!((a.name().as_str(), a.version()), ("labtype-A", 7));
        let b = ModuleId(0x95a6_edca_97bf_07ff);
        assert_eq!((b.name().as_str(), b.version()), ("labtype_B", 1023));
        assert!(ModuleId(pack(b"vectorset") << 10 | 1).is_vectorset());
        assert_eq!(ModuleId::from_name("labtype-A", 7), Some(a));
        assert_eq!(ModuleId::from_name("labtype_B", 1023), Some(b));
        assert!(ModuleId::from_name("labtype", 7).is_none() && ModuleId::from_name("labtype.A", 7).is_none());
        assert!(ModuleId::from_name("labtype-A", 1024).is_none());
    }

    #[test]
    fn classes_spell_their_names() {
        let spec = class_spec("la_-", 3, 1).unwrap();
        assert_eq!((class_name(spec).as_str(), spec >> 3 & 31, spec & 7), ("la_-", 3, 1));
        assert!(class_spec("lab", 0, 0).is_none() && class_spec("lab.", 0, 0).is_none());
        assert!(class_spec("labm", 32, 0).is_none() && class_spec("labm", 0, 8).is_none());
    }

    #[test]
    fn strings_are_written_anew_and_the_rest_is_copied() {
        let lzf = b"\xc3\x09\x40\x5d\x01aa\xe0\x50\x00\x01aa";
        let bytes = [b"\x02\x07\x05".as_slice(), lzf, b"\x04\0\0\0\0\0\0\0\0\0z"].concat();
        let mut out = Vec::new();
        let mut cur = Cursor::new(&bytes);
        rewrite(&mut cur, &mut Vec::new(), &mut StrWriter::new(false), &mut out).unwrap();
        assert_eq!(cur.rest(), b"z");
        let want = [b"\x02\x07\x05\x40\x5d".as_slice(), &[b'a'; 93], b"\x04\0\0\0\0\0\0\0\0\0"].concat();
        assert_eq!(out, want);
    }

    #[test]
    fn steps_over_tagged_items() {
        let bytes = b"\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x03\0\0\0\0\x04\0\0\0\0\0\0\0\0\x05\x03abc\x00z";
        let mut cur = Cursor::new(bytes);
        skip(&mut cur).unwrap();
        assert_eq!(cur.rest(), b"z");
        assert!(skip(&mut Cursor::new(b"\x06")).unwrap_err().to_string().contains("tag 6"));
    }
}
