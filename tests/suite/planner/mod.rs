//! Rollouts played with a fleet of numbers: what the planner does, told like a log, and what it never does,
//! whatever happens.

mod golden;
mod random;
mod sim;

use muster_planner::{Rollout, plan};
use muster_proto::api::RolloutStrategy;
use muster_tests::results::result;
use std::time::Instant;

/// Waves, and the first step, of a fleet of 10,000.
#[test]
fn a_plan_for_ten_thousand_is_quick() {
    let fleet = sim::Fleet::of(10_000);
    let began = Instant::now();
    let strategy = RolloutStrategy {
        canaries: 10,
        waves: (1..=20).map(|n| n * 5).collect(),
        ..RolloutStrategy::default()
    };
    let planned = plan(fleet.candidates(), &strategy).expect("the strategy makes sense");
    let mut rollout = Rollout::start(&planned, strategy, fleet.now);
    let step = rollout.step(&|id| fleet.look(id), fleet.now);
    let took = began.elapsed();
    assert_eq!(rollout.targets.len(), 10_000);
    assert_eq!((rollout.waves, step.changed.len()), (21, 10));
    result("planner_10k_ms", format!("{:.1}", took.as_secs_f64() * 1e3));
}
