//! The program: from the command line to the exit code. Apart from `main`, so that builds of several versions can be
//! made of one library.

use crate::cli::{Cli, Command, ConfigArg};
use crate::command::{self, EXIT_CHECK, EXIT_CONFIG};
use crate::config::Config;
use clap::{CommandFactory as _, FromArgMatches as _};
use std::process::ExitCode;
use std::time::Duration;

/// What a build says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// It may misbehave on purpose.
    #[cfg(feature = "bad-build")]
    pub misbehaves: bool,
}

impl Program {
    /// A build of this version.
    #[must_use]
    pub const fn new(version: &'static str) -> Self {
        Self {
            version,
            #[cfg(feature = "bad-build")]
            misbehaves: false,
        }
    }

    /// A build of this version that may misbehave: for tests.
    #[cfg(feature = "bad-build")]
    #[must_use]
    pub const fn misbehaving(version: &'static str) -> Self {
        Self { version, misbehaves: true }
    }
}

/// Runs the program.
#[must_use]
pub fn main(program: Program) -> ExitCode {
    // Fails only when a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut matches = Cli::command().version(program.version).get_matches();
    let cli = match Cli::from_arg_matches_mut(&mut matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Enrol { config, token_file, replace, wait } => with(&config, |config| {
            let wait = Duration::from_secs(wait.saturating_mul(60));
            command::enrol::run(&config, &token_file, replace, wait, program)
        }),
        Command::Run { config } => with(&config, |config| {
            command::start_log(&config);
            #[cfg(feature = "bad-build")]
            {
                if program.misbehaves {
                    crate::bad_build::begin(&config.file, program.version);
                } else {
                    crate::bad_build::expect_kill(&config.file);
                }
            }
            command::run::run(config, program)
        }),
        Command::CheckConfig { config, connect } => {
            checked(&config, |config| command::check::run(config, connect))
        }
        Command::SelfCheck { config, worked, expect, until_eof } => {
            let asked = command::self_check::Asked { worked, expect, until_eof };
            checked(&config, |config| command::self_check::run(config, &asked, program))
        }
        Command::SendTest { config } => checked(&config, |config| command::send_test::run(config, program)),
        Command::ShowState { config, output } => with(&config, |config| command::show::run(&config, output)),
        Command::About => match command::about::run(program) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "muster-agent", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

fn checked(arg: &ConfigArg, check: impl FnOnce(&Config) -> anyhow::Result<bool>) -> ExitCode {
    match load(arg) {
        Ok(config) => match check(&config) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(EXIT_CHECK),
            Err(error) => failed(&error),
        },
        Err(code) => code,
    }
}

fn load(arg: &ConfigArg) -> Result<Config, ExitCode> {
    Config::load(&arg.config).map_err(|error| {
        eprintln!("muster-agent: {error}");
        ExitCode::from(EXIT_CONFIG)
    })
}

fn with(arg: &ConfigArg, work: impl FnOnce(Config) -> anyhow::Result<()>) -> ExitCode {
    match load(arg) {
        Ok(config) => match work(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Err(code) => code,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("muster-agent: {error:#}");
    ExitCode::FAILURE
}
