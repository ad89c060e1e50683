//! Enrolments that wait for a person: who asks, with which key, why it waits and what was decided.
//!
//! Kept in the store, one record a key, so that a decision survives a restart; when an agent last asked is
//! kept in memory only. Bounded in number and in time: who has not asked for a day is forgotten, and a
//! decision after a week.

use crate::store::{self, Batch, Condition, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{EnrolmentState, EnrolmentView};
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Prefix of the keys of pending enrolments.
pub const PREFIX: &str = "pending/";
/// Most that may wait.
pub const MAX_PENDING: usize = 2_000;
/// Who has not asked for this long is not waiting any more.
const SILENCE: SignedDuration = SignedDuration::from_hours(24);
/// A decision that nobody fetches is kept for this long, and so is a denial.
const KEEP_DECISION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word")]
pub enum Verdict {
    /// Nothing yet.
    Waiting,
    /// It may enrol: it gets its certificate when it asks again.
    Approved {
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// It may not.
    Denied {
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
        /// Why; the agent is told.
        reason: String,
    },
}

/// An agent that asks to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRecord {
    /// SHA-256 of its public key in hex.
    pub key_sha256: String,
    /// The id that it uses.
    pub agent: AgentId,
    /// Id of its token.
    pub token: String,
    /// Why a person has to look.
    pub reasons: Vec<String>,
    /// Its partition, as it says.
    pub partition: Option<PartitionKey>,
    /// Name for people, as it says.
    pub name: String,
    /// From where it asked first.
    pub from: String,
    /// When it asked first.
    pub since: Timestamp,
    /// What was decided.
    pub verdict: Verdict,
}

impl PendingRecord {
    /// Key in the store.
    #[must_use]
    pub fn key(key_sha256: &str) -> String {
        format!("{PREFIX}{key_sha256}")
    }

    /// It is over at `now`, given when the agent last asked.
    fn is_over(&self, last_asked: Timestamp, now: Timestamp) -> bool {
        match &self.verdict {
            Verdict::Waiting => now.duration_since(last_asked) > SILENCE,
            Verdict::Approved { at, .. } | Verdict::Denied { at, .. } => {
                now.duration_since(*at) > KEEP_DECISION
            }
        }
    }

    fn view(&self, last_asked: Timestamp) -> EnrolmentView {
        let (state, by, at, note) = match &self.verdict {
            Verdict::Waiting => (EnrolmentState::Waiting, None, None, String::new()),
            Verdict::Approved { by, at } => {
                (EnrolmentState::Approved, Some(by.clone()), Some(*at), String::new())
            }
            Verdict::Denied { by, at, reason } => {
                (EnrolmentState::Denied, Some(by.clone()), Some(*at), reason.clone())
            }
        };
        EnrolmentView {
            key_sha256: self.key_sha256.clone(),
            fingerprint: format!("sha256:{}", self.key_sha256),
            agent: self.agent,
            name: self.name.clone(),
            partition: self.partition.clone(),
            token: self.token.clone(),
            reasons: self.reasons.clone(),
            from: self.from.clone(),
            since: self.since,
            last_asked,
            state,
            decided_by: by,
            decided_at: at,
            note,
        }
    }
}

struct Entry {
    record: PendingRecord,
    last_asked: Timestamp,
}

/// All enrolments that wait or were decided lately. Changed only by who holds the fleet's right to change
/// records.
#[derive(Default)]
pub struct Pending(Mutex<BTreeMap<String, Entry>>);

impl Pending {
    /// Reads them from the store. Whoever waited is given a day to ask again.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(store: &dyn Store, now: Timestamp) -> Result<Self, StoreError> {
        let records = store::scan_json::<PendingRecord>(store, PREFIX)?.into_iter();
        let entries =
            records.map(|(_, record)| (record.key_sha256.clone(), Entry { record, last_asked: now }));
        Ok(Self(Mutex::new(entries.collect())))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of a key.
    #[must_use]
    pub fn get(&self, key_sha256: &str) -> Option<PendingRecord> {
        self.lock().get(key_sha256).map(|entry| entry.record.clone())
    }

    /// The agent with this key asked again.
    pub fn asked(&self, key_sha256: &str, now: Timestamp) {
        if let Some(entry) = self.lock().get_mut(key_sha256) {
            entry.last_asked = now;
        }
    }

    /// How many wait with this token.
    #[must_use]
    pub fn waiting_with(&self, token: &str) -> usize {
        let holds = |e: &&Entry| {
            e.record.token == token
                && match e.record.verdict {
                    Verdict::Waiting | Verdict::Approved { .. } => true,
                    Verdict::Denied { .. } => false,
                }
        };
        self.lock().values().filter(holds).count()
    }

    /// Adds to `batch` the removal of what is over; tells whether there is room for one more.
    #[must_use]
    pub fn make_room(&self, batch: &mut Batch, now: Timestamp) -> (Vec<String>, bool) {
        let entries = self.lock();
        let over = entries.values().filter(|e| e.record.is_over(e.last_asked, now));
        let over: Vec<String> = over.map(|e| e.record.key_sha256.clone()).collect();
        for key in &over {
            batch.delete(PendingRecord::key(key), Condition::Any);
        }
        let room = entries.len() - over.len() < MAX_PENDING;
        (over, room)
    }

    /// Takes over a record that is stored.
    pub fn install(&self, record: PendingRecord, now: Timestamp) {
        let mut entries = self.lock();
        let last_asked = entries.get(&record.key_sha256).map_or(now, |entry| entry.last_asked);
        entries.insert(record.key_sha256.clone(), Entry { record, last_asked });
    }

    /// Forgets records that are removed from the store.
    pub fn forget<'a>(&self, keys: impl IntoIterator<Item = &'a String>) {
        let mut entries = self.lock();
        for key in keys {
            entries.remove(key);
        }
    }

    /// What may be shown, by key.
    #[must_use]
    pub fn views(&self, now: Timestamp) -> Vec<EnrolmentView> {
        let entries = self.lock();
        let shown = entries.values().filter(|e| !e.record.is_over(e.last_asked, now));
        shown.map(|e| e.record.view(e.last_asked)).collect()
    }

    /// The keys that `text` may mean: a fingerprint or the beginning of one (8 digits or more), the id of the
    /// agent, or its name.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<String> {
        let text = text.trim();
        let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
        let by_key = digits.len() >= 8 && digits.chars().all(|c| c.is_ascii_hexdigit());
        let agent = text.parse::<AgentId>().ok();
        let meant = |r: &PendingRecord| {
            (by_key && r.key_sha256.starts_with(&digits))
                || agent == Some(r.agent)
                || r.name.eq_ignore_ascii_case(text)
        };
        let entries = self.lock();
        entries.values().filter(|e| meant(&e.record)).map(|e| e.record.key_sha256.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + hour * 3_600).unwrap()
    }

    fn record(key: &str, verdict: Verdict) -> PendingRecord {
        PendingRecord {
            key_sha256: key.repeat(8),
            agent: AgentId(uuid::Uuid::from_u128(7)),
            token: "t".to_owned(),
            reasons: vec![],
            partition: None,
            name: "PROD01".to_owned(),
            from: String::new(),
            since: at(0),
            verdict,
        }
    }

    #[test]
    fn what_is_over_gives_room() {
        let pending = Pending::default();
        let approved = Verdict::Approved { by: "a".to_owned(), at: at(0) };
        let denied = Verdict::Denied { by: "a".to_owned(), at: at(0), reason: String::new() };
        for (key, verdict) in [("a", Verdict::Waiting), ("b", approved), ("c", denied)] {
            pending.install(record(key, verdict), at(0));
        }
        let over = |now| pending.make_room(&mut Batch::new(), now).0.len();
        assert_eq!((over(at(24)), over(at(25)), over(at(168)), over(at(169))), (0, 1, 1, 3));
        assert_eq!(pending.views(at(25)).len(), 2);
        pending.asked(&"a".repeat(8), at(20));
        assert_eq!(over(at(25)), 0, "it asked again");
        assert_eq!(pending.waiting_with("t"), 2, "the denied one holds no place of the token");
    }

    #[test]
    fn found_by_fingerprint_id_or_name() {
        let pending = Pending::default();
        pending.install(record("ab", Verdict::Waiting), at(0));
        for text in ["sha256:abababab", "ABABABABAB", "prod01", "00000000-0000-0000-0000-000000000007"] {
            assert_eq!(pending.find(text), ["abababababababab"], "{text}");
        }
        for text in ["ababab", "sha256:", "", "cdcdcdcd"] {
            assert_eq!(pending.find(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn no_more_than_the_bound_wait() {
        let pending = Pending::default();
        for n in 0..MAX_PENDING {
            let record = PendingRecord { key_sha256: format!("{n:064x}"), ..record("a", Verdict::Waiting) };
            pending.install(record, at(0));
        }
        assert!(!pending.make_room(&mut Batch::new(), at(1)).1);
        assert!(pending.make_room(&mut Batch::new(), at(25)).1);
    }
}
