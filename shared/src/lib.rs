//! Domain types and decisions that agent, controller and command line share.
//!
//! Everything here is a function of values: no socket, file, clock or environment is touched, so the
//! controller previews with the very code that the agent runs. Data flows one way: IBM i bytes become an
//! [`event::Event`] (in `muster-ibmi`), [`policy`] decides its severity, whether it is kept and where it
//! goes, and [`format`](mod@format) writes the bytes that a SIEM reads.
#![forbid(unsafe_code)]

pub mod audit_chain;
pub mod cursor;
pub mod event;
pub mod format;
pub mod id;
pub mod incarnation;
pub mod licence;
pub mod partition;
pub mod payload;
pub mod policy;
pub mod severity;
