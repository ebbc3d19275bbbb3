//! What a byte may become: kinds of text, and in each the class of every byte.
//!
//! Two rules make the permutation of [`super::cipher`] one to one: a pseudonym is of the same kind as its text, and its
//! bytes have the same classes.

use crate::codec::string::canonical_integer;

/// What a text looks like. The numbers are part of what pseudonyms are made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The text of an `i64`, as servers write it.
    Integer = 1,
    /// Any other decimal number: `1.5`, `-0.25`, `1e-7`, an integer of 30 digits. An exponent stays.
    Decimal = 2,
    /// At least eight hexadecimal digits, lower case, both letters and digits; perhaps with dashes, as in UUIDs.
    Hex = 3,
    /// The same in upper case.
    HexUpper = 4,
    /// No UTF-8: everything but ASCII punctuation and space changes.
    Binary = 5,
    /// UTF-8 with control characters other than tab, line feed and carriage return; they change too.
    Control = 6,
    /// Anything else: letters, digits and what is beyond ASCII change.
    Plain = 7,
}

/// What a byte may become: another of the same class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Nothing else.
    Kept,
    /// 0–9.
    Digit,
    /// 1–9, the first digit of a number.
    Leading,
    /// a–z.
    Lower,
    /// A–Z.
    Upper,
    /// 80–BF, the bytes of UTF-8 behind the first.
    Continuation,
    /// 00–1F.
    Control,
    /// 0–9 and a–f.
    Hex,
    /// 0–9 and A–F.
    HexUpper,
    /// Everything but ASCII punctuation and space.
    Binary,
}

/// A class's bytes in order, and the place of each byte in it.
struct Alphabet {
    bytes: [u8; 256],
    digits: [u8; 256],
    len: u8,
}

impl Alphabet {
    const fn of(class: Class) -> Alphabet {
        let mut alphabet = Alphabet { bytes: [0; 256], digits: [0; 256], len: 0 };
        let mut byte = 0;
        while byte < 256 {
            let b = byte as u8;
            let inside = match class {
                Class::Kept => false,
                Class::Digit => b.is_ascii_digit(),
                Class::Leading => matches!(b, b'1'..=b'9'),
                Class::Lower => b.is_ascii_lowercase(),
                Class::Upper => b.is_ascii_uppercase(),
                Class::Continuation => matches!(b, 0x80..=0xbf),
                Class::Control => matches!(b, 0..0x20),
                Class::Hex => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
                Class::HexUpper => matches!(b, b'0'..=b'9' | b'A'..=b'F'),
                Class::Binary => !(b == b' ' || b.is_ascii_punctuation()),
            };
            if inside {
                alphabet.bytes[alphabet.len as usize] = b;
                alphabet.digits[byte] = alphabet.len;
                alphabet.len += 1;
            }
            byte += 1;
        }
        alphabet
    }
}

/// In the order of the classes.
static ALPHABETS: [Alphabet; 10] = [
    Alphabet::of(Class::Kept),
    Alphabet::of(Class::Digit),
    Alphabet::of(Class::Leading),
    Alphabet::of(Class::Lower),
    Alphabet::of(Class::Upper),
    Alphabet::of(Class::Continuation),
    Alphabet::of(Class::Control),
    Alphabet::of(Class::Hex),
    Alphabet::of(Class::HexUpper),
    Alphabet::of(Class::Binary),
];

impl Class {
    /// How many bytes it has.
    pub(super) fn radix(self) -> u8 {
        ALPHABETS[self as usize].len
    }

    /// The place of a byte among those of the class.
    pub(super) fn digit(self, byte: u8) -> u8 {
        ALPHABETS[self as usize].digits[usize::from(byte)]
    }

    /// The byte at a place.
    pub(super) fn byte(self, digit: u8) -> u8 {
        ALPHABETS[self as usize].bytes[usize::from(digit)]
    }

    /// What stands for the class in a skeleton: bytes that no text keeps where the class can be.
    pub(super) fn mark(self) -> Option<u8> {
        match self {
            Class::Kept => None,
            Class::Digit => Some(b'9'),
            Class::Leading => Some(b'1'),
            Class::Lower => Some(b'a'),
            Class::Upper => Some(b'A'),
            Class::Continuation => Some(0x80),
            Class::Hex => Some(b'f'),
            Class::HexUpper => Some(b'F'),
            Class::Control | Class::Binary => Some(0),
        }
    }
}

