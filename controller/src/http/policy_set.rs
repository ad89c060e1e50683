//! Several policies at once: apply, preview; and the schema of a policy document.

use super::auth::{self, Caller};
use super::error::ApiError;
use super::policy::{Body, text};
use super::publish::{Ground, Request, name, publish};
use super::routes::Access;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::inspect;
use crate::policy::impact::Group;
use crate::policy::plan::{Order, Plan, Read, refusals};
use crate::policy::{self};
use crate::store::Batch;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;
use jiff::Timestamp;
use muster_proto::api::{
    Connection, PlanAction, PolicyPlan, PolicyPreview, PolicySetRequest, PolicyText, PreviewEvents,
    PreviewGroup, PreviewRefusal, ProposalView, Role,
};
use muster_shared::id::AgentId;
use muster_shared::policy::diff::{diff_effective, narrows};
use muster_shared::policy::model::EffectivePolicy;
use muster_shared::policy::schema::document_schema;

/// Largest set of policies, in bytes.
pub(super) const MAX_SET: usize = 16 * 1024 * 1024;
/// Most names of agents in a list.
const MAX_NAMES: usize = 50;
/// Most groups that are shown.
const MAX_GROUPS: usize = 200;
/// Agents of one group that are asked about their recent events.
const ASKED_OF_GROUP: usize = 2;
/// Agents that are asked in all.
const MAX_ASKED: usize = 10;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/policies/apply")
                .app_data(
                    web::JsonConfig::default()
                        .limit(MAX_SET)
                        .error_handler(|e, _| super::bad_json(&e).into()),
                )
                .route(web::post().to(apply)),
        )
        .service(
            web::resource("/policies/preview")
                .app_data(web::PayloadConfig::new(MAX_SET))
                .route(web::post().to(preview)),
        )
        .route("/schemas/policy", web::get().to(schema));
}

/// The JSON Schema of a policy document.
#[utoipa::path(
    get,
    path = "/api/v1/schemas/policy",
    responses((status = 200, body = Object, content_type = "application/schema+json", description = "JSON Schema, draft 7")),
)]
pub(super) async fn schema() -> HttpResponse {
    HttpResponse::Ok().content_type("application/schema+json").json(document_schema())
}

fn order(set: &PolicySetRequest) -> Order {
    let documents = set.documents.iter().cloned().map(Read::from).collect();
    Order { documents, removals: Vec::new(), prune: set.prune }
}

/// Publishes a set, or says what publishing it would do.
#[utoipa::path(
    post,
    path = "/api/v1/policies/apply",
    request_body = PolicySetRequest,
    responses(
        (status = 200, body = PolicyPlan),
        (status = 202, body = ProposalView, description = "A second person must approve"),
        (status = 412, description = "Somebody published meanwhile"),
    ),
)]
pub(super) async fn apply(
    app: web::Data<App>,
    caller: Caller,
    set: web::Json<PolicySetRequest>,
) -> Result<HttpResponse, ApiError> {
    let set = set.into_inner();
    if set.dry_run {
        let plan = blocking(move || {
            let order = order(&set);
            Ok(Ground::of(&app, &order)?.plan(&app, &order).view)
        });
        return Ok(HttpResponse::Ok().json(plan.await?));
    }
    let (order, expected, comment) = blocking(move || Ok((order(&set), set.expected, set.comment))).await?;
    let request = Request { order, expected, draft: None, action: "policy.publish", comment, approved: None };
    let outcome = super::detached(publish(app, caller, request)).await?;
    outcome.answer(|published| Ok(HttpResponse::Ok().json(published.plan)))
}

