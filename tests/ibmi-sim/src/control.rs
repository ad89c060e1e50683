//! The control port: one JSON object a line over TCP on loopback, one JSON object a line back.
//!
//! It has no authentication and is for one machine only: it refuses to listen elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::dtaq::QueueAction;
use crate::fault::Fault;
use crate::inject::InjectSpec;
use crate::message::MessageSpec;
use crate::registry::ExitProgram;
use crate::simulator::SimHandle;

/// Longest line.
const LINE: u64 = 1024 * 1024;
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Write one entry, from free text or from a spec.
    Inject {
        /// `AF, violation A, user BOB, PAYROLL/EMP`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The same, exactly.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spec: Option<InjectSpec>,
    },
    /// Write entries of the everyday mix.
    Mix {
        /// How many.
        count: usize,
    },
    /// Entries a second from now on.
    Rate {
        /// That many.
        rate: f64,
    },
    /// Switch a fault on.
    Fault {
        /// Which one.
        #[serde(flatten)]
        fault: Fault,
    },
    /// Attach the next receiver.
    RollOver,
    /// Attach the next receiver and start its sequence at 1.
    ResetSequence,
    /// Delete the oldest receiver.
    Prune,
    /// Delete the journal and create it anew.
    RecreateJournal,
    /// Register an exit program.
    AddExitProgram {
        /// Which, and where.
        program: ExitProgram,
    },
    /// Take an exit program off its exit point.
    RemoveExitProgram {
        /// Exit point.
        exit_point: String,
        /// Its format.
        format: String,
        /// Number of the program.
        number: i64,
    },
    /// Do something with a data queue.
    Dtaq {
        /// LIBRARY/NAME.
        queue: String,
        /// What.
        #[serde(flatten)]
        action: QueueAction,
    },
    /// Write a message to the history log: `CPF1124, job 370690/BOB/NIGHT, subsystem QBATCH`.
    Message {
        /// The message in words.
        text: String,
    },
    /// Send a message to a queue.
    Send {
        /// Queue, LIBRARY/NAME or a name in QSYS.
        queue: String,
        /// The message in words.
        text: String,
    },
    /// Answer an inquiry.
    Reply {
        /// Queue.
        queue: String,
        /// Key of the inquiry, hexadecimal.
        key: String,
        /// Who answers.
        user: String,
        /// The answer.
        answer: String,
    },
    /// Begin the next file of the history log.
    SwitchHistory,
    /// Delete the oldest file of the history log.
    DeleteHistory,
    /// Create a message queue.
    CreateQueue {
        /// Queue.
        queue: String,
    },
    /// Delete a message queue.
    DeleteQueue {
        /// Queue.
        queue: String,
    },
    /// Remove all messages of a queue.
    ClearQueue {
        /// Queue.
        queue: String,
    },
    /// What is going on.
    Status,
}

/// Listens for commands.
///
/// # Errors
/// When the address is not a loopback address, or taken.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    if !address.ip().is_loopback() {
        bail!("the control port has no authentication: give it a loopback address such as 127.0.0.1:0");
    }
    TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
}

/// Serves commands until the task is dropped.
pub async fn serve(listener: TcpListener, sim: Arc<SimHandle>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let sim = Arc::clone(&sim);
                connections.spawn(async move {
                    if let Err(error) = connection(stream, &sim).await {
                        tracing::debug!(%error, "control connection failed");
                    }
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, sim: &SimHandle) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        if (&mut reader).take(LINE).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match serde_json::from_str::<Command>(&line) {
            Ok(command) => {
                run(&command, sim).unwrap_or_else(|error| json!({"ok": false, "error": format!("{error:#}")}))
            }
            Err(error) => json!({"ok": false, "error": format!("not a command: {error}")}),
        };
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
}

fn run(command: &Command, sim: &SimHandle) -> anyhow::Result<Value> {
    Ok(match command {
        Command::Inject { text, spec } => {
            let spec = match (spec, text) {
                (Some(spec), None) => spec.clone(),
                (None, Some(text)) => InjectSpec::parse(text)?,
                _ => bail!("give either text or spec"),
            };
            json!({"ok": true, "sequence": sim.inject(&spec)?})
        }
        Command::Mix { count } => json!({"ok": true, "written": sim.append_mix(*count)}),
        Command::Rate { rate } => {
            sim.set_rate(*rate);
            json!({"ok": true})
        }
        Command::Fault { fault } => {
            sim.set_fault(*fault)?;
            json!({"ok": true})
        }
        Command::RollOver => json!({"ok": true, "receiver": sim.roll_over()}),
        Command::ResetSequence => json!({"ok": true, "receiver": sim.reset_sequence()}),
        Command::Prune => json!({"ok": true, "deleted": sim.prune_oldest()}),
        Command::RecreateJournal => {
            sim.recreate_journal();
            json!({"ok": true})
        }
        Command::AddExitProgram { program } => {
            sim.add_exit_program(program.clone())?;
            json!({"ok": true})
        }
        Command::RemoveExitProgram { exit_point, format, number } => {
            sim.remove_exit_program(exit_point, format, *number)?;
            json!({"ok": true})
        }
        Command::Dtaq { queue, action } => action.run(queue, sim)?,
        Command::Message { text } => {
            json!({"ok": true, "at": sim.log_messages(&[MessageSpec::parse(text)?])?})
        }
        Command::Send { queue, text } => {
            json!({"ok": true, "key": format!("{:08X}", sim.send_message(queue, &MessageSpec::parse(text)?)?)})
        }
        Command::Reply { queue, key, user, answer } => {
            let key = u32::from_str_radix(key, 16).context("the key is not hexadecimal")?;
            json!({"ok": true, "key": format!("{:08X}", sim.reply(queue, key, user, answer)?)})
        }
        Command::SwitchHistory => json!({"ok": true, "file": sim.switch_history()}),
        Command::DeleteHistory => json!({"ok": true, "deleted": sim.delete_history()}),
        Command::CreateQueue { queue } => {
            sim.create_queue(queue);
            json!({"ok": true})
        }
        Command::DeleteQueue { queue } => json!({"ok": true, "deleted": sim.delete_queue(queue)}),
        Command::ClearQueue { queue } => json!({"ok": true, "removed": sim.remove_messages(queue, None)}),
        Command::Status => json!({"ok": true, "status": sim.status()}),
    })
}

/// Sends one command and returns the answer.
///
/// # Errors
/// When nobody answers, or the answer is a refusal.
pub async fn send(address: SocketAddr, command: &Command) -> anyhow::Result<Value> {
    let work = async {
        let mut stream = TcpStream::connect(address).await.with_context(|| {
            format!("no simulator answers at {address}: start one with `ibmi-sim serve --control`")
        })?;
        stream.write_all(format!("{}\n", serde_json::to_string(command)?).as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).take(LINE).read_line(&mut line).await?;
        anyhow::Ok(serde_json::from_str::<Value>(&line).context("the simulator's answer is no JSON")?)
    };
    let answer =
        tokio::time::timeout(ANSWER, work).await.context("the simulator did not answer in 30 s")??;
    if answer["ok"] != Value::Bool(true) {
        bail!("{}", answer["error"].as_str().unwrap_or("refused without a reason"));
    }
    Ok(answer)
}
