//! The Muster controller: enrols agents, pushes policy, shows health and event rates.
//!
//! [`serve()`] starts one in the background: one TLS port that speaks OpAMP (WebSocket and polling), REST,
//! metrics and health. Promises: nothing is answered before it is durable; every queue, body and wait is
//! bounded; a client certificate of the controller's own authority is the only way to be an agent.
#![forbid(unsafe_code)]

pub mod app;
pub mod audit_log;
pub mod backup;
pub mod config;
pub mod event_hub;
pub mod fleet;
pub mod gateway;
pub mod http;
pub mod identity;
pub mod incarnation;
pub mod inspect;
pub mod lease;
pub mod licence;
pub mod package;
pub mod policy;
pub mod proposal;
pub mod restore;
pub mod rollout;
pub mod serve;
pub mod store;
pub mod user;

pub use config::Config;
pub use serve::{Running, ServeError, reset_admin, serve};
