//! Intset: `width:u32le n:u32le`, then n signed little-endian integers in ascending order (`intset.c`).

use super::Cursor;
use super::item::CLOSE;
use super::order::certain;
use crate::error::{Error, Result};

/// The members of an intset.
pub struct Intset<'a> {
    body: &'a [u8],
    width: usize,
}

impl<'a> Intset<'a> {
    /// Checks the header against the blob's length.
    pub fn new(blob: &'a [u8]) -> Result<Intset<'a>> {
        let mut cur = Cursor::new(blob);
        let (width, n) = (cur.u32_le()? as usize, cur.u32_le()? as usize);
        if !matches!(width, 2 | 4 | 8) {
            return Err(Error::malformed(format!("intset: width {width}")));
        }
        let body = cur.rest();
        if n.checked_mul(width) != Some(body.len()) {
            return Err(Error::malformed(format!("intset: {n} members of {width} bytes in {}", body.len())));
        }
        Ok(Intset { body, width })
    }

    /// How many members there are.
    pub fn count(&self) -> u64 {
        (self.body.len() / self.width) as u64
    }

    /// The members.
    pub fn members(&self) -> impl Iterator<Item = i64> + 'a {
        let width = self.width;
        self.body.chunks_exact(width).map(move |m| {
            let mut wide = [if m[width - 1] < 0x80 { 0 } else { 0xff }; 8];
            wide[..width].copy_from_slice(m);
            i64::from_le_bytes(wide)
        })
    }
}

/// The members of a damaged intset, without those that are close to a place where something is wrong: its header, or
/// one that is out of order.
pub fn salvage(blob: &[u8]) -> Vec<i64> {
    let mut cur = Cursor::new(blob);
    let (Ok(said), Ok(n)) = (cur.u32_le(), cur.u32_le()) else { return Vec::new() };
    let body = cur.rest();
    let fits = |width: &usize| (n as usize).checked_mul(*width) == Some(body.len());
    // A width that the number of members gives, or else the number that the width gives.
    let width = [2, 4, 8].into_iter().find(fits).unwrap_or(said as usize);
    if !matches!(width, 2 | 4 | 8) || !body.len().is_multiple_of(width) {
        return Vec::new();
    }
    let members: Vec<i64> = Intset { body, width }.members().collect();
    let is_certain = certain(&members, |a, b| a < b);
    let is_header_bad = width != said as usize || !fits(&width);
    let close = CLOSE.div_ceil(width);
    let is_far = |i: usize| {
        let begin = i.saturating_sub(close);
        let end = members.len().min(i + close + 1);
        is_certain[begin..end].iter().all(|is_certain| *is_certain) && !(is_header_bad && i < close)
    };
    (0..members.len()).filter(|i| is_far(*i)).map(|i| members[i]).collect()
}

/// Appends an intset of these members, which are ascending and distinct, in the narrowest width that holds them.
pub fn write(members: &[i64], out: &mut Vec<u8>) {
    let holds = |bits: u32| members.iter().all(|n| n << (64 - bits) >> (64 - bits) == *n);
    let width: u32 = if holds(16) {
        2
    } else if holds(32) {
        4
    } else {
        8
    };
    out.extend_from_slice(&width.to_le_bytes());
    out.extend_from_slice(&(members.len() as u32).to_le_bytes());
    members.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()[..width as usize]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_signed() {
        let set = Intset::new(&[2, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 2, 0, 0x2c, 1]).unwrap();
        assert_eq!(set.members().collect::<Vec<_>>(), [-1, 2, 300]);
        let wide = Intset::new(&[8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]).unwrap();
        assert_eq!(wide.members().collect::<Vec<_>>(), [i64::MIN]);
    }

    #[test]
    fn the_narrowest_width_is_written() {
        let t = |members: &[i64], width: u8| {
            let mut blob = Vec::new();
            write(members, &mut blob);
            assert_eq!(blob[0], width, "{members:?}");
            assert_eq!(Intset::new(&blob).unwrap().members().collect::<Vec<_>>(), members);
        };
        t(&[-1, 2, 300], 2);
        t(&[-32_768, 32_767], 2);
        t(&[32_768], 4);
        t(&[i64::from(i32::MIN), 7], 4);
        t(&[-2_147_483_649, 7], 8);
    }

    #[test]
    fn sizes_must_agree() {
        assert!(Intset::new(&[2, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff]).is_err());
        assert!(Intset::new(&[3, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(Intset::new(&[2, 0, 0]).is_err());
    }
}
