//! Who may talk OpAMP: an agent with its certificate, or a new one with an enrolment token.

use crate::app::App;
use crate::audit_log::{Kind, Refusal};
use crate::fleet::AgentRecord;
use crate::fleet::link::Link;
use crate::fleet::record::{Life, Standing};
use crate::gateway::outbox::Farewell;
use crate::gateway::websocket::{heard, met, proven};
use crate::http::detached;
use crate::http::error::ApiError;
use crate::identity::foreign::{self, ForeignRefusal};
use crate::identity::peer::{ConnectionInfo, Peer};
use crate::identity::token::{TokenRecord, TokenRefusal};
use crate::incarnation::lost;
use crate::store::{self, Batch, Condition, StoreError};
use actix_web::{HttpRequest, web};
use jiff::{SignedDuration, Timestamp};
use muster_proto::session::token::PREFIX;
use muster_proto::session::{EnrolmentToken, ForeignToken, foreign_token};
use muster_shared::id::AgentId;

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
    /// It is a foreign OpAMP agent with its token.
    Foreign {
        /// Id of the token.
        token: String,
        /// The agent that the token is bound to; none before its first message.
        agent: Option<AgentId>,
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
        (_, Some(text)) if text.starts_with(PREFIX) => {
            noted(app, Kind::EnrolmentToken, connection, now, admit_token(app, text, now)).await
        }
        (_, Some(text)) if text.starts_with(foreign_token::PREFIX) => {
            noted(app, Kind::ForeignToken, connection, now, admit_foreign(app, text, now)).await
        }
        (Some(peer), _) => admit_peer(app, peer, now).await,
        (None, _) => Err(ApiError::unauthorised(
            "no-credential",
            "this path needs a client certificate of this controller's authority; enrol the agent with a token \
             (`muster token create`, then `muster-agent enrol`)",
        )),
    }
}

/// Why a token lets nobody in.
struct Denied {
    /// The answer.
    error: ApiError,
    /// Id of the token as far as it is known, and what is wrong, for the audit log; none if the store failed.
    noted: Option<(String, String)>,
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self { error: error.into(), noted: None }
    }
}

impl Denied {
    fn new(id: &str, code: &str, reason: &str) -> Self {
        let noted = Some((id.to_owned(), reason.to_owned()));
        Self { error: ApiError::unauthorised(code, reason), noted }
    }

    /// What the audit log says instead of what whoever asks is told.
    fn in_truth(self, reason: &str) -> Self {
        Self { noted: self.noted.map(|(id, _)| (id, reason.to_owned())), ..self }
    }
}

/// What a token led to, a refusal noted in the audit log.
async fn noted(
    app: &App,
    kind: Kind,
    connection: &ConnectionInfo,
    now: Timestamp,
    admitted: Result<Admission, Denied>,
) -> Result<Admission, ApiError> {
    match admitted {
        Ok(admission) => Ok(admission),
        Err(Denied { error, noted }) => {
            if let Some((object, reason)) = noted {
                let from = connection.address.ip();
                app.refused(Refusal { kind, from, user: None, object, reason }, now).await;
            }
            Err(error)
        }
    }
}

/// What the audit log says of a token whose id is known and whose secret is another one: it was altered or guessed.
const WRONG_SECRET: &str = "the secret of the token is wrong: it was altered or guessed";

/// The agent whose valid certificate a request carries that is not OpAMP.
///
/// # Errors
/// 401 with the reason and what to do.
pub(crate) async fn by_certificate(app: &web::Data<App>, request: &HttpRequest) -> Result<AgentId, ApiError> {
    let connection = crate::http::connection(request)?;
    let (from, met) = (connection.address.ip(), met(request.head()));
    proven(app, &connection, met.clone()).await?;
    let admission = {
        let app = app.clone();
        // Noting the first use of a certificate is finished whatever becomes of the request.
        detached(async move { admit(&app, &connection, None, Timestamp::now()).await }).await?
    };
    heard(app, &admission, from, met).await?;
    match admission {
        Admission::Agent { id } => Ok(id),
        Admission::Renewing { .. } | Admission::Enrolling { .. } | Admission::Foreign { .. } => {
            Err(ApiError::unauthorised(
                "certificate-expired",
                "the agent's certificate expired; it has to be renewed first",
            ))
        }
    }
}

