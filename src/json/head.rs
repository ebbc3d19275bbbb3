//! What a backup says before its entries: its form, where it comes from, aux fields, functions.

use super::parse::{Parser, Token};
use super::read_other::read_other;
use crate::codec::string::canonical_integer;
use crate::error::{Error, Result};
use crate::model::{Origin, Record};

/// The form of backups that is read here.
const FORM: u64 = 1;

/// The header of a backup.
pub struct Header {
    origin: Origin,
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// The arrays of functions and other records, as JSON.
    functions: Vec<u8>,
    before: Vec<u8>,
}

impl Header {
    /// Where the backup comes from: header and dialect of the dump that it was made of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// When the dump was made, Unix time in seconds, where the backup says so.
    pub fn created(&self) -> Option<i64> {
        self.aux.iter().find(|(name, _)| name == b"ctime").and_then(|(_, value)| canonical_integer(value))
    }

    /// Gives the records in front of the first key: aux fields, functions, and whatever else there is.
    pub fn each(&self, visit: &mut dyn FnMut(Record<'_>) -> Result<()>) -> Result<()> {
        for (name, value) in &self.aux {
            visit(Record::Aux { name, value })?;
        }
        if !self.functions.is_empty() {
            Parser::new(&self.functions).array(|p| super::read_other::read_function(p, visit))?;
        }
        if !self.before.is_empty() {
            Parser::new(&self.before).array(|p| {
                let mut read = false;
                p.object(|p, name, at| {
                    read = true;
                    read_other(p, name, at, visit)
                })?;
                if read { Ok(()) } else { Err(p.wrong("backup: an empty record")) }
            })?;
        }
        Ok(())
    }

    /// Reads the header if the object here is a backup. With it comes where it ends, and whether the entries are items
    /// of the same object.
    pub(super) fn read(mut p: Parser<'_>) -> Result<Option<(Header, usize, bool)>> {
        p.open(b'{')?;
        if p.peek_first_name()?.as_deref() != Some(b"rdbkit") {
            return Ok(None);
        }
        let mut parts = Parts::default();
        let mut is_object = false;
        loop {
            p.member(|p, name| {
                if name == b"keys" {
                    is_object = true;
                    return p.open(b'[');
                }
                parts.member(p, name)
            })?;
            if is_object {
                break;
            }
            if !p.try_comma() {
                p.close(b'}')?;
                break;
            }
        }
        let header = parts.header().map_err(|why| p.wrong(why))?;
        // A backup is only as good as its header: what is in there is read now, and not when it is needed.
        header.each(&mut |_| Ok(()))?;
        Ok(Some((header, p.pos(), is_object)))
    }
}

#[derive(Default)]
struct Parts {
    magic: Vec<u8>,
    version: u32,
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    functions: Vec<u8>,
    before: Vec<u8>,
}

impl Parts {
    fn member(&mut self, p: &mut Parser<'_>, name: &[u8]) -> Result<()> {
        let start = *p;
        match name {
            b"rdbkit" => match p.integer::<u64>("rdbkit")? {
                FORM => Ok(()),
                other => Err(start.wrong(format!(
                    "this backup is of form {other}; this rdbkit reads form {FORM}: use the one that wrote it, or a later one"
                ))),
            },
            b"rdb" => p.object(|p, name, at| match name {
                b"magic" => Ok(self.magic = p.bytes("magic", &mut Vec::new())?.to_vec()),
                b"version" => Ok(self.version = p.integer("version")?),
                _ => Err(at.wrong("backup: an unknown member of rdb")),
            }),
            b"aux" => self.read_aux(p),
            b"functions" => Ok(self.functions = p.skip()?.to_vec()),
            b"before" => Ok(self.before = p.skip()?.to_vec()),
            _ => Err(start.wrong(format!("backup: unknown member {} of the header", crate::text::quoted_short(name)))),
        }
    }

    fn read_aux(&mut self, p: &mut Parser<'_>) -> Result<()> {
        let aux = &mut self.aux;
        let (mut a, mut b) = (Vec::new(), Vec::new());
        if p.peek()? == Token::Array {
            return p.array(|p| {
                let (mut name, mut value) = (Vec::new(), Vec::new());
                p.pair(
                    |p| Ok(name = p.bytes("aux", &mut a)?.to_vec()),
                    |p| Ok(value = p.bytes("aux", &mut b)?.to_vec()),
                )?;
                aux.push((name, value));
                Ok(())
            });
        }
        p.object(|p, name, _| {
            aux.push((name.to_vec(), p.bytes("aux", &mut a)?.to_vec()));
            Ok(())
        })
    }

    fn header(self) -> Result<Header, String> {
        let magic = String::from_utf8_lossy(&self.magic).into_owned();
        let digits = 9_usize.saturating_sub(magic.len());
        let text = format!("{magic}{:0digits$}", self.version);
        let origin = <&[u8; 9]>::try_from(text.as_bytes()).ok().and_then(Origin::from_header);
        let Some(mut origin) = origin else {
            return Err(format!("backup: there are no RDB files with {magic} and version {}", self.version));
        };
        for (name, value) in self.aux.iter().filter(|(name, _)| Origin::cares_about(name)) {
            origin.learn(name, value);
        }
        Ok(Header { origin, aux: self.aux, functions: self.functions, before: self.before })
    }
}

/// The error for a record of a backup that is not known here.
#[cold]
pub(super) fn unknown_record(at: Parser<'_>, name: &[u8]) -> Error {
    at.wrong(format!("backup: unknown record {}", crate::text::quoted_short(name)))
}
