//! Vector sets, and values that only their modules understand.

use super::{MemoryModel, Part};
use crate::codec::vectorset::{Head, Quantization};
use crate::error::Result;
use crate::model::{Element, Scratch, Value};

/// Elements whose strings are looked at; the others are taken to be like them.
const SAMPLED: u64 = 100;
/// Bytes of the structs of a vector set.
const INDEX: u64 = 1784;
/// Bytes of a node, its place in the dictionary and its layers, of which it has 4/3 in the mean.
const NODE: u64 = 360;

impl MemoryModel {
    /// As the server's own module estimates it: links from those that a node can have, strings from a sample.
    pub(super) fn vector_set(&mut self, value: Value<'_>, scratch: &mut Scratch) -> Result<Part> {
        let facts = self.facts;
        let mut part = Part::default();
        let (mut index, mut nodes, mut strings) = (0_u64, 0, 0);
        // A server that loads the set has its elements in the opposite order.
        let mut first_sampled = 0;
        value.each_dyn(scratch, &mut |element| {
            match element {
                Element::VectorHead(head) => {
                    nodes = head.count;
                    index = of_head(&head).saturating_add(INDEX);
                    first_sampled = if self.loaded { head.count.saturating_sub(SAMPLED) } else { 0 };
                }
                Element::Vector(element) => {
                    if (first_sampled..first_sampled.saturating_add(SAMPLED)).contains(&part.elements) {
                        let attributes = element.attributes.map_or(0, |text| facts.object_of(text.len() as u64));
                        strings += facts.object_of(element.name.len() as u64) + attributes;
                    }
                    part.elements += 1;
                    part.largest = part.largest.max(element.name.len() as u64);
                }
                _ => {}
            }
            Ok(())
        })?;
        let strings = if nodes <= SAMPLED { strings } else { strings / SAMPLED * nodes };
        part.bytes = index as f64 + strings as f64 - facts.head_of_module() as f64;
        Ok(part)
    }

    /// Nobody but the module knows what a value takes; the bytes in the file are the best guess.
    pub(super) fn opaque(&mut self, value: Value<'_>) -> Part {
        let bytes = value.bytes.len() as u64;
        Part { bytes: bytes as f64 - self.facts.head_of_module() as f64, elements: 0, largest: bytes }
    }
}

/// What follows from the number of nodes and their shape.
fn of_head(head: &Head) -> u64 {
    let vector = match head.quantization {
        Quantization::F32 => head.dim.saturating_mul(4),
        Quantization::Int8 => head.dim,
        Quantization::Bin => head.dim.div_ceil(64) * 8,
    };
    let projection = head.input_dim.map_or(0, |input| input.saturating_mul(head.dim).saturating_mul(4));
    // Twice the links on the lowest layer; a sixth of those for all layers above it.
    let links = head.count.saturating_mul(head.m * 2 * 8 * 7) / 6;
    head.count.saturating_mul(NODE.saturating_add(vector)).saturating_add(projection).saturating_add(links)
}
