//! One live connection per identity, sequence, liveness, and what is refused.

use crate::common::*;
use futures_util::SinkExt;
use muster_proto::api::{AgentLife, AgentView, Connection, RatesView};
use muster_proto::opamp::frame::MAX_MESSAGE_BYTES;
use muster_proto::opamp::{AgentDisconnect, AgentToServer};
use muster_proto::session::rates::{self as wire, RatesMessage, RatesReport};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message as Frame;

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_asks_for_the_full_state_once_and_idle_exchanges_do_not_loop() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let mut socket = agent.dial(None).await.unwrap();
    let short = agent.message();
    assert_eq!(ask(&mut socket, &short).await.flags, 1, "an unknown agent is asked for everything");
    let short = agent.message();
    assert_eq!(ask(&mut socket, &short).await.flags, 0, "not again before it could answer");
    let full = agent.full();
    assert_eq!(ask(&mut socket, &full).await.flags, 0);
    for _ in 0..100 {
        let heartbeat = agent.message();
        let reply = ask(&mut socket, &heartbeat).await;
        assert_eq!((reply.flags, reply.remote_config.is_some()), (0, false));
    }
    agent.sequence += 3;
    let late = agent.message();
    assert_eq!(ask(&mut socket, &late).await.flags, 1, "messages are missing");
    agent.sequence += 3;
    let full = agent.full();
    assert_eq!(ask(&mut socket, &full).await.flags, 0, "a gap before a complete report hurts nobody");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_uid_than_the_certificates_is_refused_and_closed() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let other = site.agent().await;
    let mut socket = agent.dial(None).await.unwrap();
    let mut message = agent.full();
    message.instance_uid = other.uid.as_bytes().to_vec();
    let text = error_text(&ask(&mut socket, &message).await);
    assert!(text.contains(&format!("is not the agent {}", agent.uid)), "{text}");
    assert_eq!(next_or_close(&mut socket).await, Err(Some(1008)));

    for uid in [vec![], vec![1; 15], vec![b'A'; 26]] {
        let mut socket = agent.dial(None).await.unwrap();
        let message = AgentToServer { instance_uid: uid, ..AgentToServer::default() };
        let text = error_text(&ask(&mut socket, &message).await);
        assert!(text.contains("instead of 16"), "{text}");
        assert_eq!(next_or_close(&mut socket).await, Err(Some(1008)));
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_no_messages_close_with_their_code() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let oversize = vec![0; MAX_MESSAGE_BYTES + 1];
    let cases = [
        (Frame::Text("hello".into()), 1003),
        (Frame::Binary(vec![5, 1, 2].into()), 1002),
        (Frame::Binary(vec![0, 0xff, 0xff].into()), 1002),
        (Frame::Binary(oversize.into()), 1009),
    ];
    for (frame, code) in cases {
        let mut socket = agent.dial(None).await.unwrap();
        // The controller may close while an oversized frame is still being written.
        let _ = socket.send(frame).await;
        assert_eq!(next_or_close(&mut socket).await, Err(Some(code)));
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_refused_and_both_are_told() {
    let site = Site::start_with(|c| c.probe = Duration::from_secs(5)).await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    // The first answers pings only while it reads.
    let reader = tokio::spawn(async move {
        let told = next(&mut socket).await;
        (socket, told)
    });
    let problem = agent.dial(None).await.map(|_| ()).unwrap_err();
    assert_eq!((problem.status, problem.code()), (403, "identity-in-use"));
    assert!(problem.detail.contains("copy of its state folder"), "{}", problem.detail);
    let (mut socket, told) = reader.await.unwrap();
    assert!(error_text(&told).contains("quarantined: a second agent with this identity"));

    let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
    assert!(!view.summary.healthy);
    assert_eq!((view.warnings.len(), view.summary.life), (1, AgentLife::Quarantined));
    assert_eq!(view.hold.unwrap().by, "controller");
    assert_eq!(view.summary.connection, Connection::Connected, "the first one stays");
    let heartbeat = agent.message();
    assert_eq!(ask(&mut socket, &heartbeat).await.error_response, None);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_socket_gives_way() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    // Nobody reads this socket: to the controller it looks like one whose host is gone.
    let (silent, _) = agent.connect().await;
    let (mut socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    drop(silent);
    let heartbeat = agent.message();
    assert_eq!(ask(&mut socket, &heartbeat).await.error_response, None);
    let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
    assert_eq!((view.summary.connection, view.warnings.len()), (Connection::Connected, 0));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_is_seen_and_coming_back_too() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let path = format!("/agents/{}", agent.uid);
    let (mut socket, _) = agent.connect().await;
    let goodbye = AgentToServer { agent_disconnect: Some(AgentDisconnect {}), ..agent.message() };
    assert_eq!(ask(&mut socket, &goodbye).await.error_response, None);
    assert_eq!(next_or_close(&mut socket).await, Err(Some(1000)));
    let state = async |wanted: Connection| {
        eventually("the state changes", async || {
            let view: AgentView = site.api.get(&path).await;
            (view.summary.connection == wanted).then_some(())
        })
        .await;
    };
    state(Connection::Reconnecting).await;
    state(Connection::Offline).await;
    let (_socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    state(Connection::Connected).await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_agent_is_cut_off_at_once() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    let (status, _, _) = site.api.raw("DELETE", &format!("/agents/{}", agent.uid), None).await;
    assert_eq!(status, 204);
    assert_eq!(next_or_close(&mut socket).await, Err(Some(1008)));
    let problem = agent.dial(None).await.map(|_| ()).unwrap_err();
    assert_eq!((problem.status, problem.code()), (401, "certificate-unknown"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_watched_and_computed() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    let watched: RatesView = site.api.get("/rates?watch=true").await;
    assert_eq!(watched.agents.len(), 1);
    let told = next(&mut socket).await;
    let message = RatesMessage::from_custom(told.custom_message.as_ref().unwrap()).unwrap();
    let RatesMessage::Watch(watch) = message else { panic!("{message:?}") };
    assert_eq!(watch.bounded(), Some((Duration::from_secs(1), Duration::from_secs(15))));

    for (at, received) in [(1_000_000, 1_000), (1_001_000, 1_500)] {
        let source = wire::SourceRates {
            received,
            kept: received / 2,
            dropped: received / 2,
            dropped_by_rule: [("no-zr".to_owned(), received / 2)].into(),
            ..Default::default()
        };
        let destination = wire::DestinationRates { delivered: received / 2, ..Default::default() };
        let report = RatesReport {
            boot_id: vec![1; 16],
            time_unix_ms: at,
            sources: [("audit".to_owned(), source)].into(),
            destinations: [("siem".to_owned(), destination)].into(),
            ..Default::default()
        };
        let custom = RatesMessage::Report(report).to_custom();
        let message = AgentToServer { custom_message: Some(custom), ..agent.message() };
        assert_eq!(ask(&mut socket, &message).await.error_response, None);
    }
    let view: RatesView = site.api.get("/rates?agent=prod01").await;
    assert_eq!(view.fleet.total.received, 1_500);
    assert!((view.fleet.now.received - 500.0).abs() < 1e-6);
    assert!((view.fleet.now.delivered - 250.0).abs() < 1e-6);
    assert_eq!(view.agents[0].sources[0].dropped_by_rule["no-zr"], 750);
    assert_eq!(view.agents[0].destinations[0].delivered, 750);
    site.running.stop().await;
}
