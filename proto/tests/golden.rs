//! Golden frames: each decodes to the value that is written here, and the value encodes to the same bytes.
//! Old files are never changed; a new version of a payload gets a file of its own.

use muster_proto::opamp::{
    AgentConfigFile, AgentConfigMap, AgentDescription, AgentDisconnect, AgentRemoteConfig, AgentToServer,
    ComponentHealth, DownloadableFile, EffectiveConfig, PackageAvailable, PackageDownloadDetails,
    PackageStatus, PackageStatusEnum, PackageStatuses, PackageType, PackagesAvailable, RemoteConfigStatus,
    RemoteConfigStatuses, ServerErrorResponse, ServerErrorResponseType, ServerToAgent, attribute, config,
    frame, server_error_response::Details,
};
use muster_proto::session::inspect::{
    Answer, Ask, AskEvent, AskPreview, AskTail, InspectRefusalReason, InspectReply, InspectRequest,
    PreviewReport, PreviewSample, TailEvents,
};
use muster_proto::session::rates::{DestinationRates, RatesReport, RatesWatch, SourceRates};
use prost::Message;
use std::fmt::Debug;

const UID: [u8; 16] = 0x019b_8d7a_2da8_7657_b52d_492a_9de3_3319_u128.to_be_bytes();

fn unhex(text: &str) -> Vec<u8> {
    let text = text.trim().as_bytes();
    let mut bytes = vec![0; text.len() / 2];
    faster_hex::hex_decode(text, &mut bytes).unwrap();
    bytes
}

fn report(sequence_num: u64) -> AgentToServer {
    AgentToServer { instance_uid: UID.to_vec(), sequence_num, capabilities: 0x3807, ..Default::default() }
}

fn effective_config() -> Option<EffectiveConfig> {
    let file = AgentConfigFile { body: b"{}".to_vec(), content_type: String::new() };
    let map = AgentConfigMap { config_map: [(String::new(), file)].into() };
    Some(EffectiveConfig { config_map: Some(map) })
}

/// Decodes, encodes to the same bytes, and travels over a WebSocket with one byte in front.
fn exact<M: Message + Default + PartialEq + Debug>(name: &str, golden: &str, value: &M) {
    let bytes = unhex(golden);
    assert_eq!(M::decode(bytes.as_slice()).unwrap(), *value, "{name}");
    assert_eq!(faster_hex::hex_string(&value.encode_to_vec()), golden.trim(), "{name}");
    let framed = frame::encode(value, 1_000).unwrap();
    assert_eq!((framed[0], &framed[1..]), (0, bytes.as_slice()), "{name}");
    assert_eq!(frame::decode::<M>(&framed, 1_000).unwrap(), *value, "{name}");
}

/// As [`exact`], for messages with a map entry of empty name: the reference implementation writes the
/// empty key, prost leaves it out as a default. Both decode to the same.
fn equivalent<M: Message + Default + PartialEq + Debug>(name: &str, golden: &str, value: &M) {
    let bytes = unhex(golden);
    assert_eq!(M::decode(bytes.as_slice()).unwrap(), *value, "{name}");
    assert_eq!(M::decode(value.encode_to_vec().as_slice()).unwrap(), *value, "{name}");
    assert_eq!(value.encoded_len(), bytes.len() - 2, "{name}");
}

#[test]
fn frames_of_the_reference_implementation() {
    let first = AgentToServer {
        agent_description: Some(AgentDescription {
            identifying_attributes: vec![attribute::text(attribute::SERVICE_NAME, "x")],
            non_identifying_attributes: Vec::new(),
        }),
        health: Some(ComponentHealth { healthy: true, ..Default::default() }),
        effective_config: effective_config(),
        remote_config_status: Some(RemoteConfigStatus::default()),
        package_statuses: Some(PackageStatuses::default()),
        ..report(0)
    };
    equivalent("first report", include_str!("../golden/opamp_first_report.hex"), &first);
    let applied = AgentToServer {
        effective_config: effective_config(),
        remote_config_status: Some(RemoteConfigStatus {
            last_remote_config_hash: vec![1, 2, 3],
            status: RemoteConfigStatuses::Applied.into(),
            error_message: String::new(),
        }),
        ..report(1)
    };
    equivalent("config applied", include_str!("../golden/opamp_config_applied.hex"), &applied);
    exact("heartbeat", include_str!("../golden/opamp_heartbeat.hex"), &report(2));
    let goodbye = AgentToServer { agent_disconnect: Some(AgentDisconnect {}), ..report(6) };
    exact("disconnect", include_str!("../golden/opamp_disconnect.hex"), &goodbye);
}

#[test]
fn frames_about_packages() {
    let (name, hash, all) = ("muster-agent".to_owned(), vec![7; 32], vec![9; 32]);
    let file = DownloadableFile {
        download_url: format!("https://muster.example:4320/v1/packages/{}", "ab".repeat(32)),
        content_hash: vec![0xab; 32],
        signature: b"signature".to_vec(),
        headers: None,
    };
    let package = PackageAvailable {
        r#type: PackageType::TopLevel.into(),
        version: "0.2.0".to_owned(),
        file: Some(file),
        hash: hash.clone(),
    };
    let packages = [(name.clone(), package)].into();
    let offered = ServerToAgent {
        instance_uid: UID.to_vec(),
        packages_available: Some(PackagesAvailable { packages, all_packages_hash: all.clone() }),
        capabilities: 0x7f,
        ..Default::default()
    };
    exact("package offer", include_str!("../golden/opamp_package_offer.hex"), &offered);
    let details = PackageDownloadDetails { download_percent: 41.5, download_bytes_per_second: 2e6 };
    let status = PackageStatus {
        name: name.clone(),
        agent_has_version: "0.1.0".to_owned(),
        server_offered_version: "0.2.0".to_owned(),
        server_offered_hash: hash,
        status: PackageStatusEnum::Downloading.into(),
        download_details: Some(details),
        ..Default::default()
    };
    let downloading = AgentToServer {
        capabilities: 0x381f,
        package_statuses: Some(PackageStatuses {
            packages: [(name, status)].into(),
            server_provided_all_packages_hash: all,
            error_message: String::new(),
        }),
        ..report(3)
    };
    exact("package downloading", include_str!("../golden/opamp_package_downloading.hex"), &downloading);
}

