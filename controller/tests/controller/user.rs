//! Users, sessions, cookies and API tokens.

use crate::common::*;
use crate::roles::user;
use muster_proto::api::{
    ApiTokenCreated, ApiTokenView, AuditEntry, LoginReply, LoginRequest, Page, Role, SessionView,
    UserCreated, UserView, WhoAmI,
};
use serde_json::json;

fn body(value: &serde_json::Value) -> Option<(&'static str, Vec<u8>)> {
    Some(("application/json", value.to_string().into_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_made_changed_and_deleted() {
    let site = Site::start().await;
    let made: UserCreated = site.api.post("/users", &json!({"name": "maria", "role": "viewer"}), 201).await;
    let password = made.password.expect("one was made");
    assert!(made.user.password_is_initial && password.len() == 24);
    let mut maria = site.api.with_token(None);
    let login = LoginRequest { user: "maria".into(), password: password.clone() };
    let reply: LoginReply = maria.post("/login", &login, 200).await;
    assert!(reply.password_is_initial);
    maria.token = Some(reply.token);
    let who: WhoAmI = maria.get("/whoami").await;
    assert_eq!((who.user.as_str(), who.role), ("maria", Role::Viewer));

    let taken = site.api.problem("POST", "/users", body(&json!({"name": "Maria", "role": "viewer"}))).await;
    assert_eq!((taken.status, taken.code()), (409, "user-exists"));
    let changed: UserView =
        site.api.json("PATCH", "/users/maria", body(&json!({"role": "operator"})), 200).await;
    assert_eq!((changed.role, changed.sessions), (Role::Operator, 1));
    let who: WhoAmI = maria.get("/whoami").await;
    assert_eq!(who.role, Role::Operator, "in the open session too");

    let reset: UserCreated = site.api.post("/users/maria/password", &json!({}), 200).await;
    assert_ne!(reset.password.as_deref(), Some(password.as_str()));
    assert_eq!(maria.problem("GET", "/whoami", None).await.code(), "no-session");
    let old = maria.problem("POST", "/login", body(&json!({"user": "maria", "password": password}))).await;
    assert_eq!(old.code(), "wrong-password");

    let last = site.api.problem("DELETE", "/users/admin", None).await;
    assert_eq!((last.status, last.code()), (409, "last-admin"));
    assert_eq!(site.api.raw("DELETE", "/users/maria", None).await.0, 204);
    assert_eq!(site.api.problem("GET", "/users/maria", None).await.status, 404);
    let log: Page<AuditEntry> = site.api.get("/audit?object=maria").await;
    let entries: Vec<_> = log.items.iter().rev().map(|e| e.action.as_str()).collect();
    assert_eq!(entries, ["user.create", "user.change", "password.reset", "user.delete"]);
    let change = &log.items[2];
    assert_eq!(change.before.as_ref().unwrap()["role"], "viewer");
    assert_eq!(change.after.as_ref().unwrap()["role"], "operator");
    let text = serde_json::to_string(&log).unwrap();
    assert!(!text.contains("argon2") && !text.contains(&password), "no secret in the log");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_older_version_is_refused() {
    let site = Site::start().await;
    user(&site, "maria", Role::Viewer).await;
    let read = site.api.request("GET", "/users/maria", &[]).send().await.unwrap();
    let tag = read.headers()["etag"].to_str().unwrap().to_owned();
    let change = |tag: &str, role: &str| {
        let request = site.api.request("PATCH", "/users/maria", &[("if-match", tag)]);
        request.header("content-type", "application/json").body(json!({ "role": role }).to_string()).send()
    };
    assert_eq!(change(&tag, "operator").await.unwrap().status(), 200);
    let stale = change(&tag, "approver").await.unwrap();
    assert_eq!(stale.status(), 412);
    let text = stale.text().await.unwrap();
    assert!(text.contains("read it again"), "{text}");
    let delete = site.api.request("DELETE", "/users/maria", &[("if-match", &tag)]).send().await.unwrap();
    assert_eq!(delete.status(), 412);
    let view: UserView = site.api.get("/users/maria").await;
    assert_eq!(view.role, Role::Operator);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_tokens_work_within_their_scope_until_revoked() {
    let site = Site::start().await;
    let maria = user(&site, "maria", Role::Operator).await;
    let too_much = maria.problem("POST", "/api-tokens", body(&json!({"scope": "admin"}))).await;
    assert_eq!((too_much.status, too_much.code()), (403, "scope"));
    let made: ApiTokenCreated =
        maria.post("/api-tokens", &json!({"scope": "metrics", "note": "Prometheus"}), 201).await;
    assert!(made.token.starts_with("mustera1."));
    let prometheus = maria.with_token(Some(&made.token));
    let (status, text, _) = prometheus.raw("GET", "//metrics", None).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
    let refused = prometheus.problem("GET", "/agents", None).await;
    assert_eq!((refused.status, refused.code()), (403, "scope"));
    // One that was stolen cannot make itself last.
    let operate: ApiTokenCreated = maria.post("/api-tokens", &json!({"scope": "operate"}), 201).await;
    let program = maria.with_token(Some(&operate.token));
    let refused = program.problem("POST", "/api-tokens", body(&json!({"scope": "read"}))).await;
    assert_eq!((refused.status, refused.code()), (403, "person"));

    let all: Page<ApiTokenView> = site.api.get("/api-tokens").await;
    assert_eq!(all.items.iter().map(|t| t.user.as_str()).collect::<Vec<_>>(), ["maria", "maria"]);
    let others = user(&site, "otto", Role::Approver).await;
    assert_eq!(others.get::<Page<ApiTokenView>>("/api-tokens").await.items, []);
    let path = format!("/api-tokens/{}", made.view.id);
    assert_eq!(others.problem("DELETE", &path, None).await.status, 404, "not his");
    assert_eq!(maria.raw("DELETE", &path, None).await.0, 204);
    assert_eq!(prometheus.problem("GET", "//metrics", None).await.code(), "no-api-token");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_shown_and_ended() {
    let site = Site::start().await;
    let maria = user(&site, "maria", Role::Viewer).await;
    let own: Page<SessionView> = maria.get("/sessions").await;
    assert_eq!(own.items.len(), 1);
    assert!(own.items[0].current && own.items[0].from == "127.0.0.1");
    let all: Page<SessionView> = site.api.get("/sessions").await;
    assert_eq!(all.items.iter().map(|s| s.user.as_str()).collect::<Vec<_>>(), ["maria", "admin"]);
    let admins = &all.items[1].id;
    assert_eq!(maria.problem("DELETE", &format!("/sessions/{admins}"), None).await.status, 404);
    assert_eq!(site.api.raw("DELETE", &format!("/sessions/{}", own.items[0].id), None).await.0, 204);
    assert_eq!(maria.problem("GET", "/whoami", None).await.code(), "no-session");
    site.running.stop().await;
}

/// Signs a browser in; its cookie and what it must send with changes.
async fn browser(api: &Api, headers: &[(&str, &str)], password: &str) -> (String, String) {
    let request = api.request("POST", "/login?cookie=true", headers);
    let request = request.header("content-type", "application/json");
    let login = json!({"user": "admin", "password": password});
    let response = request.body(login.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["__Host-muster=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let reply: LoginReply = response.json().await.unwrap();
    assert_eq!(reply.token, "", "scripts of the page never see it");
    (cookie.split(';').next().unwrap().to_owned(), reply.csrf_token.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_changes_must_come_from_its_own_page() {
    let site = Site::start().await;
    let password = site.running.admin_password.as_ref().unwrap().to_string();
    let page = site.api.with_token(None);
    let (cookie, csrf) = browser(&page, &[], &password).await;
    let origin = format!("https://{}", site.addr());
    let send = async |headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", cookie.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        let response = page.request("POST", "/tokens", &all).body("{}").send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for headers in [
        &[][..],
        &[("x-muster-csrf", "0000")],
        &[("x-muster-csrf", &csrf), ("origin", "https://evil.example")],
        &[("x-muster-csrf", &csrf), ("origin", "null")],
        &[("x-muster-csrf", &csrf), ("sec-fetch-site", "cross-site")],
        &[("x-muster-csrf", &csrf), ("sec-fetch-site", "same-site")],
    ] {
        let (status, text) = send(headers).await;
        assert!(status == 403 && text.contains("problem:csrf"), "{headers:?}: {status} {text}");
    }
    let own = [("x-muster-csrf", csrf.as_str()), ("origin", &origin), ("sec-fetch-site", "same-origin")];
    assert_eq!(send(&own).await.0, 201);
    // Looking needs the cookie only, and tells what changes need.
    let who = page.request("GET", "/whoami", &[("cookie", &cookie)]).send().await.unwrap();
    assert_eq!(who.json::<WhoAmI>().await.unwrap().csrf_token, Some(csrf.clone()));
    // A cookie's token is no bearer token, and the other way round.
    let token = cookie.split_once('=').unwrap().1;
    assert_eq!(page.with_token(Some(token)).problem("GET", "/whoami", None).await.code(), "no-session");
    let bearer = format!("__Host-muster={}", site.api.token.as_ref().unwrap());
    let refused = page.request("GET", "/whoami", &[("cookie", &bearer)]).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    // Nobody signs a browser in from another page.
    let foreign = page.request("POST", "/login?cookie=true", &[("origin", "https://evil.example")]);
    let foreign = foreign.header("content-type", "application/json");
    let login = json!({"user": "admin", "password": password});
    assert_eq!(foreign.body(login.to_string()).send().await.unwrap().status(), 403);
    // Signing out takes the cookie back.
    let out = [("cookie", cookie.as_str()), ("x-muster-csrf", &csrf)];
    let out = page.request("POST", "/logout", &out).send().await.unwrap();
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    let after = page.request("GET", "/whoami", &[("cookie", &cookie)]).send().await.unwrap();
    assert_eq!(after.status(), 401);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_never_one_that_somebody_else_chose() {
    let site = Site::start().await;
    let password = site.running.admin_password.as_ref().unwrap().to_string();
    let page = site.api.with_token(None);
    // The attacker's own text is not taken over.
    let planted = "__Host-muster=musters1.planted-by-somebody-else";
    let (first, _) = browser(&page, &[("cookie", planted)], &password).await;
    assert_ne!(first, planted);
    let after = page.request("GET", "/whoami", &[("cookie", planted)]).send().await.unwrap();
    assert_eq!(after.status(), 401);
    // A session that was there before ends when its browser signs in again.
    let (second, _) = browser(&page, &[("cookie", &first)], &password).await;
    assert_ne!(second, first);
    let old = page.request("GET", "/whoami", &[("cookie", &first)]).send().await.unwrap();
    assert_eq!(old.status(), 401);
    let new = page.request("GET", "/whoami", &[("cookie", &second)]).send().await.unwrap();
    assert_eq!(new.status(), 200);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_try_one_password_with_every_name() {
    let site = Site::start().await;
    let guess = |i: usize| body(&json!({"user": format!("user{i}"), "password": "Summer2026!!"}));
    let mut tried = 0;
    let throttled = loop {
        let problem = site.api.problem("POST", "/login", guess(tried)).await;
        if problem.status != 401 {
            break problem;
        }
        tried += 1;
        assert!(tried < 60, "never throttled");
    };
    assert_eq!((throttled.status, throttled.code()), (429, "throttled"));
    assert!((29..=32).contains(&tried), "{tried} tries");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_not_done_again() {
    let site = Site::start().await;
    let send = async |key: &str, note: &str| {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        let request = site.api.request("POST", "/tokens", &headers);
        let response = request.body(json!({ "note": note }).to_string()).send().await.unwrap();
        let replayed = response.headers().contains_key("idempotency-replayed");
        (response.status().as_u16(), replayed, response.text().await.unwrap())
    };
    let first = send("k1", "a").await;
    assert_eq!((first.0, first.1), (201, false));
    let again = send("k1", "a").await;
    assert_eq!((again.0, again.1, &again.2), (201, true, &first.2), "the very same token");
    let other = send("k1", "b").await;
    assert_eq!(other.0, 422);
    assert!(other.2.contains("idempotency-key-reused"), "{}", other.2);
    assert_eq!(send("k2", "a").await.0, 201);
    let tokens: Page<serde_json::Value> = site.api.get("/tokens").await;
    assert_eq!(tokens.items.len(), 2);
    // Another user's key is another key.
    let maria = user(&site, "maria", Role::Operator).await;
    let headers = [("idempotency-key", "k1"), ("content-type", "application/json")];
    let hers = maria.request("POST", "/tokens", &headers).body(json!({"note": "c"}).to_string());
    assert_eq!(hers.send().await.unwrap().status(), 201);
    let bad =
        site.api.request("POST", "/tokens", &[("idempotency-key", "")]).body("{}").send().await.unwrap();
    assert_eq!(bad.status(), 400);
    site.running.stop().await;
}
