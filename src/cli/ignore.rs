//! What comparisons look past: one flag for `digest` and `diff`.

use clap::{Args, ValueEnum};
use rdbkit::model::facts::Ignore;

/// `--ignore`.
#[derive(Args)]
pub(crate) struct IgnoreArgs {
    /// Look past these; may be several, with commas
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    ignore: Vec<Ignored>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ignored {
    /// Expiries of keys, fields and members
    Ttl,
    /// Idle times, and when consumers of streams were seen
    Idle,
    /// Access counters
    Freq,
    /// Function libraries
    Functions,
    /// What modules keep outside of keys
    Modules,
}

impl IgnoreArgs {
    /// What the flags say.
    pub(crate) fn ignore(&self) -> Ignore {
        let has = |what| self.ignore.contains(&what);
        Ignore {
            ttl: has(Ignored::Ttl),
            idle: has(Ignored::Idle),
            freq: has(Ignored::Freq),
            functions: has(Ignored::Functions),
            modules: has(Ignored::Modules),
        }
    }
}
