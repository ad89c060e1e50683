use super::*;
use crate::uplink::testing::{Arrival, Authority, Server};
use muster_proto::opamp::{
    ConnectionSettingsOffers, OpAmpConnectionSettings, ServerErrorResponse, ServerErrorResponseType,
    ServerToAgent, attribute,
};
use std::os::unix::fs::PermissionsExt as _;
use uuid::Uuid;

fn token(server: &Server, authority: &Authority) -> EnrolmentToken {
    EnrolmentToken {
        urls: vec![server.url.clone()],
        ca_spki_sha256: authority.spki_sha256,
        id: Uuid::from_u128(1),
        secret: [0x5e; 32],
    }
}

fn options(kind: TransportKind) -> EnrolOptions {
    let facts = AgentFacts {
        version: "0.1.0".to_owned(),
        host_name: "host".to_owned(),
        os_type: "linux".to_owned(),
        ..AgentFacts::default()
    };
    EnrolOptions { kind, patience: Duration::from_secs(10), ..EnrolOptions::new(facts) }
}

fn now() -> Timestamp {
    "2026-11-22T04:00:00Z".parse().unwrap()
}

fn csr(arrival: &Arrival) -> String {
    let request = arrival.message.connection_settings_request.as_ref().unwrap();
    let csr = &request.opamp.as_ref().unwrap().certificate_request.as_ref().unwrap().csr;
    String::from_utf8(csr.clone()).unwrap()
}

