//! What a rollout waits for, in words, and its waves in numbers.

use crate::rollout::{Look, Rollout};
use crate::state::{Phase, State};
use crate::track::after;
use crate::window::{Opening, Windows};
use crate::{Presence, words};
use jiff::Timestamp;
use muster_proto::api::WaveView;
use muster_shared::id::AgentId;
use std::collections::BTreeMap;

/// Partitions of one wave that are looked at to say what they wait for.
const MAX_LOOKED_AT: usize = 20_000;

impl Rollout {
    /// Its waves in numbers.
    #[must_use]
    pub fn wave_views(&self) -> Vec<WaveView> {
        let named = |position| WaveView { name: self.wave_name(position), ..WaveView::default() };
        let mut views: Vec<WaveView> = (0..self.waves).map(named).collect();
        for target in self.targets.values() {
            let Some(view) = views.get_mut(target.wave) else { continue };
            view.partitions += 1;
            *match &target.state {
                State::Planned => &mut view.planned,
                State::Offered { .. } => &mut view.changing,
                State::Proving { .. } => &mut view.proving,
                State::Unwell { .. } => &mut view.unwell,
                State::Proven { .. } => &mut view.proven,
                State::Failed { .. } | State::Accepted { .. } => &mut view.failed,
                State::GoingBack { .. } | State::Back => &mut view.back,
                State::Gone => &mut view.gone,
            } += 1;
        }
        views
    }

    /// What it waits for, one reason a line; nothing once it is over.
    #[must_use]
    pub fn waiting(&self, look: &dyn Fn(AgentId) -> crate::Observation, now: Timestamp) -> Vec<String> {
        match &self.phase {
            Phase::Running => {
                let mut lines = self.under_way(look, now);
                lines.extend(self.untold(look, now));
                lines
            }
            Phase::Paused { by, since, .. } => {
                let mut lines = vec![format!(
                    "paused by {by} {} ago: nobody further is told until `muster rollout resume`",
                    words::between(*since, now)
                )];
                lines.extend(self.under_way(look, now));
                lines
            }
            Phase::Halted { reason, .. } => vec![format!(
                "halted: {reason}; `muster rollout resume` goes on and lets those that failed be, `muster rollout abort` \
                 takes everybody back"
            )],
            Phase::GoingBack { .. } => {
                let left = self.named(look, |state| match state {
                    State::GoingBack { since } => Some(*since),
                    _ => None,
                });
                let until = |since| words::between(now, after(since, self.strategy.deadline_seconds));
                left.map(|(names, count, since)| {
                    let count = words::partitions(count);
                    format!("{count} going back, at most {} more: {names}", until(since))
                })
                .into_iter()
                .collect()
            }
            Phase::Done { .. } | Phase::RolledBack { .. } => Vec::new(),
        }
    }

    /// Of those that have the change.
    fn under_way(&self, look: Look<'_>, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        let changing = self.named(look, |state| match state {
            State::Offered { at } => Some(*at),
            _ => None,
        });
        if let Some((names, count, since)) = changing {
            let (count, left) = (words::partitions(count), after(since, self.strategy.deadline_seconds));
            lines.push(format!(
                "{count} changing over, the first for {} more at most: {names}",
                words::between(now, left)
            ));
        }
        let mut reasons: BTreeMap<AgentId, (&str, Timestamp)> = BTreeMap::new();
        for (id, target) in &self.targets {
            if let State::Unwell { reason, until, .. } = &target.state {
                reasons.insert(*id, (reason, *until));
            }
        }
        for (id, (reason, until)) in reasons.iter().take(5) {
            let seen = look(*id);
            let left = match seen.presence {
                Presence::PlannedOutage => "is waited for".to_owned(),
                _ => format!("is unwell and fails in {}", words::between(now, *until)),
            };
            lines.push(format!("{} {left}: {reason}", seen.name));
        }
        if reasons.len() > 5 {
            lines.push(format!("{} more unwell", words::partitions(reasons.len() - 5)));
        }
        let soak = self.strategy.soak_seconds;
        let proving = self.targets.values().filter_map(|t| match t.state {
            State::Proving { since } => Some(after(since, soak)),
            _ => None,
        });
        let ends: Vec<Timestamp> = proving.collect();
        if let Some(last) = ends.iter().max() {
            let count = words::partitions(ends.len());
            lines.push(match self.asked {
                Some(_) if *last <= now => format!("{count} well; asked for fresh counters"),
                None if *last <= now => format!("{count} well for as long as was asked"),
                _ => format!("{count} well, watched for {} more", words::between(now, *last)),
            });
        }
        lines
    }

    /// Of those that were not told.
    fn untold(&self, look: Look<'_>, now: Timestamp) -> Vec<String> {
        let windows = Windows::read(&self.strategy.windows).unwrap_or_default();
        let (mut away, mut held, mut busy, mut crowd) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut closed: BTreeMap<(Timestamp, String), Vec<String>> = BTreeMap::new();
        let planned = self.targets.iter().filter(|(_, t)| t.wave <= self.wave && t.state == State::Planned);
        for (id, _) in planned.take(MAX_LOOKED_AT) {
            let seen = look(*id);
            let name = seen.name;
            match (seen.presence, seen.busy, windows.opening(&seen.labels, now)) {
                (Presence::Away | Presence::PlannedOutage, _, _) => away.push(name),
                (Presence::Held, _, _) => held.push(name),
                (Presence::Gone, _, _) => {}
                (Presence::Present, Some(other), _) => busy.push(format!("{name} ({other})")),
                (Presence::Present, None, Opening::Opens(at, told)) => {
                    closed.entry((at, told)).or_default().push(name);
                }
                (Presence::Present, None, Opening::Open) => crowd.push(name),
            }
        }
        let told = |names: &[String]| {
            let shown = words::names(names.iter().map(String::as_str));
            (words::partitions(names.len()), shown)
        };
        let mut lines = Vec::new();
        for ((_, opens), names) in &closed {
            let (count, names) = told(names);
            lines.push(format!("{count} wait for the maintenance window that opens {opens}: {names}"));
        }
        if !crowd.is_empty() {
            let (count, names) = told(&crowd);
            let most = self.max_unavailable();
            lines.push(format!(
                "{count} wait, for {most} may be unavailable at a time (max_unavailable): {names}"
            ));
        }
        for (names, why) in [
            (&busy, "wait for another rollout"),
            (&away, "away: told when they are back"),
            (&held, "quarantined: told when they are released"),
        ] {
            if !names.is_empty() {
                let (count, names) = told(names);
                lines.push(format!("{count} {why}: {names}"));
            }
        }
        lines
    }

    /// Names, number and least moment of the partitions that `of` gives a moment for.
    fn named(
        &self,
        look: Look<'_>,
        of: impl Fn(&State) -> Option<Timestamp>,
    ) -> Option<(String, usize, Timestamp)> {
        let found: Vec<(AgentId, Timestamp)> =
            self.targets.iter().filter_map(|(id, t)| Some((*id, of(&t.state)?))).collect();
        let first = found.iter().map(|(_, at)| *at).min()?;
        let names: Vec<String> = found.iter().take(6).map(|(id, _)| look(*id).name).collect();
        let shown = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match found.len().saturating_sub(5) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some((format!("{shown}{more}"), found.len(), first))
    }
}
