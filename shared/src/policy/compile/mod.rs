//! The policy as it runs on every event: severities, then excludes, then rules, then routes.
//!
//! Where an expression fails, its conditions neither hold nor do not. What happens then never hides an event: an
//! exclude, a rule that drops or throttles and a severity pass it by, a rule that keeps and a route take it.

use super::expression::ExpressionFault;
use super::filter::{Asked, CompiledMatch, EventSource, Holds, MatchError, Sieve, Subject};
use super::index::TypeIndex;
use super::model::{Action, EffectivePolicy, Match, PolicySpec};
use super::route::{DestinationSet, RouteError, RouteTable};
use super::throttle::{ThrottleError, ThrottleRule};
use crate::event::{Event, EventKind};
use crate::severity::Severity;
use std::ops::ControlFlow;

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
        /// The rule that keeps it, if one does.
        rule: Option<RuleIndex>,
    },
    /// It goes to these destinations as far as the throttle of the rule lets it, see [`super::throttle`].
    Throttle {
        /// The destinations.
        destinations: DestinationSet,
        /// Which rule.
        rule: RuleIndex,
    },
    /// An exclude or a rule drops it.
    Drop {
        /// Which one.
        rule: RuleIndex,
    },
}

/// Where in a policy conditions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A severity, by position.
    Severity(u16),
    /// An exclude or a rule.
    Rule(RuleIndex),
    /// A route, by number.
    Route(u16),
}

/// An expression that failed on an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// Why.
    pub fault: ExpressionFault,
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
    /// A throttle without meaning.
    #[error("{path}: {error}")]
    Throttle {
        /// Where, such as `rules[2]`.
        path: String,
        /// What is wrong.
        error: ThrottleError,
    },
    /// Routes without meaning.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// More excludes and rules than can be numbered.
    #[error("the policy has {0} excludes and rules, at most {MAX_RULES} are possible")]
    TooManyRules(usize),
    /// More expressions than are allowed.
    #[error("the policy has {0} expressions, at most {MAX_EXPRESSIONS} are possible")]
    TooManyExpressions(usize),
}

/// Most excludes and rules of one policy, together.
pub const MAX_RULES: usize = 10_000;

/// Most expressions of one policy.
pub const MAX_EXPRESSIONS: usize = 256;

/// What is done with an event that meets the conditions of a rule.
#[derive(Debug, Clone)]
enum Then {
    Keep,
    Drop,
    Throttle(ThrottleRule),
}

#[derive(Debug, Clone)]
struct CompiledRule {
    when: CompiledMatch,
    then: Then,
}

/// A policy ready to run.
#[derive(Debug, Clone)]
pub struct CompiledPolicy {
    destinations: Vec<String>,
    rule_names: Vec<String>,
    severities: Vec<(CompiledMatch, Severity)>,
    severity_index: TypeIndex,
    rules: Vec<CompiledRule>,
    rule_index: TypeIndex,
    /// By number of the rule.
    rule_sieves: Vec<Sieve>,
    routes: RouteTable,
    /// The fields that some condition asks for.
    asked: Asked,
}

