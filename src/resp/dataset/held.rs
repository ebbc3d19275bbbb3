//! Values as commands change them. A value that came serialized stays so until a command needs what is inside.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::stream::Stream;
use super::zset::Zset;
use crate::codec::array;
use crate::error::{Error, Result};
use crate::model::{Element, Eviction, Kind, Origin, RdbType, Scratch, Value, ValueBuf};

/// Tables whose order is that in which things were added: the same commands give the same bytes.
pub(super) type Map<V> = IndexMap<Box<[u8]>, V, foldhash::fast::RandomState>;
/// A set of strings in such an order.
pub(super) type Strings = IndexSet<Box<[u8]>, foldhash::fast::RandomState>;
/// A list.
pub(super) type List = VecDeque<Box<[u8]>>;

/// A hash.
#[derive(Default)]
pub(super) struct Hash {
    pub(super) fields: Map<Field>,
}

/// The value of a hash's field, and when it goes.
pub(super) struct Field {
    pub(super) value: Box<[u8]>,
    pub(super) expiry: Option<i64>,
}

/// An array.
#[derive(Default)]
pub(super) struct Array {
    pub(super) slots: BTreeMap<u64, Box<[u8]>>,
    pub(super) insert_index: Option<u64>,
}

/// A value as it was serialized.
pub(super) struct Raw {
    pub(super) rdb_type: RdbType,
    pub(super) bytes: Box<[u8]>,
    pub(super) origin: Arc<Origin>,
}

/// A value.
pub(super) enum Held {
    String(Vec<u8>),
    List(Box<List>),
    Set(Box<Strings>),
    Zset(Box<Zset>),
    Hash(Box<Hash>),
    Stream(Box<Stream>),
    Array(Box<Array>),
    Raw(Box<Raw>),
}

/// A key's value and everything else about it.
pub(super) struct Key {
    pub(super) expiry: Option<i64>,
    pub(super) eviction: Eviction,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) value: Held,
}

/// What few keys have.
pub(super) struct Extra {
    pub(super) meta: Box<[u8]>,
    pub(super) mask: Option<(u32, u32)>,
    pub(super) member_expiries: Box<[u8]>,
}

impl From<Held> for Key {
    fn from(value: Held) -> Key {
        Key { expiry: None, eviction: Eviction::None, extra: None, value }
    }
}

/// A kind of value that commands make and change.
pub(super) trait Container: Default {
    const KIND: Kind;
    fn of(held: &mut Held) -> Option<&mut Self>;
    fn hold(self) -> Held;
    fn is_empty(&self) -> bool;
}

macro_rules! containers {
    ($($type:ty, $kind:ident, $is_empty:expr;)*) => {
        $(impl Container for $type {
            const KIND: Kind = Kind::$kind;

            fn of(held: &mut Held) -> Option<&mut Self> {
                match held {
                    Held::$kind(value) => Some(value),
                    _ => None,
                }
            }

            fn hold(self) -> Held {
                Held::$kind(self.into())
            }

            fn is_empty(&self) -> bool {
                let is_empty: fn(&Self) -> bool = $is_empty;
                is_empty(self)
            }
        })*
    };
}

containers! {
    // A string stays when nothing is left of it, and so does a stream.
    Vec<u8>, String, |_| false;
    List, List, |list| list.is_empty();
    Strings, Set, |set| set.is_empty();
    Zset, Zset, |zset| zset.is_empty();
    Hash, Hash, |hash| hash.fields.is_empty();
    Stream, Stream, |_| false;
    Array, Array, |array| array.slots.is_empty();
}

