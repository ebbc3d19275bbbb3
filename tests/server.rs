//! What real servers make of it: data that came over as commands, and verdicts and views of their own tools.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::corpus::{Case, case, cases};
use crate::harness::{TUTORIAL, file, folder, read, run, shell, testdata};
use crate::live::{Installed, Reply, Server, installed, poll};
use crate::sample::fill;

/// Cases that are left out of the exchange between servers.
const NOT_LOADED: [&str; 3] = [
    // Only a server with the module that made them can load these; the modules are not part of this project.
    "modules",
    "falkordb",
    // Valkey 9.1.2 crashes on this unless it is in a cluster, where it would refuse commands for slots of others.
    "slot_import",
];

/// Dumps that servers load otherwise than they were saved, or not at all.
const ODD: [&str; 5] = [
    // Times after 2038 in 32 bits look negative to servers: they drop keys that rdbkit keeps.
    "redis-2.0.5/multidb",
    "redis-2.0.5/repl",
    "redis-2.4.18/multidb",
    "redis-2.4.18/repl",
    // Opcode 246, the first form of functions: no release knows it.
    "redis-7.0-rc2/functions",
];

/// How long servers may take to become the same.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// What Redis 6.2 can load, but has not saved itself.
const UP_TO_6_2: [&str; 14] = [
    "redis-2.0.5",
    "redis-2.4.18",
    "redis-rdb3",
    "redis-rdb5",
    "redis-2.6.17",
    "redis-2.8.24",
    "redis-3.0.7",
    "redis-3.2.13",
    "redis-4.0-rc2",
    "redis-4.0.14",
    "redis-5.0.14",
    "redis-6.0.9",
    "redis-6.0.16",
    "redis-6.2.16",
];

/// What Redis 8.6 can load, but neither has saved itself nor the older servers here can.
const UP_TO_8_6: [&str; 5] = ["redis-7.2.6", "redis-7.4-rc1", "redis-7.4.1", "redis-8.0.2", "redis-8.0.6"];

/// How keys go over.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Way {
    Commands,
    Restore,
    /// As JSON and back, loaded as a dump.
    Import,
    /// Every value written anew.
    Recompress,
    /// As commands that no server executes, but our own dataset.
    Replay,
    /// By `rdbkit load`, in the form that it chooses, by RESTORE, or by commands.
    LoadAuto,
    LoadRestore,
    LoadCommands,
}

impl Way {
    const PIPES: [Way; 2] = [Way::Commands, Way::Restore];
    const FILES: [Way; 3] = [Way::Import, Way::Recompress, Way::Replay];
    pub(crate) const LOADS: [Way; 3] = [Way::LoadAuto, Way::LoadRestore, Way::LoadCommands];

    /// Whether commands rebuild keys, which can't say all that a file can.
    fn is_commands(self) -> bool {
        matches!(self, Way::Commands | Way::LoadCommands | Way::Replay)
    }
}

/// Brings a dump into a server that is empty.
fn bring(dump: &Path, way: Way, to: &mut Server) {
    let script = match way {
        Way::Commands | Way::Restore => return pipe(dump, way, to),
        Way::LoadAuto => return load(dump, "auto", to),
        Way::LoadRestore => return load(dump, "restore", to),
        Way::LoadCommands => return load(dump, "commands", to),
        Way::Import => r#"rdbkit export "$1" --format ndjson | rdbkit import -q - -o "$2""#,
        Way::Replay => r#"rdbkit export "$1" --format resp | rdbkit import -q - --target "$3" -o "$2""#,
        Way::Recompress => r#"rdbkit convert -q "$1" --recompress -o "$2""#,
    };
    let folder = folder();
    let anew = folder.path().join("anew.rdb");
    let target = to.installed.target();
    shell(script).args(["sh"]).args([dump, &anew, Path::new(&target)]).ok();
    assert!(tool_for(&read(&anew)).finds_sound(&anew), "{}: {way:?} is not sound", dump.display());
    to.load(&anew);
}

/// Exports a dump into a server, with the server's own client.
fn pipe(dump: &Path, way: Way, to: &mut Server) {
    let option: &[&str] = if way == Way::Restore { &["--restore"] } else { &[] };
    let script = r#"dump=$1 cli=$2 s=$3 socket=$4; shift 4
        rdbkit export "$dump" --format resp "$@" | "$cli" "$s" "$socket" --pipe"#;
    let piped = shell(script).args(["sh"]).args([dump]).args(to.client()).args(option).ok();
    assert!(piped.out().contains("\nerrors: 0, replies: "), "{}: {piped}", dump.display());
}

