//! Four eyes.

use crate::common::*;
use crate::roles::user;
use muster_proto::api::{
    AuditEntry, Page, PolicyPublished, PolicyRevisionView, ProposalState, ProposalView, Role, Settings,
    SettingsChanged,
};
use serde_json::json;

fn json_body(value: &serde_json::Value) -> Option<(&'static str, Vec<u8>)> {
    Some(("application/json", value.to_string().into_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_needs_a_second_person() {
    let site = Site::start().await;
    let otto = user(&site, "otto", Role::Operator).await;
    let eva = user(&site, "eva", Role::Approver).await;
    let _: PolicyPublished = otto.yaml("/policies", POLICY, 201).await;
    let on: SettingsChanged =
        site.api.json("PATCH", "/settings", json_body(&json!({"four_eyes": true})), 200).await;
    assert_eq!((on.settings, on.proposal), (Settings { four_eyes: true }, None));

    let changed = POLICY.replace("ZR", "ZC");
    let proposed: ProposalView = otto.yaml("/policies", &changed, 202).await;
    assert_eq!(proposed.summary, "publish base");
    let current: Page<PolicyRevisionView> = otto.get("/policies/base/revisions").await;
    assert_eq!(current.items.len(), 1, "nothing was published");
    let approve = format!("/proposals/{}/approve", proposed.id);
    let refused = otto.problem("POST", &approve, json_body(&json!({}))).await;
    assert_eq!((refused.status, refused.code()), (403, "role"));
    let done: ProposalView = eva.post(&approve, &json!({"note": "fine"}), 200).await;
    assert_eq!((done.state, done.decided_by.as_str()), (ProposalState::Approved, "eva"));
    let current: Page<PolicyRevisionView> = otto.get("/policies/base/revisions").await;
    assert_eq!((current.items.len(), current.items[0].published_by.as_str()), (2, "eva"));
    let again = site.api.problem("POST", &approve, json_body(&json!({}))).await;
    assert_eq!((again.status, again.code()), (409, "decided"));

    // An approver is one person too.
    let own: ProposalView = eva.json("DELETE", "/policies/base", None, 202).await;
    let refused = eva.problem("POST", &format!("/proposals/{}/approve", own.id), json_body(&json!({}))).await;
    assert_eq!((refused.status, refused.code()), (403, "own-proposal"));
    let back: ProposalView = eva.post(&format!("/proposals/{}/reject", own.id), &json!({}), 200).await;
    assert_eq!(back.state, ProposalState::Rejected);
    let invalid = otto.problem("POST", "/policies", Some(("application/yaml", b"name: x".to_vec()))).await;
    assert_eq!(invalid.status, 422, "what cannot be published is not proposed");

    // Nor does one person switch it off.
    let off: SettingsChanged =
        site.api.json("PATCH", "/settings", json_body(&json!({"four_eyes": false})), 202).await;
    assert!(off.settings.four_eyes);
    let path = format!("/proposals/{}/approve", off.proposal.unwrap().id);
    assert_eq!(site.api.problem("POST", &path, json_body(&json!({}))).await.code(), "own-proposal");
    let _: ProposalView = eva.post(&path, &json!({}), 200).await;
    let _: PolicyPublished = otto.yaml("/policies", POLICY, 201).await;

    let log: Page<AuditEntry> = site.api.get("/audit?action=proposal").await;
    let actions: Vec<_> = log.items.iter().rev().map(|e| (e.actor.as_str(), e.action.as_str())).collect();
    assert_eq!(
        actions,
        [
            ("otto", "proposal.create"),
            ("eva", "proposal.approve"),
            ("eva", "proposal.create"),
            ("eva", "proposal.reject"),
            ("admin", "proposal.create"),
            ("eva", "proposal.approve"),
        ]
    );
    site.running.stop().await;
}
