//! The simulated system behind the server: its clock, journal, profiles and faults.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::ebcdic::Page;
use crate::fault::FaultState;
use crate::journal::{Body, Journal};
use crate::message::{MessageError, MessageSpec, Messages, Sent, text, tokens};
use crate::mix::Mix;
use crate::queue::Queues;
use crate::registry::Registry;
use crate::rng::Rng;
use crate::scenario::{Scenario, ScenarioError};
use crate::sql::Value;
use crate::time;

/// State of one profile.
#[derive(Debug, Clone, Copy, Default)]
struct Profile {
    wrong: u32,
    disabled: bool,
}

/// Why a sign-on is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such profile.
    Unknown,
    /// Wrong password.
    Password,
    /// Password expired.
    Expired,
    /// Profile disabled.
    Disabled,
}

/// The system.
#[derive(Debug)]
pub struct World {
    /// What it was made from.
    pub scenario: Scenario,
    /// Page in which entries are written.
    pub page: &'static Page,
    journal: RwLock<Journal>,
    faults: RwLock<FaultState>,
    profiles: Mutex<BTreeMap<String, Profile>>,
    registry: RwLock<Registry>,
    queues: Mutex<Queues>,
    messages: RwLock<Messages>,
    mix: Mutex<Mix>,
    noise: Mutex<Rng>,
    notes: Mutex<Vec<Vec<Value>>>,
    clock_jump: AtomicI64,
    /// Where the clock stands while it is stopped.
    stopped_at: AtomicI64,
    last_job: AtomicU32,
}

