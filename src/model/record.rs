//! Records: what a snapshot is a stream of.

use super::value::Value;
use crate::codec::{Cursor, Str, module};
use crate::error::Result;

/// What a server's eviction knows of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Eviction {
    /// Nothing was saved.
    #[default]
    None,
    /// LRU: seconds since it was last used.
    Idle(u64),
    /// LFU: the logarithmic access counter.
    Freq(u8),
}

/// A key with its value and everything else that the file says of it.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The database it is in.
    pub db: u64,
    /// The key.
    pub key: &'a [u8],
    /// When it goes, Unix time in milliseconds.
    pub expiry: Option<i64>,
    /// Idle time or access counter.
    pub eviction: Eviction,
    /// Metadata that modules attached to the key (Redis 8.6): the payload of its record, or nothing.
    pub meta: &'a [u8],
    /// Dragonfly's flags of the key: the sticky bit, and what a memcached client stored.
    pub mask: Option<(u32, u32)>,
    /// KeyDB's expiries of single members: aux records that follow the value.
    pub member_expiries: &'a [u8],
    /// Where the record starts: byte of the (decompressed) file.
    pub offset: u64,
    /// Bytes of the whole record: attributes, key and value.
    pub size: u64,
    /// The value.
    pub value: Value<'a>,
}

/// One piece of a snapshot, in file order.
#[derive(Clone, Copy)]
pub enum Record<'a> {
    /// A named fact about the file.
    Aux {
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// The keys that follow are in this database.
    SelectDb(u64),
    /// A hint for the tables of the database.
    ResizeDb {
        /// The database.
        db: u64,
        /// Number of keys.
        keys: u64,
        /// Number of keys with an expiry.
        expires: u64,
    },
    /// A function library.
    Function(&'a [u8]),
    /// A function library as the release candidates of 7.0 wrote it.
    FunctionPreGa {
        /// The library's name.
        name: &'a [u8],
        /// The engine's name.
        engine: &'a [u8],
        /// A description, where there is one.
        description: Option<&'a [u8]>,
        /// The source.
        code: &'a [u8],
    },
    /// A module's data outside the key space: its id, and the tagged items from `when` to the end mark.
    ModuleAux {
        /// The module type's id.
        id: module::ModuleId,
        /// 1 before the keys, 2 after them.
        when: u64,
        /// The tagged items after `when`, with the end mark.
        data: &'a [u8],
    },
    /// A hint: keys and expiries of a slot.
    SlotInfo {
        /// The slot.
        slot: u64,
        /// Number of keys.
        keys: u64,
        /// Number of keys with an expiry.
        expires: u64,
    },
    /// An unfinished import of slots (Valkey 9).
    SlotImport {
        /// The job's name.
        job: &'a [u8],
        /// The slot ranges: pairs of LEN.
        ranges: SlotRanges<'a>,
    },
    /// A hash template; the origin knows it already.
    Template {
        /// Its id.
        id: u64,
        /// How many fields it has.
        fields: u64,
    },
    /// A key.
    Entry(Entry<'a>),
}

/// The slot ranges of a [`Record::SlotImport`].
#[derive(Clone, Copy)]
pub struct SlotRanges<'a>(pub(super) &'a [u8]);

impl<'a> SlotRanges<'a> {
    /// Ranges that stand in these bytes: pairs of LEN.
    pub fn new(bytes: &'a [u8]) -> SlotRanges<'a> {
        SlotRanges(bytes)
    }
}

impl SlotRanges<'_> {
    /// How many ranges there are.
    pub fn count(self) -> Result<u64> {
        let mut count = 0;
        self.each(|_, _| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// First and last slot of each range.
    pub fn each(self, mut visit: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let mut cur = Cursor::new(self.0);
        while !cur.is_empty() {
            visit(cur.length()?, cur.length()?)?;
        }
        Ok(())
    }
}

/// One class of a key's metadata.
pub struct KeyMeta<'a> {
    /// The class's name and version and flags, as the file packs them.
    pub spec: u32,
    /// Its tagged items with the end mark.
    pub data: &'a [u8],
}

impl KeyMeta<'_> {
    /// The class's name of four characters.
    pub fn name(&self) -> String {
        module::class_name(self.spec)
    }

    /// The version of its format.
    pub fn version(&self) -> u32 {
        self.spec >> 3 & 0x1f
    }

    /// Its flags; bit 0: a server that doesn't know the class may drop it.
    pub fn flags(&self) -> u32 {
        self.spec & 7
    }
}

impl<'a> Entry<'a> {
    /// A key with nothing but its value, from nowhere.
    pub fn plain(db: u64, key: &'a [u8], value: Value<'a>) -> Entry<'a> {
        Entry {
            db,
            key,
            expiry: None,
            eviction: Eviction::None,
            meta: &[],
            mask: None,
            member_expiries: &[],
            offset: 0,
            size: 0,
            value,
        }
    }

    /// The classes of the key's metadata.
    pub fn each_meta(&self, mut visit: impl FnMut(KeyMeta<'a>) -> Result<()>) -> Result<()> {
        if self.meta.is_empty() {
            return Ok(());
        }
        let mut cur = Cursor::new(self.meta);
        for _ in 0..cur.length()? {
            let spec = cur.u32_le()?;
            let start = cur.pos();
            module::skip(&mut cur)?;
            visit(KeyMeta { spec, data: cur.since(start) })?;
        }
        Ok(())
    }

    /// KeyDB's member expiries: the member (cut at its first NUL) and the time as decimal text, in ms.
    pub fn each_member_expiry(&self, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let mut cur = Cursor::new(self.member_expiries);
        let (mut name, mut buf, mut member) = (Vec::new(), Vec::new(), Vec::new());
        while !cur.is_empty() {
            cur.u8()?;
            if Str::take(&mut cur, &mut name)?.ends_with(b"-key") {
                member = Str::take(&mut cur, &mut buf)?.to_vec();
            } else {
                visit(&member, Str::take(&mut cur, &mut buf)?)?;
            }
        }
        Ok(())
    }
}
