//! OpAMP: agents over WebSocket and over HTTP polling, on one path.
//!
//! [`admission`] decides who may talk, [`claim`] that there is one connection per identity, [`process`] what
//! a message leads to; [`websocket`] and [`poll`] are the shells around them. An agent is bound to its
//! certificate: every message's uid must be the certificate's name.

pub mod admission;
pub mod body;
pub mod claim;
pub mod foreign;
pub mod front;
pub mod listener;
pub mod liveness;
pub mod outbox;
pub mod overload;
pub mod package;
pub mod poll;
pub mod process;
pub mod socket;
pub mod websocket;

/// Largest message that an agent may send, in bytes, after decompression: what it sends upwards is its state,
/// which is small; downwards the protocol's own limit holds.
pub const MAX_AGENT_MESSAGE_BYTES: usize = 1024 * 1024;

/// Most WebSocket sessions at a time, whatever the system's limit of open files: each holds some 30 KB.
pub const MAX_SESSIONS: usize = 20_000;
/// Open files that are not for sessions: store, logs, people and programs at the interface.
pub const OTHER_FILES: u64 = 768;

/// Sessions that a process with this limit of open files takes.
#[must_use]
pub fn max_sessions(open_files: u64) -> usize {
    let places = open_files.saturating_sub(OTHER_FILES).max(64);
    usize::try_from(places).unwrap_or(MAX_SESSIONS).min(MAX_SESSIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_leave_files_for_everything_else() {
        for (files, sessions) in [(256, 64), (1_024, 256), (20_000, 19_232), (u64::MAX, MAX_SESSIONS)] {
            assert_eq!(max_sessions(files), sessions, "{files}");
        }
    }
}
