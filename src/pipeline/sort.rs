//! Records in order: by database and key, and within a value by member, so that two dumps can be compared as texts. What
//! does not fit into memory waits in files.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use super::pipe::produced;
use super::{Input, Output, scratch_file};
use crate::error::{Error, Result};
use crate::model::{Element, Entry, Eviction, Kind, Origin, Record, Rewrite, Scratch, Target, Value, ValueBuf};
use crate::rdb::{Carried, Frame, OnLoss, Options, Writer};

/// Bytes that are sorted at once.
const RUN: usize = 32 << 20;

/// An input of the same keys in order, in the encodings that their server gives new values. Idle times and counters, and
/// what the file says of itself but for its server, are left out: they differ from one dump to the next.
pub fn sorted(mut input: Input) -> Result<Input> {
    let (name, meter) = (input.name.clone(), input.meter.clone());
    let origin = input.reader.origin().clone();
    let bytes = produced(move |output| {
        let sorter = Sorter::new(&Target::of(&origin));
        sorter.run(&mut input, output).map_err(|e| input.name_it(e))
    })?;
    // The bytes of the input are counted where they are read.
    let mut sorted = Input::from_read(&name, Box::new(bytes), Arc::default())?;
    sorted.meter = meter;
    Ok(sorted)
}

/// A key's record. The order is that of the fields.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    db: u64,
    key: Vec<u8>,
    expires: bool,
    record: Vec<u8>,
}

impl Line {
    fn size(&self) -> usize {
        self.key.len() + self.record.len() + size_of::<Line>()
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for n in [self.db, u64::from(self.expires), self.key.len() as u64, self.record.len() as u64] {
            to.write_all(&n.to_le_bytes())?;
        }
        to.write_all(&self.key)?;
        to.write_all(&self.record)
    }

    /// The next line of a file of ours; `None` at its end.
    fn read(from: &mut impl Read) -> io::Result<Option<Line>> {
        let mut head = [0; 32];
        let n = from.read(&mut head)?;
        if n == 0 {
            return Ok(None);
        }
        from.read_exact(&mut head[n..])?;
        let mut numbers = head.chunks_exact(8).map(|n| n.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)));
        let mut next = || numbers.next().unwrap_or_default();
        let (db, expires, key_len, len) = (next(), next() != 0, next(), next());
        let mut line = Line { db, key: Vec::new(), expires, record: Vec::new() };
        from.take(key_len).read_to_end(&mut line.key)?;
        from.take(len).read_to_end(&mut line.record)?;
        Ok(Some(line))
    }
}

struct Sorter {
    target: Arc<Target>,
    writer: Writer,
    values: ValueBuf,
    members: Vec<Member>,
    lines: Vec<Line>,
    size: usize,
    runs: Vec<File>,
    /// What stands in front of the keys.
    head: Vec<u8>,
    functions: Vec<Vec<u8>>,
}

impl Sorter {
    fn new(target: &Target) -> Sorter {
        let target = Arc::new(target.clone());
        let options = Options {
            compress: true,
            rebuild: false,
            same_server: true,
            expand_templates: true,
            on_loss: OnLoss::Error,
        };
        Sorter {
            writer: Writer::new(&target, options),
            values: ValueBuf::new(&target, true),
            members: Vec::new(),
            target,
            lines: Vec::new(),
            size: 0,
            runs: Vec::new(),
            head: Vec::new(),
            functions: Vec::new(),
        }
    }

    fn run(mut self, input: &mut Input, output: Output) -> Result<()> {
        let origin = input.reader.origin().clone();
        input.reader.each(|record, scratch| self.take(&record, &origin, scratch))?;
        self.functions.sort_unstable();
        for code in std::mem::take(&mut self.functions) {
            self.writer.other(&Record::Function(&code), &origin, &mut self.head)?;
        }
        self.write(output)
    }

    fn take(&mut self, record: &Record<'_>, origin: &Origin, scratch: &mut Scratch) -> Result<()> {
        match record {
            Record::Entry(entry) => {
                let line = self.line(entry, scratch)?;
                self.size += line.size();
                self.lines.push(line);
                if self.size > RUN { self.spill() } else { Ok(()) }
            }
            Record::Function(code) => Ok(self.functions.push(code.to_vec())),
            Record::Aux { name, .. } if !is_lasting(name) => Ok(()),
            Record::SlotInfo { .. } | Record::Template { .. } => Ok(()),
            other => self.writer.other(other, origin, &mut self.head).map(drop),
        }
    }

