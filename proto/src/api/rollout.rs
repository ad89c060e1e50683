//! Rollouts: a change that reaches the fleet wave by wave.

use super::{Labels, PolicyPlan, PolicyText};
use jiff::Timestamp;
use muster_shared::id::{AgentId, Revision};
pub use muster_shared::policy::model::Weekday as Day;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A number of partitions: `5`, or a share of all that the rollout is for: `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many of a hundred, 0 to 100.
    Percent(u8),
}

impl Amount {
    /// Of how many partitions it speaks where there are `total`; a share is rounded down.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => total.saturating_mul(usize::from(percent)) / 100,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A text that is no [`Amount`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAmount(String);

impl fmt::Display for NoAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is neither a number of partitions such as 5 nor a share such as 10%", self.0)
    }
}

impl std::error::Error for NoAmount {}

impl FromStr for Amount {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let wrong = || NoAmount(text.chars().take(32).collect());
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
                Ok(_) | Err(_) => Err(wrong()),
            },
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a change reaches the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutStrategy {
    /// Partitions that go first; 0 for none. No failure is tolerated among them.
    pub canaries: u32,
    /// Labels that canaries must have; without any they are chosen from all, one of each kind of partition first.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub canary_labels: Labels,
    /// The waves after them: for each, what share of all partitions has the change when it is over, in percent,
    /// growing. The last one is 100, whether it is named or not.
    pub waves: Vec<u8>,
    /// How many partitions may be changing over or unwell after it at the same time; at least 1.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "10%"))]
    pub max_unavailable: Amount,
    /// How many partitions may fail before the rollout stops; canaries apart.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "0"))]
    pub max_failures: Amount,
    /// Share of a wave's partitions that must have passed before the next wave begins, in percent; the rest is
    /// followed further.
    pub success_percent: u8,
    /// How long partitions must be well with the change before the next wave begins, in seconds.
    pub soak_seconds: u64,
    /// How long a partition may take until it runs the change and is well, in seconds.
    pub deadline_seconds: u64,
    /// How long a partition may be unwell afterwards before it counts as failed, in seconds.
    pub recovery_seconds: u64,
    /// What "well" means, beyond what a partition says of itself.
    pub gates: RolloutGates,
    /// When partitions may be changed; one that matches none of them may be changed at any time.
    pub windows: Vec<MaintenanceWindow>,
    /// What happens when too many fail.
    pub on_failure: OnFailure,
}

impl Default for RolloutStrategy {
    fn default() -> Self {
        Self {
            canaries: 1,
            canary_labels: Labels::new(),
            waves: vec![10, 50, 100],
            max_unavailable: Amount::Percent(10),
            max_failures: Amount::Count(0),
            success_percent: 100,
            soak_seconds: 600,
            deadline_seconds: 300,
            recovery_seconds: 60,
            gates: RolloutGates::default(),
            windows: Vec::new(),
            on_failure: OnFailure::default(),
        }
    }
}

/// What a partition is measured by after a change, beside the health of its sources and destinations: those that
/// worked before must work again, and new ones must work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutGates {
    /// Health counts.
    pub health: bool,
    /// Longest lag in seconds, unless it was longer before; absent for any.
    pub max_lag_seconds: Option<u64>,
    /// Greatest share of events with errors (not decoded, cut, lost), in percent, unless it was greater before;
    /// absent for any.
    pub max_error_percent: Option<f64>,
    /// Least rate of received events against the one before, in percent; absent for any.
    pub min_rate_percent: Option<u32>,
    /// Greatest rate of received events against the one before, in percent; absent for any.
    pub max_rate_percent: Option<u32>,
}

impl Default for RolloutGates {
    fn default() -> Self {
        Self {
            health: true,
            max_lag_seconds: Some(300),
            max_error_percent: Some(1.0),
            min_rate_percent: Some(10),
            max_rate_percent: Some(1_000),
        }
    }
}

/// What happens when too many partitions fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OnFailure {
    /// Every partition goes back.
    #[default]
    RollBack,
    /// No further partition is changed until a person decides.
    Halt,
}

/// When partitions may be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MaintenanceWindow {
    /// Partitions with these labels; without any all of them.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// Days on which it begins; without any every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// When it begins, `22:00`.
    #[cfg_attr(feature = "openapi", schema(example = "22:00"))]
    pub from: String,
    /// When it ends, `04:00`: of the next day if that is earlier than its beginning.
    #[cfg_attr(feature = "openapi", schema(example = "04:00"))]
    pub to: String,
    /// Time zone by its IANA name.
    #[cfg_attr(feature = "openapi", schema(example = "Europe/Berlin"))]
    pub time_zone: String,
}

/// A package that a rollout brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutPackage {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(example = "muster-agent"))]
    pub name: String,
    /// The version that agents shall come to, by the steps that its packages allow.
    #[cfg_attr(feature = "openapi", schema(example = "0.2.0"))]
    pub version: String,
}

/// Agents that a rollout of a package leaves out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutLeftOut {
    /// Why, in words.
    pub reason: String,
    /// How many.
    pub partitions: u64,
    /// Names of the first of them.
    pub names: Vec<String>,
}

/// Starts a rollout of policies or of a package, or says what it would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutRequest {
    /// Documents; the unchanged ones are left out.
    #[serde(default)]
    pub documents: Vec<PolicyText>,
    /// Names of policies to be removed.
    #[serde(default)]
    pub removals: Vec<String>,
    /// A package instead of policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<RolloutPackage>,
    /// The package is for agents with these labels; without any for all.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// Present revisions that the sender knows, by name; 0 for none. Others are refused.
    #[serde(default)]
    pub expected: BTreeMap<String, u64>,
    /// How; what is left out has its default.
    #[serde(default)]
    pub strategy: RolloutStrategy,
    /// One line for people, at most 200 bytes.
    #[serde(default)]
    pub description: String,
}

/// What a rollout would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutPlan {
    /// What would be published. The rollout can start only if this is valid.
    pub policies: PolicyPlan,
    /// The waves, in their order.
    pub waves: Vec<WavePlan>,
    /// Partitions in all.
    pub partitions: u64,
    /// Why it is as it is, in words.
    pub reasons: Vec<String>,
    /// The package, if it brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<RolloutPackage>,
    /// Agents that the package is not for, though they have its labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<RolloutLeftOut>,
}

/// A wave of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WavePlan {
    /// `canaries`, `wave 1`.
    pub name: String,
    /// Partitions in it.
    pub partitions: u64,
    /// Names of the first of them.
    pub names: Vec<String>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RolloutState {
    /// Goes on by itself.
    Running,
    /// A person stopped it for a while: nobody further is changed.
    Paused,
    /// Too many failed: nobody further is changed until a person decides.
    Halted,
    /// Everybody goes back.
    RollingBack,
    /// The change is in force for everybody.
    Done,
    /// Everybody went back; the change is in force for nobody.
    RolledBack,
}

impl RolloutState {
    /// It is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::RolledBack)
    }
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutView {
    /// Its number.
    pub id: u64,
    /// Where it stands.
    pub state: RolloutState,
    /// Why it stopped or went back; empty while it goes on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it changes.
    pub changes: Vec<RolloutChange>,
    /// The package, if it brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<RolloutPackage>,
    /// The package is for agents with these labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// How.
    pub strategy: RolloutStrategy,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its waves.
    pub waves: Vec<WaveView>,
    /// The wave under way, from 0.
    pub wave: u64,
    /// What it waits for, in words.
    pub waiting: Vec<String>,
    /// What happened, oldest first; at most the last 500.
    pub log: Vec<RolloutNote>,
}

/// A policy that a rollout changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutChange {
    /// Its name.
    pub name: String,
    /// The revision in force before; 0 for none.
    pub from: Revision,
    /// The new one.
    pub to: Revision,
    /// The new one removes it.
    #[serde(default)]
    pub removed: bool,
}

/// A wave under way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaveView {
    /// `canaries`, `wave 1`.
    pub name: String,
    /// Partitions in it.
    pub partitions: u64,
    /// Not told yet.
    pub planned: u64,
    /// Told, and not well with it yet.
    pub changing: u64,
    /// Well with it, watched.
    pub proving: u64,
    /// Passed.
    pub proven: u64,
    /// Unwell since they have it.
    pub unwell: u64,
    /// Failed.
    pub failed: u64,
    /// Going back, or gone back.
    pub back: u64,
    /// Removed from the fleet meanwhile.
    pub gone: u64,
}

/// Something that happened in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutNote {
    /// When.
    pub at: Timestamp,
    /// What, in words.
    pub text: String,
}

/// A line of the list of rollouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutSummary {
    /// Its number.
    pub id: u64,
    /// Where it stands.
    pub state: RolloutState,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it changes.
    pub changes: Vec<RolloutChange>,
    /// The package, if it brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<RolloutPackage>,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Partitions that it is for.
    pub partitions: u64,
    /// Of those: passed.
    pub proven: u64,
    /// Of those: failed.
    pub failed: u64,
}

/// Where one partition stands in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutPartition {
    /// Its agent.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: AgentId,
    /// Name of its system.
    pub name: String,
    /// Its wave, from 0.
    pub wave: u64,
    /// Where it stands.
    pub state: RolloutPartitionState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Where a partition stands in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RolloutPartitionState {
    /// Not told yet.
    Planned,
    /// Told.
    Changing,
    /// Well with the change, watched.
    Proving,
    /// Unwell since it has it.
    Unwell,
    /// Passed.
    Proven,
    /// Failed.
    Failed,
    /// Failed, and a person let it be.
    Accepted,
    /// Told to go back.
    GoingBack,
    /// Runs what it ran before.
    Back,
    /// Removed from the fleet meanwhile.
    Gone,
}

/// Why a person stops a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutOrder {
    /// One line for people, at most 200 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A rollout changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutEvent {
    /// Its number.
    pub id: u64,
    /// Where it stands.
    pub state: RolloutState,
    /// The last thing that happened.
    pub text: String,
}
