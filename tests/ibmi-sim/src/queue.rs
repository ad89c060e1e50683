//! Data queues: objects that programs put entries on and others take entries from.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest entry that CRTDTAQ allows.
const LONGEST: usize = 64_512;
/// Longest key.
const LONGEST_KEY: usize = 256;

/// In which order entries are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sequence {
    /// First in, first out.
    #[default]
    Fifo,
    /// Last in, first out.
    Lifo,
    /// By key.
    Keyed,
}

impl Sequence {
    /// As DATA_QUEUE_INFO has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fifo => "FIFO",
            Self::Lifo => "LIFO",
            Self::Keyed => "KEYED",
        }
    }
}

/// A queue to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuePlan {
    /// LIBRARY/NAME.
    pub queue: String,
    /// Order.
    #[serde(default)]
    pub sequence: Sequence,
    /// Length of the key, in bytes.
    #[serde(default)]
    pub key_length: usize,
    /// Longest entry.
    #[serde(default = "usual_length")]
    pub max_length: usize,
    /// Most entries; 0 for as many as come.
    #[serde(default)]
    pub max_entries: usize,
    /// Keep who sent an entry (SENDERID).
    #[serde(default = "yes")]
    pub sender_id: bool,
}

fn usual_length() -> usize {
    1_024
}

fn yes() -> bool {
    true
}

impl QueuePlan {
    /// A first in, first out queue for entries of up to 1,024 bytes that keeps its senders.
    #[must_use]
    pub fn new(queue: &str) -> Self {
        Self {
            queue: queue.to_owned(),
            sequence: Sequence::Fifo,
            key_length: 0,
            max_length: usual_length(),
            max_entries: 0,
            sender_id: true,
        }
    }

    /// The same with keys of that length.
    #[must_use]
    pub fn keyed(self, key_length: usize) -> Self {
        Self { sequence: Sequence::Keyed, key_length, ..self }
    }
}

/// An entry to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its key; filled up with blanks.
    pub key: Vec<u8>,
    /// Job of the sender, `NNNNNN/USER/NAME`.
    pub job: String,
    /// User of the sender.
    pub user: String,
}

/// An entry on a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// Job of the sender.
    pub job: Option<String>,
    /// User of the sender.
    pub user: Option<String>,
    /// When it was put there: local microseconds.
    pub at: i64,
}

/// Why something cannot be done with a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// There is none of that name.
    #[error("CPF9801: Object {name} in library {library} not found.")]
    NotFound {
        /// Library.
        library: String,
        /// Name.
        name: String,
    },
    /// The caller has no authority to it.
    #[error("CPF9802: Not authorized to object {name} in {library}.")]
    NotAuthorized {
        /// Library.
        library: String,
        /// Name.
        name: String,
    },
    /// It is there already.
    #[error("CPF9870: Object {name} type *DTAQ already exists in library {library}.")]
    Exists {
        /// Library.
        library: String,
        /// Name.
        name: String,
    },
    /// The plan makes no queue.
    #[error("CPD0172: {0}")]
    Plan(&'static str),
    /// A key where there is none, or none where there is one.
    #[error("CPF9506: Key length not valid for data queue {0}.")]
    Key(String),
    /// The entry is too long.
    #[error("CPF9502: Entry of {length} bytes is longer than data queue {queue} allows.")]
    Long {
        /// Queue.
        queue: String,
        /// Length.
        length: usize,
    },
    /// Another job holds it.
    #[error("CPF9503: Cannot lock data queue {name} in {library}.")]
    Locked {
        /// Library.
        library: String,
        /// Name.
        name: String,
    },
    /// The queue is full.
    #[error("CPF950A: Storage limit exceeded for data queue {0}.")]
    Full(String),
}

/// How a key must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Greater or equal.
    GreaterEqual,
    /// Greater.
    Greater,
    /// Less or equal.
    LessEqual,
    /// Less.
    Less,
}

