//! The status file: what `muster-agent show-state` shows of a running agent.
//!
//! The running agent rewrites `status.json` in its state directory when something changed, at most once a
//! second. It is for people and tests only: nothing is read back from it.

use crate::health::{ComponentHealth, HealthState};
use crate::pipeline::FaultCount;
use crate::uplink::CertificateState;
use muster_shared::cursor::{Cursor, CursorKey};
use muster_shared::partition::Partition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Name of the file.
const FILE: &str = "status.json";

/// Counters of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Entries read.
    pub received: u64,
    /// Entries kept.
    pub kept: u64,
    /// Entries dropped by policy.
    pub dropped: u64,
    /// Drops by rule.
    pub dropped_by_rule: BTreeMap<String, u64>,
    /// Entries that a rule kept, or a throttle let pass, by rule.
    #[serde(default)]
    pub kept_by_rule: BTreeMap<String, u64>,
    /// Entries that a throttle held back, by rule; they are among those dropped.
    #[serde(default)]
    pub throttled_by_rule: BTreeMap<String, u64>,
    /// Expressions that failed, by where they stand.
    #[serde(default)]
    pub expression_faults: BTreeMap<String, FaultCount>,
    /// Drops by entry type.
    pub dropped_by_type: BTreeMap<String, u64>,
    /// Entries of unknown type.
    pub unknown: u64,
    /// Entries shorter than their layout.
    pub short: u64,
    /// Rows that could be read only in part.
    #[serde(default)]
    pub bad_rows: u64,
    /// Gaps reported.
    pub gaps: u64,
    /// Lag in milliseconds.
    pub lag_ms: u64,
}

/// Counters of one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Events written.
    pub delivered: u64,
    /// Events sent again, or about to be.
    pub replayed: u64,
    /// Events cut to the length of a datagram.
    #[serde(default)]
    pub truncated: u64,
    /// Datagrams that the network is known to have refused.
    #[serde(default)]
    pub lost_datagrams: u64,
    /// How far it is behind in milliseconds, where known.
    #[serde(default)]
    pub lag_ms: Option<u64>,
}

/// A committed cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorStatus {
    /// Source and destination.
    pub key: CursorKey,
    /// Where it stands.
    pub cursor: Option<Cursor>,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Agent's identity; empty when it is not enrolled.
    pub agent_id: String,
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it was written, RFC 3339.
    pub written: String,
    /// The partition.
    pub partition: Partition,
    /// Policy revision in force; 0 for a local file.
    pub policy_revision: u64,
    /// Health of every component.
    pub health: Vec<ComponentHealth>,
    /// Sources by name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// Destinations by name.
    pub destinations: BTreeMap<String, DestinationStatus>,
    /// Committed cursors.
    pub cursors: Vec<CursorStatus>,
    /// The agent's certificate; none for a stand-alone agent.
    #[serde(default)]
    pub certificate: Option<CertificateState>,
}

impl Status {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, state_dir: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        let temporary = state_dir.join("status.json.new");
        std::fs::write(&temporary, text)?;
        std::fs::rename(&temporary, state_dir.join(FILE))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Whatever the file system or the parser says.
    pub fn read(state_dir: &Path) -> std::io::Result<Self> {
        let text = std::fs::read(state_dir.join(FILE))?;
        serde_json::from_slice(&text).map_err(std::io::Error::other)
    }

