//! Whatever happens in whatever order: something runs, and an order ends once.

use crate::decide::change::open_trial;
use crate::decide::world::{World, order, slot};
use crate::decide::{Act, Exit, Line};
use muster_package::Version;
use muster_package::slots::{Outcome, OutcomeResult};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Happens {
    Order { to: &'static str, connected: bool, hangs: bool },
    End(i32),
    Killed,
    Says(Line),
    Pass(u64),
    Restart,
    PowerCut(u32),
    Damage(u64),
    Repair,
    Program(u8),
    Full(bool),
    Broken(bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    let to = prop_oneof![Just("installed"), Just("0.2.0"), Just("0.3.0"), Just("0.4.0")];
    prop_oneof![
        5 => (to, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(to, connected, hangs)| Happens::Order { to, connected, hangs }),
        3 => (0..4).prop_map(Happens::End),
        1 => Just(Happens::Killed),
        4 => Just(Happens::Says(Line::Healthy)),
        3 => Just(Happens::Says(Line::Connected)),
        1 => Just(Happens::Says(Line::Unwell("no".to_owned()))),
        4 => prop_oneof![Just(1), Just(59), Just(60), Just(300), Just(700)].prop_map(Happens::Pass),
        2 => Just(Happens::Restart),
        4 => (0_u32..6).prop_map(Happens::PowerCut),
        1 => (2_u64..5).prop_map(Happens::Damage),
        1 => Just(Happens::Repair),
        1 => (0_u8..3).prop_map(Happens::Program),
        1 => any::<bool>().prop_map(Happens::Full),
        1 => any::<bool>().prop_map(Happens::Broken),
    ]
}

fn apply(world: &mut World, happens: Happens, number: usize) -> Option<String> {
    match happens {
        Happens::Order { to, connected, hangs } => {
            let ordered = crate::decide::world::numbered(order(to), number, connected);
            let offer = ordered.offer.clone();
            if world.order_and_hang(ordered) {
                if !hangs {
                    world.end(Exit::Code(0));
                }
                return Some(offer);
            }
        }
        Happens::End(code) => world.end(Exit::Code(code)),
        Happens::Killed => world.end(Exit::Signal(9)),
        Happens::Says(line) => world.says(line),
        Happens::Pass(seconds) => world.pass(seconds),
        Happens::Restart => {
            world.stop();
            world.boot();
        }
        Happens::PowerCut(after) => world.cut_after(after),
        Happens::Damage(minor) => {
            world.disk.damaged.insert(Version::new(0, minor, 0));
        }
        Happens::Repair => world.disk.damaged.clear(),
        Happens::Program(number) => world.disk.program = format!("program {number}"),
        Happens::Full(full) => world.disk.full = full,
        Happens::Broken(broken) => world.broken = broken,
    }
    None
}

/// Whether the agent that runs can read what became of the newest order: it remembers that one alone.
fn newest_is_told(world: &World, newest: Option<&String>) -> bool {
    let (Some(newest), Some(launch)) = (newest, &world.disk.launch) else { return true };
    // One that is still to be taken, and a disk that is full, come later.
    let later = world.running.is_none() || world.disk.order.is_some() || world.unsaved();
    let on_trial = open_trial(launch).is_some_and(|trial| trial.order.offer == *newest);
    later || on_trial || launch.last.as_ref().is_some_and(|last| last.offer == *newest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn something_runs_and_an_order_ends_once(story in prop::collection::vec(happens(), 0..40)) {
        let mut world = World::new();
        let mut offers = Vec::new();
        for (number, happens) in story.into_iter().enumerate() {
            offers.extend(apply(&mut world, happens, number));
            if world.is_off() {
                world.boot();
            }
            let pausing = world.machine.deadline().is_some();
            prop_assert!(world.running.is_some() || pausing, "nothing runs or will: {:?}", world.machine);
            prop_assert!(*world.act() != Act::End);
            prop_assert!(newest_is_told(&world, offers.last()), "{:?}: {:?}", offers.last(), world.disk);
        }

        // All is well again: it comes to rest.
        world.disk.full = false;
        world.broken = false;
        world.boot();
        world.says(Line::Healthy);
        world.says(Line::Connected);
        world.pass(700);
        prop_assert!(world.running.is_some());
        let launch = world.disk.launch.clone().unwrap();
        prop_assert!(launch.trial.is_none() && world.disk.order.is_none(), "{launch:?}");
        prop_assert_eq!(world.running.as_ref(), Some(&launch.current));
        prop_assert_ne!(launch.previous.as_ref(), Some(&launch.current));
        for offer in offers {
            let outcomes: Vec<&Outcome> = world.outcomes.iter().filter(|o| o.offer == offer).collect();
            // Refused while the disk was full, and a power cut between storing that and removing the order: with room for
            // it, it is taken after all, before any agent is started that could read of the refusal.
            let undone = |o: &&&Outcome| outcomes.len() > 1 && o.reason.contains("could not store");
            let results: Vec<OutcomeResult> =
                outcomes.iter().skip_while(undone).map(|outcome| outcome.result).collect();
            let once = match results.as_slice() {
                [] => world.superseded.contains(&offer),
                [_] | [OutcomeResult::Confirmed, OutcomeResult::RolledBack] => true,
                [_, ..] => false,
            };
            prop_assert!(once, "{offer}: {results:?}");
        }
    }

    /// From whatever a file says that can be read.
    #[test]
    fn whatever_is_on_disk_something_is_started(current in 0..4_usize, previous in 0..4_usize, trial in 0..4_usize,
                                                starts in 0_u32..6, probation: bool, damaged in 0..8_u8) {
        let slots = ["installed", "0.2.0", "0.3.0", "0.4.0"];
        let mut world = World::new();
        let launch = world.disk.launch.as_mut().unwrap();
        launch.current = slot(slots[current]);
        launch.previous = Some(slot(slots[previous]));
        launch.trial = Some(crate::decide::world::trial(slots[trial], starts, probation));
        world.disk.damaged = (0..3).filter(|bit| damaged & (1 << bit) != 0).map(|bit| Version::new(0, bit + 2, 0)).collect();
        world.boot();
        prop_assert!(world.running.is_some());
    }
}
