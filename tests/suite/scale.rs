//! A small fleet of load agents, as the benchmark of the fleet has a large one: everybody enrols, applies what is
//! published, and is back after a crash of the controller with nothing lost.

use muster_tests::load::trial::{Trial, Week};
use muster_tests::results::result;
use std::time::Duration;

const AGENTS: usize = 300;
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn three_hundred_agents_enrol_apply_and_survive_a_crash() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(story()).unwrap_or_else(|error| panic!("{error:#}"));
}

async fn story() -> anyhow::Result<()> {
    // given a fleet, each agent with its own key, certificate and connection
    let mut trial = Trial::start("scale", &[]).await?;
    let (took, _) = trial.enrol(AGENTS).await?;
    #[allow(clippy::cast_precision_loss)] // a few hundred
    let per_minute = AGENTS as f64 / took.as_secs_f64() * 60.0;
    result("fleet_300_enrol_per_min", format!("{per_minute:.0}"));
    trial.connect(LIMIT).await?;

    // when a policy is published, then all apply it and the controller has stored that they did
    let _ = trial.push(LIMIT).await?;
    let pushed = trial.push(LIMIT).await?;
    assert_eq!(pushed.count, AGENTS);
    result("fleet_300_policy_push_p99_s", format!("{:.2}", pushed.p99.as_secs_f64()));
    result("fleet_300_policy_push_last_s", format!("{:.2}", pushed.last.as_secs_f64()));

    // when the controller is killed, then all come back by themselves, and what it answered for is there
    let restarted = trial.crash(LIMIT).await?;
    assert_eq!(restarted.back.count, AGENTS);
    result("fleet_300_restart_all_back_s", format!("{:.2}", restarted.all_back.as_secs_f64()));
    result("fleet_300_api_p99_ms", format!("{:.0}", restarted.api.p99.as_secs_f64() * 1e3));
    let fleet = trial.await_fleet("all are well", LIMIT, |fleet| fleet.healthy == AGENTS as u64).await?;
    assert_eq!((fleet.policy_failed, fleet.policy_pending), (0, 0));

    // and after a day of changes, reconnects and renewals there are as many as before
    let day = Week { days: 1, health_changes_a_day: 2, renewal_days: vec![0] };
    trial.week(&day, LIMIT).await?;
    let fleet =
        trial.await_fleet("all are connected", LIMIT, |fleet| fleet.connected == AGENTS as u64).await?;
    assert_eq!(fleet.agents, AGENTS as u64);
    trial.swarm.stop().await;
    Ok(())
}
