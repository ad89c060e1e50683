//! What browsers get: the console, and the headers of every answer. The tests hold with a console in the program and
//! without one; how files are chosen is tested beside the code.

use crate::common::*;
use reqwest::header::HeaderMap;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

const NAVIGATION: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What a look finds: status, headers, body.
struct Seen {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn look(api: &Api, method: &str, path: &str, headers: &[(&str, &str)]) -> Seen {
    let response = api.request(method, path, headers).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Seen { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

/// The page, if this controller has a console.
async fn page(site: &Site) -> Option<Seen> {
    let page = look(&site.api, "GET", "//", &[NAVIGATION]).await;
    if page.status == 200 {
        return Some(page);
    }
    assert_eq!((page.status, page.header("content-type")), (404, "text/plain; charset=utf-8"));
    assert!(page.text().contains("make console"), "{}", page.text());
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_people_is_protected_in_browsers() {
    let site = Site::start().await;
    let stranger = site.api.with_token(None);
    let cases = [
        ("GET", "/whoami", 200, 401),
        ("GET", "/nothing", 404, 404),
        ("PUT", "/tokens", 405, 405),
        ("POST", "/login", 400, 400),
        ("GET", "/openapi.json", 200, 200),
        ("GET", "//healthz", 200, 200),
        ("GET", "//readyz", 200, 200),
        ("GET", "//metrics", 200, 401),
        ("GET", "//api/v2/agents", 404, 404),
        ("POST", "//nothing", 404, 404),
        ("GET", "//nothing", 404, 404),
    ];
    for (method, path, known, unknown) in cases {
        for (api, status) in [(&site.api, known), (&stranger, unknown)] {
            let json = [("content-type", "application/json")];
            let seen = look(api, method, path, &json).await;
            assert_eq!(seen.status, status, "{method} {path}: {}", seen.text());
            protected(&seen, path);
            assert_eq!(seen.header("cache-control"), "no-store", "{method} {path}");
            assert_eq!(seen.header("content-security-policy"), API_POLICY, "{method} {path}");
        }
    }
    // Agents are no browsers, and pay for each byte.
    for (method, path) in [("GET", "//v1/opamp"), ("POST", "//v1/opamp"), ("GET", "//v1/packages/0")] {
        let seen = look(&stranger, method, path, &[]).await;
        assert!(seen.status >= 400);
        assert_eq!(seen.header("permissions-policy"), "", "{method} {path}");
    }
    site.running.stop().await;
}

/// The headers that all have.
fn protected(seen: &Seen, path: &str) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(seen.header(name), value, "{name} of {path}");
    }
    for feature in ["camera=()", "microphone=()", "geolocation=()", "payment=()", "usb=()"] {
        assert!(seen.header("permissions-policy").contains(feature), "{feature} of {path}");
    }
    assert!(seen.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    assert_eq!(seen.header("strict-transport-security"), "", "other services of the host are not ours");
    assert_eq!(seen.header("access-control-allow-origin"), "", "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_runs_nothing_but_its_own_files() {
    let site = Site::start().await;
    let Some(page) = page(&site).await else { return site.running.stop().await };
    protected(&page, "/");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"), "{policy}");
    let text = page.text().to_ascii_lowercase();
    for (number, part) in text.split("<script").enumerate().skip(1) {
        let (attributes, rest) = part.split_once('>').unwrap();
        assert!(attributes.contains("src=\"/"), "script {number} is a file of its own: {attributes}");
        assert!(rest.trim_start().starts_with("</script"), "script {number} has text");
    }
    for never in
        ["<style", " style=", " onload=", " onerror=", " onclick=", "javascript:", "//cdn", "src=\"http"]
    {
        assert!(!text.contains(never), "{never} in the page");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_asked_for_again_and_its_files_are_kept() {
    let site = Site::start().await;
    let Some(page) = page(&site).await else { return site.running.stop().await };
    let (api, tag) = (site.api.with_token(None), page.header("etag").to_owned());
    assert_eq!(page.header("cache-control"), "no-cache");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let same = look(&api, "GET", "//", &[NAVIGATION, ("if-none-match", &tag)]).await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, tag.as_str()));
    let head = look(&api, "HEAD", "//", &[NAVIGATION]).await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, tag.as_str()));
    assert_eq!(head.header("content-length"), page.body.len().to_string());
    // A view has the same page, a script that asks for it has a problem.
    let view = look(&api, "GET", "//agents/PROD01?tab=health", &[NAVIGATION]).await;
    assert_eq!((view.status, view.header("etag")), (200, tag.as_str()));
    let script = api.problem("GET", "//agents/PROD01", None).await;
    assert_eq!((script.status, script.code()), (404, "not-found"));

    let files = page.text().split('"').filter(|part| part.starts_with("/assets/"));
    let files: Vec<String> = files.map(|file| format!("/{file}")).collect();
    assert!(!files.is_empty(), "{}", page.text());
    for file in &files {
        let seen = look(&api, "GET", file, &[]).await;
        assert_eq!(seen.status, 200, "{file}");
        assert_eq!(seen.header("cache-control"), "public, max-age=31536000, immutable", "{file}");
        protected(&seen, file);
    }
    let gone = look(&api, "GET", "//assets/of-an-earlier-build.js", &[NAVIGATION]).await;
    assert_eq!((gone.status, gone.header("content-type")), (404, "application/problem+json"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_as_they_were_compressed_at_the_build() {
    let site = Site::start().await;
    let Some(page) = page(&site).await else { return site.running.stop().await };
    let form = async |accepted: &str| {
        let seen = look(&site.api, "GET", "//", &[NAVIGATION, ("accept-encoding", accepted)]).await;
        assert_eq!((seen.status, seen.header("vary")), (200, "Accept-Encoding"), "{accepted}");
        assert_eq!(seen.header("content-length"), seen.body.len().to_string(), "{accepted}");
        seen
    };
    let (brotli, gzip, plain) = (form("gzip, br").await, form("gzip").await, form("identity").await);
    assert_eq!(brotli.header("content-encoding"), "br");
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert_eq!(plain.body, page.body);
    assert_ne!(brotli.header("etag"), gzip.header("etag"));
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, page.body, "compressed once");
    site.running.stop().await;
}

/// A client that notes which authorities the server names when it takes a certificate, and shows none.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<Vec<u8>>>);

impl ResolvesClientCert for Asked {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap() = hints.iter().map(|hint| hint.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn browser_tls(site: &Site, asked: &Arc<Asked>, protocols: &[&[u8]]) -> ClientConfig {
    let mut config = tls(site.ca(), None);
    config.client_auth_cert_resolver = Arc::clone(asked) as Arc<dyn ResolvesClientCert>;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// What a client speaks, best first.
type Protocols = &'static [&'static [u8]];

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_asked_for_certificates_of_this_controller_only() {
    let site = Site::start().await;
    let ca = CertificateDer::from_pem_slice(site.ca().as_bytes()).unwrap();
    let (_, ca) = x509_parser::parse_x509_certificate(&ca).unwrap();
    let own = vec![ca.subject().as_raw().to_vec()];
    let none: Vec<Vec<u8>> = Vec::new();
    let (both, first, nothing): (Protocols, Protocols, Protocols) =
        (&[b"h2", b"http/1.1"], &[b"http/1.1"], &[]);
    for (protocols, named) in [(both, &own), (first, &own), (nothing, &none)] {
        let asked = Arc::new(Asked::default());
        let tcp = tokio::net::TcpStream::connect(site.addr()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(browser_tls(&site, &asked, protocols)));
        let stream = connector.connect(ServerName::from(site.addr().ip()), tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), protocols.first().copied());
        assert_eq!(asked.0.lock().unwrap().as_slice(), named, "{protocols:?}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_works_over_one_connection_however_many_streams_it_watches() {
    let site = Site::start().await;
    let password = site.running.admin_password.as_ref().unwrap().to_string();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(browser_tls(&site, &Arc::default(), &[b"h2", b"http/1.1"]))
        .build()
        .unwrap();
    let origin = format!("https://{}", site.addr());
    let url = |path: &str| format!("{origin}/api/v1{path}");
    let login = |from: &str| {
        let request = client.post(url("/login?cookie=true")).header("origin", from);
        request.json(&json!({"user": "admin", "password": password}))
    };
    let foreign = login("https://evil.example").send().await.unwrap();
    assert_eq!((foreign.status().as_u16(), foreign.headers().get("set-cookie")), (403, None));
    let signed_in = login(&origin).send().await.unwrap();
    assert_eq!((signed_in.status().as_u16(), signed_in.version()), (200, reqwest::Version::HTTP_2));
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["__Host-muster=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let csrf =
        signed_in.json::<serde_json::Value>().await.unwrap()["csrf_token"].as_str().unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap();

    let mut streams = Vec::new();
    for _ in 0..12 {
        let mut stream = client.get(url("/events")).header("cookie", cookie).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        assert!(stream.chunk().await.unwrap().unwrap().starts_with(b"retry: "));
        streams.push(stream);
    }
    let change = |csrf: &str| {
        let request = client.post(url("/tokens")).header("cookie", cookie).header("origin", &origin);
        request.header("x-muster-csrf", csrf).json(&json!({}))
    };
    let without = change("").send().await.unwrap();
    assert_eq!(without.status(), 403);
    assert!(without.text().await.unwrap().contains("urn:muster:problem:csrf"));
    assert_eq!(change(&csrf).send().await.unwrap().status(), 201);
    for stream in &mut streams {
        let told = tokio::time::timeout(DEADLINE, stream.chunk()).await.unwrap().unwrap().unwrap();
        assert!(!told.is_empty(), "each stream tells of the new token");
    }
    site.running.stop().await;
}
