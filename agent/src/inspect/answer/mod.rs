//! Answers requests of the controller.

mod one;

use super::bundle::{self, BundleFacts};
use super::show::{self, Place};
use super::tail::{Viewer, ViewerId};
use crate::collector::{Collector, Environment, GetOverview};
use crate::uplink::{InspectHandler, Say};
use actix::{Addr, Recipient};
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use muster_ibmi::audit::AuditDecoder;
use muster_proto::session::inspect::{
    Answer, Ask, AskPreview, AskRecent, AskTail, InspectMessage, InspectRefusalReason as Reason,
    InspectReply, InspectRequest, MAX_BUNDLE, MAX_CANDIDATE, MAX_PART, MAX_SAMPLES, PreviewReport,
    PreviewSample, RecentEvents, TailEvents,
};
use muster_shared::event::{Event, EventQuery};
use muster_shared::format::FormatContext;
use muster_shared::partition::Partition;
use muster_shared::policy::model::EffectivePolicy;
use muster_shared::policy::preview::{Change, Comparison, PreviewCounts};
use muster_shared::policy::replay::Replay;
use muster_shared::policy::{CompiledPolicy, EventSource, parse_effective};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, info};

/// Pause between two deliveries to viewers.
const DELIVER_EVERY: Duration = Duration::from_millis(200);

/// Why a request is not met, for whoever asked.
struct Refused(Reason, String);

/// See the module above.
pub struct Inspector {
    env: Arc<Environment>,
    collector: Addr<Collector>,
    facts: BundleFacts,
}

impl Inspector {
    /// An inspector of this agent.
    #[must_use]
    pub fn new(
        env: Arc<Environment>,
        collector: Addr<Collector>,
        agent_id: String,
        controllers: Vec<String>,
    ) -> Self {
        let facts = BundleFacts { agent_id, controllers, started: Timestamp::now() };
        Self { env, collector, facts }
    }

    fn place(&self) -> Place {
        Place::of(&self.env.facts.get())
    }

    fn tail(&self, id: ViewerId, ask: &AskTail, answers: Recipient<Say>) -> Result<(), Refused> {
        let tails = Arc::clone(self.env.inspect.tails());
        let query = query(&ask.filter)?;
        let (life, per_second) = ask.bounded();
        let until = Instant::now() + life;
        if tails.prolong(id, until) {
            return Ok(());
        }
        let Some(viewers) = tails.add(Viewer::new(id, self.place(), query, per_second, until)) else {
            let text = "as many people look at the events of this agent as it allows; try again later";
            return Err(Refused(Reason::Busy, text.to_owned()));
        };
        info!(viewers, "events are looked at");
        actix::spawn(deliver(Arc::clone(&self.env), id, answers));
        Ok(())
    }
}

impl InspectHandler for Inspector {
    fn ask(&self, request: InspectRequest, answers: Recipient<Say>) -> LocalBoxFuture<'static, ()> {
        let Ok(id) = ViewerId::try_from(request.id.as_slice()) else { return Box::pin(async {}) };
        let refuse = |Refused(reason, text): Refused| InspectReply::refusal(&id, reason, text);
        if !self.env.config.inspect {
            let text = "this agent's local configuration does not allow it ([inspect] enabled = false)";
            let reply = refuse(Refused(Reason::SwitchedOff, text.to_owned()));
            return Box::pin(async move { say(&answers, vec![reply]).await });
        }
        let deadline = Instant::now() + request.deadline();
        let Some(ask) = request.ask else {
            let text = "this agent does not know what is asked; it is older than the controller";
            let reply = refuse(Refused(Reason::Invalid, text.to_owned()));
            return Box::pin(async move { say(&answers, vec![reply]).await });
        };
        let look = Look::new(&self.env);
        let replies: LocalBoxFuture<'static, Result<Vec<Answer>, Refused>> = match ask {
            Ask::Tail(ask) => {
                let begun = self.tail(id, &ask, answers.clone());
                // The first part says that it began.
                Box::pin(async move { begun.map(|()| vec![Answer::Tail(TailEvents::default())]) })
            }
            Ask::EndTail(_) => {
                self.env.inspect.tails().remove(id);
                return Box::pin(async {});
            }
            Ask::Recent(ask) => Box::pin(aside(move || recent(&look, &ask))),
            Ask::Event(ask) => Box::pin(aside(move || one::one(&look, &ask))),
            Ask::Preview(ask) => Box::pin(aside(move || preview(&look, &ask))),
            Ask::Diagnostics(ask) => {
                let overview = self.collector.send(GetOverview);
                let (env, facts) = (Arc::clone(&self.env), self.facts.clone());
                Box::pin(async move {
                    let gone = |_| Refused(Reason::Failed, "the agent is shutting down".to_owned());
                    let overview = overview.await.map_err(gone)?;
                    aside(move || {
                        let events =
                            if ask.with_events { Some(newest(&look, bundle::MAX_EVENTS)) } else { None };
                        Ok(chunks(&bundle::make(&env, &facts, &overview, events)))
                    })
                    .await
                })
            }
        };
        Box::pin(async move {
            let replies = match replies.await {
                Ok(answers) => numbered(&id, answers),
                Err(Refused(reason, text)) => vec![InspectReply::refusal(&id, reason, text)],
            };
            if Instant::now() > deadline {
                debug!("an answer is too late, not sent");
                return;
            }
            say(&answers, replies).await;
        })
    }
}

