//! Differences as people read them, and as JSON.

use rdbkit::codec::module::class_name;
use rdbkit::diff::{Aspect, Change, Difference, How, Outline, Subject, Totals};
use rdbkit::model::facts::{Loose, Place, Told};
use rdbkit::text;
use serde_json::{Value, json};

use crate::cli::json_bytes;
use crate::table::Table;

/// Rows that are laid out together.
const ROWS: usize = 1000;

/// A name is cut after so many characters, a value after so many bytes.
const NAME: usize = 60;
const VALUE: usize = 48;

/// The lines of changes, aligned as far as they are shown together.
pub(super) struct Lines {
    table: Table,
    rows: usize,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines { table: headless(), rows: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= ROWS
    }

    pub(super) fn take(&mut self) -> String {
        let mut out = String::new();
        std::mem::replace(&mut self.table, headless()).flush(&mut out);
        self.rows = 0;
        // The row of heads is empty.
        out.split_off(out.find('\n').map_or(0, |end| end + 1))
    }

    pub(super) fn add(&mut self, change: &Change) {
        let (db, name) = match &change.subject {
            Subject::Key { db, key } => (db.to_string(), name_text(key)),
            Subject::Loose(Loose::Function(name)) => (String::new(), format!("function library {}", name_text(name))),
            Subject::Loose(Loose::ModuleAux(name, _)) => (String::new(), format!("data of module {name}")),
        };
        let mut row = |mark: &str, db: String, name: String, type_name: &str, what: String| {
            self.table.row(vec![mark.to_owned(), db, name, type_name.to_owned(), what]);
            self.rows += 1;
        };
        match &change.how {
            How::Added(outline) => row("+", db, name, &outline.type_name, outline_text(outline)),
            How::Removed(outline) => row("-", db, name, &outline.type_name, outline_text(outline)),
            How::Changed { type_name, count, first } => {
                let more = count - (first.len() as u64).min(*count);
                let mut texts: Vec<String> = first.iter().map(difference_text).collect();
                if let (Some(last), 1..) = (texts.last_mut(), more) {
                    last.push_str(&format!("  (and {} more)", text::grouped(more)));
                }
                let mut texts = texts.into_iter();
                row("~", db, name, type_name, texts.next().unwrap_or_default());
                texts.for_each(|text| row("", String::new(), String::new(), "", text));
            }
        }
    }
}

fn headless() -> Table {
    Table::new(&["", ">", "", "", ""])
}

fn name_text(name: &[u8]) -> String {
    let quoted = text::quoted(name);
    // Escapes are ASCII, so a cut is never within a character.
    if quoted.len() <= NAME { quoted } else { format!("{}…\" ({} bytes)", &quoted[..NAME - 2], name.len()) }
}

fn outline_text(outline: &Outline) -> String {
    let mut text = match (outline.elements, outline.type_name.as_str()) {
        (None, _) => String::new(),
        (Some(n), "string" | "json") => text::count(n, "byte"),
        (Some(n), "hash") => text::count(n, "field"),
        (Some(n), "set" | "zset") => text::count(n, "member"),
        (Some(n), "stream") => format!("{} {}", text::grouped(n), if n == 1 { "entry" } else { "entries" }),
        (Some(n), _) => text::count(n, "item"),
    };
    if let Some(at) = outline.expiry {
        text.push_str(if text.is_empty() { "expires " } else { ", expires " });
        text.push_str(&text::timestamp(at));
    }
    text
}

fn difference_text(difference: &Difference) -> String {
    let place = aspect_text(&difference.aspect);
    match (&difference.old, &difference.new) {
        (Some(Told::Bytes(old)), Some(Told::Bytes(new))) if old.len() > VALUE || new.len() > VALUE => {
            long_text(&place, old, new)
        }
        (Some(old), Some(new)) => format!("{place}: {} -> {}", told_text(old), told_text(new)),
        (Some(Told::Present), None) => format!("{place} removed"),
        (None, Some(Told::Present)) => format!("{place} added"),
        (Some(old), None) => format!("{place} removed: {}", told_text(old)),
        (None, Some(new)) => format!("{place} added: {}", told_text(new)),
        (None, None) => place,
    }
}

