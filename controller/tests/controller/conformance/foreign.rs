//! Foreign OpAMP agents: a token for each, seen like others, given files, and nothing else.

use super::wire::{Heard, Over, Wire};
use crate::common::*;
use muster_proto::api::{
    AgentKind, AgentPolicyView, AuditEntry, ConfigFile, ConfigRequest, ConfigTarget, ConfigView, Connection,
    ForeignTokenCreated, ForeignTokenRequest, ForeignTokenView, Labels, Page, PolicyPublished, PolicyState,
};
use muster_proto::opamp::capability::AgentCapabilities;
use muster_proto::opamp::{
    AgentConfigFile, AgentConfigMap, AgentToServer, EffectiveConfig, RemoteConfigStatuses, ServerToAgent,
};
use muster_shared::id::{AgentId, Revision};

/// What the OpenTelemetry Collector's supervisor declares, roughly.
const COLLECTOR: u64 = AgentCapabilities::REPORTS_STATUS.0
    | AgentCapabilities::ACCEPTS_REMOTE_CONFIG.0
    | AgentCapabilities::REPORTS_EFFECTIVE_CONFIG.0
    | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS.0
    | AgentCapabilities::ACCEPTS_RESTART_COMMAND.0
    | AgentCapabilities::REPORTS_HEALTH.0
    | AgentCapabilities::REPORTS_REMOTE_CONFIG.0
    | AgentCapabilities::REPORTS_HEARTBEAT.0;

fn collector(message: AgentToServer) -> AgentToServer {
    let capabilities = if message.capabilities == 0 { 0 } else { COLLECTOR };
    AgentToServer { capabilities, custom_capabilities: None, ..message }
}

async fn full(wire: &mut Wire) -> ServerToAgent {
    let full = collector(wire.agent.full());
    wire.ask(&full).await
}

async fn labelled(site: &Site, over: Over, labels: &[(&str, &str)]) -> Wire {
    let labels: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let request = ForeignTokenRequest { labels, ..ForeignTokenRequest::default() };
    let token: ForeignTokenCreated = site.api.post("/foreign-tokens", &request, 201).await;
    Wire::new(TestAgent::new(site.addr(), site.ca()), over, Some(token.token))
}

async fn set(site: &Site, target: ConfigTarget, body: &str) -> ConfigView {
    let file = ConfigFile { body: body.to_owned(), content_type: "text/yaml".to_owned() };
    let request = ConfigRequest { target, files: [(String::new(), file)].into() };
    let body = ("application/json", serde_json::to_vec(&request).unwrap());
    site.api.json("PUT", "/foreign-configs", Some(body), 200).await
}

