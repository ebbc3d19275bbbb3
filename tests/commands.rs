//! Commands and append-only files: what real servers made of them, and what `import` and every other command make.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::harness::{folder, read, run, shell, testdata};
use crate::live::{Reply, Server, installed};

/// Commands with holes: `s` to `z` before a digit are keys, `%v` a value, `%m` a member, `%n` a small number, `%i` the id
/// of an entry that may be there, `%t` a time to come, `%f` a number with a fraction, `%+` a new id.
const ALWAYS: &str = "\
SET s# %v;SET s# %v PX 100000%n;SET s# %v NX;SET s# %v XX;SETEX s# 1000%n %v;SETNX s# %v;GETSET s# %v;\
MSET s# %v s# %v;MSETNX s# %v s# %v;APPEND s# %v;SETRANGE s# %n %v;INCR n#;DECRBY n# %n;INCRBY n# 9%n%n%n%n;\
INCRBYFLOAT n# 0.5;SETBIT b# %n%n 1;SETBIT b# %n 0;BITOP AND b# b# b#;BITOP XOR b# b# b# s#;BITOP NOT b# b#;\
BITFIELD b# OVERFLOW SAT INCRBY u8 #%n 99 SET i5 %n%n -%n;HMSET h# %m %v %m %v;HSETNX h# %m %v;HINCRBY h# n%n %n;\
HINCRBYFLOAT h# f%n 0.25;HDEL h# %m %m;RPUSH l# %v %v %v;LPUSH l# %v %v;RPUSHX l# %v;LPUSHX l# %v;LPOP l#;RPOP l#;\
LSET l# -1 %v;LSET l# %n %v;LTRIM l# %n -2;LREM l# -1 %n;LREM l# 2 %n;LINSERT l# BEFORE %n %v;RPOPLPUSH l# l#;\
SADD t# %m %m %m;SADD t# %n%n;SREM t# %m %m;SMOVE t# t# %m;SPOP t#;SUNIONSTORE t# t# t#;SINTERSTORE t# t# t#;\
SDIFFSTORE t# t# t#;ZADD z# %f %m %n %m;ZADD z# NX CH %f %m;ZADD z# INCR %f %m;ZINCRBY z# %f %m;ZREM z# %m %m;\
ZREMRANGEBYRANK z# %n -%n;ZREMRANGEBYSCORE z# (%n +inf;ZADD y# 0 %m 0 %m;ZREMRANGEBYLEX y# [%m (%m;\
ZUNIONSTORE z# 2 z# t# WEIGHTS 2 %f AGGREGATE MAX;ZINTERSTORE z# 2 z# z#;GEOADD g# %f %f %m;PFADD p# %v %m %f %n%n;\
PFADD p# %f %f %f %f %f %f %f %f %f %f;PFMERGE p# p# p#;PFCOUNT p#;PEXPIREAT s# %t;EXPIRE h# 9%n%n%n;PERSIST s#;\
DEL s#;DEL l# h# z#;RENAME s# s#;RENAMENX l# l#;MOVE t# 1;SELECT %n;SELECT 0";

const SINCE_5_0: &str = "\
ZPOPMIN z#;ZPOPMAX z# 2;XADD x# %+ %m %v;XADD x# %+ a %v;XADD x# MAXLEN = 1%n %+ a b;XADD x# MAXLEN ~ %n %+ a b c d;\
XDEL x# %i;XTRIM x# MAXLEN %n;XGROUP CREATE x# g# 0 MKSTREAM;XGROUP CREATE x# g# %i;XREADGROUP GROUP g# c# COUNT %n STREAMS x# >;\
XACK x# g# %i %i;XCLAIM x# g# c# 0 %i;XGROUP SETID x# g# %i;XGROUP DELCONSUMER x# g# c#;SWAPDB 0 1;UNLINK x#";

const SINCE_6_2: &str = "\
SET s# %v KEEPTTL;GETEX s# PXAT %t;GETDEL s#;COPY l# l# REPLACE;COPY x# x# REPLACE;LMOVE l# l# LEFT LEFT;LPOP l# 2;\
ZADD z# GT %f %m;ZRANGESTORE z# z# 1 -2 REV;ZRANGESTORE z# z# -inf (%n BYSCORE LIMIT 1 3;ZDIFFSTORE z# 2 z# z#;\
XTRIM x# MINID %i;XAUTOCLAIM x# g# c# 0 0;XGROUP CREATECONSUMER x# g# c#;XADD x# NOMKSTREAM %+ a b";

const SINCE_7_0: &str = "\
PEXPIREAT l# %t NX;PEXPIREAT s# %t GT;ZMPOP 1 z# MAX COUNT 2;LMPOP 1 l# RIGHT COUNT 2;XSETID x# 999-%n";

