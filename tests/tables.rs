//! CSV: what `export --elements` writes comes back, and what a person would write becomes a dump.

use crate::corpus::cases;
use crate::harness::{file, folder, run, shell};

/// Imports rows; gives the entries that `export` says are in the dump.
fn imported(rows: &str, more: &[&str]) -> Vec<String> {
    let script =
        r#"rows=$1; shift; printf '%s' "$rows" | rdbkit import -q - "$@" -o - | rdbkit export - --format ndjson"#;
    let ran = shell(script).args(["sh", rows]).args(more).ok();
    ran.out().lines().filter(|line| line.starts_with("{\"db\"")).map(str::to_owned).collect()
}

#[test]
fn rows_of_a_person_become_keys() {
    let rows = "key,value\r\nCroatia,Zagreb\n\"a, \"\"b\"\"\",\"two\nlines\"\nback\\slash,\\n\n,empty\n";
    let want = [
        r#"{"db":0,"key":"Croatia","type":"string","value":"Zagreb"}"#,
        r#"{"db":0,"key":"a, \"b\"","type":"string","value":"two\nlines"}"#,
        r#"{"db":0,"key":"back\\slash","type":"string","value":"\\n"}"#,
        r#"{"db":0,"key":"","type":"string","value":"empty"}"#,
    ];
    assert_eq!(imported(rows, &[]), want);
    let rows = "DB,Key,Field,Value\n,hat:1,color,black\n,hat:1,price,49.99\n3,hat:1,color,red\n";
    let want = [
        r#"{"db":1,"key":"hat:1","type":"hash","value":{"color":"black","price":"49.99"}}"#,
        r#"{"db":3,"key":"hat:1","type":"hash","value":{"color":"red"}}"#,
    ];
    assert_eq!(imported(rows, &["--db", "1"]), want);
    let rows = "type,key,member,score,expiry\nzset,z,b,2,1900000000000\nzset,z,a,-inf,1900000000000\nset,s,,x,\nset,s,,7,\n\
                list,l,,2,2030-01-01T00:00:00Z\nlist,l,,1,2030-01-01T00:00:00Z\n";
    let want = [
        r#"{"db":0,"key":"z","type":"zset","expireAt":1900000000000,"value":[["a","-inf"],["b",2]]}"#,
        r#"{"db":0,"key":"s","type":"set","value":["x","7"]}"#,
        r#"{"db":0,"key":"l","type":"list","expireAt":1893456000000,"value":["2","1"]}"#,
    ];
    assert_eq!(imported(rows, &["--target", "redis-7.2"]), want);
}

#[test]
fn what_is_wrong_is_named_with_line_and_column() {
    let t = |rows: &str, why: &str| {
        let (folder, path) = file("rows.csv", rows.as_bytes());
        let dump = folder.path().join("dump.rdb");
        let ran = run(["import"]).args([&path]).args(["-o"]).args([&dump]).fails_with(2);
        assert_eq!(ran.err(), format!("rdbkit: {}: {why}; nothing was written\n", path.display()), "{rows}");
        assert!(!dump.exists());
        // The same from any command that reads keys.
        let ran = run(["keys"]).args([&path]).go();
        assert_eq!(ran.err(), format!("rdbkit: {}: {why}\n", path.display()), "{rows}");
    };
    let line = |l: u64, c: u64, why: &str| format!("line {l}, column {c}, {why}");
    t(
        "key,value\na,1\na,2\n",
        &line(
            3,
            1,
            "db 0, key \"a\", malformed CSV: key: it stands in several rows: a column type must say whether it is a list or a set",
        ),
    );
    t("key,value\na,1,2\n", &line(2, 5, "malformed CSV: more cells than there are columns"));
    t(
        "key,colour\na,1\n",
        &line(
            1,
            5,
            "malformed CSV: unknown column \"colour\"; there are database, type, key, expiry, index, field, value, field_expiry",
        ),
    );
    t("key,field\na,1\n", &line(1, 1, "malformed CSV: no column value"));
    t("key,key,value\n", &line(1, 5, "malformed CSV: two columns key"));
    t(
        "key,value,type\na,1,bag\n",
        &line(2, 5, "malformed CSV: type: rows do not hold all of a bag; string, list, set, zset, hash, stream, array"),
    );
    t(
        "key,value,type,field\nz,one,zset,a\n",
        &line(2, 3, "db 0, key \"z\", malformed CSV: value: a score is a number, inf or -inf"),
    );
    t(
        "key,value,expiry\na,1,soon\n",
        &line(2, 5, "malformed CSV: expiry: a time such as 2030-01-01T00:00:00Z must stand here, or Unix time in ms"),
    );
    t("key,field,value\nh,f,1\nh,f,2\n", &line(2, 1, "db 0, key \"h\", malformed hash: field \"f\" stands twice"));
    t("key,value\na,\"1\n", &line(2, 3, "malformed CSV: a quote that does not end"));
}

#[test]
fn rows_of_keys_are_not_taken_for_values() {
    let (folder, path) = file("rows.csv", b"");
    let script = r#"rdbkit export testdata/tutorial.rdb --format csv > "$1"; rdbkit import "$1" -o "$2""#;
    let ran = shell(script).args(["sh"]).args([&path, &folder.path().join("dump.rdb")]).fails_with(2);
    assert!(
        ran.err().contains("rows of keys hold no values; 'export --format csv --elements' writes them"),
        "{}",
        ran.err()
    );
}

#[test]
fn all_that_rows_hold_comes_back() {
    let folder = folder();
    let mut compared = 0;
    for case in cases() {
        let types = "string,list,set,zset,hash,stream,array";
        let rows = |path: &std::path::Path| {
            let ran =
                run(["export", "--format", "csv", "--elements", "--no-verify", "--type", types]).args([path]).go();
            String::from_utf8(ran.stdout).unwrap()
        };
        let want = rows(&case.path);
        let (csv, dump) = (folder.path().join("rows.csv"), folder.path().join("dump.rdb"));
        std::fs::write(&csv, &want).unwrap();
        let ran = run(["import", "-q", "--force", "--target", "rdb:15"]).args([&csv]).args(["-o"]).args([&dump]).go();
        // A key that stands twice in a dump is an error in rows, and so is what Dragonfly alone has.
        assert_eq!(ran.code, Some(0), "{}: {ran}", case.id());
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let again = rows(&dump);
        assert_eq!(sorted(&again), sorted(&want), "{}", case.id());
        compared += want.lines().count() - 1;
    }
    assert!(compared > 10_000, "only {compared} rows were compared");
}
