//! Bodies of the controller's HTTP interface `/api/v1`: what the controller answers and what the command
//! line and other clients send. Plain serde types, JSON, `snake_case` names.
//!
//! Promises: times are RFC 3339 in UTC ([`jiff::Timestamp`]); requests deny unknown fields, so that a
//! misspelt one is an error and not silently ignored; replies may gain fields, and readers ignore those
//! they do not know. Every error is a [`Problem`].
//!
//! | method and path | request | reply |
//! | --- | --- | --- |
//! | `POST /api/v1/login` | [`LoginRequest`] | [`LoginReply`] |
//! | `POST /api/v1/logout` | | 204 |
//! | `POST /api/v1/password` | [`PasswordChange`] | 204 |
//! | `GET /api/v1/whoami` | | [`WhoAmI`] |
//! | `POST /api/v1/tokens` | [`TokenRequest`] | 201 [`TokenCreated`] |
//! | `GET /api/v1/tokens` | [`PageQuery`] | [`Page`] of [`TokenView`] |
//! | `DELETE /api/v1/tokens/{id}` | | 204 |
//! | `GET /api/v1/agents` | [`AgentsQuery`] | [`Page`] of [`AgentSummary`] |
//! | `GET /api/v1/agents/{id or name}` | | [`AgentView`] |
//! | `PUT /api/v1/agents/{id or name}/labels` | [`Labels`] | [`AgentView`] |
//! | `DELETE /api/v1/agents/{id or name}` | | 204: certificate revoked, connection closed |
//! | `POST /api/v1/agents/{id or name}/quarantine` | [`Decision`] | [`AgentView`] |
//! | `POST /api/v1/agents/{id or name}/release` | [`Decision`] | [`AgentView`] |
//! | `POST /api/v1/agents/{id or name}/revoke` | [`Decision`] | [`AgentView`]: connection closed, certificates refused |
//! | `POST /api/v1/agents/{id or name}/decommission` | [`Decision`] | 204: removed, its keys refused for good |
//! | `GET /api/v1/ca` | | [`CaView`] |
//! | `POST /api/v1/ca/roll-over` | [`Decision`] | [`CaView`]: a new authority is made, both are accepted |
//! | `POST /api/v1/ca/roll-over/finish` | [`CaFinish`] | [`CaView`]: the old one is dropped |
//! | `GET /api/v1/enrolments` | [`PageQuery`] | [`Page`] of [`EnrolmentView`] |
//! | `POST /api/v1/enrolments/{fingerprint, id or name}/approve` | [`Decision`] | [`EnrolmentView`] |
//! | `POST /api/v1/enrolments/{fingerprint, id or name}/deny` | [`Decision`] | [`EnrolmentView`] |
//! | `GET /api/v1/agents/{id or name}/policy` | | [`AgentPolicyView`] |
//! | `GET /api/v1/agents/{id or name}/events/recent` | [`RecentQuery`] | [`RecentEvents`] |
//! | `GET /api/v1/agents/{id or name}/events/one` | [`OneEventQuery`] | [`EventDetailView`] |
//! | `GET /api/v1/agents/{id or name}/events/tail` | [`TailQuery`] | server-sent [`TailItem`]s |
//! | `GET /api/v1/events/tail` | [`TailQuery`] | server-sent [`TailItem`]s of several agents |
//! | `POST /api/v1/agents/{id or name}/diagnostics` | [`DiagnosticsRequest`] | the bundle, JSON |
//! | `POST /api/v1/agents/{id or name}/preview` | an effective policy | [`PreviewView`] |
//! | `PUT /api/v1/agents/{id or name}/maintenance` | [`MaintenanceRequest`] | [`AgentView`] |
//! | `DELETE /api/v1/agents/{id or name}/maintenance` | | 204 |
//! | `PUT /api/v1/agents/{id or name}/pin` | [`PinRequest`] | [`AgentView`] |
//! | `DELETE /api/v1/agents/{id or name}/pin` | | 204 |
//! | `GET /api/v1/fleet` | | [`FleetView`] |
//! | `GET /api/v1/fleet/partitions` | [`PartitionsQuery`] | [`PartitionsView`] |
//! | `GET /api/v1/fleet/partitions.csv` | [`PartitionsQuery`] without a window | the table as CSV |
//! | `POST /api/v1/policies/validate` | YAML (`application/yaml`) | [`PolicyCheck`] |
//! | `POST /api/v1/policies` | YAML (`application/yaml`) | 201 [`PolicyPublished`] (200 if nothing changed) |
//! | `GET /api/v1/policies` | [`PageQuery`] | [`Page`] of [`PolicyRevisionView`] (the current ones) |
//! | `GET /api/v1/policies/{name}` | | [`PolicyRevisionText`] |
//! | `DELETE /api/v1/policies/{name}` | | [`PolicyPublished`]: a revision that removes it |
//! | `GET /api/v1/policies/{name}/revisions` | [`PageQuery`] | [`Page`] of [`PolicyRevisionView`], newest first |
//! | `GET /api/v1/policies/{name}/revisions/{n}` | | [`PolicyRevisionText`] |
//! | `GET /api/v1/policies/{name}/diff` | [`PolicyDiffQuery`] | [`PolicyDiff`] |
//! | `GET /api/v1/policies/{name}/status` | | [`PolicyStatus`] |
//! | `POST /api/v1/policies/{name}/revert` | [`PolicyRevert`] | 201 [`PolicyPublished`] (200 if nothing changed) |
//! | `POST /api/v1/policies/apply` | [`PolicySetRequest`] | [`PolicyPlan`] |
//! | `POST /api/v1/policies/preview` | YAML, or [`PolicySetRequest`] | [`PolicyPreview`] |
//! | `GET /api/v1/drafts` | [`PageQuery`] | [`Page`] of [`DraftView`] |
//! | `GET /api/v1/drafts/{name}` | | [`DraftText`] |
//! | `PUT /api/v1/drafts/{name}` | YAML, [`DraftQuery`], `If-Match` or `If-None-Match: *` | [`DraftView`] (201 if new) |
//! | `DELETE /api/v1/drafts/{name}` | `If-Match` | 204 |
//! | `POST /api/v1/drafts/{name}/publish` | `If-Match` | [`PolicyPublished`]; the draft is gone |
//! | `GET /api/v1/schemas/policy` | | JSON Schema of policy documents; needs no session |
//! | `GET /api/v1/rates` | [`RatesQuery`] | [`RatesView`] |
//! | `GET /api/v1/agents/{id or name}/history` | [`HistoryQuery`] | [`HistoryView`] |
//! | `GET /api/v1/fleet/history` | [`HistoryQuery`] | [`HistoryView`] |
//! | `POST /api/v1/foreign-tokens` | [`ForeignTokenRequest`] | 201 [`ForeignTokenCreated`] |
//! | `GET /api/v1/foreign-tokens` | [`PageQuery`] | [`Page`] of [`ForeignTokenView`] |
//! | `DELETE /api/v1/foreign-tokens/{id}` | | 204: its agent is disconnected |
//! | `GET /api/v1/foreign-configs` | [`PageQuery`] | [`Page`] of [`ConfigView`] |
//! | `PUT /api/v1/foreign-configs` | [`ConfigRequest`] | [`ConfigView`] |
//! | `DELETE /api/v1/foreign-configs/{revision}` | | 204 |
//! | `POST /api/v1/agents/{id or name}/restart` | | 202 |
//! | `GET /api/v1/agent/audit` | [`AgentAuditQuery`] | [`AgentAuditPage`]; with an agent's certificate |
//! | `POST /api/v1/rollouts/plan` | [`RolloutRequest`] | [`RolloutPlan`] |
//! | `POST /api/v1/rollouts` | [`RolloutRequest`] | 201 [`RolloutView`], 202 [`ProposalView`] |
//! | `GET /api/v1/rollouts` | [`PageQuery`] | [`Page`] of [`RolloutSummary`], newest first |
//! | `GET /api/v1/rollouts/{id}` | | [`RolloutView`] |
//! | `GET /api/v1/rollouts/{id}/partitions` | [`PageQuery`] | [`Page`] of [`RolloutPartition`] |
//! | `POST /api/v1/rollouts/{id}/pause`, `resume`, `abort` | [`RolloutOrder`] | [`RolloutView`] |
//! | `GET /api/v1/packages` | [`PageQuery`] | [`Page`] of [`PackageView`] |
//! | `GET /api/v1/packages/{name}/{version}/{platform}` | | [`PackageView`] |
//! | `POST /api/v1/packages/{name}/{version}/{platform}/retire` | [`PackageRetire`] | [`PackageView`] |
//! | `PUT /api/v1/packages/uploads/{sha256}` | [`PackageUploadRequest`] | 201 [`PackageUpload`], 200 if it was begun before |
//! | `PATCH /api/v1/packages/uploads/{sha256}` | a piece of the file, `Upload-Offset` | [`PackageUpload`], 201 with the last piece |
//! | `GET /api/v1/leases` | [`LeaseQuery`] | [`Page`] of [`LeaseView`] |
//! | `POST /api/v1/leases/{partition}/move` | [`LeaseMove`] | 202, the [`LeaseView`]s that are being moved |
//! | `GET /api/v1/licence` | | [`LicenceView`] |
//! | `POST /api/v1/licence` | the file as text | [`LicenceView`] |
//! | `POST /api/v1/licence/pair`, `unpair` | [`LicencePair`] | [`LicenceView`] |
//! | `POST /api/v1/backups` | | 201 [`BackupView`] |
//! | `GET /api/v1/backups` | | [`BackupList`] |
//! | `GET /api/v1/backups/{name}` | | the file |
//! | `GET /api/v1/restore` | | [`RestoreView`] |
//! | `GET /api/v1/audit` | [`AuditQuery`] | [`Page`] of [`AuditEntry`], newest first |
//! | `GET /api/v1/audit/verify` | | [`AuditVerification`] |
//!
//! All but `login` and the schema want `Authorization: Bearer <session token>`.

