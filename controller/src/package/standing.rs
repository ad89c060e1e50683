//! What agents shall run once a rollout of a package is done: whoever returns after weeks or is enrolled later gets it too.

use crate::store::{self, Batch, Condition, Store, StoreError};
use muster_package::Version;
use muster_proto::api::Labels;
use muster_shared::policy::merge::selects;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Prefix of the keys of standing targets.
pub const STANDINGS: &str = "package-target/";
/// Most of them; one that covers all that another is for takes its place, so there are as many as there are selectors.
pub const MAX_STANDINGS: usize = 100;

/// A version that agents with some labels shall run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The rollout that brought it.
    pub rollout: u64,
    /// The version.
    pub version: Version,
    /// Agents with these labels; without any all.
    pub labels: Labels,
    /// Higher versions that the rollout took agents away from: no other higher version is left for it.
    pub leaves: BTreeSet<Version>,
}

impl Standing {
    /// Key in the store.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{STANDINGS}{:020}", self.rollout)
    }

    /// An agent that runs this version moves on because of it.
    #[must_use]
    pub fn moves(&self, running: &Version) -> bool {
        *running < self.version || self.leaves.contains(running)
    }
}

/// All of them.
///
/// # Errors
/// If the store cannot be read.
pub fn load(store: &dyn Store) -> Result<Vec<Standing>, StoreError> {
    Ok(store::scan_json::<Standing>(store, STANDINGS)?.into_iter().map(|(_, standing)| standing).collect())
}

/// Those that are left with a new one, and what stores that. A newer one takes the place of those that are for no agent
/// but its own.
#[must_use]
pub fn with(standings: &[Standing], new: Standing, batch: &mut Batch) -> Vec<Standing> {
    let (gone, mut left): (Vec<_>, Vec<_>) =
        standings.iter().cloned().partition(|old| selects(&new.labels, &old.labels));
    for standing in gone {
        batch.delete(standing.key(), Condition::Any);
    }
    batch.put_json(new.key(), Condition::Any, &new);
    left.push(new);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_one_takes_the_place_of_those_that_it_covers() {
        let standing = |rollout, labels: &[&str]| Standing {
            rollout,
            version: Version::new(0, 2, 0),
            labels: labels.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect(),
            leaves: BTreeSet::new(),
        };
        let mut all = Vec::new();
        for (rollout, labels, left) in [
            (1, &["site"][..], &[1][..]),
            (2, &["env"], &[1, 2]),
            (3, &["env", "site"], &[1, 2, 3]),
            (4, &["site"], &[2, 4]),
            (5, &[], &[5]),
        ] {
            all = with(&all, standing(rollout, labels), &mut Batch::new());
            assert_eq!(all.iter().map(|s| s.rollout).collect::<Vec<_>>(), left, "{rollout}");
        }
    }
}
