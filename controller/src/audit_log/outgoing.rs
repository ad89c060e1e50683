//! Entries on their way into the log.

use crate::store::{self, Batch, Condition};
use jiff::Timestamp;
use muster_shared::event::is_known_action;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

/// Prefix of the keys of entries that are not in the file yet.
pub(crate) const OUTBOX: &str = "audit/";
/// Longest detail, in bytes.
const MAX_DETAIL: usize = 4_096;
/// Largest value before or after, as JSON; a larger one is named by its size only.
pub(super) const MAX_VALUE: usize = 16 * 1024;

/// Who acts, from where, and by what right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor<'a> {
    /// A user, or a name under which the product itself acts.
    pub name: &'a str,
    /// Address.
    pub from: IpAddr,
    /// Id of the API token that stood for the user; none if it was the person.
    pub token: Option<&'a str>,
}

impl<'a> Actor<'a> {
    /// A person, or the product itself: no API token.
    #[must_use]
    pub const fn new(name: &'a str, from: IpAddr) -> Self {
        Self { name, from, token: None }
    }
}

/// An entry on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// From where.
    pub from: String,
    /// Id of the API token by which it was done, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What.
    pub action: String,
    /// On what.
    pub object: String,
    /// Further detail.
    pub detail: String,
    /// What it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Outgoing {
    /// By a user, or an API token of that user.
    #[must_use]
    pub fn by_user(actor: Actor<'_>, action: &str, object: impl Into<String>) -> Self {
        // Tests find a new action that a SIEM would not be told apart from others.
        debug_assert!(is_known_action(action), "`{action}` needs a row in shared/src/event/controller.rs");
        Self {
            at: Timestamp::now(),
            actor: actor.name.to_owned(),
            from: actor.from.to_string(),
            token: actor.token.map(str::to_owned),
            action: action.to_owned(),
            object: object.into(),
            detail: String::new(),
            before: None,
            after: None,
        }
    }

    /// By an agent, on itself.
    #[must_use]
    pub fn by_agent(action: &str, agent: AgentId, from: IpAddr) -> Self {
        Self::by_user(Actor::new(&format!("agent {agent}"), from), action, agent.to_string())
    }

    /// With further detail.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: crate::fleet::bounded(&detail.into(), MAX_DETAIL), ..self }
    }

    /// With what it was and what it is; `Null` for what is not there. Never a secret.
    #[must_use]
    pub fn change(self, before: impl Serialize, after: impl Serialize) -> Self {
        Self { before: small(&before), after: small(&after), ..self }
    }

    /// Adds it to the batch of the action.
    pub fn add_to(&self, batch: &mut Batch) {
        batch.put_json(format!("{OUTBOX}{}", uuid::Uuid::now_v7()), Condition::Absent, self);
    }
}

fn small(value: &impl Serialize) -> Option<Value> {
    let text = store::encode(value);
    if text.len() > MAX_VALUE {
        return Some(Value::String(format!("{} bytes", text.len())));
    }
    serde_json::from_slice(&text).ok().filter(|v: &Value| !v.is_null())
}
