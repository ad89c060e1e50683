//! Settings of the source, checked.

use muster_shared::policy::model::ControllerAuditSpec;
use std::time::Duration;

/// Shortest pause between polls.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Where the very first read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Behind the newest entry.
    Now,
    /// At the first entry.
    Oldest,
}

/// Checked settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Where the first read begins.
    pub start: Start,
    /// Pause between polls.
    pub poll_interval: Duration,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("start `{0}`: write `now` or `oldest`")]
pub struct SettingsError(String);

impl Settings {
    /// Checks what the policy says.
    ///
    /// # Errors
    /// When the start is none.
    pub fn new(spec: &ControllerAuditSpec) -> Result<Self, SettingsError> {
        let start = match spec.start.as_str() {
            "now" => Start::Now,
            "oldest" => Start::Oldest,
            other => return Err(SettingsError(other.to_owned())),
        };
        let poll_interval = Duration::from_millis(spec.poll_interval_ms).max(SHORTEST_POLL);
        Ok(Self { start, poll_interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let spec =
            |start: &str, poll_interval_ms| ControllerAuditSpec { start: start.to_owned(), poll_interval_ms };
        let good = |start, seconds| Ok(Settings { start, poll_interval: Duration::from_secs(seconds) });
        assert_eq!(Settings::new(&ControllerAuditSpec::default()), good(Start::Now, 2));
        assert_eq!(Settings::new(&spec("oldest", 10)), good(Start::Oldest, 1));
        assert_eq!(
            Settings::new(&spec("2026-01-01T00:00:00Z", 1)),
            Err(SettingsError("2026-01-01T00:00:00Z".to_owned()))
        );
    }
}
