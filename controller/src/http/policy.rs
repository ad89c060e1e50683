//! Policies.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::{Precondition, etag};
use super::publish::{self, Request};
use crate::app::App;
use crate::fleet::Agent;
use crate::policy::plan::{Order, Read};
use crate::policy::{self, Checked, StoredRevision};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{
    Labels, Page, PageQuery, PolicyCheck, PolicyDiff, PolicyDiffQuery, PolicyPublished, PolicyRevert,
    PolicyRevisionText, PolicyRevisionView, PolicyState, PolicyStatus, PolicyStatusAgent, PolicyText,
    ProposalView, PublishQuery,
};
use muster_shared::id::{AgentId, Revision};
use muster_shared::policy::parse::MAX_BYTES;
use std::collections::BTreeMap;

/// Agents listed in a status.
const MAX_LISTED: usize = 1_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/policies/validate", web::post().to(validate))
        .service(
            web::resource("/policies")
                .route(web::post().to(publish))
                .route(web::get().to(list))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .service(
            web::resource("/policies/{name}")
                .route(web::get().to(show))
                .route(web::delete().to(remove))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/policies/{name}/revisions", web::get().to(history))
        .route("/policies/{name}/revisions/{revision}", web::get().to(revision))
        .route("/policies/{name}/diff", web::get().to(diff))
        .route("/policies/{name}/revert", web::post().to(revert))
        .route("/policies/{name}/status", web::get().to(status));
}

pub(super) type Body = Result<web::Bytes, actix_web::Error>;

pub(super) fn text(body: Body) -> Result<String, ApiError> {
    let bytes = body.map_err(|e| ApiError::unreadable_body(&e, MAX_BYTES))?;
    String::from_utf8(bytes.to_vec())
        .map_err(|_| ApiError::bad_request("utf-8", "the body is not UTF-8 text; save the file as UTF-8"))
}

fn selected(app: &App, selector: &Labels) -> u64 {
    app.fleet.each(|agent| u64::from(agent.record.is_selected(selector))).into_iter().sum()
}

/// The present revision of a document, removed or not.
fn present(app: &App, name: &str) -> Result<Option<StoredRevision>, ApiError> {
    match app.book.current(name) {
        Some(revision) => Ok(policy::stored(&*app.store, name, revision)?),
        None => Ok(None),
    }
}

fn live(app: &App, name: &str) -> Result<StoredRevision, ApiError> {
    let stored = present(app, name)?.filter(|s| !s.view.removed);
    stored
        .ok_or_else(|| ApiError::not_found(format!("there is no policy `{name}`; see `muster policy show`")))
}

#[utoipa::path(
    post,
    path = "/api/v1/policies/validate",
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = PolicyCheck)),
)]
pub(super) async fn validate(
    app: web::Data<App>,
    _: Caller,
    body: Body,
) -> Result<web::Json<PolicyCheck>, ApiError> {
    let text = text(body)?;
    let Checked { document, faults, warnings } = app.book.check(&text);
    let (name, agents, old) = match &document {
        Some(d) => (d.name.clone(), selected(&app, &d.selector), present(&app, &d.name)?),
        None => (String::new(), 0, None),
    };
    let old = old.filter(|s| !s.view.removed);
    let changes = match (&document, &old) {
        (Some(_), Some(old)) => policy::changes(Some(&old.text), Some(&text)),
        (Some(_), None) | (None, _) => Vec::new(),
    };
    Ok(web::Json(PolicyCheck { valid: faults.is_empty(), name, faults, warnings, changes, agents }))
}

#[utoipa::path(
    post,
    path = "/api/v1/policies",
    params(PublishQuery),
    request_body(content = String, content_type = "application/yaml"),
    responses(
        (status = 201, body = PolicyPublished, description = "A new revision"),
        (status = 200, body = PolicyPublished, description = "The same content was current already"),
        (status = 202, body = ProposalView, description = "A second person must approve"),
    ),
)]
pub(super) async fn publish(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<PublishQuery>,
    known: Precondition,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let text = text(body)?;
    let read = Read::text(text);
    let expected = publish::expected(&app, read.name(), &known)?;
    answer(app, caller, one(read, expected, "policy.publish", query.into_inner().comment)).await
}

/// An order of one document.
fn one(document: Read, expected: BTreeMap<String, u64>, action: &'static str, comment: String) -> Request {
    let order = Order { documents: vec![document], ..Order::default() };
    Request { order, expected, draft: None, action, comment, approved: None }
}

