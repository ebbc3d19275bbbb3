//! Every dump that a real server saved, held against what that server said was in it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use rdbkit::codec::crc64::Xz;

use crate::harness::{TUTORIAL, read, run, testdata, tutorial};
use crate::json::{Json, must_parse, parse};
use crate::truth::{Truth, exported, told};

/// A dump with its truth.
pub(crate) struct Case {
    pub(crate) server: String,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    truth: PathBuf,
}

impl Case {
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        read(&self.path)
    }

    pub(crate) fn truth(&self) -> Truth {
        let bytes = read(&self.truth);
        let plain = self.truth.extension().is_some_and(|extension| extension == "json");
        let json = if plain { bytes } else { zstd::decode_all(bytes.as_slice()).unwrap() };
        Truth::new(parse(std::str::from_utf8(&json).unwrap()).unwrap())
    }

    /// The export, made only once for all tests.
    fn export(&self, format: &'static str, threads: u32) -> Arc<Vec<u8>> {
        type Exports = HashMap<(PathBuf, &'static str, u32), Arc<Vec<u8>>>;
        static MADE: LazyLock<Mutex<Exports>> = LazyLock::new(Mutex::default);
        let which = (self.path.clone(), format, threads);
        if let Some(made) = MADE.lock().unwrap().get(&which) {
            return made.clone();
        }
        let args = ["export", "--format", format, "--threads", &threads.to_string()];
        let export = Arc::new(run(args).args([&self.path]).ok().stdout);
        MADE.lock().unwrap().insert(which, export.clone());
        export
    }
}

/// One dump of the corpus.
pub(crate) fn case(server: &str, name: &str) -> Case {
    let folder = corpus().join(server);
    let truth = folder.join(format!("{name}.expect.json.zst"));
    Case { server: server.into(), name: name.into(), path: folder.join(format!("{name}.rdb")), truth }
}

/// Where the dumps are: in the repository, or in a larger corpus of the same layout, for the tests that need no truth
/// but a server's.
fn corpus() -> PathBuf {
    std::env::var_os("RDBKIT_CORPUS").map_or_else(|| testdata("corpus"), PathBuf::from)
}

/// All dumps of the corpus, and the tutorial's.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![Case {
        server: "redis-6.2.14".into(),
        name: "tutorial".into(),
        path: testdata("tutorial.rdb"),
        truth: testdata("tutorial.truth.json"),
    }];
    for server in crate::harness::names(&corpus()).iter().filter(|name| corpus().join(name).is_dir()) {
        let names = crate::harness::names(&corpus().join(server));
        cases.extend(names.iter().filter_map(|name| name.strip_suffix(".rdb")).map(|name| case(server, name)));
    }
    assert!(cases.len() > 180, "the corpus has only {} dumps", cases.len());
    cases
}

