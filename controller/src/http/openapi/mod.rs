//! The OpenAPI document, made from the handlers' annotations, the bodies' types and the table of routes.

mod example;

use crate::http::routes::{Access, ROUTES, Route};
use actix_web::HttpResponse;
use muster_proto::api::{
    AgentEvent, AuditEntry, FleetEvent, PROBLEM_CONTENT_TYPE, PolicyEvent, Problem, ReloadEvent,
    RolloutEvent, SortOrder,
};
use serde_json::{Value, json};
use std::sync::OnceLock;
use utoipa::OpenApi;

/// Every annotated handler has a line here. What the table of routes says too is added by [`value`].
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muster controller",
        description = "Manages agents, policies and users. Every error is a problem (RFC 9457) that says what to do.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(
        Problem,
        AgentEvent,
        AuditEntry,
        FleetEvent,
        PolicyEvent,
        ReloadEvent,
        RolloutEvent,
        SortOrder
    )),
    paths(
        crate::http::healthz,
        crate::http::readyz,
        crate::http::metrics::metrics,
        document,
        crate::http::session::login,
        crate::http::session::logout,
        crate::http::session::password,
        crate::http::session::whoami,
        crate::http::token::create,
        crate::http::token::list,
        crate::http::token::delete,
        crate::http::agent::fleet,
        crate::http::partition::list,
        crate::http::partition_csv::file,
        crate::http::agent::list,
        crate::http::agent::show,
        crate::http::agent::labels,
        crate::http::agent::remove,
        crate::http::agent::policy,
        crate::http::agent::quarantine,
        crate::http::agent::release,
        crate::http::agent::revoke,
        crate::http::agent::decommission,
        crate::http::enrolment::list,
        crate::http::enrolment::approve,
        crate::http::enrolment::deny,
        crate::http::ca::show,
        crate::http::ca::begin,
        crate::http::ca::finish,
        crate::http::pin::pin,
        crate::http::pin::unpin,
        crate::http::maintenance::announce,
        crate::http::maintenance::end,
        crate::http::restart::restart,
        crate::http::foreign::create_token,
        crate::http::foreign::list_tokens,
        crate::http::foreign::delete_token,
        crate::http::foreign::set_config,
        crate::http::foreign::list_configs,
        crate::http::foreign::delete_config,
        crate::http::rates::rates,
        crate::http::rates::agent_history,
        crate::http::rates::fleet_history,
        crate::http::inspect::recent,
        crate::http::inspect::one,
        crate::http::inspect::tail_one,
        crate::http::inspect::tail_fleet,
        crate::http::inspect::preview,
        crate::http::inspect::diagnostics,
        crate::http::audit::list,
        crate::http::audit::verify,
        crate::http::audit::export,
        crate::http::event::events,
        crate::http::proposal::settings,
        crate::http::proposal::change,
        crate::http::proposal::list,
        crate::http::proposal::show,
        crate::http::proposal::approve,
        crate::http::proposal::reject,
        crate::http::rollout::plan,
        crate::http::rollout::start,
        crate::http::rollout::list,
        crate::http::rollout::show,
        crate::http::rollout::partitions,
        crate::http::rollout::pause,
        crate::http::rollout::resume,
        crate::http::rollout::abort,
        crate::http::package::list,
        crate::http::package::show,
        crate::http::package::retire,
        crate::http::package::begin,
        crate::http::package::append,
        crate::http::lease::list,
        crate::http::lease::move_leases,
        crate::http::licence::show,
        crate::http::licence::install,
        crate::http::licence::pair,
        crate::http::licence::unpair,
        crate::http::backup::make,
        crate::http::backup::list,
        crate::http::backup::download,
        crate::http::backup::restore,
        crate::http::user::create,
        crate::http::user::list,
        crate::http::user::show,
        crate::http::user::change,
        crate::http::user::delete,
        crate::http::user::reset_password,
        crate::http::credential::sessions,
        crate::http::credential::end_session,
        crate::http::credential::create,
        crate::http::credential::list,
        crate::http::credential::revoke,
        crate::http::policy::validate,
        crate::http::policy::publish,
        crate::http::policy::list,
        crate::http::policy::show,
        crate::http::policy::remove,
        crate::http::policy::history,
        crate::http::policy::revision,
        crate::http::policy::diff,
        crate::http::policy::status,
        crate::http::policy::revert,
        crate::http::policy_set::apply,
        crate::http::policy_set::preview,
        crate::http::policy_set::schema,
        crate::http::draft::list,
        crate::http::draft::show,
        crate::http::draft::save,
        crate::http::draft::delete,
        crate::http::draft::publish_draft,
    )
)]
struct Annotated;

