//! How fast one destination writes. Debug builds only have to be fast enough for the stories.

use super::feed::Rig;
use super::{LIMIT, tcp};
use muster_shared::policy::model::Framing;
use muster_tests::receiver::{Port, Receiver};
use std::time::Instant;

#[test]
fn one_destination_writes_far_more_than_a_partition_yields() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = Rig::start(&tcp(receiver.address(), Framing::Newline));
    let total = 200_000;
    let begun = Instant::now();
    let _feed = super::feed::Feed::start(&rig, total, 0);
    receiver.wait_for(total as usize, LIMIT);
    let rate = total as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} messages a second over TCP");
    assert!(rate > 20_000.0, "{rate:.0}/s");
}
