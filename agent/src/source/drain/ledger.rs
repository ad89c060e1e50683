//! Pure: which entries are in the spool already and perhaps still in the queue, so that none is taken twice and none is
//! taken without being kept.
//!
//! An entry is looked at, kept, and only then taken out of the queue. Whatever stops the agent in between, the next look
//! shows the same entry again, and the ledger knows it: by the time at which it was put on the queue, its sender, key and
//! bytes. What is taken out is compared too: another reader of the queue may have been quicker, so that something comes
//! which was never kept.

use super::entry::{Entry, Fingerprint};
use super::query::Order;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Entries of one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    content: Fingerprint,
    sender: Option<Fingerprint>,
    key: Vec<u8>,
    local_us: i64,
    /// Their numbers in the spool, rising. There is always one.
    numbers: VecDeque<u64>,
    /// The agent cannot have taken them out itself: where they are gone, another reader was it.
    certain: bool,
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
    /// Numbers of all that is kept.
    numbers: BTreeSet<u64>,
    /// What is being taken out, in this order: of entries with the same bytes the first one is meant.
    wanted: HashMap<Fingerprint, VecDeque<Fingerprint>>,
    /// The last round of taking out was answered to its end.
    answered: bool,
    /// What came out told the same sender as the look did. Then entries of other senders are other entries.
    senders_agree: bool,
}

/// What of the queue a look has passed: what is kept, lies there and was not seen is there no more.
enum Passed<'s> {
    All,
    Nothing,
    /// Keys below this one.
    KeysBelow(&'s [u8]),
    /// What was put on the queue after this time on the partition's clock.
    After(i64),
}

impl<'s> Passed<'s> {
    fn by(seen: &'s [Entry], known: &[bool], order: Order, whole: bool) -> Self {
        if whole {
            return Self::All;
        }
        let Some(last) = seen.last() else { return Self::Nothing };
        let pairs = || seen.iter().zip(seen.iter().skip(1));
        match order {
            // What was kept lies before anything that was not.
            Order::Fifo if known.contains(&false) => Self::All,
            Order::Fifo => Self::Nothing,
            // Only where the look is seen to go by keys; of the last one there may be more.
            Order::Keyed if pairs().all(|(one, next)| one.key <= next.key) => Self::KeysBelow(&last.key),
            Order::Keyed => Self::Nothing,
            Order::Lifo if last.local_us != 0 && pairs().all(|(one, next)| one.local_us >= next.local_us) => {
                Self::After(last.local_us)
            }
            Order::Lifo => Self::Nothing,
        }
    }

    fn has(&self, kept: &Kept) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::KeysBelow(key) => kept.key.as_slice() < *key,
            Self::After(local_us) => kept.local_us > *local_us,
        }
    }
}

