//! Receivers that cannot be trusted or do not trust us: one clear message each.

use super::feed::{Feed, Rig};
use super::{LIMIT, tcp, tls};
use muster_agent::health::HealthState;
use muster_shared::policy::model::{Framing, TransportSpec};
use muster_tests::receiver::pki::{Authority, Identity, server_config};
use muster_tests::receiver::{Port, Receiver};

/// Health of a destination towards a TLS receiver with this certificate.
fn reason(identity: &Identity, transport: impl FnOnce(String) -> TransportSpec) -> String {
    let receiver = Receiver::start(Port::Tls(server_config(identity, None)));
    let rig = Rig::start(&transport(receiver.address()));
    let reason = rig.await_health(HealthState::Failed, "TLS", LIMIT);
    assert_eq!(rig.stats().last_error.as_ref(), Some(&reason));
    assert!(!rig.lane.ready());
    reason
}

#[test]
fn receivers_that_cannot_be_trusted_are_refused_with_the_reason() {
    let ours = Authority::new("ours");
    let foreign = Authority::new("foreign");
    let good = ours.identity(&["127.0.0.1", "siem.example"]);

    let text = reason(&good, |address| tls(address, Some(&ours), Some("other.example"), None));
    assert!(text.contains("not for other.example but for") && text.contains("siem.example"), "{text}");

    let text = reason(&good, |address| tls(address, Some(&foreign), None, None));
    assert!(text.contains("put the authority that signed it into ca_pem"), "{text}");

    let text = reason(&ours.expired(&["127.0.0.1"]), |address| tls(address, Some(&ours), None, None));
    assert!(text.contains("the receiver's certificate expired at 2020-01-01T00:00:00Z"), "{text}");
}

#[test]
fn a_receiver_that_speaks_no_tls_is_named() {
    let ours = Authority::new("ours");
    let receiver = Receiver::start(Port::Tcp);
    let rig = Rig::start(&tls(receiver.address(), Some(&ours), None, None));
    // It waits for a line that never ends, so only the deadline tells.
    let text = rig.await_health(HealthState::Failed, "did not finish the TLS handshake", LIMIT);
    assert!(text.contains("check that this port speaks TLS"), "{text}");
}

#[test]
fn a_client_certificate_is_presented_and_a_renewed_one_is_picked_up() {
    let ours = Authority::new("ours");
    let foreign = Authority::new("foreign");
    let receiver = Receiver::start(Port::Tls(server_config(&ours.identity(&["127.0.0.1"]), Some(&ours))));
    let transport = tls(receiver.address(), Some(&ours), None, Some("siem"));

    let secrets = tempfile::tempdir().unwrap();
    let rig = Rig::start_in(secrets, &transport, |_| {});
    let text = rig.await_health(HealthState::Failed, "siem.crt", LIMIT);
    assert!(text.contains("put it into the agent's secrets folder"), "{text}");
    assert!(!rig.reports().iter().any(|(state, _)| *state == HealthState::Healthy));

    foreign.identity(&["agent"]).write(rig.secrets.path(), "siem");
    let text = rig.await_health(HealthState::Failed, "refused the agent's client certificate", LIMIT);
    assert!(text.contains("signed by an authority which the receiver trusts"), "{text}");

    ours.identity(&["agent"]).write(rig.secrets.path(), "siem");
    rig.await_health(HealthState::Healthy, "", LIMIT);
    let _feed = Feed::start(&rig, 1_000, 0);
    receiver.wait_for(1_000, LIMIT);
}

#[test]
fn a_missing_client_certificate_is_asked_for() {
    let ours = Authority::new("ours");
    let receiver = Receiver::start(Port::Tls(server_config(&ours.identity(&["127.0.0.1"]), Some(&ours))));
    let rig = Rig::start(&tls(receiver.address(), Some(&ours), None, None));
    let text = rig.await_health(HealthState::Failed, "asks for a client certificate", LIMIT);
    assert!(text.contains("set client_certificate"), "{text}");
    assert!(!rig.reports().iter().any(|(state, _)| *state == HealthState::Healthy), "never shown as healthy");
}

#[test]
fn an_unknown_host_is_named() {
    let rig = Rig::start(&tcp("siem.invalid:6514".to_owned(), Framing::Newline));
    let text = rig.await_health(HealthState::Failed, "siem.invalid", LIMIT);
    assert!(text.contains("check the host name"), "{text}");
}

#[test]
fn a_udp_receiver_that_is_not_there_shows_as_loss_and_never_holds_up() {
    let mut receiver = Receiver::start(Port::Udp);
    receiver.kill();
    let rig = Rig::start(&TransportSpec::Udp { address: receiver.address() });
    let _feed = Feed::start(&rig, 100, 100);
    rig.await_health(HealthState::Degraded, "nobody listens on this port", LIMIT);
    rig.await_committed(100, LIMIT);
    assert!(rig.stats().lost_datagrams > 0);
}