    fn line(&mut self, entry: &Entry<'_>, scratch: &mut Scratch) -> Result<Line> {
        let mut line =
            Line { db: entry.db, key: entry.key.to_vec(), expires: entry.expiry.is_some(), record: Vec::new() };
        let is_sorted = matches!(entry.value.kind(), Kind::Set | Kind::Hash | Kind::Zset)
            && in_order(entry.value, &mut self.members, &mut self.values, scratch)?;
        let value = if is_sorted { self.values.finish()? } else { entry.value };
        let entry = Entry { eviction: Eviction::None, value, ..*entry };
        match self.writer.entry(&entry, &Rewrite::default(), scratch, &mut line.record)? {
            Carried::Left(what) => Err(Error::unsupported(what)),
            _ => Ok(line),
        }
    }

    /// Puts what is in memory into a file.
    fn spill(&mut self) -> Result<()> {
        self.lines.sort_unstable();
        let mut file = BufWriter::with_capacity(256 << 10, scratch_file()?);
        self.lines.drain(..).try_for_each(|line| line.write(&mut file))?;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(file);
        self.size = 0;
        Ok(())
    }

    fn write(mut self, mut output: Output) -> Result<()> {
        /// As much is written at once.
        const PIECE: usize = 256 << 10;
        self.lines.sort_unstable();
        let mut out = Vec::new();
        let mut frame = Frame::begin(&self.target, true, output.is_patchable(), &mut out);
        out.extend_from_slice(&self.head);
        let mut put = |line: &Line| {
            frame.key(line.db, line.expires, &mut out);
            out.extend_from_slice(&line.record);
            if out.len() < PIECE {
                return Ok(());
            }
            frame.written(&out);
            let put = output.put(&out);
            out.clear();
            put
        };
        let mut runs: Vec<_> = self.runs.into_iter().map(|run| BufReader::with_capacity(64 << 10, run)).collect();
        let mut heap = BinaryHeap::new();
        for (i, run) in runs.iter_mut().enumerate() {
            heap.extend(Line::read(run)?.map(|line| Reverse((line, i))));
        }
        let mut lines = self.lines.into_iter();
        let in_memory = runs.len();
        heap.extend(lines.next().map(|line| Reverse((line, in_memory))));
        while let Some(Reverse((line, i))) = heap.pop() {
            put(&line)?;
            let next = if i == in_memory { lines.next() } else { Line::read(&mut runs[i])? };
            heap.extend(next.map(|line| Reverse((line, i))));
        }
        frame.end(&mut out);
        output.put(&out)?;
        output.finish()
    }
}

/// Whether an aux field says the same in the next dump of the same data.
fn is_lasting(name: &[u8]) -> bool {
    !matches!(name, b"ctime" | b"used-mem" | b"aof-base" | b"aof-preamble" | b"mvcc-tstamp" | b"slot-info")
        && !name.starts_with(b"repl-")
}

/// A member of a set or sorted set, or a field of a hash. The order is by name; sorted sets have their own.
struct Member {
    name: Vec<u8>,
    value: Vec<u8>,
    expiry: Option<i64>,
    score: f64,
}

/// Begins a value with the members of another one, in order. `false` if it has others than are known here.
fn in_order(value: Value<'_>, members: &mut Vec<Member>, values: &mut ValueBuf, scratch: &mut Scratch) -> Result<bool> {
    let kind = value.kind();
    let mut is_known = true;
    members.clear();
    value.each_dyn(scratch, &mut |element| {
        let member = match element {
            Element::Item(item) => (item, b"".as_slice(), None, 0.0),
            Element::Scored { member, score } => (member, b"".as_slice(), None, score),
            Element::Field { name, value, expiry } => (name, value, expiry, 0.0),
            _ => return Ok(is_known = false),
        };
        let (name, value, expiry, score) = member;
        members.push(Member { name: name.to_vec(), value: value.to_vec(), expiry, score });
        Ok(())
    })?;
    if !is_known {
        return Ok(false);
    }
    members.sort_by(|a, b| a.score.total_cmp(&b.score).then_with(|| a.name.cmp(&b.name)));
    values.begin(kind);
    for Member { name, value, expiry, score } in members.iter() {
        values.push(match kind {
            Kind::Set => Element::Item(name),
            Kind::Zset => Element::Scored { member: name, score: *score },
            _ => Element::Field { name, value, expiry: *expiry },
        })?;
    }
    Ok(true)
}
