//! Exit points: what the exit program saw, and a watch over which programs are registered.
//!
//! The exit program puts a record on its data queue, which is emptied as any other ([`drain`](super::drain)); records are
//! decoded by [`muster_ibmi::exit`]. Every so often the registry of exit programs is read over the same connection and
//! compared with what it was; what changed goes into the same spool, so that it survives a crash too.

mod config;
mod finding;
mod watch;

pub use config::{Settings, SettingsError};
pub use watch::{Registry, registry_rows};

use super::data_queue::foreign;
use super::drain::Decode;
use super::drain::entry::{ENTRY, Entry};
use super::drain::standing::{Note, Standing};
use crate::spool::SpoolEntry;
use finding::{FINDING, Found};
use muster_ibmi::exit::{Decoded, ExitDecoder, ExitEntry};
use muster_shared::event::{Event, field};
use std::rc::Rc;

/// Makes events of the records of the exit program and of changes of what is registered.
#[derive(Debug)]
pub struct ExitPointDecoder {
    queue: String,
    decoder: ExitDecoder,
    standing: Rc<Standing>,
}

impl ExitPointDecoder {
    /// For the queue that `settings` names. `ccsid`: the partition's.
    #[must_use]
    pub fn new(settings: &Settings, ccsid: u16, standing: Rc<Standing>) -> Self {
        Self { queue: settings.queue.to_string(), decoder: ExitDecoder::new(ccsid), standing }
    }

    fn notice(&self, decoded: &Decoded, cut: bool, event: &Event) {
        let queue = &self.queue;
        let note = |note: Note, text: String| {
            self.standing.note(note, jiff::Timestamp::now().as_microsecond(), text);
        };
        if let Some(refused) = decoded.refused {
            note(
                Note::Unexpected,
                format!(
                    "data queue {queue} holds entries that are no records of the exit program ({refused}); their bytes are \
                     not shown, since they may hold a password. Let nothing else write to it"
                ),
            );
        } else if decoded.damaged || cut {
            note(
                Note::Cut,
                format!(
                    "records of data queue {queue} end too early or tell a wrong length; what can be read of them is delivered"
                ),
            );
        }
        if decoded.refused.is_none() && !decoded.known_format {
            let named = |field| event.get(field).unwrap_or("(none)");
            note(
                Note::UnknownFormat,
                format!(
                    "the exit program sends records of format {} of exit point {}, for which this release has no layout; they \
                     arrive as EXIT_UNKNOWN with who asked, and without what was asked: update the agent, or take the \
                     program off that exit point",
                    named(field::EXIT_FORMAT),
                    named(field::EXIT_POINT)
                ),
            );
        }
        if decoded.ccsid_replaced {
            note(
                Note::Unprintable,
                format!(
                    "records of data queue {queue} come from jobs of a code page without a table; their text is read as \
                     CCSID {}",
                    self.decoder.ccsid()
                ),
            );
        }
    }
}

impl Decode for ExitPointDecoder {
    fn fill(&self, entry: &SpoolEntry, event: &mut Event) {
        match entry.kind {
            ENTRY => {
                if let Some(taken) = Entry::decode(&entry.body) {
                    let record = ExitEntry {
                        data: &taken.data,
                        fallback_time_us: taken.enqueued_us,
                        sequence: entry.sequence,
                    };
                    let decoded = self.decoder.decode(&record, event);
                    self.notice(&decoded, taken.declared as usize != taken.data.len(), event);
                    return;
                }
            }
            FINDING => {
                if let Some(found) = Found::decode(&entry.body) {
                    found.fill(event);
                    return;
                }
            }
            _ => {}
        }
        // Never the bytes: what a later release kept may hold a password.
        foreign(&SpoolEntry { body: Vec::new(), ..entry.clone() }, &self.queue, event);
    }
}

#[cfg(test)]
mod tests;
