//! Rollouts of packages: planned, proposed and started.

use super::auth::Caller;
use super::error::ApiError;
use super::rollout::{Begun, may_start, wave_plans};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::package::standing::MAX_STANDINGS;
use crate::rollout::StoredRollout;
use crate::rollout::package::{Scope, StoredPackage};
use crate::store::Batch;
use actix_web::web;
use jiff::Timestamp;
use muster_package::{AGENT, Version};
use muster_planner::{Planned, Rollout};
use muster_proto::api::{
    PolicyPlan, ProposalKind, ProposalView, RolloutNote, RolloutPackage, RolloutPlan, RolloutRequest,
};
use muster_shared::policy::merge::selects;

/// A deadline below this is shorter than what an upgrade may take: a download over a slow line, and the time in which
/// the new version has to show that all works.
const SHORT_DEADLINE: u64 = 900;
/// Seconds in which a launcher takes back a confirmed version that ends by itself, unless the agent's configuration says
/// otherwise.
const PROBATION: u64 = 600;

/// What a rollout of a package would do.
struct Plan {
    package: StoredPackage,
    scope: Scope,
    waves: Planned,
    /// It only goes back, or the vendor says that it mends a hole: no licence is in its way.
    always_licensed: bool,
}

/// Reads what is asked for.
fn asked(request: &RolloutRequest, package: &RolloutPackage) -> Result<Version, ApiError> {
    if !(request.documents.is_empty() && request.removals.is_empty() && request.expected.is_empty()) {
        let told = "a rollout brings either a package or policies: start one for each";
        return Err(ApiError::bad_request("package-and-policies", told));
    }
    if package.name != AGENT {
        let name = crate::fleet::bounded(&package.name, 64);
        let told = format!("`{name}` upgrades nothing here; agents are upgraded with {AGENT}");
        return Err(ApiError::unprocessable("package-unknown", told));
    }
    super::token::check_labels(&request.labels)?;
    package.version.parse().map_err(|error| {
        let version = crate::fleet::bounded(&package.version, 64);
        ApiError::bad_request("version", format!("`{version}` is no version such as 0.2.0: {error}"))
    })
}

fn planned(
    app: &App,
    request: &RolloutRequest,
    package: &RolloutPackage,
    now: Timestamp,
) -> Result<Plan, ApiError> {
    let version = asked(request, package)?;
    let shelf = app.packages.shelf();
    if !shelf.offers(&version) {
        let told = format!(
            "there is no package {AGENT}@{version} that can be offered: upload it, or look whether it was retired \
             (`muster package list`)"
        );
        return Err(ApiError::unprocessable("package-unknown", told));
    }
    let scope = Scope::of(app, &shelf, &version, &request.labels, now);
    let waves = muster_planner::plan(scope.candidates.clone(), &request.strategy).map_err(|faults| {
        ApiError::bad_request("strategy", format!("the strategy: {}", faults.join("; ")))
    })?;
    let always_licensed = scope.goes_back() || shelf.mends_a_hole(&version);
    let (labels, leaves) = (request.labels.clone(), scope.leaves.clone());
    let package = StoredPackage { name: AGENT.to_owned(), version, labels, leaves };
    Ok(Plan { package, scope, waves, always_licensed })
}

fn reasons(plan: &Plan, request: &RolloutRequest) -> Vec<String> {
    let mut reasons = plan.waves.reasons.clone();
    reasons.extend(plan.scope.reasons());
    let deadline = request.strategy.deadline_seconds;
    if deadline < SHORT_DEADLINE {
        reasons.push(format!(
            "the deadline of {deadline} s is short for an upgrade, which downloads and has to show that all works"
        ));
    }
    let soak = request.strategy.soak_seconds;
    if soak < PROBATION {
        reasons.push(format!(
            "with a soak of {soak} s it may be done before a version that dies is taken back by its launchers, which watch it \
             for {PROBATION} s unless their configuration says otherwise"
        ));
    }
    reasons
}

