//! What is added up of keys, whatever they are sorted by.

use crate::model::Kind;

/// A key as it is counted: a key of a sample stands for several.
#[derive(Clone, Copy, Debug)]
pub struct Weighed {
    /// How many keys it stands for.
    pub weight: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the record in the file.
    pub bytes: u64,
    /// Whether it stays for ever.
    pub lasting: bool,
    /// What it is.
    pub kind: Kind,
}

/// Sums over keys.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Tally {
    /// How many.
    pub keys: u64,
    /// Their memory.
    pub memory: u64,
    /// Their bytes in the file.
    pub bytes: u64,
    /// How many have no expiry.
    pub lasting: u64,
    /// The memory of those without expiry.
    pub lasting_memory: u64,
    /// The variance of the memory, where it is an estimate from a sample.
    pub variance: f64,
}

impl Tally {
    /// Counts a key.
    #[inline]
    pub fn add(&mut self, key: &Weighed) {
        let Weighed { weight, memory, bytes, lasting, .. } = *key;
        self.keys += weight;
        self.memory = self.memory.saturating_add(weight.saturating_mul(memory));
        self.bytes = self.bytes.saturating_add(weight.saturating_mul(bytes));
        if lasting {
            self.lasting += weight;
            self.lasting_memory = self.lasting_memory.saturating_add(weight.saturating_mul(memory));
        }
        if weight > 1 {
            // The variance that Horvitz and Thompson estimate from one that was drawn with a chance of 1/weight.
            self.variance += (weight * (weight - 1)) as f64 * (memory as f64).powi(2);
        }
    }

    /// Adds other keys.
    pub fn merge(&mut self, other: &Tally) {
        self.keys += other.keys;
        self.memory = self.memory.saturating_add(other.memory);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.lasting += other.lasting;
        self.lasting_memory = self.lasting_memory.saturating_add(other.lasting_memory);
        self.variance += other.variance;
    }

    /// Half the width of the interval that holds the memory in 95 of 100 cases; 0 where every key was looked at.
    pub fn margin(&self) -> u64 {
        (1.96 * self.variance.sqrt()).round() as u64
    }

    /// The part of the memory that has no expiry, 0 to 1.
    pub fn lasting_share(&self) -> f64 {
        share(self.lasting_memory, self.memory)
    }
}

/// What part of the whole it is, 0 to 1.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The kind that has more than half of the memory, if one has: a vote in which every kind takes from all others.
#[derive(Clone, Copy, Default, Debug)]
pub struct Leading {
    kind: Option<Kind>,
    lead: u64,
}

impl Leading {
    /// A vote for one kind.
    pub fn of(kind: Kind, memory: u64) -> Leading {
        Leading { kind: Some(kind), lead: memory }
    }

    /// Adds the outcome of another vote.
    pub fn merge(&mut self, other: Leading) {
        if self.kind == other.kind {
            self.lead = self.lead.saturating_add(other.lead);
        } else if other.lead > self.lead {
            *self = Leading { kind: other.kind, lead: other.lead - self.lead };
        } else {
            self.lead -= other.lead;
        }
    }

    /// The kind, unless others outweigh it: it leads by less than half of `memory` then.
    pub fn kind(self, memory: u64) -> Option<Kind> {
        self.kind.filter(|_| self.lead >= memory / 2)
    }
}
