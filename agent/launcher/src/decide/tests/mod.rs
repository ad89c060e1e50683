//! Stories of the state machine, each a table of what happens and what must come of it.

use super::world::{World, fresh, order, order_connected, slot};
use super::{Act, Event, Exit, Found, Line, Look, MAX_STARTS, Machine, STOP, STOP_TRIAL};
use muster_package::Version;
use muster_package::slots::Launch;
use std::time::Duration;

mod property;
mod running;
mod trial;

fn launch(world: &World) -> &Launch {
    world.disk.launch.as_ref().unwrap()
}

/// A host on which versions were confirmed, one after the other.
fn with(versions: &[&str]) -> World {
    let mut world = World::new();
    for version in versions {
        world.order(order(version));
        world.says(Line::Healthy);
        world.pass(600);
    }
    world
}

type Happens = fn(&mut World);

#[test]
fn what_was_accepted_runs_on_when_its_key_is_retired() {
    let mut world = with(&["0.2.0", "0.3.0"]);
    world.disk.retired.extend([Version::new(0, 2, 0), Version::new(0, 3, 0)]);
    world.boot();
    assert_eq!(world.runs(), "0.3.0");
    // The one before is gone back to as well.
    world.disk.damaged.insert(Version::new(0, 3, 0));
    world.boot();
    assert_eq!(world.runs(), "0.2.0");
    // Nothing new is taken by it, be it what ran before.
    for version in ["0.3.0", "0.4.0"] {
        world.disk.damaged.clear();
        world.disk.retired.insert(version.parse().unwrap());
        world.order(order(version));
        assert_eq!(world.runs(), "0.2.0");
        assert_eq!(world.last(), format!("refused {version}: its key was retired"));
    }
    // In a probation too, and no more is remembered than is kept.
    let mut world = with(&["0.2.0", "0.3.0", "0.4.0"]);
    world.order(order("0.5.0"));
    world.says(Line::Healthy);
    world.disk.retired.insert(Version::new(0, 5, 0));
    world.boot();
    assert_eq!(world.runs(), "0.5.0");
    let kept = ["0.3.0", "0.4.0", "0.5.0"].map(|version| version.parse::<Version>().unwrap());
    assert!(launch(&world).accepted.keys().eq(&kept), "{:?}", launch(&world).accepted);
}

#[test]
fn what_is_not_what_was_signed_is_never_started() {
    let mut world = World::new();
    world.disk.damaged.insert(Version::new(0, 2, 0));
    world.order(order("0.2.0"));
    assert_eq!(
        (world.runs().as_str(), world.last().as_str()),
        ("the installed version", "refused 0.2.0: it is damaged")
    );
    assert_eq!(world.started, [slot("installed"), slot("installed")]);

    // Of the current one: the one before runs; if that is damaged too, the installed one.
    for (damaged, runs) in [(vec!["0.3.0"], "0.2.0"), (vec!["0.3.0", "0.2.0"], "the installed version")] {
        let mut world = with(&["0.2.0", "0.3.0"]);
        world.disk.damaged.extend(damaged.iter().map(|v| v.parse::<Version>().unwrap()));
        world.end(Exit::Code(1));
        world.pass(1);
        assert_eq!(world.runs(), runs);
        assert_eq!(world.last(), "rolled back 0.3.0: it is damaged");
        assert_eq!(launch(&world).previous, None);
    }

    // After a trial: what became of the trial is what the agent asks for.
    for cut in [None, Some(1)] {
        let mut world = with(&["0.2.0", "0.3.0"]);
        world.order(order("0.4.0"));
        world.disk.damaged.insert(Version::new(0, 3, 0));
        if let Some(after) = cut {
            world.cut_after(after);
        }
        world.end(Exit::Code(1));
        if world.is_off() {
            world.boot();
        }
        assert_eq!(world.runs(), "0.2.0", "{cut:?}");
        assert_eq!(
            world.last(),
            "rolled back 0.4.0: it ended after 0 s (exit status 1)",
            "power cut after {cut:?}"
        );
    }

    // In its probation: what was before runs, with what was before that.
    let mut world = with(&["0.2.0", "0.3.0"]);
    world.order(order("0.4.0"));
    world.says(Line::Healthy);
    world.disk.damaged.insert(Version::new(0, 4, 0));
    world.boot();
    assert_eq!((world.runs().as_str(), world.last().as_str()), ("0.3.0", "rolled back 0.4.0: it is damaged"));
    assert_eq!(launch(&world).previous, Some(slot("0.2.0")));
    assert_eq!(launch(&world).origin.as_ref().map(|by| by.offer.as_str()), Some("offer of 0.3.0"));
}

