//! Notices that the partition is about to be powered down: from the commands that the audit journal records.
//!
//! Until the next connection is made, the agent's component `partition` says so; an agent that is away then is in a
//! planned outage and not lost.

use crate::health::{HealthBook, HealthSink, HealthState};
use muster_shared::event::{Event, field};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Name of the component.
pub const COMPONENT: &str = "partition";

/// Commands after which the partition, or its network, goes away.
const COMMANDS: &[&str] = &["PWRDWNSYS", "ENDSYS", "ENDTCP"];

/// Entry type of commands.
pub(crate) const COMMAND_ENTRY: [u8; 2] = *b"CD";

/// See the module.
#[derive(Debug)]
pub struct OutageWatch {
    health: Arc<HealthBook>,
    /// When the present connection was made, microseconds since 1970 UTC.
    connected_us: AtomicI64,
}

impl OutageWatch {
    /// A watch that tells what it sees as health.
    #[must_use]
    pub fn new(health: Arc<HealthBook>) -> Self {
        Self { health, connected_us: AtomicI64::new(i64::MAX) }
    }

    /// The partition answers: an outage is over.
    pub fn connected(&self, now_us: i64) {
        self.connected_us.store(now_us, Ordering::Relaxed);
        self.health.forget(COMPONENT);
    }

    /// Sees an entry of type [`COMMAND_ENTRY`]. What was entered before the connection was made has passed: it is
    /// read late.
    pub fn look(&self, event: &Event) {
        let Some(command) = event.get(field::COMMAND).filter(|text| ends_system(text)) else { return };
        if event.time_us <= self.connected_us.load(Ordering::Relaxed) {
            return;
        }
        let user = event.get(field::USER).unwrap_or("somebody");
        let command: String = command.chars().take(64).collect();
        let reason = format!("{user} entered {command}");
        self.health.report(COMPONENT, HealthState::PlannedOutage, &reason);
    }
}

/// Whether a command ends the system or its network.
fn ends_system(command: &str) -> bool {
    let Some(word) = command.split_whitespace().next() else { return false };
    let name = word.rsplit('/').next().unwrap_or(word).to_ascii_uppercase();
    if name == "ENDSBS" {
        return command.to_ascii_uppercase().contains("*ALL");
    }
    COMMANDS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_end_the_system() {
        let cases = [
            ("PWRDWNSYS OPTION(*IMMED) RESTART(*YES)", true),
            ("qsys/pwrdwnsys", true),
            ("ENDTCP", true),
            ("ENDSYS *CNTRLD", true),
            ("ENDSBS SBS(*ALL)", true),
            ("ENDSBS SBS(QINTER)", false),
            ("WRKCMD PWRDWNSYS", false),
            ("", false),
        ];
        for (command, expected) in cases {
            assert_eq!(ends_system(command), expected, "{command}");
        }
    }

    #[test]
    fn an_outage_is_told_until_the_partition_is_back() {
        let health = Arc::new(HealthBook::default());
        let watch = OutageWatch::new(Arc::clone(&health));
        let command = |time_us| {
            let mut event = Event::new();
            event.time_us = time_us;
            event.push(field::USER, "QSYSOPR");
            event.push(field::COMMAND, "PWRDWNSYS *IMMED");
            event
        };
        watch.connected(1_000);
        watch.look(&command(900));
        assert!(health.snapshot().is_empty(), "read late");
        watch.look(&command(1_100));
        let told = &health.snapshot()[0];
        assert_eq!(
            (told.component.as_str(), told.state, told.reason.as_str()),
            ("partition", HealthState::PlannedOutage, "QSYSOPR entered PWRDWNSYS *IMMED")
        );
        watch.connected(2_000);
        assert!(health.snapshot().is_empty());
    }
}
