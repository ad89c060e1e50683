//! How far an upgrade is: the words that agent, controller and people use, and how long each step may take.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where an agent stands with the package that it was offered.
///
/// OpAMP has five words for it (`PackageStatusEnum`): *InstallPending* is [`Step::Waiting`], *Downloading* is
/// [`Step::Downloading`], *Installing* covers [`Step::Verified`] to [`Step::Confirming`], *Installed* is [`Step::Done`],
/// *InstallFailed* is [`Step::RolledBack`] and [`Step::Failed`]. Which of the finer steps it is travels as the status of
/// the component [`COMPONENT`] in the agent's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The controller offered it; the agent did not answer yet.
    Offered,
    /// The agent knows, and waits for its turn, so that not all download at once.
    Waiting,
    /// It is fetched.
    Downloading,
    /// Signature and digests are right, and it may follow the running version.
    Verified,
    /// It lies unpacked beside the running version, and passed its check of itself.
    Staged,
    /// The running version ends, and the launcher starts the new one.
    Switching,
    /// The new one runs, and has to show that all works that worked before.
    Confirming,
    /// The new one runs.
    Done,
    /// The new one ran, and the version before runs again.
    RolledBack,
    /// The new one never ran.
    Failed,
}

/// Component of the agent's health whose status is the word of a [`Step`] while an upgrade is under way.
pub const COMPONENT: &str = "upgrade";

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::Offered,
        Self::Waiting,
        Self::Downloading,
        Self::Verified,
        Self::Staged,
        Self::Switching,
        Self::Confirming,
        Self::Done,
        Self::RolledBack,
        Self::Failed,
    ];

    /// `rolled_back`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Waiting => "waiting",
            Self::Downloading => "downloading",
            Self::Verified => "verified",
            Self::Staged => "staged",
            Self::Switching => "switching",
            Self::Confirming => "confirming",
            Self::Done => "done",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
        }
    }

    /// The step of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.word() == word)
    }

    /// Nothing more will happen.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::RolledBack | Self::Failed)
    }

    /// How long it may take by itself; then the agent gives up ([`Step::Failed`]) or goes back
    /// ([`Step::RolledBack`]). None for what has no end.
    #[must_use]
    pub fn limit(self) -> Option<Duration> {
        let seconds = match self {
            // An agent that is there answers at once.
            Self::Offered => 60,
            // The longest jitter is half of it.
            Self::Waiting => 20 * 60,
            // 20 MB over a line of 256 kbit/s take 11 minutes.
            Self::Downloading => 60 * 60,
            // Its check of itself connects to everything, which may take half a minute each.
            Self::Verified => 5 * 60,
            Self::Staged => 60,
            Self::Switching => 2 * 60,
            // See `slots::Order`: the longer one of its two limits, by default.
            Self::Confirming => 30 * 60,
            Self::Done | Self::RolledBack | Self::Failed => return None,
        };
        Some(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_word_and_an_end() {
        for step in Step::ALL {
            assert_eq!(Step::of(step.word()), Some(step));
            assert_eq!(serde_json::to_value(step).unwrap(), step.word());
            assert_eq!(step.limit().is_none(), step.is_over());
        }
        assert_eq!(Step::of("updating"), None);
    }
}
