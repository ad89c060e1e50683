//! `muster-bench`: how fast and how light the agent is, on true bytes of the simulated partition's mix.
//!
//! Each subcommand prints `RESULT <name> <value>`; what exactly is measured stands in `docs/benchmarks.md`.
//! Build it and the programs it starts with `--release`, and give the machine nothing else to do.
#![forbid(unsafe_code)]

mod console;
mod downloads;
mod e2e;
mod entries;
mod figures;
mod filter;
mod fleet;
mod idle;
mod ingest;
mod latency;
mod machine;
mod path;
mod receiver;
mod rival;
mod rounds;
mod size;

use clap::{Parser, Subcommand};

/// The generator shares the cores with what it measures: it must not take more of them than it needs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures throughput and size of the agent.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, PartialEq, Eq)]
enum What {
    /// Decode, filter and format on one core.
    Pipeline,
    /// Policies with many rules, and with an expression, on one core.
    Filter,
    /// From reply bytes to LEEF bytes on one core.
    Ingest,
    /// Simulated partition, agent and TCP receiver as processes.
    E2e {
        /// Entries in the journal.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// Other programs that forward the lines of the end-to-end run from a file.
    Rival {
        /// Lines in the file.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// An agent with every kind of source while nothing happens.
    Idle,
    /// How long an event of each kind of source takes into the files of two rsyslogs.
    Latency,
    /// Size of the program.
    Size,
    /// A controller with many agents.
    Fleet(fleet::Fleet),
    /// Many agents that fetch a package at the same time.
    Downloads(downloads::Downloads),
    /// The console in a browser, with a large fleet.
    Console(console::Console),
    /// All of these.
    All,
}

fn main() -> anyhow::Result<()> {
    // Fails only when a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let what = Cli::parse().what;
    println!("{}", machine::describe());
    if matches!(what, What::Pipeline | What::All) {
        path::run()?;
    }
    if matches!(what, What::Filter | What::All) {
        filter::run()?;
    }
    if matches!(what, What::Ingest | What::All) {
        ingest::run()?;
    }
    match what {
        What::E2e { events } => e2e::run(events)?,
        What::Rival { events } => rival::run(events)?,
        What::All => {
            e2e::run(1_000_000)?;
            rival::run(1_000_000)?;
        }
        What::Fleet(ref fleet) => fleet::run(fleet)?,
        What::Downloads(ref wanted) => downloads::run(wanted)?,
        What::Console(ref wanted) => console::run(wanted)?,
        What::Pipeline | What::Filter | What::Ingest | What::Idle | What::Latency | What::Size => {}
    }
    if matches!(what, What::Idle | What::All) {
        idle::run()?;
    }
    if matches!(what, What::Latency | What::All) {
        latency::run()?;
    }
    if matches!(what, What::Size | What::All) {
        size::run()?;
    }
    println!("{}", machine::describe());
    Ok(())
}
