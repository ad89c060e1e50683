//! The sign of life that each destination gets: at once when it is reached, so that a SIEM discovers the
//! partition, then every few minutes, so that it can alert on silence.

use super::config::DestinationConfig;
use muster_shared::event::{AgentEvent, Event, EventKind, field};
use muster_shared::format::{FormatContext, Formatter};
use muster_shared::severity::Severity;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a heartbeat tells besides the destination's own figures.
#[derive(Debug, Clone)]
pub struct HeartbeatFacts {
    /// The partition as formats need it.
    pub context: FormatContext,
    /// Policy revision that runs; 0 for a local policy.
    pub policy_revision: u64,
    /// Events dropped by policy since the agent started.
    pub dropped: u64,
    /// Lag of the sources in milliseconds, where known.
    pub lag_ms: Option<u64>,
}

/// Where heartbeats get their facts.
pub trait HeartbeatSource: Send + Sync {
    /// The facts now; None until the partition was reached once, since nobody could tell whose heartbeat
    /// it is.
    fn facts(&self) -> Option<HeartbeatFacts>;
}

/// How soon to ask again while the partition is not known.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// When a destination's next heartbeat is due, and its number.
#[derive(Debug)]
pub(super) struct Heartbeat {
    pause: Option<Duration>,
    due: Option<Instant>,
    started_us: i64,
    number: u64,
}

impl Heartbeat {
    pub(super) fn new(pause: Option<Duration>, started_us: i64) -> Self {
        Self { pause, due: None, started_us, number: 0 }
    }

    /// A connection was made: one is due at once.
    pub(super) fn connected(&mut self, now: Instant) {
        self.due = self.pause.map(|_| now);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether one is due at `now`; the caller then calls [`Heartbeat::write`] or [`Heartbeat::later`].
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// Not possible yet.
    pub(super) fn later(&mut self, now: Instant) {
        self.due = Some(now + ASK_AGAIN);
    }

    /// The framed heartbeat; empty when the format cannot be used (policy checks find that earlier).
    pub(super) fn write(
        &mut self,
        config: &DestinationConfig,
        facts: &HeartbeatFacts,
        delivered: u64,
        now: Instant,
        time_us: i64,
    ) -> Vec<u8> {
        self.due = self.pause.map(|pause| now + pause);
        self.number += 1;
        let mut bytes = Vec::new();
        match Formatter::new(&config.format, &facts.context) {
            Ok(mut formatter) => {
                let event = self.event(config, facts, delivered, time_us);
                let mut ends = Vec::new();
                config.framer().message(&mut bytes, &mut ends, |out| formatter.write(&event, out));
            }
            Err(error) => tracing::warn!(destination = config.name, %error, "heartbeat cannot be written"),
        }
        bytes
    }

    fn event(
        &self,
        config: &DestinationConfig,
        facts: &HeartbeatFacts,
        delivered: u64,
        time_us: i64,
    ) -> Event {
        let mut event = Event::new();
        event.kind = EventKind::Agent(AgentEvent::Heartbeat);
        event.name = AgentEvent::Heartbeat.text();
        event.time_us = time_us;
        event.severity = Severity::LOWEST;
        let system = &facts.context.partition.system_name;
        event.id_prefix = Arc::from(format!("{system}/heartbeat/{}@{}/", config.name, self.started_us));
        event.sequence = self.number;
        event.push(field::DESTINATION, &config.name);
        // Counters never reach 2^63 in the life of a machine; a reader of signed numbers is served.
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        event.push_int(field::DELIVERED, number(delivered));
        event.push_int(field::DROPPED, number(facts.dropped));
        event.push_int(field::POLICY_REVISION, number(facts.policy_revision));
        if let Some(lag_ms) = facts.lag_ms {
            event.push_int(field::LAG_MS, number(lag_ms));
        }
        event
    }
}

/// Most characters of the reason of a change: a datagram has room for it in every format.
const MAX_REASON: usize = 700;

/// The framed event that tells a receiver of a policy which may show it less.
pub(super) fn policy_changed(
    config: &DestinationConfig,
    facts: &HeartbeatFacts,
    revision: u64,
    reason: &str,
    time_us: i64,
) -> Vec<u8> {
    let mut event = Event::new();
    event.kind = EventKind::Agent(AgentEvent::PolicyChanged);
    event.name = AgentEvent::PolicyChanged.text();
    event.time_us = time_us;
    event.severity = Severity::clamped(7);
    let system = &facts.context.partition.system_name;
    event.id_prefix = Arc::from(format!("{system}/policy/{}@{time_us}/", config.name));
    event.sequence = revision;
    event.push(field::DESTINATION, &config.name);
    event.push_int(field::POLICY_REVISION, i64::try_from(revision).unwrap_or(i64::MAX));
    let mut text: String = reason.chars().take(MAX_REASON).collect();
    if text.len() < reason.len() {
        text.push('…');
    }
    event.push(field::REASON, &text);
    let mut bytes = Vec::new();
    match Formatter::new(&config.format, &facts.context) {
        Ok(mut formatter) => {
            config.framer().message(&mut bytes, &mut Vec::new(), |out| formatter.write(&event, out));
        }
        Err(error) => tracing::warn!(destination = config.name, %error, "change of policy cannot be written"),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::partition::Partition;
    use muster_shared::policy::model::{DestinationSpec, FormatSpec, TransportSpec};
    use std::path::Path;

    #[test]
    fn due_at_connect_and_then_regularly_with_the_facts() {
        let spec = DestinationSpec {
            transport: TransportSpec::Udp { address: "127.0.0.1:514".to_owned() },
            format: FormatSpec::default(),
            heartbeat_seconds: 300,
            replay_window_ms: 0,
            receiver_buffer_bytes: None,
        };
        let config = DestinationConfig::build("siem", &spec, Path::new("/s")).unwrap();
        let partition = Partition {
            system_name: "PROD01".to_owned(),
            host_name: "prod01".to_owned(),
            ..Partition::default()
        };
        let facts = HeartbeatFacts {
            context: FormatContext { partition: Arc::new(partition), product_version: "0.1.0".to_owned() },
            policy_revision: 7,
            dropped: 3,
            lag_ms: Some(12),
        };
        let now = Instant::now();
        let mut heartbeat = Heartbeat::new(config.heartbeat, 99);
        assert!(!heartbeat.is_due(now));
        heartbeat.connected(now);
        assert!(heartbeat.is_due(now));
        let text =
            String::from_utf8(heartbeat.write(&config, &facts, 41, now, 1_700_000_000_000_000)).unwrap();
        for part in [
            "MUSTER_HEARTBEAT",
            "prod01",
            "destination=\"siem\"",
            "delivered=\"41\"",
            "dropped=\"3\"",
            "policy_revision=\"7\"",
            "lag_ms=\"12\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(heartbeat.due(), Some(now + Duration::from_secs(300)));
        let long = format!("rule \"no-zr\" drops events{}", "x".repeat(9_000));
        let text = String::from_utf8(policy_changed(&config, &facts, 8, &long, 1)).unwrap();
        for part in ["MUSTER_POLICY_CHANGED", "prod01", "policy_revision=\"8\"", "no-zr", "…"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.len() < 2_048, "{}", text.len());
    }
}
