//! What a message of an agent leads to, whatever it came over.

use super::admission::Admission;
use super::claim::Claim;
use super::overload::{Full, Place};
use crate::app::App;
use crate::audit_log::{Kind, Outgoing, Refusal};
use crate::fleet::agent::{CAPABILITIES, Received};
use crate::fleet::effective::TextId;
use crate::fleet::observed::effective_text;
use crate::fleet::redact::redact;
use crate::identity::ca::Issued;
use crate::identity::enrol::{self, Application, EnrolError};
use crate::identity::life;
use crate::store::{Batch, StoreError};
use jiff::Timestamp;
use muster_proto::opamp::capability::AgentFlags;
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{
    AgentIdentification, AgentToServer, CommandType, CustomMessage, RetryInfo, ServerErrorResponse,
    ServerErrorResponseType, ServerToAgent, ServerToAgentCommand,
};
use muster_proto::session::inspect::{self, InspectMessage};
use muster_proto::session::lease::{self, LeaseMessage};
use muster_shared::id::AgentId;
use std::net::IpAddr;

/// How long an agent shall wait when the controller could not store what it said.
const RETRY_NANOSECONDS: u64 = 5_000_000_000;

/// A connection.
#[derive(Debug, Clone)]
pub struct Channel {
    /// What it may do.
    pub admission: Admission,
    /// The right to talk for the agent; absent while it enrols or renews.
    pub claim: Option<Claim>,
    /// The other end.
    pub from: IpAddr,
    /// URL that the agent dialled.
    pub endpoint: String,
}

impl Channel {
    /// The known agent that talks here.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        match &self.admission {
            Admission::Agent { id } => Some(*id),
            Admission::Foreign { agent, .. } => *agent,
            Admission::Renewing { .. } | Admission::Enrolling { .. } => None,
        }
    }
}

/// What to do after a message.
#[derive(Debug)]
pub enum Verdict {
    /// Answer and go on.
    Answer(Box<ServerToAgent>),
    /// Answer and end the connection: the message broke a rule.
    Refuse(Box<ServerToAgent>),
}

impl Verdict {
    /// Answer and go on.
    #[must_use]
    pub fn answer(reply: ServerToAgent) -> Self {
        Self::Answer(Box::new(reply))
    }

    /// Answer and end the connection.
    #[must_use]
    pub fn refuse(reply: ServerToAgent) -> Self {
        Self::Refuse(Box::new(reply))
    }

    /// The answer.
    #[must_use]
    pub fn into_reply(self) -> Box<ServerToAgent> {
        match self {
            Self::Answer(reply) | Self::Refuse(reply) => reply,
        }
    }
}

/// An answer that refuses a message.
#[must_use]
pub fn refusal(uid: &[u8], text: impl Into<String>) -> ServerToAgent {
    error(uid, ServerErrorResponseType::BadRequest, text, None)
}

/// An answer that tells something; nothing is to be repeated.
#[must_use]
pub fn warning(uid: &[u8], text: impl Into<String>) -> ServerToAgent {
    error(uid, ServerErrorResponseType::Unknown, text, None)
}

