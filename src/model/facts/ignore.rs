//! What a comparison looks past.

use super::Class;

/// What is not compared.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Ignore {
    /// Expiries of keys, fields and members.
    pub ttl: bool,
    /// Idle times of keys, and when consumers of streams were seen and active.
    pub idle: bool,
    /// Access counters of keys.
    pub freq: bool,
    /// Function libraries.
    pub functions: bool,
    /// What modules keep outside of keys.
    pub modules: bool,
}

impl Ignore {
    /// Whether facts of this class are compared.
    pub fn matters(self, class: Class) -> bool {
        match class {
            Class::Expiry => !self.ttl,
            Class::Seen | Class::Active => !self.idle,
            Class::Content | Class::History | Class::Idempotency | Class::Nacked => true,
        }
    }
}
