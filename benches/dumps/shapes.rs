//! What the dumps consist of.

use std::sync::Arc;

use clap::ValueEnum;
use rdbkit::Result;
use rdbkit::codec::stream::{History, Meta, Part, StreamId};
use rdbkit::model::{Element, Entry, Kind, Target, ValueBuf};

/// Kinds of dumps.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Short strings: counters, tokens, a few words.
    Strings,
    /// Mostly strings of all sizes, and hashes, lists, sets, sorted sets and streams; every fifth key expires.
    Mixed,
    /// JSON documents of 2 to 20 kB.
    Documents,
    /// Lists, sets, sorted sets, hashes and streams of 1 000 to 200 000 elements.
    Collections,
    /// Keys that are one hash of the whole size each.
    Key,
    /// Keys that are one string of the whole size each.
    String,
}

/// xoshiro256++ of Blackman and Vigna, seeded by splitmix64: the same numbers everywhere and for ever.
pub(crate) struct Random([u64; 4]);

impl Random {
    fn new(mut seed: u64) -> Random {
        Random(std::array::from_fn(|_| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }))
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number of `from..to`.
    fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// As often as so many times in a thousand.
    fn in_thousand(&mut self, times: u64) -> bool {
        self.within(0, 1000) < times
    }

    /// A number of `from..to` where small ones are more frequent.
    fn low(&mut self, from: u64, to: u64) -> u64 {
        self.within(from, to).min(self.within(from, to)).min(self.within(from, to))
    }
}

/// Makes one key after the other.
pub(crate) struct Maker {
    shape: Shape,
    random: Random,
    words: Vec<String>,
    value: ValueBuf,
    key: Vec<u8>,
    text: Vec<u8>,
    other: Vec<u8>,
}

impl Maker {
    pub(crate) fn new(shape: Shape, seed: u64, target: &Arc<Target>) -> Maker {
        let mut random = Random::new(seed);
        let words = (0..2000).map(|i| word(i, &mut random)).collect();
        let (key, text, other) = (Vec::new(), Vec::new(), Vec::new());
        Maker { shape, random, words, value: ValueBuf::new(target, true), key, text, other }
    }

