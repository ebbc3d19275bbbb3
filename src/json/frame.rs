//! The frame around the lines: header, trailer, checksum.

use super::syntax::{comma_unless_empty, integer, member, write_string};
use super::writer::{Form, write_function, write_other};
use crate::codec::crc64;
use crate::error::Result;
use crate::model::{Batch, Buffers, Origin, Record};

/// The frame around the lines: header, trailer, checksum.
pub struct Frame {
    form: Form,
    crc: crc64::Xz,
    keys: u64,
    /// Whether a line was written, so that the next one must be separated from it.
    any: bool,
}

impl Frame {
    /// Begins a document: the header, from the records in front of the first key.
    pub fn begin(form: Form, origin: &Origin, head: Option<&Batch>, out: &mut Vec<u8>) -> Result<Frame> {
        let mut frame = Frame { form, crc: crc64::Xz::default(), keys: 0, any: false };
        let start = out.len();
        out.extend_from_slice(b"{\"rdbkit\":1,\"rdb\":{\"magic\":\"");
        out.extend_from_slice(origin.magic.name().as_bytes());
        out.push(b'"');
        member("version", out, |out| integer(origin.version, out));
        out.push(b'}');
        let mut header = Header::default();
        if let Some(head) = head {
            head.each(&mut Buffers::default(), |record, _| header.take(&record))?;
        }
        header.write(form, out);
        frame.crc.update(&out[start..]);
        Ok(frame)
    }

    /// Takes a worker's lines, `keys` of them keys: what to put out before them, and how much of them.
    pub fn lines<'l>(&mut self, lines: &'l [u8], keys: u64) -> [&'l [u8]; 2] {
        let end = self.form.line_end();
        let Some(body) = lines.strip_suffix(end) else { return [b"", b""] };
        // In an array the separator goes between lines and not behind the last.
        let before = if self.any { end } else { b"" };
        self.any = true;
        self.keys += keys;
        self.crc.update(before);
        self.crc.update(body);
        [before, body]
    }

    /// Ends the document: the number of keys and the CRC-64/XZ of all bytes before its digits.
    pub fn end(mut self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.any {
            out.push(b'\n');
        }
        out.extend_from_slice(if self.form == Form::Json { b"],\n" } else { b"{" });
        out.extend_from_slice(b"\"end\":{\"keys\":");
        integer(self.keys, out);
        out.extend_from_slice(b",\"crc64\":\"");
        self.crc.update(&out[start..]);
        out.extend_from_slice(format!("{:016x}\"}}}}\n", self.crc.value()).as_bytes());
    }
}

/// What goes into the first lines.
#[derive(Default)]
struct Header {
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    functions: Vec<u8>,
    others: Vec<u8>,
}

impl Header {
    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        match *record {
            Record::Aux { name, value } => self.aux.push((name.to_vec(), value.to_vec())),
            Record::Function(_) | Record::FunctionPreGa { .. } => {
                comma_unless_empty(&mut self.functions);
                write_function(record, &mut self.functions);
            }
            Record::ModuleAux { .. } | Record::SlotImport { .. } | Record::SlotInfo { .. } => {
                comma_unless_empty(&mut self.others);
                write_other(record, &mut self.others)?;
            }
            Record::SelectDb(_) | Record::ResizeDb { .. } | Record::Template { .. } | Record::Entry(_) => {}
        }
        Ok(())
    }

    fn write(&self, form: Form, out: &mut Vec<u8>) {
        member("aux", out, |out| self.write_aux(out));
        let line = if form == Form::Json { "\n" } else { "" };
        if !self.functions.is_empty() || form == Form::Json {
            out.push(b',');
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\"functions\":[");
            out.extend_from_slice(&self.functions);
            out.push(b']');
        }
        if !self.others.is_empty() {
            out.push(b',');
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\"before\":[");
            out.extend_from_slice(&self.others);
            out.push(b']');
        }
        out.extend_from_slice(if form == Form::Json { b",\n\"keys\":[\n" } else { b"}\n" });
    }

    fn write_aux(&self, out: &mut Vec<u8>) {
        let is_text = |(name, _): &(Vec<u8>, _)| std::str::from_utf8(name).is_ok();
        let repeats = (1..self.aux.len()).any(|i| self.aux[..i].iter().any(|(name, _)| *name == self.aux[i].0));
        let as_object = self.aux.iter().all(is_text) && !repeats;
        out.push(if as_object { b'{' } else { b'[' });
        for (i, (name, value)) in self.aux.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if !as_object {
                out.push(b'[');
            }
            write_string(name, out);
            out.push(if as_object { b':' } else { b',' });
            write_string(value, out);
            if !as_object {
                out.push(b']');
            }
        }
        out.push(if as_object { b'}' } else { b']' });
    }
}
