//! An agent and its policy: when it is offered, and where the agent stands with it.

use super::{Agent, ChangeState, REPEAT_AFTER};
use crate::fleet::config_state::ConfigWord;
use crate::fleet::record::Life;
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{Connection, PolicyState, PolicyStatusView};
use muster_proto::opamp::capability::AgentCapabilities;
use muster_shared::id::Revision;

/// How long an agent that is there may leave open what became of a policy, before that is told of as a fault of its own:
/// four offers. Changing over takes an agent well under a second.
const DEADLINE: SignedDuration = SignedDuration::from_mins(2);

/// When a policy was first and last offered over the present connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    hash: String,
    first: Timestamp,
    last: Timestamp,
}

impl Agent {
    /// Forgets that the wanted policy was refused, so that it is offered again; true if it was.
    pub fn retry_refused(&mut self) -> bool {
        let refused = self.config.refused.as_ref().is_some_and(|r| r.hash == self.desired.hash);
        if refused {
            self.forget_refusal();
            self.version.config += 1;
            self.outbox.policy_changed();
        }
        refused
    }

    fn forget_refusal(&mut self) {
        self.config.refused = None;
        self.offered = None;
        // Its report of failure is about the try before.
        self.config.report.take_if(|c| c.word == ConfigWord::Failed);
    }

