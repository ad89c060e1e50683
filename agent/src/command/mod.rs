//! The subcommands of `muster-agent`.

pub mod about;
pub mod check;
pub mod enrol;
pub mod run;
pub mod self_check;
pub mod send_test;
pub mod show;

use crate::config::{Config, LogFormat};
use crate::program::Program;
use crate::uplink::describe::AgentFacts;
use anyhow::Context;
use std::path::Path;
use tracing_subscriber::fmt::writer::MakeWriterExt;

/// Exit code of wrong usage or configuration.
pub const EXIT_CONFIG: u8 = 2;
/// Exit code of a check that found something.
pub const EXIT_CHECK: u8 = 3;

/// Makes the state directory, for the agent only.
///
/// # Errors
/// When it cannot be made.
pub fn make_state_dir(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path)
        .with_context(|| format!("cannot make the state directory {}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).with_context(|| {
            format!("cannot restrict the state directory {} to its owner", path.display())
        })?;
    }
    Ok(())
}

/// Starts logging to standard error.
pub fn start_log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // What a service manager gets, and the last lines for the diagnostics bundle.
    let writer = std::io::stderr.and(crate::inspect::log::ToRing);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // Fails only when a log is set up already, which is as well.
    let _ = match config.log_format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// What the agent tells a controller of itself.
#[must_use]
pub fn agent_facts(config: &Config, book: &crate::collector::FactsBook, program: Program) -> AgentFacts {
    AgentFacts {
        version: program.version.to_owned(),
        platform: muster_package::this_platform(),
        host_name: config.host.clone(),
        os_type: std::env::consts::OS.to_owned(),
        partition: book.known().then(|| (*book.get()).clone()),
        limits: config.limits.spec().clone(),
        secrets: crate::secrets::names(&config.secrets_folder()),
    }
}
