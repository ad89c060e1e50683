//! Asking agents about themselves: recent events, preview, live tail, diagnostics.
//!
//! A question goes into the agent's outbox and its answer comes back as messages with the question's id. Who asks
//! waits with a deadline; what comes later, or from another agent, is thrown away.

mod ask;
pub mod tail;

pub use ask::{AskError, deadline, diagnostics, one, preview, recent};

use muster_proto::session::inspect::{ID_BYTES, InspectReply};
use muster_shared::id::AgentId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Questions that may be open at a time.
const MAX_OPEN: usize = 1_000;
/// Parts that may wait for whoever asked; more are thrown away, for a viewer that does not read.
const MAX_PARTS: usize = 64;

/// Id of a question.
pub type AskId = [u8; ID_BYTES];

#[derive(Debug)]
struct Open {
    agent: AgentId,
    sender: mpsc::Sender<InspectReply>,
}

/// The open questions.
#[derive(Debug, Default)]
pub struct Inspector {
    open: Arc<Mutex<HashMap<AskId, Open>>>,
}

/// An open question; closed when it is dropped.
#[derive(Debug)]
pub struct Asking {
    /// Its id.
    pub id: AskId,
    /// Whom it is for.
    pub agent: AgentId,
    open: Arc<Mutex<HashMap<AskId, Open>>>,
    replies: mpsc::Receiver<InspectReply>,
}

fn lock(open: &Mutex<HashMap<AskId, Open>>) -> MutexGuard<'_, HashMap<AskId, Open>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inspector {
    /// Opens a question; `None` if there are too many.
    #[must_use]
    pub fn open(&self, agent: AgentId) -> Option<Asking> {
        let id: AskId = rand::random();
        let (sender, replies) = mpsc::channel(MAX_PARTS);
        let mut open = lock(&self.open);
        if open.len() >= MAX_OPEN {
            return None;
        }
        open.insert(id, Open { agent, sender });
        Some(Asking { id, agent, open: Arc::clone(&self.open), replies })
    }

    /// Takes what an agent answers.
    pub fn hear(&self, agent: AgentId, reply: InspectReply) {
        let Ok(id) = AskId::try_from(reply.id.as_slice()) else { return };
        let open = lock(&self.open);
        match open.get(&id).filter(|open| open.agent == agent) {
            // One that does not read loses parts, and its deadline ends it.
            Some(open) => drop(open.sender.try_send(reply)),
            None => tracing::debug!(agent_id = %agent, "answer that nobody waits for"),
        }
    }
}

impl Asking {
    /// The next part of the answer.
    pub async fn next(&mut self) -> Option<InspectReply> {
        self.replies.recv().await
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::session::inspect::InspectRefusalReason;

    #[tokio::test]
    async fn answers_reach_whoever_asked_and_nobody_else() {
        let agent = |n: u128| AgentId(uuid::Uuid::from_u128(n));
        let inspector = Inspector::default();
        let mut first = inspector.open(agent(1)).unwrap();
        let second = inspector.open(agent(1)).unwrap();
        assert_ne!(first.id, second.id);
        let reply = |id: &AskId| InspectReply::refusal(id, InspectRefusalReason::Busy, "busy");
        inspector.hear(agent(2), reply(&first.id));
        inspector.hear(agent(1), reply(&first.id));
        assert_eq!(first.next().await, Some(reply(&first.id)), "that of the other agent is not heard");
        assert!(first.replies.try_recv().is_err());
        for _ in 0..2 * MAX_PARTS {
            inspector.hear(agent(1), reply(&first.id));
        }
        drop((first, second));
        assert!(lock(&inspector.open).is_empty());
        let all: Vec<_> = (0..MAX_OPEN).map(|_| inspector.open(agent(1)).unwrap()).collect();
        assert!(inspector.open(agent(1)).is_none());
        drop(all);
        assert!(inspector.open(agent(1)).is_some());
    }
}
