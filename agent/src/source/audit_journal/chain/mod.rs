//! Which receiver is read next, and whether something was lost on the way. Pure: the partition's catalogue
//! and a cursor in, the next step out.
//!
//! Receivers form a chain: when one is full the journal gets a new one attached, and the old ones are
//! deleted by somebody some day. Sequence numbers go on from receiver to receiver, unless they were reset, so
//! places are compared by attach time first and never by sequence alone. Attach times are local and can go back by
//! an hour; the partition's own link, or numbers that go on, then say what comes next. Nothing is skipped in silence:
//! whatever cannot be proven to be complete is a gap with its range.

mod after;

pub use after::{After, Empty, after};

use crate::source::{Gap, GapUnit};
use compact_str::CompactString;
use muster_shared::cursor::{JournalCursor, ReceiverId};

/// Attach times are local: in autumn an hour comes twice, and a receiver attached in its second pass seems
/// older than one of the first.
const REPEATED_US: i64 = 3_600_000_000;

/// A receiver as the catalogue shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Library, name and attach time.
    pub id: ReceiverId,
    /// Sequence of its first entry.
    pub first: u64,
    /// Sequence of its last entry, as of the moment of asking.
    pub last: u64,
    /// Library and name of the next receiver, once there is one.
    pub next: Option<(CompactString, CompactString)>,
}

/// The journal and its receivers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// Whether the journal exists and is visible to the profile.
    pub exists: bool,
    /// Library and name of the receiver that is attached.
    pub attached: Option<(CompactString, CompactString)>,
    /// Receivers that still exist, in the order of their attachment.
    pub receivers: Vec<Receiver>,
}

impl Catalogue {
    /// The attached receiver.
    #[must_use]
    pub fn current(&self) -> Option<&Receiver> {
        let (library, name) = self.attached.as_ref()?;
        self.named(library, name)
    }

    /// The receiver `id`, if it is still there.
    #[must_use]
    pub fn receiver(&self, id: &ReceiverId) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.id == *id)
    }

    /// Entries of `id` up to `sequence` were read: it ends there at the earliest.
    pub fn reached(&mut self, id: &ReceiverId, sequence: u64) {
        if let Some(receiver) = self.receivers.iter_mut().find(|receiver| receiver.id == *id) {
            receiver.last = receiver.last.max(sequence);
        }
    }

    // The newest of that name: a name can come again after a reset of the chain.
    fn named(&self, library: &str, name: &str) -> Option<&Receiver> {
        self.receivers
            .iter()
            .rev()
            .find(|receiver| receiver.id.library == library && receiver.id.name == name)
    }

    /// Why no receiver follows: none is attached, or the one that is cannot be seen.
    #[must_use]
    pub fn nothing_attached(&self) -> Step {
        match &self.attached {
            Some((library, name)) => Step::Unseen { library: library.clone(), name: name.clone() },
            None => Step::Detached,
        }
    }

    fn is_attached(&self, receiver: &Receiver) -> bool {
        self.current().is_some_and(|current| current.id == receiver.id)
    }

    /// The oldest receiver that was attached after `id`, the first entry of which is `first` if known.
    fn after(&self, id: &ReceiverId, first: Option<u64>) -> Option<&Receiver> {
        let repeated = id.attached_us.saturating_add(REPEATED_US);
        let precedes = |receiver: &Receiver| {
            let links = receiver
                .next
                .as_ref()
                .is_some_and(|(library, name)| (library, name) == (&id.library, &id.name));
            receiver.id.attached_us <= repeated && (links || first == receiver.last.checked_add(1))
        };
        self.receivers.iter().find(|receiver| receiver.id.attached_us > id.attached_us && !precedes(receiver))
    }

    /// The receiver that goes on with the numbers of `id` after `sequence`, if one does: the first attached
    /// after it, else one that only seems to be older since the hour was repeated.
    fn continuing(&self, id: &ReceiverId, first: Option<u64>, sequence: u64) -> Option<&Receiver> {
        let continues = |receiver: &&Receiver| receiver.first == sequence.saturating_add(1);
        self.after(id, first).filter(continues).or_else(|| self.repeated(id).find(continues))
    }

    /// Receivers that were attached after `id` if the clock was set back between.
    fn repeated(&self, id: &ReceiverId) -> impl Iterator<Item = &Receiver> {
        let (from, to) = (id.attached_us.saturating_sub(REPEATED_US), id.attached_us);
        self.receivers
            .iter()
            .filter(move |receiver| (from..=to).contains(&receiver.id.attached_us))
            .filter(move |receiver| (&receiver.id.library, &receiver.id.name) != (&id.library, &id.name))
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read this receiver from this sequence number on.
    Read {
        /// The receiver.
        receiver: ReceiverId,
        /// Sequence of an entry that exists: the last one read, or the first of the receiver.
        start: u64,
        /// Whether more may be written to it.
        attached: bool,
    },
    /// Nothing is lost and reading goes on there.
    Move(JournalCursor),
    /// Something is lost; reading goes on at `next`.
    Gap {
        /// What is lost.
        gap: Gap,
        /// Where reading goes on.
        next: JournalCursor,
    },
    /// All is read, and nothing can be written: no receiver is attached.
    Detached,
    /// All is read, and the receiver that is attached is not shown to the profile.
    Unseen {
        /// Its library.
        library: CompactString,
        /// Its name.
        name: CompactString,
    },
    /// The journal does not exist, or the profile may not see it.
    Missing,
    /// The journal exists, but none of its receivers, or the profile may not see them.
    NoReceivers,
}

