//! A simulated IBM i partition: the Mapepire protocol over TLS, the SQL services that a collector of security
//! events asks, a journal with true EBCDIC and binary bytes, and the faults of a real system.
//!
//! It stands in for a stranger: it shares the frames of the protocol with the product and nothing else, so
//! that a mistake in the product's decoding cannot hide behind the same mistake here. It refuses what it does
//! not know with the errors of Db2 for i rather than guessing.
//!
//! ```no_run
//! # async fn show() -> anyhow::Result<()> {
//! use ibmi_sim::{InjectSpec, Options, Scenario, Simulator};
//! let sim = Simulator::start(Scenario::default(), Options::default()).await?;
//! let sequence = sim.inject(&InjectSpec::parse("AF, violation A, user BOB, PAYROLL/EMP")?)?;
//! assert_eq!(sim.entries(0..=u64::MAX).last().map(|entry| entry.sequence), Some(sequence));
//! sim.stop().await;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]
// Inner modules are private: `pub` in them means "to the other modules", and what leaves the crate is named below.
#![allow(unreachable_pub)]

pub mod control;
pub mod dtaq;
mod ebcdic;
mod encode;
mod fault;
mod inject;
mod journal;
mod json;
mod message;
mod mix;
mod queue;
mod registry;
mod rng;
mod scenario;
mod server;
mod service;
mod simulator;
mod sql;
mod time;
mod world;

pub use encode::{ExitError, ExitRequest, PutField, exit_places};
pub use fault::{Fault, FaultState, parse as parse_fault};
pub use inject::{InjectError, InjectSpec};
pub use journal::PutEntry;
pub use message::{MessageError, MessageSpec, Sent};
pub use queue::{QueueError, QueuePlan, Sent as SentEntry, Sequence as QueueSequence};
pub use registry::{ExitProgram, RegistryError};
pub use scenario::{
    Generation, JournalPlan, Manners, Scenario, ScenarioError, Server as ServerPlan, System, Texts, Traffic,
    User,
};
pub use server::Counts;
pub use simulator::{Options, QueueState, ReceiverState, SimHandle, Simulator, Status};
