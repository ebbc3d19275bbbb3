//! Whether the size hints of the databases are true: what servers reserve memory by, and a sign of keys that are gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::model::{Dialect, Origin};

/// What a worker found that says how many keys there are, in the order of the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A database begins.
    Select(u64),
    /// So many keys, of which so many expire.
    Keys(Size),
    /// A hint, and where it stands.
    Hint(Size, u64),
}

/// Keys, and those with an expiry.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Size {
    pub(super) keys: u64,
    pub(super) expires: u64,
}

impl Size {
    fn add(&mut self, other: Size) {
        self.keys += other.keys;
        self.expires += other.expires;
    }
}

/// The sizes of the databases, told and counted.
#[derive(Default)]
pub(super) struct Sizes {
    db: u64,
    found: BTreeMap<u64, Size>,
    /// Database, hint, and where it stands.
    hints: Vec<(u64, Size, u64)>,
    /// For each hint, the keys up to where the database was left.
    section: Vec<Size>,
    open: Option<usize>,
}

impl Sizes {
    pub(super) fn take(&mut self, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Select(db) => {
                    self.db = db;
                    self.open = None;
                }
                Step::Keys(size) => {
                    self.found.entry(self.db).or_default().add(size);
                    if let Some(open) = self.open {
                        self.section[open].add(size);
                    }
                }
                Step::Hint(size, at) => {
                    self.open = Some(self.hints.len());
                    self.hints.push((self.db, size, at));
                    self.section.push(Size::default());
                }
            }
        }
    }

    /// The hints that lie, in the order of the file. Only of servers that are known to tell the truth.
    pub(super) fn lies(&self, origin: &Origin) -> Vec<Error> {
        if !matches!(origin.dialect, Dialect::Redis | Dialect::Valkey) {
            return Vec::new();
        }
        let (mut lies, mut seen) = (Vec::new(), BTreeSet::new());
        for (i, (db, hint, at)) in self.hints.iter().enumerate() {
            let found = self.found.get(db).copied().unwrap_or_default();
            let e = if !seen.insert(*db) {
                Error::malformed(format!("size hint: database {db} has one already"))
            } else if *hint != found && *hint != self.section[i] {
                let (said, there) = (in_words(*hint), in_words(found));
                Error::malformed(format!("size hint: database {db} is said to have {said}, and has {there}"))
            } else {
                continue;
            };
            lies.push(e.at(*at));
        }
        lies
    }
}

fn in_words(size: Size) -> String {
    let keys = crate::text::count(size.keys, "key");
    format!("{keys} ({} with an expiry)", crate::text::grouped(size.expires))
}