#[test]
fn a_version_that_begins_to_die_later_is_given_up_once_there_is_another_one() {
    let cases: [(&[&str], Exit, u64, &str, &str); 5] = [
        (&[], Exit::Code(1), 0, "the installed version", "none"),
        (
            &["0.2.0"],
            Exit::Code(1),
            59,
            "the installed version",
            "rolled back 0.2.0: it ended 5 times in a row",
        ),
        (&["0.2.0", "0.3.0"], Exit::Signal(6), 0, "0.2.0", "rolled back 0.3.0: it ended 5 times in a row"),
        (&["0.2.0"], Exit::Code(1), 60, "0.2.0", "confirmed 0.2.0"),
        (&["0.2.0"], Exit::Code(2), 0, "0.2.0", "confirmed 0.2.0"),
    ];
    for (versions, exit, ran, runs, last) in cases {
        let mut world = with(versions);
        world.boot();
        for _ in 0..5 {
            world.pass(ran);
            world.end(exit.clone());
            if let Some(next) = world.machine.deadline() {
                let pause = next - world.now();
                assert!(pause <= Duration::from_secs(30));
                world.pass(pause.as_secs());
            }
        }
        assert_eq!(world.runs(), runs, "{versions:?} {exit} {ran}");
        assert!(world.last().starts_with(last), "{versions:?} {exit} {ran}: {}", world.last());
    }
}

#[test]
fn orders_that_mean_little() {
    // What runs already.
    let mut world = with(&["0.2.0"]);
    world.order(order("0.2.0"));
    assert_eq!(world.runs(), "nothing", "not without a pause");
    world.pass(1);
    assert_eq!((world.runs().as_str(), world.last().as_str()), ("0.2.0", "confirmed 0.2.0"));

    // Back to what the installed program was, and there again.
    world.order(order("installed"));
    world.says(Line::Healthy);
    assert_eq!((world.runs().as_str(), world.last().as_str()), ("the installed version", "confirmed 0.1.0"));
    assert_eq!(launch(&world).previous, Some(slot("0.2.0")));

    // One that cannot be read is removed, and is no crash.
    let look = |order| Event::Looked(Look { order, installed: Ok("program 1".to_owned()) });
    let (mut machine, _) = Machine::begin(fresh());
    let decision = machine.step(look(Found::Unreadable("no JSON".to_owned())), Duration::ZERO);
    assert!(decision.remove_order && decision.act == Act::Look, "{decision:?}");
    let decision = machine.step(look(Found::Nothing), Duration::ZERO);
    assert_eq!(decision.act, Act::Start(slot("installed")));

    // One from a version that is on trial itself.
    let mut world = World::new();
    world.order(order("0.2.0"));
    world.order(order("0.3.0"));
    assert_eq!(world.runs(), "0.3.0");
    assert_eq!(world.last(), "rolled back 0.2.0: 0.3.0 was ordered before it was confirmed");
    world.end(Exit::Code(1));
    assert_eq!(world.runs(), "the installed version");
}

#[test]
fn what_cannot_be_stored_is_not_tried() {
    // The disk fills up after the order was written.
    let mut world = World::new();
    world.disk.order = Some(order("0.2.0"));
    world.disk.full = true;
    world.end(Exit::Code(0));
    assert_eq!(world.runs(), "the installed version");
    assert!(world.disk.order.is_some(), "it says nowhere yet what became of it");
    world.disk.full = false;
    world.end(Exit::Code(1));
    assert!(world.disk.order.is_none());
    assert!(world.last().starts_with("refused 0.2.0: the launcher could not store"), "{}", world.last());
    world.pass(1);
    assert_eq!(world.runs(), "the installed version");
    assert_eq!(world.started, vec![slot("installed"); 3]);
}

