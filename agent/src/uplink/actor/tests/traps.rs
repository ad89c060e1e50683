//! What is often got wrong, by the numbers of the guide to the protocol, on the agent's side. 1 is checked by
//! the scripted server on every message; 10 and 14 are the controller's.

use super::*;

#[actix_rt::test]
async fn trap_01_the_header_byte_is_sent_on_websocket_and_not_on_http() {
    // The server asserts the byte on a WebSocket, and would not decode a message that has one over HTTP.
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let (_server, _setting, first) = connected(kind).await;
        assert_eq!(first.message.instance_uid, AGENT.0.as_bytes());
    }
}

#[actix_rt::test]
async fn trap_02_an_absent_capability_field_takes_nothing_from_the_server() {
    let (_server, setting, first) = connected(TransportKind::Websocket).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    first.say(ServerToAgent::default()).await;
    let state = setting.uplink.send(GetUplinkState).await.unwrap();
    assert_eq!(state.server, ServerCapabilities(0x7));
}

#[actix_rt::test]
async fn trap_04_health_with_a_new_time_alone_is_no_news() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    let one = component("source/audit", HealthState::Degraded, "gap");
    setting.uplink.send(ReportHealth(vec![one.clone()])).await.unwrap();
    assert_eq!(server.message().await.message.sequence_num, 1);
    for _ in 0..10 {
        setting.uplink.send(ReportHealth(vec![one.clone()])).await.unwrap();
    }
    let other = component("source/audit", HealthState::Healthy, "");
    setting.uplink.send(ReportHealth(vec![other])).await.unwrap();
    assert_eq!(server.message().await.message.sequence_num, 2);
}

#[actix_rt::test]
async fn trap_05_the_hash_of_an_offer_is_echoed_as_it_came() {
    let (mut server, _setting, first) = connected(TransportKind::Websocket).await;
    let opaque = opamp::AgentRemoteConfig { config_hash: vec![1, 2, 3], ..policy_offer(b"good".to_vec()) };
    first.say(ServerToAgent { remote_config: Some(opaque), ..hello() }).await;
    for word in [RemoteConfigStatuses::Applying, RemoteConfigStatuses::Applied] {
        let status = server.message().await.message.remote_config_status.unwrap();
        assert_eq!((status.last_remote_config_hash.as_slice(), status.status()), (&[1, 2, 3][..], word));
    }
}

#[actix_rt::test]
async fn trap_06_the_package_is_in_every_status_and_only_another_hash_is_another_try() {
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        packages::trap_06(kind).await;
    }
}

#[actix_rt::test]
async fn trap_07_an_offer_without_the_interval_does_not_stop_the_heart() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    let offer = ConnectionSettingsOffers {
        hash: vec![1],
        opamp: Some(OpAmpConnectionSettings::default()),
        ..Default::default()
    };
    first.say(ServerToAgent { connection_settings: Some(offer), ..hello() }).await;
    server.message().await;
    let state = setting.uplink.send(GetUplinkState).await.unwrap();
    assert_eq!(state.heartbeat, Duration::from_secs(600));
}

#[actix_rt::test]
async fn trap_08_what_comes_with_an_error_is_not_looked_at() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    let error = ServerErrorResponse {
        r#type: ServerErrorResponseType::BadRequest.into(),
        error_message: "no".to_owned(),
        details: None,
    };
    first
        .say(ServerToAgent {
            error_response: Some(error),
            remote_config: Some(policy_offer(b"smuggled".to_vec())),
            flags: ServerFlags::REPORT_FULL_STATE.0,
            ..hello()
        })
        .await;
    setting.sink.until(HealthState::Degraded).await;
    first.say(ServerToAgent { remote_config: Some(policy_offer(b"good".to_vec())), ..hello() }).await;
    let next = server.message().await.message;
    assert_eq!((next.sequence_num, next.agent_description), (1, None));
    assert_eq!(setting.policies.offers.borrow()[0].body, b"good");
}

#[actix_rt::test]
async fn trap_11_uid_and_service_instance_id_are_the_same() {
    let (_server, _setting, first) = connected(TransportKind::Websocket).await;
    let description = first.message.agent_description.as_ref().unwrap();
    let named = attribute::find(description, attribute::SERVICE_INSTANCE_ID).unwrap();
    assert_eq!(Uuid::parse_str(named).unwrap().as_bytes(), first.message.instance_uid.as_slice());
    // Neither comes from a value that clones share: see `PendingKey`, which makes a fresh one.
}

#[actix_rt::test]
async fn trap_15_a_slow_controller_gets_the_latest_and_not_a_queue() {
    // Over HTTP one exchange is under way until it is answered.
    let (mut server, setting, first) = connected(TransportKind::Http).await;
    for n in 0..50 {
        let health = component("source/audit", HealthState::Degraded, &n.to_string());
        setting.uplink.send(ReportHealth(vec![health])).await.unwrap();
    }
    first.say(hello()).await;
    let mut last = String::new();
    let mut messages = 0;
    while last != "49" {
        let next = server.message().await;
        last = next.message.health.as_ref().unwrap().component_health_map["source/audit"].last_error.clone();
        next.say(ServerToAgent::default()).await;
        messages += 1;
    }
    assert!(messages <= 4, "{messages} messages for fifty changes");
}
