//! The simulated IBM i partition as a program: `serve`, and the commands that steer it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use ibmi_sim::control::{self, Command};
use ibmi_sim::dtaq::QueueAction;
use ibmi_sim::{
    ExitProgram, Generation, InjectSpec, Options, QueuePlan, QueueSequence, Scenario, Simulator, parse_fault,
};
use tracing::info;

/// A simulated IBM i partition: Mapepire over TLS, SQL services, a journal with true bytes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run a partition until Ctrl-C or SIGTERM.
    Serve(Serve),
    /// Write one entry, e.g. 'AF, violation A, user BOB, PAYROLL/EMP'.
    Inject {
        #[command(flatten)]
        target: Target,
        /// The entry in words.
        #[arg(required_unless_present = "json")]
        text: Option<String>,
        /// The entry as JSON: {"type":"AF","user":"BOB","fields":{"Violation type":"A"}}
        #[arg(long, conflicts_with = "text")]
        json: Option<String>,
    },
    /// Write entries of the everyday mix.
    Mix {
        #[command(flatten)]
        target: Target,
        /// How many.
        count: usize,
    },
    /// Entries a second from now on.
    Rate {
        #[command(flatten)]
        target: Target,
        /// That many.
        rate: f64,
    },
    /// Switch a fault on, e.g. `slow 500`, `restart 3000`, `clear`.
    Fault {
        #[command(flatten)]
        target: Target,
        /// The fault and its number.
        #[arg(required = true, allow_negative_numbers = true)]
        words: Vec<String>,
    },
    /// Detach the receiver and attach the next one.
    RollOver(Target),
    /// Attach the next receiver with a sequence that starts at 1.
    ResetSequence(Target),
    /// Delete the oldest receiver.
    Prune(Target),
    /// Delete the journal with its receivers and create it anew.
    RecreateJournal(Target),
    /// Register an exit program, e.g. QIBM_QTMF_SERVER_REQ VLRQ0100 MUSTER/MUSTERXV.
    AddExitProgram {
        #[command(flatten)]
        target: Target,
        /// Exit point.
        exit_point: String,
        /// Its format.
        format: String,
        /// Program as LIBRARY/NAME.
        program: String,
        /// Order among the programs of the exit point.
        #[arg(long, default_value_t = 1)]
        number: i64,
    },
    /// Take an exit program off its exit point.
    RemoveExitProgram {
        #[command(flatten)]
        target: Target,
        /// Exit point.
        exit_point: String,
        /// Its format.
        format: String,
        /// Number of the program.
        #[arg(long, default_value_t = 1)]
        number: i64,
    },
    /// Put an entry on a data queue, e.g. PAYROLL/EVENTS 'order=4711 severity=7'; or create, delete, show it.
    Dtaq(Dtaq),
    /// Write a message to the history log, e.g. 'CPF1124, job 370690/BOB/NIGHT, subsystem QBATCH'.
    Message {
        #[command(flatten)]
        target: Target,
        /// The message in words.
        text: String,
    },
    /// Send a message to a queue, e.g. QSYSOPR 'CPA0702, text "CPF2110 received. (C D I R)"'.
    Send {
        #[command(flatten)]
        target: Target,
        /// Queue, LIBRARY/NAME or a name in QSYS.
        queue: String,
        /// The message in words.
        text: String,
    },
    /// Answer an inquiry.
    Reply {
        #[command(flatten)]
        target: Target,
        /// Queue.
        queue: String,
        /// Key of the inquiry, as `send` printed it.
        key: String,
        /// The answer.
        answer: String,
        /// Who answers.
        #[arg(long, default_value = "QSYSOPR")]
        user: String,
    },
    /// Begin the next file of the history log.
    SwitchHistory(Target),
    /// Delete the oldest file of the history log.
    DeleteHistory(Target),
    /// Create a message queue.
    CreateQueue {
        #[command(flatten)]
        target: Target,
        /// Queue.
        queue: String,
    },
    /// Delete a message queue.
    DeleteQueue {
        #[command(flatten)]
        target: Target,
        /// Queue.
        queue: String,
    },
    /// Remove all messages of a queue.
    ClearQueue {
        #[command(flatten)]
        target: Target,
        /// Queue.
        queue: String,
    },
    /// Say what is going on.
    Status(Target),
}