    /// Key number `i`. `whole` is how many bytes of records are wanted in all.
    pub(crate) fn next(&mut self, i: u64, db: u64, whole: u64) -> Result<Entry<'_>> {
        self.key.clear();
        let expires = match self.shape {
            Shape::Strings => self.strings(i)?,
            Shape::Mixed => self.mixed(i)?,
            Shape::Documents => {
                self.name("doc", i);
                let size = self.random.within(2_000, 20_000) as usize * 3 / 2;
                self.document(size);
                self.string()?
            }
            Shape::Collections => self.collection(i)?,
            Shape::Key => {
                self.name("huge", i);
                self.hash(whole / 28)?
            }
            Shape::String => {
                self.name("huge", i);
                self.text.clear();
                while (self.text.len() as u64) < whole {
                    self.text.extend_from_slice(&self.random.next().to_le_bytes());
                }
                self.string()?
            }
        };
        let expiry = expires.then(|| self.random.within(2_000_000_000_000, 2_100_000_000_000) as i64);
        let value = self.value.finish()?;
        Ok(Entry { expiry, ..Entry::plain(db, &self.key, value) })
    }

    fn name(&mut self, prefix: &str, i: u64) {
        let mut digits = itoa::Buffer::new();
        for part in [prefix, ":", digits.format(i)] {
            self.key.extend_from_slice(part.as_bytes());
        }
    }

    fn strings(&mut self, i: u64) -> Result<bool> {
        match i % 4 {
            0 => {
                self.name("counter", i);
                self.number(1 << 40);
            }
            1 => {
                self.name("session", i);
                self.token(16);
            }
            _ => {
                self.name("user:name", i);
                self.text.clear();
                self.add_words(2, 6);
            }
        }
        self.string()
    }

    /// Of 2 171 200 keys 1 500 000 are strings.
    fn mixed(&mut self, i: u64) -> Result<bool> {
        let expires = self.random.in_thousand(200);
        match self.random.within(0, 21_712) {
            0..15_000 => self.mixed_string(i)?,
            15_000..18_000 => {
                self.name(["user", "product", "order"][(i % 3) as usize], i);
                let fields =
                    if self.random.in_thousand(2) { self.random.low(513, 3_000) } else { self.random.low(3, 20) };
                self.hash(fields)?
            }
            18_000..19_300 => {
                self.name("queue", i);
                let items =
                    if self.random.in_thousand(3) { self.random.low(500, 5_000) } else { self.random.low(2, 55) };
                self.list(items)?
            }
            19_300..20_400 => {
                self.name("tags", i);
                let numbers = self.random.in_thousand(500);
                let members =
                    if self.random.in_thousand(3) { self.random.low(500, 4_000) } else { self.random.low(2, 64) };
                self.set(members, numbers)?
            }
            20_400..21_500 => {
                self.name("board", i);
                let members =
                    if self.random.in_thousand(4) { self.random.low(129, 3_000) } else { self.random.low(2, 60) };
                self.zset(members)?
            }
            _ => {
                self.name("events", i);
                let entries = self.random.low(2, 60);
                self.stream(entries)?
            }
        };
        Ok(expires)
    }

    fn mixed_string(&mut self, i: u64) -> Result<bool> {
        match self.random.within(0, 100) {
            0..20 => {
                self.name("count", i);
                self.number(1 << 20);
            }
            20..45 => {
                self.name("session", i);
                self.token(12);
            }
            45..80 => {
                self.name("cache:title", i);
                self.text.clear();
                self.add_words(3, 14);
            }
            80..98 => {
                self.name("cache:page", i);
                let size = self.random.low(150, 1_000) as usize;
                self.document(size);
            }
            _ => {
                self.name("blob", i);
                self.text.clear();
                for _ in 0..self.random.low(2, 24) {
                    self.text.extend_from_slice(&self.random.next().to_le_bytes());
                }
            }
        }
        self.string()
    }

    fn collection(&mut self, i: u64) -> Result<bool> {
        let count = self.random.low(1_000, 200_000);
        self.name("big", i);
        match i % 5 {
            0 => self.list(count),
            1 => self.set(count, i.is_multiple_of(2)),
            2 => self.zset(count),
            3 => self.hash(count),
            _ => self.stream(count / 4),
        }
    }

    fn number(&mut self, to: u64) {
        self.text.clear();
        let n = self.random.low(0, to);
        self.text.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    /// Hexadecimal digits.
    fn token(&mut self, bytes: usize) {
        self.text.clear();
        for _ in 0..bytes {
            let byte = self.random.next() as usize;
            self.text.extend([byte & 15, byte >> 4 & 15].map(|digit| b"0123456789abcdef"[digit]));
        }
    }

    fn add_words(&mut self, from: u64, to: u64) {
        for n in 0..self.random.within(from, to) {
            if n > 0 {
                self.text.push(b' ');
            }
            let word = self.random.low(0, self.words.len() as u64) as usize;
            self.text.extend_from_slice(self.words[word].as_bytes());
        }
    }

    /// A JSON document of about this size.
    fn document(&mut self, size: usize) {
        self.text.clear();
        self.text.push(b'{');
        while self.text.len() < size {
            let names = ["id", "title", "description", "price", "tags", "created_at", "author", "active", "url"];
            let name = names[self.random.within(0, names.len() as u64) as usize];
            self.text.extend_from_slice(format!("\"{name}\":").as_bytes());
            match self.random.within(0, 6) {
                0 => self.text.extend_from_slice(itoa::Buffer::new().format(self.random.low(0, 1 << 30)).as_bytes()),
                1 => self.text.extend_from_slice(b"true"),
                2 => self.text.extend_from_slice(
                    format!("{}.{:02}", self.random.low(0, 500), self.random.within(0, 100)).as_bytes(),
                ),
                _ => {
                    self.text.push(b'"');
                    self.add_words(1, 12);
                    self.text.push(b'"');
                }
            }
            self.text.push(b',');
        }
        self.text.pop();
        self.text.push(b'}');
    }

    fn string(&mut self) -> Result<bool> {
        self.value.begin(Kind::String);
        self.value.push(Element::Item(&self.text))?;
        Ok(false)
    }

    /// A short text, a number or a token, as values of fields and items of lists are.
    fn short(&mut self) {
        match self.random.within(0, 4) {
            0 => self.number(1 << 24),
            1 => self.token(8),
            _ => {
                self.text.clear();
                self.add_words(1, 5);
            }
        }
    }

    fn hash(&mut self, fields: u64) -> Result<bool> {
        self.value.begin(Kind::Hash);
        for i in 0..fields {
            self.short();
            self.other.clear();
            let name = ["name", "email", "city", "country", "age", "score", "created", "updated", "status", "role"];
            match name.get(i as usize) {
                Some(name) => self.other.extend_from_slice(name.as_bytes()),
                None => self.other.extend_from_slice(format!("field:{i}").as_bytes()),
            }
            self.value.push(Element::Field { name: &self.other, value: &self.text, expiry: None })?;
        }
        Ok(false)
    }

    fn list(&mut self, items: u64) -> Result<bool> {
        self.value.begin(Kind::List);
        for _ in 0..items {
            self.short();
            self.value.push(Element::Item(&self.text))?;
        }
        Ok(false)
    }

    fn set(&mut self, members: u64, numbers: bool) -> Result<bool> {
        self.value.begin(Kind::Set);
        let mut last = 0;
        for _ in 0..members {
            last += self.random.low(1, 100_000);
            self.text.clear();
            if !numbers {
                self.text.extend_from_slice(b"tag:");
            }
            self.text.extend_from_slice(itoa::Buffer::new().format(last).as_bytes());
            self.value.push(Element::Item(&self.text))?;
        }
        Ok(false)
    }

    fn zset(&mut self, members: u64) -> Result<bool> {
        self.value.begin(Kind::Zset);
        let whole = self.random.in_thousand(600);
        for i in 0..members {
            self.text.clear();
            self.text.extend_from_slice(format!("player:{}", i * 7919 % 1_000_003).as_bytes());
            let n = self.random.within(0, 1_000_000);
            let score = if whole { n as f64 } else { n as f64 / 128.0 + 0.1 };
            self.value.push(Element::Scored { member: &self.text, score })?;
        }
        Ok(false)
    }

    fn stream(&mut self, entries: u64) -> Result<bool> {
        self.value.begin(Kind::Stream);
        let mut id = StreamId { ms: self.random.within(1_700_000_000_000, 1_790_000_000_000), seq: 0 };
        let mut first = None;
        for _ in 0..entries {
            id.ms += self.random.low(1, 5_000);
            first.get_or_insert(id);
            self.value.push(Element::Stream(Part::Entry(id)))?;
            for name in ["sensor", "temperature", "note"] {
                self.short();
                self.value.push(Element::Stream(Part::Field { name: name.as_bytes(), value: &self.text }))?;
            }
        }
        let history = History { first: first.unwrap_or(id), entries_added: entries, ..History::default() };
        let meta = Meta { length: entries, found: entries, last: id, history: Some(history) };
        self.value.push(Element::Stream(Part::Meta(meta)))?;
        self.group(id)?;
        Ok(false)
    }

    /// A consumer group with an entry that was delivered and not acknowledged.
    fn group(&mut self, last: StreamId) -> Result<()> {
        let consumer = b"worker-1".as_slice();
        for part in [
            Part::Group { name: b"workers", last, entries_read: Some(None) },
            Part::Consumer { name: consumer, seen: last.ms as i64, active: None },
            Part::Pending { id: last, consumer: Some(consumer), delivered: last.ms as i64, deliveries: 1 },
        ] {
            self.value.push(Element::Stream(part))?;
        }
        Ok(())
    }
}

/// A made-up word; one in thirty has letters that are not ASCII.
fn word(i: u64, random: &mut Random) -> String {
    const SYLLABLES: [&str; 24] = [
        "ka", "lo", "mi", "ter", "sta", "re", "in", "on", "ver", "da", "ne", "so", "li", "per", "qua", "to", "ma",
        "si", "an", "er", "ol", "ut", "be", "cho",
    ];
    let mut word = String::new();
    for _ in 0..random.within(1, 5) {
        word.push_str(SYLLABLES[random.within(0, 24) as usize]);
    }
    match i % 60 {
        7 => word.push('é'),
        37 => word.push_str("日本"),
        _ => {}
    }
    word
}
