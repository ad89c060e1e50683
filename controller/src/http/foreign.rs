//! Foreign OpAMP agents: their tokens and configurations.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::fleet::AgentRecord;
use crate::fleet::config_state::ConfigState;
use crate::fleet::configs::{LAST, MAX_BYTES, MAX_CONFIGS, MAX_FILES, PREFIX as CONFIGS, StoredConfig};
use crate::fleet::observed::Observed;
use crate::gateway::outbox::Farewell;
use crate::gateway::process::persist;
use crate::identity::foreign::{ForeignTokenRecord, PREFIX as TOKENS};
use crate::identity::secret;
use crate::store::{self, Batch, Condition};
use actix_web::{HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{
    ConfigRequest, ConfigTarget, ConfigView, ForeignTokenCreated, ForeignTokenRequest, ForeignTokenView,
    Page, PageQuery,
};
use muster_proto::opamp::PATH;
use muster_proto::session::ForeignToken;

const DEFAULT_SECONDS: u64 = 24 * 60 * 60;
const MAX_SECONDS: u64 = 90 * 24 * 60 * 60;
/// Tokens, bound and unbound.
const MAX_TOKENS: usize = 10_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    // Room for the largest configuration as JSON.
    let json = web::JsonConfig::default()
        .limit(MAX_BYTES * 2 + 64 * 1024)
        .error_handler(|error, _| super::bad_json(&error).into());
    config
        .service(
            web::resource("/foreign-tokens")
                .route(web::post().to(create_token))
                .route(web::get().to(list_tokens))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/foreign-tokens/{id}", web::delete().to(delete_token))
        .service(
            web::resource("/foreign-configs")
                .app_data(json)
                .route(web::put().to(set_config))
                .route(web::get().to(list_configs))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/foreign-configs/{revision}", web::delete().to(delete_config));
}

#[utoipa::path(
    post,
    path = "/api/v1/foreign-tokens",
    request_body(content = ForeignTokenRequest, example = json!({"labels": {"site": "east"}, "note": "collector on web1"})),
    responses((status = 201, body = ForeignTokenCreated)),
)]
pub(super) async fn create_token(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<ForeignTokenRequest>,
) -> Result<HttpResponse, ApiError> {
    let request = body.into_inner();
    super::token::check_labels(&request.labels)?;
    let seconds = request.expires_in_seconds.unwrap_or(DEFAULT_SECONDS);
    if seconds == 0 || seconds > MAX_SECONDS {
        return Err(ApiError::bad_request(
            "expiry",
            format!("expires_in_seconds must be 1 to {MAX_SECONDS} (90 days)"),
        ));
    }
    if request.note.len() > 200 || request.note.contains('\n') {
        return Err(ApiError::bad_request("note", "note must be one line of at most 200 bytes"));
    }
    let now = Timestamp::now();
    let mut batch = drop_unused(&app, now)?;
    let token = ForeignToken { id: uuid::Uuid::now_v7(), secret: secret::random_bytes() };
    let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let record = ForeignTokenRecord {
        id: token.id.to_string(),
        secret_sha256: secret::hex(&token.secret_hash()),
        created_at: now,
        created_by: caller.session.user.clone(),
        expires_at: now + life,
        labels: request.labels,
        note: request.note,
        agent: None,
    };
    batch.put_json(ForeignTokenRecord::key(&record.id), Condition::Absent, &record);
    let action = Outgoing::by_user(caller.actor(), "foreign-token.create", record.id.as_str())
        .detail(format!("to be used until {}", record.expires_at));
    app.commit(batch, action).await?;
    let created = ForeignTokenCreated { view: record.view(), token: token.format(), urls: urls(&app.urls) };
    Ok(HttpResponse::Created().json(created))
}

/// Each address of the controller, as WebSocket and as HTTP.
fn urls(addresses: &[String]) -> Vec<String> {
    let bare = |url: &str| {
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("wss://")).unwrap_or(url);
        host.trim_end_matches('/').trim_end_matches(PATH).to_owned()
    };
    addresses
        .iter()
        .map(|u| bare(u))
        .flat_map(|host| ["wss", "https"].map(|s| format!("{s}://{host}{PATH}")))
        .collect()
}

