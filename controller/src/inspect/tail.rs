//! Live tail: events of one agent or several as they come, to one viewer.

use super::ask::{answer, event, put};
use super::{AskError, Asking};
use crate::app::App;
use actix_web::web;
use muster_proto::api::TailItem;
use muster_proto::session::inspect::{Answer, Ask, AskTail, EndTail, MAX_TAIL_PER_SECOND, TailEvents};
use muster_shared::id::AgentId;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most agents of one tail.
pub const MAX_AGENTS: usize = 50;
/// How long an agent goes on without being asked again.
const LIFE_MS: u32 = 60_000;
/// How often it is asked again.
const PROLONG: Duration = Duration::from_secs(20);
/// Items that may wait for a viewer that reads slowly.
const MAX_WAITING: usize = 256;

/// Whom to look into.
#[derive(Debug, Clone)]
pub struct Target {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
}

/// Begins a tail; it ends when the receiver is dropped, or when no agent is left.
#[must_use]
pub fn start(app: &web::Data<App>, targets: Vec<Target>, filter: &str) -> mpsc::Receiver<TailItem> {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    // The limit is one viewer's, however many agents there are.
    let share = MAX_TAIL_PER_SECOND.div_ceil(u32::try_from(targets.len().max(1)).unwrap_or(u32::MAX)).max(1);
    for target in targets {
        let (app, filter, sender) = (app.clone(), filter.to_owned(), sender.clone());
        actix_web::rt::spawn(async move { follow(&app, &target, filter, share, &sender).await });
    }
    receiver
}

/// Follows one agent, and says how it ended.
async fn follow(app: &App, target: &Target, filter: String, share: u32, to: &mpsc::Sender<TailItem>) {
    let Some(mut asking) = app.inspect.open(target.agent) else {
        say_ended(target, &AskError::Busy.to_string(), to).await;
        return;
    };
    let ask = AskTail { filter, expires_after_ms: LIFE_MS, max_per_second: share };
    let reason = tokio::select! {
        reason = stream(app, target, &ask, &mut asking, to) => Some(reason),
        () = to.closed() => None,
    };
    // One that is away forgets the viewer by itself.
    let _ = put(app, &asking, Ask::EndTail(EndTail {}));
    if let Some(error) = reason {
        say_ended(target, &error.to_string(), to).await;
    }
}

async fn stream(
    app: &App,
    target: &Target,
    ask: &AskTail,
    asking: &mut Asking,
    to: &mpsc::Sender<TailItem>,
) -> AskError {
    let (patience, polls) = match put(app, asking, Ask::Tail(ask.clone())) {
        Ok(put) => put,
        Err(error) => return error,
    };
    let silent = AskError::Silent { agent: target.agent, waited: patience, polls };
    let mut begun = false;
    let begin_by = Instant::now() + patience;
    let mut prolong = tokio::time::interval_at(Instant::now() + PROLONG, PROLONG);
    loop {
        tokio::select! {
            reply = asking.next() => {
                let Some(reply) = reply else { return silent };
                let last = reply.last;
                let part = match answer(target.agent, reply) {
                    Ok(Answer::Tail(part)) => part,
                    Ok(_) => return AskError::Odd(target.agent),
                    Err(error) => return error,
                };
                if !begun {
                    begun = true;
                    let (agent, agent_name) = (target.agent, target.name.clone());
                    send(TailItem::Started { agent, agent_name }, to).await;
                }
                show(target, part, to).await;
                if last {
                    return silent;
                }
            }
            _ = prolong.tick() => {
                // The same question again: it is prolonged, and begun anew by an agent that was restarted.
                if let Err(error) = put(app, asking, Ask::Tail(ask.clone())) {
                    return error;
                }
            }
            () = tokio::time::sleep_until(begin_by), if !begun => return silent,
        }
    }
}

async fn show(target: &Target, part: TailEvents, to: &mpsc::Sender<TailItem>) {
    let mut skipped = part.skipped;
    for json in part.events.iter().take(2 * MAX_TAIL_PER_SECOND as usize) {
        let Some(event) = event(json) else {
            skipped += 1;
            continue;
        };
        let (agent, agent_name) = (target.agent, target.name.clone());
        let item = TailItem::Event { agent, agent_name, event: Box::new(event) };
        // A viewer that does not keep up misses events and is told how many; nobody waits for it.
        if to.try_send(item).is_err() {
            skipped += 1;
        }
    }
    if skipped > 0 {
        let (agent, agent_name) = (target.agent, target.name.clone());
        send(TailItem::Skipped { agent, agent_name, events: skipped }, to).await;
    }
}

async fn send(item: TailItem, to: &mpsc::Sender<TailItem>) {
    // Nobody reads any more: `follow` sees that.
    let _ = to.send(item).await;
}

async fn say_ended(target: &Target, reason: &str, to: &mpsc::Sender<TailItem>) {
    let (agent, agent_name) = (target.agent, target.name.clone());
    send(TailItem::Ended { agent, agent_name, reason: reason.to_owned() }, to).await;
}
