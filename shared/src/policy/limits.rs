//! Limits that an agent's own configuration sets and no policy can widen: whoever holds the controller
//! still cannot send the events elsewhere, read other journals, or hide the entry types that matter most.
//!
//! Promises: [`Limits::breaches`] is decided from the text of the policy alone, on the safe side: what might
//! drop a protected entry is refused, what cannot is allowed. Refuses: patterns without meaning.

use super::filter::{EntryType, NoEntryType, event_pattern};
use super::model::{Action, AuditJournalSpec, EffectivePolicy, Match, PolicySpec, SourceSpec, TransportSpec};
use super::pattern::{NamePattern, ObjectPattern, PatternError};
use crate::event::SourceKind;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

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
            hidden(*entry, spec, &mut breaches);
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

/// Everything in a policy that may keep a protected entry type from arriving anywhere.
fn hidden(entry: EntryType, spec: &PolicySpec, breaches: &mut Vec<Breach>) {
    let mut breach = |path: String, problem: String| {
        breaches.push(Breach { limit: "never_drop", path, problem });
    };
    let shown = show(entry);
    if !journals(spec).any(|(_, source)| fetches(source, entry)) {
        breach("spec.sources".to_owned(), format!("no source fetches {shown}"));
    }
    for (position, when) in spec.exclude.iter().enumerate().filter(|(_, when)| may_match(when, entry, spec)) {
        let any = when.entry_types.is_empty() && when.events.is_empty();
        let also = if any { "every entry type, so also " } else { "" };
        breach(format!("spec.exclude[{position}]"), format!("drops {also}{shown}"));
    }
    for rule in &spec.rules {
        match rule.action {
            // No rule after this one is asked about the protected entries.
            Action::Keep if surely_matches(&rule.when, entry, spec) => break,
            Action::Drop if may_match(&rule.when, entry, spec) => {
                breach(format!("spec.rules[{}]", rule.name), format!("may drop {shown}"));
            }
            Action::Throttle if may_match(&rule.when, entry, spec) => {
                breach(format!("spec.rules[{}]", rule.name), format!("may hold back {shown}"));
            }
            Action::Keep | Action::Drop | Action::Throttle => {}
        }
    }
    if spec.destinations.is_empty() {
        breach("spec.destinations".to_owned(), format!("there is none, so {shown} is not delivered"));
    }
    let routed = |route: &super::model::RouteSpec| {
        surely_matches(&route.when, entry, spec) && !route.destinations.is_empty()
    };
    if !spec.routes.is_empty() && !spec.routes.values().any(routed) {
        breach("spec.routes".to_owned(), format!("no route takes every {shown}"));
    }
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

fn fetches(source: &AuditJournalSpec, entry: EntryType) -> bool {
    let named = |text: &String| EntryType::parse(text).is_ok_and(|t| t.entry_type == entry.entry_type);
    source.entry_types.is_empty() || source.entry_types.iter().any(named)
}

/// Whether an event of this type could meet the conditions.
fn may_match(when: &Match, entry: EntryType, spec: &PolicySpec) -> bool {
    let audit = |name: &String| {
        name == SourceKind::AuditJournal.as_str()
            || matches!(spec.sources.get(name), Some(SourceSpec::AuditJournal(_)))
    };
    let overlaps = |text: &String| {
        EntryType::parse(text).is_ok_and(|t| {
            (t.code, t.entry_type) == (entry.code, entry.entry_type)
                && (t.subtype == entry.subtype || t.subtype.is_none() || entry.subtype.is_none())
        })
    };
    (when.sources.is_empty() || when.sources.iter().any(audit))
        && (when.entry_types.is_empty() || when.entry_types.iter().any(overlaps))
        && (when.events.is_empty() || when.events.iter().any(|text| may_have_id(text, entry)))
        // What surely holds, `not` of it surely does not. Of any other condition it is not known.
        && !when.not.as_ref().is_some_and(|not| surely_matches(not, entry, spec))
}

/// Whether every event of this type meets the conditions.
fn surely_matches(when: &Match, entry: EntryType, spec: &PolicySpec) -> bool {
    let includes = |text: &String| {
        EntryType::parse(text).is_ok_and(|t| {
            (t.code, t.entry_type) == (entry.code, entry.entry_type)
                && (t.subtype.is_none() || t.subtype == entry.subtype)
        })
    };
    let Match {
        sources,
        entry_types,
        events,
        min_severity,
        max_severity,
        not,
        users: _,
        target_users: _,
        objects: _,
        object_types: _,
        programs: _,
        jobs: _,
        paths: _,
        system_values: _,
        message_ids: _,
        queues: _,
        exit_points: _,
        exit_functions: _,
        outcomes: _,
        remote_addresses: _,
        remote_ports: _,
        local_ports: _,
        contains: _,
        when: _,
        expression: _,
    } = when;
    // Conditions that ask for more than the type might not hold: there must be none.
    let rest = Match {
        sources: sources.clone(),
        entry_types: entry_types.clone(),
        events: events.clone(),
        min_severity: *min_severity,
        max_severity: *max_severity,
        not: not.clone(),
        ..Match::default()
    };
    *when == rest
        && (sources.is_empty() || sources.iter().any(|s| s == SourceKind::AuditJournal.as_str()))
        && (entry_types.is_empty() || entry_types.iter().any(includes))
        && (events.is_empty() || events.iter().any(|text| surely_has_id(text, entry)))
        && min_severity.is_none_or(|s| s == crate::severity::Severity::LOWEST)
        && max_severity.is_none_or(|s| s == crate::severity::Severity::HIGHEST)
        && not.as_ref().is_none_or(|not| !may_match(not, entry, spec))
}

/// Whether the id of some event of this type could match: `AF`, or `AF_` and a subtype.
fn may_have_id(text: &str, entry: EntryType) -> bool {
    let id = show(entry);
    let Ok(pattern) = event_pattern(text) else { return true };
    let with_subtype = format!("{id}_");
    let subtype = |stem: &str| stem.len() == with_subtype.len() + 1 && stem.starts_with(&with_subtype);
    pattern.matches(&id)
        || entry.subtype.is_none()
            && match &pattern {
                NamePattern::All => true,
                NamePattern::Exact(stem) => subtype(stem),
                NamePattern::Prefix(stem) => with_subtype.starts_with(stem.as_str()) || subtype(stem),
            }
}

/// Whether the ids of all events of this type match.
fn surely_has_id(text: &str, entry: EntryType) -> bool {
    let id = show(entry);
    match event_pattern(text) {
        Ok(NamePattern::All) => true,
        Ok(NamePattern::Exact(stem)) => entry.subtype.is_some() && stem == id,
        Ok(NamePattern::Prefix(stem)) => id.starts_with(&stem),
        Err(_) => false,
    }
}

fn show(entry: EntryType) -> String {
    let mut text = String::new();
    if entry.code != b'T' {
        text.push_str(&format!("{}_", char::from(entry.code)));
    }
    text.extend(entry.entry_type.map(char::from));
    if let Some(subtype) = entry.subtype {
        text.push_str(&format!("_{}", char::from(subtype)));
    }
    text
}

/// An allowed receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Receiver {
    /// `udp`, `tcp` or `tls`; any if absent.
    kind: Option<String>,
    host: Host,
    /// First and last port.
    ports: (u16, u16),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Name(String),
    /// Names that end so, with the dot.
    Below(String),
    Net(IpNet),
}

