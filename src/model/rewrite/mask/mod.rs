//! Masking: every text of a snapshot becomes a pseudonym, so that it can be shared without what it says.
//!
//! # Pseudonyms
//!
//! They depend on the secret and the text alone: the same text has the same pseudonym wherever it stands, in this file
//! and in others, and different texts have different ones. They look like their texts: as long, letters for letters in
//! the same case, digits for digits, valid UTF-8 for valid UTF-8, integers for integers of as many digits, JSON for
//! JSON, hexadecimal for hexadecimal. Punctuation and white space stay, and so do zeros in front of a number, and zero.
//!
//! * A **key** is cut at its separators (`:`), and each part has its own pseudonym: `1234` has the same in `user:1234`,
//!   in `session:1234` and as a value. What stands in front of the first separator stays, and so does what decides the
//!   key's slot: the text between `{` and `}`.
//! * **Names** in values, short texts with a separator and without spaces and quotes, are cut in the same way, but keep
//!   nothing, unless they are said to be [references](Mask::references).
//! * In a **JSON** document strings (between escapes), member names and numbers are masked one by one.
//! * Anything else is masked as a whole; in what is no UTF-8, every byte that is not ASCII punctuation or space.
//! * A **score** keeps its sign, the number of its digits, and whether it is an integer; 0, inf and nan stay. Order is
//!   not kept.
//!
//! # What it protects
//!
//! Whoever has not the secret can't compute texts from pseudonyms, nor pseudonyms from texts, better than by guessing the
//! secret (which therefore has to be long and random) or by guessing for each class of texts at random. What a masked
//! snapshot still tells: prefixes and hash tags of keys, lengths and shapes of texts, which texts are equal and how often
//! they occur, types, sizes, times, stream ids and array indexes. Where only few texts are possible (two digits, yes and
//! no) these may be enough to tell them apart.

mod cipher;
mod class;
mod json;
mod memo;

use cipher::Cipher;
use class::Kind;
use memo::Memo;

use crate::codec::stream;
use crate::codec::string::canonical_integer;
use crate::error::{Error, Result};
use crate::model::slot::tag;
use crate::model::value::Element;

/// Gives pseudonyms.
#[derive(Clone)]
pub struct Mask {
    cipher: Cipher,
    separators: Vec<u8>,
    /// Whether names in values are masked as keys are: what stands in front of their first separator stays, and a value
    /// `user:1234` still leads to the key `user:1234`.
    pub references: bool,
}

/// Buffers, used again for every text.
#[derive(Clone, Default)]
pub struct Buf {
    scratch: Scratch,
    first: Vec<u8>,
    second: Vec<u8>,
}

#[derive(Clone, Default)]
struct Scratch {
    cipher: cipher::Scratch,
    memo: Memo,
}

/// Longer texts are no names.
const LONGEST_NAME: usize = 256;

/// Integers from here on have no exact double.
const INTEGERS: f64 = (1_u64 << 53) as f64;

impl Mask {
    /// Masks with a secret; every byte of `separators` separates parts of a key, with none all of a key is masked.
    ///
    /// Errors: an empty secret; a separator that is no ASCII punctuation or a space, or is a brace, which belongs to
    /// hash tags.
    pub fn new(secret: &[u8], separators: &[u8]) -> Result<Mask> {
        if secret.is_empty() {
            return Err(Error::usage("the secret to mask with is empty"));
        }
        let fit = |b: &u8| (*b == b' ' || b.is_ascii_punctuation()) && !matches!(b, b'{' | b'}');
        if !separators.iter().all(fit) {
            return Err(Error::usage("a separator must be ASCII punctuation or a space, and no brace"));
        }
        Ok(Mask { cipher: Cipher::new(secret), separators: separators.to_vec(), references: false })
    }

