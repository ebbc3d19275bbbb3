//! The one error type: what went wrong, and where.
//!
//! Low code says *what* (`malformed("listpack: …")`); each layer above adds what only it knows: the reader the
//! offset, the batch the database and the key, the opener the name of the input.

use std::borrow::Cow;
use std::fmt;
use std::io;

use crate::text;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong and where: kind, offset, database, key and input. One machine word wide.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    input: Option<String>,
    offset: Option<u64>,
    line: Option<(u64, u64)>,
    db: Option<u64>,
    key: Option<Vec<u8>>,
    needed: u64,
    note: Option<String>,
}

/// What went wrong, sorted by who can do something about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The world: a file, pipe or disk said no.
    Io(io::Error),
    /// The input ends in the middle of something.
    Truncated,
    /// The input breaks its own format; the text says which part and how.
    Malformed(Cow<'static, str>),
    /// The CRC-64 at the end of the file is not that of its bytes.
    Checksum {
        /// The checksum that stands in the file.
        stored: u64,
        /// The checksum of the bytes that were read.
        computed: u64,
    },
    /// A construct that rdbkit does not know, or cannot carry where it was asked to.
    Unsupported(String),
    /// The input is no RDB file at all; the text says what it looks like.
    NotRdb(String),
    /// A server that can't be reached, or with which there is no talking.
    Connection(String),
    /// A server said no; these are its words.
    Refused(String),
    /// The caller asked for something that makes no sense.
    Usage(String),
}

impl Error {
    /// An error of this kind, nowhere yet.
    pub fn new(kind: ErrorKind) -> Error {
        Error(Box::new(Inner {
            kind,
            input: None,
            offset: None,
            line: None,
            db: None,
            key: None,
            needed: 0,
            note: None,
        }))
    }

    /// The input ends too early.
    #[cold]
    pub fn truncated() -> Error {
        Error::new(ErrorKind::Truncated)
    }

    /// The input ends too early: it would have to go on at least to byte `needed` of the slice.
    #[cold]
    pub(crate) fn truncated_before(needed: u64) -> Error {
        let mut e = Error::truncated();
        e.0.needed = needed;
        e
    }

    /// How long the slice would have to be, as far as is known.
    pub(crate) fn needed(&self) -> u64 {
        self.0.needed
    }

