//! Whether all works again that worked before an upgrade: pure.

use crate::health::{ComponentHealth, HealthState};
use std::collections::BTreeSet;

/// How long a component must be degraded without a break before it counts as one that works: what dies again and again, or
/// hangs, is degraded for moments on its way to failed.
const DEGRADED_US: i64 = 30_000_000;

/// Whether a component is one that an upgrade must not break: sources and destinations. Whether the controller is
/// reached is told apart, since it may be away through no fault of the agent's.
#[must_use]
pub fn counts(component: &str) -> bool {
    component.starts_with("source/") || component.starts_with("destination/")
}

fn works(state: HealthState) -> bool {
    match state {
        HealthState::Healthy | HealthState::Degraded | HealthState::PlannedOutage => true,
        HealthState::Starting | HealthState::Failed => false,
    }
}

/// The components that work now, for [`muster_package::slots::Order::worked`].
#[must_use]
pub fn working(health: &[ComponentHealth]) -> Vec<String> {
    let working = health.iter().filter(|c| counts(&c.component) && works(c.state));
    working.map(|c| c.component.clone()).collect()
}

/// What is seen of the components of a version on trial.
#[derive(Debug, Default)]
pub struct Trial {
    /// Those that were healthy once since this process started.
    proven: BTreeSet<String>,
}

impl Trial {
    /// What does not work that worked before, and why; none if all does. A component that is not there is waited for,
    /// unless the policy in force (`in_policy`) names it no more: then nobody asks for it.
    #[must_use]
    pub fn unwell(
        &mut self,
        worked: &[String],
        health: &[ComponentHealth],
        in_policy: &dyn Fn(&str) -> bool,
        now_us: i64,
    ) -> Option<String> {
        let healthy = health.iter().filter(|c| c.state == HealthState::Healthy);
        self.proven.extend(healthy.map(|c| c.component.clone()).filter(|name| counts(name)));
        worked.iter().filter(|name| counts(name) && in_policy(name)).find_map(|name| {
            let Some(found) = health.iter().find(|c| c.component == *name) else {
                return Some(format!("{name} is not there yet"));
            };
            let well = match found.state {
                HealthState::Healthy | HealthState::PlannedOutage => true,
                HealthState::Degraded => self.proven.contains(name) || now_us - found.since_us >= DEGRADED_US,
                HealthState::Starting | HealthState::Failed => false,
            };
            match (well, found.reason.as_str()) {
                (true, _) => None,
                (false, "") => Some(format!("{name} does not work")),
                (false, reason) => Some(format!("{name} does not work: {reason}")),
            }
        })
    }
}
