//! rsyslog and syslog-ng as receivers.

use super::feed::{Feed, Rig, assert_all_arrived, tally};
use super::{LIMIT, tcp, tls};
use muster_shared::policy::model::{Framing, TransportSpec};
use muster_tests::eventually::eventually;
use muster_tests::receiver::pki::Authority;
use muster_tests::receiver::{ProgramReceiver, TlsFiles, rsyslog, syslog_ng};
use std::time::Duration;

fn wait_until_all_arrived(receiver: &ProgramReceiver, total: u64) -> u64 {
    eventually(&format!("all {total}"), LIMIT * 2, || match tally(&receiver.lines()).len() as u64 {
        got if got >= total => Ok(()),
        got => Err(format!("{got} different ones")),
    });
    assert_all_arrived(&receiver.lines(), total)
}

fn delivers(receiver: &ProgramReceiver, secrets: tempfile::TempDir, transport: &TransportSpec) {
    let rig = Rig::start_in(secrets, transport, |_| {});
    let total = 2_000;
    let _feed = Feed::start(&rig, total, 4_000);
    let lines = receiver.wait_for(total as usize, LIMIT);
    let expected: Vec<String> = (1..=total).map(super::feed::text).collect();
    assert_eq!(lines, expected);
}

fn secrets(authority: &Authority) -> tempfile::TempDir {
    let secrets = tempfile::tempdir().unwrap();
    authority.identity(&["agent"]).write(secrets.path(), "siem");
    secrets
}

#[test]
fn rsyslog_receives_over_udp_tcp_and_tls() {
    let authority = Authority::new("ours");
    let folder = || tempfile::tempdir().unwrap();

    let home = folder();
    let receiver = rsyslog::start(home.path(), &rsyslog::Input::Udp);
    delivers(&receiver, folder(), &TransportSpec::Udp { address: receiver.address() });

    for framing in [Framing::Newline, Framing::OctetCounting] {
        let home = folder();
        let receiver = rsyslog::start(home.path(), &rsyslog::Input::Tcp);
        delivers(&receiver, folder(), &tcp(receiver.address(), framing));
    }

    let home = folder();
    let files = TlsFiles::write(home.path(), &authority, &authority.identity(&["127.0.0.1"]));
    let receiver = rsyslog::start(home.path(), &rsyslog::Input::Tls(files));
    delivers(&receiver, secrets(&authority), &tls(receiver.address(), Some(&authority), None, Some("siem")));
}

#[test]
fn syslog_ng_receives_with_the_framing_that_each_of_its_sources_wants() {
    let authority = Authority::new("ours");
    let folder = || tempfile::tempdir().unwrap();

    let home = folder();
    let receiver = syslog_ng::start(home.path(), &syslog_ng::Input::Udp);
    delivers(&receiver, folder(), &TransportSpec::Udp { address: receiver.address() });

    let home = folder();
    let receiver = syslog_ng::start(home.path(), &syslog_ng::Input::TcpNewline);
    delivers(&receiver, folder(), &tcp(receiver.address(), Framing::Newline));

    let home = folder();
    let receiver = syslog_ng::start(home.path(), &syslog_ng::Input::TcpCounted);
    delivers(&receiver, folder(), &tcp(receiver.address(), Framing::OctetCounting));

    let home = folder();
    let files = TlsFiles::write(home.path(), &authority, &authority.identity(&["127.0.0.1"]));
    let receiver = syslog_ng::start(home.path(), &syslog_ng::Input::Tls(files));
    delivers(&receiver, secrets(&authority), &tls(receiver.address(), Some(&authority), None, Some("siem")));
}

#[test]
fn rsyslog_killed_twice_loses_nothing_over_tcp_and_tls() {
    let authority = Authority::new("ours");
    let plain = tempfile::tempdir().unwrap();
    let secure = tempfile::tempdir().unwrap();
    let files = TlsFiles::write(secure.path(), &authority, &authority.identity(&["127.0.0.1"]));
    let cases = [(plain, rsyslog::Input::Tcp), (secure, rsyslog::Input::Tls(files))];
    for (home, input) in cases {
        let mut receiver = rsyslog::start(home.path(), &input);
        let transport = match input {
            rsyslog::Input::Udp | rsyslog::Input::Tcp => tcp(receiver.address(), Framing::OctetCounting),
            rsyslog::Input::Tls(_) => tls(receiver.address(), Some(&authority), None, Some("siem")),
        };
        let rig = Rig::start_in(secrets(&authority), &transport, |_| {});
        let total = 15_000;
        let _feed = Feed::start(&rig, total, 5_000);
        for lines in [3_000, 8_000] {
            receiver.wait_for(lines, LIMIT);
            receiver.kill();
            receiver.start();
        }
        let duplicates = wait_until_all_arrived(&receiver, total);
        assert!(duplicates <= 2 * 5_000 * 3 / 2, "{duplicates} duplicates");
        rig.await_committed(total, Duration::from_secs(30));
    }
}