/// Loads a dump into a server.
fn load(dump: &Path, method: &str, to: &Server) {
    run(["load", "-q", "--method", method]).args([dump]).args([to.url()]).ok();
}

/// A number that time has changed since it was the same for both servers: it is between these two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Between(pub(crate) i64, pub(crate) i64);

impl Between {
    fn meets(self, other: Between) -> bool {
        self.0 <= other.1 && other.0 <= self.1
    }
}

/// Where a key is.
pub(crate) type Place = (u64, Vec<u8>);

/// What a server says of a key.
#[derive(Debug)]
pub(crate) struct Facts {
    kind: Vec<u8>,
    encoding: Reply,
    /// How often or how long ago it was used.
    used: Between,
    pub(crate) expiry: Between,
    digest: Reply,
    /// What its digest lacks.
    detail: Reply,
}

/// All that a server has.
pub(crate) struct Contents {
    digest: Reply,
    functions: Option<Reply>,
    pub(crate) scripts: String,
    pub(crate) keys: BTreeMap<Place, Facts>,
}

impl Contents {
    pub(crate) fn of(server: &mut Server) -> Contents {
        let mut keys = BTreeMap::new();
        for db in 0..16 {
            server.ask("SELECT", &[db.to_string().as_bytes()]);
            for key in server.ask("KEYS *", &[]).items() {
                let key = key.text().to_vec();
                let facts = Facts::of(server, &key);
                keys.insert((db, key), facts);
            }
        }
        let functions = server.installed.since(7, 0);
        // Redis 8.10.2 never comes back from the digest of an array with gaps.
        let has_array = keys.values().any(|facts| facts.kind == b"array");
        Contents {
            keys,
            digest: if has_array { Reply::Nil } else { server.ask("DEBUG DIGEST", &[]) },
            functions: functions.then(|| server.ask("FUNCTION LIST WITHCODE", &[]).ordered()),
            scripts: scripts(server),
        }
    }

    /// What the other has not got in the same way: a line each.
    pub(crate) fn differences(&self, other: &Contents, way: Way) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.digest != other.digest {
            wrong.push("DEBUG DIGEST differs".into());
        }
        if self.functions != other.functions {
            let [one, two] = [&self.functions, &other.functions].map(|list| format!("{list:?}"));
            wrong.push(format!("functions: {}", where_they_part(&one, &two)));
        }
        if self.scripts != other.scripts {
            wrong.push(format!("scripts differ: {}, {}", self.scripts, other.scripts));
        }
        for place in self.keys.keys().chain(other.keys.keys()).collect::<BTreeSet<_>>() {
            let why = match (self.keys.get(place), other.keys.get(place)) {
                (Some(one), Some(two)) => one.differences(two, way),
                (one, _) => vec![format!("is there only {}", if one.is_some() { "before" } else { "after" })],
            };
            let (db, key) = place;
            wrong.extend(why.iter().map(|why| format!("db {db}, key {:?}: {why}", String::from_utf8_lossy(key))));
        }
        wrong
    }
}

/// How many scripts a server knows.
fn scripts(server: &mut Server) -> String {
    let info = server.ask("INFO memory", &[]);
    let info = String::from_utf8(info.text().to_vec()).unwrap();
    info.lines().find(|line| line.starts_with("number_of_cached_scripts:")).unwrap().to_owned()
}

impl Facts {
    fn of(server: &mut Server, key: &[u8]) -> Facts {
        // First of all: what reads a key uses it.
        let used = used(server, key);
        let kind = server.ask("TYPE", &[key]).text().to_vec();
        let encoding = server.ask("OBJECT ENCODING", &[key]);
        let expiry = expiry(server, key);
        let detail = match kind.as_slice() {
            b"hash" => field_expiries(server, key),
            b"stream" => server.ask("XINFO STREAM", &[key, b"FULL", b"COUNT", b"0"]),
            b"string" | b"list" | b"set" | b"zset" => Reply::Nil,
            _ => server.ask("DUMP", &[key]),
        };
        let digest = if kind == b"array" { Reply::Nil } else { server.ask("DEBUG DIGEST-VALUE", &[key]) };
        Facts { kind, encoding, used, expiry, digest, detail }
    }

