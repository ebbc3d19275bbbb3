//! The words of JSON: strings from bytes, numbers, members.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::codec::double;

/// Appends `bytes` as a JSON string, or as `{"base64":"…"}` when they are not valid UTF-8.
#[inline]
pub fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    try_string(bytes, out);
}

/// As [`write_string`]; says whether the bytes were valid UTF-8.
#[inline]
pub(super) fn try_string(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(bytes.len() + 10);
    out.push(b'"');
    let plain = copy_plain(bytes, out, false);
    if plain < bytes.len() && !write_difficult(bytes, plain, out) {
        return false;
    }
    out.push(b'"');
    true
}

/// Appends a string whose first `plain` bytes stand in `out` already, behind a quote; `false` when it became base64.
#[inline(never)]
fn write_difficult(bytes: &[u8], plain: usize, out: &mut Vec<u8>) -> bool {
    // What is before the first byte that needs care is ASCII.
    let is_ascii = bytes[plain..].is_ascii();
    if !is_ascii && simdutf8::basic::from_utf8(&bytes[plain..]).is_err() {
        out.truncate(out.len() - plain - 1);
        out.extend_from_slice(b"{\"base64\":\"");
        write_base64(bytes, out);
        out.extend_from_slice(b"\"}");
        return false;
    }
    out.reserve(bytes.len() - plain + bytes.len() / 8 + 16);
    let mut at = plain;
    loop {
        at += copy_escaping(&bytes[at..], out, !is_ascii);
        at += copy_plain(&bytes[at..], out, !is_ascii);
        let Some(&byte) = bytes.get(at) else { return true };
        at += match ESCAPES.get(byte as usize) {
            None => write_wide(&bytes[at..], out),
            Some(b'u') => {
                out.extend_from_slice(b"\\u00");
                crate::text::push_hex(byte, out);
                1
            }
            Some(escape) => {
                out.extend_from_slice(&[b'\\', *escape]);
                1
            }
        };
    }
}

/// Appends what begins with this byte, which is none of ASCII; says how many bytes that was. LINE SEPARATOR and PARAGRAPH
/// SEPARATOR are escaped, as many tools take them for the end of a line; C1 controls, since terminals obey them.
fn write_wide(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    match *bytes {
        [0xc2, control @ 0x80..=0x9f, ..] => {
            out.extend_from_slice(b"\\u00");
            crate::text::push_hex(control, out);
            2
        }
        [0xe2, 0x80, separator @ (0xa8 | 0xa9), ..] => {
            out.extend_from_slice(&[b'\\', b'u', b'2', b'0', b'2', separator - 0xa8 + b'8']);
            3
        }
        _ => {
            out.push(bytes[0]);
            1
        }
    }
}

/// What follows the backslash: 0 for bytes that stand for themselves, `u` for the long form.
const ESCAPES: [u8; 128] = {
    let mut table = [0; 128];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[8] = b'b';
    table[9] = b't';
    table[10] = b'n';
    table[12] = b'f';
    table[13] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// A word of eight such bytes.
const fn eight(byte: u8) -> u64 {
    ONES * byte as u64
}

/// Marks control characters, `"` and `\` with the high bit of their bytes, where these are ASCII.
#[inline(always)]
fn escaped(word: u64) -> u64 {
    let control = word.wrapping_sub(eight(0x20));
    let quote = (word ^ eight(b'"')).wrapping_sub(ONES);
    let backslash = (word ^ eight(b'\\')).wrapping_sub(ONES);
    control | quote | backslash
}

/// Marks the bytes of a word that need care: control characters, `"`, `\`, and all that is not ASCII. The lowest bit
/// that is set is right; those above it may not be.
#[inline(always)]
fn special(word: u64) -> u64 {
    (escaped(word) | word) & HIGH
}

/// As [`special`], but of what is not ASCII only bytes with which C1 controls or line separators may begin.
#[inline(always)]
fn special_in_utf8(word: u64) -> u64 {
    (escaped(word) & !word | wide_special(word)) & HIGH
}

#[inline(always)]
fn wide_special(word: u64) -> u64 {
    let [c1, separator] = [0xc2, 0xe2].map(|first| word ^ eight(first)).map(|x| x.wrapping_sub(ONES) & !x);
    c1 | separator
}

/// Whether more in a word needs care than `"` and `\`.
#[inline(always)]
fn is_difficult(word: u64, is_utf8: bool) -> bool {
    let control = word.wrapping_sub(eight(0x20)) & !word;
    let wide = if is_utf8 { wide_special(word) } else { word };
    (control | wide) & HIGH != 0
}

/// Marks with their high bits the bytes that are `byte`, and no others.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ eight(byte);
    !(((other & !HIGH) + !HIGH) | other | !HIGH)
}

