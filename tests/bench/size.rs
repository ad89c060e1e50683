//! Size of the program that is installed.

use anyhow::Context as _;
use muster_tests::process::program;
use muster_tests::results::result;

/// Measures `muster-agent`; the release profile strips it.
pub fn run() -> anyhow::Result<()> {
    let bytes = std::fs::metadata(program("muster-agent")).context("size of muster-agent")?.len();
    result("agent_binary_mb", format_args!("{:.1}", bytes as f64 / 1e6));
    Ok(())
}
