//! Pure: what a statement may still take out whose answer nobody reads.
//!
//! An agent that is killed, or whose connection breaks, may leave a statement behind that runs in the partition a moment
//! later. It takes what is at the front of the queue *then*. If what it was meant for is gone by that time, because the
//! agent took it out anew, it takes entries that nobody has looked at, and they are lost. So for a while as many entries
//! as it may take stay in the queue, all of them written down: whatever it takes, nothing is lost.
//!
//! What is about to be taken out is noted on disk before the statement is sent, so that the next start knows which one
//! it may have been. Without a note that can be read it may have been anything that is not known to be out. How late the
//! statement was sent after the note nobody knows, so the next start counts from itself.

use super::entry::Entry;
use super::query::Order;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// So long a statement may still run after the connection was lost: what was sent reaches the partition within 25 s or
/// never (the connection's user timeout).
const LIFE: Duration = Duration::from_secs(30);

/// What was noted so long ago is over: preparing it and waiting for its answer took at most 30 s each. It bounds what an
/// agent that is killed again and again leaves in the queue.
const NOTED: Duration = Duration::from_secs(90);

/// Statements that are told apart; there is one for each break or kill within [`NOTED`].
const MAX: usize = 32;

/// A statement that may still run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shadow {
    /// Milliseconds since 1970.
    noted_ms: i64,
    until: Instant,
    /// By key, empty where the queue has none, how many entries it may take.
    may_take: BTreeMap<Vec<u8>, usize>,
}

impl Shadow {
    /// Of a statement that is sent now.
    fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>, now: Now) -> Self {
        let mut may_take: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for entry in entries {
            *may_take.entry(entry.key.clone()).or_default() += 1;
        }
        Self { noted_ms: now.utc_ms, until: now.instant + LIFE, may_take }
    }

    fn join(&mut self, other: Self) {
        self.until = self.until.max(other.until);
        self.noted_ms = self.noted_ms.max(other.noted_ms);
        for (key, count) in other.may_take {
            *self.may_take.entry(key).or_default() += count;
        }
    }
}

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// That of this run.
    pub instant: Instant,
    /// Milliseconds since 1970.
    pub utc_ms: i64,
}

/// The note: statements that may still run.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    statements: Vec<Noted>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    /// Milliseconds since 1970.
    noted_ms: i64,
    /// Keys in hexadecimal digits, and how many entries of each it may take.
    entries: BTreeMap<String, usize>,
}

/// All statements that may still run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadows(Vec<Shadow>);

