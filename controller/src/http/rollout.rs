//! Rollouts: of policies here, of packages in [`rollout_package`]; what is the same for both.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::etag;
use super::policy_set::{MAX_SET, blocking};
use super::publish::{Ground, check_expected, name};
use super::rollout_package;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::policy::going_back;
use crate::policy::plan::{Order, Plan, Read, all_faults};
use crate::rollout::driver::{Looker, Start, perform};
use crate::rollout::observe::candidate;
use crate::rollout::{MAX_ACTIVE, StoredRollout, targets};
use crate::store::Batch;
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_planner::{Candidate, Planned, Refused, Rollout, Step};
use muster_proto::api::{
    Page, PageQuery, PolicyPlan, ProposalKind, ProposalView, RolloutOrder, RolloutPartition, RolloutPlan,
    RolloutRequest, RolloutSummary, RolloutView, WavePlan,
};
use serde_json::Value;

/// Names told of a wave of a plan.
const MAX_NAMES: usize = 20;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let json =
        || web::JsonConfig::default().limit(MAX_SET).error_handler(|error, _| super::bad_json(&error).into());
    config
        .service(
            web::resource("/rollouts")
                .app_data(json())
                .route(web::get().to(list))
                .route(web::post().to(start))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .service(web::resource("/rollouts/plan").app_data(json()).route(web::post().to(plan)))
        .route("/rollouts/{id}", web::get().to(show))
        .route("/rollouts/{id}/partitions", web::get().to(partitions))
        .route("/rollouts/{id}/pause", web::post().to(pause))
        .route("/rollouts/{id}/resume", web::post().to(resume))
        .route("/rollouts/{id}/abort", web::post().to(abort));
}

fn order(request: &RolloutRequest) -> Order {
    let documents = request.documents.iter().cloned().map(Read::from).collect();
    Order { documents, removals: request.removals.clone(), prune: false }
}

/// What a rollout would do: its policies, its partitions, its waves.
fn planned(
    app: &App,
    ground: &Ground,
    request: &RolloutRequest,
    now: Timestamp,
) -> Result<(Plan, Planned, Vec<Candidate>), ApiError> {
    let plan = ground.plan(app, &order(request));
    let touched = plan.groups.iter().flat_map(|group| &group.agents);
    let candidates: Vec<Candidate> =
        touched.filter_map(|id| app.fleet.with(*id, |agent| candidate(agent, now))).collect();
    let waves = muster_planner::plan(candidates.clone(), &request.strategy).map_err(|faults| {
        ApiError::bad_request("strategy", format!("the strategy: {}", faults.join("; ")))
    })?;
    Ok((plan, waves, candidates))
}

/// The waves as they are shown, and what is told of partitions that are away.
pub(super) fn wave_plans(waves: &Planned, candidates: &[Candidate]) -> (Vec<WavePlan>, Option<String>) {
    let names: std::collections::BTreeMap<_, _> = candidates.iter().map(|c| (c.id, &c.name)).collect();
    let wave = |(position, ids): (usize, &Vec<_>)| WavePlan {
        name: Rollout::name_of_wave(waves.canaries, position),
        partitions: ids.len() as u64,
        names: ids.iter().take(MAX_NAMES).filter_map(|id| names.get(id).map(|n| (*n).clone())).collect(),
    };
    let away = candidates.iter().filter(|c| !c.present).count();
    let all = candidates.len();
    let told = (away > 0)
        .then(|| format!("{away} of {all} partitions are away now: they follow when they are back"));
    (waves.waves.iter().enumerate().map(wave).collect(), told)
}