/// The cursor before the first entry of a receiver.
#[must_use]
pub fn before(receiver: &Receiver) -> JournalCursor {
    JournalCursor { receiver: receiver.id.clone(), sequence: receiver.first.saturating_sub(1) }
}

/// What to do next at `cursor`. `exhausted` says that everything of the cursor's receiver has been read, by a
/// call that began when this catalogue already showed it as no longer attached.
#[must_use]
pub fn next(cursor: &JournalCursor, exhausted: bool, catalogue: &Catalogue) -> Step {
    if !catalogue.exists {
        return Step::Missing;
    }
    let Some(oldest) = catalogue.receivers.first() else { return Step::NoReceivers };
    let id = &cursor.receiver;
    match catalogue.receiver(id) {
        Some(receiver) if receiver.last < cursor.sequence && receiver.last >= receiver.first => {
            went_back(cursor, receiver)
        }
        Some(receiver) if receiver.first > cursor.sequence.saturating_add(1) && cursor.sequence > 0 => {
            let reason = "the beginning of the receiver is gone".to_owned();
            Step::Gap { gap: gap(id, cursor, Some(receiver.first - 1), reason), next: before(receiver) }
        }
        Some(receiver) if catalogue.is_attached(receiver) => read(cursor, receiver, true),
        Some(receiver) if exhausted => follow(cursor, receiver, catalogue),
        Some(receiver) => read(cursor, receiver, false),
        None => lost(cursor, oldest, catalogue),
    }
}

fn read(cursor: &JournalCursor, receiver: &Receiver, attached: bool) -> Step {
    let start = cursor.sequence.max(receiver.first);
    Step::Read { receiver: receiver.id.clone(), start, attached }
}

fn gap(receiver: &ReceiverId, cursor: &JournalCursor, to: Option<u64>, reason: String) -> Gap {
    let from = cursor.sequence.saturating_add(1);
    Gap {
        reason,
        receiver: format!("{}/{}", receiver.library, receiver.name),
        from,
        to,
        unit: GapUnit::Sequence,
    }
}