    /// Whether the process that wrote it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        // /proc is there on Linux; elsewhere (PASE) the age of the file must tell.
        let command = std::fs::read_to_string(format!("/proc/{}/comm", self.pid));
        command.is_ok_and(|command| command.trim_end() == "muster-agent")
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let running = if self.is_running() { "running" } else { "not running" };
        writeln!(
            out,
            "agent       {running} (pid {}), version {}, as of {}",
            self.pid, self.version, self.written
        )?;
        let identity = if self.agent_id.is_empty() { "stand-alone" } else { &self.agent_id };
        writeln!(out, "identity    {identity}")?;
        if let Some(certificate) = &self.certificate {
            let CertificateState { expires, renew_at, problem } = certificate;
            writeln!(out, "certificate until {expires}, renewed at {renew_at} {problem}")?;
        }
        let p = &self.partition;
        writeln!(
            out,
            "partition   {} (serial {}, partition {} {}), {}, CCSID {}",
            p.system_name, p.serial_number, p.partition_id, p.partition_name, p.os_release, p.ccsid
        )?;
        match self.policy_revision {
            0 => writeln!(out, "policy      local file, or none yet")?,
            revision => writeln!(out, "policy      revision {revision}")?,
        }
        for health in &self.health {
            let state = match health.state {
                HealthState::Starting => "starting",
                HealthState::Healthy => "healthy",
                HealthState::Degraded => "DEGRADED",
                HealthState::Failed => "FAILED",
                HealthState::PlannedOutage => "planned outage",
            };
            writeln!(out, "health      {:<28} {state} {}", health.component, health.reason)?;
        }
        for (name, s) in &self.sources {
            writeln!(
                out,
                "source      {name:<28} received {} kept {} dropped {} gaps {} lag {} ms",
                s.received, s.kept, s.dropped, s.gaps, s.lag_ms
            )?;
            if s.unknown + s.short > 0 {
                writeln!(
                    out,
                    "              of unknown type {}, shorter than their layout {}",
                    s.unknown, s.short
                )?;
            }
            if s.bad_rows > 0 {
                writeln!(out, "              bad rows, read only in part: {}", s.bad_rows)?;
            }
            for (rule, count) in &s.kept_by_rule {
                writeln!(out, "              kept by {rule}: {count}")?;
            }
            for (rule, count) in &s.dropped_by_rule {
                writeln!(out, "              dropped by {rule}: {count}")?;
            }
            for (rule, count) in &s.throttled_by_rule {
                writeln!(out, "              held back by {rule}: {count}")?;
            }
            for (place, FaultCount { count, last }) in &s.expression_faults {
                writeln!(out, "              expression of {place} failed: {count}, last: {last}")?;
            }
        }
        for (name, d) in &self.destinations {
            write!(out, "destination {name:<28} delivered {} sent again {}", d.delivered, d.replayed)?;
            match d.lag_ms {
                Some(lag) => writeln!(out, " lag {lag} ms")?,
                None => writeln!(out)?,
            }
            if d.truncated > 0 || d.lost_datagrams > 0 {
                writeln!(out, "              cut {} lost datagrams {}", d.truncated, d.lost_datagrams)?;
            }
        }
        for c in &self.cursors {
            let place = match &c.cursor {
                Some(Cursor::Journal(j)) => {
                    format!("{}/{} {}", j.receiver.library, j.receiver.name, j.sequence)
                }
                Some(Cursor::ControllerAudit(log)) => format!("entry {}", log.sequence),
                Some(Cursor::Timed(at)) => match jiff::Timestamp::from_microsecond(at.at_us) {
                    // The partition's own clock, so without a zone.
                    Ok(time) => format!("{}", jiff::tz::Offset::UTC.to_datetime(time)),
                    Err(_) => format!("{} us", at.at_us),
                },
                Some(Cursor::Spool(spool)) => format!("entry {}", spool.sequence),
                None => "not started".to_owned(),
            };
            writeln!(out, "cursor      {} -> {}: {place}", c.key.source, c.key.destination)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let status = Status { agent_id: "a".into(), pid: std::process::id(), ..Status::default() };
        status.write(folder.path()).unwrap();
        assert_eq!(Status::read(folder.path()).unwrap(), status);
        assert!(status.to_text().contains("not running"), "this process is no muster-agent");
    }

    #[test]
    fn what_rules_did_is_told_by_rule() {
        let counts = |name: &str, count| [(name.to_owned(), count)].into();
        let last = "the event has no remote_port".to_owned();
        let source = SourceStatus {
            kept_by_rule: counts("payroll", 7),
            dropped_by_rule: counts("quiet", 3),
            throttled_by_rule: counts("storm", 4_211),
            expression_faults: [("ports".to_owned(), FaultCount { count: 2, last })].into(),
            ..SourceStatus::default()
        };
        let status = Status { sources: [("audit".to_owned(), source)].into(), ..Status::default() };
        let text = status.to_text();
        for line in [
            "kept by payroll: 7",
            "dropped by quiet: 3",
            "held back by storm: 4211",
            "expression of ports failed: 2, last: the event has no remote_port",
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{line}: {text}");
        }
    }
}
