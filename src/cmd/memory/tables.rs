//! The tables of `rdbkit memory`, for people.

use rdbkit::analysis::footprint::{
    Dissected, FREQ_NAMES, Finding, IDLE_NAMES, Measure, Outline, SIZES, TTL_NAMES, Tally, share, skew,
};
use rdbkit::text;

use crate::table::Table;

/// How long a name may be in a table.
const WIDEST: usize = 44;

/// What the tables show.
pub(super) struct Tables<'d> {
    pub(super) name: &'d str,
    pub(super) dissected: &'d Dissected,
    /// The lists of largest keys.
    pub(super) by: Vec<Measure>,
    pub(super) shards: Option<u16>,
}

/// `12.3 %`.
pub(super) fn percent(part: f64) -> String {
    if part > 0.0 && part < 0.0005 { "< 0.1 %".to_owned() } else { format!("{:.1} %", part * 100.0) }
}

/// A bar of ten characters for the whole.
fn bar(part: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part.clamp(0.0, 1.0) * 80.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

/// A name that fits into its column: what is too long loses its middle.
pub(super) fn fit(name: &[u8], widest: usize) -> String {
    let name = text::escaped(name);
    if name.len() <= widest {
        return name;
    }
    // It is ASCII.
    let tail = widest / 3;
    format!("{}…{}", &name[..widest - tail - 1], &name[name.len() - tail..])
}

impl Tables<'_> {
    pub(super) fn text(&self, outline: &Outline, found: &[Finding]) -> String {
        let mut out = self.facts();
        if self.dissected.footprint.total.keys == 0 {
            let is_whole = self.dissected.damage.is_none();
            out.push_str(if is_whole { "\nthere are no keys\n" } else { "\nno key could be read\n" });
            return out;
        }
        self.types(&mut out);
        self.prefixes(outline, &mut out);
        self.by.iter().for_each(|measure| self.keys(*measure, &mut out));
        self.classes(&mut out);
        self.databases(&mut out);
        self.slots(&mut out);
        if !found.is_empty() {
            out.push_str("\nwhat stands out\n");
            found.iter().for_each(|finding| out.push_str(&format!("  {}\n", finding.title)));
        }
        out
    }

    /// The lines at the top.
    fn facts(&self) -> String {
        let Dissected { footprint, used, origin, .. } = self.dissected;
        let server = origin.server_name().map_or(String::new(), |name| text::escaped(name.as_bytes()));
        let mut facts = vec![("server", server)];
        if let Some(created) = self.dissected.created {
            facts.push(("created", text::timestamp(created).replace(".000Z", "Z")));
        }
        let expiring = percent(share(footprint.expiring, footprint.seen));
        facts.push(("keys", format!("{}, {expiring} with expiry", text::grouped(footprint.seen))));
        let total = &footprint.total;
        let margin = match total.margin() {
            0 => String::new(),
            margin => format!(" ± {}, estimated from a sample", text::bytes(margin)),
        };
        let model = Some(&self.dissected.model).filter(|name| !name.is_empty());
        let model = model.map_or(String::new(), |name| format!(", as in {name}"));
        facts.push(("memory", format!("{}{margin}{model}", text::bytes(total.memory))));
        if let Some(tables) = self.dissected.key_space() {
            facts.push(("key space", format!("{} of tables for keys and expiries", text::bytes(tables))));
        }
        if let (Some(used), Some(part)) = (used, self.dissected.explained()) {
            let explained = percent(part);
            facts.push(("used-mem", format!("{} said the server; {explained} of it is explained", text::bytes(*used))));
        }
        let mut out = format!("{}\n", self.name);
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            out.push_str(&format!("  {name:<11}{value}\n"));
        }
        out
    }

    fn share(&self, memory: u64) -> f64 {
        share(memory, self.dissected.footprint.total.memory)
    }

    /// Memory as it stands in a table; with its error where it is an estimate.
    fn memory(&self, tally: &Tally) -> String {
        match tally.margin() {
            0 => text::bytes(tally.memory),
            margin => format!("{} ± {}", text::bytes(tally.memory), text::bytes(margin)),
        }
    }

    /// The columns that all sums have.
    fn sums(&self, tally: &Tally) -> [String; 5] {
        let each = text::bytes(tally.memory / tally.keys.max(1));
        let part = self.share(tally.memory);
        [text::grouped(tally.keys), self.memory(tally), percent(part), each, bar(part)]
    }

    fn types(&self, out: &mut String) {
        out.push_str("\nby type\n");
        let mut table = Table::new(&["type", "encoding", ">keys", ">memory", ">share", ">each", ""]).indented(2);
        for (key, tally) in &self.dissected.footprint.types {
            let mut row = vec![key.type_name(), key.encoding.to_owned()];
            row.extend(self.sums(tally));
            table.row(row);
        }
        table.flush(out);
    }

    fn prefixes(&self, outline: &Outline, out: &mut String) {
        if outline.children.is_empty() {
            return;
        }
        out.push_str("\nby prefix (* is all that is not shown by itself)\n");
        let mut can_lack = false;
        outline.walk(&mut |node, level| can_lack |= level > 0 && node.lacking > 0);
        let mut heads = vec!["prefix", ">keys", ">memory", ">share", ">each", ">no TTL", "type"];
        if can_lack {
            heads.push(">error up to");
        }
        let mut table = Table::new(&heads).indented(2);
        outline.walk(&mut |node, level| {
            if level > 0 {
                let indent = " ".repeat(2 * (level - 1));
                let [keys, memory, share, each, _] = self.sums(&node.tally);
                let name = indent + &fit(&node.name, WIDEST);
                let lasting = format!("{:.0} %", node.tally.lasting_share() * 100.0);
                let kind = node.kind.map_or("mixed", |kind| kind.name()).to_owned();
                let mut row = vec![name, keys, memory, share, each, lasting, kind];
                if can_lack {
                    row.push(text::bytes(node.lacking));
                }
                table.row(row);
            }
        });
        table.flush(out);
    }

    fn keys(&self, measure: Measure, out: &mut String) {
        let keys = self.dissected.footprint.tops.by(measure);
        if keys.is_empty() {
            return;
        }
        out.push_str(&format!("\nlargest keys by {}\n", measure.name()));
        let heads =
            [">db", "key", "type", "encoding", ">memory", ">share", ">in file", ">elements", ">largest", "expiry"];
        let mut table = Table::new(&heads).indented(2);
        for key in keys {
            let number = |n: Option<u64>| n.map_or(String::new(), text::grouped);
            table.row(vec![
                key.db.to_string(),
                fit(&key.key, WIDEST),
                key.type_name.to_string(),
                key.encoding.to_owned(),
                text::bytes(key.memory),
                percent(self.share(key.memory)),
                text::bytes(key.bytes),
                number(key.elements.filter(|_| key.type_name != "string")),
                key.longest.map_or(String::new(), text::bytes),
                key.expiry.map_or(String::new(), |at| text::timestamp(at)[..10].to_owned()),
            ]);
        }
        table.flush(out);
    }

    fn classes(&self, out: &mut String) {
        let footprint = &self.dissected.footprint;
        let when = if self.dissected.created.is_some() { "when the dump was made" } else { "now" };
        self.histogram(&format!("by time to live {when}"), &TTL_NAMES.map(str::to_owned), &footprint.ttl.0, out);
        let sizes = (0..=SIZES.len()).map(|i| match SIZES.get(i) {
            Some(bound) => format!("up to {}", text::bytes(*bound)),
            None => "more".to_owned(),
        });
        self.histogram("by memory of a key", &sizes.collect::<Vec<_>>(), &footprint.sizes.0, out);
        self.histogram("by idle time", &IDLE_NAMES.map(str::to_owned), &footprint.idle.0, out);
        self.histogram("by access frequency (LFU)", &FREQ_NAMES.map(str::to_owned), &footprint.freq.0, out);
    }

    /// A table of classes, unless nothing is in any.
    fn histogram(&self, title: &str, names: &[String], tallies: &[Tally], out: &mut String) {
        if tallies.iter().all(|tally| tally.keys == 0) {
            return;
        }
        out.push_str(&format!("\n{title}\n"));
        let mut table = Table::new(&["", ">keys", ">memory", ">share", ">each", ""]).indented(2);
        for (name, tally) in names.iter().zip(tallies).filter(|(_, tally)| tally.keys > 0) {
            let mut row = vec![name.clone()];
            row.extend(self.sums(tally));
            table.row(row);
        }
        table.flush(out);
    }

    fn databases(&self, out: &mut String) {
        let databases = &self.dissected.footprint.databases;
        if databases.len() < 2 {
            return;
        }
        out.push_str("\nby database\n");
        let mut table = Table::new(&[">db", ">keys", ">memory", ">share", ">each", ""]).indented(2);
        for (db, tally) in databases {
            let mut row = vec![if *db == u64::MAX { "others".to_owned() } else { db.to_string() }];
            row.extend(self.sums(tally));
            table.row(row);
        }
        table.flush(out);
    }

    fn slots(&self, out: &mut String) {
        let Some(shards) = self.shards else { return };
        let slots = &self.dissected.footprint.slots;
        let shards = slots.shards(shards);
        out.push_str(&format!("\nby shard, the heaviest {:.2} times its share\n", skew(&shards)));
        let mut table = Table::new(&["slots", ">keys", ">memory", ">share", ""]).indented(2);
        let heaviest = slots.heaviest(5);
        let mut first = true;
        for part in shards.iter().chain(&heaviest) {
            let (from, to) = (part.slots.start(), part.slots.end());
            if from == to && first {
                first = false;
                table.row(vec![String::new(), String::new(), String::new(), String::new(), String::new()]);
            }
            let name = if from == to { format!("{from}") } else { format!("{from}-{to}") };
            let ratio = self.share(part.memory);
            table.row(vec![name, text::grouped(part.keys), text::bytes(part.memory), percent(ratio), bar(ratio)]);
        }
        table.flush(out);
    }
}
