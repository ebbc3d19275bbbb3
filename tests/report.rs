//! `rdbkit report`: the page, as a browser shows it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::browser::Browser;
use crate::corpus::case;
use crate::dumps::{dump, expiring, hash, select, string};
use crate::harness::{file, read, run, tutorial};

/// The key that must be text.
const MARKUP: &str = "<script>alert(1)</script>";

/// A dump with prefixes in prefixes, several types, and keys that try to be more than text.
fn sample() -> Vec<u8> {
    let mut records = Vec::new();
    for i in 0..60 {
        for (name, len) in [("session:web", 120), ("session:app", 60), ("user:profile", 40)] {
            let record = string(format!("{name}:{i}").as_bytes(), &vec![b'x'; len + i]);
            records.push(if i % 3 == 0 { expiring(4_102_444_800_000, record) } else { record });
        }
        records.push(hash(format!("cart:{i}").as_bytes(), &[(b"a", b"1"), (b"b", &vec![b'y'; i])]));
    }
    records.push(string(MARKUP.as_bytes(), &[b'z'; 3000]));
    records.push(string(b"</script><script>window.hit=1</script>:a", &[b'z'; 500]));
    records.push(string(b"\"><img src=x onerror=\"window.hit=1\">:a", &[b'z'; 400]));
    records.push(string("\u{202e}turned\u{2028}around:1".as_bytes(), &[b'z'; 300]));
    records.push(string(b"\xff\x00binary:1", &[b'z'; 300]));
    records.push(string(b"", b"no name"));
    records.extend([select(2), string(b"{{style}}:1", b"v"), string(b"__proto__", b"v")]);
    dump(9, &records)
}

/// The page of a dump, and the exit code.
fn page(bytes: &[u8], code: i32) -> (TempDir, PathBuf) {
    let (folder, path) = file("dump.rdb", bytes);
    let page = folder.path().join("report.html");
    let ran = run(["report"]).args([&path]).args(["-o"]).args([&page]).go();
    assert_eq!(ran.code, Some(code), "{ran}");
    (folder, page)
}

#[test]
fn a_browser_shows_the_page_and_obeys() {
    let browser = Browser::start();
    let (_folder, path) = page(&sample(), 0);
    browser.open(&path);
    assert_eq!(browser.script("return document.title"), "Memory of dump.rdb");
    assert!(browser.text("#facts").contains("248"), "{}", browser.text("#facts"));

    // Into session: by a click on what is in it, and by its name in the table; back by the trail and by Escape.
    let trail = || browser.texts("#trail button, #trail .here");
    assert_eq!(trail(), ["all keys"]);
    browser.click("#map .cell[aria-label^='session:web:']");
    assert_eq!(trail(), ["all keys", "session:"]);
    let inside = browser.texts("#map .cell .text");
    assert!(inside.iter().any(|text| text.starts_with("web:")) && inside.iter().any(|text| text.starts_with("app:")));
    assert_eq!(browser.texts("#inside tbody td.key").len(), 2, "the table shows what the map shows");
    browser.click("#trail button");
    assert_eq!(trail(), ["all keys"]);
    browser.click("#inside tbody .link");
    assert_eq!(trail().len(), 2, "names in the table lead inside as well");
    browser.keys("body", "\u{e00c}");
    assert_eq!(trail(), ["all keys"]);
    browser.click("#by-ttl");
    assert!(browser.text("#legend").contains("without expiry"));

    // Sorting, both ways, and by text.
    let column = |n: usize| browser.texts(&format!("#keys tbody td:nth-child({n})"));
    let head = |name: &str| {
        let heads = browser.texts("#keys th");
        heads.iter().position(|head| head.starts_with(name)).unwrap() + 1
    };
    assert_eq!(column(head("Key"))[0], MARKUP, "the largest key comes first");
    let elements = head("Elements");
    browser.click(&format!("#keys th:nth-child({elements}) button"));
    assert_eq!(column(elements)[0], "2");
    let key = head("Key");
    browser.click(&format!("#keys th:nth-child({key}) button"));
    let names = column(key);
    assert!(names.is_sorted() && names.len() == 20, "{names:?}");
    browser.click(&format!("#keys th:nth-child({key}) button"));
    assert!(column(key)[0] > names[19], "the other way round");
    browser.keys("#filter", "CART:1");
    assert!(column(key).iter().all(|name| name.contains("cart:1")) && column(key).len() == 11, "{:?}", column(key));
    assert_eq!(browser.complaints(), [""; 0]);

    media(&browser);
    hostile_keys(&browser, &path);
    special(&browser);
}

