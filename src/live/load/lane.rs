//! Lanes: one connection each, with a thread that writes packets and one that reads the replies meanwhile.
//!
//! So many bytes may be on their way, whatever they are; whoever brings more waits. A connection that breaks is made
//! anew, and what was not answered goes again.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::ledger::Fate;
use super::mend::{Crew, Mender};
use super::packet::{Packet, What};
use super::probe::Probe;
use super::verdict::Verdict;
use crate::error::{Error, ErrorKind, Result};
use crate::live::{Connection, Endpoint, Place, Replies, Sender};

/// Bytes on their way in one lane.
const WINDOW: usize = 8 << 20;
/// A pause before another try to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// A lane to one node.
pub(super) struct Lane {
    place: Place,
    /// What tells the run of the server to which the first keys went from any other.
    run_id: Option<String>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is on its way, and what is to be.
    packets: VecDeque<Arc<Packet>>,
    /// Bytes of all of them.
    bytes: usize,
    /// How many of them were written to this connection.
    written: usize,
    /// How many steps of the first one are done.
    steps_done: usize,
    /// Nothing more will come.
    is_closed: bool,
    /// The connection is of no use any more.
    is_broken: bool,
}

impl Lane {
    pub(super) fn new(place: Place, run_id: Option<String>) -> Lane {
        Lane { place, run_id, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits for a change, or for a while: the load may have failed elsewhere.
    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let waited = self.changed.wait_timeout(state, Duration::from_millis(100));
        waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
    }

    /// Bytes on their way.
    pub(super) fn load(&self) -> usize {
        self.state().bytes
    }

    /// Puts a packet on its way, when there is room for it.
    pub(super) fn push(&self, packet: Packet, crew: &Crew<'_, '_>) {
        let mut state = self.state();
        while state.bytes >= WINDOW && !crew.ledger.has_failed() {
            state = self.wait(state);
        }
        state.bytes += packet.bytes.len();
        state.packets.push_back(Arc::new(packet));
        self.changed.notify_all();
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Brings packets to the server until there are no more. A failure is told to the ledger.
    pub(super) fn run(&self, crew: &Crew<'_, '_>, pool: &Mutex<Vec<Packet>>) {
        let endpoint = crew.site.endpoint.at(self.place.clone());
        let mut is_first = true;
        loop {
            let connection = match self.connect(&endpoint, crew, is_first) {
                Ok(Some(connection)) => connection,
                Ok(None) => return,
                Err(e) => return crew.ledger.fail(e),
            };
            is_first = false;
            let (replies, sender) = connection.split();
            let outcome = thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let outcome = self.read(replies, crew, pool);
                    if outcome.is_err() {
                        self.break_off(&sender);
                    }
                    outcome
                });
                if self.write(&sender, crew).is_err() {
                    self.break_off(&sender);
                }
                reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            match outcome {
                Ok(()) => return,
                Err(e) if !matches!(e.kind(), ErrorKind::Connection(_)) || crew.ledger.has_failed() => {
                    return crew.ledger.fail(endpoint.name_it(e));
                }
                Err(_) => self.repeat(),
            }
        }
    }

