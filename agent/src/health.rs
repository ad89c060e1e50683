//! Health of one component (source, destination, uplink), as told to the controller and `show-state`.

use serde::{Deserialize, Serialize};

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It is being started or connected and has not worked yet.
    Starting,
    /// It works.
    Healthy,
    /// It works, but something was lost or is about to be: a gap, a lag, a retry.
    Degraded,
    /// It does not work.
    Failed,
    /// It works, and is about to be away as somebody planned.
    PlannedOutage,
}

/// Health of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentHealth {
    /// `source/NAME` or `destination/NAME`.
    pub component: String,
    /// How it is.
    pub state: HealthState,
    /// Why, and what to do; empty when healthy.
    pub reason: String,
    /// Since when, microseconds since 1970 UTC.
    pub since_us: i64,
}

/// Where components report a change of their health. Implementations keep the latest per component and
/// set `since` only when state or reason changed.
pub trait HealthSink {
    /// Reports the present state; cheap, may be called repeatedly with the same values.
    fn report(&self, component: &str, state: HealthState, reason: &str);
}

/// The latest health of every component; shared by all threads of the agent.
#[derive(Debug, Default)]
pub struct HealthBook {
    entries: std::sync::Mutex<std::collections::BTreeMap<String, ComponentHealth>>,
    changed: tokio::sync::Notify,
}

/// Most components kept; a policy has at most 64 destinations and a few sources.
const MAX_COMPONENTS: usize = 512;

impl HealthBook {
    // Plain values: usable after a panic elsewhere.
    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<String, ComponentHealth>> {
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// All components by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ComponentHealth> {
        self.lock().values().cloned().collect()
    }

    /// Forgets a component that is not run any more.
    pub fn forget(&self, component: &str) {
        if self.lock().remove(component).is_some() {
            self.changed.notify_one();
        }
    }

    /// Completes after a change; one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn report_at(&self, component: &str, state: HealthState, reason: &str, now_us: i64) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(component) {
            if entry.state == state && entry.reason == reason {
                return;
            }
            if entry.state != state {
                entry.since_us = now_us;
            }
            entry.state = state;
            reason.clone_into(&mut entry.reason);
        } else if entries.len() < MAX_COMPONENTS {
            let entry = ComponentHealth {
                component: component.to_owned(),
                state,
                reason: reason.to_owned(),
                since_us: now_us,
            };
            entries.insert(component.to_owned(), entry);
        } else {
            return;
        }
        drop(entries);
        self.changed.notify_one();
    }
}

impl HealthSink for HealthBook {
    fn report(&self, component: &str, state: HealthState, reason: &str) {
        self.report_at(component, state, reason, jiff::Timestamp::now().as_microsecond());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_changes_with_the_state_only() {
        let book = HealthBook::default();
        book.report_at("source/audit", HealthState::Failed, "a", 1);
        book.report_at("source/audit", HealthState::Failed, "b", 2);
        let entry = &book.snapshot()[0];
        assert_eq!((entry.since_us, entry.reason.as_str()), (1, "b"));
        book.report_at("source/audit", HealthState::Healthy, "", 3);
        assert_eq!(book.snapshot()[0].since_us, 3);
        book.forget("source/audit");
        assert!(book.snapshot().is_empty());
    }
}