#[test]
fn a_start_on_trial_that_cannot_be_stored_does_not_take_place() {
    let mut world = World::new();
    world.order(order("0.2.0"));
    world.disk.full = true;
    world.boot();
    assert_eq!(world.runs(), "the installed version");
    // It is stored as soon as that can be.
    world.disk.full = false;
    world.end(Exit::Code(1));
    let last = world.last();
    assert!(
        last.starts_with("rolled back 0.2.0: the launcher could not store that it is on trial"),
        "{last}"
    );
    assert_eq!(world.started, [slot("installed"), slot("0.2.0"), slot("installed")]);
}

#[test]
fn what_an_earlier_process_said_does_not_count() {
    for earlier in [Line::Healthy, Line::Connected] {
        let mut world = World::new();
        world.order(order_connected("0.2.0"));
        world.says(earlier.clone());
        world.boot();
        let other = if earlier == Line::Healthy { Line::Connected } else { Line::Healthy };
        world.says(other);
        assert_eq!(world.last(), "none", "{earlier:?}");
        world.says(earlier);
        assert_eq!(world.last(), "confirmed 0.2.0");
    }
}

#[test]
fn a_program_that_cannot_be_started() {
    let mut world = World::new();
    world.broken = true;
    world.order(order("0.2.0"));
    assert_eq!(world.last(), "refused 0.2.0: it cannot be started: no such program");
    for _ in 0..10 {
        assert_eq!(world.runs(), "nothing");
        world.pass(30);
    }
    world.broken = false;
    world.pass(30);
    assert_eq!(world.runs(), "the installed version");
}

#[test]
fn stopping_is_in_order_then_by_force() {
    let second = Duration::from_secs(1);
    for (asked, limit) in [(true, STOP), (false, STOP_TRIAL)] {
        let mut world = World::new();
        world.order(order("0.2.0"));
        let begun = if asked { second } else { 60 * second };
        let event = if asked { Event::StopAsked } else { Event::Timer };
        assert_eq!(world.raw(event, begun).act, Act::Term);
        assert_eq!(world.machine.deadline(), Some(begun + limit));
        // What it says now is too late.
        assert_eq!(world.raw(Event::Said(Line::Healthy), begun + second).act, Act::Wait);
        assert_eq!(world.raw(Event::Timer, begun + limit).act, Act::Kill);
        assert_eq!(world.machine.deadline(), None);
        let act = world.raw(Event::Ended(Exit::Signal(9)), begun + limit).act.clone();
        assert_eq!(act, if asked { Act::End } else { Act::Look });
    }
    // Asked to end while a trial is being stopped: as soon as that is done.
    let mut world = World::new();
    world.order(order("0.2.0"));
    world.raw(Event::Timer, 60 * second);
    assert_eq!(world.raw(Event::StopAsked, 61 * second).act, Act::Wait);
    assert_eq!(world.raw(Event::Ended(Exit::Code(0)), 62 * second).act, Act::End);
    // Without an agent at once.
    let mut world = World::new();
    world.end(Exit::Code(1));
    assert_eq!(world.raw(Event::StopAsked, second).act, Act::End);
}

#[test]
fn a_power_cut_at_any_moment_leaves_something_to_run() {
    let ends: [(Happens, &str); 3] = [
        (|w| w.says(Line::Healthy), "confirmed 0.2.0"),
        (|w| w.end(Exit::Code(1)), "rolled back 0.2.0: it ended after 0 s (exit status 1)"),
        (|w| w.pass(60), "rolled back 0.2.0: it was not healthy within 60 s"),
    ];
    for (happens, last) in ends {
        for at in 0..12 {
            let mut world = World::new();
            world.disk.order = Some(order("0.2.0"));
            world.cut_after(at);
            world.end(Exit::Code(0));
            happens(&mut world);
            world.boot();
            assert!(world.running.is_some(), "cut after {at}");
            if launch(&world).last.is_none() {
                assert_eq!(world.runs(), "0.2.0", "cut after {at}: what was ordered is still tried");
                happens(&mut world);
            }
            assert_eq!(world.last(), last, "cut after {at}");
            assert_eq!(world.outcomes.len(), 1, "cut after {at}: {:?}", world.outcomes);
            assert!(world.disk.order.is_none(), "cut after {at}");
        }
    }
}

#[test]
fn no_version_is_tried_for_ever() {
    let mut world = World::new();
    world.order(order("0.2.0"));
    for _ in 0..20 {
        world.boot();
    }
    assert_eq!(world.started.iter().filter(|s| **s == slot("0.2.0")).count(), MAX_STARTS as usize);
}
