//! The way of an event from a partition with a server of each generation to a receiver.

use crate::bad_input::{Rig, contains};
use ibmi_sim::{Fault, Generation, Scenario};
use muster_tests::eventually::never;
use muster_tests::partition::Partition;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn rig(name: &str, change: impl FnOnce(&mut Scenario)) -> Rig {
    let mut scenario = Scenario { name: name.to_owned(), ..Scenario::default() };
    change(&mut scenario);
    Rig::of(name, Partition::start(scenario))
}

#[test]
fn events_arrive_complete_from_every_generation() {
    for (name, generation) in Generation::ALL {
        let rig = rig(name, |scenario| {
            scenario.server.generation = generation;
            scenario.journal.hole_every = 7;
            if generation == Generation::G2 {
                // Older servers take no colon.
                scenario.users[0].password = "mus:ter:1".into();
            }
        });
        rig.partition.append_mix(300);
        let mut agent = rig.home.run();
        rig.await_all();
        // Many at one time, the next receiver, a broken connection.
        rig.partition.set_fault(Fault::ClockStopped).expect("the fault");
        rig.partition.append_mix(500);
        rig.partition.set_fault(Fault::Clear).expect("it goes on");
        rig.partition.roll_over();
        rig.partition.set_fault(Fault::DropSocket).expect("the fault");
        rig.partition.append_mix(200);
        rig.await_all();
        rig.home.await_health("source/audit", "healthy", "", LIMIT);
        let counts = rig.partition.counts();
        assert_eq!(counts.refused_sign_ons, 0, "{name}");
        assert_eq!(counts.blobs_kept, 0, "{name}: no raw bytes are selected");
        assert!(agent.terminate(LIMIT).success());
    }
}

#[test]
fn a_password_that_expires_while_the_agent_runs_is_tried_once_and_then_waited_for() {
    let rig = rig("expires", |scenario| scenario.system.max_sign_on_attempts = 3);
    rig.partition.append_mix(20);
    let mut agent = rig.home.run();
    rig.await_all();
    rig.partition.set_fault(Fault::PasswordExpired).expect("the fault");
    // Who is in stays in.
    rig.partition.append_mix(20);
    rig.await_all();
    rig.partition.set_fault(Fault::DropSocket).expect("the fault");
    let reason = rig.await_failed("rejects the sign-on of MUSTER");
    contains(
        &reason,
        &["Password is expired", "CHGUSRPRF USRPRF(MUSTER) PASSWORD(", "counts against the profile"],
    );
    never("it is tried again", Duration::from_secs(6), || {
        let refused = rig.partition.counts().refused_sign_ons;
        (refused != 1).then(|| format!("{refused} sign-ons were refused"))
    });
    // A service manager that starts it again and again does not make it try sooner.
    for starts in 2..4 {
        assert!(agent.terminate(LIMIT).success());
        agent = rig.home.run();
        // The reason of the last run is there before this one is.
        rig.home.await_logged("policy in force", starts, LIMIT);
        rig.await_failed("Password is expired");
    }
    assert_eq!(rig.partition.counts().refused_sign_ons, 1);
    // Mended, and the new password in the file: nothing was lost.
    rig.partition.append_mix(20);
    rig.partition.set_fault(Fault::Clear).expect("mended");
    assert!(agent.terminate(LIMIT).success());
    std::fs::write(rig.home.folder.join("password"), "muster1\n").expect("the password file");
    let _agent = rig.home.run();
    rig.await_all();
    rig.home.await_health("source/audit", "healthy", "", LIMIT);
}
