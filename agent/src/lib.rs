//! The Muster agent: reads one IBM i partition's security events and delivers them to SIEMs.
//!
//! ```text
//! Host (Mapepire) ─▸ SourceActor ─▸ Pipeline: decode ▸ enrich ▸ filter ▸ route ▸ format ─▸ DestinationActor ─▸ SIEM
//!                        ▲                                                                      │
//!                        └──────────── Lane: credit, rewind, committed cursor ◂─────────────────┘
//! ```
//! A source is read once for all destinations that stand at the same place; each (source, destination)
//! pair is a [`lane`] with its own committed cursor, so a receiver that is down holds up nobody else and
//! continues later where it stood. Nothing is kept in memory for it: the partition is the buffer.
#![forbid(unsafe_code)]

#[cfg(feature = "bad-build")]
pub mod bad_build;
pub mod cli;
pub mod collector;
pub mod command;
pub mod config;
pub mod destination;
pub mod enrol;
pub mod health;
pub mod host;
pub mod inspect;
pub mod lane;
pub mod lease;
pub mod pipeline;
pub mod policy;
pub mod program;
pub mod secrets;
pub mod source;
pub mod spool;
pub mod state;
pub mod status;
pub mod supervisor;
pub mod telemetry;
pub mod upgrade;
pub mod uplink;
