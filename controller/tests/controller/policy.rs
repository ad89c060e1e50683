//! Policies are checked, numbered, pushed and answered.

use crate::common::*;
use muster_proto::api::{
    AgentPolicyView, AgentView, AuditEntry, Page, PolicyCheck, PolicyDiff, PolicyPlan, PolicyPublished,
    PolicyRevisionText, PolicyRevisionView, PolicyState, PolicyStatus, Problem,
};
use muster_proto::opamp::config::policy_body;
use muster_proto::opamp::{AgentToServer, EffectiveConfig, RemoteConfigStatuses, ServerToAgent, config};
use muster_shared::policy::model::EffectivePolicy;

fn offered(message: &ServerToAgent) -> (EffectivePolicy, Vec<u8>) {
    let offer = message.remote_config.as_ref().unwrap_or_else(|| panic!("no offer in {message:?}"));
    (serde_json::from_slice(policy_body(offer).unwrap()).unwrap(), offer.config_hash.clone())
}

async fn state(site: &Site, agent: &TestAgent) -> (PolicyState, u64, Option<u64>, String) {
    let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
    let policy = view.summary.policy;
    (policy.state, policy.wanted.0, policy.running.map(|r| r.0), policy.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_pushed_applied_refused_and_replaced() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (mut socket, reply) = agent.connect().await;
    let (empty, hash) = offered(&reply);
    assert_eq!(empty, EffectivePolicy::default(), "no policy is the empty one");
    let applied = agent.status(&hash, RemoteConfigStatuses::Applied, "");
    assert!(ask(&mut socket, &applied).await.remote_config.is_none());

    let published: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    assert_eq!((published.revision.revision.0, published.agents, published.changed), (1, 1, true));
    let (policy, hash) = offered(&next(&mut socket).await);
    assert_eq!((policy.revision, policy.spec.rules[0].name.as_str()), (1, "no-zr"));
    assert_eq!(state(&site, &agent).await, (PolicyState::Applying, 1, Some(0), String::new()));

    let applying = agent.status(&hash, RemoteConfigStatuses::Applying, "");
    assert!(ask(&mut socket, &applying).await.remote_config.is_none());
    let mut applied = agent.status(&hash, RemoteConfigStatuses::Applied, "");
    applied.effective_config =
        Some(EffectiveConfig { config_map: Some(config::policy_map(b"{\"revision\":1}".to_vec())) });
    assert!(ask(&mut socket, &applied).await.remote_config.is_none());
    assert_eq!(state(&site, &agent).await, (PolicyState::Applied, 1, Some(1), String::new()));
    let view: AgentPolicyView = site.api.get(&format!("/agents/{}/policy", agent.uid)).await;
    assert_eq!(
        (view.documents, view.effective),
        (vec!["base@1".to_owned()], Some("{\"revision\":1}".into()))
    );

    let second = POLICY.replace("[ZR]", "[ZR, ZC]");
    let published: PolicyPublished = site.api.yaml("/policies", &second, 201).await;
    assert_eq!(published.revision.revision.0, 2);
    let (_, refused) = offered(&next(&mut socket).await);
    let failed = agent.status(&refused, RemoteConfigStatuses::Failed, "out of memory");
    assert!(ask(&mut socket, &failed).await.remote_config.is_none(), "a refused one is not sent again");
    // The agent falls back to what it ran before and says so.
    let back = agent.status(&hash, RemoteConfigStatuses::Applied, "");
    assert!(ask(&mut socket, &back).await.remote_config.is_none(), "nor after the roll back");
    assert_eq!(state(&site, &agent).await, (PolicyState::Failed, 2, Some(1), "out of memory".to_owned()));
    let status: PolicyStatus = site.api.get("/policies/base/status").await;
    assert_eq!((status.failed, status.applied, status.agents[0].reason.as_str()), (1, 0, "out of memory"));

    let _: PolicyPublished = site.api.yaml("/policies", &POLICY.replace("[ZR]", "[ZC]"), 201).await;
    let (third, hash) = offered(&next(&mut socket).await);
    assert_eq!(third.revision, 3);
    let applied = agent.status(&hash, RemoteConfigStatuses::Applied, "");
    ask(&mut socket, &applied).await;
    assert_eq!(state(&site, &agent).await, (PolicyState::Applied, 3, Some(3), String::new()));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_decide_who_gets_what_and_a_reconnect_resends_nothing() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let text = POLICY.replace("spec:", "selector: {env: prod}\nspec:");
    let published: PolicyPublished = site.api.yaml("/policies", &text, 201).await;
    assert_eq!(published.agents, 0);
    let (mut socket, reply) = agent.connect().await;
    assert_eq!(offered(&reply).0.revision, 0);

    let labels = serde_json::to_vec(&serde_json::json!({"env": "prod"})).unwrap();
    let path = format!("/agents/{}/labels", agent.uid);
    let _: AgentView = site.api.json("PUT", &path, Some(("application/json", labels)), 200).await;
    let (policy, hash) = offered(&next(&mut socket).await);
    assert_eq!((policy.revision, policy.spec.destinations.len()), (1, 1));
    let applied = agent.status(&hash, RemoteConfigStatuses::Applied, "");
    ask(&mut socket, &applied).await;
    drop(socket);

    let mut socket = agent.dial(None).await.unwrap();
    let short = agent.message();
    let reply = ask(&mut socket, &short).await;
    assert_eq!((reply.remote_config, reply.flags), (None, 0), "the controller remembers");

    let removed: PolicyPublished = site.api.json("DELETE", "/policies/base", None, 200).await;
    assert!(removed.revision.removed);
    let (policy, _) = offered(&next(&mut socket).await);
    assert_eq!((policy.revision, policy.spec.destinations.len()), (2, 0));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_an_older_version_are_refused() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let (path, labels) = (format!("/agents/{}", agent.uid), format!("/agents/{}/labels", agent.uid));
    let read = site.api.request("GET", &path, &[]).send().await.unwrap();
    let tag = read.headers()["etag"].to_str().unwrap().to_owned();
    let change = |tag: &str, env: &str| {
        let request = site.api.request("PUT", &labels, &[("if-match", tag)]);
        let body = serde_json::json!({ "env": env }).to_string();
        request.header("content-type", "application/json").body(body).send()
    };
    let changed = change(&tag, "prod").await.unwrap();
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"].to_str().unwrap(), tag);
    let stale = change(&tag, "test").await.unwrap();
    assert_eq!(stale.status(), 412);
    let text = stale.text().await.unwrap();
    assert!(text.contains("changed by somebody else"), "{text}");
    let delete = site.api.request("DELETE", &path, &[("if-match", &tag)]).send().await.unwrap();
    assert_eq!(delete.status(), 412);
    let view: AgentView = site.api.get(&path).await;
    assert_eq!(view.summary.labels["env"], "prod");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_the_capability_gets_no_offer() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let mut socket = agent.dial(None).await.unwrap();
    let report = AgentToServer { capabilities: 0x801, ..agent.full() };
    assert!(ask(&mut socket, &report).await.remote_config.is_none());
    assert_eq!(state(&site, &agent).await.0, PolicyState::Waiting);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_have_a_place_and_change_nothing() {
    let site = Site::start().await;
    let cases = [
        ("malformed", POLICY.replace("action: drop", "action: drip"), 11, "drip"),
        ("unknown field", POLICY.replace("      action", "      acton"), 11, "acton"),
        ("meaning", POLICY.replace("siem.example:514", "siem.example"), 16, "port"),
    ];
    for (name, text, line, word) in cases {
        let check: PolicyCheck = site.api.yaml("/policies/validate", &text, 200).await;
        assert!(!check.valid, "{name}");
        let fault = &check.faults[0];
        assert_eq!(fault.line, line, "{name}: {fault:?}");
        assert!(fault.message.contains(word), "{name}: {fault:?}");
        let problem: Problem = site.api.yaml("/policies", &text, 422).await;
        assert_eq!(problem.faults, check.faults, "{name}");
        assert!(problem.detail.starts_with(&format!("line {line}, column ")), "{name}: {}", problem.detail);
    }
    let page: Page<PolicyRevisionView> = site.api.get("/policies").await;
    assert_eq!(page.items, []);

    let _: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    let twin = POLICY.replace("name: base", "name: twin");
    let problem: Problem = site.api.yaml("/policies", &twin, 422).await;
    assert!(problem.detail.contains("`base` and `twin` both set"), "{}", problem.detail);
    let higher = twin.replace("spec:", "priority: 5\nspec:");
    let _: PolicyPublished = site.api.yaml("/policies", &higher, 201).await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_differences() {
    let site = Site::start().await;
    let _: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    let again: PolicyPublished = site.api.yaml("/policies", POLICY, 200).await;
    assert!(!again.changed);
    let second = POLICY.replace("action: drop", "action: keep");
    let check: PolicyCheck = site.api.yaml("/policies/validate", &second, 200).await;
    assert_eq!((check.valid, check.changes.len()), (true, 1));
    let _: PolicyPublished = site.api.yaml("/policies", &second, 201).await;

    let page: Page<PolicyRevisionView> = site.api.get("/policies/base/revisions?limit=1").await;
    assert_eq!((page.items[0].revision.0, page.items[0].published_by.as_str()), (2, "admin"));
    let rest = format!("/policies/base/revisions?cursor={}", page.next.unwrap());
    let page: Page<PolicyRevisionView> = site.api.get(&rest).await;
    assert_eq!((page.items.len(), page.items[0].revision.0, page.next), (1, 1, None));

    let diff: PolicyDiff = site.api.get("/policies/base/diff").await;
    assert_eq!((diff.from.0, diff.to.0, diff.changes.len()), (1, 2, 1));
    assert_eq!(diff.changes[0].path, "spec.rules[no-zr].action");
    assert_eq!(diff.changes[0].after, Some("keep".into()));
    let whole: PolicyDiff = site.api.get("/policies/base/diff?to=1").await;
    assert_eq!((whole.from.0, whole.changes.len()), (0, 1));
    let first: PolicyRevisionText = site.api.get("/policies/base/revisions/1").await;
    assert_eq!(first.text, POLICY);
    let missing = site.api.problem("GET", "/policies/base/revisions/9", None).await;
    assert_eq!((missing.status, missing.code()), (404, "not-found"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_when_publishing_stays_with_the_revision() {
    let site = Site::start().await;
    let comment = async |number: u64| {
        let one: PolicyRevisionText = site.api.get(&format!("/policies/base/revisions/{number}")).await;
        one.revision.comment
    };
    let _: PolicyPublished = site.api.yaml("/policies?comment=the%20first", POLICY, 201).await;
    let second = POLICY.replace("action: drop", "action: keep");
    let set = serde_json::json!({ "documents": [{ "text": second }], "comment": "keep them" });
    let _: PolicyPlan = site.api.post("/policies/apply", &set, 200).await;
    let back = serde_json::json!({ "to": 1, "comment": "too many" });
    let _: PolicyPublished = site.api.post("/policies/base/revert", &back, 201).await;
    let (status, _, _) = site.api.raw("DELETE", "/policies/base?comment=not%20needed", None).await;
    assert_eq!(status, 200);
    for (number, said) in [(1, "the first"), (2, "keep them"), (3, "too many"), (4, "not needed")] {
        assert_eq!(comment(number).await, said, "revision {number}");
    }
    let page: Page<AuditEntry> = site.api.get("/audit?action=policy.revert").await;
    assert!(page.items[0].detail.ends_with(": too many"), "{:?}", page.items[0].detail);
    let lines: Problem = site.api.yaml("/policies?comment=a%0Ab", POLICY, 400).await;
    assert!(lines.detail.contains("comment must be one line"), "{}", lines.detail);
    site.running.stop().await;
}
