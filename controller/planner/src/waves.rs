//! Which partition is in which wave.

use crate::window::{WindowFault, Windows};
use crate::words;
use muster_proto::api::{Amount, Labels, RolloutStrategy};
use muster_shared::id::AgentId;
use muster_shared::policy::merge::selects;
use std::collections::BTreeMap;

/// Most waves after the canaries.
const MAX_WAVES: usize = 50;
/// Most windows.
const MAX_WINDOWS: usize = 100;
/// Most labels of a selector.
const MAX_LABELS: usize = 16;
/// Longest text in a strategy, in bytes.
const MAX_TEXT: usize = 128;
/// Longest span in a strategy: a month.
const MAX_SECONDS: u64 = 31 * 86_400;

/// A partition that a change is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its agent.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// What kind of partition it is, such as its OS release: canaries are of different kinds where they can.
    pub kind: String,
    /// It is connected.
    pub present: bool,
}

/// Waves, and why they are so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Planned {
    /// The partitions of each wave; canaries first, if there are any. No wave is empty.
    pub waves: Vec<Vec<AgentId>>,
    /// The first wave are canaries.
    pub canaries: bool,
    /// Why, in words.
    pub reasons: Vec<String>,
}

/// What is wrong with a strategy: path in it, and why.
pub(crate) fn faults(strategy: &RolloutStrategy) -> Vec<String> {
    let mut found = Vec::new();
    let growing = strategy.waves.windows(2).all(|pair| pair[0] < pair[1]);
    let percent = strategy.waves.iter().all(|share| (1..=100).contains(share));
    if !growing || !percent {
        found.push("waves: shares between 1 and 100 that grow, such as [10, 50, 100]".to_owned());
    }
    if strategy.waves.len() > MAX_WAVES {
        found.push(format!("waves: at most {MAX_WAVES}"));
    }
    if strategy.success_percent > 100 {
        found.push("success_percent: at most 100".to_owned());
    }
    if strategy.max_unavailable == Amount::Count(0) || strategy.max_unavailable == Amount::Percent(0) {
        found.push("max_unavailable: at least 1, for a partition that changes over is counted".to_owned());
    }
    let spans = [
        ("soak_seconds", strategy.soak_seconds, 0),
        ("deadline_seconds", strategy.deadline_seconds, 1),
        ("recovery_seconds", strategy.recovery_seconds, 0),
    ];
    for (name, seconds, least) in spans {
        if !(least..=MAX_SECONDS).contains(&seconds) {
            found.push(format!("{name}: between {least} and {MAX_SECONDS}"));
        }
    }
    if strategy.windows.len() > MAX_WINDOWS {
        found.push(format!("windows: at most {MAX_WINDOWS}"));
    }
    if strategy.gates.max_error_percent.is_some_and(|limit| !(0.0..=100.0).contains(&limit)) {
        found.push("gates.max_error_percent: between 0 and 100".to_owned());
    }
    let labels = std::iter::once(&strategy.canary_labels).chain(strategy.windows.iter().map(|w| &w.labels));
    let long = |text: &String| text.len() > MAX_TEXT;
    if labels.clone().any(|l| l.len() > MAX_LABELS || l.iter().any(|(k, v)| long(k) || long(v))) {
        found.push(format!("labels: at most {MAX_LABELS}, of {MAX_TEXT} bytes each"));
    }
    if strategy.windows.iter().any(|w| w.days.len() > 7 || long(&w.from) || long(&w.to) || long(&w.time_zone))
    {
        found.push("windows: at most 7 days each, and short texts".to_owned());
    }
    if let Err(fault) = Windows::read(&strategy.windows) {
        found.push(format!("windows: {}", fault_text(&fault)));
    }
    found
}

fn fault_text(fault: &WindowFault) -> String {
    fault.to_string()
}

/// Puts the partitions that a change is for into waves. Equal input gives equal waves.
///
/// # Errors
/// What is wrong with the strategy, each with what to write instead.
pub fn plan(mut candidates: Vec<Candidate>, strategy: &RolloutStrategy) -> Result<Planned, Vec<String>> {
    let found = faults(strategy);
    if !found.is_empty() {
        return Err(found);
    }
    let total = candidates.len();
    // By a mixed id: neither the oldest nor the alphabet decides who is first.
    candidates.sort_by_cached_key(|c| (mixed(c.id), c.id));
    let mut planned = Planned::default();
    let canaries = canaries(&mut candidates, strategy, &mut planned.reasons);
    if !canaries.is_empty() {
        planned.canaries = true;
        planned.waves.push(canaries.iter().map(|c| c.id).collect());
    }
    let mut rest = candidates.into_iter().map(|c| c.id);
    let mut reached = canaries.len();
    let last = strategy.waves.last().copied();
    for share in strategy.waves.iter().copied().chain((last != Some(100)).then_some(100)) {
        // Rounded up, so that small shares of small fleets are waves too.
        let until = (total * usize::from(share)).div_ceil(100);
        let wave: Vec<AgentId> = rest.by_ref().take(until.saturating_sub(reached)).collect();
        reached += wave.len();
        if !wave.is_empty() {
            planned.waves.push(wave);
        }
    }
    Ok(planned)
}

/// Takes the canaries out of the candidates: with the wanted labels, those that are connected before others, one of
/// each kind before a second of one.
fn canaries(
    all: &mut Vec<Candidate>,
    strategy: &RolloutStrategy,
    reasons: &mut Vec<String>,
) -> Vec<Candidate> {
    let wanted = strategy.canaries as usize;
    if wanted == 0 {
        reasons.push("no canaries: the strategy wants none".to_owned());
        return Vec::new();
    }
    let fits = |c: &Candidate| selects(&strategy.canary_labels, &c.labels);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order: Vec<(bool, usize, usize)> = Vec::new();
    for (position, candidate) in all.iter().enumerate().filter(|(_, c)| fits(c)) {
        // Those that are away do not use up the first place of their kind.
        let nth = if candidate.present {
            let nth = seen.entry(&candidate.kind).or_insert(0);
            *nth += 1;
            *nth
        } else {
            usize::MAX
        };
        order.push((!candidate.present, nth, position));
    }
    order.sort_unstable();
    order.truncate(wanted);
    let mut chosen: Vec<usize> = order.into_iter().map(|(_, _, position)| position).collect();
    if chosen.len() < wanted && !all.is_empty() {
        let why =
            if strategy.canary_labels.is_empty() { "there are no more" } else { "no more have the labels" };
        reasons.push(format!("{} of {wanted} canaries: {why}", chosen.len()));
    }
    chosen.sort_unstable();
    let mut taken: Vec<Candidate> = Vec::with_capacity(chosen.len());
    for position in chosen.into_iter().rev() {
        taken.push(all.remove(position));
    }
    taken.reverse();
    if !taken.is_empty() {
        let kinds: std::collections::BTreeSet<&str> = taken.iter().map(|c| c.kind.as_str()).collect();
        let kinds: Vec<&str> = kinds.into_iter().filter(|kind| !kind.is_empty()).collect();
        let of = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        reasons.push(format!("canaries: {}{of}", words::names(taken.iter().map(|c| c.name.as_str()))));
    }
    let away = taken.iter().filter(|c| !c.present).count();
    if away > 0 {
        reasons.push(format!(
            "{} among the canaries: away, for too few others are there",
            words::partitions(away)
        ));
    }
    taken
}

/// A fixed mixture of an id's bits (splitmix64 over both halves).
fn mixed(id: AgentId) -> u64 {
    let mix = |mut x: u64| {
        x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    };
    let (high, low) = id.0.as_u64_pair();
    mix(high ^ mix(low))
}
