//! Sets and sorted sets.

use super::{Elements, Hint, Maker};
use crate::codec::string::canonical_integer;
use crate::codec::{double, intset, length};
use crate::error::{Error, Result};
use crate::model::types::{Kind, RdbType};
use crate::text;

impl Maker {
    pub(super) fn set(&mut self, elements: &Elements, less: bool, out: &mut Vec<u8>) -> Result<RdbType> {
        elements.refuse_repeated("set: member", 1, &mut self.fingerprints)?;
        if elements.shape.expiring && !less {
            self.expiring_set(elements, out);
            return Ok(RdbType::DragonflySet);
        }
        if self.is_intset(elements) {
            let mut members: Vec<i64> = elements.strings().filter_map(canonical_integer).collect();
            members.sort_unstable();
            let blob = &mut self.text;
            blob.clear();
            intset::write(&members, blob);
            self.strings.write(blob, out);
            return Ok(RdbType::SetIntset);
        }
        if self.target.has_packed_sets() && self.packs(Kind::Set, elements) {
            self.packed(elements.strings(), out);
            return Ok(RdbType::SetListpack);
        }
        self.one_by_one(elements.count(), elements.strings(), out);
        Ok(RdbType::Set)
    }

    fn is_intset(&self, elements: &Elements) -> bool {
        let by_default = elements.shape.count <= self.target.limits.intset_entries;
        let asked_for = match self.hint {
            Some(hint) => hint == Hint::Intset,
            None => by_default,
        };
        elements.shape.all_integers && elements.count() > 0 && self.target.origin.version >= 2 && asked_for
    }

    /// Dragonfly's sets whose members expire: the expiry of each as text, in seconds, or -1.
    fn expiring_set(&mut self, elements: &Elements, out: &mut Vec<u8>) {
        length::write(elements.shape.count, out);
        for (member, expiry) in elements.strings().zip(&elements.expiries) {
            self.strings.write(member, out);
            self.expiry_in_seconds(*expiry, out);
        }
    }

    /// Appends an expiry as Dragonfly has it: seconds as text, or -1.
    pub(super) fn expiry_in_seconds(&mut self, expiry: Option<i64>, out: &mut Vec<u8>) {
        let seconds = expiry.map_or(-1, |at| at.div_euclid(1000));
        self.strings.write(itoa::Buffer::new().format(seconds).as_bytes(), out);
    }

    pub(super) fn zset(&mut self, elements: &Elements, out: &mut Vec<u8>) -> Result<RdbType> {
        elements.refuse_repeated("sorted set: member", 1, &mut self.fingerprints)?;
        if let Some(i) = elements.scores.iter().position(|score| score.is_nan()) {
            let member = text::quoted_short(elements.get(i));
            return Err(Error::malformed(format!("sorted set: the score of {member} is no number")));
        }
        if self.packs(Kind::Zset, elements) {
            self.packed_zset(elements, out);
            return Ok(if self.target.has_listpacks() { RdbType::ZsetListpack } else { RdbType::ZsetZiplist });
        }
        let is_binary = self.target.origin.version >= 8;
        length::write(elements.shape.count, out);
        for (member, score) in elements.strings().zip(&elements.scores) {
            self.strings.write(member, out);
            match is_binary {
                true => out.extend_from_slice(&score.to_le_bytes()),
                false => double::write_text(*score, out),
            }
        }
        Ok(if is_binary { RdbType::Zset2 } else { RdbType::Zset })
    }

    /// Members and scores by score and then by member: servers rely on that order.
    fn packed_zset(&mut self, elements: &Elements, out: &mut Vec<u8>) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(0..elements.count());
        let by_score = |i: &usize, j: &usize| {
            let (a, b) = (elements.scores[*i], elements.scores[*j]);
            // Both zeros are the same score.
            a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal).then_with(|| elements.get(*i).cmp(elements.get(*j)))
        };
        if !order.is_sorted_by(|i, j| by_score(i, j).is_le()) {
            order.sort_unstable_by(by_score);
        }
        let mut texts = std::mem::take(&mut self.text);
        texts.clear();
        let mut ends = Vec::with_capacity(order.len());
        for i in &order {
            double::write(elements.scores[*i], &mut texts);
            ends.push(texts.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let scores = starts.zip(&ends).map(|(start, end)| &texts[start..*end]);
        self.packed(order.iter().zip(scores).flat_map(|(i, score)| [elements.get(*i), score]), out);
        (self.order, self.text) = (order, texts);
    }
}