impl Receiver {
    fn parse(text: &str) -> Result<Self, LimitError> {
        let wrong = |reason| LimitError::Destination { pattern: text.to_owned(), reason };
        let (kind, rest) = match text.trim().split_once("://") {
            None => (None, text.trim()),
            Some((kind @ ("udp" | "tcp" | "tls"), rest)) => (Some(kind.to_owned()), rest),
            Some(_) => return Err(wrong("begins with another transport than udp, tcp or tls")),
        };
        let (host, ports) = match (rest.strip_prefix('['), rest.rsplit_once(':')) {
            (Some(inner), _) => {
                let (host, tail) =
                    inner.split_once(']').ok_or_else(|| wrong("opens a bracket and does not close it"))?;
                // `[2001:db8::]/32` or `[2001:db8::/32]`, with or without a port.
                let (length, port) = tail.split_once(':').map_or((tail, None), |(l, p)| (l, Some(p)));
                (format!("{host}{length}"), port)
            }
            (None, Some((host, port))) if !host.contains(':') => (host.to_owned(), Some(port)),
            (None, _) => (rest.to_owned(), None),
        };
        let ports = ports
            .map_or(Some((1, u16::MAX)), ports_of)
            .ok_or_else(|| wrong("has no port, range of ports or * after its colon"))?;
        Ok(Self { kind, host: Host::parse(&host).map_err(wrong)?, ports })
    }

