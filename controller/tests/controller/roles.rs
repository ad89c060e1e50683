//! The role matrix, made from the table of routes: every route, every role, every scope.

use crate::common::*;
use muster_controller::http::routes::{Access, ROUTES, Route};
use muster_proto::api::{
    ApiTokenCreated, ApiTokenRequest, AuditEntry, LoginReply, LoginRequest, Page, Problem, Role, Scope,
    UserCreated, UserRequest,
};

const PASSWORD: &str = "correct horse battery";

/// Who asks.
struct Person {
    name: String,
    role: Role,
    scope: Option<Scope>,
    api: Api,
}

impl Person {
    fn may(&self, access: Access) -> bool {
        let enough = |least: Role| match self.scope {
            None => self.role >= least,
            Some(scope) => scope.role().is_some_and(|r| r.min(self.role) >= least),
        };
        match access {
            Access::Public | Access::Agent => true,
            Access::Metrics => self.scope == Some(Scope::Metrics) || enough(Role::Viewer),
            Access::Role(least) => enough(least),
            Access::Person(least) => self.scope.is_none() && enough(least),
        }
    }
}

pub async fn user(site: &Site, name: &str, role: Role) -> Api {
    let request = UserRequest { name: name.to_owned(), role, password: Some(PASSWORD.to_owned()) };
    let _: UserCreated = site.api.post("/users", &request, 201).await;
    let mut api = site.api.with_token(None);
    let login = LoginRequest { user: name.to_owned(), password: PASSWORD.to_owned() };
    let reply: LoginReply = api.post("/login", &login, 200).await;
    api.token = Some(reply.token);
    api
}

async fn people(site: &Site) -> Vec<Person> {
    let mut people = Vec::new();
    for role in Role::ALL {
        let api = user(site, &format!("a-{role}"), role).await;
        for scope in Scope::ALL.into_iter().filter(|s| s.role().is_none_or(|r| r <= role)) {
            let request = ApiTokenRequest { scope, expires_in_seconds: None, note: String::new() };
            let made: ApiTokenCreated = api.post("/api-tokens", &request, 201).await;
            let name = format!("{role} with token {scope}");
            people.push(Person { name, role, scope: Some(scope), api: api.with_token(Some(&made.token)) });
        }
        people.push(Person { name: role.to_string(), role, scope: None, api });
    }
    people
}

/// A request that every check of the gate lets through and the handler refuses or answers without a change: what
/// it names is not there, and its body is none.
async fn ask(api: &Api, route: &Route) -> (u16, Option<Problem>) {
    let mut path = route.pattern.to_owned();
    while let (Some(begin), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(begin..=end, "0");
    }
    let path = path.strip_prefix("/api/v1").map_or_else(|| format!("/{path}"), str::to_owned);
    let response = api.request(route.method, &path, &[]).send().await.unwrap();
    let status = response.status().as_u16();
    // The stream of events has no end.
    let problem = if status < 400 { None } else { Some(response.json().await.unwrap()) };
    (status, problem)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    let site = Site::start().await;
    let people = people(&site).await;
    assert_eq!(people.len(), 4 + 2 + 3 + 4 + 5);
    let stranger = site.api.with_token(None);
    let garbage = site.api.with_token(Some("musters1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    // Those that end the very session that asks come last.
    let last = |r: &&Route| usize::from(["/api/v1/logout"].contains(&r.pattern));
    let mut routes: Vec<&Route> = ROUTES.iter().filter(|r| r.access != Access::Agent).collect();
    routes.sort_by_key(last);
    for route in routes {
        let what = format!("{} {}", route.method, route.pattern);
        for outsider in [&stranger, &garbage] {
            let (status, problem) = ask(outsider, route).await;
            let code = problem.as_ref().map_or("", Problem::code).to_owned();
            if route.access == Access::Public {
                assert!(!["no-credential", "no-session"].contains(&code.as_str()), "{what}: {status} {code}");
            } else {
                assert_eq!(status, 401, "{what} by a stranger: {problem:?}");
            }
        }
        for person in &people {
            let (status, problem) = ask(&person.api, route).await;
            let code = problem.as_ref().map_or("", Problem::code).to_owned();
            let refused = status == 403 && ["role", "scope", "person"].contains(&code.as_str());
            assert_eq!(!refused, person.may(route.access), "{what} by {}: {status} {problem:?}", person.name);
            assert!(status < 500, "{what} by {}: {problem:?}", person.name);
            if refused {
                assert!(
                    ["role", "API token"].iter().any(|w| problem.as_ref().unwrap().detail.contains(w)),
                    "{what}: {problem:?}"
                );
            }
        }
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_changes_are_in_the_audit_log_and_refused_looks_are_not() {
    let site = Site::start().await;
    let viewer = user(&site, "vera", Role::Viewer).await;
    assert_eq!(viewer.problem("GET", "/users", None).await.status, 403);
    let refused = viewer.problem("DELETE", "/agents/PROD01", None).await;
    assert_eq!((refused.status, refused.code()), (403, "role"));
    assert_eq!(refused.detail, "this needs the role operator, and vera is viewer; ask an admin");
    let log: Page<AuditEntry> = site.api.get("/audit?actor=vera&action=refused").await;
    let entries: Vec<_> = log.items.iter().map(|e| (e.object.as_str(), e.detail.as_str())).collect();
    assert_eq!(
        entries,
        [("/api/v1/agents/PROD01", "DELETE /api/v1/agents/{agent}: role viewer is not enough")]
    );
    site.running.stop().await;
}
