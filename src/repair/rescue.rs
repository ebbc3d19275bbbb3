//! What can be kept of a value that is damaged: the elements that can still be read.

use std::collections::HashSet;
use std::sync::Arc;

use crate::check::field_expiry;
use crate::model::{Element, Kind, Scratch, Target, Value, ValueBuf};

/// Builds values anew from what is left of them. Every worker has its own.
pub(super) struct Rescuer {
    values: ValueBuf,
}

impl Rescuer {
    pub(super) fn new(target: &Arc<Target>) -> Rescuer {
        Rescuer { values: ValueBuf::new(target, true) }
    }

    /// The elements up to the first that can't be read, each name once and without scores that are no numbers; and how
    /// many they are. `None` where nothing is left, or the kind of value can't be taken apart.
    pub(super) fn rescue(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Option<(Value<'_>, u64)> {
        let kind = value.kind();
        if !matches!(kind, Kind::List | Kind::Set | Kind::Zset | Kind::Hash) {
            return None;
        }
        let values = &mut self.values;
        values.begin(kind);
        values.prefer(value.encoding());
        let (mut names, mut kept) = (HashSet::new(), 0);
        // It ends at the damage.
        let _ = value.each(scratch, |element| {
            let is_kept = match element {
                Element::Item(_) if kind == Kind::List => true,
                Element::Scored { score, .. } if score.is_nan() => false,
                Element::Field { expiry: Some(at), .. } if !field_expiry(value.rdb_type).contains(&at) => false,
                Element::Item(name) | Element::Expiring { member: name, .. } => names.insert(name.to_vec()),
                Element::Scored { member: name, .. } | Element::Field { name, .. } => names.insert(name.to_vec()),
                _ => false,
            };
            if is_kept {
                kept += 1;
                values.push(element)?;
            }
            Ok(())
        });
        if kept == 0 {
            return None;
        }
        self.values.finish().ok().map(|value| (value, kept))
    }
}
