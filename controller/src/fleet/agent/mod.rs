//! One agent in memory, and what the controller answers to its messages: functions of values and the time.

use super::config_state::ConfigState;
use super::effective::TextId;
use super::link::{self, Link};
use super::observed::Observed;
use super::rates::RateTracker;
use super::record::{AgentRecord, Hold, Life};
use super::upgrade::UpgradeState;
use crate::gateway::outbox::Outbox;
use crate::policy::assign::Desired;
use crate::store::{Batch, packed};
use jiff::{SignedDuration, Timestamp};
use muster_planner::Version as ChangeState;
use muster_proto::api::{Connection, PlannedOutage, SourceFlag};
use muster_proto::opamp::capability::{AgentCapabilities, ServerCapabilities, ServerFlags};
use muster_proto::opamp::{
    AgentToServer, ConnectionSettingsOffers, CustomCapabilities, DEFAULT_HEARTBEAT_SECONDS, ServerToAgent,
    attribute,
};
use muster_proto::session::rates::{self, RatesMessage};
use muster_proto::session::{inspect, lease};
use muster_shared::id::AgentId;
use std::sync::Arc;

/// What this controller can do.
pub const CAPABILITIES: ServerCapabilities = ServerCapabilities(
    ServerCapabilities::ACCEPTS_STATUS.0
        | ServerCapabilities::OFFERS_REMOTE_CONFIG.0
        | ServerCapabilities::ACCEPTS_EFFECTIVE_CONFIG.0
        | ServerCapabilities::OFFERS_PACKAGES.0
        | ServerCapabilities::ACCEPTS_PACKAGES_STATUS.0
        | ServerCapabilities::OFFERS_CONNECTION_SETTINGS.0
        | ServerCapabilities::ACCEPTS_CONNECTION_SETTINGS_REQUEST.0,
);

/// How long an offer or a request for the full state may stay unanswered before it is repeated.
const REPEAT_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// Steps back in the sequence, restarts apart, that make a second sender certain.
const MAX_STEPS_BACK: u32 = 3;
/// How long a token that was shown under another uid is told of.
const WRONG_UID_SHOWN: SignedDuration = SignedDuration::from_mins(10);
/// Processes of an agent that are remembered.
const MAX_BOOTS: usize = 4;

/// An enrolled agent.
#[derive(Debug)]
pub struct Agent {
    /// What was decided about it.
    pub record: AgentRecord,
    /// What it last said of itself.
    pub observed: Observed,
    /// Where it stands with its configuration.
    pub config: ConfigState,
    /// Where it stands with its package.
    pub upgrade: UpgradeState,
    /// Its counters.
    pub rates: RateTracker,
    /// How it is attached.
    pub link: Link,
    /// Number of its connection; what comes over an older one is not listened to.
    pub epoch: u64,
    /// When it was last heard.
    pub last_seen: Option<Timestamp>,
    /// When its certificate was last renewed, since the controller started.
    pub renewed_at: Option<Timestamp>,
    /// What it should run.
    pub desired: Arc<Desired>,
    /// Rollouts under way whose change it has, in their order.
    pub staged: Box<[u64]>,
    /// What waits for it.
    pub outbox: Arc<Outbox>,
    /// Its silent and noisy sources.
    pub flags: Box<[SourceFlag]>,
    /// The planned outage that an operator announced; it may be over.
    pub outage: Option<Box<PlannedOutage>>,
    /// It answers questions about itself.
    pub takes_inspect: bool,
    /// Held by the poll that is under way.
    pub poll_turn: Arc<tokio::sync::Semaphore>,
    /// Grows with each change.
    version: Version,
    /// The version that is stored.
    stored: Version,
    sequence: Option<u64>,
    steps_back: u32,
    boots: Vec<String>,
    skew_ms: Option<i64>,
    full_state_asked: Option<Timestamp>,
    /// A message without gaps came in: nothing that the agent has to say is missing here.
    told_all: bool,
    /// A message came in over the present connection.
    heard: bool,
    /// A uid that is not its own, under which its token was last shown.
    wrong_uid: Option<AgentId>,
    /// What people are told of it, and since when.
    wrong_uid_note: Option<(Timestamp, String)>,
    /// What was offered of policies over the present connection.
    offered: Option<policy::Offered>,
    /// What was offered of packages over the present connection.
    package_offered: Option<upgrade::PackageOffered>,
    /// The change of what is wanted of packages; nothing is offered before it is stored.
    wanted_version: u64,
    /// Why it cannot come to the version that it shall run.
    upgrade_blocked: Option<Box<str>>,
    settings_offered: bool,
}

