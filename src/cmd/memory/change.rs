//! What grew between two dumps, for people and for programs.

use rdbkit::analysis::footprint::{Change, Changed};
use rdbkit::analysis::report::bytes;
use rdbkit::text;
use serde_json::{Value, json};

use super::tables::fit;
use crate::table::Table;

/// `+1.5 MB`.
fn signed_bytes(n: i128) -> String {
    let sign = if n > 0 {
        "+"
    } else if n < 0 {
        "-"
    } else {
        ""
    };
    sign.to_owned() + &text::bytes(u64::try_from(n.unsigned_abs()).unwrap_or(u64::MAX))
}

fn signed(n: i128) -> String {
    let sign = if n > 0 {
        "+"
    } else if n < 0 {
        "-"
    } else {
        ""
    };
    sign.to_owned() + &text::grouped(u64::try_from(n.unsigned_abs()).unwrap_or(u64::MAX))
}

/// What part of the earlier memory it is: `+12.0 %`, `new`, `gone`.
fn ratio<T>(changed: &Changed<T>) -> String {
    match (changed.before.memory, changed.after.memory) {
        (0, 0) => String::new(),
        (0, _) => "new".into(),
        (_, 0) => "gone".into(),
        (before, _) => format!("{:+.1} %", changed.memory() as f64 / before as f64 * 100.0),
    }
}

fn row<T>(name: String, changed: &Changed<T>) -> Vec<String> {
    vec![
        name,
        signed_bytes(changed.memory()),
        ratio(changed),
        text::bytes(changed.before.memory),
        text::bytes(changed.after.memory),
        signed(changed.keys()),
        text::grouped(changed.after.keys),
    ]
}

pub(super) fn as_text(change: &Change, earlier: &str, later: &str) -> String {
    let mut out = format!("{earlier} → {later}\n\n");
    let table = |name: &str| Table::new(&[name, ">change", "", ">before", ">after", ">keys", ">now"]).indented(2);
    let mut whole = table("");
    whole.row(row("all keys".into(), &change.total));
    whole.flush(&mut out);
    let changed = |changed: &Changed<Vec<u8>>| row(fit(&changed.what, 44), changed);
    for (title, rows) in [
        ("by prefix", change.prefixes.iter().map(changed).collect::<Vec<_>>()),
        (
            "by type",
            change.types.iter().map(|c| row(format!("{} {}", c.what.type_name(), c.what.encoding), c)).collect(),
        ),
        ("by database", change.databases.iter().map(|c| row(format!("db {}", c.what), c)).collect()),
    ] {
        if rows.is_empty() || title == "by database" && rows.len() < 2 {
            continue;
        }
        out.push_str(&format!("\n{title}\n"));
        let mut table = table("");
        rows.into_iter().for_each(|row| table.row(row));
        table.flush(&mut out);
    }
    out
}

pub(super) fn as_json(change: &Change, earlier: &str, later: &str) -> String {
    fn both<T>(name: &str, what: Value, changed: &Changed<T>) -> Value {
        let side = |tally: &rdbkit::analysis::footprint::Tally| json!({"keys": tally.keys, "memory": tally.memory, "bytes": tally.bytes, "margin": tally.margin()});
        let memory = i64::try_from(changed.memory()).unwrap_or(i64::MAX);
        json!({name: what, "change": memory, "before": side(&changed.before), "after": side(&changed.after)})
    }
    let report = json!({
        "before": earlier,
        "after": later,
        "total": both("of", json!("all keys"), &change.total),
        "prefixes": change.prefixes.iter().map(|c| both("prefix", bytes(&c.what), c)).collect::<Vec<_>>(),
        "types": change.types.iter().map(|c| {
            both("type", json!([c.what.type_name(), c.what.encoding]), c)
        }).collect::<Vec<_>>(),
        "databases": change.databases.iter().map(|c| both("db", json!(c.what), c)).collect::<Vec<_>>(),
    });
    format!("{report}\n")
}
