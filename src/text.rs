//! Bytes as people read them: the escapes of redis-cli, and times.

use std::time::{Duration, UNIX_EPOCH};

/// Appends `bytes` with redis-cli's escapes: `\\`, `\"`, `\n`, `\r`, `\t`, `\a`, `\b`, and `\xHH` for every other
/// byte that is not printable ASCII. What comes out is one line of plain ASCII.
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &b in bytes {
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(b),
            _ => hex_escape(b, out),
        }
    }
}

/// Appends `\xHH`.
pub(crate) fn hex_escape(b: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    push_hex(b, out);
}

/// Appends the two hex digits of a byte.
pub fn push_hex(b: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[DIGITS[(b >> 4) as usize], DIGITS[(b & 15) as usize]]);
}

/// The escaped form of `bytes`, without quotes.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    escape(bytes, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The escaped form of `bytes` in double quotes, as redis-cli shows a string.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes))
}

/// As [`quoted`], but a key of more than 80 bytes is cut short, for messages.
pub fn quoted_short(bytes: &[u8]) -> String {
    match bytes.get(..80) {
        Some(head) if bytes.len() > 80 => format!("{}… ({} bytes)", quoted(head), bytes.len()),
        _ => quoted(bytes),
    }
}

/// A Unix time in milliseconds as `2026-11-23T06:10:02.000Z`; years that this notation lacks stay a number.
pub fn timestamp(ms: i64) -> String {
    match u64::try_from(ms) {
        Ok(past_epoch) if past_epoch < 253_402_300_800_000 => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(past_epoch)).to_string()
        }
        _ => ms.to_string(),
    }
}

/// The Unix time in milliseconds that a text in this notation stands for.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// A number of bytes as `1.5 MB` (powers of 1000), exact below 1000.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 999.95 || unit == "TB" {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    unreachable!("the loop returns at its last unit")
}

/// A number with its digits in groups of three: `1_234_567` as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How many of what: `1 key`, `2,000 keys`.
pub fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_redis_cli() {
        assert_eq!(quoted(b"a\"b\\\n\r\t\x07\x08\x00\xff ~"), r#""a\"b\\\n\r\t\a\b\x00\xff ~""#);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(timestamp(1_767_225_600_000), "2026-01-01T00:00:00.000Z");
        assert_eq!(timestamp(-1), "-1");
    }
}