/// Two long strings: a piece of each from around the first byte that differs.
fn long_text(place: &str, old: &[u8], new: &[u8]) -> String {
    const BEFORE: usize = 12;
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let start = same.saturating_sub(BEFORE);
    let piece = |bytes: &[u8]| {
        let rest = bytes.get(start..).unwrap_or_default();
        let shown = &rest[..rest.len().min(VALUE)];
        let before = if start > 0 { "…" } else { "" };
        let after = if shown.len() < rest.len() { "…" } else { "" };
        format!("{before}{}{after}", text::quoted(shown))
    };
    let lengths = if old.len() == new.len() {
        text::count(old.len() as u64, "byte")
    } else {
        format!("{} -> {}", text::grouped(old.len() as u64), text::count(new.len() as u64, "byte"))
    };
    format!("{place} from byte {same}: {} -> {}  ({lengths})", piece(old), piece(new))
}

fn aspect_text(aspect: &Aspect) -> String {
    match aspect {
        Aspect::Type => "type".into(),
        Aspect::Expiry => "expiry".into(),
        Aspect::Idle => "idle time".into(),
        Aspect::Freq => "access counter".into(),
        Aspect::Value(place) => {
            let (mut words, names) = place_words(place);
            for name in names {
                words = words.replacen('%', &name_text(name), 1);
            }
            words
        }
    }
}

/// A place in words, `%` for each name in it.
fn place_words(place: &Place<Vec<u8>>) -> (String, Vec<&[u8]>) {
    match place {
        Place::Whole => ("value".into(), vec![]),
        Place::Property(name) => ((*name).to_owned(), vec![]),
        Place::Index(i) => (format!("[{i}]"), vec![]),
        Place::Member(name) => ("member %".into(), vec![name]),
        Place::Field(name) => ("field %".into(), vec![name]),
        Place::Expiry(name) => ("expiry of %".into(), vec![name]),
        Place::Element(name) => ("vector of %".into(), vec![name]),
        Place::Attributes(name) => ("attributes of %".into(), vec![name]),
        Place::Entry(id) => (format!("entry {id}"), vec![]),
        Place::EntryField(id, i) => (format!("entry {id} field {i}"), vec![]),
        Place::Group(name) => ("group % last id".into(), vec![name]),
        Place::EntriesRead(name) => ("group % entries read".into(), vec![name]),
        Place::Consumer(group, name) => ("group % consumer %".into(), vec![group, name]),
        Place::Seen(group, name) => ("group % consumer % seen".into(), vec![group, name]),
        Place::Active(group, name) => ("group % consumer % active".into(), vec![group, name]),
        Place::Pending(group, id) => (format!("group % pending {id}"), vec![group]),
        Place::Nacked(group, i) => (format!("group % nacked [{i}]"), vec![group]),
        Place::Producer(name) => ("producer %".into(), vec![name]),
        Place::ProducerId(producer, iid) => ("producer % id %".into(), vec![producer, iid]),
        Place::Metadata(class) => (format!("metadata {}", class_name(*class)), vec![]),
    }
}

fn told_text(told: &Told<Vec<u8>>) -> String {
    match told {
        Told::Present => "there".into(),
        Told::Bytes(bytes) => short_text(bytes),
        Told::Pair(name, value) => format!("{} {}", short_text(name), short_text(value)),
        Told::Name(name) => (*name).to_owned(),
        Told::Number(Some(n)) => n.to_string(),
        Told::Number(None) => "unknown".into(),
        Told::Time(at) => text::timestamp(*at),
        Told::Score(score) => number_text(*score),
        Told::Float(float) => float.to_string(),
        Told::Id(id) => id.to_string(),
        Told::Vector(bytes) => vector_text(bytes),
        Told::Pending { consumer, delivered, deliveries } => {
            let who = consumer.as_ref().map_or("nobody's".to_owned(), |name| short_text(name));
            format!("{who}, delivered {}, {}", text::timestamp(*delivered), text::count(*deliveries, "time"))
        }
    }
}

fn short_text(bytes: &[u8]) -> String {
    match bytes.get(..VALUE) {
        Some(head) if bytes.len() > VALUE => format!("{}… ({} bytes)", text::quoted(head), bytes.len()),
        _ => text::quoted(bytes),
    }
}

/// A score as a server shows it.
fn number_text(score: f64) -> String {
    let mut out = Vec::new();
    rdbkit::codec::double::write(score, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn vector_text(bytes: &[u8]) -> String {
    const SHOWN: usize = 4;
    let mut components = components(bytes);
    let first: Vec<String> = components.by_ref().take(SHOWN).map(|c| c.to_string()).collect();
    let more = if components.next().is_some() { ", …" } else { "" };
    format!("({}{more})", first.join(", "))
}

fn components(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c))
}

