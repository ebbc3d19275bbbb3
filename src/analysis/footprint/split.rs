//! How keys come apart into prefixes.

/// Where keys are cut, and how often.
#[derive(Clone, Debug)]
pub struct Splitter {
    separators: Vec<Vec<u8>>,
    depth: usize,
    /// Whether keys without any separator are cut where it looks natural.
    guesses: bool,
}

/// A piece of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'k> {
    /// Its bytes, with the separator that ends it.
    pub bytes: &'k [u8],
    /// How many of them are the separator.
    pub separator: usize,
}

/// Where keys are cut that have no colon, the first of these that is in the key.
const OTHERS: [u8; 5] = *b"/|.-_";

/// How long a name in front of digits must be to be one.
const NAME: usize = 3;

/// A key's last piece is a name and not an id if it is no longer than this and has no digits.
const WORD: usize = 40;

impl Splitter {
    /// Cuts keys behind these separators, `depth` times at most.
    pub fn new(separators: Vec<Vec<u8>>, depth: usize) -> Splitter {
        let separators = separators.into_iter().filter(|separator| !separator.is_empty()).collect();
        Splitter { separators, depth: depth.max(1), guesses: false }
    }

    /// Cuts keys behind colons; those without any at `/ | . - _`, or where their digits begin.
    pub fn guessing(depth: usize) -> Splitter {
        Splitter { guesses: true, ..Splitter::new(vec![b":".to_vec()], depth) }
    }

    /// How many pieces a key has at most.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Gives the pieces from the left: those that end in a separator, and what is behind the last one if it is a word
    /// and not an id.
    pub fn each<'k>(&self, key: &'k [u8], mut visit: impl FnMut(Segment<'k>)) {
        let (found, rest) = self.cut(key, |rest| self.next(rest), &mut visit);
        if found > 0 || !self.guesses {
            return self.tail(found, rest, &mut visit);
        }
        if let Some(&other) = OTHERS.iter().find(|&&other| memchr::memchr(other, key).is_some()) {
            let next = |rest: &[u8]| memchr::memchr(other, rest).map(|at| (at, 1));
            let (found, rest) = self.cut(key, next, &mut visit);
            return self.tail(found, rest, &mut visit);
        }
        match key.iter().position(u8::is_ascii_digit) {
            Some(name) if name >= NAME => visit(Segment { bytes: &key[..name], separator: 0 }),
            _ => self.tail(0, key, &mut visit),
        }
    }

    fn cut<'k>(
        &self,
        key: &'k [u8],
        next: impl Fn(&[u8]) -> Option<(usize, usize)>,
        visit: &mut impl FnMut(Segment<'k>),
    ) -> (usize, &'k [u8]) {
        let (mut rest, mut found) = (key, 0);
        while found < self.depth
            && let Some((at, separator)) = next(rest)
        {
            let (bytes, behind) = rest.split_at(at + separator);
            visit(Segment { bytes, separator });
            (rest, found) = (behind, found + 1);
        }
        (found, rest)
    }

    /// Where the next separator is, and how long.
    fn next(&self, rest: &[u8]) -> Option<(usize, usize)> {
        let place = |separator: &Vec<u8>| match separator.as_slice() {
            [byte] => memchr::memchr(*byte, rest).map(|at| (at, 1)),
            bytes => memchr::memmem::find(rest, bytes).map(|at| (at, bytes.len())),
        };
        self.separators.iter().filter_map(place).min_by_key(|(at, len)| (*at, usize::MAX - len))
    }

    fn tail<'k>(&self, found: usize, rest: &'k [u8], visit: &mut impl FnMut(Segment<'k>)) {
        let is_word = !rest.is_empty() && rest.len() <= WORD && !rest.iter().any(u8::is_ascii_digit);
        if found < self.depth && is_word {
            visit(Segment { bytes: rest, separator: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(splitter: &Splitter, key: &str, wanted: &[&str]) {
        let mut got = Vec::new();
        splitter.each(key.as_bytes(), |segment| got.push(std::str::from_utf8(segment.bytes).unwrap()));
        assert_eq!(got, wanted, "{key}");
    }

    #[test]
    fn keys_come_apart_at_colons() {
        let guessing = Splitter::guessing(3);
        t(&guessing, "user:42:profile", &["user:", "42:", "profile"]);
        t(&guessing, "user:42", &["user:"]);
        t(&guessing, "a:b:c:d:e", &["a:", "b:", "c:"]);
        t(&guessing, "::", &[":", ":"]);
        t(&guessing, "config", &["config"]);
        t(&guessing, "", &[]);
    }

    #[test]
    fn keys_without_colons_come_apart_where_it_looks_natural() {
        let guessing = Splitter::guessing(3);
        t(&guessing, "celery-task-meta-8f14e45f", &["celery-", "task-", "meta-"]);
        t(&guessing, "img/2024/07/cat.png", &["img/", "2024/", "07/"]);
        t(&guessing, "snake_case-name", &["snake_case-", "name"]);
        t(&guessing, "user1001", &["user"]);
        t(&guessing, "x7", &[]);
        t(&guessing, "123456", &[]);
    }

    #[test]
    fn what_is_asked_for_is_all_that_cuts() {
        let asked = Splitter::new(vec![b"::".to_vec(), b"/".to_vec(), b"".to_vec()], 2);
        t(&asked, "a:b::c/d/e", &["a:b::", "c/"]);
        t(&asked, "user1001", &[]);
        t(&asked, "snake_case", &["snake_case"]);
        t(&Splitter::new(vec![b":".to_vec(), b"::".to_vec()], 9), "a::b:c", &["a::", "b:", "c"]);
    }
}
