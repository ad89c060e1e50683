//! The controller over real TLS: agents as OpAMP clients, people as API clients.

mod api;
mod common;
mod enrolment;
mod inspect;
mod policy;
mod policy_set;
mod polling;
mod process;
mod session;
