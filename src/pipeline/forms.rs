//! What a file holds, told by how it begins.

use super::Input;
use crate::csv;
use crate::resp::{Manifest, is_command};

/// The forms that a dataset can have in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A dump.
    Rdb,
    /// JSON or NDJSON: a backup, or a map of fixtures.
    Json,
    /// Comma-separated values.
    Csv,
    /// Commands as clients send them: an append-only file.
    Commands,
    /// Commands as they are typed.
    Typed,
    /// A dump that commands may follow, as it says of itself: an append-only file of 4.0 and later.
    Preamble,
    /// A directory of append-only files with their manifest.
    AofDir,
}

impl Form {
    /// It in words.
    pub fn name(self) -> &'static str {
        match self {
            Form::Rdb => "RDB",
            Form::Json => "JSON",
            Form::Csv => "CSV",
            Form::Commands => "append-only file",
            Form::Typed => "typed commands",
            Form::Preamble => "append-only file with RDB preamble",
            Form::AofDir => "append-only directory",
        }
    }

    /// The form of a file that begins so, unless it is none that is read here.
    pub fn of(start: &[u8]) -> Option<Form> {
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
        match text {
            _ if start.starts_with(b"REDIS") || start.starts_with(b"VALKEY") => {
                Some(if is_preamble(start) { Form::Preamble } else { Form::Rdb })
            }
            _ if Manifest::is_one(start) => Some(Form::AofDir),
            [b'{', ..] => Some(Form::Json),
            [b'*', b'0'..=b'9', ..] | [b'#', b'T', b'S', b':', ..] => Some(Form::Commands),
            _ if csv::is_header(line) => Some(Form::Csv),
            _ => is_typed(text).then_some(Form::Typed),
        }
    }
}

/// Whether a dump that begins so says of itself that commands may follow it. Its aux fields stand in front.
fn is_preamble(start: &[u8]) -> bool {
    let has = |field: &[u8]| memchr::memmem::find(start, field).is_some();
    has(b"aof-preamble\xc0\x01") || has(b"aof-base\xc0\x01")
}

/// Whether a text begins with a typed command, behind remarks.
fn is_typed(text: &[u8]) -> bool {
    let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let command = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with(b"#"));
    let word = command.and_then(|line| line.split(u8::is_ascii_whitespace).next());
    word.is_some_and(is_command)
}

impl Input {
    /// Whether it was a dump already; anything else was made one while it was read.
    pub fn is_dump(&self) -> bool {
        self.form == Form::Rdb
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_the_form() {
        let t = |start: &[u8]| Form::of(start);
        assert_eq!(t(b"REDIS0011\xfa"), Some(Form::Rdb));
        assert_eq!(t(b"VALKEY080"), Some(Form::Rdb));
        assert_eq!(t(b"REDIS0011\xfa\x08aof-base\xc0\x01"), Some(Form::Preamble));
        assert_eq!(t(b"REDIS0011\xfa\x08aof-base\xc0\x00"), Some(Form::Rdb));
        assert_eq!(t(b"\xef\xbb\xbf \n{\"a\":1}"), Some(Form::Json));
        assert_eq!(t(b"*3\r\n$3\r\nSET"), Some(Form::Commands));
        assert_eq!(t(b"#TS:17\r\n*3\r\n"), Some(Form::Commands));
        assert_eq!(t(b"# my data\n\n  set a 1\n"), Some(Form::Typed));
        assert_eq!(t(b"HSET \"a b\" c d"), Some(Form::Typed));
        assert_eq!(t(b"# x\nfile a.aof seq 1 type i\n"), Some(Form::AofDir));
        assert_eq!(t(b"database,type,key,expiry,index,field,value,field_expiry\n"), Some(Form::Csv));
        assert_eq!(t(b"key,value\na,1\n"), Some(Form::Csv));
        for other in [b"<html>".as_slice(), b"hello world", b"", b"-ERR x", b"\0\0\0", b"[1,2]", b"a,b\n1,2\n"] {
            assert_eq!(t(other), None, "{}", other.escape_ascii());
        }
    }
}