async fn answer(app: web::Data<App>, caller: Caller, request: Request) -> Result<HttpResponse, ApiError> {
    super::detached(publish::publish(app, caller, request)).await?.answer(|published| {
        let published = published.single()?;
        let mut answer = if published.changed { HttpResponse::Created() } else { HttpResponse::Ok() };
        Ok(answer.insert_header(etag(published.revision.revision)).json(published))
    })
}

/// Publishes the text of an older revision again.
#[utoipa::path(
    post,
    path = "/api/v1/policies/{name}/revert",
    params(("name" = String, Path, description = "Name of the document")),
    request_body = PolicyRevert,
    responses(
        (status = 201, body = PolicyPublished, description = "A new revision"),
        (status = 200, body = PolicyPublished, description = "That text is current already"),
        (status = 202, body = ProposalView, description = "A second person must approve"),
    ),
)]
pub(super) async fn revert(
    app: web::Data<App>,
    caller: Caller,
    name: web::Path<String>,
    known: Precondition,
    body: web::Json<PolicyRevert>,
) -> Result<HttpResponse, ApiError> {
    let expected = publish::expected(&app, &name, &known)?;
    let old = numbered(self::known(&app, &name)?, &name, body.to)?;
    if old.view.removed {
        return Err(ApiError::conflict(
            "removing-revision",
            format!("revision {} removed the policy; `muster policy remove {name}` does that", body.to),
        ));
    }
    let source = PolicyText { text: old.text, signature: old.signature, ..PolicyText::default() };
    answer(app, caller, one(Read::from(source), expected, "policy.revert", body.into_inner().comment)).await
}

#[utoipa::path(
    delete,
    path = "/api/v1/policies/{name}",
    params(("name" = String, Path, description = "Name of the document"), PublishQuery),
    responses(
        (status = 200, body = PolicyPublished),
        (status = 202, body = ProposalView, description = "A second person must approve"),
    ),
)]
pub(super) async fn remove(
    app: web::Data<App>,
    caller: Caller,
    name: web::Path<String>,
    query: web::Query<PublishQuery>,
    known: Precondition,
) -> Result<HttpResponse, ApiError> {
    live(&app, &name)?;
    let expected = publish::expected(&app, &name, &known)?;
    let order = Order { removals: vec![name.into_inner()], ..Order::default() };
    let request = Request {
        order,
        expected,
        draft: None,
        action: "policy.remove",
        comment: query.into_inner().comment,
        approved: None,
    };
    let outcome = super::detached(publish::publish(app, caller, request)).await?;
    outcome.answer(|published| Ok(HttpResponse::Ok().json(published.single()?)))
}

#[utoipa::path(
    get,
    path = "/api/v1/policies",
    params(PageQuery),
    responses((status = 200, body = Page<PolicyRevisionView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<PolicyRevisionView>>, ApiError> {
    let mut views = Vec::new();
    for name in app.book.names() {
        if let Some(stored) = present(&app, &name)? {
            views.push((name, stored.view));
        }
    }
    Ok(web::Json(super::page(views, &query)?))
}

#[utoipa::path(
    get,
    path = "/api/v1/policies/{name}",
    params(("name" = String, Path, description = "Name of the document")),
    responses((status = 200, body = PolicyRevisionText)),
)]
pub(super) async fn show(
    app: web::Data<App>,
    _: Caller,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let StoredRevision { view, text, signature, .. } = live(&app, &name)?;
    let tag = etag(view.revision);
    Ok(HttpResponse::Ok().insert_header(tag).json(PolicyRevisionText { revision: view, text, signature }))
}

fn known(app: &App, name: &str) -> Result<Vec<StoredRevision>, ApiError> {
    // The book knows every name; a name that it does not know could be a prefix of a key.
    let history = if app.book.knows(name) { policy::history(&*app.store, name)? } else { Vec::new() };
    if history.is_empty() {
        return Err(ApiError::not_found(format!("there never was a policy `{name}`")));
    }
    Ok(history)
}

