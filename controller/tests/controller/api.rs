//! The interface for people and programs.

use crate::common::*;
use muster_proto::api::{AuditEntry, FleetView, LoginReply, LoginRequest, Page, PasswordChange, WhoAmI};

const NEW: &str = "correct horse battery";

fn json<T: serde::Serialize>(body: &T) -> Option<(&'static str, Vec<u8>)> {
    Some(("application/json", serde_json::to_vec(body).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_begin_and_end() {
    let site = Site::start().await;
    let who: WhoAmI = site.api.get("/whoami").await;
    assert_eq!((who.user.as_str(), who.password_is_initial), ("admin", true));
    let one_time = site.running.admin_password.as_ref().unwrap().to_string();
    let mut second = Api::new(site.addr(), site.ca());
    second.login(&one_time).await;

    let weak = PasswordChange { current: one_time.clone(), new: "short".into() };
    assert_eq!(site.api.problem("POST", "/password", json(&weak)).await.code(), "weak-password");
    let wrong = PasswordChange { current: "guess".into(), new: NEW.into() };
    assert_eq!(site.api.problem("POST", "/password", json(&wrong)).await.code(), "wrong-password");
    let right = PasswordChange { current: one_time.clone(), new: NEW.into() };
    assert_eq!(site.api.raw("POST", "/password", json(&right)).await.0, 204);
    let ended = second.problem("GET", "/whoami", None).await;
    assert_eq!((ended.status, ended.code()), (401, "no-session"));

    let old = LoginRequest { user: "admin".into(), password: one_time };
    assert_eq!(second.problem("POST", "/login", json(&old)).await.code(), "wrong-password");
    second.token = None;
    let new = LoginRequest { user: "admin".into(), password: NEW.into() };
    let reply: LoginReply = second.post("/login", &new, 200).await;
    assert!(!reply.password_is_initial);
    second.token = Some(reply.token);
    assert_eq!(second.raw("POST", "/logout", None).await.0, 204);
    assert_eq!(second.problem("GET", "/whoami", None).await.code(), "no-session");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_and_unknown_users_look_like_known_ones() {
    let site = Site::start().await;
    let guess = |user: &str| json(&LoginRequest { user: user.into(), password: "guess guess".into() });
    for user in ["admin", "nobody"] {
        for _ in 0..3 {
            let problem = site.api.problem("POST", "/login", guess(user)).await;
            assert_eq!((problem.status, problem.code()), (401, "wrong-password"));
        }
        let (status, _, headers) = site.api.raw("POST", "/login", guess(user)).await;
        assert_eq!(status, 429);
        assert_eq!(headers["retry-after"], "1");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_wants_a_session_and_every_error_is_a_problem() {
    let site = Site::start().await;
    let stranger = Api::new(site.addr(), site.ca());
    let id = uuid::Uuid::nil();
    for (method, path) in [
        ("GET", "/whoami".to_owned()),
        ("POST", "/tokens".to_owned()),
        ("GET", "/agents".to_owned()),
        ("GET", "/fleet".to_owned()),
        ("DELETE", format!("/agents/{id}")),
        ("POST", "/policies".to_owned()),
        ("POST", "/policies/validate".to_owned()),
        ("GET", "/rates".to_owned()),
        ("GET", "/audit".to_owned()),
    ] {
        let body = (method == "POST").then(|| ("application/json", b"{}".to_vec()));
        let problem = stranger.problem(method, &path, body).await;
        assert_eq!((problem.status, problem.code()), (401, "no-credential"), "{method} {path}");
    }
    let cases = [
        ("GET", "/nothing", None, 404, "not-found"),
        ("GET", "/agents/nobody", None, 404, "not-found"),
        ("GET", "/agents?limit=0", None, 400, "limit"),
        ("GET", "/agents?colour=red", None, 400, "query"),
        ("POST", "/tokens", Some(("application/json", b"{".to_vec())), 400, "json"),
        ("POST", "/tokens", Some(("application/json", b"{\"uses\":0}".to_vec())), 400, "uses"),
        ("POST", "/tokens", Some(("application/json", b"{\"usses\":1}".to_vec())), 400, "json"),
        ("POST", "/tokens", Some(("application/json", vec![b' '; 70_000])), 413, "too-large"),
        ("POST", "/policies", Some(("application/yaml", vec![b' '; 1_100_000])), 413, "too-large"),
        ("POST", "/policies", Some(("application/yaml", b"\xff".to_vec())), 400, "utf-8"),
        ("DELETE", "/tokens/none", None, 404, "not-found"),
        ("GET", "/policies/base/revisions/first", None, 404, "not-found"),
        ("PUT", "/tokens", None, 405, "method"),
        ("POST", "/fleet", None, 405, "method"),
    ];
    for (method, path, body, status, code) in cases {
        let problem = site.api.problem(method, path, body).await;
        assert_eq!((problem.status, problem.code()), (status, code), "{method} {path}: {}", problem.detail);
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_metrics_and_audit() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (_socket, _) = agent.connect().await;
    let stranger = Api::new(site.addr(), site.ca());
    for path in ["//healthz", "//readyz"] {
        assert_eq!(stranger.raw("GET", path, None).await.0, 200, "{path}");
    }
    let refused = stranger.problem("GET", "//metrics", None).await;
    assert_eq!((refused.status, refused.code()), (401, "no-credential"));
    let (status, body, _) = site.api.raw("GET", "//metrics", None).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    assert!(text.contains("\nmuster_agents{connection=\"connected\"} 1\n"), "{text}");
    assert!(!text.contains("PROD01"), "whoever may read metrics need not know the partitions");
    let fleet: FleetView = site.api.get("/fleet").await;
    assert_eq!((fleet.agents, fleet.connected, fleet.healthy), (1, 1, 1));

    let log: Page<AuditEntry> = site.api.get("/audit").await;
    let actions: Vec<_> = log.items.iter().rev().map(|e| e.action.as_str()).collect();
    assert_eq!(actions, ["login", "token.create", "agent.enrol"]);
    assert!(log.items[0].sequence == 3 && log.items[0].hash.len() == 64);
    assert_eq!((log.items[1].actor.as_str(), log.items[1].from.as_str()), ("admin", "127.0.0.1"));
    let text = serde_json::to_string(&log).unwrap();
    assert!(!text.contains("muster1."), "no secret in the log");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_path_does_not_have_is_told_with_those_that_it_has() {
    let site = Site::start().await;
    for (method, path, allow) in [
        ("PATCH", "/tokens", "POST, GET"),
        ("POST", "/agents/x", "GET, DELETE"),
        ("DELETE", "/policies/a/revisions/1", "GET"),
        ("POST", "//metrics", "GET"),
    ] {
        let (status, _, headers) = site.api.raw(method, path, None).await;
        assert_eq!((status, headers["allow"].to_str().unwrap()), (405, allow), "{method} {path}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_to_everybody() {
    let site = Site::start().await;
    let stranger = Api::new(site.addr(), site.ca());
    let document: serde_json::Value = stranger.get("/openapi.json").await;
    assert_eq!(document["paths"]["/api/v1/tokens"]["post"]["x-muster-role"], "operator");
    assert_eq!(document["paths"]["/api/v1/tokens"]["post"]["requestBody"]["required"], true);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_listed_by_partition() {
    let site = Site::start().await;
    let none: Page<muster_proto::api::LeaseView> = site.api.get("/leases?partition=78A1B2C-3").await;
    assert_eq!(none.items, []);
    let problem = site.api.problem("GET", "/leases?partition=nowhere", None).await;
    assert_eq!((problem.status, problem.code()), (400, "partition"));
    site.running.stop().await;
}
