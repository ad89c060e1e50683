//! The severity of an event, on the scale of LEEF (`sev` 1 to 10), mapped to syslog and CEF.

use serde::{Deserialize, Serialize};

/// How grave an event is: 1 (routine) to 10 (critical).
///
/// LEEF allows 1..=10 and never 0; CEF's 0..=10 contains it; syslog's eight levels are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Severity(u8);

/// A severity outside 1..=10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("severity {0} is outside 1 to 10")]
pub struct SeverityOutOfRange(pub u8);

impl Severity {
    /// The least grave value.
    pub const LOWEST: Self = Self(1);
    /// The gravest value.
    pub const HIGHEST: Self = Self(10);

    /// A severity from a constant; values outside 1..=10 are clamped.
    #[must_use]
    pub const fn clamped(value: u8) -> Self {
        match value {
            0 => Self(1),
            1..=10 => Self(value),
            _ => Self(10),
        }
    }

    /// The number, 1..=10.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The syslog severity (RFC 5424 table 2): 2 critical to 6 informational.
    ///
    /// 9..10 → 2, 8 → 3, 6..7 → 4, 4..5 → 5, 1..3 → 6. Emergency, alert and debug are never used: an
    /// audit entry never means that the *receiver's* system is unusable.
    #[must_use]
    pub const fn syslog(self) -> u8 {
        match self.0 {
            9.. => 2,
            8 => 3,
            6..=7 => 4,
            4..=5 => 5,
            _ => 6,
        }
    }
}

impl schemars::JsonSchema for Severity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Severity".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": 1, "maximum": 10, "description": "1 (routine) to 10 (critical).",
        })
    }
}

impl TryFrom<u8> for Severity {
    type Error = SeverityOutOfRange;
    fn try_from(value: u8) -> Result<Self, Self::Error> {
        if (1..=10).contains(&value) { Ok(Self(value)) } else { Err(SeverityOutOfRange(value)) }
    }
}

impl From<Severity> for u8 {
    fn from(value: Severity) -> u8 {
        value.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_levels_follow_the_table() {
        let levels: Vec<u8> = (1..=10).map(|n| Severity::clamped(n).syslog()).collect();
        assert_eq!(levels, [6, 6, 6, 5, 5, 4, 4, 3, 2, 2]);
    }

    #[test]
    fn out_of_range_is_refused() {
        assert_eq!(Severity::try_from(0), Err(SeverityOutOfRange(0)));
        assert_eq!(Severity::try_from(11), Err(SeverityOutOfRange(11)));
    }
}
