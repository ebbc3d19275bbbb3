//! Doubles as text: the scores of old sorted sets (`rdbLoadDoubleValue`) and of packed ones.

use super::Cursor;
use crate::error::{Error, Result};

/// A score of type 3: `u8 n` and n bytes of text, where n = 253, 254, 255 stand for NaN, +inf and -inf.
pub fn read_text(cur: &mut Cursor<'_>) -> Result<f64> {
    let start = *cur;
    match cur.u8()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        n => parse(cur.take(n as usize)?).map_err(|e| e.at(start.pos() as u64)),
    }
}

/// Steps over a score of type 3.
pub fn skip_text(cur: &mut Cursor<'_>) -> Result<()> {
    match cur.u8()? {
        253.. => {}
        n => drop(cur.take(n as usize)?),
    }
    Ok(())
}

/// The double that this text means to C's `strtod`, hexadecimal floats apart.
pub fn parse(text: &[u8]) -> Result<f64> {
    std::str::from_utf8(text.trim_ascii_start())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::malformed(format!("score: {} is no number", crate::text::quoted_short(text))))
}

/// Appends the shortest text that reads back to the same double, as servers from 7.2 on print it: `3`, `-0`, `1.5`,
/// `1e30`, `inf`, `-inf`, `nan`.
pub fn write(value: f64, out: &mut Vec<u8>) {
    /// All integers up to here are doubles.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.trunc() == value && value.abs() <= EXACT {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let t = |value: f64, text: &str| {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
            assert_eq!(parse(text.as_bytes()).unwrap().to_bits(), value.to_bits());
        };
        t(3.0, "3");
        t(-0.0, "-0");
        t(1.5, "1.5");
        t(0.1, "0.1");
        t(1e30, "1e30");
        t(-9_007_199_254_740_993.0, "-9007199254740992");
        t(1.797_693_134_862_315_7e308, "1.7976931348623157e308");
        t(5e-324, "5e-324");
        t(f64::INFINITY, "inf");
        t(f64::NEG_INFINITY, "-inf");
    }

    #[test]
    fn the_special_lengths() {
        assert!(read_text(&mut Cursor::new(&[253])).unwrap().is_nan());
        assert_eq!(read_text(&mut Cursor::new(&[254])).unwrap(), f64::INFINITY);
        assert_eq!(read_text(&mut Cursor::new(&[255])).unwrap(), f64::NEG_INFINITY);
        assert_eq!(read_text(&mut Cursor::new(b"\x031.5")).unwrap(), 1.5);
        assert!(read_text(&mut Cursor::new(b"\x031.")).unwrap_err().is_truncated());
        assert!(read_text(&mut Cursor::new(b"\x01x")).is_err());
    }
}