impl Shadows {
    /// A statement that was sent now may take out these entries, or as many others of the same keys.
    pub fn cast<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>, now: Now) {
        let shadow = Shadow::of(entries, now);
        if shadow.may_take.is_empty() {
            return;
        }
        if self.0.len() < MAX {
            self.0.push(shadow);
        } else if let Some(oldest) = self.0.first_mut() {
            oldest.join(shadow);
        }
    }

    /// Forgets those that can run no more; true if there were any.
    pub fn pass(&mut self, now: Instant) -> bool {
        let before = self.0.len();
        self.0.retain(|shadow| now < shadow.until);
        self.0.len() < before
    }

    /// How many entries they may take in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().flat_map(|shadow| shadow.may_take.values()).sum()
    }

    /// Of what is written down and in the queue, in the order in which it leaves: what can be taken out, so that enough
    /// stays for them.
    #[must_use]
    pub fn spare(&self, mut wanted: Vec<Entry>, order: Order) -> Vec<Entry> {
        match order {
            Order::Fifo | Order::Lifo => wanted.truncate(wanted.len().saturating_sub(self.count())),
            Order::Keyed if self.0.is_empty() => {}
            Order::Keyed => {
                let mut stay: HashMap<&[u8], usize> = HashMap::new();
                for (key, count) in self.0.iter().flat_map(|shadow| &shadow.may_take) {
                    *stay.entry(key).or_default() += count;
                }
                // Of one key the first one in is the first one out, so it is the last ones that stay.
                let leaves = |entry: &Entry| match stay.get_mut(entry.key.as_slice()) {
                    Some(left) if *left > 0 => {
                        *left -= 1;
                        false
                    }
                    _ => true,
                };
                wanted = wanted.into_iter().rev().filter(leaves).collect();
                wanted.reverse();
            }
        }
        wanted
    }

    /// The note for the disk, before a statement is sent that takes out `about_to`.
    #[must_use]
    pub fn note<'e>(&self, about_to: impl IntoIterator<Item = &'e Entry>, now: Now) -> Vec<u8> {
        let mut all = self.clone();
        all.cast(about_to, now);
        let noted = |shadow: &Shadow| Noted {
            noted_ms: shadow.noted_ms,
            entries: shadow.may_take.iter().map(|(key, n)| (faster_hex::hex_string_upper(key), *n)).collect(),
        };
        let note = Note { statements: all.0.iter().map(noted).collect() };
        serde_json::to_vec(&note).expect("numbers and texts become JSON")
    }

    /// Reads a note at the start. None where it cannot be read.
    #[must_use]
    pub fn from_note(note: &[u8], now: Now) -> Option<Self> {
        let note: Note = serde_json::from_slice(note).ok()?;
        let shadow = |noted: Noted| {
            let key = |(digits, count): (String, usize)| {
                let mut key = vec![0; digits.len() / 2];
                faster_hex::hex_decode(digits.as_bytes(), &mut key).ok()?;
                Some((key, count))
            };
            let may_take = noted.entries.into_iter().map(key).collect::<Option<_>>()?;
            Some(Shadow { noted_ms: noted.noted_ms, until: now.instant + LIFE, may_take })
        };
        let mut shadows = Self(note.statements.into_iter().map(shadow).collect::<Option<_>>()?);
        // Where the clock was set back meanwhile, nothing is over.
        shadows.0.retain(|shadow| now.utc_ms.saturating_sub(shadow.noted_ms) < millis(NOTED));
        Some(shadows)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn entry(key: u8, number: i64) -> Entry {
        Entry { key: vec![key], data: number.to_string().into_bytes(), local_us: number, ..Entry::default() }
    }

    fn moment(start: Instant, seconds: u64) -> Now {
        Now { instant: start + Duration::from_secs(seconds), utc_ms: seconds as i64 * 1_000 }
    }

    fn numbers(entries: &[Entry]) -> Vec<i64> {
        entries.iter().map(|entry| entry.local_us).collect()
    }

    #[test]
    fn as_many_stay_as_may_be_taken_and_only_so_long() {
        let start = Instant::now();
        let at = |seconds| moment(start, seconds);
        let wanted = vec![entry(1, 1), entry(1, 2), entry(2, 3), entry(2, 4), entry(2, 5)];
        let mut shadows = Shadows::default();
        assert_eq!(numbers(&shadows.spare(wanted.clone(), Order::Keyed)), [1, 2, 3, 4, 5]);
        shadows.cast(&[entry(2, 0)], at(0));
        shadows.cast(&[entry(2, 0), entry(9, 0)], at(10));
        shadows.cast(&[], at(69));
        assert_eq!(shadows.count(), 3);
        assert_eq!(numbers(&shadows.spare(wanted.clone(), Order::Keyed)), [1, 2, 3]);
        assert_eq!(numbers(&shadows.spare(wanted.clone(), Order::Fifo)), [1, 2]);
        assert_eq!(numbers(&shadows.spare(wanted[..2].to_vec(), Order::Lifo)), [0; 0]);
        assert!(!shadows.pass(start + Duration::from_secs(29)));
        assert!(shadows.pass(start + Duration::from_secs(30)));
        assert_eq!(numbers(&shadows.spare(wanted.clone(), Order::Keyed)), [1, 2, 3, 4]);
        assert!(shadows.pass(start + Duration::from_secs(40)));
        assert_eq!((shadows.count(), shadows.spare(wanted, Order::Fifo).len()), (0, 5));
    }

    #[test]
    fn a_note_tells_the_next_start_what_may_still_run() {
        let start = Instant::now();
        let at = |seconds| moment(start, seconds);
        let mut shadows = Shadows::default();
        shadows.cast(&[entry(7, 0)], at(0));
        let about_to = [entry(7, 1), entry(7, 2), Entry::default()];
        let note = shadows.note(&about_to, at(10));
        assert_eq!(shadows.count(), 1, "it has not been sent yet");
        let read = |seconds| Shadows::from_note(&note, at(seconds)).unwrap();
        // It may have been sent just before the agent was killed, however old the note is.
        let mut found = read(60);
        assert!(found.count() == 4 && !found.pass(at(89).instant) && found.pass(at(90).instant));
        assert_eq!(found.count(), 0);
        assert_eq!((read(89).count(), read(90).count(), read(99).count(), read(100).count()), (4, 3, 3, 0));
        let set_back = Now { utc_ms: -3_600_000, ..at(50) };
        assert_eq!(Shadows::from_note(&note, set_back).unwrap().count(), 4);
        // What was found goes into the next note as old as it is.
        let next = read(60).note(&[], at(61));
        assert_eq!(Shadows::from_note(&next, at(99)).unwrap().count(), 3);
        let nothing = Shadows::default().note(&[], at(0));
        assert_eq!(Shadows::from_note(&nothing, at(0)), Some(Shadows::default()));
        for broken in ["", "{", r#"{"statements":[{"noted_ms":1,"entries":{"0g":1}}]}"#] {
            assert_eq!(Shadows::from_note(broken.as_bytes(), at(0)), None, "{broken}");
        }
    }

    #[test]
    fn however_many_there_are_all_of_them_count() {
        let start = Instant::now();
        let mut shadows = Shadows::default();
        for second in 0..100 {
            shadows.cast(&[entry(1, 0)], moment(start, second));
        }
        assert_eq!((shadows.0.len(), shadows.count()), (MAX, 100));
        shadows.pass(start + Duration::from_secs(128));
        assert_eq!(shadows.count(), 69, "those that were joined live as long as the last of them");
    }

    proptest! {
        /// An agent is killed while a statement of it is under way. The next one empties the queue in rounds; the
        /// statement runs at any moment, also between a look and the taking, and its answer is read by nobody.
        #[test]
        fn whenever_the_statement_of_before_runs_nothing_is_lost(
            keys in proptest::collection::vec(0_u8..4, 1..40),
            late in proptest::collection::vec(0_u8..4, 0..40),
            kept in 1_usize..12,
            under_way in 1_usize..6,
            already_out in 0_usize..12,
            runs_in in 0_usize..6,
            between in any::<bool>(),
            keyed in any::<bool>(),
            noted in any::<bool>(),
        ) {
            const LOOK: usize = 6;
            let order = if keyed { Order::Keyed } else { Order::Fifo };
            let mut number = 0;
            let mut queue: Vec<Entry> = Vec::new();
            let mut put = |keys: &[u8], queue: &mut Vec<Entry>| {
                for key in keys {
                    number += 1;
                    let entry = entry(*key, number);
                    let at = if keyed { queue.partition_point(|other| other.key <= entry.key) } else { queue.len() };
                    queue.insert(at, entry);
                }
            };
            let take = |asked: &[Entry], queue: &mut Vec<Entry>| -> Vec<i64> {
                let mut out = Vec::new();
                for asked in asked {
                    let at = if keyed {
                        queue.iter().position(|entry| entry.key == asked.key)
                    } else {
                        (!queue.is_empty()).then_some(0)
                    };
                    out.extend(at.map(|at| queue.remove(at).local_us));
                }
                out
            };
            put(&keys, &mut queue);
            // Written down by the first agent, and some of it taken out before the statement that is under way.
            let known: Vec<Entry> = queue.iter().take(kept).cloned().collect();
            let mut disk: BTreeSet<i64> = numbers(&known).into_iter().collect();
            let out = already_out.min(known.len());
            take(&known[..out], &mut queue);
            let statement = &known[out..(out + under_way).min(known.len())];
            let start = Instant::now();
            let mut shadows = if noted {
                Shadows::from_note(&Shadows::default().note(statement, moment(start, 0)), moment(start, 5)).unwrap()
            } else {
                // All that is not known to be out.
                let mut shadows = Shadows::default();
                shadows.cast(&known, moment(start, 0));
                shadows
            };
            for round in 0..60 {
                if round == 40 {
                    shadows.pass(start + LIFE + LIFE);
                }
                if round == runs_in && !between {
                    take(statement, &mut queue);
                }
                if round == 2 {
                    put(&late, &mut queue);
                }
                let seen: Vec<Entry> = queue.iter().take(LOOK + shadows.count()).cloned().collect();
                disk.extend(numbers(&seen));
                let wanted = shadows.spare(seen, order);
                if round == runs_in && between {
                    take(statement, &mut queue);
                }
                // What comes out unlooked-at is written down.
                disk.extend(take(&wanted, &mut queue));
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(disk.len(), keys.len() + late.len());
        }
    }
}
