//! Who may talk OpAMP: an agent with its certificate, or a new one with an enrolment token.

use crate::app::App;
use crate::fleet::AgentRecord;
use crate::fleet::record::Standing;
use crate::http::error::ApiError;
use crate::identity::peer::{ConnectionInfo, Peer};
use crate::identity::token::{TokenRecord, TokenRefusal};
use crate::store::{self, Batch, Condition};
use jiff::{SignedDuration, Timestamp};
use muster_proto::session::EnrolmentToken;
use muster_proto::session::token::PREFIX;
use muster_shared::id::AgentId;

/// How long after its expiry a certificate may still be used to renew it: a controller that was down over a
/// long holiday shall cost nobody a visit.
const RENEWAL_GRACE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What a connection may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is this agent.
    Agent {
        /// Who.
        id: AgentId,
    },
    /// It is this agent, but its certificate expired: it may renew it, nothing else.
    Renewing {
        /// Who.
        id: AgentId,
        /// When it expired.
        expired: Timestamp,
    },
    /// It has a token: it may enrol, nothing else.
    Enrolling {
        /// Id of the token.
        token: String,
    },
}

/// Decides by certificate first, by token where there is none.
///
/// # Errors
/// 401 with the reason and what to do.
pub async fn admit(
    app: &App,
    connection: &ConnectionInfo,
    authorization: Option<&str>,
    now: Timestamp,
) -> Result<Admission, ApiError> {
    match (&connection.peer, authorization.and_then(bearer)) {
        // An agent that enrols anew may still present its old certificate: the token says what it wants.
        (_, Some(text)) if text.starts_with(PREFIX) => admit_token(app, text, now),
        (Some(peer), _) => admit_peer(app, peer, now).await,
        (None, _) => Err(ApiError::unauthorised(
            "no-credential",
            "this path needs a client certificate of this controller's authority; enrol the agent with a token \
             (`muster token create`, then `muster-agent enrol`)",
        )),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn admit_peer(app: &App, peer: &Peer, now: Timestamp) -> Result<Admission, ApiError> {
    let id = peer.agent;
    let refused = |why: &str| {
        ApiError::unauthorised(
            "certificate-unknown",
            format!("the certificate of agent {id} {why}; enrol the agent again with a new token"),
        )
    };
    let standing = app.fleet.with(id, |a| a.record.standing(&peer.serial));
    match standing {
        None => return Err(refused("was revoked: the agent was removed from this controller")),
        Some(Standing::Unknown) => {
            return Err(refused(
                "was replaced by a newer one; if this is a copy of its state folder, delete it",
            ));
        }
        Some(Standing::Current) => {}
        Some(Standing::FirstUse) => first_use(app, peer).await?,
    }
    if now < peer.not_after {
        return Ok(Admission::Agent { id });
    }
    if now.duration_since(peer.not_after) <= RENEWAL_GRACE {
        return Ok(Admission::Renewing { id, expired: peer.not_after });
    }
    Err(ApiError::unauthorised(
        "certificate-expired",
        format!(
            "the certificate of agent {id} expired at {}, too long ago to renew it; enrol it again",
            peer.not_after
        ),
    ))
}

/// Notes the first use of a certificate, which retires the one before.
async fn first_use(app: &App, peer: &Peer) -> Result<(), ApiError> {
    let _writes = app.fleet.record_writes().await;
    let Some(record) = app.fleet.with(peer.agent, |a| a.record.clone()) else { return Ok(()) };
    let (next, retired) = record.after_first_use(&peer.serial);
    let mut batch = Batch::new();
    batch.put_json(AgentRecord::key(peer.agent), Condition::Any, &next);
    if let Some(key) = retired {
        batch.delete(AgentRecord::owner_key(&key), Condition::Any);
    }
    app.store.apply(batch).await?;
    app.fleet.install(next, &app.book);
    Ok(())
}

fn admit_token(app: &App, text: &str, now: Timestamp) -> Result<Admission, ApiError> {
    let token =
        EnrolmentToken::parse(text).map_err(|e| ApiError::unauthorised("token-malformed", e.to_string()))?;
    let id = token.id.to_string();
    let refuse = |refusal: TokenRefusal| ApiError::unauthorised(refusal.code(), refusal.to_string());
    let record = store::get_json::<TokenRecord>(&*app.store, &TokenRecord::key(&id))?;
    let record = record.ok_or_else(|| refuse(TokenRefusal::Unknown))?;
    record.check(&token, now).map_err(refuse)?;
    // A used-up token lets in those who enrolled with it and may not have heard so; the request then tells
    // whether it is one of them.
    let unconfirmed = |agent: AgentId| app.fleet.with(agent, |a| !a.record.certificate.used) == Some(true);
    if record.is_used_up() && !record.enrolled.iter().any(|e| unconfirmed(e.agent)) {
        return Err(refuse(TokenRefusal::UsedUp { id, uses: record.uses }));
    }
    Ok(Admission::Enrolling { token: id })
}
