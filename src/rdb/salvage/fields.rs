//! Fields that look like keys. In hashes with field expiries, one that does not expire is a zero, a name and a value, and
//! so is the record of a string. Damage within such a hash is far more likely than damage to its count that made it
//! swallow strings: so these are taken for its fields.

use crate::codec::{Cursor, Str, opcode};
use crate::error::Result;
use crate::model::{Origin, RdbType};

/// What a record has of them.
#[derive(Default)]
pub(super) struct Fields {
    /// How many fields it says it has; 0 for whatever is no such hash.
    pub(super) said: u64,
    /// Where those begin that can be read.
    starts: Vec<usize>,
}

impl Fields {
    /// Those of the record that begins at `start`.
    pub(super) fn of(bytes: &[u8], start: usize, origin: &Origin) -> Fields {
        let mut fields = Fields::default();
        // It ends at the damage.
        drop(fields.read(Cursor::at(bytes, start), origin));
        fields
    }

    fn read(&mut self, mut cur: Cursor<'_>, origin: &Origin) -> Result<()> {
        let code = loop {
            match cur.u8()? {
                opcode::EXPIRETIME_MS => drop(cur.take(8)?),
                opcode::EXPIRETIME => drop(cur.take(4)?),
                opcode::IDLE => drop(cur.length()?),
                opcode::FREQ => drop(cur.u8()?),
                code => break code,
            }
        };
        match RdbType::resolve(code, origin) {
            Some(RdbType::HashMetadata | RdbType::HashMetadataPreGa) => {}
            _ => return Ok(()),
        }
        Str::skip(&mut cur)?;
        if RdbType::resolve(code, origin) == Some(RdbType::HashMetadata) {
            cur.take(8)?;
        }
        self.said = cur.length()?;
        for _ in 0..self.said {
            self.starts.push(cur.pos());
            cur.length()?;
            Str::skip(&mut cur)?;
            Str::skip(&mut cur)?;
        }
        Ok(())
    }

    /// Whether one of them begins here.
    pub(super) fn begins_at(&self, at: usize) -> bool {
        self.starts.binary_search(&at).is_ok()
    }
}

/// How long the field, or the record, is that begins here and looks like the other; 1 where it can't be read.
pub(super) fn length(bytes: &[u8], at: usize) -> usize {
    let mut cur = Cursor::at(bytes, at);
    let whole = cur.u8().and_then(|_| Str::skip(&mut cur)).and_then(|_| Str::skip(&mut cur));
    whole.map_or(1, |_| cur.pos() - at)
}
