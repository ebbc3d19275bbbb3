//! Vector sets (Redis 8): the module type `vectorset`, whose items we know.
//!
//! ```text
//! U dim, U nodes, U quantization | M << 8, U flags, [U input dim, S projection if flags & 1],
//! nodes × ( S element, [S attributes if flags & 2], S vector, U n, n × U )
//! ```
//!
//! The last of a node's integers holds the range of its quantization in the upper 32 bits and the length of the
//! original vector (its l2 norm) in the lower, both as binary32.

use super::module::Tagged;
use super::{Cursor, Str, length};
use crate::error::{Error, Result};

/// How the components are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// binary32.
    F32,
    /// Signed bytes, scaled by a range of their own for each vector.
    Int8,
    /// Signs.
    Bin,
}

impl Quantization {
    /// The name that VINFO gives it.
    pub fn name(self) -> &'static str {
        match self {
            Quantization::F32 => "f32",
            Quantization::Int8 => "int8",
            Quantization::Bin => "bin",
        }
    }
}

/// What stands before the elements.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Components of a vector.
    pub dim: u64,
    /// Number of elements.
    pub count: u64,
    /// How components are stored.
    pub quantization: Quantization,
    /// Links a node on each level.
    pub m: u64,
    /// Whether elements have attributes.
    has_attributes: bool,
    /// The dimension before reduction, if there is one.
    pub input_dim: Option<u64>,
}

/// One element, as VEMB and VGETATTR show it.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its attributes, JSON text.
    pub attributes: Option<&'a [u8]>,
    /// Its vector.
    pub vector: &'a [f32],
}

/// Buffers for decoding an element.
#[derive(Default)]
pub struct Scratch {
    name: Vec<u8>,
    attributes: Vec<u8>,
    packed: Vec<u8>,
    vector: Vec<f32>,
}

/// Reads the head; `cur` stands behind the module id.
pub fn head(cur: &mut Cursor<'_>) -> Result<Head> {
    let (dim, count, config, flags) = (int(cur)?, int(cur)?, int(cur)?, int(cur)?);
    let quantization = match config & 0xff {
        0 => Quantization::F32,
        1 => Quantization::Int8,
        2 => Quantization::Bin,
        n => return Err(cur.malformed(format!("vector set: unknown quantization {n}"))),
    };
    let m = match config >> 8 & 0xffff {
        0 => 16,
        m => m,
    };
    let input_dim = if flags & 1 == 0 {
        None
    } else {
        let input = int(cur)?;
        string(cur)?;
        Some(input)
    };
    Ok(Head { dim, count, quantization, m, has_attributes: flags & 2 != 0, input_dim })
}

/// The matrix that reduces vectors to fewer components, where there is one. `cur` stands behind the module id.
pub fn projection<'a>(cur: &mut Cursor<'a>) -> Result<Option<Str<'a>>> {
    let (_dim, _nodes, _config, flags) = (int(cur)?, int(cur)?, int(cur)?, int(cur)?);
    if flags & 1 == 0 {
        return Ok(None);
    }
    int(cur)?;
    string(cur).map(Some)
}

/// Reads one element.
pub fn element<'s>(cur: &mut Cursor<'_>, head: &Head, scratch: &'s mut Scratch) -> Result<Element<'s>> {
    let Scratch { name, attributes, packed, vector } = scratch;
    // Copied, so that all of the element lives in the scratch whatever form its strings have.
    copy(string(cur)?, name)?;
    attributes.clear();
    if head.has_attributes {
        copy(string(cur)?, attributes)?;
    }
    let start = *cur;
    let bytes = string(cur)?.decode(packed)?;
    let count = int(cur)?;
    let mut last = 0;
    for _ in 0..count {
        last = int(cur)?;
    }
    let (range, norm) = (f32::from_bits((last >> 32) as u32), f32::from_bits(last as u32));
    vector.clear();
    match head.quantization {
        Quantization::F32 => {
            vector.extend(bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]) * norm));
        }
        Quantization::Int8 => vector.extend(bytes.iter().map(|&b| f32::from(b as i8) * range / 127.0 * norm)),
        Quantization::Bin => {
            let bits = bytes.iter().flat_map(|&b| (0..8).map(move |i| if b >> i & 1 == 1 { 1.0 } else { -1.0 }));
            vector.extend(bits.take(usize::try_from(head.dim).unwrap_or(usize::MAX)));
        }
    }
    if vector.len() as u64 != head.dim {
        return Err(start.malformed(format!("vector set: {} components instead of {}", vector.len(), head.dim)));
    }
    Ok(Element { name, attributes: (!attributes.is_empty()).then_some(attributes), vector })
}