    /// The wanted policy, if it has to be offered now.
    pub fn offer(&mut self, now: Timestamp) -> Option<muster_proto::opamp::AgentRemoteConfig> {
        let capabilities = AgentCapabilities(self.observed.capabilities);
        let wanted = &self.desired.hash;
        let word = self.word_of_wanted();
        let refused = self.config.refused.as_ref().is_some_and(|r| r.hash == *wanted);
        let before = self.offered.take().filter(|offered| offered.hash == *wanted);
        let waits = before.as_ref().is_some_and(|offered| {
            now.duration_since(offered.last) < REPEAT_AFTER
                || !capabilities.has(AgentCapabilities::REPORTS_REMOTE_CONFIG)
        });
        let changing = word == Some(ConfigWord::Applying);
        // One that hangs while it changes over hears of it again, and is told of.
        let hangs =
            changing && before.as_ref().is_some_and(|offered| now.duration_since(offered.first) >= DEADLINE);
        let runs = word.is_some_and(|word| word != ConfigWord::Unset) && !hangs;
        let first = before.as_ref().map_or(now, |offered| offered.first);
        self.offered = before;
        if !capabilities.has(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
            || self.wants_nothing()
            || refused
            || waits
            || self.record.life != Life::Active
        {
            return None;
        }
        if runs {
            // Heard of over an earlier connection: what it has left to answer in begins anew.
            if changing && self.offered.is_none() {
                self.offered = Some(Offered { hash: wanted.clone(), first, last: now });
            }
            return None;
        }
        self.config.offered(wanted, self.desired.policy.revision);
        self.offered = Some(Offered { hash: wanted.clone(), first, last: now });
        Some(self.desired.offer.clone())
    }

    /// What it last said of the policy that it should run.
    fn word_of_wanted(&self) -> Option<ConfigWord> {
        self.config.report.as_ref().filter(|c| c.hash == self.desired.hash).map(|c| c.word)
    }

    /// It is there and has not said for [`DEADLINE`] what became of what it was offered.
    #[must_use]
    pub fn policy_is_overdue(&self, now: Timestamp) -> bool {
        self.silent_since(now).is_some()
    }

    /// Since when, if it is.
    fn silent_since(&self, now: Timestamp) -> Option<Timestamp> {
        let offered = self.offered.as_ref().filter(|offered| offered.hash == self.desired.hash)?;
        let answers =
            AgentCapabilities(self.observed.capabilities).has(AgentCapabilities::REPORTS_REMOTE_CONFIG);
        let overdue = answers
            && now.duration_since(offered.first) >= DEADLINE
            && self.connection(now) == Connection::Connected
            && self.policy_state(now) == PolicyState::Applying;
        overdue.then_some(offered.first)
    }

    /// What people are told of that, and what to do.
    #[must_use]
    pub fn policy_overdue(&self, now: Timestamp) -> Option<String> {
        let since = self.silent_since(now)?;
        let did = match self.word_of_wanted() {
            Some(ConfigWord::Applying) => "said that it is changing over to",
            Some(ConfigWord::Unset | ConfigWord::Applied | ConfigWord::Failed) | None => "was offered",
        };
        Some(format!(
            "{} min ago it {did} policy revision {}, and has not said since what became of that: it is offered again every \
             {} s; read the agent's log, or restart the agent",
            now.duration_since(since).as_secs() / 60,
            self.desired.policy.revision,
            REPEAT_AFTER.as_secs()
        ))
    }

    /// There is nothing that it should run: nobody set a configuration for a foreign agent.
    fn wants_nothing(&self) -> bool {
        self.desired.offer.config_hash.is_empty()
    }

    /// The word for where it stands with its policy.
    #[must_use]
    pub fn policy_state(&self, now: Timestamp) -> PolicyState {
        let wanted = &self.desired.hash;
        let refused = self.config.refused.as_ref().is_some_and(|r| r.hash == *wanted);
        let word = self.config.report.as_ref().filter(|c| c.hash == *wanted).map(|r| r.word);
        match (refused, word) {
            (true, _) | (false, Some(ConfigWord::Failed)) => PolicyState::Failed,
            (false, Some(ConfigWord::Applied)) => PolicyState::Applied,
            (false, Some(ConfigWord::Applying)) => PolicyState::Applying,
            (false, Some(ConfigWord::Unset) | None) => {
                let capabilities = AgentCapabilities(self.observed.capabilities);
                if self.wants_nothing() {
                    PolicyState::Applied
                } else if self.connection(now) == Connection::Connected
                    && capabilities.has(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
                {
                    PolicyState::Applying
                } else {
                    PolicyState::Waiting
                }
            }
        }
    }

    /// Where it stands with the change that a rollout brings: `with` if it should run it, else if it should run
    /// what was before.
    #[must_use]
    pub fn change_state(&self, with: bool) -> ChangeState {
        let wanted = &self.desired.hash;
        let report = self.config.report.as_ref();
        let told = report.filter(|c| c.hash == *wanted).map(|c| c.word);
        let refused = self.config.refused.as_ref().filter(|r| r.hash == *wanted);
        match (with, refused, told) {
            (true, Some(refusal), _) => ChangeState::Refused(refusal.reason.clone()),
            (true, None, Some(ConfigWord::Applied)) => ChangeState::New,
            (true, None, Some(ConfigWord::Applying)) => ChangeState::Changing,
            (true, None, Some(ConfigWord::Failed)) => ChangeState::Refused(String::new()),
            (true, None, Some(ConfigWord::Unset) | None) => ChangeState::Old,
            // It runs what was before, or refuses even that: nothing more will come.
            (false, Some(_), _) | (false, None, Some(ConfigWord::Applied | ConfigWord::Failed)) => {
                ChangeState::Old
            }
            // Nothing was ever set: it says nothing about nothing.
            (false, None, _) if self.wants_nothing() => ChangeState::Old,
            (false, None, Some(ConfigWord::Applying | ConfigWord::Unset) | None) => ChangeState::New,
        }
    }

    /// Where it stands with its policy.
    #[must_use]
    pub fn policy_status(&self, now: Timestamp) -> PolicyStatusView {
        let wanted = &self.desired.hash;
        let refusal = self.config.refused.as_ref().filter(|r| r.hash == *wanted);
        let report = self.config.report.as_ref().filter(|c| c.hash == *wanted);
        PolicyStatusView {
            wanted: Revision(self.desired.policy.revision),
            running: self.config.running.as_ref().map(|r| Revision(r.revision)),
            state: self.policy_state(now),
            reason: refusal
                .map(|r| r.reason.clone())
                .or_else(|| self.policy_overdue(now))
                .unwrap_or_default(),
            since: report.map(|r| r.since),
        }
    }
}
