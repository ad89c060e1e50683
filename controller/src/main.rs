//! The program `muster-controller`.
#![forbid(unsafe_code)]

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use muster_backup::{Passphrase, WORK_FACTOR};
use muster_controller::backup::BackupConfig;
use muster_controller::config::FirstStart;
use muster_controller::config::{DAY, DEFAULT_CERTIFICATE_DAYS, DEFAULT_LISTEN};
use muster_controller::identity::tls::CertificateFiles;
use muster_controller::package::PackageLimits;
use muster_controller::restore::{self, Options, Report};
use muster_controller::{Config, reset_admin, serve};
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Ten thousand sessions allocate in small pieces all the time: with the system's allocator that is a fifth of the
/// controller's work, and an idle fleet costs three times as much (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Enrols agents, pushes policy, shows health and event rates.
#[derive(Parser)]
#[command(version, name = "muster-controller")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the controller until SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Give the user admin a new one-time password; the controller must be stopped.
    ResetAdmin(ResetAdmin),
    /// Make a data folder out of a backup: a new incarnation of the controller, to which its agents come back.
    Restore(Restore),
    /// Print the OpenAPI document of the interface: what clients are generated from.
    Openapi(Openapi),
}

#[derive(Args)]
struct Openapi {
    /// Write it to this file instead of printing it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args)]
struct Restore {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Folder for the controller's state; must be empty or missing.
    #[arg(long, env = "MUSTER_DATA_DIR")]
    data_dir: PathBuf,
    /// File whose first line is the passphrase that the backup is encrypted to; only its owner may read it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
    /// Export of the lost controller's audit log (`muster audit-log export`): tells what was done after the backup,
    /// and revocations among it are done again.
    #[arg(long, value_name = "EXPORT")]
    audit_log: Option<PathBuf>,
    /// Number of the new incarnation: for a backup that was restored before, one above that of the other restore
    /// (default: one above that of the backup).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    incarnation: Option<u64>,
}

#[derive(Args)]
struct ResetAdmin {
    /// Folder of the controller's state.
    #[arg(long, env = "MUSTER_DATA_DIR")]
    data_dir: PathBuf,
    /// Write the password to this file (mode 0600) instead of printing it.
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
}

#[derive(Args)]
struct Serve {
    /// Folder for the controller's state; made at the first start.
    #[arg(long, env = "MUSTER_DATA_DIR")]
    data_dir: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "MUSTER_LISTEN", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Host names or addresses by which agents and people reach this controller.
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// Certificate of the company's (PEM, with those between it and its authority) for browsers, command lines and
    /// foreign agents; read again when it changes and on SIGHUP. Muster's agents go on with the controller's own.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Write the address listened on to this file once the controller is ready.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// At the first start, write the one-time password to this file (mode 0600) instead of printing it.
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// Seconds between heartbeats of agents.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    heartbeat_seconds: u64,
    /// Days that a certificate lives which an agent gets when it enrols.
    #[arg(long, default_value_t = DEFAULT_CERTIFICATE_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    certificate_days: u32,
    /// For tests: a week of a certificate's life lasts so many seconds.
    #[arg(long, hide = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    certificate_week_seconds: Option<u64>,
    /// For tests: so many days of the licence pass in one.
    #[arg(long, hide = true, value_name = "DAYS", default_value_t = 1)]
    licence_pace: u32,
    /// Most MiB on disk of the history of rates; a day of 10,000 busy agents takes some 350.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    history_mb: u32,
    /// Make backups in this folder, best on another disk or machine.
    #[arg(long, value_name = "DIR", requires = "backup_passphrase_file")]
    backup_dir: Option<PathBuf>,
    /// File whose first line is the passphrase that backups are encrypted to; only its owner may read it.
    #[arg(long, value_name = "FILE", requires = "backup_dir")]
    backup_passphrase_file: Option<PathBuf>,
    /// Hours between two backups.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8_760))]
    backup_every: u32,
    /// Backups that are kept.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    backup_keep: u32,
    /// Most packages in the repository, retired ones too.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    packages: u32,
    /// Most megabytes on disk that packages and their uploads take together.
    #[arg(long, value_name = "MB", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    packages_total_megabytes: u32,
    /// Most downloads of packages by agents at a time; others are told when to come back.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    package_downloads: u32,
    /// Most megabytes a second that all downloads of packages take together.
    #[arg(long, value_name = "MB", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    package_megabytes_per_second: u32,
    /// Threads that serve connections.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    workers: u64,
    /// Log in JSON. What is logged is set by the variable `MUSTER_LOG` (default `info`).
    #[arg(long, env = "MUSTER_LOG_JSON")]
    log_json: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(arguments) => {
            start_log(arguments.log_json);
            run(arguments)
        }
        Command::ResetAdmin(arguments) => {
            start_log(false);
            reset(&arguments)
        }
        Command::Restore(arguments) => {
            start_log(false);
            restore_backup(arguments)
        }
        Command::Openapi(arguments) => {
            start_log(false);
            openapi(&arguments)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(json: bool) {
    let filter = EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json { log.json().init() } else { log.init() }
}

fn reset(arguments: &ResetAdmin) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let file = arguments.admin_password_file.as_deref();
    runtime.block_on(reset_admin(&arguments.data_dir, file, print_password))?;
    Ok(())
}

fn restore_backup(arguments: Restore) -> anyhow::Result<()> {
    let options = Options {
        passphrase: Passphrase::from_file(&arguments.passphrase_file)?,
        from: arguments.from,
        data_dir: arguments.data_dir,
        audit_log: arguments.audit_log,
        incarnation: arguments.incarnation,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let report = runtime.block_on(restore::restore(&options, jiff::Timestamp::now()))?;
    print_report(&options, &report);
    Ok(())
}

fn openapi(arguments: &Openapi) -> anyhow::Result<()> {
    let text = muster_controller::http::openapi::text();
    match &arguments.output {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("{} cannot be written; does its folder exist?", path.display())),
        None => std::io::stdout().write_all(text.as_bytes()).context("the document cannot be printed"),
    }
}

#[allow(clippy::print_stdout)] // for a person
fn print_report(options: &Options, report: &Report) {
    let Report { manifest, renewed, chain, lost } = report;
    println!("restored to {}: incarnation {}", options.data_dir.display(), renewed.incarnation);
    println!("  backup taken at {} by {}", manifest.taken_at, manifest.product);
    let counts: Vec<String> = manifest.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!("  it held {}", counts.join(", "));
    println!("  its audit log is {chain}");
    println!("what is different from now on");
    println!("  {} agents come back by themselves, without enrolling again", renewed.agents);
    println!("  void: {} enrolment tokens, {} enrolments that waited", renewed.tokens, renewed.waiting);
    println!(
        "  void: {} sessions and {} API tokens; sign in with the passwords of the backup",
        renewed.sessions, renewed.api_tokens
    );
    println!(
        "  policies go on at revision {}; the last one in the backup is {}",
        renewed.revisions_from + 1,
        renewed.last_revision
    );
    for agent in &renewed.shut_out {
        println!("  agent {agent} was shut out after the backup, and stays out");
    }
    println!("what to do");
    println!(
        "  start it: muster-controller serve --data-dir {} …, under an address that the agents know",
        options.data_dir.display()
    );
    println!("  shut the old controller down for good; if it comes back, agents refuse it");
    for rollout in &renewed.paused {
        println!("  rollout {rollout} was under way and is paused: look at it, then resume or abort it");
    }
    match lost {
        None => println!(
            "  do again what was done after {}; with --audit-log EXPORT it is listed here, and revocations are done again",
            manifest.taken_at
        ),
        Some(lost) if lost.redo.is_empty() => {
            println!(
                "  nothing was done after the backup that has to be done again ({} entries)",
                lost.entries
            );
        }
        Some(lost) => {
            println!(
                "  do again what was done after the backup ({} entries of the audit log):",
                lost.entries
            );
            for line in &lost.redo {
                println!("    {line}");
            }
        }
    }
    println!("  see `muster backup restored` for what agents tell when they come back");
}

#[allow(clippy::print_stdout)] // for a person or a pipe
fn print_password(password: &str) {
    println!("{password}");
}

fn run(arguments: Serve) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let backup = match arguments.backup_dir.zip(arguments.backup_passphrase_file) {
        Some((folder, file)) => Some(BackupConfig {
            folder,
            passphrase: Passphrase::from_file(&file)?,
            every_hours: arguments.backup_every,
            keep: usize::try_from(arguments.backup_keep)?,
            work_factor: WORK_FACTOR,
        }),
        None => None,
    };
    runtime.block_on(async move {
        let config = Config {
            backup,
            listen: arguments.listen,
            names: arguments.names,
            tls_files: arguments
                .tls_cert
                .zip(arguments.tls_key)
                .map(|(certificate, key)| CertificateFiles { certificate, key }),
            port_file: arguments.port_file,
            admin_password_file: arguments.admin_password_file,
            show_first_start: Some(print_first_start),
            heartbeat_seconds: arguments.heartbeat_seconds,
            history_bytes: u64::from(arguments.history_mb) * 1024 * 1024,
            certificate_life: DAY * arguments.certificate_days,
            workers: usize::try_from(arguments.workers)?,
            licence_pace: arguments.licence_pace,
            packages: PackageLimits {
                packages: usize::try_from(arguments.packages)?,
                bytes: u64::from(arguments.packages_total_megabytes) * 1_000_000,
                downloads: usize::try_from(arguments.package_downloads)?,
                bytes_per_second: u64::from(arguments.package_megabytes_per_second) * 1_000_000,
            },
            open_files: raise_open_files(),
            ..Config::new(arguments.data_dir)
        };
        let config = match arguments.certificate_week_seconds {
            Some(seconds) => config.with_week(Duration::from_secs(seconds)),
            None => config,
        };
        // Before the controller listens, so that no signal is missed.
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?;
        let mut hang_up = signal(SignalKind::hangup()).context("SIGHUP cannot be awaited")?;
        let running = serve(config).await?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                result = tokio::signal::ctrl_c() => {
                    result.context("Ctrl-C cannot be awaited")?;
                    break;
                }
                _ = hang_up.recv() => running.reload_certificate(),
            }
        }
        tracing::info!("controller is stopping");
        running.stop().await;
        Ok(())
    })
}

/// Raises the limit of open files to what the system allows this process, and tells it: each agent that is
/// connected is one.
fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: maximum, maximum };
    let now = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            current
        }
    };
    // None is "as many as there are".
    let files = now.unwrap_or(u64::MAX);
    tracing::info!(files, agents = muster_controller::gateway::max_sessions(files), "limit of open files");
    files
}

#[allow(clippy::print_stdout)] // the one thing that belongs on standard output
fn print_first_start(start: &FirstStart<'_>) {
    println!("┌─ First start ──────────────────────────────────────────────────");
    println!("│ Controller  https://{}", start.addr);
    println!("│ User        admin");
    println!("│ Password    {}", start.password);
    println!("│ CA SHA-256  {}", start.ca_sha256);
    println!("│ This password is shown only now. Sign in with");
    println!("│   muster login https://{} --fingerprint {}", start.addr, start.ca_sha256);
    println!("│ and change it with `muster password`.");
    println!("└────────────────────────────────────────────────────────────────");
}