/// Reads one element's name, and into `numbers` the integers of its node; the vector is stepped over.
pub fn node<'b>(cur: &mut Cursor<'_>, head: &Head, name: &'b mut Vec<u8>, numbers: &mut Vec<u64>) -> Result<&'b [u8]> {
    copy(string(cur)?, name)?;
    for _ in 0..if head.has_attributes { 2 } else { 1 } {
        string(cur)?;
    }
    numbers.clear();
    for _ in 0..int(cur)? {
        numbers.push(int(cur)?);
    }
    Ok(name)
}

/// The version of the layout of a vector set's links: 0 before Redis 8.0.6, 1 from then on. `None` where there are none.
/// `cur` stands behind the module id.
pub fn link_version(cur: &mut Cursor<'_>) -> Result<Option<u64>> {
    let head = head(cur)?;
    if head.count == 0 {
        return Ok(None);
    }
    for _ in 0..if head.has_attributes { 3 } else { 2 } {
        string(cur)?;
    }
    match int(cur)? {
        0 | 1 => Ok(None),
        _ => {
            int(cur)?;
            Ok(Some(int(cur)? >> 24))
        }
    }
}

/// Appends a vector set with its links in the layout of version 0, which has not the worst link of each level; a server
/// finds that out itself. `cur` stands behind the module id.
///
/// ```text
/// integers of a node: id, level | version << 24, for each level from 0: n, room, n × link, [worst link if version 1]; last
/// ```
pub fn without_worst_links(cur: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    let start = cur.pos();
    let head = head(cur)?;
    out.extend_from_slice(cur.since(start));
    let (mut numbers, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..head.count {
        let start = cur.pos();
        for _ in 0..if head.has_attributes { 3 } else { 2 } {
            string(cur)?;
        }
        out.extend_from_slice(cur.since(start));
        let links = *cur;
        numbers.clear();
        for _ in 0..int(cur)? {
            numbers.push(int(cur)?);
        }
        kept.clear();
        keep_links(&numbers, &mut kept)
            .ok_or_else(|| links.malformed("vector set: the links of a node end too early"))?;
        write_int(kept.len() as u64, out);
        kept.iter().for_each(|n| write_int(*n, out));
    }
    let rest = cur.pos();
    end(cur)?;
    out.extend_from_slice(cur.since(rest));
    Ok(())
}

fn keep_links(numbers: &[u64], kept: &mut Vec<u64>) -> Option<()> {
    /// Bits of the level, below those of the version.
    const LEVEL: u64 = (1 << 24) - 1;
    let [id, level, rest @ ..] = numbers else { return None };
    let has_worst = level >> 24 >= 1;
    kept.extend_from_slice(&[*id, level & LEVEL]);
    let mut rest = rest.iter().copied();
    for _ in 0..=level & LEVEL {
        let (links, room) = (rest.next()?, rest.next()?);
        kept.extend_from_slice(&[links, room]);
        for _ in 0..links {
            kept.push(rest.next()?);
        }
        if has_worst {
            rest.next()?;
        }
    }
    kept.push(rest.next()?);
    rest.next().is_none().then_some(())
}

fn write_int(n: u64, out: &mut Vec<u8>) {
    const INT: u64 = 2;
    length::write(INT, out);
    length::write(n, out);
}

/// Reads the end of the stream.
pub fn end(cur: &mut Cursor<'_>) -> Result<()> {
    match Tagged::read(cur)? {
        Tagged::End => Ok(()),
        _ => Err(cur.malformed("vector set: more items than its elements have")),
    }
}

fn copy(string: Str<'_>, into: &mut Vec<u8>) -> Result<()> {
    match string {
        Str::Raw(bytes) => {
            into.clear();
            into.extend_from_slice(bytes);
        }
        other => {
            let len = other.decode(into)?.len();
            into.truncate(len);
        }
    }
    Ok(())
}

fn int(cur: &mut Cursor<'_>) -> Result<u64> {
    match Tagged::read(cur)? {
        Tagged::Int(n) => Ok(n),
        other => Err(unexpected(cur, other)),
    }
}

fn string<'a>(cur: &mut Cursor<'a>) -> Result<Str<'a>> {
    match Tagged::read(cur)? {
        Tagged::String(string) => Ok(string),
        other => Err(unexpected(cur, other)),
    }
}

fn unexpected(cur: &Cursor<'_>, item: Tagged<'_>) -> Error {
    cur.malformed(format!("vector set: unexpected item {item:?}"))
}
