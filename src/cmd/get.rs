//! `rdbkit get`: one value.

use std::ffi::OsString;
use std::io::{IsTerminal, stdout};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use rdbkit::codec::{double, stream::Part};
use rdbkit::model::{Buffers, Element, Entry, Filter, Kind, Record, Scratch, Value};
use rdbkit::pipeline::{Input, Output};
use rdbkit::{Error, Result, json, text};

use crate::cli::{self, Common, FilterArgs, Outcome, ServerArgs};
use crate::progress::Progress;

/// Show the value of one key as redis-cli would
///
/// Looks in all databases unless --db is given, shows the first that has the key, and reads no further. Exit status 1
/// when there is no such key.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit get dump.rdb user:1
  rdbkit get dump.rdb hat:56854717 --db 1 --json | jq .value
  rdbkit get dump.rdb page:1 --raw > page.html
  rdbkit get dump.rdb --escaped '\\x00\\xffkey'")]
pub(crate) struct Get {
    /// The dump; '-' for standard input; or the URL of a live server
    file: PathBuf,
    /// The key
    #[arg(value_name = "KEY")]
    wanted: OsString,
    /// KEY is escaped as redis-cli and 'rdbkit keys' show it: \x00, \n, \"
    #[arg(long)]
    escaped: bool,
    /// Print the whole entry as JSON, as in an NDJSON export
    #[arg(long, group = "form")]
    json: bool,
    /// Print the bytes as they are: a string as it is, other values an element a line
    #[arg(long, group = "form")]
    raw: bool,
    /// Print the bytes in hexadecimal, an element a line
    #[arg(long, group = "form")]
    hex: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Get {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let filter = self.filter.filter()?;
        let key = match self.escaped {
            true => unescape(&self.wanted.clone().into_vec())?,
            false => self.wanted.clone().into_vec(),
        };
        let mut input = cli::open_source(&self.file, &self.server, common.threads())?;
        let mut shown = Vec::new();
        let progress = Progress::of(&input, common.quiet, false);
        let found = find(&mut input, &key, &filter, |entry, scratch| self.show(entry, scratch, &mut shown));
        drop(progress);
        let Some(db) = found.map_err(|e| input.name_it(e))? else {
            cli::complain(&format!("{}: there is no key {}", input.name, text::quoted(&key)));
            cli::warn_of_commands(&input);
            return Ok(Outcome::No);
        };
        if db != 0 && !self.filter.names_db() && !common.quiet {
            cli::complain(&format!("(from database {db})"));
        }
        Output::create(None, false)?.put(&shown)?;
        Ok(Outcome::Yes)
    }

    fn show(&self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        if self.json {
            json::Writer::new(json::Form::Ndjson).entry(entry, scratch, out)
        } else if self.raw || self.hex {
            self.plain(entry, scratch, out)
        } else {
            as_redis_cli(entry, scratch, out)
        }
    }

    fn plain(&self, entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
        let mut put = |bytes: &[u8]| {
            if self.hex {
                bytes.iter().for_each(|b| text::push_hex(*b, out));
            } else {
                out.extend_from_slice(bytes);
            }
            out.push(b'\n');
        };
        let mut number = Vec::new();
        each_as_shown(entry.value, scratch, |element| strings(element, &mut number, &mut put))?;
        // A string is to come out byte for byte; only people at a terminal want a line end.
        let is_string = matches!(entry.value.kind(), Kind::String | Kind::Json);
        if is_string && self.raw && !stdout().is_terminal() {
            out.pop();
        }
        Ok(())
    }
}

