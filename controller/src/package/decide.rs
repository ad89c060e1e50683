//! Which package an agent is offered next: functions of values.

use super::standing::Standing;
use super::{PackageRecord, Packages};
use crate::fleet::upgrade::{Goal, UpgradeState, Wanted, WantedFile};
use jiff::Timestamp;
use muster_package::manifest::Manifest;
use muster_package::steps::next_step;
use muster_package::{AGENT, Version};
use muster_proto::api::Labels;
use muster_shared::policy::merge::selects;
use std::collections::{BTreeMap, BTreeSet};

/// Packages of agents, as they can be offered at this moment.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// By platform: what new rollouts may offer.
    offered: BTreeMap<String, Vec<Manifest>>,
    /// By platform: the same, and what was retired.
    all: BTreeMap<String, Vec<Manifest>>,
    /// By platform and version: all whose file is there, retired ones too.
    present: BTreeMap<(String, Version), PackageRecord>,
}

impl Packages {
    /// What can be offered.
    #[must_use]
    pub fn shelf(&self) -> Shelf {
        let here = |package: &PackageRecord| self.path(package).exists();
        Shelf::of(self.all().into_iter().filter(here))
    }
}

impl Shelf {
    /// Of these packages.
    #[must_use]
    pub fn of(packages: impl IntoIterator<Item = PackageRecord>) -> Self {
        let mut shelf = Self::default();
        for package in packages.into_iter().filter(|package| package.manifest.name == AGENT) {
            let (platform, version) = (package.manifest.platform.clone(), package.manifest.version.clone());
            shelf.all.entry(platform.clone()).or_default().push(package.manifest.clone());
            if package.retired.is_none() {
                shelf.offered.entry(platform.clone()).or_default().push(package.manifest.clone());
            }
            shelf.present.insert((platform, version), package);
        }
        shelf
    }

    /// A version that new rollouts may offer is there for some platform.
    #[must_use]
    pub fn offers(&self, version: &Version) -> bool {
        self.offered.values().flatten().any(|manifest| manifest.version == *version)
    }

    /// The vendor says of this version, on every platform that it is there for, that it mends a hole.
    #[must_use]
    pub fn mends_a_hole(&self, version: &Version) -> bool {
        let mut packages =
            self.offered.values().flatten().filter(|manifest| manifest.version == *version).peekable();
        packages.peek().is_some() && packages.all(|manifest| manifest.security)
    }

    /// The next package on the way from one version to another, of those that new rollouts may offer.
    ///
    /// # Errors
    /// Why there is no way.
    pub fn next(&self, platform: &str, from: &Version, to: &Version) -> Result<Option<&Manifest>, String> {
        let packages = self.offered.get(platform).map_or(&[][..], Vec::as_slice);
        let present = self.present.get(&(platform.to_owned(), to.clone()));
        if present.is_some_and(|package| package.retired.is_some()) && from != to {
            return Err(format!("{to} was retired: nobody new gets it"));
        }
        if packages.is_empty() {
            return Err(format!("there is no package for its platform {platform}; upload one"));
        }
        next_step(from, to, packages)
    }

    /// The same for a rollout under way, which goes on with what was retired meanwhile.
    fn next_under_way(
        &self,
        platform: &str,
        from: &Version,
        to: &Version,
    ) -> Result<Option<&Manifest>, String> {
        self.next(platform, from, to).or_else(|why| {
            let all = self.all.get(platform).map_or(&[][..], Vec::as_slice);
            next_step(from, to, all).map_err(|_| why)
        })
    }

    fn file(&self, platform: &str, version: &Version) -> Option<WantedFile> {
        let package = self.present.get(&(platform.to_owned(), version.clone()))?;
        Some(WantedFile { sha256: package.sha256.clone(), signature: package.signature.clone() })
    }
}

/// What an agent is offered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// The offer; none if there is nothing to offer.
    pub wanted: Option<Wanted>,
    /// Why it cannot come to its goal.
    pub blocked: Option<String>,
}

/// What an agent with this state, which runs `running` on `platform`, is offered; `active`: rollouts under way.
#[must_use]
pub fn decide(
    state: &UpgradeState,
    running: &Version,
    platform: &str,
    shelf: &Shelf,
    active: &BTreeSet<u64>,
    now: Timestamp,
) -> Decision {
    let Some(goal) = state.goal.as_deref() else { return Decision::default() };
    let present = state.wanted.as_deref().filter(|w| (w.rollout, w.back) == (goal.rollout, goal.back));
    // Each step waits until the one before is over: whatever the agent runs in between is not yet for good.
    let under_way = state.answer().is_some_and(|report| !report.step.is_over());
    if let Some(present) = present.filter(|_| under_way) {
        return Decision { wanted: Some(present.clone()), blocked: None };
    }
    let end = goal.end();
    let offer = |version: &Version| {
        let file = shelf.file(platform, version);
        let (platform, rollout, back) = (platform.to_owned(), goal.rollout, goal.back);
        let wanted = Wanted { version: version.clone(), platform, file, rollout, back, at: now };
        // The same as before is wanted since then.
        let at = present.filter(|present| present.hash() == wanted.hash()).map_or(now, |present| present.at);
        Decision { wanted: Some(Wanted { at, ..wanted }), blocked: None }
    };
    if goal.back {
        // Also where it runs that: it may be about to leave.
        return offer(end);
    }
    let next = match active.contains(&goal.rollout) {
        true => shelf.next_under_way(platform, running, end),
        false => shelf.next(platform, running, end),
    };
    match next {
        // There: what brought it there stays what is wanted.
        _ if running == end => {
            let wanted = present.filter(|present| present.version == *end).cloned();
            Decision { wanted, blocked: None }
        }
        Ok(Some(step)) => offer(&step.version),
        Ok(None) => Decision::default(),
        Err(why) => Decision { wanted: None, blocked: Some(why) },
    }
}