fn plan_view(policies: PolicyPlan, planned: &Planned, candidates: &[Candidate]) -> RolloutPlan {
    let (waves, away) = wave_plans(planned, candidates);
    RolloutPlan {
        policies,
        waves,
        partitions: candidates.len() as u64,
        reasons: planned.reasons.iter().cloned().chain(away).collect(),
        package: None,
        left_out: Vec::new(),
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/rollouts/plan",
    request_body = RolloutRequest,
    responses((status = 200, body = RolloutPlan)),
)]
pub(super) async fn plan(
    app: web::Data<App>,
    _: Caller,
    body: web::Json<RolloutRequest>,
) -> Result<web::Json<RolloutPlan>, ApiError> {
    let request = body.into_inner();
    let view = blocking(move || {
        if let Some(package) = &request.package {
            return rollout_package::plan(&app, &request, package, Timestamp::now());
        }
        no_labels(&request)?;
        let ground = Ground::of(&app, &order(&request))?;
        let (plan, waves, candidates) = planned(&app, &ground, &request, Timestamp::now())?;
        Ok(plan_view(plan.view, &waves, &candidates))
    });
    Ok(web::Json(view.await?))
}

#[utoipa::path(
    post,
    path = "/api/v1/rollouts",
    request_body = RolloutRequest,
    responses(
        (status = 201, body = RolloutView),
        (status = 202, body = ProposalView, description = "A second person must approve"),
        (status = 412, description = "Somebody published meanwhile"),
    ),
)]
pub(super) async fn start(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<RolloutRequest>,
) -> Result<HttpResponse, ApiError> {
    let request = body.into_inner();
    super::one_line("description", &request.description)?;
    let started = super::detached(begin(app, caller, request, None)).await?;
    Ok(match started {
        Begun::Started(view) => HttpResponse::Created().json(view),
        Begun::Proposed(proposal) => HttpResponse::Accepted().json(proposal),
    })
}

/// Labels choose agents for a package; policies have selectors of their own.
fn no_labels(request: &RolloutRequest) -> Result<(), ApiError> {
    if request.labels.is_empty() {
        return Ok(());
    }
    let told = "labels choose the agents of a package; policies say themselves whom they are for";
    Err(ApiError::bad_request("labels", told))
}

/// Whether the licence and the number of those under way allow another rollout. What goes back to what was there, and
/// what mends a hole, is `always` licensed.
pub(super) fn may_start(app: &App, always: impl FnOnce() -> Result<bool, ApiError>) -> Result<(), ApiError> {
    app.licence.permits_unless("new rollouts", always)?;
    if app.rollouts.numbers().len() >= MAX_ACTIVE {
        let text = format!("{MAX_ACTIVE} rollouts are under way; wait for one to end, or abort one");
        return Err(ApiError::conflict("too-many-rollouts", text));
    }
    Ok(())
}

pub(super) enum Begun {
    Started(Box<RolloutView>),
    Proposed(Box<ProposalView>),
}

