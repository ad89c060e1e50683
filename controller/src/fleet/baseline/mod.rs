//! Silent and noisy sources: each is compared with its own past in the same hour of the week (168 of them, UTC).
//!
//! Only the present hour is in memory. An hour is learnt from at its end, if the agent was there for nine tenths
//! of it; nothing is said before three weeks are known. Agents that are away, or in a planned outage, are not judged.

mod judge;
mod page;

use super::history::Sampled;
use super::rates::SpanCounts;
use jiff::Timestamp;
use judge::{Past, Present, expected};
use muster_proto::api::{AgentState, FlagKind, SourceFlag};
use muster_shared::id::AgentId;
use page::{Entry, Page, SourceKey};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

const HOUR_SECONDS: i64 = 3_600;
const WEEK_HOURS: i64 = 168;

#[derive(Debug, Clone, Copy)]
struct Seen {
    present: Present,
    flag: Option<(FlagKind, Timestamp)>,
}

/// What is known of the present hour.
#[derive(Debug)]
struct Hour {
    /// Counted since 1970.
    number: i64,
    page: Page,
    seen: HashMap<SourceKey, Seen>,
}

/// The judge of all sources. It blocks on the disk when an hour ends.
#[derive(Debug)]
pub struct Baseline {
    folder: PathBuf,
    hour: Option<Hour>,
    flagged: HashSet<AgentId>,
}

/// Flags of an agent that are to be shown from now on.
pub type Flags = (AgentId, Vec<SourceFlag>);

fn hour_of_week(hour: i64) -> u32 {
    // 1970 began on a Thursday; weeks begin on Monday.
    u32::try_from((hour + 72).rem_euclid(WEEK_HOURS)).unwrap_or(0)
}

fn week(hour: i64) -> u16 {
    u16::try_from((hour + 72) / WEEK_HOURS).unwrap_or(u16::MAX)
}

impl Baseline {
    /// A judge that keeps what it learns in a folder, which is made if need be.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), hour: None, flagged: HashSet::new() })
    }

    /// Takes what agents did in the `span` seconds before `now`. Tells the flags of agents that have some, or had.
    ///
    /// # Errors
    /// If what was learnt of the hour before could not be written; it is judged all the same.
    pub fn observe(
        &mut self,
        now: Timestamp,
        span: u64,
        sampled: &[Sampled],
    ) -> (Vec<Flags>, io::Result<()>) {
        let number = now.as_second().div_euclid(HOUR_SECONDS);
        let stored = self.turn_to(number);
        let Some(hour) = &mut self.hour else { return (Vec::new(), stored) };
        let span = u32::try_from(span).unwrap_or(u32::MAX).min(3_600);
        let (mut told, mut flagged) = (Vec::new(), HashSet::new());
        for agent in sampled {
            let flags = match agent.state {
                AgentState::PlannedOutage | AgentState::Quarantined => Vec::new(),
                AgentState::Healthy
                | AgentState::Degraded
                | AgentState::Failed
                | AgentState::Reconnecting
                | AgentState::Offline
                | AgentState::NeverConnected => hour.look(agent, span, now),
            };
            if !flags.is_empty() {
                flagged.insert(agent.agent);
            }
            if !flags.is_empty() || self.flagged.contains(&agent.agent) {
                told.push((agent.agent, flags));
            }
        }
        let here: HashSet<AgentId> = told.iter().map(|(id, _)| *id).collect();
        let away = self.flagged.iter().filter(|id| !here.contains(id));
        told.extend(away.map(|id| (*id, Vec::new())));
        self.flagged = flagged;
        (told, stored)
    }

    /// Learns from the hour that ended, and begins another.
    fn turn_to(&mut self, number: i64) -> io::Result<()> {
        if self.hour.as_ref().is_some_and(|hour| hour.number == number) {
            return Ok(());
        }
        let mut seen = HashMap::new();
        let mut stored = Ok(());
        if let Some(mut ended) = self.hour.take() {
            let week = week(ended.number);
            ended.learn(week);
            stored = page::save(&self.folder, hour_of_week(ended.number), &ended.page, week);
            // Flags go on into the next hour, counts do not.
            let flags = ended.seen.into_iter().filter(|(_, seen)| seen.flag.is_some());
            seen = flags.map(|(key, seen)| (key, Seen { present: Present::default(), ..seen })).collect();
        }
        let page = page::load(&self.folder, hour_of_week(number));
        self.hour = Some(Hour { number, page, seen });
        stored
    }
}

impl Hour {
    fn look(&mut self, agent: &Sampled, span: u32, now: Timestamp) -> Vec<SourceFlag> {
        let mut flags = Vec::new();
        // One that stands by is neither silent nor is its silence to be learnt.
        let stands_by = |name: &str| agent.standing_by.iter().any(|standing| standing == name);
        let judged = |c: &&SpanCounts| !c.destination && !stands_by(&c.name);
        for source in agent.components.iter().filter(judged) {
            let key = SourceKey::new(agent.agent, &source.name);
            let past = self.page.get(&key).map_or(Past::default(), |entry| entry.past);
            let seen = self.seen.entry(key).or_insert(Seen { present: Present::default(), flag: None });
            seen.present.count = seen.present.count.saturating_add(source.counts[0]);
            seen.present.covered = seen.present.covered.saturating_add(span).min(3_600);
            let before = seen.flag;
            seen.flag = judge::judge(past, seen.present, before.map(|(kind, _)| kind)).map(|kind| {
                let since = before.filter(|(was, _)| *was == kind).map_or(now, |(_, since)| since);
                (kind, since)
            });
            flags.extend(seen.flag.map(|(kind, since)| flag(&source.name, kind, since, past, seen.present)));
        }
        flags
    }