fn issue(cert: String, ca_cert: String) -> ServerToAgent {
    let certificate = TlsCertificate { cert: cert.into(), private_key: Vec::new(), ca_cert: ca_cert.into() };
    ServerToAgent {
        connection_settings: Some(ConnectionSettingsOffers {
            hash: vec![1],
            opamp: Some(OpAmpConnectionSettings { certificate: Some(certificate), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Enrols against a server that signs what it is asked, with `ca_cert` sent along.
async fn enrol_with(kind: TransportKind, send_ca: bool) {
    let authority = Authority::new();
    let mut server = Server::start(&authority, kind).await;
    let dir = tempfile::tempdir().unwrap();
    let token = token(&server, &authority);
    let serve = async {
        let arrival = server.message().await;
        assert_eq!(arrival.bearer, Some(format!("Bearer {}", token.format())));
        assert_eq!(arrival.message.sequence_num, 0);
        let description = arrival.message.agent_description.as_ref().unwrap();
        assert_eq!(attribute::find(description, attribute::SERVICE_NAME), Some("io.muster.agent"));
        let request = csr(&arrival);
        // Approval takes a moment; nothing is repeated meanwhile over a WebSocket, polls come over HTTP.
        arrival.say(ServerToAgent::default()).await;
        let arrival = if kind == TransportKind::Http { server.message().await } else { arrival };
        let ca = if send_ca { authority.ca_pem() } else { String::new() };
        arrival.say(issue(authority.sign(&request), ca)).await;
        (arrival.message.instance_uid.clone(), request)
    };
    let options = options(kind);
    let (enrolled, (uid, request)) = futures_util::join!(enrol(&token, dir.path(), &options, now()), serve);
    let enrolled = enrolled.unwrap();
    assert_eq!(uid, enrolled.agent.0.as_bytes());
    assert_eq!(enrolled.agent.0.get_version_num(), 7);

    let identity = Identity::load(dir.path()).unwrap();
    assert_eq!(identity.agent, enrolled.agent);
    assert_eq!(identity.urls, token.urls);
    assert_eq!(identity.ca_pem.replace('\r', ""), authority.ca_pem().replace('\r', ""));
    let mode = std::fs::metadata(dir.path().join("identity/key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = KeyPair::from_pem(&identity.key_pem).unwrap();
    assert_eq!(enrolled.fingerprint, key_fingerprint(&key.subject_public_key_info()));
    assert!(request.contains("BEGIN CERTIFICATE REQUEST") && !request.contains("PRIVATE"));
    assert!(!dir.path().join("enrolment.pending").exists());

    // What was stored opens a mutual connection.
    let tls = identity.client_config().unwrap();
    let endpoint = identity.endpoints().unwrap().remove(0);
    let request = crate::uplink::transport::LinkRequest::new(endpoint, kind, tls);
    let mut link = crate::uplink::transport::open(request);
    assert_eq!(link.events.recv().await, Some(crate::uplink::transport::LinkEvent::Opened));

    let again = enrol(&token, dir.path(), &options, now()).await.unwrap_err();
    assert!(matches!(again, EnrolError::AlreadyEnrolled(agent) if agent == enrolled.agent), "{again}");
}

#[actix_rt::test]
async fn a_token_becomes_an_identity_over_websocket() {
    enrol_with(TransportKind::Websocket, true).await;
}

#[actix_rt::test]
async fn a_token_becomes_an_identity_over_http() {
    enrol_with(TransportKind::Http, true).await;
}

/// The controller gives another id: it is kept before it is used, and the request is made anew for it.
#[actix_rt::test]
async fn an_id_that_the_controller_gives_is_the_agents_from_then_on() {
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let authority = Authority::new();
        let mut server = Server::start(&authority, kind).await;
        let dir = tempfile::tempdir().unwrap();
        let token = token(&server, &authority);
        let given = Uuid::now_v7();
        let state = dir.path().to_owned();
        let serve = async {
            let arrival = server.message().await;
            assert_ne!(arrival.message.instance_uid, given.as_bytes());
            let new_instance_uid = given.as_bytes().to_vec();
            let agent_identification = Some(muster_proto::opamp::AgentIdentification { new_instance_uid });
            arrival.say(ServerToAgent { agent_identification, ..Default::default() }).await;
            let arrival = server.message().await;
            assert_eq!(arrival.message.instance_uid, given.as_bytes());
            let description = arrival.message.agent_description.as_ref().unwrap();
            let named = attribute::find(description, attribute::SERVICE_INSTANCE_ID);
            assert_eq!(named, Some(given.to_string().as_str()));
            let kept = std::fs::read_to_string(state.join("enrolment.pending/agent-id")).unwrap();
            assert_eq!(kept.trim(), given.to_string());
            arrival.say(issue(authority.sign(&csr(&arrival)), authority.ca_pem())).await;
        };
        let options = options(kind);
        let (enrolled, ()) = futures_util::join!(enrol(&token, dir.path(), &options, now()), serve);
        assert_eq!(enrolled.unwrap().agent, AgentId(given));
        assert_eq!(Identity::load(dir.path()).unwrap().agent, AgentId(given));
    }
}

#[actix_rt::test]
async fn the_ca_of_the_handshake_serves_where_none_is_sent() {
    enrol_with(TransportKind::Websocket, false).await;
}

#[actix_rt::test]
async fn a_replacement_keeps_the_id_and_makes_a_new_key() {
    let authority = Authority::new();
    let mut server = Server::start(&authority, TransportKind::Websocket).await;
    let dir = tempfile::tempdir().unwrap();
    let token = token(&server, &authority);
    let mut options = options(TransportKind::Websocket);
    options.replace = true;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let serve = async {
            let arrival = server.message().await;
            arrival.say(issue(authority.sign(&csr(&arrival)), authority.ca_pem())).await;
        };
        let (enrolled, ()) = futures_util::join!(enrol(&token, dir.path(), &options, now()), serve);
        seen.push(enrolled.unwrap());
    }
    assert_eq!(seen[0].agent, seen[1].agent);
    assert_ne!(seen[0].fingerprint, seen[1].fingerprint);
}

#[actix_rt::test]
async fn a_controller_that_the_token_does_not_name_learns_nothing() {
    let (mine, other) = (Authority::new(), Authority::new());
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let mut server = Server::start(&other, kind).await;
        let dir = tempfile::tempdir().unwrap();
        let error = enrol(&token(&server, &mine), dir.path(), &options(kind), now()).await.unwrap_err();
        assert!(matches!(error, EnrolError::Unreachable(_)), "{error}");
        assert!(error.to_string().contains("the authority that the token names"), "{error}");
        assert!(!matches!(server.next().await, crate::uplink::testing::Seen::Message(_)));
        assert!(!Identity::exists(dir.path()));
    }
}

#[actix_rt::test]
async fn a_refused_token_says_what_to_do_and_the_key_is_kept() {
    let authority = Authority::new();
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let server = Server::start(&authority, kind).await;
        server.refuse(Some((401, None, r#"{"title":"unauthorised","detail":"the token was used already"}"#)));
        let dir = tempfile::tempdir().unwrap();
        let token = token(&server, &authority);
        let mut keys = Vec::new();
        for _ in 0..2 {
            let error = enrol(&token, dir.path(), &options(kind), now()).await.unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("the token was used already") && text.contains("Key of this agent"),
                "{text}"
            );
            let EnrolError::Refused { fingerprint, .. } = error else { panic!("{text}") };
            keys.push(fingerprint);
        }
        assert_eq!(keys[0], keys[1], "a second try shows the same key");
        assert!(!Identity::exists(dir.path()));
    }
}

#[actix_rt::test]
async fn a_refused_request_says_why() {
    let authority = Authority::new();
    let mut server = Server::start(&authority, TransportKind::Websocket).await;
    let dir = tempfile::tempdir().unwrap();
    let (token, options) = (token(&server, &authority), options(TransportKind::Websocket));
    let serve = async {
        let error = ServerErrorResponse {
            r#type: ServerErrorResponseType::BadRequest.into(),
            error_message: "this key belongs to another agent".to_owned(),
            details: None,
        };
        let refusal = ServerToAgent { error_response: Some(error), ..Default::default() };
        server.message().await.say(refusal).await;
    };
    let (result, ()) = futures_util::join!(enrol(&token, dir.path(), &options, now()), serve);
    let text = result.unwrap_err().to_string();
    assert!(text.contains("refuses this enrolment: this key belongs to another agent"), "{text}");
}

#[actix_rt::test]
async fn silence_is_named_as_waiting_for_approval() {
    let authority = Authority::new();
    let mut server = Server::start(&authority, TransportKind::Websocket).await;
    let dir = tempfile::tempdir().unwrap();
    let (token, mut options) = (token(&server, &authority), options(TransportKind::Websocket));
    options.deadlines.open = Duration::from_secs(3);
    options.patience = Duration::ZERO;
    let serve = async {
        let arrival = server.message().await;
        arrival.say(ServerToAgent::default()).await;
        arrival
    };
    let (result, _arrival) = futures_util::join!(enrol(&token, dir.path(), &options, now()), serve);
    let error = result.unwrap_err();
    assert!(matches!(error, EnrolError::Unanswered { .. }), "{error}");
    assert!(error.to_string().contains("approved"), "{error}");
}

#[actix_rt::test]
async fn certificates_that_do_not_fit_are_not_kept() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut server = Server::start(&authority, TransportKind::Websocket).await;
    let (token, options) = (token(&server, &authority), options(TransportKind::Websocket));
    for (case, expected) in
        ["it is for another key", "not signed by", "another authority than", "made elsewhere", "no PEM"]
            .iter()
            .enumerate()
    {
        let dir = tempfile::tempdir().unwrap();
        let serve = async {
            let arrival = server.message().await;
            let good = authority.sign(&csr(&arrival));
            let mut answer = match case {
                0 => issue(authority.issue("agent", false).0, authority.ca_pem()),
                1 => issue(other.sign(&csr(&arrival)), authority.ca_pem()),
                2 => issue(good, other.ca_pem()),
                3 => issue(good, authority.ca_pem()),
                _ => issue("nonsense".to_owned(), authority.ca_pem()),
            };
            if case == 3 {
                let offer = answer.connection_settings.as_mut().unwrap().opamp.as_mut().unwrap();
                offer.certificate.as_mut().unwrap().private_key = vec![1];
            }
            arrival.say(answer).await;
        };
        let (result, ()) = futures_util::join!(enrol(&token, dir.path(), &options, now()), serve);
        let text = result.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!Identity::exists(dir.path()), "{expected}");
    }
}
