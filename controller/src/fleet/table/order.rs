//! By what agents are sorted and summed up.

use super::Facts;
use muster_package::Version;
use muster_proto::api::{AgentState, PolicyState, SortOrder};
use muster_shared::id::AgentId;
use std::cmp::Ordering;
use std::str::FromStr;

/// By what agents are sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Column {
    /// Name, as people count: `PROD9` before `prod10`.
    #[default]
    Name,
    /// State, the worst first.
    State,
    /// Release of the operating system.
    OsRelease,
    /// Version of the agent.
    Version,
    /// Events read per second.
    Rate,
    /// Lag.
    Lag,
    /// Where the policy stands, the worst first.
    Policy,
    /// When it was last heard.
    LastSeen,
    /// Value of a label.
    Label(String),
}

/// By what agents are summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// State.
    State,
    /// Version of the agent.
    Version,
    /// Release of the operating system.
    OsRelease,
    /// Value of a label.
    Label(String),
}

/// The text names nothing to sort or sum up by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is none of {known}")]
pub struct NoColumn {
    found: String,
    known: &'static str,
}

const COLUMNS: &str = "name, state, os_release, version, rate, lag, policy, last_seen and label:KEY";
const GROUPS: &str = "state, version, os_release and label:KEY";

/// The key in `label:KEY`.
fn label(text: &str) -> Option<String> {
    text.strip_prefix("label:").filter(|key| !key.is_empty()).map(str::to_owned)
}

fn none(text: &str, known: &'static str) -> NoColumn {
    NoColumn { found: crate::fleet::bounded(text, 100), known }
}

impl FromStr for Column {
    type Err = NoColumn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "name" => Self::Name,
            "state" => Self::State,
            "os_release" => Self::OsRelease,
            "version" => Self::Version,
            "rate" => Self::Rate,
            "lag" => Self::Lag,
            "policy" => Self::Policy,
            "last_seen" => Self::LastSeen,
            _ => Self::Label(label(text).ok_or_else(|| none(text, COLUMNS))?),
        })
    }
}

impl FromStr for GroupBy {
    type Err = NoColumn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "state" => Self::State,
            "version" => Self::Version,
            "os_release" => Self::OsRelease,
            _ => Self::Label(label(text).ok_or_else(|| none(text, GROUPS))?),
        })
    }
}

impl GroupBy {
    /// The value of an agent; empty if it has none.
    pub(super) fn value<'f>(&self, facts: &'f Facts<'_>) -> &'f str {
        match self {
            Self::State => facts.state.word(),
            Self::Version => facts.version,
            Self::OsRelease => facts.os_release,
            Self::Label(key) => facts.labels.get(key).map_or("", String::as_str),
        }
    }
}

/// What one agent is sorted by. Two agents never compare as equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: AgentId,
    name: Natural,
    by: Option<Value>,
}

/// The value in the column; all of a table are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(u64),
    Time(jiff::Timestamp),
    Version(Version),
    Text(Natural),
}

impl Key {
    pub(super) fn of(facts: &Facts<'_>, column: &Column) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| Value::Text(Natural::of(text)));
        let by = match column {
            Column::Name => None,
            Column::State => Some(Value::Number(severity(facts.state))),
            Column::OsRelease => text(facts.os_release),
            Column::Version => facts.version().map(Value::Version),
            // Bits of numbers that are not negative are in the order of the numbers.
            Column::Rate => Some(Value::Number(facts.received.max(0.0).to_bits())),
            Column::Lag => Some(Value::Number(facts.lag_ms)),
            Column::Policy => Some(Value::Number(policy(facts.policy))),
            Column::LastSeen => facts.last_seen.map(Value::Time),
            Column::Label(key) => facts.labels.get(key).and_then(|value| text(value)),
        };
        // The name itself is compared in the order that is asked for, as a tie-breaker it rises.
        let name = Natural::of(&facts.name);
        if *column == Column::Name {
            return Self { id: facts.id, by: Some(Value::Text(name)), name: Natural::default() };
        }
        Self { id: facts.id, by, name }
    }

    pub(super) fn compare(&self, other: &Self, order: SortOrder) -> Ordering {
        let by = match (&self.by, &other.by) {
            (Some(a), Some(b)) => match order {
                SortOrder::Asc => a.cmp(b),
                SortOrder::Desc => b.cmp(a),
            },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by.then_with(|| self.name.cmp(&other.name)).then_with(|| self.id.cmp(&other.id))
    }
}

/// What needs somebody most comes first; an outage that was announced is in order.
const fn severity(state: AgentState) -> u64 {
    match state {
        AgentState::Failed => 0,
        AgentState::Offline => 1,
        AgentState::Degraded => 2,
        AgentState::Quarantined => 3,
        AgentState::Reconnecting => 4,
        AgentState::NeverConnected => 5,
        AgentState::PlannedOutage => 6,
        AgentState::Healthy => 7,
    }
}

const fn policy(state: PolicyState) -> u64 {
    match state {
        PolicyState::Failed => 0,
        PolicyState::Waiting => 1,
        PolicyState::Applying => 2,
        PolicyState::Applied => 3,
    }
}

/// A text as bytes that compare as people sort: upper and lower case alike, numbers in it by their value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Natural(Box<[u8]>);

impl Natural {
    pub(super) fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let mut rest = lower.as_bytes();
        let mut out = Vec::with_capacity(rest.len() + 8);
        while let Some(first) = rest.first() {
            if !first.is_ascii_digit() {
                out.push(*first);
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            let zeros = number.iter().take_while(|digit| **digit == b'0').count();
            let digits = &number[zeros..];
            // A number sorts where digits sort, and a longer one after a shorter one.
            out.push(b'0');
            out.extend_from_slice(&u16::try_from(digits.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(digits);
            rest = after;
        }
        Self(out.into())
    }
}
