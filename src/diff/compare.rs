//! What differs between two values of the same name.

use std::collections::BTreeMap;

use super::held::Held;
use super::{Options, Outline};
use crate::error::Result;
use crate::model::facts::{Class, Fact, FactScratch, Place, Told, entry_facts};
use crate::model::{Eviction, Scratch};

/// What of a key a difference is about. The order is that in which differences are shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Aspect {
    /// Its type.
    Type,
    /// A part of its value.
    Value(Place<Vec<u8>>),
    /// Its expiry.
    Expiry,
    /// Its idle time.
    Idle,
    /// Its access counter.
    Freq,
}

/// One difference between two values; `None` where a side has nothing there.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// What it is about.
    pub aspect: Aspect,
    /// What the first side says.
    pub old: Option<Told<Vec<u8>>>,
    /// What the second side says.
    pub new: Option<Told<Vec<u8>>>,
}

/// Compares values one pair after the other.
#[derive(Default)]
pub(super) struct Comparer {
    scratch: Scratch,
    facts: FactScratch,
    line: Vec<u8>,
}

/// The facts of a value as hashes, 32 bytes each: what differs is found among them, and only that is looked at.
#[derive(Default)]
struct Sketch {
    /// Hash of the fact, hash of its place.
    facts: Vec<(u128, u128)>,
    /// Hash of the place, Unix time in ms.
    expiries: Vec<(u128, i64)>,
}

/// What one side says of a place.
type Side = Option<Told<Vec<u8>>>;

/// The differences that are told: the first ones, with what each side says.
struct First {
    keep: usize,
    sides: BTreeMap<Place<Vec<u8>>, [Side; 2]>,
}

impl Comparer {
    pub(super) fn outline(&mut self, held: &Held) -> Result<Outline> {
        Ok(Outline {
            type_name: held.value().type_name().into_owned(),
            elements: held.value().count(&mut self.scratch)?,
            expiry: held.expiry,
        })
    }

    /// How many differences there are, and the first of them.
    pub(super) fn compare(&mut self, a: &Held, b: &Held, options: &Options) -> Result<(u64, Vec<Difference>)> {
        let mut found = Vec::new();
        let mut count = 0;
        let (old, new) = (a.value().type_name(), b.value().type_name());
        if old != new || a.value().kind() != b.value().kind() {
            found.push(difference(Aspect::Type, Some(name(&old)), Some(name(&new))));
        } else {
            (count, found) = self.elements(a, b, options)?;
        }
        let within = found.len() as u64;
        if !options.same_expiry(a.expiry, b.expiry) {
            found.push(difference(Aspect::Expiry, a.expiry.map(Told::Time), b.expiry.map(Told::Time)));
        }
        if !options.same_eviction(a.eviction, b.eviction) {
            let number = |n| Some(Told::Number(Some(n)));
            found.push(match (a.eviction, b.eviction) {
                (Eviction::Freq(a), Eviction::Freq(b)) => difference(Aspect::Freq, number(a.into()), number(b.into())),
                (a, b) => {
                    let idle = |eviction| if let Eviction::Idle(seconds) = eviction { number(seconds) } else { None };
                    difference(Aspect::Idle, idle(a), idle(b))
                }
            });
        }
        let count = count.max(within) + (found.len() as u64 - within);
        Ok((count, found))
    }

    /// What differs within values of the same type.
    fn elements(&mut self, a: &Held, b: &Held, options: &Options) -> Result<(u64, Vec<Difference>)> {
        let layout = a.layout().min(b.layout());
        let matters = |class: Class| options.matters(class) && class.since() <= layout;
        let sketches = [self.sketch(a, matters)?, self.sketch(b, matters)?];
        let [ours, theirs] = &sketches;
        let only = [missing(&ours.facts, &theirs.facts), missing(&theirs.facts, &ours.facts)];
        let expiries = differing_expiries(&ours.expiries, &theirs.expiries, options.ttl_tolerance);
        let mut places: Vec<u128> = only.iter().flatten().map(|(_, place)| *place).collect();
        places.extend(&expiries);
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return Ok((0, Vec::new()));
        }
        let mut first = First { keep: options.elements, sides: BTreeMap::new() };
        for (side, held) in [a, b].into_iter().enumerate() {
            self.facts(held, |fact, line| {
                if matters(fact.class)
                    && match fact.told {
                        Told::Time(_) if fact.class == Class::Expiry => {
                            expiries.binary_search(&fact.place.hash(line)).is_ok()
                        }
                        _ => only[side].binary_search_by_key(&fact.hash(line), |(hash, _)| *hash).is_ok(),
                    }
                {
                    first.note(&fact, side);
                }
            })?;
        }
        let first = first.sides.into_iter().map(|(place, [old, new])| difference(Aspect::Value(place), old, new));
        Ok((places.len() as u64, first.collect()))
    }

    fn sketch(&mut self, held: &Held, matters: impl Fn(Class) -> bool) -> Result<Sketch> {
        let mut sketch = Sketch::default();
        self.facts(held, |fact, line| match fact.told {
            _ if !matters(fact.class) => {}
            Told::Time(at) if fact.class == Class::Expiry => sketch.expiries.push((fact.place.hash(line), at)),
            _ => sketch.facts.push((fact.hash(line), fact.place.hash(line))),
        })?;
        sketch.facts.sort_unstable();
        sketch.expiries.sort_unstable();
        Ok(sketch)
    }

    fn facts(&mut self, held: &Held, mut visit: impl FnMut(Fact<&[u8]>, &mut Vec<u8>)) -> Result<()> {
        let Comparer { scratch, facts, line } = self;
        entry_facts(&held.entry(), scratch, facts, |fact| Ok(visit(fact, line)))
    }
}

impl First {
    fn note(&mut self, fact: &Fact<&[u8]>, side: usize) {
        let fact = fact.map(<[u8]>::to_vec);
        self.sides.entry(fact.place).or_default()[side] = Some(fact.told);
        if self.sides.len() > self.keep {
            self.sides.pop_last();
        }
    }
}

fn difference(aspect: Aspect, old: Side, new: Side) -> Difference {
    Difference { aspect, old, new }
}

fn name(name: &str) -> Told<Vec<u8>> {
    Told::Bytes(name.as_bytes().to_vec())
}

/// What stands in `ours` and not in `theirs`, both sorted; what stands several times counts so many times.
fn missing(ours: &[(u128, u128)], theirs: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut theirs = theirs.iter().peekable();
    let is_missing = |fact: &&(u128, u128)| {
        while theirs.next_if(|their| their < fact).is_some() {}
        theirs.next_if(|their| their == fact).is_none()
    };
    ours.iter().filter(is_missing).copied().collect()
}

/// The places whose expiries are not the same, sorted.
fn differing_expiries(ours: &[(u128, i64)], theirs: &[(u128, i64)], tolerance: u64) -> Vec<u128> {
    let find = |list: &[(u128, i64)], place: u128| {
        list.binary_search_by_key(&place, |(place, _)| *place).ok().map(|i| list[i].1)
    };
    let differs = |list: &[(u128, i64)], (place, at): (u128, i64)| {
        find(list, place).is_none_or(|other| at.abs_diff(other) > tolerance)
    };
    let mut places: Vec<u128> = ours.iter().filter(|own| differs(theirs, **own)).map(|(place, _)| *place).collect();
    places.extend(theirs.iter().filter(|own| differs(ours, **own)).map(|(place, _)| *place));
    places.sort_unstable();
    places.dedup();
    places
}