#[derive(Args)]
struct Dtaq {
    #[command(flatten)]
    target: Target,
    /// LIBRARY/NAME.
    queue: String,
    /// The entry; several words are joined. Without one, and without an option, the queue is shown.
    text: Vec<String>,
    /// The entry is hexadecimal digits.
    #[arg(long)]
    hex: bool,
    /// Key of the entry; x'…' for hexadecimal digits.
    #[arg(long, default_value = "")]
    key: String,
    /// Job of the sender, NNNNNN/USER/NAME.
    #[arg(long, default_value = "")]
    job: String,
    /// User of the sender.
    #[arg(long, default_value = "")]
    user: String,
    /// Create the queue: fifo, lifo or keyed.
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "text")]
    create: Option<String>,
    /// Length of its keys.
    #[arg(long, default_value_t = 0)]
    key_length: usize,
    /// Longest entry.
    #[arg(long, default_value_t = 1024)]
    max_length: usize,
    /// Delete or empty the queue, take everybody's authority to it away or give it back, hold it or let it go.
    #[arg(long = "do", value_enum, conflicts_with_all = ["text", "create"])]
    act: Option<QueueAct>,
    /// Answer statements on data queues so many milliseconds later.
    #[arg(long, conflicts_with_all = ["text", "create", "act"])]
    slow: Option<u64>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum QueueAct {
    Delete,
    Clear,
    Deny,
    Allow,
    Lock,
    Unlock,
}

impl QueueAct {
    fn action(self) -> QueueAction {
        match self {
            Self::Delete => QueueAction::Delete,
            Self::Clear => QueueAction::Clear,
            Self::Deny => QueueAction::Deny,
            Self::Allow => QueueAction::Allow,
            Self::Lock => QueueAction::Lock,
            Self::Unlock => QueueAction::Unlock,
        }
    }
}

impl Dtaq {
    fn command(self) -> anyhow::Result<(Target, Command)> {
        let action = if let Some(sequence) = &self.create {
            let sequence = match sequence.as_str() {
                "fifo" => QueueSequence::Fifo,
                "lifo" => QueueSequence::Lifo,
                "keyed" => QueueSequence::Keyed,
                other => anyhow::bail!("{other} is no sequence; write fifo, lifo or keyed"),
            };
            let (key_length, max_length) = (self.key_length, self.max_length);
            let plan = QueuePlan { sequence, key_length, max_length, ..QueuePlan::new(&self.queue) };
            QueueAction::Create { plan }
        } else if let Some(act) = self.act {
            act.action()
        } else if let Some(ms) = self.slow {
            QueueAction::Slow { ms }
        } else if self.text.is_empty() {
            QueueAction::Show
        } else {
            let data = self.text.join(" ");
            QueueAction::Send { data, hex: self.hex, key: self.key, job: self.job, user: self.user }
        };
        Ok((self.target, Command::Dtaq { queue: self.queue, action }))
    }
}

#[derive(Args)]
struct Serve {
    /// Scenario file.
    #[arg(long)]
    scenario: PathBuf,
    /// Address of the Mapepire server.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Folder for certificate and key; made when absent.
    #[arg(long)]
    cert_dir: Option<PathBuf>,
    /// File that gets `{"port":…,"control":…}` once the server answers.
    #[arg(long)]
    port_file: Option<PathBuf>,
    /// Address of the control port.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Entries a second, instead of the scenario's.
    #[arg(long)]
    rate: Option<f64>,
    /// Which Mapepire servers it behaves like (G1, G1b, G2), instead of the scenario's.
    #[arg(long)]
    generation: Option<Generation>,
}