/// A poisoned lock only tells that another thread panicked; the data is still whole, since every change here
/// is one push or one assignment.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A system as the scenario wants it.
    ///
    /// # Errors
    /// When the scenario does not hold together.
    pub fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        scenario.check()?;
        let page = scenario.page().ok_or_else(|| ScenarioError::Invalid {
            name: scenario.name.clone(),
            reason: "no such code page".into(),
        })?;
        let registry = Registry::new(&scenario.exit_programs).map_err(|error| ScenarioError::Invalid {
            name: scenario.name.clone(),
            reason: format!("exit_programs: {error}"),
        })?;
        let queues = Queues::new(&scenario.data_queues).map_err(|error| ScenarioError::Invalid {
            name: scenario.name.clone(),
            reason: format!("data_queues: {error}"),
        })?;
        let offset = scenario.system.utc_offset_minutes * 60_000_000;
        let profiles = scenario
            .users
            .iter()
            .map(|user| (user.name.to_uppercase(), Profile { wrong: 0, disabled: user.disabled }))
            .collect();
        Ok(Self {
            journal: RwLock::new(Journal::new(scenario.journal.clone(), time::now_utc() + offset)),
            faults: RwLock::new(FaultState::default()),
            profiles: Mutex::new(profiles),
            registry: RwLock::new(registry),
            queues: Mutex::new(queues),
            messages: RwLock::new(Messages::new(&scenario.message_queues, time::now_utc() + offset)),
            mix: Mutex::new(Mix::new(&scenario, page)),
            noise: Mutex::new(Rng::new(scenario.traffic.seed ^ 0xAB5_04D)),
            notes: Mutex::default(),
            clock_jump: AtomicI64::new(0),
            stopped_at: AtomicI64::new(0),
            last_job: AtomicU32::new(scenario.server.job_number),
            page,
            scenario,
        })
    }

    /// Local time minus UTC, microseconds.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.scenario.system.utc_offset_minutes * 60_000_000
    }

    /// The partition's local clock, microseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        if self.faults().clock_stopped {
            return self.stopped_at.load(Ordering::Relaxed);
        }
        self.running_clock()
    }

    fn running_clock(&self) -> i64 {
        time::now_utc() + self.offset() + self.clock_jump.load(Ordering::Relaxed)
    }

    /// Notes where the clock stops.
    pub fn stop_clock(&self) {
        self.stopped_at.store(self.running_clock(), Ordering::Relaxed);
    }

    /// Moves the clock.
    pub fn move_clock(&self, seconds: i64) {
        self.clock_jump.fetch_add(seconds.saturating_mul(1_000_000), Ordering::Relaxed);
    }

    /// The journal, to read.
    pub fn journal(&self) -> RwLockReadGuard<'_, Journal> {
        read(&self.journal)
    }

    /// The journal, to change.
    pub fn journal_mut(&self) -> RwLockWriteGuard<'_, Journal> {
        write(&self.journal)
    }

    /// The registered exit programs, to read.
    pub fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        read(&self.registry)
    }

    /// The registered exit programs, to change.
    pub fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        write(&self.registry)
    }

    /// Rows of SAMPLE.NOTES.
    pub fn notes(&self) -> MutexGuard<'_, Vec<Vec<Value>>> {
        lock(&self.notes)
    }

    /// The data queues.
    pub fn queues(&self) -> MutexGuard<'_, Queues> {
        lock(&self.queues)
    }

    /// The history log and the message queues, to read.
    pub fn messages(&self) -> RwLockReadGuard<'_, Messages> {
        read(&self.messages)
    }

    /// The history log and the message queues, to change.
    pub fn messages_mut(&self) -> RwLockWriteGuard<'_, Messages> {
        write(&self.messages)
    }

    /// May this user read message queues?
    #[must_use]
    pub fn reads_queues(&self, user: &str) -> bool {
        let knows = |known: &crate::scenario::User| known.name.eq_ignore_ascii_case(user);
        !self.faults().queues_refused && self.scenario.users.iter().any(knows)
    }

    /// A message as it is sent at that local time, with the faults that are on.
    ///
    /// # Errors
    /// When the message file has no such description.
    pub fn message(&self, spec: &MessageSpec, at: i64) -> Result<Sent, MessageError> {
        let description = spec.description()?;
        let faults = self.faults();
        let language = self.scenario.system.language.as_str();
        let job = if spec.job.is_empty() { "370690/QSYS/QINTER".to_owned() } else { spec.job.clone() };
        let own_user = job.split('/').nth(1).unwrap_or_default().to_owned();
        let user = if spec.user.is_empty() { own_user } else { spec.user.clone() };
        let mut fields = BTreeMap::from([
            ("job".to_owned(), job.clone()),
            ("user".to_owned(), user.clone()),
            ("date".to_owned(), text::date(language, at)),
            ("time".to_owned(), text::time_of_day(at)),
            ("library".to_owned(), "QSYS".to_owned()),
            ("text".to_owned(), spec.text.clone()),
        ]);
        fields.extend(spec.fields.clone());
        let page = faults.foreign_page.and_then(Page::of).unwrap_or(self.page);
        let mut data = tokens::write(&spec.id, page, &fields, at);
        if let Some(kept) = faults.truncated {
            data.truncate(kept);
        }
        if faults.absurd {
            let mut noise = lock(&self.noise);
            let length = noise.below(data.len().max(1) * 2);
            data = (0..length).map(|_| noise.number().to_le_bytes()[0]).collect();
        }
        let mut words = description.map_or_else(|| spec.text.clone(), |known| known.text(language, &fields));
        if faults.garbled_text {
            words.push_str(" \u{1A}\u{3}\u{FFFD}");
        }
        if faults.overlong_text {
            words.push_str(&"x".repeat(1_100));
        }
        let kind = if spec.kind.is_empty() {
            description.map_or("INFORMATIONAL", |known| &known.kind)
        } else {
            &spec.kind
        };
        Ok(Sent {
            at,
            visible_at: time::now_utc() + i64::try_from(faults.late_messages_ms).unwrap_or(0) * 1_000,
            id: (!spec.id.is_empty()).then(|| spec.id.clone()),
            kind: kind.to_owned(),
            subtype: None,
            severity: spec.severity.unwrap_or_else(|| description.map_or(0, |known| known.severity)),
            user,
            job,
            program: description.map_or_else(String::new, |known| known.program.clone()),
            text: words,
            detail: (!spec.detail.is_empty()).then(|| spec.detail.clone()),
            tokens: data,
            key: None,
            answers: None,
        })
    }

    /// Which faults are on.
    #[must_use]
    pub fn faults(&self) -> FaultState {
        *read(&self.faults)
    }

    /// Changes the faults.
    pub fn with_faults<T>(&self, change: impl FnOnce(&mut FaultState) -> T) -> T {
        change(&mut write(&self.faults))
    }

    /// Writes an entry; none while no receiver is attached.
    pub fn append(&self, body: Arc<Body>, remote_port: u16) -> Option<u64> {
        let faults = self.faults();
        if faults.journal_detached || faults.journal_missing {
            return None;
        }
        let body = if faults.damages_data() { Arc::new(self.damage(&body, &faults)) } else { body };
        let now = self.now();
        Some(self.journal_mut().append(now, remote_port, body))
    }

    /// Writes that many entries of the everyday mix, and says how many it wrote.
    pub fn append_mix(&self, count: usize) -> usize {
        let faults = self.faults();
        if faults.journal_detached || faults.journal_missing {
            return 0;
        }
        let mut mix = lock(&self.mix);
        let mut written = 0;
        // The lock is given back in between, so that readers do not starve behind a long run.
        while written < count {
            let now = self.now();
            let mut journal = self.journal_mut();
            for _ in 0..(count - written).min(512) {
                let Some((body, port)) = mix.next() else { return written };
                let body = if faults.damages_data() { Arc::new(self.damage(&body, &faults)) } else { body };
                // Entries of one run lie a microsecond apart, as far as the clock allows.
                let later = if faults.clock_stopped { 0 } else { i64::try_from(written % 512).unwrap_or(0) };
                journal.append(now + later, port, body);
                written += 1;
            }
        }
        written
    }

    fn damage(&self, body: &Body, faults: &FaultState) -> Body {
        let mut data = body.full_data();
        if let Some(kept) = faults.truncated {
            data.truncate(kept);
        }
        if faults.absurd {
            let mut noise = lock(&self.noise);
            let length = noise.below(data.len().max(1) * 2);
            data = (0..length).map(|_| noise.number().to_le_bytes()[0]).collect();
        }
        Body { damaged: true, ..body.clone() }.with_data(data)
    }

    /// Checks a sign-on and counts a wrong one.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn sign_on(&self, user: &str, password: &str) -> Result<(), Refusal> {
        let name = user.to_uppercase();
        let Some(known) = self.scenario.users.iter().find(|known| known.name.eq_ignore_ascii_case(&name))
        else {
            return Err(Refusal::Unknown);
        };
        let expired = known.expired || self.faults().password_expired;
        let mut profiles = lock(&self.profiles);
        let profile = profiles.entry(name).or_default();
        if profile.disabled || self.faults().profile_disabled {
            return Err(Refusal::Disabled);
        }
        if known.password != password {
            profile.wrong += 1;
            profile.disabled = profile.wrong >= self.scenario.system.max_sign_on_attempts;
            return Err(Refusal::Password);
        }
        if expired {
            return Err(Refusal::Expired);
        }
        profile.wrong = 0;
        Ok(())
    }

    /// Failed sign-ons of a profile since its last good one, and whether it is disabled.
    #[must_use]
    pub fn profile(&self, user: &str) -> (u32, bool) {
        lock(&self.profiles)
            .get(&user.to_uppercase())
            .map_or((0, false), |profile| (profile.wrong, profile.disabled))
    }

    /// May this user read the audit journal?
    #[must_use]
    pub fn reads_audit(&self, user: &str) -> bool {
        !self.faults().no_authority
            && self
                .scenario
                .users
                .iter()
                .any(|known| known.reads_audit && known.name.eq_ignore_ascii_case(user))
    }

    /// Name of a new server job.
    #[must_use]
    pub fn new_job(&self) -> String {
        let number = self.last_job.fetch_add(1, Ordering::Relaxed) % 1_000_000;
        format!("{number:06}/QUSER/QZDASOINIT")
    }
}
