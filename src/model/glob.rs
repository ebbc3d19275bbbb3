//! The glob patterns of KEYS and SCAN (`stringmatchlen`): `*`, `?`, `[a-z]`, `[^a]`, `\` before a character.

/// A pattern over bytes.
#[derive(Clone, Debug)]
pub struct Glob(Vec<Token>);

#[derive(Clone, Debug)]
enum Token {
    Star,
    Any,
    Byte(u8),
    Class { ranges: Vec<(u8, u8)>, negated: bool },
}

impl Glob {
    /// Reads a pattern; every sequence of bytes is one.
    pub fn new(pattern: &[u8]) -> Glob {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            match first {
                b'*' if matches!(tokens.last(), Some(Token::Star)) => {}
                b'*' => tokens.push(Token::Star),
                b'?' => tokens.push(Token::Any),
                b'[' => tokens.push(class(&mut rest)),
                b'\\' if !rest.is_empty() => {
                    tokens.push(Token::Byte(rest[0]));
                    rest = &rest[1..];
                }
                byte => tokens.push(Token::Byte(byte)),
            }
        }
        Glob(tokens)
    }

    /// Whether all of `text` matches. Linear in `text` for each star.
    pub fn matches(&self, text: &[u8]) -> bool {
        let tokens = &self.0;
        let (mut token, mut at) = (0, 0);
        // Where to go on when a match behind the last star fails: one byte later.
        let mut retry = None;
        loop {
            match tokens.get(token) {
                Some(Token::Star) => {
                    retry = Some((token, at));
                    token += 1;
                }
                Some(one) if at < text.len() && one.matches(text[at]) => {
                    token += 1;
                    at += 1;
                }
                None if at == text.len() => return true,
                _ => match retry {
                    Some((star, from)) if from < text.len() => {
                        retry = Some((star, from + 1));
                        token = star + 1;
                        at = from + 1;
                    }
                    _ => return false,
                },
            }
        }
    }
}

impl Token {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Token::Star => false,
            Token::Any => true,
            Token::Byte(b) => *b == byte,
            Token::Class { ranges, negated } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&byte)) != *negated
            }
        }
    }
}

/// Reads a class behind its `[`; one that is never closed goes to the end of the pattern.
fn class(rest: &mut &[u8]) -> Token {
    let negated = rest.first() == Some(&b'^');
    if negated {
        *rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        match **rest {
            [] => break,
            [b']', ref after @ ..] => {
                *rest = after;
                break;
            }
            [b'\\', b, ref after @ ..] => {
                ranges.push((b, b));
                *rest = after;
            }
            [a, b'-', b, ref after @ ..] => {
                ranges.push((a.min(b), a.max(b)));
                *rest = after;
            }
            [a, ref after @ ..] => {
                ranges.push((a, a));
                *rest = after;
            }
        }
    }
    Token::Class { ranges, negated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_keys_does() {
        let t = |pattern: &str, text: &str, want: bool| {
            assert_eq!(Glob::new(pattern.as_bytes()).matches(text.as_bytes()), want, "{pattern} {text}");
        };
        t("*", "", true);
        t("*", "anything", true);
        t("user:*", "user:1", true);
        t("user:*", "session:1", false);
        t("*:profile", "user:1:profile", true);
        t("*a*b*c", "xxaxxbxxbc", true);
        t("*a*b*c", "xxaxxcxxb", false);
        t("h?llo", "hello", true);
        t("h?llo", "hllo", false);
        t("h[ae]llo", "hallo", true);
        t("h[^e]llo", "hello", false);
        t("h[a-c]llo", "hbllo", true);
        t("h[c-a]llo", "hbllo", true);
        t(r"h\*llo", "h*llo", true);
        t(r"h\*llo", "hello", false);
        t("", "", true);
        t("", "a", false);
        t("[a", "a", true);
        t(r"[\]]", "]", true);
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "*a".repeat(50);
        assert!(!Glob::new(pattern.as_bytes()).matches("a".repeat(49).as_bytes()));
        assert!(!Glob::new(pattern.as_bytes()).matches("ab".repeat(10_000).as_bytes()));
    }
}
