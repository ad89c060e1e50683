//! The demo: a controller, five simulated partitions of different code pages with their agents, and a
//! receiver whose lines appear in the terminal as a SIEM would get them.
//!
//! Promises: needs no root and no fixed port; everything it writes is below `demo-run/`; Ctrl-C, SIGTERM or
//! its own end stop all that it started, and it looks whether that is so. With `CI` set it needs no person:
//! it waits for the first event, pushes a policy that drops entry type ZR, sees ZR stop and the drop counter
//! rise, and fails if anything of that does not happen in time.

mod fleet;
mod process;
mod receiver;
mod story;

use anyhow::Context as _;
use fleet::Fleet;
use process::Children;
use receiver::Receiver;
use std::path::PathBuf;
use std::time::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Where the workspace is.
fn root() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// What a person or the system uses to end the demo.
struct Interrupts {
    all: [Signal; 3],
}

impl Interrupts {
    fn listen() -> anyhow::Result<Self> {
        let one = |kind| signal(kind).context("signals cannot be awaited");
        Ok(Self {
            all: [one(SignalKind::interrupt())?, one(SignalKind::terminate())?, one(SignalKind::hangup())?],
        })
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.all;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Runs the demo to its end.
///
/// # Errors
/// What did not happen, and where to look.
pub fn run(unattended: bool) -> anyhow::Result<()> {
    // One thread: a child is told of its parent's death by the death of the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let mut interrupts = Interrupts::listen()?;
        let folder = root().join("demo-run");
        process::refuse_second(&folder)?;
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder)?;
        let mut children = Children::new(folder.clone());
        let outcome = tokio::select! {
            outcome = play(&mut children, unattended) => outcome,
            () = interrupts.any() => {
                eprintln!("\nstopping");
                if unattended { Err(anyhow::anyhow!("interrupted")) } else { Ok(()) }
            }
        };
        let stopped = children.stop().await;
        process::nothing_runs_on(&folder)?;
        stopped?;
        outcome.with_context(|| format!("the logs are in {}", folder.display()))
    })
}

async fn play(children: &mut Children, unattended: bool) -> anyhow::Result<()> {
    let mut receiver = Receiver::start(children).await?;
    println!("receiver    {}", receiver.description);
    let begin = Instant::now();
    let fleet = Fleet::start(children, receiver.port).await?;
    if unattended {
        story::unattended(&fleet, &mut receiver, begin).await
    } else {
        story::attended(&fleet, &mut receiver).await
    }
}
