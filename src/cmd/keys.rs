//! `rdbkit keys`: a row a key.

use std::io::{IsTerminal, stdout};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rdbkit::analysis::{KeyRow, Sort, rows, sorted_rows};
use rdbkit::model::Eviction;
use rdbkit::{Result, json, text};

use crate::cli::{self, Common, KeyArgs, Outcome};
use crate::progress::Progress;
use crate::table::Table;

/// List keys: database, type, encoding, elements, bytes, memory, expiry
///
/// In file order and constant memory, unless sorted. Sorting with --limit keeps only so many rows in memory. Bytes are
/// those that the key with its value takes in the file; elements of a string are its length. Memory is what MEMORY USAGE
/// would say, and is shown if it is asked for: every value has to be decoded for it.
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit keys dump.rdb
  rdbkit keys dump.rdb --sort size --limit 10          the ten biggest
  rdbkit keys dump.rdb --sort memory --limit 10        the ten that take the most memory
  rdbkit keys dump.rdb --memory --server valkey-9      and in another server
  rdbkit keys dump.rdb --type hash --ttl none --format csv > hashes.csv
  rdbkit keys dump.rdb --key 'session:*' --ttl '<1h' --format ndjson | jq -r .key")]
pub(crate) struct Keys {
    /// The dump; '-' for standard input; or the URL of a live server
    file: PathBuf,
    /// The format; a table on a terminal and tsv elsewhere if not given
    #[arg(long, short, value_enum)]
    format: Option<Format>,
    /// The order; that of the file if not given. Sizes, memory and elements: largest first; ttl: soonest first
    #[arg(long, value_enum)]
    sort: Option<SortName>,
    /// No more than so many rows
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// A column more: bytes in a server's memory, as MEMORY USAGE would say
    #[arg(long)]
    memory: bool,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Tsv,
    Ndjson,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SortName {
    Size,
    Memory,
    Elements,
    Key,
    Ttl,
}

/// The heads of the columns, with a mark on those of numbers; the memory is only shown if it was asked for.
const COLUMNS: [&str; 9] = [">db", "key", "type", "encoding", ">elements", ">bytes", ">memory", "expiry", ">idle/freq"];

impl Keys {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let filter = self.keys.filter.filter()?;
        let mut input = self.keys.open(&self.file, common)?;
        let mut output = self.keys.output()?;
        let on_terminal = self.keys.is_to_stdout() && stdout().is_terminal();
        let format = self.format.unwrap_or(if on_terminal { Format::Table } else { Format::Tsv });
        let with_memory = self.memory || self.sort == Some(SortName::Memory) || self.keys.model.names_server();
        let model = with_memory.then(|| self.keys.model.model(input.reader.origin()));
        let mut printer = Printer::new(format, with_memory);
        let progress = Progress::of(&input, common.quiet, self.keys.is_to_stdout() && self.sort.is_none());
        let outcome = match self.sort {
            Some(sort) => sorted_rows(&mut input, common.threads(), &filter, model.as_ref(), sort.into(), self.limit)
                .and_then(|rows| output.put(printer.rows(&rows).as_bytes())),
            None => {
                let mut left = self.limit.unwrap_or(usize::MAX);
                rows(&mut input, common.threads(), &filter, model.as_ref(), |rows| {
                    let some = &rows[..rows.len().min(left)];
                    left -= some.len();
                    output.put(printer.rows(some).as_bytes())?;
                    Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })
            }
        };
        drop(progress);
        outcome.map_err(|e| input.name_it(e))?;
        output.put(printer.rows(&[]).as_bytes())?;
        output.finish()?;
        cli::warn_of_commands(&input);
        Ok(Outcome::Yes)
    }
}

impl From<SortName> for Sort {
    fn from(name: SortName) -> Sort {
        match name {
            SortName::Size => Sort::Size,
            SortName::Memory => Sort::Memory,
            SortName::Elements => Sort::Elements,
            SortName::Key => Sort::Key,
            SortName::Ttl => Sort::Ttl,
        }
    }
}

