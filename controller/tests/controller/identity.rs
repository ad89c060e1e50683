//! Who may take part: approval, partitions, revocation, quarantine, renewal.

use crate::common::*;
use crate::polling::Poller;
use muster_proto::api::{
    AgentLife, AgentView, AuditEntry, Decision, EnrolmentState, EnrolmentView, Page, PolicyPublished,
    TokenCreated, TokenRequest,
};
use muster_proto::opamp::{AgentToServer, ServerErrorResponseType, ServerToAgent, attribute};
use muster_proto::session::rates::{RatesMessage, RatesReport};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::Duration;

fn key_sha256(agent: &TestAgent) -> String {
    use rcgen::PublicKeyData as _;
    let fingerprint =
        muster_proto::session::fingerprint::key_fingerprint(&agent.key.subject_public_key_info());
    fingerprint.trim_start_matches("sha256:").to_owned()
}

async fn token(site: &Site, approve: bool, partition: Option<&str>) -> TokenCreated {
    let partition = partition.map(|p| p.parse().unwrap());
    let request = TokenRequest { approve, partition, uses: Some(5), ..TokenRequest::default() };
    site.api.post("/tokens", &request, 201).await
}

/// A message that tells the partition.
fn placed(mut message: AgentToServer, full: &AgentToServer, serial: &str, number: u32) -> AgentToServer {
    let mut description = full.agent_description.clone().unwrap();
    description.identifying_attributes.extend([
        attribute::text(attribute::IBMI_SERIAL_NUMBER, serial),
        attribute::text(attribute::IBMI_PARTITION_ID, number.to_string()),
    ]);
    message.agent_description = Some(description);
    message
}

/// Asks to enrol as the agent of a partition.
async fn apply(agent: &mut TestAgent, token: &str, serial: &str, number: u32) -> ServerToAgent {
    let mut socket = agent.dial(Some(token)).await.unwrap();
    let full = agent.full();
    let request = placed(agent.with_csr(), &full, serial, number);
    ask(&mut socket, &request).await
}

fn waits(reply: &ServerToAgent) -> bool {
    reply.connection_settings.is_none() && reply.error_response.is_none()
}

async fn decide(site: &Site, what: &str, whom: &str, word: &str, reason: &str) -> AgentView {
    let decision = Decision { reason: reason.to_owned() };
    site.api.post(&format!("/{what}/{whom}/{word}"), &decision, 200).await
}

async fn enrolment(site: &Site, whom: &str, word: &str, reason: &str) -> EnrolmentView {
    let decision = Decision { reason: reason.to_owned() };
    site.api.post(&format!("/enrolments/{whom}/{word}"), &decision, 200).await
}

