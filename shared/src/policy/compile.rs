//! The policy as it runs on every event: severities, then excludes, then rules, then routes.

use super::filter::{CompiledMatch, MatchError};
use super::model::{Action, EffectivePolicy, Match, PolicySpec};
use super::route::{DestinationSet, RouteError, RouteTable};
use crate::event::{Event, EventKind};
use crate::severity::Severity;

/// Number of an exclude or a rule in [`CompiledPolicy::rule_names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u16);

/// What happens to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to these destinations: bit *i* is the *i*-th name of [`CompiledPolicy::destinations`].
    /// 0 where routes exist and none of them matches.
    Keep {
        /// The destinations.
        destinations: DestinationSet,
    },
    /// An exclude or a rule drops it.
    Drop {
        /// Which one.
        rule: RuleIndex,
    },
}

/// Why a policy cannot run. `validate_effective` lists every such problem; this is the first one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Conditions without meaning.
    #[error("{path}: {error}")]
    Match {
        /// Where, such as `rules[2].match`.
        path: String,
        /// What is wrong.
        error: MatchError,
    },
    /// Routes without meaning.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// More excludes and rules than can be numbered.
    #[error("the policy has {0} excludes and rules, at most {MAX_RULES} are possible")]
    TooManyRules(usize),
}

/// Most excludes and rules of one policy, together.
pub const MAX_RULES: usize = 10_000;

#[derive(Debug, Clone)]
struct CompiledRule {
    when: CompiledMatch,
    action: Action,
}

/// A policy ready to run.
#[derive(Debug, Clone)]
pub struct CompiledPolicy {
    destinations: Vec<String>,
    rule_names: Vec<String>,
    severities: Vec<(CompiledMatch, Severity)>,
    rules: Vec<CompiledRule>,
    routes: RouteTable,
}

impl CompiledPolicy {
    /// Compiles a policy.
    ///
    /// # Errors
    /// [`PolicyError`] for the first thing that cannot run.
    pub fn compile(policy: &EffectivePolicy) -> Result<Self, PolicyError> {
        let spec = &policy.spec;
        let count = spec.exclude.len() + spec.rules.len();
        if count > MAX_RULES {
            return Err(PolicyError::TooManyRules(count));
        }
        let mut rules = Vec::with_capacity(count);
        let mut rule_names = Vec::with_capacity(count);
        for (position, when) in spec.exclude.iter().enumerate() {
            let name = format!("exclude[{position}]");
            rules.push(CompiledRule { when: compile_match(when, spec, &name)?, action: Action::Drop });
            rule_names.push(name);
        }
        for (position, rule) in spec.rules.iter().enumerate() {
            let when = compile_match(&rule.when, spec, &format!("rules[{position}].match"))?;
            rules.push(CompiledRule { when, action: rule.action });
            rule_names.push(rule.name.clone());
        }
        let mut severities = Vec::with_capacity(spec.severities.len());
        for (position, rule) in spec.severities.iter().enumerate() {
            let when = compile_match(&rule.when, spec, &format!("severities[{position}].match"))?;
            severities.push((when, rule.severity));
        }
        Ok(Self {
            destinations: spec.destinations.keys().cloned().collect(),
            rule_names,
            severities,
            rules,
            routes: RouteTable::compile(spec)?,
        })
    }

    /// Names of the destinations, in the order of the bits of [`Verdict::Keep`].
    #[must_use]
    pub fn destinations(&self) -> &[String] {
        &self.destinations
    }

    /// Names under which drops are counted, by [`RuleIndex`]: `exclude[0]` …, then the names of the rules.
    #[must_use]
    pub fn rule_names(&self) -> &[String] {
        &self.rule_names
    }

    /// Sets the event's severity and says what happens to it.
    ///
    /// `source_name` is the name of the source in the policy. The agent's own reports (heartbeat, gap,
    /// policy change) go to every destination and are never dropped: a filter must not hide that
    /// something was lost.
    #[must_use]
    pub fn evaluate(&self, event: &mut Event, source_name: &str) -> Verdict {
        if matches!(event.kind, EventKind::Agent(_)) {
            return Verdict::Keep { destinations: self.routes.every() };
        }
        if let Some((_, severity)) = self.severities.iter().find(|(when, _)| when.matches(event, source_name))
        {
            event.severity = *severity;
        }
        for (position, rule) in self.rules.iter().enumerate() {
            if rule.when.matches(event, source_name) {
                match rule.action {
                    Action::Keep => break,
                    // `compile` allows at most `MAX_RULES`, so the number fits.
                    Action::Drop => return Verdict::Drop { rule: RuleIndex(position as u16) },
                }
            }
        }
        Verdict::Keep { destinations: self.routes.destinations(event, source_name) }
    }
}

fn compile_match(when: &Match, spec: &PolicySpec, path: &str) -> Result<CompiledMatch, PolicyError> {
    CompiledMatch::compile(when, spec).map_err(|error| PolicyError::Match { path: path.to_owned(), error })
}