/// A command, which travels alone: whatever else were in the message would be ignored.
#[must_use]
pub fn restart_command(uid: &[u8]) -> ServerToAgent {
    ServerToAgent {
        instance_uid: uid.to_vec(),
        capabilities: CAPABILITIES.0,
        command: Some(ServerToAgentCommand { r#type: CommandType::Restart.into() }),
        ..ServerToAgent::default()
    }
}

/// The answer says nothing that is lost if a command takes its place.
#[must_use]
pub fn says_nothing(reply: &ServerToAgent) -> bool {
    *reply
        == ServerToAgent {
            instance_uid: reply.instance_uid.clone(),
            capabilities: reply.capabilities,
            ..ServerToAgent::default()
        }
}

pub(super) fn unavailable(uid: &[u8], text: impl Into<String>) -> ServerToAgent {
    unavailable_for(uid, text, RETRY_NANOSECONDS)
}

/// An answer that asks for patience.
fn overloaded(uid: &[u8], full: Full) -> Verdict {
    Verdict::answer(unavailable_for(uid, "many agents want the same at the same time", full.nanoseconds()))
}

fn unavailable_for(uid: &[u8], text: impl Into<String>, nanoseconds: u64) -> ServerToAgent {
    let details = Details::RetryInfo(RetryInfo { retry_after_nanoseconds: nanoseconds });
    error(uid, ServerErrorResponseType::Unavailable, text, Some(details))
}

fn error(
    uid: &[u8],
    kind: ServerErrorResponseType,
    text: impl Into<String>,
    details: Option<Details>,
) -> ServerToAgent {
    let response = ServerErrorResponse { r#type: kind.into(), error_message: text.into(), details };
    ServerToAgent { instance_uid: uid.to_vec(), error_response: Some(response), ..ServerToAgent::default() }
}

/// Handles one message, and takes out of it what is stored. What it changes is durable before this returns.
pub async fn process(app: &App, channel: &Channel, message: &mut AgentToServer) -> Verdict {
    let uid = &message.instance_uid;
    let Ok(bytes) = <[u8; 16]>::try_from(uid.as_slice()) else {
        let text = format!("instance_uid has {} bytes instead of 16", uid.len());
        return Verdict::refuse(refusal(uid, text));
    };
    let sender = AgentId(uuid::Uuid::from_bytes(bytes));
    match &channel.admission {
        Admission::Agent { id } if asks_for_uid(message) => Verdict::answer(identified(message, *id)),
        Admission::Agent { id } | Admission::Renewing { id, .. } if *id != sender => {
            Box::pin(refuse_other(app, channel, *id, sender)).await
        }
        Admission::Agent { id } => agent(app, channel, *id, message).await,
        Admission::Renewing { id, expired } => match enrol::request_in(message) {
            Some(csr) => Verdict::answer(
                Box::pin(renewed(app, channel, *id, csr, Some(*expired), plain(message))).await,
            ),
            None => {
                let text = format!(
                    "the certificate of agent {id} expired at {expired}: nothing but a certificate request is \
                     taken until it is renewed"
                );
                Verdict::answer(refusal(uid, text))
            }
        },
        Admission::Enrolling { token } => Box::pin(enrolling(app, channel, token, sender, message)).await,
        Admission::Foreign { agent: Some(id), .. } if *id == sender => {
            agent(app, channel, *id, message).await
        }
        // `foreign::settle` leaves nothing else.
        Admission::Foreign { .. } => Verdict::refuse(refusal(uid, "the token is bound to another agent")),
    }
}

/// The message names another agent than the certificate.
async fn refuse_other(app: &App, channel: &Channel, id: AgentId, sender: AgentId) -> Verdict {
    tracing::warn!(agent_id = %id, claimed = %sender, from = %channel.from, "agent claims another identity");
    let action = Outgoing::by_agent("agent.refused", id, channel.from)
        .detail(format!("its message claims to be agent {sender}"));
    if let Err(error) = app.commit(Batch::new(), action).await {
        tracing::error!(error = &error as &dyn std::error::Error, "refusal not in the audit log");
    }
    let text = format!(
        "instance_uid {sender} is not the agent {id} that the client certificate names; this agent uses \
         the certificate of another one: enrol it with a token of its own"
    );
    Verdict::refuse(refusal(sender.0.as_bytes(), text))
}

fn asks_for_uid(message: &AgentToServer) -> bool {
    AgentFlags(message.flags).has(AgentFlags::REQUEST_INSTANCE_UID)
}

/// An answer that tells the sender its uid; nothing else of its message is taken.
pub(super) fn identified(message: &AgentToServer, id: AgentId) -> ServerToAgent {
    let identification = AgentIdentification { new_instance_uid: id.0.as_bytes().to_vec() };
    ServerToAgent { agent_identification: Some(identification), ..plain(message) }
}

/// An answer without news.
fn plain(message: &AgentToServer) -> ServerToAgent {
    ServerToAgent {
        instance_uid: message.instance_uid.clone(),
        capabilities: CAPABILITIES.0,
        ..ServerToAgent::default()
    }
}

/// What a message led to, before that is stored.
struct Taken {
    reply: ServerToAgent,
    /// There is something to store.
    changed: bool,
    /// The effective configuration that came with it.
    effective: Option<String>,
    /// Among the full reports that are worked on.
    _place: Option<Place>,
}

async fn agent(app: &App, channel: &Channel, id: AgentId, message: &mut AgentToServer) -> Verdict {
    // Boxed, and given back before thousands wait for one flush.
    let mut taken = match Box::pin(take(app, channel, id, message)).await {
        Ok(taken) => taken,
        Err(verdict) => return verdict,
    };
    if let Err(error) = persist(app, id, taken.changed, taken.effective.take()).await {
        tracing::error!(agent_id = %id, error = &error as &dyn std::error::Error, "agent state not stored");
        return Verdict::answer(unavailable(&message.instance_uid, error.to_string()));
    }
    match (enrol::request_in(message), &channel.admission) {
        (Some(_), Admission::Foreign { .. }) => Verdict::answer(refusal(
            &message.instance_uid,
            "a foreign agent has its token and gets no certificate; to have one, enrol it with an enrolment token",
        )),
        (Some(csr), Admission::Agent { .. } | Admission::Renewing { .. } | Admission::Enrolling { .. }) => {
            // Rare, and large: apart from what every connection keeps room for.
            Verdict::answer(Box::pin(renewed(app, channel, id, csr, None, taken.reply)).await)
        }
        (None, _) => Verdict::answer(taken.reply),
    }
}

/// Takes what an agent says, and out of the message what is of no use any more then.
///
/// # Errors
/// The verdict, if nothing is taken.
async fn take(
    app: &App,
    channel: &Channel,
    id: AgentId,
    message: &mut AgentToServer,
) -> Result<Box<Taken>, Verdict> {
    let now = Timestamp::now();
    // A full report is what a fleet has to say when something happened to all of it at once.
    let place = match message.agent_description.as_ref().map(|_| app.gates.reporting.enter()) {
        Some(Err(full)) => return Err(overloaded(&message.instance_uid, full)),
        Some(Ok(place)) => Some(place),
        None => None,
    };
    let epoch = channel.claim.as_ref().map_or(0, |c| c.epoch);
    // What decides whether they are needed stands in these parts only.
    let tells = message.agent_description.is_some() || message.connection_settings_status.is_some();
    let settings = tells.then(|| {
        let heartbeat = app.config.heartbeat_seconds;
        enrol::pace_offer(&app.authority.trust(), &channel.endpoint, heartbeat)
    });
    let received = app.fleet.with_epoch(id, epoch, |agent| {
        let mut received = agent.receive(message, now);
        if let Some(settings) = settings
            && agent.needs_settings(message, &settings)
        {
            received.reply.connection_settings = Some(settings);
        }
        received.reply.packages_available = agent.offer_packages(&channel.endpoint, now);
        received
    });
    let Some(Received { reply, changed, suspicion }) = received else {
        let text = "this connection was replaced by a newer one, or the agent was removed";
        return Err(Verdict::refuse(refusal(&message.instance_uid, text)));
    };
    if let Some(reason) = suspicion {
        Box::pin(life::suspect(app, id, channel.from, &reason)).await;
    }
    if message.agent_description.is_some() {
        if let Err(error) = Box::pin(life::look_at_place(app, id, channel.from)).await {
            tracing::error!(agent_id = %id, error = &error as &dyn std::error::Error, "partition not stored");
        }
        life::remind(app, id, epoch);
    }
    if let Some(custom) = message.custom_message.take() {
        hear_custom(app, channel, id, epoch, &custom);
    }
    let effective = shown_config(channel, message);
    if let Some(text) = &effective {
        Box::pin(crate::incarnation::lost::note_running(app, id, text)).await;
    }
    (message.agent_description, message.health, message.effective_config) = (None, None, None);
    Ok(Box::new(Taken { reply, changed, effective, _place: place }))
}

fn hear_custom(app: &App, channel: &Channel, id: AgentId, connection: u64, custom: &CustomMessage) {
    match custom.capability.as_str() {
        inspect::CAPABILITY => {
            if let Ok(InspectMessage::Reply(answer)) = InspectMessage::from_custom(custom) {
                app.inspect.hear(id, answer);
            }
        }
        lease::CAPABILITY if matches!(channel.admission, Admission::Agent { .. }) => {
            if let Ok(LeaseMessage::Claim(said)) = LeaseMessage::from_custom(custom)
                && app.leases.hear(&app.fleet, id, connection, &said)
                && let Some(claim) = &channel.claim
            {
                claim.outbox.leases_changed();
            }
        }
        // Rates were taken with the rest of the message; what else there is this controller does not know.
        _ => {}
    }
}

/// What the agent of a connection has to be told of its leases.
pub(super) fn lease_order(app: &App, channel: &Channel) -> Option<CustomMessage> {
    let order = app.leases.order_for(&app.fleet, channel.agent()?)?;
    Some(LeaseMessage::Order(order).to_custom())
}

/// The effective configuration as it is kept. Our own agents send policies, which hold no secrets; a foreign
/// agent sends whatever it runs.
fn shown_config(channel: &Channel, message: &AgentToServer) -> Option<String> {
    let text = effective_text(message)?;
    match channel.admission {
        Admission::Foreign { .. } => Some(redact(&text)),
        Admission::Agent { .. } | Admission::Renewing { .. } | Admission::Enrolling { .. } => Some(text),
    }
}

/// Stores what changed, and the effective configuration that came with it. What could not be stored counts as
/// changed until it is.
///
/// # Errors
/// If the store fails.
pub async fn persist(
    app: &App,
    id: AgentId,
    changed: bool,
    effective: Option<String>,
) -> Result<(), StoreError> {
    let texts = app.fleet.texts();
    let text_id = effective.as_deref().map(TextId::of);
    let _kept = match text_id {
        Some(_) => Some(texts.keep().await),
        None => None,
    };
    let mut batch = Batch::new();
    let unstored = app.fleet.with(id, |agent| {
        let other = text_id.is_some_and(|text| agent.take_effective(text));
        (changed || other).then(|| agent.add_unstored(&mut batch))
    });
    let Some(version) = unstored else { return Ok(()) };
    if let (Some(text_id), Some(text)) = (text_id, effective) {
        texts.add_to(&mut batch, text_id, &text);
    }
    app.store.apply(batch).await?;
    if let Some(text_id) = text_id {
        texts.note_stored(text_id);
    }
    if let Some(version) = version {
        app.fleet.with(id, |agent| agent.persisted(version));
    }
    Ok(())
}

/// Stores when an agent was last heard; called when it leaves.
pub async fn persist_last_seen(app: &App, id: AgentId) {
    let mut batch = Batch::new();
    let Some(version) = app.fleet.with(id, |agent| agent.add_last_seen(&mut batch)) else { return };
    match app.store.apply(batch).await {
        Ok(()) => {
            app.fleet.with(id, |agent| agent.persisted(version));
        }
        Err(error) => tracing::warn!(agent_id = %id, %error, "last contact not stored"),
    }
}

async fn renewed(
    app: &App,
    channel: &Channel,
    id: AgentId,
    csr: &[u8],
    expired: Option<Timestamp>,
    reply: ServerToAgent,
) -> ServerToAgent {
    let _place = match app.gates.enrolling.enter() {
        Ok(place) => place,
        Err(full) => return *overloaded(id.0.as_bytes(), full).into_reply(),
    };
    let result = enrol::renew(app, id, csr, channel.from, expired).await;
    with_certificate(app, channel, id, result, reply)
}

async fn enrolling(
    app: &App,
    channel: &Channel,
    token: &str,
    sender: AgentId,
    message: &AgentToServer,
) -> Verdict {
    if asks_for_uid(message) {
        return Verdict::answer(identified(message, AgentId(uuid::Uuid::now_v7())));
    }
    let Some(application) = Application::from_message(sender, message) else {
        return Verdict::answer(plain(message));
    };
    let _place = match app.gates.enrolling.enter() {
        Ok(place) => place,
        Err(full) => return overloaded(&message.instance_uid, full),
    };
    let result = enrol::enrol(app, token, &application, channel.from).await;
    if let Err(EnrolError::Refused(why)) = &result {
        let reason = format!("agent {sender}: {why}");
        let (kind, object) = (Kind::EnrolmentToken, token.to_owned());
        let refusal = Refusal { kind, from: channel.from, user: None, object, reason };
        app.refused(refusal, Timestamp::now()).await;
    }
    Verdict::answer(with_certificate(app, channel, sender, result, plain(message)))
}

fn with_certificate(
    app: &App,
    channel: &Channel,
    id: AgentId,
    result: Result<Issued, EnrolError>,
    mut reply: ServerToAgent,
) -> ServerToAgent {
    match result {
        Ok(issued) => {
            let trust = app.authority.trust();
            reply.connection_settings =
                Some(enrol::offer(&trust, &issued, &channel.endpoint, app.config.heartbeat_seconds));
            reply
        }
        // Unanswered: whoever waits for approval goes on asking.
        Err(EnrolError::Waiting) => reply,
        Err(error) => {
            tracing::warn!(
                agent_id = %id, from = %channel.from, error = &error as &dyn std::error::Error,
                "certificate request refused"
            );
            let uid = id.0.as_bytes();
            if error.is_ours() {
                unavailable(uid, error.to_string())
            } else {
                refusal(uid, error.to_string())
            }
        }
    }
}