mod agent;
mod audit;
mod backup;
mod ca;
mod draft;
mod enrolment;
mod event;
mod foreign;
mod inspect;
mod lease;
mod licence;
mod package;
mod page;
mod partition;
mod plan;
mod policy;
mod problem;
mod proposal;
mod rates;
mod rollout;
mod session;
mod token;
mod upgrade;
mod user;

pub use agent::{
    AgentPolicyView, AgentState, AgentSummary, AgentView, AgentsQuery, CertificateView, ComponentKind,
    ComponentView, Connection, FlagKind, FleetView, Labels, MaintenanceRequest, PlannedOutage, PolicyState,
    PolicyStatusView, SourceFlag,
};
pub use audit::{
    AgentAuditPage, AgentAuditQuery, AuditEntry, AuditExportQuery, AuditFork, AuditQuery, AuditVerification,
    JSON_LINES_CONTENT_TYPE,
};
pub use backup::{
    BACKUP_CONTENT_TYPE, BackupFailure, BackupList, BackupView, LostRevision, RestoreView, RestoredView,
    SupersededView,
};
pub use ca::{AuthorityView, CaFinish, CaView};
pub use draft::{DraftQuery, DraftText, DraftView};
pub use enrolment::{AgentLife, Decision, EnrolmentState, EnrolmentView, HoldView};
pub use event::{AgentEvent, FleetEvent, PolicyEvent, ReloadEvent};
pub use foreign::{
    AgentKind, ConfigFile, ConfigRequest, ConfigTarget, ConfigView, ForeignTokenCreated, ForeignTokenRequest,
    ForeignTokenView,
};
pub use inspect::{
    DiagnosticsRequest, EventDetail, EventDetailView, EventView, FormattedEvent, OneEventQuery,
    PreviewSampleView, PreviewView, RecentEvents, RecentQuery, TailItem, TailQuery,
};
pub use lease::{LeaseAgent, LeaseMove, LeaseQuery, LeaseView};
pub use licence::{CONTROLLER_NOTICE, LicencePair, LicenceView, NOTICE_HEADER};
pub use package::{
    PACKAGE_CONTENT_TYPE, PackageRetire, PackageUpload, PackageUploadRequest, PackageView,
    UPLOAD_OFFSET_HEADER,
};
pub use page::{Page, PageQuery};
pub use partition::{
    PartitionFacets, PartitionGroup, PartitionRow, PartitionsQuery, PartitionsView, SortOrder,
};
pub use plan::{
    PlanAction, PlannedPolicy, PolicyPlan, PolicyPreview, PolicyRevert, PolicySetRequest, PolicyText,
    PreviewEvents, PreviewGroup, PreviewRefusal, PublishQuery,
};
pub use policy::{
    ChangeKind, PolicyChange, PolicyCheck, PolicyDiff, PolicyDiffQuery, PolicyFault, PolicyPublished,
    PolicyRevisionText, PolicyRevisionView, PolicyStatus, PolicyStatusAgent, RevisionStanding,
};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem};
pub use proposal::{
    ProposalDecision, ProposalKind, ProposalState, ProposalView, Settings, SettingsChange, SettingsChanged,
};
pub use rates::{
    AgentRates, DestinationCounters, DestinationRates, HistoryMetric, HistoryQuery, HistorySeries,
    HistoryView, PerSecond, RateWindow, RatesQuery, RatesView, SourceCounters, SourceRates, Totals,
};
pub use rollout::{
    Amount, Day, MaintenanceWindow, NoAmount, OnFailure, RolloutChange, RolloutEvent, RolloutGates,
    RolloutLeftOut, RolloutNote, RolloutOrder, RolloutPackage, RolloutPartition, RolloutPartitionState,
    RolloutPlan, RolloutRequest, RolloutState, RolloutStrategy, RolloutSummary, RolloutView, WavePlan,
    WaveView,
};
pub use session::{CSRF_HEADER, LoginQuery, LoginReply, LoginRequest, PasswordChange, WhoAmI};
pub use token::{TokenCreated, TokenRequest, TokenView};
pub use upgrade::{PinRequest, PinView, UpgradeStep, UpgradeView};
pub use user::{
    ApiTokenCreated, ApiTokenRequest, ApiTokenView, PasswordReset, Role, Scope, SessionView, UserChange,
    UserCreated, UserRequest, UserView,
};

#[cfg(test)]
mod tests;
