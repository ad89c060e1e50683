//! What is often got wrong on the wire, by the numbers of the guide to the protocol.

use muster_proto::opamp::config::config_hash;
use muster_proto::opamp::{
    AgentConfigFile, AgentConfigMap, ComponentHealth, PackageAvailable, PackageDownloadDetails,
    PackageStatus, PackageStatusEnum, PackagesAvailable, RetryInfo, frame,
};
use prost::Message;

#[test]
fn trap_01_one_byte_in_front_on_websocket_none_on_http() {
    let health = ComponentHealth { healthy: true, ..Default::default() };
    assert_eq!(frame::encode(&health, 10).unwrap(), [0, 0x08, 1]);
    assert_eq!(frame::encode_plain(&health, 10).unwrap(), [0x08, 1]);
    assert!(frame::decode_plain::<ComponentHealth>(&[0, 0x08, 1], 10).is_err());
}

#[test]
fn trap_05_the_hash_does_not_depend_on_the_order_of_files() {
    let file = |name: &str| {
        let content = AgentConfigFile { body: name.into(), content_type: String::new() };
        (name.to_owned(), content)
    };
    let forth = AgentConfigMap { config_map: ["a", "b", "c"].map(file).into() };
    let back = AgentConfigMap { config_map: ["c", "b", "a"].map(file).into() };
    assert_eq!(config_hash(&forth), config_hash(&back));
    // Nor does the hash change from run to run: it is written down in the tests of `config`.
}

#[test]
fn trap_06_a_package_that_is_being_downloaded_is_known() {
    let status = PackageStatus::decode([0x30, 4].as_slice()).unwrap();
    assert_eq!(status.status(), PackageStatusEnum::Downloading);
    let details = PackageDownloadDetails { download_percent: 50.0, ..Default::default() };
    let status = PackageStatus { download_details: Some(details), ..status };
    assert_eq!(status.encode_to_vec(), [0x30, 4, 0x42, 9, 0x09, 0, 0, 0, 0, 0, 0, 0x49, 0x40]);
}

#[test]
fn trap_06_a_set_is_written_the_same_in_whatever_order_it_was_made() {
    let package =
        |name: &str| (name.to_owned(), PackageAvailable { hash: name.into(), ..Default::default() });
    let set = |packages| PackagesAvailable { packages, all_packages_hash: vec![7] };
    let forth = set(["a", "b", "c"].map(package).into()).encode_to_vec();
    assert_eq!(forth, set(["c", "b", "a"].map(package).into()).encode_to_vec());
    let read = PackagesAvailable::decode(forth.as_slice()).unwrap();
    assert_eq!(read.packages.keys().collect::<Vec<_>>(), ["a", "b", "c"], "the complete set");
    // A set without packages is not the same as no set: the one would remove all, the other says nothing.
    assert_eq!(set([].into()).encode_to_vec(), [0x12, 1, 7]);
}

#[test]
fn trap_12_times_of_health_are_fixed64_and_retries_are_nanoseconds() {
    let health = ComponentHealth { start_time_unix_nano: 1, status_time_unix_nano: 2, ..Default::default() };
    let bytes = [0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x29, 2, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(health.encode_to_vec(), bytes);
    let retry = RetryInfo { retry_after_nanoseconds: 1_000_000_000 };
    assert_eq!(retry.encode_to_vec(), [0x08, 0x80, 0x94, 0xeb, 0xdc, 0x03], "one second");
}
