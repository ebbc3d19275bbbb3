//! What becomes of expiries: those of keys, of hash fields and of members.

/// A rule for every expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TtlRule {
    /// They stay as they are.
    #[default]
    Keep,
    /// There are none any more.
    Strip,
    /// As much later as the new file is than the old one, so that as much time is left as when the old one was saved.
    /// To be [resolved](TtlRule::resolve) before use; until then it keeps expiries.
    Rebase,
    /// So many ms later, or earlier.
    Shift(i64),
}

impl TtlRule {
    /// Turns `Rebase` into a shift from the creation of the old file to that of the new one, both Unix time in ms.
    pub fn resolve(self, old_ctime: i64, new_ctime: i64) -> TtlRule {
        match self {
            TtlRule::Rebase => TtlRule::Shift(new_ctime.saturating_sub(old_ctime)),
            other => other,
        }
    }

    /// Whether every expiry stays as it is.
    pub fn is_keep(self) -> bool {
        matches!(self, TtlRule::Keep | TtlRule::Shift(0))
    }

    /// The expiry that this one becomes, Unix time in ms. None is moved before 1: to servers 0 and -1 mean that there is
    /// none.
    pub fn apply(self, expiry: Option<i64>) -> Option<i64> {
        match self {
            TtlRule::Keep | TtlRule::Rebase | TtlRule::Shift(0) => expiry,
            TtlRule::Strip => None,
            TtlRule::Shift(ms) => expiry.map(|at| at.saturating_add(ms).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_an_expiry() {
        let t = |rule: TtlRule, want: Option<i64>| {
            assert_eq!(rule.apply(Some(1000)), want, "{rule:?}");
            assert_eq!(rule.apply(None), None, "{rule:?}");
        };
        t(TtlRule::Keep, Some(1000));
        t(TtlRule::Strip, None);
        t(TtlRule::Shift(500), Some(1500));
        t(TtlRule::Shift(-500), Some(500));
        t(TtlRule::Shift(-1000), Some(1));
        t(TtlRule::Shift(-1001), Some(1));
        t(TtlRule::Shift(i64::MAX), Some(i64::MAX));
        t(TtlRule::Shift(i64::MIN), Some(1));
        assert_eq!(TtlRule::Shift(0).apply(Some(-5)), Some(-5));
    }

    #[test]
    fn rebase_leaves_as_much_time_as_there_was() {
        let rule = TtlRule::Rebase.resolve(10_000, 70_000);
        assert_eq!(rule, TtlRule::Shift(60_000));
        assert_eq!(rule.apply(Some(15_000)), Some(75_000));
        assert_eq!(TtlRule::Rebase.resolve(70_000, 10_000), TtlRule::Shift(-60_000));
        assert_eq!(TtlRule::Rebase.resolve(i64::MIN, i64::MAX), TtlRule::Shift(i64::MAX));
        for other in [TtlRule::Keep, TtlRule::Strip, TtlRule::Shift(7)] {
            assert_eq!(other.resolve(10_000, 70_000), other);
        }
        assert!(TtlRule::Rebase.resolve(5, 5).is_keep() && !TtlRule::Rebase.is_keep());
    }
}
