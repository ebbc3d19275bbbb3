//! Records to JSON lines.

use super::syntax::{comma, integer, member, pair, raw, write_string};
use super::values::ValueWriter;
use crate::error::Result;
use crate::model::{Entry, Eviction, Record, Scratch};

/// Which of the two forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One object.
    Json,
    /// A line an object.
    Ndjson,
}

impl Form {
    /// What ends a line, between lines in the first form.
    pub(super) fn line_end(self) -> &'static [u8] {
        match self {
            Form::Json => b",\n",
            Form::Ndjson => b"\n",
        }
    }
}

/// Turns records into lines. Every worker has its own.
#[derive(Clone)]
pub struct Writer {
    form: Form,
    values: ValueWriter,
}

impl Writer {
    /// A writer for this form.
    pub fn new(form: Form) -> Writer {
        Writer { form, values: ValueWriter::default() }
    }

    /// Appends the line of a key. On an error nothing is left of it.
    pub fn entry(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let written = self.object(entry, scratch, out);
        match written {
            Ok(()) => out.extend_from_slice(self.form.line_end()),
            Err(_) => out.truncate(start),
        }
        written
    }

    /// Appends the line of a record that is no key, if it says something that the keys don't.
    pub fn other(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        write_other(record, out)?;
        if out.len() > start {
            out.extend_from_slice(self.form.line_end());
        }
        Ok(())
    }

    /// Appends the object of a key, without a line end.
    pub fn object(&mut self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        if entry.db == 0 {
            out.extend_from_slice(b"{\"db\":0,\"key\":");
        } else {
            out.extend_from_slice(b"{\"db\":");
            integer(entry.db, out);
            out.extend_from_slice(b",\"key\":");
        }
        write_string(entry.key, out);
        let kind = entry.value.kind();
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(kind.name().as_bytes());
        out.push(b'"');
        if let Some(at) = entry.expiry {
            member("expireAt", out, |out| integer(at, out));
        }
        match entry.eviction {
            Eviction::Idle(seconds) => member("idle", out, |out| integer(seconds, out)),
            Eviction::Freq(count) => member("freq", out, |out| integer(count, out)),
            Eviction::None => {}
        }
        self.values.write(entry.value, kind, scratch, out)?;
        write_meta(entry, out)?;
        write_fork_attributes(entry, out)?;
        out.push(b'}');
        Ok(())
    }
}

fn write_meta(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    if entry.meta.is_empty() {
        return Ok(());
    }
    member("meta", out, |out| out.push(b'['));
    entry.each_meta(|meta| {
        comma(out);
        out.extend_from_slice(b"{\"class\":");
        write_string(meta.name().as_bytes(), out);
        member("version", out, |out| integer(meta.version(), out));
        member("flags", out, |out| integer(meta.flags(), out));
        raw(meta.data, out);
        out.push(b'}');
        Ok(())
    })?;
    out.push(b']');
    Ok(())
}

/// What only forks say of a key: Dragonfly's flags, KeyDB's member expiries.
fn write_fork_attributes(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<()> {
    if let Some((flags, memcached)) = entry.mask {
        member("keyMask", out, |out| integer(flags, out));
        member("memcachedFlags", out, |out| integer(memcached, out));
    }
    if entry.member_expiries.is_empty() {
        return Ok(());
    }
    member("subExpireAt", out, |out| out.push(b'['));
    entry.each_member_expiry(|member, when| {
        comma(out);
        pair(out, |out| write_string(member, out), |out| write_string(when, out));
        Ok(())
    })?;
    out.push(b']');
    Ok(())
}

/// Records that are no keys, where they say something that the keys don't.
pub(super) fn write_other(record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
    match *record {
        Record::Aux { name, value } => {
            out.extend_from_slice(b"{\"aux\":[");
            write_string(name, out);
            out.push(b',');
            write_string(value, out);
            out.extend_from_slice(b"]}");
        }
        Record::Function(_) | Record::FunctionPreGa { .. } => {
            out.extend_from_slice(b"{\"function\":");
            write_function(record, out);
            out.push(b'}');
        }
        Record::ModuleAux { id, when, data } => {
            out.extend_from_slice(b"{\"moduleAux\":{\"module\":");
            write_string(id.name().as_bytes(), out);
            member("encver", out, |out| integer(id.version(), out));
            member("when", out, |out| integer(when, out));
            raw(data, out);
            out.extend_from_slice(b"}}");
        }
        Record::SlotInfo { slot, keys, expires } => {
            out.extend_from_slice(b"{\"slotInfo\":[");
            for (i, n) in [slot, keys, expires].into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                integer(n, out);
            }
            out.extend_from_slice(b"]}");
        }
        Record::SlotImport { job, ranges } => {
            out.extend_from_slice(b"{\"slotImport\":{\"job\":");
            write_string(job, out);
            member("ranges", out, |out| out.push(b'['));
            ranges.each(|first, last| {
                comma(out);
                pair(out, |out| integer(first, out), |out| integer(last, out));
                Ok(())
            })?;
            out.extend_from_slice(b"]}}");
        }
        // Databases stand with the keys, sizes are hints that a writer finds out itself, templates stand in the hashes.
        Record::SelectDb(_) | Record::ResizeDb { .. } | Record::Template { .. } | Record::Entry(_) => {}
    }
    Ok(())
}

/// Appends a function library: its source, or an object for those of the release candidates.
pub(super) fn write_function(record: &Record<'_>, out: &mut Vec<u8>) {
    match *record {
        Record::FunctionPreGa { name, engine, description, code } => {
            out.extend_from_slice(b"{\"name\":");
            write_string(name, out);
            member("engine", out, |out| write_string(engine, out));
            if let Some(description) = description {
                member("description", out, |out| write_string(description, out));
            }
            member("code", out, |out| write_string(code, out));
            out.push(b'}');
        }
        Record::Function(code) => write_string(code, out),
        _ => {}
    }
}
