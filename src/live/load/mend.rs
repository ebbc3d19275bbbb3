//! What did not go well at first: keys that are elsewhere, servers that are not ready, keys that are there already.
//!
//! One step at a time, on connections of its own, while the lanes go on.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use super::compare::{self, Ours};
use super::ledger::{Fate, Ledger, key_of};
use super::packet::{Commands, Packet, Step, What};
use super::verdict::{Trouble, Verdict, advice};
use super::{OnExists, Plan, Site};
use crate::error::{Error, ErrorKind, Result};
use crate::live::cluster::redirection;
use crate::live::{Connection, Place};
use crate::model::slot;
use crate::resp::frame;

/// The pause before another try grows up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the threads of a load have in common.
pub(super) struct Crew<'c, 'l> {
    pub(super) plan: &'c Plan,
    pub(super) site: &'c Site,
    pub(super) ledger: &'c Ledger<'l>,
}

/// Mends steps.
pub(super) struct Mender<'c, 'l> {
    crew: &'c Crew<'c, 'l>,
    /// With the database that each has selected.
    connections: HashMap<Place, (Connection, u64)>,
}

impl<'c, 'l> Mender<'c, 'l> {
    pub(super) fn new(crew: &'c Crew<'c, 'l>) -> Mender<'c, 'l> {
        Mender { crew, connections: HashMap::new() }
    }

    /// Brings a step of a packet for `place` to its end, after a first try came to this; books what became of it.
    ///
    /// Errors: what makes going on senseless.
    pub(super) fn mend(&mut self, place: &Place, packet: &Packet, step: usize, first: Verdict) -> Result<()> {
        let What::Several(_) = packet.steps[step].what else {
            let fate = self.fate(place, packet, step, first)?;
            self.crew.ledger.book(packet, step, fate);
            return Ok(());
        };
        if let Verdict::Refused(words) = &first
            && matches!(Trouble::of(words), Trouble::Passing | Trouble::Server)
        {
            // As a whole, once the server is ready.
            let again = self.until_answered(place, packet, step, words.clone())?;
            if again == Verdict::Done {
                self.crew.ledger.book(packet, step, Fate::Loaded);
                return Ok(());
            }
        }
        // One by one.
        let single = split(packet, step, self.crew.plan.on_exists);
        single.set_repeated(packet.is_repeated());
        for step in 0..single.steps.len() {
            if single.steps[step].what == What::Set {
                let first = self.attempt(place, false, &single, step)?;
                let fate = self.fate(place, &single, step, first)?;
                self.crew.ledger.book(&single, step, fate);
            }
        }
        Ok(())
    }

    fn fate(&mut self, place: &Place, packet: &Packet, step: usize, first: Verdict) -> Result<Fate> {
        let verdict = match first {
            Verdict::Refused(words) => self.until_answered(place, packet, step, words)?,
            other => other,
        };
        Ok(match verdict {
            Verdict::Done => Fate::Loaded,
            Verdict::Exists => self.existing(place, packet, step)?,
            // The staged key has expired.
            Verdict::Refused(words) if packet.steps[step].what == What::Staged && words.contains("no such key") => {
                Fate::Expired
            }
            Verdict::Refused(words) => {
                self.clear_stage(place, packet, step)?;
                match advice(&words) {
                    Some(advice) => Fate::Refused(format!("{words}; {advice}")),
                    None => Fate::Refused(words),
                }
            }
        })
    }

    /// Tries again, at the node that has the slot and when the server is ready, until the words are about the key.
    fn until_answered(&mut self, place: &Place, packet: &Packet, step: usize, words: String) -> Result<Verdict> {
        let deadline = Instant::now() + self.crew.plan.retry;
        let (mut place, mut asking, mut words) = (place.clone(), false, words);
        let mut pause = Duration::from_millis(20);
        loop {
            match Trouble::of(&words) {
                Trouble::Key => return Ok(Verdict::Refused(words)),
                Trouble::Elsewhere { asking: asks } => {
                    let Some((slot, node)) = redirection(&words, &place) else {
                        return Ok(Verdict::Refused(words));
                    };
                    if !asks {
                        self.crew.site.topology.moved(slot, &node);
                    }
                    (place, asking) = (node, asks);
                    if Instant::now() > deadline {
                        return Err(gave_up(&words, packet, step));
                    }
                }
                Trouble::Passing | Trouble::Server => {
                    if Instant::now() + pause > deadline {
                        return Err(gave_up(&words, packet, step));
                    }
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    // A slot that was asked for elsewhere may have gone there, or come back.
                    if asking {
                        place = self.place_of(packet, step).unwrap_or(place);
                        asking = false;
                    }
                }
            }
            self.crew.ledger.change(|tally| tally.retried += 1);
            match self.attempt(&place, asking, packet, step)? {
                Verdict::Refused(again) => words = again,
                other => return Ok(other),
            }
        }
    }

    /// Where the key of a step is, as far as is known.
    fn place_of(&self, packet: &Packet, step: usize) -> Option<Place> {
        let (_, key) = key_of(packet, step)?;
        Some(self.crew.site.topology.nodes[self.crew.site.topology.node_of(slot(&key))].clone())
    }

