//! One connection per identity.
//!
//! When a second connection comes in for an agent whose WebSocket is open, the first is asked for a sign of
//! life. If it gives one, two agents use one identity: the second is refused, and both are told. If it gives
//! none (a half-open socket), the second takes over at once.

use crate::app::App;
use crate::fleet::link::Link;
use crate::http::error::ApiError;
use crate::identity::life;
use muster_shared::id::AgentId;
use std::net::SocketAddr;
use std::sync::Arc;

use super::outbox::{Farewell, Outbox};

/// The right to talk for an agent.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Number of the connection.
    pub epoch: u64,
    /// What waits for the agent.
    pub outbox: Arc<Outbox>,
}

/// Claims an agent's identity for a new WebSocket.
///
/// # Errors
/// If another live connection has it, or the agent was removed.
pub async fn claim_socket(app: &App, id: AgentId, address: SocketAddr) -> Result<Claim, ApiError> {
    displace_socket(app, id, address).await?;
    attach(app, id, Link::Socket { address })
}

/// Claims an agent's identity for a poll; polls of one agent share a claim.
///
/// # Errors
/// As above.
pub async fn claim_poll(app: &App, id: AgentId, address: SocketAddr) -> Result<Claim, ApiError> {
    let present = app.fleet.with(id, |agent| match agent.link {
        Link::Polling { .. } => {
            agent.link = Link::Polling { address };
            Some(Claim { epoch: agent.epoch, outbox: Arc::clone(&agent.outbox) })
        }
        Link::Socket { .. } | Link::Absent | Link::Closed { .. } => None,
    });
    match present {
        Some(Some(claim)) => Ok(claim),
        Some(None) | None => {
            displace_socket(app, id, address).await?;
            attach(app, id, Link::Polling { address })
        }
    }
}

fn attach(app: &App, id: AgentId, link: Link) -> Result<Claim, ApiError> {
    let epoch = app.fleet.next_epoch();
    let outbox = app.fleet.attach(id, epoch, link).ok_or_else(|| removed(id))?;
    Ok(Claim { epoch, outbox })
}

fn removed(id: AgentId) -> ApiError {
    ApiError::unauthorised(
        "agent-removed",
        format!("agent {id} was removed from this controller; enrol it again with a new token"),
    )
}

async fn displace_socket(app: &App, id: AgentId, address: SocketAddr) -> Result<(), ApiError> {
    let present = app.fleet.with(id, |agent| match agent.link {
        Link::Socket { address } => Some((Arc::clone(&agent.outbox), address)),
        Link::Polling { .. } | Link::Absent | Link::Closed { .. } => None,
    });
    let Some(Some((outbox, other))) = present else { return Ok(()) };
    match tokio::time::timeout(app.config.probe, outbox.probe()).await {
        Ok(Ok(())) => {
            let reason = format!(
                "a second agent with this identity tried to connect from {} while this one was connected from {}: \
                 one of them uses a copy of the other's state folder; stop the copy, delete its state folder and \
                 enrol it with a token of its own, then release this agent",
                address.ip(),
                other.ip()
            );
            life::suspect(app, id, address.ip(), &reason).await;
            tracing::warn!(agent_id = %id, first = %other, second = %address, "second agent with one identity");
            Err(ApiError::forbidden(
                "identity-in-use",
                format!(
                    "agent {id} is connected from {} already: this agent uses a copy of its state folder; stop \
                     this one, delete its state folder and enrol it with a token of its own",
                    other.ip()
                ),
            ))
        }
        // Silent or just ended.
        Ok(Err(_)) | Err(_) => {
            tracing::info!(agent_id = %id, from = %other, to = %address, "agent is back, its dead connection is dropped");
            outbox.end(Farewell::Replaced);
            Ok(())
        }
    }
}
