//! The rules of vector sets: elements and nodes are there once, and every link leads somewhere and back.

use std::collections::HashSet;

use super::deep::Faults;
use crate::codec::{Cursor, vectorset};
use crate::error::Result;
use crate::model::{Value, fingerprint};
use crate::text;

/// Levels of the graph.
const LEVELS: u64 = 16;

/// What has been seen of a vector set.
#[derive(Default)]
pub(super) struct Links {
    names: HashSet<u64>,
    ids: HashSet<u64>,
    /// From, to, level.
    links: HashSet<(u64, u64, u64)>,
    name: Vec<u8>,
    numbers: Vec<u64>,
}

impl Links {
    pub(super) fn check(&mut self, value: Value<'_>, faults: &mut Faults) -> Result<()> {
        let Links { names, ids, links, name, numbers } = self;
        names.clear();
        ids.clear();
        links.clear();
        let mut cur = Cursor::new(value.bytes);
        cur.length()?;
        let head = vectorset::head(&mut cur)?;
        if head.dim == 0 {
            faults.add("vector set: vectors without components");
        }
        for _ in 0..head.count {
            let name = vectorset::node(&mut cur, &head, name, numbers)?;
            if !names.insert(fingerprint(name)) {
                faults.add(format!("vector set: the element {} stands twice", text::quoted_short(name)));
            }
            if let Some(what) = node(numbers, ids, links) {
                faults.add(format!("vector set: the node of {} {what}", text::quoted_short(name)));
            }
        }
        let is_stray = |&&(from, to, level): &&(u64, u64, u64)| {
            !ids.contains(&to) || from == to || !links.contains(&(to, from, level))
        };
        if let Some((from, to, level)) = links.iter().filter(is_stray).min() {
            faults.add(format!("vector set: node {from} has a link to {to} on level {level} that does not lead back"));
        }
        faults.is_empty = head.count == 0;
        Ok(())
    }
}

/// Notes a node's links; says what is wrong with them. The numbers: id, level | version << 24, for each level from 0: n,
/// room, n × link, [worst link if version 1]; quantization.
fn node(numbers: &[u64], ids: &mut HashSet<u64>, links: &mut HashSet<(u64, u64, u64)>) -> Option<String> {
    const LEVEL: u64 = (1 << 24) - 1;
    let [id, level, rest @ ..] = numbers else {
        // Values of old servers have no links; whoever loads them finds new ones.
        return None;
    };
    let (top, has_worst) = (level & LEVEL, level >> 24 >= 1);
    if !ids.insert(*id) {
        return Some(format!("has the id {id} of another"));
    }
    if top >= LEVELS {
        return Some(format!("is on level {top}"));
    }
    let mut rest = rest.iter().copied();
    let mut walk = || {
        for level in 0..=top {
            let (n, room) = (rest.next()?, rest.next()?);
            if n > room {
                return None;
            }
            for _ in 0..n {
                links.insert((*id, rest.next()?, level));
            }
            if has_worst {
                rest.next()?;
            }
        }
        rest.next()?;
        rest.next().is_none().then_some(())
    };
    walk().is_none().then(|| "has more or fewer links than it says".into())
}
