//! What becomes of expiries.

/// What becomes of an expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TtlRule {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Strip,
    /// It comes so many ms later, or earlier.
    Shift(i64),
    /// It comes after the new file's creation as long as it would have come after the old one's.
    Rebase,
}

impl TtlRule {
    /// The rule with both times of creation known, in ms: [`TtlRule::Rebase`] becomes a shift.
    pub fn resolve(self, old: i64, new: i64) -> TtlRule {
        match self {
            TtlRule::Rebase => TtlRule::Shift(new.saturating_sub(old)),
            other => other,
        }
    }

    /// An expiry under this rule; one that is not resolved changes nothing.
    #[inline]
    pub fn apply(self, expiry: Option<i64>) -> Option<i64> {
        match self {
            TtlRule::Keep | TtlRule::Rebase => expiry,
            TtlRule::Strip => None,
            TtlRule::Shift(by) => expiry.map(|at| at.saturating_add(by).max(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_apply() {
        let t = |rule: TtlRule, want: Option<i64>| {
            assert_eq!(rule.resolve(1000, 5000).apply(Some(10_000)), want, "{rule:?}")
        };
        t(TtlRule::Keep, Some(10_000));
        t(TtlRule::Strip, None);
        t(TtlRule::Shift(-1), Some(9_999));
        t(TtlRule::Shift(-20_000), Some(0));
        t(TtlRule::Rebase, Some(14_000));
        assert_eq!(TtlRule::Shift(7).apply(None), None);
    }
}
