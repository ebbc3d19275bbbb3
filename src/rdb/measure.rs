//! The measuring pass: where each record ends. Reads lengths, skips contents, and learns what decides the meaning of
//! later bytes: the database, the dialect, hash templates.

use std::sync::Arc;

use crate::codec::{Cursor, Str, module, opcode};
use crate::error::{Error, Result};
use crate::model::{Dialect, Origin, RdbType, Template, skip_value, skip_value_pre_ga};

/// How many records must follow the guessed end of a value that has none of its own.
const CREDIBLE: usize = 3;

/// Most keys are shorter than this.
const LIKELY_KEY: usize = 64 << 10;

/// What the measuring pass has learnt so far.
#[derive(Clone)]
pub(super) struct Measure {
    /// What the bytes mean.
    pub(super) origin: Arc<Origin>,
    /// The database that the next key is in.
    pub(super) db: u64,
}

/// What was found at a place.
pub(super) enum Unit {
    /// A record; its value ends here, and it decodes to about so many bytes.
    Record {
        /// The end of its value.
        end: usize,
        /// Bytes that it will have decoded.
        weight: u64,
    },
    /// A key begins here, and the caller wanted to stop before it.
    Key,
    /// The end of all records.
    Eof,
}

impl Measure {
    /// Steps over the unit at `cur`. What is learnt on the way does no harm when the same unit is measured again.
    #[inline]
    pub(super) fn unit(&mut self, cur: &mut Cursor<'_>, whole: bool, stop_at_key: bool) -> Result<Unit> {
        let mut weight = 0_u64;
        let mut has_attributes = false;
        loop {
            let start = *cur;
            let code = cur.u8()?;
            if code < opcode::DRAGONFLY_KEY_MASK {
                if stop_at_key {
                    return Ok(Unit::Key);
                }
                let rdb_type = match RdbType::resolve(code, &self.origin) {
                    Some(rdb_type) => rdb_type,
                    // The message is to name the key: wait for it, if it is of a likely size.
                    None => match Str::skip(cur) {
                        Err(e) if !whole && e.is_truncated() && e.needed() <= (start.pos() + LIKELY_KEY) as u64 => {
                            return Err(e);
                        }
                        _ => return Err(self.unknown("type", code, start)),
                    },
                };
                weight = weight.saturating_add(Str::skip(cur)?);
                weight = weight.saturating_add(match rdb_type {
                    RdbType::ModulePreGa => self.pre_ga_module(cur, whole)?,
                    _ => skip_value(rdb_type, cur, &self.origin.templates)?,
                });
                let end = cur.pos();
                self.member_expiries(cur, whole)?;
                return Ok(Unit::Record { end, weight });
            }
            match code {
                opcode::EOF => return Ok(Unit::Eof),
                opcode::EXPIRETIME_MS => drop(cur.take(8)?),
                opcode::EXPIRETIME => drop(cur.take(4)?),
                opcode::IDLE => drop(cur.length()?),
                opcode::FREQ => drop(cur.u8()?),
                opcode::DRAGONFLY_KEY_MASK => {
                    if cur.u32_le()? & 2 != 0 {
                        cur.u32_le()?;
                    }
                }
                opcode::KEY_META if !self.origin.is_valkey() => weight = module::skip_key_meta(cur)?,
                other => {
                    weight = weight.saturating_add(self.other(other, cur, start)?);
                    if !has_attributes {
                        return Ok(Unit::Record { end: cur.pos(), weight });
                    }
                    continue;
                }
            }
            has_attributes = true;
        }
    }

    #[cold]
    fn unknown(&self, what: &str, code: u8, at: Cursor<'_>) -> Error {
        let Origin { magic, version, dialect, .. } = &*self.origin;
        let hint = match dialect {
            Dialect::Dragonfly if (200..=224).contains(&code) => {
                "; Dragonfly's own snapshots (.dfs) are not read here, save with SAVE RDB instead"
            }
            _ => "",
        };
        let file = format!("{} (header {}, RDB version {version})", dialect.name(), magic.name());
        Error::unsupported(format!("unknown {what} {code} (0x{code:02x}) in a file of dialect {file}{hint}"))
            .at(at.pos() as u64)
    }

    /// A record that is neither a key nor an attribute of one.
    fn other(&mut self, code: u8, cur: &mut Cursor<'_>, start: Cursor<'_>) -> Result<u64> {
        Ok(match code {
            opcode::SELECTDB => {
                self.db = cur.length()?;
                0
            }
            opcode::RESIZEDB => cur.length().and(cur.length())?,
            opcode::AUX => self.aux(cur)?,
            opcode::FUNCTION2 => Str::skip(cur)?,
            opcode::FUNCTION_PRE_GA => {
                let names = Str::skip(cur)?.saturating_add(Str::skip(cur)?);
                let description = if cur.length()? == 0 { 0 } else { Str::skip(cur)? };
                names.saturating_add(description).saturating_add(Str::skip(cur)?)
            }
            opcode::MODULE_AUX => {
                cur.length()?;
                if cur.length()? != 2 {
                    return Err(start.malformed("module aux: it does not begin with an integer"));
                }
                cur.length()?;
                module::skip(cur)?
            }
            opcode::SLOT_INFO => {
                cur.length()?;
                cur.length().and(cur.length())?
            }
            opcode::SLOT_IMPORT => {
                Str::skip(cur)?;
                for _ in 0..cur.length()? {
                    cur.length()?;
                    cur.length()?;
                }
                0
            }
            opcode::HASH_TEMPLATE => self.template(cur)?,
            _ => return Err(self.unknown("opcode", code, start)),
        })
    }

