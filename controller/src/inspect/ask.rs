//! One question, one answer.

use super::Asking;
use crate::app::App;
use crate::fleet::agent::Agent;
use crate::fleet::link::Link;
use jiff::Timestamp;
use muster_proto::api::{
    Connection, EventDetailView, EventView, PreviewSampleView, PreviewView, RecentEvents,
};
use muster_proto::session::inspect::{
    Answer, Ask, AskDiagnostics, AskEvent, AskPreview, AskRecent, InspectRefusalReason, InspectReply,
    InspectRequest, MAX_BUNDLE, MAX_EVENT, MAX_SAMPLES, PreviewReport,
};
use muster_shared::id::AgentId;
use muster_shared::policy::model::EffectivePolicy;
use std::time::Duration;

/// How long a connected agent has for its answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It is not there.
    #[error("agent {0} is not connected: only a connected agent can be looked into")]
    Away(AgentId),
    /// It cannot do it.
    #[error("agent {0} does not take such questions: it is older than this, or no Muster agent")]
    Unable(AgentId),
    /// Its version does not know the question.
    #[error(
        "agent {agent} runs version{version}, which cannot tell this; upgrade it to the controller's version"
    )]
    TooOld {
        /// Which.
        agent: AgentId,
        /// Its version with a space before it, as far as it is known.
        version: String,
    },
    /// It says no.
    #[error("agent {agent}: {text}")]
    Refused {
        /// Which.
        agent: AgentId,
        /// Its reason.
        reason: InspectRefusalReason,
        /// Its words.
        text: String,
    },
    /// It did not answer.
    #[error("agent {agent} did not answer within {} s{}", waited.as_secs(), if *polls { "; it polls, so that a question waits for its next poll" } else { "" })]
    Silent {
        /// Which.
        agent: AgentId,
        /// How long was waited.
        waited: Duration,
        /// It is reached only when it polls.
        polls: bool,
    },
    /// Too many questions.
    #[error("as many questions to agents are open as this controller allows; try again in a moment")]
    Busy,
    /// It answered something else.
    #[error("agent {0} answered in a way that cannot be read; is it of a newer release?")]
    Odd(AgentId),
}

/// How long to wait for an agent: one that polls hears a question at its next poll.
#[must_use]
pub fn deadline(link: Link, heartbeat_seconds: u64) -> (Duration, bool) {
    match link {
        Link::Polling { .. } => (PATIENCE + Duration::from_secs(heartbeat_seconds.min(600)), true),
        Link::Socket { .. } | Link::Absent | Link::Closed { .. } => (PATIENCE, false),
    }
}

/// Puts a question to an agent that is there.
///
/// # Errors
/// If it is away, takes no questions, or too many wait.
pub(super) fn put(app: &App, asking: &Asking, ask: Ask) -> Result<(Duration, bool), AskError> {
    let now = Timestamp::now();
    let put = |agent: &mut Agent| {
        if agent.connection(now) != Connection::Connected {
            return Err(AskError::Away(asking.agent));
        }
        if !agent.takes_inspect {
            return Err(AskError::Unable(asking.agent));
        }
        let (patience, polls) = deadline(agent.link, agent.record.heartbeat_seconds);
        let answer_within_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        let request = InspectRequest { id: asking.id.to_vec(), answer_within_ms, ask: Some(ask) };
        if agent.outbox.ask(request) { Ok((patience, polls)) } else { Err(AskError::Busy) }
    };
    app.fleet.with(asking.agent, put).unwrap_or(Err(AskError::Away(asking.agent)))
}

/// Asks, and gathers all parts.
async fn ask(app: &App, agent: AgentId, ask: Ask, max_parts: usize) -> Result<Vec<Answer>, AskError> {
    let mut asking = app.inspect.open(agent).ok_or(AskError::Busy)?;
    let (patience, polls) = put(app, &asking, ask)?;
    let gather = async {
        let mut answers = Vec::new();
        while let Some(reply) = asking.next().await {
            let last = reply.last;
            if answers.len() >= max_parts || reply.part as usize != answers.len() {
                return Err(AskError::Odd(agent));
            }
            answers.push(answer(agent, reply)?);
            if last {
                return Ok(answers);
            }
        }
        Err(AskError::Odd(agent))
    };
    let silent = AskError::Silent { agent, waited: patience, polls };
    tokio::time::timeout(patience, gather).await.unwrap_or(Err(silent))
}

/// The answer in a part; a refusal is an error.
pub(super) fn answer(agent: AgentId, reply: InspectReply) -> Result<Answer, AskError> {
    match reply.answer {
        Some(Answer::Refusal(refusal)) => Err(AskError::Refused {
            agent,
            reason: refusal.reason(),
            text: crate::fleet::bounded(&refusal.text, 1_024),
        }),
        Some(answer) => Ok(answer),
        None => Err(AskError::Odd(agent)),
    }
}

