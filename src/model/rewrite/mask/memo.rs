//! A small memory of pseudonyms: field names and other texts that come again and again are computed once.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Longer texts are not remembered. Chosen so that a place takes one cache line.
const LONGEST: usize = 31;

/// How many texts are remembered at most; 256 KiB in all.
const PLACES: usize = 4096;

#[derive(Clone)]
struct Place {
    len: u8,
    text: [u8; LONGEST],
    pseudonym: [u8; LONGEST],
}

/// A table in which every text has one place, which it takes from whatever was there.
#[derive(Clone, Default)]
pub(super) struct Memo {
    places: Vec<Place>,
    hasher: FixedState,
    owner: u64,
}

impl Memo {
    /// Puts the pseudonym in place of the text: from memory, or else from `make`. Another owner's are forgotten.
    pub(super) fn get_or(&mut self, owner: u64, text: &mut [u8], make: impl FnOnce(&mut [u8])) {
        let len = text.len();
        // A single byte is nearly as quick to mask as to find.
        if !(2..=LONGEST).contains(&len) {
            return make(text);
        }
        if self.places.is_empty() || self.owner != owner {
            self.places = vec![Place { len: 0, text: [0; LONGEST], pseudonym: [0; LONGEST] }; PLACES];
            self.owner = owner;
        }
        let place = &mut self.places[self.hasher.hash_one(&*text) as usize % PLACES];
        if usize::from(place.len) == len && place.text[..len] == *text {
            return text.copy_from_slice(&place.pseudonym[..len]);
        }
        place.text[..len].copy_from_slice(text);
        make(text);
        place.pseudonym[..len].copy_from_slice(text);
        place.len = len as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_not_made_again() {
        let (mut memo, mut made) = (Memo::default(), 0);
        let mut t = |owner: u64, text: &[u8]| {
            let mut text = text.to_vec();
            memo.get_or(owner, &mut text, |text| {
                made += 1;
                text.make_ascii_uppercase();
            });
            (text, made)
        };
        assert_eq!(t(7, b"abc"), (b"ABC".to_vec(), 1));
        assert_eq!(t(7, b"abc"), (b"ABC".to_vec(), 1));
        assert_eq!(t(7, b"ab"), (b"AB".to_vec(), 2));
        let long = [b'x'; 32];
        assert_eq!(t(7, &long), (vec![b'X'; 32], 3));
        assert_eq!(t(7, &long), (vec![b'X'; 32], 4));
        assert_eq!(t(8, b"abc"), (b"ABC".to_vec(), 5), "another secret");
    }

    #[test]
    fn texts_that_share_a_place_are_kept_apart() {
        let mut memo = Memo::default();
        for _ in 0..2 {
            for n in 0..3 * PLACES {
                let mut text = format!("t{n}").into_bytes();
                memo.get_or(7, &mut text, |text| text.make_ascii_uppercase());
                assert_eq!(text, format!("T{n}").into_bytes());
            }
        }
    }
}
