//! Frames of the Mapepire protocol: JSON text messages over one TLS WebSocket (`wss://HOST:8076/db/`).
//!
//! The agent writes [`Request`]s and reads [`Reply`]s; the simulated partition reads [`RequestFrame`]s and
//! writes the reply parts in [`response`]. The frames carry no decision: what a reply means is decided where
//! it is read. Facts are taken from the public protocol document and from the behaviour of servers 2.3.2 to
//! 2.3.6; where these differ, the servers' behaviour is what stands here. What the generations of the server do
//! differently (bytes as parameters and in rows) is no matter of the frames: both are JSON values.

mod request;
mod response;

pub use request::{Parameter, Request, RequestFrame, RequestKind, Technique};
pub use response::{
    CloseReply, Column, ConnectReply, ErrorReply, JobReply, Metadata, ParameterMetadata, PingReply, Reply,
    SqlErrorReply, TraceReply, VersionReply,
};

/// TCP port a Mapepire server listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 8076;

/// Path of the WebSocket; the server accepts everything below it too.
pub const PATH: &str = "/db/";

/// Largest text message a server up to 2.3.5 accepts, in bytes (50 MiB). Later ones take any.
pub const MAX_REQUEST_BYTES: usize = 50 * 1024 * 1024;
