//! Pure: which entries are in the spool already and perhaps still in the queue, so that none is taken twice and none is
//! taken without being kept.
//!
//! An entry is looked at, kept, and only then taken out of the queue. Whatever stops the agent in between, the next look
//! shows the same entry again, and the ledger knows it: by the time at which it was put on the queue, its sender, key and
//! bytes. What is taken out is compared too: another reader of the queue may have been quicker, so that something comes
//! which was never kept.

use super::entry::{Entry, Fingerprint};
use super::query::Order;
use std::collections::{HashMap, VecDeque};

/// Entries of one fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    content: Fingerprint,
    count: u32,
}

/// What came out of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// It is kept already.
    Kept,
    /// It is not: keep it now.
    Foreign,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    kept: HashMap<Fingerprint, Kept>,
    by_content: HashMap<Fingerprint, Vec<Fingerprint>>,
    /// What is being taken out, in this order: of entries with the same bytes the first one is meant.
    wanted: HashMap<Fingerprint, VecDeque<Fingerprint>>,
    /// The last round of taking out was answered to its end.
    answered: bool,
}

impl Ledger {
    /// Takes note of entries that are in the spool and not known to be out of the queue.
    pub fn keep<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        for entry in entries {
            let (identity, content) = (entry.identity(), entry.content());
            let kept = self.kept.entry(identity).or_insert(Kept { content, count: 0 });
            kept.count += 1;
            if kept.count == 1 {
                self.by_content.entry(content).or_default().push(identity);
            }
        }
    }

    /// Looks at the front of the queue: which of these entries are kept already. `whole`: there are no others.
    ///
    /// What is kept and can be in the queue no more is forgotten; gives how many of those another reader took.
    pub fn look(&mut self, seen: &[Entry], order: Order, whole: bool) -> (Vec<bool>, u64) {
        let mut met: HashMap<Fingerprint, u32> = HashMap::new();
        let known: Vec<bool> = seen
            .iter()
            .map(|entry| {
                let identity = entry.identity();
                let met = met.entry(identity).or_default();
                let known = self.kept.get(&identity).is_some_and(|kept| kept.count > *met);
                *met += u32::from(known);
                known
            })
            .collect();
        // In a queue that is first in first out, what was kept lies before anything that was not.
        let passed = order == Order::Fifo && known.contains(&false);
        let mut gone = 0;
        if whole || passed {
            let gone_ones: Vec<(Fingerprint, u32)> = self
                .kept
                .iter()
                .map(|(identity, kept)| (*identity, kept.count - met.get(identity).copied().unwrap_or(0)))
                .filter(|(_, count)| *count > 0)
                .collect();
            for (identity, count) in gone_ones {
                gone += u64::from(count);
                for _ in 0..count {
                    self.forget(identity);
                }
            }
        }
        // Where the last round broke off, it may have been that one which took them.
        let taken_by_others = if self.answered { gone } else { 0 };
        self.answered = false;
        (known, taken_by_others)
    }

    /// These entries are taken out next, all of them kept by now.
    pub fn want<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        self.wanted.clear();
        for entry in entries {
            self.wanted.entry(entry.content()).or_default().push_back(entry.identity());
        }
    }

    /// An entry came out of the queue.
    pub fn got(&mut self, entry: &Entry) -> Got {
        let content = entry.content();
        let wanted = self.wanted.get_mut(&content).and_then(VecDeque::pop_front);
        let alike = || self.by_content.get(&content).and_then(|identities| identities.first()).copied();
        match wanted.or_else(alike) {
            Some(identity) => {
                self.forget(identity);
                Got::Kept
            }
            None => Got::Foreign,
        }
    }

    /// Everything that was asked for came, or was not there any more.
    pub fn answered(&mut self) {
        self.answered = true;
    }

    /// Whether nothing that is kept can still be in the queue.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.kept.is_empty()
    }

    fn forget(&mut self, identity: Fingerprint) {
        let Some(kept) = self.kept.get_mut(&identity) else { return };
        kept.count -= 1;
        if kept.count > 0 {
            return;
        }
        let content = kept.content;
        self.kept.remove(&identity);
        if let Some(identities) = self.by_content.get_mut(&content) {
            identities.retain(|other| *other != identity);
            if identities.is_empty() {
                self.by_content.remove(&content);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(data: &str, local_us: i64) -> Entry {
        Entry { data: data.as_bytes().to_vec(), local_us, ..Entry::default() }
    }

    fn ledger(entries: &[Entry]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.keep(entries);
        ledger
    }

    #[test]
    fn the_usual_round() {
        let seen = [entry("a", 1), entry("b", 2)];
        let mut ledger = Ledger::default();
        assert_eq!(ledger.look(&seen, Order::Fifo, true), (vec![false, false], 0));
        ledger.keep(&seen);
        ledger.want(&seen);
        assert!(!ledger.is_clear());
        // What comes out tells no time.
        assert_eq!(ledger.got(&entry("b", 0)), Got::Kept);
        assert_eq!(ledger.got(&entry("a", 0)), Got::Kept);
        assert!(ledger.is_clear());
        assert_eq!(ledger.got(&entry("a", 0)), Got::Foreign, "another one with the same bytes");
    }

    #[test]
    fn after_a_crash_nothing_is_kept_twice() {
        // Three were kept; the first was taken out and the agent killed before it knew.
        let kept = [entry("a", 1), entry("b", 2), entry("c", 3)];
        let mut ledger = ledger(&kept);
        let seen = [kept[1].clone(), kept[2].clone(), entry("d", 4)];
        assert_eq!(ledger.look(&seen, Order::Fifo, false), (vec![true, true, false], 0));
        // The same bytes at another time are another entry.
        assert_eq!(ledger.look(&[entry("b", 9)], Order::Fifo, true), (vec![false], 0));
        assert!(ledger.is_clear());
    }

    #[test]
    fn entries_that_are_alike_are_counted() {
        let twin = entry("x", 7);
        let mut ledger = ledger(&[twin.clone(), twin.clone()]);
        let seen = [twin.clone(), twin.clone(), twin.clone()];
        assert_eq!(ledger.look(&seen, Order::Keyed, true).0, [true, true, false]);
        assert_eq!(
            (ledger.got(&twin), ledger.got(&twin), ledger.got(&twin)),
            (Got::Kept, Got::Kept, Got::Foreign)
        );
    }

    #[test]
    fn in_a_keyed_queue_what_was_kept_may_lie_behind_what_came_since() {
        let kept = [entry("m", 1)];
        for order in [Order::Keyed, Order::Lifo] {
            let mut ledger = ledger(&kept);
            assert_eq!(ledger.look(&[entry("b", 2)], order, false).0, [false]);
            assert!(!ledger.is_clear(), "it was not seen, and there is more");
            assert_eq!(ledger.look(&[entry("c", 3), kept[0].clone()], order, false).0, [false, true]);
            assert_eq!(ledger.look(&[], order, true), (vec![], 0));
            assert!(ledger.is_clear());
        }
    }

    #[test]
    fn another_reader_is_noticed_and_a_broken_round_is_none() {
        let kept = [entry("a", 1), entry("b", 2)];
        for (answered, taken) in [(true, 2), (false, 0)] {
            let mut ledger = ledger(&kept);
            if answered {
                ledger.answered();
            }
            assert_eq!(ledger.look(&[entry("c", 3)], Order::Fifo, false), (vec![false], taken));
            assert!(ledger.is_clear());
        }
    }

    /// A queue that is drained by rounds that break off anywhere, with other readers and programs that write.
    #[derive(Debug, Clone)]
    struct Round {
        arrive: Vec<u8>,
        stolen: usize,
        arrive_late: Vec<u8>,
        /// How many are taken out before it breaks off.
        taken: usize,
        /// The agent is killed: only the spool is left.
        killed: bool,
    }

    fn rounds() -> impl Strategy<Value = Vec<Round>> {
        let some = || proptest::collection::vec(any::<u8>(), 0..4);
        let round = (some(), 0_usize..2, some(), 0_usize..8, any::<bool>());
        let round = round.prop_map(|(arrive, stolen, arrive_late, taken, killed)| Round {
            arrive,
            stolen,
            arrive_late,
            taken,
            killed,
        });
        proptest::collection::vec(round, 1..12)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_without_another_reader_nothing_is_doubled(
            rounds in rounds(),
            steals in any::<bool>(),
            order in proptest::sample::select(vec![Order::Fifo, Order::Lifo, Order::Keyed]),
        ) {
            const LOOK: usize = 3;
            let (mut queue, mut clock): (Vec<Entry>, i64) = (Vec::new(), 0);
            let mut spool: Vec<Entry> = Vec::new();
            let mut marked = 0;
            let (mut written, mut stolen): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
            let mut ledger = Ledger::default();
            let put = |bytes: &[u8], queue: &mut Vec<Entry>, written: &mut Vec<Entry>, clock: &mut i64| {
                for byte in bytes {
                    *clock += 1;
                    let key = if order == Order::Keyed { vec![byte % 5] } else { Vec::new() };
                    let entry = Entry { key: key.clone(), ..entry("same", *clock) };
                    written.push(entry.clone());
                    let at = match order {
                        Order::Fifo => queue.len(),
                        Order::Lifo => 0,
                        Order::Keyed => queue.partition_point(|other| other.key <= key),
                    };
                    queue.insert(at, entry);
                }
            };
            let mut last = rounds.clone();
            // In the end the queue is drained without trouble.
            let calm = Round { arrive: vec![], stolen: 0, arrive_late: vec![], taken: usize::MAX, killed: false };
            last.extend(std::iter::repeat_n(calm, 120));
            for round in last {
                put(&round.arrive, &mut queue, &mut written, &mut clock);
                let seen: Vec<Entry> = queue.iter().take(LOOK).cloned().collect();
                let whole = queue.len() < LOOK;
                let (known, _) = ledger.look(&seen, order, whole);
                let fresh: Vec<Entry> =
                    seen.iter().zip(&known).filter(|(_, known)| !**known).map(|(e, _)| e.clone()).collect();
                ledger.keep(&fresh);
                ledger.want(&seen);
                spool.extend(fresh);
                if steals {
                    let count = round.stolen.min(queue.len());
                    stolen.extend(queue.drain(..count));
                }
                put(&round.arrive_late, &mut queue, &mut written, &mut clock);
                for wanted in seen.iter().take(round.taken) {
                    let at = match order {
                        Order::Fifo | Order::Lifo => (!queue.is_empty()).then_some(0),
                        Order::Keyed => queue.iter().position(|entry| entry.key == wanted.key),
                    };
                    let Some(at) = at else { continue };
                    let out = Entry { local_us: 0, ..queue.remove(at) };
                    if ledger.got(&out) == Got::Foreign {
                        spool.push(out);
                    }
                }
                if round.taken >= seen.len() {
                    ledger.answered();
                }
                if ledger.is_clear() {
                    marked = spool.len();
                }
                if round.killed {
                    ledger = Ledger::default();
                    ledger.keep(&spool[marked..]);
                }
            }
            prop_assert!(queue.is_empty() && ledger.is_clear());
            // All have the same bytes, so they are counted: by key, since that is kept in any case.
            let count = |entries: &[Entry], key: u8| entries.iter().filter(|e| e.key == [key]).count();
            let late = rounds.iter().any(|round| !round.arrive_late.is_empty());
            for key in 0..5 {
                let (put, kept, gone) = (count(&written, key), count(&spool, key), count(&stolen, key));
                prop_assert!(kept >= put - gone, "{} of {} kept, {} stolen", kept, put, gone);
                if !steals && (order != Order::Lifo || !late) {
                    prop_assert_eq!(kept, put);
                }
            }
            if order != Order::Keyed {
                prop_assert!(spool.len() + stolen.len() >= written.len());
                if !steals && (order == Order::Fifo || !late) {
                    prop_assert_eq!(spool.len(), written.len());
                }
            }
        }
    }
}