    fn aux(&mut self, cur: &mut Cursor<'_>) -> Result<u64> {
        let mut name_buf = Vec::new();
        let (name, value) = (Str::read(cur)?, Str::read(cur)?);
        // A damaged name is found when the record is read; here it just tells us nothing.
        if let Ok(name) = name.decode(&mut name_buf)
            && Origin::cares_about(name)
        {
            let mut value_buf = Vec::new();
            Arc::make_mut(&mut self.origin).learn(name, value.decode(&mut value_buf).unwrap_or_default());
        }
        Ok(match value {
            Str::Lzf { len, .. } => len,
            _ => 0,
        })
    }

    fn template(&mut self, cur: &mut Cursor<'_>) -> Result<u64> {
        let start = *cur;
        let (id, n) = (cur.length()?, cur.length()?);
        let mut template = Template::default();
        let mut buf = Vec::new();
        for _ in 0..n {
            template.fields.push(Str::take(cur, &mut buf)?.into());
        }
        if template.fields.is_empty() {
            return Err(start.malformed(format!("hash template {id}: it has no fields")));
        }
        let known = self.origin.templates.get(&id).map(|known| **known == template);
        match known {
            None => drop(Arc::make_mut(&mut self.origin).templates.insert(id, Arc::new(template))),
            Some(true) => {}
            Some(false) => return Err(start.malformed(format!("hash template {id}: it is defined twice"))),
        }
        Ok(0)
    }

    /// KeyDB writes the expiries of single members as aux fields behind the key: they belong to it.
    #[inline]
    fn member_expiries(&self, cur: &mut Cursor<'_>, whole: bool) -> Result<()> {
        match cur.peek() {
            Some(opcode::AUX) => match self.member_expiry_fields(cur) {
                // What is wrong with the field behind it is no fault of the key.
                Err(e) if whole || !e.is_truncated() => Ok(()),
                measured => measured,
            },
            None if !whole && self.origin.dialect == Dialect::KeyDb => Err(cur.truncated()),
            _ => Ok(()),
        }
    }

    fn member_expiry_fields(&self, cur: &mut Cursor<'_>) -> Result<()> {
        let mut buf = Vec::new();
        loop {
            let mut next = *cur;
            if next.peek() != Some(opcode::AUX) {
                return Ok(());
            }
            next.u8()?;
            match Str::read(&mut next)?.decode(&mut buf) {
                Ok(b"keydb-subexpire-key" | b"keydb-subexpire-when") => {}
                _ => return Ok(()),
            }
            Str::skip(&mut next)?;
            *cur = next;
        }
    }

    /// The release candidates of 4.0 wrote module values that only the module can measure. The next place from which
    /// a few records with non-empty keys follow, or the end of the file, is taken for the end of the value.
    fn pre_ga_module(&mut self, cur: &mut Cursor<'_>, whole: bool) -> Result<u64> {
        let mut too_short = None;
        let weight = skip_value_pre_ga(cur, |at| match self.credible(at, whole) {
            Ok(credible) => credible,
            Err(e) => {
                if !whole && e.is_truncated() {
                    too_short.get_or_insert(e);
                }
                false
            }
        });
        // While there is more to read, a place that could not be judged to its end might still be the right one.
        match too_short {
            Some(e) => Err(e),
            None => weight,
        }
    }

    fn credible(&self, mut cur: Cursor<'_>, whole: bool) -> Result<bool> {
        let mut probe = self.clone();
        for _ in 0..CREDIBLE {
            let mut key = cur;
            if let Unit::Eof = probe.unit_but_no_module(&mut cur)? {
                let trailer = if self.origin.version < 5 { 0 } else { 8 };
                // What looks like the end of the file may only be that of what was read.
                return match cur.rest().len() {
                    rest if rest > trailer => Ok(false),
                    rest if whole => Ok(rest == trailer),
                    _ => Err(cur.truncated()),
                };
            }
            if key.u8()? < opcode::DRAGONFLY_KEY_MASK {
                match Str::read(&mut key)? {
                    Str::Raw([]) => return Ok(false),
                    _ if cur.pos() == key.pos() => return Ok(true),
                    _ => {}
                }
            }
        }
        Ok(true)
    }

    /// As [`Measure::unit`], but stops behind the key of another module value of unknown length.
    fn unit_but_no_module(&mut self, cur: &mut Cursor<'_>) -> Result<Unit> {
        let mut ahead = *cur;
        if ahead.peek() == Some(RdbType::ModulePreGa.code()) {
            ahead.u8()?;
            Str::skip(&mut ahead)?;
            if ahead.peek() != Some(0x81) {
                return Err(ahead.malformed("module id"));
            }
            *cur = ahead;
            return Ok(Unit::Record { end: cur.pos(), weight: 0 });
        }
        self.unit(cur, true, false)
    }
}
