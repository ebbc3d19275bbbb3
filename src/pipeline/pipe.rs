//! A stream of bytes from one thread to another, with the error that ended it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};

use super::Output;
use crate::error::{Error, Result};

/// Pieces on their way; each has some hundred KB.
const PIECES: usize = 8;

/// What goes through.
pub(super) enum Message {
    Bytes(Vec<u8>),
    End(Result<()>),
}

/// The end that is read from.
struct PipeReader {
    receiver: Receiver<Message>,
    piece: io::Cursor<Vec<u8>>,
    at_end: bool,
}

/// Runs `produce` in a thread of its own, and gives what it writes. Its error arrives behind all that it wrote before;
/// it ends early when nobody reads on.
pub(super) fn produced(produce: impl FnOnce(Output) -> Result<()> + Send + 'static) -> Result<impl Read + Send> {
    let (sender, receiver) = sync_channel(PIECES);
    let body = move || {
        let outcome = produce(Output::to_thread(sender.clone()));
        // If nobody is there any more, nobody wants to know.
        drop(sender.send(Message::End(outcome)));
    };
    std::thread::Builder::new().name("producer".to_owned()).spawn(body)?;
    Ok(PipeReader { receiver, piece: io::Cursor::default(), at_end: false })
}

impl Read for PipeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece.read(buf)? {
                0 if !buf.is_empty() && !self.at_end => {}
                n => return Ok(n),
            }
            match self.receiver.recv() {
                Ok(Message::Bytes(bytes)) => self.piece = io::Cursor::new(bytes),
                Ok(Message::End(outcome)) => {
                    self.at_end = true;
                    outcome.map_err(io::Error::other)?;
                }
                // It panicked, and has said so.
                Err(_) => return Err(io::Error::other(Error::unsupported("the input could not be read to its end"))),
            }
        }
    }
}
