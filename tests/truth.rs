//! What servers said was in their dumps, and what an export says of it: the same, or a list of differences.
//!
//! A truth file holds bytes as latin-1 text: `"\u00ff"` is the byte 0xff. An export holds them as UTF-8 text, or as
//! `{"base64":"…"}`.

use std::collections::{BTreeMap, HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json::Json;

/// The bytes of a string in a truth file. Numbers stand for their text.
pub(crate) fn told(x: &Json) -> Vec<u8> {
    match x {
        Json::Number(text) => text.clone().into_bytes(),
        other => other.str().chars().map(|c| u8::try_from(c).expect("truth is latin-1")).collect(),
    }
}

/// The bytes of a string in an export.
pub(crate) fn exported(x: &Json) -> Vec<u8> {
    match x.get("base64") {
        Some(coded) if x.members().len() == 1 => {
            let bytes = STANDARD.decode(coded.str()).expect("base64");
            assert!(std::str::from_utf8(&bytes).is_err(), "{x:?} is text, and should have been written as text");
            bytes
        }
        _ => x.str().as_bytes().to_vec(),
    }
}

/// A member's bytes that only their owner understands.
fn raw(entry: &Json) -> Vec<u8> {
    STANDARD.decode(entry.at("raw").str()).expect("base64")
}

/// Where a key is: database and name.
pub(crate) type Place = (u64, Vec<u8>);

/// What a server said of a dump.
pub(crate) struct Truth {
    pub(crate) json: Json,
    /// The keys that it showed.
    pub(crate) keys: Vec<(Place, Json)>,
    /// Keys that it hid as their expiry had passed; the file may hold them or not.
    pub(crate) expired: HashSet<Vec<u8>>,
}

impl Truth {
    pub(crate) fn new(json: Json) -> Truth {
        let mut keys = Vec::new();
        for (db, entries) in json.at("dbs").members() {
            keys.extend(entries.items().iter().map(|e| ((db.parse().unwrap(), told(e.at("key"))), e.clone())));
        }
        // Keys of slots that were still on their way in: hidden too, but in the file.
        let importing = json.get("importing_keys").map_or(&[][..], Json::items);
        keys.extend(importing.iter().map(|e| ((0, told(e.at("key"))), e.clone())));
        let expired = json.get("expired_keys").map_or(&[][..], Json::items).iter().map(told).collect();
        Truth { json, keys, expired }
    }

    pub(crate) fn header(&self) -> &str {
        self.json.at("header").str()
    }

    /// All that is wrong with the entries of an export: a line each.
    pub(crate) fn differences(&self, entries: &[&Json]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut got: HashMap<Place, &Json> = HashMap::new();
        for entry in entries {
            let place = (entry.at("db").int().cast_unsigned(), exported(entry.at("key")));
            if got.insert(place.clone(), entry).is_some() {
                wrong.push(format!("{}: stands twice", show(&place)));
            }
        }
        for (place, want) in &self.keys {
            match got.remove(place) {
                Some(entry) => wrong.extend(self.key(want, entry).iter().map(|why| format!("{}: {why}", show(place)))),
                None => wrong.push(format!("{}: is missing", show(place))),
            }
        }
        let unknown = got.keys().filter(|(_, key)| !self.expired.contains(key));
        wrong.extend(unknown.map(|place| format!("{}: the server knew no such key", show(place))));
        wrong
    }

    /// What is wrong with one key.
    fn key(&self, want: &Json, got: &Json) -> Vec<String> {
        let mut wrong = Wrong(Vec::new());
        wrong.expiry(want, got, self.header());
        wrong.frequency(want, got);
        let kind = want.at("type").str();
        let told_type = got.at("type").str();
        if !BASIC.contains(&kind) {
            wrong.same("type", &"module", &told_type);
            wrong.same("module", &Some(kind), &got.get("module").map(Json::str));
            wrong.raw(want, got);
        } else if kind != told_type {
            wrong.same("type", &kind, &told_type);
        } else {
            wrong.value(kind, want, got, !self.expired.is_empty());
        }
        wrong.0
    }
}

fn show((db, key): &Place) -> String {
    format!("db {db}, key {:?}", String::from_utf8_lossy(key))
}

const BASIC: [&str; 8] = ["string", "list", "set", "zset", "hash", "stream", "array", "vectorset"];

/// A collector of complaints.
struct Wrong(Vec<String>);

impl Wrong {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, want: &T, got: &T) {
        if want != got {
            let short = |x: &T| format!("{x:?}").chars().take(120).collect::<String>();
            self.0.push(format!("{what}: wanted {}, got {}", short(want), short(got)));
        }
    }

    fn expiry(&mut self, want: &Json, got: &Json, header: &str) {
        let got = got.get("expireAt").map(Json::int);
        let exact = want.some("expire_ms").map(Json::int);
        // Before 7.0 a server tells how long a key has left, not until when.
        let range = match want.some("expire_ms_between") {
            Some(range) => Some((range.items()[0].int(), range.items()[1].int())),
            None => exact.map(|at| (at, at)),
        };
        // TTL of 2.0 answers a 32-bit number of seconds: of a key that goes later it knows no expiry.
        let untold = header == "REDIS0001" && range.is_none() && got.is_some_and(|at| at > i64::from(i32::MAX) * 1000);
        let right = match (range, got) {
            (None, None) => true,
            (Some((low, high)), Some(at)) => (low - 1000..=high + 1000).contains(&at),
            (None, Some(_)) => untold,
            (Some(_), None) => false,
        };
        if !right {
            self.0.push(format!("expireAt: wanted {range:?}, got {got:?}"));
        }
    }

    /// The counter decays and grows at random, between the question and the save as well.
    fn frequency(&mut self, want: &Json, got: &Json) {
        if let (Some(want), Some(got)) = (want.some("freq"), got.get("freq"))
            && (want.int() - got.int()).abs() > 3
        {
            self.same("freq", want, got);
        }
    }

    fn value(&mut self, kind: &str, want: &Json, got: &Json, some_expired: bool) {
        let (w, g) = (want.at("value"), got.at("value"));
        match kind {
            "string" => self.same("value", &told(w), &exported(g)),
            "list" => self.same("items", &all(w, told), &all(g, exported)),
            "set" => self.same("members", &sorted(all(w, told)), &sorted(all(g, exported))),
            "zset" => self.zset(w, g),
            "hash" => self.hash(want, got, some_expired),
            "array" => self.array(want, got),
            "vectorset" => self.vectorset(want, got),
            "stream" => self.stream(want, g),
            _ => unreachable!("all basic types are listed"),
        }
    }

    fn zset(&mut self, want: &Json, got: &Json) {
        let pairs = |all: &Json, bytes: fn(&Json) -> Vec<u8>| -> Vec<(Vec<u8>, Score)> {
            sorted(all.items().iter().map(|p| (bytes(&p.items()[0]), Score::of(&p.items()[1]))).collect())
        };
        self.same("members", &pairs(want, told), &pairs(got, exported));
    }

    fn hash(&mut self, want: &Json, got: &Json, some_expired: bool) {
        let wanted = sorted(all(want.at("value"), pair_told));
        let mut fields = sorted(pairs(got.at("value")));
        let none = Json::Object(Vec::new());
        let expiries = want.some("field_expire_ms").unwrap_or(&none).members().iter();
        let expiries = expiries.filter(|(_, at)| *at != Json::Null && at.int() > 0);
        let wanted_expiries: BTreeMap<Vec<u8>, i64> =
            expiries.map(|(name, at)| (told(&Json::Text(name.clone())), at.int())).collect();
        let mut got_expiries = field_expiries(got);
        if some_expired {
            // Fields whose expiry had passed may stand in the file, although the server no longer showed them.
            let gone = |name: &Vec<u8>| !wanted.iter().any(|(known, _)| known == name);
            fields.retain(|(name, _)| !(gone(name) && got_expiries.contains_key(name)));
            got_expiries.retain(|name, _| !gone(name));
        }
        self.same("fields", &wanted, &fields);
        self.same("fieldExpireAt", &wanted_expiries, &got_expiries);
    }

    fn array(&mut self, want: &Json, got: &Json) {
        let slots = |all: &Json, bytes: fn(&Json) -> Vec<u8>| -> Vec<(String, Vec<u8>)> {
            all.items().iter().map(|slot| (number(&slot.items()[0]), bytes(&slot.items()[1]))).collect()
        };
        self.same("items", &slots(want.at("value"), told), &slots(got.at("value"), exported));
    }

    fn vectorset(&mut self, want: &Json, got: &Json) {
        self.raw(want, got);
        let value = got.at("value");
        let info = want.at("vinfo");
        self.same("dim", info.at("vector-dim"), value.at("dim"));
        self.same("m", info.at("hnsw-m"), value.at("m"));
        self.same("quantization", info.at("quant-type"), value.at("quantization"));
        let by_name = |all: &Json, bytes: fn(&Json) -> Vec<u8>| -> BTreeMap<Vec<u8>, Json> {
            all.items().iter().map(|e| (bytes(e.at("element")), e.clone())).collect()
        };
        let (wanted, got) = (by_name(want.at("value"), told), by_name(value.at("elements"), exported));
        self.same("elements", &wanted.keys().collect::<Vec<_>>(), &got.keys().collect());
        for (name, element) in &wanted {
            let Some(found) = got.get(name) else { continue };
            self.same("attributes", &element.some("attr").map(told), &found.some("attributes").map(exported));
            if !close(&floats(element.at("vemb")), &floats(found.at("vector"))) {
                self.0.push(format!("the vector of {:?}", String::from_utf8_lossy(name)));
            }
        }
    }

    /// The bytes that DUMP answered, without type and id in front and version and checksum behind.
    fn raw(&mut self, want: &Json, got: &Json) {
        // A graph is cut in pieces by the module when it is saved, not when it is dumped.
        let Some(dump) = want.some("dump").filter(|_| want.at("type").str() != "graphdata") else { return };
        let dump = unhex(dump.str());
        let head = dump[..dump.len() - 10].strip_suffix(raw(got).as_slice());
        // Type byte and id of nine bytes; metadata before them is not the value's. Type 6 is that of the first form.
        let type_byte = head.and_then(|head| head.len().checked_sub(10).map(|at| head[at]));
        let wanted = if got.get("preGa").is_some() { 6 } else { 7 };
        self.same("raw, behind the type byte that DUMP gives", &Some(wanted), &type_byte);
    }

    fn stream(&mut self, want: &Json, got: &Json) {
        let wanted: Vec<_> =
            want.at("value").items().iter().map(|e| entry(&e.items()[0], &e.items()[1], told)).collect();
        let entries: Vec<_> =
            got.at("entries").items().iter().map(|e| entry(e.at("id"), e.at("fields"), exported)).collect();
        self.same("entries", &wanted, &entries);
        let empty = Json::Object(Vec::new());
        let info = want.some("xinfo_full").or(want.some("xinfo")).unwrap_or(&empty);
        for (told, ours) in STREAM_FACTS {
            if let Some(fact) = info.some(told) {
                self.same(ours, &text(fact), &got.get(ours).map_or(String::new(), text));
            }
        }
        if let Some(Json::Array(groups)) = info.get("groups") {
            self.same("number of groups", &groups.len(), &got.at("groups").items().len());
            groups.iter().for_each(|group| self.group(group, got));
        }
        self.old_groups(want, got);
        self.idempotency(info, got);
    }

    fn group(&mut self, want: &Json, stream: &Json) {
        let name = told(want.at("name"));
        let Some(got) = stream.at("groups").items().iter().find(|g| exported(g.at("name")) == name) else {
            return self.0.push(format!("group {:?} is missing", String::from_utf8_lossy(&name)));
        };
        self.same("lastId of a group", want.at("last-delivered-id"), got.at("lastId"));
        if let Some(read) = want.get("entries-read") {
            self.same("entriesRead of a group", &Some(read), &got.get("entriesRead"));
        }
        self.same("pending", &sorted(all(want.at("pending"), pending_told)), &sorted(all(got.at("pending"), pending)));
        let consumers = |group: &Json, bytes: fn(&Json) -> Vec<u8>| {
            sorted(group.at("consumers").items().iter().map(|c| bytes(c.at("name"))).collect())
        };
        self.same("consumers", &consumers(want, told), &consumers(got, exported));
        self.times(want, got);
    }

    /// When consumers were last seen, and last did something.
    fn times(&mut self, want: &Json, got: &Json) {
        for consumer in want.at("consumers").items() {
            let name = told(consumer.at("name"));
            let found = got.at("consumers").items().iter().find(|c| exported(c.at("name")) == name);
            let Some(found) = found else { continue };
            self.same("seenAt", &Some(consumer.at("seen-time")), &found.get("seenAt"));
            if let Some(active) = consumer.get("active-time") {
                let active = if active.int() == -1 { &Json::Null } else { active };
                self.same("activeAt", &Some(active), &found.get("activeAt"));
            }
        }
    }

    /// Servers before 6.0 have no XINFO STREAM … FULL; XINFO GROUPS counts.
    fn old_groups(&mut self, want: &Json, got: &Json) {
        let Some(groups) = want.some("xinfo_groups") else { return };
        let wanted = groups.items().iter().map(|g| {
            let counts = [g.at("consumers").int(), g.at("pending").int()];
            (told(g.at("name")), text(g.at("last-delivered-id")), counts)
        });
        let found = got.at("groups").items().iter().map(|g| {
            let counts = ["consumers", "pending"].map(|what| g.at(what).items().len() as i64);
            (exported(g.at("name")), text(g.at("lastId")), counts)
        });
        self.same("groups in short", &sorted(wanted.collect()), &sorted(found.collect()));
    }

    fn idempotency(&mut self, info: &Json, got: &Json) {
        for (told, ours) in IDEMPOTENCY_FACTS {
            // Before 8.8 a stream that never saw a producer has nothing of it in the file.
            if let (Some(fact), Some(idmp)) = (info.some(told), got.get("idmp")) {
                self.same(ours, fact, idmp.at(ours));
            }
        }
    }
}