    fn covers(&self, kind: &str, address: &str) -> bool {
        let Some((host, port)) = address.rsplit_once(':') else { return false };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().unwrap_or(0_u16);
        self.kind.as_ref().is_none_or(|k| k == kind)
            && (self.ports.0..=self.ports.1).contains(&port)
            && self.host.covers(host)
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return super::validate::check_host(domain).map(|()| Self::Below(format!(".{}", bare(domain))));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(address)));
        }
        if text.contains('*') {
            return Err("has a star in the wrong place; only *.DOMAIN and * stand for several hosts");
        }
        super::validate::check_host(&text).map(|()| Self::Name(bare(&text).to_owned()))
    }

    fn covers(&self, host: &str) -> bool {
        let lower = host.to_ascii_lowercase();
        let name = bare(&lower);
        match self {
            Self::Any => true,
            Self::Name(exact) => name == exact,
            Self::Below(tail) => name.len() > tail.len() && name.ends_with(tail.as_str()),
            Self::Net(net) => name.parse::<IpAddr>().is_ok_and(|address| net.contains(&address)),
        }
    }
}

/// A host name without the dot that marks it as complete.
fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn ports_of(text: &str) -> Option<(u16, u16)> {
    if text == "*" {
        return Some((1, u16::MAX));
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse_effective;

    fn policy(spec: &str) -> EffectivePolicy {
        parse_effective(&format!("{{spec: {{{spec}}}}}")).unwrap()
    }

    fn limits(toml: serde_json::Value) -> Limits {
        Limits::build(serde_json::from_value(toml).unwrap()).unwrap()
    }

    #[test]
    fn receivers() {
        let cases: [(&str, &str, &str, bool); 27] = [
            ("siem.example.com:6514", "tls", "siem.example.com:6514", true),
            ("siem.example.com:6514", "udp", "siem.example.com:6514", true),
            ("siem.example.com:6514", "tls", "SIEM.example.com.:6514", true),
            ("siem.example.com:6514", "tls", "siem.example.com:514", false),
            ("siem.example.com:6514", "tls", "evil-siem.example.com:6514", false),
            ("siem.example.com", "tls", "siem.example.com:1", true),
            ("tls://siem.example.com", "tls", "siem.example.com:6514", true),
            ("tls://siem.example.com", "tcp", "siem.example.com:6514", false),
            ("*.example.com:514", "udp", "a.b.example.com:514", true),
            ("*.example.com:514", "udp", "example.com:514", false),
            ("*.example.com:514", "udp", "evilexample.com:514", false),
            ("*.example.com:514", "udp", "x.example.com.evil.org:514", false),
            ("*", "udp", "anything:9", true),
            ("*:514", "udp", "anything:9", false),
            ("10.1.0.0/16:514-520", "udp", "10.1.255.1:520", true),
            ("10.1.0.0/16:514-520", "udp", "10.2.0.1:520", false),
            ("10.1.0.0/16:514-520", "udp", "10.1.255.1:521", false),
            ("10.1.0.0/16", "udp", "ten.example.com:514", false),
            ("10.0.0.1", "udp", "10.0.0.1:514", true),
            ("10.0.0.1:514", "udp", "10.0.0.10:514", false),
            ("[2001:db8::1]:6514", "tls", "[2001:db8::1]:6514", true),
            ("[2001:db8::1]:6514", "tls", "[2001:db8::2]:6514", false),
            ("[2001:db8::/32]:6514", "tls", "[2001:db8:1::2]:6514", true),
            ("[2001:db8::]/32", "tls", "[2001:db8:1::2]:6514", true),
            ("2001:db8::/32", "tls", "[2001:db8:1::2]:6514", true),
            ("[2001:db8::1]:6514", "tls", "[2001:0DB8:0::1]:6514", true),
            ("siem:514", "udp", "siem:0514", true),
        ];
        for (pattern, kind, address, expected) in cases {
            assert_eq!(
                Receiver::parse(pattern).unwrap().covers(kind, address),
                expected,
                "{pattern} {kind} {address}"
            );
        }
        for (bad, part) in [
            ("", "has no host"),
            ("http://siem:1", "another transport"),
            ("siem:0", "has no port"),
            ("siem:9-8", "has no port"),
            ("siem:x", "has no port"),
            ("sie*.com:1", "star in the wrong place"),
            ("*.:1", "has no host"),
            ("10.0.0.0/33", "no host name"),
            ("[::1:5", "opens a bracket"),
        ] {
            let error = Receiver::parse(bad).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

    const GOOD: &str = "sources: {audit: {kind: audit_journal}},
        destinations: {siem: {transport: {kind: tls, address: 'siem.example.com:6514'}}}";

    #[test]
    fn without_limits_everything_is_allowed() {
        let free = Limits::default();
        assert_eq!(free.breaches(&policy(GOOD)), []);
        assert_eq!(free.breaches(&policy("")), []);
        assert!(!free.allows_queue("QGPL", "Q"), "reading a queue empties it");
        assert!(free.spec().is_empty());
    }

    #[test]
    fn foreign_receivers_and_journals_are_named() {
        let limits = limits(serde_json::json!({
            "destinations": ["tls://*.example.com"], "journals": ["QSYS/QAUDJRN", "PAY*/*ALL"], "queues": ["QGPL/AUD*"],
        }));
        assert_eq!(limits.breaches(&policy(GOOD)), []);
        let foreign = "sources: {a: {kind: audit_journal, journal: payroll/j}, b: {kind: audit_journal, journal: QGPL/J}},
            destinations: {x: {transport: {kind: tcp, address: 'siem.example.com:6514'}}}";
        let told: Vec<String> = limits.breaches(&policy(foreign)).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "limit `destinations`: spec.destinations.x: tcp://siem.example.com:6514 is not among the allowed receivers",
                "limit `journals`: spec.sources.b.journal: QGPL/J is not among the allowed journals",
            ]
        );
        assert!(limits.allows_queue("qgpl", "audit1") && !limits.allows_queue("QGPL", "OTHER"));
        let none =
            Limits::build(LimitsSpec { destinations: Some(Vec::new()), ..LimitsSpec::default() }).unwrap();
        assert_eq!(none.breaches(&policy(GOOD)).len(), 1, "an empty list allows none");
    }

    #[test]
    fn protected_entry_types_cannot_be_hidden() {
        let limits = limits(serde_json::json!({"never_drop": ["AF", "PW_P"]}));
        let with = |more: &str| format!("{GOOD}, {more}");
        let cases: [(String, &[&str]); 42] = [
            (GOOD.into(), &[]),
            (
                with("rules: [{name: r, match: {events: [ZR, 'CPF*', 'A*']}, action: drop}]"),
                &["spec.rules[r]: may drop AF"],
            ),
            (
                with("rules: [{name: r, match: {events: [af_b]}, action: drop}]"),
                &["spec.rules[r]: may drop AF"],
            ),
            (with("rules: [{name: r, match: {events: [AF_BC, PW_A]}, action: drop}]"), &[]),
            (
                with("rules: [{name: r, match: {events: ['PW_*']}, action: drop}]"),
                &["spec.rules[r]: may drop PW_P"],
            ),
            (with("exclude: [{events: ['AF*']}]"), &["spec.exclude[0]: drops AF"]),
            (with("rules: [{name: r, match: {not: {entry_types: [AF, PW]}}, action: drop}]"), &[]),
            (with("rules: [{name: r, match: {not: {events: ['AF*', 'PW*']}}, action: drop}]"), &[]),
            (
                with("rules: [{name: r, match: {not: {entry_types: [AF]}}, action: drop}]"),
                &["spec.rules[r]: may drop PW_P"],
            ),
            (
                with("rules: [{name: r, match: {not: {entry_types: [AF, PW], users: [X]}}, action: drop}]"),
                &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
            ),
            (
                with("rules: [{name: r, match: {not: {not: {entry_types: [AF]}}}, action: drop}]"),
                &["spec.rules[r]: may drop AF"],
            ),
            (
                with("rules: [{name: r, match: {expression: 'event.type == \"ZR\"'}, action: drop}]"),
                &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
            ),
            (
                with(
                    "rules: [{name: k, match: {when: [{days: [mon]}]}, action: keep}, {name: r, action: drop}]",
                ),
                &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
            ),
            (
                with(
                    "rules: [{name: k, match: {events: ['AF*', 'PW_P']}, action: keep}, {name: r, action: drop}]",
                ),
                &[],
            ),
            (
                with("rules: [{name: t, match: {entry_types: [AF]}, action: throttle, limit: 5}]"),
                &["spec.rules[t]: may hold back AF"],
            ),
            (
                with(
                    "rules: [{name: k, match: {entry_types: [AF]}, action: keep}, {name: t, action: throttle, limit: 5}]",
                ),
                &["spec.rules[t]: may hold back PW_P"],
            ),
            (with("routes: {r: {match: {not: {entry_types: [ZR]}}, destinations: [siem]}}"), &[]),
            (with("rules: [{name: r, match: {entry_types: [ZR]}, action: drop}]"), &[]),
            (with("rules: [{name: r, match: {entry_types: [PW_A]}, action: drop}]"), &[]),
            (
                with("rules: [{name: r, match: {entry_types: [AF]}, action: drop}]"),
                &["spec.rules[r]: may drop AF"],
            ),
            (
                with("rules: [{name: r, match: {entry_types: [af_a]}, action: drop}]"),
                &["spec.rules[r]: may drop AF"],
            ),
            (
                with("rules: [{name: r, match: {entry_types: [PW]}, action: drop}]"),
                &["spec.rules[r]: may drop PW_P"],
            ),
            (
                with("rules: [{name: r, match: {users: [BOB]}, action: drop}]"),
                &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
            ),
            (
                with(
                    "rules: [{name: k, match: {entry_types: [AF, PW]}, action: keep}, {name: r, action: drop}]",
                ),
                &[],
            ),
            (
                with(
                    "rules: [{name: k, match: {entry_types: [AF_A, PW]}, action: keep}, {name: r, action: drop}]",
                ),
                &["spec.rules[r]: may drop AF"],
            ),
            (
                with(
                    "rules: [{name: k, match: {entry_types: [AF, PW], users: [A]}, action: keep}, {name: r, action: drop}]",
                ),
                &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
            ),
            (
                with(
                    "rules: [{name: r, match: {sources: [audit_journal], entry_types: [AF]}, action: drop}]",
                ),
                &["spec.rules[r]: may drop AF"],
            ),
            (
                with("rules: [{name: r, match: {sources: [audit], entry_types: [AF]}, action: drop}]"),
                &["spec.rules[r]: may drop AF"],
            ),
            (with("rules: [{name: r, match: {sources: [other], entry_types: [AF]}, action: drop}]"), &[]),
            (with("rules: [{name: r, match: {entry_types: [U_AF]}, action: drop}]"), &[]),
            (
                with(
                    "rules: [{name: r, match: {max_severity: 2}, action: drop}, {name: r2, match: {entry_types: [ZR]}, action: drop}]",
                ),
                &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
            ),
            (with("rules: [{name: k, action: keep}, {name: r, action: drop}]"), &[]),
            (with("exclude: [{entry_types: [AF]}]"), &["spec.exclude[0]: drops AF"]),
            (
                with("exclude: [{users: [X]}]"),
                &[
                    "spec.exclude[0]: drops every entry type, so also AF",
                    "spec.exclude[0]: drops every entry type, so also PW_P",
                ],
            ),
            (
                GOOD.replace("audit_journal", "audit_journal, entry_types: [AF]"),
                &["spec.sources: no source fetches PW_P"],
            ),
            (GOOD.replace("audit_journal", "audit_journal, entry_types: [af, pw]"), &[]),
            (with("routes: {r: {destinations: [siem]}}"), &[]),
            (with("routes: {r: {match: {entry_types: [AF, PW]}, destinations: [siem]}}"), &[]),
            (
                with("routes: {r: {match: {entry_types: [AF]}, destinations: [siem]}}"),
                &["spec.routes: no route takes every PW_P"],
            ),
            (
                with("routes: {r: {match: {min_severity: 5}, destinations: [siem]}}"),
                &["spec.routes: no route takes every AF", "spec.routes: no route takes every PW_P"],
            ),
            (with("routes: {r: {match: {min_severity: 1, max_severity: 10}, destinations: [siem]}}"), &[]),
            (
                String::new(),
                &[
                    "spec.sources: no source fetches AF",
                    "spec.destinations: there is none, so AF is not delivered",
                    "spec.sources: no source fetches PW_P",
                    "spec.destinations: there is none, so PW_P is not delivered",
                ],
            ),
        ];
        for (spec, expected) in cases {
            let told: Vec<String> = limits
                .breaches(&policy(&spec))
                .iter()
                .map(|b| {
                    assert_eq!(b.limit, "never_drop");
                    format!("{}: {}", b.path, b.problem)
                })
                .collect();
            assert_eq!(told, expected, "{spec}");
        }
    }

    #[test]
    fn patterns_without_meaning_are_named() {
        for (spec, part) in [
            (serde_json::json!({"journals": ["QAUDJRN"]}), "journals: `QAUDJRN` names no library"),
            (serde_json::json!({"queues": ["A/*B"]}), "queues: `*B` has a star"),
            (serde_json::json!({"never_drop": ["AFX"]}), "never_drop: `AFX` is no entry type"),
            (serde_json::json!({"destinations": ["siem:0"]}), "destinations: `siem:0` has no port"),
        ] {
            let error = Limits::build(serde_json::from_value(spec).unwrap()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
