//! Records that are no keys, read back from JSON.

use super::head::unknown_record;
use super::parse::{Parser, Token};
use crate::codec::length;
use crate::codec::module::ModuleId;
use crate::error::Result;
use crate::model::{Record, SlotRanges};

/// Who takes a record.
pub(super) type Visit<'v> = &'v mut dyn FnMut(Record<'_>) -> Result<()>;

/// Reads the value of a record's only member, whose name tells what it is.
pub(super) fn read_other(p: &mut Parser<'_>, name: &[u8], at: Parser<'_>, visit: Visit<'_>) -> Result<()> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    match name {
        b"aux" => {
            let (mut name, mut value): (&[u8], &[u8]) = (b"", b"");
            p.pair(|p| Ok(name = p.bytes("aux", &mut a)?), |p| Ok(value = p.bytes("aux", &mut b)?))?;
            visit(Record::Aux { name, value })
        }
        b"function" => read_function(p, visit),
        b"moduleAux" => read_module_aux(p, visit),
        b"slotInfo" => {
            let mut numbers = Vec::new();
            p.array(|p| Ok(numbers.push(p.integer::<u64>("slotInfo")?)))?;
            match numbers[..] {
                [slot, keys, expires] => visit(Record::SlotInfo { slot, keys, expires }),
                _ => Err(at.wrong("slotInfo: three numbers must stand here")),
            }
        }
        b"slotImport" => read_slot_import(p, visit),
        _ => Err(unknown_record(at, name)),
    }
}

/// Reads a function library: its source, or the object that those of release candidates are.
pub(super) fn read_function(p: &mut Parser<'_>, visit: Visit<'_>) -> Result<()> {
    let mut buf = Vec::new();
    if p.peek()? != Token::Object || p.is_base64_object() {
        return visit(Record::Function(p.bytes("function", &mut buf)?));
    }
    let (mut name, mut engine, mut description, mut code) = (Vec::new(), Vec::new(), None, Vec::new());
    p.object(|p, member, at| {
        let text = p.bytes("function", &mut buf)?.to_vec();
        match member {
            b"name" => name = text,
            b"engine" => engine = text,
            b"description" => description = Some(text),
            b"code" => code = text,
            _ => return Err(at.wrong("function: an unknown member")),
        }
        Ok(())
    })?;
    visit(Record::FunctionPreGa { name: &name, engine: &engine, description: description.as_deref(), code: &code })
}

fn read_module_aux(p: &mut Parser<'_>, visit: Visit<'_>) -> Result<()> {
    let start = *p;
    let (mut module, mut encver, mut when, mut data) = (Vec::new(), 0, 0, Vec::new());
    p.object(|p, member, at| {
        match member {
            b"module" => module = p.bytes("module", &mut Vec::new())?.to_vec(),
            b"encver" => encver = p.integer("encver")?,
            b"when" => when = p.integer("when")?,
            b"raw" => p.base64(&mut data)?,
            _ => return Err(at.wrong("moduleAux: an unknown member")),
        }
        Ok(())
    })?;
    let id = std::str::from_utf8(&module).ok().and_then(|name| ModuleId::from_name(name, encver));
    let id = id.ok_or_else(|| start.wrong("moduleAux: a module type's name has nine characters"))?;
    super::reader::check_items(&data).map_err(|_| start.wrong("moduleAux: its raw bytes are no module's data"))?;
    visit(Record::ModuleAux { id, when, data: &data })
}

fn read_slot_import(p: &mut Parser<'_>, visit: Visit<'_>) -> Result<()> {
    let (mut job, mut ranges) = (Vec::new(), Vec::new());
    p.object(|p, member, at| match member {
        b"job" => Ok(job = p.bytes("job", &mut Vec::new())?.to_vec()),
        b"ranges" => p.array(|p| {
            let mut bound = [0; 2];
            let [first, last] = &mut bound;
            p.pair(|p| Ok(*first = p.integer("slot")?), |p| Ok(*last = p.integer("slot")?))?;
            bound.into_iter().for_each(|slot: u64| length::write(slot, &mut ranges));
            Ok(())
        }),
        _ => Err(at.wrong("slotImport: an unknown member")),
    })?;
    visit(Record::SlotImport { job: &job, ranges: SlotRanges::new(&ranges) })
}