const OF_REDIS_8: &str = "\
HPEXPIREAT h# %t FIELDS 2 %m %m;HPERSIST h# FIELDS 1 %m;HSETEX h# PXAT %t FIELDS 1 %m %v;HGETDEL h# FIELDS 1 %m;\
HSETEX h# FNX KEEPTTL FIELDS 1 %m %v;XDELEX x# ACKED IDS 2 %i %i;XACKDEL x# g# DELREF IDS 1 %i;XADD x# DELREF MAXLEN %n %+ a b;\
MSETEX 2 s# %v s# %v XX PXAT %t;DELEX s# IFEQ %n;SET s# %v IFNE %n;XCFGSET x# IDMP-DURATION 5%n;XADD w# IDMP c# %m * a b;\
XNACK x# g# FAIL IDS 2 %i %i;XNACK x# g# FATAL IDS 1 %i;ARSET a# %n %v %v;ARMSET a# %n %v;ARINSERT a# %v;ARSEEK a# %n;\
ARDEL a# %n;ARDELRANGE a# %n 9;ARRING r# 7 %v %v %v;ARRING r# %n %v;ARDEL r# %n;ARSEEK r# %n;LMOVEM l# l# LEFT LEFT COUNT 2 BULK;\
LMOVEM l# l# LEFT LEFT COUNT 3 OBO;BITOP DIFF1 b# b# b#;BITOP ONE b# b# b#";

/// A generator of numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => self.below(10).to_string().into_bytes(),
            1 => vec![b'x'; self.below(90) as usize],
            2 => (0..self.below(9)).map(|_| self.below(256) as u8).collect(),
            _ => format!("{}.{}", self.below(1000), self.below(1000)).into_bytes(),
        }
    }

    /// A template with its holes filled; each new id is behind the one before.
    fn fill(&mut self, template: &str, last_id: &mut u64) -> Vec<Vec<u8>> {
        template.split(' ').map(|word| self.word(word, last_id)).collect()
    }

    fn word(&mut self, template: &str, last_id: &mut u64) -> Vec<u8> {
        let mut word = Vec::new();
        let mut chars = template.chars().peekable();
        while let Some(c) = chars.next() {
            let hole = if c == '%' { chars.next() } else { None };
            match (c, hole) {
                ('#', _) if word.len() == 1 => write_to(&mut word, self.below(4)),
                (_, Some('v')) => word.extend(self.value()),
                (_, Some('m')) => word.extend(format!("m{}", self.below(150)).into_bytes()),
                (_, Some('n')) => write_to(&mut word, 1 + self.below(8)),
                (_, Some('i')) => word.extend(format!("{}-1", self.below(*last_id + 2)).into_bytes()),
                (_, Some('t')) => word.extend(format!("4{:012}", self.below(1 << 38)).into_bytes()),
                (_, Some('f')) => word.extend(format!("{}.{}", self.below(80), self.below(1000)).into_bytes()),
                (_, Some('+')) => {
                    *last_id += 1;
                    word.extend(format!("{last_id}-1").into_bytes());
                }
                (c, _) => word.extend(c.to_string().into_bytes()),
            }
        }
        word
    }
}

fn write_to(word: &mut Vec<u8>, n: u64) {
    word.extend(n.to_string().into_bytes());
}

/// Has a server that writes an append-only file execute so many commands, each as it comes.
pub(crate) fn drive(server: &mut Server, commands: usize, seed: u64) {
    let mut templates: Vec<&str> = ALWAYS.split(';').collect();
    for (major, minor, more) in [(5, 0, SINCE_5_0), (6, 2, SINCE_6_2), (7, 0, SINCE_7_0)] {
        if server.installed.since(major, minor) {
            templates.extend(more.split(';'));
        }
    }
    if server.installed.since(8, 10) && server.installed.is_redis() {
        templates.extend(OF_REDIS_8.split(';'));
    }
    let (mut random, mut last_id, mut done) = (Random(seed), 0, 0);
    for _ in 0..commands {
        let template = templates[random.below(templates.len() as u64) as usize];
        let words = random.fill(template, &mut last_id);
        let more: Vec<&[u8]> = words[1..].iter().map(Vec::as_slice).collect();
        let name = String::from_utf8(words[0].clone()).unwrap();
        done += usize::from(!matches!(server.try_ask(&name, &more), Reply::Error(_)));
    }
    assert!(done > commands / 2, "only {done} of {commands} commands were accepted");
}

