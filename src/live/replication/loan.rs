//! What a server lends us: its place as a master, and a setting. It gets both back, whatever comes of the load.

use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::TICK;
use crate::error::{Error, Result};
use crate::live::{Connection, Endpoint, Info, Reply};

/// The setting, known since 6.0: whether a replica reads the data as they arrive, or first writes them to its disk.
pub(super) const SETTING: &[u8] = b"repl-diskless-load";

static LOANS: Mutex<Vec<Debt>> = Mutex::new(Vec::new());

/// What a panic of another thread left is still a list of debts.
fn loans() -> MutexGuard<'static, Vec<Debt>> {
    LOANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a server is owed.
struct Debt {
    number: u64,
    endpoint: Endpoint,
    /// The command that makes it a master again.
    command: Option<&'static [u8]>,
    /// What its setting was.
    setting: Option<String>,
    /// Over which it takes its data.
    stream: Option<TcpStream>,
}

/// The entry of one server; it is to end with [`Loan::give_back`].
pub(super) struct Loan(u64);

impl Loan {
    pub(super) fn new(endpoint: &Endpoint) -> Loan {
        let mut loans = loans();
        let number = loans.iter().map(|debt| debt.number + 1).max().unwrap_or(0);
        loans.push(Debt { number, endpoint: endpoint.clone(), command: None, setting: None, stream: None });
        Loan(number)
    }

    fn change(&self, change: impl FnMut(&mut Debt)) {
        loans().iter_mut().filter(|debt| debt.number == self.0).for_each(change);
    }

    /// Notes that it is about to become our replica, and how it gets free.
    pub(super) fn follows(&self, command: &'static [u8]) {
        self.change(|debt| debt.command = Some(command));
    }

    /// Notes what its setting was; none if it is to stay as it is.
    pub(super) fn had(&self, setting: Option<&str>) {
        self.change(|debt| debt.setting = setting.map(str::to_owned));
    }

    /// Notes over which stream it takes its data.
    pub(super) fn takes(&self, stream: &TcpStream) {
        self.change(|debt| debt.stream = stream.try_clone().ok());
    }

    /// Ends the stream over which it takes its data: more will not come.
    pub(super) fn break_off(&self) {
        self.change(Debt::break_off);
    }

    /// Gives everything back; says how many keys the server has then. It may be busy with the data for so long.
    ///
    /// Errors: it can't be reached, or is not a master again.
    pub(super) fn give_back(&self, control: &mut Connection, patience: Duration) -> Result<u64> {
        let number = self.0;
        // Not under the lock, so that a process that is told to stop does not wait for it.
        let debt = loans().iter().find(|debt| debt.number == number).map(Debt::copy);
        let debt = debt.ok_or_else(|| Error::usage("it was given back"))?;
        // A connection may have broken with what went before.
        let settle = |control: &mut Connection| debt.settle(control, patience);
        let settled = settle(control).or_else(|_| settle(&mut debt.endpoint.reach()?)).map_err(|e| debt.advise(&e))?;
        loans().retain(|debt| debt.number != number);
        Ok(settled)
    }
}

impl Debt {
    fn break_off(&mut self) {
        if let Some(stream) = self.stream.take() {
            // One that is closed already is as good.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn copy(&self) -> Debt {
        let Debt { number, endpoint, command, setting, .. } = self;
        Debt { number: *number, endpoint: endpoint.clone(), command: *command, setting: setting.clone(), stream: None }
    }

    /// What to do for a server that could not be given back what is its own.
    fn advise(&self, why: &Error) -> Error {
        let why = why.reason();
        let setting = self.setting.as_ref().map_or(String::new(), |value| {
            let name = String::from_utf8_lossy(SETTING);
            format!(", and CONFIG SET {name} {value} gives it back its setting")
        });
        Error::connection(format!(
            "it may still be a replica of nobody ({why}): when it answers, REPLICAOF NO ONE makes it a master again{setting}"
        ))
    }

    fn settle(&self, control: &mut Connection, patience: Duration) -> Result<u64> {
        let deadline = Instant::now() + patience;
        if let Some(command) = self.command {
            persist(control, &[command, b"NO", b"ONE"], deadline)?;
        }
        if let Some(value) = &self.setting {
            persist(control, &[b"CONFIG", b"SET", SETTING, value.as_bytes()], deadline)?;
        }
        let info = Info::ask(control)?;
        match info.get("role") {
            Some("slave") => Err(Error::connection("it did not become a master again")),
            _ => Ok(info.keys()),
        }
    }
}

/// Has a command executed, once the server has read what it got of the data.
fn persist(control: &mut Connection, words: &[&[u8]], deadline: Instant) -> Result<()> {
    loop {
        match control.ask(words)? {
            Reply::Error(words) if words.starts_with("LOADING") && Instant::now() < deadline => sleep(TICK),
            reply => return reply.ok().map(drop),
        }
    }
}

/// Gives every server back what it has lent, and says which of them could not be given it, and why. For a process that is
/// about to exit: from now on, whoever borrows or gives back waits for ever. `before` hears of every server first.
pub fn give_back_all(patience: Duration, before: impl Fn(&Endpoint)) -> Vec<Error> {
    let mut loans = loans();
    let mut failed = Vec::new();
    for debt in loans.iter_mut().filter(|debt| debt.command.is_some() || debt.setting.is_some()) {
        before(&debt.endpoint);
        debt.break_off();
        let settled = debt.endpoint.reach().and_then(|mut control| debt.settle(&mut control, patience));
        failed.extend(settled.err().map(|e| debt.endpoint.name_it(debt.advise(&e))));
    }
    std::mem::forget(loans);
    failed
}
