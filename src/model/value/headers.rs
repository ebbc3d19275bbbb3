//! What the headers of a value say: how many elements it has, and how a server would encode it.

use super::{RdbType, Scratch, Value};
use crate::codec::{Cursor, Str, array, item, lzf, stream, vectorset};
use crate::error::Result;
use crate::model::Kind;

impl Value<'_> {
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

/// The first bytes of a string, at least a packed list's header where it has one.
fn str_start<'b>(string: Str<'b>, buf: &'b mut Vec<u8>) -> Result<&'b [u8]> {
    match string {
        Str::Lzf { packed, len } => lzf::decompress_start(packed, len, 10, buf),
        other => other.decode(buf),
    }
}
