//! Keeps the licence: files, pairs, and what follows from them now.
//!
//! [`muster_shared::licence::judge`] decides; this stores what it needs to know (when the evaluation began, the latest
//! time ever seen, since when more is used than licensed) and answers who asks. Collection never asks.

mod keys;

use crate::app::App;
use crate::fleet::Fleet;
use crate::fleet::record::Life;
use crate::store::{self, Batch, Condition, SharedStore, StoreError};
use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{LicencePair, LicenceView};
use muster_shared::licence::{self, Allowed, Facts, Licence, LicenceError, LicenceState, Standing};
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Prefix of the keys of files, by their numbers.
const FILES: &str = "licence/file/";
/// Key of what is remembered.
const MEMORY: &str = "licence/memory";
/// Key of the pairs.
const PAIRS: &str = "licence/pairs";
/// Most files that are kept.
const MAX_FILES: usize = 20;
/// Time between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The latest time is stored anew when it is so much later: what a restart can gain.
const REMEMBER_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// How long there must not be more than licensed for a new grace: as long as a grace.
const WELL_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);

/// What has to be known beside files and partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// The first start of the controller.
    began: Timestamp,
    /// The latest time that was seen.
    latest: Timestamp,
    /// Since when more is used than licensed; kept until that was not so for as long as the grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over_since: Option<Timestamp>,
    /// Since when it is not so any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    well_since: Option<Timestamp>,
}

impl Memory {
    /// Goes on to a moment. The clock may have been set back: then time goes on as it passed, `passed` since the last
    /// look, from the latest moment that was seen.
    fn advance(&mut self, now: Timestamp, passed: SignedDuration) {
        self.latest = now.max(self.latest.checked_add(passed).unwrap_or(self.latest));
    }

