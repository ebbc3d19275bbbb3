//! How far a load has come, in a file: what `--resume` goes on from.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::pipeline::Output;

/// A load that is not complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Names the load on the server.
    pub id: String,
    /// What is loaded to where and how: a load that differs is another one.
    pub what: Vec<String>,
    /// The input that is being loaded.
    pub input: usize,
    /// All before this byte of it is done.
    pub done: u64,
    /// What tells the runs of the servers from others.
    pub runs: Vec<String>,
    /// Keys that were not taken until then.
    pub not_taken: u64,
}

impl State {
    /// Reads a state; `None` if there is no such file.
    pub fn read(path: &Path) -> Result<Option<State>> {
        let named = |e: Error| e.in_input(&path.display().to_string());
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(named(e.into())),
        };
        let value: Option<Value> = serde_json::from_slice(&text).ok();
        let state = value.and_then(|value| State::of(&value));
        state.map(Some).ok_or_else(|| {
            named(Error::usage("it is no state of a load; name a file that --resume wrote, or a new one"))
        })
    }

    fn of(value: &Value) -> Option<State> {
        let number = |name: &str| value[name].as_u64();
        let texts = |name: &str| {
            let items = value[name].as_array()?.iter();
            items.map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        if number("rdbkit-load") != Some(1) {
            return None;
        }
        Some(State {
            id: value["id"].as_str()?.to_owned(),
            what: texts("what")?,
            input: usize::try_from(number("input")?).ok()?,
            done: number("done")?,
            runs: texts("runs")?,
            not_taken: number("not-taken")?,
        })
    }

    /// Writes it in place of what is there; a crash leaves one or the other.
    pub fn write(&self, path: &Path) -> Result<()> {
        let State { id, what, input, done, runs, not_taken } = self;
        let value = json!({
            "rdbkit-load": 1, "id": id, "what": what, "input": input, "done": done, "runs": runs, "not-taken": not_taken,
        });
        let mut output = Output::create(Some(path), true)?;
        output.put(format!("{value}\n").as_bytes())?;
        output.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back() {
        let folder = tempfile::tempdir().expect("there is room for a file");
        let path = folder.path().join("state");
        assert_eq!(State::read(&path).ok(), Some(None));
        let mut state = State {
            id: "a1".into(),
            what: vec!["x\"y".into(), "redis://h".into()],
            input: 1,
            done: u64::from(u32::MAX) + 9,
            runs: vec!["r".into()],
            not_taken: 2,
        };
        state.write(&path).expect("it can be written");
        (state.input, state.done) = (2, 7);
        state.write(&path).expect("it can be replaced");
        assert_eq!(State::read(&path).ok(), Some(Some(state)));
        std::fs::write(&path, "{}").expect("it can be written");
        assert!(State::read(&path).is_err());
    }
}
