//! What strangers send: slow, huge, compressed, misleading. Each is refused, and the controller goes on.

use crate::common::*;
use crate::roles::user;
use muster_proto::api::{ApiTokenCreated, AuditEntry, LoginReply, Page, Role, UserView};
use rustls_pki_types::ServerName;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

async fn dial(site: &Site) -> tokio_rustls::client::TlsStream<TcpStream> {
    let tcp = TcpStream::connect(site.addr()).await.unwrap();
    let name = ServerName::from(site.addr().ip());
    TlsConnector::from(Arc::new(tls(site.ca(), None))).connect(name, tcp).await.unwrap()
}

/// Sends text as it is, and reads what comes until the other side ends.
async fn raw(site: &Site, text: &str) -> String {
    let mut stream = dial(site).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("it ends");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_lead_nowhere_but_where_they_say() {
    let site = Site::start().await;
    let token = site.api.token.clone().unwrap();
    let ask = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        )
    };
    for path in [
        "/api/v1/agents/../users",
        "/api/v1/agents/..%2fusers",
        "/api/v1/agents/%2e%2e/%2e%2e/data/store",
        "/api/v1/policies/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/policies/%00",
        "/api/v1/users/..%2f..%2fsettings",
        "/api/v1//users",
        "/api/v1/users/",
        "/API/V1/users",
        "/../../etc/passwd",
        "/api/v1/proposals/..%2fsettings",
    ] {
        let answer = raw(&site, &ask(path)).await;
        let line = answer.lines().next().unwrap_or("").to_owned();
        assert!(line.starts_with("HTTP/1.1 404") || line.starts_with("HTTP/1.1 400"), "{path}: {line}");
        assert!(!answer.contains("root:") && !answer.contains("\"four_eyes\""), "{path}: {answer}");
    }
    // A viewer gets no further by spelling a path otherwise.
    let viewer = user(&site, "vera", Role::Viewer).await;
    let token = viewer.token.clone().unwrap();
    for path in ["/api/v1/%75sers", "/api/v1/users?x=/api/v1/agents", "/api/v1/users;x"] {
        let text = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        let line = raw(&site, &text).await.lines().next().unwrap_or("").to_owned();
        let refused = ["403", "404"].iter().any(|s| line.starts_with(&format!("HTTP/1.1 {s}")));
        assert!(refused, "{path}: {line}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_that_unpacks_into_a_large_one_is_refused() {
    let site = Site::start().await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1024 * 1024];
    for _ in 0..200 {
        packed.write_all(&block).unwrap();
    }
    let bomb = packed.finish().unwrap();
    assert!(bomb.len() < 300_000);
    for (path, kind) in
        [("/tokens", "application/json"), ("/policies", "application/yaml"), ("/login", "application/json")]
    {
        for key in [None, Some("bomb")] {
            let mut headers = vec![("content-type", kind), ("content-encoding", "gzip")];
            headers.extend(key.map(|k| ("idempotency-key", k)));
            let begin = Instant::now();
            let response = site.api.request("POST", path, &headers).body(bomb.clone()).send().await.unwrap();
            assert_eq!(response.status(), 413, "{path} {key:?}");
            assert!(begin.elapsed().as_secs() < 5, "{path}: unpacked to the end");
        }
    }
    let _: Vec<UserView> = site.api.get::<muster_proto::api::Page<_>>("/users").await.items;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dawdles_holds_up_nobody_and_is_cut_off() {
    let site = Site::start().await;
    // Heads that never end.
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = dial(&site).await;
        stream.write_all(b"GET /api/v1/agents HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        slow.push(stream);
    }
    let begin = Instant::now();
    let _: muster_proto::api::Page<UserView> = site.api.get("/users").await;
    assert!(begin.elapsed().as_secs() < 5, "others are served meanwhile");
    for mut stream in slow {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the connection is ended");
    }
    assert!(begin.elapsed() < DEADLINE);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_bodies_are_refused_by_every_route() {
    let site = Site::start().await;
    let bodies: [&[u8]; 7] =
        [b"", b"null", b"[]", b"{\"a\":", b"\xff\xfe", b"{\"name\":{\"$ne\":1}}", &[b'['; 60_000]];
    for route in muster_controller::http::routes::ROUTES {
        let changes = ["POST", "PUT", "PATCH"].contains(&route.method);
        let Some(path) = route.pattern.strip_prefix("/api/v1").filter(|_| changes) else { continue };
        if ["/logout", "/login"].contains(&path) {
            continue;
        }
        let mut path = path.to_owned();
        while let (Some(begin), Some(end)) = (path.find('{'), path.find('}')) {
            path.replace_range(begin..=end, "0");
        }
        for body in bodies {
            for kind in ["application/json", "text/html"] {
                let headers = [("content-type", kind)];
                let request = site.api.request(route.method, &path, &headers).body(body.to_vec());
                let response = request.send().await.unwrap();
                let status = response.status().as_u16();
                assert!((200..500).contains(&status), "{} {path}: {status}", route.method);
                if status >= 400 {
                    assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
                }
            }
        }
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_api_tokens_are_in_the_audit_log_and_a_flood_of_them_is_few_entries() {
    let site = Site::start().await;
    let short = serde_json::json!({"scope": "read", "expires_in_seconds": 1});
    let made: ApiTokenCreated = site.api.post("/api-tokens", &short, 201).await;
    let program = site.api.with_token(Some(&made.token));
    eventually("the token expires", async || {
        (program.request("GET", "/agents", &[]).send().await.unwrap().status() == 401).then_some(())
    })
    .await;
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    let [entry] = &log.items[..] else { panic!("{log:?}") };
    assert_eq!((entry.action.as_str(), entry.object.as_str()), ("refused.api-token", &*made.view.id));
    assert_eq!((entry.actor.as_str(), entry.from.as_str()), ("admin", "127.0.0.1"));
    assert_eq!(entry.token.as_deref(), Some(&*made.view.id));
    assert_eq!(entry.detail, format!("the API token expired at {}", made.view.expires_at));
    // Guesses are counted, and told at the end at the latest.
    for i in 0..40 {
        let guess = site.api.with_token(Some(&format!("mustera1.guess-{i}")));
        assert_eq!(guess.problem("DELETE", "/agents/PROD01", None).await.code(), "no-api-token");
    }
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    assert_eq!(log.items.len(), 1, "{log:?}");
    let site = site.restarted().await;
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    let [last, _] = &log.items[..] else { panic!("{log:?}") };
    assert_eq!((last.actor.as_str(), last.object.as_str(), &last.token), ("unknown", "", &None));
    assert!(last.detail.starts_with("40 more since "), "{last:?}");
    assert!(last.detail.contains("there is no such API token"), "{last:?}");
    let (_, text, _) = site.api.raw("GET", "/audit/export", None).await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(!text.contains(&made.token) && !text.contains("guess-"), "a secret in {text}");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_sites_page_asks_for_is_in_the_audit_log() {
    let site = Site::start().await;
    let password = site.running.admin_password.as_ref().unwrap().to_string();
    let login = serde_json::json!({"user": "admin", "password": password}).to_string();
    let page = site.api.with_token(None);
    let json = ("content-type", "application/json");
    let sign_in = async |headers: &[(&str, &str)]| {
        let request = page.request("POST", "/login?cookie=true", headers);
        request.body(login.clone()).send().await.unwrap()
    };
    let response = sign_in(&[json]).await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let csrf = response.json::<LoginReply>().await.unwrap().csrf_token.unwrap();
    let evil = ("origin", "https://evil.example");
    for _ in 0..20 {
        let headers = [json, ("cookie", cookie.as_str()), ("x-muster-csrf", csrf.as_str()), evil];
        let response = page.request("POST", "/tokens", &headers).body("{}").send().await.unwrap();
        assert_eq!(response.status(), 403);
    }
    assert_eq!(sign_in(&[json, evil]).await.status(), 403);
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    let [entry] = &log.items[..] else { panic!("{log:?}") };
    assert_eq!((entry.action.as_str(), entry.object.as_str()), ("refused.csrf", "/api/v1/tokens"));
    assert_eq!((entry.actor.as_str(), entry.from.as_str(), &entry.token), ("admin", "127.0.0.1", &None));
    assert_eq!(entry.detail, "POST: a page of another origin (https://evil.example) asked for this");
    let site = site.restarted().await;
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    let [last, _] = &log.items[..] else { panic!("{log:?}") };
    assert_eq!((last.actor.as_str(), last.object.as_str()), ("unknown", "/api/v1/login"));
    assert!(last.detail.starts_with("20 more since "), "{last:?}");
    let (_, text, _) = site.api.raw("GET", "/audit/export", None).await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let session = cookie.split_once('=').unwrap().1;
    assert!(!text.contains(session) && !text.contains(&csrf), "a secret in {text}");
    site.running.stop().await;
}