#[test]
fn frames_of_our_own_server() {
    let offer: AgentRemoteConfig = config::policy_offer(b"{\"revision\":1,\"spec\":{}}".to_vec());
    let offered = ServerToAgent {
        instance_uid: UID.to_vec(),
        remote_config: Some(offer),
        capabilities: 0x67,
        ..Default::default()
    };
    exact("policy offer", include_str!("../golden/opamp_policy_offer.hex"), &offered);
    let busy = ServerToAgent {
        instance_uid: UID.to_vec(),
        error_response: Some(ServerErrorResponse {
            r#type: ServerErrorResponseType::Unavailable.into(),
            error_message: "try later".to_owned(),
            details: Some(Details::RetryInfo(muster_proto::opamp::RetryInfo {
                retry_after_nanoseconds: 5_000_000_000,
            })),
        }),
        ..Default::default()
    };
    exact("busy", include_str!("../golden/opamp_busy.hex"), &busy);
}

#[test]
fn rates_version_1() {
    let source = SourceRates {
        received: 1_000,
        bytes: 800_000,
        decoded_unknown: 1,
        decoded_short: 2,
        kept: 900,
        dropped: 100,
        dropped_by_rule: [("no-zr".to_owned(), 100)].into(),
        lag_ms: Some(1_500),
        last_event_unix_ms: Some(1_790_000_000_000),
        ..Default::default()
    };
    let destination = DestinationRates {
        delivered: 890,
        replayed: 3,
        bytes: 500_000,
        queue_bytes: 4_096,
        reconnects: 1,
        lag_ms: Some(0),
        ..Default::default()
    };
    let report = RatesReport {
        boot_id: vec![7; 16],
        time_unix_ms: 1_790_000_001_000,
        started_unix_ms: 1_789_999_000_000,
        sources: [("audit".to_owned(), source)].into(),
        destinations: [("siem".to_owned(), destination)].into(),
    };
    exact("report", include_str!("../golden/rates_report.v1.hex"), &report);
    let watch = RatesWatch { interval_ms: 1_000, expires_after_ms: 15_000 };
    exact("watch", include_str!("../golden/rates_watch.v1.hex"), &watch);
}

#[test]
fn inspect_version_1() {
    let request = |ask| InspectRequest { id: vec![9; 16], answer_within_ms: 30_000, ask: Some(ask) };
    let tail = AskTail { filter: "type=AF".to_owned(), expires_after_ms: 60_000, max_per_second: 200 };
    exact("tail", include_str!("../golden/inspect_tail.v1.hex"), &request(Ask::Tail(tail)));
    let preview = AskPreview { candidate: b"{}".to_vec(), samples: 20 };
    exact("preview", include_str!("../golden/inspect_preview.v1.hex"), &request(Ask::Preview(preview)));
    let reply = |part, answer| InspectReply { id: vec![9; 16], part, last: true, answer: Some(answer) };
    let events = TailEvents { events: vec![b"{}".to_vec()], skipped: 12 };
    exact("events", include_str!("../golden/inspect_tail_events.v1.hex"), &reply(3, Answer::Tail(events)));
    let report = PreviewReport {
        events: 1_000,
        kept_now: 900,
        kept_then: 880,
        newly_dropped: 30,
        newly_kept: 10,
        rerouted: 1,
        dropped_by_rule: [("no-zr".to_owned(), 30)].into(),
        kept_from_rule: [("old".to_owned(), 10)].into(),
        samples: vec![PreviewSample {
            event: b"{}".to_vec(),
            change: "dropped".to_owned(),
            rule: "no-zr".to_owned(),
        }],
    };
    exact(
        "report",
        include_str!("../golden/inspect_preview_report.v1.hex"),
        &reply(0, Answer::Preview(report)),
    );
    let refusal = InspectReply::refusal(&[9; 16], InspectRefusalReason::SwitchedOff, "off");
    exact("refusal", include_str!("../golden/inspect_refusal.v1.hex"), &refusal);
    let event = AskEvent { event_id: "P/7".to_owned() };
    exact("event", include_str!("../golden/inspect_event.v1.hex"), &request(Ask::Event(event)));
    let detail = reply(1, Answer::Event(b"{}".to_vec()));
    exact("event detail", include_str!("../golden/inspect_event_detail.v1.hex"), &detail);
    let not_held = InspectReply::refusal(&[9; 16], InspectRefusalReason::NotHeld, "gone");
    exact("not held", include_str!("../golden/inspect_not_held.v1.hex"), &not_held);
}

#[test]
fn unknown_fields_of_later_versions_are_ignored() {
    let mut bytes = unhex(include_str!("../golden/opamp_heartbeat.hex"));
    // Field 1000, text "new".
    bytes.extend([0xc2, 0x3e, 3, b'n', b'e', b'w']);
    assert_eq!(AgentToServer::decode(bytes.as_slice()).unwrap(), report(2));
}
