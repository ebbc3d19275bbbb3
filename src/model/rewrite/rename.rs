//! Renaming rules as sed has them: `s/^user:/u:/`.

use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use crate::error::Error;

/// A rule: what a regular expression finds in a key is replaced.
#[derive(Clone, Debug)]
pub struct Rename {
    find: Regex,
    /// The replacement, in which `$1` and `${name}` stand for groups.
    replacement: Vec<u8>,
    all: bool,
}

impl Rename {
    /// The key with the replacement; `None` if nothing is found.
    pub fn apply(&self, key: &[u8]) -> Option<Vec<u8>> {
        if !self.find.is_match(key) {
            return None;
        }
        let times = if self.all { 0 } else { 1 };
        Some(self.find.replacen(key, times, self.replacement.as_slice()).into_owned())
    }
}

impl FromStr for Rename {
    type Err = Error;

    /// `s/REGEX/REPLACEMENT/`, with `g` for every match and `i` for any case behind it; any character may stand for the
    /// slash, and a backslash takes a slash its meaning. In the replacement `\1` and `$1` are the first group, `\&` and
    /// `$0` all that was found.
    fn from_str(rule: &str) -> Result<Rename, Error> {
        let bad = |why: &str| Error::usage(format!("--rename {rule}: {why}; write it as s/^old:/new:/"));
        let mut chars = rule.chars();
        let (Some('s'), Some(slash)) = (chars.next(), chars.next()) else {
            return Err(bad("it does not begin with s/"));
        };
        let [find, replacement, flags] = parts(chars.as_str(), slash).ok_or_else(|| bad("it has no three parts"))?;
        let (mut all, mut any_case) = (false, false);
        for flag in flags.chars() {
            match flag {
                'g' => all = true,
                'i' | 'I' => any_case = true,
                _ => return Err(bad("the flags are g and i")),
            }
        }
        let find = RegexBuilder::new(&find).case_insensitive(any_case).build().map_err(|e| {
            let text = e.to_string();
            bad(text.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        Ok(Rename { find, replacement: groups(&replacement).into_bytes(), all })
    }
}

/// The three parts between the slashes, with the escaped slashes of the first two as such.
fn parts(text: &str, slash: char) -> Option<[String; 3]> {
    let mut parts = [String::new(), String::new(), String::new()];
    let (mut i, mut chars) = (0, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' if i < 2 => match chars.next()? {
                escaped if escaped == slash => parts[i].push(slash),
                other => parts[i].extend(['\\', other]),
            },
            c if c == slash => i += 1,
            c => parts.get_mut(i)?.push(c),
        }
        if i > 2 {
            return None;
        }
    }
    (i == 2).then_some(parts)
}

/// The replacement as the regex crate has it: `\1` is `${1}`, and `$1x` means the first group and an x.
fn groups(replacement: &str) -> String {
    let mut out = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('&') => out.push_str("${0}"),
                Some(digit @ '0'..='9') => out.extend(["${", &digit.to_string(), "}"]),
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                let digit = chars.next().unwrap_or('0');
                out.extend(["${", &digit.to_string(), "}"]);
            }
            '$' if chars.peek() != Some(&'{') => out.push_str("$$"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_sed() {
        let t = |rule: &str, key: &str, want: Option<&str>| {
            let renamed = rule.parse::<Rename>().unwrap().apply(key.as_bytes());
            assert_eq!(renamed.map(|key| String::from_utf8(key).unwrap()).as_deref(), want, "{rule} {key}");
        };
        t("s/^a:/b:/", "a:1", Some("b:1"));
        t("s/^a:/b:/", "xa:1", None);
        t("s/a/b/", "aaa", Some("baa"));
        t("s/a/b/g", "aaa", Some("bbb"));
        t("s/A/b/gi", "aAa", Some("bbb"));
        t("s|/|\\||g", "a/b/c", Some("a|b|c"));
        t("s/\\//:/g", "a/b/c", Some("a:b:c"));
        t("s/^(\\w+):(\\d+)$/\\2:$1/", "user:7", Some("7:user"));
        t("s/(?<n>\\d+)/<${n}>/", "a7", Some("a<7>"));
        t("s/(\\d)/$1x/", "a7", Some("a7x"));
        t("s/7/$/", "a7", Some("a$"));
        t("s/7/[\\&]/", "a7", Some("a[7]"));
        t("s/:.*//", "a:7", Some("a"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for rule in ["", "a", "s/a", "s/a/b", "s/a/b/x", "s/(/b/", "s/a/b/g/", "y/a/b/"] {
            let e = rule.parse::<Rename>().unwrap_err().to_string();
            assert!(e.starts_with(&format!("--rename {rule}: ")), "{e}");
        }
    }
}
