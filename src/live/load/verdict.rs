//! What replies mean: done, there already, or refused, and then whether another try may help.

use super::compare::{Check, has_source};
use super::packet::{Step, What};
use super::probe::Probe;
use crate::error::{Error, Result};
use crate::live::{Replies, Reply, Skim};

/// What the replies to a step come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Done,
    /// The key is there already; of several, one is.
    Exists,
    /// Refused, in these words.
    Refused(String),
}

impl Verdict {
    /// Reads the replies to a step that looks whether something is as it is to be.
    pub(super) fn compare(check: &Check, extra: u32, replies: &mut Replies, probe: &Probe) -> Result<Verdict> {
        // Behind ASKING.
        let mut next = || -> Result<Reply> {
            if extra > 0 {
                replies.skim()?;
            }
            replies.reply()
        };
        let check = match check {
            Check::Key(check) => check,
            Check::Library(source) => {
                return Ok(match next()? {
                    Reply::Error(words) => Verdict::Refused(words),
                    listed => match has_source(&listed, source) {
                        Some(true) => Verdict::Done,
                        Some(false) => Verdict::Refused("it has another source".into()),
                        None => Verdict::Refused("it is not there".into()),
                    },
                });
            }
        };
        let (dump, time) = (next()?, next()?);
        Ok(match dump {
            Reply::Error(words) => Verdict::Refused(words),
            _ => match check.difference(&dump, &time, probe)? {
                Some(difference) => Verdict::Refused(difference.to_owned()),
                None => Verdict::Done,
            },
        })
    }

    /// Reads the replies to any other step.
    pub(super) fn read(step: &Step, replies: &mut Replies) -> Result<Verdict> {
        let (mut refused, mut last) = (None, Skim::Fine);
        for _ in 0..step.replies {
            match replies.skim()? {
                // What arrived is not what was sent; the server hangs up. That is no refusal of a key.
                Skim::Error(words) if words.starts_with("ERR Protocol error") => return Err(Error::connection(words)),
                Skim::Error(words) => drop(refused.get_or_insert(words)),
                other => last = other,
            }
        }
        Ok(match (refused, step.what, last) {
            (Some(words), _, _) if words.starts_with("BUSYKEY") => Verdict::Exists,
            (Some(words), What::Function, _) if words.contains("already exists") => Verdict::Exists,
            (Some(words), _, _) => Verdict::Refused(words),
            (None, What::Set, Skim::Nil) => Verdict::Exists,
            (None, What::Several(_) | What::Staged, Skim::Int(0)) => Verdict::Exists,
            (None, What::Exists, Skim::Int(1..)) => Verdict::Exists,
            _ => Verdict::Done,
        })
    }
}

/// What a refusal is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// The key is on another node: for good, or for this once.
    Elsewhere { asking: bool },
    /// The server is not ready; it will be.
    Passing,
    /// The server takes nothing now, this key or another; that may pass.
    Server,
    /// This key is not taken.
    Key,
}

impl Trouble {
    pub(super) fn of(words: &str) -> Trouble {
        // A command in a script or transaction is refused with the words behind this one.
        let words = words.strip_prefix("EXECABORT ").unwrap_or(words);
        match words.split(' ').next().unwrap_or_default() {
            "MOVED" => Trouble::Elsewhere { asking: false },
            "ASK" => Trouble::Elsewhere { asking: true },
            "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "BUSY" | "MASTERDOWN" => Trouble::Passing,
            "OOM" | "READONLY" | "MISCONF" | "NOAUTH" | "NOREPLICAS" => Trouble::Server,
            _ => Trouble::Key,
        }
    }
}

/// What to do about a refusal; nothing where the words say all.
pub(super) fn advice(words: &str) -> Option<&'static str> {
    Some(match words.split(' ').next().unwrap_or_default() {
        "OOM" => "the server is at its maxmemory: raise it ('CONFIG SET maxmemory'), or load less of the data",
        "READONLY" => "the server has become a replica: load into its master",
        "MISCONF" => "the server cannot save its data and takes no writes: its log tells why",
        "NOAUTH" => "the server asks for a password that it did not ask for before",
        "NOREPLICAS" => "the server wants more replicas before it takes writes (min-replicas-to-write)",
        "LOADING" => "the server reads its own data; --wait 60s waits for that",
        "BUSY" => "a script runs there; SCRIPT KILL or FUNCTION KILL ends it",
        "CLUSTERDOWN" => "the cluster does not serve all its slots; 'redis-cli --cluster check' tells more",
        "TRYAGAIN" => "a slot is on its way to another node; try again when it has arrived",
        "NOPERM" => "the user may not do that: 'ACL SETUSER' grants it",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let t = |words: &str, want: Trouble| assert_eq!(Trouble::of(words), want, "{words}");
        t("MOVED 1 h:2", Trouble::Elsewhere { asking: false });
        t("ASK 1 h:2", Trouble::Elsewhere { asking: true });
        t("LOADING Redis is loading the dataset in memory", Trouble::Passing);
        t("OOM command not allowed when used memory > 'maxmemory'.", Trouble::Server);
        t("ERR Bad data format", Trouble::Key);
        t("NOPERM No permissions to access a key", Trouble::Key);
    }
}