    /// The pseudonym of a key.
    pub fn key<'b>(&self, key: &[u8], buf: &'b mut Buf) -> &'b [u8] {
        let Buf { scratch, first, .. } = buf;
        copy(key, first);
        self.mask_key(first, scratch);
        first
    }

    /// The pseudonym of any other text.
    pub fn text<'b>(&self, text: &[u8], buf: &'b mut Buf) -> &'b [u8] {
        let Buf { scratch, first, .. } = buf;
        self.mask_text(text, first, scratch)
    }

    /// The pseudonym of a score.
    pub fn score(&self, score: f64, buf: &mut Buf) -> f64 {
        if score == 0.0 || !score.is_finite() {
            return score;
        }
        let Buf { scratch, first, .. } = buf;
        let mut image = score;
        if is_exact_integer(score) {
            copy(itoa::Buffer::new().format(score as i64).as_bytes(), first);
            self.cipher.permute(Kind::Integer, first, &mut scratch.cipher, |text| {
                image = parsed(text);
                is_exact_integer(image)
            });
        } else {
            copy(ryu::Buffer::new().format_finite(score).as_bytes(), first);
            // Digits of which no double is the nearest are passed over: different scores stay different.
            self.cipher.permute(Kind::Decimal, first, &mut scratch.cipher, |text| {
                image = parsed(text);
                image.is_finite()
                    && !is_exact_integer(image)
                    && ryu::Buffer::new().format_finite(image).as_bytes() == text
            });
        }
        image
    }

    /// An element with the pseudonyms of its texts. Errors: what only its module or fork understands.
    pub(super) fn element<'e>(&self, element: Element<'e>, buf: &'e mut Buf) -> Result<Element<'e>> {
        Ok(match element {
            Element::Item(text) => Element::Item(self.text(text, buf)),
            Element::Expiring { member, expiry } => Element::Expiring { member: self.text(member, buf), expiry },
            Element::Scored { member, score } => {
                let score = self.score(score, buf);
                Element::Scored { member: self.text(member, buf), score }
            }
            Element::Field { name, value, expiry } => {
                let (name, value) = self.pair(name, value, buf);
                Element::Field { name, value, expiry }
            }
            Element::Slot { index, item } => Element::Slot { index, item: self.text(item, buf) },
            Element::Stream(part) => Element::Stream(self.part_of_stream(part, buf)),
            Element::ArrayHead(_) => element,
            Element::VectorHead(_) | Element::Vector(_) => {
                return Err(Error::unsupported(
                    "a vector set can't be masked; leave it out with --type vectorset --not",
                ));
            }
            Element::Opaque(_) => {
                return Err(Error::unsupported(
                    "a module's value can't be masked; leave it out with --type … --not or --strip-modules",
                ));
            }
        })
    }

    fn part_of_stream<'e>(&self, part: stream::Part<'e>, buf: &'e mut Buf) -> stream::Part<'e> {
        use stream::Part;
        match part {
            Part::Field { name, value } => {
                let (name, value) = self.pair(name, value, buf);
                Part::Field { name, value }
            }
            Part::Group { name, last, entries_read } => Part::Group { name: self.text(name, buf), last, entries_read },
            Part::Consumer { name, seen, active } => Part::Consumer { name: self.text(name, buf), seen, active },
            Part::Pending { id, consumer, delivered, deliveries } => {
                let consumer = consumer.map(|name| self.text(name, buf));
                Part::Pending { id, consumer, delivered, deliveries }
            }
            Part::Producer(id) => Part::Producer(self.text(id, buf)),
            Part::ProducerId { iid, id } => Part::ProducerId { iid: self.text(iid, buf), id },
            Part::Node(_) | Part::Entry(_) | Part::Meta(_) | Part::Nacked(_) | Part::Idempotency { .. } => part,
        }
    }

    fn pair<'b>(&self, name: &[u8], value: &[u8], buf: &'b mut Buf) -> (&'b [u8], &'b [u8]) {
        let Buf { scratch, first, second } = buf;
        (self.mask_text(name, first, scratch), self.mask_text(value, second, scratch))
    }

    fn mask_text<'b>(&self, text: &[u8], out: &'b mut Vec<u8>, scratch: &mut Scratch) -> &'b [u8] {
        copy(text, out);
        if json::is_document(text) {
            json::mask(self, out, scratch);
            return out;
        }
        // What is no JSON must not become any.
        loop {
            self.mask_plain(out, scratch);
            if !json::is_document(out) {
                return out;
            }
        }
    }

    /// Masks a text that is taken for no JSON.
    fn mask_plain(&self, text: &mut [u8], scratch: &mut Scratch) {
        match self.is_name(text) {
            true if self.references => self.mask_key(text, scratch),
            true => self.mask_parts(text, scratch),
            false => self.mask_whole(text, scratch),
        }
    }

    /// Whether a text is cut into parts. Nothing that masking changes decides it.
    fn is_name(&self, text: &[u8]) -> bool {
        let fit = |b: &u8| *b > b' ' && !matches!(b, b'"' | b'\'' | b'`');
        text.len() <= LONGEST_NAME
            && text.iter().any(|b| self.separates(*b))
            && text.iter().all(fit)
            && std::str::from_utf8(text).is_ok()
    }

    fn separates(&self, byte: u8) -> bool {
        self.separators.contains(&byte)
    }

    fn mask_key(&self, key: &mut [u8], scratch: &mut Scratch) {
        let start = key.iter().position(|b| self.separates(*b)).unwrap_or(0);
        match tag(key) {
            Some(tag) => {
                // The braces belong to no part, so that a part next to them is what it is elsewhere.
                let (before, behind) = (tag.start - 1, tag.end + 1);
                self.mask_parts(&mut key[start.min(before)..before], scratch);
                self.mask_parts(&mut key[start.max(behind)..], scratch);
            }
            None => self.mask_parts(&mut key[start..], scratch),
        }
    }

    fn mask_parts(&self, text: &mut [u8], scratch: &mut Scratch) {
        for part in text.split_mut(|b| self.separates(*b)) {
            self.mask_whole(part, scratch);
        }
    }

    fn mask_whole(&self, text: &mut [u8], scratch: &mut Scratch) {
        let Scratch { cipher: buf, memo } = scratch;
        memo.get_or(self.cipher.id(), text, |text| {
            let kind = Kind::of(text);
            self.cipher.permute(kind, text, buf, |image| Kind::of(image) == kind);
        });
    }

    /// Masks a number of a JSON document, whatever else its digits might look like.
    fn mask_number(&self, text: &mut [u8], scratch: &mut Scratch) {
        match canonical_integer(text) {
            Some(_) => self.mask_whole(text, scratch),
            None => {
                self.cipher.permute(Kind::Decimal, text, &mut scratch.cipher, |text| canonical_integer(text).is_none())
            }
        }
    }
}