/// Turns rows into text, piece by piece.
struct Printer {
    format: Format,
    heads: Vec<&'static str>,
    table: Table,
    begun: bool,
}

impl Printer {
    fn new(format: Format, with_memory: bool) -> Printer {
        let heads: Vec<_> = COLUMNS.into_iter().filter(|head| with_memory || *head != ">memory").collect();
        Printer { format, table: Table::new(&heads), heads, begun: false }
    }

    /// The text of these rows, with the heads before the first ones.
    fn rows(&mut self, rows: &[KeyRow]) -> String {
        let mut out = String::new();
        match self.format {
            Format::Table => {
                rows.iter().for_each(|row| self.table.row(cells(row, true)));
                self.table.flush(&mut out);
            }
            Format::Csv | Format::Tsv => {
                if !self.begun {
                    let heads = self.heads.iter().map(|head| head.trim_start_matches('>').to_owned());
                    self.line(&heads.collect::<Vec<_>>(), &mut out);
                }
                rows.iter().for_each(|row| self.line(&cells(row, false), &mut out));
            }
            Format::Ndjson => rows.iter().for_each(|row| ndjson(row, &mut out)),
        }
        self.begun = true;
        out
    }

    fn line(&self, cells: &[String], out: &mut String) {
        for (i, cell) in cells.iter().enumerate() {
            if i > 0 {
                out.push(if self.format == Format::Csv { ',' } else { '\t' });
            }
            if self.format == Format::Csv && cell.contains([',', '"']) {
                out.push('"');
                out.push_str(&cell.replace('"', "\"\""));
                out.push('"');
            } else {
                out.push_str(cell);
            }
        }
        out.push('\n');
    }
}

/// The cells of a row; for people, long keys are cut and numbers grouped.
fn cells(row: &KeyRow, for_people: bool) -> Vec<String> {
    const LONGEST: usize = 60;
    let mut key = text::escaped(&row.key);
    let number = |n: u64| if for_people { text::grouped(n) } else { n.to_string() };
    if for_people && key.len() > LONGEST {
        key.truncate(LONGEST - 1);
        key.push('…');
    }
    let mut cells = vec![
        row.db.to_string(),
        key,
        row.type_name.to_string(),
        row.encoding.to_owned(),
        row.elements.map_or(String::new(), number),
        number(row.bytes),
    ];
    cells.extend(row.memory.map(number));
    cells.extend([
        row.expiry.map_or(String::new(), text::timestamp),
        match row.eviction {
            Eviction::None => String::new(),
            Eviction::Idle(seconds) => format!("{seconds}s"),
            Eviction::Freq(count) => count.to_string(),
        },
    ]);
    cells
}

fn ndjson(row: &KeyRow, out: &mut String) {
    let mut line = Vec::new();
    json::write_string(&row.key, &mut line);
    let key = String::from_utf8_lossy(&line);
    out.push_str(&format!(
        "{{\"db\":{},\"key\":{key},\"type\":\"{}\",\"encoding\":\"{}\"",
        row.db, row.type_name, row.encoding
    ));
    if let Some(n) = row.elements {
        out.push_str(&format!(",\"elements\":{n}"));
    }
    out.push_str(&format!(",\"bytes\":{}", row.bytes));
    if let Some(n) = row.memory {
        out.push_str(&format!(",\"memory\":{n}"));
    }
    if let Some(at) = row.expiry {
        out.push_str(&format!(",\"expireAt\":{at}"));
    }
    match row.eviction {
        Eviction::None => {}
        Eviction::Idle(seconds) => out.push_str(&format!(",\"idle\":{seconds}")),
        Eviction::Freq(count) => out.push_str(&format!(",\"freq\":{count}")),
    }
    out.push_str("}\n");
}
