//! A value: its type and its serialized bytes, borrowed. The only form that values have here; whoever needs what is
//! inside walks the bytes.

use super::origin::{Origin, Template};
use super::types::{Kind, RdbType};
use crate::codec::item;
use crate::codec::listpack::Listpack;
use crate::codec::module::{self, ModuleId};
use crate::codec::ziplist::Ziplist;
use crate::codec::zipmap::Zipmap;
use crate::codec::{Cursor, Item, Packed, Str, array, double, intset::Intset, lzf, stream, vectorset};
use crate::error::{Error, Result};

/// A value as it stands in the file, without its key: what DUMP and RESTORE carry between type byte and footer.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    /// How the bytes are laid out.
    pub rdb_type: RdbType,
    /// The serialized value.
    pub bytes: &'a [u8],
    /// Where it comes from; the bytes of some types mean nothing without.
    pub origin: &'a Origin,
}

/// A part of a value. An enum and not a trait of callbacks: a new element then breaks every match at compile time
/// instead of being dropped silently.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// The string itself, an item of a list, a member of a set, the text of a JSON value.
    Item(&'a [u8]),
    /// A member of a set that expires by itself (Dragonfly), Unix time in ms.
    Expiring {
        /// The member.
        member: &'a [u8],
        /// When it goes.
        expiry: Option<i64>,
    },
    /// A member of a sorted set.
    Scored {
        /// The member.
        member: &'a [u8],
        /// Its score.
        score: f64,
    },
    /// A field of a hash.
    Field {
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: &'a [u8],
        /// When it goes, Unix time in ms.
        expiry: Option<i64>,
    },
    /// What stands before the slots of an array.
    ArrayHead(array::Head),
    /// A slot of an array.
    Slot {
        /// Its index.
        index: u64,
        /// What is in it.
        item: &'a [u8],
    },
    /// A part of a stream.
    Stream(stream::Part<'a>),
    /// What stands before the elements of a vector set.
    VectorHead(vectorset::Head),
    /// An element of a vector set.
    Vector(vectorset::Element<'a>),
    /// All of a value that only its module or fork understands, without the module's id.
    Opaque(&'a [u8]),
}

/// Buffers for walking values. They grow to the largest value and are used again for each.
#[derive(Default)]
pub struct Scratch {
    blob: Vec<u8>,
    first: Vec<u8>,
    second: Vec<u8>,
    stream: stream::Scratch,
    vector: vectorset::Scratch,
}

impl<'a> Value<'a> {
    /// What kind of value it is.
    #[inline]
    pub fn kind(self) -> Kind {
        match self.rdb_type {
            RdbType::Module2 if self.module().is_some_and(ModuleId::is_vectorset) => Kind::VectorSet,
            other => other.kind(),
        }
    }

    /// The id of a module value.
    #[inline]
    pub fn module(self) -> Option<ModuleId> {
        match self.rdb_type {
            RdbType::Module2 | RdbType::ModulePreGa => Cursor::new(self.bytes).length().ok().map(ModuleId),
            _ => None,
        }
    }

    /// The version of the links of a vector set, where it has any.
    pub fn link_version(self) -> Option<u64> {
        let mut cur = Cursor::new(self.bytes);
        cur.length().and_then(|_| vectorset::link_version(&mut cur)).ok().flatten()
    }

    /// The name that TYPE answers: the kind, or the module's own.
    pub fn type_name(self) -> std::borrow::Cow<'static, str> {
        match (self.kind(), self.module()) {
            (Kind::Module, Some(id)) => id.name().into(),
            (kind, _) => kind.name().into(),
        }
    }

    /// The template of a hash that refers to one.
    fn template(self, id: u64) -> Result<&'a Template> {
        match self.origin.templates.get(&id) {
            Some(template) => Ok(template),
            None => Err(Error::malformed(format!("template hash: the file has no template {id}"))),
        }
    }

    /// Gives every element of the value, from its first byte to its last.
    ///
    /// Push and not pull: an LZF blob is decoded into `scratch`, which the elements borrow from. Order and repetition
    /// are those of the file. Errors: what is malformed, without the place of the value, and whatever `visit` returns.
    ///
    /// ```
    /// use rdbkit::model::{Element, Origin, RdbType, Scratch, Value};
    /// let origin = Origin::from_header(b"REDIS0011").unwrap();
    /// let value = Value { rdb_type: RdbType::List, bytes: b"\x02\x01a\xc0\x07", origin: &origin };
    /// let mut items = Vec::new();
    /// value.each(&mut Scratch::default(), |element| {
    ///     if let Element::Item(item) = element {
    ///         items.push(item.to_vec());
    ///     }
    ///     Ok(())
    /// })?;
    /// assert_eq!(items, [b"a", b"7"]);
    /// # Ok::<(), rdbkit::Error>(())
    /// ```
    pub fn each(self, scratch: &mut Scratch, mut visit: impl FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        use RdbType::*;
        let mut cur = Cursor::new(self.bytes);
        let visit = &mut visit;
        match self.rdb_type {
            String | DragonflyJson => visit(Element::Item(Str::take(&mut cur, &mut scratch.blob)?))?,
            List | Set => {
                for _ in 0..cur.length()? {
                    visit(Element::Item(Str::take(&mut cur, &mut scratch.blob)?))?;
                }
            }
            Zset => zset(&mut cur, scratch, double::read_text, visit)?,
            Zset2 => zset(&mut cur, scratch, Cursor::f64_le, visit)?,
            Hash => fields(&mut cur, scratch, |_| Ok(None), |_| Ok(None), visit)?,
            HashMetadataPreGa => fields(&mut cur, scratch, |cur| expiry_since(cur, 0), |_| Ok(None), visit)?,
            HashMetadata => {
                // Distances from the smallest expiry are stored with 1 added, as 0 means none.
                let base = cur.i64_le()?.wrapping_sub(1);
                fields(&mut cur, scratch, |cur| expiry_since(cur, base), |_| Ok(None), visit)?;
            }
            ValkeyHash => {
                fields(&mut cur, scratch, |_| Ok(None), |cur| Ok(Some(cur.i64_le()?).filter(|at| *at != -1)), visit)?
            }
            HashZipmap => {
                let mut map = Zipmap::new(Str::take(&mut cur, &mut scratch.blob)?)?;
                while let Some((name, value)) = map.next_pair()? {
                    visit(Element::Field { name, value, expiry: None })?;
                }
            }
            SetIntset => {
                for member in Intset::new(Str::take(&mut cur, &mut scratch.blob)?)?.members() {
                    visit(Element::Item(itoa::Buffer::new().format(member).as_bytes()))?;
                }
            }
            ListZiplist | SetListpack => packed_items(self.packed(&mut cur, scratch)?, visit)?,
            ListQuicklist => {
                for _ in 0..cur.length()? {
                    packed_items(self.packed(&mut cur, scratch)?, visit)?;
                }
            }
            ListQuicklist2 => quicklist2(self, &mut cur, scratch, visit)?,
            ZsetZiplist | ZsetListpack => packed_scores(self.packed(&mut cur, scratch)?, visit)?,
            HashZiplist | HashListpack => packed_fields(self.packed(&mut cur, scratch)?, visit)?,
            HashListpackEx => {
                cur.take(8)?;
                packed_expiring_fields(self.packed(&mut cur, scratch)?, visit)?;
            }
            HashListpackExPreGa => packed_expiring_fields(self.packed(&mut cur, scratch)?, visit)?,
            Stream1 | Stream2 | Stream3 | Stream4 | Stream5 => {
                let version = self.rdb_type.stream_version().expect("a stream type has a layout");
                stream::each(&mut cur, version, &mut scratch.stream, &mut |part| visit(Element::Stream(part)))?;
            }
            Module2 => self.each_of_module(&mut cur, scratch, visit)?,
            ModulePreGa => {
                cur.length()?;
                visit(Element::Opaque(cur.rest()))?;
                cur.take(cur.rest().len())?;
            }
            Array => {
                let head = array::head(&mut cur)?;
                visit(Element::ArrayHead(head))?;
                for _ in 0..head.count {
                    let (index, item) = array::slot(&mut cur, &mut scratch.blob)?;
                    visit(Element::Slot { index, item })?;
                }
            }
            TemplateListpack | TemplateArray | TemplateListpackRef | TemplateArrayRef => {
                self.each_of_template(&mut cur, scratch, visit)?;
            }
            DragonflyHash => {
                for _ in 0..cur.length()? {
                    let name = Str::take(&mut cur, &mut scratch.first)?;
                    let value = Str::take(&mut cur, &mut scratch.second)?;
                    let expiry = dragonfly_expiry(&mut cur)?;
                    visit(Element::Field { name, value, expiry })?;
                }
            }
            DragonflySet => {
                for _ in 0..cur.length()? {
                    let member = Str::take(&mut cur, &mut scratch.first)?;
                    let expiry = dragonfly_expiry(&mut cur)?;
                    visit(Element::Expiring { member, expiry })?;
                }
            }
            DragonflyBloom | DragonflyBloom2 | DragonflyCountMin | DragonflyTopK | DragonflyCuckoo | KeyDbCron => {
                visit(Element::Opaque(cur.rest()))?;
                super::skip_value(self.rdb_type, &mut cur, &self.origin.templates)?;
            }
        }
        cur.finish("value")
    }

    /// As [`Value::each`], compiled once for all callers: for those that do more with an element than what a call costs.
    pub fn each_dyn(self, scratch: &mut Scratch, visit: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        self.each(scratch, visit)
    }

    /// The bytes of a string, or the text of Dragonfly's JSON; an error for all other types.
    pub fn text<'s>(self, scratch: &'s mut Scratch) -> Result<&'s [u8]>
    where
        'a: 's,
    {
        let mut cur = Cursor::new(self.bytes);
        if !matches!(self.rdb_type, RdbType::String | RdbType::DragonflyJson) {
            return Err(cur.malformed("string: a value of another type"));
        }
        let text = Str::take(&mut cur, &mut scratch.blob)?;
        cur.finish("value")?;
        Ok(text)
    }

    /// Walks the value as [`Value::each`] does, only to find what is wrong with it: what holds nothing but data is not
    /// decompressed for that, nor are elements made of it.
    pub fn verify(self, scratch: &mut Scratch) -> Result<()> {
        use RdbType::*;
        let mut cur = Cursor::new(self.bytes);
        match self.rdb_type {
            String | DragonflyJson => Str::verify(&mut cur, &mut scratch.blob)?,
            List | Set => verify_strings(cur.length()?, &mut cur, scratch)?,
            Hash => verify_strings(cur.length()?.saturating_mul(2), &mut cur, scratch)?,
            SetListpack => drop(verify_listpack(&mut cur, scratch)?),
            HashListpack => {
                if verify_listpack(&mut cur, scratch)? % 2 != 0 {
                    return Err(Packed::lacking("hash"));
                }
            }
            ListQuicklist2 => {
                for _ in 0..cur.length()? {
                    match quicklist_node(&mut cur)? {
                        Node::Plain => Str::verify(&mut cur, &mut scratch.blob)?,
                        Node::Packed => drop(verify_listpack(&mut cur, scratch)?),
                    }
                }
            }
            _ => return self.each(scratch, |_| Ok(())),
        }
        cur.finish("value")
    }

    /// Decodes the next string and reads it as the packed list that this type has.
    fn packed<'d: 's, 's>(self, cur: &mut Cursor<'d>, scratch: &'s mut Scratch) -> Result<Packed<'s>> {
        let blob = Str::take(cur, &mut scratch.blob)?;
        Ok(match self.rdb_type {
            RdbType::ListZiplist | RdbType::ListQuicklist | RdbType::ZsetZiplist | RdbType::HashZiplist => {
                Packed::Ziplist(Ziplist::new(blob)?)
            }
            _ => Packed::Listpack(Listpack::new(blob)?),
        })
    }

    fn each_of_module(
        self,
        cur: &mut Cursor<'_>,
        scratch: &mut Scratch,
        visit: &mut impl FnMut(Element<'_>) -> Result<()>,
    ) -> Result<()> {
        let id = ModuleId(cur.length()?);
        if !id.is_vectorset() {
            visit(Element::Opaque(cur.rest()))?;
            return module::check(cur, &mut scratch.blob);
        }
        let start = *cur;
        let head = vectorset::head(cur)?;
        if let Some(matrix) = vectorset::projection(&mut { start })? {
            matrix.decode(&mut scratch.blob)?;
        }
        visit(Element::VectorHead(head))?;
        for _ in 0..head.count {
            visit(Element::Vector(vectorset::element(cur, &head, &mut scratch.vector)?))?;
        }
        vectorset::end(cur)
    }

    fn each_of_template(
        self,
        cur: &mut Cursor<'_>,
        scratch: &mut Scratch,
        visit: &mut impl FnMut(Element<'_>) -> Result<()>,
    ) -> Result<()> {
        let own;
        let template = match self.rdb_type {
            RdbType::TemplateListpack | RdbType::TemplateArray => {
                own = Template::read(cur, &mut scratch.blob)?;
                &own
            }
            RdbType::TemplateArrayRef => self.template(cur.length()?)?,
            _ => {
                // The template's id is the first element of the listpack.
                let mut list = Listpack::new(Str::take(&mut cur.clone(), &mut scratch.blob)?)?;
                let id = list.next_item()?.map(|item| item.int("template hash")).transpose()?;
                self.template(id.and_then(|id| u64::try_from(id).ok()).unwrap_or(u64::MAX))?
            }
        };
        if matches!(self.rdb_type, RdbType::TemplateArray | RdbType::TemplateArrayRef) {
            for name in &template.fields {
                let value = Str::take(cur, &mut scratch.blob)?;
                visit(Element::Field { name, value, expiry: None })?;
            }
            return Ok(());
        }
        let mut list = Listpack::new(Str::take(cur, &mut scratch.blob)?)?;
        list.next_item()?;
        for name in &template.fields {
            let value = list.next_item()?.ok_or_else(|| Error::malformed("template hash: fewer values than fields"))?;
            visit(Element::Field { name, value: value.text(&mut itoa::Buffer::new()), expiry: None })?;
        }
        match list.next_item()? {
            None => Ok(()),
            Some(_) => Err(Error::malformed("template hash: more values than fields")),
        }
    }

    /// How many elements the value has (the length of a string), as its headers declare it: cheap, and only as true
    /// as they are. `None` for opaque values.
    pub fn count(self, scratch: &mut Scratch) -> Result<Option<u64>> {
        use RdbType::*;
        let mut cur = Cursor::new(self.bytes);
        Ok(Some(match self.rdb_type {
            String | DragonflyJson => match Str::read(&mut cur)? {
                Str::Raw(bytes) => bytes.len() as u64,
                Str::Int(n) => itoa::Buffer::new().format(n).len() as u64,
                Str::Lzf { len, .. } => len,
            },
            List | Set | Zset | Zset2 | Hash | HashMetadataPreGa | ValkeyHash | DragonflyHash | DragonflySet => {
                cur.length()?
            }
            Array => array::head(&mut cur)?.count,
            HashMetadata => {
                cur.take(8)?;
                cur.length()?
            }
            SetIntset => {
                let start = str_start(Str::read(&mut cur)?, &mut scratch.blob)?;
                start.get(4..8).map_or(0, |b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
            }
            ListQuicklist => {
                let mut sum = 0;
                for _ in 0..cur.length()? {
                    sum += self.count_packed(&mut cur, scratch)?;
                }
                sum
            }
            ListQuicklist2 => {
                let mut sum = 0;
                for _ in 0..cur.length()? {
                    sum += match cur.length()? {
                        1 => Str::skip(&mut cur).map(|_| 1)?,
                        _ => self.count_packed(&mut cur, scratch)?,
                    };
                }
                sum
            }
            ListZiplist | SetListpack => self.count_packed(&mut cur, scratch)?,
            ZsetZiplist | ZsetListpack | HashZiplist | HashListpack => self.count_packed(&mut cur, scratch)? / 2,
            HashListpackEx => {
                cur.take(8)?;
                self.count_packed(&mut cur, scratch)? / 3
            }
            HashListpackExPreGa => self.count_packed(&mut cur, scratch)? / 3,
            TemplateListpackRef => self.count_packed(&mut cur, scratch)?.saturating_sub(1),
            Stream1 | Stream2 | Stream3 | Stream4 | Stream5 => stream::declared_length(&mut cur)?,
            HashZipmap | TemplateListpack | TemplateArray | TemplateArrayRef => {
                let mut n = 0;
                self.each_dyn(scratch, &mut |_| {
                    n += 1;
                    Ok(())
                })?;
                n
            }
            Module2 if self.kind() == Kind::VectorSet => {
                cur.length()?;
                vectorset::head(&mut cur)?.count
            }
            Module2 | ModulePreGa | DragonflyBloom | DragonflyBloom2 | DragonflyCountMin | DragonflyTopK
            | DragonflyCuckoo | KeyDbCron => return Ok(None),
        }))
    }

    /// Counts the elements of the packed list that comes next; decodes no more of it than its header, if that knows.
    fn count_packed(self, cur: &mut Cursor<'_>, scratch: &mut Scratch) -> Result<u64> {
        let string = *cur;
        let at = match self.rdb_type {
            RdbType::ListZiplist | RdbType::ListQuicklist | RdbType::ZsetZiplist | RdbType::HashZiplist => 8,
            _ => 4,
        };
        let start = str_start(Str::read(cur)?, &mut scratch.blob)?;
        if let Some(count) = item::declared(start, at) {
            return Ok(count);
        }
        self.packed(&mut { string }, scratch)?.count()
    }

    /// The encoding that OBJECT ENCODING would name, as far as the file decides it.
    pub fn encoding(self) -> &'static str {
        use RdbType::*;
        match self.rdb_type {
            String => ["int", "embstr", "raw"][self.form()],
            List => "linkedlist",
            ListZiplist | ZsetZiplist | HashZiplist => "ziplist",
            ListQuicklist => "quicklist",
            ListQuicklist2 => ["listpack", "quicklist"][self.form()],
            Set | Hash | HashMetadata | HashMetadataPreGa | ValkeyHash | DragonflyHash | DragonflySet => "hashtable",
            SetIntset => "intset",
            SetListpack | HashListpack | ZsetListpack => "listpack",
            HashListpackEx | HashListpackExPreGa => "listpackex",
            HashZipmap => "zipmap",
            Zset | Zset2 => "skiplist",
            TemplateListpack | TemplateListpackRef => "template-listpack",
            TemplateArray | TemplateArrayRef => "template-array",
            Stream1 | Stream2 | Stream3 | Stream4 | Stream5 => "stream",
            Array => "sliced-array",
            Module2 | ModulePreGa => "raw",
            DragonflyJson => "json",
            DragonflyBloom | DragonflyBloom2 => "bloom",
            DragonflyCountMin => "count-min",
            DragonflyTopK => "top-k",
            DragonflyCuckoo => "cuckoo",
            KeyDbCron => "cron",
        }
    }

    /// Which of the encodings that its type may have the value has: below [`Value::FORMS`].
    #[inline]
    pub(crate) fn form(self) -> usize {
        match self.rdb_type {
            RdbType::String => self.string_form(),
            RdbType::ListQuicklist2 => self.list_form(),
            _ => 0,
        }
    }

    /// No type has more encodings.
    pub(crate) const FORMS: usize = 3;

    #[inline]
    fn string_form(self) -> usize {
        /// `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`.
        const EMBEDDED: u64 = 44;
        let len = match Str::read(&mut Cursor::new(self.bytes)) {
            Ok(Str::Int(_)) => return 0,
            Ok(Str::Raw(text)) if text.len() <= 20 && crate::codec::string::canonical_integer(text).is_some() => {
                return 0;
            }
            Ok(Str::Raw(text)) => text.len() as u64,
            Ok(Str::Lzf { len, .. }) => len,
            Err(_) => return 2,
        };
        if len <= EMBEDDED && self.origin.version > 6 { 1 } else { 2 }
    }

    /// From 7.2 on a list of one packed node is a listpack in memory.
    fn list_form(self) -> usize {
        let mut cur = Cursor::new(self.bytes);
        match (cur.length(), cur.length()) {
            (Ok(1), Ok(2)) if self.origin.version >= 11 => 0,
            _ => 1,
        }
    }
}

impl Template {
    /// Reads the field names that a template hash carries in a DUMP.
    fn read(cur: &mut Cursor<'_>, buf: &mut Vec<u8>) -> Result<Template> {
        let mut fields = Vec::new();
        match cur.length()? {
            0 => {
                let mut names = Listpack::new(Str::take(cur, buf)?)?;
                while let Some(name) = names.next_item()? {
                    fields.push(name.text(&mut itoa::Buffer::new()).into());
                }
            }
            1 => {
                for _ in 0..cur.length()? {
                    fields.push(Str::take(cur, buf)?.into());
                }
            }
            n => return Err(cur.malformed(format!("template hash: unknown form {n} of the field names"))),
        }
        Ok(Template { fields })
    }
}

/// The first bytes of a string, at least a packed list's header where it has one.
fn str_start<'b>(string: Str<'b>, buf: &'b mut Vec<u8>) -> Result<&'b [u8]> {
    match string {
        Str::Lzf { packed, len } => lzf::decompress_start(packed, len, 10, buf),
        other => other.decode(buf),
    }
}

fn zset<'a>(
    cur: &mut Cursor<'a>,
    scratch: &mut Scratch,
    mut score: impl FnMut(&mut Cursor<'a>) -> Result<f64>,
    visit: &mut impl FnMut(Element<'_>) -> Result<()>,
) -> Result<()> {
    for _ in 0..cur.length()? {
        let member = Str::take(cur, &mut scratch.blob)?;
        let score = score(cur)?;
        visit(Element::Scored { member, score })?;
    }
    Ok(())
}

/// Hash fields one by one; the expiry stands before or after each, if at all.
#[inline]
fn fields<'a>(
    cur: &mut Cursor<'a>,
    scratch: &mut Scratch,
    mut before: impl FnMut(&mut Cursor<'a>) -> Result<Option<i64>>,
    mut after: impl FnMut(&mut Cursor<'a>) -> Result<Option<i64>>,
    visit: &mut impl FnMut(Element<'_>) -> Result<()>,
) -> Result<()> {
    for _ in 0..cur.length()? {
        let expiry = before(cur)?;
        let name = Str::take(cur, &mut scratch.first)?;
        let value = Str::take(cur, &mut scratch.second)?;
        let expiry = expiry.or(after(cur)?);
        visit(Element::Field { name, value, expiry })?;
    }
    Ok(())
}

/// A field's expiry as its distance from `base`; 0 for none.
fn expiry_since(cur: &mut Cursor<'_>, base: i64) -> Result<Option<i64>> {
    let start = *cur;
    match cur.length()? {
        0 => Ok(None),
        n => match i64::try_from(n).ok().and_then(|n| base.checked_add(n)) {
            Some(at) => Ok(Some(at)),
            None => Err(start.malformed("hash: a field expiry beyond all times")),
        },
    }
}

fn dragonfly_expiry(cur: &mut Cursor<'_>) -> Result<Option<i64>> {
    let start = *cur;
    let mut buf = Vec::new();
    let text = Str::take(cur, &mut buf)?;
    match crate::codec::string::canonical_integer(text) {
        Some(-1) => Ok(None),
        Some(seconds) => Ok(Some(seconds.saturating_mul(1000))),
        None => Err(start.malformed("expiry: no integer")),
    }
}

#[inline]
fn packed_items(mut list: Packed<'_>, visit: &mut impl FnMut(Element<'_>) -> Result<()>) -> Result<()> {
    while let Some(item) = list.next_item()? {
        visit(Element::Item(item.text(&mut itoa::Buffer::new())))?;
    }
    Ok(())
}

fn packed_scores(mut list: Packed<'_>, visit: &mut impl FnMut(Element<'_>) -> Result<()>) -> Result<()> {
    while let Some(member) = list.next_item()? {
        let score = list.expect("sorted set")?.score()?;
        visit(Element::Scored { member: member.text(&mut itoa::Buffer::new()), score })?;
    }
    Ok(())
}

#[inline]
fn packed_fields(mut list: Packed<'_>, visit: &mut impl FnMut(Element<'_>) -> Result<()>) -> Result<()> {
    while let Some(name) = list.next_item()? {
        give_field(name, list.expect("hash")?, None, visit)?;
    }
    Ok(())
}

fn packed_expiring_fields(mut list: Packed<'_>, visit: &mut impl FnMut(Element<'_>) -> Result<()>) -> Result<()> {
    while let Some(name) = list.next_item()? {
        let value = list.expect("hash")?;
        let expiry = list.expect("hash")?.int("hash field expiry")?;
        give_field(name, value, Some(expiry).filter(|at| *at != 0), visit)?;
    }
    Ok(())
}

#[inline]
fn give_field(
    name: Item<'_>,
    value: Item<'_>,
    expiry: Option<i64>,
    visit: &mut impl FnMut(Element<'_>) -> Result<()>,
) -> Result<()> {
    let (mut a, mut b) = (itoa::Buffer::new(), itoa::Buffer::new());
    visit(Element::Field { name: name.text(&mut a), value: value.text(&mut b), expiry })
}

/// What a node of a list holds.
enum Node {
    /// One large element.
    Plain,
    /// A listpack.
    Packed,
}

#[inline]
fn quicklist_node(cur: &mut Cursor<'_>) -> Result<Node> {
    let start = *cur;
    match cur.length()? {
        1 => Ok(Node::Plain),
        2 => Ok(Node::Packed),
        n => Err(start.malformed(format!("list: unknown node container {n}"))),
    }
}

fn quicklist2(
    value: Value<'_>,
    cur: &mut Cursor<'_>,
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Element<'_>) -> Result<()>,
) -> Result<()> {
    for _ in 0..cur.length()? {
        match quicklist_node(cur)? {
            Node::Plain => visit(Element::Item(Str::take(cur, &mut scratch.blob)?))?,
            Node::Packed => packed_items(value.packed(cur, scratch)?, visit)?,
        }
    }
    Ok(())
}

fn verify_strings(n: u64, cur: &mut Cursor<'_>, scratch: &mut Scratch) -> Result<()> {
    (0..n).try_for_each(|_| Str::verify(cur, &mut scratch.blob))
}

/// Walks the listpack that comes next; says how many elements it has.
#[inline]
fn verify_listpack(cur: &mut Cursor<'_>, scratch: &mut Scratch) -> Result<u64> {
    Listpack::new(Str::take(cur, &mut scratch.blob)?)?.count()
}
