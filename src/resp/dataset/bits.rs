//! Commands on the bits of strings.

use super::args::{self, Args};
use super::held::Held;
use super::strings::check_length;
use super::{Dataset, Known, behind_key, known, known_at};
use crate::error::{Error, Result};
use crate::resp::Words;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"SETBIT" => known(4, |data, words| {
            let offset = bit_offset(&words[2], 1)?;
            let bit = match &words[3] {
                b"0" => 0,
                b"1" => 1,
                _ => return Err(Error::unsupported("a bit is 0 or 1")),
            };
            write_bits(data.made::<Vec<u8>>(&words[1])?, offset, 1, bit)
        }),
        b"BITFIELD" => known(2, Dataset::bitfield),
        b"BITFIELD_RO" => known(2, |_, _| Ok(())),
        b"BITOP" => known_at(4, 2, Dataset::combine_bits),
        _ => None,
    }
}

/// The place of a bit, where `bits` of them fit before 512 MiB.
fn bit_offset(word: &[u8], bits: u64) -> Result<u64> {
    let offset = args::integer(word)?;
    let offset = u64::try_from(offset).map_err(|_| Error::unsupported("a bit's place is not negative"))?;
    let end = offset.saturating_add(bits).div_ceil(8);
    check_length(usize::try_from(end).unwrap_or(usize::MAX))?;
    Ok(offset)
}

fn read_bits(text: &[u8], offset: u64, bits: u64) -> u64 {
    (offset..offset + bits).fold(0, |value, at| {
        let byte = text.get((at / 8) as usize).copied().unwrap_or(0);
        value << 1 | u64::from(byte >> (7 - at % 8) & 1)
    })
}

fn write_bits(text: &mut Vec<u8>, offset: u64, bits: u64, value: u64) -> Result<()> {
    let end = (offset + bits).div_ceil(8) as usize;
    if text.len() < end {
        text.resize(end, 0);
    }
    for i in 0..bits {
        let at = offset + i;
        let mask = 0x80_u8 >> (at % 8);
        let byte = &mut text[(at / 8) as usize];
        if value >> (bits - 1 - i) & 1 == 1 { *byte |= mask } else { *byte &= !mask }
    }
    Ok(())
}

/// What happens when a sum does not fit.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// The type of a field in a string: how many bits, and whether they have a sign.
#[derive(Clone, Copy)]
struct Width {
    bits: u32,
    is_signed: bool,
}

impl Width {
    fn read(word: &[u8]) -> Result<Width> {
        let wrong = || Error::unsupported("a field is i1 to i64 or u1 to u63");
        let (sign, digits) = word.split_first().ok_or_else(wrong)?;
        let is_signed = match sign.to_ascii_lowercase() {
            b'i' => true,
            b'u' => false,
            _ => return Err(wrong()),
        };
        match args::integer(digits)? {
            bits @ 1..=63 => Ok(Width { bits: bits as u32, is_signed }),
            64 if is_signed => Ok(Width { bits: 64, is_signed }),
            _ => Err(wrong()),
        }
    }

    /// The place of a field: in bits, or in fields of its own width.
    fn offset(self, word: &[u8]) -> Result<u64> {
        match word.strip_prefix(b"#") {
            None => bit_offset(word, u64::from(self.bits)),
            Some(index) => {
                let offset = args::integer(index)?.checked_mul(i64::from(self.bits));
                let offset = offset.ok_or_else(|| Error::unsupported("a bit's place beyond 512 MiB"))?;
                bit_offset(itoa::Buffer::new().format(offset).as_bytes(), u64::from(self.bits))
            }
        }
    }

    fn range(self) -> (i128, i128) {
        match self.is_signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    fn value(self, raw: u64) -> i128 {
        let is_negative = self.is_signed && raw >> (self.bits - 1) & 1 == 1;
        i128::from(raw) - if is_negative { 1 << self.bits } else { 0 }
    }

    /// What is stored of a number; `None` if it does not fit and nothing is to be.
    fn fit(self, number: i128, overflow: Overflow) -> Option<u64> {
        let (min, max) = self.range();
        let number = match overflow {
            _ if (min..=max).contains(&number) => number,
            Overflow::Wrap => number,
            Overflow::Saturate => number.clamp(min, max),
            Overflow::Fail => return None,
        };
        Some((number & ((1_i128 << self.bits) - 1)) as u64)
    }
}

impl Dataset {
    fn bitfield(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let mut overflow = Overflow::Wrap;
        while !args.is_at_end() {
            if args.takes("OVERFLOW") {
                overflow = match args {
                    _ if args.takes("WRAP") => Overflow::Wrap,
                    _ if args.takes("SAT") => Overflow::Saturate,
                    _ if args.takes("FAIL") => Overflow::Fail,
                    _ => return Err(args.unknown()),
                };
                continue;
            }
            let (is_set, is_sum) = (args.takes("SET"), args.takes("INCRBY"));
            if !is_set && !is_sum && !args.takes("GET") {
                return Err(args.unknown());
            }
            let width = Width::read(args.word()?)?;
            let offset = width.offset(args.word()?)?;
            if !is_set && !is_sum {
                continue;
            }
            let number = i128::from(args.int()?);
            let text = self.made::<Vec<u8>>(&words[1])?;
            let bits = u64::from(width.bits);
            let number = if is_sum { number + width.value(read_bits(text, offset, bits)) } else { number };
            // The string grows also where nothing is stored.
            let old = read_bits(text, offset, bits);
            write_bits(text, offset, bits, width.fit(number, overflow).unwrap_or(old))?;
        }
        Ok(())
    }

    fn combine_bits(&mut self, words: &Words) -> Result<()> {
        let operation = words[1].to_ascii_uppercase();
        let mut texts = Vec::new();
        for key in Args::new(words, 3).rest()? {
            texts.push(self.existing::<Vec<u8>>(key)?.cloned().unwrap_or_default());
        }
        let len = texts.iter().map(Vec::len).max().unwrap_or(0);
        let byte = |text: &Vec<u8>, i: usize| text.get(i).copied().unwrap_or(0);
        let fold = |i: usize, texts: &[Vec<u8>], f: fn(u8, u8) -> u8| {
            texts.iter().map(|text| byte(text, i)).reduce(f).unwrap_or(0)
        };
        let or_of_rest = |i: usize| fold(i, &texts[1..], |a, b| a | b);
        let combine: &dyn Fn(usize) -> u8 = match operation.as_slice() {
            b"AND" => &|i| fold(i, &texts, |a, b| a & b),
            b"OR" => &|i| fold(i, &texts, |a, b| a | b),
            b"XOR" => &|i| fold(i, &texts, |a, b| a ^ b),
            b"NOT" if texts.len() == 1 => &|i| !byte(&texts[0], i),
            b"DIFF" => &|i| byte(&texts[0], i) & !or_of_rest(i),
            b"DIFF1" => &|i| !byte(&texts[0], i) & or_of_rest(i),
            b"ANDOR" => &|i| byte(&texts[0], i) & or_of_rest(i),
            b"ONE" => &|i| {
                let mut seen = (0, 0);
                texts.iter().for_each(|text| seen = (seen.0 | byte(text, i), seen.1 | seen.0 & byte(text, i)));
                seen.0 & !seen.1
            },
            _ => return Err(Error::unsupported("there is no such operation")),
        };
        let result: Vec<u8> = (0..len).map(combine).collect();
        if result.is_empty() {
            self.remove(&words[2]);
        } else {
            self.set(&words[2], Held::String(result));
        }
        Ok(())
    }
}
