//! `muster-agent about`: what this build is, for whoever makes packages of it.

use crate::program::Program;
use muster_package::manifest::Formats;
use serde::Serialize;

#[derive(Serialize)]
struct About {
    name: &'static str,
    version: &'static str,
    platform: String,
    formats: Formats,
}

/// Prints it as JSON.
///
/// # Errors
/// When it cannot be printed.
pub fn run(program: Program) -> anyhow::Result<()> {
    let about = About {
        name: muster_package::AGENT,
        version: program.version,
        platform: muster_package::this_platform(),
        formats: crate::upgrade::formats(),
    };
    println!("{}", serde_json::to_string_pretty(&about)?);
    Ok(())
}
