//! What conditions ask about an event, looked up when the first of them asks.

use super::entry_type::{JournalType, type_number};
use crate::event::{Event, EventKind, Field, FieldId, SourceKind, dictionary};
use crate::policy::expression::ExpressionFault;
use crate::policy::pattern::Name;
use crate::severity::Severity;
use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::sync::LazyLock;

/// Where an event comes from: what a policy may ask that the event itself does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventSource<'s> {
    /// Name of the source in the policy.
    pub name: &'s str,
    /// How far the partition's clock is ahead of UTC, in seconds.
    pub utc_offset_seconds: i32,
}

impl<'s> EventSource<'s> {
    /// A source of a partition whose clock is ahead of UTC by so many seconds.
    #[must_use]
    pub const fn new(name: &'s str, utc_offset_seconds: i32) -> Self {
        Self { name, utc_offset_seconds }
    }
}

/// Fields that typed conditions ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Slot {
    User,
    ObjectLibrary,
    ObjectName,
    ObjectType,
    TargetUser,
    Program,
    ProgramLibrary,
    JobName,
    JobUser,
    JobNumber,
    SystemValue,
    MessageId,
    MessageQueue,
    Queue,
    ExitPoint,
    ExitFunction,
    Outcome,
    RemoteAddress,
    RemotePort,
    LocalPort,
}

impl Slot {
    const COUNT: usize = 20;

    /// The first of them are names that many conditions of a policy ask for: they are made once for an event.
    pub(super) const KEPT: [Self; 5] =
        [Self::User, Self::ObjectLibrary, Self::ObjectName, Self::ObjectType, Self::TargetUser];

    /// Keyword of each field, by number.
    const KEYWORDS: [&'static str; Self::COUNT] = [
        "user",
        "object_library",
        "object_name",
        "object_type",
        "target_user",
        "program",
        "program_library",
        "job_name",
        "job_user",
        "job_number",
        "system_value",
        "message_id",
        "message_queue",
        "queue",
        "exit_point",
        "exit_function",
        "outcome",
        "remote_address",
        "remote_port",
        "local_port",
    ];

    /// Its bit in [`Asked`].
    pub(super) const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A set of [`Slot`]s.
pub(in crate::policy) type Asked = u32;

/// Bit of each field of the dictionary; 0 for those that no typed condition asks for.
static BITS: LazyLock<Vec<Asked>> = LazyLock::new(|| {
    let mut bits = vec![0; dictionary().rows().len()];
    for (slot, keyword) in Slot::KEYWORDS.iter().enumerate() {
        // A field that this build's dictionary lacks is one that no event has.
        if let Some(FieldId(number)) = dictionary().find(keyword) {
            bits[usize::from(number)] = 1 << slot;
        }
    }
    bits
});

/// An event with what conditions ask about it.
#[derive(Debug)]
pub struct Subject<'e> {
    event: &'e Event,
    source: EventSource<'e>,
    kind: SourceKind,
    journal: Option<JournalType>,
    severity: Severity,
    asked: Asked,
    /// Number of the field in the event, plus one, for each slot.
    places: OnceCell<[u16; Slot::COUNT]>,
    /// The names of [`Slot::KEPT`].
    names: OnceCell<[Name<'e>; Slot::KEPT.len()]>,
    /// Their bits, see [`super::sieve::Sieve`].
    bits: OnceCell<[u64; Slot::KEPT.len()]>,
    id: OnceCell<String>,
    address: OnceCell<Option<IpAddr>>,
    fault: RefCell<Option<ExpressionFault>>,
}

impl<'e> Subject<'e> {
    /// An event, of which conditions will ask for `asked`.
    #[must_use]
    pub(in crate::policy) fn new(event: &'e Event, source: EventSource<'e>, asked: Asked) -> Self {
        let journal = match event.kind {
            EventKind::Audit { code, entry_type, subtype } => {
                let number = if code == b'T' { type_number(entry_type) } else { None };
                Some(JournalType { code, entry_type, subtype, number })
            }
            EventKind::Message { .. }
            | EventKind::Queued(_)
            | EventKind::Exit(_)
            | EventKind::Controller(_)
            | EventKind::Agent(_) => None,
        };
        Self {
            event,
            source,
            kind: event.kind.source(),
            journal,
            severity: event.severity,
            asked,
            places: OnceCell::new(),
            names: OnceCell::new(),
            bits: OnceCell::new(),
            id: OnceCell::new(),
            address: OnceCell::new(),
            fault: RefCell::new(None),
        }
    }