/// What was decided about an event, before its severity is set.
struct Decision {
    /// The severity and the number of the rule that sets it.
    severity: Option<(usize, Severity)>,
    verdict: Verdict,
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
        let expressions: usize = spec.conditions().map(|when| when.expressions().count()).sum();
        if expressions > MAX_EXPRESSIONS {
            return Err(PolicyError::TooManyExpressions(expressions));
        }
        let (rules, rule_names) = compile_rules(spec)?;
        let mut severities = Vec::with_capacity(spec.severities.len());
        for (position, rule) in spec.severities.iter().enumerate() {
            let when = compile_match(&rule.when, spec, &format!("severities[{position}].match"))?;
            severities.push((when, rule.severity));
        }
        let routes = RouteTable::compile(spec)?;
        let asked = rules.iter().map(|rule| rule.when.asked());
        let asked = asked.chain(severities.iter().map(|(when, _)| when.asked()));
        let asked = asked.fold(routes.asked(), |all, one| all | one);
        Ok(Self {
            destinations: spec.destinations.keys().cloned().collect(),
            rule_names,
            severities,
            severity_index: TypeIndex::new(spec.severities.iter().map(|rule| &rule.when)),
            rule_sieves: rules.iter().map(|rule| rule.when.sieve()).collect(),
            rules,
            rule_index: TypeIndex::new(spec.exclude.iter().chain(spec.rules.iter().map(|rule| &rule.when))),
            routes,
            asked,
        })
    }

    /// Names of the destinations, in the order of the bits of [`Verdict::Keep`].
    #[must_use]
    pub fn destinations(&self) -> &[String] {
        &self.destinations
    }

    /// Names of a set of destinations.
    pub fn destination_names(&self, set: DestinationSet) -> impl Iterator<Item = &str> {
        let all = self.destinations.iter().enumerate();
        all.filter(move |(bit, _)| set >> bit & 1 == 1).map(|(_, name)| name.as_str())
    }

    /// Names under which drops are counted, by [`RuleIndex`]: `exclude[0]` …, then the names of the rules.
    #[must_use]
    pub fn rule_names(&self) -> &[String] {
        &self.rule_names
    }

    /// Name of an exclude or a rule.
    #[must_use]
    pub fn rule_name(&self, rule: RuleIndex) -> &str {
        self.rule_names.get(usize::from(rule.0)).map_or("", String::as_str)
    }

    /// Where conditions stand, for people.
    #[must_use]
    pub fn place_name(&self, place: Place) -> String {
        match place {
            Place::Severity(position) => format!("severities[{position}]"),
            Place::Rule(rule) => self.rule_name(rule).to_owned(),
            Place::Route(number) => {
                let name = self.routes.names().get(usize::from(number));
                format!("routes.{}", name.map_or("", String::as_str))
            }
        }
    }

    /// The throttle of a rule; none for rules that keep or drop.
    #[must_use]
    pub fn throttle(&self, rule: RuleIndex) -> Option<&ThrottleRule> {
        match &self.rules.get(usize::from(rule.0))?.then {
            Then::Throttle(throttle) => Some(throttle),
            Then::Keep | Then::Drop => None,
        }
    }

    /// Every rule that throttles.
    pub fn throttles(&self) -> impl Iterator<Item = (RuleIndex, &ThrottleRule)> {
        // `compile` allows at most `MAX_RULES`, so the number fits.
        (0..self.rules.len())
            .map(|number| RuleIndex(number as u16))
            .filter_map(|rule| self.throttle(rule).map(|throttle| (rule, throttle)))
    }

    /// Sets the event's severity and says what happens to it.
    ///
    /// The agent's own reports (heartbeat, gap, policy change) go to every destination and are never dropped: a
    /// filter must not hide that something was lost.
    #[must_use]
    pub fn evaluate(&self, event: &mut Event, source: EventSource<'_>) -> Verdict {
        self.judge(event, source, &mut Vec::new())
    }

    /// Like [`CompiledPolicy::evaluate`], and adds the expressions that failed to `faults`.
    pub fn judge(&self, event: &mut Event, source: EventSource<'_>, faults: &mut Vec<Fault>) -> Verdict {
        if matches!(event.kind, EventKind::Agent(_)) {
            return Verdict::Keep { destinations: self.routes.every(), rule: None };
        }
        let Decision { severity, verdict } =
            self.decide(&mut Subject::new(event, source, self.asked), faults);
        if let Some((_, severity)) = severity {
            event.severity = severity;
        }
        verdict
    }

    /// What happens to an event and why: the severity with the position of what sets it, and the names of the
    /// routes that it meets. The event stays as it is.
    #[must_use]
    pub fn explain(&self, event: &Event, source: EventSource<'_>) -> (Option<(usize, Severity)>, Vec<&str>) {
        if matches!(event.kind, EventKind::Agent(_)) {
            return (None, Vec::new());
        }
        let mut subject = Subject::new(event, source, self.asked);
        let decision = self.decide(&mut subject, &mut Vec::new());
        let routes = match decision.verdict {
            Verdict::Keep { .. } | Verdict::Throttle { .. } => self.routes.met(&subject),
            Verdict::Drop { .. } => Vec::new(),
        };
        (decision.severity, routes)
    }

    fn decide(&self, subject: &mut Subject<'_>, faults: &mut Vec<Fault>) -> Decision {
        let mut failed = |place: Place, subject: &Subject<'_>| {
            if let Some(fault) = subject.take_fault() {
                faults.push(Fault { place, fault });
            }
        };
        let before = &*subject;
        let severity = self.severity_index.visit(before, |number| {
            let (when, severity) = &self.severities[number];
            match when.matches(before) {
                Holds::No => ControlFlow::Continue(()),
                Holds::Yes => ControlFlow::Break((number, *severity)),
                Holds::Unknown => {
                    failed(Place::Severity(number as u16), before);
                    ControlFlow::Continue(())
                }
            }
        });
        let severity = severity.break_value();
        if let Some((_, severity)) = severity {
            subject.set_severity(severity);
        }
        let subject = &*subject;
        let decided = self.rule_index.visit(subject, |number| {
            if self.rule_sieves.get(number).is_some_and(|sieve| !sieve.passes(subject)) {
                return ControlFlow::Continue(());
            }
            let CompiledRule { when, then } = &self.rules[number];
            let holds = when.matches(subject);
            if holds == Holds::No {
                return ControlFlow::Continue(());
            }
            // `compile` allows at most `MAX_RULES`, so the number fits.
            let rule = RuleIndex(number as u16);
            if holds == Holds::Unknown {
                failed(Place::Rule(rule), subject);
            }
            match (then, holds) {
                (Then::Keep, _) => ControlFlow::Break((rule, then)),
                (Then::Drop | Then::Throttle(_), Holds::Yes) => ControlFlow::Break((rule, then)),
                (Then::Drop | Then::Throttle(_), Holds::No | Holds::Unknown) => ControlFlow::Continue(()),
            }
        });
        let mut routed =
            || self.routes.destinations(subject, |number| failed(Place::Route(number as u16), subject));
        let verdict = match decided.break_value() {
            Some((rule, Then::Drop)) => Verdict::Drop { rule },
            Some((rule, Then::Throttle(_))) => Verdict::Throttle { destinations: routed(), rule },
            Some((rule, Then::Keep)) => Verdict::Keep { destinations: routed(), rule: Some(rule) },
            None => Verdict::Keep { destinations: routed(), rule: None },
        };
        Decision { severity, verdict }
    }
}

