//! The program as a process: killed while it enrols, renews and replaces its authority; the company's certificate.

use crate::common::*;
use crate::process::Program;
use muster_proto::api::{
    AgentSummary, AuditEntry, AuthorityView, CaFinish, CaView, Decision, Page, TokenCreated, TokenRequest,
    TokenView,
};
use muster_proto::opamp::AgentToServer;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::process::Command;

/// Asks, and does not mind if the controller dies meanwhile.
async fn ask_a_dying_one(agent: &TestAgent, bearer: Option<String>, message: AgentToServer) {
    let mut copy = TestAgent::new(agent.addr, &agent.ca);
    (copy.uid, copy.key, copy.certificate) = (agent.uid, agent.key.clone(), agent.certificate.clone());
    let asking = tokio::spawn(async move {
        let mut socket = copy.dial(bearer.as_deref()).await.ok()?;
        send(&mut socket, &message).await;
        next_or_close(&mut socket).await.ok()
    });
    // A dead connection panics in there.
    let _ = asking.await;
}

async fn count(api: &Api, action: &str, agent: &TestAgent) -> usize {
    let log: Page<AuditEntry> = api.get("/audit?limit=1000").await;
    let id = agent.uid.to_string();
    log.items.iter().filter(|e| e.action == action && e.object == id).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_enrolment_and_renewal_are_before_or_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let listen = program.addr.to_string();
    let api = program.signed_in(dir.path()).await;
    for round in 0..5_u64 {
        let token: TokenCreated = api.post("/tokens", &TokenRequest::default(), 201).await;
        let mut agent = TestAgent::new(program.addr, &program.ca);
        // Dialling takes some milliseconds, storing one more: the points lie before, in and after it.
        let point = std::time::Duration::from_millis(rand::random_range(0..8) * round);
        let request = agent.with_csr();
        let dying = ask_a_dying_one(&agent, Some(token.token.clone()), request);
        tokio::join!(dying, async {
            tokio::time::sleep(point).await;
            program.kill();
        });
        program = Program::start(dir.path(), &listen).await;
        agent.enrol(&token.token).await;
        let (mut socket, reply) = agent.connect().await;
        assert_eq!(reply.error_response, None);
        assert_eq!(count(&api, "agent.enrol", &agent).await, 1);

        let mut next = TestAgent::new(program.addr, &program.ca);
        (next.uid, next.certificate) = (agent.uid, None);
        let request = next.with_csr();
        send(&mut socket, &request).await;
        tokio::time::sleep(point / 4).await;
        program.kill();
        drop(socket);
        program = Program::start(dir.path(), &listen).await;
        // Whether or not it was stored: the old certificate holds, and the same key leads to one that works.
        let (mut socket, reply) = agent.connect().await;
        assert_eq!(reply.error_response, None);
        let request = next.with_csr();
        let reply = ask(&mut socket, &request).await;
        next.keep(&reply);
        let (_socket, reply) = next.connect().await;
        assert_eq!(reply.error_response, None);
        assert_eq!(count(&api, "agent.renew", &agent).await, 1);
        let kept: Page<TokenView> = api.get("/tokens?limit=1000").await;
        assert!(kept.items.iter().all(|t| t.used == 1), "{:?}", kept.items);
        let agents: Page<AgentSummary> = api.get("/agents").await;
        assert_eq!(agents.items.len() as u64, round + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_over_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let listen = program.addr.to_string();
    let api = program.signed_in(dir.path()).await;
    let before: CaView = api.get("/ca").await;
    let begun: CaView = api.post("/ca/roll-over", &Decision::default(), 200).await;
    assert_eq!(begun.previous.as_ref(), Some(&before.issuing));
    program.kill();
    program = Program::start(dir.path(), &listen).await;
    assert_eq!(api.get::<CaView>("/ca").await, begun);
    let token: TokenCreated = api.post("/tokens", &TokenRequest::default(), 201).await;
    let ca = std::fs::read_to_string(dir.path().join("data/ca.crt")).unwrap();
    let mut agent = TestAgent::new(program.addr, &ca);
    let mut socket = agent.dial(Some(&token.token)).await.unwrap();
    let request = agent.with_csr();
    let reply = ask(&mut socket, &request).await;
    let opamp = reply.connection_settings.unwrap().opamp.unwrap();
    assert_eq!(opamp.tls.unwrap().ca_pem_contents.matches("BEGIN CERTIFICATE").count(), 4);
    agent.certificate = Some(String::from_utf8(opamp.certificate.unwrap().cert).unwrap());
    let (_socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    let finish = |issuing: &AuthorityView| CaFinish { issuing: issuing.key_sha256.clone(), force: false };
    let body = ("application/json", serde_json::to_vec(&finish(&before.issuing)).unwrap());
    let problem = api.problem("POST", "/ca/roll-over/finish", Some(body)).await;
    assert_eq!(problem.code(), "no-roll-over", "not the one that was looked at");
    let ended: CaView = api.post("/ca/roll-over/finish", &finish(&begun.issuing), 200).await;
    assert_eq!((&ended.issuing, &ended.previous), (&begun.issuing, &None));
    program.kill();
    let program = Program::start(dir.path(), &listen).await;
    let api = program.signed_in(dir.path()).await;
    assert_eq!(api.get::<CaView>("/ca").await.issuing, begun.issuing);
    agent.ca = program.ca.clone();
    let (_socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_the_companys_certificate_and_agents_the_controllers() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, days: u64| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, name);
        params.not_after =
            (std::time::SystemTime::now() + std::time::Duration::from_secs(days * 86_400 + 3_600)).into();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("company.key"), key.serialize_pem()).unwrap();
        std::fs::write(dir.path().join("company.pem"), certificate.pem()).unwrap();
        certificate.pem()
    };
    let first = make("first", 300);
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (certificate, key) = (file("company.pem"), file("company.key"));
    let options = ["--tls-cert", certificate.as_str(), "--tls-key", key.as_str()];
    let program = Program::start_with(dir.path(), "127.0.0.1:0", &options).await;
    let password = std::fs::read_to_string(dir.path().join("password")).unwrap();
    let mut api = Api::new(program.addr, &first);
    api.login(password.trim()).await;
    // Agents name the authority that they trust.
    let shown = async |names: Option<&str>| {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let seen = std::sync::Arc::new(Shown::new(names));
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(seen.clone())
            .with_no_client_auth();
        let tcp = tokio::net::TcpStream::connect(program.addr).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        connector.connect(program.addr.ip().into(), tcp).await.unwrap();
        seen.chain.lock().unwrap().clone()
    };
    let pem = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    let muster = pem(&program.ca);
    let (_, parsed) = x509_parser::parse_x509_certificate(&muster).unwrap();
    let name = parsed.subject().iter_common_name().next().unwrap().as_str().unwrap();
    let pinned = muster_proto::session::fingerprint::pinned_name(
        &muster_proto::session::fingerprint::spki_sha256(parsed.public_key().raw),
    );
    for names in [name, pinned.as_str()] {
        assert!(shown(Some(names)).await.contains(&muster), "{names}");
    }
    for names in [None, Some("Another CA")] {
        assert_eq!(shown(names).await, [pem(&first)], "{names:?}");
    }
    // A file that cannot be used changes nothing; one that can is shown after SIGHUP at once.
    std::fs::write(&certificate, "damaged").unwrap();
    let hang_up = || {
        let status = Command::new("kill").args(["-HUP", &program.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    };
    hang_up();
    assert_eq!(shown(None).await, [pem(&first)]);
    let second = make("second", 5);
    let token = api.token;
    let mut api = Api::new(program.addr, &second);
    api.token = token;
    let second = pem(&second);
    hang_up();
    eventually("the new one is shown", async || (shown(None).await == [second.clone()]).then_some(())).await;
    // It ends soon: whoever works with the controller is told so.
    let (_, _, headers) = api.raw("GET", "/fleet", None).await;
    let notice = headers[muster_proto::api::NOTICE_HEADER].to_str().unwrap();
    assert!(notice.starts_with("controller: the certificate of --tls-cert expires on "), "{notice}");
    assert!(notice.contains("in 5 days: then browsers"), "{notice}");
}

/// Accepts any certificate and remembers it; names an authority.
#[derive(Debug)]
struct Shown {
    names: Option<Vec<rustls::DistinguishedName>>,
    chain: std::sync::Mutex<Vec<CertificateDer<'static>>>,
}

impl Shown {
    fn new(name: Option<&str>) -> Self {
        let der = |text: &str| {
            let length = |n: usize| u8::try_from(n).unwrap();
            let mut der = vec![0x31, length(text.len() + 9), 0x30, length(text.len() + 7)];
            der.extend([0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, length(text.len())]);
            der.extend(text.as_bytes());
            rustls::DistinguishedName::in_sequence(&der)
        };
        Self { names: name.map(|name| vec![der(name)]), chain: std::sync::Mutex::default() }
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned());
        *self.chain.lock().unwrap() = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[rustls::DistinguishedName]> {
        self.names.as_deref()
    }
}
