//! What has become of everything that was sent: tallies, what was refused and why, and how far all of it is done.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use super::encode::{Note, Taken};
use super::packet::{Commands, Packet, What};
use crate::error::Error;
use crate::model::library_name;
use crate::text;

/// What has become of keys and the like.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Keys that the server has.
    pub loaded: u64,
    /// Keys that were there already, and stayed as they were.
    pub existed: u64,
    /// Keys, functions and scripts that the server refused, or that there is no way to send.
    pub refused: u64,
    /// Keys of which a part was left behind.
    pub reduced: u64,
    /// Keys whose expiry has passed.
    pub expired: u64,
    /// Keys that became values of another type.
    pub changed: u64,
    /// Function libraries that the server has.
    pub functions: u64,
    /// Keys that the server had from the run before, as was seen by comparing.
    pub had: u64,
    /// What the server was asked again, as it was not ready the first time.
    pub retried: u64,
    /// Times that a connection was lost and made again.
    pub reconnected: u64,
}

/// How a step ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The server has it.
    Loaded,
    /// The server had it before, exactly so.
    Had,
    /// The key is there already.
    Existed,
    /// Its time came while it was on its way.
    Expired,
    /// The server does not take it, in these words.
    Refused(String),
}

/// The books of a load, which all threads write.
pub(super) struct Ledger<'l> {
    state: Mutex<State<'l>>,
}

struct State<'l> {
    tally: Tally,
    /// Batches on their way: how many of their packets are not done yet, and where they end.
    open: BTreeMap<u64, (usize, u64)>,
    /// All before this byte of the input is done.
    done: u64,
    failed: Option<Error>,
    listener: &'l mut (dyn FnMut(&Note) + Send),
}

impl<'l> Ledger<'l> {
    pub(super) fn new(listener: &'l mut (dyn FnMut(&Note) + Send)) -> Ledger<'l> {
        let state = State { tally: Tally::default(), open: BTreeMap::new(), done: 0, failed: None, listener };
        Ledger { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<'l>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A batch of so many packets is sent.
    pub(super) fn begin(&self, batch: u64, packets: usize, end: u64) {
        let mut state = self.state();
        if packets > 0 {
            state.open.insert(batch, (packets, end));
        } else if state.open.is_empty() {
            state.done = end;
        } else if let Some(mut last) = state.open.last_entry() {
            // Nothing of it has to be waited for, but for what came before.
            last.get_mut().1 = end;
        }
    }

    /// A packet of a batch is done.
    pub(super) fn end(&self, batch: u64) {
        let state = &mut *self.state();
        if let Some((packets, _)) = state.open.get_mut(&batch) {
            *packets -= 1;
        }
        while let Some(first) = state.open.first_entry().filter(|first| first.get().0 == 0) {
            state.done = first.remove().1;
        }
    }

    /// All before this byte of the input is done.
    pub(super) fn done(&self) -> u64 {
        self.state().done
    }

    /// Another input begins.
    pub(super) fn rewind(&self, done: u64) {
        self.state().done = done;
    }

    /// Keys that were not taken so far.
    pub(super) fn not_taken(&self) -> u64 {
        let Tally { refused, existed, .. } = self.tally();
        refused + existed
    }

    pub(super) fn tally(&self) -> Tally {
        self.state().tally
    }

    /// Everything comes to an end for this reason; the first one counts.
    pub(super) fn fail(&self, e: Error) {
        self.state().failed.get_or_insert(e);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state().failed.is_some()
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.state().failed.take()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.state().tally);
    }

    /// Something was not sent, or not whole.
    pub(super) fn note(&self, note: &Note) {
        let state = &mut *self.state();
        match note.taken {
            Taken::Part => state.tally.reduced += 1,
            Taken::Aside => {}
            Taken::Not | Taken::Existed => state.tally.refused += 1,
        }
        (state.listener)(note);
    }

    /// Books how a step ended.
    pub(super) fn book(&self, packet: &Packet, step: usize, fate: Fate) {
        let what = packet.steps[step].what;
        let (reason, taken) = {
            let tally = &mut self.state().tally;
            match (fate, what) {
                (Fate::Loaded | Fate::Had, What::Function | What::Library(_)) => return tally.functions += 1,
                (_, What::Select | What::Script) => return,
                (Fate::Loaded, What::Several(keys)) => return tally.loaded += u64::from(keys),
                (Fate::Loaded, _) => return tally.loaded += 1,
                (Fate::Had, _) => return tally.had += 1,
                (Fate::Expired, _) => return tally.expired += 1,
                (Fate::Existed, _) => {
                    tally.existed += 1;
                    ("it exists already".to_owned(), Taken::Existed)
                }
                (Fate::Refused(words), _) => {
                    tally.refused += 1;
                    (words, Taken::Not)
                }
            }
        };
        let reason = match library(packet, step) {
            Some(name) => format!("function library {name}: {reason}"),
            None => reason,
        };
        (self.state().listener)(&Note { key: key_of(packet, step), reason, taken });
    }
}

/// The function library that a step is to load or to find.
fn library(packet: &Packet, step: usize) -> Option<String> {
    let words = Commands(packet.commands(step)).next()?;
    match packet.steps[step].what {
        What::Function => library_name(words.last()?).map(text::quoted_short),
        What::Library(_) => words.get(3).copied().map(text::quoted_short),
        _ => None,
    }
}

/// The key of a step, with its database; none for programs.
pub(super) fn key_of(packet: &Packet, step: usize) -> Option<(u64, Vec<u8>)> {
    let mut commands = Commands(packet.commands(step));
    let key = match packet.steps[step].what {
        What::Select | What::Script | What::Function | What::Library(_) => return None,
        What::Staged => commands.last()?.get(2)?.to_vec(),
        _ => commands.next()?.get(1)?.to_vec(),
    };
    Some((packet.db(step), key))
}