/// Which version an agent shall come to that no rollout under way changes: what it was told, until that is over for it,
/// then what is the standing target of agents like it.
#[must_use]
pub fn choose(
    state: &UpgradeState,
    running: &Version,
    labels: &Labels,
    active: &BTreeSet<u64>,
    standings: &[Standing],
) -> Option<Goal> {
    let goal = state.goal.as_deref();
    if goal.is_some_and(|goal| active.contains(&goal.rollout)) {
        return goal.cloned();
    }
    let newest = standings
        .iter()
        .filter(|standing| selects(&standing.labels, labels))
        .max_by_key(|standing| standing.rollout);
    // Whoever was away when the others went back goes back when it returns, unless something newer is for it.
    let going_back = goal.is_some_and(|goal| goal.back && goal.from != *running);
    let newer = newest.filter(|standing| goal.is_none_or(|goal| standing.rollout > goal.rollout));
    let newer_is_for_it =
        newer.is_some_and(|standing| standing.moves(running) || standing.version == *running);
    if going_back && !newer_is_for_it {
        return goal.cloned();
    }
    match (newest, goal) {
        (Some(standing), Some(goal))
            if goal.rollout == standing.rollout
                && !goal.back
                && (goal.end() == running || standing.moves(running)) =>
        {
            Some(goal.clone())
        }
        (Some(standing), _) if standing.moves(running) => {
            let (rollout, version) = (standing.rollout, standing.version.clone());
            Some(Goal { rollout, version, from: running.clone(), back: false })
        }
        // What it came to is told further.
        (_, Some(goal)) if goal.end() == running => Some(goal.clone()),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::upgrade::Report;
    use crate::package::testing::{package, retired, version};
    use muster_package::progress::Step;

    fn shelf() -> Shelf {
        Shelf::of([
            package("0.2.0", ">=0.1"),
            package("0.3.0", ">=0.2"),
            retired(package("0.1.0", "*")),
            package("0.9.0", ">=0.8"),
        ])
    }

    fn goal(end: &str, back: bool) -> Goal {
        let (to, from) = if back { ("0.3.0", end) } else { (end, "0.1.0") };
        Goal { rollout: 7, version: version(to), from: version(from), back }
    }

    fn told(decision: &Decision) -> String {
        match (&decision.wanted, &decision.blocked) {
            (Some(wanted), _) => {
                let file = wanted.file.as_ref().map_or("no file", |file| file.sha256.as_str());
                format!("{} {file}", wanted.version)
            }
            (None, Some(why)) => why.clone(),
            (None, None) => "-".to_owned(),
        }
    }

    #[test]
    fn the_next_step_of_the_way() {
        let cases = [
            (None, "0.1.0", "-"),
            (Some(goal("0.3.0", false)), "0.1.0", "0.2.0 0.2.0"),
            (Some(goal("0.3.0", false)), "0.2.0", "0.3.0 0.3.0"),
            (Some(goal("0.3.0", false)), "0.3.0", "-"),
            (Some(goal("0.2.0", false)), "0.3.0", "0.2.0 0.2.0"),
            (Some(goal("0.9.0", false)), "0.1.0", "no package leads there from 0.1.0"),
            (Some(goal("0.1.0", false)), "0.3.0", "0.1.0 was retired"),
            (Some(goal("0.7.0", false)), "0.3.0", "no package of 0.7.0"),
            // Back: also to what is retired, what the agent keeps, and what it runs.
            (Some(goal("0.1.0", true)), "0.3.0", "0.1.0 0.1.0"),
            (Some(goal("0.1.5", true)), "0.3.0", "0.1.5 no file"),
            (Some(goal("0.2.0", true)), "0.2.0", "0.2.0 0.2.0"),
        ];
        for (goal, running, expected) in cases {
            let state = UpgradeState { goal: goal.clone().map(Box::new), ..UpgradeState::default() };
            let decided =
                |active| decide(&state, &version(running), "linux", &shelf(), &active, Timestamp::UNIX_EPOCH);
            let decision = decided(BTreeSet::new());
            assert!(told(&decision).contains(expected), "{goal:?} {running}: {decision:?}");
            let under_way = decided([7].into());
            let retired = expected.contains("was retired");
            let expected = if retired { "0.1.0 0.1.0" } else { expected };
            assert!(told(&under_way).contains(expected), "{goal:?} {running}: {under_way:?}");
        }
        let state = UpgradeState { goal: Some(Box::new(goal("0.3.0", false))), ..UpgradeState::default() };
        let none = BTreeSet::new();
        let other = decide(&state, &version("0.1.0"), "aix", &shelf(), &none, Timestamp::UNIX_EPOCH);
        assert!(told(&other).contains("no package for its platform aix"));
    }

    #[test]
    fn a_step_waits_for_the_one_before() {
        let (mut state, later) = (UpgradeState::default(), Timestamp::from_second(60).unwrap());
        state.goal = Some(Box::new(goal("0.3.0", false)));
        let decided = |state: &UpgradeState, running: &str| {
            let decision = decide(state, &version(running), "linux", &shelf(), &BTreeSet::new(), later);
            decision.wanted.map(|wanted| wanted.version.to_string())
        };
        let first =
            decide(&state, &version("0.1.0"), "linux", &shelf(), &BTreeSet::new(), Timestamp::UNIX_EPOCH);
        state.wanted = first.wanted.map(Box::new);
        let hash = state.wanted.as_ref().unwrap().hash_text();
        let mut say = |step| {
            let (hash, since) = (hash.clone(), later);
            let report =
                Report { hash, step, installing: false, percent: None, reason: String::new(), since };
            state.report = Some(Box::new(report));
            (decided(&state, "0.1.0"), decided(&state, "0.2.0"))
        };
        let (second, third) = (Some("0.2.0".to_owned()), Some("0.3.0".to_owned()));
        assert_eq!(say(Step::Confirming), (second.clone(), second.clone()), "it may still go back");
        assert_eq!(say(Step::Done), (second.clone(), third));
        let (failed, _) = say(Step::Failed);
        assert_eq!(failed, second, "the same, which it answered: it is not offered again");
        let kept =
            decide(&state, &version("0.1.0"), "linux", &shelf(), &BTreeSet::new(), later).wanted.unwrap();
        assert_eq!(kept.at, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn what_stands_when_no_rollout_is_under_way() {
        let standing = |rollout, to: &str, labels: &[(&str, &str)], leaves: &[&str]| Standing {
            rollout,
            version: version(to),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            leaves: leaves.iter().map(|v| version(v)).collect(),
        };
        let old = standing(3, "0.2.0", &[], &[]);
        let new = standing(9, "0.3.0", &[("site", "zrh")], &["0.4.0"]);
        let all = [old.clone(), new];
        let with = |rollout, to: &str, from: &str, back| {
            Some(Goal { rollout, version: version(to), from: version(from), back })
        };
        let cases = [
            // Never told of anything.
            (None, "0.1.0", "zrh", &all[..], with(9, "0.3.0", "0.1.0", false)),
            (None, "0.1.0", "ber", &all, with(3, "0.2.0", "0.1.0", false)),
            (None, "0.3.0", "zrh", &all, None),
            (None, "0.5.0", "zrh", &all, None),
            (None, "0.4.0", "zrh", &all, with(9, "0.3.0", "0.4.0", false)),
            (None, "0.1.0", "ber", &all[1..], None),
            // Told by an older rollout, by this one, and back by one that nobody has.
            (with(3, "0.2.0", "0.1.0", false), "0.2.0", "zrh", &all, with(9, "0.3.0", "0.2.0", false)),
            (with(9, "0.3.0", "0.1.0", false), "0.2.0", "zrh", &all, with(9, "0.3.0", "0.1.0", false)),
            (with(5, "0.9.0", "0.2.0", true), "0.9.0", "ber", &all, with(5, "0.9.0", "0.2.0", true)),
            (with(5, "0.9.0", "0.2.0", true), "0.2.0", "ber", &all, with(5, "0.9.0", "0.2.0", true)),
            (with(5, "0.9.0", "0.2.0", true), "0.9.0", "zrh", &all, with(5, "0.9.0", "0.2.0", true)),
            (with(5, "0.9.0", "0.2.0", true), "0.2.5", "zrh", &all, with(9, "0.3.0", "0.2.5", false)),
            (with(5, "0.9.0", "0.2.0", true), "0.2.0", "zrh", &all, with(9, "0.3.0", "0.2.0", false)),
            // Its labels changed before it came there.
            (with(9, "0.3.0", "0.1.0", false), "0.1.0", "ber", &all[1..], None),
            // Under way.
            (with(20, "0.9.0", "0.1.0", false), "0.1.0", "zrh", &all, with(20, "0.9.0", "0.1.0", false)),
        ];
        for (goal, running, site, standings, expected) in cases {
            let state = UpgradeState { goal: goal.clone().map(Box::new), ..UpgradeState::default() };
            let labels = [("site".to_owned(), site.to_owned())].into();
            let chosen = choose(&state, &version(running), &labels, &[20].into(), standings);
            assert_eq!(chosen, expected, "{goal:?} {running} {site}");
        }
        assert!(old.moves(&version("0.1.9")) && !old.moves(&version("0.2.0")));
    }
}
