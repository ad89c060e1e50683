//! The conditions of a policy as written: what stands below `match`.
//!
//! Times, ports and outcomes are read into types of their own, so that a mistake in them names line and column;
//! names and patterns stay texts, which `validate` checks.

use super::time::TimeWindow;
use crate::severity::Severity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Deepest nesting of `not`.
pub const MAX_NOT: usize = 4;

/// Conditions on an event: every one that is given must hold; one list is a choice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Kinds of source (`audit_journal`) or names of sources in the policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Entry types `AF`, or with subtype `AF_A`; entries that programs write with the journal code, `U_00`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_types: Vec<String>,
    /// Event ids as a SIEM sees them, of every kind of source, generic ones allowed: `AF_*`, `CONTROLLER_*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// User profiles, IBM i generic names allowed (`QSYS*`), against the acting user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// User profiles that the event is about (changed, signed on, granted), other than the acting one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_users: Vec<String>,
    /// Objects as LIBRARY/NAME, each part may be generic: `PAYROLL/*ALL`, `PAY*/EMP*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// Types of object: `*FILE`, `*USRPRF`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub object_types: Vec<String>,
    /// Programs as NAME or LIBRARY/NAME, each part may be generic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// Jobs as NAME, USER/NAME or NUMBER/USER/NAME, each part may be generic: `QZDASOINIT`, `*ALL/QUSER/*ALL`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<String>,
    /// Paths of the integrated file system, case-sensitive. A star stands for any text: `/etc/*` is everything
    /// below `/etc`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// System values, generic names allowed: `QSECURITY`, `QPWD*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_values: Vec<String>,
    /// Message identifiers, generic ones allowed: `CPF1124`, `CPF*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub message_ids: Vec<String>,
    /// Message and data queues as LIBRARY/NAME, each part may be generic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    /// Exit points, generic names allowed: `QIBM_QTMF_*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exit_points: Vec<String>,
    /// Functions of exit points, generic ones allowed, in any case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exit_functions: Vec<String>,
    /// Whether what was asked for was `allowed` or `refused`, or that is `unknown`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
    /// Addresses and networks of the remote system: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_addresses: Vec<String>,
    /// Ports of the remote system: `8471`, `1024-65535`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_ports: Vec<PortRange>,
    /// Ports of the partition: `21`, `8470-8476`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local_ports: Vec<PortRange>,
    /// Texts of which some value of the event holds one, in any case of the letters A to Z.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// Weekdays and times of day, by the partition's local time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<TimeWindow>,
    /// At least this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// At most this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_severity: Option<Severity>,
    /// An expression in CEL over the event that must be true, such as `event.user == event.target_user`. It is
    /// asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Conditions that must not hold together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Match>>,
}

impl Match {
    /// Whether an answer could depend on the severity. An expression may ask for it.
    #[must_use]
    pub fn asks_severity(&self) -> bool {
        self.min_severity.is_some()
            || self.max_severity.is_some()
            || self.expression.is_some()
            || self.not.as_ref().is_some_and(|not| not.asks_severity())
    }

    /// Whether an answer depends on the time.
    #[must_use]
    pub fn asks_time(&self) -> bool {
        !self.when.is_empty() || self.not.as_ref().is_some_and(|not| not.asks_time())
    }

    /// Expressions in it, its own and those below `not`.
    pub fn expressions(&self) -> impl Iterator<Item = &str> {
        let levels = std::iter::successors(Some(self), |level| level.not.as_deref());
        levels.filter_map(|level| level.expression.as_deref())
    }
}

/// What became of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was allowed.
    Allowed,
    /// It was refused.
    Refused,
    /// The source does not tell.
    Unknown,
}

impl Outcome {
    /// Value of the field `outcome`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// One port or a range of them, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Ports from `first` to `last`; `None` where that is none.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last { Some(Self { first, last }) } else { None }
    }

    /// The first one.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last one.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = text.trim();
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(number(first)?, number(last)?)
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last {
            serializer.serialize_u16(self.first)
        } else {
            serializer.collect_str(&format_args!("{}-{}", self.first, self.last))
        }
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortVisitor)
    }
}

struct PortVisitor;

impl Visitor<'_> for PortVisitor {
    type Value = PortRange;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port from 0 to 65535 or a range such as 1024-65535")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<PortRange, E> {
        let port = u16::try_from(value).ok().and_then(|port| PortRange::new(port, port));
        port.ok_or_else(|| E::custom(format_args!("{value} is no port; write 0 to 65535")))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<PortRange, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::custom(format_args!("{value} is no port; write 0 to 65535"))),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PortRange, E> {
        PortRange::parse(text).ok_or_else(|| {
            E::custom(format_args!("`{text}` is no port and no range of ports such as 1024-65535"))
        })
    }
}

impl JsonSchema for PortRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PortRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port (8471) or a range of ports (1024-65535).",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 65_535},
                {"type": "string", "pattern": "^ *[0-9]{1,5} *(- *[0-9]{1,5} *)?$"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_or_ranges() {
        let read = |json: &str| serde_json::from_str::<PortRange>(json);
        for (json, first, last) in [
            ("22", 22, 22),
            ("\"22\"", 22, 22),
            ("\"1024-65535\"", 1024, 65_535),
            ("\" 8470 - 8476 \"", 8470, 8476),
            ("0", 0, 0),
        ] {
            assert_eq!(read(json).unwrap(), PortRange { first, last }, "{json}");
        }
        for (json, part) in [
            ("65536", "65536 is no port"),
            ("-1", "-1 is no port"),
            ("\"9-8\"", "`9-8` is no port and no range"),
            ("\"ftp\"", "`ftp` is no port"),
            ("\"1-70000\"", "is no port"),
            ("\"+1\"", "is no port"),
            ("true", "a port from 0 to 65535"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
        let written = |range| serde_json::to_string(&range).unwrap();
        assert_eq!(written(PortRange::new(22, 22).unwrap()), "22");
        assert_eq!(written(PortRange::new(22, 23).unwrap()), "\"22-23\"");
        assert_eq!(PortRange::new(2, 1), None);
    }

    #[test]
    fn what_conditions_ask_for_is_seen_through_not() {
        let when = |json: serde_json::Value| serde_json::from_value::<Match>(json).unwrap();
        let plain = when(serde_json::json!({"users": ["A"], "not": {"users": ["B"]}}));
        assert!(!plain.asks_severity() && !plain.asks_time());
        assert!(when(serde_json::json!({"not": {"not": {"min_severity": 3}}})).asks_severity());
        assert!(when(serde_json::json!({"not": {"expression": "true"}})).asks_severity());
        assert!(when(serde_json::json!({"not": {"when": [{"days": ["sat"]}]}})).asks_time());
        let two = when(serde_json::json!({"expression": "a", "not": {"not": {"expression": "b"}}}));
        assert_eq!(two.expressions().collect::<Vec<_>>(), ["a", "b"]);
    }
}
