//! Loading: keys of any source into a live server or cluster, each as it is in the source, none over another one unless
//! that is wanted, and with a word on every one that was not taken.

mod compare;
mod encode;
mod lane;
mod ledger;
mod mend;
mod packet;
mod probe;
mod site;
mod state;
mod verdict;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

pub use encode::{Note, Taken};
pub use ledger::Tally;
pub use probe::Probe;
pub use site::{Site, wait_until_ready};
pub use state::State;

use self::encode::{Encoded, Encoder, Shared};
use self::lane::Lane;
use self::ledger::Ledger;
use self::mend::Crew;
use self::packet::Packet;
use crate::error::Result;
use crate::model::{Filter, Rewrite};
use crate::pipeline::{Input, Work, run};

/// How keys go over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// In the form that the server executes fastest.
    Auto,
    /// By RESTORE; by commands what that cannot carry.
    Restore,
    /// By the commands that applications use.
    Commands,
}

/// What becomes of keys that exist already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExists {
    /// They stay, and the new ones count as refused.
    Fail,
    /// They stay.
    Skip,
    /// The new ones take their place.
    Replace,
}

/// What is done with keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// They are loaded.
    Load,
    /// The server is asked which it has, and nothing is changed.
    Try,
    /// They are read back and compared.
    Verify,
}

/// What is to be loaded, and how.
pub struct Plan {
    /// How keys go over.
    pub method: Method,
    /// What becomes of keys that exist already.
    pub on_exists: OnExists,
    /// Which keys are loaded.
    pub filter: Filter,
    /// What is changed of them.
    pub rewrite: Rewrite,
    /// As much of a key is loaded as the server can hold.
    pub downgrades: bool,
    /// Values that are larger in the file go in pieces.
    pub max_restore: Option<u64>,
    /// Connections to each server.
    pub connections: NonZeroUsize,
    /// Bytes a second at most.
    pub rate: Option<u64>,
    /// How long to try again when a server is not ready or a connection breaks.
    pub retry: Duration,
    /// What is done with keys.
    pub purpose: Purpose,
    /// Nothing is on the server, and no two keys become one.
    pub is_empty_target: bool,
    /// What names of our own begin with on the server, the same after a break.
    pub id: String,
}

/// A load that goes on: what was sent, and what became of it.
pub struct Load<'l> {
    site: &'l Site,
    threads: NonZeroUsize,
    ledger: Ledger<'l>,
    pool: Mutex<Vec<Packet>>,
    batches: u64,
    begun: Instant,
    sent: u64,
}

/// Where a load is to go on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Start {
    /// All before this byte of the input is on the server.
    pub skip: u64,
    /// The server may have been given more than that.
    pub is_resumed: bool,
}

/// Hears how far the input is done, now and then.
pub type Checkpoint<'c> = dyn FnMut(u64, &Tally) -> Result<()> + 'c;

impl<'l> Load<'l> {
    /// A load to a site; `listener` hears of everything that was not taken.
    pub fn new(site: &'l Site, threads: NonZeroUsize, listener: &'l mut (dyn FnMut(&Note) + Send)) -> Load<'l> {
        let (ledger, begun) = (Ledger::new(listener), Instant::now());
        Load { site, threads, ledger, pool: Mutex::default(), batches: 0, begun, sent: 0 }
    }

    /// What has become of keys so far.
    pub fn tally(&self) -> Tally {
        let tally = self.ledger.tally();
        // Each node of a cluster has all functions.
        Tally { functions: tally.functions / self.site.nodes.len().max(1) as u64, ..tally }
    }

    /// All before this byte of the input is done.
    pub fn done(&self) -> u64 {
        self.ledger.done()
    }

    /// Loads an input, the `number`-th of several.
    ///
    /// Errors: a damaged input, after all before the damage is loaded; a server that takes nothing any more, a
    /// connection that can't be made again.
    pub fn add(
        &mut self,
        input: &mut Input,
        plan: &Plan,
        number: usize,
        start: Start,
        checkpoint: &mut Checkpoint<'_>,
    ) -> Result<()> {
        self.ledger.rewind(start.skip);
        let site = self.site;
        let pool = std::mem::take(&mut self.pool);
        let shared = Shared { plan, site, start, input: number, pool: &pool };
        let lanes = self.lanes(plan.connections);
        let fed = {
            let ledger = &self.ledger;
            let crew = Crew { plan, site, ledger };
            let mut feed = Feed { crew: &crew, lanes: &lanes, batches: &mut self.batches, sent: &mut self.sent };
            let begun = self.begun;
            let threads = self.threads;
            thread::scope(|scope| {
                for lane in &lanes {
                    scope.spawn(|| lane.run(&crew, &pool));
                }
                let fed = feed.all(input, &shared, threads, begun, checkpoint);
                lanes.iter().for_each(Lane::close);
                fed
            })
        };
        self.pool = pool;
        checkpoint(self.ledger.done(), &self.ledger.tally())?;
        match self.ledger.failure() {
            Some(e) => Err(e),
            None => fed.map_err(|e| input.name_it(e)),
        }
    }

    fn lanes(&self, connections: NonZeroUsize) -> Vec<Lane> {
        let Site { topology, nodes, .. } = self.site;
        let each = topology.nodes.iter().zip(nodes);
        each.flat_map(|(place, probe)| {
            let lane = || Lane::new(place.clone(), Some(probe.run_id.clone()).filter(|id| !id.is_empty()));
            (0..connections.get()).map(move |_| lane())
        })
        .collect()
    }
}

