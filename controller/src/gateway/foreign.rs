//! Foreign OpAMP agents on a connection: the first message binds the token, or meets what it is bound to.
//!
//! The token says which agent it is, not the uid in a message. A message under another uid is never taken: the
//! sender is told the uid that is its own, which the protocol obliges it to take over, as after a restart
//! with a fresh one. On a WebSocket that has carried the bound agent already it is a second agent, and refused:
//! one connection carries one. Who goes on under the wrong uid is shown to people.

use super::admission::Admission;
use super::claim::{Claim, claim_poll, claim_socket};
use super::process::{Channel, Verdict, identified, refusal};
use crate::app::App;
use crate::http::error::ApiError;
use crate::identity::foreign::{self, BindError};
use jiff::Timestamp;
use muster_proto::opamp::AgentToServer;
use muster_proto::opamp::capability::AgentFlags;
use muster_shared::id::AgentId;
use std::net::SocketAddr;

/// How the agent's identity is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// For a WebSocket.
    Socket,
    /// For a poll.
    Poll,
}

/// Claims an agent's identity.
///
/// # Errors
/// See [`super::claim`].
pub async fn claim(app: &App, by: By, id: AgentId, address: SocketAddr) -> Result<Claim, ApiError> {
    match by {
        By::Socket => claim_socket(app, id, address).await,
        By::Poll => claim_poll(app, id, address).await,
    }
}

/// Makes a channel whose token is not bound yet that of its agent. Gives the answer where the message ends
/// here; `None`: it is to be processed.
pub async fn settle(
    app: &App,
    channel: &mut Channel,
    by: By,
    address: SocketAddr,
    message: &AgentToServer,
) -> Option<Verdict> {
    let Admission::Foreign { token, agent } = &mut channel.admission else { return None };
    let uid = &message.instance_uid;
    let Ok(bytes) = <[u8; 16]>::try_from(uid.as_slice()) else {
        let text = format!("instance_uid has {} bytes instead of 16", uid.len());
        return Some(Verdict::refuse(refusal(uid, text)));
    };
    let sender = AgentId(uuid::Uuid::from_bytes(bytes));
    let asks = AgentFlags(message.flags).has(AgentFlags::REQUEST_INSTANCE_UID);
    let bound = match *agent {
        Some(bound) => bound,
        // A temporary uid is not one to be bound to.
        None if asks => return Some(Verdict::answer(identified(message, AgentId(uuid::Uuid::now_v7())))),
        None => match foreign::bind(app, token, sender, channel.from).await {
            Ok(bound) => bound,
            Err(error) => return Some(not_bound(message, channel, &error)),
        },
    };
    *agent = Some(bound);
    if channel.claim.is_none() {
        match claim(app, by, bound, address).await {
            Ok(claim) => channel.claim = Some(claim),
            Err(error) => return Some(Verdict::refuse(refusal(uid, error.to_string()))),
        }
    }
    if sender == bound && !asks {
        return None;
    }
    let now = Timestamp::now();
    let talks = app.fleet.with(bound, |agent| {
        if sender != bound {
            agent.note_wrong_uid(sender, now);
        }
        agent.talks(now)
    });
    if sender != bound && by == By::Socket && talks == Some(true) {
        tracing::warn!(agent_id = %bound, claimed = %sender, from = %channel.from, "foreign agent under a second uid");
        let text = format!(
            "instance_uid {sender} is not the agent {bound} that the token of this connection is bound to; each \
             foreign agent needs a connection and a token of its own (`muster token create --foreign`)"
        );
        return Some(Verdict::refuse(refusal(uid, text)));
    }
    Some(Verdict::answer(identified(message, bound)))
}

fn not_bound(message: &AgentToServer, channel: &Channel, error: &BindError) -> Verdict {
    tracing::warn!(
        from = %channel.from, error = error as &dyn std::error::Error,
        "foreign agent not bound to its token"
    );
    match error {
        BindError::Token(_) | BindError::Taken(_) => {
            Verdict::refuse(refusal(&message.instance_uid, error.to_string()))
        }
        BindError::Store(_) => {
            Verdict::answer(super::process::unavailable(&message.instance_uid, error.to_string()))
        }
    }
}
