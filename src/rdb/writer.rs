//! Records to the bytes of an RDB file, for one target.

use std::borrow::Cow;
use std::sync::Arc;

use crate::codec::string::StrWriter;
use crate::codec::{Cursor, length, module, opcode, vectorset};
use crate::error::Result;
use crate::model::{
    Dialect, ElementBuf, Entry, Eviction, Kind, Origin, RdbType, Record, Rewrite, Scratch, Target, Value, ValueBuf,
};

/// What is done with a key that the target cannot hold as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnLoss {
    /// It is left out and told; the caller is to give up.
    #[default]
    Error,
    /// It is left out and told.
    Drop,
    /// As much of it is kept as the target can hold, and it is told.
    Downgrade,
}

/// How records are written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Compress strings as servers do.
    pub compress: bool,
    /// Write every value anew, also those that could be copied.
    pub rebuild: bool,
    /// Copy values without asking whether the target takes them: the file stays with its own server.
    pub same_server: bool,
    /// Give template hashes their field names: the templates of several files have the same numbers.
    pub expand_templates: bool,
    /// What to do with what the target cannot hold.
    pub on_loss: OnLoss,
}

/// What became of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Carried {
    /// All of it was written.
    Whole,
    /// All of it was written, as a value of another type: this one.
    As(&'static str),
    /// It was written without this.
    Less(Cow<'static, str>),
    /// It was not written, because of this.
    Left(Cow<'static, str>),
    /// There was nothing to write: it means nothing to the target, or is worked out anew.
    Nothing,
}

/// A key's value as the target takes it.
#[derive(Debug)]
pub struct Adapted {
    /// What became of the key.
    pub carried: Carried,
    /// The type of the value that was appended; `None` if the value is to go as it stands.
    pub rdb_type: Option<RdbType>,
    /// Whether the target takes what modules attached to the key.
    pub keeps_meta: bool,
}

/// Writes records. Every worker has its own.
#[derive(Clone)]
pub struct Writer {
    target: Arc<Target>,
    options: Options,
    values: ValueBuf,
    elements: ElementBuf,
    strings: StrWriter,
    buf: Vec<u8>,
}

impl Writer {
    /// A writer for this target.
    pub fn new(target: &Arc<Target>, options: Options) -> Writer {
        Writer {
            values: ValueBuf::new(target, options.compress),
            elements: ElementBuf::default(),
            strings: StrWriter::new(options.compress),
            target: target.clone(),
            options,
            buf: Vec::new(),
        }
    }

    /// Appends a key with its attributes, its value changed by `rewrite`; nothing, if it is left out or an error.
    pub fn entry(
        &mut self,
        entry: &Entry<'_>,
        rewrite: &Rewrite,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Carried> {
        let start = out.len();
        let written = self.whole_entry(entry, rewrite, scratch, out);
        if !matches!(written, Ok(Carried::Whole | Carried::As(_) | Carried::Less(_))) {
            out.truncate(start);
        }
        written
    }

    fn whole_entry(
        &mut self,
        entry: &Entry<'_>,
        rewrite: &Rewrite,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Carried> {
        let mut lost = self.attributes(entry, rewrite, out)?;
        let type_at = out.len();
        out.push(0);
        self.strings.write(entry.key, out);
        let written = self.value(entry.value, rewrite, scratch, out)?;
        if let Some(what) = written.lost {
            lost.push(what);
        }
        let can_less = self.options.on_loss == OnLoss::Downgrade && written.rdb_type.is_some();
        match written.rdb_type {
            Some(rdb_type) if lost.is_empty() || can_less => {
                out[type_at] = rdb_type.code();
                if self.keeps_member_expiries() {
                    out.extend_from_slice(entry.member_expiries);
                }
                Ok(match (lost.is_empty(), written.other_kind) {
                    (false, _) => Carried::Less(lost.join(", ").into()),
                    (true, Some(kind)) => Carried::As(kind.name()),
                    (true, None) => Carried::Whole,
                })
            }
            _ => Ok(Carried::Left(lost.join(", ").into())),
        }
    }

    /// Appends a key's value alone, unless it can go as it stands: for those who send values and not files.
    pub fn adapt(
        &mut self,
        entry: &Entry<'_>,
        rewrite: &Rewrite,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Adapted> {
        let start = out.len();
        let is_plain = entry.meta.is_empty() && entry.mask.is_none() && entry.member_expiries.is_empty();
        if is_plain && self.copies(entry.value, rewrite) {
            return Ok(Adapted { carried: Carried::Whole, rdb_type: None, keeps_meta: true });
        }
        let mut lost = self.attributes(entry, rewrite, out)?;
        out.truncate(start);
        let keeps_meta = rewrite.mask.is_none() && self.unknown_meta(entry)?.is_none();
        let written = self.value(entry.value, rewrite, scratch, out)?;
        lost.extend(written.lost);
        let carried = match (lost.is_empty(), written.other_kind) {
            (true, Some(kind)) => Carried::As(kind.name()),
            (true, None) => Carried::Whole,
            (false, _) if written.rdb_type.is_some() && self.options.on_loss == OnLoss::Downgrade => {
                Carried::Less(lost.join(", ").into())
            }
            (false, _) => Carried::Left(lost.join(", ").into()),
        };
        Ok(Adapted { carried, rdb_type: written.rdb_type, keeps_meta })
    }

    fn keeps_member_expiries(&self) -> bool {
        self.target.origin.dialect == Dialect::KeyDb
    }

    /// Appends what stands in front of a key's type; says what of it the target does not know.
    fn attributes(
        &mut self,
        entry: &Entry<'_>,
        rewrite: &Rewrite,
        out: &mut Vec<u8>,
    ) -> Result<Vec<Cow<'static, str>>> {
        let version = self.target.redis_version();
        let mut lost = Vec::new();
        match entry.expiry {
            Some(at) if version >= 3 => {
                out.push(opcode::EXPIRETIME_MS);
                out.extend_from_slice(&at.to_le_bytes());
            }
            Some(at) => match u32::try_from(at.div_euclid(1000)) {
                Ok(seconds) => {
                    out.push(opcode::EXPIRETIME);
                    out.extend_from_slice(&seconds.to_le_bytes());
                    if at % 1000 != 0 {
                        lost.push("the milliseconds of its expiry".into());
                    }
                }
                Err(_) => lost.push("its expiry, which 32 bits can't hold".into()),
            },
            None => {}
        }
        match entry.eviction {
            Eviction::Idle(seconds) if version >= 9 => {
                out.push(opcode::IDLE);
                length::write(seconds, out);
            }
            Eviction::Freq(count) if version >= 9 => out.extend_from_slice(&[opcode::FREQ, count]),
            // What eviction knows is no data.
            _ => {}
        }
        if let Some((flags, memcached)) = entry.mask {
            if self.target.origin.dialect == Dialect::Dragonfly {
                out.push(opcode::DRAGONFLY_KEY_MASK);
                out.extend_from_slice(&flags.to_le_bytes());
                if flags & 2 != 0 {
                    out.extend_from_slice(&memcached.to_le_bytes());
                }
            } else if flags != 0 {
                lost.push("Dragonfly's flags of the key".into());
            }
        }
        if !entry.member_expiries.is_empty() && !self.keeps_member_expiries() {
            lost.push("expiries of its members".into());
        }
        if !entry.meta.is_empty() {
            match self.unknown_meta(entry)? {
                Some(class) => lost.push(format!("metadata of class {class}").into()),
                None if rewrite.mask.is_some() => lost.push("metadata of a module, which can't be masked".into()),
                None => {
                    out.push(opcode::KEY_META);
                    out.extend_from_slice(entry.meta);
                }
            }
        }
        Ok(lost)
    }

    /// The first class of the key's metadata that keeps the target from loading it.
    fn unknown_meta(&self, entry: &Entry<'_>) -> Result<Option<String>> {
        /// A server that does not know the class may drop it.
        const MAY_BE_IGNORED: u32 = 1;
        let mut unknown = None;
        entry.each_meta(|meta| {
            let is_known = self.options.same_server
                || self.target.has_key_meta()
                    && (meta.flags() & MAY_BE_IGNORED != 0 || self.target.has_module(&meta.name()));
            if !is_known {
                unknown.get_or_insert_with(|| meta.name());
            }
            Ok(())
        })?;
        Ok(unknown)
    }

    /// Whether a value goes out as it came in.
    fn copies(&self, value: Value<'_>, rewrite: &Rewrite) -> bool {
        let is_reference = matches!(value.rdb_type, RdbType::TemplateListpackRef | RdbType::TemplateArrayRef);
        let is_changed = self.options.rebuild || rewrite.changes(value.rdb_type);
        let expands = is_reference && self.options.expand_templates;
        !is_changed && !expands && (self.options.same_server || self.target.accepts(value))
    }

    /// Appends a value, copied where that serves.
    fn value(
        &mut self,
        value: Value<'_>,
        rewrite: &Rewrite,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Written> {
        if self.copies(value, rewrite) {
            out.extend_from_slice(value.bytes);
            return Ok(Written::whole(value.rdb_type));
        }
        if let Some(what) = rewrite.unmaskable_value(value) {
            return Ok(Written::not(what.into()));
        }
        let kind = value.kind();
        if matches!(kind, Kind::Module | Kind::VectorSet | Kind::Foreign) {
            return self.opaque(value, out);
        }
        self.values.begin(kind);
        if self.options.same_server || self.target.accepts(value) {
            self.values.prefer(value.encoding());
        }
        let Writer { values, elements, .. } = self;
        value.each_dyn(scratch, &mut |element| values.push(rewrite.element(element, elements)?))?;
        let built = values.finish()?;
        if self.options.same_server || self.target.accepts(built) {
            out.extend_from_slice(built.bytes);
            let other_kind = Some(built.kind()).filter(|built| *built != kind);
            return Ok(Written { other_kind, ..Written::whole(built.rdb_type) });
        }
        let lost = what_is_lost(built, &self.target);
        let less = values.finish_less()?;
        if !self.target.accepts(less) {
            return Ok(Written::not(lost));
        }
        out.extend_from_slice(less.bytes);
        Ok(Written { lost: Some(lost), ..Written::whole(less.rdb_type) })
    }

    /// Appends a value that only a module or fork understands: its strings may be compressed anew, no more.
    fn opaque(&mut self, value: Value<'_>, out: &mut Vec<u8>) -> Result<Written> {
        if !self.options.same_server && !self.target.accepts(value) {
            let older = self.older_vectorset(value)?;
            if let Some(older) = older.filter(|older| self.target.accepts(Value { bytes: older, ..value })) {
                out.extend_from_slice(&older);
                return Ok(Written::whole(value.rdb_type));
            }
            return Ok(Written::not(what_is_lost(value, &self.target)));
        }
        if value.rdb_type == RdbType::Module2 && self.options.rebuild {
            let mut cur = Cursor::new(value.bytes);
            let id = cur.length()?;
            length::write(id, out);
            module::rewrite(&mut cur, &mut self.buf, &mut self.strings, out)?;
            cur.finish("module value")?;
        } else {
            out.extend_from_slice(value.bytes);
        }
        Ok(Written::whole(value.rdb_type))
    }

    /// A vector set in the older layout, where the newer one is why the target does not take it.
    fn older_vectorset(&self, value: Value<'_>) -> Result<Option<Vec<u8>>> {
        if value.kind() != Kind::VectorSet || self.target.has_worst_links() {
            return Ok(None);
        }
        let mut cur = Cursor::new(value.bytes);
        let mut older = Vec::with_capacity(value.bytes.len());
        length::write(cur.length()?, &mut older);
        vectorset::without_worst_links(&mut cur, &mut older)?;
        Ok(Some(older))
    }

    /// Appends a record that is no key; nothing for those that a file's frame is made of. `origin` is the source's.
    pub fn other(&mut self, record: &Record<'_>, origin: &Origin, out: &mut Vec<u8>) -> Result<Carried> {
        let version = self.target.redis_version();
        let same = self.options.same_server;
        match *record {
            Record::Aux { name, value } if version >= 7 => {
                out.push(opcode::AUX);
                self.strings.write(name, out);
                self.strings.write(value, out);
            }
            Record::Function(code) => return Ok(self.function(code, out)),
            Record::FunctionPreGa { name, engine, description, code } => {
                if !same {
                    // The engines' names were in capitals then.
                    let engine = engine.to_ascii_lowercase();
                    let source = [b"#!", engine.as_slice(), b" name=", name, b"\n", code].concat();
                    return Ok(self.function(&source, out));
                }
                out.push(opcode::FUNCTION_PRE_GA);
                self.strings.write(name, out);
                self.strings.write(engine, out);
                length::write(u64::from(description.is_some()), out);
                description.into_iter().chain([code]).for_each(|string| self.strings.write(string, out));
            }
            Record::ModuleAux { id, when, data } => {
                let is_known = same || version >= 9 && self.target.has_module(&id.name());
                if !is_known {
                    return Ok(Carried::Left(format!("aux data of module {}", id.name()).into()));
                }
                out.push(opcode::MODULE_AUX);
                length::write(id.0, out);
                length::write(2, out);
                length::write(when, out);
                out.extend_from_slice(data);
            }
            Record::SlotInfo { slot, keys, expires } if version >= 12 => {
                out.push(opcode::SLOT_INFO);
                [slot, keys, expires].into_iter().for_each(|n| length::write(n, out));
            }
            Record::SlotImport { job, ranges } if same => {
                out.push(opcode::SLOT_IMPORT);
                self.strings.write(job, out);
                length::write(ranges.count()?, out);
                ranges.each(|first, last| {
                    length::write(first, out);
                    length::write(last, out);
                    Ok(())
                })?;
            }
            Record::Template { id, fields } if self.target.has_templates() && !self.options.expand_templates => {
                out.push(opcode::HASH_TEMPLATE);
                length::write(id, out);
                length::write(fields, out);
                let template = origin.templates.get(&id);
                template.iter().flat_map(|t| &t.fields).for_each(|name| self.strings.write(name, out));
            }
            _ => return Ok(Carried::Nothing),
        }
        Ok(Carried::Whole)
    }

    fn function(&mut self, source: &[u8], out: &mut Vec<u8>) -> Carried {
        if !self.target.has_functions() {
            return Carried::Left("a function library".into());
        }
        out.push(opcode::FUNCTION2);
        self.strings.write(source, out);
        Carried::Whole
    }
}

/// What became of a value: its type, unless it could not be written, and what is not in it.
struct Written {
    rdb_type: Option<RdbType>,
    lost: Option<Cow<'static, str>>,
    /// It became a value of this kind.
    other_kind: Option<Kind>,
}

impl Written {
    fn whole(rdb_type: RdbType) -> Written {
        Written { rdb_type: Some(rdb_type), lost: None, other_kind: None }
    }

    fn not(lost: Cow<'static, str>) -> Written {
        Written { rdb_type: None, lost: Some(lost), other_kind: None }
    }
}

/// What the target cannot hold of a value that it does not accept.
fn what_is_lost(value: Value<'_>, target: &Target) -> Cow<'static, str> {
    match value.kind() {
        Kind::Hash => "expiries of its fields".into(),
        Kind::Set => "expiries of its members".into(),
        Kind::Stream if target.stream_version().is_none() => "a stream".into(),
        Kind::Stream => "idempotency data or NACKed entries of a stream".into(),
        Kind::VectorSet => "a vector set".into(),
        Kind::Array => "the insert index of an array".into(),
        Kind::Json => "a JSON value of Dragonfly".into(),
        Kind::Module => format!("a value of module {}", value.type_name()).into(),
        _ => format!("a value of type {}", value.encoding()).into(),
    }
}