/// Feeds the lanes with what workers have made of batches.
struct Feed<'f, 'c, 'l> {
    crew: &'f Crew<'c, 'l>,
    /// So many for each node, one node after the other.
    lanes: &'f [Lane],
    batches: &'f mut u64,
    sent: &'f mut u64,
}

impl Feed<'_, '_, '_> {
    fn all(
        &mut self,
        input: &mut Input,
        shared: &Shared<'_>,
        threads: NonZeroUsize,
        begun: Instant,
        checkpoint: &mut Checkpoint<'_>,
    ) -> Result<()> {
        /// How often a checkpoint is due.
        const OFTEN: Duration = Duration::from_millis(500);
        let mut last = Instant::now();
        if let Some(head) = input.reader.take_head() {
            let mut encoded = Encoded::default();
            Encoder::new(shared).batch(&head, &mut encoded)?;
            self.send(&mut encoded);
        }
        let meter = input.meter.clone();
        let (_, outcome) = run(
            &mut input.reader,
            threads,
            &meter,
            || Encoder::new(shared),
            |encoded| {
                self.send(encoded);
                self.keep_to_rate(begun);
                meter.refused.store(self.crew.ledger.not_taken(), Ordering::Relaxed);
                if last.elapsed() >= OFTEN {
                    last = Instant::now();
                    checkpoint(self.crew.ledger.done(), &self.crew.ledger.tally())?;
                }
                Ok(if self.crew.ledger.has_failed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        );
        outcome
    }

    fn send(&mut self, encoded: &mut Encoded) {
        let ledger = self.crew.ledger;
        let Encoded { packets, notes, expired, changed, end, .. } = encoded;
        for note in notes.drain(..) {
            ledger.note(&note);
        }
        ledger.change(|tally| {
            tally.expired += *expired;
            tally.changed += *changed;
        });
        let batch = *self.batches;
        *self.batches += 1;
        let full = packets.iter().filter(|packet| !packet.steps.is_empty()).count();
        ledger.begin(batch, full, *end);
        let per_node = self.lanes.len() / packets.len().max(1);
        for (node, place) in packets.iter_mut().enumerate() {
            if place.steps.is_empty() {
                continue;
            }
            let mut packet = std::mem::take(place);
            packet.batch = batch;
            *self.sent += packet.bytes.len() as u64;
            let lanes = &self.lanes[node * per_node..(node + 1) * per_node];
            if let Some(lane) = lanes.iter().min_by_key(|lane| lane.load()) {
                lane.push(packet, self.crew);
            }
        }
    }

    /// Waits until no more than what is allowed was sent a second.
    fn keep_to_rate(&self, begun: Instant) {
        let Some(rate) = self.crew.plan.rate else { return };
        /// Between two looks at whether the load has failed.
        const NAP: Duration = Duration::from_millis(50);
        let due = Duration::from_secs_f64(*self.sent as f64 / rate.max(1) as f64);
        while begun.elapsed() < due && !self.crew.ledger.has_failed() {
            thread::sleep(due.saturating_sub(begun.elapsed()).min(NAP));
        }
    }
}
