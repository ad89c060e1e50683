//! What a controller does when too many want something at the same time.

use crate::common::*;
use muster_controller::gateway::overload::Limits;
use muster_controller::{Config, serve};
use muster_proto::api::{AgentView, FleetView};
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{CONTENT_TYPE, ServerErrorResponseType, ServerToAgent, frame};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Tries to upgrade and gives the status with the seconds of its `Retry-After`.
async fn refused_upgrade(agent: &TestAgent, bearer: Option<&str>) -> (u16, u64) {
    let tcp = TcpStream::connect(agent.addr).await.unwrap();
    let name = rustls_pki_types::ServerName::from(agent.addr.ip());
    let stream = TlsConnector::from(std::sync::Arc::new(agent.tls())).connect(name, tcp).await.unwrap();
    let mut request = format!("wss://{}/v1/opamp", agent.addr).into_client_request().unwrap();
    if let Some(token) = bearer {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    match client_async(request, stream).await {
        Err(WsError::Http(response)) => {
            let seconds = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            (response.status().as_u16(), seconds)
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}

/// Seconds that an answer asks to wait.
fn patience(reply: &ServerToAgent) -> u64 {
    let error = reply.error_response.as_ref().unwrap_or_else(|| panic!("no error in {reply:?}"));
    assert_eq!(error.r#type(), ServerErrorResponseType::Unavailable);
    match &error.details {
        Some(Details::RetryInfo(info)) => info.retry_after_nanoseconds / 1_000_000_000,
        None => panic!("no time in {error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_a_full_gate_is_told_when_to_come_back() {
    let site = Site::start_with(|c| c.limits = Limits { arriving: 0, ..Limits::default() }).await;
    let agent = site.agent().await;
    let (status, seconds) = refused_upgrade(&agent, None).await;
    assert_eq!(status, 503);
    assert!((1..=10).contains(&seconds), "{seconds}");
    let fleet: FleetView = site.api.get("/fleet").await;
    assert_eq!((fleet.agents, fleet.never_connected), (1, 1), "it did not get in");
    site.running.stop().await;

    let site = Site::start_with(|c| c.limits = Limits { enrolling: 0, ..Limits::default() }).await;
    let token = site.token().await;
    let stranger = TestAgent::new(site.addr(), site.ca());
    let (status, seconds) = refused_upgrade(&stranger, Some(&token.token)).await;
    assert_eq!(status, 503);
    assert!((1..=10).contains(&seconds), "{seconds}");
    let fleet: FleetView = site.api.get("/fleet").await;
    assert_eq!(fleet.agents, 0);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_report_waits_while_a_heartbeat_does_not() {
    let site = Site::start_with(|c| c.limits = Limits { reporting: 0, ..Limits::default() }).await;
    let mut agent = site.agent().await;
    let mut socket = agent.dial(None).await.unwrap();
    let full = agent.full();
    let seconds = patience(&ask(&mut socket, &full).await);
    assert!((1..=10).contains(&seconds), "{seconds}");
    let heartbeat = agent.message();
    assert_eq!(ask(&mut socket, &heartbeat).await.error_response, None);
    let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
    assert!(view.attributes.is_empty(), "nothing was taken of the report: {view:?}");

    // Over plain HTTP the status says so.
    let client = reqwest::Client::builder().tls_backend_preconfigured(agent.tls()).build().unwrap();
    drop(socket);
    let body = frame::encode_plain(&agent.full(), frame::MAX_MESSAGE_BYTES).unwrap();
    let url = format!("https://{}/v1/opamp", agent.addr);
    let response = client.post(url).header("content-type", CONTENT_TYPE).body(body).send().await.unwrap();
    assert_eq!(response.status(), 503);
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_finds_the_gate_full_is_told_so_on_its_open_connection() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (socket, _) = agent.connect().await;
    drop(socket);
    site.running.stop().await;

    let mut config = Config::new(site.dir.path().join("data"));
    config.limits = Limits { enrolling: 0, ..Limits::default() };
    let running = eventually("the folder is free", async || serve(config.clone()).await.ok()).await;
    agent.addr = running.addr;
    let (mut socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    let request = agent.with_csr();
    let seconds = patience(&ask(&mut socket, &request).await);
    assert!((1..=10).contains(&seconds), "{seconds}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_slow_connections_hold_up_nobody_and_are_ended() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    // More than there are places for handshakes: some say nothing, some begin TLS and stop.
    let mut idle = Vec::new();
    for number in 0..300 {
        let mut tcp = TcpStream::connect(site.addr()).await.unwrap();
        if number % 2 == 0 {
            // The head of a TLS record that announces more than ever comes.
            tcp.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
        }
        idle.push(tcp);
    }
    let began = Instant::now();
    let (mut socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    assert!(began.elapsed() < Duration::from_secs(3), "it waited for others: {:?}", began.elapsed());
    let heartbeat = agent.message();
    assert_eq!(ask(&mut socket, &heartbeat).await.error_response, None);
    for mut tcp in idle {
        let mut byte = [0];
        let end = tokio::time::timeout(DEADLINE, tcp.read(&mut byte)).await.expect("it is ended");
        // Whether by a close, an alert or a reset: it is over.
        if let Ok(read) = end {
            assert!(read <= 1);
        }
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_may_come_in_pieces() {
    let site = Site::start().await;
    let addr = site.running.addr;
    for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
        let mut config = tls(site.ca(), None);
        config.alpn_protocols.clone_from(&protocols);
        let shaken = tokio::task::spawn_blocking(move || {
            let name = rustls_pki_types::ServerName::from(addr.ip());
            let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
            let mut stream = std::net::TcpStream::connect(addr).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut hello = Vec::new();
            client.write_tls(&mut hello).unwrap();
            for piece in hello.chunks(hello.len().div_ceil(3)) {
                std::io::Write::write_all(&mut stream, piece).unwrap();
                // A slow network, not a wait for something.
                std::thread::sleep(Duration::from_millis(60));
            }
            while client.is_handshaking() {
                client.complete_io(&mut stream).unwrap();
            }
            client.alpn_protocol().map(<[u8]>::to_vec)
        });
        assert_eq!(shaken.await.unwrap(), protocols.first().cloned());
    }
    site.running.stop().await;
}