/// Appends what is plain at the front of `bytes`, and says how much that is: printable ASCII other than `"` and `\`,
/// and with `wide` also what is not ASCII, which is known to be UTF-8 then.
#[inline(always)]
fn copy_plain(bytes: &[u8], out: &mut Vec<u8>, wide: bool) -> usize {
    let mut at = 0;
    while let Some(sixteen) = bytes[at..].first_chunk::<16>()
        && is_plain(sixteen)
    {
        out.extend_from_slice(sixteen);
        at += 16;
    }
    while let Some((word, size)) = word_at(bytes, at) {
        let found = if wide { special_in_utf8(word) } else { special(word) };
        // All eight are written, and what is too much is taken back: cheaper than copies of any length.
        out.extend_from_slice(&word.to_le_bytes());
        let plain = if found == 0 { size } else { found.trailing_zeros() as usize / 8 };
        if plain < 8 {
            out.truncate(out.len() + plain - 8);
            return at + plain;
        }
        at += 8;
    }
    at
}

/// In a form of which compilers make vector instructions.
#[inline(always)]
fn is_plain(bytes: &[u8; 16]) -> bool {
    let special = bytes.iter().map(|b| u8::from((*b as i8) < 0x20) | u8::from(*b == b'"') | u8::from(*b == b'\\'));
    special.fold(0, |any, one| any | one) == 0
}

/// Appends words that need no other care than backslashes before `"` and `\`; says how many bytes they were. With `wide`,
/// they are known to be UTF-8.
///
/// Where quotes are as frequent as in a document, whether a word has one can't be foreseen. So all words go the same way:
/// every byte is put where as many backslashes as it has before it leave it, on a ground of backslashes.
#[inline(always)]
fn copy_escaping(bytes: &[u8], out: &mut Vec<u8>, wide: bool) -> usize {
    let mut at = 0;
    while let Some((word, size)) = word_at(bytes, at) {
        if is_difficult(word, wide) {
            break;
        }
        let sums = ((equal(word, b'"') | equal(word, b'\\')) >> 7).wrapping_mul(ONES);
        let start = out.len();
        out.extend_from_slice(&[b'\\'; 16]);
        let room: &mut [u8; 16] = (&mut out[start..start + 16]).try_into().expect("it has just been made");
        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
            let place = i + (sums >> (8 * i)) as usize;
            room[place & 15] = byte;
        }
        out.truncate(start + size + (sums >> 56) as usize);
        at += size;
    }
    at
}

/// The next eight bytes, or those that are left, filled up with spaces; and how many they are.
#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let rest = &bytes[at..];
    match rest.first_chunk::<8>() {
        Some(eight) => Some((u64::from_le_bytes(*eight), 8)),
        None if rest.is_empty() => None,
        None => Some((short_word(bytes, rest), rest.len())),
    }
}

/// The last bytes of `bytes`, one to seven, as a word that is filled up with spaces.
#[inline(always)]
fn short_word(bytes: &[u8], rest: &[u8]) -> u64 {
    let n = rest.len();
    let word = match (bytes.last_chunk::<8>(), rest) {
        (Some(last), _) => u64::from_le_bytes(*last) >> (8 * (8 - n)),
        (_, [a, b, c, d, ..]) => {
            let last = rest.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last));
            u64::from(u32::from_le_bytes([*a, *b, *c, *d])) | u64::from(last) << (8 * (n - 4))
        }
        (_, [a, .., c]) => u64::from(*a) | u64::from(rest[n / 2]) << (8 * (n / 2)) | u64::from(*c) << (8 * (n - 1)),
        _ => u64::from(rest[0]),
    };
    word | eight(b' ') << (8 * n)
}