/// What it would do.
///
/// # Errors
/// If it cannot be started as it is asked for.
pub(super) fn plan(
    app: &App,
    request: &RolloutRequest,
    package: &RolloutPackage,
    now: Timestamp,
) -> Result<RolloutPlan, ApiError> {
    let plan = planned(app, request, package, now)?;
    let policies = PolicyPlan {
        valid: true,
        published: false,
        policies: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    let (waves, away) = wave_plans(&plan.waves, &plan.scope.candidates);
    Ok(RolloutPlan {
        policies,
        waves,
        partitions: plan.scope.candidates.len() as u64,
        reasons: reasons(&plan, request).into_iter().chain(away).collect(),
        package: Some(plan.package.view()),
        left_out: plan.scope.left_out(),
    })
}

/// Plans, stores and starts, all of it or nothing. `approved`: a second person approved, and what is stored with it.
pub(super) async fn begin(
    app: web::Data<App>,
    caller: Caller,
    request: RolloutRequest,
    package: &RolloutPackage,
    approved: Option<Batch>,
) -> Result<Begun, ApiError> {
    let _stepping = app.rollouts.stepping().await;
    let now = Timestamp::now();
    let plan = planned(&app, &request, package, now)?;
    if plan.scope.candidates.is_empty() {
        let why = plan.scope.reasons().join("; ");
        let told = if why.is_empty() { "no agent has these labels".to_owned() } else { why };
        return Err(ApiError::conflict("nothing-to-do", format!("nothing would change: {told}")));
    }
    may_start(&app, || Ok(plan.always_licensed))?;
    may_bring(&app, &plan.package)?;
    if approved.is_none() && super::proposal::required(&app)? {
        let proposal = propose(&app, &caller, request, &plan).await?;
        return Ok(Begun::Proposed(Box::new(proposal)));
    }
    let mut batch = approved.unwrap_or_default();
    let id = app.rollouts.next_number(&mut batch)?;
    let stored = stored(&plan, &request, &caller.session.user, id, now);
    stored.add_new(&mut batch);
    let count = stored.rollout.targets.len();
    let detail = format!("{AGENT}@{} for {count} partitions", plan.package.version);
    let action = Outgoing::by_user(caller.actor(), "rollout.start", format!("rollout {id}"));
    app.commit(batch, action.detail(detail)).await?;
    let view = stored.view(Vec::new());
    tracing::info!(rollout = id, package = %plan.package.version, "rollout started");
    app.rollouts.take(stored);
    Ok(Begun::Started(Box::new(view)))
}

/// Two rollouts of packages for the same agents would each judge what the other did.
fn may_bring(app: &App, package: &StoredPackage) -> Result<(), ApiError> {
    for id in app.rollouts.numbers() {
        let other = app.rollouts.package(id).filter(|other| other.overlaps(&package.labels));
        if let Some(other) = other {
            let told = format!(
                "rollout {id} brings {}@{} to agents that this one is for, too: wait until it is over, or abort it",
                other.name, other.version
            );
            return Err(ApiError::conflict("package-rollout-under-way", told));
        }
    }
    let standings = app.packages.standings();
    let left = standings.iter().filter(|old| !selects(&package.labels, &old.labels)).count();
    if left >= MAX_STANDINGS {
        let told = format!(
            "{MAX_STANDINGS} versions stand for different labels; roll one out for all agents, which takes their place"
        );
        return Err(ApiError::conflict("too-many-targets", told));
    }
    Ok(())
}

fn stored(plan: &Plan, request: &RolloutRequest, user: &str, id: u64, now: Timestamp) -> StoredRollout {
    let rollout = Rollout::start(&plan.waves, request.strategy.clone(), now);
    let (count, waves) = (rollout.targets.len(), rollout.waves);
    let first = format!(
        "started by {user}: {AGENT}@{} for {count} {} in {waves} {}",
        plan.package.version,
        if count == 1 { "partition" } else { "partitions" },
        if waves == 1 { "wave" } else { "waves" },
    );
    let texts = std::iter::once(first).chain(reasons(plan, request));
    StoredRollout {
        id,
        description: request.description.clone(),
        changes: Vec::new(),
        package: Some(plan.package.clone()),
        started_by: user.to_owned(),
        started_at: now,
        ended_at: None,
        log: texts.map(|text| RolloutNote { at: now, text }).collect(),
        rollout,
    }
}

async fn propose(
    app: &App,
    caller: &Caller,
    request: RolloutRequest,
    plan: &Plan,
) -> Result<ProposalView, ApiError> {
    let count = plan.scope.candidates.len();
    let summary = format!("roll out: {AGENT}@{} to {count} partitions", plan.package.version);
    let payload = serde_json::to_value(request)
        .map_err(|error| ApiError::internal("the rollout could not be proposed", &error))?;
    super::proposal::propose(app, caller, ProposalKind::RolloutStart, summary, payload).await
}
