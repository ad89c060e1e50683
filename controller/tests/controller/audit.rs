//! The audit log as a client sees it, and the live events.

use crate::common::*;
use muster_proto::api::{ApiTokenCreated, AuditEntry, AuditVerification, Page, TokenCreated, TokenRequest};
use muster_shared::audit_chain::Verifier;
use std::time::Duration;

async fn act(site: &Site, n: usize) {
    for i in 0..n {
        let request = TokenRequest { note: format!("n{i}"), ..TokenRequest::default() };
        let _: TokenCreated = site.api.post("/tokens", &request, 201).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_in_both_directions_searched_and_verified() {
    let site = Site::start().await;
    act(&site, 12).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page: Page<AuditEntry> = site.api.get(&format!("/audit?after={after}&limit=5")).await;
        seen.extend(page.items.iter().map(|e| e.sequence));
        match page.items.last() {
            Some(last) => after = last.sequence,
            None => break,
        }
    }
    assert_eq!(seen, (1..=13).collect::<Vec<_>>());
    let mut newest = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: Page<AuditEntry> = site.api.get(&format!("/audit?limit=4{cursor}")).await;
        newest.extend(page.items.iter().map(|e| e.sequence));
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(newest, (1..=13).rev().collect::<Vec<_>>());
    let logins: Page<AuditEntry> = site.api.get("/audit?action=login&actor=admin").await;
    assert_eq!(logins.items.len(), 1);
    let at = logins.items[0].at;
    let none: Page<AuditEntry> = site.api.get(&format!("/audit?action=login&until={at}")).await;
    assert_eq!(none.items, []);

    let (status, text, headers) = site.api.raw("GET", "/audit/export", None).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/jsonl"));
    let mut verifier = Verifier::default();
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        verifier.next(line).unwrap();
    }
    let last: Page<AuditEntry> = site.api.get("/audit?limit=1").await;
    assert_eq!((verifier.verified().entries, &verifier.verified().hash), (13, &last.items[0].hash));
    let ninth: Page<AuditEntry> = site.api.get("/audit?after=8&limit=1").await;
    let words = format!("/audit?search=TOKEN.create%20{}", ninth.items[0].object);
    let found: Page<AuditEntry> = site.api.get(&words).await;
    assert_eq!(found.items, ninth.items);
    let of_object: Page<AuditEntry> = site.api.get(&format!("/audit?object={}", ninth.items[0].object)).await;
    assert_eq!(of_object.items, ninth.items);
    let whole: AuditVerification = site.api.get("/audit/verify").await;
    assert_eq!((whole.ok, whole.entries, whole.from, whole.to), (true, 13, 1, 13));
    assert_eq!((whole.head_hash.as_str(), whole.first_bad), (last.items[0].hash.as_str(), None));
    // Somebody edits the file: told with the first entry that is not what was written.
    let file = std::fs::read_dir(site.dir.path().join("data/audit")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"sequence\":6,", "\"sequence\":6, ", 1)).unwrap();
    act(&site, 1).await;
    let broken: AuditVerification = site.api.get("/audit/verify").await;
    assert_eq!((broken.ok, broken.first_bad, broken.to), (false, Some(6), 5), "{broken:?}");
    let long = format!("/audit?search={}", "x".repeat(201));
    assert_eq!(site.api.problem("GET", &long, None).await.status, 400);
    for bad in ["/audit?cursor=x", "/audit?after=-1", "/audit?since=yesterday", "/audit?limit=1001"] {
        assert_eq!(site.api.problem("GET", bad, None).await.status, 400, "{bad}");
    }
    site.running.stop().await;
}

/// The stream's text until it has `wanted`.
async fn until(response: &mut reqwest::Response, wanted: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.contains(wanted) {
            let chunk = response.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap_or_else(|_| panic!("`{wanted}` never came"));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_seen_as_they_happen_and_after_a_break() {
    let site = Site::start().await;
    let watch = async |last: Option<&str>| {
        let headers: Vec<_> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        let response = site.api.request("GET", "/events", &headers).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response
    };
    let mut stream = watch(None).await;
    until(&mut stream, ": connected\n\n").await;
    act(&site, 1).await;
    let text = until(&mut stream, "token.create").await;
    assert!(text.contains("event: audit\ndata: {\"sequence\":2,"), "{text}");
    let id = text.lines().find_map(|l| l.strip_prefix("id: ")).unwrap().to_owned();
    // What happens while the client is away is told when it is back.
    drop(stream);
    let policy: muster_proto::api::PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    let mut stream = watch(Some(&id)).await;
    let text = until(&mut stream, &format!("\"object\":\"base@{}\"}}", policy.revision.revision)).await;
    assert!(text.contains("event: policy\n") && !text.contains("event: reload"), "{text}");
    // The fleet is looked at while somebody watches.
    let mut agent = site.agent().await;
    let (_socket, _) = agent.connect().await;
    let text = until(&mut stream, "\"connection\":\"connected\"").await;
    assert!(text.contains("event: agent"), "{text}");
    // Another run of the program, or long ago.
    let mut lost = watch(Some("000000000000-7")).await;
    until(&mut lost, "event: reload").await;
    // The end of the session ends the stream, and so does the end of the program.
    let stop = tokio::spawn(site.running.stop());
    let ended = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the stream ends");
    stop.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_an_api_token_names_the_token_and_one_by_its_user_does_not() {
    let site = Site::start().await;
    let operate = serde_json::json!({"scope": "operate"});
    let made: ApiTokenCreated = site.api.post("/api-tokens", &operate, 201).await;
    let program = site.api.with_token(Some(&made.token));
    let token = &made.view.id;
    let by_program: TokenCreated = program.post("/tokens", &TokenRequest::default(), 201).await;
    let by_person = site.token().await;
    // A change that is carried out apart from the request, and one that is refused.
    let agent = site.agent().await;
    let id = agent.uid.to_string();
    let reason = serde_json::json!({"reason": "odd"});
    let _: serde_json::Value = program.post(&format!("/agents/{id}/quarantine"), &reason, 200).await;
    assert_eq!(program.problem("DELETE", "/users/nobody", None).await.status, 403);
    let found: Page<AuditEntry> = site.api.get(&format!("/audit?token={token}")).await;
    let entries: Vec<_> = found.items.iter().rev().map(|e| (&*e.actor, &*e.action, &*e.object)).collect();
    assert_eq!(
        entries,
        [
            ("admin", "token.create", &*by_program.view.id),
            ("admin", "agent.quarantine", &*id),
            ("admin", "refused", "/api/v1/users/nobody"),
        ]
    );
    assert!(found.items.iter().all(|entry| entry.token.as_ref() == Some(token)), "{found:?}");
    let person: Page<AuditEntry> = site.api.get(&format!("/audit?object={}", by_person.view.id)).await;
    assert_eq!((person.items[0].actor.as_str(), &person.items[0].token), ("admin", &None));
    let whole: AuditVerification = site.api.get("/audit/verify").await;
    assert!(whole.ok, "{whole:?}");
    site.running.stop().await;
}