impl KeyOrder {
    /// Reads `EQ`, `NE`, `GE`, `GT`, `LE`, `LT`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "EQ" => Self::Equal,
            "NE" => Self::NotEqual,
            "GE" => Self::GreaterEqual,
            "GT" => Self::Greater,
            "LE" => Self::LessEqual,
            "LT" => Self::Less,
            _ => return None,
        })
    }

    fn fits(self, key: &[u8], wanted: &[u8]) -> bool {
        match self {
            Self::Equal => key == wanted,
            Self::NotEqual => key != wanted,
            Self::GreaterEqual => key >= wanted,
            Self::Greater => key > wanted,
            Self::LessEqual => key <= wanted,
            Self::Less => key < wanted,
        }
    }
}

/// One queue.
#[derive(Debug)]
pub struct DataQueue {
    /// What it was made from.
    pub plan: QueuePlan,
    /// Library.
    pub library: String,
    /// Name.
    pub name: String,
    entries: VecDeque<Queued>,
    /// Entries that were ever put on it.
    total: u64,
    /// Nobody is authorised to it.
    denied: bool,
    /// Another job holds it: nothing can be taken away.
    locked: bool,
    /// The answer to the next statement that takes an entry away is lost.
    lose_answer: bool,
}

impl DataQueue {
    fn new(plan: QueuePlan) -> Result<Self, QueueError> {
        let (library, name) = split(&plan.queue);
        if library.is_empty() || name.is_empty() || library.len() > 10 || name.len() > 10 {
            return Err(QueueError::Plan("write LIBRARY/NAME"));
        }
        let keyed = plan.sequence == Sequence::Keyed;
        if keyed != (1..=LONGEST_KEY).contains(&plan.key_length) {
            return Err(QueueError::Plan("a keyed queue, and no other, has a key of 1 to 256 bytes"));
        }
        if !(1..=LONGEST).contains(&plan.max_length) {
            return Err(QueueError::Plan("entries have 1 to 64512 bytes"));
        }
        Ok(Self {
            plan,
            library,
            name,
            entries: VecDeque::new(),
            total: 0,
            denied: false,
            locked: false,
            lose_answer: false,
        })
    }

    fn place(&self) -> (String, String) {
        (self.library.clone(), self.name.clone())
    }

    /// Entries in the order in which they would be taken.
    pub fn entries(&self) -> impl Iterator<Item = &Queued> {
        self.entries.iter()
    }

    /// How many entries were ever put on it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Checks and fills up a key.
    fn key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, QueueError> {
        let wrong = || QueueError::Key(self.plan.queue.to_uppercase());
        match (self.plan.sequence, key) {
            (Sequence::Fifo | Sequence::Lifo, None) => Ok(None),
            (Sequence::Keyed, Some(key)) if key.len() <= self.plan.key_length => {
                let mut key = key.to_vec();
                key.resize(self.plan.key_length, 0x40);
                Ok(Some(key))
            }
            (Sequence::Fifo | Sequence::Lifo, Some(_)) | (Sequence::Keyed, _) => Err(wrong()),
        }
    }

    /// Puts an entry on the queue.
    ///
    /// # Errors
    /// It is too long, has a wrong key, or the queue is full.
    pub fn send(&mut self, sent: Sent, at: i64) -> Result<(), QueueError> {
        let key = self.key((!sent.key.is_empty()).then_some(sent.key.as_slice()))?;
        if sent.data.len() > self.plan.max_length {
            let queue = self.plan.queue.to_uppercase();
            return Err(QueueError::Long { queue, length: sent.data.len() });
        }
        if self.plan.max_entries > 0 && self.entries.len() >= self.plan.max_entries {
            return Err(QueueError::Full(self.plan.queue.to_uppercase()));
        }
        let keep = |text: String| (self.plan.sender_id && !text.is_empty()).then_some(text);
        let key = key.unwrap_or_default();
        let place = match self.plan.sequence {
            Sequence::Fifo => self.entries.len(),
            Sequence::Lifo => 0,
            Sequence::Keyed => self.entries.partition_point(|entry| entry.key <= key),
        };
        let entry = Queued { data: sent.data, key, job: keep(sent.job), user: keep(sent.user), at };
        self.entries.insert(place, entry);
        self.total += 1;
        Ok(())
    }

