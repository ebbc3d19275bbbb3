//! URLs of servers: `redis://user:password@host:port/db`, `rediss://…` for TLS, `unix://…/path?db=N`.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The port that servers listen on if nobody says otherwise.
const PORT: u16 = 6379;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Place {
    /// A host, by name or address, and a port.
    Tcp {
        /// The host; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A server as the user names it. What it shows of itself never has the password.
///
/// ```
/// use rdbkit::live::Url;
/// let url: Url = "rediss://loader:s%40fe@db.example:6380/2".parse()?;
/// assert_eq!(url.to_string(), "rediss://db.example:6380");
/// assert_eq!((url.user.as_deref(), url.password.as_deref(), url.db), (Some("loader"), Some("s@fe"), Some(2)));
/// # Ok::<(), rdbkit::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Where it listens.
    pub place: Place,
    /// Whether to speak TLS.
    pub tls: bool,
    /// The ACL user; none for the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database.
    pub db: Option<u64>,
}

/// Whether a word of the command line is the URL of a server, and not a file's name.
pub fn is_url(word: &OsStr) -> bool {
    word.to_str().and_then(scheme).is_some()
}

/// Whether it is TLS, whether it is a socket in the file system, and what follows the scheme.
fn scheme(text: &str) -> Option<(bool, bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => Some((false, false, rest)),
        "rediss" | "valkeys" => Some((true, false, rest)),
        "unix" => Some((false, true, rest)),
        _ => None,
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Url> {
        let (tls, is_socket, rest) = scheme(text).ok_or_else(|| {
            Error::usage("use redis://HOST:PORT, rediss://HOST:PORT for TLS, or unix:///PATH/OF/SOCKET")
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (login, host) = authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
        let (user, password) = match login {
            None => (None, None),
            // As redis-cli has it: one word is a password.
            Some(login) => match login.split_once(':') {
                None => (None, Some(decode(login)?)),
                Some((user, password)) => (Some(decode(user)?), Some(decode(password)?)),
            },
        };
        let (place, mut db) = if is_socket {
            if path.len() < 2 || !host.is_empty() {
                return Err(Error::usage("unix:// takes the path of a socket: unix:///run/redis.sock"));
            }
            (Place::Unix(decode(path)?.into()), None)
        } else {
            let name = path.trim_start_matches('/').trim_end_matches('/');
            (host_and_port(host)?, if name.is_empty() { None } else { Some(database(name)?) })
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("db", n)) => db = Some(database(n)?),
                _ => return Err(Error::usage(format!("{pair} means nothing in a URL; ?db=N is known"))),
            }
        }
        let known = |text: &String| !text.is_empty();
        Ok(Url { place, tls, user: user.filter(known), password: password.filter(known), db })
    }
}

fn database(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::usage(format!("{text} is no database: after the host comes /N, a number")))
}

fn host_and_port(text: &str) -> Result<Place> {
    let port_of = |text: &str| {
        text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| {
            let hint = "; a '@', ':' or '/' in a password is written %40, %3A, %2F";
            Error::usage(format!("{text} is no port{hint}"))
        })
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) =
                rest.split_once(']').ok_or_else(|| Error::usage("an IPv6 address in a URL ends with ']'"))?;
            (host, rest.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host = if host.is_empty() { "127.0.0.1".into() } else { decode(host)? };
    Ok(Place::Tcp { host, port: port.map_or(Ok(PORT), port_of)? })
}

/// Takes `%XX` for the byte that it stands for.
fn decode(text: &str) -> Result<String> {
    let wrong = || Error::usage("a '%' in a URL is followed by two hex digits; a '%' itself is written %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(wrong);
        bytes.push((digit()? << 4 | digit()?) as u8);
    }
    String::from_utf8(bytes).map_err(|_| Error::usage("a URL is UTF-8, also behind its '%'"))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (&self.place, self.tls) {
            (Place::Unix(_), _) => "unix",
            (_, true) => "rediss",
            (_, false) => "redis",
        };
        write!(f, "{scheme}://{}", self.place)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    #[test]
    fn urls_say_where_and_who() {
        let t = |text: &str, place: Place, login: (Option<&str>, Option<&str>), db| {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.place, place, "{text}");
            assert_eq!((url.user.as_deref(), url.password.as_deref(), url.db), (login.0, login.1, db), "{text}");
        };
        t("redis://", tcp("127.0.0.1", 6379), (None, None), None);
        t("valkey://h", tcp("h", 6379), (None, None), None);
        t("REDIS://h:1/3", tcp("h", 1), (None, None), Some(3));
        t("redis://:p%40%3a@h:1/", tcp("h", 1), (None, Some("p@:")), None);
        t("redis://p@h", tcp("h", 6379), (None, Some("p")), None);
        t("rediss://u:p@[::1]:7?db=2", tcp("::1", 7), (Some("u"), Some("p")), Some(2));
        t("unix:///run/a%20b.sock?db=4", Place::Unix("/run/a b.sock".into()), (None, None), Some(4));
        t("unix://u:p@/s", Place::Unix("/s".into()), (Some("u"), Some("p")), None);
    }

    #[test]
    fn passwords_stay_out_of_sight() {
        let url: Url = "rediss://u:secret@[::1]:7/2".parse().unwrap();
        assert_eq!((format!("{url}"), format!("{url:?}")), ("rediss://[::1]:7".into(), "rediss://[::1]:7".into()));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (text, want) in [
            ("dump.rdb", "use redis://"),
            ("http://h", "use redis://"),
            ("redis://h:x", "x is no port"),
            ("redis://u:a/b@h", "is no port"),
            ("redis://h:0", "0 is no port"),
            ("redis://h/one", "one is no database"),
            ("redis://h?tls=1", "?db=N"),
            ("redis://%4@h", "two hex digits"),
            ("redis://%ff@h", "UTF-8"),
            ("redis://[::1", "']'"),
            ("unix://relative/path", "unix:///run"),
            ("unix:///", "unix:///run"),
        ] {
            let e = text.parse::<Url>().unwrap_err().to_string();
            assert!(e.contains(want), "{text}: {e}");
        }
        assert!(is_url("redis://h".as_ref()) && is_url("unix:///s".as_ref()));
        assert!(!is_url("dump.rdb".as_ref()) && !is_url("http://h".as_ref()) && !is_url("redis:/h".as_ref()));
    }
}