/// All that a server says of its keys, but for what time changes.
fn contents(server: &mut Server) -> Vec<String> {
    const OWN: [&str; 4] = ["seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes"];
    let mut all = Vec::new();
    for db in 0..9 {
        server.ask("SELECT", &[db.to_string().as_bytes()]);
        for key in server.ask("KEYS *", &[]).items() {
            let key = key.text();
            let kind = server.ask("TYPE", &[key]).text().to_vec();
            let mut line = format!("{db} {} {}", key.escape_ascii(), kind.escape_ascii());
            let mut add = |reply: Reply| write!(line, " {reply:?}").unwrap();
            if server.installed.since(7, 0) {
                add(server.ask("PEXPIRETIME", &[key]));
            }
            match kind.as_slice() {
                // Redis 8.10.2 never comes back from the digest of an array with gaps.
                b"array" => {
                    add(server.ask("ARSCAN", &[key, b"0", b"1000"]));
                    add(server.ask("ARNEXT", &[key]));
                }
                b"stream" => add(server.ask("XINFO STREAM", &[key, b"FULL", b"COUNT", b"0"]).without(&OWN)),
                _ => add(server.ask("DEBUG DIGEST-VALUE", &[key])),
            }
            if kind == b"hash" {
                let fields = server.ask("HKEYS", &[key]);
                let mut fields: Vec<&[u8]> = fields.items().iter().map(Reply::text).collect();
                fields.sort_unstable();
                let count = fields.len().to_string();
                let words = [&[key, b"FIELDS", count.as_bytes()], fields.as_slice()].concat();
                add(server.try_ask("HPEXPIRETIME", &words));
            }
            all.push(line);
        }
    }
    all.sort();
    all
}

/// What a server has written of commands, and what it holds when it starts from that.
fn replayed(name: &str, commands: usize) {
    let mut first = installed(name).start();
    first.ask("CONFIG SET appendonly", &[b"yes"]);
    drive(&mut first, commands / 2, 17);
    // The second half stands behind a rewritten base.
    first.rewrite_aof();
    drive(&mut first, commands / 2, 4711);
    let aof = first.aof();
    let want = contents(&mut installed(name).start_from_aof(&aof));
    assert!(want.len() > 60, "there are only {} keys", want.len());
    let folder = folder();
    let dump = folder.path().join("dump.rdb");
    let target = first.installed.target();
    run(["import", "-q", "--target", &target]).args([&aof]).args(["-o"]).args([&dump]).ok();
    assert_same(name, &contents(&mut installed(name).start_with(&dump)), &want);
    // Any other command reads the same keys.
    let rows = run(["keys", "-q", "--format", "ndjson"]).args([&aof]).ok();
    assert_eq!(rows.out().lines().count(), want.len(), "{name}: keys");
}

fn assert_same(name: &str, found: &[String], want: &[String]) {
    let lacking = |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
    let (lost, other) = (lacking(want, found), lacking(found, want));
    let shown =
        |lines: &[String]| lines.iter().take(3).map(|line| line.chars().take(600).collect()).collect::<Vec<String>>();
    assert!(
        lost.is_empty() && other.is_empty(),
        "{name}: {} keys differ\nserver {:#?}\nours {:#?}",
        lost.len(),
        shown(&lost),
        shown(&other)
    );
}

#[test]
fn redis_8_10_holds_after_its_commands_what_is_imported_of_them() {
    replayed("redis-8.10.2", 4000);
}

#[test]
fn redis_7_0_holds_after_its_commands_what_is_imported_of_them() {
    replayed("redis-7.0.15", 3000);
}

#[test]
fn redis_6_2_holds_after_its_commands_what_is_imported_of_them() {
    replayed("redis-6.2.14", 3000);
}

#[test]
fn valkey_9_1_holds_after_its_commands_what_is_imported_of_them() {
    replayed("valkey-9.1.2", 3000);
}

/// Imports typed commands; gives what `export` says of the dump.
fn typed(commands: &str, more: &[&str]) -> String {
    let script = r#"commands=$1; shift; printf '%s' "$commands" | rdbkit import -q - "$@" -o - | rdbkit export - --format ndjson | sed '1d;$d'"#;
    shell(script).args(["sh", commands]).args(more).ok().out().to_owned()
}

#[test]
fn typed_commands_are_applied() {
    let commands = "# a remark\nSET 'a b' \"x\\ty\" EX 10\r\n\nrpush l 1 2 3\nlpop l\nMULTI\nHSET h f v\nSADD s 1\nEXEC\nGET h\nSELECT 3\nincr n\n";
    let want = "{\"db\":1,\"key\":\"a b\",\"type\":\"string\",\"expireAt\":110000,\"value\":\"x\\ty\"}\n\
                {\"db\":1,\"key\":\"l\",\"type\":\"list\",\"value\":[\"2\",\"3\"]}\n\
                {\"db\":1,\"key\":\"h\",\"type\":\"hash\",\"value\":{\"f\":\"v\"}}\n\
                {\"db\":1,\"key\":\"s\",\"type\":\"set\",\"value\":[\"1\"]}\n\
                {\"db\":3,\"key\":\"n\",\"type\":\"string\",\"value\":\"1\"}\n";
    assert_eq!(typed(commands, &["--db", "1", "--ctime", "100"]), want);
}

