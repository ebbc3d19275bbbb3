//! What is left of a damaged ziplist: from its begin on, and from its end by what each entry says of the one before it.

use super::{HEADER, Ziplist};
use crate::codec::item::{self, Item};

/// Gives what can be read of a damaged ziplist, `step` entries at a time, as they belong together.
///
/// An entry's size is said by itself and by the one behind it: read from the front, it is believed when both agree.
pub fn salvage(blob: &[u8], step: usize, keep: &mut impl FnMut(&[Item<'_>])) {
    let Some(last) = blob.len().checked_sub(1).filter(|last| *last >= HEADER) else { return };
    // A terminator where it must be; what the header says of the rest is not asked.
    let mut framed = blob.to_vec();
    framed[last] = 0xff;
    let (mut front, limit) = front(&framed);
    let back = if limit < last { back(&framed, limit) } else { Vec::new() };
    let number = |at: usize| u32::from_le_bytes([blob[at], blob[at + 1], blob[at + 2], blob[at + 3]]) as usize;
    let tail = front.last().map_or(HEADER, |(start, _)| *start);
    let says_all = item::declared(blob, 8).is_none_or(|count| count == front.len() as u64) && number(4) == tail;
    let is_header_sound = number(0) == blob.len() && (limit < last || says_all);
    let certain_from = if is_header_sound { HEADER } else { HEADER + item::CLOSE };
    item::groups(&mut front, &back, certain_from, blob[last] == 0xff, step, keep);
}

/// The entries from the first up to one that can't be believed, and where that begins.
fn front(framed: &[u8]) -> (Vec<(usize, Item<'_>)>, usize) {
    let last = framed.len() - 1;
    let mut list = Ziplist { blob: framed, pos: HEADER, previous: 0, seen: 0 };
    let mut items = Vec::new();
    while list.pos < last {
        let start = list.pos;
        match list.next_item() {
            Ok(Some(item)) => items.push((start, item)),
            _ => break,
        }
    }
    if list.pos == last || size_before(framed, list.pos) == Some(list.previous) {
        return (items, list.pos);
    }
    items.pop();
    (items, list.pos - list.previous)
}

/// The entries up to the last, behind the first that is reached from there and does not begin before `limit`: that one
/// may be what was written over it.
fn back(framed: &[u8], limit: usize) -> Vec<(usize, Item<'_>)> {
    let (mut items, mut end) = (Vec::new(), framed.len() - 1);
    let mut size = end.checked_sub(u32::from_le_bytes([framed[4], framed[5], framed[6], framed[7]]) as usize);
    while let Some(start) = size.and_then(|size| end.checked_sub(size)).filter(|start| (limit..end).contains(start)) {
        let previous = size_before(framed, start).unwrap_or_default();
        let mut one = Ziplist { blob: framed, pos: start, previous, seen: 0 };
        match one.next_item() {
            Ok(Some(item)) if one.pos == end => items.push((start, item)),
            _ => break,
        }
        (end, size) = (start, Some(previous));
    }
    items.pop();
    items.reverse();
    items
}

/// The size of the entry before the one that begins here, as that says.
fn size_before(blob: &[u8], at: usize) -> Option<usize> {
    match *blob.get(at)? {
        0xff => None,
        0xfe => blob.get(at + 1..)?.first_chunk().map(|size| u32::from_le_bytes(*size) as usize),
        size => Some(size as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Builder;
    use super::*;

    fn left(blob: &[u8], step: usize) -> Vec<String> {
        let mut all = Vec::new();
        salvage(blob, step, &mut |group| {
            let texts = group.iter().map(|item| item.text(&mut itoa::Buffer::new()).to_vec());
            all.extend(texts.map(|text| String::from_utf8_lossy(&text).into_owned()));
        });
        all
    }

    /// Entries of every form, all different.
    fn sound() -> (Vec<String>, Vec<u8>) {
        let mut list = Builder::default();
        let texts: Vec<String> = (0..60)
            .map(|i| match i % 4 {
                0 => i.to_string(),
                1 => format!("text {i}"),
                2 => format!("{i}{}", "x".repeat(300)),
                _ => (1_000_000 * i - 30_000_000).to_string(),
            })
            .collect();
        texts.iter().for_each(|text| list.push(text.as_bytes()));
        (texts, list.finish().to_vec())
    }

    #[test]
    fn whatever_byte_of_the_frame_is_damaged_nearly_all_is_left_and_nothing_is_invented() {
        let (texts, sound) = sound();
        assert_eq!(left(&sound, 1), texts);
        for at in 0..sound.len() {
            let mut bad = sound.clone();
            bad[at] ^= 0x95;
            let mut list = match Ziplist::new(&bad) {
                Ok(list) => list,
                Err(_) => {
                    // What is close may have been overwritten as well.
                    let (first, end) = if at < HEADER { (2, texts.len()) } else { (0, texts.len() - 1) };
                    assert_eq!(left(&bad, 1), texts[first..end], "byte {at}");
                    continue;
                }
            };
            let noticed = loop {
                match list.next_item() {
                    Ok(Some(_)) => {}
                    other => break other.is_err(),
                }
            };
            if !noticed {
                continue;
            }
            let left = left(&bad, 2);
            let mut rest = texts.chunks(2);
            assert!(left.chunks(2).all(|pair| rest.any(|other| other == pair)), "byte {at}: {left:?}");
            assert!(left.len() >= texts.len() - 6, "byte {at}: {} left", left.len());
        }
    }

    #[test]
    fn of_bytes_that_are_none_nothing_is_left() {
        for len in 0..40 {
            assert_eq!(left(&vec![0xfe; len], 1), Vec::<String>::new());
        }
    }
}
