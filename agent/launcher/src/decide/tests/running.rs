//! What happens beside an agent that runs: a disk that fills up, an order that it does not end for, another installed
//! program.

use super::{Happens, launch, with};
use crate::decide::world::{World, fresh, order, slot};
use crate::decide::{Exit, LEAVE, Line, STOP_TRIAL};
use muster_package::slots::Launch;

#[test]
fn what_could_not_be_stored_is_stored_once_there_is_room_while_the_agent_runs() {
    let mut world = World::new();
    world.order(order("0.2.0"));
    world.disk.full = true;
    world.says(Line::Healthy);
    // Beyond its probation, after which nothing is asked of it.
    world.pass(700);
    assert_eq!((world.runs().as_str(), world.last().as_str()), ("0.2.0", "none"));
    assert!(launch(&world).trial.is_some(), "the agent reads that it is on trial");
    world.disk.full = false;
    world.pass(5);
    assert_eq!((world.runs().as_str(), world.last().as_str()), ("0.2.0", "confirmed 0.2.0"));
    assert_eq!(launch(&world).trial, None);

    // An order that was refused then goes as well.
    let mut world = World::new();
    world.disk.order = Some(order("0.2.0"));
    world.disk.full = true;
    world.end(Exit::Code(0));
    world.disk.full = false;
    world.pass(5);
    assert!(world.last().starts_with("refused 0.2.0"), "{}", world.last());
    assert_eq!((world.disk.order.as_ref(), world.runs().as_str()), (None, "the installed version"));
}

#[test]
fn an_agent_that_ordered_and_hangs_is_ended() {
    let leave = LEAVE.as_secs();
    // How long it hangs, whether it ends when asked to, what runs then.
    let cases = [
        (leave - 1, false, "the installed version"),
        (leave + 5, false, "0.2.0"),
        (leave + 5, true, "the installed version"),
        (leave + 5 + STOP_TRIAL.as_secs(), true, "0.2.0"),
    ];
    for (hangs, deaf, runs) in cases {
        let mut world = World::new();
        world.pass(1_000);
        world.deaf = deaf;
        assert!(world.order_and_hang(order("0.2.0")));
        world.pass(hangs);
        assert_eq!(world.runs(), runs, "{hangs} {deaf}");
    }
    // It took its order back: the next one has its own time.
    let mut world = World::new();
    world.order_and_hang(order("0.2.0"));
    world.pass(leave - 5);
    world.disk.order = None;
    world.pass(5);
    world.order_and_hang(order("0.3.0"));
    world.pass(leave - 5);
    assert_eq!(world.runs(), "the installed version");
    world.pass(10);
    assert_eq!(world.runs(), "0.3.0");
    // In its probation it is not given up for that.
    world.says(Line::Healthy);
    world.order_and_hang(order("0.4.0"));
    world.pass(leave + 5);
    assert_eq!((world.runs().as_str(), world.last().as_str()), ("0.4.0", "confirmed 0.3.0"));
    assert_eq!(launch(&world).current, slot("0.3.0"));
}

#[test]
fn the_program_of_the_operating_systems_package_is_what_is_meant_to_run() {
    let mut world = with(&["0.2.0", "0.3.0"]);
    world.disk.program = "program 2".to_owned();
    world.end(Exit::Code(1));
    assert_eq!(world.runs(), "the installed version");
    assert_eq!(
        *launch(&world),
        Launch { last: launch(&world).last.clone(), installed_sha256: "program 2".to_owned(), ..fresh() }
    );

    // On trial: it is told why.
    for (happens, last) in [
        ((|w| w.order(order("0.2.0"))) as Happens, "rolled back 0.2.0: the operating system's package"),
        (|w| w.disk.order = Some(order("0.2.0")), "refused 0.2.0: the operating system's package"),
    ] {
        let mut world = World::new();
        happens(&mut world);
        world.disk.program = "program 2".to_owned();
        world.boot();
        assert_eq!(world.runs(), "the installed version");
        assert!(world.last().starts_with(last), "{}", world.last());
    }
}

#[test]
fn another_installed_program_is_told_as_the_end_of_the_order_that_brought_what_ran() {
    // The agent learns that what its offer brought does not run any more, also in the probation, and that a later offer
    // had its own end.
    let replaced = "the operating system's package brought another program, which runs now";
    let stories: [(Happens, String); 4] = [
        (|_| (), format!("rolled back 0.3.0: {replaced}")),
        (
            |w| {
                w.order(order("0.4.0"));
                w.says(Line::Healthy);
            },
            format!("rolled back 0.4.0: {replaced}"),
        ),
        (
            |w| {
                w.order(order("0.4.0"));
                w.end(Exit::Code(3));
            },
            "rolled back 0.4.0: it ended after 0 s (exit status 3)".to_owned(),
        ),
        (
            |w| {
                w.order(order("installed"));
                w.says(Line::Healthy);
            },
            format!("rolled back 0.1.0: {replaced}"),
        ),
    ];
    for (happens, last) in stories {
        let mut world = with(&["0.2.0", "0.3.0"]);
        happens(&mut world);
        world.disk.program = "program 2".to_owned();
        world.boot();
        assert_eq!((world.runs().as_str(), world.last()), ("the installed version", last));
        assert_eq!(launch(&world).origin, None);
    }
}
