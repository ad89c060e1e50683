//! `muster-agent check-config`: the configuration, and with `--connect` everything it points at.

use crate::collector::connect_source_once;
use crate::config::Config;
use crate::destination::DestinationConfig;
use crate::destination::transport::connect;
use crate::enrol::Identity;
use crate::policy::store::PolicyStore;
use muster_shared::policy::model::{AuditJournalSpec, EffectivePolicy, PolicySpec, SourceSpec};
use std::path::Path;
use std::time::Duration;

/// Longest time for one connection.
const LIMIT: Duration = Duration::from_secs(30);

/// Prints what was checked, one line each; true when all is well. (Loading the configuration has already
/// checked it and the local policy.)
///
/// # Errors
/// When the runtime cannot start.
pub fn run(config: &Config, connect: bool) -> anyhow::Result<bool> {
    println!("ok    configuration: partition {}:{} as {}", config.host, config.port, config.user);
    for warning in &config.warnings {
        println!("warn  {warning}");
    }
    let spec = policy_in_force(config);
    match &spec {
        Some(spec) => println!(
            "ok    policy: {} source(s), {} destination(s), {} rule(s)",
            spec.sources.len(),
            spec.destinations.len(),
            spec.rules.len() + spec.exclude.len()
        ),
        None if Identity::exists(&config.state_dir) => {
            println!("      policy: none received from the controller yet")
        }
        None => println!("      policy: none; enrol this agent or name one in [policy] file"),
    }
    if !connect {
        return Ok(true);
    }
    actix_rt::System::new().block_on(async { Ok(check_connections(config, spec.as_ref()).await) })
}

/// The local policy, or the last good one of the controller.
#[must_use]
pub fn policy_in_force(config: &Config) -> Option<PolicySpec> {
    if let Some((_, spec)) = &config.policy {
        return Some(spec.clone());
    }
    let stored = PolicyStore::look(&config.state_dir).load()?;
    serde_json::from_slice::<EffectivePolicy>(&stored.body).ok().map(|policy| policy.spec)
}

/// What a source of the partition is called here; None for one that is not read from it.
pub(super) fn object(source: &SourceSpec) -> Option<String> {
    match source {
        SourceSpec::AuditJournal(spec) => Some(format!("journal {}", spec.journal)),
        SourceSpec::DataQueue(spec) => Some(format!("data queue {}", spec.queue)),
        SourceSpec::ExitPoint(spec) => Some(format!("exit points, data queue {}", spec.queue)),
        SourceSpec::HistoryLog(_) => Some("history log".to_owned()),
        SourceSpec::MessageQueue(spec) => Some(format!("message queue {}", spec.queue)),
        // The uplink tells whether the controller is there.
        SourceSpec::ControllerAudit(_) => None,
    }
}

async fn check_connections(config: &Config, spec: Option<&PolicySpec>) -> bool {
    let mut well = true;
    let sources: Vec<SourceSpec> =
        spec.map(|spec| spec.sources.values().cloned().collect()).unwrap_or_default();
    let mut sources: Vec<(String, SourceSpec)> =
        sources.into_iter().filter_map(|source| Some((object(&source)?, source))).collect();
    if sources.is_empty() {
        let journal = SourceSpec::AuditJournal(AuditJournalSpec::default());
        sources.extend(object(&journal).map(|what| (what, journal)));
    }
    for (object, source) in sources {
        well &= check_source(config, &object, &source).await;
    }
    let secrets = config.secrets_folder();
    for (name, spec) in spec.map(|spec| &spec.destinations).into_iter().flatten() {
        well &= check_destination(name, spec, &secrets).await;
    }
    well
}

/// Signs on to the partition and looks at a source there; prints a line.
pub(super) async fn check_source(config: &Config, object: &str, source: &SourceSpec) -> bool {
    let checked = tokio::time::timeout(LIMIT, connect_source_once(config, source)).await;
    let what = format!("partition {}:{}, {object}", config.host, config.port);
    match checked {
        Ok(Ok(p)) => {
            println!(
                "ok    {what}: {} serial {} partition {} {}, CCSID {}, UTC offset {} s",
                p.system_name, p.serial_number, p.partition_id, p.os_release, p.ccsid, p.utc_offset_seconds
            );
            true
        }
        Ok(Err(error)) => {
            println!("FAIL  {what}: {error}");
            false
        }
        Err(_) => {
            println!("FAIL  {what}: no answer within {} s", LIMIT.as_secs());
            false
        }
    }
}

/// Connects to a destination; prints a line.
pub(super) async fn check_destination(
    name: &str,
    spec: &muster_shared::policy::model::DestinationSpec,
    secrets: &Path,
) -> bool {
    let config = match DestinationConfig::build(name, spec, secrets) {
        Ok(config) => config,
        Err(error) => {
            println!("FAIL  {error}");
            return false;
        }
    };
    let what = format!("destination {name} ({} {})", config.transport.kind(), config.transport.address());
    match connect(&config).await {
        Ok(_) => {
            let note = if config.transport.kind() == "UDP" {
                " (UDP: nobody can tell whether it arrives)"
            } else {
                ""
            };
            println!("ok    {what}{note}");
            true
        }
        Err(error) => {
            println!("FAIL  {what}: {}", error.chain());
            false
        }
    }
}