impl Ledger {
    /// Takes note of entries that are in the spool under these numbers and not known to be out of the queue.
    pub fn keep<'e>(&mut self, entries: impl IntoIterator<Item = (u64, &'e Entry)>) {
        for (number, entry) in entries {
            let (identity, content) = (entry.identity(), entry.content());
            let kept = self.kept.entry(identity).or_insert_with(|| Kept {
                content,
                sender: entry.sender(),
                key: entry.key.clone(),
                local_us: entry.local_us,
                numbers: VecDeque::new(),
                certain: true,
            });
            kept.numbers.push_back(number);
            self.numbers.insert(number);
            if kept.numbers.len() == 1 {
                self.by_content.entry(content).or_default().push(identity);
            }
        }
    }

    /// Looks at the front of the queue: which of these entries are kept already. `whole`: there are no others.
    ///
    /// What is kept and can be in the queue no more is forgotten; gives how many of those another reader took.
    pub fn look(&mut self, seen: &[Entry], order: Order, whole: bool) -> (Vec<bool>, u64) {
        // Where the last round broke off, it may have been that one which took what is gone.
        if !self.answered {
            self.kept.values_mut().for_each(|kept| kept.certain = false);
        }
        self.answered = false;
        let mut met: HashMap<Fingerprint, usize> = HashMap::new();
        let mut known = Vec::with_capacity(seen.len());
        for entry in seen {
            let identity = entry.identity();
            let met = met.entry(identity).or_default();
            let kept = self.kept.get_mut(&identity).filter(|kept| kept.numbers.len() > *met);
            known.push(kept.is_some());
            if let Some(kept) = kept {
                kept.certain = true;
                *met += 1;
            }
        }
        let passed = Passed::by(seen, &known, order, whole);
        let gone: Vec<(Fingerprint, usize, bool)> = self
            .kept
            .iter()
            .filter(|(_, kept)| passed.has(kept))
            .map(|(identity, kept)| {
                let met = met.get(identity).copied().unwrap_or(0);
                (*identity, kept.numbers.len().saturating_sub(met), kept.certain)
            })
            .collect();
        let mut taken_by_others = 0;
        for (identity, count, certain) in gone {
            taken_by_others += if certain { count as u64 } else { 0 };
            for _ in 0..count {
                self.forget(identity);
            }
        }
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
        let (content, sender) = (entry.content(), entry.sender());
        let kept = &self.kept;
        let sent = |identity: &Fingerprint| kept.get(identity).and_then(|kept| kept.sender);
        let same = |identity: &Fingerprint| sent(identity) == sender;
        // Of another sender only where nothing shows that both views tell the sender alike.
        let strict = self.senders_agree && sender.is_some();
        let may_be = |identity: &Fingerprint| !strict || sent(identity).is_none();
        let choose = |identities: &mut dyn Iterator<Item = Fingerprint>| {
            let all: Vec<Fingerprint> = identities.collect();
            all.iter().position(same).or_else(|| all.iter().position(may_be)).map(|at| (at, all[at]))
        };
        let wanted = self.wanted.get(&content).and_then(|wanted| choose(&mut wanted.iter().copied()));
        let alike = || self.by_content.get(&content).and_then(|known| choose(&mut known.iter().copied()));
        let found = wanted.or_else(alike);
        let Some((_, identity)) = found else { return Got::Foreign };
        self.senders_agree |= sender.is_some() && same(&identity);
        if let (Some((at, _)), Some(queue)) = (wanted, self.wanted.get_mut(&content)) {
            queue.remove(at);
        }
        self.forget(identity);
        Got::Kept
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

    /// Number of the oldest entry in the spool that may still be in the queue.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.numbers.first().copied()
    }

    fn forget(&mut self, identity: Fingerprint) {
        let Some(kept) = self.kept.get_mut(&identity) else { return };
        // They are alike, so it does not matter which of them it is.
        if let Some(number) = kept.numbers.pop_front() {
            self.numbers.remove(&number);
        }
        if !kept.numbers.is_empty() {
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
        ledger.keep((1..).zip(entries));
        ledger
    }

    #[test]
    fn the_usual_round() {
        let seen = [entry("a", 1), entry("b", 2)];
        let mut ledger = Ledger::default();
        assert_eq!(ledger.look(&seen, Order::Fifo, true), (vec![false, false], 0));
        ledger.keep((1..).zip(&seen));
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
            assert_eq!(ledger.oldest(), Some(1));
            assert_eq!(ledger.look(&[entry("c", 3), kept[0].clone()], order, false).0, [false, true]);
            assert_eq!(ledger.look(&[], order, true), (vec![], 0));
            assert!(ledger.is_clear());
        }
    }

    #[test]
    fn what_a_look_has_passed_is_forgotten() {
        let keyed = |key: u8, local_us| Entry { key: vec![key], ..entry("x", local_us) };
        let kept = [keyed(1, 1), keyed(5, 2), keyed(7, 3)];
        // Keys up to 5 were passed; of 5 itself there may be more.
        let mut by_key = ledger(&kept);
        assert_eq!(by_key.look(&[keyed(2, 9), keyed(5, 8)], Order::Keyed, false).0, [false, false]);
        assert_eq!(by_key.oldest(), Some(2), "only the first one is gone");
        // A look that does not go by keys says nothing.
        let mut unsorted = ledger(&kept);
        unsorted.look(&[keyed(8, 9), keyed(6, 8)], Order::Keyed, false);
        assert_eq!(unsorted.oldest(), Some(1));
        // Last in, first out: everything after the last one that was seen.
        let kept = [entry("a", 3), entry("b", 5), entry("c", 8)];
        let mut lifo = ledger(&kept);
        lifo.look(&[entry("d", 9), entry("e", 4)], Order::Lifo, false);
        assert_eq!((lifo.oldest(), lifo.numbers.len()), (Some(1), 1));
        let mut untold = ledger(&kept);
        untold.look(&[entry("d", 0)], Order::Lifo, false);
        assert_eq!(untold.numbers.len(), 3, "a queue that tells no time");
    }

    #[test]
    fn what_was_found_after_a_crash_was_taken_by_nobody_else() {
        let keyed = |key: u8| Entry { key: vec![key], ..entry("x", key.into()) };
        let kept = [keyed(3), keyed(4)];
        let mut ledger = ledger(&kept);
        let first = [keyed(1), keyed(2)];
        assert_eq!(ledger.look(&first, Order::Keyed, false), (vec![false, false], 0));
        ledger.keep((10..).zip(&first));
        ledger.answered();
        // The agent of before the crash may have taken 3; 1 and 2 can only be taken by another reader.
        assert_eq!(ledger.look(&[kept[1].clone()], Order::Keyed, false), (vec![true], 2));
        assert_eq!(ledger.oldest(), Some(2));
    }

    #[test]
    fn the_sender_tells_entries_apart_once_both_views_are_seen_to_tell_it_alike() {
        let sent = |user: &str, local_us| Entry { sender_user: user.to_owned(), ..entry("same", local_us) };
        let kept = [sent("ANNA", 1), sent("BOB", 2)];
        // Nothing is known of the views: the bytes decide.
        let mut unsure = ledger(&kept);
        unsure.want(&kept);
        assert_eq!(unsure.got(&sent("EVE", 0)), Got::Kept);
        // Once one has come with its sender, another sender is another entry.
        let mut sure = ledger(&kept);
        sure.want(&kept);
        assert_eq!(sure.got(&sent("BOB", 0)), Got::Kept);
        assert_eq!(sure.oldest(), Some(1), "the second one was meant");
        assert_eq!(sure.got(&sent("EVE", 0)), Got::Foreign);
        assert_eq!(sure.got(&sent("ANNA", 0)), Got::Kept);
        assert!(sure.is_clear());
        // A queue that tells no sender when it is emptied.
        sure.keep((5..).zip(&kept));
        sure.want(&kept);
        assert_eq!(sure.got(&entry("same", 0)), Got::Kept);
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
                ledger.keep((spool.len() as u64 + 1..).zip(&fresh));
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
                let mark = ledger.oldest().map_or(spool.len(), |oldest| oldest as usize - 1);
                prop_assert!(mark >= marked, "a mark never goes back");
                marked = mark;
                if round.killed {
                    ledger = Ledger::default();
                    ledger.keep((marked as u64 + 1..).zip(&spool[marked..]));
                }
            }
            prop_assert!(queue.is_empty() && ledger.is_clear());
            // All have the same bytes, so they are counted: by key, since that is kept in any case.
            let count = |entries: &[Entry], key: u8| entries.iter().filter(|e| e.key == [key]).count();
            let late = rounds.iter().any(|round| !round.arrive_late.is_empty());
            // What came before it was looked at was taken for one with the same bytes, which the spool still knows.
            let mistaken = order == Order::Lifo && late && rounds.iter().any(|round| round.killed);
            for key in 0..5 {
                let (put, kept, gone) = (count(&written, key), count(&spool, key), count(&stolen, key));
                prop_assert!(kept >= put - gone, "{} of {} kept, {} stolen", kept, put, gone);
                if !steals && (order != Order::Lifo || !late) {
                    prop_assert_eq!(kept, put);
                }
            }
            if order != Order::Keyed {
                prop_assert!(mistaken || spool.len() + stolen.len() >= written.len());
                if !steals && (order == Order::Fifo || !late) {
                    prop_assert_eq!(spool.len(), written.len());
                }
            }
        }
    }
}