/// What the text ends with.
pub(super) fn totals_line(totals: &Totals, only: bool) -> String {
    let Totals { left, right, same, added, removed, changed, loose, told } = *totals;
    if totals.is_same() {
        return format!("the same: {}\n", text::count(left, "key"));
    }
    let mut line = format!(
        "{} and {}: {} the same, {} added, {} removed, {} changed",
        text::count(left, "key"),
        text::count(right, "key"),
        text::grouped(same),
        text::grouped(added),
        text::grouped(removed),
        text::grouped(changed)
    );
    if loose > 0 {
        line.push_str(&format!("; beside the keys {}", text::count(loose, "difference")));
    }
    let untold = added + removed + changed + loose - told;
    if untold > 0 && !only {
        line.push_str(&format!(" ({} not shown)", text::grouped(untold)));
    }
    line.push('\n');
    line
}

/// The counts as JSON.
pub(super) fn totals_json(totals: &Totals) -> Value {
    json!({"summary": {
        "equal": totals.is_same(), "left": totals.left, "right": totals.right, "same": totals.same,
        "added": totals.added, "removed": totals.removed, "changed": totals.changed, "besideKeys": totals.loose,
        "shown": totals.told,
    }})
}

/// A change as JSON.
pub(super) fn change_json(change: &Change) -> Value {
    let name = match &change.how {
        How::Added(_) => "added",
        How::Removed(_) => "removed",
        How::Changed { .. } => "changed",
    };
    let mut object = match &change.subject {
        Subject::Key { db, key } => json!({"change": name, "db": db, "key": json_bytes(key)}),
        Subject::Loose(Loose::Function(library)) => json!({"change": name, "function": json_bytes(library)}),
        Subject::Loose(Loose::ModuleAux(module, when)) => json!({"change": name, "moduleAux": module, "when": when}),
    };
    match &change.how {
        How::Added(outline) | How::Removed(outline) => {
            if !outline.type_name.is_empty() {
                object["type"] = json!(outline.type_name);
            }
            if let Some(n) = outline.elements {
                object["elements"] = json!(n);
            }
            if let Some(at) = outline.expiry {
                object["expireAt"] = json!(at);
            }
        }
        How::Changed { type_name, count, first } if !type_name.is_empty() => {
            object["type"] = json!(type_name);
            object["count"] = json!(count);
            object["differences"] = first.iter().map(difference_json).collect();
        }
        How::Changed { .. } => {}
    }
    object
}

fn difference_json(difference: &Difference) -> Value {
    let told = |told: &Option<Told<Vec<u8>>>| told.as_ref().map_or(Value::Null, told_json);
    json!({"path": path_json(&difference.aspect), "old": told(&difference.old), "new": told(&difference.new)})
}

/// The path of a difference: words, names, numbers.
fn path_json(aspect: &Aspect) -> Value {
    match aspect {
        Aspect::Type => json!(["type"]),
        Aspect::Expiry => json!(["expireAt"]),
        Aspect::Idle => json!(["idle"]),
        Aspect::Freq => json!(["freq"]),
        Aspect::Value(Place::Index(i)) => json!(["index", i]),
        Aspect::Value(Place::Entry(id)) => json!(["entry", id.to_string()]),
        Aspect::Value(Place::EntryField(id, i)) => json!(["entry", id.to_string(), "field", i]),
        Aspect::Value(Place::Pending(group, id)) => json!(["group", json_bytes(group), "pending", id.to_string()]),
        Aspect::Value(Place::Nacked(group, i)) => json!(["group", json_bytes(group), "nacked", i]),
        Aspect::Value(place) => {
            let (words, names) = place_words(place);
            let mut names = names.into_iter();
            let part = |word: &str| match word {
                "%" => names.next().map_or(Value::Null, json_bytes),
                word => json!(word),
            };
            words.split(' ').filter(|word| *word != "of").map(part).collect()
        }
    }
}

fn told_json(told: &Told<Vec<u8>>) -> Value {
    match told {
        Told::Present => json!(true),
        Told::Bytes(bytes) => json_bytes(bytes),
        Told::Pair(name, value) => json!([json_bytes(name), json_bytes(value)]),
        Told::Name(name) => json!(name),
        Told::Number(n) => json!(n),
        Told::Time(at) => json!(at),
        // As in backups: what JSON has no number for is a string.
        Told::Score(score) if !score.is_finite() || *score == 0.0 && score.is_sign_negative() => {
            json!(number_text(*score))
        }
        Told::Score(score) => json!(score),
        Told::Float(float) => json!(float),
        Told::Id(id) => json!(id.to_string()),
        Told::Vector(bytes) => components(bytes).map(|component| json!(component)).collect(),
        Told::Pending { consumer, delivered, deliveries } => json!({
            "consumer": consumer.as_ref().map(|name| json_bytes(name)), "deliveredAt": delivered,
            "deliveries": deliveries,
        }),
    }
}