/// Excludes, then rules, with their names.
fn compile_rules(spec: &PolicySpec) -> Result<(Vec<CompiledRule>, Vec<String>), PolicyError> {
    let count = spec.exclude.len() + spec.rules.len();
    let (mut rules, mut names) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (position, when) in spec.exclude.iter().enumerate() {
        let name = format!("exclude[{position}]");
        rules.push(CompiledRule { when: compile_match(when, spec, &name)?, then: Then::Drop });
        names.push(name);
    }
    for (position, rule) in spec.rules.iter().enumerate() {
        let path = format!("rules[{position}]");
        let when = compile_match(&rule.when, spec, &format!("{path}.match"))?;
        ThrottleRule::none(rule).map_err(|error| PolicyError::Throttle { path: path.clone(), error })?;
        let then = match rule.action {
            Action::Keep => Then::Keep,
            Action::Drop => Then::Drop,
            Action::Throttle => Then::Throttle(
                ThrottleRule::compile(rule).map_err(|error| PolicyError::Throttle { path, error })?,
            ),
        };
        rules.push(CompiledRule { when, then });
        names.push(rule.name.clone());
    }
    Ok((rules, names))
}

fn compile_match(when: &Match, spec: &PolicySpec, path: &str) -> Result<CompiledMatch, PolicyError> {
    CompiledMatch::compile(when, spec).map_err(|error| PolicyError::Match { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests;