    /// The next entry, and takes it away if that is wanted.
    ///
    /// # Errors
    /// A key where there is none, or none where there is one.
    pub fn receive(
        &mut self,
        key: Option<(&[u8], KeyOrder)>,
        remove: bool,
    ) -> Result<Option<Queued>, QueueError> {
        let wanted = self.key(key.map(|(key, _)| key))?;
        let order = key.map_or(KeyOrder::Equal, |(_, order)| order);
        let fits = |entry: &Queued| wanted.as_ref().is_none_or(|wanted| order.fits(&entry.key, wanted));
        let Some(at) = self.entries.iter().position(fits) else { return Ok(None) };
        if remove && self.locked {
            return Err(QueueError::Locked { library: self.library.clone(), name: self.name.clone() });
        }
        Ok(if remove { self.entries.remove(at) } else { self.entries.get(at).cloned() })
    }

    /// Entries whose keys compare so.
    ///
    /// # Errors
    /// The queue has no keys, or the key is too long.
    pub fn matching(&self, key: &[u8], order: KeyOrder) -> Result<Vec<&Queued>, QueueError> {
        let wanted = self.key(Some(key))?.unwrap_or_default();
        Ok(self.entries.iter().filter(|entry| order.fits(&entry.key, &wanted)).collect())
    }

    /// Takes all entries away, or those whose keys compare so.
    ///
    /// # Errors
    /// A key where there is none.
    pub fn clear(&mut self, key: Option<(&[u8], KeyOrder)>) -> Result<(), QueueError> {
        match key {
            None => self.entries.clear(),
            Some((key, order)) => {
                let wanted = self.key(Some(key))?.unwrap_or_default();
                self.entries.retain(|entry| !order.fits(&entry.key, &wanted));
            }
        }
        Ok(())
    }
}

/// All queues of the system.
#[derive(Debug, Default)]
pub struct Queues {
    queues: Vec<DataQueue>,
    /// An answer is lost now.
    lost: bool,
    /// A statement has used a queue.
    used: bool,
    /// Answers to statements on queues come so much later.
    slow: Duration,
}

fn split(queue: &str) -> (String, String) {
    let queue = queue.to_uppercase();
    let (library, name) = queue.split_once('/').unwrap_or(("", &queue));
    (library.trim().to_owned(), name.trim().to_owned())
}

impl Queues {
    /// The queues of a scenario.
    ///
    /// # Errors
    /// A plan makes no queue, or one twice.
    pub fn new(plans: &[QueuePlan]) -> Result<Self, QueueError> {
        let mut queues = Self::default();
        for plan in plans {
            queues.create(plan.clone())?;
        }
        Ok(queues)
    }

    /// CRTDTAQ.
    ///
    /// # Errors
    /// The plan makes no queue, or it is there.
    pub fn create(&mut self, plan: QueuePlan) -> Result<(), QueueError> {
        let queue = DataQueue::new(plan)?;
        let (library, name) = queue.place();
        if self.queues.iter().any(|other| other.place() == queue.place()) {
            return Err(QueueError::Exists { library, name });
        }
        self.queues.push(queue);
        Ok(())
    }