/// Gives the first entry with this key that passes the filter to `show`, and returns its database.
fn find(
    input: &mut Input,
    key: &[u8],
    filter: &Filter,
    mut show: impl FnMut(&Entry<'_>, &mut Scratch) -> Result<()>,
) -> Result<Option<u64>> {
    input.reader.take_head();
    let mut buffers = Buffers::default();
    let mut batch = input.reader.batch();
    let mut found = None;
    while input.reader.fill(&mut batch)? {
        let mut db = batch.db();
        for i in 0..batch.len() {
            batch.unit(i, &mut db, &mut buffers, &mut |record, scratch| match &record {
                Record::Entry(entry) if entry.key == key && filter.keeps(entry) => {
                    found = Some(entry.db);
                    show(entry, scratch)
                }
                _ => Ok(()),
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// Gives the elements in the order in which the server shows them: that of the file, but for sorted sets, which files
/// have in any order.
fn each_as_shown(value: Value<'_>, scratch: &mut Scratch, mut visit: impl FnMut(Element<'_>)) -> Result<()> {
    let mut scored: Vec<(f64, Vec<u8>)> = Vec::new();
    value.each_dyn(scratch, &mut |element| {
        match element {
            Element::Scored { member, score } => scored.push((score, member.to_vec())),
            other => visit(other),
        }
        Ok(())
    })?;
    scored.sort_by(|(a, x), (b, y)| a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)).then_with(|| x.cmp(y)));
    scored.iter().for_each(|(score, member)| visit(Element::Scored { member, score: *score }));
    Ok(())
}

/// Gives the strings of an element, as the server's own reading command would list them.
fn strings(element: Element<'_>, number: &mut Vec<u8>, put: &mut impl FnMut(&[u8])) {
    number.clear();
    match element {
        Element::Item(item) | Element::Expiring { member: item, .. } | Element::Opaque(item) => put(item),
        Element::Field { name, value, .. } | Element::Stream(Part::Field { name, value }) => {
            put(name);
            put(value);
        }
        Element::Scored { member, score } => {
            put(member);
            double::write(score, number);
            put(number);
        }
        Element::Slot { index, item } => {
            number.extend_from_slice(index.to_string().as_bytes());
            put(number);
            put(item);
        }
        Element::Vector(element) => put(element.name),
        Element::Stream(Part::Entry(id)) => {
            id.write(number);
            put(number);
        }
        Element::Stream(_) | Element::ArrayHead(_) | Element::VectorHead(_) => {}
    }
}

fn as_redis_cli(entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    let value = entry.value;
    let per_element = match value.kind() {
        Kind::String | Kind::Json => 0,
        Kind::Hash | Kind::Zset | Kind::Array => 2,
        Kind::List | Kind::Set | Kind::VectorSet => 1,
        Kind::Stream => return stream_as_redis_cli(entry, scratch, out),
        Kind::Module | Kind::Foreign => {
            let size = value.bytes.len();
            let what = format!("({} value, {size} bytes; --json and --raw show them)\n", value.type_name());
            out.extend_from_slice(what.as_bytes());
            return Ok(());
        }
    };
    let lines = value.count(scratch)?.unwrap_or(0).saturating_mul(per_element);
    let width = lines.max(1).to_string().len();
    let (mut line, mut number) = (0_u64, Vec::new());
    each_as_shown(value, scratch, |element| {
        strings(element, &mut number, &mut |string| {
            line += 1;
            if per_element > 0 {
                out.extend_from_slice(format!("{line:>width$}) ").as_bytes());
            }
            quote(string, out);
            out.push(b'\n');
        });
    })?;
    if line == 0 {
        out.extend_from_slice(b"(empty array)\n");
    }
    Ok(())
}

/// XRANGE key - +: a list of ids, each with a list of fields and values.
fn stream_as_redis_cli(entry: &Entry<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<()> {
    let width = entry.value.count(scratch)?.unwrap_or(0).max(1).to_string().len();
    let indent = " ".repeat(width + 2);
    let (mut entries, mut fields) = (0_u64, 0_u64);
    entry.value.each_dyn(scratch, &mut |element| {
        match element {
            Element::Stream(Part::Entry(id)) => {
                entries += 1;
                fields = 0;
                out.extend_from_slice(format!("{entries:>width$}) 1) \"{id}\"\n").as_bytes());
            }
            Element::Stream(Part::Field { name, value }) => {
                for string in [name, value] {
                    fields += 1;
                    let mark = if fields == 1 { "2) " } else { "   " };
                    out.extend_from_slice(format!("{indent}{mark}{fields}) ").as_bytes());
                    quote(string, out);
                    out.push(b'\n');
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if entries == 0 {
        out.extend_from_slice(b"(empty array)\n");
    }
    Ok(())
}

fn quote(string: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    text::escape(string, out);
    out.push(b'"');
}

/// The bytes that an escaped key stands for.
fn unescape(escaped: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (*first, after) {
            (b'\\', [b'x', hex @ ..]) => {
                let digits = hex.get(..2).and_then(|d| std::str::from_utf8(d).ok());
                let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
                rest = hex.get(2..).unwrap_or_default();
                byte.ok_or_else(|| Error::usage("--escaped: \\x needs two hexadecimal digits"))?
            }
            (b'\\', [c, ..]) => {
                rest = &after[1..];
                match c {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                }
            }
            (byte, _) => byte,
        };
        out.push(byte);
    }
    Ok(out)
}