    fn differences(&self, other: &Facts, way: Way) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut same = |what: &str, is: bool, one: &dyn Debug, two: &dyn Debug| {
            if !is {
                wrong.push(format!("{what}: {}", where_they_part(&format!("{one:?}"), &format!("{two:?}"))));
            }
        };
        same("type", self.kind == other.kind, &self.kind, &other.kind);
        same("expiry", self.expiry.meets(other.expiry), &self.expiry, &other.expiry);
        same("digest", self.digest == other.digest, &self.digest, &other.digest);
        let (one, two) = (self.detail(way), other.detail(way));
        same("detail", one == two, &one, &two);
        if !way.is_commands() {
            same("use", self.used.meets(other.used), &self.used, &other.used);
            same("encoding", self.encoding == other.encoding, &self.encoding, &other.encoding);
        }
        wrong
    }

    /// Without what commands cannot set: when a consumer was there last, and how a stream lies in memory.
    fn detail(&self, way: Way) -> Reply {
        const OWN: [&str; 4] = ["seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes"];
        if way.is_commands() { self.detail.without(&OWN) } else { self.detail.clone() }
    }
}

/// The first difference of two texts, with a little of what is around it.
fn where_they_part(one: &str, two: &str) -> String {
    let same = one.chars().zip(two.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.chars().skip(same.saturating_sub(50)).take(200).collect::<String>();
    format!("{}, but at the other end {}", part(one), part(two))
}

/// The access counter under an LFU policy, else the idle time in seconds.
fn used(server: &mut Server, key: &[u8]) -> Between {
    /// What passes at most between two looks.
    const WHILE: i64 = 600;
    match server.try_ask("OBJECT FREQ", &[key]) {
        Reply::Int(count) => Between(count, count),
        _ => {
            let idle = server.ask("OBJECT IDLETIME", &[key]).int();
            Between(idle - WHILE, idle)
        }
    }
}

/// Unix time in milliseconds; -1 for none.
fn expiry(server: &mut Server, key: &[u8]) -> Between {
    if server.installed.since(7, 0) {
        let at = server.ask("PEXPIRETIME", &[key]).int();
        return Between(at, at);
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let before = now();
    match server.ask("PTTL", &[key]).int() {
        -1 => Between(-1, -1),
        left => Between(before + left, now() + left + 1),
    }
}

/// Which field of a hash expires when; nothing where no field can.
fn field_expiries(server: &mut Server, key: &[u8]) -> Reply {
    let fields = server.ask("HKEYS", &[key]);
    let mut fields: Vec<&[u8]> = fields.items().iter().map(Reply::text).collect();
    fields.sort_unstable();
    let count = fields.len().to_string();
    let mut args = vec![key, b"FIELDS", count.as_bytes()];
    args.extend(fields);
    match server.try_ask("HPEXPIRETIME", &args) {
        Reply::Error(why) if why.contains("unknown command") => Reply::Nil,
        reply => reply,
    }
}

/// The dumps of these servers that a server without modules can load.
pub(crate) fn dumps_of(servers: &[&str]) -> Vec<Case> {
    let mut cases = cases();
    cases.retain(|case| servers.contains(&case.server.as_str()));
    cases.retain(|case| !NOT_LOADED.contains(&case.name.as_str()) && !ODD.contains(&case.id().as_str()));
    for server in servers {
        assert!(cases.iter().any(|case| case.server == *server), "there is no dump of {server}");
    }
    cases
}

/// Loads every dump of these servers into one, brings it over to another in all ways, and compares.
fn export_rebuilds(name: &str, dumps_by: &[&str]) {
    rebuilds(name, dumps_by, &Way::PIPES);
}

/// The same, over files that were written anew.
fn import_rebuilds(name: &str, dumps_by: &[&str]) {
    rebuilds(name, dumps_by, &Way::FILES);
}

pub(crate) fn rebuilds(name: &str, dumps_by: &[&str], ways: &[Way]) {
    let installed = installed(name);
    let mut servers = [installed.start(), installed.start()];
    let mut wrong = Vec::new();
    for case in dumps_of(dumps_by) {
        prepare(&mut servers, &case);
        wrong.extend(differences(&mut servers, &case.path, ways).iter().map(|why| format!("{} {why}", case.id())));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

pub(crate) fn prepare(servers: &mut [Server], case: &Case) {
    // Redis 4.0 did not save the counters yet; setting an expiry counts then.
    let has_counters = case.name.ends_with("_lfu") && !case.server.starts_with("redis-4.0");
    let policy: &[u8] = if has_counters { b"allkeys-lfu" } else { b"noeviction" };
    let expire: &[u8] = if case.name == "expired" { b"1" } else { b"0" };
    for server in servers {
        server.ask("CONFIG SET maxmemory-policy", &[policy]);
        server.ask("DEBUG SET-ACTIVE-EXPIRE", &[expire]);
    }
}

/// What comes over otherwise than it is loaded.
fn differences([one, two]: &mut [Server; 2], dump: &Path, ways: &[Way]) -> Vec<String> {
    let mut all = Vec::new();
    for way in ways.iter().copied() {
        // Anew each time: looking at a key uses it.
        one.load(dump);
        two.empty();
        bring(dump, way, two);
        let mut wrong = Vec::new();
        // Fields of hashes that have expired stay hidden until a server comes round to them.
        poll(SOON, || {
            wrong = Contents::of(one).differences(&Contents::of(two), way);
            wrong.is_empty().then_some(())
        });
        all.extend(wrong.iter().map(|why| format!("{way:?}: {why}")));
    }
    all
}

/// Brings what a server has been filled with over to another in both ways, and compares.
fn export_rebuilds_the_sample(name: &str) {
    let installed = installed(name);
    let mut servers = [installed.start(), installed.start()];
    fill(&mut servers[0]);
    let dump = servers[0].save();
    let wrong = differences(&mut servers, &dump, &[Way::PIPES.as_slice(), &Way::FILES].concat());
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

#[test]
fn redis_6_2_gets_from_an_export_what_it_loads_from_the_dump() {
    export_rebuilds("redis-6.2.14", &["redis-6.2.14"]);
}

#[test]
fn redis_6_2_gets_from_an_export_what_it_loads_from_the_dumps_of_older_ones() {
    export_rebuilds("redis-6.2.14", &UP_TO_6_2);
}

#[test]
fn redis_7_0_gets_from_an_export_what_it_loads_from_the_dump() {
    export_rebuilds("redis-7.0.15", &["redis-7.0-rc2", "redis-7.0.15"]);
}

#[test]
fn redis_8_6_gets_from_an_export_what_it_loads_from_the_dump() {
    export_rebuilds("redis-8.6.3", &["redis-8.6.3"]);
}

#[test]
fn redis_8_6_gets_from_an_export_what_it_loads_from_the_dumps_of_older_ones() {
    export_rebuilds("redis-8.6.3", &UP_TO_8_6);
}

#[test]
fn redis_8_10_gets_from_an_export_what_it_loads_from_the_dump() {
    export_rebuilds("redis-8.10.2", &["redis-8.10.2"]);
}

#[test]
fn valkey_9_1_gets_from_an_export_what_it_loads_from_the_dump() {
    export_rebuilds("valkey-9.1.2", &["valkey-8.0.1", "valkey-8.1.1", "valkey-9.1.2"]);
}

#[test]
fn redis_6_2_loads_from_a_rebuilt_dump_what_it_loads_from_the_first() {
    import_rebuilds("redis-6.2.14", &["redis-6.2.14"]);
    import_rebuilds("redis-6.2.14", &UP_TO_6_2);
}

#[test]
fn redis_7_0_loads_from_a_rebuilt_dump_what_it_loads_from_the_first() {
    import_rebuilds("redis-7.0.15", &["redis-7.0-rc2", "redis-7.0.15"]);
}

#[test]
fn redis_8_6_loads_from_a_rebuilt_dump_what_it_loads_from_the_first() {
    import_rebuilds("redis-8.6.3", &["redis-8.6.3"]);
    import_rebuilds("redis-8.6.3", &UP_TO_8_6);
}

#[test]
fn redis_8_10_loads_from_a_rebuilt_dump_what_it_loads_from_the_first() {
    import_rebuilds("redis-8.10.2", &["redis-8.10.2"]);
}

#[test]
fn valkey_9_1_loads_from_a_rebuilt_dump_what_it_loads_from_the_first() {
    import_rebuilds("valkey-9.1.2", &["valkey-8.0.1", "valkey-8.1.1", "valkey-9.1.2"]);
}

#[test]
fn redis_6_2_gets_from_an_export_what_another_was_filled_with() {
    export_rebuilds_the_sample("redis-6.2.14");
}

#[test]
fn redis_7_0_gets_from_an_export_what_another_was_filled_with() {
    export_rebuilds_the_sample("redis-7.0.15");
}

#[test]
fn redis_8_6_gets_from_an_export_what_another_was_filled_with() {
    export_rebuilds_the_sample("redis-8.6.3");
}

#[test]
fn redis_8_10_gets_from_an_export_what_another_was_filled_with() {
    export_rebuilds_the_sample("redis-8.10.2");
}

#[test]
fn valkey_9_1_gets_from_an_export_what_another_was_filled_with() {
    export_rebuilds_the_sample("valkey-9.1.2");
}

#[test]
fn functions_of_a_prerelease_arrive_in_a_release_that_cannot_load_them() {
    let mut server = installed("redis-7.0.15").start();
    pipe(&case("redis-7.0-rc2", "functions").path, Way::Commands, &mut server);
    assert_eq!(server.ask("FCALL old_f 0", &[]), Reply::Int(1));
}

/// Sound dumps of release candidates that even the newest tool refuses.
const REFUSED_BY_TOOLS: [&str; 2] = [
    // Type 6, the first form of module values.
    "redis-4.0-rc2/modules",
    // Opcode 246, the first form of functions.
    "redis-7.0-rc2/functions",
];

/// The newest tool that knows a dump's kind.
fn tool_for(dump: &[u8]) -> Installed {
    installed(if dump.starts_with(b"VALKEY") { "valkey-9.1.2" } else { "redis-8.10.2" })
}

#[test]
fn check_finds_sound_what_the_servers_own_tool_does() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| !REFUSED_BY_TOOLS.contains(&case.id().as_str())) {
        let ours = run(["check"]).args([&case.path]).go();
        if !tool_for(&case.bytes()).finds_sound(&case.path) {
            wrong.push(format!("{}: damaged, says the tool", case.id()));
        }
        if ours.code != Some(0) {
            wrong.push(format!("{}: {ours}", case.id()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With the last byte gone; and, where a checksum can tell, with a byte in the middle flipped.
fn damaged(dump: &[u8]) -> Vec<Vec<u8>> {
    let mut damaged = vec![dump[..dump.len() - 1].to_vec()];
    let version: u32 = std::str::from_utf8(&dump[6..9]).unwrap().parse().unwrap();
    if version >= 5 {
        let mut flipped = dump.to_vec();
        flipped[dump.len() / 2] ^= 0x10;
        damaged.push(flipped);
    }
    damaged
}

#[test]
fn check_finds_damaged_what_the_servers_own_tool_does() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.name == "small") {
        let whole = case.bytes();
        for (nth, bytes) in damaged(&whole).iter().enumerate() {
            let (_folder, path) = file("dump.rdb", bytes);
            let theirs = tool_for(&whole).finds_sound(&path);
            let ours = run(["check"]).args([&path]).go();
            if theirs || ours.code != Some(1) {
                wrong.push(format!("{}, damage {nth}: sound, says the tool: {theirs}. {ours}", case.id()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tutorial_arrives_in_a_server() {
    let mut server = installed("redis-6.2.14").start();
    pipe(Path::new(TUTORIAL), Way::Commands, &mut server);
    let says = |args: &[&str]| String::from_utf8(server.client_says(args)).unwrap();
    assert_eq!(says(&["GET", "Bahamas"]), "Nassau\n");
    assert_eq!(
        says(&["HGETALL", "pypa"]),
        "url\nhttps://www.pypa.io/\ngithub\npypa\nfullname\nPython Packaging Authority\n"
    );
    assert_eq!(
        says(&["-n", "1", "HGETALL", "hat:56854717"]),
        "color\nblack\nprice\n49.99\nstyle\nfitted\nquantity\n1000\nnpurchased\n0\n"
    );
    assert_eq!(says(&["DBSIZE"]), "8\n");
    assert_eq!(says(&["-n", "1", "DBSIZE"]), "3\n");
}

/// The command that reads all of a key.
fn reading(kind: &[u8], key: &[u8]) -> Vec<OsString> {
    let (command, more): (&str, &[&str]) = match kind {
        b"string" => ("GET", &[]),
        b"list" => ("LRANGE", &["0", "-1"]),
        b"set" => ("SMEMBERS", &[]),
        b"zset" => ("ZRANGE", &["0", "-1", "WITHSCORES"]),
        b"hash" => ("HGETALL", &[]),
        b"stream" => ("XRANGE", &["-", "+"]),
        other => panic!("no command reads a {}", String::from_utf8_lossy(other)),
    };
    let mut words = vec![command.into(), OsStr::from_bytes(key).to_owned()];
    words.extend(more.iter().map(OsString::from));
    words
}

/// The elements of a view, sorted, without their numbers: what a server keeps in no order.
fn elements(view: &[u8], per_element: usize) -> Vec<Vec<String>> {
    let view = std::str::from_utf8(view).unwrap();
    let lines: Vec<&str> = view.lines().map(|line| line.split_once(") ").map_or(line, |split| split.1)).collect();
    let mut elements: Vec<_> = lines.chunks(per_element).map(|e| e.iter().map(|s| s.to_string()).collect()).collect();
    elements.sort_unstable();
    elements
}

fn looks_alike(theirs: &[u8], ours: &[u8], facts: &Facts) -> bool {
    let is_table = facts.encoding.text() == b"hashtable";
    match facts.kind.as_slice() {
        b"set" if is_table => elements(theirs, 1) == elements(ours, 1),
        b"hash" if is_table => elements(theirs, 2) == elements(ours, 2),
        _ => theirs == ours,
    }
}

fn first_difference(theirs: &[u8], ours: &[u8]) -> String {
    let (theirs, ours) = (String::from_utf8_lossy(theirs), String::from_utf8_lossy(ours));
    let nth = theirs.lines().zip(ours.lines()).take_while(|(one, two)| one == two).count();
    let line = |text: &str| text.lines().nth(nth).map(|line| line.chars().take(200).collect::<String>());
    format!("line {}: {:?}, but get shows {:?}", nth + 1, line(&theirs), line(&ours))
}

/// Loads a dump into a server and compares how its client and `rdbkit get` show every key.
fn get_shows_all_keys_as_the_client_does(name: &str, dump: &Path) {
    let mut server = installed(name).start();
    server.load(dump);
    let mut wrong = Vec::new();
    let keys = Contents::of(&mut server).keys;
    assert!(!keys.is_empty(), "{} did not load", dump.display());
    for ((db, key), facts) in keys {
        let db = db.to_string();
        let mut args: Vec<OsString> = ["--no-raw", "-n", &db].map(OsString::from).into();
        args.extend(reading(&facts.kind, &key));
        let theirs = server.client_says(args);
        let ours = run(["get", "--db", &db]).args([dump]).args([OsStr::from_bytes(&key)]).ok().stdout;
        if !looks_alike(&theirs, &ours, &facts) {
            wrong.push(format!("{}: {}", String::from_utf8_lossy(&key), first_difference(&theirs, &ours)));
        }
    }
    assert!(wrong.is_empty(), "{} keys look different:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn get_shows_the_tutorial_as_the_client_does() {
    get_shows_all_keys_as_the_client_does("redis-6.2.14", &testdata("tutorial.rdb"));
}

// The rest as the newest client does: up to 7.0 a server showed more digits of a score than it takes to tell it.

#[test]
fn get_shows_small_values_as_the_client_does() {
    get_shows_all_keys_as_the_client_does("redis-8.10.2", &case("redis-7.0.15", "small").path);
}

#[test]
fn get_shows_large_values_as_the_client_does() {
    get_shows_all_keys_as_the_client_does("redis-8.10.2", &case("redis-2.4.18", "big").path);
}

#[test]
fn get_shows_hashes_with_templates_as_the_client_does() {
    get_shows_all_keys_as_the_client_does("redis-8.10.2", &case("redis-8.10.2", "himport").path);
}

#[test]
fn get_shows_hashes_with_expiries_as_the_client_does() {
    get_shows_all_keys_as_the_client_does("redis-8.10.2", &case("redis-8.10.2", "hfe").path);
}

#[test]
fn get_shows_streams_with_a_history_as_the_client_does() {
    for name in ["stream_refs", "stream_idmp", "stream_xnack"] {
        get_shows_all_keys_as_the_client_does("redis-8.10.2", &case("redis-8.10.2", name).path);
    }
}