/// Numbers the changes of what is stored of an agent: of what it said of itself, of its configuration and of its package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Version {
    observed: u64,
    config: u64,
    upgrade: u64,
}

/// What a message leads to.
#[derive(Debug)]
pub struct Received {
    /// The answer.
    pub reply: ServerToAgent,
    /// There are changes that must be stored before the answer is sent: of this message, or of an earlier one that
    /// could not be stored.
    pub changed: bool,
    /// Why a second agent seems to use this identity.
    pub suspicion: Option<String>,
}

impl Agent {
    /// An agent that is not connected.
    #[must_use]
    pub fn new(record: AgentRecord, observed: Observed, config: ConfigState, desired: Arc<Desired>) -> Self {
        // What is stored later than the rest tells too that it was heard.
        let reported = config.report.as_ref().map(|report| report.since);
        Self {
            last_seen: observed.last_seen.max(reported),
            record,
            observed,
            config,
            upgrade: UpgradeState::default(),
            rates: RateTracker::default(),
            link: Link::Absent,
            epoch: 0,
            renewed_at: None,
            desired,
            staged: Box::default(),
            outbox: Arc::default(),
            flags: Box::default(),
            outage: None,
            takes_inspect: false,
            poll_turn: Arc::new(tokio::sync::Semaphore::new(1)),
            version: Version::default(),
            stored: Version::default(),
            sequence: None,
            steps_back: 0,
            boots: Vec::new(),
            skew_ms: None,
            full_state_asked: None,
            told_all: false,
            heard: false,
            wrong_uid: None,
            wrong_uid_note: None,
            offered: None,
            package_offered: None,
            wanted_version: 0,
            upgrade_blocked: None,
            settings_offered: false,
        }
    }

    /// A new connection takes over.
    pub fn attach(&mut self, epoch: u64, link: Link) {
        self.epoch = epoch;
        self.link = link;
        self.outbox = Arc::default();
        self.offered = None;
        self.package_offered = None;
        self.settings_offered = false;
        self.full_state_asked = None;
        self.heard = false;
        self.steps_back = 0;
    }

    /// It was heard over its present connection, and not too long ago.
    #[must_use]
    pub fn talks(&self, now: Timestamp) -> bool {
        self.heard && self.connection(now) == Connection::Connected
    }

    /// Its token was shown under a uid that is not its own. Once is a restart; whoever goes on with it after it was
    /// told does not know how to take over a uid.
    pub fn note_wrong_uid(&mut self, uid: AgentId, now: Timestamp) {
        if self.wrong_uid.replace(uid) == Some(uid) {
            let text = format!(
                "its token is shown under another instance uid ({uid}), and nothing is taken from there: have the \
                 agent keep its uid {} over restarts, or give a second agent a token of its own",
                self.record.id
            );
            self.wrong_uid_note = Some((now, text));
        }
    }

    /// What people are told of an agent whose token was lately shown under another uid.
    #[must_use]
    pub fn wrong_uid(&self, now: Timestamp) -> Option<&str> {
        let (at, text) = self.wrong_uid_note.as_ref()?;
        (now.duration_since(*at) < WRONG_UID_SHOWN).then_some(text.as_str())
    }

    /// It said that it knows this custom capability.
    #[must_use]
    pub fn knows(&self, capability: &str) -> bool {
        self.observed.custom.iter().any(|known| known == capability)
    }

    /// What a message leads to.
    pub fn receive(&mut self, message: &AgentToServer, now: Timestamp) -> Received {
        self.last_seen = Some(now);
        self.heard = true;
        let gap = self.follow_sequence(message.sequence_num);
        self.recognise_offer(message);
        if self.observed.take(message, now) {
            self.observed.last_seen = Some(now);
            self.version.observed += 1;
        }
        if message.remote_config_status.as_ref().is_some_and(|status| self.config.take(status, now)) {
            self.version.config += 1;
        }
        self.hear_packages(message, now);
        self.follow_boots(message);
        // A foreign agent has no custom capabilities here: what it sends of them is not looked at.
        if self.record.foreign.is_none()
            && let Some(Ok(RatesMessage::Report(report))) =
                message.custom_message.as_ref().map(RatesMessage::from_custom)
        {
            self.skew_ms = skew(report.time_unix_ms, now);
            self.rates.report(&report, now);
        }
        let mut reply = ServerToAgent {
            instance_uid: message.instance_uid.clone(),
            capabilities: CAPABILITIES.0,
            ..ServerToAgent::default()
        };
        if self.needs_full_state(message, gap, now) {
            reply.flags |= ServerFlags::REPORT_FULL_STATE.0;
        }
        if let Some(custom) = &message.custom_capabilities
            && self.record.foreign.is_none()
        {
            self.takes_inspect = custom.capabilities.iter().any(|name| name == inspect::CAPABILITY);
            let capabilities =
                [rates::CAPABILITY, inspect::CAPABILITY, lease::CAPABILITY].map(str::to_owned).to_vec();
            reply.custom_capabilities = Some(CustomCapabilities { capabilities });
        }
        // That it was offered is stored with what the agent makes of it.
        reply.remote_config = self.offer(now);
        let suspicion = self.suspicion();
        Received { reply, changed: self.version != self.stored, suspicion }
    }

