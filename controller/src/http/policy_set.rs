//! Several policies at once: apply, preview; and the schema of a policy document.

use super::auth::Caller;
use super::error::ApiError;
use super::policy::{Body, text};
use super::publish::{Ground, Request, name, publish};
use crate::app::App;
use crate::policy::impact::Group;
use crate::policy::plan::{Order, Plan, Read, refusals};
use crate::policy::{self};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use muster_proto::api::{
    PlanAction, PolicyPlan, PolicyPreview, PolicySetRequest, PolicyText, PreviewGroup, PreviewRefusal,
    ProposalView,
};
use muster_shared::id::AgentId;
use muster_shared::policy::diff::{diff_effective, narrows};
use muster_shared::policy::schema::document_schema;

/// Largest set of policies, in bytes.
pub(super) const MAX_SET: usize = 16 * 1024 * 1024;
/// Most names of agents in a list.
const MAX_NAMES: usize = 50;
/// Most groups that are shown.
const MAX_GROUPS: usize = 200;

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
    let (order, expected) = blocking(move || Ok((order(&set), set.expected))).await?;
    let request = Request { order, expected, draft: None, action: "policy.publish", approved: None };
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
    _: Caller,
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
    blocking(move || {
        let order = order(&set);
        let ground = Ground::of(&app, &order)?;
        Ok(web::Json(previewed(&app, &ground, ground.plan(&app, &order))))
    })
    .await
}

/// Work that may take long is not done where connections are served.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal("the plan was not finished", &error)),
    }
}

fn previewed(app: &App, ground: &Ground, plan: Plan) -> PolicyPreview {
    let Plan { view, groups, .. } = plan;
    let all: u64 = ground.fleet.sets.values().map(|agents| agents.len() as u64).sum();
    // A document that changes may leave what is merged as it is.
    let groups: Vec<PreviewGroup> = groups
        .iter()
        .map(|group| shown(app, ground, &view, group))
        .filter(|group| !group.changes.is_empty())
        .collect();
    let changed = groups.iter().map(|g| g.count).sum::<u64>();
    let shown = groups.into_iter().take(MAX_GROUPS).collect();
    PolicyPreview { plan: view, changed, unchanged: all.saturating_sub(changed), groups: shown }
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
        documents: group.documents.iter().map(numbered).collect(),
        changes: diff_effective(&group.old, &group.new).into_iter().map(policy::change).collect(),
        narrows: narrows(&group.old, &group.new),
        bytes: group.bytes as u64,
        refusals: refused.collect(),
    }
}
