//! Collections that are saved as a row of elements, each with its own lengths: which elements are sound, and where they go
//! on behind one whose length is damaged.

use crate::codec::{Cursor, Str, double, length};
use crate::error::Result;
use crate::model::{
    Origin,
    RdbType::{self, *},
    Scratch, Value,
};
use crate::rdb::key_span;

/// So many elements may have stood where the damage is: ten bytes hit no more that follow each other.
const LOST: usize = 6;

/// In shorter rows the right number of elements may lead to the end by chance.
const SHORTEST: u64 = 32;

/// Larger values take more memory to look at than a repair is to take.
const LARGEST: usize = 8 << 20;

/// Whether values of this type are such rows.
pub(super) fn is_row(rdb_type: RdbType) -> bool {
    let is_hash = matches!(rdb_type, Hash | HashMetadata | HashMetadataPreGa | ValkeyHash | DragonflyHash);
    is_hash || matches!(rdb_type, List | Set | Zset | Zset2 | DragonflySet)
}

/// Steps over one element.
fn step(rdb_type: RdbType, cur: &mut Cursor<'_>) -> Result<()> {
    let (before, strings, after) = match rdb_type {
        List | Set | Zset => (false, 1, 0),
        Zset2 => (false, 1, 8),
        Hash | DragonflySet => (false, 2, 0),
        HashMetadata | HashMetadataPreGa => (true, 2, 0),
        ValkeyHash => (false, 2, 8),
        DragonflyHash => (false, 3, 0),
        other => return Err(cur.malformed(format!("{other:?}: no row of elements"))),
    };
    if before {
        cur.length()?;
    }
    for _ in 0..strings {
        Str::skip(cur)?;
    }
    cur.take(after)?;
    if rdb_type == Zset { double::skip_text(cur) } else { Ok(()) }
}

/// What stands in front of the elements, and how many are said to follow.
fn head<'a>(rdb_type: RdbType, cur: &mut Cursor<'a>) -> Option<(&'a [u8], u64)> {
    let head = cur.take(if rdb_type == HashMetadata { 8 } else { 0 }).ok()?;
    Some((head, cur.length().ok()?))
}

fn joined(head: &[u8], count: u64, rows: &[&[u8]]) -> Vec<u8> {
    let mut out = head.to_vec();
    length::write(count, &mut out);
    rows.iter().for_each(|row| out.extend_from_slice(row));
    out
}

/// The row without the elements that can't be read.
pub(super) fn without_bad(value: Value<'_>, scratch: &mut Scratch) -> Option<Vec<u8>> {
    let mut cur = Cursor::new(value.bytes);
    let (head, said) = head(value.rdb_type, &mut cur)?;
    let (mut kept, mut row) = (0, Vec::new());
    for _ in 0..said {
        let start = cur.pos();
        if step(value.rdb_type, &mut cur).is_err() {
            break;
        }
        let element = cur.since(start);
        let alone = joined(head, 1, &[element]);
        if (Value { bytes: &alone, ..value }).each(scratch, |_| Ok(())).is_ok() {
            row.extend_from_slice(element);
            kept += 1;
        }
    }
    Some(joined(head, kept, &[&row]))
}

/// The record of a key with such a row that these bytes begin and end with, but in which a length is damaged: without
/// what may be damaged; and how many elements it is said to have.
pub(super) fn record_around_damage(raw: &[u8], origin: &Origin) -> Option<(Vec<u8>, u64)> {
    let key = key_span(raw).ok()?;
    let rdb_type = RdbType::resolve(raw[key.start - 1], origin).filter(|found| is_row(*found))?;
    let (before, value) = raw.split_at(key.end);
    let (value, said) = around_damage(rdb_type, value)?;
    Some(([before, &value].concat(), said))
}

/// Of a row that ends where these bytes do, but in which a length is damaged: the elements before and behind that place.
///
/// Every way in which a few elements can be what was damaged is looked at, so that the number of all is what it is said
/// to be: only what is sound in all of these ways is kept.
fn around_damage(rdb_type: RdbType, bytes: &[u8]) -> Option<(Vec<u8>, u64)> {
    let mut cur = Cursor::new(bytes);
    let (head, said) = head(rdb_type, &mut cur).filter(|(_, said)| *said >= SHORTEST && bytes.len() <= LARGEST)?;
    let chains = Chains::new(rdb_type, bytes, cur.pos());
    let (before, behind) = chains.sides(usize::try_from(said).ok()?)?;
    // Bytes that were overwritten in a row may begin in the element before the one whose length they hit.
    let before = before.saturating_sub(1);
    let kept = (before + chains.left(behind)) as u64;
    let sides = [&bytes[cur.pos()..chains.front[before]], &bytes[behind..]];
    (kept > 0).then(|| (joined(head, kept, &sides), said))
}

/// A stretch that may be what was damaged.
struct Way {
    /// How many elements there are before it.
    before: usize,
    begin: usize,
    /// Where elements go on.
    behind: usize,
}

/// Where elements would begin that lead to the end of a row.
struct Chains<'a> {
    rdb_type: RdbType,
    bytes: &'a [u8],
    start: usize,
    /// Where elements begin, read from the front as far as possible.
    front: Vec<usize>,
    /// For every place from `start` on: one more than the number of elements from there to the end; 0 where they don't
    /// end there.
    back: Vec<u32>,
    /// The places behind the first from which so many elements lead to the end.
    by_left: Vec<Vec<usize>>,
}

