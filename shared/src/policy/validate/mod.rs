//! Meaning: everything that the types cannot say. All problems of a policy are listed at once, each with
//! its path, so that a person mends them in one go.
//!
//! A single document may name a source or a destination that another document defines: there that is a
//! warning, and an error only in the effective policy.

use super::filter::source_kind;
use super::model::{
    API_VERSION, DestinationSpec, EffectivePolicy, FormatKind, FormatSpec, Header, Match, PolicyDocument,
    PolicySpec, TransportSpec,
};
use super::route::MAX_DESTINATIONS;
use crate::event::SourceKind;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

mod address;
mod certificate;
mod conditions;
mod secret;
mod source;

pub use address::check_address;
pub(crate) use address::check_host;
pub use certificate::check_certificates;
pub use secret::{SecretReference, holds_private_key, secrets_of};

/// How grave a problem of a policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The policy cannot be used.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

/// Something wrong in a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// How grave.
    pub level: Level,
    /// Where: `spec.destinations.qradar.transport.address`.
    pub path: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl Problem {
    /// Whether the policy cannot be used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{level}: {}: {}", self.path, self.message)
    }
}

/// Most characters of a name, as in DNS labels: names end up in file names and metrics.
const MAX_NAME: usize = 63;
/// Most bytes of a description.
const MAX_DESCRIPTION: usize = 1_000;
/// Longest replay window: what a partition must be able to give again.
const MAX_WINDOW_MS: u64 = 600_000;

/// Below, a connection would not keep a network busy; above, the replay window's own limit rules anyway.
const RECEIVER_BUFFER_BYTES: RangeInclusive<u64> = 64 * 1024..=64 * 1024 * 1024;
/// Longest pause between heartbeats.
const MAX_HEARTBEAT_SECONDS: u64 = 86_400;

/// Checks one document.
#[must_use]
pub fn validate_document(document: &PolicyDocument) -> Vec<Problem> {
    let mut check = Check::default();
    if document.api_version != API_VERSION {
        check.error(
            "api_version",
            format!("`{}` is not known to this release; write {API_VERSION}", document.api_version),
        );
    }
    check.name("name", &document.name);
    if document.description.len() > MAX_DESCRIPTION || document.description.contains('\n') {
        check.error("description", format!("must be one line of at most {MAX_DESCRIPTION} bytes"));
    }
    check.labels(&document.selector);
    check.spec("spec", &document.spec, Level::Warning);
    check.problems
}

/// Checks the content of a policy that stands alone, such as an agent's local file: every name it uses
/// must be in it.
#[must_use]
pub fn validate_spec(spec: &PolicySpec) -> Vec<Problem> {
    let mut check = Check::default();
    check.spec("", spec, Level::Error);
    if spec.sources.is_empty() {
        check.warning("sources", "there is none, so nothing is collected".to_owned());
    }
    if spec.destinations.is_empty() {
        check.warning("destinations", "there is none, so nothing is delivered".to_owned());
    }
    check.problems
}

/// Checks what an agent is to run.
#[must_use]
pub fn validate_effective(policy: &EffectivePolicy) -> Vec<Problem> {
    let mut problems = validate_spec(&policy.spec);
    for problem in &mut problems {
        problem.path.insert_str(0, "spec.");
    }
    problems
}

