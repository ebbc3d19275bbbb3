//! Renaming keys: `s/^user:/u:/`, as in sed and Perl.
//!
//! ```text
//! s SEP regular expression SEP replacement SEP flags
//! ```
//!
//! SEP is any character but a letter, a digit, white space and `\`; `\SEP` means the character itself in both parts. The
//! expression is one of the `regex` crate. In the replacement `$1`, `\1`, `${1}` are groups, `${name}` and `$name` named
//! ones, `$0` and `\&` all that was found; `$$` is a dollar sign, `\\` a backslash, `\n`, `\r`, `\t` and `\xHH` are bytes; a
//! backslash in front of other punctuation is dropped. Flags: `g` every match and not the first only, `i` no matter the
//! case.

use std::ops::Range;
use std::str::FromStr;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use crate::error::{Error, Result};

/// One rule.
#[derive(Clone, Debug)]
pub struct Rename {
    regex: Regex,
    replacement: Vec<Piece>,
    everywhere: bool,
}

/// A part of a replacement.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Vec<u8>),
    Group(usize),
}

impl FromStr for Rename {
    type Err = Error;

    /// Reads a rule. Errors say what is wrong with it.
    ///
    /// ```
    /// use rdbkit::model::Rename;
    /// let rule: Rename = r"s/^user:(\d+)/u:{$1}/".parse()?;
    /// let mut name = Vec::new();
    /// assert!(rule.apply(b"user:12:cart", &mut None, &mut name));
    /// assert_eq!(name, b"u:{12}:cart");
    /// # Ok::<(), rdbkit::Error>(())
    /// ```
    fn from_str(rule: &str) -> Result<Rename> {
        let wrong = |what: &str| Error::usage(format!("--rename {rule}: {what}; write it as s/^old:/new:/"));
        let separator = rule.strip_prefix('s').and_then(|rest| rest.chars().next());
        let fit = |c: &char| !c.is_alphanumeric() && !c.is_whitespace() && *c != '\\';
        let separator = separator.filter(fit).ok_or_else(|| wrong("it must begin with s and a separator"))?;
        let parts = split(&rule[1 + separator.len_utf8()..], separator);
        let [pattern, replacement, flags] = parts.as_slice() else {
            return Err(wrong(&format!("there must be three {separator}, and \\{separator} where it is meant itself")));
        };
        if let Some(flag) = flags.chars().find(|flag| !matches!(flag, 'g' | 'i' | 'I')) {
            return Err(wrong(&format!("there is no flag {flag}")));
        }
        let regex = RegexBuilder::new(&unescaped(pattern, separator))
            .case_insensitive(flags.contains(['i', 'I']))
            .build()
            .map_err(|e| wrong(&last_line(&e)))?;
        let replacement = Replacement::new(replacement, &regex).read().map_err(|what| wrong(&what))?;
        Ok(Rename { regex, replacement, everywhere: flags.contains('g') })
    }
}

impl Rename {
    /// Writes the new name of a key to `out`, which is cleared; false, and nothing written, if the rule does not meet
    /// the key. `groups` is scratch, `None` at first, and belongs to this rule from then on.
    pub fn apply(&self, key: &[u8], groups: &mut Option<CaptureLocations>, out: &mut Vec<u8>) -> bool {
        out.clear();
        let mut done = None;
        for found in self.regex.find_iter(key).take(if self.everywhere { usize::MAX } else { 1 }) {
            out.extend_from_slice(&key[done.unwrap_or(0)..found.start()]);
            self.replace(key, found.range(), groups, out);
            done = Some(found.end());
        }
        if let Some(done) = done {
            out.extend_from_slice(&key[done..]);
        }
        done.is_some()
    }

    /// Appends what stands for one match.
    fn replace(&self, key: &[u8], found: Range<usize>, groups: &mut Option<CaptureLocations>, out: &mut Vec<u8>) {
        // Groups cost a second search; the first one did not look for them.
        let needed = self.replacement.iter().any(|piece| matches!(piece, Piece::Group(1..)));
        let groups = needed.then(|| {
            let groups = groups.get_or_insert_with(|| self.regex.capture_locations());
            self.regex.captures_read_at(groups, key, found.start);
            &*groups
        });
        for piece in &self.replacement {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Group(0) => out.extend_from_slice(&key[found.clone()]),
                // A group that took no part is empty.
                Piece::Group(n) => {
                    let group = groups.and_then(|groups| groups.get(*n));
                    out.extend_from_slice(group.map_or(b"", |(start, end)| &key[start..end]));
                }
            }
        }
    }
}

