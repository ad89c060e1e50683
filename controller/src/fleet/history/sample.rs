//! Takes what agents did since the last time, and has it written down.

use crate::app::App;
use crate::fleet::agent::Agent;
use crate::fleet::baseline::Baseline;
use crate::fleet::rates::SpanCounts;
use crate::fleet::view;
use jiff::Timestamp;
use muster_proto::api::{AgentState, Connection};
use muster_shared::id::AgentId;
use std::sync::Arc;
use std::time::Duration;

/// Agents looked at under one lock.
const AT_A_TIME: usize = 256;

/// What one agent did.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// The agent.
    pub agent: AgentId,
    /// Its state now.
    pub state: AgentState,
    /// Its sources and destinations.
    pub components: Vec<SpanCounts>,
    /// Its sources that another agent of the partition collects.
    pub standing_by: Vec<String>,
}

/// What an agent did since the last call; nothing of one that is away, or was.
pub(super) fn sample(agent: &mut Agent, now: Timestamp) -> Option<Sampled> {
    if agent.connection(now) != Connection::Connected {
        agent.rates.pause();
        return None;
    }
    let components = agent.rates.take_span()?;
    let (agent, state) = (agent.record.id, view::state(agent, now).0);
    Some(Sampled { agent, state, components, standing_by: Vec::new() })
}

/// Writes a moment down at the end of each span, for ever.
pub async fn record_each_span(app: Arc<App>) {
    let span = app.config.history_span.max(Duration::from_secs(1));
    let folder = app.config.data_dir.join("baseline");
    let mut baseline = match Baseline::open(&folder) {
        Ok(baseline) => Some(baseline),
        Err(error) => {
            tracing::error!(%error, folder = %folder.display(), "silent and noisy sources cannot be told");
            None
        }
    };
    let mut last = Timestamp::now();
    loop {
        tokio::time::sleep(until_next(Timestamp::now(), span)).await;
        let now = Timestamp::now();
        let covered = now.duration_since(last).as_secs().max(1).unsigned_abs();
        last = now;
        let sampled = take(&app, now).await;
        let writing = Arc::clone(&app);
        let judge = baseline.take();
        let done = tokio::task::spawn_blocking(move || write(&writing, judge, now, covered, &sampled)).await;
        match done {
            Ok(judge) => baseline = judge,
            Err(error) => tracing::error!(%error, "history not written"),
        }
    }
}

/// Writes a moment down and judges it; gives the judge back.
fn write(
    app: &App,
    judge: Option<Baseline>,
    now: Timestamp,
    covered: u64,
    sampled: &[Sampled],
) -> Option<Baseline> {
    if let Err(error) = app.history.record(now, covered, sampled) {
        tracing::warn!(%error, "history not written; look at the space on the disk");
    }
    let mut judge = judge?;
    let (flags, stored) = judge.observe(now, covered, sampled);
    if let Err(error) = stored {
        tracing::warn!(%error, "what was learnt of the last hour is not stored; look at the space on the disk");
    }
    for (id, flags) in flags {
        app.fleet.with(id, |agent| agent.flags = flags.into());
    }
    Some(judge)
}

/// All agents, some at a time: whoever wants the lock gets it in between.
async fn take(app: &App, now: Timestamp) -> Vec<Sampled> {
    let ids = app.fleet.ids();
    let mut sampled = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(AT_A_TIME) {
        app.fleet.with_each(chunk, |agent| sampled.extend(sample(agent, now)));
        tokio::task::yield_now().await;
    }
    let mut standing_by = app.leases.standing_by();
    for agent in &mut sampled {
        agent.standing_by = standing_by.remove(&agent.agent).unwrap_or_default();
    }
    sampled
}

/// Spans begin at whole multiples of themselves.
fn until_next(now: Timestamp, span: Duration) -> Duration {
    let span_ms = i64::try_from(span.as_millis()).unwrap_or(60_000).max(1);
    let into = now.as_millisecond().rem_euclid(span_ms);
    Duration::from_millis((span_ms - into).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_end_at_whole_minutes() {
        let wait = |text: &str| until_next(text.parse().unwrap(), Duration::from_secs(60)).as_millis();
        assert_eq!(wait("2026-11-25T18:00:00Z"), 60_000);
        assert_eq!(wait("2026-11-25T18:00:59.999Z"), 1);
        assert_eq!(wait("2026-11-25T18:00:30Z"), 30_000);
    }
}
