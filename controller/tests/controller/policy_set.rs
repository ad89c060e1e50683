//! Sets of policies, drafts, preview, revert, and who may overwrite whom.

use crate::common::*;
use muster_proto::api::{
    AgentPolicyView, AuditEntry, DraftText, DraftView, Page, PlanAction, PolicyPlan, PolicyPreview,
    PolicyPublished, PolicyRevisionText, PolicyRevisionView, PolicySetRequest, PolicyText, Problem,
};
use serde::de::DeserializeOwned;

/// A request with one more header, and the tag of its answer.
async fn conditional<T: DeserializeOwned>(
    site: &Site,
    (method, path): (&str, &str),
    header: (&str, &str),
    body: &str,
    status: u16,
) -> (T, String) {
    let (got, bytes, headers) = site.api.raw_with(method, path, &[header], body).await;
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(got, status, "{method} {path}: {text}");
    let tag = headers.get("etag").map(|t| t.to_str().unwrap().to_owned()).unwrap_or_default();
    (serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{method} {path}: {e}: {text}")), tag)
}

fn set(texts: &[&str]) -> PolicySetRequest {
    let documents = (0..).zip(texts).map(|(i, t)| PolicyText {
        file: format!("{i}.yaml"),
        text: (*t).to_owned(),
        signature: None,
    });
    PolicySetRequest { documents: documents.collect(), ..PolicySetRequest::default() }
}

fn document(name: &str, selector: &str, priority: i32, spec: &str) -> String {
    format!(
        "{{api_version: muster/v1, name: {name}, selector: {{{selector}}}, priority: {priority}, spec: {{{spec}}}}}"
    )
}

const SIEM: &str = "sources: {audit: {kind: audit_journal}}, destinations: {siem: {transport: {kind: tcp, address: 'siem.example:514'}}}";

fn actions(plan: &PolicyPlan) -> Vec<(&str, PlanAction)> {
    plan.policies.iter().map(|p| (p.name.as_str(), p.action)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_planned_published_and_pruned_in_one_transaction() {
    use PlanAction::{Create, Remove, Unchanged, Update};
    let site = Site::start().await;
    let (base, east) =
        (document("base", "", 0, SIEM), document("east", "site: east", 5, "exclude: [{users: [A]}]"));
    let first = set(&[&base, &east]);
    let dry: PolicyPlan =
        site.api.post("/policies/apply", &PolicySetRequest { dry_run: true, ..first.clone() }, 200).await;
    assert_eq!(actions(&dry), [("base", Create), ("east", Create)]);
    assert!(dry.valid && !dry.published);
    assert!(dry.policies[1].warnings[0].message.contains("no agent has the labels site=east"), "{dry:?}");
    let page: Page<PolicyRevisionView> = site.api.get("/policies").await;
    assert_eq!(page.items, [], "a dry run changes nothing");

    let done: PolicyPlan = site.api.post("/policies/apply", &first, 200).await;
    let numbers: Vec<_> = done.policies.iter().map(|p| p.revision.unwrap().0).collect();
    assert_eq!((done.published, numbers), (true, vec![1, 2]));
    let again: PolicyPlan = site.api.post("/policies/apply", &first, 200).await;
    assert_eq!((actions(&again), again.published), (vec![("base", Unchanged), ("east", Unchanged)], false));

    // One of two is wrong: neither is published.
    let half = set(&[&document("base", "", 1, SIEM), &document("east", "site: east", 5, "exclude: [{}]")]);
    let problem: Problem = site.api.post("/policies/apply", &half, 422).await;
    assert!(problem.detail.contains("1.yaml: has no condition"), "{}", problem.detail);
    let kept: PolicyRevisionText = site.api.get("/policies/base").await;
    assert_eq!((kept.revision.revision.0, kept.text.as_str()), (1, base.as_str()));

    // Somebody publishes between plan and deed.
    let next = set(&[&document("base", "", 2, SIEM)]);
    let expected = [("base".to_owned(), 7)].into();
    let late: Problem =
        site.api.post("/policies/apply", &PolicySetRequest { expected, ..next.clone() }, 412).await;
    assert!(late.detail.contains("`base` is at revision 1 by now, not 7"), "{}", late.detail);
    let expected = [("base".to_owned(), 1), ("new".to_owned(), 0)].into();
    let done: PolicyPlan =
        site.api.post("/policies/apply", &PolicySetRequest { expected, prune: true, ..next }, 200).await;
    assert_eq!(actions(&done), [("base", Update), ("east", Remove)]);
    let page: Page<PolicyRevisionView> = site.api.get("/policies").await;
    let left: Vec<_> = page.items.iter().map(|p| (p.name.as_str(), p.revision.0)).collect();
    assert_eq!(left, [("base", 3)]);
    let log: Page<AuditEntry> = site.api.get("/audit").await;
    let told: Vec<_> = log.items.iter().take(4).map(|e| format!("{} {}", e.action, e.object)).collect();
    for entry in
        ["policy.remove east@4", "policy.publish base@3", "policy.publish east@2", "policy.publish base@1"]
    {
        assert!(told.iter().any(|t| t == entry), "{entry} in {told:?}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_editors_of_a_draft_do_not_overwrite_each_other() {
    let site = Site::start().await;
    let text = document("base", "", 0, SIEM);
    let none: Problem = site.api.yaml_put("/drafts/mine", &text, 428).await;
    assert_eq!(none.code(), "precondition-required");
    let (made, tag): (DraftView, _) =
        conditional(&site, ("PUT", "/drafts/mine"), ("if-none-match", "*"), &text, 201).await;
    assert_eq!((made.policy.as_str(), made.base.0, made.valid, made.outdated), ("base", 0, true, false));
    assert_eq!(tag, format!("\"{}\"", made.etag));
    let (taken, _): (Problem, _) =
        conditional(&site, ("PUT", "/drafts/mine"), ("if-none-match", "*"), &text, 412).await;
    assert!(taken.detail.contains("exists already"), "{}", taken.detail);

    // Ann and Bob have read the same draft; Bob is faster.
    let broken = text.replace("siem.example:514", "siem.example");
    let (bob, new): (DraftView, _) =
        conditional(&site, ("PUT", "/drafts/mine"), ("if-match", &tag), &broken, 200).await;
    assert_eq!((bob.valid, bob.faults.len()), (false, 1), "faults are shown, saving is allowed");
    let (ann, _): (Problem, _) =
        conditional(&site, ("PUT", "/drafts/mine"), ("if-match", &tag), &text, 412).await;
    assert!(ann.detail.contains("changed by somebody else"), "{}", ann.detail);
    let found: DraftText = site.api.get("/drafts/mine").await;
    assert_eq!((found.text.as_str(), found.draft.etag.as_str()), (broken.as_str(), bob.etag.as_str()));
    let (refused, _): (Problem, _) =
        conditional(&site, ("POST", "/drafts/mine/publish"), ("if-match", &new), "", 422).await;
    assert!(!refused.faults.is_empty());
    let list: Page<DraftView> = site.api.get("/drafts").await;
    assert_eq!(list.items.len(), 1, "a draft that cannot be published stays");

    // The policy moves on under the draft.
    let _: PolicyPublished = site.api.yaml("/policies", &document("base", "", 3, SIEM), 201).await;
    let (_, tag): (DraftView, _) =
        conditional(&site, ("PUT", "/drafts/mine"), ("if-match", &new), &text, 200).await;
    let (behind, _): (Problem, _) =
        conditional(&site, ("POST", "/drafts/mine/publish"), ("if-match", &tag), "", 409).await;
    assert_eq!(behind.code(), "draft-outdated");
    let (rebased, tag): (DraftView, _) =
        conditional(&site, ("PUT", "/drafts/mine?base=1"), ("if-match", &tag), &text, 200).await;
    assert!(!rebased.outdated);
    let (published, _): (PolicyPublished, _) =
        conditional(&site, ("POST", "/drafts/mine/publish"), ("if-match", &tag), "", 201).await;
    assert_eq!(published.revision.revision.0, 2);
    let gone = site.api.problem("GET", "/drafts/mine", None).await;
    assert_eq!(gone.status, 404);

    let (other, tag): (DraftView, _) =
        conditional(&site, ("PUT", "/drafts/other"), ("if-none-match", "*"), "spec: [", 201).await;
    assert_eq!((other.policy.as_str(), other.valid), ("", false));
    let (status, _, _) = site.api.raw_with("DELETE", "/drafts/other", &[("if-match", "\"old\"")], "").await;
    assert_eq!(status, 412);
    let (status, _, _) = site.api.raw_with("DELETE", "/drafts/other", &[("if-match", &tag)], "").await;
    assert_eq!(status, 204);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_overwritten_only_by_who_knows_it() {
    let site = Site::start().await;
    let text = document("base", "", 0, SIEM);
    let (_, first): (PolicyPublished, _) =
        conditional(&site, ("POST", "/policies"), ("if-none-match", "*"), &text, 201).await;
    assert_eq!(first, "\"1\"");
    let second = document("base", "", 1, SIEM);
    let (_, tag): (PolicyPublished, _) =
        conditional(&site, ("POST", "/policies"), ("if-match", &first), &second, 201).await;
    let third = document("base", "", 2, SIEM);
    let (late, _): (Problem, _) =
        conditional(&site, ("POST", "/policies"), ("if-match", &first), &third, 412).await;
    assert_eq!(late.code(), "changed-meanwhile");
    let (read, same): (PolicyRevisionText, _) =
        conditional(&site, ("GET", "/policies/base"), ("accept", "*/*"), "", 200).await;
    assert_eq!((read.text, same), (second, tag.clone()));

    let body = r#"{"to":1}"#;
    let json = ("application/json", body.as_bytes().to_vec());
    let back: PolicyPublished = site.api.json("POST", "/policies/base/revert", Some(json.clone()), 201).await;
    assert_eq!((back.revision.revision.0, back.revision.priority), (3, 0));
    let same: PolicyPublished = site.api.json("POST", "/policies/base/revert", Some(json), 200).await;
    assert!(!same.changed);
    let text_now: PolicyRevisionText = site.api.get("/policies/base").await;
    assert_eq!(text_now.text, text, "the old text, to the byte");
    let (status, _, _) = site.api.raw_with("DELETE", "/policies/base", &[("if-match", &tag)], "").await;
    assert_eq!(status, 412, "it was reverted meanwhile");
    let _: PolicyPublished = site.api.json("DELETE", "/policies/base", None, 200).await;
    let removing = ("application/json", br#"{"to":4}"#.to_vec());
    let problem = site.api.problem("POST", "/policies/base/revert", Some(removing)).await;
    assert_eq!((problem.status, problem.code()), (409, "removing-revision"));
    let alive: PolicyPublished = site
        .api
        .json("POST", "/policies/base/revert", Some(("application/json", br#"{"to":2}"#.to_vec())), 201)
        .await;
    assert_eq!((alive.revision.revision.0, alive.revision.priority), (5, 1), "also after it was removed");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_who_changes_and_how_and_changes_nothing() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (_socket, _) = agent.connect().await;
    let _: PolicyPublished = site.api.yaml("/policies", &document("base", "", 0, SIEM), 201).await;
    let narrower =
        document("quiet", "", 5, "rules: [{name: no-zr, match: {entry_types: [ZR]}, action: drop}]");
    let preview: PolicyPreview = site.api.yaml("/policies/preview", &narrower, 200).await;
    assert_eq!((preview.changed, preview.unchanged, preview.groups.len()), (1, 0, 1));
    let group = &preview.groups[0];
    assert_eq!(
        (group.agents[0].as_str(), group.documents.join(",")),
        ("PROD01", "quiet@new,base@1".to_owned())
    );
    assert_eq!(group.changes[0].path, "spec.rules[no-zr]");
    assert_eq!(group.narrows, ["rule no-zr drops and is new or changed"]);
    assert!(group.refusals.is_empty() && group.bytes > 100);

    let lost = document("quiet", "", 5, "routes: {r: {destinations: [ghost]}}");
    let preview: PolicyPreview = site.api.post("/policies/preview", &set(&[&lost]), 200).await;
    let refusal = &preview.groups[0].refusals[0];
    assert!(refusal.reason.contains("no destination `ghost`"), "{refusal:?}");
    assert!(preview.plan.warnings[0].message.starts_with("PROD01 would refuse"), "{:?}", preview.plan);

    let elsewhere = document("east", "site: east", 5, "exclude: [{users: [A]}]");
    let preview: PolicyPreview = site.api.yaml("/policies/preview", &elsewhere, 200).await;
    assert_eq!((preview.changed, preview.unchanged, preview.groups.len()), (0, 1, 0));
    let broken: PolicyPreview = site.api.yaml("/policies/preview", "spec: [", 200).await;
    assert!(!broken.plan.valid && broken.groups.is_empty());
    let page: Page<PolicyRevisionView> = site.api.get("/policies").await;
    assert_eq!(page.items.len(), 1);

    let _: PolicyPublished = site.api.yaml("/policies", &narrower, 201).await;
    let view: AgentPolicyView = site.api.get(&format!("/agents/{}/policy", agent.uid)).await;
    let from = |path: &str| {
        let value =
            view.values.iter().find(|v| v.path == path).unwrap_or_else(|| panic!("{path} in {view:?}"));
        (value.set_by.document.as_str(), value.set_by.revision)
    };
    assert_eq!(from("spec.rules[no-zr].action"), ("quiet", 2));
    assert_eq!(from("spec.destinations.siem.transport.address"), ("base", 1));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_paths_are_no_names_of_policies() {
    let site = Site::start().await;
    for name in ["validate", "preview", "apply"] {
        let problem: Problem = site.api.yaml("/policies", &document(name, "", 0, ""), 422).await;
        assert!(problem.detail.contains("is a word of the interface"), "{}", problem.detail);
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_literal_secret_is_nowhere_afterwards() {
    let site = Site::start().await;
    let secret = "MC4CAQAwBQYDK2VwBCIEIGh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI=";
    let tls = format!(
        "destinations: {{s: {{transport: {{kind: tls, address: 's:1', client_certificate: \"-----BEGIN PRIVATE KEY-----\\n{secret}\\n-----END PRIVATE KEY-----\"}}}}}}"
    );
    let text = document("leak", "", 0, &tls);
    let mut answers = Vec::new();
    for (method, path) in [
        ("POST", "/policies"),
        ("POST", "/policies/validate"),
        ("POST", "/policies/preview"),
        ("PUT", "/drafts/leak"),
    ] {
        let (_, bytes, _) = site.api.raw_with(method, path, &[("if-none-match", "*")], &text).await;
        answers.push(String::from_utf8(bytes).unwrap());
    }
    for answer in &answers {
        assert!(answer.contains("private key") && !answer.contains(secret), "{answer}");
    }
    let drafts: Page<DraftView> = site.api.get("/drafts").await;
    assert_eq!(drafts.items, []);
    let data = site.dir.path().join("data");
    site.running.stop().await;
    let mut files = vec![data];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_needs_no_session() {
    let mut site = Site::start().await;
    site.api.token = None;
    let schema: serde_json::Value = site.api.get("/schemas/policy").await;
    assert_eq!(schema["title"], "Muster policy");
    assert!(schema.to_string().contains("Never the secret itself"), "fields are described: {schema}");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_refused_and_cost_little() {
    let site = Site::start().await;
    let laughs: String = (1..30)
        .map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(",")))
        .fold("l0: &l0 [lol]\n".to_owned(), |all, line| all + &line);
    let deep = format!("spec: {}{}", "[".repeat(50_000), "]".repeat(50_000));
    let wide = format!("spec: {{exclude: [{}]}}", vec!["{users: [A]}"; 60_000].join(","));
    let texts = [
        ("billion laughs", laughs),
        ("deep", deep),
        ("many values", wide),
        ("self", "a: &a [*a]".to_owned()),
        ("merge", "a: &a {<<: *a}".to_owned()),
        ("tag", "!!python/object/apply:os.system [ls]".to_owned()),
        ("include", "spec: !include /etc/passwd".to_owned()),
        ("control characters", "name: \"\u{0}\u{1b}[2J\"".to_owned()),
        ("two documents", format!("{}\n---\n{}", document("a", "", 0, ""), document("b", "", 0, ""))),
        ("numbers", "priority: 99999999999999999999999999999999".to_owned()),
        ("keys", "? [a, b]\n: c".to_owned()),
        ("nothing", String::new()),
    ];
    for (name, text) in texts {
        let began = std::time::Instant::now();
        for (path, status) in [("/policies/validate", 200), ("/policies/preview", 200), ("/policies", 422)] {
            let (got, bytes, _) = site.api.raw_with("POST", path, &[], &text).await;
            assert_eq!(got, status, "{name} {path}: {}", String::from_utf8_lossy(&bytes));
            assert!(bytes.len() < 64 * 1024, "{name} {path}: {} bytes of answer", bytes.len());
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{name} took {:?}", began.elapsed());
    }
    let not_utf8 = ("application/yaml", vec![0xff, 0xfe, 0x00]);
    assert_eq!(site.api.problem("POST", "/policies", Some(not_utf8)).await.status, 400);
    let large = ("application/yaml", vec![b'a'; 1024 * 1024 + 1]);
    assert_eq!(site.api.problem("POST", "/policies", Some(large)).await.status, 413);
    for body in ["[]", "{}", r#"{"documents":[{"text":1}]}"#, r#"{"documents":[],"x":1}"#] {
        let problem =
            site.api.problem("POST", "/policies/apply", Some(("application/json", body.into()))).await;
        assert_eq!(problem.status, 400, "{body}");
    }
    site.running.stop().await;
}
