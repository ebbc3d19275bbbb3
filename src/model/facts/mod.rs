//! What a value says, told the same way whatever its layout: the one definition of "the same data".
//!
//! A value is a set of [`Fact`]s: this member has that score, item 3 of the list is that text. Two values are the same
//! if they have the same facts; [`Fingerprint`] adds up a hash of each, and `diff` shows the facts that only one side has.
//! Left out is whatever is no data: encodings, nodes, the order of members, links of vector sets, and the id of a stream's
//! first entry, which follows from the entries.
//!
//! Some facts are not in every format: a stream of Redis 5 does not tell how many entries were ever added. Every fact
//! has a [`Class`], a class has the layout that first had it, and values are compared by the classes that both know.

mod fingerprint;
mod ignore;
mod loose;
mod walk;

pub use fingerprint::{Fingerprint, Fingerprinter, combine, hash};
pub use ignore::Ignore;
pub use loose::Loose;
pub use walk::{FactScratch, entry_facts, value_facts};

use crate::codec::stream::{StreamId, Version};

/// What sort of fact it is: who has it, and who may want to look past it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// What every version has.
    Content,
    /// Expiries of fields and members.
    Expiry,
    /// When consumers were last seen: changes by reading alone, as idle times do.
    Seen,
    /// Counters of streams: entries ever added, the greatest deleted id, entries read (Redis 7.0).
    History,
    /// When consumers last got something: as [`Class::Seen`] (Redis 7.2).
    Active,
    /// Idempotency settings and ids of streams (Redis 8.6).
    Idempotency,
    /// Pending entries that were given back and belong to nobody (Redis 8.8).
    Nacked,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 7] =
        [Class::Content, Class::Expiry, Class::Seen, Class::History, Class::Active, Class::Idempotency, Class::Nacked];

    /// The first layout of streams that has such facts.
    pub fn since(self) -> Version {
        match self {
            Class::Content | Class::Expiry | Class::Seen => Version::V1,
            Class::History => Version::V2,
            Class::Active => Version::V3,
            Class::Idempotency => Version::V4,
            Class::Nacked => Version::V5,
        }
    }
}

/// One thing that a value says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fact<B> {
    /// What sort of fact it is.
    pub class: Class,
    /// What it is about.
    pub place: Place<B>,
    /// What it says.
    pub told: Told<B>,
}

/// What a fact is about. `B` are bytes, borrowed or owned. The order is that in which differences are shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place<B> {
    /// The value as a whole: a string, a JSON text, bytes that only their server understands.
    Whole,
    /// An item of a list, a slot of an array, an item of a module's data.
    Index(u64),
    /// A member of a set or sorted set.
    Member(B),
    /// A field of a hash.
    Field(B),
    /// The expiry of a field or member.
    Expiry(B),
    /// An element of a vector set.
    Element(B),
    /// The attributes of an element of a vector set.
    Attributes(B),
    /// An entry of a stream.
    Entry(StreamId),
    /// A field of an entry, by its number.
    EntryField(StreamId, u64),
    /// A property of the whole value, by the name that JSON backups give it.
    Property(&'static str),
    /// A consumer group.
    Group(B),
    /// How many entries a group has read.
    EntriesRead(B),
    /// A consumer: group and name.
    Consumer(B, B),
    /// When a consumer was seen.
    Seen(B, B),
    /// When a consumer got something.
    Active(B, B),
    /// A pending entry of a group.
    Pending(B, StreamId),
    /// A place in a group's queue of NACKed entries.
    Nacked(B, u64),
    /// A producer of a stream.
    Producer(B),
    /// An idempotency id of a producer.
    ProducerId(B, B),
    /// Metadata of a module, by its class.
    Metadata(u32),
}

/// What a fact says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Told<B> {
    /// It is there.
    Present,
    /// Bytes.
    Bytes(B),
    /// A name and a value.
    Pair(B, B),
    /// A name that we gave.
    Name(&'static str),
    /// A number, or that it is not known.
    Number(Option<u64>),
    /// Unix time in ms.
    Time(i64),
    /// A score.
    Score(f64),
    /// A binary32.
    Float(f32),
    /// An id of a stream.
    Id(StreamId),
    /// Components, each a little-endian binary32.
    Vector(B),
    /// Who has a pending entry since when.
    Pending {
        /// The consumer, if somebody has it.
        consumer: Option<B>,
        /// Unix time in ms.
        delivered: i64,
        /// Times it was delivered.
        deliveries: u64,
    },
}

impl<B> Place<B> {
    /// The same with other bytes.
    pub fn map<C>(self, f: impl Fn(B) -> C) -> Place<C> {
        match self {
            Place::Whole => Place::Whole,
            Place::Property(name) => Place::Property(name),
            Place::Index(i) => Place::Index(i),
            Place::Member(a) => Place::Member(f(a)),
            Place::Field(a) => Place::Field(f(a)),
            Place::Expiry(a) => Place::Expiry(f(a)),
            Place::Element(a) => Place::Element(f(a)),
            Place::Attributes(a) => Place::Attributes(f(a)),
            Place::Entry(id) => Place::Entry(id),
            Place::EntryField(id, i) => Place::EntryField(id, i),
            Place::Group(a) => Place::Group(f(a)),
            Place::EntriesRead(a) => Place::EntriesRead(f(a)),
            Place::Consumer(a, b) => Place::Consumer(f(a), f(b)),
            Place::Seen(a, b) => Place::Seen(f(a), f(b)),
            Place::Active(a, b) => Place::Active(f(a), f(b)),
            Place::Pending(a, id) => Place::Pending(f(a), id),
            Place::Nacked(a, i) => Place::Nacked(f(a), i),
            Place::Producer(a) => Place::Producer(f(a)),
            Place::ProducerId(a, b) => Place::ProducerId(f(a), f(b)),
            Place::Metadata(class) => Place::Metadata(class),
        }
    }
}

impl<B> Told<B> {
    /// The same with other bytes.
    pub fn map<C>(self, f: impl Fn(B) -> C) -> Told<C> {
        match self {
            Told::Present => Told::Present,
            Told::Bytes(a) => Told::Bytes(f(a)),
            Told::Pair(a, b) => Told::Pair(f(a), f(b)),
            Told::Name(name) => Told::Name(name),
            Told::Number(n) => Told::Number(n),
            Told::Time(at) => Told::Time(at),
            Told::Score(score) => Told::Score(score),
            Told::Float(float) => Told::Float(float),
            Told::Id(id) => Told::Id(id),
            Told::Vector(a) => Told::Vector(f(a)),
            Told::Pending { consumer, delivered, deliveries } => {
                Told::Pending { consumer: consumer.map(f), delivered, deliveries }
            }
        }
    }
}

impl<B> Fact<B> {
    /// The same with other bytes.
    pub fn map<C>(self, f: impl Fn(B) -> C) -> Fact<C> {
        Fact { class: self.class, place: self.place.map(&f), told: self.told.map(&f) }
    }
}
