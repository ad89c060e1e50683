//! Meaning of conditions and of throttles.

use super::{Check, Level};
use crate::policy::compile::MAX_EXPRESSIONS;
use crate::policy::conditions::{MAX_NOT, Match};
use crate::policy::expression::Expression;
use crate::policy::filter::{network, source_kind, texts};
use crate::policy::model::{Action, PolicySpec, Rule};
use crate::policy::throttle::{MAX_THROTTLES, ThrottleError, ThrottleRule};

impl Check {
    /// Conditions below `path`, and those below their `not`.
    pub(super) fn conditions(&mut self, path: &str, when: &Match, spec: &PolicySpec, unresolved: Level) {
        let mut path = path.to_owned();
        for (depth, level) in std::iter::successors(Some(when), |level| level.not.as_deref()).enumerate() {
            if depth > 0 {
                path.push_str(".not");
                if *level == Match::default() {
                    self.error(&path, "has no condition, so what it stands in never holds".to_owned());
                }
            }
            if depth > MAX_NOT {
                self.error(&path, format!("stands deeper than {MAX_NOT} levels of `not`"));
                return;
            }
            self.level(&path, level, spec, unresolved);
        }
    }

    fn level(&mut self, path: &str, when: &Match, spec: &PolicySpec, unresolved: Level) {
        for (position, name) in when.sources.iter().enumerate() {
            if source_kind(name).is_none() && !spec.sources.contains_key(name) {
                let path = format!("{path}.sources[{position}]");
                self.unresolved(path, "source or kind of source", name, spec.sources.keys(), unresolved);
            }
        }
        for (field, texts, check) in texts(when) {
            for (position, text) in texts.iter().enumerate() {
                if let Err(error) = check(text) {
                    self.error(format!("{path}.{field}[{position}]"), error.to_string());
                }
            }
        }
        for (position, text) in when.remote_addresses.iter().enumerate() {
            if let Err(error) = network(text) {
                self.error(format!("{path}.remote_addresses[{position}]"), error.to_string());
            } else if text.contains('/') && network(text).is_ok_and(|net| net.to_string() != text.trim()) {
                self.warning(
                    format!("{path}.remote_addresses[{position}]"),
                    format!("`{text}` has bits behind its length, which do not count"),
                );
            }
        }
        for (position, window) in when.when.iter().enumerate() {
            if window.days.is_empty() && window.from.is_none() && window.to.is_none() {
                self.error(
                    format!("{path}.when[{position}]"),
                    "names no day and no time, so it is always; leave it out".to_owned(),
                );
            }
        }
        if let (Some(min), Some(max)) = (when.min_severity, when.max_severity)
            && min > max
        {
            self.error(
                format!("{path}.min_severity"),
                format!("{} is above max_severity {}, so nothing can match", min.get(), max.get()),
            );
        }
        if let Some(text) = &when.expression
            && let Err(error) = Expression::compile(text)
        {
            self.error(format!("{path}.expression"), error.to_string());
        }
    }

    /// The throttle of a rule, or that there is none.
    pub(super) fn throttle(&mut self, path: &str, rule: &Rule) {
        let checked = match rule.action {
            Action::Throttle => ThrottleRule::compile(rule).map(drop),
            Action::Keep | Action::Drop => ThrottleRule::none(rule),
        };
        let Err(error) = checked else { return };
        let path = match &error {
            ThrottleError::Limit => format!("{path}.limit"),
            ThrottleError::Seconds(_) => format!("{path}.seconds"),
            ThrottleError::Word { .. } | ThrottleError::Words(_) => format!("{path}.key"),
            ThrottleError::Other(field) => format!("{path}.{field}"),
        };
        self.error(path, error.to_string());
    }

    /// What is bounded over the whole policy.
    pub(super) fn counts(&mut self, path: &str, spec: &PolicySpec) {
        let throttles = spec.rules.iter().filter(|rule| rule.action == Action::Throttle).count();
        if throttles > MAX_THROTTLES {
            self.error(
                path,
                format!("has {throttles} rules that throttle, at most {MAX_THROTTLES} are possible"),
            );
        }
        let expressions: usize = spec.conditions().map(|when| when.expressions().count()).sum();
        if expressions > MAX_EXPRESSIONS {
            self.error(
                path,
                format!("the policy has {expressions} expressions, at most {MAX_EXPRESSIONS} are possible"),
            );
        }
    }
}