/// Dark, and on paper.
fn media(browser: &Browser) {
    let paper =
        || browser.script("return getComputedStyle(document.body).backgroundColor").as_str().unwrap().to_owned();
    browser.emulate("screen", "light");
    let light = paper();
    browser.emulate("screen", "dark");
    assert_ne!(paper(), light);
    browser.emulate("print", "light");
    let hidden = "return getComputedStyle(document.querySelector('#filter')).display";
    assert_eq!((browser.script(hidden), paper()), ("none".into(), "rgb(255, 255, 255)".into()));
    browser.emulate("", "light");
}

/// Keys are text, whatever they say.
fn hostile_keys(browser: &Browser, path: &Path) {
    browser.open(path);
    let all = browser.texts("#keys td.key");
    for name in [
        MARKUP,
        "</script><script>window.hit=1</script>:a",
        "\"><img src=x onerror=\"window.hit=1\">:a",
        "\\u{202e}turned\\u{2028}around:1",
        "\\xff\\x00binary:1",
    ] {
        assert!(all.iter().any(|shown| shown == name), "{name} is not among {all:?}");
    }
    assert!(!browser.has_dialog());
    let ran = "return [window.hit ?? null, document.scripts.length, document.images.length]";
    assert_eq!(browser.script(ran), serde_json::json!([null, 2, 0]));
    // Even if markup came in, the policy would not let it do anything.
    browser.script("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit=1\">')");
    browser.script("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hit=1'}))");
    let sent = "try { await fetch('http://127.0.0.1:9/'); return 'sent' } catch { return window.hit ?? 'held' }";
    assert_eq!(browser.script(&format!("return (async () => {{ {sent} }})()")), "held");
    let refused = browser.complaints();
    assert!(refused.iter().any(|line| line.contains("Content Security Policy")), "{refused:?}");
}

/// Pages that have little to show.
fn special(browser: &Browser) {
    let (_a, empty) = page(&dump(9, &[]), 0);
    browser.open(&empty);
    assert!(browser.text("#notices").contains("no keys"), "{}", browser.text("body"));
    let sections = "return Array.from(document.querySelectorAll('section')).filter((s) => s.offsetHeight).length";
    assert_eq!(browser.script(sections), 1, "only the facts are shown");

    let (_b, one) = page(&dump(9, &[string(MARKUP.as_bytes(), b"v")]), 0);
    browser.open(&one);
    assert_eq!(browser.texts("#keys td.key"), [MARKUP]);
    assert_eq!(browser.texts("#map .cell .text").len(), 1);

    let whole = tutorial();
    let (_c, cut) = page(&whole[..500], 1);
    browser.open(&cut);
    let notice = browser.text("#notices");
    assert!(notice.contains("damaged") && notice.contains("500"), "{notice}");
    assert!(!browser.texts("#keys td.key").is_empty(), "what was before the damage is shown");
    assert!(browser.text("#findings").contains("could not be read to its end"));

    let (_e, head) = page(&whole[..40], 1);
    browser.open(&head);
    assert!(browser.text("#notices").contains("No key could be read"), "{}", browser.text("body"));

    let (_d, many) = page(&crate::memory::many_prefixes(), 0);
    assert!(read(&many).len() < 500_000, "the page of very many prefixes has {} bytes", read(&many).len());
    browser.open(&many);
    browser.click("#inside tbody .link");
    assert!(browser.texts("#inside td.key").iter().any(|name| name.contains("user:*:")), "{}", browser.text("#inside"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn the_page_asks_for_nothing_from_outside() {
    let (_folder, path) = page(&sample(), 0);
    let page = String::from_utf8(read(&path)).unwrap();
    let (shell, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (data, script) = rest.split_once("</script>").unwrap();
    for part in [shell, script] {
        for asking in
            ["http:", "https:", "src=", "href=", "url(", "@import", "innerHTML", "insertAdjacentHTML", "eval("]
        {
            assert!(!part.contains(asking), "the page has {asking}");
        }
    }
    assert!(shell.contains("default-src 'none'") && !shell.contains("unsafe"), "{shell}");
    assert!(!data.contains('<'), "no markup begins in the data");
    assert_eq!(page.matches("<script").count(), 2);
}

#[test]
fn the_page_does_not_depend_on_threads_and_goes_anywhere() {
    let path = case("redis-7.0.15", "small").path;
    let out = |args: &[&str]| run(["report"]).args([&path]).args(args).ok().stdout;
    let one = out(&["--threads", "1"]);
    assert_eq!(out(&["--threads", "4"]), one);
    let (_folder, existing) = file("report.html", b"old");
    let said = run(["report"]).args([&path]).args(["-o"]).args([&existing]).refuses();
    assert!(said.contains("--force"), "{said}");
    assert_eq!(read(&existing), b"old");
    run(["report"]).args([&path]).args(["--force", "-o"]).args([&existing]).ok();
    assert_eq!(read(&existing), one);
}