/// Serves the document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    responses((status = 200, body = Object, content_type = "application/json", description = "OpenAPI 3.1")),
)]
pub(super) async fn document() -> HttpResponse {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    let text = TEXT.get_or_init(|| value().to_string().into_bytes());
    HttpResponse::Ok().content_type("application/json").body(text.as_slice())
}

/// The document.
#[must_use]
pub fn value() -> Value {
    // A document of maps, lists and texts always becomes JSON.
    let mut document = serde_json::to_value(Annotated::openapi()).unwrap_or_default();
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "the token of a session (`POST /api/v1/login`) or an API token",
        },
    });
    for route in ROUTES {
        let paths = document["paths"].as_object_mut();
        let operation = paths.and_then(|p| p.get_mut(route.pattern)?.get_mut(route.method.to_lowercase()));
        if let Some(operation) = operation {
            complete(operation, route);
        }
    }
    example::add(&mut document);
    document
}

/// The document as it is kept in `controller/console/openapi.json`: a line a value, names sorted, so that two releases
/// can be compared.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", value())
}

/// Adds what is the same for all operations: summary, who may, and how it may fail.
fn complete(operation: &mut Value, route: &Route) {
    operation["summary"] = json!(route.summary);
    operation["operationId"] = json!(operation_id(route));
    let guarded = match route.access {
        Access::Public | Access::Agent => false,
        Access::Role(role) => {
            operation["x-muster-role"] = json!(role);
            true
        }
        Access::Person(role) => {
            operation["x-muster-role"] = json!(role);
            operation["x-muster-person"] = json!(true);
            true
        }
        Access::Metrics => {
            operation["x-muster-scope"] = json!("metrics");
            true
        }
    };
    let mut problems = vec![("default", "It failed for another reason")];
    if guarded {
        operation["security"] = json!([{ "bearer": [] }]);
        problems.push(("401", "No session, or one that has ended"));
        problems.push(("403", "The role is not enough"));
    }
    if guarded && route.method == "POST" {
        let key = json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Sent again with the same key, the request is answered as the first time and not done twice",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        });
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(key),
            None => operation["parameters"] = json!([key]),
        }
        problems.push(("409", "It contradicts what is there, or the key is in use"));
    }
    if route.pattern.contains('{') {
        problems.push(("404", "There is no such thing"));
    }
    if operation.get("requestBody").is_some() {
        problems.push(("413", "The body is too large"));
        problems.push(("415", "The body has another content type than described"));
    }
    if operation.get("requestBody").is_some() || operation.get("parameters").is_some() {
        problems.push(("400", "Body, path or query cannot be used"));
    }
    for (status, description) in problems {
        operation["responses"][status] = json!({
            "description": description,
            "content": { PROBLEM_CONTENT_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
    }
}

/// `get_api_v1_agents_agent`: stable and unique, for generated clients.
fn operation_id(route: &Route) -> String {
    let path = route.pattern.trim_start_matches("/api/v1");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    std::iter::once(route.method.to_lowercase().as_str()).chain(words).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::CONSOLE;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_has_the_routes_of_the_table_and_no_others() {
        let document = value();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let people = ROUTES.iter().filter(|r| r.access != Access::Agent && r.pattern != CONSOLE);
        let table: BTreeSet<_> = people.map(|r| (r.method.to_owned(), r.pattern.to_owned())).collect();
        let missing: Vec<_> = table.difference(&described).collect();
        assert!(missing.is_empty(), "no #[utoipa::path] in openapi/mod.rs for {missing:?}");
        let unknown: Vec<_> = described.difference(&table).collect();
        assert!(unknown.is_empty(), "no line in routes.rs for {unknown:?}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = value();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name} is not described");
        }
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn the_file_that_the_consoles_client_is_made_from_is_as_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/console/openapi.json");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        // Not compared with assert_eq: nobody wants to read two whole documents.
        assert!(
            kept == text(),
            "the interface has changed, and {path} has not: run `make openapi` and commit the file"
        );
    }

    #[test]
    fn ids_of_operations_differ() {
        let all: BTreeSet<_> = ROUTES.iter().map(operation_id).collect();
        assert_eq!(all.len(), ROUTES.len());
    }
}
