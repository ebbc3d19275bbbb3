//! A snapshot as it is, byte for byte, into a file; what is in it is only looked at.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::Snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Target;
use crate::pipeline::{Input, Meter, Output};
use crate::rdb::Checksum;

/// What was saved.
#[derive(Debug)]
pub struct Saved {
    /// Keys in it; up to what is odd.
    pub keys: u64,
    /// Bytes of it.
    pub size: u64,
    /// Its first nine bytes.
    pub header: String,
    /// What the checksum said.
    pub checksum: Checksum,
    /// What is in it that is not understood here; it is what the server sent all the same.
    pub odd: Option<Error>,
}

/// Writes what the server sends, and makes sure that it is whole.
///
/// Errors: the connection broke, the checksum is wrong; the output is gone then.
pub fn save(snapshot: Snapshot, output: Output, meter: &Arc<Meter>) -> Result<Saved> {
    let name = snapshot.name;
    let output = Arc::new(Mutex::new((output, 0)));
    let copied = Box::new(Copied { inner: snapshot.bytes, output: output.clone() });
    let mut input = Input::from_read(&name, copied, meter.clone())?;
    let mut saved = look(&mut input, meter).map_err(|e| e.in_input(&name))?;
    drop(input);
    let output = Arc::into_inner(output).ok_or_else(|| Error::usage("the output is still written to"))?;
    let (output, size) = output.into_inner().unwrap_or_else(PoisonError::into_inner);
    output.finish()?;
    saved.size = size;
    Ok(saved)
}

/// Reads to the end, and counts.
fn look(input: &mut Input, meter: &Meter) -> Result<Saved> {
    let header = Target::of(input.reader.origin()).header();
    let mut keys = 0;
    let mut batch = match input.reader.take_head() {
        Some(head) => head,
        None => input.reader.batch(),
    };
    let odd = loop {
        match input.reader.fill(&mut batch) {
            Ok(true) => {
                keys += batch.keys();
                meter.records.fetch_add(batch.keys(), Ordering::Relaxed);
            }
            Ok(false) => break None,
            // What a newer server writes need not be known here to be kept.
            Err(e) if matches!(e.kind(), ErrorKind::Unsupported(_) | ErrorKind::Malformed(_)) => {
                match input.reader.is_intact_to_its_end()? {
                    true => break Some(e),
                    false => return Err(e),
                }
            }
            Err(e) => return Err(e),
        }
    };
    let checksum = input.reader.end().map_or(Checksum::Absent, |end| end.checksum);
    Ok(Saved { keys, size: 0, header, checksum, odd })
}

/// Bytes that are written to the output as they are read.
struct Copied {
    inner: Box<dyn Read + Send>,
    /// With what was written so far.
    output: Arc<Mutex<(Output, u64)>>,
}

impl Read for Copied {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.0.put(&buf[..n]).map_err(io::Error::other)?;
        output.1 += n as u64;
        Ok(n)
    }
}
