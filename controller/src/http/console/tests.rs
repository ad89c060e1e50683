//! The console's answers, out of a bundle of a few files; so they are tested without Node.js too.

use super::*;
use actix_web::body::MessageBody as _;
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use sha2::{Digest as _, Sha256};

const FILES: &[(&str, &str, &str)] = &[
    ("index.html", "text/html", "<!doctype html><script type=module src=/assets/app-1a.js></script>"),
    ("index.html.br", "application/octet-stream", "page in brotli"),
    ("index.html.gz", "application/gzip", "page in gzip"),
    ("assets/app-1a.js", "text/javascript", "app()"),
    ("assets/app-1a.js.gz", "application/gzip", "app in gzip"),
    ("assets/text-2b.woff2", "font/woff2", "font"),
    ("favicon.svg", "image/svg+xml", "<svg/>"),
];
const NAVIGATION: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn bundle(name: &str) -> Option<File> {
    let (_, media, content) = FILES.iter().find(|(file, _, _)| *file == name)?;
    let sha256 = Sha256::digest(content.as_bytes()).into();
    Some(File { content: Bytes::from_static(content.as_bytes()), sha256, media: (*media).to_owned() })
}

/// Status, headers and body of an answer.
struct Told {
    status: u16,
    headers: header::HeaderMap,
    body: String,
}

impl Told {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn ask_for(find: impl Fn(&str) -> Option<File>, path: &str, headers: &[(&str, &str)]) -> Told {
    let request = headers.iter().fold(TestRequest::with_uri(&format!("/{path}")), |r, h| r.insert_header(*h));
    let request = request.to_http_request();
    let response =
        answer(find, path, &request).unwrap_or_else(|e| actix_web::ResponseError::error_response(&e));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().try_into_bytes().unwrap_or_default();
    Told { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn ask(path: &str, headers: &[(&str, &str)]) -> Told {
    ask_for(bundle, path, headers)
}

#[test]
fn each_path_leads_to_a_file_to_the_page_or_to_nothing() {
    let page = FILES[0].2;
    let cases = [
        ("", "*/*", 200, page),
        ("", NAVIGATION, 200, page),
        ("index.html", "*/*", 200, page),
        ("favicon.svg", "image/*", 200, "<svg/>"),
        ("assets/app-1a.js", "*/*", 200, "app()"),
        // Views.
        ("agents", NAVIGATION, 200, page),
        ("agents/host.example.com/events", NAVIGATION, 200, page),
        ("apiary", NAVIGATION, 200, page),
        // A script, a picture or a program that asks for what is not there.
        ("agents", "*/*", 404, ""),
        ("agents", "text/html;q=0, */*", 404, ""),
        ("agents", "application/json", 404, ""),
        ("favicon.ico", "image/avif,image/webp,*/*;q=0.8", 404, ""),
        // A page of an earlier build asks for a file of that build: it must not get HTML.
        ("assets/app-0.js", NAVIGATION, 404, ""),
        ("assets", NAVIGATION, 404, ""),
        // Other forms of files are not files.
        ("assets/app-1a.js.gz", "*/*", 404, ""),
        ("index.html.br", "*/*", 404, ""),
        // Of the interface and of agents.
        ("api/v2/agents", NAVIGATION, 404, ""),
        ("api", NAVIGATION, 404, ""),
        ("v1/other", NAVIGATION, 404, ""),
        ("metrics/", NAVIGATION, 404, ""),
        ("../index.html", "*/*", 404, ""),
        ("/etc/passwd", "*/*", 404, ""),
    ];
    for (path, accept, status, body) in cases {
        let told = ask(path, &[("accept", accept)]);
        assert_eq!(told.status, status, "/{path} as {accept}: {}", told.body);
        if status == 200 {
            assert_eq!(told.body, body, "/{path} as {accept}");
        } else {
            assert_eq!(told.header("content-type"), "application/problem+json", "/{path} as {accept}");
        }
    }
}

#[test]
fn what_has_a_hash_in_its_name_is_kept_for_good_and_all_else_is_asked_for_again() {
    let page = ask("", &[]);
    assert_eq!(page.header("cache-control"), "no-cache");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("content-security-policy"), policy::value());
    let script = ask("assets/app-1a.js", &[]);
    assert_eq!(script.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(ask("favicon.svg", &[]).header("content-type"), "image/svg+xml");
    let view = ask("policies/base", &[("accept", NAVIGATION)]);
    assert_eq!((view.header("etag"), view.header("cache-control")), (page.header("etag"), "no-cache"));
}

#[test]
fn a_file_comes_in_the_best_form_that_the_client_takes() {
    let cases = [
        ("", "gzip, deflate, br, zstd", "br", "page in brotli"),
        ("", "gzip, deflate", "gzip", "page in gzip"),
        ("", "br;q=0.5, gzip", "gzip", "page in gzip"),
        ("", "br;q=0, gzip;q=0", "identity", FILES[0].2),
        ("", "identity", "identity", FILES[0].2),
        ("assets/app-1a.js", "gzip, br", "gzip", "app in gzip"),
        ("assets/text-2b.woff2", "gzip, br", "identity", "font"),
    ];
    for (path, accepted, encoding, body) in cases {
        let told = ask(path, &[("accept-encoding", accepted)]);
        assert_eq!(
            (told.status, told.header("content-encoding"), told.body.as_str()),
            (200, encoding, body),
            "/{path} as {accepted}"
        );
        assert_eq!(told.header("vary"), "Accept-Encoding");
        let plain = ask(path, &[]);
        assert_eq!(told.header("content-type"), plain.header("content-type"));
        assert_eq!(
            told.header("etag") == plain.header("etag"),
            encoding == "identity",
            "a tag is that of the bytes: /{path} as {accepted}"
        );
    }
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let (plain, packed) = (ask("", &[]), ask("", &[("accept-encoding", "br")]));
    let tag = plain.header("etag");
    let weak = format!("\"other\", W/{tag}");
    for (known, status) in [(tag, 304), (weak.as_str(), 304), ("*", 304), ("\"other\"", 200), ("no tag", 200)]
    {
        let told = ask("", &[("if-none-match", known)]);
        assert_eq!(told.status, status, "{known}");
        assert_eq!((told.header("etag"), told.header("cache-control")), (tag, "no-cache"), "{known}");
        assert_eq!(told.body.is_empty(), status == 304, "{known}");
    }
    let other_form = [("if-none-match", tag), ("accept-encoding", "br")];
    assert_eq!(ask("", &other_form).status, 200, "it has the plain form only");
    let same_form = [("if-none-match", packed.header("etag")), ("accept-encoding", "br")];
    assert_eq!(ask("", &same_form).status, 304);
}

#[test]
fn a_controller_without_a_console_says_why_and_what_to_do() {
    let nothing = |_: &str| None;
    for (path, accept) in [("", "*/*"), ("", NAVIGATION), ("agents", NAVIGATION)] {
        let told = ask_for(nothing, path, &[("accept", accept)]);
        assert_eq!(told.status, StatusCode::NOT_FOUND.as_u16());
        assert_eq!(told.header("content-type"), "text/plain; charset=utf-8");
        for part in ["without its web console", "Node.js was not there", "make console", "muster login"] {
            assert!(told.body.contains(part), "{part} in {}", told.body);
        }
    }
    for (path, accept) in [("agents", "*/*"), ("assets/app-1a.js", NAVIGATION), ("api/v2", NAVIGATION)] {
        let told = ask_for(nothing, path, &[("accept", accept)]);
        assert_eq!((told.status, told.header("content-type")), (404, "application/problem+json"));
    }
}
