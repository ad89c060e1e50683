//! Tokens become certificates, once and for the right agent.

use crate::common::*;
use muster_proto::api::{AgentView, AuditEntry, Connection, Page, TokenRequest, TokenView};
use muster_proto::session::EnrolmentToken;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enrols_an_agent_and_its_certificate_connects_it() {
    let site = Site::start().await;
    let request = TokenRequest {
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        note: "first".to_owned(),
        ..TokenRequest::default()
    };
    let token: muster_proto::api::TokenCreated = site.api.post("/tokens", &request, 201).await;
    assert_eq!(token.view.urls, [format!("https://{}", site.addr())]);
    let mut agent = TestAgent::new(site.addr(), site.ca());
    agent.enrol(&token.token).await;

    let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
    assert_eq!(view.summary.connection, Connection::NeverConnected);
    assert_eq!(view.summary.labels, request.labels);

    let (_socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    assert_eq!(reply.flags, 0, "a complete report needs no other");
    assert!(reply.custom_capabilities.is_some());
    let view: AgentView = site.api.get("/agents/prod01").await;
    assert_eq!(view.summary.connection, Connection::Connected);
    assert_eq!((view.summary.version.as_str(), view.summary.os_release.as_str()), ("0.1.0", "V7R5M0"));
    assert_eq!(view.components.len(), 1);
    assert_eq!((view.components[0].name.as_str(), view.components[0].healthy), ("audit", true));

    let tokens: Page<TokenView> = site.api.get("/tokens").await;
    assert_eq!((tokens.items[0].used, tokens.items[0].uses, tokens.items[0].note.as_str()), (1, 1, "first"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_used_up_expired_deleted_or_damaged_says_which() {
    let site = Site::start().await;
    let refused = async |token: &str| {
        let problem = TestAgent::new(site.addr(), site.ca()).dial(Some(token)).await.map(|_| ()).unwrap_err();
        assert_eq!(problem.status, 401);
        let advice = ["muster token create", "copy it again"];
        assert!(advice.iter().any(|a| problem.detail.contains(a)), "{}", problem.detail);
        problem.code().to_owned()
    };
    let used = site.token().await;
    let mut first = TestAgent::new(site.addr(), site.ca());
    first.enrol(&used.token).await;
    let (_socket, _) = first.connect().await;
    assert_eq!(refused(&used.token).await, "token-used-up");

    let short = TokenRequest { expires_in_seconds: Some(1), ..TokenRequest::default() };
    let expired: muster_proto::api::TokenCreated = site.api.post("/tokens", &short, 201).await;
    eventually("the token expires", async || {
        TestAgent::new(site.addr(), site.ca()).dial(Some(&expired.token)).await.err()
    })
    .await;
    assert_eq!(refused(&expired.token).await, "token-expired");

    let deleted = site.token().await;
    let (status, _, _) = site.api.raw("DELETE", &format!("/tokens/{}", deleted.view.id), None).await;
    assert_eq!(status, 204);
    assert_eq!(refused(&deleted.token).await, "token-unknown");
    assert_eq!(refused("muster1.xxx").await, "token-malformed");

    let nobody = TestAgent::new(site.addr(), site.ca()).dial(None).await.map(|_| ()).unwrap_err();
    assert_eq!((nobody.status, nobody.code()), (401, "no-credential"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_tokens_are_in_the_audit_log_and_a_flood_of_them_is_few_entries() {
    let site = Site::start().await;
    let spent = site.token().await;
    let mut first = TestAgent::new(site.addr(), site.ca());
    first.enrol(&spent.token).await;
    let (_socket, _) = first.connect().await;
    let refused = async |token: &str| {
        let stranger = TestAgent::new(site.addr(), site.ca());
        assert_eq!(stranger.dial(Some(token)).await.map(|_| ()).unwrap_err().status, 401);
    };
    // A token that is played again is noted at once, with its id and from where, and without its secret.
    refused(&spent.token).await;
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    let [entry] = &log.items[..] else { panic!("{log:?}") };
    assert_eq!((entry.action.as_str(), entry.object.as_str()), ("refused.enrolment-token", &*spent.view.id));
    assert_eq!((entry.actor.as_str(), entry.from.as_str()), ("unknown", "127.0.0.1"));
    assert!(entry.detail.contains("is used up (1 of 1 agents enrolled with it)"), "{entry:?}");
    // Then they are counted only, whatever is wrong with them.
    let live = site.token().await;
    let guessed = EnrolmentToken { secret: [7; 32], ..EnrolmentToken::parse(&live.token).unwrap() };
    for _ in 0..30 {
        refused("muster1.xxx").await;
        refused(&spent.token).await;
    }
    refused(&guessed.format()).await;
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    assert_eq!(log.items.len(), 1, "{log:?}");
    // What was counted is told at the end at the latest, with what is true of the last one.
    let site = site.restarted().await;
    let log: Page<AuditEntry> = site.api.get("/audit?action=refused").await;
    let [last, _] = &log.items[..] else { panic!("{log:?}") };
    assert_eq!((last.object.as_str(), last.from.as_str()), (&*live.view.id, "127.0.0.1"));
    assert!(last.detail.starts_with("61 more since "), "{last:?}");
    assert!(last.detail.ends_with("the secret of the token is wrong: it was altered or guessed"), "{last:?}");
    let (_, text, _) = site.api.raw("GET", "/audit/export", None).await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    for token in [&spent.token, &live.token, &guessed.format()] {
        assert!(!text.contains(token.trim_start_matches("muster1.")), "a secret in {text}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_did_not_hear_the_answer_may_ask_again_and_nobody_else() {
    let site = Site::start().await;
    let token = site.token().await;
    let mut agent = TestAgent::new(site.addr(), site.ca());
    agent.enrol(&token.token).await;
    agent.certificate = None;
    agent.enrol(&token.token).await;

    let mut other = TestAgent::new(site.addr(), site.ca());
    let mut socket = other.dial(Some(&token.token)).await.unwrap();
    let request = other.with_csr();
    let text = error_text(&ask(&mut socket, &request).await);
    assert!(text.contains("used up (1 of 1 agents"), "{text}");

    let (_socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_identities_belong_to_one_agent() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let refused = async |mut thief: TestAgent| {
        let token = site.token().await;
        let mut socket = thief.dial(Some(&token.token)).await.unwrap();
        let request = thief.with_csr();
        error_text(&ask(&mut socket, &request).await)
    };
    let mut copied_key = TestAgent::new(site.addr(), site.ca());
    copied_key.key = agent.key.clone();
    let text = refused(copied_key).await;
    assert!(text.contains("belongs to another agent"), "{text}");

    // Another key under a known id takes the agent's place: a person has to look.
    let token = site.token().await;
    let mut copied_uid = TestAgent::new(site.addr(), site.ca());
    copied_uid.uid = agent.uid;
    let mut socket = copied_uid.dial(Some(&token.token)).await.unwrap();
    let request = copied_uid.with_csr();
    let reply = ask(&mut socket, &request).await;
    assert_eq!((reply.connection_settings, reply.error_response), (None, None));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_unsigned_or_names_another_is_refused() {
    let site = Site::start().await;
    let token = site.token().await;
    let mut agent = TestAgent::new(site.addr(), site.ca());
    let mut socket = agent.dial(Some(&token.token)).await.unwrap();
    let mut message = agent.with_csr();
    message.instance_uid = uuid::Uuid::now_v7().as_bytes().to_vec();
    let text = error_text(&ask(&mut socket, &message).await);
    assert!(text.contains("the certificate request names"), "{text}");

    let opamp = message.connection_settings_request.as_mut().unwrap().opamp.as_mut().unwrap();
    opamp.certificate_request.as_mut().unwrap().csr = b"-----BEGIN CERTIFICATE REQUEST-----".to_vec();
    let text = error_text(&ask(&mut socket, &message).await);
    assert!(text.contains("signed by its own key"), "{text}");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_retires_the_old_certificate_at_the_first_use_of_the_new_one() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    let old_key = agent.key.clone();
    let old_certificate = agent.certificate.clone();
    agent.key = std::sync::Arc::new(rcgen::KeyPair::generate().unwrap());
    let request = agent.with_csr();
    let reply = ask(&mut socket, &request).await;
    agent.keep(&reply);
    drop(socket);

    let mut old = TestAgent::new(site.addr(), site.ca());
    (old.uid, old.key, old.certificate) = (agent.uid, old_key, old_certificate);
    let (socket, _) = old.connect().await;
    drop(socket);
    let (_socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    let problem = old.dial(None).await.map(|_| ()).unwrap_err();
    assert_eq!((problem.status, problem.code()), (401, "certificate-unknown"));
    assert!(problem.detail.contains("replaced by a newer one"), "{}", problem.detail);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_may_renew_and_nothing_else() {
    let site = Site::start_with(|c| c.certificate_life = Duration::from_secs(1)).await;
    let mut agent = site.agent().await;
    let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
    let expires = view.certificate.unwrap().expires_at;
    eventually("it expires", async || (jiff::Timestamp::now() > expires).then_some(())).await;
    let mut socket = agent.dial(None).await.unwrap();
    let report = agent.full();
    let text = error_text(&ask(&mut socket, &report).await);
    assert!(text.contains("nothing but a certificate request"), "{text}");
    let request = agent.with_csr();
    let reply = ask(&mut socket, &request).await;
    agent.keep(&reply);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_ends_the_handshake() {
    let (site, other) = (Site::start().await, Site::start().await);
    let mut agent = other.agent().await;
    (agent.addr, agent.ca) = (site.addr(), site.ca().to_owned());
    let tcp = tokio::net::TcpStream::connect(agent.addr).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(agent.tls()));
    let name = rustls_pki_types::ServerName::from(agent.addr.ip());
    // In TLS 1.3 the client hears of the refusal with its first read.
    let result = match connector.connect(name, tcp).await {
        Ok(mut stream) => tokio::io::AsyncReadExt::read_u8(&mut stream).await.map(|_| ()),
        Err(error) => Err(error),
    };
    let text = result.unwrap_err().to_string();
    assert!(text.contains("UnknownCA") || text.contains("DecryptError"), "{text}");
    site.running.stop().await;
    other.running.stop().await;
}
