//! OpAMP: agents over WebSocket and over HTTP polling, on one path.
//!
//! [`admission`] decides who may talk, [`claim`] that there is one connection per identity, [`process`] what
//! a message leads to; [`websocket`] and [`poll`] are the shells around them. An agent is bound to its
//! certificate: every message's uid must be the certificate's name.

pub mod admission;
pub mod body;
pub mod claim;
pub mod foreign;
pub mod outbox;
pub mod poll;
pub mod process;
pub mod websocket;

/// Largest message that an agent may send, in bytes, after decompression: what it sends upwards is its state,
/// which is small; downwards the protocol's own limit holds.
pub const MAX_AGENT_MESSAGE_BYTES: usize = 1024 * 1024;

/// Most WebSocket sessions at a time. Each holds some 100 KB at worst.
pub const MAX_SESSIONS: usize = 20_000;
