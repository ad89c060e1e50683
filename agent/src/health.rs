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
