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

    /// Gives everything back; says how many keys the server has then. It may be busy with the data for so long.
    ///
    /// Errors: it can't be reached, or is not a master again.
    pub(super) fn give_back(&self, control: &mut Connection, patience: Duration) -> Result<u64> {
        let number = self.0;
        // Not under the lock, so that a process that is told to stop does not wait for it.
        let debt = loans().iter().find(|debt| debt.number == number).map(Debt::copy);
        let debt = debt.ok_or_else(|| Error::usage("it was given back"))?;
        // A connection may have broken with what went before.
        let settled = debt.settle(control, patience).or_else(|_| debt.settle(&mut debt.endpoint.reach()?, patience))?;
        loans().retain(|debt| debt.number != number);
        Ok(settled)
    }
}

impl Debt {
    fn copy(&self) -> Debt {
        let Debt { number, endpoint, command, setting, .. } = self;
        Debt { number: *number, endpoint: endpoint.clone(), command: *command, setting: setting.clone(), stream: None }
    }

    fn settle(&self, control: &mut Connection, patience: Duration) -> Result<u64> {
        if let Some(value) = &self.setting {
            control.demand(&[b"CONFIG", b"SET", SETTING, value.as_bytes()])?;
        }
        let Some(command) = self.command else { return Ok(Info::ask(control)?.keys()) };
        let deadline = Instant::now() + patience;
        loop {
            match control.ask(&[command, b"NO", b"ONE"])? {
                // It reads what it has got of the data.
                Reply::Error(words) if words.starts_with("LOADING") && Instant::now() < deadline => sleep(TICK),
                reply => drop(reply.ok()?),
            }
            let info = Info::ask(control)?;
            if info.get("role") != Some("slave") {
                return Ok(info.keys());
            }
            if Instant::now() > deadline {
                return Err(Error::connection("it did not become a master again"));
            }
        }
    }
}

/// Gives every server back what it has lent, and says which of them could not be given it, and why. For a process that is
/// about to exit: from now on, whoever borrows or gives back waits for ever. `before` hears of every server first.
pub fn give_back_all(patience: Duration, before: impl Fn(&Endpoint)) -> Vec<Error> {
    let loans = loans();
    let mut failed = Vec::new();
    for debt in loans.iter().filter(|debt| debt.command.is_some() || debt.setting.is_some()) {
        before(&debt.endpoint);
        if let Some(stream) = &debt.stream {
            // It is to wait for no more data; one that is closed already does not.
            drop(stream.shutdown(Shutdown::Both));
        }
        let settled = debt.endpoint.reach().and_then(|mut control| debt.settle(&mut control, patience));
        failed.extend(settled.err().map(|e| debt.endpoint.name_it(e).noting(AFTER.into())));
    }
    std::mem::forget(loans);
    failed
}

/// What to do for a server that could not be given back what is its own.
pub(super) const AFTER: &str =
    "it may still be a replica of nobody: REPLICAOF NO ONE makes it a master again, when it is there";