    /// From here on it has this severity.
    pub(in crate::policy) fn set_severity(&mut self, severity: Severity) {
        self.severity = severity;
    }

    /// Number of its type, for entries of the audit journal whose type has one.
    pub(in crate::policy) fn type_number(&self) -> Option<usize> {
        self.journal.as_ref().and_then(|journal| journal.number)
    }

    /// What a [`super::Holds::Unknown`] was about.
    pub(in crate::policy) fn take_fault(&self) -> Option<ExpressionFault> {
        self.fault.borrow_mut().take()
    }

    pub(in crate::policy) const fn kind(&self) -> SourceKind {
        self.kind
    }

    pub(super) const fn event(&self) -> &'e Event {
        self.event
    }

    pub(super) const fn source(&self) -> EventSource<'e> {
        self.source
    }

    pub(super) const fn severity(&self) -> Severity {
        self.severity
    }

    pub(super) const fn journal(&self) -> Option<&JournalType> {
        self.journal.as_ref()
    }

    pub(super) fn note(&self, fault: ExpressionFault) {
        *self.fault.borrow_mut() = Some(fault);
    }

    /// The first value counts. Most fields are none that is asked for, and the last of these comes early.
    fn look(&self) -> [u16; Slot::COUNT] {
        let bits = BITS.as_slice();
        let mut places = [0; Slot::COUNT];
        let mut missing = self.asked;
        for (field, place) in self.event.fields().iter().zip(1_u16..) {
            let found = bits.get(usize::from(field.id.0)).copied().unwrap_or(0) & missing;
            if found != 0 {
                places[found.trailing_zeros() as usize] = place;
                missing ^= found;
                if missing == 0 {
                    break;
                }
            }
        }
        places
    }

    fn field(&self, slot: Slot) -> Option<&'e Field> {
        let places = self.places.get_or_init(|| self.look());
        let place = usize::from(places[slot as usize]).checked_sub(1)?;
        self.event.fields().get(place)
    }

    /// Text of a field; empty where the event has none.
    pub(super) fn text(&self, slot: Slot) -> &'e str {
        self.field(slot).map_or("", |field| self.event.text(field))
    }

    /// A field as a name.
    #[inline]
    pub(super) fn name(&self, slot: Slot) -> Name<'e> {
        if slot as usize >= Slot::KEPT.len() {
            return self.make_name(slot);
        }
        self.kept()[slot as usize]
    }

    fn kept(&self) -> &[Name<'e>; Slot::KEPT.len()] {
        self.names.get_or_init(|| Slot::KEPT.map(|slot| self.make_name(slot)))
    }

    /// Bits of the names of [`Slot::KEPT`].
    #[inline]
    pub(super) fn bits(&self) -> &[u64; Slot::KEPT.len()] {
        self.bits.get_or_init(|| self.kept().map(|name| name.bits()))
    }

    fn make_name(&self, slot: Slot) -> Name<'e> {
        match self.field(slot) {
            Some(field) => Name::at(self.event.text(field), self.event.bytes_from(field).0),
            None => Name::default(),
        }
    }

    /// Event id as a SIEM sees it.
    pub(super) fn id(&self) -> &str {
        self.id.get_or_init(|| {
            let mut id = Vec::with_capacity(32);
            self.event.kind.write_event_id(&mut id);
            String::from_utf8_lossy(&id).into_owned()
        })
    }

    /// Address of the remote system; an IPv4 address that is written as IPv6 is taken as what it is.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let text = || self.text(Slot::RemoteAddress);
        *self.address.get_or_init(|| text().parse::<IpAddr>().ok().map(|address| address.to_canonical()))
    }
}
