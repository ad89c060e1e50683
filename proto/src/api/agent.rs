//! Agents as the controller sees them.

use super::{
    AgentKind, AgentLife, AgentRates, HoldView, PinView, RateWindow, Totals, UpgradeStep, UpgradeView,
};
use jiff::Timestamp;
use muster_shared::id::{AgentId, Revision};
use muster_shared::partition::PartitionKey;
use muster_shared::policy::limits::LimitsSpec;
use muster_shared::policy::model::EffectivePolicy;
use muster_shared::policy::provenance::ValueOrigin;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels of an agent: set at the controller only, matched by selectors.
pub type Labels = BTreeMap<String, String>;

/// Which agents, and which page of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct AgentsQuery {
    /// `next` of the page before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most items of a page, 1 to 1,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only agents whose version fulfils this requirement, as Cargo writes them: `<0.4`, `>=0.2, <0.4`. A version that is
    /// not known never does; a pre-release counts as the release that it precedes, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Only agents whose upgrade stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStep>,
}

/// Whether an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Connection {
    /// Connected, or polling in time.
    Connected,
    /// Its socket closed less than 5 s ago.
    Reconnecting,
    /// Gone.
    Offline,
    /// Enrolled, never seen with its certificate.
    NeverConnected,
}

/// The one state that is shown of an agent. The first that applies wins, in this order: never connected,
/// offline (or planned outage, where one is announced), quarantined, reconnecting, planned outage (where it is
/// not healthy), failed, degraded, healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// All of it works.
    Healthy,
    /// It works, but something was lost or is about to be, or is only starting.
    Degraded,
    /// A source or a destination does not work.
    Failed,
    /// Its socket closed a moment ago.
    Reconnecting,
    /// Away.
    Offline,
    /// Away, or not working, while its partition is down as announced.
    PlannedOutage,
    /// It is not trusted until somebody looked.
    Quarantined,
    /// Enrolled, never seen.
    NeverConnected,
}

impl AgentState {
    /// The word for it, as the interface writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Reconnecting => "reconnecting",
            Self::Offline => "offline",
            Self::PlannedOutage => "planned_outage",
            Self::Quarantined => "quarantined",
            Self::NeverConnected => "never_connected",
        }
    }
}

/// How a source differs from its own past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// Far fewer events than usual.
    Silent,
    /// Far more events than usual.
    Noisy,
}

/// A source that is silent or noisy by its own past in the same hour of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceFlag {
    /// Name of the source.
    pub source: String,
    /// Silent or noisy.
    pub kind: FlagKind,
    /// Since when.
    pub since: Timestamp,
    /// What is seen and what is usual.
    pub reason: String,
}

/// An outage of a partition that was announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlannedOutage {
    /// Since when.
    pub since: Timestamp,
    /// It ends by itself then.
    pub until: Timestamp,
    /// Why, such as IPL.
    pub reason: String,
    /// Who announced it: a user, or `agent`.
    pub announced_by: String,
}

/// Announces a planned outage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// How long it lasts, in seconds; at most seven days.
    pub for_seconds: u64,
    /// Why, such as IPL.
    #[serde(default)]
    pub reason: String,
}

/// One line of the list of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentSummary {
    /// Identity.
    pub id: AgentId,
    /// Muster's own, or another OpAMP agent.
    #[serde(default)]
    pub kind: AgentKind,
    /// System name of the partition where the agent told it, else its host name, else the id.
    pub name: String,
    /// Labels.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// The one state to show.
    pub state: AgentState,
    /// Since when it is in this state, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether it is there; wins over everything else shown.
    pub connection: Connection,
    /// What was decided about it.
    #[serde(default)]
    pub life: AgentLife,
    /// When it last sent anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Healthy as it last said, and nothing is wrong with it from the controller's side. Says nothing
    /// while offline.
    pub healthy: bool,
    /// The first reason why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Version of the agent.
    #[serde(default)]
    pub version: String,
    /// Release of the partition's operating system, e.g. `V7R5M0`.
    #[serde(default)]
    pub os_release: String,
    /// Policy.
    pub policy: PolicyStatusView,
    /// Rates, all sources and destinations together.
    pub rates: RateWindow,
    /// The partition's offset from UTC in seconds, east of Greenwich positive, as it was told last; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset_seconds: Option<i32>,
    /// Greatest lag of its destinations in milliseconds; 0 while it is not connected.
    pub lag_ms: u64,
    /// Its silent and noisy sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<SourceFlag>,
    /// The planned outage that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_outage: Option<PlannedOutage>,
    /// Its way to the version that it shall run; absent where nobody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeView>,
    /// Set if it is pinned to the version that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinView>,
}

