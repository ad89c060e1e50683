//! The audit log as an agent gets it that is to send it to a SIEM.

use crate::common::*;
use muster_proto::api::{AgentAuditPage, PolicyPublished, Problem};
use muster_shared::audit_chain::Verifier;

/// A policy with the source that reads the log.
pub const POLICY: &str = "\
api_version: muster/v1
name: log
spec:
  sources:
    log: {kind: controller_audit}
  destinations:
    siem: {transport: {kind: tcp, address: \"siem.example:514\"}}
";

/// Asks for the log as an agent does.
pub async fn ask(agent: &TestAgent, query: &str, bearer: Option<&str>) -> (u16, Vec<u8>) {
    let client = reqwest::Client::builder().tls_backend_preconfigured(agent.tls()).build().unwrap();
    let mut request = client.get(format!("https://{}/api/v1/agent/audit{query}", agent.addr));
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_agent_whose_policy_names_the_source_reads_the_log() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let code = |body: &[u8]| serde_json::from_slice::<Problem>(body).unwrap().code().to_owned();
    let (status, body) = ask(&agent, "", None).await;
    assert_eq!((status, code(&body).as_str()), (403, "no-such-source"));
    // Neither a user nor somebody without any credential.
    let stranger = TestAgent::new(site.addr(), site.ca());
    for bearer in [None, site.api.token.as_deref()] {
        let (status, body) = ask(&stranger, "", bearer).await;
        assert_eq!((status, code(&body).as_str()), (401, "no-credential"));
    }
    let _: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    let (status, body) = ask(&agent, "?after=0&limit=2", None).await;
    assert_eq!(status, 200);
    let page: AgentAuditPage = serde_json::from_slice(&body).unwrap();
    assert_eq!(page.lines.len(), 2);
    assert!(page.newest > 2);
    let mut verifier = Verifier::after(0, "");
    page.lines.iter().try_for_each(|line| verifier.next(line.as_bytes())).unwrap();
    assert_eq!(verifier.verified().last, 2);
    let (_, body) = ask(&agent, &format!("?after={}", page.newest + 5), None).await;
    let end: AgentAuditPage = serde_json::from_slice(&body).unwrap();
    assert_eq!((end.lines.len(), end.newest, &end.newest_hash), (0, page.newest, &page.newest_hash));
    assert_eq!(ask(&agent, "?limit=1001", None).await.0, 400);
    assert_eq!(ask(&agent, "?after=x", None).await.0, 400);
    site.running.stop().await;
}
