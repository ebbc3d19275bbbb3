//! A strict reader of JSON for tests: it refuses repeated members and whatever else is not JSON, and keeps numbers as
//! they are written.

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// The text of the number.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

use Json::*;

/// Reads one document, or says at which byte it is none.
pub(crate) fn parse(text: &str) -> Result<Json, String> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value();
    match value {
        Some(value) if parser.peek().is_none() => Ok(value),
        _ => {
            let near: String = text[floor(text, parser.at.saturating_sub(20))..].chars().take(60).collect();
            Err(format!("not JSON at byte {}, near {near:?}", parser.at))
        }
    }
}

/// As [`parse`], for bytes that must be JSON.
pub(crate) fn must_parse(bytes: &[u8]) -> Json {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("JSON is UTF-8: {e}"));
    let ours = parse(text).unwrap_or_else(|e| panic!("{e}"));
    // A second opinion, lest the test's own reader be too lenient.
    serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|e| panic!("{e}"));
    ours
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

impl Json {
    /// A member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A member that must be there.
    pub(crate) fn at(&self, name: &str) -> &Json {
        self.get(name).unwrap_or_else(|| panic!("no member {name:?} in {self:?}"))
    }

    /// A member that is there and not null.
    pub(crate) fn some(&self, name: &str) -> Option<&Json> {
        self.get(name).filter(|value| **value != Null)
    }

    pub(crate) fn str(&self) -> &str {
        match self {
            Text(text) => text,
            other => panic!("not a string: {other:?}"),
        }
    }

    pub(crate) fn items(&self) -> &[Json] {
        match self {
            Array(items) => items,
            other => panic!("not an array: {other:?}"),
        }
    }

    pub(crate) fn members(&self) -> &[(String, Json)] {
        match self {
            Object(members) => members,
            other => panic!("not an object: {other:?}"),
        }
    }

    pub(crate) fn int(&self) -> i64 {
        match self {
            Number(text) => text.parse().unwrap_or_else(|e| panic!("{text}: {e}")),
            other => panic!("not a number: {other:?}"),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// `None` everywhere means: no JSON at `at`.
impl Parser<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found.then_some(value)
    }

    fn value(&mut self) -> Option<Json> {
        match self.peek()? {
            b'n' => self.word("null", Null),
            b't' => self.word("true", Bool(true)),
            b'f' => self.word("false", Bool(false)),
            b'"' => self.string().map(Text),
            b'[' => self.array(),
            b'{' => self.object(),
            _ => self.number(),
        }
    }

    fn array(&mut self) -> Option<Json> {
        let mut items = Vec::new();
        self.at += 1;
        if self.takes(b']') {
            return Some(Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.takes(b']') {
                return Some(Array(items));
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn object(&mut self) -> Option<Json> {
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        self.at += 1;
        if self.takes(b'}') {
            return Some(Object(members));
        }
        loop {
            self.peek();
            let name = self.string()?;
            names.insert(name.clone()).then_some(())?;
            self.takes(b':').then_some(())?;
            members.push((name, self.value()?));
            if self.takes(b'}') {
                return Some(Object(members));
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(Number(self.text[start..self.at].to_owned()))
    }

    fn string(&mut self) -> Option<String> {
        (self.byte()? == b'"').then_some(())?;
        self.at += 1;
        let mut out = String::new();
        loop {
            let c = self.text[self.at..].chars().next()?;
            if c < ' ' {
                return None;
            }
            self.at += c.len_utf8();
            match c {
                '"' => return Some(out),
                '\\' => out.push(self.escape()?),
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        self.at += 1;
        Some(match *self.text.as_bytes().get(self.at - 1)? {
            c @ (b'"' | b'\\' | b'/') => c as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => match self.hex()? {
                high @ 0xd800..0xdc00 => {
                    self.word("\\u", Null)?;
                    let low = self.hex()?.checked_sub(0xdc00)?;
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)?
                }
                code => char::from_u32(code)?,
            },
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[test]
fn strict_json_is_strict() {
    for good in ["0", "-0.5e+3", " [1,{\"a\":null}] ", r#""😀\ud83d\ude00\n""#, "{}", "[]"] {
        must_parse(good.as_bytes());
    }
    for bad in ["", "01", "1.", ".5", "[1,]", "{\"a\":1,\"a\":2}", "\"\n\"", "nul", "1 2", r#""\x""#, "{a:1}", "NaN"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert_eq!(parse(r#"["\ud83d\ude00"]"#), Ok(Array(vec![Text("😀".into())])));
}