/// What XINFO STREAM calls it, and what the export does.
const STREAM_FACTS: [(&str, &str); 4] = [
    ("last-generated-id", "lastId"),
    ("max-deleted-entry-id", "maxDeletedId"),
    ("recorded-first-entry-id", "firstId"),
    ("entries-added", "entriesAdded"),
];

const IDEMPOTENCY_FACTS: [(&str, &str); 4] = [
    ("idmp-duration", "duration"),
    ("idmp-maxsize", "maxEntries"),
    ("iids-added", "added"),
    ("iids-duplicates", "duplicates"),
];

/// A score, bit by bit; there is one NaN, and a server's packed list knows no minus zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Score(u64);

impl Score {
    fn of(x: &Json) -> Score {
        let number: f64 = text(x).parse().unwrap_or_else(|e| panic!("{x:?}: {e}"));
        Score(if number == 0.0 { 0 } else { number.to_bits() })
    }
}

/// A number or a string, as text.
fn text(x: &Json) -> String {
    match x {
        Json::Number(text) | Json::Text(text) => text.clone(),
        other => panic!("neither number nor string: {other:?}"),
    }
}

fn number(x: &Json) -> String {
    text(x)
}

fn all<T>(items: &Json, one: impl Fn(&Json) -> T) -> Vec<T> {
    items.items().iter().map(one).collect()
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

type Pair = (Vec<u8>, Vec<u8>);

fn pair_told(pair: &Json) -> Pair {
    (told(&pair.items()[0]), told(&pair.items()[1]))
}

/// Fields and values of an exported hash: an object, or pairs.
pub(crate) fn pairs(value: &Json) -> Vec<Pair> {
    match value {
        Json::Object(members) => members.iter().map(|(n, v)| (n.clone().into_bytes(), exported(v))).collect(),
        pairs => all(pairs, |pair| (exported(&pair.items()[0]), exported(&pair.items()[1]))),
    }
}

fn field_expiries(entry: &Json) -> BTreeMap<Vec<u8>, i64> {
    match entry.get("fieldExpireAt") {
        None => BTreeMap::new(),
        Some(Json::Object(members)) => members.iter().map(|(n, at)| (n.clone().into_bytes(), at.int())).collect(),
        Some(pairs) => pairs.items().iter().map(|p| (exported(&p.items()[0]), p.items()[1].int())).collect(),
    }
}

fn entry(id: &Json, fields: &Json, bytes: fn(&Json) -> Vec<u8>) -> (String, Vec<Pair>) {
    (id.str().to_owned(), all(fields, |pair| (bytes(&pair.items()[0]), bytes(&pair.items()[1]))))
}

/// Id, consumer, delivery time, deliveries.
type Pending = (String, Vec<u8>, i64, i64);

fn pending_told(x: &Json) -> Pending {
    let x = x.items();
    (x[0].str().to_owned(), told(&x[1]), x[2].int(), x[3].int())
}

/// An entry that nobody has is shown with an empty name by a server, with null by us.
fn pending(x: &Json) -> Pending {
    let consumer = x.some("consumer").map_or(Vec::new(), exported);
    (x.at("id").str().to_owned(), consumer, x.at("deliveredAt").int(), x.at("deliveries").int())
}

fn floats(vector: &Json) -> Vec<f64> {
    all(vector, |x| text(x).parse().unwrap_or_else(|e| panic!("{x:?}: {e}")))
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0))
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}