    /// Notes whether more is used than licensed.
    fn note(&mut self, over_used: bool) {
        if over_used {
            self.over_since = self.over_since.or(Some(self.latest));
            self.well_since = None;
        } else if self.over_since.is_some() {
            let since = *self.well_since.get_or_insert(self.latest);
            // A moment without over-use is no new grace.
            if self.latest.duration_since(since) >= WELL_FOR {
                (self.over_since, self.well_since) = (None, None);
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Kept {
    /// By their numbers.
    licences: Vec<Licence>,
    pairs: Vec<LicencePair>,
    memory: Memory,
    stored: Memory,
    /// The last look, by a clock that nobody sets.
    looked: Instant,
}

/// The licence of a controller.
pub struct LicenceKeeper {
    store: SharedStore,
    kept: Mutex<Kept>,
    state: ArcSwap<LicenceState>,
    /// Days that pass in one day; 1 outside of tests.
    pace: u32,
    changes: tokio::sync::Mutex<()>,
}

/// A licence on its way, with what is kept when it is there.
pub struct Installed {
    /// The licence.
    pub licence: Licence,
    licences: Vec<Licence>,
    memory: Memory,
}

/// A change that the licence does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} refused: {says}")]
pub struct NotLicensed {
    /// What is refused.
    pub what: &'static str,
    /// Why, and what to do.
    pub says: String,
}

fn file_key(id: &str) -> String {
    format!("{FILES}{}", crate::identity::secret::sha256_hex(id.as_bytes()))
}

impl LicenceKeeper {
    /// Reads what is stored.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(store: SharedStore, fleet: &Fleet, pace: u32, now: Timestamp) -> Result<Self, StoreError> {
        let mut licences = Vec::new();
        for (key, file) in store::scan_json::<String>(&*store, FILES)? {
            match licence::read(&file, keys::KEYS) {
                Ok(licence) => licences.push(licence),
                // Of a release with other keys: it counts for nothing, and the file stays.
                Err(error) => tracing::error!(key, %error, "a stored licence does not count"),
            }
        }
        let fresh = Memory { began: now, latest: now, over_since: None, well_since: None };
        let known: Option<Memory> = store::get_json(&*store, MEMORY)?;
        let memory = known.unwrap_or(fresh);
        // One that is not stored yet differs from what is.
        let stored = known.unwrap_or(Memory { latest: Timestamp::MIN, ..fresh });
        let pairs = store::get_json(&*store, PAIRS)?.unwrap_or_default();
        let kept = Kept { licences, pairs, memory, stored, looked: Instant::now() };
        let state = ArcSwap::from_pointee(judge(&kept, fleet, now));
        let changes = tokio::sync::Mutex::default();
        Ok(Self { store, kept: Mutex::new(kept), state, pace: pace.max(1), changes })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which licences are judged.
    fn time(&self, now: Timestamp) -> Timestamp {
        let began = self.kept().memory.began;
        let since = now.duration_since(began).saturating_mul(i32::try_from(self.pace).unwrap_or(i32::MAX));
        if self.pace == 1 { now } else { began.checked_add(since).unwrap_or(now) }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> Arc<LicenceState> {
        self.state.load_full()
    }

    /// Whether a change is allowed.
    ///
    /// # Errors
    /// [`NotLicensed`] says why not.
    pub fn permits(&self, what: &'static str) -> Result<(), NotLicensed> {
        let state = self.state();
        match state.allowed() {
            Allowed::Everything => Ok(()),
            Allowed::NoChanges => Err(NotLicensed { what, says: state.says.clone() }),
        }
    }

    /// The same, but for what no licence is in the way of; whether it is such a thing is looked at only where one would be.
    ///
    /// # Errors
    /// [`NotLicensed`] says why not; or that the look failed.
    pub fn permits_unless<E: From<NotLicensed>>(
        &self,
        what: &'static str,
        never_refused: impl FnOnce() -> Result<bool, E>,
    ) -> Result<(), E> {
        match self.permits(what) {
            Err(refused) if !never_refused()? => Err(refused.into()),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Whether an agent of this partition may join that was never here: a partition that is known already may always.
    ///
    /// # Errors
    /// [`NotLicensed`] says why not.
    pub fn permits_partition(
        &self,
        fleet: &Fleet,
        partition: Option<&PartitionKey>,
    ) -> Result<(), NotLicensed> {
        // Only when it matters: it looks at every agent.
        self.permits_unless("new partitions", || Ok(is_known(fleet, partition)))
    }

    /// Judges anew, and remembers what has to be remembered.
    ///
    /// # Errors
    /// If that cannot be stored; the judgement counts all the same.
    pub async fn look(&self, fleet: &Fleet, now: Timestamp) -> Result<(), StoreError> {
        let _changes = self.changes.lock().await;
        let now = self.time(now);
        let (state, memory, unstored) = {
            let mut kept = self.kept();
            let passed = kept.looked.elapsed().saturating_mul(self.pace);
            kept.looked = Instant::now();
            kept.memory.advance(now, SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX));
            let state = judge(&kept, fleet, now);
            kept.memory.note(state.over_used);
            let Memory { latest, over_since, well_since, .. } = kept.memory;
            let later = kept.stored.latest == Timestamp::MIN
                || latest.duration_since(kept.stored.latest) >= REMEMBER_EVERY;
            let other = (over_since, well_since) != (kept.stored.over_since, kept.stored.well_since);
            (state, kept.memory, later || other)
        };
        if self.state.load().standing != state.standing {
            tracing::warn!(standing = ?state.standing, "licence: {}", state.says);
        }
        self.state.store(Arc::new(state));
        if unstored {
            let mut batch = Batch::new();
            batch.put_json(MEMORY, Condition::Any, &memory);
            self.store.apply(batch).await?;
            self.kept().stored = memory;
        }
        Ok(())
    }

    /// Reads a file that is to be installed, and adds it to a batch.
    ///
    /// # Errors
    /// Why it is no licence.
    pub fn add(&self, file: &str, now: Timestamp, batch: &mut Batch) -> Result<Installed, LicenceError> {
        let licence = licence::read(file, keys::KEYS)?;
        let now = self.time(now);
        let kept = self.kept();
        let is_new = kept.licences.iter().all(|l| l.id != licence.id);
        let mut licences: Vec<Licence> =
            kept.licences.iter().filter(|l| l.id != licence.id).cloned().collect();
        // Those that ended first make room.
        licences.sort_by_key(|l| std::cmp::Reverse(l.valid_until));
        let dropped = licences.split_off(licences.len().min(MAX_FILES - 1));
        for old in &dropped {
            batch.delete(file_key(&old.id), Condition::Any);
        }
        batch.put_json(file_key(&licence.id), Condition::Any, &file);
        licences.push(licence.clone());
        // A file that was never here and counts today proves that it is today: a clock that once stood in the
        // future is forgiven. One that was here before proves nothing.
        let mut memory = kept.memory;
        if is_new && licence.counts_at(now) && !licence.counts_at(memory.latest) {
            memory.latest = now;
        }
        batch.put_json(MEMORY, Condition::Any, &memory);
        Ok(Installed { licence, licences, memory })
    }

    /// Takes over a licence that is stored.
    pub fn take(&self, installed: Installed) {
        let mut kept = self.kept();
        (kept.licences, kept.memory, kept.stored) = (installed.licences, installed.memory, installed.memory);
        kept.looked = Instant::now();
    }

    /// The declared pairs.
    #[must_use]
    pub fn pairs(&self) -> Vec<LicencePair> {
        self.kept().pairs.clone()
    }

    /// Adds other pairs to a batch.
    pub fn add_pairs(pairs: &[LicencePair], batch: &mut Batch) {
        batch.put_json(PAIRS, Condition::Any, &pairs);
    }

    /// Takes over pairs that are stored.
    pub fn take_pairs(&self, pairs: Vec<LicencePair>) {
        self.kept().pairs = pairs;
    }

    /// As it is shown.
    #[must_use]
    pub fn view(&self) -> LicenceView {
        let (state, kept) = (self.state(), self.kept());
        let counts = state.counts.and_then(|position| kept.licences.get(position));
        LicenceView {
            standing: state.standing,
            says: state.says.clone(),
            warnings: state.warnings.clone(),
            next: state.next,
            used: state.used,
            seats: state.seats,
            pairs: kept.pairs.clone(),
            ha_pairs: counts.map_or(0, |l| l.ha_pairs),
            pairs_counted: state.pairs,
            id: counts.map(|l| l.id.clone()).unwrap_or_default(),
            customer: counts.map(|l| l.customer.clone()).unwrap_or_default(),
            valid_from: counts.map(|l| l.valid_from.to_string()).unwrap_or_default(),
            valid_until: counts.map(|l| l.valid_until.to_string()).unwrap_or_default(),
            refused: match state.standing {
                Standing::Restricted => {
                    ["new partitions", "publishing", "new rollouts"].map(str::to_owned).to_vec()
                }
                Standing::Evaluation | Standing::Licensed | Standing::Grace => Vec::new(),
            },
        }
    }
}

fn judge(kept: &Kept, fleet: &Fleet, now: Timestamp) -> LicenceState {
    let mut partitions: BTreeSet<PartitionKey> = BTreeSet::new();
    let mut unknown = 0;
    // Foreign agents and those that were revoked take no seat; several agents of one partition take one.
    fleet.each(|agent| {
        let record = &agent.record;
        if record.foreign.is_some() || matches!(record.life, Life::Revoked(_)) {
            return;
        }
        match record.partition.clone().or_else(|| agent.observed.partition()) {
            Some(partition) => {
                partitions.insert(partition);
            }
            None => unknown += 1,
        }
    });
    let pairs: Vec<_> = kept.pairs.iter().map(|p| (p.a.clone(), p.b.clone())).collect();
    licence::judge(&Facts {
        licences: &kept.licences,
        began: kept.memory.began,
        latest: kept.memory.latest,
        now,
        over_since: kept.memory.over_since,
        partitions: &partitions,
        unknown,
        pairs: &pairs,
    })
}

/// Whether a partition is collected from already: then nothing about it is new.
fn is_known(fleet: &Fleet, partition: Option<&PartitionKey>) -> bool {
    let Some(partition) = partition else { return false };
    fleet
        .each(|agent| agent.record.foreign.is_none() && agent.record.partition.as_ref() == Some(partition))
        .into_iter()
        .any(|known| known)
}

/// Looks at the clock from time to time, until it is aborted.
pub async fn watch(app: Arc<App>) {
    let every = LOOK_EVERY / app.licence.pace;
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(200)));
    loop {
        ticks.tick().await;
        look(&app).await;
    }
}

/// Judges anew after something changed.
pub async fn look(app: &App) {
    if let Err(error) = app.licence.look(&app.fleet, Timestamp::now()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the time was not stored for the licence");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + day * 86_400).unwrap()
    }

    fn memory() -> Memory {
        Memory { began: at(0), latest: at(0), over_since: None, well_since: None }
    }

    #[test]
    fn a_clock_that_is_set_back_every_night_gains_nothing() {
        let mut memory = memory();
        for _ in 0..30 {
            memory.advance(at(0), SignedDuration::from_hours(24));
        }
        assert_eq!(memory.latest, at(30));
        memory.advance(at(40), SignedDuration::from_hours(24));
        assert_eq!(memory.latest, at(40), "nor does one that was off for long lose anything");
    }

    #[test]
    fn a_moment_without_over_use_is_no_new_grace() {
        let mut memory = memory();
        let mut on = |day, over| {
            memory.advance(at(day), SignedDuration::ZERO);
            memory.note(over);
            memory.over_since
        };
        assert_eq!(on(1, true), Some(at(1)));
        assert_eq!(on(29, false), Some(at(1)));
        assert_eq!(on(30, true), Some(at(1)));
        assert_eq!(on(31, false), Some(at(1)));
        assert_eq!(on(60, false), Some(at(1)));
        assert_eq!(on(61, false), None);
        assert_eq!(on(62, true), Some(at(62)));
    }
}
