//! Destinations against receivers that are killed, stalled, foreign or refusing.

mod bench;
mod breaks;
mod feed;
mod programs;
mod refusals;

use feed::{Feed, Rig};
use muster_agent::health::HealthState;
use muster_shared::policy::model::{Framing, TransportSpec};
use muster_tests::receiver::pki::{Authority, server_config};
use muster_tests::receiver::{Port, Receiver};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn tcp(address: String, framing: Framing) -> TransportSpec {
    TransportSpec::Tcp { address, framing }
}

pub(crate) fn tls(
    address: String,
    ca: Option<&Authority>,
    server_name: Option<&str>,
    client: Option<&str>,
) -> TransportSpec {
    TransportSpec::Tls {
        address,
        framing: Framing::OctetCounting,
        server_name: server_name.map(str::to_owned),
        ca_pem: ca.map(Authority::pem),
        client_certificate: client.map(str::to_owned),
    }
}

/// Makes the transport for a receiver's address.
type TransportTo = fn(String, &Authority) -> TransportSpec;

#[test]
fn every_transport_and_frame_delivers_everything_in_order() {
    let authority = Authority::new("test authority");
    let server = server_config(&authority.identity(&["localhost", "127.0.0.1"]), None);
    let transports: [(Port, TransportTo); 4] = [
        (Port::Udp, |address, _| TransportSpec::Udp { address }),
        (Port::Tcp, |address, _| tcp(address, Framing::Newline)),
        (Port::Tcp, |address, _| tcp(address, Framing::OctetCounting)),
        (Port::Tls(server), |address, authority| tls(address, Some(authority), None, None)),
    ];
    for (port, transport) in transports {
        let udp = matches!(port, Port::Udp);
        let receiver = Receiver::start(port);
        let rig = Rig::start(&transport(receiver.address(), &authority));
        let total = if udp { 500 } else { 20_000 };
        let _feed = Feed::start(&rig, total, if udp { 2_000 } else { 0 });
        receiver.wait_for(total as usize, LIMIT);
        let expected: Vec<String> = (1..=total).map(feed::text).collect();
        assert_eq!(receiver.messages(), expected);
        rig.await_health(HealthState::Healthy, if udp { "best effort" } else { "" }, LIMIT);
        rig.await_committed(total, LIMIT);
        assert_eq!(rig.stats().delivered, total);
    }
}

#[test]
fn a_heartbeat_comes_at_connect_and_then_regularly() {
    let receiver = Receiver::start(Port::Tcp);
    let _rig = Rig::start_with(&tcp(receiver.address(), Framing::Newline), |spec| spec.heartbeat_seconds = 1);
    receiver.wait_for(3, LIMIT);
    for message in receiver.messages() {
        assert!(
            message.contains("MUSTER_HEARTBEAT") && message.contains("policy_revision=\"7\""),
            "{message}"
        );
    }
}
