//! How the emptying of a queue goes, for whoever reports the health of its source.

use crate::health::HealthState;
use crate::source::Told;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// A note about something that passed stays so long.
const NOTE_SHOWN_US: i64 = 3600 * 1_000_000;

/// Something to be known for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// The entries leave the queue in an order that leaves a gap open.
    Order,
    /// Another program takes entries.
    OtherReader,
    /// The partition's rows make no sense, or not all bytes came.
    Flawed,
    /// Entries are not written as the policy says.
    Unexpected,
    /// Entries hold what cannot be printed.
    Unprintable,
    /// Entries are longer or shorter than was said.
    Cut,
    /// What is looked at beside the queue cannot be read.
    Beside,
    /// Something is only assumed of the partition.
    Assumed,
    /// The spool was not found as it was left.
    Spool,
    /// Records of formats that have no table.
    UnknownFormat,
    /// Records of the exit program in a queue that is read as another one.
    ExitRecord,
}

/// Shared by what empties the queue, what reads the spool and what reports; all on one thread.
#[derive(Debug, Default)]
pub struct Standing {
    fault: RefCell<Option<Told>>,
    notes: RefCell<BTreeMap<Note, (i64, String)>>,
    news: Cell<bool>,
    renew: Cell<bool>,
    wake: Arc<Notify>,
}

impl Standing {
    /// Nothing is wrong. `wake` wakes whoever reads.
    #[must_use]
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { wake, ..Self::default() }
    }

    /// It does not work, or not fully, until this is taken back.
    pub fn set_fault(&self, fault: Option<Told>) {
        if *self.fault.borrow() != fault {
            *self.fault.borrow_mut() = fault;
            self.wake.notify_one();
        }
    }

    /// Something to be known from now (microseconds since 1970 UTC) on.
    pub fn note(&self, note: Note, now_us: i64, text: String) {
        self.notes.borrow_mut().insert(note, (now_us.saturating_add(NOTE_SHOWN_US), text));
    }

    /// Something that holds until it is taken back.
    pub fn set(&self, note: Note, text: Option<String>) {
        match text {
            Some(text) => {
                self.notes.borrow_mut().insert(note, (i64::MAX, text));
            }
            None => {
                self.notes.borrow_mut().remove(&note);
            }
        }
    }

    /// What is to be told.
    #[must_use]
    pub fn told(&self, now_us: i64) -> Option<Told> {
        if let Some(fault) = self.fault.borrow().clone() {
            return Some(fault);
        }
        let mut notes = self.notes.borrow_mut();
        notes.retain(|_, (until, _)| *until > now_us);
        let reasons: Vec<&str> = notes.values().map(|(_, text)| text.as_str()).collect();
        let reason = reasons.join("; ");
        (!reason.is_empty()).then_some(Told { state: HealthState::Degraded, reason })
    }

    /// Something new can be read.
    pub fn set_news(&self) {
        self.news.set(true);
        self.wake.notify_one();
    }

    /// Whether something new could be read since this was last asked.
    #[must_use]
    pub fn take_news(&self) -> bool {
        self.news.take()
    }

    /// The partition is not what it was taken for: the source has to be made anew.
    pub fn set_renew(&self) {
        self.renew.set(true);
        self.wake.notify_one();
    }

    /// Whether the source has to be made anew.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.renew.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_before_notes_and_notes_pass() {
        let standing = Standing::default();
        assert_eq!(standing.told(0), None);
        standing.note(Note::Cut, 5, "cut".to_owned());
        standing.set(Note::Order, Some("order".to_owned()));
        let degraded = |reason: &str| Some(Told { state: HealthState::Degraded, reason: reason.to_owned() });
        assert_eq!(standing.told(6), degraded("order; cut"));
        let failed = Told { state: HealthState::Failed, reason: "gone".to_owned() };
        standing.set_fault(Some(failed.clone()));
        assert_eq!(standing.told(6), Some(failed));
        standing.set_fault(None);
        assert_eq!(standing.told(5 + NOTE_SHOWN_US), degraded("order"));
        standing.set(Note::Order, None);
        assert_eq!(standing.told(i64::MAX), None);
    }

    #[tokio::test]
    async fn who_reads_is_woken_by_news() {
        let wake = Arc::new(Notify::new());
        let standing = Standing::new(Arc::clone(&wake));
        assert!(!standing.take_news());
        standing.set_news();
        wake.notified().await;
        assert!(standing.take_news() && !standing.take_news());
    }
}
