//! The command line of `muster-agent`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Collects one IBM i partition's security events and delivers them to SIEMs.
#[derive(Debug, Parser)]
#[command(name = "muster-agent", version, about, long_about = None, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed (the message says what to do), 2 wrong usage or \
configuration, 3 something checked does not work.";

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this agent known to a controller, once, with an enrolment token.
    Enrol {
        /// Configuration.
        #[command(flatten)]
        config: ConfigArg,
        /// File with the token; `-` reads standard input.
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
        /// Replace an identity that is already there: same agent id, new key.
        #[arg(long)]
        replace: bool,
        /// How long to wait where a person has to approve the enrolment, in minutes.
        #[arg(long, value_name = "MINUTES", default_value_t = 60)]
        wait: u64,
    },
    /// Collect until stopped (SIGTERM or Ctrl-C).
    Run {
        /// Configuration.
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Check the configuration and the local policy; with --connect also partition and receivers.
    CheckConfig {
        /// Configuration.
        #[command(flatten)]
        config: ConfigArg,
        /// Also sign on to the partition, look at the journal, and connect to every destination.
        #[arg(long)]
        connect: bool,
    },
    /// Check whether this version can take over from the one that runs: what an upgrade asks of the new version.
    SelfCheck {
        /// Configuration.
        #[command(flatten)]
        config: ConfigArg,
        /// Component that works now, `source/NAME` or `destination/NAME`, and must be reached.
        #[arg(long, value_name = "COMPONENT")]
        worked: Vec<String>,
        /// Version that it must be.
        #[arg(long, value_name = "VERSION")]
        expect: Option<String>,
        /// End as soon as standard input does: for whoever starts this, and may be killed.
        #[arg(long)]
        until_eof: bool,
    },
    /// Print what this build is: name, version, platform, formats on disk (JSON).
    About,
    /// Send one test event to every destination of the policy in force.
    SendTest {
        /// Configuration.
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Show identity, policy, cursors and health of the agent with this configuration.
    ShowState {
        /// Configuration.
        #[command(flatten)]
        config: ConfigArg,
        /// For people or for programs.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub struct ConfigArg {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "MUSTER_AGENT_CONFIG", default_value = "/etc/muster/agent.toml")]
    pub config: PathBuf,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}
