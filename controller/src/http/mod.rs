//! The interface for people and programs: `/api/v1`, `/metrics`, `/healthz`, `/readyz`, and the web console at `/`.
//!
//! One file per resource. Every error is a problem (RFC 9457) that says what to do.

mod agent;
mod agent_audit;
mod audit;
mod auth;
mod backup;
mod ca;
mod console;
mod credential;
mod draft;
mod enrolment;
pub mod error;
pub(crate) mod etag;
mod event;
mod foreign;
mod gate;
mod headers;
pub mod idempotency;
mod inspect;
mod lease;
mod licence;
mod maintenance;
pub mod metrics;
pub mod openapi;
mod package;
mod partition;
mod partition_csv;
mod pin;
mod policy;
mod policy_set;
mod proposal;
mod publish;
mod publish_proposal;
mod rates;
mod restart;
mod rollout;
mod rollout_package;
pub mod routes;
mod selector;
mod session;
mod token;
mod user;

use crate::app::App;
use crate::identity::peer::ConnectionInfo;
use actix_web::http::Method;
use actix_web::http::header::ContentType;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use error::ApiError;
pub(crate) use headers::protect;
use muster_proto::api::{Page, PageQuery};
use muster_proto::opamp::PATH;
use muster_shared::policy::parse::MAX_BYTES as MAX_POLICY_BYTES;

/// Largest JSON body of a request.
const MAX_JSON: usize = 64 * 1024;
/// Largest body of any request or stored answer.
const MAX_BODY: usize = MAX_POLICY_BYTES;
/// Longest line that people write, in bytes.
const MAX_LINE: usize = 200;
/// Items of a page unless asked otherwise.
const PAGE: usize = 100;
/// Most items of a page.
const MAX_PAGE: u32 = 1_000;

/// All routes.
pub fn routes(config: &mut web::ServiceConfig) {
    let opamp = web::resource(PATH)
        .route(web::get().to(crate::gateway::websocket::no_upgrade))
        .route(web::post().to(crate::gateway::poll::poll));
    let json = web::JsonConfig::default().limit(MAX_JSON).error_handler(|error, _| bad_json(&error).into());
    let query = web::QueryConfig::default().error_handler(|error, _| {
        ApiError::bad_request("query", format!("the query of the URL cannot be used: {error}")).into()
    });
    // A number that is none names nothing.
    let path = web::PathConfig::default().error_handler(|error, request| {
        ApiError::not_found(format!("there is nothing at {}: {error}", request.path())).into()
    });
    let api = web::scope("/api/v1")
        .wrap(from_fn(gate::gate))
        .app_data(json)
        .app_data(query)
        .app_data(path)
        .app_data(web::PayloadConfig::new(MAX_POLICY_BYTES))
        .configure(session::routes)
        .configure(token::routes)
        .configure(agent::routes)
        .configure(policy_set::routes)
        .configure(enrolment::routes)
        .configure(ca::routes)
        .configure(foreign::routes)
        .configure(agent_audit::routes)
        .configure(restart::routes)
        .configure(policy::routes)
        .configure(draft::routes)
        .configure(rates::routes)
        .configure(partition::routes)
        .configure(inspect::routes)
        .configure(maintenance::routes)
        .configure(pin::routes)
        .configure(audit::routes)
        .configure(user::routes)
        .configure(credential::routes)
        .configure(event::routes)
        .configure(proposal::routes)
        .configure(rollout::routes)
        .configure(package::routes)
        .configure(lease::routes)
        .configure(licence::routes)
        .configure(backup::routes)
        .route("/openapi.json", web::get().to(openapi::document))
        .default_service(web::to(not_found));
    let package = web::resource("/v1/packages/{sha256}").route(web::get().to(crate::gateway::package::serve));
    config
        .service(opamp)
        .service(package)
        .service(api)
        .service(web::resource("/metrics").wrap(from_fn(gate::gate)).route(web::get().to(metrics::metrics)))
        .service(web::resource("/healthz").wrap(from_fn(gate::gate)).route(web::get().to(healthz)))
        .service(web::resource("/readyz").wrap(from_fn(gate::gate)).route(web::get().to(readyz)))
        .configure(console::routes)
        .default_service(web::route().to(not_found).wrap(from_fn(headers::protected)));
}