/// Collects problems while it walks over a policy.
#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn error(&mut self, path: impl Into<String>, message: String) {
        self.problems.push(Problem { level: Level::Error, path: path.into(), message });
    }

    fn warning(&mut self, path: impl Into<String>, message: String) {
        self.problems.push(Problem { level: Level::Warning, path: path.into(), message });
    }

    fn name(&mut self, path: &str, name: &str) {
        let ok = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-');
        if !ok {
            self.error(
                path,
                format!(
                    "`{name}` is no name; use lower-case letters, digits and `-`, not first, at most {MAX_NAME}"
                ),
            );
        }
    }

    /// Names of sources, routes, rules and destinations: underscores are welcome too.
    fn item_name(&mut self, path: &str, name: &str) {
        let ok = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !name.starts_with(['-', '_']);
        if !ok {
            self.error(
                path,
                format!("`{name}` is no name; use letters, digits, `-` and `_`, at most {MAX_NAME} of them"),
            );
        }
    }

    /// The name of a secret becomes a file name in the agent's secrets folder. What is no name might be the
    /// secret itself, so it is never repeated.
    fn secret_name(&mut self, path: &str, name: &str) {
        if !secret::is_name(name) {
            self.error(
                path,
                format!(
                    "is no name of a secret; write the name of an entry of the agent's secrets folder (letters, \
                     digits, `-` and `_`, at most {MAX_NAME}), never the secret itself"
                ),
            );
        }
    }

    fn labels(&mut self, selector: &BTreeMap<String, String>) {
        for (key, value) in selector {
            let path = format!("selector.{key}");
            let ok = |text: &str| {
                !text.is_empty()
                    && text.len() <= MAX_NAME
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
            };
            if !ok(key) {
                self.error(
                    path,
                    format!("`{key}` is no label; use letters, digits and -_./, at most {MAX_NAME}"),
                );
            } else if !ok(value) {
                self.error(
                    path,
                    format!(
                        "`{value}` is no value of a label; use letters, digits and -_./, at most {MAX_NAME}"
                    ),
                );
            }
        }
    }

    fn spec(&mut self, root: &str, spec: &PolicySpec, unresolved: Level) {
        let at = |tail: String| if root.is_empty() { tail } else { format!("{root}.{tail}") };
        let mut objects: BTreeMap<String, (SourceKind, &str)> = BTreeMap::new();
        for (name, source) in &spec.sources {
            let path = at(format!("sources.{name}"));
            self.item_name(&path, name);
            self.read_once(&path, name, source, &mut objects);
            if source_kind(name).is_some_and(|named| named != source.kind()) {
                self.error(&path, "has the name of another kind of source".to_owned());
            }
            self.source(&path, source);
        }
        let conditions = |check: &mut Self, path: String, when: &Match| {
            check.conditions(&path, when, spec, unresolved);
        };
        for (position, when) in spec.exclude.iter().enumerate() {
            let path = at(format!("exclude[{position}]"));
            if *when == Match::default() {
                self.error(&path, "has no condition, so it would drop every event".to_owned());
            }
            conditions(self, path, when);
        }
        self.rules(&at("rules".to_owned()), spec, unresolved);
        self.counts(&at("rules".to_owned()), spec);
        for (position, rule) in spec.severities.iter().enumerate() {
            conditions(self, at(format!("severities[{position}].match")), &rule.when);
        }
        for (name, route) in &spec.routes {
            let path = at(format!("routes.{name}"));
            self.item_name(&path, name);
            conditions(self, format!("{path}.match"), &route.when);
            self.route_destinations(&path, &route.destinations, spec, unresolved);
        }
        self.destinations(&at("destinations".to_owned()), spec);
    }

    fn rules(&mut self, path: &str, spec: &PolicySpec, unresolved: Level) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (position, rule) in spec.rules.iter().enumerate() {
            let path = format!("{path}[{position}]");
            self.item_name(&format!("{path}.name"), &rule.name);
            if let Some(first) = seen.get(rule.name.as_str()) {
                self.error(
                    format!("{path}.name"),
                    format!("`{}` is also the name of rule {first}; drops are counted by name", rule.name),
                );
            } else {
                seen.insert(&rule.name, position);
            }
            if rule.when == Match::default() && position + 1 < spec.rules.len() {
                self.warning(&path, "has no condition, so no rule after it is ever asked".to_owned());
            }
            self.conditions(&format!("{path}.match"), &rule.when, spec, unresolved);
            self.throttle(&path, rule);
        }
    }

    fn route_destinations(&mut self, path: &str, names: &[String], spec: &PolicySpec, unresolved: Level) {
        if names.is_empty() {
            self.error(
                format!("{path}.destinations"),
                "is empty; name at least one destination, or drop the events with a rule".to_owned(),
            );
        }
        for (position, name) in names.iter().enumerate() {
            let path = format!("{path}.destinations[{position}]");
            if names[..position].contains(name) {
                self.warning(&path, format!("`{name}` stands here twice"));
            } else if !spec.destinations.contains_key(name) {
                self.unresolved(path, "destination", name, spec.destinations.keys(), unresolved);
            }
        }
    }

    fn unresolved<'a>(
        &mut self,
        path: String,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a String>,
        level: Level,
    ) {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = match level {
            Level::Error => format!("there is no {what} `{name}`; known are: {known}"),
            Level::Warning => {
                format!(
                    "this document has no {what} `{name}` (known are: {known}); another one must bring it"
                )
            }
        };
        self.problems.push(Problem { level, path, message });
    }

    fn destinations(&mut self, path: &str, spec: &PolicySpec) {
        if spec.destinations.len() > MAX_DESTINATIONS {
            self.error(
                path,
                format!(
                    "has {} destinations, at most {MAX_DESTINATIONS} are possible",
                    spec.destinations.len()
                ),
            );
        }
        for (name, destination) in &spec.destinations {
            let path = format!("{path}.{name}");
            self.item_name(&path, name);
            self.transport(&format!("{path}.transport"), &destination.transport);
            self.format(&format!("{path}.format"), &destination.format);
            self.pace(&path, destination);
        }
    }

    fn pace(&mut self, path: &str, destination: &DestinationSpec) {
        if destination.heartbeat_seconds > MAX_HEARTBEAT_SECONDS {
            self.error(
                format!("{path}.heartbeat_seconds"),
                format!("{} is above {MAX_HEARTBEAT_SECONDS}; 0 sends none", destination.heartbeat_seconds),
            );
        }
        if destination.replay_window_ms > MAX_WINDOW_MS {
            self.error(
                format!("{path}.replay_window_ms"),
                format!("{} is above {MAX_WINDOW_MS}", destination.replay_window_ms),
            );
        } else if destination.replay_window_ms == 0
            && !matches!(destination.transport, TransportSpec::Udp { .. })
        {
            self.warning(
                format!("{path}.replay_window_ms"),
                "is 0: what the network had not delivered when a connection broke is lost".to_owned(),
            );
        }
        if let Some(bytes) = destination.receiver_buffer_bytes {
            self.receiver_buffer(&format!("{path}.receiver_buffer_bytes"), bytes, &destination.transport);
        }
    }

    fn receiver_buffer(&mut self, path: &str, bytes: u64, transport: &TransportSpec) {
        if !RECEIVER_BUFFER_BYTES.contains(&bytes) {
            let (least, most) = (RECEIVER_BUFFER_BYTES.start(), RECEIVER_BUFFER_BYTES.end());
            self.error(path, format!("{bytes} is not between {least} and {most}"));
        } else if matches!(transport, TransportSpec::Udp { .. }) {
            self.warning(path, "has no effect over udp, which sends nothing again".to_owned());
        }
    }

    fn transport(&mut self, path: &str, transport: &TransportSpec) {
        let (TransportSpec::Udp { address }
        | TransportSpec::Tcp { address, .. }
        | TransportSpec::Tls { address, .. }) = transport;
        if let Err(reason) = check_address(address) {
            self.error(format!("{path}.address"), format!("`{address}` {reason}"));
        }
        match transport {
            TransportSpec::Udp { .. } => self.warning(
                path,
                "UDP loses events without notice when the network or the receiver is busy; prefer tls or tcp"
                    .to_owned(),
            ),
            TransportSpec::Tcp { .. } => {}
            TransportSpec::Tls { server_name, ca_pem, client_certificate, .. } => {
                if let Some(name) = server_name
                    && let Err(reason) = address::check_host(name)
                {
                    self.error(format!("{path}.server_name"), format!("`{name}` {reason}"));
                }
                if let Some(pem) = ca_pem
                    && let Err(reason) = check_certificates(pem)
                {
                    self.error(format!("{path}.ca_pem"), reason);
                }
                if let Some(name) = client_certificate {
                    self.secret_name(&format!("{path}.client_certificate"), name);
                }
            }
        }
    }

    fn format(&mut self, path: &str, format: &FormatSpec) {
        if let Some(facility) = format.facility
            && facility > 23
        {
            self.error(format!("{path}.facility"), format!("{facility} is outside 0 to 23"));
        }
        if let Some(delimiter) = format.leef_delimiter {
            if format.kind != FormatKind::Leef2 {
                self.warning(
                    format!("{path}.leef_delimiter"),
                    "has an effect for kind: leef2 only".to_owned(),
                );
            }
            if let Err(error) = crate::format::check_delimiter(delimiter) {
                self.error(format!("{path}.leef_delimiter"), error.to_string());
            }
        }
        let tab = match format.kind {
            FormatKind::Leef1 => true,
            FormatKind::Leef2 => format.leef_delimiter == Some('\t'),
            FormatKind::Syslog | FormatKind::Cef => false,
        };
        if tab {
            self.warning(
                path,
                "separates attributes by TAB, which a syslog relay such as rsyslog rewrites to #011 by default; \
                 prefer kind: leef2 with its default delimiter ^"
                    .to_owned(),
            );
        }
        let header = crate::format::effective_header(format);
        if format.cef_space && format.kind != FormatKind::Cef {
            self.warning(format!("{path}.cef_space"), "has an effect for kind: cef only".to_owned());
        }
        if format.bom && header == Header::Rfc3164 {
            self.warning(format!("{path}.bom"), "has an effect with header: rfc5424 only".to_owned());
        } else if format.bom && format.kind != FormatKind::Syslog {
            self.warning(
                format!("{path}.bom"),
                "most readers keep the mark as part of the text, so CEF: or LEEF: no longer comes first"
                    .to_owned(),
            );
        }
        if format.utc && header == Header::Rfc5424 {
            self.warning(format!("{path}.utc"), "has an effect with header: rfc3164 only".to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
