//! OpAMP: agents over WebSocket and over HTTP polling, on one path.
//!
//! [`admission`] decides who may talk, [`claim`] that there is one connection per identity, [`process`] what
//! a message leads to; [`websocket`] and [`poll`] are the shells around them. An agent is bound to its
//! certificate: every message's uid must be the certificate's name.

pub mod admission;
pub mod claim;
pub mod outbox;
pub mod poll;
pub mod process;
pub mod websocket;

/// Most WebSocket sessions at a time. Each holds some 100 KB at worst.
pub const MAX_SESSIONS: usize = 20_000;