/// Plans, stores and starts, all of it or nothing. `approved`: a second person approved, and what is stored with it.
async fn begin(
    app: web::Data<App>,
    caller: Caller,
    request: RolloutRequest,
    approved: Option<Batch>,
) -> Result<Begun, ApiError> {
    if let Some(package) = request.package.clone() {
        return rollout_package::begin(app, caller, request, &package, approved).await;
    }
    no_labels(&request)?;
    // In the order in which a step takes them.
    let _stepping = app.rollouts.stepping().await;
    let _publishing = app.book.publishing().await;
    let now = Timestamp::now();
    let ground = Ground::of(&app, &order(&request))?;
    check_expected(&ground, &request.expected)?;
    let (plan, waves, _) = planned(&app, &ground, &request, now)?;
    let Plan { view, changes, .. } = plan;
    if !view.valid {
        return Err(ApiError::invalid_policy(all_faults(&view)));
    }
    if changes.is_empty() {
        let text = "nothing would change: the policies are in force as they are";
        return Err(ApiError::conflict("nothing-to-do", text));
    }
    may_start(&app, || Ok(going_back(&*app.store, &changes)?))?;
    if approved.is_none() && super::proposal::required(&app)? {
        return propose(&app, &caller, request, &view).await.map(|p| Begun::Proposed(Box::new(p)));
    }
    let mut batch = approved.unwrap_or_default();
    let id = app.rollouts.next_number(&mut batch)?;
    let user = &caller.session.user;
    let publication = app.book.publication(changes, Some(id), user, now);
    let revisions: Vec<_> = publication.revisions.iter().map(|(stored, _)| stored.clone()).collect();
    publication.add_to(&mut batch);
    let rollout = Rollout::start(&waves, request.strategy, now);
    let start = Start { description: request.description, user: user.clone(), revisions, rollout };
    let stored = start.stored(&app, id, waves.reasons, now);
    stored.add_new(&mut batch);
    let names: Vec<String> = stored.changes.iter().map(|c| format!("{}@{}", c.name, c.to)).collect();
    let action = Outgoing::by_user(caller.actor(), "rollout.start", format!("rollout {id}")).detail(format!(
        "{} for {} partitions",
        names.join(", "),
        stored.rollout.targets.len()
    ));
    app.commit(batch, action).await?;
    app.book.take(publication);
    let view = stored.view(Vec::new());
    tracing::info!(rollout = id, policies = names.join(", "), "rollout started");
    app.rollouts.take(stored);
    Ok(Begun::Started(Box::new(view)))
}

async fn propose(
    app: &App,
    caller: &Caller,
    request: RolloutRequest,
    plan: &PolicyPlan,
) -> Result<ProposalView, ApiError> {
    // The revisions that are there now: what is approved is what is done.
    let expected = plan.policies.iter().map(|p| (p.name.clone(), p.from.0)).collect();
    let summary = format!("roll out: {}", super::publish_proposal::summary(plan));
    let payload = serde_json::to_value(RolloutRequest { expected, ..request })
        .map_err(|e| ApiError::internal("the rollout could not be proposed", &e))?;
    super::proposal::propose(app, caller, ProposalKind::RolloutStart, summary, payload).await
}

/// Starts what was proposed, and stores `with` together with it.
pub(super) async fn approved(
    app: web::Data<App>,
    caller: Caller,
    payload: &Value,
    with: Batch,
) -> Result<(), ApiError> {
    let request: RolloutRequest = serde_json::from_value(payload.clone())
        .map_err(|e| ApiError::internal("the proposal cannot be read", &e))?;
    begin(app, caller, request, Some(with)).await.map(|_| ())
}

#[utoipa::path(
    get,
    path = "/api/v1/rollouts",
    params(PageQuery),
    responses((status = 200, body = Page<RolloutSummary>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<RolloutSummary>>, ApiError> {
    let newest_first = |id: u64| format!("{:020}", u64::MAX - id);
    let all = app.rollouts.all()?;
    Ok(web::Json(super::page(all.iter().map(|r| (newest_first(r.id), r.summary())), &query)?))
}

fn find(app: &App, id: u64) -> Result<StoredRollout, ApiError> {
    app.rollouts
        .find(id)?
        .ok_or_else(|| ApiError::not_found(format!("there is no rollout {id}; see `muster rollout list`")))
}

/// Also of one that is over, as long as its partitions are kept.
fn with_targets(app: &App, id: u64) -> Result<StoredRollout, ApiError> {
    let mut stored = find(app, id)?;
    if stored.rollout.phase.is_over() {
        stored.rollout.targets = targets(&*app.store, id)?;
    }
    Ok(stored)
}

fn view(app: &App, stored: &StoredRollout) -> RolloutView {
    let now = Timestamp::now();
    let looker = Looker::new(app, stored, now);
    stored.view(stored.rollout.waiting(&|id| looker.look(id), now))
}

#[utoipa::path(
    get,
    path = "/api/v1/rollouts/{id}",
    params(("id" = u64, Path, description = "Number of the rollout")),
    responses((status = 200, body = RolloutView)),
)]
pub(super) async fn show(
    app: web::Data<App>,
    _: Caller,
    id: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    let (tag, view) = blocking(move || {
        let stored = with_targets(&app, *id)?;
        Ok((format!("{:?}-{}", stored.state(), stored.rollout.wave).to_lowercase(), view(&app, &stored)))
    })
    .await?;
    Ok(HttpResponse::Ok().insert_header(etag(tag)).json(view))
}

