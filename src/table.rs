//! Tables for people: columns that align, numbers to the right.

use std::fmt::Write;

/// Which side of its column a cell leans to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table as it grows.
pub(crate) struct Table {
    aligns: Vec<Align>,
    indent: usize,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads; a head that begins with `>` makes its column lean right.
    pub(crate) fn new(heads: &[&str]) -> Table {
        let aligns = heads.iter().map(|h| if h.starts_with('>') { Align::Right } else { Align::Left }).collect();
        let mut table = Table { aligns, indent: 0, widths: vec![0; heads.len()], rows: Vec::new() };
        table.row(heads.iter().map(|head| head.trim_start_matches('>').to_owned()).collect());
        table
    }

    /// The same, moved to the right.
    pub(crate) fn indented(mut self, by: usize) -> Table {
        self.indent = by;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.rows.push(cells);
    }

    /// Appends the rows and forgets them; the widths stay, so that rows which come later align as well as they can.
    pub(crate) fn flush(&mut self, out: &mut String) {
        for row in std::mem::take(&mut self.rows) {
            let mut line = " ".repeat(self.indent);
            for (i, cell) in row.iter().enumerate() {
                let gap = if i == 0 { "" } else { "  " };
                let width = self.widths[i];
                // A String takes whatever is written to it.
                let _ = match self.aligns[i] {
                    Align::Left => write!(line, "{gap}{cell:<width$}"),
                    Align::Right => write!(line, "{gap}{cell:>width$}"),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}