/// Cuts at separators that have no backslash in front of them.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// The expression with its escaped separators taken for themselves, whatever they mean to regular expressions.
fn unescaped(pattern: &str, separator: char) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match chars.clone().next().filter(|_| c == '\\') {
            Some(next) => {
                chars.next();
                if next == separator {
                    out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                } else {
                    out.extend([c, next]);
                }
            }
            None => out.push(c),
        }
    }
    out
}

/// The last line of a regex error says what is wrong; those before it draw a picture.
fn last_line(e: &regex::Error) -> String {
    let text = e.to_string();
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

/// Reads a replacement.
struct Replacement<'a> {
    rest: &'a str,
    regex: &'a Regex,
    pieces: Vec<Piece>,
}

impl<'a> Replacement<'a> {
    fn new(text: &'a str, regex: &'a Regex) -> Replacement<'a> {
        Replacement { rest: text, regex, pieces: Vec::new() }
    }

    fn read(mut self) -> Result<Vec<Piece>, String> {
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escape()?,
                '$' => self.dollar()?,
                c => self.text(c),
            }
        }
        Ok(self.pieces)
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    /// What follows for as long as it fits.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn text(&mut self, c: char) {
        self.bytes(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Text(bytes.to_vec())),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.next() {
            Some(digit @ '0'..='9') => return self.group(digit.encode_utf8(&mut [0; 4])),
            Some('&') => return self.group("0"),
            Some('n') => self.text('\n'),
            Some('r') => self.text('\r'),
            Some('t') => self.text('\t'),
            Some('x') => {
                let byte = self.rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                self.bytes(&[byte.ok_or("\\x needs two hexadecimal digits")?]);
                self.rest = &self.rest[2..];
            }
            Some(c) if !c.is_alphanumeric() => self.text(c),
            Some(c) => return Err(format!("\\{c} means nothing in a replacement")),
            None => return Err("a backslash stands at the end".into()),
        }
        Ok(())
    }

    fn dollar(&mut self) -> Result<(), String> {
        let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match self.rest.chars().next() {
            Some('$') => {
                self.next();
                self.text('$');
                Ok(())
            }
            Some('{') => {
                let (name, rest) = self.rest[1..].split_once('}').ok_or("${ is not closed")?;
                self.rest = rest;
                self.group(name)
            }
            // `$1st` is the first group and `st`: no group's name begins with a digit.
            Some(c) if c.is_ascii_digit() => {
                let digits = self.take(|c| c.is_ascii_digit());
                self.group(digits)
            }
            Some(c) if in_name(c) => {
                let name = self.take(in_name);
                self.group(name)
            }
            _ => {
                self.text('$');
                Ok(())
            }
        }
    }

    /// A group by its number or its name.
    fn group(&mut self, name: &str) -> Result<(), String> {
        let number = name.parse().ok().or_else(|| self.regex.capture_names().position(|known| known == Some(name)));
        match number.filter(|number| *number < self.regex.captures_len()) {
            Some(number) => self.pieces.push(Piece::Group(number)),
            None => return Err(format!("the expression has no group {name}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(rule: &str, key: &[u8]) -> Option<Vec<u8>> {
        let (mut groups, mut out) = (None, b"left over".to_vec());
        rule.parse::<Rename>().unwrap().apply(key, &mut groups, &mut out).then_some(out)
    }

    #[test]
    fn renames_as_sed_and_perl_do() {
        let t = |rule: &str, key: &str, want: &str| {
            let got = renamed(rule, key.as_bytes()).map(|name| String::from_utf8(name).unwrap());
            assert_eq!(got.as_deref().unwrap_or("(not met)"), want, "{rule} {key}");
        };
        t("s/^a:/b:/", "a:1", "b:1");
        t("s/^a:/b:/", "xa:1", "(not met)");
        t("s/a/b/", "aaa", "baa");
        t("s/a/b/g", "aaa", "bbb");
        t("s/A/b/gi", "aAa", "bbb");
        t("s/A/b/Ig", "aAa", "bbb");
        t("s/:.*//", "user:1:x", "user");
        t("s/x*/-/g", "abc", "-a-b-c-");
        t("s/^/p:/", "k", "p:k");
        t("s/$/:s/", "k", "k:s");
        t("s|a/b|c/d|", "a/b", "c/d");
        t("s,a,b,", "a", "b");
        t("s#^user:#u#", "user:1", "u1");
        t("s§a§b§", "a", "b");
        // Groups.
        t(r"s/(\w+):(\d+)/$2:$1/", "user:7", "7:user");
        t(r"s/(\w+):(\d+)/\2:\1/", "user:7", "7:user");
        t(r"s/(\w+):(\d+)/${2}0:$1st/", "user:7", "70:userst");
        t(r"s/(\w+):(\d+)/\20:[$0][\0]/", "user:7", "70:[user:7][user:7]");
        t(r"s/(?P<kind>\w+):(\d+)/$kind-${kind}s/", "user:7", "user-users");
        t(r"s/(a)|(b)/<$1$2>/g", "abc", "<a><b>c");
        t(r"s/\b(\w)/[$1]/g", "ab cd", "[a]b [c]d");
        t(r"s/^(\w+):(\d+)$/\2:$1/", "user:7", "7:user");
        t(r"s/(?<n>\d+)/<${n}>/", "a7", "a<7>");
        // Escapes.
        t(r"s|/|\||g", "a/b/c", "a|b|c");
        t(r"s/\//:/g", "a/b/c", "a:b:c");
        t("s/7/$/", "a7", "a$");
        t(r"s/a\/b/c\/d/", "a/b", "c/d");
        t(r"s|a\|b|c\|d|", "a|b", "c|d");
        t(r"s|a\|b|c|", "a", "(not met)");
        t(r"s.a\.b.c\.d.", "axb", "(not met)");
        t(r"s.a\.b.c\.d.", "a.b", "c.d");
        t(r"s$a\$$\$1$", "xa$", "x$1");
        t(r"s/\\/\\\\/", r"a\b", r"a\\b");
        t(r"s/a\\/b/", r"a\", "b");
        t(r"s/a/$$1 $ &[\&]/", "a", "$1 $ &[a]");
        t(r"s/a/\x41\n\t\r/", "a", "A\n\t\r");
        t("s/ä/ö/", "bär", "bör");
        t("s/X/ö/", "bXr", "bör");
    }

    #[test]
    fn any_bytes_can_be_renamed() {
        assert_eq!(renamed(r"s/(?-u)\xff$/\x00\xfe/", b"a\xff").unwrap(), b"a\x00\xfe");
        assert_eq!(renamed("s/k/K/", b"\xff\x00k").unwrap(), b"\xff\x00K");
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        let t = |rule: &str, want: &str| {
            let said = rule.parse::<Rename>().unwrap_err().to_string();
            assert!(said.contains(want), "{rule}: {said}");
        };
        t("", "begin with s");
        t("s", "begin with s");
        t("y/a/b/", "begin with s");
        t("sxaxbx", "begin with s");
        t(r"s\a\b\", "begin with s");
        t("s a b ", "begin with s");
        t("s/a/b", "must be three /");
        t("s/a/b/c/", "must be three /");
        t(r"s/a/b\/", "must be three /");
        t("s/a/b/x", "no flag x");
        t("s/(/b/", "unclosed group");
        t("s/a/$1/", "no group 1");
        t(r"s/(a)/\2/", "no group 2");
        t("s/(a)/$name/", "no group name");
        t("s/(a)/${}/", "no group ");
        t("s/(a)/${1/", "not closed");
        t(r"s/a/\q/", r"\q means nothing");
        t(r"s/a/\x4/", "two hexadecimal digits");
        t(r"s/a/\xé/", "two hexadecimal digits");
    }
}
