//! What strangers send: slow, huge, compressed, misleading. Each is refused, and the controller goes on.

use crate::common::*;
use crate::roles::user;
use muster_proto::api::{Role, UserView};
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
