//! Settings of the source, checked.

use crate::source::drain::query::QueueName;
use muster_shared::policy::model::{DataQueueSpec, QueueContent};
use std::time::Duration;

/// Shortest pause between looks.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The queue.
    pub queue: QueueName,
    /// How its entries are written.
    pub content: QueueContent,
    /// Code page of its entries, if it is named.
    pub ccsid: Option<u16>,
    /// Pause between looks.
    pub poll_interval: Duration,
    /// Most entries that are taken in one go.
    pub batch_rows: u32,
    /// Most that is kept of what is not delivered.
    pub spool_bytes: u64,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("queue `{0}`: write LIBRARY/NAME")]
pub struct SettingsError(String);

impl Settings {
    /// Checks what the policy says.
    ///
    /// # Errors
    /// When the queue is none.
    pub fn new(spec: &DataQueueSpec) -> Result<Self, SettingsError> {
        let queue = QueueName::parse(&spec.queue).ok_or_else(|| SettingsError(spec.queue.clone()))?;
        Ok(Self {
            queue,
            content: spec.content,
            ccsid: spec.ccsid,
            poll_interval: Duration::from_millis(spec.poll_interval_ms).max(SHORTEST_POLL),
            batch_rows: spec.batch_rows.max(1),
            spool_bytes: u64::from(spec.spool_mb.max(1)) * 1024 * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let spec = DataQueueSpec {
            queue: "payroll/events".to_owned(),
            poll_interval_ms: 5,
            ..DataQueueSpec::default()
        };
        let settings = Settings::new(&spec).unwrap();
        assert_eq!(settings.queue.to_string(), "PAYROLL/EVENTS");
        assert_eq!(
            (settings.poll_interval, settings.spool_bytes),
            (Duration::from_secs(1), 256 * 1024 * 1024)
        );
        assert_eq!(Settings::new(&DataQueueSpec::default()), Err(SettingsError(String::new())));
    }
}