    /// DLTDTAQ.
    ///
    /// # Errors
    /// It is not there.
    pub fn delete(&mut self, queue: &str) -> Result<(), QueueError> {
        let place = split(queue);
        let at = self.queues.iter().position(|other| other.place() == place);
        let at = at.ok_or(QueueError::NotFound { library: place.0, name: place.1 })?;
        self.queues.remove(at);
        Ok(())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &DataQueue> {
        self.queues.iter()
    }

    /// The queues that a profile may see.
    pub fn visible(&self) -> impl Iterator<Item = &DataQueue> {
        self.queues.iter().filter(|queue| !queue.denied)
    }

    /// A queue, whoever asks.
    ///
    /// # Errors
    /// It is not there.
    pub fn of(&mut self, queue: &str) -> Result<&mut DataQueue, QueueError> {
        let (library, name) = split(queue);
        let found = self.queues.iter_mut().find(|other| other.library == library && other.name == name);
        found.ok_or(QueueError::NotFound { library, name })
    }

    /// The queue that a statement names; a library such as *LIBL finds the first one of that name.
    ///
    /// # Errors
    /// It is not there, or nobody is authorised to it.
    pub fn named(&mut self, library: &str, name: &str) -> Result<&mut DataQueue, QueueError> {
        self.used = true;
        let any = library.starts_with('*');
        let found =
            self.queues.iter_mut().find(|queue| queue.name == name && (any || queue.library == library));
        match found {
            None => Err(QueueError::NotFound { library: library.to_owned(), name: name.to_owned() }),
            Some(queue) if queue.denied => {
                Err(QueueError::NotAuthorized { library: queue.library.clone(), name: name.to_owned() })
            }
            Some(queue) => Ok(queue),
        }
    }

    /// Takes everybody's authority to a queue away, or gives it back.
    ///
    /// # Errors
    /// It is not there.
    pub fn deny(&mut self, queue: &str, denied: bool) -> Result<(), QueueError> {
        self.of(queue)?.denied = denied;
        Ok(())
    }

    /// Lets another job hold a queue, so that nothing can be taken away, or let it go.
    ///
    /// # Errors
    /// It is not there.
    pub fn lock(&mut self, queue: &str, locked: bool) -> Result<(), QueueError> {
        self.of(queue)?.locked = locked;
        Ok(())
    }

    /// The next statement that takes an entry of this queue away is carried out and never answered.
    ///
    /// # Errors
    /// It is not there.
    pub fn lose_next_answer(&mut self, queue: &str) -> Result<(), QueueError> {
        self.of(queue)?.lose_answer = true;
        Ok(())
    }

    /// Something was taken away from this queue.
    pub fn note_taken(&mut self, library: &str, name: &str) {
        let queue = self.queues.iter_mut().find(|queue| queue.library == library && queue.name == name);
        self.lost |= queue.is_some_and(|queue| std::mem::take(&mut queue.lose_answer));
    }

    /// What the statement that has just run meets: whether its answer is lost, and how much later it comes.
    pub fn take_effects(&mut self) -> (bool, Duration) {
        let slow = if std::mem::take(&mut self.used) { self.slow } else { Duration::ZERO };
        (std::mem::take(&mut self.lost), slow)
    }

    /// Whether an answer is still to be lost.
    pub fn loses_answers(&self) -> bool {
        self.queues.iter().any(|queue| queue.lose_answer)
    }

    /// Answers to statements on queues come so much later from now on.
    pub fn set_slow(&mut self, slow: Duration) {
        self.slow = slow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(plan: QueuePlan) -> DataQueue {
        DataQueue::new(plan).expect("a queue")
    }

    fn send(queue: &mut DataQueue, data: &str, key: &str) {
        let sent =
            Sent { data: data.into(), key: key.into(), job: "123456/BOB/NIGHT".into(), user: "BOB".into() };
        queue.send(sent, 7).expect("sent");
    }

    fn drain(queue: &mut DataQueue) -> Vec<String> {
        let next = || queue.receive(None, true).expect("received");
        std::iter::from_fn(next).map(|entry| String::from_utf8(entry.data).expect("text")).collect()
    }

    #[test]
    fn entries_leave_in_the_order_of_the_queue() {
        for (sequence, expected) in [(Sequence::Fifo, ["a", "b"]), (Sequence::Lifo, ["b", "a"])] {
            let mut queue = queue(QueuePlan { sequence, ..QueuePlan::new("lib/q") });
            send(&mut queue, "a", "");
            send(&mut queue, "b", "");
            assert_eq!(
                queue.receive(None, false).expect("looked").expect("one").data,
                expected[0].as_bytes()
            );
            assert_eq!(drain(&mut queue), expected);
            assert_eq!((queue.total(), queue.receive(None, true)), (2, Ok(None)));
        }
    }

    #[test]
    fn keys_sort_and_select() {
        let mut queue = queue(QueuePlan::new("LIB/Q").keyed(2));
        for (data, key) in [("1", "B"), ("2", "A"), ("3", "B"), ("4", "C")] {
            send(&mut queue, data, key);
        }
        let order: Vec<&[u8]> = queue.entries().map(|entry| entry.data.as_slice()).collect();
        assert_eq!(order, [b"2", b"1", b"3", b"4"]);
        let mut take =
            |order| queue.receive(Some((b"B\x40", order)), true).expect("received").map(|e| e.data);
        assert_eq!(take(KeyOrder::Equal), Some(b"1".to_vec()));
        assert_eq!(take(KeyOrder::Greater), Some(b"4".to_vec()));
        assert_eq!(take(KeyOrder::Equal), Some(b"3".to_vec()));
        assert_eq!(take(KeyOrder::Equal), None);
        assert_eq!(queue.receive(None, true), Err(QueueError::Key("LIB/Q".into())));
        assert_eq!(
            queue.receive(Some((b"BBB", KeyOrder::Equal)), true),
            Err(QueueError::Key("LIB/Q".into()))
        );
        queue.clear(Some((b"A", KeyOrder::GreaterEqual))).expect("cleared");
        assert_eq!(queue.entries().count(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut queues = Queues::default();
        let plan = QueuePlan { max_length: 3, max_entries: 1, sender_id: false, ..QueuePlan::new("lib/q") };
        queues.create(plan.clone()).expect("made");
        assert!(matches!(queues.create(plan), Err(QueueError::Exists { .. })));
        assert!(matches!(queues.create(QueuePlan::new("q")), Err(QueueError::Plan(_))));
        assert!(matches!(queues.create(QueuePlan::new("a/b").keyed(0)), Err(QueueError::Plan(_))));
        let queue = queues.of("LIB/Q").expect("there");
        let sent = |data: &str| Sent { data: data.into(), user: "BOB".into(), ..Sent::default() };
        assert!(matches!(queue.send(sent("long"), 1), Err(QueueError::Long { length: 4, .. })));
        queue.send(sent("abc"), 1).expect("sent");
        assert_eq!(queue.send(sent("abc"), 1), Err(QueueError::Full("LIB/Q".into())));
        assert_eq!(queue.entries().next().expect("one").user, None, "SENDERID(*NO)");
        queues.deny("lib/q", true).expect("there");
        assert!(matches!(queues.named("*LIBL", "Q"), Err(QueueError::NotAuthorized { .. })));
        assert_eq!(queues.visible().count(), 0);
        queues.delete("lib/q").expect("there");
        assert!(matches!(queues.named("LIB", "Q"), Err(QueueError::NotFound { .. })));
    }

    #[test]
    fn one_answer_is_lost() {
        let mut queues = Queues::new(&[QueuePlan::new("A/B")]).expect("made");
        queues.lose_next_answer("A/B").expect("there");
        queues.set_slow(Duration::from_secs(1));
        assert!(queues.loses_answers());
        assert_eq!(queues.take_effects(), (false, Duration::ZERO));
        assert!(queues.named("A", "B").is_ok());
        queues.note_taken("A", "B");
        queues.note_taken("A", "B");
        assert!(!queues.loses_answers());
        assert_eq!(queues.take_effects(), (true, Duration::from_secs(1)));
        assert_eq!(queues.take_effects(), (false, Duration::ZERO));
    }
}