    /// The input breaks its format.
    #[cold]
    pub fn malformed(what: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Malformed(what.into()))
    }

    /// A construct that is unknown here.
    #[cold]
    pub fn unsupported(what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported(what.into()))
    }

    /// A server is out of reach.
    #[cold]
    pub fn connection(what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Connection(what.into()))
    }

    /// A server said no, in these words.
    #[cold]
    pub fn refused(words: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused(words.into()))
    }

    /// The caller is to blame.
    #[cold]
    pub fn usage(what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Usage(what.into()))
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The byte of the (decompressed) input at which it went wrong, counted from 0.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The database in which it went wrong.
    pub fn db(&self) -> Option<u64> {
        self.0.db
    }

    /// The key in which it went wrong.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key.as_deref()
    }

    /// The same once more, for a second place that is to tell of it.
    pub fn again(&self) -> Error {
        let Inner { kind, input, offset, line, db, key, needed, note } = &*self.0;
        let kind = match kind {
            ErrorKind::Io(e) => ErrorKind::Io(io::Error::new(e.kind(), e.to_string())),
            ErrorKind::Truncated => ErrorKind::Truncated,
            ErrorKind::Malformed(what) => ErrorKind::Malformed(what.clone()),
            ErrorKind::Checksum { stored, computed } => ErrorKind::Checksum { stored: *stored, computed: *computed },
            ErrorKind::Unsupported(what) => ErrorKind::Unsupported(what.clone()),
            ErrorKind::NotRdb(what) => ErrorKind::NotRdb(what.clone()),
            ErrorKind::Connection(what) => ErrorKind::Connection(what.clone()),
            ErrorKind::Refused(words) => ErrorKind::Refused(words.clone()),
            ErrorKind::Usage(what) => ErrorKind::Usage(what.clone()),
        };
        let (input, key, note) = (input.clone(), key.clone(), note.clone());
        Error(Box::new(Inner { kind, input, offset: *offset, line: *line, db: *db, key, needed: *needed, note }))
    }

    /// Adds the offset, unless a lower layer knew it better.
    pub fn at(mut self, offset: u64) -> Error {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Sets line and column, both counted from 1, the column in bytes: in a text they say more than an offset.
    pub fn at_line(mut self, line: u64, column: u64) -> Error {
        self.0.offset = None;
        self.0.line.get_or_insert((line, column));
        self
    }

    /// Moves an offset in a slice to where it is in the input: byte `begin` of the slice stands there at `base`.
    pub(crate) fn moved(mut self, base: u64, begin: usize) -> Error {
        if let Some(offset) = &mut self.0.offset {
            *offset = offset.saturating_sub(begin as u64) + base;
        }
        self
    }

    /// Sets the offset, also when there is one that counts from some inner buffer.
    pub(crate) fn placed(mut self, offset: u64) -> Error {
        self.0.offset = Some(offset);
        self
    }

    /// Another error, at this one's place.
    pub(crate) fn instead(self, e: Error) -> Error {
        let Inner { offset, line, .. } = *self.0;
        let mut e = e;
        (e.0.offset, e.0.line) = (offset, line);
        e
    }

    /// Adds the key, with its database.
    pub fn of_key(mut self, db: u64, key: &[u8]) -> Error {
        if self.0.key.is_none() {
            self.0.db = Some(db);
            self.0.key = Some(key.to_vec());
        }
        self
    }

    /// Adds the name of the input.
    pub fn in_input(mut self, name: &str) -> Error {
        self.0.input.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Adds what else the user should know, such as what was done until there.
    pub fn noting(mut self, note: String) -> Error {
        self.0.note = Some(note);
        self
    }

    /// The same behind what is noted already.
    pub fn noting_more(self, note: &str) -> Error {
        let note = self.0.note.as_ref().map_or(note.to_owned(), |old| format!("{old}; {note}"));
        self.noting(note)
    }

    /// Whether more input might help.
    pub fn is_truncated(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Truncated)
    }

    /// Whether the reader of our output has gone away, which is no error of ours.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The same without the name of the input, for whoever says that in another place.
    pub fn without_input(mut self) -> Error {
        self.0.input = None;
        self
    }

    /// Whether the input is damaged, as opposed to unknown to us or out of reach.
    pub fn is_damage(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Truncated | ErrorKind::Malformed(_) | ErrorKind::Checksum { .. })
    }

    /// The first word of what a server said no with, such as `WRONGPASS`.
    pub fn refusal(&self) -> Option<&str> {
        match &self.0.kind {
            ErrorKind::Refused(words) => words.split(' ').next(),
            _ => None,
        }
    }

    /// The reason alone, without where.
    pub fn reason(&self) -> String {
        self.0.kind.to_string()
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Error {
        // An error of ours that came through a reader is what it was.
        match e.downcast::<Error>() {
            Ok(own) => own,
            // A decompressor that meets its end too early says so as an I/O error; to us the input is cut.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Error::truncated(),
            Err(e) => Error::new(ErrorKind::Io(e)),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The number behind the words helps nobody.
            ErrorKind::Io(e) => f.write_str(e.to_string().split(" (os error").next().unwrap_or_default()),
            ErrorKind::Truncated => f.write_str("the input ends here, in the middle of a record"),
            ErrorKind::Malformed(what) => write!(f, "malformed {what}"),
            ErrorKind::Checksum { stored, computed } => {
                write!(f, "wrong checksum: the file says {stored:016x}, its bytes give {computed:016x}")
            }
            ErrorKind::Unsupported(what)
            | ErrorKind::NotRdb(what)
            | ErrorKind::Connection(what)
            | ErrorKind::Usage(what) => f.write_str(what),
            ErrorKind::Refused(words) => write!(f, "the server says: {words}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, input, offset, line, db, key, needed: _, note } = &*self.0;
        if let Some(input) = input {
            write!(f, "{input}: ")?;
        }
        if let Some(offset) = offset {
            write!(f, "offset {offset}, ")?;
        }
        if let Some((line, column)) = line {
            write!(f, "line {line}, column {column}, ")?;
        }
        if let Some(db) = db {
            write!(f, "db {db}, ")?;
        }
        if let Some(key) = key {
            write!(f, "key {}, ", text::quoted_short(key))?;
        }
        write!(f, "{kind}")?;
        match note {
            Some(note) => write!(f, "; {note}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            ErrorKind::Io(e) => Some(e),
            _ => None,
        }
    }
}