/// Does something with every case; a complaint names the case.
fn for_each(mut test: impl FnMut(&Case) -> Vec<String>) {
    let mut wrong = Vec::new();
    for case in cases() {
        wrong.extend(test(&case).iter().map(|why| format!("{}: {why}", case.id())));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

/// The keys among the lines of an NDJSON export.
fn entries(lines: &[Json]) -> Vec<&Json> {
    lines.iter().filter(|line| line.get("key").is_some()).collect()
}

fn lines(ndjson: &[u8]) -> Vec<Json> {
    ndjson.strip_suffix(b"\n").expect("a last line").split(|b| *b == b'\n').map(must_parse).collect()
}

#[test]
fn json_holds_what_the_server_said() {
    for_each(|case| {
        let document = must_parse(&case.export("json", 1));
        case.truth().differences(&entries(document.at("keys").items()))
    });
}

#[test]
fn ndjson_holds_what_the_server_said() {
    for_each(|case| case.truth().differences(&entries(&lines(&case.export("ndjson", 2)))));
}

#[test]
fn the_number_of_threads_does_not_show() {
    for_each(|case| {
        let mut wrong = Vec::new();
        for format in ["json", "ndjson"] {
            let one = case.export(format, 1);
            wrong.extend(
                [2, 4]
                    .iter()
                    .filter(|threads| case.export(format, **threads) != one)
                    .map(|threads| format!("{format} with {threads} threads is not what it is with one")),
            );
        }
        wrong
    });
}

#[test]
fn json_is_ndjson_in_a_frame() {
    for_each(|case| {
        let (json, ndjson) = (case.export("json", 2), case.export("ndjson", 2));
        let (json, ndjson) = (std::str::from_utf8(&json).unwrap(), std::str::from_utf8(&ndjson).unwrap());
        let body = json.split_once("\"keys\":[\n").expect("keys").1.rsplit_once("],\n\"end\":").expect("end").0;
        let body: Vec<&str> = body.lines().map(|line| line.strip_suffix(',').unwrap_or(line)).collect();
        let lines: Vec<&str> = ndjson.lines().collect();
        if body == lines[1..lines.len() - 1] { vec![] } else { vec!["the lines between the frames differ".into()] }
    });
}

/// What is wrong with an export's last line.
fn trailer(export: &[u8], keys: usize) -> Vec<String> {
    let text = std::str::from_utf8(export).unwrap();
    let (before, rest) = text.rsplit_once("\"crc64\":\"").expect("a checksum");
    let mut crc = Xz::default();
    crc.update(&export[..before.len() + "\"crc64\":\"".len()]);
    let mut wrong = Vec::new();
    if rest != format!("{:016x}\"}}}}\n", crc.value()) {
        wrong.push(format!("the checksum is {:016x}, the export ends with {rest:?}", crc.value()));
    }
    if !before.ends_with(&format!("\"end\":{{\"keys\":{keys},")) {
        wrong.push(format!("the trailer does not say {keys} keys"));
    }
    wrong
}

#[test]
fn trailers_count_the_keys_and_have_the_checksum_of_what_is_before_them() {
    for_each(|case| {
        let mut wrong = Vec::new();
        for format in ["json", "ndjson"] {
            let export = case.export(format, 4);
            let text = std::str::from_utf8(&export).unwrap();
            let keys = text.lines().filter(|line| line.starts_with("{\"db\":")).count();
            wrong.extend(trailer(&export, keys));
        }
        wrong
    });
}

#[test]
fn a_cut_or_edited_export_does_not_have_its_checksum() {
    let whole = run(["export", TUTORIAL]).ok().stdout;
    assert_eq!(trailer(&whole, 11), [""; 0]);
    for at in (0..whole.len() - 21).step_by(7) {
        let mut edited = whole.clone();
        edited[at] ^= 1;
        if std::str::from_utf8(&edited).is_ok_and(|text| text.contains("\"crc64\":\"")) {
            assert_ne!(trailer(&edited, 11), [""; 0], "byte {at} was edited");
        }
        let mut cut = whole.clone();
        cut.drain(at..at + 1);
        if std::str::from_utf8(&cut).is_ok_and(|text| text.contains("\"crc64\":\"")) {
            assert_ne!(trailer(&cut, 11), [""; 0], "byte {at} was left out");
        }
    }
}

#[test]
fn functions_are_those_of_the_server() {
    for_each(|case| {
        let truth = case.truth();
        let Some(wanted) = truth.json.get("functions") else { return vec![] };
        let document = must_parse(&case.export("json", 1));
        let mut wanted: Vec<Vec<u8>> = wanted.items().iter().map(|f| told(f.at("library_code"))).collect();
        // Libraries of the release candidates are objects.
        let code = |f: &Json| exported(f.get("code").unwrap_or(f));
        let mut got: Vec<Vec<u8>> = document.at("functions").items().iter().map(code).collect();
        wanted.sort();
        got.sort();
        let wrong = wanted != got;
        wrong.then(|| format!("functions: wanted {}, got {}", wanted.len(), got.len())).into_iter().collect()
    });
}

#[test]
fn get_shows_every_small_value() {
    for case in cases().iter().filter(|case| case.name == "small") {
        let truth = case.truth();
        let shown: Vec<Json> = truth.keys.iter().map(|(place, _)| get(case, &place.1)).collect();
        assert_eq!(truth.differences(&shown.iter().collect::<Vec<_>>()), [""; 0], "{}", case.id());
    }
}

/// What `get --json` says of a key; its name goes in escaped, as a command line can't carry all bytes.
fn get(case: &Case, key: &[u8]) -> Json {
    let escaped = rdbkit::text::escaped(key);
    must_parse(&run(["get", "--json", "--escaped"]).args([&case.path]).args([escaped]).ok().stdout)
}

#[test]
fn every_dump_is_sound() {
    for_each(|case| {
        let said = run(["check", "--json"]).args([&case.path]).ok();
        let report = must_parse(&said.stdout);
        let sound = *report.at("sound") == Json::Bool(true) && report.at("errors").items().is_empty();
        (!sound).then(|| said.out().to_owned()).into_iter().collect()
    });
}

/// The rows of `keys`, by place.
fn rows(case: &Case) -> HashMap<(u64, Vec<u8>), Json> {
    let said = run(["keys", "--format", "ndjson"]).args([&case.path]).ok().stdout;
    let rows = if said.is_empty() { vec![] } else { lines(&said) };
    let place = |row: &Json| (row.at("db").int().cast_unsigned(), exported(row.at("key")));
    rows.into_iter().map(|row| (place(&row), row)).collect()
}

#[test]
fn keys_lists_what_the_server_said() {
    for_each(|case| {
        let (truth, mut rows) = (case.truth(), rows(case));
        let mut wrong = Vec::new();
        for (place, want) in &truth.keys {
            let Some(row) = rows.remove(place) else {
                wrong.push(format!("{place:?} is missing"));
                continue;
            };
            wrong.extend(row_differs(case, want, &row, !truth.expired.is_empty()));
        }
        wrong.extend(rows.keys().filter(|(_, key)| !truth.expired.contains(key)).map(|p| format!("{p:?} is no key")));
        wrong
    });
}

fn row_differs(case: &Case, want: &Json, row: &Json, some_expired: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let key = want.at("key");
    if want.at("type") != row.at("type") {
        wrong.push(format!("{key:?}: type {:?}", row.at("type")));
    }
    let ours = row.at("encoding");
    if let Some(told) = want.some("encoding")
        && told != ours
        && !known_difference(&case.server, want, ours.str())
    {
        wrong.push(format!("{key:?}: encoding {ours:?} instead of {told:?}"));
    }
    let elements = match want.get("value") {
        // Of a module's value nobody else knows what its elements are.
        _ if row.get("elements").is_none() => None,
        Some(Json::Array(items)) => Some(items.len()),
        Some(Json::Text(text)) => Some(text.chars().count()),
        _ => None,
    };
    // A hash may have fields whose expiry had passed; the file holds them.
    let counts = !(some_expired && want.at("type").str() == "hash");
    if let (true, Some(n)) = (counts, elements)
        && row.at("elements").int() != n as i64
    {
        wrong.push(format!("{key:?}: elements {:?} instead of {n}", row.at("elements")));
    }
    wrong
}

/// Encodings that the file does not decide.
fn known_difference(server: &str, want: &Json, ours: &str) -> bool {
    let (key, told) = (want.at("key").str(), want.at("encoding").str());
    match (told, ours) {
        // RDB 6 is that of 2.6 and 2.8, which have no embstr, and of 3.0, which does not say so.
        ("embstr", "raw") if server == "redis-3.0.7" => true,
        // 5.0 has no name for it.
        ("unknown", "stream") => server == "redis-5.0.14",
        // SETBIT and SETRANGE leave a short string raw until it is loaded again.
        ("raw", "embstr") if matches!(key, "str:bits" | "str:setrange") => true,
        // Where the key is kept with the value, the limit is that of both: 64 bytes, and 128 in Valkey 9.
        ("raw", "embstr") => matches!(server, "redis-8.6.3" | "redis-8.10.2" | "valkey-8.1.1") && key == "str:emb44",
        ("embstr", "raw") => server == "valkey-9.1.2" && want.at("value").str().chars().count() <= 64,
        _ => false,
    }
}

#[test]
fn info_counts_what_the_server_said() {
    for_each(|case| {
        let truth = case.truth();
        let info = must_parse(&run(["info", "--json"]).args([&case.path]).ok().stdout);
        // Of the keys whose expiry had passed, a file may hold all or none: what the rows say is held against the rest.
        let hidden = rows(case).keys().filter(|(_, key)| truth.expired.contains(key)).count() as i64;
        let mut wrong = Vec::new();
        let mut same = |what: &str, want: i64, got: i64| {
            if want != got {
                wrong.push(format!("{what}: {got} instead of {want}"));
            }
        };
        let expires = |want: &Json| want.some("expire_ms").or(want.some("expire_ms_between")).is_some();
        let exact = truth.header() != "REDIS0001";
        same("keys", truth.keys.len() as i64 + hidden, info.at("keys").int());
        if exact {
            let told = truth.keys.iter().filter(|(_, want)| expires(want)).count() as i64;
            same("expires", told + hidden, info.at("expires").int());
        }
        for db in info.at("databases").items() {
            let number = db.at("db").int();
            let told = truth.keys.iter().filter(|((db, _), _)| db.cast_signed() == number).count() as i64;
            same("keys of a database", told + if number == 0 { hidden } else { 0 }, db.at("keys").int());
        }
        same("function libraries", truth.json.get("functions").map_or(0, |f| f.items().len() as i64), {
            info.at("functions").items().len() as i64
        });
        let by_type: i64 = info.at("types").items().iter().map(|t| t.at("keys").int()).sum();
        same("keys of all types", truth.keys.len() as i64 + hidden, by_type);
        wrong
    });
}

#[test]
fn info_sums_up_what_keys_lists() {
    for_each(|case| {
        let mut listed: BTreeMap<(String, String), [i64; 2]> = BTreeMap::new();
        for row in rows(case).values() {
            let which = (row.at("type").str().to_owned(), row.at("encoding").str().to_owned());
            let [keys, bytes] = listed.entry(which).or_default();
            *keys += 1;
            *bytes += row.at("bytes").int();
        }
        let info = must_parse(&run(["info", "--json"]).args([&case.path]).ok().stdout);
        let summed: BTreeMap<(String, String), [i64; 2]> = info.at("types").items().iter().map(type_row).collect();
        let wrong = listed != summed;
        wrong.then(|| format!("keys lists {listed:?}, info says {summed:?}")).into_iter().collect()
    });
}

/// A row of the table of types: name and encoding, keys and bytes.
fn type_row(row: &Json) -> ((String, String), [i64; 2]) {
    let kind = row.at("type").str();
    let name = if kind == "module" { row.at("module").str() } else { kind };
    ((name.to_owned(), row.at("encoding").str().to_owned()), ["keys", "bytes"].map(|what| row.at(what).int()))
}

#[test]
fn a_changed_export_is_noticed() {
    let truth = cases()[0].truth();
    let whole = String::from_utf8(run(["export", "--format", "ndjson", TUTORIAL]).ok().stdout).unwrap();
    assert_eq!(truth.differences(&entries(&lines(whole.as_bytes()))), [""; 0]);
    for (was, is) in [
        ("Beirut", "beirut"),
        ("\"price\":\"99.99\"", "\"price\":\"99.9\""),
        ("{\"db\":1,\"key\":\"hat:56854717\"", "{\"db\":0,\"key\":\"hat:56854717\""),
        ("\"key\":\"pypa\"", "\"key\":\"pypa2\""),
        ("\"type\":\"string\",\"value\":\"Oslo\"", "\"type\":\"string\",\"expireAt\":1,\"value\":\"Oslo\""),
    ] {
        assert!(whole.contains(was), "{was}");
        let changed = whole.replacen(was, is, 1);
        assert_ne!(truth.differences(&entries(&lines(changed.as_bytes()))), [""; 0], "{is}");
    }
    assert_eq!(tutorial().len(), 686);
}