/// Recent events of an agent.
///
/// # Errors
/// [`AskError`].
pub async fn recent(app: &App, agent: AgentId, filter: String, limit: u32) -> Result<RecentEvents, AskError> {
    let answers = ask(app, agent, Ask::Recent(AskRecent { filter, limit }), 64).await?;
    let mut all = RecentEvents { agent, held: 0, matched: 0, events: Vec::new() };
    for answer in answers {
        let Answer::Recent(part) = answer else { return Err(AskError::Odd(agent)) };
        (all.held, all.matched) = (part.held, part.matched);
        for json in &part.events {
            all.events.push(event(json).ok_or(AskError::Odd(agent))?);
        }
    }
    Ok(all)
}

/// What a policy would do to the recent events of an agent.
///
/// # Errors
/// [`AskError`].
pub async fn preview(
    app: &App,
    agent: AgentId,
    candidate: &EffectivePolicy,
) -> Result<PreviewView, AskError> {
    let candidate = crate::store::encode(candidate);
    let question = Ask::Preview(AskPreview { candidate, samples: MAX_SAMPLES });
    let answers = ask(app, agent, question, 1).await?;
    match answers.into_iter().next() {
        Some(Answer::Preview(report)) => preview_view(report).ok_or(AskError::Odd(agent)),
        _ => Err(AskError::Odd(agent)), // anything else that an agent may send
    }
}

fn preview_view(report: PreviewReport) -> Option<PreviewView> {
    let sample = |sample: &muster_proto::session::inspect::PreviewSample| {
        let event = event(&sample.event)?;
        Some(PreviewSampleView { change: sample.change.clone(), rule: sample.rule.clone(), event })
    };
    Some(PreviewView {
        events: report.events,
        kept_now: report.kept_now,
        kept_then: report.kept_then,
        newly_dropped: report.newly_dropped,
        newly_kept: report.newly_kept,
        rerouted: report.rerouted,
        samples: report.samples.iter().take(MAX_SAMPLES as usize).map(sample).collect::<Option<_>>()?,
        dropped_by_rule: report.dropped_by_rule,
        kept_from_rule: report.kept_from_rule,
    })
}

/// The diagnostics bundle of an agent.
///
/// # Errors
/// [`AskError`].
pub async fn diagnostics(app: &App, agent: AgentId, with_events: bool) -> Result<Vec<u8>, AskError> {
    let answers = ask(app, agent, Ask::Diagnostics(AskDiagnostics { with_events }), 64).await?;
    let piece = |answer| if let Answer::Bundle(piece) = answer { Some(piece) } else { None };
    joined(answers, piece, MAX_BUNDLE).ok_or(AskError::Odd(agent))
}

/// One event of an agent, with all that is known of it.
///
/// # Errors
/// [`AskError`].
pub async fn one(app: &App, agent: AgentId, event_id: String) -> Result<EventDetailView, AskError> {
    let answers = ask(app, agent, Ask::Event(AskEvent { event_id }), 64).await.map_err(|error| {
        // An agent that knows the question finds nothing wrong with it.
        let unknown = matches!(error, AskError::Refused { reason: InspectRefusalReason::Invalid, .. });
        if unknown { too_old(app, agent) } else { error }
    })?;
    let piece = |answer| if let Answer::Event(piece) = answer { Some(piece) } else { None };
    let text = joined(answers, piece, MAX_EVENT).ok_or(AskError::Odd(agent))?;
    let detail = serde_json::from_slice(&text).map_err(|_| AskError::Odd(agent))?;
    Ok(EventDetailView { agent, detail })
}

fn too_old(app: &App, agent: AgentId) -> AskError {
    let version = app.fleet.with(agent, |agent| agent.observed.version()).flatten();
    AskError::TooOld { agent, version: version.map(|version| format!(" {version}")).unwrap_or_default() }
}

/// The pieces of an answer as one; `None` if there is something else among them, or too much.
fn joined(answers: Vec<Answer>, piece: impl Fn(Answer) -> Option<Vec<u8>>, most: usize) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for answer in answers {
        let piece = piece(answer)?;
        if all.len() + piece.len() > most {
            return None;
        }
        all.extend_from_slice(&piece);
    }
    Some(all)
}

/// An event as the agent wrote it.
pub(super) fn event(json: &[u8]) -> Option<EventView> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_polls_is_given_its_interval() {
        let address = "127.0.0.1:1".parse().unwrap();
        assert_eq!(deadline(Link::Socket { address }, 30), (Duration::from_secs(20), false));
        assert_eq!(deadline(Link::Polling { address }, 30), (Duration::from_secs(50), true));
        assert_eq!(deadline(Link::Polling { address }, u64::MAX).0, Duration::from_secs(620));
        let silent = AskError::Silent {
            agent: AgentId(uuid::Uuid::nil()),
            waited: Duration::from_secs(50),
            polls: true,
        };
        assert!(
            silent.to_string().ends_with("within 50 s; it polls, so that a question waits for its next poll")
        );
    }
}
