//! Everything that is known of a dump's memory as one JSON object: what `memory --format json` prints and what the page
//! draws.

use serde_json::{Map, Value, json};

use crate::analysis::footprint::{
    Dissected, FREQ_NAMES, Finding, IDLE_NAMES, KeyUsage, Measure, Outline, SIZES, Share, TTL_NAMES, Tally, key_object,
    skew,
};
use crate::json;
use crate::text;

/// The object. `shards` is how many shards the slots are dealt to.
pub fn document(name: &str, dissected: &Dissected, outline: &Outline, findings: &[Finding], shards: u16) -> Value {
    let Dissected { footprint, origin, model, used, created, end, damage, .. } = dissected;
    let sizes: Vec<String> = SIZES.iter().map(|bound| format!("≤ {}", text::bytes(*bound))).collect();
    let sizes: Vec<&str> = sizes.iter().map(String::as_str).chain(["larger"]).collect();
    let measures = Measure::ALL.into_iter().zip(["memory", "size", "elements", "largest"]);
    let shards = footprint.slots.shards(shards);
    let error = |e: &crate::Error| json!({"offset": e.offset(), "db": e.db(), "key": e.key().map(text::escaped), "reason": e.reason()});
    json!({
        "file": name,
        "server": origin.server_name(),
        "rdbVersion": origin.version,
        "created": created,
        "size": end.as_ref().map(|end| end.size),
        "complete": damage.is_none(),
        "damage": dissected.trouble().map(error),
        "keys": footprint.seen,
        "expiring": footprint.expiring,
        "memory": footprint.total.memory,
        "margin": footprint.total.margin(),
        "keySpace": dissected.key_space(),
        "explained": dissected.explained(),
        "model": model,
        "bytes": footprint.total.bytes,
        "usedMemory": used,
        "findings": findings.iter().map(|found| json!({
            "weight": found.weight.name(), "title": found.title, "detail": found.detail, "advice": found.advice,
        })).collect::<Vec<_>>(),
        "types": footprint.types.iter().map(|(key, sums)| {
            tally(sums, [("type", json!(key.type_name())), ("encoding", json!(key.encoding))])
        }).collect::<Vec<_>>(),
        "databases": footprint.databases.iter().map(|(db, sums)| {
            tally(sums, [("db", if *db == u64::MAX { Value::Null } else { json!(db) })])
        }).collect::<Vec<_>>(),
        "prefixes": prefixes(outline),
        "top": measures.map(|(measure, name)| {
            (name.to_owned(), footprint.tops.by(measure).iter().map(key).collect())
        }).collect::<Map<_, _>>(),
        "ttl": classes(&TTL_NAMES, &footprint.ttl.0),
        "sizes": classes(&sizes, &footprint.sizes.0),
        "idle": classes(&IDLE_NAMES, &footprint.idle.0),
        "freq": classes(&FREQ_NAMES, &footprint.freq.0),
        "slots": {
            "used": footprint.slots.used(),
            "skew": skew(&shards),
            "shards": shards.iter().map(slots).collect::<Vec<_>>(),
            "bins": footprint.slots.bins(128),
            "heaviest": footprint.slots.heaviest(10).iter().map(slots).collect::<Vec<_>>(),
        },
    })
}

/// Sums, behind what they are of.
fn tally<const N: usize>(tally: &Tally, what: [(&str, Value); N]) -> Value {
    let mut object: Map<String, Value> = what.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for (name, n) in [
        ("keys", tally.keys),
        ("memory", tally.memory),
        ("bytes", tally.bytes),
        ("noExpiryKeys", tally.lasting),
        ("noExpiryMemory", tally.lasting_memory),
    ] {
        object.insert(name.to_owned(), json!(n));
    }
    if tally.margin() > 0 {
        object.insert("margin".to_owned(), json!(tally.margin()));
    }
    Value::Object(object)
}

fn classes(names: &[&str], tallies: &[Tally]) -> Value {
    if tallies.iter().all(|tally| tally.keys == 0) {
        return json!([]);
    }
    names.iter().zip(tallies).map(|(name, sums)| tally(sums, [("class", json!(name))])).collect()
}

/// Bytes as the JSON of exports has them: a string, or base64.
pub fn bytes(bytes: &[u8]) -> Value {
    let mut out = Vec::new();
    json::write_string(bytes, &mut out);
    parsed(&out)
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("our own JSON is JSON")
}

fn key(usage: &KeyUsage) -> Value {
    let mut out = Vec::new();
    key_object(usage, &mut out);
    parsed(&out)
}

fn slots(share: &Share) -> Value {
    json!({"from": share.slots.start(), "to": share.slots.end(), "keys": share.keys, "memory": share.memory})
}

fn prefixes(outline: &Outline) -> Value {
    let one = |node: &Outline| {
        let mut object = tally(&node.tally, [("prefix", bytes(&node.name))]);
        object["type"] = json!(node.kind.map(|kind| kind.name()));
        for (name, is) in
            [("rest", node.is_rest.then(|| json!(true))), ("lacking", (node.lacking > 0).then(|| json!(node.lacking)))]
        {
            if let Some(value) = is {
                object[name] = value;
            }
        }
        if !node.children.is_empty() {
            object["children"] = prefixes(node);
        }
        object
    };
    outline.children.iter().map(one).collect()
}