async fn actions(site: &Site) -> Vec<String> {
    let page: Page<AuditEntry> = site.api.get("/audit?limit=1000").await;
    page.items.into_iter().map(|entry| entry.action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_is_waited_for_and_denial_is_told() {
    let site = Site::start().await;
    let token = token(&site, true, None).await;
    let (mut good, mut bad) =
        (TestAgent::new(site.addr(), site.ca()), TestAgent::new(site.addr(), site.ca()));
    for agent in [&mut good, &mut bad] {
        for _ in 0..2 {
            assert!(waits(&apply(agent, &token.token, "78A", 3).await), "asked twice, waits once");
        }
    }
    let list: Page<EnrolmentView> = site.api.get("/enrolments").await;
    assert_eq!(list.items.len(), 2);
    let shown = list.items.iter().find(|e| e.agent.0 == good.uid).unwrap();
    assert_eq!(shown.fingerprint, format!("sha256:{}", key_sha256(&good)));
    assert_eq!((shown.name.as_str(), shown.state), ("PROD01", EnrolmentState::Waiting));
    assert_eq!(shown.partition.as_ref().unwrap().to_string(), "78A-3");
    assert_eq!(shown.reasons, ["its token asks for approval"]);
    // Both have the name: it takes the key to tell them apart.
    let body = ("application/json", b"{}".to_vec());
    let problem = site.api.problem("POST", "/enrolments/PROD01/approve", Some(body)).await;
    assert_eq!(problem.code(), "ambiguous");
    enrolment(&site, &key_sha256(&good)[..12], "approve", "").await;
    let denied = enrolment(&site, &bad.uid.to_string(), "deny", "not one of ours").await;
    assert_eq!((denied.state, denied.decided_by.as_deref()), (EnrolmentState::Denied, Some("admin")));

    let reply = apply(&mut good, &token.token, "78A", 3).await;
    good.keep(&reply);
    let (_socket, reply) = good.connect().await;
    assert_eq!(reply.error_response, None);
    for _ in 0..2 {
        let text = error_text(&apply(&mut bad, &token.token, "78A", 3).await);
        assert!(text.contains("denied by admin") && text.contains("not one of ours"), "{text}");
    }
    let list: Page<EnrolmentView> = site.api.get("/enrolments").await;
    assert_eq!(list.items.len(), 1, "the approved one is done");
    let actions = actions(&site).await;
    for (action, count) in [("agent.pending", 2), ("agent.approve", 1), ("agent.deny", 1), ("agent.enrol", 1)]
    {
        assert_eq!(actions.iter().filter(|a| *a == action).count(), count, "{action} in {actions:?}");
    }
    site.running.stop().await;
}

/// What a person agreed to is what was shown: whoever tells something else afterwards is shown again.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_what_was_shown() {
    let site = Site::start().await;
    let token = token(&site, true, None).await;
    let mut agent = TestAgent::new(site.addr(), site.ca());
    let key = key_sha256(&agent);
    let shown = async || {
        let list: Page<EnrolmentView> = site.api.get("/enrolments").await;
        let partition = list.items[0].partition.as_ref().unwrap().to_string();
        (list.items[0].state, partition)
    };
    assert!(waits(&apply(&mut agent, &token.token, "78A", 3).await));
    enrolment(&site, &key, "approve", "").await;
    assert_eq!(shown().await, (EnrolmentState::Approved, "78A-3".to_owned()));
    assert!(waits(&apply(&mut agent, &token.token, "78A", 4).await), "nobody was asked about 78A-4");
    assert_eq!(shown().await, (EnrolmentState::Waiting, "78A-4".to_owned()));
    assert!(waits(&apply(&mut agent, &token.token, "78A", 5).await));
    assert_eq!(shown().await, (EnrolmentState::Waiting, "78A-5".to_owned()));
    enrolment(&site, &key, "approve", "").await;
    // Asked with what has changed only: nothing.
    let mut socket = agent.dial(Some(&token.token)).await.unwrap();
    let request = agent.with_csr();
    let reply = ask(&mut socket, &request).await;
    agent.keep(&reply);
    assert_eq!(agent.connect().await.1.error_response, None);
    let actions = actions(&site).await;
    for (action, count) in [("agent.pending", 3), ("agent.approve", 2), ("agent.enrol", 1)] {
        assert_eq!(actions.iter().filter(|a| *a == action).count(), count, "{action} in {actions:?}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_partition_is_joined_by_consent_or_a_token_that_names_it() {
    let site = Site::start().await;
    let plain = token(&site, false, None).await;
    let named = token(&site, false, Some("78a/3")).await;
    let agent = || TestAgent::new(site.addr(), site.ca());
    let mut first = agent();
    let reply = apply(&mut first, &plain.token, "78A", 3).await;
    first.keep(&reply);
    let mut second = agent();
    assert!(waits(&apply(&mut second, &plain.token, "78A", 3).await));
    let list: Page<EnrolmentView> = site.api.get("/enrolments").await;
    assert!(list.items[0].reasons[0].contains("78A-3 is known already"), "{:?}", list.items);
    // It asks again, and tells only what has changed: nothing.
    let mut socket = second.dial(Some(&plain.token)).await.unwrap();
    let request = second.with_csr();
    assert!(waits(&ask(&mut socket, &request).await), "nobody has approved it");
    // The same agent with the right token.
    let reply = apply(&mut second, &named.token, "78A", 3).await;
    second.keep(&reply);
    let text = error_text(&apply(&mut agent(), &named.token, "78A", 4).await);
    assert!(text.contains("is for partition 78A-3, but this agent reads partition 78A-4"), "{text}");
    let mut blind = agent();
    let mut socket = blind.dial(Some(&named.token)).await.unwrap();
    let request = blind.with_csr();
    let text = error_text(&ask(&mut socket, &request).await);
    assert!(text.contains("does not know its partition yet"), "{text}");

    // Restored from an old backup: its certificate was replaced since, it enrols anew under its id.
    let mut restored = agent();
    restored.uid = first.uid;
    assert!(waits(&apply(&mut restored, &plain.token, "78A", 3).await));
    let reply = apply(&mut restored, &named.token, "78A", 3).await;
    restored.keep(&reply);
    let (_socket, reply) = restored.connect().await;
    assert_eq!(reply.error_response, None);
    let problem = first.dial(None).await.map(|_| ()).unwrap_err();
    assert_eq!(problem.code(), "certificate-unknown", "the one before is retired by the first use");
    assert_eq!(actions(&site).await.iter().filter(|a| *a == "agent.re-enrol").count(), 1);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_tells_a_known_or_another_partition_later_is_quarantined() {
    let site = Site::start().await;
    let (mut first, mut second) = (site.agent().await, site.agent().await);
    // Answers may come behind a warning: what counts is what is shown in the end.
    let await_life = async |agent: &TestAgent, life: AgentLife, part: &str| {
        eventually(&format!("{life:?} {part}"), async || {
            let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
            let reason = view.hold.as_ref().map(|h| h.reason.clone()).unwrap_or_default();
            (view.summary.life == life && reason.contains(part)).then_some(view)
        })
        .await
    };
    let told = async |agent: &mut TestAgent, socket: &mut Socket, serial: &str, number: u32| {
        let full = agent.full();
        send(socket, &placed(full.clone(), &full, serial, number)).await;
    };
    let known = |partition: &str| Some(partition.parse().unwrap());
    let (mut one, _) = first.connect().await;
    told(&mut first, &mut one, "78A", 3).await;
    eventually("the first is known", async || {
        let view: AgentView = site.api.get(&format!("/agents/{}", first.uid)).await;
        (view.partition == known("78A-3")).then_some(())
    })
    .await;
    let (mut two, _) = second.connect().await;
    told(&mut second, &mut two, "78A", 3).await;
    await_life(&second, AgentLife::Quarantined, "78A-3 is known already").await;
    await_life(&first, AgentLife::Active, "").await;
    let view = decide(&site, "agents", &second.uid.to_string(), "release", "a stand-by").await;
    assert_eq!((view.summary.life, view.partition), (AgentLife::Active, known("78A-3")));
    // Then it says that it is elsewhere: a copied folder, or a move.
    told(&mut second, &mut two, "78B", 1).await;
    await_life(&second, AgentLife::Quarantined, "was 78A-3 and is now 78B-1").await;
    let view = decide(&site, "agents", &second.uid.to_string(), "release", "moved").await;
    assert_eq!((view.summary.life, view.partition), (AgentLife::Active, known("78B-1")));
    told(&mut second, &mut two, "78B", 1).await;
    await_life(&second, AgentLife::Active, "").await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_is_out_at_once_and_its_key_for_good() {
    let site = Site::start().await;
    let token = token(&site, false, None).await;
    let mut agent = TestAgent::new(site.addr(), site.ca());
    agent.enrol(&token.token).await;
    let (mut socket, _) = agent.connect().await;
    let started = std::time::Instant::now();
    let view = decide(&site, "agents", &agent.uid.to_string(), "revoke", "stolen disk").await;
    assert_eq!(view.summary.life, AgentLife::Revoked);
    let told = error_text(&next_or_close(&mut socket).await.expect("the reason comes first"));
    assert!(told.contains("by admin") && told.contains("stolen disk"), "{told}");
    assert_eq!(next_or_close(&mut socket).await, Err(Some(1008)));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let problem = agent.dial(None).await.map(|_| ()).unwrap_err();
    assert_eq!((problem.status, problem.code()), (401, "agent-revoked"));
    assert!(problem.detail.contains("by admin") && problem.detail.contains("stolen disk"), "{problem:?}");
    let mut socket = agent.dial(Some(&token.token)).await.unwrap();
    let request = agent.with_csr();
    let text = error_text(&ask(&mut socket, &request).await);
    assert!(text.contains("the key of the certificate request was revoked"), "{text}");
    let body = ("application/json", b"{}".to_vec());
    let path = format!("/agents/{}/release", agent.uid);
    assert_eq!(site.api.problem("POST", &path, Some(body)).await.code(), "revoked");

    // With a new key and somebody's consent it comes back.
    agent.key = Arc::new(rcgen::KeyPair::generate().unwrap());
    agent.certificate = None;
    let mut socket = agent.dial(Some(&token.token)).await.unwrap();
    let request = agent.with_csr();
    assert!(waits(&ask(&mut socket, &request).await));
    enrolment(&site, &agent.uid.to_string(), "approve", "").await;
    let request = agent.with_csr();
    let reply = ask(&mut socket, &request).await;
    agent.keep(&reply);
    let (_socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tls_session_is_resumed() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let mut config = agent.tls();
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for _ in 0..3 {
        let tcp = tokio::net::TcpStream::connect(site.addr()).await.unwrap();
        let name = rustls_pki_types::ServerName::from(site.addr().ip());
        let mut stream = connector.connect(name, tcp).await.unwrap();
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", site.addr());
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Tickets would come with the answer.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_agent_stays_and_gets_nothing() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    let id = agent.uid.to_string();
    decide(&site, "agents", &id, "quarantine", "odd traffic").await;
    let told = error_text(&next(&mut socket).await);
    assert!(told.contains("quarantined: odd traffic"), "{told}");
    let _: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    for _ in 0..3 {
        let heartbeat = agent.message();
        let reply = ask(&mut socket, &heartbeat).await;
        assert_eq!((reply.remote_config, reply.error_response), (None, None));
    }
    agent.key = Arc::new(rcgen::KeyPair::generate().unwrap());
    let request = agent.with_csr();
    let text = error_text(&ask(&mut socket, &request).await);
    assert!(text.contains("is quarantined and gets no certificate"), "{text}");
    decide(&site, "agents", &id, "release", "").await;
    assert!(next(&mut socket).await.remote_config.is_some());
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_agent_that_comes_back_is_told_again_why_it_gets_nothing() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (socket, _) = agent.connect().await;
    let id = agent.uid.to_string();
    decide(&site, "agents", &id, "quarantine", "odd traffic").await;
    drop(socket);
    // Over a WebSocket behind the answer to its report, also after the controller was started anew.
    let site = site.restarted().await;
    agent.addr = site.addr();
    let (mut socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    let told = error_text(&next(&mut socket).await);
    assert_eq!(told, "this agent is quarantined: odd traffic");
    let heartbeat = agent.message();
    assert_eq!(ask(&mut socket, &heartbeat).await.error_response, None, "once");
    drop(socket);
    // By polling with an answer that has nothing else to say.
    let poller = Poller::new(&agent);
    let mut replies = vec![poller.ask(&agent.full()).await];
    for _ in 0..3 {
        replies.push(poller.ask(&agent.message()).await);
    }
    let texts: Vec<String> =
        replies.iter().filter(|reply| reply.error_response.is_some()).map(error_text).collect();
    assert_eq!(texts, ["this agent is quarantined: odd traffic"]);
    // Once it is released nobody is told.
    decide(&site, "agents", &id, "release", "").await;
    assert_eq!(poller.ask(&agent.full()).await.error_response, None);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decommissioned_agent_is_history() {
    let site = Site::start().await;
    let token = token(&site, false, None).await;
    let mut agent = TestAgent::new(site.addr(), site.ca());
    agent.enrol(&token.token).await;
    let (mut socket, _) = agent.connect().await;
    let body = ("application/json", serde_json::to_vec(&Decision { reason: "scrapped".into() }).unwrap());
    let (status, _, _) =
        site.api.raw("POST", &format!("/agents/{}/decommission", agent.uid), Some(body)).await;
    assert_eq!(status, 204);
    assert_eq!(next_or_close(&mut socket).await, Err(Some(1008)));
    assert_eq!(site.api.raw("GET", &format!("/agents/{}", agent.uid), None).await.0, 404);
    assert_eq!(agent.dial(None).await.map(|_| ()).unwrap_err().code(), "certificate-unknown");
    let mut socket = agent.dial(Some(&token.token)).await.unwrap();
    let request = agent.with_csr();
    let text = error_text(&ask(&mut socket, &request).await);
    assert!(text.contains("was revoked"), "{text}");
    let log: Page<AuditEntry> = site.api.get("/audit").await;
    let entry = log.items.iter().find(|e| e.action == "agent.decommission").unwrap();
    assert!(entry.detail.starts_with("scrapped; name PROD01"), "{}", entry.detail);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_the_same_for_the_same_key_and_not_at_once_for_another() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    agent.key = Arc::new(rcgen::KeyPair::generate().unwrap());
    let mut certificates = Vec::new();
    for _ in 0..2 {
        let request = agent.with_csr();
        let reply = ask(&mut socket, &request).await;
        let offer = reply.connection_settings.unwrap();
        certificates.push((offer.hash, offer.opamp.unwrap().certificate.unwrap().cert));
    }
    assert_eq!(certificates[0], certificates[1]);
    agent.key = Arc::new(rcgen::KeyPair::generate().unwrap());
    let request = agent.with_csr();
    let refusal = ask(&mut socket, &request).await.error_response.unwrap();
    assert_eq!(refusal.r#type(), ServerErrorResponseType::Unavailable);
    assert!(refusal.details.is_some(), "and when to come again");
    assert_eq!(actions(&site).await.iter().filter(|a| *a == "agent.renew").count(), 1);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_renewed_within_the_grace_and_not_after() {
    let site = Site::start_with(|c| {
        c.certificate_life = Duration::from_secs(1);
        c.renewal_grace = Duration::from_secs(4);
    })
    .await;
    let mut late = site.agent().await;
    let mut socket = eventually("it expires", async || {
        let mut socket = late.dial(None).await.ok()?;
        let heartbeat = late.message();
        let error = ask(&mut socket, &heartbeat).await.error_response?;
        error.error_message.contains("nothing but a certificate request").then_some(socket)
    })
    .await;
    // The old key opened the connection, a new one is asked for.
    late.key = Arc::new(rcgen::KeyPair::generate().unwrap());
    let request = late.with_csr();
    let reply = ask(&mut socket, &request).await;
    late.keep(&reply);
    let log: Page<AuditEntry> = site.api.get("/audit").await;
    let renewed = log.items.iter().find(|e| e.action == "agent.renew").unwrap();
    assert!(renewed.detail.contains("by a certificate that expired at"), "{}", renewed.detail);
    let problem = eventually("the grace is over", async || late.dial(None).await.err()).await;
    assert_eq!((problem.status, problem.code()), (401, "certificate-expired"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_shown() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    for (ahead, warned) in [(2_000, 0), (400_000, 1)] {
        let report = RatesReport { time_unix_ms: now + ahead, ..RatesReport::default() };
        let message = AgentToServer {
            custom_message: Some(RatesMessage::Report(report).to_custom()),
            ..agent.message()
        };
        ask(&mut socket, &message).await;
        let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
        let skew = view.clock_skew_ms.unwrap();
        assert!(skew <= ahead as i64 && skew > ahead as i64 - 20_000, "{skew}");
        assert_eq!((view.warnings.len(), view.summary.healthy), (warned, warned == 0));
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_certificate_ends_the_handshake_and_posing_is_audited() {
    let site = Site::start().await;
    let (agent, mut other) = (site.agent().await, site.agent().await);
    // Name and serial number are right, the authority has the right name, and the key is somebody else's.
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (authority, real) = (der(site.ca()), der(agent.certificate.as_deref().unwrap()));
    let (_, authority) = x509_parser::parse_x509_certificate(&authority).unwrap();
    let (_, real) = x509_parser::parse_x509_certificate(&real).unwrap();
    let named = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let mut issuer = named(authority.subject().iter_common_name().next().unwrap().as_str().unwrap());
    issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(issuer, rcgen::KeyPair::generate().unwrap());
    let mut params = named(&agent.uid.to_string());
    params.serial_number = Some(rcgen::SerialNumber::from_slice(real.raw_serial()));
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let mut forger = TestAgent::new(site.addr(), site.ca());
    forger.uid = agent.uid;
    forger.certificate = Some(params.signed_by(&*forger.key, &issuer).unwrap().pem());
    let tcp = tokio::net::TcpStream::connect(site.addr()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(forger.tls()));
    // In TLS 1.3 the client hears of the refusal with its first read.
    let result = match connector.connect(site.addr().ip().into(), tcp).await {
        Ok(mut stream) => tokio::io::AsyncReadExt::read_u8(&mut stream).await.map(|_| ()),
        Err(error) => Err(error),
    };
    let text = result.unwrap_err().to_string();
    assert!(text.contains("UnknownCA") || text.contains("DecryptError"), "{text}");

    let mut socket = other.dial(None).await.unwrap();
    let mut message = other.full();
    message.instance_uid = agent.uid.as_bytes().to_vec();
    ask(&mut socket, &message).await;
    assert_eq!(next_or_close(&mut socket).await, Err(Some(1008)));
    assert!(actions(&site).await.iter().any(|a| a == "agent.refused"));
    site.running.stop().await;
}
