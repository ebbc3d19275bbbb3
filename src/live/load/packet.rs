//! Packets: commands on their way to one server, with what each of them is to bring about.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::compare::Check;
use crate::resp::frame;

/// What a step does, and which of its replies say that it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// Another database is selected.
    Select,
    /// A script of an old server's cache.
    Script,
    /// A function library.
    Function,
    /// RESTORE of one key.
    Restore,
    /// SET of one key.
    Set,
    /// MSETNX of several keys, or MSET: so many.
    Several(u32),
    /// Commands to a key of our own, which then gets its name by RENAMENX or RENAME.
    Staged,
    /// EXISTS of one key: what a trial asks.
    Exists,
    /// DUMP of one key and its expiry, for the packet's check of this number.
    Check(u32),
    /// FUNCTION LIST of one library, for the packet's check of this number.
    Library(u32),
}

/// One or more commands that succeed or fail as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) what: What,
    /// Where its commands end; they begin where those of the step before end.
    pub(super) end: usize,
    /// How many replies they get.
    pub(super) replies: u32,
}

/// What a server gets in one write.
#[derive(Default)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) steps: Vec<Step>,
    /// What those that look are to find.
    pub(super) checks: Vec<Check>,
    /// The batch that it comes from.
    pub(super) batch: u64,
    is_repeated: AtomicBool,
    /// Whether it goes over another connection now than at first.
    is_again: AtomicBool,
}

impl Packet {
    /// Makes what was appended since the last step a step.
    pub(super) fn end_step(&mut self, what: What, replies: u32) {
        self.steps.push(Step { what, end: self.bytes.len(), replies });
    }

    /// Whether the server may have executed it already, on a connection that broke.
    pub(super) fn is_repeated(&self) -> bool {
        self.is_repeated.load(Ordering::Relaxed)
    }

    /// Notes whether the server may have executed it already.
    pub(super) fn set_repeated(&self, is_repeated: bool) {
        self.is_repeated.store(is_repeated, Ordering::Relaxed);
    }

    /// Whether it goes over another connection now than at first.
    pub(super) fn is_again(&self) -> bool {
        self.is_again.load(Ordering::Relaxed)
    }

    /// Notes whether it goes over another connection now than at first.
    pub(super) fn set_again(&self, is_again: bool) {
        self.is_again.store(is_again, Ordering::Relaxed);
        self.is_repeated.fetch_or(is_again, Ordering::Relaxed);
    }

    /// What to send another time, from a step on: nothing of what was staged is left.
    pub(super) fn once_more(&self, from: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(selection) = from.checked_sub(1).and_then(|last| self.selection(last)) {
            bytes.extend_from_slice(self.commands(selection));
        }
        for step in from..self.steps.len() {
            if let Some(stage) = self.stage(step) {
                frame::command(&[b"DEL", stage], &mut bytes);
            }
            bytes.extend_from_slice(self.commands(step));
        }
        bytes
    }

    /// The name under which a step gathers its key.
    pub(super) fn stage(&self, step: usize) -> Option<&[u8]> {
        match self.steps[step].what {
            What::Staged => Commands(self.commands(step)).last()?.get(1).copied(),
            _ => None,
        }
    }

    /// What a step is to find, if it is to find something.
    pub(super) fn check(&self, step: usize) -> Option<&Check> {
        match self.steps[step].what {
            What::Check(number) | What::Library(number) => self.checks.get(number as usize),
            _ => None,
        }
    }

    /// Where the commands of a step stand.
    pub(super) fn range(&self, step: usize) -> Range<usize> {
        let start = if step == 0 { 0 } else { self.steps[step - 1].end };
        start..self.steps[step].end
    }

    /// The commands of a step.
    pub(super) fn commands(&self, step: usize) -> &[u8] {
        &self.bytes[self.range(step)]
    }

    /// The step that selects the database in which this one works.
    pub(super) fn selection(&self, step: usize) -> Option<usize> {
        (0..=step).rev().find(|i| self.steps[*i].what == What::Select)
    }

    /// The database in which a step works.
    pub(super) fn db(&self, step: usize) -> u64 {
        let words = self.selection(step).and_then(|i| Commands(self.commands(i)).next());
        let db = words.and_then(|words| std::str::from_utf8(words.get(1)?).ok()?.parse().ok());
        db.unwrap_or(0)
    }
}

/// The commands in bytes that we have written: the words of each.
pub(super) struct Commands<'a>(pub(super) &'a [u8]);

impl<'a> Commands<'a> {
    /// A number up to its line end.
    fn number(&mut self, mark: u8) -> Option<usize> {
        let rest = self.0.strip_prefix(&[mark])?;
        let end = memchr::memchr(b'\r', rest)?;
        let n = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        self.0 = rest.get(end + 2..)?;
        Some(n)
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        let n = self.number(b'$')?;
        let (word, rest) = self.0.split_at_checked(n)?;
        self.0 = rest.get(2..)?;
        Some(word)
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Vec<&'a [u8]>;

    fn next(&mut self) -> Option<Vec<&'a [u8]>> {
        let n = self.number(b'*')?;
        (0..n).map(|_| self.word()).collect()
    }
}

/// How many commands there are.
pub(super) fn count(bytes: &[u8]) -> u32 {
    let mut commands = Commands(bytes);
    let mut count = 0;
    while let Some(words) = commands.number(b'*') {
        for _ in 0..words {
            if commands.word().is_none() {
                return count;
            }
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_know_their_commands_and_database() {
        let mut packet = Packet::default();
        for (words, what) in [
            ([b"SELECT".as_slice(), b"3"].as_slice(), What::Select),
            (&[b"SET", b"a", b"\r\n"], What::Set),
            (&[b"SELECT", b"4"], What::Select),
            (&[b"SET", b"b", b""], What::Set),
        ] {
            frame::command(words, &mut packet.bytes);
            packet.end_step(what, 1);
        }
        assert_eq!([0, 1, 2, 3].map(|step| packet.db(step)), [3, 3, 4, 4]);
        assert_eq!(Commands(packet.commands(1)).collect::<Vec<_>>(), [[b"SET".as_slice(), b"a", b"\r\n"]]);
        assert_eq!((count(&packet.bytes), Commands(b"*1\r\n$3\r\nab").next()), (4, None));
    }
}
