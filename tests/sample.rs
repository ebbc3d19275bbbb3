//! Data that make an export use every command it has, and more than one where it limits their size.

use crate::live::Server;

/// Times after which nobody runs this any more, in milliseconds.
const LATE: i64 = 4_102_444_800_000;

/// Streams in every state that commands can bring back, and in one that they can't.
const STREAMS: [&str; 32] = [
    "XADD stream 1-1 a 1",
    "XADD stream 1-2 a 2 b 3",
    "XADD stream 1700000000000-0 c 4",
    "XADD stream 1700000000000-1 a 5",
    "XADD stream 1700000000000-7 a 6",
    "XGROUP CREATE stream all 0",
    "XGROUP CREATE stream new $",
    "XGROUP CREATE stream untouched 1-1",
    "XGROUP CREATECONSUMER stream new waiting",
    "XREADGROUP GROUP all alice COUNT 3 STREAMS stream >",
    "XREADGROUP GROUP all bob COUNT 1 STREAMS stream >",
    "XACK stream all 1-2",
    "XDEL stream 1-2",
    "XCLAIM stream all bob 0 1-1 TIME 1600000000000 RETRYCOUNT 7 JUSTID",
    "XGROUP CREATECONSUMER stream all idle",
    "XADD trimmed 5-5 a 1",
    "XADD trimmed 5-6 a 2",
    "XADD trimmed 5-7 a 3",
    "XTRIM trimmed MAXLEN 1",
    "XADD emptied 1-1 a 1",
    "XGROUP CREATE emptied readers 0",
    "XREADGROUP GROUP readers alice STREAMS emptied >",
    "XACK emptied readers 1-1",
    "XDEL emptied 1-1",
    "XGROUP CREATE made readers $ MKSTREAM",
    "XADD ahead 1-1 a 1",
    "XSETID ahead 18446744073709551615-18446744073709551615",
    "XADD pending-but-gone 1-1 a 1",
    "XADD pending-but-gone 1-2 a 2",
    "XGROUP CREATE pending-but-gone readers 0",
    "XREADGROUP GROUP readers alice STREAMS pending-but-gone >",
    "XDEL pending-but-gone 1-1",
];

/// Small things, in more than one database.
const SMALL: [&str; 19] = [
    "SET text value",
    "SET number -42",
    "SADD ints 1 -2 70000 9223372036854775807",
    "ZADD scores inf up -inf down 0.1 tenth 1e300 large -7 negative",
    "ZADD odd-scores 5e-324 least 1.7976931348623157e308 most -0.0 zero",
    "GEOADD places 13.361389 38.115556 Palermo",
    "PFADD visitors a b c",
    "SETBIT bits 70 1",
    "SELECT 3",
    "SET text in-another-database",
    "RPUSH list a b c",
    "HSET hash f 1 g 2",
    "ZADD zset 1 a 2 b",
    "SADD set a b",
    "XADD stream 9-9 a 1",
    "SET later v PXAT 99999999999999",
    "PEXPIREAT list 4102444800001",
    "PEXPIREAT hash 4102444800002",
    "PEXPIREAT stream 4102444800003",
];

/// Fills an empty server.
pub(crate) fn fill(server: &mut Server) {
    for command in STREAMS.iter().chain(&SMALL) {
        server.ask(command, &[]);
    }
    server.ask("SELECT 0", &[]);
    let every_byte: Vec<u8> = (0..=255).collect();
    server.ask("SET", &[&every_byte, &every_byte]);
    server.ask("SET", &[b"", b""]);
    server.ask("XGROUP CREATE", &[b"stream", &every_byte, b"0"]);
    server.ask("XGROUP CREATECONSUMER", &[b"stream", &every_byte, b""]);
    many_elements(server);
    large_elements(server);
    if server.installed.since(7, 0) {
        let code = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";
        server.ask("FUNCTION LOAD", &[code]);
    } else {
        server.ask("SCRIPT LOAD", &[b"return 1"]);
    }
    if server.installed.since(7, 4) {
        field_expiries(server);
    }
}

const MANY: usize = 1500;

/// Asks one command about many things.
fn ask_of_many(server: &mut Server, command: &str, things: impl Fn(usize) -> Vec<String>) {
    let words: Vec<String> = (0..MANY).flat_map(things).collect();
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    server.ask(command, &words);
}

fn many_elements(server: &mut Server) {
    ask_of_many(server, "RPUSH many:list", |i| vec![format!("item {i}")]);
    ask_of_many(server, "SADD many:set", |i| vec![format!("member {i}")]);
    ask_of_many(server, "SADD many:ints", |i| vec![(i * i).to_string()]);
    ask_of_many(server, "ZADD many:zset", |i| vec![(i as f64 / 7.0 - 50.0).to_string(), format!("member {i}")]);
    ask_of_many(server, "HSET many:hash", |i| vec![format!("field {i}"), i.to_string()]);
    for i in 0..MANY {
        server.ask("XADD many:stream * n", &[i.to_string().as_bytes()]);
    }
    server.ask("XGROUP CREATE many:stream readers 0", &[]);
    for consumer in ["alice", "bob"] {
        server.ask(&format!("XREADGROUP GROUP readers {consumer} COUNT 700 STREAMS many:stream >"), &[]);
    }
}

fn large_elements(server: &mut Server) {
    for i in 0..5 {
        let text: String = (0..5000).map(|n| format!("{} ", n * (i + 3))).collect();
        let (text, score) = (text.as_bytes(), i.to_string());
        server.ask("RPUSH large:list", &[text]);
        server.ask("SADD large:set", &[text]);
        server.ask("ZADD large:zset", &[score.as_bytes(), text]);
        server.ask("HSET large:hash", &[text, text]);
        server.ask("XADD large:stream *", &[text, text]);
        server.ask("SET", &[format!("large:{i}").as_bytes(), text]);
    }
}

/// Fields that expire one by one, and more that expire together than go into one command.
fn field_expiries(server: &mut Server) {
    ask_of_many(server, "HSET expiring:hash", |i| vec![format!("field {i}"), i.to_string()]);
    for i in (0..MANY).filter(|i| i % 10 == 0) {
        let (at, field) = ((LATE + i as i64).to_string(), format!("field {i}"));
        server.ask(&format!("HPEXPIREAT expiring:hash {at} FIELDS 1"), &[field.as_bytes()]);
    }
    ask_of_many(server, "HSET expiring:together", |i| vec![format!("field {i}"), i.to_string()]);
    let command = format!("HPEXPIREAT expiring:together {LATE} FIELDS {MANY}");
    ask_of_many(server, &command, |i| vec![format!("field {i}")]);
    server.ask("HSET expiring:small f 1 g 2", &[]);
    server.ask(&format!("HPEXPIREAT expiring:small {LATE} FIELDS 1 f"), &[]);
}
