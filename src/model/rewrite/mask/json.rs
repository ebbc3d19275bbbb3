//! Masking inside JSON documents: strings and numbers one by one, so that what comes out is JSON of the same structure,
//! and equal names stay equal.

use serde_json::value::RawValue;

use super::{Mask, Scratch};

/// Whether a text is a JSON object, array, string or literal. Numbers are numbers anywhere.
pub(super) fn is_document(text: &[u8]) -> bool {
    let inner = text.trim_ascii();
    // Most texts are told by their ends.
    match (inner.first(), inner.last()) {
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'"'), Some(b'"')) => {
            std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
        }
        _ => matches!(inner, b"true" | b"false" | b"null"),
    }
}

/// Masks the strings and numbers of a document; structure, literals and escapes stay.
pub(super) fn mask(mask: &Mask, text: &mut [u8], scratch: &mut Scratch) {
    let mut at = 0;
    while at < text.len() {
        let end = match text[at] {
            b'"' => {
                let end = at + 1 + string_len(&text[at + 1..]);
                mask_string(mask, &mut text[at + 1..end], scratch);
                end + 1
            }
            b'-' | b'0'..=b'9' => {
                let in_number = |b: &&u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let end = at + text[at..].iter().take_while(in_number).count();
                mask.mask_number(&mut text[at..end], scratch);
                end
            }
            _ => at + 1,
        };
        at = end;
    }
}

/// The bytes of a string up to its closing quote.
fn string_len(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at.min(text.len())
}

/// Masks what stands between the escapes of a string.
fn mask_string(mask: &Mask, mut text: &mut [u8], scratch: &mut Scratch) {
    while !text.is_empty() {
        let plain = text.iter().position(|b| *b == b'\\').unwrap_or(text.len());
        mask.mask_plain(&mut text[..plain], scratch);
        let escape = match text.get(plain + 1) {
            Some(b'u') => 6,
            _ => 2,
        };
        let next = (plain + escape).min(text.len());
        text = &mut text[next..];
    }
}