/// Deletes tokens that nobody used in time.
fn drop_unused(app: &App, now: Timestamp) -> Result<Batch, ApiError> {
    let tokens = store::scan_json::<ForeignTokenRecord>(&*app.store, TOKENS)?;
    let mut batch = Batch::new();
    let mut left = tokens.len();
    for (key, token) in tokens {
        if token.agent.is_none() && now >= token.expires_at {
            batch.delete(key, Condition::Any);
            left -= 1;
        }
    }
    if left >= MAX_TOKENS {
        return Err(ApiError::conflict("too-many-tokens", "there are too many tokens; delete some"));
    }
    Ok(batch)
}

#[utoipa::path(
    get,
    path = "/api/v1/foreign-tokens",
    params(PageQuery),
    responses((status = 200, body = Page<ForeignTokenView>)),
)]
pub(super) async fn list_tokens(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<ForeignTokenView>>, ApiError> {
    let tokens = store::scan_json::<ForeignTokenRecord>(&*app.store, TOKENS)?;
    Ok(web::Json(super::page(tokens.into_iter().map(|(_, t)| (t.id.clone(), t.view())), &query)?))
}

/// Deletes a token. The agent that it is bound to is disconnected and removed with it.
#[utoipa::path(
    delete,
    path = "/api/v1/foreign-tokens/{id}",
    params(("id" = String, Path, description = "Id of the token")),
    responses((status = 204)),
)]
pub(super) async fn delete_token(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    super::detached(forget_token(app, caller, id.into_inner())).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn forget_token(app: web::Data<App>, caller: Caller, id: String) -> Result<(), ApiError> {
    // Not while somebody uses it for the first time.
    let _writes = app.fleet.record_writes().await;
    let token = if id.len() > 64 { None } else { crate::identity::foreign::stored(&app, &id)? };
    let Some(token) = token else {
        return Err(ApiError::not_found("there is no such token; see `muster token list`"));
    };
    let mut batch = Batch::new();
    batch.delete(ForeignTokenRecord::key(&id), Condition::Any);
    if let Some(agent) = token.agent {
        batch.delete(AgentRecord::key(agent), Condition::Any);
        batch.delete(Observed::key(agent), Condition::Any);
        batch.delete(ConfigState::key(agent), Condition::Any);
        batch.delete(StoredConfig::key(&ConfigTarget::Agent(agent)), Condition::Any);
    }
    let action = Outgoing::by_user(caller.actor(), "foreign-token.delete", id.as_str());
    let bound = token.agent.map(|agent| format!("with agent {agent}")).unwrap_or_default();
    app.commit(batch, action.detail(bound)).await?;
    if let Some(agent) = token.agent {
        app.fleet.forget_config(agent);
        if let Some(outbox) = app.fleet.remove(agent) {
            outbox.end(Farewell::Removed);
        }
    }
    Ok(())
}

#[utoipa::path(
    get,
    path = "/api/v1/foreign-configs",
    params(PageQuery),
    responses((status = 200, body = Page<ConfigView>)),
)]
pub(super) async fn list_configs(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<ConfigView>>, ApiError> {
    let configs = store::scan_json::<StoredConfig>(&*app.store, CONFIGS)?;
    Ok(web::Json(super::page(configs.into_iter().map(|(key, c)| (key, c.view())), &query)?))
}

#[utoipa::path(
    put,
    path = "/api/v1/foreign-configs",
    request_body(
        content = ConfigRequest,
        example = json!({"target": {"selector": {"site": "east"}}, "files": {"": {"body": "a: 1", "content_type": "text/yaml"}}}),
    ),
    responses((status = 200, body = ConfigView)),
)]
pub(super) async fn set_config(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<ConfigRequest>,
) -> Result<web::Json<ConfigView>, ApiError> {
    super::detached(put_config(app, caller, body.into_inner())).await
}

