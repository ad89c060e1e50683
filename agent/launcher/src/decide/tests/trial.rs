//! What becomes of an order: tables of what happens on trial, in probation and over restarts.

use super::{Happens, launch};
use crate::decide::change::{Standing, standing};
use crate::decide::world::{World, order, order_connected};
use crate::decide::{Exit, Line};

/// What happens once 0.2.0 was ordered, what runs then, and what became of the order.
type Case = (&'static str, Happens, &'static str, &'static str);

fn tell(cases: &[Case]) {
    for (name, happens, runs, last) in cases {
        let mut world = World::new();
        world.order(order("0.2.0"));
        assert_eq!(world.runs(), "0.2.0", "{name}");
        happens(&mut world);
        let runs = if *runs == "installed" { "the installed version" } else { runs };
        assert_eq!(world.runs(), runs, "{name}");
        assert!(world.last().contains(last), "{name}: {}", world.last());
    }
}

#[test]
fn on_trial() {
    tell(&[
        ("nothing said", |w| w.pass(59), "0.2.0", "none"),
        ("late", |w| w.pass(60), "installed", "rolled back 0.2.0: it was not healthy within 60 s"),
        (
            "late, and says why",
            |w| {
                w.says(Line::Unwell("source/audit is not there yet".to_owned()));
                w.pass(60);
            },
            "installed",
            "it was not healthy within 60 s: source/audit is not there yet",
        ),
        ("healthy", |w| w.says(Line::Healthy), "0.2.0", "confirmed 0.2.0"),
        ("ends", |w| w.end(Exit::Code(3)), "installed", "it ended after 0 s (exit status 3)"),
        ("wrong configuration", |w| w.end(Exit::Code(2)), "installed", "after 0 s (exit status 2)"),
    ]);
}

#[test]
fn in_probation_and_after() {
    tell(&[
        (
            "dies in probation",
            |w| {
                w.pass(5);
                w.says(Line::Healthy);
                w.pass(599);
                w.end(Exit::Signal(9));
            },
            "installed",
            "rolled back 0.2.0: it ended 599 s after it was confirmed (signal 9)",
        ),
        (
            "ends in order in probation",
            |w| {
                w.says(Line::Healthy);
                w.end(Exit::Code(0));
            },
            "installed",
            "it ended 0 s after it was confirmed (exit status 0)",
        ),
        (
            "ends after probation",
            |w| {
                w.says(Line::Healthy);
                w.pass(600);
                w.end(Exit::Signal(9));
                w.pass(1);
            },
            "0.2.0",
            "confirmed 0.2.0",
        ),
        (
            "the launcher is restarted in probation",
            |w| {
                w.says(Line::Healthy);
                w.boot();
                w.pass(599);
                w.end(Exit::Code(1));
            },
            "installed",
            "it ended 599 s after it was started again in its probation (exit status 1)",
        ),
        (
            "the launcher is stopped in probation",
            |w| {
                w.says(Line::Healthy);
                w.stop();
                w.boot();
            },
            "0.2.0",
            "confirmed 0.2.0",
        ),
    ]);
}

#[test]
fn restarts_and_further_orders() {
    tell(&[
        ("the power goes twice", |w| (0..2).for_each(|_| w.boot()), "0.2.0", "none"),
        (
            "the power goes three times",
            |w| (0..3).for_each(|_| w.boot()),
            "installed",
            "rolled back 0.2.0: it was started 3 times, and neither confirmed nor ended by itself",
        ),
        (
            "goes on to another version",
            |w| {
                w.says(Line::Healthy);
                w.order(order("0.3.0"));
            },
            "0.3.0",
            "confirmed 0.2.0",
        ),
    ]);
}

#[test]
fn connected_too_where_it_was_before() {
    let connected = |world: &mut World| world.order(order_connected("0.2.0"));
    let mut world = World::new();
    connected(&mut world);
    world.says(Line::Healthy);
    assert_eq!(world.last(), "none");
    assert!(launch(&world).trial.as_ref().unwrap().healthy, "the agent can read it");
    world.pass(299);
    assert_eq!(world.runs(), "0.2.0");
    world.pass(1);
    assert_eq!(world.last(), "rolled back 0.2.0: it was not connected to a controller within 300 s");
    connected(&mut world);
    world.says(Line::Connected);
    world.pass(59);
    assert_eq!(standing(launch(&world)), Standing::Trial);
    world.says(Line::Healthy);
    assert_eq!(world.last(), "confirmed 0.2.0");
}
