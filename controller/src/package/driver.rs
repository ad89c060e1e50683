//! Works out what agents are offered, whenever something changed that it follows from.
//!
//! What an agent is offered follows from what it runs, which version it shall come to, the packages that are there and
//! the standing targets; nothing depends on how it came about, so whatever a crash left is made up for by the next look.

use super::standing::Standing;
use crate::app::App;
use crate::fleet::agent::upgrade::Ground;
use crate::store::{Batch, StoreError};
use jiff::Timestamp;
use muster_shared::id::AgentId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest time between two looks: a file of a package that came back is told by nothing else.
const LONGEST: Duration = Duration::from_secs(30);
/// Shortest: news of many agents come at once.
const SHORTEST: Duration = Duration::from_millis(500);
/// Agents that are stored in one batch.
const TOGETHER: usize = 500;

/// Runs until it is aborted.
pub async fn run(app: Arc<App>) {
    let mut news = ["observed/", "upgrade/", "agent/", super::PREFIX, super::standing::STANDINGS]
        .map(|prefix| app.store.watch(prefix));
    loop {
        if let Err(error) = reconcile(&app, &app.fleet.ids()).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "what agents are offered of packages was not stored; it is tried again");
        }
        tokio::time::sleep(SHORTEST).await;
        let [observed, upgrades, agents, packages, standings] = &mut news;
        tokio::select! {
            () = tokio::time::sleep(LONGEST) => {}
            // A closed store ends with the controller.
            _ = observed.changed() => {}
            _ = upgrades.changed() => {}
            _ = agents.changed() => {}
            _ = packages.changed() => {}
            _ = standings.changed() => {}
        }
    }
}

/// Works out what these agents are offered, stores it, and then has it offered.
///
/// # Errors
/// If it was not stored; then it is not offered, and tried again by the next look.
pub async fn reconcile(app: &App, ids: &[AgentId]) -> Result<(), StoreError> {
    let standings: Vec<Standing> = app.packages.standings();
    let (shelf, active) = (app.packages.shelf(), app.rollouts.numbers().into_iter().collect::<BTreeSet<_>>());
    let ground = Ground { shelf: &shelf, standings: &standings, active: &active };
    for together in ids.chunks(TOGETHER) {
        let (mut batch, mut changed, now) = (Batch::new(), Vec::new(), Timestamp::now());
        for id in together {
            let version = app
                .fleet
                .with(*id, |agent| agent.plan_upgrade(&ground, now).then(|| agent.add_unstored(&mut batch)));
            changed.extend(version.flatten().map(|version| (*id, version)));
        }
        if changed.is_empty() {
            continue;
        }
        app.store.apply(batch).await?;
        for (id, version) in changed {
            app.fleet.with(id, |agent| {
                agent.persisted(version);
                agent.outbox.policy_changed();
            });
        }
    }
    Ok(())
}