/// Without the secret.
impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("references", &self.references).finish_non_exhaustive()
    }
}

fn copy(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(text);
}

fn is_exact_integer(score: f64) -> bool {
    score.trunc() == score && score.abs() < INTEGERS
}

/// The double of a text that is made of a score's: it always is a number.
fn parsed(text: &[u8]) -> f64 {
    crate::codec::double::parse(text).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::slot::slot;

    fn mask() -> Mask {
        Mask::new(b"correct horse", b":").unwrap()
    }

    fn text(mask: &Mask, text: &[u8]) -> Vec<u8> {
        mask.text(text, &mut Buf::default()).to_vec()
    }

    fn key(mask: &Mask, key: &[u8]) -> Vec<u8> {
        mask.key(key, &mut Buf::default()).to_vec()
    }

    /// All strings of up to so many bytes of an alphabet.
    fn strings(alphabet: &[u8], longest: usize) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        let mut last = all.clone();
        for _ in 0..longest {
            last = last.iter().flat_map(|text| alphabet.iter().map(move |b| [text, &[*b][..]].concat())).collect();
            all.extend_from_slice(&last);
        }
        all
    }

    /// Pseudonyms that another implementation of the description in `cipher.rs`, in Python, gave. They must never
    /// change: files masked with one version belong together with those of another.
    #[test]
    fn pseudonyms_are_those_of_every_version() {
        let mask = mask();
        let t = |from: &str, want: &str| {
            assert_eq!(String::from_utf8(text(&mask, from.as_bytes())).unwrap(), want, "{from}");
        };
        t("0", "0");
        t("7", "6");
        t("42", "11");
        t("1234", "4027");
        t("-90", "-33");
        t("9223372036854775807", "7589390736173786455");
        t("9223372036854775808", "9727664338573203141");
        t("007", "002");
        t("1.5", "4.1");
        t("-0.025", "-0.044");
        t("6.02e23", "9.09e23");
        t("a", "v");
        t("hello", "julrb");
        t("Hello, World!", "Mzelp, Yexsm!");
        t("Zürich", "TÇybio");
        t("日本語", "泆斵蔸");
        t("\u{10fffd}\u{800}\u{d7ff}😀", "\u{10f307}\u{804}\u{d7e8}\u{1fa25}");
        t("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "50a8288b-cc95-4dca-a574-b5333319c990");
        t("DEADBEEF01", "772E236B47");
        t("user:1234", "fona:4027");
        t("a b:c", "g t:c");
        t("true", "true");
        t(
            r#"{"name":"Bob","age":42,"ok":true,"id":"user:1234","x":"a\nb"}"#,
            r#"{"plgc":"Lhi","lyr":11,"sx":true,"cr":"fona:4027","k":"v\nj"}"#,
        );
        t(
            "The quick brown fox jumps over the lazy dog, 1234567890 times a day.",
            "Kbh nbbkf sgmbm dgm wmteh oobn rxu zvut dow, 3992443000 vlylu f eit.",
        );
        assert_eq!(text(&mask, b"\x80\x04\x95\x00"), b"\x87\xba\xd5\x08");
        assert_eq!(text(&mask, b"a\0b\x01"), b"r\x0bq\x11");
        let t = |from: &str, want: &str| {
            assert_eq!(String::from_utf8(key(&mask, from.as_bytes())).unwrap(), want, "{from}");
        };
        t("counter", "pwfjyon");
        t("user:1234", "user:4027");
        t("session:1234", "session:4027");
        t("{user:1}:cart", "{user:1}:defd");
        t("a:b{t}c:d", "a:j{t}u:x");
        t("shop:{42}x:item:9", "shop:{42}k:qhrn:9");
        t(":x", ":k");
        t("x{}y", "m{}f");
        t("1234{t}5", "4027{t}4");
    }

    #[test]
    fn different_texts_have_different_pseudonyms() {
        let bytes: Vec<u8> = (0..=255).collect();
        let numbers = (100..1000).chain(-99..100).map(|n: i32| n.to_string().into_bytes()).collect();
        let exact = (i64::MAX as u64 - 300..i64::MAX as u64 + 300).map(|n| n.to_string().into_bytes()).collect();
        let hex = (0..3000).map(|n: u64| format!("{:09x}", n.wrapping_mul(0x9e37_79b9_7f4a)).into_bytes()).collect();
        // Some of these are JSON strings, most are not.
        let escapes = (b'a'..=b'z').map(|letter| vec![b'"', b'\\', letter, b'"']).collect();
        let sets: [Vec<Vec<u8>>; 10] = [
            strings(&bytes, 2),
            strings(b"abcdefghijklmnopqrstuvwxyz", 3),
            strings(b"0123456789", 4),
            strings(b"a1:{}", 6),
            strings(b"[1\"a\\,]e", 5),
            strings(b"1e0.-", 6),
            numbers,
            exact,
            hex,
            escapes,
        ];
        let names = Mask { references: true, ..mask() };
        for set in sets {
            let mut buf = Buf::default();
            for mask in [&mask(), &names] {
                let texts: HashSet<_> = set.iter().map(|text| mask.text(text, &mut buf).to_vec()).collect();
                let keys: HashSet<_> = set.iter().map(|key| mask.key(key, &mut buf).to_vec()).collect();
                assert_eq!((texts.len(), keys.len()), (set.len(), set.len()), "from {:?} on", set[0]);
            }
        }
    }

    #[test]
    fn pseudonyms_look_like_their_texts() {
        let (mask, mut buf) = (mask(), Buf::default());
        let mut check = |text: &[u8]| {
            let got = mask.text(text, &mut buf);
            let hint = || format!("{:?} became {:?}", String::from_utf8_lossy(text), String::from_utf8_lossy(got));
            assert_eq!(got.len(), text.len(), "{}", hint());
            assert_eq!(std::str::from_utf8(got).is_ok(), std::str::from_utf8(text).is_ok(), "{}", hint());
            assert_eq!(canonical_integer(got).is_some(), canonical_integer(text).is_some(), "{}", hint());
            assert_eq!(json::is_document(got), json::is_document(text), "{}", hint());
            assert_eq!(got.iter().position(|b| *b == b':'), text.iter().position(|b| *b == b':'), "{}", hint());
            if std::str::from_utf8(text).is_ok() {
                let class = |b: &u8| match b {
                    b'0'..=b'9' => '0',
                    b'a'..=b'z' => 'a',
                    b'A'..=b'Z' => 'A',
                    0x80.. => 'é',
                    0..0x20 if Kind::of(text) == Kind::Control => '\0',
                    b => char::from(*b),
                };
                let hex = matches!(Kind::of(text), Kind::Hex | Kind::HexUpper);
                assert!(hex || got.iter().map(class).eq(text.iter().map(class)), "{}", hint());
            }
        };
        strings(&(0..=255).collect::<Vec<_>>(), 2).iter().for_each(|text| check(text));
        strings(b"ab1:\"{}[]e\xc3\xa9", 4).iter().for_each(|text| check(text));
        strings(b"\xe0\xa0\x80\xbf\xf4\x8f", 4).iter().for_each(|text| check(text));
        for exponent in 0..64 {
            for step in -20..20 {
                check((1_i64 << exponent).wrapping_add(step).to_string().as_bytes());
                check((1_i64 << exponent).wrapping_add(step).wrapping_neg().to_string().as_bytes());
            }
        }
    }

    #[test]
    fn slots_and_prefixes_of_keys_stay() {
        let (mask, mut buf) = (mask(), Buf::default());
        for from in strings(b"a1:{}", 6) {
            let got = mask.key(&from, &mut buf);
            let prefix = from.iter().position(|b| *b == b':').unwrap_or(0);
            assert_eq!(got[..prefix], from[..prefix]);
            assert_eq!(tag(got), tag(&from));
            if tag(&from).is_some() {
                assert_eq!(slot(got), slot(&from));
            }
        }
    }

    #[test]
    fn the_same_part_has_the_same_pseudonym_everywhere() {
        let mask = Mask::new(b"s", b":/").unwrap();
        for part in ["1234", "alice", "3f2504e0-4f89-11d3", "Zoë"] {
            let want = text(&mask, part.as_bytes());
            assert_ne!(want, part.as_bytes());
            for (before, behind) in [("user:", ""), ("a:{b}", ""), ("session/", "/x")] {
                let got = key(&mask, format!("{before}{part}{behind}").as_bytes());
                assert_eq!(got[before.len()..][..part.len()], want, "{before}{part}{behind}");
            }
            let document = text(&mask, format!("[\"{part}\",{{\"a\":\"{part}\\n\"}}]").as_bytes());
            let found = document.windows(want.len()).filter(|window| *window == want).count();
            assert_eq!(found, 2, "{}", String::from_utf8_lossy(&document));
        }
    }

    #[test]
    fn references_lead_to_their_keys_if_asked_for() {
        let names = Mask { references: true, ..mask() };
        for name in ["user:1234", "{user:1}:cart", "shop:{tag}z:w"] {
            assert_eq!(text(&names, name.as_bytes()), key(&names, name.as_bytes()));
            assert_ne!(text(&mask(), name.as_bytes()), key(&mask(), name.as_bytes()));
        }
        for value in ["Dear Bob: hello", "plain", "{\"a\":1}"] {
            assert_eq!(text(&names, value.as_bytes()), text(&mask(), value.as_bytes()));
        }
        assert_ne!(text(&names, b"Dear Bob: hello")[..8], *b"Dear Bob");
    }

    #[test]
    fn secrets_and_separators_make_a_difference() {
        let (one, two) = (mask(), Mask::new(b"correct horsf", b":").unwrap());
        assert_ne!(text(&one, b"hello world"), text(&two, b"hello world"));
        // Buffers may go from one mask to another.
        let mut buf = Buf::default();
        for mask in [&one, &two, &one] {
            assert_eq!(mask.text(b"hello world", &mut buf), text(mask, b"hello world"));
        }
        let none = Mask::new(b"correct horse", b"").unwrap();
        assert_ne!(key(&none, b"user:1")[..4], *b"user");
        assert_eq!(key(&Mask::new(b"x", b"/").unwrap(), b"user:1/2")[..7], *b"user:1/");
        for (secret, separators) in [(&b""[..], &b":"[..]), (b"x", b"a"), (b"x", b"0"), (b"x", b"{"), (b"x", b"\xe9")] {
            assert!(Mask::new(secret, separators).is_err(), "{secret:?} {separators:?}");
        }
        assert!(!format!("{one:?}").contains("key"));
    }

    #[test]
    fn long_texts_are_masked_throughout() {
        for from in [vec![b'a'; 1 << 20], "日".repeat(100_000).into_bytes(), vec![0xff; 100_001]] {
            let got = text(&mask(), &from);
            assert_eq!(got.len(), from.len());
            for (got, from) in got.chunks(1000).zip(from.chunks(1000)) {
                let same = got.iter().zip(from).filter(|(a, b)| a == b).count();
                assert!(same <= from.len() / 2, "{same} bytes of {} stay", from.len());
            }
        }
    }

    #[test]
    fn a_change_anywhere_changes_all() {
        let mut from = "a".repeat(64).into_bytes();
        let before = text(&mask(), &from);
        for at in 0..from.len() {
            from[at] = b'b';
            let same = text(&mask(), &from).iter().zip(&before).filter(|(a, b)| a == b).count();
            assert!(same < 16, "{same} of 64 letters stay when letter {at} changes");
            from[at] = b'a';
        }
    }

    #[test]
    fn scores_keep_what_they_look_like() {
        let (mask, mut buf) = (mask(), Buf::default());
        for same in [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324] {
            assert_eq!(mask.score(same, &mut buf).to_bits(), same.to_bits());
        }
        let shortest = |score: f64| {
            let mut out = Vec::new();
            crate::codec::double::write(score, &mut out);
            String::from_utf8(out).unwrap()
        };
        let tests = [1.0, -7.0, 1234.0, -4503599627370497.5, 9007199254740991.0, 9007199254740994.0, 1e18, 1.5, 0.025];
        let more = [-0.1, 1e-7, 3.25e-300, 1e300, f64::MAX, f64::MIN_POSITIVE, 0.30000000000000004, 1700000000.1234567];
        for score in tests.into_iter().chain(more) {
            let image = mask.score(score, &mut buf);
            assert_eq!(image, mask.score(score, &mut Buf::default()), "{score} is not stable");
            assert_eq!(image.is_sign_negative(), score.is_sign_negative(), "{score} became {image}");
            assert_eq!(image.trunc() == image, score.trunc() == score, "{score} became {image}");
            assert_eq!(image.abs().log10().floor(), score.abs().log10().floor(), "{score} became {image}");
        }
        // A score has the pseudonym of its text.
        for score in [12.0, -1234567.0, 1.5, 37.7749] {
            let image = shortest(mask.score(score, &mut buf));
            assert_eq!(image.as_bytes(), text(&mask, shortest(score).as_bytes()), "{score}");
        }
    }

    #[test]
    fn different_scores_have_different_pseudonyms() {
        let (mask, mut buf) = (mask(), Buf::default());
        let around = |from: f64| (from.to_bits() - 1000..from.to_bits() + 1000).map(f64::from_bits);
        let scores = (0..10_000).map(f64::from).chain((1..1000).map(|n| f64::from(n) / 1000.0).filter(|x| *x < 1.0));
        let scores = scores.chain(around(0.3)).chain(around(INTEGERS)).chain(around(1e300)).chain(around(1e-310));
        let scores: Vec<f64> = scores.collect();
        let mut images = HashSet::new();
        for score in &scores {
            let image = mask.score(*score, &mut buf);
            assert_eq!(is_exact_integer(image), is_exact_integer(*score), "{score} became {image}");
            images.insert(image.to_bits());
        }
        assert_eq!(images.len(), scores.iter().map(|score| score.to_bits()).collect::<HashSet<_>>().len());
    }
}
