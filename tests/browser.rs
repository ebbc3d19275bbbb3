//! A real browser without a window, driven as WebDriver says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{folder, root};
use crate::live::{Life, poll};

/// A browser that needs longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser that runs as long as this lives.
pub(crate) struct Browser {
    port: u16,
    session: String,
    _life: Life,
    _folder: TempDir,
}

impl Browser {
    /// Starts one; it is installed if there is none. Without it a test fails: it never passes unrun.
    pub(crate) fn start() -> Browser {
        let found = Command::new("tests/browser.sh").current_dir(root()).stdin(Stdio::null()).output().unwrap();
        let (said, why) = (String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr));
        assert!(found.status.success(), "this test needs a browser, and tests/browser.sh cannot get it: {why}");
        let (binary, driver) = said.trim().split_once('\n').unwrap();
        let folder = folder();
        let log = folder.path().join("log");
        let life = Life::begin(Path::new(driver), &["--port=0".into()], &log);
        let port = poll(PATIENCE, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let (_, rest) = text.split_once("started successfully on port ")?;
            rest.split_once('.')?.0.parse().ok()
        });
        let port = port.unwrap_or_else(|| panic!("chromedriver does not start: {:?}", std::fs::read_to_string(&log)));
        let mut browser = Browser { port, session: String::new(), _life: life, _folder: folder };
        let args =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900"];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": binary, "args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.send("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    /// A command of the protocol; what it answers.
    fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
        // It keeps the connection open, whatever it was asked.
        let mut reply = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            assert!(reply.read_line(&mut line).unwrap() > 0, "{path}: no answer: {head}");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reply.read_exact(&mut body).unwrap();
        let mut answer: Value = serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{path}: {e}: {head}"));
        let value = answer["value"].take();
        if head.starts_with("HTTP/1.1 200") { Ok(value) } else { Err(value) }
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_send(method, path, body).unwrap_or_else(|e| panic!("{method} {path} {body}: {}", e["message"]))
    }

    fn tell(&self, what: &str, body: &Value) -> Value {
        self.send("POST", &format!("{}{what}", self.session), body)
    }

    /// Opens a page from disk and waits until it has drawn itself.
    pub(crate) fn open(&self, page: &Path) {
        self.tell("/url", &json!({"url": format!("file://{}", page.display())}));
        let ready = "return document.documentElement.dataset.ready || null";
        let drawn = poll(PATIENCE, || self.script(ready).as_str().map(str::to_owned));
        assert!(drawn.is_some(), "{} does not draw itself: {:?}", page.display(), self.complaints());
    }

    /// What a script in the page returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.tell("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of the first element that a selector finds.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).innerText", json!(selector));
        self.script(&script).as_str().unwrap().to_owned()
    }

    /// The texts of all elements that a selector finds.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let script = format!("return Array.from(document.querySelectorAll({}), (e) => e.textContent)", json!(selector));
        let texts = self.script(&script);
        texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    fn find(&self, selector: &str) -> String {
        let found = self.tell("/element", &json!({"using": "css selector", "value": selector}));
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    /// Clicks, as a mouse does.
    pub(crate) fn click(&self, selector: &str) {
        self.tell(&format!("{}/click", self.find(selector)), &json!({}));
    }

    /// Types into an element.
    pub(crate) fn keys(&self, selector: &str, text: &str) {
        self.tell(&format!("{}/value", self.find(selector)), &json!({"text": text}));
    }

    /// Shows the page as on paper, or in the dark.
    pub(crate) fn emulate(&self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let params = json!({"media": media, "features": features});
        self.tell("/goog/cdp/execute", &json!({"cmd": "Emulation.setEmulatedMedia", "params": params}));
    }

    /// Whether a dialog is open.
    pub(crate) fn has_dialog(&self) -> bool {
        self.try_send("GET", &format!("{}/alert/text", self.session), &Value::Null).is_ok()
    }

    /// What the console says: errors, and what the policy of the page refused.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.tell("/se/log", &json!({"type": "browser"}));
        log.as_array().unwrap().iter().map(|line| line["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            drop(self.try_send("DELETE", &self.session, &Value::Null));
        }
    }
}
