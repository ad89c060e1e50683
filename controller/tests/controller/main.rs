//! The controller over real TLS: agents as OpAMP clients, people as API clients.

mod agent_audit;
mod api;
mod attack;
mod audit;
mod backup;
mod common;
mod conformance;
mod console;
mod enrolment;
mod identity;
mod inspect;
mod kill;
mod overload;
mod package;
mod partition;
mod policy;
mod policy_set;
mod polling;
mod process;
mod proposal;
mod roles;
mod rollout;
mod session;
mod upgrade;
mod upgrader;
mod user;