async fn is_steered(over: Over) {
    let site = Site::start().await;
    // A policy for everybody is not for foreign agents.
    let mut wire = labelled(&site, over, &[("env", "prod")]).await;
    let reply = full(&mut wire).await;
    let published: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    assert_eq!(published.agents, 0);
    assert_eq!(
        (reply.remote_config, reply.connection_settings, reply.custom_capabilities),
        (None, None, None)
    );
    let view = wire.view(&site).await;
    assert_eq!((view.summary.kind, view.summary.connection), (AgentKind::Foreign, Connection::Connected));
    assert_eq!((view.certificate, view.summary.labels["env"].as_str()), (None, "prod"));
    assert_eq!(view.summary.policy.state, PolicyState::Applied, "nothing is wanted");
    assert!(view.summary.healthy);

    // By labels, then for itself, which wins.
    let labels: Labels = [("env".to_owned(), "prod".to_owned())].into();
    let by_label = set(&site, ConfigTarget::Selector(labels.clone()), "a: 1").await;
    let offer = wire.pushed().await.remote_config.unwrap();
    assert_eq!(offer.config.unwrap().config_map[""].body, b"a: 1");
    let applied = collector(wire.agent.status(&offer.config_hash, RemoteConfigStatuses::Applied, ""));
    assert_eq!(wire.ask(&applied).await.remote_config, None);
    let status = wire.view(&site).await.summary.policy;
    assert_eq!((status.state, status.running), (PolicyState::Applied, Some(by_label.revision)));
    let id = AgentId(wire.agent.uid);
    let own = set(&site, ConfigTarget::Agent(id), "a: 2").await;
    assert!(own.revision > by_label.revision);
    let offer = wire.pushed().await.remote_config.unwrap();
    assert_eq!(offer.config.unwrap().config_map[""].body, b"a: 2");
    let failed = collector(wire.agent.status(&offer.config_hash, RemoteConfigStatuses::Failed, "line 1: no"));
    assert_eq!(wire.ask(&failed).await.remote_config, None);
    let status = wire.view(&site).await.summary.policy;
    assert_eq!((status.state, status.reason.as_str()), (PolicyState::Failed, "line 1: no"));
    // Setting the same again is the operator's wish to try again.
    set(&site, ConfigTarget::Agent(id), "a: 2").await;
    let again = wire.pushed().await.remote_config.unwrap();
    assert_eq!(again.config_hash, offer.config_hash);

    // What it runs is shown, without what looks secret.
    let file = AgentConfigFile { body: b"a: 2\napi_key: abc\n".to_vec(), content_type: String::new() };
    let config =
        EffectiveConfig { config_map: Some(AgentConfigMap { config_map: [(String::new(), file)].into() }) };
    let message = AgentToServer { effective_config: Some(config), ..collector(wire.agent.message()) };
    wire.ask(&message).await;
    let policy: AgentPolicyView = site.api.get(&format!("/agents/{id}/policy")).await;
    assert_eq!(policy.effective.as_deref(), Some("a: 2\napi_key: <redacted>\n"));
    assert_eq!(policy.documents.len(), 1);

    // It is restarted by the command, as it declared; it gets no certificate.
    let (status, _, _) = site.api.raw("POST", &format!("/agents/{id}/restart"), None).await;
    assert_eq!(status, 202);
    assert!(wire.pushed().await.command.is_some());
    let request = collector(wire.agent.with_csr());
    assert!(error_text(&wire.ask(&request).await).contains("gets no certificate"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_agent_is_seen_and_given_files_over_websocket() {
    is_steered(Over::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_agent_is_seen_and_given_files_over_http() {
    is_steered(Over::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_at_its_first_use_and_ends_when_it_is_deleted() {
    let site = Site::start().await;
    let mut wire = Wire::foreign(&site, Over::WebSocket).await;
    full(&mut wire).await;
    let tokens: Page<ForeignTokenView> = site.api.get("/foreign-tokens").await;
    assert_eq!(tokens.items[0].agent, Some(AgentId(wire.agent.uid)));
    // The uid of an agent that is known already is not to be had with a fresh token.
    let mut thief = Wire::foreign(&site, Over::Http).await;
    thief.agent.uid = wire.agent.uid;
    assert!(error_text(&full(&mut thief).await).contains("known as another agent's"));

    let (status, _, _) =
        site.api.raw("DELETE", &format!("/foreign-tokens/{}", tokens.items[0].id), None).await;
    assert_eq!(status, 204);
    assert!(matches!(wire.next().await, Heard::Closed(Some(1008))), "cut off at once");
    let problem = wire.agent.dial(wire.bearer.as_deref()).await.map(drop).unwrap_err();
    assert_eq!((problem.status, problem.code()), (401, "token-unknown"));
    let (status, _, _) = site.api.raw("GET", &format!("/agents/{}", wire.agent.uid), None).await;
    assert_eq!(status, 404);

    let short = ForeignTokenRequest { expires_in_seconds: Some(1), ..ForeignTokenRequest::default() };
    let expired: ForeignTokenCreated = site.api.post("/foreign-tokens", &short, 201).await;
    let agent = TestAgent::new(site.addr(), site.ca());
    eventually("an unused token expires", async || {
        let problem = agent.dial(Some(&expired.token)).await.err()?;
        assert_eq!(problem.code(), "token-expired");
        Some(())
    })
    .await;
    let log: Page<AuditEntry> = site.api.get("/audit").await;
    let actions: Vec<&str> = log.items.iter().map(|entry| entry.action.as_str()).collect();
    for action in ["foreign-token.create", "agent.bind", "foreign-token.delete"] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_outlives_the_controller_and_is_removed_with_the_agent() {
    let site = Site::start().await;
    let mut wire = Wire::foreign(&site, Over::Http).await;
    full(&mut wire).await;
    let id = AgentId(wire.agent.uid);
    let all = set(&site, ConfigTarget::Selector(Labels::new()), "all: true").await;
    let own = set(&site, ConfigTarget::Agent(id), "own: true").await;
    assert_eq!((all.revision, own.revision), (Revision(1), Revision(2)));
    let site = site.restarted().await;
    wire.agent.addr = site.addr();
    wire.reconnect();
    let offer = full(&mut wire).await.remote_config.unwrap();
    assert_eq!(offer.config.unwrap().config_map[""].body, b"own: true");
    let (status, _, _) = site.api.raw("DELETE", "/foreign-configs/2", None).await;
    assert_eq!(status, 204);
    assert_eq!(site.api.problem("DELETE", "/foreign-configs/2", None).await.status, 404);
    let beat = collector(wire.agent.message());
    let offer = wire.ask(&beat).await.remote_config.unwrap();
    assert_eq!(offer.config.unwrap().config_map[""].body, b"all: true");

    set(&site, ConfigTarget::Agent(id), "own: again").await;
    let (status, _, _) = site.api.raw("DELETE", &format!("/agents/{id}"), None).await;
    assert_eq!(status, 204);
    let configs: Page<ConfigView> = site.api.get("/foreign-configs").await;
    assert_eq!(configs.items.iter().map(|c| c.revision).collect::<Vec<_>>(), [Revision(1)]);
    let tokens: Page<ForeignTokenView> = site.api.get("/foreign-tokens").await;
    assert_eq!(tokens.items, []);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_configurations_are_refused() {
    let site = Site::start().await;
    let own = site.agent().await;
    let file = |body: &str| ConfigFile { body: body.to_owned(), content_type: "text/yaml".to_owned() };
    let target = |id: uuid::Uuid| ConfigTarget::Agent(AgentId(id));
    let everyone = || ConfigTarget::Selector(Labels::new());
    let cases = [
        ("of our own", target(own.uid), vec![("", file("a"))], 400),
        ("of nobody", target(uuid::Uuid::now_v7()), vec![("", file("a"))], 404),
        ("no files", everyone(), vec![], 400),
        ("too large", everyone(), vec![("", file(&"x".repeat(256 * 1024)))], 400),
        ("odd name", everyone(), vec![("a\nb", file("a"))], 400),
        (
            "odd label",
            ConfigTarget::Selector([("a b".to_owned(), "c".to_owned())].into()),
            vec![("", file("a"))],
            400,
        ),
    ];
    for (name, target, files, status) in cases {
        let files = files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect();
        let body = serde_json::to_vec(&ConfigRequest { target, files }).unwrap();
        let problem = site.api.problem("PUT", "/foreign-configs", Some(("application/json", body))).await;
        assert_eq!(problem.status, status, "{name}: {}", problem.detail);
    }
    site.running.stop().await;
}