/// Everything about one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentView {
    /// The line of the list.
    pub summary: AgentSummary,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// Facts that the agent reports (system name, serial number, host, …). Selectors never look at them.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Limits of its own configuration, which no policy can widen; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
    /// Names of the entries in its local secrets folder, as of its last start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateView>,
    /// Its components: sources and destinations first, then the others.
    #[serde(default)]
    pub components: Vec<ComponentView>,
    /// Warnings from the controller's side, such as a second agent with the same identity.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Its rates in detail.
    pub rate_detail: AgentRates,
    /// The decision against it, if it is quarantined or revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldView>,
    /// Its partition; absent where it was never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "78A1B2C-3"))]
    pub partition: Option<PartitionKey>,
    /// How far its host's clock is ahead of the controller's, in milliseconds; negative: behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_ms: Option<i64>,
}

/// Certificate of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CertificateView {
    /// Serial number in hex.
    pub serial: String,
    /// When it expires.
    pub expires_at: Timestamp,
    /// SHA-256 of the public key (SPKI) in hex; the agent prints the same.
    pub key_sha256: String,
}

/// Kinds of component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ComponentKind {
    /// A source.
    Source,
    /// A destination.
    Destination,
    /// Anything else.
    Other,
}

/// Health of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComponentView {
    /// Source, destination or other.
    pub kind: ComponentKind,
    /// Name: of the source or destination in the policy, else its path in the health tree.
    pub name: String,
    /// Healthy.
    pub healthy: bool,
    /// The component's own word for its state.
    #[serde(default)]
    pub status: String,
    /// Why it is not healthy, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Where an agent stands with its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PolicyState {
    /// Not told yet (offline, or takes no policy).
    Waiting,
    /// Told; has not answered, or says that it is changing over.
    Applying,
    /// Runs it.
    Applied,
    /// Refused it; the one before runs on.
    Failed,
}

/// Policy of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyStatusView {
    /// Revision that it should run; 0 for the empty policy.
    pub wanted: Revision,
    /// Revision that it last said it runs; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Revision>,
    /// Where it stands with the wanted one.
    pub state: PolicyState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What an agent should run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentPolicyView {
    /// Where it stands.
    pub status: PolicyStatusView,
    /// Documents that it was merged from, `name@revision`, by falling priority.
    pub documents: Vec<String>,
    /// The merged policy.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub wanted: EffectivePolicy,
    /// Every value of it with the document that set it, and what it overrode.
    #[serde(default)]
    pub values: Vec<ValueOrigin>,
    /// What the agent says that it runs, as it sent it; absent if it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<String>,
}

/// The fleet at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetView {
    /// When this was computed.
    pub at: Timestamp,
    /// All agents.
    pub agents: u64,
    /// Connected.
    pub connected: u64,
    /// Socket just closed.
    pub reconnecting: u64,
    /// Offline.
    pub offline: u64,
    /// Never connected since enrolment.
    pub never_connected: u64,
    /// Connected and healthy.
    pub healthy: u64,
    /// Connected and not healthy.
    pub unhealthy: u64,
    /// In the state `degraded`.
    #[serde(default)]
    pub degraded: u64,
    /// In the state `failed`.
    #[serde(default)]
    pub failed: u64,
    /// In the state `planned_outage`.
    #[serde(default)]
    pub planned_outage: u64,
    /// In the state `quarantined`.
    #[serde(default)]
    pub quarantined: u64,
    /// Agents with a silent source.
    #[serde(default)]
    pub silent: u64,
    /// Agents with a noisy source.
    #[serde(default)]
    pub noisy: u64,
    /// Agents whose policy state is `failed`.
    pub policy_failed: u64,
    /// Agents whose policy state is `applying` or `waiting`.
    pub policy_pending: u64,
    /// Sum of rates.
    pub rates: RateWindow,
    /// Greatest lag of all destinations of agents that are connected, in milliseconds.
    #[serde(default)]
    pub lag_ms: u64,
    /// What was counted over the last 24 hours, as far as the history knows; some seconds old at most.
    #[serde(default)]
    pub day: Totals,
}
