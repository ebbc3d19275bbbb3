//! Commands that keep code: function libraries and cached scripts.

use super::args::Args;
use super::restore::check_payload;
use super::{Dataset, Known, known_at};
use crate::codec::{Cursor, Str, opcode};
use crate::error::{Error, Result};
use crate::model::library_name;
use crate::resp::Words;
use crate::text;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"FUNCTION" => known_at(2, 0, Dataset::function),
        b"SCRIPT" => known_at(2, 0, |data, words| {
            let mut args = Args::new(words, 1);
            if args.takes("LOAD") {
                data.scripts.insert(args.word()?.into());
            } else if args.takes("FLUSH") {
                data.scripts.clear();
            }
            Ok(())
        }),
        _ => None,
    }
}

impl Dataset {
    fn function(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 1);
        if args.takes("LOAD") {
            let replaces = args.takes("REPLACE");
            let code = args.word()?;
            args.end()?;
            self.load_function(code, replaces)
        } else if args.takes("DELETE") {
            let name = args.word()?;
            match self.functions.shift_remove(name) {
                Some(_) => Ok(()),
                None => Err(Error::unsupported(format!("there is no library {}", text::quoted_short(name)))),
            }
        } else if args.takes("FLUSH") {
            Ok(self.functions.clear())
        } else if args.takes("RESTORE") {
            self.restore_functions(&mut args)
        } else {
            // LIST, DUMP, STATS and the like change nothing.
            Ok(())
        }
    }

    fn load_function(&mut self, code: &[u8], replaces: bool) -> Result<()> {
        match library_name(code) {
            Some(name) if !replaces && self.functions.contains_key(name) => {
                Err(Error::unsupported(format!("there is a library {} already", text::quoted_short(name))))
            }
            _ => self.add_function(code.into()),
        }
    }

    fn restore_functions(&mut self, args: &mut Args<'_>) -> Result<()> {
        let payload = args.word()?;
        let mut replaces = false;
        while !args.is_at_end() {
            if args.takes("FLUSH") {
                self.functions.clear();
            } else if args.takes("REPLACE") {
                replaces = true;
            } else if !args.takes("APPEND") {
                return Err(args.unknown());
            }
        }
        let (libraries, _) = check_payload(payload)?;
        let (mut cur, mut buf) = (Cursor::new(libraries), Vec::new());
        while !cur.is_empty() {
            if cur.u8()? != opcode::FUNCTION2 {
                return Err(Error::unsupported("the payload holds something that is no function library"));
            }
            let code = Str::take(&mut cur, &mut buf)?.to_vec();
            self.load_function(&code, replaces)?;
        }
        Ok(())
    }
}
