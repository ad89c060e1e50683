//! `muster-launcher`: see the library for what it does.
#![forbid(unsafe_code)]

use anyhow::Context as _;
use clap::Parser;
use muster_launcher::run::{Setup, run};
use muster_launcher::{config, say};
use std::path::PathBuf;
use std::process::ExitCode;

/// Starts a Muster agent, watches it, and switches it to another version and back.
#[derive(Debug, Parser)]
#[command(name = "muster-launcher", version, about, long_about = None, after_help = EXIT_CODES)]
struct Cli {
    /// Configuration of the agent; the launcher reads its `state_dir` only.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The agent that the operating system's package installed [default: `muster-agent` beside this program].
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

const EXIT_CODES: &str = "Ends when it gets SIGTERM or SIGINT, after the agent. Exit codes: 0 asked to end, 1 failed (the \
message says what to do), 2 wrong usage or configuration.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let state_dir = match config::state_dir(&cli.config) {
        Ok(state_dir) => state_dir,
        Err(error) => {
            say(&format!("{:#}", anyhow::Error::new(error)));
            return ExitCode::from(2);
        }
    };
    match start(cli, state_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli, state_dir: PathBuf) -> anyhow::Result<()> {
    let agent = match cli.agent {
        Some(agent) => agent,
        None => std::env::current_exe()
            .context("cannot tell where this program is, so name the agent with --agent")?
            .with_file_name("muster-agent"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot begin to watch processes")?;
    let result = runtime.block_on(run(Setup { config: cli.config, agent, state_dir }));
    // Not waiting for a standard output that nobody reads.
    runtime.shutdown_background();
    result
}
