//! Backups of the controller: made while it runs, from time to time or when somebody asks, encrypted to a passphrase.
//!
//! A backup is of one moment: the store, the authority's files, and the audit log up to there (the file is described
//! in [`muster_backup`]). It counts when it was written, flushed, read back and given its name; what a crash cuts off
//! before is no backup. The history of rates is left out: it is large, and lives for a day. Only the newest backups
//! are kept, and none is deleted before a newer one is good.

pub mod make;
pub mod schedule;

pub use make::MakeError;

use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::http::error::ApiError;
use crate::identity::life::CONTROLLER;
use crate::store::{self, Batch, Condition, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use make::Made;
use muster_backup::Passphrase;
use muster_proto::api::{BackupFailure, BackupList, BackupView};
use schedule::Past;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Key of what is remembered of backups.
const STATE: &str = "backup/state";
/// Time between two looks at the clock, which may be set.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Most backups that are listed.
const MAX_LISTED: usize = 1_000;

/// How backups are made.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// Where they are kept.
    pub folder: PathBuf,
    /// What they are encrypted to.
    pub passphrase: Passphrase,
    /// Hours between two.
    pub every_hours: u32,
    /// How many are kept.
    pub keep: usize,
    /// Cost of guessing the passphrase; [`muster_backup::WORK_FACTOR`] but for tests.
    pub work_factor: u8,
}

/// What is remembered over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct State {
    /// When each file was found good.
    verified: BTreeMap<String, Timestamp>,
    last_success: Option<Timestamp>,
    last_failure: Option<BackupFailure>,
}

/// Backups of a controller.
pub struct Backups {
    config: Option<BackupConfig>,
    state: Mutex<State>,
    /// Held while one is made.
    making: tokio::sync::Mutex<()>,
    failures: AtomicU64,
}

/// Who wants a backup.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// It is time for one.
    Schedule,
    /// Somebody asks.
    User(Actor<'a>),
}

impl By<'_> {
    fn entry(self, action: &str, object: &str) -> Outgoing {
        match self {
            Self::Schedule => {
                let here = IpAddr::from([127, 0, 0, 1]);
                Outgoing::by_user(Actor::new(CONTROLLER, here), action, object)
            }
            Self::User(actor) => Outgoing::by_user(actor, action, object),
        }
    }
}

impl Backups {
    /// Reads what is remembered, and removes what a crash left half written.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(config: Option<BackupConfig>, store: &dyn Store) -> Result<Self, StoreError> {
        if let Some(config) = &config {
            make::remove_partial(&config.folder);
        }
        Ok(Self {
            config,
            state: Mutex::new(store::get_json(store, STATE)?.unwrap_or_default()),
            making: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Backups that failed since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Seconds since the last good one was taken; since the start, while there was none. None if none are made.
    #[must_use]
    pub fn age(&self, started: Timestamp, now: Timestamp) -> Option<i64> {
        let last = self.state().last_success;
        let since = last.or_else(|| self.config.as_ref().map(|_| started))?;
        Some(now.duration_since(since).as_secs())
    }

    /// The files that are there, with their sizes; blocks on the disk.
    fn files(&self) -> std::io::Result<Vec<(String, Timestamp, u64)>> {
        let Some(config) = &self.config else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(&config.folder) {
            // It is made with the first backup.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(taken_at) = schedule::taken_at(&name) {
                files.push((name, taken_at, entry.metadata()?.len()));
            }
        }
        files.sort_by_key(|(_, taken_at, _)| std::cmp::Reverse(*taken_at));
        Ok(files)
    }

    /// When the next one is due; none if none are made. Blocks on the disk.
    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let config = self.config.as_ref()?;
        // A folder that cannot be read: trying to write to it says why.
        let files = self.files().unwrap_or_default();
        let (own, failed) = {
            let state = self.state();
            // A restored controller may be given the folder of the lost one: what that one made is no backup of it.
            let own = files.into_iter().filter(|(name, ..)| state.verified.contains_key(name));
            (
                own.map(|(_, taken_at, _)| taken_at).collect::<Vec<_>>(),
                state.last_failure.as_ref().map(|f| f.at),
            )
        };
        let newest = schedule::newest(own, now);
        let every = SignedDuration::from_hours(i64::from(config.every_hours));
        Some(schedule::due(Past { newest, failed }, every, now))
    }

