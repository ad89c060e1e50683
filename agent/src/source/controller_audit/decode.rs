//! Pages of the log become records, and records events: pure. The chain is checked on the way.

use crate::source::record::{RecordBatch, RecordFacts};
use crate::source::{Gap, GapUnit};
use muster_proto::api::{AgentAuditPage, AuditEntry};
use muster_shared::audit_chain;
use muster_shared::cursor::{Cursor, LogCursor};
use muster_shared::event::{AgentEvent, Event, EventKind, controller_action, field};
use muster_shared::severity::Severity;
use std::sync::Arc;

/// Longest text of a field; the controller bounds them too.
const MAX_TEXT: usize = 8 * 1024;

/// What a page means for a reader that stands at a place.
#[derive(Debug)]
pub enum Taken {
    /// Nothing new.
    Nothing,
    /// Records.
    Records(Records),
    /// The log is shorter than what was read of it already.
    Cut(Gap, LogCursor),
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Record {
    /// An entry.
    Entry(Box<AuditEntry>),
    /// The entry `sequence` does not fit behind the one before it.
    Broken { sequence: u64, reason: &'static str, hash: String, at_us: i64 },
}

/// The records of a page.
#[derive(Debug)]
pub struct Records {
    records: Vec<(Record, LogCursor)>,
    /// Front part of the ids.
    prefix: String,
    controller: String,
    /// The place behind the last record.
    pub last: LogCursor,
    /// What does not fit, if anything.
    pub trouble: Option<String>,
}

/// Reads a page that was asked for after `from`, taking nothing beyond `until`. A reader that stands beyond the place
/// where a restored controller's log parts from the lost one's goes back to that place, if the page still tells it.
#[must_use]
pub fn take(
    page: AgentAuditPage,
    from: &LogCursor,
    until: Option<u64>,
    prefix: &str,
    controller: &str,
) -> Taken {
    let shorter = page.newest < from.sequence;
    if let Some(fork) = page.fork.as_ref().filter(|fork| fork.sequence < from.sequence.min(page.newest))
        && (shorter || parted(&page, from))
    {
        let gap = Gap {
            reason: format!(
                "the controller was restored from a backup: its audit log goes on after entry {}, and what was read \
                 beyond that is of the controller that was lost",
                fork.sequence
            ),
            receiver: "controller audit log".to_owned(),
            from: fork.sequence + 1,
            to: Some(from.sequence),
            unit: GapUnit::Sequence,
        };
        return Taken::Cut(gap, LogCursor { sequence: fork.sequence, hash: fork.hash.as_str().into() });
    }
    // Another log in place of the one that was read, as long as it or longer, shows at its first new entry.
    if shorter || (page.newest == from.sequence && page.newest_hash != from.hash.as_str()) {
        let gap = Gap {
            reason:
                "the controller's audit log was cut or replaced, as by restoring an older backup; compare it \
                     with what the SIEM has"
                    .to_owned(),
            receiver: "controller audit log".to_owned(),
            from: if shorter { page.newest + 1 } else { from.sequence },
            to: Some(from.sequence),
            unit: GapUnit::Sequence,
        };
        return Taken::Cut(gap, LogCursor { sequence: page.newest, hash: page.newest_hash.as_str().into() });
    }
    let mut records = Vec::new();
    let mut place = from.clone();
    let mut trouble = None;
    for text in page.lines {
        let Some((entry, follows)) = read_line(&text, &place.hash) else {
            let sequence = place.sequence + 1;
            trouble = Some(format!("entry {sequence} of the controller's audit log cannot be read"));
            let reason = "it cannot be read";
            records.push((Record::Broken { sequence, reason, hash: String::new(), at_us: 0 }, place.clone()));
            place = LogCursor { sequence, hash: "".into() };
            continue;
        };
        if until.is_some_and(|until| entry.sequence > until) {
            break;
        }
        let reason = if entry.sequence != place.sequence + 1 {
            Some("numbers are missing before it")
        } else if !follows {
            Some("its hash does not follow from the entry before")
        } else {
            None
        };
        if let Some(reason) = reason {
            trouble = Some(format!(
                "the chain of the controller's audit log is broken at entry {}: {reason}; entries were changed, removed \
                 or replaced on the controller's host",
                entry.sequence
            ));
            let broken = Record::Broken {
                sequence: entry.sequence,
                reason,
                hash: entry.hash.clone(),
                at_us: entry.at.as_microsecond(),
            };
            // Behind this record the reader stands where it stood: the entry itself comes next.
            records.push((broken, place.clone()));
        }
        place = LogCursor { sequence: entry.sequence, hash: entry.hash.as_str().into() };
        records.push((Record::Entry(Box::new(entry)), place.clone()));
    }
    if records.is_empty() {
        return Taken::Nothing;
    }
    Taken::Records(Records {
        records,
        prefix: prefix.to_owned(),
        controller: controller.to_owned(),
        last: place,
        trouble,
    })
}

/// Whether a log that is as long as what was read, or longer, is another one.
fn parted(page: &AgentAuditPage, from: &LogCursor) -> bool {
    let other = page.newest == from.sequence && page.newest_hash != from.hash.as_str();
    let first = page.lines.first().and_then(|line| read_line(line, &from.hash));
    other || first.is_some_and(|(_, follows)| !follows)
}

/// The entry of a line, and whether it follows on the one with the hash `before`.
fn read_line(text: &str, before: &str) -> Option<(AuditEntry, bool)> {
    let (hash, bytes) = audit_chain::split(text.as_bytes())?;
    let entry: AuditEntry = serde_json::from_slice(bytes).ok()?;
    Some((AuditEntry { hash: hash.to_owned(), ..entry }, audit_chain::link(before, bytes) == hash))
}

impl RecordBatch for Records {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn fill(&self, index: usize, event: &mut Event) -> RecordFacts {
        let (record, place) = &self.records[index];
        let cursor = Some(Cursor::ControllerAudit(place.clone()));
        event.push(field::CONTROLLER, &self.controller);
        match record {
            Record::Entry(entry) => RecordFacts {
                bytes: fill_entry(&self.prefix, entry, event),
                sequence: entry.sequence,
                cursor,
            },
            Record::Broken { sequence, reason, hash, at_us } => {
                event.kind = EventKind::Agent(AgentEvent::AuditChainBroken);
                event.name = AgentEvent::AuditChainBroken.text();
                event.time_us = *at_us;
                event.severity = Severity::clamped(10);
                event.id_prefix = Arc::from(format!("{}broken/{}/", self.prefix, front(hash)));
                event.sequence = *sequence;
                event.push(field::REASON, reason);
                event.push(field::AUDIT_HASH, hash);
                // Not an entry of its own: the one that follows counts.
                RecordFacts { bytes: 0, sequence: place.sequence, cursor }
            }
        }
    }
}

/// The front of a hash: tells two logs apart that number their entries alike.
fn front(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

fn fill_entry(prefix: &str, entry: &AuditEntry, event: &mut Event) -> usize {
    let action = controller_action(&entry.action);
    event.kind = EventKind::Controller(action);
    event.name = action.text;
    event.time_us = entry.at.as_microsecond();
    event.severity = Severity::clamped(action.severity);
    event.id_prefix = Arc::from(format!("{prefix}{}/", front(&entry.hash)));
    event.sequence = entry.sequence;
    let mut bytes = 0;
    let fields = [
        (field::USER, &entry.actor),
        (field::REMOTE_ADDRESS, &entry.from),
        (field::AUDIT_ACTION, &entry.action),
        (field::AUDIT_OBJECT, &entry.object),
        (field::MESSAGE, &entry.detail),
        (field::AUDIT_HASH, &entry.hash),
    ];
    let token = entry.token.iter().map(|token| (field::AUDIT_TOKEN, token));
    for (id, text) in fields.into_iter().chain(token) {
        bytes += text.len();
        let end = (0..=text.len().min(MAX_TEXT)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        event.push(id, &text[..end]);
    }
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use muster_proto::api::AuditFork;

    /// A line of a log, and its hash.
    #[derive(Debug, Clone)]
    pub(crate) struct Line {
        text: String,
        hash: String,
    }

    /// A log of that many logins by this user.
    fn log_of(actor: &str, count: u64) -> Vec<Line> {
        lines_after(audit_chain::GENESIS, actor, 1..=count)
    }

    /// Logins by this user that follow on an entry.
    fn lines_after(hash: &str, actor: &str, sequences: std::ops::RangeInclusive<u64>) -> Vec<Line> {
        let mut hash = hash.to_owned();
        let line = |sequence: u64| {
            let entry = AuditEntry {
                sequence,
                id: format!("id-{sequence}"),
                at: jiff::Timestamp::from_second(1_000_000 + sequence as i64).unwrap(),
                actor: actor.to_owned(),
                from: "10.0.0.7".to_owned(),
                token: (sequence == 3).then(|| "t1".to_owned()),
                action: "login".to_owned(),
                object: String::new(),
                detail: String::new(),
                before: None,
                after: None,
                hash: String::new(),
            };
            let (next, text) = audit_chain::line(&hash, &serde_json::to_vec(&entry).unwrap());
            hash.clone_from(&next);
            Line { text: String::from_utf8(text).unwrap(), hash: next }
        };
        sequences.map(line).collect()
    }

    /// A log of that many logins.
    pub(crate) fn log(count: u64) -> Vec<Line> {
        log_of("admin", count)
    }

    pub(crate) fn page(log: &[Line], after: usize) -> AgentAuditPage {
        AgentAuditPage {
            lines: log[after.min(log.len())..].iter().map(|line| line.text.clone()).collect(),
            newest: log.len() as u64,
            newest_hash: log.last().map(|line| line.hash.clone()).unwrap_or_default(),
            fork: None,
        }
    }

    fn place(log: &[Line], sequence: usize) -> LogCursor {
        let hash = sequence.checked_sub(1).map(|at| log[at].hash.as_str()).unwrap_or_default();
        LogCursor { sequence: sequence as u64, hash: hash.into() }
    }

    /// Event ids of what a page means, and the trouble.
    fn events(taken: Taken) -> (Vec<String>, Option<String>) {
        let Taken::Records(records) = taken else { panic!("records expected") };
        let mut event = Event::new();
        let mut ids = Vec::new();
        for index in 0..records.count() {
            event.clear();
            let facts = records.fill(index, &mut event);
            let mut id = Vec::new();
            event.kind.write_event_id(&mut id);
            ids.push(format!(
                "{} {}",
                String::from_utf8(id).unwrap(),
                facts.cursor.unwrap().log().unwrap().sequence
            ));
        }
        (ids, records.trouble)
    }

    #[test]
    fn entries_become_events_and_the_chain_is_followed() {
        let log = log(3);
        let taken = take(page(&log, 1), &place(&log, 1), None, "c/", "controller");
        let Taken::Records(records) = &taken else { panic!("records expected") };
        assert_eq!((records.count(), &records.last), (2, &place(&log, 3)));
        let mut event = Event::new();
        assert_eq!(records.fill(0, &mut event).sequence, 2);
        assert_eq!(event.get(field::USER), Some("admin"));
        assert_eq!(event.get(field::REMOTE_ADDRESS), Some("10.0.0.7"));
        assert_eq!(event.get(field::CONTROLLER), Some("controller"));
        assert_eq!(event.get(field::AUDIT_TOKEN), None, "the person did it");
        assert_eq!((event.name, event.severity.get()), ("Login at the controller", 3));
        let mut id = Vec::new();
        event.write_id(&mut id);
        let id = String::from_utf8(id).unwrap();
        assert!(id.starts_with("c/") && id.ends_with("/2"), "{id}");
        event.clear();
        records.fill(1, &mut event);
        assert_eq!((event.get(field::USER), event.get(field::AUDIT_TOKEN)), (Some("admin"), Some("t1")));
        assert_eq!(
            events(taken),
            (vec!["CONTROLLER_LOGIN 2".to_owned(), "CONTROLLER_LOGIN 3".to_owned()], None)
        );
        assert!(matches!(take(page(&log, 3), &place(&log, 3), None, "", ""), Taken::Nothing));
        assert!(matches!(take(page(&[], 0), &place(&[], 0), None, "", ""), Taken::Nothing));
    }

    #[test]
    fn a_changed_or_missing_entry_is_told_once_and_nothing_is_held_back() {
        let good = log(4);
        let mut changed = good.clone();
        changed[2].text = changed[2].text.replace("admin", "somebody else");
        let (ids, trouble) = events(take(page(&changed, 1), &place(&good, 1), None, "", ""));
        assert_eq!(
            ids,
            ["CONTROLLER_LOGIN 2", "MUSTER_AUDIT_CHAIN_BROKEN 2", "CONTROLLER_LOGIN 3", "CONTROLLER_LOGIN 4"]
        );
        assert!(trouble.unwrap().contains("broken at entry 3"));
        let mut missing = good.clone();
        missing.remove(1);
        let (ids, trouble) = events(take(page(&missing, 1), &place(&good, 1), None, "", ""));
        assert_eq!(ids, ["MUSTER_AUDIT_CHAIN_BROKEN 1", "CONTROLLER_LOGIN 3", "CONTROLLER_LOGIN 4"]);
        assert!(trouble.unwrap().contains("numbers are missing"));
        // A whole log that was made anew does not follow from what was read before.
        let other = log_of("maria", 4);
        let (ids, _) = events(take(page(&other, 2), &place(&good, 2), None, "", ""));
        assert_eq!(ids, ["MUSTER_AUDIT_CHAIN_BROKEN 2", "CONTROLLER_LOGIN 3", "CONTROLLER_LOGIN 4"]);
        let taken = take(page(&other, 4), &place(&good, 4), None, "", "");
        assert!(matches!(taken, Taken::Cut(Gap { from: 4, to: Some(4), .. }, _)), "{taken:?}");
    }

    #[test]
    fn a_line_that_cannot_be_read_holds_up_nothing() {
        let log = log(3);
        let mut page = page(&log, 0);
        page.lines[1] = "{".to_owned();
        let (ids, trouble) = events(take(page, &place(&log, 0), None, "", ""));
        // What follows cannot be checked against it.
        assert_eq!(
            ids,
            [
                "CONTROLLER_LOGIN 1",
                "MUSTER_AUDIT_CHAIN_BROKEN 1",
                "MUSTER_AUDIT_CHAIN_BROKEN 2",
                "CONTROLLER_LOGIN 3"
            ]
        );
        assert!(trouble.is_some());
    }

    #[test]
    fn a_shorter_log_is_a_gap() {
        let log = log(9);
        let taken = take(page(&log[..4], 9), &place(&log, 9), None, "", "");
        let Taken::Cut(gap, next) = taken else { panic!("{taken:?}") };
        assert_eq!((gap.from, gap.to, next), (5, Some(9), place(&log, 4)));
    }

    /// A log that goes on otherwise after its first `common` entries, and where it parts.
    pub(crate) fn forked(log: &[Line], common: usize, count: u64) -> (Vec<Line>, AuditFork) {
        let fork = AuditFork { sequence: common as u64, hash: log[common - 1].hash.clone() };
        let mut other = log[..common].to_vec();
        other.extend(lines_after(&fork.hash, "restored", common as u64 + 1..=count));
        (other, fork)
    }

    #[test]
    fn a_reader_beyond_the_fork_of_a_restored_log_goes_back_to_it() {
        let lost = log(6);
        // Shorter than what was read, as long, and longer.
        for count in [5, 6, 9] {
            let (restored, fork) = forked(&lost, 3, count);
            let page = |after| AgentAuditPage { fork: Some(fork.clone()), ..page(&restored, after) };
            let taken = take(page(6), &place(&lost, 6), None, "", "");
            let Taken::Cut(gap, next) = taken else { panic!("{count}: {taken:?}") };
            assert_eq!((gap.from, gap.to, &next), (4, Some(6), &place(&restored, 3)), "{count}");
            assert!(gap.reason.contains("was restored from a backup"), "{gap:?}");
            let (ids, trouble) = events(take(page(3), &next, None, "", ""));
            assert_eq!((ids.len() as u64, trouble), (count - 3, None));
            // Who stood at the fork or before it reads on.
            for at in [2, 3] {
                let taken = take(page(at), &place(&lost, at), None, "", "");
                assert_eq!(events(taken).1, None, "{count} {at}");
            }
            // And who has read on is not sent back.
            let end = usize::try_from(count).unwrap();
            assert!(matches!(take(page(end), &place(&restored, end), None, "", ""), Taken::Nothing));
        }
    }

    #[test]
    fn a_read_stops_at_the_lane_ahead() {
        let log = log(5);
        let (ids, _) = events(take(page(&log, 0), &place(&log, 0), Some(2), "", ""));
        assert_eq!(ids, ["CONTROLLER_LOGIN 1", "CONTROLLER_LOGIN 2"]);
    }
}
