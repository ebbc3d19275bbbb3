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
    let plain = plain_prefix(bytes);
    if plain == bytes.len() {
        out.reserve(bytes.len() + 2);
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return true;
    }
    write_difficult(bytes, plain, out)
}

fn write_difficult(bytes: &[u8], plain: usize, out: &mut Vec<u8>) -> bool {
    // What is before the first byte that needs care is ASCII.
    if std::str::from_utf8(&bytes[plain..]).is_err() {
        out.extend_from_slice(b"{\"base64\":\"");
        write_base64(bytes, out);
        out.extend_from_slice(b"\"}");
        return false;
    }
    out.reserve(bytes.len() + bytes.len() / 8 + 2);
    out.push(b'"');
    let (mut done, mut at) = (0, plain);
    while at < bytes.len() {
        let byte = bytes[at];
        if byte >= 0x80 {
            let len = line_separator(&bytes[at..]);
            if len > 0 {
                out.extend_from_slice(&bytes[done..at]);
                out.extend_from_slice(if len == 2 { b"\\u0085" } else { b"\\u202" });
                if len == 3 {
                    out.push(bytes[at + 2] - 0xa8 + b'8');
                }
                done = at + len;
            }
            at += len.max(1);
            continue;
        }
        let escape = ESCAPES[byte as usize];
        if escape == 0 {
            at += plain_prefix(&bytes[at..]).max(1);
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            out.extend_from_slice(b"00");
            crate::text::push_hex(byte, out);
        }
        at += 1;
        done = at;
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
    true
}

/// The length of NEL, LINE SEPARATOR or PARAGRAPH SEPARATOR, if one stands here. They are escaped, as many tools take
/// them for the end of a line.
fn line_separator(bytes: &[u8]) -> usize {
    match bytes {
        [0xc2, 0x85, ..] => 2,
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
        _ => 0,
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

/// How many bytes at the front are printable ASCII other than `"` and `\`.
#[inline]
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    // The lowest high bit that is set marks the first byte of the word that is 0.
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of 8"));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quote = zero_bytes(word ^ QUOTES);
        let backslash = zero_bytes(word ^ BACKSLASHES);
        let found = word & HIGH | control | quote | backslash;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let special = |b: &u8| *b >= 0x80 || ESCAPES[*b as usize & 0x7f] != 0;
    at + words.remainder().iter().position(special).unwrap_or(words.remainder().len())
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
        cases.extend((0..128_u8).map(|b| (b as char).to_string()));
        cases.push("a\u{85}b\u{2028}\u{2029}\u{2027}\u{86}".into());
        assert_eq!(t(cases[cases.len() - 1].as_bytes()), "\"a\\u0085b\\u2028\\u2029\u{2027}\u{86}\"");
        for case in cases {
            assert_eq!(serde_json::from_str::<String>(&t(case.as_bytes())).unwrap(), case);
        }
    }

    #[test]
    fn what_is_no_utf8_is_base64() {
        assert_eq!(t(b"\xff\x00"), r#"{"base64":"/wA="}"#);
        assert_eq!(t(b"plain text and then \xc3"), r#"{"base64":"cGxhaW4gdGV4dCBhbmQgdGhlbiDD"}"#);
        assert_eq!(t(b""), r#""""#);
    }
}