    /// The backups, and how they come about. Blocks on the disk.
    ///
    /// # Errors
    /// If their folder cannot be read.
    pub fn list(&self, now: Timestamp) -> Result<BackupList, MakeError> {
        let files = self.files().map_err(|source| MakeError::Write {
            folder: self.config.as_ref().map(|config| config.folder.clone()).unwrap_or_default(),
            source,
        })?;
        let next_due = self.due(now);
        let state = self.state();
        let view = |(name, taken_at, bytes): (String, Timestamp, u64)| {
            let verified_at = state.verified.get(&name).copied();
            BackupView { name, taken_at, bytes, verified_at }
        };
        Ok(BackupList {
            backups: files.into_iter().take(MAX_LISTED).map(view).collect(),
            folder: self.config.as_ref().map(|config| config.folder.display().to_string()),
            every_hours: self.config.as_ref().map_or(0, |config| config.every_hours),
            keep: self.config.as_ref().map_or(0, |config| u32::try_from(config.keep).unwrap_or(u32::MAX)),
            next_due,
            last_success: state.last_success,
            last_failure: state.last_failure.clone(),
        })
    }

    /// The path of a backup that is there; `None` for any other name.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        schedule::taken_at(name)?;
        Some(self.config.as_ref()?.folder.join(name))
    }
}

/// Makes a backup now, notes what became of it, and deletes those that are not kept.
///
/// # Errors
/// Why there is none; it is logged, noted and in the audit log.
pub async fn make(app: &App, by: By<'_>) -> Result<BackupView, MakeError> {
    let Some(config) = &app.backups.config else { return Err(MakeError::NotSet) };
    if app.incarnation.superseded().is_some() {
        return Err(MakeError::Superseded);
    }
    let _making = app.backups.making.lock().await;
    // As its name tells it.
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or_default();
    let result = make::make(app, config, now).await;
    let (entry, state) = match &result {
        Ok(made) => {
            tracing::info!(name = made.name, bytes = made.bytes, "backup made and read back");
            let text = format!("{} bytes", made.bytes);
            (by.entry("backup.make", &made.name).detail(text), app.backups.good(config, made))
        }
        Err(error) => {
            let reason = chain(error);
            tracing::error!(reason, "backup failed");
            app.backups.failures.fetch_add(1, Ordering::Relaxed);
            let failure = BackupFailure { at: Timestamp::now(), reason: reason.clone() };
            let state = {
                let mut state = app.backups.state();
                state.last_failure = Some(failure);
                state.clone()
            };
            (by.entry("backup.failed", "").detail(reason), state)
        }
    };
    let mut batch = Batch::new();
    batch.put_json(STATE, Condition::Any, &state);
    // The backup is there or not, whatever becomes of the note.
    if let Err(error) = app.commit(batch, entry).await {
        tracing::error!(error = &error as &dyn std::error::Error, "what became of the backup was not noted");
    }
    let Made { name, taken_at, bytes } = result?;
    Ok(BackupView { name, taken_at, bytes, verified_at: Some(taken_at) })
}

impl Backups {
    /// Notes a good one, and deletes what is not kept.
    fn good(&self, config: &BackupConfig, made: &Made) -> State {
        let files = self.files().unwrap_or_default();
        let present: Vec<(String, Timestamp)> =
            files.into_iter().map(|(name, taken_at, _)| (name, taken_at)).collect();
        let surplus = schedule::surplus(present.clone(), config.keep, made.taken_at);
        for name in &surplus {
            match std::fs::remove_file(config.folder.join(name)) {
                Ok(()) => tracing::info!(name, "old backup deleted"),
                Err(error) => tracing::warn!(name, %error, "old backup not deleted"),
            }
        }
        let mut state = self.state();
        state.verified.insert(made.name.clone(), Timestamp::now());
        state.verified.retain(|name, _| {
            present.iter().any(|(there, _)| there == name) && !surplus.iter().any(|gone| gone == name)
        });
        state.last_success = Some(made.taken_at);
        state.last_failure = None;
        state.clone()
    }
}

/// The text of an error with its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

/// Makes backups when they are due, until it is aborted.
pub async fn run(app: Arc<App>) {
    loop {
        let now = Timestamp::now();
        let look = {
            let app = Arc::clone(&app);
            tokio::task::spawn_blocking(move || app.backups.due(now)).await
        };
        let Ok(Some(due)) = look else { return };
        if due <= now {
            // It is noted; the next turn comes when it is due again.
            let _ = make(&app, By::Schedule).await;
        }
        if app.incarnation.superseded().is_some() {
            return;
        }
        let wait = Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO);
        tokio::time::sleep(wait.clamp(Duration::from_millis(200), LOOK_EVERY)).await;
    }
}

impl From<MakeError> for ApiError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::NotSet => Self::conflict("no-backups", error.to_string()),
            MakeError::Superseded => Self::conflict("superseded", error.to_string()),
            MakeError::Store(error) => error.into(),
            // Whoever may make backups may know where they go, and is the one to mend it.
            MakeError::Write { .. } | MakeError::ReadBack(_) => Self::unavailable(chain(&error), 60),
            MakeError::Source(_) | MakeError::Unfinished => Self::internal("the backup failed", &error),
        }
    }
}
