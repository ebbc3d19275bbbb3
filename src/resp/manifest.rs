//! The manifest of an append-only directory (7.0 and later): which files it has, and in which order they are loaded.
//!
//! ```text
//! file appendonly.aof.1.base.rdb seq 1 type b
//! file appendonly.aof.1.incr.aof seq 1 type i [startoffset N] [endoffset N]
//! ```

use super::Words;
use super::reader::inline_words;
use crate::error::{Error, Result};
use crate::text;

/// The longest line that servers read.
const LONGEST_LINE: usize = 1024;

/// What a file of an append-only directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The data that everything begins with: a dump, or commands.
    Base,
    /// Commands since.
    Increment,
    /// No longer needed; the server deletes it.
    History,
}

impl Role {
    /// It in a word.
    pub fn name(self) -> &'static str {
        match self {
            Role::Base => "base",
            Role::Increment => "increment",
            Role::History => "history",
        }
    }
}

/// A file that a manifest names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AofFile {
    /// Its name in the directory.
    pub name: String,
    /// Its number among those of its kind.
    pub seq: u64,
    /// What it is.
    pub role: Role,
}

impl AofFile {
    /// The line that names it in a manifest, with its end.
    pub fn line(&self) -> String {
        let letter = match self.role {
            Role::Base => 'b',
            Role::Increment => 'i',
            Role::History => 'h',
        };
        let is_plain = self.name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\''));
        let name = if is_plain { self.name.clone() } else { text::quoted(self.name.as_bytes()) };
        format!("file {name} seq {} type {letter}\n", self.seq)
    }
}

/// A manifest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// Its files, in the order of its lines.
    pub files: Vec<AofFile>,
}

impl Manifest {
    /// Whether a file that begins so is a manifest.
    pub fn is_one(start: &[u8]) -> bool {
        let line = start.split(|b| *b == b'\n').find(|line| !line.starts_with(b"#"));
        line.is_some_and(|line| line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"file ")))
    }

    /// Reads a manifest. Errors name the line: what no server takes.
    pub fn read(bytes: &[u8]) -> Result<Manifest> {
        let mut manifest = Manifest::default();
        let mut last_increment = 0;
        let body = bytes.strip_suffix(b"\n").ok_or_else(|| wrong(1, "the last line does not end"))?;
        for (line, i) in body.split(|b| *b == b'\n').zip(1..) {
            if line.starts_with(b"#") {
                continue;
            }
            let file = read_line(line, i)?;
            let has_base = || manifest.files.iter().any(|file| file.role == Role::Base);
            match file.role {
                Role::Base if has_base() => return Err(wrong(i, "there is a base file already")),
                Role::Increment if file.seq <= last_increment => {
                    return Err(wrong(i, "the numbers of increments must ascend"));
                }
                Role::Increment => last_increment = file.seq,
                _ => {}
            }
            manifest.files.push(file);
        }
        match manifest.files.is_empty() {
            true => Err(wrong(1, "it names no file")),
            false => Ok(manifest),
        }
    }

    /// The files that are loaded, in their order: the base, then the increments.
    pub fn loaded(&self) -> impl Iterator<Item = &AofFile> {
        let of = |role| self.files.iter().filter(move |file| file.role == role);
        of(Role::Base).chain(of(Role::Increment))
    }
}

fn wrong(line: u64, what: &str) -> Error {
    Error::malformed(format!("manifest: {what}")).at_line(line, 1)
}

fn read_line(line: &[u8], i: u64) -> Result<AofFile> {
    if line.len() >= LONGEST_LINE {
        return Err(wrong(i, "the line is too long"));
    }
    let mut words = Words::default();
    inline_words(line, &mut words).map_err(|e| e.at_line(i, 1))?;
    if words.len() % 2 != 0 {
        return Err(wrong(i, "a value must stand behind each name"));
    }
    let (mut name, mut seq, mut role) = (None, None, None);
    for at in (0..words.len()).step_by(2) {
        let value = &words[at + 1];
        let text = || String::from_utf8(value.to_vec()).ok();
        match words[at].to_ascii_lowercase().as_slice() {
            b"file" => name = text(),
            b"seq" => seq = text().and_then(|text| text.parse().ok()).filter(|seq| *seq > 0),
            b"type" => {
                role = match value {
                    b"b" => Some(Role::Base),
                    b"i" => Some(Role::Increment),
                    b"h" => Some(Role::History),
                    _ => None,
                }
            }
            // Where it begins and ends in the replication stream, and whatever else comes.
            _ => {}
        }
    }
    match (name, seq, role) {
        (Some(name), ..) if name.contains('/') => {
            let name = text::quoted_short(name.as_bytes());
            Err(wrong(i, &format!("{name} is a path; files lie beside the manifest")))
        }
        (Some(name), Some(seq), Some(role)) => Ok(AofFile { name, seq, role }),
        _ => Err(wrong(i, "a line has file NAME seq N type b, i or h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_comes_first_and_history_not_at_all() {
        let text = b"# mine\nfile a.1.incr.aof seq 1 type h\nfile \"a b.2.incr.aof\" seq 2 type i startoffset 7\n\
                     file a.3.incr.aof seq 3 type i\nFILE a.2.base.rdb SEQ 2 TYPE b\n";
        assert!(Manifest::is_one(text));
        let manifest = Manifest::read(text).unwrap();
        let names: Vec<_> = manifest.loaded().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a.2.base.rdb", "a b.2.incr.aof", "a.3.incr.aof"]);
        assert_eq!(manifest.files.len(), 4);
        let lines: String = manifest.files.iter().map(AofFile::line).collect();
        assert_eq!(Manifest::read(lines.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn what_no_server_takes_is_named_with_its_line() {
        let t = |text: &[u8], line: u64, what: &str| {
            let e = Manifest::read(text).unwrap_err().to_string();
            assert!(e.starts_with(&format!("line {line}, ")) && e.contains(what), "{e}");
        };
        t(b"", 1, "does not end");
        t(b"# nothing\n", 1, "no file");
        t(b"file a seq 1 type b", 1, "does not end");
        t(b"file a seq 1 type b\nfile b seq 2 type b\n", 2, "already");
        t(b"file a seq 2 type i\nfile b seq 2 type i\n", 2, "ascend");
        t(b"file a seq 0 type i\n", 1, "file NAME");
        t(b"file a seq 1 type x\n", 1, "file NAME");
        t(b"file ../a seq 1 type i\n", 1, "is a path");
        t(b"file a seq 1 type\n", 1, "behind each");
    }
}
