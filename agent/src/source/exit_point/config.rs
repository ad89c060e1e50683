//! Settings of the source, checked.

use crate::source::drain::query::QueueName;
use muster_shared::policy::model::ExitPointSpec;
use muster_shared::policy::pattern::{ObjectPattern, PatternError};
use std::time::Duration;

/// Shortest pause between looks at the queue.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// Shortest pause between looks at what is registered.
const SHORTEST_WATCH: Duration = Duration::from_secs(10);

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The exit program's queue.
    pub queue: QueueName,
    /// Exit programs that belong there.
    pub programs: Vec<ObjectPattern>,
    /// Pause between looks at the queue.
    pub poll_interval: Duration,
    /// Pause between looks at what is registered.
    pub watch_interval: Duration,
    /// Most entries that are taken in one go.
    pub batch_rows: u32,
    /// Most that is kept of what is not delivered.
    pub spool_bytes: u64,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The queue is none.
    #[error("queue `{0}`: write LIBRARY/NAME")]
    Queue(String),
    /// A program is none.
    #[error("programs: {0}")]
    Program(#[from] PatternError),
}

impl Settings {
    /// Checks what the policy says.
    ///
    /// # Errors
    /// When the queue or a program is none.
    pub fn new(spec: &ExitPointSpec) -> Result<Self, SettingsError> {
        let queue = QueueName::parse(&spec.queue).ok_or_else(|| SettingsError::Queue(spec.queue.clone()))?;
        let programs =
            spec.programs.iter().map(|text| ObjectPattern::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self {
            queue,
            programs,
            poll_interval: Duration::from_millis(spec.poll_interval_ms).max(SHORTEST_POLL),
            watch_interval: Duration::from_secs(spec.watch_seconds).max(SHORTEST_WATCH),
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
        let settings = Settings::new(&ExitPointSpec::default()).unwrap();
        assert_eq!(settings.queue.to_string(), "MUSTER/EXITQ");
        assert_eq!((settings.watch_interval, settings.programs.len()), (Duration::from_secs(60), 1));
        let spec = |queue: &str, program: &str| ExitPointSpec {
            queue: queue.to_owned(),
            programs: vec![program.to_owned()],
            ..ExitPointSpec::default()
        };
        assert!(matches!(Settings::new(&spec("EXITQ", "A/B")), Err(SettingsError::Queue(_))));
        assert!(matches!(Settings::new(&spec("A/B", "C")), Err(SettingsError::Program(_))));
    }
}