/// What publishing would mean for the partitions. Takes one YAML document, or a set as JSON.
#[utoipa::path(
    post,
    path = "/api/v1/policies/preview",
    request_body(content((String = "application/yaml"), (PolicySetRequest = "application/json"))),
    responses((status = 200, body = PolicyPreview)),
)]
pub(super) async fn preview(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
    body: Body,
) -> Result<web::Json<PolicyPreview>, ApiError> {
    let text = text(body)?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let set = if kind.starts_with("application/json") {
        serde_json::from_str(&text)
            .map_err(|e| ApiError::bad_request("json", format!("the body cannot be used: {e}")))?
    } else {
        let documents = vec![PolicyText { text, ..PolicyText::default() }];
        PolicySetRequest { documents, ..PolicySetRequest::default() }
    };
    if set.events {
        // Samples are content of events: not for every viewer, and who looked is written down.
        auth::may(&caller, Access::Role(Role::Operator))?;
        let action = Outgoing::by_user(caller.actor(), "policy.preview", "recent events");
        app.commit(Batch::new(), action).await?;
    }
    let at = app.clone();
    let (mut preview, asked) = blocking(move || {
        let order = order(&set);
        let ground = Ground::of(&at, &order)?;
        Ok(previewed(&at, &ground, ground.plan(&at, &order), set.events))
    })
    .await?;
    let answers = join_all(asked.iter().map(|asked| ask(&app, asked))).await;
    for (asked, answer) in asked.iter().zip(answers) {
        if let Some(group) = preview.groups.get_mut(asked.group) {
            group.events.push(answer);
        }
    }
    Ok(web::Json(preview))
}

/// An agent that is asked what a policy would do to its recent events.
struct Asked {
    /// Its place among the groups.
    group: usize,
    agent: AgentId,
    policy: EffectivePolicy,
}

/// Asks one agent; that it does not answer spoils nothing for the others.
async fn ask(app: &App, asked: &Asked) -> PreviewEvents {
    let (report, problem) = match inspect::preview(app, asked.agent, &asked.policy).await {
        Ok(report) => (Some(report), String::new()),
        Err(error) => (None, error.to_string()),
    };
    PreviewEvents { agent: name(app, asked.agent), report, problem }
}

/// The first agents of a group that are connected.
fn connected(app: &App, agents: &[AgentId]) -> Vec<AgentId> {
    let now = Timestamp::now();
    let there = |id: &AgentId| {
        app.fleet.with(*id, |agent| agent.connection(now) == Connection::Connected).unwrap_or(false)
    };
    agents.iter().copied().filter(there).take(ASKED_OF_GROUP).collect()
}

/// Work that may take long is not done where connections are served.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal("the plan was not finished", &error)),
    }
}

fn previewed(app: &App, ground: &Ground, plan: Plan, events: bool) -> (PolicyPreview, Vec<Asked>) {
    let Plan { view, groups, .. } = plan;
    let all: u64 = ground.fleet.sets.values().map(|agents| agents.len() as u64).sum();
    let (mut changed, mut visible, mut asked) = (0, Vec::new(), Vec::new());
    for group in groups {
        let shown = shown(app, ground, &view, &group);
        // A document that changes may leave what is merged as it is.
        if shown.changes.is_empty() {
            continue;
        }
        changed += shown.count;
        if visible.len() >= MAX_GROUPS {
            continue;
        }
        if events && shown.refusals.iter().all(|refusal| refusal.count < shown.count) {
            for agent in connected(app, &group.agents) {
                asked.push(Asked { group: visible.len(), agent, policy: group.new.clone() });
            }
        }
        visible.push(shown);
    }
    asked.truncate(MAX_ASKED);
    let unchanged = all.saturating_sub(changed);
    (PolicyPreview { plan: view, changed, unchanged, groups: visible }, asked)
}

fn shown(app: &App, ground: &Ground, plan: &PolicyPlan, group: &Group) -> PreviewGroup {
    let names = |agents: &[AgentId]| agents.iter().take(MAX_NAMES).map(|id| name(app, *id)).collect();
    let numbered = |document: &String| {
        let planned = plan.policies.iter().find(|p| p.name == *document);
        match planned.filter(|p| p.action != PlanAction::Unchanged) {
            Some(_) => format!("{document}@new"),
            None => format!("{document}@{}", ground.revision(document)),
        }
    };
    let refused = refusals(group, &ground.fleet).into_iter().map(|refusal| PreviewRefusal {
        count: refusal.agents.len() as u64,
        agents: names(&refusal.agents),
        reason: refusal.reason,
    });
    PreviewGroup {
        count: group.agents.len() as u64,
        agents: names(&group.agents),
        ids: group.agents.iter().take(MAX_NAMES).copied().collect(),
        documents: group.documents.iter().map(numbered).collect(),
        changes: diff_effective(&group.old, &group.new).into_iter().map(policy::change).collect(),
        narrows: narrows(&group.old, &group.new),
        bytes: group.bytes as u64,
        refusals: refused.collect(),
        events: Vec::new(),
    }
}