impl<'a> Chains<'a> {
    fn new(rdb_type: RdbType, bytes: &'a [u8], start: usize) -> Chains<'a> {
        let mut chains = Chains { rdb_type, bytes, start, front: vec![start], back: Vec::new(), by_left: Vec::new() };
        let mut at = start;
        while at < bytes.len()
            && let Some(next) = chains.next(at)
        {
            chains.front.push(next);
            at = next;
        }
        chains.back = vec![0; bytes.len() - start + 1];
        chains.back[bytes.len() - start] = 1;
        for at in (start..bytes.len()).rev() {
            if let Some(next) = chains.next(at)
                && let behind @ 1.. = chains.back[next - start]
            {
                chains.back[at - start] = behind + 1;
            }
        }
        for at in (start + 1..=bytes.len()).filter(|at| chains.back[at - start] > 0) {
            let left = chains.left(at);
            if chains.by_left.len() <= left {
                chains.by_left.resize_with(left + 1, Vec::new);
            }
            chains.by_left[left].push(at);
        }
        chains
    }

    fn next(&self, at: usize) -> Option<usize> {
        let mut cur = Cursor::at(self.bytes, at);
        step(self.rdb_type, &mut cur).ok().map(|()| cur.pos())
    }

    /// How many elements there are from a place that leads to the end.
    fn left(&self, at: usize) -> usize {
        self.back[at - self.start] as usize - 1
    }

    /// How many elements from the front, and those from which place on, are sound wherever the damage is: where the
    /// fewest elements may be lost, or so close to there that it may be the same damage.
    fn sides(&self, said: usize) -> Option<(usize, usize)> {
        let (first, last) = (1..=LOST).find_map(|lost| {
            let span = |(first, last): (usize, usize), way: Way| (first.min(way.begin), last.max(way.behind));
            let mut ways = self.ways(said, lost);
            let way = ways.next()?;
            Some(ways.fold((way.begin, way.behind), span))
        })?;
        let mut sides: Option<(usize, usize)> = None;
        let mut met = vec![false; self.back.len()];
        for way in (1..=LOST).flat_map(|lost| self.ways(said, lost)) {
            if way.begin <= last && way.behind >= first {
                let (least, common) = sides.unwrap_or((way.before, way.behind));
                sides = Some((least.min(way.before), self.common(common, way.behind, &mut met)));
            }
        }
        sides
    }

    /// Every way in which so many elements can be what was damaged.
    fn ways(&self, said: usize, lost: usize) -> impl Iterator<Item = Way> {
        self.front.iter().enumerate().flat_map(move |(before, begin)| {
            let behind = said.checked_sub(before + lost).and_then(|left| self.by_left.get(left));
            let way = move |behind: &usize| Way { before, begin: *begin, behind: *behind };
            behind.into_iter().flatten().map(way).filter(|way| way.behind > way.begin)
        })
    }

    /// The first place that lies on both ways to the end.
    fn common(&self, mut a: usize, mut b: usize, met: &mut [bool]) -> usize {
        while a != b {
            let (left_a, left_b) = (self.left(a), self.left(b));
            if left_b >= left_a {
                if std::mem::replace(&mut met[b - self.start], true) {
                    // Where it leads is known: behind `a`, or on its way.
                    return a;
                }
                b = self.next(b).unwrap_or(self.bytes.len());
            }
            if left_a >= left_b {
                a = self.next(a).unwrap_or(self.bytes.len());
            }
        }
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::string::write_raw;

    /// Fields and values, all different.
    fn sound() -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut pairs = Vec::new();
        for i in 0..200 {
            let mut pair = Vec::new();
            write_raw(format!("field:{i}").as_bytes(), &mut pair);
            write_raw(format!("{i}{}", "v".repeat(i % 90)).as_bytes(), &mut pair);
            pairs.push(pair);
        }
        let all: Vec<&[u8]> = pairs.iter().map(Vec::as_slice).collect();
        let row = joined(b"", 200, &all);
        (pairs, row)
    }

    #[test]
    fn whatever_length_is_damaged_what_is_kept_was_there() {
        let (pairs, row) = sound();
        let (mut at, mut all_kept) = (2, 0);
        for pair in &pairs {
            let name = usize::from(row[at]) + 1;
            for damaged in [at, at + name] {
                for pattern in [1, 2, 0x10, 0x24, 0x40, 0x55] {
                    let mut bad = row.clone();
                    bad[damaged] ^= pattern;
                    let Some((left, said)) = around_damage(Hash, &bad) else { continue };
                    let mut cur = Cursor::new(&left);
                    let (_, count) = head(Hash, &mut cur).unwrap();
                    for _ in 0..count {
                        let start = cur.pos();
                        step(Hash, &mut cur).unwrap();
                        assert!(pairs.iter().any(|pair| pair == cur.since(start)), "byte {damaged} ^ {pattern}");
                    }
                    assert!(cur.is_empty() && said == 200);
                    all_kept += count;
                }
            }
            at += pair.len();
        }
        assert!(all_kept > 200 * 2 * 6 * 180, "{all_kept} elements kept in all");
    }

    #[test]
    fn of_bytes_that_are_no_row_nothing_is_kept() {
        let (_, row) = sound();
        assert!(around_damage(Hash, &row[..row.len() / 2]).is_none());
        for len in 0..40 {
            assert!(around_damage(Set, &vec![0xff; len]).is_none());
            assert!(record_around_damage(&vec![4; len], &Origin::from_header(b"REDIS0009").unwrap()).is_none());
        }
    }
}