impl Held {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Held::String(_) => Kind::String,
            Held::List(_) => Kind::List,
            Held::Set(_) => Kind::Set,
            Held::Zset(_) => Kind::Zset,
            Held::Hash(_) => Kind::Hash,
            Held::Stream(_) => Kind::Stream,
            Held::Array(_) => Kind::Array,
            Held::Raw(raw) => raw.value().kind(),
        }
    }

    /// The value as a container of a type. A serialized one is taken apart if it is of that kind.
    pub(super) fn open<T: Container>(&mut self, scratch: &mut Scratch) -> Result<&mut T> {
        if self.kind() != T::KIND {
            let (is, wanted) = (self.kind().name(), T::KIND.name());
            return Err(Error::unsupported(format!("the key holds a {is}, this is for a {wanted}")));
        }
        if let Held::Raw(raw) = self {
            *self = raw.decode(scratch)?;
        }
        Ok(T::of(self).expect("its kind is that of the type"))
    }

    /// An independent copy.
    pub(super) fn copy(&mut self, scratch: &mut Scratch) -> Result<Held> {
        if let Held::Raw(raw) = self {
            let Raw { rdb_type, bytes, origin } = &**raw;
            return Ok(Held::Raw(Box::new(Raw { rdb_type: *rdb_type, bytes: bytes.clone(), origin: origin.clone() })));
        }
        // Few are copied, and one way through all kinds is enough.
        let kind = self.kind();
        let mut building = Building::new(kind)?;
        self.each(&mut |element| building.push(element))?;
        let _ = scratch;
        Ok(building.held)
    }

    /// Gives every element, as [`Value::each`] does; only of values that are not serialized.
    fn each(&self, visit: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        match self {
            Held::String(text) => visit(Element::Item(text)),
            Held::List(list) => list.iter().try_for_each(|item| visit(Element::Item(item))),
            Held::Set(set) => set.iter().try_for_each(|item| visit(Element::Item(item))),
            Held::Zset(zset) => zset.each(|member, score| visit(Element::Scored { member, score })),
            Held::Hash(hash) => hash
                .fields
                .iter()
                .try_for_each(|(name, Field { value, expiry })| visit(Element::Field { name, value, expiry: *expiry })),
            Held::Stream(stream) => stream.each(&mut |part| visit(Element::Stream(part))),
            Held::Array(array) => {
                let head = array::Head { count: array.slots.len() as u64, insert_index: array.insert_index };
                visit(Element::ArrayHead(head))?;
                array.slots.iter().try_for_each(|(index, item)| visit(Element::Slot { index: *index, item }))
            }
            Held::Raw(_) => Ok(()),
        }
    }

    /// The value, serialized with `values` where it is not yet.
    pub(super) fn build<'v>(&'v self, values: &'v mut ValueBuf) -> Result<Value<'v>> {
        if let Held::Raw(raw) = self {
            return Ok(raw.value());
        }
        values.begin(self.kind());
        self.each(&mut |element| values.push(element))?;
        values.finish()
    }

    /// Bytes, roughly, that the value will take in a file.
    pub(super) fn weight(&self) -> usize {
        const SMALL: usize = 64;
        match self {
            Held::String(text) => text.len(),
            Held::List(list) => list.iter().map(|item| item.len()).sum(),
            Held::Set(set) => set.iter().map(|item| item.len()).sum(),
            Held::Zset(zset) => SMALL * zset.len(),
            Held::Hash(hash) => hash.fields.iter().map(|(name, field)| name.len() + field.value.len()).sum(),
            Held::Stream(stream) => SMALL * stream.len(),
            Held::Array(array) => array.slots.values().map(|item| item.len()).sum(),
            Held::Raw(raw) => raw.bytes.len(),
        }
    }

    /// The lowest RDB version that has what is in here.
    pub(super) fn least_version(&self) -> u32 {
        match self {
            Held::Hash(hash) if hash.fields.values().any(|field| field.expiry.is_some()) => 12,
            Held::Stream(stream) => stream.least_version(),
            Held::Array(_) => 14,
            Held::Raw(raw) => raw.rdb_type.first_version().unwrap_or(0),
            _ => 0,
        }
    }
}

impl Raw {
    pub(super) fn value(&self) -> Value<'_> {
        Value { rdb_type: self.rdb_type, bytes: &self.bytes, origin: &self.origin }
    }

    fn decode(&self, scratch: &mut Scratch) -> Result<Held> {
        let mut building = Building::new(self.value().kind())?;
        self.value().each_dyn(scratch, &mut |element| building.push(element))?;
        Ok(building.held)
    }
}

/// A value that is put together from its elements.
struct Building {
    held: Held,
}

impl Building {
    fn new(kind: Kind) -> Result<Building> {
        let held = match kind {
            Kind::String => Held::String(Vec::new()),
            Kind::List => List::default().hold(),
            Kind::Set => Strings::default().hold(),
            Kind::Zset => Zset::default().hold(),
            Kind::Hash => Hash::default().hold(),
            Kind::Stream => Stream::default().hold(),
            Kind::Array => Array::default().hold(),
            other => return Err(Error::unsupported(format!("a {} can't be changed offline", other.name()))),
        };
        Ok(Building { held })
    }

    fn push(&mut self, element: Element<'_>) -> Result<()> {
        match (&mut self.held, element) {
            (Held::String(text), Element::Item(item)) => text.extend_from_slice(item),
            (Held::List(list), Element::Item(item)) => list.push_back(item.into()),
            (Held::Set(set), Element::Item(item) | Element::Expiring { member: item, expiry: None }) => {
                set.insert(item.into());
            }
            (Held::Zset(zset), Element::Scored { member, score }) => zset.set(member, score),
            (Held::Hash(hash), Element::Field { name, value, expiry }) => {
                hash.fields.insert(name.into(), Field { value: value.into(), expiry });
            }
            (Held::Array(array), Element::ArrayHead(head)) => array.insert_index = head.insert_index,
            (Held::Array(array), Element::Slot { index, item }) => drop(array.slots.insert(index, item.into())),
            (Held::Stream(stream), Element::Stream(part)) => stream.push(part)?,
            _ => return Err(Error::unsupported("a value of a fork can't be changed offline")),
        }
        Ok(())
    }
}
