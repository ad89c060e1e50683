//! Which agents are looked for.

use super::Facts;
use muster_package::VersionReq;
use muster_package::admit::fulfils;
use muster_proto::api::{AgentKind, AgentState, FlagKind, Labels, PolicyState};
use muster_proto::opamp::attribute;
use muster_shared::policy::merge::selects;
use std::fmt::Write as _;

/// What must hold of an agent; what is empty or absent always holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// With each of these words, in lower case, somewhere in what is known of it: see [`Filter::searching`].
    pub words: Vec<String>,
    /// In one of these states.
    pub states: Vec<AgentState>,
    /// With all of these labels.
    pub labels: Labels,
    /// With a version that fulfils this.
    pub version: Option<VersionReq>,
    /// With exactly this release.
    pub os_release: Option<String>,
    /// With the policy there.
    pub policy: Option<PolicyState>,
    /// With a source that is so.
    pub flag: Option<FlagKind>,
    /// Of this kind.
    pub kind: Option<AgentKind>,
}

impl Filter {
    /// Looks for these words, too.
    #[must_use]
    pub fn searching(mut self, text: &str) -> Self {
        self.words.extend(text.split_whitespace().map(str::to_lowercase));
        self
    }

    /// Whether an agent is one of those looked for. `text` is memory for searching.
    #[must_use]
    pub fn finds(&self, facts: &Facts<'_>, text: &mut String) -> bool {
        (self.states.is_empty() || self.states.contains(&facts.state))
            && self.kind.is_none_or(|kind| kind == facts.kind)
            && self.policy.is_none_or(|policy| policy == facts.policy)
            && self.flag.is_none_or(|flag| facts.has(flag))
            && self.os_release.as_deref().is_none_or(|release| release == facts.os_release)
            && selects(&self.labels, facts.labels)
            && self.version.as_ref().is_none_or(|wanted| facts.version().is_some_and(|v| fulfils(&v, wanted)))
            && self.finds_words(facts, text)
    }

    fn finds_words(&self, facts: &Facts<'_>, text: &mut String) -> bool {
        if self.words.is_empty() {
            return true;
        }
        text.clear();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", facts.id);
        if let Some(partition) = facts.partition {
            let _ = writeln!(text, "{partition}");
            text.make_ascii_lowercase();
        }
        for part in [&*facts.name, facts.os_release, facts.version, &*facts.reason] {
            add(text, part);
            text.push('\n');
        }
        for (key, value) in facts.labels {
            add(text, key);
            text.push('=');
            add(text, value);
            text.push('\n');
        }
        // Lists that say nothing of the host would be found by nearly every word.
        let told = |key: &str| !matches!(key, attribute::LIMITS | attribute::SECRETS);
        for value in facts.attributes.iter().filter(|(key, _)| told(key)).map(|(_, value)| value) {
            add(text, value);
            text.push('\n');
        }
        self.words.iter().all(|word| text.contains(word.as_str()))
    }
}

/// Adds a text in lower case.
fn add(text: &mut String, part: &str) {
    if part.is_ascii() {
        let from = text.len();
        text.push_str(part);
        text[from..].make_ascii_lowercase();
    } else {
        text.push_str(&part.to_lowercase());
    }
}