/// The receiver is the one that was read, yet it ends before the place where reading stopped.
fn went_back(cursor: &JournalCursor, receiver: &Receiver) -> Step {
    let reason = format!(
        "sequence numbers of the receiver went back (it ends at {}, {} was read before): the partition or the \
         receiver was restored; the receiver is read again from its beginning",
        receiver.last, cursor.sequence
    );
    Step::Gap { gap: gap(&receiver.id, cursor, None, reason), next: before(receiver) }
}

/// The receiver is read to its end and detached: on to the next one.
fn follow(cursor: &JournalCursor, receiver: &Receiver, catalogue: &Catalogue) -> Step {
    let linked = receiver.next.as_ref().and_then(|(library, name)| {
        let next = catalogue.named(library, name)?;
        // A re-created receiver of that name is older or is this one again, unless its numbers go on.
        let continues = next.first == receiver.last.saturating_add(1);
        (next.id != receiver.id && (continues || next.id.attached_us > receiver.id.attached_us))
            .then_some(next)
    });
    if let Some(next) = linked {
        // The partition itself says that this is the next one, so nothing lies between, also where the
        // numbers begin anew.
        return Step::Move(before(next));
    }
    if let Some(next) = catalogue.continuing(&receiver.id, Some(receiver.first), receiver.last) {
        return Step::Move(before(next));
    }
    let Some(next) = catalogue.after(&receiver.id, Some(receiver.first)) else {
        return catalogue.nothing_attached();
    };
    let place = JournalCursor { receiver: receiver.id.clone(), sequence: receiver.last };
    let missing = match &receiver.next {
        Some((library, name)) => ReceiverId { library: library.clone(), name: name.clone(), attached_us: 0 },
        None => cursor.receiver.clone(),
    };
    let (to, reason) = if next.first > receiver.last {
        (
            Some(next.first - 1),
            format!("receiver {}/{} was deleted before it was read", missing.library, missing.name),
        )
    } else {
        let reason = format!(
            "the chain of receivers is broken after {}/{} and sequence numbers begin anew at {}",
            receiver.id.library, receiver.id.name, next.first
        );
        (None, reason)
    };
    Step::Gap { gap: gap(&missing, &place, to, reason), next: before(next) }
}

/// The receiver of the cursor is no longer there.
fn lost(cursor: &JournalCursor, oldest: &Receiver, catalogue: &Catalogue) -> Step {
    let id = &cursor.receiver;
    let (library, name) = (&id.library, &id.name);
    let recreated = catalogue.named(library, name).is_some();
    // Everything of the lost receiver had been read, and the next one continues its numbers.
    if let Some(next) = catalogue.continuing(id, None, cursor.sequence).filter(|_| !recreated) {
        return Step::Move(before(next));
    }
    let after = catalogue.after(id, None);
    // Nearer by its numbers, and attached in the repeated hour.
    let nearer = |receiver: &&Receiver| {
        receiver.first > cursor.sequence && after.is_some_and(|after| receiver.first < after.first)
    };
    let repeated = catalogue.repeated(id).filter(nearer).min_by_key(|receiver| receiver.first);
    let Some(next) = repeated.or(after) else {
        // All receivers are older than the one that was read: the partition was restored to an earlier day.
        let reason = format!(
            "receiver {library}/{name} is gone and all others are older: the partition or the journal was \
             restored; reading begins again at the oldest receiver"
        );
        return Step::Gap { gap: gap(id, cursor, None, reason), next: before(oldest) };
    };
    let continues = next.first > cursor.sequence;
    let reason = match (recreated, continues) {
        (true, _) => format!("receiver {library}/{name} was deleted and created anew"),
        (false, true) => format!("receiver {library}/{name} was deleted before it was read to its end"),
        (false, false) => format!(
            "receiver {library}/{name} was deleted, and sequence numbers begin anew at {}: whether it was read \
             to its end cannot be known",
            next.first
        ),
    };
    let to = (continues && !recreated).then(|| next.first - 1);
    Step::Gap { gap: gap(id, cursor, to, reason), next: before(next) }
}

#[cfg(test)]
mod tests;
