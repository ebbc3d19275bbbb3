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

/// Appends a score of type 3.
pub fn write_text(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.push(253);
    } else if value.is_infinite() {
        out.push(if value > 0.0 { 254 } else { 255 });
    } else {
        let at = out.len();
        out.push(0);
        write(value, out);
        out[at] = (out.len() - at - 1) as u8;
    }
}

/// The double that this text means to C's `strtod`, hexadecimal floats apart.
pub fn parse(text: &[u8]) -> Result<f64> {
    std::str::from_utf8(text.trim_ascii_start())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::malformed(format!("score: {} is no number", crate::text::quoted_short(text))))
}

/// Appends a double as servers from 7.2 on print it (`fpconv_dtoa`): the shortest text that reads back to the same
/// double, integers up to 2^62 in full, `1.5`, `0.00001`, `1e+100`, `-0`, `inf`, `-inf`, `nan`.
pub fn write(value: f64, out: &mut Vec<u8>) {
    const INTEGERS: f64 = (1_u64 << 62) as f64;
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.trunc() == value && value.abs() <= INTEGERS {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        if value < 0.0 {
            out.push(b'-');
        }
        let mut buf = ryu::Buffer::new();
        let decimal = buf.format_finite(value.abs());
        if is_laid_out_alike(decimal.as_bytes()) {
            out.extend_from_slice(decimal.as_bytes());
        } else {
            write_digits(decimal, out);
        }
    }
}

/// Whether `fpconv_dtoa` would lay out this positive decimal with a fraction just so: without an exponent, as the
/// fraction has at most six digits, or the whole part from one to four.
#[inline]
fn is_laid_out_alike(decimal: &[u8]) -> bool {
    let Some(point) = decimal.iter().position(|b| *b == b'.') else { return false };
    let fraction = &decimal[point + 1..];
    let few = fraction.len() <= 6 || point <= 4 && decimal[0] != b'0';
    few && !fraction.contains(&b'e')
}

/// Lays the digits of a positive decimal out as `fpconv_dtoa` does.
fn write_digits(decimal: &str, out: &mut Vec<u8>) {
    let (mantissa, exponent) = decimal.split_once('e').unwrap_or((decimal, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut buf = [0; 32];
    let mut digits = 0;
    for digit in whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0') {
        buf[digits] = digit;
        digits += 1;
    }
    // The value is the digits times ten to this power.
    let mut power = exponent.parse::<i32>().unwrap_or(0) - fraction.len() as i32;
    while digits > 1 && buf[digits - 1] == b'0' {
        digits -= 1;
        power += 1;
    }
    let point = digits as i32 + power;
    let digits = &buf[..digits];
    if power >= 0 && point - 1 < digits.len() as i32 + 7 {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', power as usize));
    } else if power < 0 && (power > -7 || (point - 1).abs() < 4) {
        if point <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
            out.extend_from_slice(digits);
        } else {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if point > 0 { b"e+" } else { b"e-" });
        out.extend_from_slice(itoa::Buffer::new().format((point - 1).unsigned_abs()).as_bytes());
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
        // Answers of a Redis 8.10.2 to ZSCORE.
        t(3.0, "3");
        t(-0.0, "-0");
        t(1.5, "1.5");
        t(0.1, "0.1");
        t(-0.25, "-0.25");
        t(0.00001, "0.00001");
        t(1e-7, "1e-7");
        t(1e17, "100000000000000000");
        t(123_456_789_012_345_678_901.0, "123456789012345680000");
        t(1e21, "1e+21");
        t(1e100, "1e+100");
        t(1.5e300, "1.5e+300");
        t(-9_007_199_254_740_993.0, "-9007199254740992");
        t(f64::MAX, "1.7976931348623157e+308");
        t(5e-324, "5e-324");
        t(0.30000000000000004, "0.30000000000000004");
        t(12_345_678.123_456_78, "1.234567812345678e+7");
        t(f64::INFINITY, "inf");
        t(f64::NEG_INFINITY, "-inf");
    }

    #[test]
    fn scores_of_type_3_read_back() {
        for value in [0.0, -0.0, 1.5, -3.0, 0.1, f64::MAX, 5e-324, f64::INFINITY, f64::NEG_INFINITY] {
            let mut out = Vec::new();
            write_text(value, &mut out);
            assert_eq!(read_text(&mut Cursor::new(&out)).unwrap().to_bits(), value.to_bits());
        }
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
