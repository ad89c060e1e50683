//! Drafts of policies.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::{Precondition, etag};
use super::policy::{Body, text};
use super::publish::{self, Request};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::policy::draft::{self, MAX_DRAFTS, StoredDraft};
use crate::policy::plan::{Order, Read};
use crate::store::Batch;
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{
    DraftQuery, DraftText, DraftView, Page, PageQuery, PolicyFault, PolicyPublished, ProposalView,
    PublishQuery,
};
use muster_shared::policy::validate::holds_private_key;
use std::collections::BTreeMap;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/drafts")
                .route(web::get().to(list))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .service(
            web::resource("/drafts/{name}")
                .route(web::get().to(show))
                .route(web::put().to(save))
                .route(web::delete().to(delete))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/drafts/{name}/publish", web::post().to(publish_draft));
}

fn what(name: &str) -> String {
    format!("draft `{name}`")
}

fn find(app: &App, name: &str) -> Result<Option<StoredDraft>, ApiError> {
    if draft::is_name(name) { Ok(draft::stored(&*app.store, name)?) } else { Ok(None) }
}

fn existing(app: &App, name: &str) -> Result<StoredDraft, ApiError> {
    find(app, name)?.ok_or_else(|| {
        ApiError::not_found(format!("there is no {}; see `muster policy draft list`", what(name)))
    })
}

#[utoipa::path(
    get,
    path = "/api/v1/drafts",
    params(PageQuery),
    responses((status = 200, body = Page<DraftView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<DraftView>>, ApiError> {
    let drafts = draft::all(&*app.store)?.into_iter().map(|d| (d.name.clone(), d));
    let Page { items, next } = super::page(drafts, &query)?;
    Ok(web::Json(Page { items: items.iter().map(|d| d.view(&app.book)).collect(), next }))
}

#[utoipa::path(
    get,
    path = "/api/v1/drafts/{name}",
    params(("name" = String, Path, description = "Name of the draft")),
    responses((status = 200, body = DraftText)),
)]
pub(super) async fn show(
    app: web::Data<App>,
    _: Caller,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let draft = existing(&app, &name)?;
    let view = draft.view(&app.book);
    Ok(HttpResponse::Ok().insert_header(etag(&draft.etag)).json(DraftText { draft: view, text: draft.text }))
}

#[utoipa::path(
    put,
    path = "/api/v1/drafts/{name}",
    params(("name" = String, Path, description = "Name of the draft"), DraftQuery),
    request_body(content = String, content_type = "application/yaml"),
    responses(
        (status = 201, body = DraftView, description = "A new draft"),
        (status = 200, body = DraftView, description = "Saved"),
        (status = 412, description = "It was changed meanwhile, or is there already"),
        (status = 428, description = "Neither If-Match nor If-None-Match was sent"),
    ),
)]
pub(super) async fn save(
    app: web::Data<App>,
    caller: Caller,
    name: web::Path<String>,
    query: web::Query<DraftQuery>,
    known: Precondition,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let text = text(body)?;
    let base = query.base;
    let (new, draft) =
        super::detached(save_text(app.clone(), caller, name.into_inner(), (text, base), known)).await?;
    let mut answer = if new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.insert_header(etag(&draft.etag)).json(draft.view(&app.book)))
}

async fn save_text(
    app: web::Data<App>,
    caller: Caller,
    name: String,
    (text, base): (String, Option<u64>),
    known: Precondition,
) -> Result<(bool, StoredDraft), ApiError> {
    if !draft::is_name(&name) {
        let rule = "a draft's name has lower-case letters, digits and `-`, not first, at most 63";
        return Err(ApiError::bad_request("draft-name", rule));
    }
    if holds_private_key(&text) {
        return Err(ApiError::invalid_policy(vec![private_key()]));
    }
    let before = draft::stored(&*app.store, &name)?;
    known.require(before.as_ref().map(|d| d.etag.as_str()), &what(&name))?;
    if before.is_none() && draft::all(&*app.store)?.len() >= MAX_DRAFTS {
        let detail = format!("there are {MAX_DRAFTS} drafts; publish or delete some");
        return Err(ApiError::conflict("too-many-drafts", detail));
    }
    let who = (caller.session.user.as_str(), Timestamp::now());
    let draft = draft::saved(before.as_ref(), &name, text, base, &app.book, who);
    let mut batch = Batch::new();
    draft.put(before.as_ref(), &mut batch);
    let sha256 = crate::identity::secret::sha256_hex(draft.text.as_bytes());
    let action = Outgoing::by_user(caller.actor(), "policy.draft", name.as_str());
    app.commit(batch, action.detail(format!("sha256 {sha256}"))).await?;
    Ok((before.is_none(), draft))
}

fn private_key() -> PolicyFault {
    PolicyFault {
        line: 0,
        column: 0,
        path: String::new(),
        message: "the text holds a private key, which a policy must never carry; put it into the secrets folder of \
                  the agents and name it here"
            .to_owned(),
    }
}

#[utoipa::path(
    delete,
    path = "/api/v1/drafts/{name}",
    params(("name" = String, Path, description = "Name of the draft")),
    responses((status = 204, description = "It is deleted"), (status = 412, description = "It was changed meanwhile")),
)]
pub(super) async fn delete(
    app: web::Data<App>,
    caller: Caller,
    name: web::Path<String>,
    known: Precondition,
) -> Result<HttpResponse, ApiError> {
    let draft = existing(&app, &name)?;
    known.require(Some(&draft.etag), &what(&name))?;
    let mut batch = Batch::new();
    draft.delete(&mut batch);
    let action = Outgoing::by_user(caller.actor(), "policy.draft-delete", name.as_str());
    super::detached(async move { Ok(app.commit(batch, action).await?) }).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    post,
    path = "/api/v1/drafts/{name}/publish",
    params(("name" = String, Path, description = "Name of the draft"), PublishQuery),
    responses(
        (status = 201, body = PolicyPublished, description = "A new revision; the draft is gone"),
        (status = 200, body = PolicyPublished, description = "That text is current already; the draft is gone"),
        (status = 202, body = ProposalView, description = "A second person must approve"),
        (status = 412, description = "The draft was changed meanwhile"),
    ),
)]
pub(super) async fn publish_draft(
    app: web::Data<App>,
    caller: Caller,
    name: web::Path<String>,
    query: web::Query<PublishQuery>,
    known: Precondition,
) -> Result<HttpResponse, ApiError> {
    let draft = existing(&app, &name)?;
    known.require(Some(&draft.etag), &what(&name))?;
    let present = app.book.live(&draft.policy);
    if !draft.policy.is_empty() && present != draft.base {
        let (policy, base) = (&draft.policy, draft.base);
        return Err(ApiError::conflict(
            "draft-outdated",
            format!(
                "{} was made from revision {base} of policy `{policy}`, which is at revision {present} by now; compare \
                 them with `muster policy diff {policy}@{base} {policy}`, put what is new into the draft and save it with \
                 base {present}",
                what(&name)
            ),
        ));
    }
    let request = Request {
        order: Order { documents: vec![Read::text(draft.text.clone())], ..Order::default() },
        expected: BTreeMap::from([(draft.policy.clone(), draft.base)]),
        draft: Some(draft),
        action: "policy.publish",
        comment: query.into_inner().comment,
        approved: None,
    };
    super::detached(publish::publish(app, caller, request)).await?.answer(|published| {
        let published = published.single()?;
        Ok(if published.changed { HttpResponse::Created() } else { HttpResponse::Ok() }.json(published))
    })
}
