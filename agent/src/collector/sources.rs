//! Which source is made of which settings: the one place that a new kind of source is added to.

use super::launch::Environment;
use crate::config::Config;
use crate::enrol::Identity;
use crate::host::Host;
use crate::host::facts::{self, Facts};
use crate::host::mapepire::Mapepire;
use crate::source::audit_journal::{AuditJournal, Settings};
use crate::source::controller_audit::{self, ControllerAudit, Controllers};
use crate::source::history_log::{self, HistoryLog};
use crate::source::message_queue::{self, MessageQueue};
use crate::source::{Source, SourceError, data_queue, drain, exit_point};
use crate::supervisor::Progress;
use muster_shared::partition::Partition;
use muster_shared::policy::model::{ControllerAuditSpec, SourceSpec};
use std::time::Duration;

/// Checks a source's settings without connecting.
pub(super) fn check(env: &Environment, spec: &SourceSpec) -> Result<(), String> {
    match spec {
        SourceSpec::AuditJournal(spec) => Settings::new(spec).map(|_| ()).map_err(|error| error.to_string()),
        SourceSpec::HistoryLog(spec) => {
            history_log::Settings::new(spec).map(|_| ()).map_err(|error| error.to_string())
        }
        SourceSpec::MessageQueue(spec) => {
            message_queue::Settings::new(spec).map(|_| ()).map_err(|error| error.to_string())
        }
        SourceSpec::DataQueue(spec) => {
            data_queue::Settings::new(spec).map(|_| ()).map_err(|error| error.to_string())
        }
        SourceSpec::ExitPoint(spec) => {
            exit_point::Settings::new(spec).map(|_| ()).map_err(|error| error.to_string())
        }
        SourceSpec::ControllerAudit(_) if !Identity::exists(&env.config.state_dir) => {
            Err("the controller's audit log can be read by enrolled agents only".to_owned())
        }
        SourceSpec::ControllerAudit(spec) => {
            controller_audit::Settings::new(spec).map(|_| ()).map_err(|error| error.to_string())
        }
    }
}

/// Whether it signs on to the partition.
pub(super) const fn on_partition(spec: &SourceSpec) -> bool {
    match spec {
        SourceSpec::AuditJournal(_)
        | SourceSpec::HistoryLog(_)
        | SourceSpec::MessageQueue(_)
        | SourceSpec::DataQueue(_)
        | SourceSpec::ExitPoint(_) => true,
        SourceSpec::ControllerAudit(_) => false,
    }
}

/// Whether it takes away what it reads and keeps it in a spool of its own, which it reads without the partition.
pub(super) const fn keeps_spool(spec: &SourceSpec) -> bool {
    match spec {
        SourceSpec::DataQueue(_) | SourceSpec::ExitPoint(_) => true,
        SourceSpec::AuditJournal(_)
        | SourceSpec::HistoryLog(_)
        | SourceSpec::MessageQueue(_)
        | SourceSpec::ControllerAudit(_) => false,
    }
}

/// How often a source is asked for how much.
pub(super) struct Pace {
    /// Pause between polls when idle.
    pub(super) poll_interval: Duration,
    /// Rows asked for in one call.
    pub(super) batch_rows: usize,
}

impl Pace {
    pub(super) fn of(spec: &SourceSpec) -> Self {
        let (poll_interval_ms, batch_rows) = match spec {
            SourceSpec::AuditJournal(spec) => (spec.poll_interval_ms, spec.batch_rows),
            SourceSpec::HistoryLog(spec) => (spec.poll_interval_ms, spec.batch_rows),
            SourceSpec::MessageQueue(spec) => (spec.poll_interval_ms, spec.batch_rows),
            SourceSpec::DataQueue(spec) => (spec.poll_interval_ms, spec.batch_rows),
            SourceSpec::ExitPoint(spec) => (spec.poll_interval_ms, spec.batch_rows),
            SourceSpec::ControllerAudit(spec) => (spec.poll_interval_ms, controller_audit::PAGE),
        };
        Self { poll_interval: Duration::from_millis(poll_interval_ms), batch_rows: batch_rows as usize }
    }
}

/// The source that reads the audit log of the agent's controller.
pub(super) fn open_controller_audit(
    config: &Config,
    spec: &ControllerAuditSpec,
) -> Result<Box<dyn Source>, SourceError> {
    let setup = |error: &dyn std::fmt::Display| {
        SourceError::Setup(format!("the controller's audit log cannot be read: {error}"))
    };
    let settings = controller_audit::Settings::new(spec).map_err(|error| setup(&error))?;
    let identity = Identity::load(&config.state_dir).map_err(|error| setup(&error))?;
    let authority = identity.authority().map_err(|error| setup(&error))?;
    let controllers =
        Controllers::new(&config.state_dir, config.proxy.clone()).map_err(|error| setup(&error))?;
    Ok(Box::new(ControllerAudit::new(settings, Box::new(controllers), &authority)))
}

/// Connects to the partition and reads its facts.
pub(super) async fn dial(
    config: &Config,
    last: Option<&Partition>,
    progress: Progress,
) -> Result<(Box<dyn Host>, Facts), SourceError> {
    let mut host = Mapepire::new(config.mapepire())?.on_answer(move || progress.stamp());
    let facts = facts::read(&mut host, config.ccsid, last).await?;
    Ok((Box::new(host), facts))
}

/// Connects to the partition, reads its facts, and makes the source on that connection.
pub(super) async fn open_on_partition(
    config: &Config,
    spec: &SourceSpec,
    last: Option<&Partition>,
    progress: Progress,
) -> Result<(Box<dyn Source>, Facts), SourceError> {
    #[cfg(feature = "bad-build")]
    crate::bad_build::source(spec.kind().as_str()).map_err(SourceError::Setup)?;
    let (host, facts) = dial(config, last, progress).await?;
    let source: Box<dyn Source> = match spec {
        SourceSpec::AuditJournal(spec) => {
            Box::new(AuditJournal::new(spec, host, facts.partition.utc_offset_seconds)?)
        }
        SourceSpec::HistoryLog(spec) => Box::new(HistoryLog::new(spec, host, &facts.partition)?),
        SourceSpec::MessageQueue(spec) => Box::new(MessageQueue::new(spec, host, &facts.partition)?),
        SourceSpec::DataQueue(_) | SourceSpec::ExitPoint(_) | SourceSpec::ControllerAudit(_) => {
            return Err(SourceError::Setup(format!(
                "a source of kind {} is not read from the partition",
                spec.kind().as_str()
            )));
        }
    };
    Ok((source, facts))
}

/// Connects once, looks whether the source can be read, and gives the partition's facts: for
/// `check-config --connect`. Takes nothing away.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub async fn connect_source_once(config: &Config, spec: &SourceSpec) -> Result<Partition, SourceError> {
    match spec {
        SourceSpec::DataQueue(_) | SourceSpec::ExitPoint(_) => {
            let (mut host, facts) = dial(config, None, Progress::new()).await?;
            let queue = spec.emptied_queue().unwrap_or_default();
            drain::look_once(&mut *host, queue).await?;
            if let SourceSpec::ExitPoint(_) = spec {
                exit_point::registry_rows(&mut *host).await?;
            }
            Ok(facts.partition)
        }
        SourceSpec::AuditJournal(_)
        | SourceSpec::HistoryLog(_)
        | SourceSpec::MessageQueue(_)
        | SourceSpec::ControllerAudit(_) => {
            let (mut source, facts) = open_on_partition(config, spec, None, Progress::new()).await?;
            source.start(false).await?;
            Ok(facts.partition)
        }
    }
}
