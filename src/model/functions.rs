//! Function libraries: what their first line says.

/// The name of a library, from the line that it begins with: `#!lua name=mylib`. `None` where there is none.
pub fn library_name(source: &[u8]) -> Option<&[u8]> {
    let line = source.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(1);
    let name = words.find_map(|word| {
        let (key, value) = word.split_at_checked(5)?;
        key.eq_ignore_ascii_case(b"name=").then_some(value)
    })?;
    let unquoted = [b'"', b'\''].iter().find_map(|quote| name.strip_prefix(&[*quote])?.strip_suffix(&[*quote]));
    Some(unquoted.unwrap_or(name))
}

/// The engine and the name of a library. `None` where its first line does not name both.
pub fn library_head(source: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = source.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let engine = line.split(u8::is_ascii_whitespace).next()?;
    Some((engine, library_name(source)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_first_line() {
        let t = |source: &str, want: Option<&str>| {
            assert_eq!(library_name(source.as_bytes()), want.map(str::as_bytes), "{source}");
        };
        t("#!lua name=mylib\nredis.register_function", Some("mylib"));
        t("#!lua  engine=x  Name=mylib", Some("mylib"));
        t("#!lua name=\"my\"\r\nx", Some("my"));
        t("#!lua\nname=mylib", None);
        t("name=mylib", None);
        assert_eq!(library_head(b"#!lua name=mylib\n"), Some((&b"lua"[..], &b"mylib"[..])));
    }
}
