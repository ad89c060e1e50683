//! Conditions, compiled: each list of a [`Match`] becomes a bit set or a set of masked integers, so that
//! asking costs some nanoseconds and allocates nothing.
//!
//! An answer is yes, no, or unknown where an expression failed. `not` of unknown is unknown, too: what becomes of
//! an event then is decided by what the conditions are for, see [`super::compile`].

mod clause;
mod entry_type;
mod sieve;
mod subject;
#[cfg(test)]
mod tests;

pub use entry_type::{EntryType, NoEntryType};
pub use subject::{EventSource, Subject};

pub(super) use clause::{event_pattern, network, texts};
pub(super) use entry_type::{TYPES, type_number, types_beginning_with};
pub(super) use sieve::Sieve;
pub(super) use subject::Asked;

use super::conditions::{MAX_NOT, Match};
use super::expression::ExpressionError;
use super::model::PolicySpec;
use super::pattern::PatternError;
use crate::event::SourceKind;
use crate::severity::Severity;
use clause::Clause;
use entry_type::TypeSet;

/// Whether conditions hold of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// They do not.
    No,
    /// They do.
    Yes,
    /// All others do, and an expression failed.
    Unknown,
}

impl Holds {
    const fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Yes => Self::No,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Which sources are meant: kinds by name, or single ones.
#[derive(Debug, Clone, Default)]
struct SourceSet {
    kinds: Vec<SourceKind>,
    names: Vec<String>,
}

impl SourceSet {
    fn compile(when: &Match, spec: &PolicySpec) -> Result<Option<Self>, MatchError> {
        let mut set = Self::default();
        for name in &when.sources {
            if let Some(kind) = source_kind(name) {
                set.kinds.push(kind);
            } else if spec.sources.contains_key(name) {
                set.names.push(name.clone());
            } else {
                return Err(MatchError::Source(name.clone()));
            }
        }
        Ok((!when.sources.is_empty()).then_some(set))
    }

    fn contains(&self, subject: &Subject<'_>) -> bool {
        self.kinds.contains(&subject.kind()) || self.names.iter().any(|n| n == subject.source().name)
    }
}

/// A condition that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// A text that is no entry type.
    #[error(transparent)]
    EntryType(#[from] NoEntryType),
    /// A text that is no name pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Neither a kind of source nor a source of the policy.
    #[error("`{0}` is neither a kind of source (audit_journal) nor a source of the policy")]
    Source(String),
    /// Neither an address nor a network.
    #[error("`{0}` is no address and no network; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")]
    Network(String),
    /// No function of an exit point.
    #[error("`{0}` is no function; write its name, up to 64 characters, or a generic one such as RETR*")]
    Word(String),
    /// Nothing to search for, or too much.
    #[error("is no text to search for; write 1 to 256 bytes")]
    Contains,
    /// No expression.
    #[error("the expression {0}")]
    Expression(#[from] ExpressionError),
    /// `not` below `not`, too often.
    #[error("`not` stands deeper than {MAX_NOT} levels")]
    Depth,
}

/// Conditions ready to be asked.
#[derive(Debug, Clone)]
pub struct CompiledMatch {
    min: Severity,
    max: Severity,
    types: Option<TypeSet>,
    sources: Option<SourceSet>,
    clauses: Box<[Clause]>,
}

impl CompiledMatch {
    /// Compiles conditions; `spec` tells which sources exist.
    ///
    /// # Errors
    /// [`MatchError`] for the first text that has no meaning. `validate` lists all of them.
    pub fn compile(when: &Match, spec: &PolicySpec) -> Result<Self, MatchError> {
        Self::level(when, spec, 0)
    }

    fn level(when: &Match, spec: &PolicySpec, depth: usize) -> Result<Self, MatchError> {
        if depth > MAX_NOT {
            return Err(MatchError::Depth);
        }
        let types = when.entry_types.iter().map(|t| EntryType::parse(t)).collect::<Result<Vec<_>, _>>()?;
        let mut clauses = clause::compile(when)?;
        if let Some(not) = &when.not {
            let not = Clause::Not(Box::new(Self::level(not, spec, depth + 1)?));
            // An expression is asked last, unless there is one below `not` as well.
            let last = clauses.len() - usize::from(matches!(clauses.last(), Some(Clause::Expression(_))));
            clauses.insert(last, not);
        }
        Ok(Self {
            min: when.min_severity.unwrap_or(Severity::LOWEST),
            max: when.max_severity.unwrap_or(Severity::HIGHEST),
            types: (!when.entry_types.is_empty()).then(|| TypeSet::new(&types)),
            sources: SourceSet::compile(when, spec)?,
            clauses: clauses.into(),
        })
    }

    /// What tells most often that they do not hold.
    pub(super) fn sieve(&self) -> Sieve {
        Sieve::of(&self.clauses)
    }

    /// The fields that are asked for.
    pub(super) fn asked(&self) -> Asked {
        self.clauses.iter().fold(0, |asked, clause| asked | clause.asked())
    }

    /// Whether an event meets every condition.
    #[inline]
    pub(super) fn matches(&self, subject: &Subject<'_>) -> Holds {
        let severity = subject.severity();
        if severity < self.min || severity > self.max {
            return Holds::No;
        }
        if let Some(types) = &self.types
            && !subject.journal().is_some_and(|journal| types.contains(journal))
        {
            return Holds::No;
        }
        if let Some(sources) = &self.sources
            && !sources.contains(subject)
        {
            return Holds::No;
        }
        let mut all = Holds::Yes;
        for clause in &self.clauses {
            match clause.holds(subject) {
                Holds::Yes => {}
                Holds::No => return Holds::No,
                // Another condition may still say no.
                Holds::Unknown => all = Holds::Unknown,
            }
        }
        all
    }
}

/// Kind of source of a name in policies. The agent's own reports are no source that a policy can name.
#[must_use]
pub fn source_kind(name: &str) -> Option<SourceKind> {
    SourceKind::OF_POLICY.into_iter().find(|kind| kind.as_str() == name)
}
