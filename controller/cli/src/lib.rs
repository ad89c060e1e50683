//! `muster`, the command line of the Muster controller: a client of its HTTP interface.
//!
//! Promises: the controller is reached over TLS only, verified by the authority stored with the login;
//! results go to standard output and everything else to standard error; `--output json` prints the bodies
//! of the HTTP interface, which only ever gain fields; exit codes mean what [`error::Exit`] says; text that
//! came from elsewhere is shown without its control characters. Refuses: unencrypted connections, and
//! certificates that nobody vouched for.
//!
//! `args` reads the command line, `command` has one file per subcommand, `client` speaks HTTP, `trust`
//! decides on certificates, `profile` keeps logins, `output` makes tables.
#![forbid(unsafe_code)]
// The documentation of the arguments is the text of --help, where a link would show its brackets.
#![allow(rustdoc::bare_urls)]

pub mod admin_args;
pub mod args;
pub mod backup_args;
mod client;
mod command;
pub mod error;
mod locate;
mod output;
pub mod package_args;
mod profile;
pub mod rollout_args;
mod trust;

use args::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use error::{CliError, Exit};
use muster_proto::api::CONTROLLER_NOTICE;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// What the program needs to know of the process it runs in; a value, so that tests can choose it.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Folder of the profiles; absent if neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub config_dir: Option<PathBuf>,
    /// Standard output is a terminal.
    pub stdout_terminal: bool,
    /// Standard input is a terminal, so that a person can be asked.
    pub stdin_terminal: bool,
    /// Standard error is a terminal, where progress is shown.
    pub stderr_terminal: bool,
    /// `NO_COLOR` is set and not empty (no-color.org), or the terminal is `dumb`.
    pub no_color: bool,
}

impl Environment {
    /// The real one.
    #[must_use]
    pub fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let config = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".config")));
        Self {
            config_dir: config.map(|dir| dir.join("muster")),
            stdout_terminal: std::io::stdout().is_terminal(),
            stdin_terminal: std::io::stdin().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            no_color: set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb"),
        }
    }
}

/// Runs one command line (its first item is the program's name) and tells the exit code.
pub fn run<I>(args: I, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Exit
where
    I: IntoIterator<Item = OsString>,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return clap_answer(&error, environment, out, err),
    };
    let style = output::Style::new(&cli, environment);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(err, "error: the program could not start: {error}");
            return Exit::Error;
        }
    };
    let notice = client::Notice::default();
    let mut context =
        command::Context { environment, style, out, err, profile: cli.profile, notice: notice.clone() };
    let result = runtime.block_on(command::dispatch(cli.command, &mut context));
    if let Some(text) = notice.take() {
        let topic = if text.starts_with(CONTROLLER_NOTICE) { "" } else { "licence: " };
        // As below.
        let _ = writeln!(context.err, "{topic}{}", output::clean(&text));
    }
    match result {
        Ok(()) => Exit::Ok,
        // The reader has seen enough, as in `muster agents | head`.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
        // An answer, not a failure.
        Err(CliError::WouldChange) => Exit::WouldChange,
        Err(CliError::Proposed(proposal)) if style.json => {
            // As above: the exit code still tells.
            let _ = output::print_json(context.out, &proposal);
            Exit::Proposed
        }
        Err(error) => {
            // Nothing can be done if standard error is closed; the exit code still tells.
            let _ = writeln!(context.err, "error: {}", output::clean_lines(&error.to_string()));
            error.exit()
        }
    }
}

/// `--help` and `--version` are answers; everything else is a mistake in the command line.
fn clap_answer(
    error: &clap::Error,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let text = error.render();
    let coloured = environment.stdout_terminal && !environment.no_color;
    let text = if coloured { text.ansi().to_string() } else { text.to_string() };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = write!(out, "{text}");
            Exit::Ok
        }
        _ => {
            let _ = write!(err, "{text}");
            Exit::Usage
        }
    }
}

#[cfg(test)]
mod tests;