/// What occurs in a text.
mod seen {
    pub(super) const DIGIT: u8 = 1;
    pub(super) const HEX: u8 = 2;
    pub(super) const HEX_UPPER: u8 = 4;
    pub(super) const DASH: u8 = 8;
    pub(super) const CONTROL: u8 = 16;
    pub(super) const HIGH: u8 = 32;
    pub(super) const OTHER: u8 = 64;

    pub(super) static OF_BYTE: [u8; 256] = {
        let mut table = [OTHER; 256];
        let mut byte = 0;
        while byte < 256 {
            match byte as u8 {
                b'0'..=b'9' => table[byte] = DIGIT,
                b'a'..=b'f' => table[byte] = HEX,
                b'A'..=b'F' => table[byte] = HEX_UPPER,
                b'-' => table[byte] = DASH,
                b'\t' | b'\n' | b'\r' => {}
                0..0x20 => table[byte] = CONTROL,
                0x80.. => table[byte] = HIGH,
                _ => {}
            }
            byte += 1;
        }
        table
    };
}

fn all_seen(text: &[u8]) -> u8 {
    text.iter().fold(0, |all, byte| all | seen::OF_BYTE[usize::from(*byte)])
}

impl Kind {
    /// What kind of text it is.
    pub(super) fn of(text: &[u8]) -> Kind {
        let seen = all_seen(text);
        match seen & !seen::DASH {
            _ if seen & seen::HIGH != 0 && std::str::from_utf8(text).is_err() => Kind::Binary,
            _ if seen & seen::CONTROL != 0 => Kind::Control,
            seen::DIGIT if canonical_integer(text).is_some() => Kind::Integer,
            both if both == seen::DIGIT | seen::HEX && is_long_hex(text) => Kind::Hex,
            both if both == seen::DIGIT | seen::HEX_UPPER && is_long_hex(text) => Kind::HexUpper,
            _ if exponent(text).is_some() => Kind::Decimal,
            _ => Kind::Plain,
        }
    }

    /// The class of every byte of a text of this kind.
    pub(super) fn classes(self, text: &[u8], out: &mut Vec<Class>) {
        out.clear();
        match self {
            Kind::Integer | Kind::Plain => text_classes(text, out),
            Kind::Control => {
                text_classes(text, out);
                for (class, _) in out.iter_mut().zip(text).filter(|(_, byte)| **byte < 0x20) {
                    *class = Class::Control;
                }
            }
            Kind::Decimal => {
                let end = exponent(text).unwrap_or(text.len());
                text_classes(&text[..end], out);
                out.resize(text.len(), Class::Kept);
            }
            Kind::Hex => out.extend(text.iter().map(|b| if *b == b'-' { Class::Kept } else { Class::Hex })),
            Kind::HexUpper => out.extend(text.iter().map(|b| if *b == b'-' { Class::Kept } else { Class::HexUpper })),
            Kind::Binary => out.extend(text.iter().map(|b| match b {
                b' ' => Class::Kept,
                b if b.is_ascii_punctuation() => Class::Kept,
                _ => Class::Binary,
            })),
        }
    }
}

fn is_long_hex(text: &[u8]) -> bool {
    text.iter().filter(|b| **b != b'-').count() >= 8
}

/// Classes of plain text. Of a run of digits the zeros in front stay, and its first other digit stays other than zero:
/// so numbers keep their size and their form, as JSON and servers have it.
fn text_classes(text: &[u8], out: &mut Vec<Class>) {
    let (mut in_number, mut before) = (false, 0);
    for &byte in text {
        let class = match byte {
            b'0'..=b'9' if in_number => Class::Digit,
            b'1'..=b'9' => Class::Leading,
            b'a'..=b'z' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            // Behind these only a part of the continuation bytes makes UTF-8.
            0x80..=0xbf if !matches!(before, 0xe0 | 0xed | 0xf0 | 0xf4) => Class::Continuation,
            _ => Class::Kept,
        };
        in_number = matches!(class, Class::Digit | Class::Leading);
        before = byte;
        out.push(class);
    }
}

/// Where the exponent of a decimal number starts, or the end if it has none; `None` for what is no such number. The
/// grammar is that of JSON.
fn exponent(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let start = usize::from(text.first() == Some(&b'-'));
    let whole = digits(start);
    if whole == 0 || whole > 1 && text[start] == b'0' {
        return None;
    }
    let mut end = start + whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    let Some(b'e' | b'E') = text.get(end) else { return (end == text.len()).then_some(end) };
    let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
    let power = digits(end + 1 + sign);
    (power > 0 && end + 1 + sign + power == text.len()).then_some(end)
}