    /// A connection, once there is something to send; `None` if there never is.
    fn connect(&self, endpoint: &Endpoint, crew: &Crew<'_, '_>, is_first: bool) -> Result<Option<Connection>> {
        let mut state = self.state();
        while state.packets.is_empty() && !state.is_closed && !crew.ledger.has_failed() {
            state = self.wait(state);
        }
        if state.packets.is_empty() || crew.ledger.has_failed() {
            return Ok(None);
        }
        drop(state);
        let deadline = Instant::now() + crew.plan.retry;
        loop {
            let asked = endpoint.connect().and_then(|mut connection| {
                let run_id = if is_first { None } else { Probe::run_id(&mut connection)? };
                Ok((connection, run_id))
            });
            match asked {
                Ok((connection, run_id)) => {
                    if !is_first {
                        crew.ledger.change(|tally| tally.reconnected += 1);
                        self.check_run(run_id).map_err(|e| endpoint.name_it(e))?;
                    }
                    return Ok(Some(connection));
                }
                Err(e) if Instant::now() > deadline || matches!(e.refusal(), Some("WRONGPASS" | "NOAUTH")) => {
                    return Err(e);
                }
                Err(_) if crew.ledger.has_failed() => return Ok(None),
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    /// Errors: the server has been started anew since the first keys went there.
    fn check_run(&self, now: Option<String>) -> Result<()> {
        if self.run_id.is_some() && now.is_some() && now != self.run_id {
            return Err(Error::connection(
                "the server was started anew meanwhile; what it had not saved of the keys that it was given is lost",
            ));
        }
        Ok(())
    }

    fn break_off(&self, sender: &Sender) {
        self.state().is_broken = true;
        sender.close();
        self.changed.notify_all();
    }

    /// All that was not answered goes again.
    fn repeat(&self) {
        let mut state = self.state();
        let written = state.written;
        state.packets.iter().take(written).for_each(|packet| packet.set_again(true));
        state.written = 0;
        state.is_broken = false;
    }

    /// The writer: all packets, one after the other.
    fn write(&self, sender: &Sender, crew: &Crew<'_, '_>) -> std::io::Result<()> {
        let mut sender = sender.clone();
        loop {
            let mut state = self.state();
            while state.written == state.packets.len() && !state.is_closed && !state.is_broken {
                if crew.ledger.has_failed() {
                    return Err(std::io::Error::other("failed elsewhere"));
                }
                state = self.wait(state);
            }
            if state.is_broken || state.written == state.packets.len() {
                return Ok(());
            }
            let packet = state.packets[state.written].clone();
            let from = if state.written == 0 { state.steps_done } else { 0 };
            state.written += 1;
            drop(state);
            self.changed.notify_all();
            if packet.is_again() {
                sender.write_all(&packet.once_more(from))?;
            } else {
                sender.write_all(&packet.bytes)?;
            }
        }
    }

    /// The reader: the replies to all packets.
    fn read(&self, mut replies: Replies, crew: &Crew<'_, '_>, pool: &Mutex<Vec<Packet>>) -> Result<()> {
        let mut mender = Mender::new(crew);
        loop {
            let mut state = self.state();
            while state.written == 0 {
                if state.is_closed && state.packets.is_empty() {
                    return Ok(());
                }
                if state.is_broken || crew.ledger.has_failed() {
                    return Err(Error::connection("the connection was lost"));
                }
                state = self.wait(state);
            }
            let packet = state.packets[0].clone();
            let from = state.steps_done;
            drop(state);
            if from > 0 && packet.selection(from - 1).is_some() {
                replies.skim()?;
            }
            let (steps_done, outcome) = self.read_packet(&packet, from, &mut replies, &mut mender, crew);
            let mut state = self.state();
            if outcome.is_err() {
                state.steps_done = steps_done;
                return outcome;
            }
            state.packets.pop_front();
            state.written -= 1;
            state.steps_done = 0;
            state.bytes -= packet.bytes.len();
            drop(state);
            self.changed.notify_all();
            crew.ledger.end(packet.batch);
            recycle(packet, pool);
        }
    }

    /// The replies to one packet, from a step on; says how many steps are done.
    fn read_packet(
        &self,
        packet: &Packet,
        from: usize,
        replies: &mut Replies,
        mender: &mut Mender<'_, '_>,
        crew: &Crew<'_, '_>,
    ) -> (usize, Result<()>) {
        let (mut loaded, mut later) = (0, Vec::new());
        let mut outcome = Ok(());
        let mut done = from;
        for (i, step) in packet.steps.iter().enumerate().skip(from) {
            // Of what was staged the first time nothing is to be left.
            let cleared =
                if packet.is_again() && step.what == What::Staged { replies.skim().map(drop) } else { Ok(()) };
            let verdict = match packet.check(i) {
                Some(check) => Verdict::compare(check, 0, replies, &crew.site.nodes[0]),
                None => cleared.and_then(|()| Verdict::read(step, replies)),
            };
            match verdict {
                Ok(Verdict::Done) => match step.what {
                    What::Restore | What::Set | What::Staged | What::Exists | What::Check(_) => loaded += 1,
                    What::Several(keys) => loaded += u64::from(keys),
                    What::Function | What::Library(_) => crew.ledger.book(packet, i, Fate::Loaded),
                    What::Select | What::Script => {}
                },
                Ok(other) => later.push((i, other)),
                Err(e) => {
                    outcome = Err(e);
                    break;
                }
            }
            done = i + 1;
        }
        crew.ledger.change(|tally| tally.loaded += loaded);
        for (i, verdict) in later {
            if let Err(e) = mender.mend(&self.place, packet, i, verdict) {
                // The packet is not done, and nothing that comes after it counts as done.
                crew.ledger.fail(crew.site.endpoint.at(self.place.clone()).name_it(e));
                return (done, Err(Error::connection("the load has failed")));
            }
        }
        (done, outcome)
    }
}

fn recycle(packet: Arc<Packet>, pool: &Mutex<Vec<Packet>>) {
    /// Memory that a single huge value took is given back.
    const KEPT: usize = 8 << 20;
    if let Some(packet) = Arc::into_inner(packet).filter(|packet| packet.bytes.capacity() <= KEPT) {
        pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(packet);
    }
}