#[utoipa::path(
    get,
    path = "/api/v1/rollouts/{id}/partitions",
    params(("id" = u64, Path, description = "Number of the rollout"), PageQuery),
    responses((status = 200, body = Page<RolloutPartition>)),
)]
pub(super) async fn partitions(
    app: web::Data<App>,
    _: Caller,
    id: web::Path<u64>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<RolloutPartition>>, ApiError> {
    let stored = with_targets(&app, *id)?;
    let all = stored.partitions(|id| name(&app, id));
    Ok(web::Json(super::page(all.map(|p| (p.id.to_string(), p)), &query)?))
}

/// Changes a rollout under way as a person orders.
async fn change(
    app: web::Data<App>,
    caller: Caller,
    id: u64,
    body: RolloutOrder,
    action: &'static str,
    order: fn(&mut Rollout, &str, &str, Timestamp) -> Result<Step, Refused>,
) -> Result<web::Json<RolloutView>, ApiError> {
    super::one_line("reason", &body.reason)?;
    super::detached(async move {
        let _stepping = app.rollouts.stepping().await;
        let mut stored = find(&app, id)?;
        let (user, now) = (&caller.session.user, Timestamp::now());
        let step = order(&mut stored.rollout, user, &body.reason, now)
            .map_err(|Refused(why)| ApiError::conflict("rollout-state", why))?;
        let by = Outgoing::by_user(caller.actor(), action, format!("rollout {id}")).detail(&body.reason);
        perform(&app, stored, step, now, Some(by)).await?;
        let stored = with_targets(&app, id)?;
        Ok(web::Json(view(&app, &stored)))
    })
    .await
}

#[utoipa::path(
    post,
    path = "/api/v1/rollouts/{id}/pause",
    params(("id" = u64, Path, description = "Number of the rollout")),
    request_body(content = RolloutOrder, example = json!({"reason": "month end"})),
    responses((status = 200, body = RolloutView)),
)]
pub(super) async fn pause(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<u64>,
    body: web::Json<RolloutOrder>,
) -> Result<web::Json<RolloutView>, ApiError> {
    change(app, caller, *id, body.into_inner(), "rollout.pause", Rollout::pause).await
}

#[utoipa::path(
    post,
    path = "/api/v1/rollouts/{id}/resume",
    params(("id" = u64, Path, description = "Number of the rollout")),
    request_body(content = RolloutOrder, example = json!({"reason": "the SIEM is back"})),
    responses((status = 200, body = RolloutView)),
)]
pub(super) async fn resume(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<u64>,
    body: web::Json<RolloutOrder>,
) -> Result<web::Json<RolloutView>, ApiError> {
    let resume = |rollout: &mut Rollout, by: &str, reason: &str, _: Timestamp| rollout.resume(by, reason);
    change(app, caller, *id, body.into_inner(), "rollout.resume", resume).await
}

#[utoipa::path(
    post,
    path = "/api/v1/rollouts/{id}/abort",
    params(("id" = u64, Path, description = "Number of the rollout")),
    request_body(content = RolloutOrder, example = json!({"reason": "the wrong policy"})),
    responses((status = 200, body = RolloutView, description = "Everybody goes back")),
)]
pub(super) async fn abort(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<u64>,
    body: web::Json<RolloutOrder>,
) -> Result<web::Json<RolloutView>, ApiError> {
    change(app, caller, *id, body.into_inner(), "rollout.abort", Rollout::abort).await
}
