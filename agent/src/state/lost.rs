//! Pure: which missing cursors are lost ones, and until when.
//!
//! Both copies can be lost without a trace of what they held. Then every lane of the first policy that runs
//! after it counts as one that had a cursor; a destination that is added later never had one, and begins
//! where its source's start policy says.

use muster_shared::cursor::{Cursor, CursorKey};
use std::collections::{BTreeMap, BTreeSet};

/// Which lanes without a cursor have lost it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Lost {
    /// None has.
    #[default]
    None,
    /// Cursors were lost, and no policy has run since that tells whose.
    Unknown,
    /// These have, and have stored no new one since.
    Lanes(BTreeSet<CursorKey>),
}

impl Lost {
    /// Whether a missing cursor of this lane is a lost one.
    #[must_use]
    pub fn covers(&self, key: &CursorKey) -> bool {
        match self {
            Self::None => false,
            Self::Unknown => true,
            Self::Lanes(lanes) => lanes.contains(key),
        }
    }

    /// A policy with these lanes runs: the first one with any tells whose cursors are lost.
    #[must_use]
    pub fn settled(self, lanes: &BTreeSet<CursorKey>) -> Self {
        match self {
            Self::Unknown if !lanes.is_empty() => Self::Lanes(lanes.clone()),
            Self::None | Self::Unknown | Self::Lanes(_) => self,
        }
    }

    /// What is left when these cursors are there again.
    #[must_use]
    pub fn without(self, found: &BTreeMap<CursorKey, Cursor>) -> Self {
        match self {
            Self::None | Self::Unknown => self,
            Self::Lanes(mut lanes) => {
                lanes.retain(|key| !found.contains_key(key));
                if lanes.is_empty() { Self::None } else { Self::Lanes(lanes) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::cursor::{JournalCursor, ReceiverId};

    fn key(destination: &str) -> CursorKey {
        CursorKey { source: "audit".into(), destination: destination.into() }
    }

    #[test]
    fn the_first_policy_tells_whose_cursors_are_lost_and_a_new_destination_is_no_loss() {
        let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 5 };
        let cursor = Cursor::Journal(JournalCursor { receiver, sequence: 1 });
        let lost = Lost::Unknown.settled(&BTreeSet::new());
        assert_eq!(lost, Lost::Unknown, "a policy without lanes tells nothing");
        let lost = lost.settled(&[key("a"), key("b")].into());
        let lost = lost.settled(&[key("a"), key("b"), key("later")].into());
        assert!(lost.covers(&key("a")) && lost.covers(&key("b")) && !lost.covers(&key("later")));
        let lost = lost.without(&[(key("a"), cursor.clone())].into());
        assert!(!lost.covers(&key("a")) && lost.covers(&key("b")));
        assert_eq!(lost.without(&[(key("b"), cursor)].into()), Lost::None);
        assert_eq!(Lost::None.settled(&[key("a")].into()), Lost::None);
    }
}
