//! Arrays, vector sets and modules.

use super::{MemoryModel, Part};
use crate::error::Result;
use crate::model::{Element, Scratch, Value};

impl MemoryModel {
    pub(super) fn array(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Result<Part> {
        let facts = self.facts;
        let mut part = Part::default();
        value.each(scratch, |element| {
            if let Element::Slot { item, .. } = element {
                part.elements += 1;
                part.largest = part.largest.max(item.len() as u64);
                part.bytes += 8.0 + if item.len() > 7 { facts.text(item.len() as u64) as f64 } else { 0.0 };
            }
            Ok(())
        })?;
        Ok(part)
    }

    pub(super) fn vector_set(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Result<Part> {
        let mut part = Part::default();
        value.each(scratch, |element| {
            if let Element::Vector(element) = element {
                part.elements += 1;
                part.largest = part.largest.max(element.name.len() as u64);
            }
            Ok(())
        })?;
        part.bytes = value.bytes.len() as f64;
        Ok(part)
    }
}