#[utoipa::path(
    get,
    path = "/api/v1/policies/{name}/revisions",
    params(("name" = String, Path, description = "Name of the document"), PageQuery),
    responses((status = 200, body = Page<PolicyRevisionView>)),
)]
pub(super) async fn history(
    app: web::Data<App>,
    _: Caller,
    name: web::Path<String>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<PolicyRevisionView>>, ApiError> {
    // Newest first: the keys of the page fall as the numbers grow.
    let newest_first = known(&app, &name)?.into_iter().rev();
    let views = newest_first.map(|s| (format!("{:020}", u64::MAX - s.view.revision.0), s.view));
    Ok(web::Json(super::page(views, &query)?))
}

#[utoipa::path(
    get,
    path = "/api/v1/policies/{name}/revisions/{revision}",
    params(("name" = String, Path, description = "Name of the document"), ("revision" = u64, Path, description = "Number of the revision")),
    responses((status = 200, body = PolicyRevisionText)),
)]
pub(super) async fn revision(
    app: web::Data<App>,
    _: Caller,
    path: web::Path<(String, u64)>,
) -> Result<web::Json<PolicyRevisionText>, ApiError> {
    let (name, number) = path.into_inner();
    let history = known(&app, &name)?;
    let StoredRevision { view, text, signature, .. } = numbered(history, &name, number)?;
    Ok(web::Json(PolicyRevisionText { revision: view, text, signature }))
}

fn numbered(history: Vec<StoredRevision>, name: &str, number: u64) -> Result<StoredRevision, ApiError> {
    let found = history.into_iter().find(|s| s.view.revision.0 == number);
    found.ok_or_else(|| {
        ApiError::not_found(format!(
            "policy `{name}` has no revision {number}; see `muster policy history {name}`"
        ))
    })
}

#[utoipa::path(
    get,
    path = "/api/v1/policies/{name}/diff",
    params(("name" = String, Path, description = "Name of the document"), PolicyDiffQuery),
    responses((status = 200, body = PolicyDiff)),
)]
pub(super) async fn diff(
    app: web::Data<App>,
    _: Caller,
    name: web::Path<String>,
    query: web::Query<PolicyDiffQuery>,
) -> Result<web::Json<PolicyDiff>, ApiError> {
    let history = known(&app, &name)?;
    let last = history.last().map_or(0, |s| s.view.revision.0);
    let to = numbered(history.clone(), &name, query.to.unwrap_or(last))?;
    let before = |s: &&StoredRevision| s.view.revision < to.view.revision;
    let from = match query.from {
        Some(0) => None,
        Some(number) => Some(numbered(history, &name, number)?),
        None => history.iter().rev().find(before).cloned(),
    };
    let text = |s: &StoredRevision| (!s.view.removed).then(|| s.text.clone());
    let old = from.as_ref().and_then(text);
    let new = text(&to);
    Ok(web::Json(PolicyDiff {
        name: name.into_inner(),
        from: from.map_or(Revision(0), |s| s.view.revision),
        to: to.view.revision,
        changes: policy::changes(old.as_deref(), new.as_deref()),
    }))
}

#[utoipa::path(
    get,
    path = "/api/v1/policies/{name}/status",
    params(("name" = String, Path, description = "Name of the document")),
    responses((status = 200, body = PolicyStatus)),
)]
pub(super) async fn status(
    app: web::Data<App>,
    _: Caller,
    name: web::Path<String>,
) -> Result<web::Json<PolicyStatus>, ApiError> {
    let stored = live(&app, &name)?;
    let now = Timestamp::now();
    let line = |agent: &mut Agent| {
        let selected = agent.record.is_selected(&stored.view.selector);
        selected.then(|| (rank(agent.policy_state(now)), agent.record.id))
    };
    let mut lines: Vec<(Rank, AgentId)> = app.fleet.each(line).into_iter().flatten().collect();
    let count = |state: PolicyState| lines.iter().filter(|(r, _)| *r == rank(state)).count() as u64;
    let counted = PolicyStatus {
        name: name.into_inner(),
        revision: stored.view.revision,
        applied: count(PolicyState::Applied),
        applying: count(PolicyState::Applying),
        failed: count(PolicyState::Failed),
        waiting: count(PolicyState::Waiting),
        agents: Vec::new(),
    };
    // Those that need somebody to look are listed whatever happens.
    if lines.len() > MAX_LISTED {
        lines.select_nth_unstable(MAX_LISTED);
        lines.truncate(MAX_LISTED);
    }
    let shown = |agent: &mut Agent| {
        let status = agent.policy_status(now);
        PolicyStatusAgent {
            id: agent.record.id,
            name: agent.observed.name(agent.record.id),
            state: status.state,
            reason: status.reason,
        }
    };
    let mut agents: Vec<PolicyStatusAgent> =
        lines.into_iter().filter_map(|(_, id)| app.fleet.with(id, shown)).collect();
    agents.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(web::Json(PolicyStatus { agents, ..counted }))
}

/// Who is listed first, where not all can be.
type Rank = u8;

fn rank(state: PolicyState) -> Rank {
    match state {
        PolicyState::Failed => 0,
        PolicyState::Waiting => 1,
        PolicyState::Applying => 2,
        PolicyState::Applied => 3,
    }
}