    /// An offer is stored with what the agent makes of it. One that was made just before the controller died is known
    /// again by its hash, so that the agent's word about it names the revision.
    fn recognise_offer(&mut self, message: &AgentToServer) {
        let Some(status) = &message.remote_config_status else { return };
        let told = &status.last_remote_config_hash;
        let wanted = &self.desired.hash;
        let is_wanted = !told.is_empty() && told.len() <= 64 && crate::identity::secret::hex(told) == *wanted;
        if is_wanted && !self.config.offers.iter().any(|offer| offer.hash == *wanted) {
            self.config.offered(wanted, self.desired.policy.revision);
        }
    }

    /// Adds what is not stored yet to `batch`; the version that this is.
    pub fn add_unstored(&self, batch: &mut Batch) -> Version {
        let id = self.record.id;
        if self.version.observed != self.stored.observed {
            packed::put(batch, Observed::key(id), &self.observed);
        }
        if self.version.config != self.stored.config {
            packed::put(batch, ConfigState::key(id), &self.config);
        }
        if self.version.upgrade != self.stored.upgrade {
            packed::put(batch, UpgradeState::key(id), &self.upgrade);
        }
        self.version
    }

    /// Adds when it was last heard; the version that this is.
    pub fn add_last_seen(&mut self, batch: &mut Batch) -> Version {
        self.observed.last_seen = self.last_seen;
        self.version.observed += 1;
        self.add_unstored(batch)
    }

    /// Version `version` is stored.
    pub fn persisted(&mut self, version: Version) {
        // Of two that were stored at the same time the earlier may have come last: then this one is stored once more.
        self.stored = version;
    }

    /// Notes the effective configuration that it told; true if it is another one than before, which has to be
    /// stored.
    pub fn take_effective(&mut self, text: TextId) -> bool {
        let other = self.config.effective != Some(text);
        if other {
            self.config.effective = Some(text);
            self.version.config += 1;
        }
        other
    }

    /// It should run this; it is told if that is something else than before.
    pub fn wants(&mut self, desired: Arc<Desired>) {
        let changed = self.desired.hash != desired.hash;
        self.desired = desired;
        if changed {
            self.outbox.policy_changed();
        }
    }

    /// Whether the connection settings `wanted` have to be offered now: a report that opens a session says
    /// which ones the agent last got. Where it has them, they are not repeated.
    pub fn needs_settings(&mut self, message: &AgentToServer, wanted: &ConnectionSettingsOffers) -> bool {
        let capabilities = AgentCapabilities(self.observed.capabilities);
        // Settings without its token and without a certificate would lock a foreign agent out.
        if !capabilities.has(AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS)
            || self.record.foreign.is_some()
        {
            return false;
        }
        if let Some(settings) = &wanted.opamp {
            self.record.heartbeat_seconds = settings.heartbeat_interval_seconds;
        }
        if let Some(status) = &message.connection_settings_status {
            self.settings_offered |= status.last_connection_settings_hash == wanted.hash;
        }
        // A restarted agent that polls comes back on the same claim: its first message tells.
        let fresh = message.sequence_num == 0 || !self.settings_offered;
        let has = message.connection_settings_status.as_ref();
        let needed = fresh
            && message.agent_description.is_some()
            && has.is_none_or(|status| status.last_connection_settings_hash != wanted.hash);
        self.settings_offered |= needed;
        needed
    }

    /// True if messages are missing before this one.
    fn follow_sequence(&mut self, number: u64) -> bool {
        let last = self.sequence.replace(number);
        let Some(last) = last else { return true };
        if number < last && number > 1 {
            self.steps_back += 1;
        }
        // A repeated message is not a gap: it is answered again.
        number != last && number != last.wrapping_add(1)
    }