/// Parts of an answer; a tail's first part is not its last.
fn numbered(id: &[u8], answers: Vec<Answer>) -> Vec<InspectReply> {
    let count = answers.len();
    let number = |(part, answer): (usize, Answer)| InspectReply {
        id: id.to_vec(),
        // At most MAX_BUNDLE / MAX_PART parts.
        part: part as u32,
        last: part + 1 == count && !matches!(answer, Answer::Tail(_)),
        answer: Some(answer),
    };
    answers.into_iter().enumerate().map(number).collect()
}

async fn say(answers: &Recipient<Say>, replies: Vec<InspectReply>) {
    for reply in replies {
        // An error means that the uplink has ended: nobody waits any more.
        if !matches!(answers.send(Say(InspectMessage::Reply(reply).to_custom())).await, Ok(true)) {
            debug!("an answer to the controller could not be sent");
            return;
        }
    }
}

/// Work that takes milliseconds, not on the thread that talks with the controller.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Refused(Reason::Failed, "it failed; see the agent's log".to_owned())))
}

/// Delivers to one viewer until its time is over.
async fn deliver(env: Arc<Environment>, id: ViewerId, answers: Recipient<Say>) {
    let tails = Arc::clone(env.inspect.tails());
    let mut ticks = tokio::time::interval(DELIVER_EVERY);
    let mut part = 0;
    loop {
        ticks.tick().await;
        let Some(viewer) = tails.viewers().into_iter().find(|viewer| viewer.id == id) else { return };
        let Some(taken) = viewer.deliver(Instant::now()) else { continue };
        part += 1;
        let events = TailEvents { events: taken.events.clone(), skipped: taken.skipped };
        let reply =
            InspectReply { id: id.to_vec(), part, last: taken.over, answer: Some(Answer::Tail(events)) };
        let said = answers.send(Say(InspectMessage::Reply(reply).to_custom())).await;
        if !matches!(said, Ok(true)) {
            viewer.give_back(&taken);
        }
        if taken.over || said.is_err() {
            tails.remove(id);
            return;
        }
    }
}

fn query(filter: &str) -> Result<EventQuery, Refused> {
    EventQuery::parse(filter).map_err(|error| Refused(Reason::Invalid, error.to_string()))
}

/// What is needed to decode recent entries again.
struct Look {
    watches: Arc<super::Watches>,
    policy: Option<Arc<CompiledPolicy>>,
    effective: Option<Arc<EffectivePolicy>>,
    context: FormatContext,
    place: Place,
    ccsid: u16,
}

impl Look {
    fn new(env: &Environment) -> Self {
        Self::of(&env.inspect, env.facts.get(), env.version.clone())
    }

    fn of(watches: &Arc<super::Watches>, partition: Arc<Partition>, product_version: String) -> Self {
        let (policy, effective) = watches.in_force().map(|p| (p.compiled, p.effective)).unzip();
        Self {
            watches: Arc::clone(watches),
            policy,
            effective,
            place: Place::of(&partition),
            ccsid: partition.ccsid,
            context: FormatContext { partition, product_version },
        }
    }

    fn source<'s>(&self, name: &'s str) -> EventSource<'s> {
        EventSource::new(name, self.place.utc_offset_seconds)
    }

    /// Shows each recent event of every source, as decoded, by source and then in the order in which it came.
    fn each(&self, mut visit: impl FnMut(&mut Event, &str)) {
        let mut decoder = AuditDecoder::new(self.ccsid);
        let mut event = Event::new();
        for watch in self.watches.all() {
            // Copied first: the source's thread must not wait for the decoding.
            let entries = watch.ring().snapshot();
            for recorded in entries {
                if recorded.restore(&mut decoder, &mut event) {
                    visit(&mut event, &watch.name);
                }
            }
        }
    }
}

fn no_policy() -> Refused {
    Refused(Reason::Failed, "this agent runs no policy yet, so that it has seen no event".to_owned())
}