    fn learn(&mut self, week: u16) {
        for (key, seen) in &self.seen {
            let past = self.page.get(key).map_or(Past::default(), |entry| entry.past);
            if let Some(past) = judge::learn(past, seen.present) {
                self.page.insert(*key, Entry { past, week });
            }
        }
    }
}

fn flag(source: &str, kind: FlagKind, since: Timestamp, past: Past, present: Present) -> SourceFlag {
    let word = match kind {
        FlagKind::Silent => "silent",
        FlagKind::Noisy => "noisy",
    };
    let reason = format!(
        "source {source} is {word}: {} events in {} min, usually about {:.0} at this hour of the week ({} weeks known)",
        present.count,
        present.covered / 60,
        expected(past, present),
        past.weeks
    );
    SourceFlag { source: source.to_owned(), kind, since, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn sampled(received: u64, state: AgentState) -> Sampled {
        let counts = |name: &str, destination, received| SpanCounts {
            name: Arc::from(name),
            destination,
            counts: [received, received, 0],
            lag_ms: 0,
        };
        let components = vec![counts("audit", false, received), counts("siem", true, 0)];
        Sampled { agent: AgentId(uuid::Uuid::from_u128(1)), state, components, standing_by: Vec::new() }
    }

    /// Lives through `hours` with a moment a minute; the flags at the end.
    fn live(
        baseline: &mut Baseline,
        from: &str,
        hours: i64,
        per_minute: u64,
        state: AgentState,
    ) -> Vec<SourceFlag> {
        let from: Timestamp = from.parse().unwrap();
        let mut last = Vec::new();
        for minute in 0..hours * 60 {
            let now = from + jiff::SignedDuration::from_mins(minute);
            let (told, stored) = baseline.observe(now, 60, &[sampled(per_minute, state)]);
            stored.unwrap();
            if let Some((_, flags)) = told.into_iter().next() {
                last = flags;
            }
        }
        last
    }

    #[test]
    fn weeks_are_learnt_and_silence_is_told() {
        let folder = tempfile::tempdir().unwrap();
        // Four Mondays from eight to ten, each in another run of the controller.
        for day in ["2026-11-02", "2026-11-09", "2026-11-16"] {
            let mut baseline = Baseline::open(folder.path()).unwrap();
            let flags = live(&mut baseline, &format!("{day}T08:00:00Z"), 3, 20, AgentState::Healthy);
            assert_eq!(flags, [], "{day}");
        }
        let mut baseline = Baseline::open(folder.path()).unwrap();
        assert_eq!(live(&mut baseline, "2026-11-23T08:00:00Z", 1, 20, AgentState::Healthy), []);
        let flags = live(&mut baseline, "2026-11-23T09:00:00Z", 1, 0, AgentState::Healthy);
        let [flag] = &flags[..] else { panic!("{flags:?}") };
        assert_eq!((flag.source.as_str(), flag.kind), ("audit", FlagKind::Silent));
        assert_eq!(flag.since, "2026-11-23T09:14:00Z".parse().unwrap());
        assert!(flag.reason.contains("0 events in 60 min, usually about 1200 at"), "{}", flag.reason);
        // A planned outage is neither silence nor noise.
        assert_eq!(live(&mut baseline, "2026-11-23T09:59:00Z", 1, 0, AgentState::PlannedOutage), []);
    }

    #[test]
    fn one_that_goes_away_is_judged_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let key = SourceKey::new(AgentId(uuid::Uuid::from_u128(1)), "audit");
        let number = "2026-11-23T09:00:00Z".parse::<Timestamp>().unwrap().as_second() / 3_600;
        let entry = Entry { past: Past { mean: 1_200.0, weeks: 9 }, week: week(number) };
        page::save(folder.path(), hour_of_week(number), &Page::from([(key, entry)]), week(number)).unwrap();
        let mut baseline = Baseline::open(folder.path()).unwrap();
        assert_eq!(live(&mut baseline, "2026-11-23T09:00:00Z", 1, 0, AgentState::Healthy).len(), 1);
        let standing_by =
            Sampled { standing_by: vec!["audit".to_owned()], ..sampled(0, AgentState::Healthy) };
        let (told, _) = baseline.observe("2026-11-23T09:59:10Z".parse().unwrap(), 10, &[standing_by]);
        assert_eq!(told, [(AgentId(uuid::Uuid::from_u128(1)), vec![])], "another agent collects");
        let again = sampled(0, AgentState::Healthy);
        let (told, _) = baseline.observe("2026-11-23T09:59:20Z".parse().unwrap(), 10, &[again]);
        assert_eq!(told[0].1.len(), 1, "it collects again");
        let (told, _) = baseline.observe("2026-11-23T09:59:30Z".parse().unwrap(), 30, &[]);
        assert_eq!(told, [(AgentId(uuid::Uuid::from_u128(1)), vec![])]);
        assert_eq!(baseline.observe("2026-11-23T09:59:40Z".parse().unwrap(), 10, &[]).0, []);
    }

    #[test]
    fn weeks_begin_on_monday() {
        let hour = |text: &str| text.parse::<Timestamp>().unwrap().as_second() / 3_600;
        assert_eq!(hour_of_week(hour("2026-11-23T00:30:00Z")), 0);
        assert_eq!(hour_of_week(hour("2026-11-29T23:30:00Z")), 167);
        assert_eq!(week(hour("2026-11-29T23:30:00Z")) + 1, week(hour("2026-11-30T00:00:00Z")));
    }
}