    fn needs_full_state(&mut self, message: &AgentToServer, gap: bool, now: Timestamp) -> bool {
        let asked = self.full_state_asked;
        // Some agents leave out what they have none of, whatever they declare: what answers a request for the
        // full state counts as all that there is, or they would be asked for ever.
        let answers = asked.is_some() && message.agent_description.is_some();
        if answers || is_complete(message, AgentCapabilities(self.observed.capabilities)) {
            self.full_state_asked = None;
            self.told_all = true;
            return false;
        }
        let overdue = asked.is_some_and(|at| now.duration_since(at) >= REPEAT_AFTER);
        let unknown = self.observed.is_empty() && !self.told_all;
        let needed = overdue || (asked.is_none() && (gap || unknown));
        if needed {
            self.full_state_asked = Some(now);
        }
        needed
    }

    /// Remembers the random ids of the agent's processes, the last one first.
    fn follow_boots(&mut self, message: &AgentToServer) {
        let said = message.agent_description.as_ref().and_then(|d| attribute::find(d, attribute::BOOT_ID));
        if let Some(boot) = said
            && self.boots.first().is_none_or(|last| last != boot)
        {
            self.boots.insert(0, super::bounded(boot, 64));
            self.boots.truncate(MAX_BOOTS);
        }
    }

    /// Why a second agent seems to use this identity: what one process alone cannot do.
    fn suspicion(&self) -> Option<String> {
        // A foreign agent counts as its makers like, and its token says who it is.
        if self.record.foreign.is_some() {
            return None;
        }
        let returned = match self.boots.split_first() {
            Some((last, before)) => before.contains(last),
            None => false,
        };
        let what = if self.steps_back >= MAX_STEPS_BACK {
            "two series of sequence numbers come in under this identity"
        } else if returned {
            "reports of two processes come in by turns under this identity"
        } else {
            return None;
        };
        Some(format!(
            "{what}: a second agent uses a copy of its state folder; stop the copy, delete its state folder and \
             enrol it with a token of its own, then release this agent"
        ))
    }

    /// What looked like a second agent was looked at by a person.
    pub fn forget_suspicions(&mut self) {
        self.steps_back = 0;
        self.boots.truncate(1);
        self.offered = None;
    }

    /// The decision against it, if it is quarantined or revoked, with the word for it.
    #[must_use]
    pub fn hold(&self) -> Option<(&'static str, &Hold)> {
        match &self.record.life {
            Life::Active => None,
            Life::Quarantined(hold) => Some(("quarantined", hold)),
            Life::Revoked(hold) => Some(("revoked", hold)),
        }
    }

    /// How far its clock is ahead of the controller's in milliseconds, where known.
    #[must_use]
    pub fn skew_ms(&self) -> Option<i64> {
        self.skew_ms
    }

    /// Whether it is there.
    #[must_use]
    pub fn connection(&self, now: Timestamp) -> Connection {
        link::connection(self.link, self.last_seen, self.heartbeat_seconds(), now)
    }

    /// Seconds between its heartbeats. An agent that takes no settings keeps a pace of its own, which is at
    /// best the protocol's default.
    fn heartbeat_seconds(&self) -> u64 {
        let capabilities = AgentCapabilities(self.observed.capabilities);
        let told = capabilities.has(AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS);
        let set = self.record.heartbeat_seconds;
        // Before it was ever heard nothing is known of it.
        if self.record.foreign.is_none() && (told || capabilities == AgentCapabilities(0)) {
            set
        } else {
            set.max(DEFAULT_HEARTBEAT_SECONDS)
        }
    }
}

/// How far a clock that shows `theirs` is ahead of `now`.
fn skew(theirs: u64, now: Timestamp) -> Option<i64> {
    i64::try_from(theirs).ok().filter(|t| *t > 0).map(|theirs| theirs.saturating_sub(now.as_millisecond()))
}

/// Nothing was left out of the message.
fn is_complete(message: &AgentToServer, capabilities: AgentCapabilities) -> bool {
    let present = |bit, there: bool| !capabilities.has(bit) || there;
    message.agent_description.is_some()
        && present(AgentCapabilities::REPORTS_HEALTH, message.health.is_some())
        && present(AgentCapabilities::REPORTS_EFFECTIVE_CONFIG, message.effective_config.is_some())
        && present(AgentCapabilities::REPORTS_REMOTE_CONFIG, message.remote_config_status.is_some())
}

mod policy;
pub mod upgrade;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;