/// The newest events, in order of time.
fn newest(look: &Look, limit: usize) -> Vec<Vec<u8>> {
    let asked = AskRecent { filter: String::new(), limit: u32::try_from(limit).unwrap_or(u32::MAX) };
    match recent(look, &asked) {
        Ok(answers) => answers
            .into_iter()
            .flat_map(|a| if let Answer::Recent(r) = a { r.events } else { vec![] })
            .collect(),
        Err(_) => Vec::new(),
    }
}

fn recent(look: &Look, ask: &AskRecent) -> Result<Vec<Answer>, Refused> {
    let query = query(&ask.filter)?;
    let policy = look.policy.as_ref().ok_or_else(no_policy)?;
    let mut found: Vec<(i64, Vec<u8>)> = Vec::new();
    let (mut held, mut replay) = (0, Replay::default());
    look.each(|event, source| {
        held += 1;
        let decoded = event.severity;
        let fate = replay.take(policy, event, look.source(source), &mut Vec::new());
        if query.matches(event, source, show::is_dropped(fate)) {
            let view = show::view(event, &look.place, source, decoded, fate, policy);
            found.push((event.time_us, show::json(&view)));
        }
    });
    let matched = found.len() as u64;
    found.sort_by_key(|(time, _)| *time);
    let events = found.split_off(found.len().saturating_sub(ask.bounded_limit()));
    let parts = in_parts(events.into_iter().map(|(_, json)| json).collect());
    let answer = |events| Answer::Recent(RecentEvents { events, held, matched });
    Ok(parts.into_iter().map(answer).collect())
}

/// Events in parts of a bounded size; one part at least.
fn in_parts(events: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for event in events {
        if bytes > 0 && bytes + event.len() > MAX_PART {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += event.len();
        parts.last_mut().expect("there is one from the start").push(event);
    }
    parts
}

fn preview(look: &Look, ask: &AskPreview) -> Result<Vec<Answer>, Refused> {
    let invalid = |text: String| Refused(Reason::Invalid, format!("the candidate policy: {text}"));
    if ask.candidate.len() > MAX_CANDIDATE {
        return Err(invalid(format!("it is longer than {MAX_CANDIDATE} bytes")));
    }
    let text = std::str::from_utf8(&ask.candidate).map_err(|error| invalid(error.to_string()))?;
    let candidate = parse_effective(text).map_err(|error| invalid(error.to_string()))?;
    let present = look.policy.as_ref().ok_or_else(no_policy)?;
    let mut comparison = Comparison::new(present, &candidate).map_err(|error| invalid(error.to_string()))?;
    let mut counts = PreviewCounts::default();
    let mut samples = Vec::new();
    let wanted = ask.samples.min(MAX_SAMPLES) as usize;
    look.each(|event, source| {
        let (change, now) = comparison.change(event, look.source(source));
        counts.add(&change);
        if let Some((word, rule)) = sample(&change)
            && samples.len() < wanted
        {
            let decoded = event.severity;
            // Samples are shown as they are now, with the severity that they have now.
            let _ = present.evaluate(event, look.source(source));
            let view = show::view(event, &look.place, source, decoded, now, present);
            samples.push(PreviewSample { event: show::json(&view), change: word.to_owned(), rule });
        }
    });
    Ok(vec![Answer::Preview(PreviewReport {
        events: counts.events,
        kept_now: counts.kept_now,
        kept_then: counts.kept_then,
        newly_dropped: counts.newly_dropped,
        newly_kept: counts.newly_kept,
        rerouted: counts.rerouted,
        dropped_by_rule: counts.dropped_by_rule,
        kept_from_rule: counts.kept_from_rule,
        samples,
    })])
}

fn sample(change: &Change) -> Option<(&'static str, String)> {
    match change {
        Change::StaysKept | Change::StaysDropped => None,
        Change::Dropped { rule } => Some(("dropped", rule.clone())),
        Change::Kept { rule } => Some(("kept", rule.clone())),
        Change::Rerouted { leaves, joins } => {
            let signed = |sign: char, names: &[String]| {
                names.iter().map(move |n| format!("{sign}{n}")).collect::<Vec<_>>()
            };
            Some(("rerouted", [signed('-', leaves), signed('+', joins)].concat().join(" ")))
        }
    }
}

fn chunks(bundle: &[u8]) -> Vec<Answer> {
    let bundle = &bundle[..bundle.len().min(MAX_BUNDLE)];
    bundle.chunks(MAX_PART).map(|chunk| Answer::Bundle(chunk.to_vec())).collect()
}

#[cfg(test)]
mod tests;
