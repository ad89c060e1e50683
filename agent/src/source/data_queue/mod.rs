//! Data queues that programs of the partition write events to.
//!
//! An entry is emptied out of its queue by [`drain`](super::drain) and decoded by [`muster_ibmi::queue`]; here is what
//! joins the two.

mod config;

pub use config::{Settings, SettingsError};

use super::drain::Decode;
use super::drain::entry::{ENTRY, Entry};
use super::drain::standing::{Note, Standing};
use crate::spool::SpoolEntry;
use muster_ibmi::queue::{QueueContext, QueueEntry, QueueLook, decode};
use muster_shared::event::{Event, EventKind, QueuedFormat, field};
use muster_shared::policy::model::QueueContent;
use std::rc::Rc;

/// Makes events of the entries of one queue.
#[derive(Debug)]
pub struct QueueDecoder {
    context: QueueContext,
    standing: Rc<Standing>,
}

impl QueueDecoder {
    /// For entries of the queue that `settings` names. `ccsid`: the partition's, where the policy names none.
    #[must_use]
    pub fn new(settings: &Settings, ccsid: u16, standing: Rc<Standing>) -> Self {
        let context = QueueContext {
            queue: settings.queue.to_string(),
            content: settings.content,
            ccsid: settings.ccsid.unwrap_or(ccsid),
            ccsid_assumed: settings.ccsid.is_none(),
        };
        Self { context, standing }
    }

    fn notice(&self, look: QueueLook) {
        let queue = &self.context.queue;
        let note = |note: Note, text: String| {
            self.standing.note(note, jiff::Timestamp::now().as_microsecond(), text);
        };
        if look.unprintable {
            let whose = if self.context.ccsid_assumed { "the partition's" } else { "the policy's" };
            note(
                Note::Unprintable,
                format!(
                    "entries of data queue {queue} hold characters that cannot be printed when they are read as CCSID {} \
                     ({whose}); their bytes travel in `raw`: set `ccsid` of the source to the code page in which the \
                     programs write",
                    self.context.ccsid
                ),
            );
        }
        if look.unexpected {
            note(
                Note::Unexpected,
                format!(
                    "entries of data queue {queue} are not written as {}, as the policy says (`content`); they are \
                     delivered as what they are",
                    content_name(self.context.content)
                ),
            );
        }
        if look.exit_record {
            note(
                Note::ExitRecord,
                format!(
                    "data queue {queue} holds records of the exit program; they are not shown, since they may hold \
                     passwords: read this queue with a source of kind exit_point"
                ),
            );
        }
        if look.cut {
            note(
                Note::Cut,
                format!(
                    "entries of data queue {queue} are longer or shorter than the partition said; they are delivered as they came"
                ),
            );
        }
    }
}

impl Decode for QueueDecoder {
    fn fill(&self, entry: &SpoolEntry, event: &mut Event) {
        match Entry::decode(&entry.body).filter(|_| entry.kind == ENTRY) {
            Some(taken) => {
                let taken = QueueEntry {
                    data: &taken.data,
                    declared: taken.declared,
                    key: &taken.key,
                    sender_job: &taken.sender_job,
                    sender_user: &taken.sender_user,
                    enqueued_us: taken.enqueued_us,
                };
                self.notice(decode(&taken, &self.context, event));
            }
            None => foreign(entry, &self.context.queue, event),
        }
    }
}

/// What a later release of the agent put into the spool travels as it is.
pub(super) fn foreign(entry: &SpoolEntry, queue: &str, event: &mut Event) {
    event.kind = EventKind::Queued(QueuedFormat::Binary);
    event.name = "Data queue entry";
    event.time_us = jiff::Timestamp::now().as_microsecond();
    event.push(field::QUEUE, queue);
    event.push(
        field::REASON,
        "the entry was kept by another release of the agent and is shown as it lies in the spool",
    );
    event.push(field::RAW, &format!("0:{}", faster_hex::hex_string_upper(&entry.body)));
}

/// As the policy writes it.
fn content_name(content: QueueContent) -> &'static str {
    match content {
        QueueContent::Auto => "auto",
        QueueContent::Text => "text",
        QueueContent::Leef => "leef",
        QueueContent::Cef => "cef",
        QueueContent::Json => "json",
        QueueContent::KeyValue => "key_value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::drain::query::QueueName;
    use std::time::Duration;

    fn settings(ccsid: Option<u16>) -> Settings {
        Settings {
            queue: QueueName::parse("PAYROLL/EVENTS").unwrap(),
            content: QueueContent::Json,
            ccsid,
            poll_interval: Duration::from_secs(1),
            batch_rows: 10,
            spool_bytes: 1024,
        }
    }

    fn event(entry: &SpoolEntry, ccsid: Option<u16>) -> (Event, Option<String>) {
        let standing = Rc::new(Standing::default());
        let mut event = Event::new();
        QueueDecoder::new(&settings(ccsid), 37, Rc::clone(&standing)).fill(entry, &mut event);
        (event, standing.told(0).map(|told| told.reason))
    }

    #[test]
    fn what_is_odd_about_entries_is_told_in_the_health() {
        let taken = Entry { data: b"{\"a\":1}".to_vec(), declared: 7, enqueued_us: 5, ..Entry::default() };
        let spooled = |taken: &Entry| SpoolEntry { sequence: 1, kind: ENTRY, body: taken.encode() };
        let (json, told) = event(&spooled(&taken), Some(1208));
        assert_eq!((json.kind, json.time_us, told), (EventKind::Queued(QueuedFormat::Json), 5, None));
        let (text, told) = event(&spooled(&Entry { data: b"plain\xFF".to_vec(), ..taken }), Some(1208));
        assert_eq!(text.kind, EventKind::Queued(QueuedFormat::Text));
        let told = told.unwrap();
        for part in ["read as CCSID 1208 (the policy's)", "are not written as json", "longer or shorter"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn a_record_of_the_exit_program_is_told_and_not_shown() {
        let data = [&[0xD4, 0xE4, 0xE2, 0xE3, 0xD9, 0xE7][..], b"secret"].concat();
        let taken = Entry { declared: data.len() as u32, data, ..Entry::default() };
        let (event, told) = event(&SpoolEntry { sequence: 1, kind: ENTRY, body: taken.encode() }, None);
        assert_eq!((event.get(field::RAW), event.get(field::MESSAGE)), (None, None));
        let told = told.unwrap();
        assert!(told.contains("PAYROLL/EVENTS") && told.contains("a source of kind exit_point"), "{told}");
    }

    #[test]
    fn what_this_release_does_not_know_is_shown_as_it_is() {
        for (kind, body) in [(ENTRY, vec![9, 9]), (7, Entry::default().encode())] {
            let (event, _) = event(&SpoolEntry { sequence: 1, kind, body: body.clone() }, None);
            assert_eq!(event.kind, EventKind::Queued(QueuedFormat::Binary));
            let digits = format!("0:{}", faster_hex::hex_string_upper(&body));
            assert_eq!(event.get(field::RAW), Some(digits.as_str()));
        }
    }
}
