//! The quarantine: everything that is not in the output, byte for byte, a line of JSON each.

use std::path::Path;

use super::{Fate, Left};
use crate::error::Result;
use crate::json;
use crate::pipeline::Output;

/// A file of NDJSON: `{"offset":N,"bytes":M,"fate":"lost","db":0,"key":"…","reason":"…","raw":"base64"}`.
pub struct Quarantine {
    output: Output,
    line: Vec<u8>,
}

impl Quarantine {
    /// Begins the file.
    pub fn create(path: &Path, force: bool) -> Result<Quarantine> {
        Ok(Quarantine { output: Output::create(Some(path), force)?, line: Vec::new() })
    }

    /// Adds something.
    pub fn add(&mut self, left: &Left) -> Result<()> {
        let line = &mut self.line;
        line.clear();
        let (offset, bytes, fate) = (left.start, left.end - left.start, left.fate.name());
        line.extend_from_slice(format!("{{\"offset\":{offset},\"bytes\":{bytes},\"fate\":\"{fate}\",").as_bytes());
        if let Some((db, key)) = &left.key {
            line.extend_from_slice(format!("\"db\":{db},\"key\":").as_bytes());
            json::write_string(key, line);
            line.push(b',');
        }
        line.extend_from_slice(b"\"reason\":");
        json::write_string(left.why.as_bytes(), line);
        line.extend_from_slice(b",\"raw\":\"");
        json::write_base64(&left.raw, line);
        line.extend_from_slice(b"\"}\n");
        self.output.put(line)
    }

    /// Completes the file.
    pub fn finish(self) -> Result<()> {
        self.output.finish()
    }
}

impl Fate {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Lost => "lost",
            Fate::Dropped => "dropped",
            Fate::Changed => "changed",
        }
    }
}