fn admit_foreign(app: &App, text: &str, now: Timestamp) -> Result<Admission, Denied> {
    let token = ForeignToken::parse(text).map_err(|e| Denied::new("", "token-malformed", &e.to_string()))?;
    let id = token.id.to_string();
    let refuse = |refusal: ForeignRefusal| Denied::new(&id, refusal.code(), &refusal.to_string());
    let record = foreign::stored(app, &id)?.ok_or_else(|| refuse(ForeignRefusal::Unknown))?;
    record.check(&token, now).map_err(|refusal| match refusal {
        ForeignRefusal::Unknown => refuse(refusal).in_truth(WRONG_SECRET),
        ForeignRefusal::Expired { .. } => refuse(refusal),
    })?;
    let life =
        record.agent.and_then(|id| app.fleet.with(id, |a| a.record.life.clone()).map(|life| (id, life)));
    if let Some((agent, life)) = life
        && let Some(text) = revocation(agent, &life, "delete its token, and give it a new one")
    {
        return Err(Denied::new(&id, "agent-revoked", &text));
    }
    Ok(Admission::Foreign { token: id, agent: record.agent })
}

fn not_revoked(id: AgentId, life: &Life, what_to_do: &str) -> Result<(), ApiError> {
    match revocation(id, life, what_to_do) {
        Some(text) => Err(ApiError::unauthorised("agent-revoked", text)),
        None => Ok(()),
    }
}

/// What a revoked agent is told; `None` if it is not revoked.
pub(super) fn revocation(id: AgentId, life: &Life, what_to_do: &str) -> Option<String> {
    let Life::Revoked(hold) = life else { return None };
    let why = if hold.reason.is_empty() { String::new() } else { format!(": {}", hold.reason) };
    Some(format!(
        "agent {id} was revoked by {} at {}{why}; if it is to come back, {what_to_do}",
        hold.by, hold.at
    ))
}

/// How an agent with a certificate comes back after it was revoked.
pub(super) const ENROL_ANEW: &str = "enrol it anew with a new token";

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
    let present = app.fleet.with(id, |a| (a.record.standing(&peer.serial), a.record.life.clone()));
    if let Some((_, life)) = &present {
        not_revoked(id, life, ENROL_ANEW)?;
    }
    match present.map(|(standing, _)| standing) {
        None if lost::note_unknown(app, peer).await? => {
            return Err(refused("is of after the backup from which this controller was restored"));
        }
        None => return Err(refused("was revoked: the agent was removed from this controller")),
        Some(Standing::Unknown) if lost::take_over(app, peer).await? => end_retired(app, id),
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
    let grace = SignedDuration::try_from(app.config.renewal_grace).unwrap_or(SignedDuration::MAX);
    if now.duration_since(peer.not_after) <= grace {
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
    // Others may note first uses at the same time; what they write does not depend on each other.
    let _uses = app.fleet.record_uses().await;
    let Some(record) = app.fleet.with(peer.agent, |a| a.record.clone()) else { return Ok(()) };
    let (next, retired) = record.after_first_use(&peer.serial);
    let mut batch = Batch::new();
    batch.put_json(AgentRecord::key(peer.agent), Condition::Any, &next);
    let renewed = retired.is_some();
    if let Some(key) = retired {
        batch.delete(AgentRecord::owner_key(&key), Condition::Any);
    }
    app.store.apply(batch).await?;
    app.fleet.install(next, &app.book);
    if renewed {
        end_retired(app, peer.agent);
    }
    Ok(())
}

/// What a retired certificate opened ends, and is not taken for a second agent.
fn end_retired(app: &App, agent: AgentId) {
    let at = Timestamp::now();
    app.fleet.with(agent, |agent| {
        agent.outbox.end(Farewell::Replaced);
        if matches!(agent.link, Link::Socket { .. } | Link::Polling { .. }) {
            agent.link = Link::Closed { at };
        }
    });
}

fn admit_token(app: &App, text: &str, now: Timestamp) -> Result<Admission, Denied> {
    let token =
        EnrolmentToken::parse(text).map_err(|e| Denied::new("", "token-malformed", &e.to_string()))?;
    let id = token.id.to_string();
    let refuse = |refusal: TokenRefusal| Denied::new(&id, refusal.code(), &refusal.to_string());
    let record = store::get_json::<TokenRecord>(&*app.store, &TokenRecord::key(&id))?;
    let record = record.ok_or_else(|| refuse(TokenRefusal::Unknown))?;
    record.check(&token, now).map_err(|refusal| match refusal {
        TokenRefusal::Unknown => refuse(refusal).in_truth(WRONG_SECRET),
        TokenRefusal::Expired { .. } | TokenRefusal::UsedUp { .. } => refuse(refusal),
    })?;
    // A used-up token lets in those who enrolled with it and may not have heard so; the request then tells
    // whether it is one of them.
    let unconfirmed =
        || app.fleet.each(|a| a.record.token == id && !a.record.certificate.used).contains(&true);
    if record.is_used_up() && !unconfirmed() {
        return Err(refuse(TokenRefusal::UsedUp { id: id.clone(), uses: record.uses }));
    }
    Ok(Admission::Enrolling { token: id })
}