#[test]
fn what_cannot_be_applied_is_named_and_nothing_is_written() {
    let t = |commands: &str, why: &str| {
        let folder = folder();
        let dump = folder.path().join("dump.rdb");
        let script = r#"printf '%s' "$1" | rdbkit import - -o "$2""#;
        let ran = shell(script).args(["sh", commands]).args([&dump]).fails_with(2);
        let want = format!("rdbkit: standard input: {why}; nothing was written\n");
        assert_eq!(ran.err(), want, "{commands}");
        assert!(!dump.exists(), "{commands}");
    };
    t("SET a 1\nEVAL \"return 1\" 0\n", "offset 8, EVAL: this command can't be applied offline");
    t("RPUSH k 1\nHSET k a b\n", "offset 10, db 0, key \"k\", HSET: the key holds a list, this is for a hash");
    t("SELECT 2\nSET k a\nINCR k\n", "offset 17, db 2, key \"k\", INCR: \"a\" is no integer from -2^63 to 2^63-1");
    t("HSET k a\n", "offset 0, db 0, key \"k\", HSET: too few words, or too many");
    t("SET k v WITH\n", "offset 0, db 0, key \"k\", SET: \"WITH\" means nothing here");
    t(
        "SADD k a b\nSPOP k\n",
        "offset 11, db 0, key \"k\", SPOP: which members go is left to the server; name them with SREM",
    );
    t("XADD k 2-1 a b\nXADD k 1-1 a b\n", "offset 15, db 0, key \"k\", XADD: the id must come after 2-1, the last one");
    t(
        "RESTORE k 0 abcdefghijkl\n",
        "offset 0, db 0, key \"k\", RESTORE: the payload does not have the checksum that its bytes give",
    );
    t("SET a 1\nMULTI\nSET b 2\n", "offset 8, malformed command: MULTI, and no EXEC follows");
    t("SET 'a\n", "offset 0, malformed command: a quote that does not end");
    t(
        "*2\r\n$3\r\nDEL\r\n$9\r\nab",
        "offset 0, the input ends here, in the middle of a record; the file is sound up to byte 0; 'rdbkit repair' cuts it there",
    );
    t(
        "hello world\n",
        "it is nothing that can be imported: it begins neither as JSON, nor with a command, nor with the names of CSV columns, such as key,value",
    );
}

/// The append-only files of the corpus: a file, or a directory with its manifest.
fn aofs() -> Vec<(String, PathBuf)> {
    let corpus = testdata("corpus");
    let servers = crate::harness::names(&corpus);
    let found = servers.iter().filter_map(|server| {
        let folder = corpus.join(server).join("aof");
        let paths = ["appendonlydir", "appendonly.aof"].map(|name| folder.join(name));
        paths.into_iter().find(|path| path.exists()).map(|path| (server.clone(), path))
    });
    found.collect()
}

#[test]
fn every_command_takes_an_append_only_file() {
    let all = aofs();
    assert!(all.len() > 1, "there are only {} append-only files", all.len());
    for (server, path) in all {
        let export = run(["export", "--format", "ndjson"]).args([&path]).ok().out().to_owned();
        assert!(export.lines().count() > 10, "{server}");
        let again = shell(r#"rdbkit import -q "$1" -o - | rdbkit export - --format ndjson"#)
            .args(["sh"])
            .args([&path])
            .ok()
            .out()
            .to_owned();
        let keys =
            |text: &str| text.lines().filter(|line| line.starts_with("{\"db\"")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(keys(&again), keys(&export), "{server}");
        run(["check"]).args([&path]).ok();
        run(["info"]).args([&path]).ok();
        if path.is_dir() {
            let manifest = path.join("appendonly.aof.manifest");
            assert_eq!(run(["export", "--format", "ndjson"]).args([&manifest]).ok().out(), export, "{server}");
        }
    }
}

#[test]
fn a_folder_without_a_manifest_is_named() {
    let folder = folder();
    let ran = run(["info"]).args([folder.path()]).fails_with(2);
    assert!(ran.err().contains("without the manifest of append-only files"), "{}", ran.err());
    std::fs::write(folder.path().join("a.manifest"), "file gone.aof seq 1 type i\n").unwrap();
    let ran = run(["keys"]).args([folder.path()]).fails_with(2);
    assert!(ran.err().contains("gone.aof: No such file"), "{}", ran.err());
    assert!(read(Path::new(&folder.path().join("a.manifest"))).starts_with(b"file"));
}
