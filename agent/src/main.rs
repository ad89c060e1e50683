//! `muster-agent`: see the library for what it does.
#![forbid(unsafe_code)]

use clap::{CommandFactory, Parser};
use muster_agent::cli::{Cli, Command, ConfigArg};
use muster_agent::command::{self, EXIT_CHECK, EXIT_CONFIG};
use muster_agent::config::Config;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    // Fails only when a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match cli.command {
        Command::Enrol { config, token_file, replace, wait } => with(&config, |config| {
            command::enrol::run(&config, &token_file, replace, Duration::from_secs(wait.saturating_mul(60)))
        }),
        Command::Run { config } => with(&config, |config| {
            command::start_log(&config);
            command::run::run(config)
        }),
        Command::CheckConfig { config, connect } => match load(&config) {
            Ok(config) => match command::check::run(&config, connect) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(EXIT_CHECK),
                Err(error) => failed(&error),
            },
            Err(code) => code,
        },
        Command::SendTest { config } => match load(&config) {
            Ok(config) => match command::send_test::run(&config) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(EXIT_CHECK),
                Err(error) => failed(&error),
            },
            Err(code) => code,
        },
        Command::ShowState { config, output } => with(&config, |config| command::show::run(&config, output)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "muster-agent", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
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