fn bad_json(error: &actix_web::error::JsonPayloadError) -> ApiError {
    use actix_web::error::JsonPayloadError as E;
    match error {
        E::Overflow { limit } | E::OverflowKnownLength { limit, .. } => ApiError::too_large(*limit),
        E::ContentType => ApiError::unsupported_media_type("application/json"),
        other => ApiError::bad_request("json", format!("the body cannot be used: {other}")), // foreign enum
    }
}

async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found(format!("there is nothing for {} {}", request.method(), request.path())))
}

/// Answers other methods of a resource.
async fn no_method(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::bad_request(
        "method",
        format!("{} cannot be done with {}", request.path(), request.method()),
    ))
}

#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, body = String, content_type = "text/plain", description = "The program runs")),
)]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

#[utoipa::path(
    get,
    path = "/readyz",
    responses((status = 200, body = String, content_type = "text/plain", description = "It serves requests")),
)]
async fn readyz(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    if app.is_stopping() {
        return Err(ApiError::unavailable("the controller is shutting down", 2));
    }
    app.store.get("ready")?;
    Ok(HttpResponse::Ok().content_type(ContentType::plaintext()).body("ready\n"))
}

/// Who is at the other end of a request.
pub(crate) fn connection(request: &HttpRequest) -> Result<ConnectionInfo, ApiError> {
    let info = request.conn_data::<ConnectionInfo>().cloned();
    info.ok_or_else(|| ApiError::unauthorised("no-connection", "this port speaks TLS only"))
}

/// A page of items that are sorted by their key; the cursor is the last key of the page before.
pub(crate) fn page<T>(
    items: impl IntoIterator<Item = (String, T)>,
    query: &PageQuery,
) -> Result<Page<T>, ApiError> {
    let limit = limit(query)?;
    let after = query.cursor.as_deref().unwrap_or("");
    let mut rest = items.into_iter().filter(|(key, _)| after.is_empty() || key.as_str() > after).peekable();
    let mut page = Page { items: Vec::new(), next: None };
    let mut last = None;
    while page.items.len() < limit
        && let Some((key, item)) = rest.next()
    {
        last = Some(key);
        page.items.push(item);
    }
    page.next = if rest.peek().is_some() { last } else { None };
    Ok(page)
}

/// A key that falls as an id that begins with the time (UUIDv7) grows: for lists with the newest first.
pub(crate) fn falling(id: &str) -> String {
    id.parse::<uuid::Uuid>().map_or_else(|_| id.to_owned(), |u| format!("{:032x}", !u.as_u128()))
}

pub(crate) fn limit(query: &PageQuery) -> Result<usize, ApiError> {
    match query.limit {
        None => Ok(PAGE),
        Some(n @ 1..=MAX_PAGE) => Ok(n as usize),
        Some(_) => Err(ApiError::bad_request("limit", format!("limit must be 1 to {MAX_PAGE}"))),
    }
}

/// Checks what people write about what they do: a line.
fn one_line(name: &str, text: &str) -> Result<(), ApiError> {
    if text.len() > MAX_LINE || text.chars().any(char::is_control) {
        let told = format!("{name} must be one line of at most {MAX_LINE} bytes");
        return Err(ApiError::bad_request(name, told));
    }
    Ok(())
}

/// Runs to the end even if the client goes away meanwhile: what is stored is also taken over in memory.
///
/// # Errors
/// What the work says; 500 if it panicked.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal("the request was not finished", &error)),
    }
}

/// Guard of all methods.
fn any_method() -> impl guard::Guard {
    guard::fn_guard(|context| context.head().method != Method::CONNECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let items = || ["a", "b", "c", "d", "e"].map(|k| (k.to_owned(), k));
        let query = |cursor: Option<&str>, limit| PageQuery { cursor: cursor.map(str::to_owned), limit };
        let first = page(items(), &query(None, Some(2))).unwrap();
        assert_eq!((first.items, first.next.as_deref()), (vec!["a", "b"], Some("b")));
        let second = page(items(), &query(Some("b"), Some(3))).unwrap();
        assert_eq!((second.items, second.next), (vec!["c", "d", "e"], None));
        assert_eq!(page(items(), &query(None, None)).unwrap().items.len(), 5);
        assert!(page(items(), &query(None, Some(0))).is_err());
        assert!(page(items(), &query(None, Some(1_001))).is_err());
    }
}