fn check_config(app: &App, request: &ConfigRequest) -> Result<(), ApiError> {
    match &request.target {
        ConfigTarget::Selector(labels) => super::token::check_labels(labels)?,
        ConfigTarget::Agent(id) => match app.fleet.with(*id, |a| a.record.foreign.is_some()) {
            Some(true) => {}
            Some(false) => {
                return Err(ApiError::bad_request(
                    "not-foreign",
                    format!(
                        "agent {id} is Muster's own: it runs policies (`muster policy apply`), not files"
                    ),
                ));
            }
            None => return Err(ApiError::not_found(format!("there is no agent {id}; see `muster agents`"))),
        },
    }
    let bytes =
        request.files.iter().map(|(n, f)| n.len() + f.body.len() + f.content_type.len()).sum::<usize>();
    if request.files.is_empty() || request.files.len() > MAX_FILES || bytes > MAX_BYTES {
        return Err(ApiError::bad_request(
            "files",
            format!("a configuration has 1 to {MAX_FILES} files, together at most {MAX_BYTES} bytes"),
        ));
    }
    let odd = |text: &str| text.len() > 255 || text.chars().any(char::is_control);
    if let Some((name, _)) = request.files.iter().find(|(n, f)| odd(n) || odd(&f.content_type)) {
        return Err(ApiError::bad_request(
            "files",
            format!(
                "name or content type of file `{}` cannot be used: at most 255 bytes, no control characters",
                crate::fleet::bounded(&name.escape_debug().to_string(), 80)
            ),
        ));
    }
    Ok(())
}

async fn put_config(
    app: web::Data<App>,
    caller: Caller,
    request: ConfigRequest,
) -> Result<web::Json<ConfigView>, ApiError> {
    let _writes = app.fleet.record_writes().await;
    check_config(&app, &request)?;
    let key = StoredConfig::key(&request.target);
    let present = store::get_json::<StoredConfig>(&*app.store, &key)?;
    if present.is_none() && store::scan_json::<StoredConfig>(&*app.store, CONFIGS)?.len() >= MAX_CONFIGS {
        return Err(ApiError::conflict("too-many-configs", "there are too many configurations; remove some"));
    }
    let last: u64 = store::get_json(&*app.store, LAST)?.unwrap_or(0);
    let stored = StoredConfig {
        target: request.target,
        revision: last + 1,
        set_at: Timestamp::now(),
        set_by: caller.session.user.clone(),
        files: request.files,
    };
    let view = stored.view();
    let mut batch = Batch::new();
    batch.put_json(LAST, Condition::Any, &stored.revision);
    batch.put_json(key, Condition::Any, &stored);
    let action = Outgoing::by_user(caller.actor(), "foreign-config.set", stored.name()).detail(format!(
        "revision {}, {} file(s), hash {}",
        stored.revision,
        stored.files.len(),
        view.hash
    ));
    app.commit(batch, action).await?;
    for agent in app.fleet.set_config(&stored, false) {
        persist(&app, agent, true, None).await?;
    }
    Ok(web::Json(view))
}

/// Removes a configuration. Agents go on with it until they are given another: OpAMP has no word for "none".
#[utoipa::path(
    delete,
    path = "/api/v1/foreign-configs/{revision}",
    params(("revision" = u64, Path, description = "Revision of the configuration as it is set")),
    responses((status = 204)),
)]
pub(super) async fn delete_config(
    app: web::Data<App>,
    caller: Caller,
    revision: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    super::detached(forget_config(app, caller, revision.into_inner())).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn forget_config(app: web::Data<App>, caller: Caller, revision: u64) -> Result<(), ApiError> {
    let _writes = app.fleet.record_writes().await;
    let configs = store::scan_json::<StoredConfig>(&*app.store, CONFIGS)?;
    let Some((key, stored)) = configs.into_iter().find(|(_, c)| c.revision == revision) else {
        return Err(ApiError::not_found(format!(
            "no configuration of foreign agents has revision {revision} (any more); see `muster agents config`"
        )));
    };
    let mut batch = Batch::new();
    batch.delete(key, Condition::Any);
    let action = Outgoing::by_user(caller.actor(), "foreign-config.remove", stored.name())
        .detail(format!("revision {revision}"));
    app.commit(batch, action).await?;
    for agent in app.fleet.set_config(&stored, true) {
        persist(&app, agent, true, None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_transports_are_named() {
        let urls = urls(&["https://c:4320".to_owned(), "wss://d:1/v1/opamp".to_owned()]);
        let expected = [
            "wss://c:4320/v1/opamp",
            "https://c:4320/v1/opamp",
            "wss://d:1/v1/opamp",
            "https://d:1/v1/opamp",
        ];
        assert_eq!(urls, expected);
    }
}