    /// Sends a step once more; if the connection breaks meanwhile, on another one.
    fn attempt(&mut self, place: &Place, asking: bool, packet: &Packet, step: usize) -> Result<Verdict> {
        self.persist(place, |mender| {
            // What was sent may have been done, answered or not.
            mender.attempt_once(place, asking, packet, step).inspect_err(|_| packet.set_repeated(true))
        })
    }

    /// Does what may be done twice; if the connection breaks meanwhile, again on another one.
    fn persist<T>(&mut self, place: &Place, act: impl Fn(&mut Self) -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + self.crew.plan.retry;
        loop {
            match act(self) {
                Err(e) if matches!(e.kind(), ErrorKind::Connection(_)) && Instant::now() < deadline => {
                    self.connections.remove(place);
                    thread::sleep(Duration::from_millis(200));
                }
                other => return other,
            }
        }
    }

    fn attempt_once(&mut self, place: &Place, asking: bool, packet: &Packet, step: usize) -> Result<Verdict> {
        let Step { what, replies, .. } = packet.steps[step];
        let mut bytes = Vec::new();
        let mut extra = 0;
        if let Some(stage) = packet.stage(step) {
            ask_first(asking, &mut extra, &mut bytes);
            frame::command(&[b"DEL", stage], &mut bytes);
            extra += 1;
        }
        let stage_replies = extra;
        let mut asked = 0;
        for words in Commands(packet.commands(step)) {
            ask_first(asking, &mut asked, &mut bytes);
            frame::command(&words, &mut bytes);
        }
        let probe = &self.crew.site.nodes[0];
        let connection = self.connection(place, packet.db(step))?;
        connection.send(&bytes)?;
        for _ in 0..stage_replies {
            connection.replies().skim()?;
        }
        if let Some(check) = packet.check(step) {
            return Verdict::compare(check, asked, connection.replies(), probe);
        }
        // With ASKING in front of every command, every other reply is to that.
        let step = Step { what, replies: replies + asked, end: 0 };
        Verdict::read(&step, connection.replies())
    }

    /// A connection to a node, with this database.
    fn connection(&mut self, place: &Place, db: u64) -> Result<&mut Connection> {
        let endpoint = self.crew.site.endpoint.at(place.clone());
        if !self.connections.contains_key(place) {
            self.connections.insert(place.clone(), (endpoint.connect()?, 0));
        }
        let Some((connection, selected)) = self.connections.get_mut(place) else { unreachable!("it was put there") };
        if *selected != db {
            connection.demand(&[b"SELECT", itoa::Buffer::new().format(db).as_bytes()])?;
            *selected = db;
        }
        Ok(connection)
    }

    /// A key that is there already: ours from before, or somebody else's.
    fn existing(&mut self, place: &Place, packet: &Packet, step: usize) -> Result<Fate> {
        let is_ours = self.persist(place, |mender| {
            let is_ours = packet.is_repeated() && mender.is_same(place, packet, step)?;
            mender.clear_stage(place, packet, step)?;
            Ok(is_ours)
        })?;
        Ok(if is_ours { Fate::Had } else { Fate::Existed })
    }

    /// Whether the server has exactly what a step was to bring.
    fn is_same(&mut self, place: &Place, packet: &Packet, step: usize) -> Result<bool> {
        let commands = packet.commands(step);
        let origin = &self.crew.site.nodes[0].target.origin;
        let (is_new, db) = (self.crew.site.nodes[0].since(7, 0), packet.db(step));
        let Some(ours) = Ours::of(commands, packet.steps[step].what) else { return Ok(false) };
        let connection = self.connection(place, db)?;
        compare::is_same(&ours, connection, origin, is_new)
    }

    /// Removes what a step has staged and not named.
    fn clear_stage(&mut self, place: &Place, packet: &Packet, step: usize) -> Result<()> {
        if let Some(stage) = packet.stage(step) {
            self.connection(place, packet.db(step))?.ask(&[b"DEL", stage])?;
        }
        Ok(())
    }
}

fn ask_first(asking: bool, count: &mut u32, bytes: &mut Vec<u8>) {
    if asking {
        frame::command(&[b"ASKING"], bytes);
        *count += 1;
    }
}

/// Several keys of one command, one by one.
fn split(packet: &Packet, step: usize, on_exists: OnExists) -> Packet {
    let mut single = Packet::default();
    if let Some(selection) = packet.selection(step) {
        single.bytes.extend_from_slice(packet.commands(selection));
        single.end_step(What::Select, 1);
    }
    let words = Commands(packet.commands(step)).next().unwrap_or_default();
    for pair in words.get(1..).unwrap_or_default().chunks_exact(2) {
        match on_exists {
            OnExists::Replace => frame::command(&[b"SET", pair[0], pair[1]], &mut single.bytes),
            _ => frame::command(&[b"SET", pair[0], pair[1], b"NX"], &mut single.bytes),
        }
        single.end_step(What::Set, 1);
    }
    single
}

fn gave_up(words: &str, packet: &Packet, step: usize) -> Error {
    let mut e = Error::refused(words);
    if let Some((db, key)) = key_of(packet, step) {
        e = e.of_key(db, &key);
    }
    match advice(words) {
        Some(advice) => e.noting(advice.to_owned()),
        None => e,
    }
}
