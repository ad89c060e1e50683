//! Receivers that are killed, stall or are not there.

use super::feed::{Feed, Rig, WINDOW, assert_all_arrived, tally};
use super::{LIMIT, tcp, tls};
use muster_agent::health::HealthState;
use muster_shared::policy::model::Framing;
use muster_tests::eventually::{eventually, eventually_true};
use muster_tests::receiver::pki::{Authority, server_config};
use muster_tests::receiver::{Pace, Port, Receiver, UNREAD_BYTES};
use std::time::{Duration, Instant};

const RATE: u64 = 5_000;

fn wait_until_all_arrived(receiver: &Receiver, total: u64) -> u64 {
    eventually(&format!("all {total}"), LIMIT, || match tally(&receiver.messages()).len() as u64 {
        got if got >= total => Ok(()),
        got => Err(format!("{got} different ones")),
    });
    assert_all_arrived(&receiver.messages(), total)
}

/// Waits until `count` more messages came.
fn receive_more(receiver: &Receiver, count: usize) {
    receiver.wait_for(receiver.count() + count, LIMIT);
}

#[test]
fn five_restarts_of_the_receiver_lose_nothing_and_repeat_little() {
    let authority = Authority::new("test authority");
    let server = server_config(&authority.identity(&["127.0.0.1"]), None);
    let plain = Receiver::start(Port::Tcp);
    let secure = Receiver::start(Port::Tls(server));
    for (mut receiver, secured) in [(plain, false), (secure, true)] {
        let transport = if secured {
            tls(receiver.address(), Some(&authority), None, None)
        } else {
            tcp(receiver.address(), Framing::Newline)
        };
        let total = 15_000;
        let rig = Rig::start_with(&transport, |spec| spec.receiver_buffer_bytes = Some(UNREAD_BYTES));
        let _feed = Feed::start(&rig, total, RATE);
        for _ in 0..5 {
            receive_more(&receiver, 1_500);
            receiver.kill();
            receiver.restart();
        }
        let duplicates = wait_until_all_arrived(&receiver, total);
        // Each break repeats no more than one window, however soon it comes after another.
        let one_window = RATE * WINDOW.as_millis() as u64 / 1_000;
        assert!(duplicates <= 5 * one_window, "{duplicates} duplicates, window {one_window}");
        assert!(rig.lane.replayed() >= duplicates, "{} counted, {duplicates} seen", rig.lane.replayed());
        assert_eq!(rig.stats().breaks, 5);
        rig.await_committed(total, LIMIT);
    }
}

#[test]
fn a_second_outage_is_like_the_first() {
    let mut receiver = Receiver::start(Port::Tcp);
    let rig = Rig::start(&tcp(receiver.address(), Framing::OctetCounting));
    let feed = Feed::start(&rig, 1_000_000, 2_000);
    for outage in 1..=3 {
        receive_more(&receiver, 2_000);
        rig.await_health(HealthState::Healthy, "", LIMIT);
        receiver.kill();
        let reason = rig.await_health(HealthState::Failed, "refused the connection", LIMIT);
        assert!(reason.contains("check that the receiver runs"), "{reason}");
        assert!(!rig.lane.ready(), "outage {outage}: the lane is closed");
        receiver.restart();
        let begun = Instant::now();
        receive_more(&receiver, 1);
        assert!(begun.elapsed() < Duration::from_secs(5), "outage {outage}: {:?}", begun.elapsed());
    }
    drop(feed);
    let last = eventually("everything produced is committed", LIMIT, || match rig.committed() {
        at if at > 0 && rig.lane.position().1 == rig.lane.committed() => Ok(at),
        at => Err(format!("{at}")),
    });
    assert_all_arrived(&receiver.messages(), last);
}

#[test]
fn a_receiver_that_stalls_gets_nothing_committed_that_it_never_read() {
    let mut receiver = Receiver::start(Port::Tcp);
    let rig = Rig::start(&tcp(receiver.address(), Framing::Newline));
    let feed = Feed::start(&rig, 100_000, 0);
    receive_more(&receiver, 1_000);
    receiver.set_pace(Pace::Stalled);
    // The lane's credit ends: the source is told to stop, and nothing grows. It may end and come back while the kernels'
    // buffers still fill, so what counts is that nothing was produced for three windows.
    let mut last = (feed.produced(), Instant::now());
    eventually_true("the source reads no more", LIMIT, || {
        if feed.produced() != last.0 {
            last = (feed.produced(), Instant::now());
        }
        !rig.lane.ready() && last.1.elapsed() > WINDOW * 3
    });
    let read = receiver.count() as u64;
    assert!(feed.produced() < 100_000, "the source was not told to stop");
    assert!(rig.committed() <= read, "{} is committed, {read} were read", rig.committed());
    assert_eq!(receiver.connections(), 1, "the connection is kept");
    // What its kernel held dies with it, and comes again.
    receiver.kill();
    receiver.set_pace(Pace::Full);
    receiver.restart();
    wait_until_all_arrived(&receiver, 100_000);
}

#[test]
fn a_receiver_that_closes_an_idle_connection_is_noticed_at_once() {
    let mut receiver = Receiver::start(Port::Tcp);
    let rig = Rig::start(&tcp(receiver.address(), Framing::Newline));
    rig.await_health(HealthState::Healthy, "", LIMIT);
    receiver.kill();
    let begun = Instant::now();
    // A connection made in the moment of the kill breaks too: two breaks may be there at the first look.
    eventually_true("the break is seen", LIMIT, || rig.stats().breaks >= 1);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    receiver.restart();
    rig.await_health(HealthState::Healthy, "", LIMIT);
    let _feed = Feed::start(&rig, 100, 0);
    receiver.wait_for(100, LIMIT);
}

#[test]
fn a_stop_writes_what_is_queued_and_commits_only_what_is_safe() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = Rig::start(&tcp(receiver.address(), Framing::Newline));
    let feed = Feed::start(&rig, 10_000, 0);
    eventually_true("everything is handed over", LIMIT, || feed.produced() == 10_000);
    let took = rig.stop(Duration::from_secs(5));
    assert!(took < Duration::from_secs(4), "{took:?}");
    receiver.wait_for(10_000, LIMIT);
    assert_all_arrived(&receiver.messages(), 10_000);
    assert!(!rig.lane.ready());
    assert!(rig.committed() < 10_000, "what the window holds is sent again after a restart");
}

#[test]
fn a_stop_while_the_receiver_is_down_or_stalled_does_not_hang() {
    let mut receiver = Receiver::start(Port::Tcp);
    receiver.kill();
    let down = Rig::start(&tcp(receiver.address(), Framing::Newline));
    down.await_health(HealthState::Failed, "refused the connection", LIMIT);
    let took = down.stop(Duration::from_secs(5));
    assert!(took < Duration::from_secs(1), "{took:?}");

    let receiver = Receiver::start(Port::Tcp);
    receiver.set_pace(Pace::Stalled);
    let stalled = Rig::start(&tcp(receiver.address(), Framing::Newline));
    let _feed = Feed::start(&stalled, 100_000, 0);
    eventually_true("the lane has no credit", LIMIT, || {
        stalled.lane.position().1.is_some() && !stalled.lane.ready() && stalled.stats().connected
    });
    let took = stalled.stop(Duration::from_millis(500));
    assert!(took < Duration::from_secs(4), "{took:?}");
}
