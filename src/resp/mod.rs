//! Stub until the writer is here.
#![allow(missing_docs)]
use crate::Result;
use crate::model::*;
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    pub restore: bool,
    pub chunk_elements: usize,
}
#[derive(Clone)]
pub struct Writer;
impl Writer {
    pub fn new(_: Options) -> Writer {
        Writer
    }
    pub fn start_batch(&mut self) {}
    pub fn entry(&mut self, _: &Entry<'_>, _: &mut Scratch, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
    pub fn other(&mut self, _: &Record<'_>, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}
