//! Pure: a change of what is registered, as it lies in the spool.

use muster_ibmi::exit::registry::{Change, Finding, Program};
use muster_shared::event::Event;
use serde::{Deserialize, Serialize};

/// Kind of such an entry in the spool.
pub(super) const FINDING: u8 = 2;

/// What was found and when, microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Number of the look that found it, among those that brought something new.
    pub look: u64,
    pub at_us: i64,
    pub finding: Finding,
}

#[derive(Serialize, Deserialize)]
struct Body {
    look: u64,
    at_us: i64,
    change: Kind,
    exit_point: String,
    format: String,
    before: Option<Program>,
    now: Option<Program>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Added,
    Removed,
    Changed,
    Foreign,
    Missing,
}

impl Found {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Finding { change, exit_point, format, before, now } = self.finding.clone();
        let change = match change {
            Change::Added => Kind::Added,
            Change::Removed => Kind::Removed,
            Change::Changed => Kind::Changed,
            Change::Foreign => Kind::Foreign,
            Change::Missing => Kind::Missing,
        };
        let body = Body { look: self.look, at_us: self.at_us, change, exit_point, format, before, now };
        // Plain structs with string keys: writing them to memory cannot fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let Body { look, at_us, change, exit_point, format, before, now } =
            serde_json::from_slice(bytes).ok()?;
        let change = match change {
            Kind::Added => Change::Added,
            Kind::Removed => Change::Removed,
            Kind::Changed => Change::Changed,
            Kind::Foreign => Change::Foreign,
            Kind::Missing => Change::Missing,
        };
        Some(Self { look, at_us, finding: Finding { change, exit_point, format, before, now } })
    }

    pub(super) fn fill(&self, event: &mut Event) {
        self.finding.fill(self.at_us, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_back() {
        let program = Program {
            exit_point: "QIBM_QZRC_RMT".to_owned(),
            format: "CZRC0100".to_owned(),
            number: 1,
            library: "VENDOR".to_owned(),
            name: "EXIT".to_owned(),
            text: "theirs".to_owned(),
            data: "C1".to_owned(),
        };
        for change in [Change::Added, Change::Removed, Change::Changed, Change::Foreign, Change::Missing] {
            let finding = Finding {
                change,
                exit_point: program.exit_point.clone(),
                format: program.format.clone(),
                before: Some(program.clone()),
                now: None,
            };
            let found = Found { look: 3, at_us: 7, finding };
            assert_eq!(Found::decode(&found.encode()), Some(found));
        }
        assert_eq!(Found::decode(b"{}"), None);
    }
}
