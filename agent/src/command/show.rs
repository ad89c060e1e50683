//! `muster-agent show-state`.

use crate::cli::Output;
use crate::config::Config;
use crate::status::Status;
use anyhow::Context;

/// Prints what the agent with this configuration last told.
///
/// # Errors
/// When it has never run.
pub fn run(config: &Config, output: Output) -> anyhow::Result<()> {
    let status = Status::read(&config.state_dir).with_context(|| {
        format!("no state of an agent in {}; start it with `muster-agent run`", config.state_dir.display())
    })?;
    match output {
        Output::Text => print!("{}", status.to_text()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&status)?),
    }
    Ok(())
}
