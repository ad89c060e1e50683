//! Limits that an agent's own configuration sets and no policy can widen: whoever holds the controller
//! still cannot send the events elsewhere, read other journals, or hide the entry types that matter most.
//!
//! Promises: [`Limits::breaches`] is decided from the text of the policy alone, on the safe side: what might
//! drop a protected entry is refused, what cannot is allowed. Refuses: patterns without meaning.

mod never_drop;
mod receiver;
#[cfg(test)]
mod tests;

use super::filter::{EntryType, NoEntryType};
use super::model::{AuditJournalSpec, EffectivePolicy, PolicySpec, SourceSpec, TransportSpec};
use super::pattern::{ObjectPattern, PatternError};
use receiver::Receiver;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Limits as configured, and as the agent shows them to its controller. An absent list limits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitsSpec {
    /// Receivers that events may be sent to: `siem.example.com:6514`, `tls://*.example.com`,
    /// `10.1.0.0/16:514-520`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<String>>,
    /// Journals that may be read: `QSYS/QAUDJRN`, `PAYROLL/*ALL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journals: Option<Vec<String>>,
    /// Queues that may be read; a queue that is read is emptied, so without a list none may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// Entry types that every policy must collect, keep and deliver: `AF`, `AF_A`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never_drop: Vec<String>,
}

impl LimitsSpec {
    /// Nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A limit without meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No receiver.
    #[error(
        "destinations: `{pattern}` {reason}; write HOST:PORT such as siem.example.com:6514, tls://*.example.com or 10.1.0.0/16:514-520"
    )]
    Destination {
        /// What was written.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// No journal or queue.
    #[error("{list}: {error}")]
    Object {
        /// `journals` or `queues`.
        list: &'static str,
        /// What is wrong.
        error: PatternError,
    },
    /// No entry type.
    #[error("never_drop: {0}")]
    EntryType(#[from] NoEntryType),
}

/// A limit that a policy does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// `destinations`, `journals` or `never_drop`.
    pub limit: &'static str,
    /// Where in the policy.
    pub path: String,
    /// The value or the entry type that the limit is about, and what is wrong with it.
    pub problem: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit `{}`: {}: {}", self.limit, self.path, self.problem)
    }
}

/// Limits ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    spec: LimitsSpec,
    destinations: Option<Vec<Receiver>>,
    journals: Option<Vec<ObjectPattern>>,
    queues: Option<Vec<ObjectPattern>>,
    never_drop: Vec<EntryType>,
}

impl Limits {
    /// Reads limits.
    ///
    /// # Errors
    /// [`LimitError`] for the first pattern that has no meaning.
    pub fn build(spec: LimitsSpec) -> Result<Self, LimitError> {
        let objects = |list: &'static str, texts: &Option<Vec<String>>| {
            let read = |text: &String| {
                ObjectPattern::parse(text).map_err(|error| LimitError::Object { list, error })
            };
            texts.as_ref().map(|texts| texts.iter().map(read).collect::<Result<Vec<_>, _>>()).transpose()
        };
        let receivers =
            spec.destinations.as_ref().map(|texts| texts.iter().map(|t| Receiver::parse(t)).collect());
        Ok(Self {
            destinations: receivers.transpose()?,
            journals: objects("journals", &spec.journals)?,
            queues: objects("queues", &spec.queues)?,
            never_drop: spec.never_drop.iter().map(|t| EntryType::parse(t)).collect::<Result<_, _>>()?,
            spec,
        })
    }

    /// As they were written.
    #[must_use]
    pub const fn spec(&self) -> &LimitsSpec {
        &self.spec
    }

    /// Whether a queue may be read, and so emptied: only one that is named.
    #[must_use]
    pub fn allows_queue(&self, library: &str, name: &str) -> bool {
        self.queues.iter().flatten().any(|pattern| covers(pattern, library, name))
    }

    /// Everything in a policy that does not keep the limits.
    #[must_use]
    pub fn breaches(&self, policy: &EffectivePolicy) -> Vec<Breach> {
        let spec = &policy.spec;
        let mut breaches = Vec::new();
        self.foreign_receivers(spec, &mut breaches);
        self.foreign_journals(spec, &mut breaches);
        self.foreign_queues(spec, &mut breaches);
        for entry in &self.never_drop {
            never_drop::hidden(*entry, spec, &mut breaches);
        }
        breaches
    }

    fn foreign_receivers(&self, spec: &PolicySpec, breaches: &mut Vec<Breach>) {
        let Some(allowed) = &self.destinations else { return };
        for (name, destination) in &spec.destinations {
            let (kind, address) = match &destination.transport {
                TransportSpec::Udp { address } => ("udp", address),
                TransportSpec::Tcp { address, .. } => ("tcp", address),
                TransportSpec::Tls { address, .. } => ("tls", address),
            };
            if !allowed.iter().any(|receiver| receiver.covers(kind, address)) {
                breaches.push(Breach {
                    limit: "destinations",
                    path: format!("spec.destinations.{name}"),
                    problem: format!("{kind}://{address} is not among the allowed receivers"),
                });
            }
        }
    }

    fn foreign_journals(&self, spec: &PolicySpec, breaches: &mut Vec<Breach>) {
        let Some(allowed) = &self.journals else { return };
        for (name, source) in journals(spec) {
            let journal = source.journal.to_ascii_uppercase();
            let (library, object) = journal.split_once('/').unwrap_or(("", &journal));
            if !allowed.iter().any(|pattern| covers(pattern, library, object)) {
                breaches.push(Breach {
                    limit: "journals",
                    path: format!("spec.sources.{name}.journal"),
                    problem: format!("{journal} is not among the allowed journals"),
                });
            }
        }
    }

    /// Reading a data queue takes its entries away, so a queue must be named to be read.
    fn foreign_queues(&self, spec: &PolicySpec, breaches: &mut Vec<Breach>) {
        for (name, source) in &spec.sources {
            let Some(queue) = source.emptied_queue() else { continue };
            let queue = queue.to_ascii_uppercase();
            let (library, object) = queue.split_once('/').unwrap_or(("", &queue));
            if !self.allows_queue(library, object) {
                breaches.push(Breach {
                    limit: "queues",
                    path: format!("spec.sources.{name}.queue"),
                    problem: format!(
                        "{queue} is not among the allowed queues; reading takes entries away, so the agent's own \
                         configuration has to name it: [limits] queues = [\"{queue}\"]"
                    ),
                });
            }
        }
    }
}

fn covers(pattern: &ObjectPattern, library: &str, name: &str) -> bool {
    pattern.library.matches(&library.to_ascii_uppercase()) && pattern.name.matches(&name.to_ascii_uppercase())
}

/// The sources that read journals.
fn journals(spec: &PolicySpec) -> impl Iterator<Item = (&String, &AuditJournalSpec)> {
    spec.sources.iter().filter_map(|(name, source)| match source {
        SourceSpec::AuditJournal(journal) => Some((name, journal)),
        SourceSpec::HistoryLog(_)
        | SourceSpec::MessageQueue(_)
        | SourceSpec::DataQueue(_)
        | SourceSpec::ExitPoint(_)
        | SourceSpec::ControllerAudit(_) => None,
    })
}
