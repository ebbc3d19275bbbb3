//! Facts beside the keys: function libraries, and what modules keep for themselves.

use std::borrow::Cow;

use super::{Ignore, combine, hash};
use crate::codec::Cursor;
use crate::codec::module::{ModuleId, Tagged};
use crate::error::Result;
use crate::model::functions::library_name;
use crate::model::record::Record;

/// Data of a snapshot that belongs to no key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Loose {
    /// A function library, by its name.
    Function(Vec<u8>),
    /// Aux data of a module: its type's name, and whether it stands before or after the keys.
    ModuleAux(String, u64),
}

impl Loose {
    /// What this record says beside the keys, with the hash of it. `None` for keys, for what is ignored, and for what is
    /// no data: aux fields, hints, templates, the scripts that old servers had cached, and unfinished moves of slots.
    pub fn of(record: &Record<'_>, ignore: Ignore) -> Result<Option<(Loose, u128)>> {
        let source: Cow<'_, [u8]> = match *record {
            Record::Function(source) if !ignore.functions => source.into(),
            Record::FunctionPreGa { name, engine, code, .. } if !ignore.functions => {
                // As the first release would have it, where the engines' names are in lower case.
                [b"#!", engine.to_ascii_lowercase().as_slice(), b" name=", name, b"\n", code].concat().into()
            }
            Record::ModuleAux { id, when, data } if !ignore.modules => {
                let print = combine([u128::from(id.0), u128::from(when), items_hash(data)?]);
                return Ok(Some((Loose::ModuleAux(ModuleId::name(id), when), print)));
            }
            _ => return Ok(None),
        };
        let name = library_name(&source).unwrap_or_default().to_vec();
        Ok(Some((Loose::Function(name), combine([hash(b"function"), hash(&source)]))))
    }
}

/// The hash of tagged items, whatever form their strings have.
fn items_hash(data: &[u8]) -> Result<u128> {
    let (mut line, mut buf) = (Vec::new(), Vec::new());
    let mut cur = Cursor::new(data);
    loop {
        let (tag, print) = match Tagged::read(&mut cur)? {
            Tagged::End => return Ok(hash(&line)),
            Tagged::Int(n) => (1, u128::from(n)),
            Tagged::Float(float) => (3, u128::from(float.to_bits())),
            Tagged::Double(double) => (4, u128::from(double.to_bits())),
            Tagged::String(string) => (5, hash(string.decode(&mut buf)?)),
        };
        line.push(tag);
        line.extend_from_slice(&print.to_le_bytes());
    }
}