#[derive(Args)]
struct Target {
    /// Control port of the running simulator.
    #[arg(long)]
    control: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Fails only when a provider is there already, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    let (target, command) = match Cli::parse().command {
        Task::Serve(options) => return serve(options).await,
        Task::Inject { target, text, json } => {
            let spec: Option<InjectSpec> =
                json.map(|json| serde_json::from_str(&json).context("--json is not an entry")).transpose()?;
            (target, Command::Inject { text, spec })
        }
        Task::Mix { target, count } => (target, Command::Mix { count }),
        Task::Rate { target, rate } => (target, Command::Rate { rate }),
        Task::Fault { target, words } => {
            (target, Command::Fault { fault: parse_fault(&words).map_err(anyhow::Error::msg)? })
        }
        Task::RollOver(target) => (target, Command::RollOver),
        Task::ResetSequence(target) => (target, Command::ResetSequence),
        Task::Prune(target) => (target, Command::Prune),
        Task::RecreateJournal(target) => (target, Command::RecreateJournal),
        Task::AddExitProgram { target, exit_point, format, program, number } => {
            let program = ExitProgram { exit_point, format, program, number, text: String::new() };
            (target, Command::AddExitProgram { program })
        }
        Task::RemoveExitProgram { target, exit_point, format, number } => {
            (target, Command::RemoveExitProgram { exit_point, format, number })
        }
        Task::Dtaq(dtaq) => dtaq.command()?,
        Task::Message { target, text } => (target, Command::Message { text }),
        Task::Send { target, queue, text } => (target, Command::Send { queue, text }),
        Task::Reply { target, queue, key, answer, user } => {
            (target, Command::Reply { queue, key, user, answer })
        }
        Task::SwitchHistory(target) => (target, Command::SwitchHistory),
        Task::DeleteHistory(target) => (target, Command::DeleteHistory),
        Task::CreateQueue { target, queue } => (target, Command::CreateQueue { queue }),
        Task::DeleteQueue { target, queue } => (target, Command::DeleteQueue { queue }),
        Task::ClearQueue { target, queue } => (target, Command::ClearQueue { queue }),
        Task::Status(target) => (target, Command::Status),
    };
    let answer = control::send(target.control, &command).await?;
    println!("{answer}");
    Ok(())
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    let mut scenario = Scenario::read(&options.scenario)?;
    if let Some(rate) = options.rate {
        scenario.traffic.rate = rate;
    }
    if let Some(generation) = options.generation {
        scenario.server.generation = generation;
        scenario.server.version = None;
    }
    let name = scenario.name.clone();
    let sim = Arc::new(
        Simulator::start(scenario, Options { listen: options.listen, cert_dir: options.cert_dir }).await?,
    );
    let mut control_address = None;
    let control = match options.control {
        None => None,
        Some(address) => {
            let listener = control::listen(address).await?;
            control_address = Some(listener.local_addr().context("address of the control port")?);
            Some(tokio::spawn(control::serve(listener, Arc::clone(&sim))))
        }
    };
    info!(name, addr = %sim.addr, control = ?control_address, "simulated partition answers");
    if let Some(file) = &options.port_file {
        write_port_file(file, sim.addr.port(), control_address.map(|address| address.port()))?;
    }
    ended().await?;
    if let Some(task) = control {
        task.abort();
    }
    Ok(())
}

/// Written beside and renamed, so that whoever waits for the file never sees half of it.
fn write_port_file(file: &Path, port: u16, control: Option<u16>) -> anyhow::Result<()> {
    let text = serde_json::json!({"port": port, "control": control}).to_string();
    let beside = file.with_extension("tmp");
    std::fs::write(&beside, text).with_context(|| format!("write {}", beside.display()))?;
    std::fs::rename(&beside, file).with_context(|| format!("write {}", file.display()))
}

async fn ended() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("wait for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("wait for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}