/// How many bytes at the front are printable ASCII other than `"` and `\`.
#[inline]
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        match special(u64::from_le_bytes(*eight)) {
            0 => at += 8,
            found => return at + found.trailing_zeros() as usize / 8,
        }
    }
    let is_special = |b: &u8| ESCAPES.get(*b as usize) != Some(&0);
    at + bytes[at..].iter().position(is_special).unwrap_or(bytes.len() - at)
}

/// How many bytes at the front are neither control characters nor `"` nor `\`, of whatever encoding.
#[inline]
pub(super) fn unescaped_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        match escaped(word) & !word & HIGH {
            0 => at += 8,
            found => return at + found.trailing_zeros() as usize / 8,
        }
    }
    at + bytes[at..].iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(bytes.len() - at)
}

/// Appends what base64 stands for; or says why it is none.
pub(super) fn decode_base64(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    STANDARD.decode_vec(text, out).map_err(|e| e.to_string())
}

/// Appends the base64 form.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the room is that of the padded form");
}

/// Appends bytes that only their owner understands, as the member `raw`.
pub(super) fn raw(bytes: &[u8], out: &mut Vec<u8>) {
    member("raw", out, |out| {
        out.push(b'"');
        write_base64(bytes, out);
        out.push(b'"');
    });
}

/// Appends a comma, unless an array or object has just been opened.
#[inline]
pub(super) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'[' | b'{') | None) {
        out.push(b',');
    }
}

/// Appends a comma, unless nothing has been written yet.
pub(super) fn comma_unless_empty(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}

/// Appends a member of an object.
#[inline]
pub(super) fn member(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    value(out);
}

/// Appends a pair: an array of two.
#[inline]
pub(super) fn pair(out: &mut Vec<u8>, first: impl FnOnce(&mut Vec<u8>), second: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    first(out);
    out.push(b',');
    second(out);
    out.push(b']');
}

/// Appends an integer.
#[inline]
pub(super) fn integer(n: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// A score: a number, or one of the strings `inf`, `-inf`, `nan`. Minus zero keeps its sign as `-0.0`.
pub(super) fn number(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        out.push(b'"');
        double::write(value, out);
        out.push(b'"');
    } else {
        double::write(value, out);
        if value == 0.0 && value.is_sign_negative() {
            out.extend_from_slice(b".0");
        }
    }
}

/// A component of a vector.
pub(super) fn float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        number(f64::from(value), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn agrees_with_serde_json() {
        let mut cases: Vec<String> = (0..200)
            .map(|i| "aé\"\\\n\u{1}\u{7f}😀 plain text".chars().cycle().skip(i % 13).take(i).collect())
            .collect();
        cases.extend((0..128_u8).map(|b| format!("12345678{}9", b as char)));
        cases.extend((0..256_u16).map(|bits| {
            (0..8).map(|i| if bits >> i & 1 == 0 { 'a' } else { ['"', '\\'][i % 2] }).chain("\"é".chars()).collect()
        }));
        cases.extend((0..128_u8).map(|b| (b as char).to_string()));
        cases.push("a\u{85}b\u{2028}\u{2029}\u{2027}\u{86}".into());
        assert_eq!(t(cases[cases.len() - 1].as_bytes()), "\"a\\u0085b\\u2028\\u2029\u{2027}\\u0086\"");
        for case in cases {
            assert_eq!(serde_json::from_str::<String>(&t(case.as_bytes())).unwrap(), case);
        }
    }

    #[test]
    fn a_prefix_without_escapes_ends_where_a_byte_by_byte_search_says() {
        let is_special = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20);
        for filler in [b'a', 0x7f, 0x80, 0xe2, 0xff] {
            for found in 0..=255_u8 {
                for at in 0..20 {
                    let mut bytes = vec![filler; 20];
                    bytes[at] = found;
                    let want = bytes.iter().position(is_special).unwrap_or(20);
                    assert_eq!(unescaped_prefix(&bytes), want, "{filler} {found} {at}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_utf8_is_base64() {
        assert_eq!(t(b"\xff\x00"), r#"{"base64":"/wA="}"#);
        assert_eq!(t(b"plain text and then \xc3"), r#"{"base64":"cGxhaW4gdGV4dCBhbmQgdGhlbiDD"}"#);
        assert_eq!(t(b""), r#""""#);
    }
}
