//! A pull parser for JSON: strings as bytes, numbers as the text that they are, errors with their place.
//!
//! Not `serde_json`: values are pushed on as they are read, in two passes where their members stand in another order,
//! and a number that becomes a string must keep its digits. `serde_json` is the oracle of the tests.

use std::borrow::Cow;

use super::syntax::{decode_base64, plain_prefix, unescaped_prefix};
use crate::error::{Error, Result};

/// Arrays and objects in each other, at most.
const MAX_DEPTH: u32 = 128;

/// A place in a JSON text.
#[derive(Clone, Copy)]
pub(super) struct Parser<'a> {
    text: &'a [u8],
    pos: usize,
}

/// What a value is, from its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    String,
    Number,
    Object,
    Array,
    /// `true` or `false`.
    Bool,
    Null,
}

impl Token {
    /// It in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Token::String => "a string",
            Token::Number => "a number",
            Token::Object => "an object",
            Token::Array => "an array",
            Token::Bool => "true or false",
            Token::Null => "null",
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Parser<'a> {
        Parser { text, pos: 0 }
    }

    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// An error at the next token.
    #[cold]
    pub(super) fn wrong(&self, what: impl Into<Cow<'static, str>>) -> Error {
        Error::malformed(what).at(self.pos as u64)
    }

    #[cold]
    fn expected(&self, what: &str) -> Error {
        match self.text.get(self.pos) {
            Some(byte) => {
                let found = crate::text::quoted(&[*byte]);
                self.wrong(format!("JSON: {what} must stand here, not {found}"))
            }
            None => self.wrong(format!("JSON: it ends where {what} must stand")),
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.pos) {
            self.pos += 1;
        }
    }

    /// Fails unless nothing but white space is left.
    pub(super) fn end(mut self) -> Result<()> {
        self.skip_space();
        if self.pos == self.text.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    /// What comes next.
    pub(super) fn peek(&mut self) -> Result<Token> {
        self.skip_space();
        Ok(match self.text.get(self.pos) {
            Some(b'"') => Token::String,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b't' | b'f') => Token::Bool,
            Some(b'n') => Token::Null,
            _ => return Err(self.expected("a value")),
        })
    }

    /// Steps over a byte that must come next.
    #[inline]
    fn byte(&mut self, byte: u8, what: &str) -> Result<()> {
        self.skip_space();
        if self.text.get(self.pos) == Some(&byte) {
            self.pos += 1;
            return Ok(());
        }
        Err(self.expected(what))
    }

    /// Steps over a byte if it comes next.
    #[inline]
    fn try_byte(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.text.get(self.pos) == Some(&byte);
        self.pos += usize::from(found);
        found
    }

    /// Steps over bytes that mean nothing.
    pub(super) fn advance(&mut self, n: usize) {
        self.pos += n;
    }

    /// Whether only white space is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.pos == self.text.len()
    }

    /// Steps over a comma if one comes next.
    pub(super) fn try_comma(&mut self) -> bool {
        self.try_byte(b',')
    }

    /// Steps over the bracket that must come next.
    pub(super) fn close(&mut self, bracket: u8) -> Result<()> {
        self.byte(bracket, if bracket == b']' { "]" } else { "}" })
    }

    /// Steps over the bracket that opens an object or array.
    pub(super) fn open(&mut self, bracket: u8) -> Result<()> {
        self.byte(bracket, if bracket == b'[' { "an array ([)" } else { "an object ({)" })
    }

    /// The name of an object's first member, behind its bracket; `None` if it has none.
    pub(super) fn peek_first_name(mut self) -> Result<Option<Vec<u8>>> {
        if self.try_byte(b'}') {
            return Ok(None);
        }
        let mut buf = Vec::new();
        Ok(Some(self.text_string(&mut buf)?.to_vec()))
    }

    /// Reads a name and its value.
    pub(super) fn member(&mut self, value: impl FnOnce(&mut Parser<'a>, &[u8]) -> Result<()>) -> Result<()> {
        let mut buf = Vec::new();
        let name = self.text_string(&mut buf)?;
        self.byte(b':', "a colon")?;
        value(self, name)
    }

    /// Reads an object; `member` must read or skip the value of each member.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Parser<'a>, &[u8], Parser<'a>) -> Result<()>,
    ) -> Result<()> {
        self.byte(b'{', "an object ({)")?;
        if self.try_byte(b'}') {
            return Ok(());
        }
        let mut buf = Vec::new();
        loop {
            self.skip_space();
            let at = *self;
            let name = self.text_string(&mut buf)?;
            self.byte(b':', "a colon")?;
            member(self, name, at)?;
            if self.try_byte(b'}') {
                return Ok(());
            }
            self.byte(b',', "a comma or }")?;
        }
    }

    /// Reads an array; `item` must read or skip each value.
    #[inline]
    pub(super) fn array(&mut self, mut item: impl FnMut(&mut Parser<'a>) -> Result<()>) -> Result<()> {
        self.byte(b'[', "an array ([)")?;
        if self.try_byte(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.try_byte(b']') {
                return Ok(());
            }
            self.byte(b',', "a comma or ]")?;
        }
    }

    /// Reads an array of two values.
    #[inline]
    pub(super) fn pair(
        &mut self,
        first: impl FnOnce(&mut Parser<'a>) -> Result<()>,
        second: impl FnOnce(&mut Parser<'a>) -> Result<()>,
    ) -> Result<()> {
        self.byte(b'[', "a pair ([)")?;
        first(self)?;
        self.byte(b',', "a comma")?;
        second(self)?;
        self.byte(b']', "the end of the pair (])")
    }

    /// A string's text, borrowed where it has no escapes, else unescaped into `buf`.
    #[inline]
    pub(super) fn text_string<'b>(&mut self, buf: &'b mut Vec<u8>) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        self.byte(b'"', "a string")?;
        let start = self.pos;
        let plain = plain_prefix(&self.text[start..]);
        if self.text.get(start + plain) == Some(&b'"') {
            self.pos = start + plain + 1;
            return Ok(&self.text[start..start + plain]);
        }
        buf.clear();
        self.difficult(buf)?;
        Ok(buf)
    }

    /// The rest of a string that is not plain ASCII.
    fn difficult(&mut self, buf: &mut Vec<u8>) -> Result<()> {
        let start = self.pos;
        loop {
            let from = self.pos;
            let rest = &self.text[from..];
            let len = unescaped_prefix(rest);
            if len == rest.len() {
                self.pos = self.text.len();
                return Err(self.expected("the end of a string"));
            }
            buf.extend_from_slice(&rest[..len]);
            self.pos = from + len;
            match rest[len] {
                b'"' => break,
                b'\\' => self.escape(buf)?,
                _ => return Err(self.wrong("JSON: a control character in a string; write it as an escape")),
            }
        }
        // Escapes are ASCII, and what they stand for is UTF-8: so the text is if its source is.
        if let Err(e) = std::str::from_utf8(&self.text[start..self.pos]) {
            self.pos = start + e.valid_up_to();
            return Err(self.wrong("JSON: a string that is not UTF-8; bytes are written as {\"base64\":\"…\"}"));
        }
        self.pos += 1;
        Ok(())
    }

    fn escape(&mut self, buf: &mut Vec<u8>) -> Result<()> {
        let start = *self;
        let plain = match self.text.get(self.pos + 1) {
            Some(c @ (b'"' | b'\\' | b'/')) => *c,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let c = self.unicode().ok_or_else(|| start.wrong("JSON: an escape \\u that is no character"))?;
                buf.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.wrong("JSON: an unknown escape")),
        };
        buf.push(plain);
        self.pos += 2;
        Ok(())
    }

    /// `\uXXXX`, or two of them that are one character.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex_escape()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        let second = self.hex_escape().filter(|second| (0xdc00..0xe000).contains(second))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn hex_escape(&mut self) -> Option<u32> {
        let digits = self.text.get(self.pos..self.pos + 6)?.strip_prefix(b"\\u")?;
        let value = digits.iter().try_fold(0, |n, b| Some(n << 4 | char::from(*b).to_digit(16)?))?;
        self.pos += 6;
        Some(value)
    }

    /// A number's text.
    pub(super) fn number(&mut self) -> Result<&'a [u8]> {
        self.skip_space();
        let start = self.pos;
        let digits = |pos: &mut usize| {
            let from = *pos;
            while self.text.get(*pos).is_some_and(u8::is_ascii_digit) {
                *pos += 1;
            }
            *pos > from
        };
        let mut pos = start + usize::from(self.text.get(start) == Some(&b'-'));
        let mut sound = match self.text.get(pos) {
            Some(b'0') => {
                pos += 1;
                !self.text.get(pos).is_some_and(u8::is_ascii_digit)
            }
            _ => digits(&mut pos),
        };
        if sound && self.text.get(pos) == Some(&b'.') {
            pos += 1;
            sound = digits(&mut pos);
        }
        if sound && matches!(self.text.get(pos), Some(b'e' | b'E')) {
            pos += 1 + usize::from(matches!(self.text.get(pos + 1), Some(b'+' | b'-')));
            sound = digits(&mut pos);
        }
        if !sound {
            return Err(self.expected("a number"));
        }
        self.pos = pos;
        Ok(&self.text[start..pos])
    }

    /// An integer.
    #[inline]
    pub(super) fn integer<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        let token = self.peek()?;
        let start = *self;
        if token != Token::Number {
            return Err(self.wrong(format!("{what}: a number must stand here, not {}", token.name())));
        }
        let digits = self.number()?;
        let parsed = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        parsed.ok_or_else(|| {
            start.wrong(format!("{what}: {} is out of range", String::from_utf8_lossy(&digits[..digits.len().min(40)])))
        })
    }

    /// An integer, or `None` for null.
    pub(super) fn integer_or_null<T: std::str::FromStr>(&mut self, what: &str) -> Result<Option<T>> {
        if self.try_null()? { Ok(None) } else { self.integer(what).map(Some) }
    }

    /// Steps over a word that must come next.
    pub(super) fn word(&mut self, word: &[u8]) -> Result<()> {
        self.skip_space();
        if self.text[self.pos..].starts_with(word) {
            self.pos += word.len();
            return Ok(());
        }
        Err(self.expected("true, false or null"))
    }

    /// The bytes that a string, or `{"base64":"…"}`, stands for.
    #[inline]
    pub(super) fn bytes<'b>(&mut self, what: &str, buf: &'b mut Vec<u8>) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        self.skip_space();
        if self.text.get(self.pos) == Some(&b'"') { self.text_string(buf) } else { self.base64_object(what, buf) }
    }

    #[cold]
    fn base64_object<'b>(&mut self, what: &str, buf: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        let token = self.peek()?;
        let start = *self;
        let wrong = |token: Token| {
            start.wrong(format!("{what}: a string or {{\"base64\":\"…\"}} must stand here, not {}", token.name()))
        };
        if token != Token::Object {
            return Err(wrong(token));
        }
        let mut members = 0;
        self.object(|p, name, _| {
            members += 1;
            if name != b"base64" || members > 1 {
                return Err(wrong(token));
            }
            p.base64(buf)
        })?;
        if members == 1 { Ok(buf) } else { Err(wrong(token)) }
    }

    /// Base64 in a string.
    pub(super) fn base64(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let start = *self;
        let mut buf = Vec::new();
        let text = self.text_string(&mut buf)?;
        out.clear();
        decode_base64(text, out).map_err(|why| start.wrong(format!("base64: {why}")))
    }

    /// Whether the object that comes next is `{"base64":"…"}`.
    pub(super) fn is_base64_object(mut self) -> bool {
        let mut buf = Vec::new();
        self.try_byte(b'{') && self.text_string(&mut buf).is_ok_and(|name| name == b"base64")
    }

    /// Steps over a value of any kind; gives the place where it stands, to be read later.
    pub(super) fn later(&mut self) -> Result<Parser<'a>> {
        self.peek()?;
        let here = *self;
        self.skip()?;
        Ok(here)
    }

    /// Steps over a null if one comes next.
    pub(super) fn try_null(&mut self) -> Result<bool> {
        if self.peek()? == Token::Null { self.word(b"null").map(|()| true) } else { Ok(false) }
    }

    /// Steps over a value of any kind, and gives its text.
    pub(super) fn skip(&mut self) -> Result<&'a [u8]> {
        self.skip_space();
        let start = self.pos;
        self.skip_at(0, &mut Vec::new())?;
        Ok(&self.text[start..self.pos])
    }

    fn skip_at(&mut self, depth: u32, buf: &mut Vec<u8>) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("JSON: too many arrays and objects in each other"));
        }
        match self.peek()? {
            Token::String => self.text_string(buf).map(drop),
            Token::Number => self.number().map(drop),
            Token::Array => self.array(|p| p.skip_at(depth + 1, buf)),
            Token::Object => self.object(|p, _, _| p.skip_at(depth + 1, buf)),
            Token::Bool if self.text[self.pos] == b't' => self.word(b"true"),
            Token::Bool => self.word(b"false"),
            Token::Null => self.word(b"null"),
        }
    }
}
