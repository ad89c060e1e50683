//! The keeper of the policy: one offer at a time, from check to durable storage.

use crate::health::{HealthSink, HealthState};
use crate::policy::check::{CheckedPolicy, Guards, check};
use crate::policy::store::{PolicyStore, StoredPolicy, StoredRefusal};
use crate::policy::{ApplyPolicy, PolicyChange};
use crate::uplink::{PolicyHandler, PolicyOffer, PolicyReport, PolicyVerdict};
use actix::fut::ActorFutureExt;
use actix::{Actor, ActorFuture, Addr, AsyncContext, AtomicResponse, Context, Handler, WrapFuture};
use futures_util::future::LocalBoxFuture;
use muster_shared::policy::diff::narrows;
use muster_shared::policy::model::EffectivePolicy;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Name under which the policy reports its health.
pub const COMPONENT: &str = "policy";

/// How long the start of all actors of a policy may take.
const APPLY_DEADLINE: Duration = Duration::from_secs(60);

/// Message: judge and apply this offer.
#[derive(Debug, Clone, PartialEq, Eq, actix::Message)]
#[rtype(result = "Answer")]
pub struct ApplyOffer(pub PolicyOffer);

/// Query: what runs, and what became of the last offer.
#[derive(Debug, Clone, Copy, actix::Message)]
#[rtype(result = "Answer")]
pub struct GetPolicy;

/// Answer to both.
#[derive(Debug, Clone, PartialEq, Eq, actix::MessageResponse)]
pub struct Answer(pub PolicyReport);

/// What runs.
struct Running {
    stored: StoredPolicy,
    checked: CheckedPolicy,
}

/// The actor.
pub struct PolicyKeeper {
    store: PolicyStore,
    guards: Guards,
    supervisor: Rc<dyn ApplyPolicy>,
    sink: Rc<dyn HealthSink>,
    running: Option<Running>,
    last_offer: Option<(Vec<u8>, PolicyVerdict)>,
    apply_deadline: Duration,
}

type Step<T> = std::pin::Pin<Box<dyn ActorFuture<PolicyKeeper, Output = T>>>;

impl PolicyKeeper {
    /// A keeper that applies the last good policy when it is started.
    #[must_use]
    pub fn new(
        store: PolicyStore,
        guards: Guards,
        supervisor: Rc<dyn ApplyPolicy>,
        sink: Rc<dyn HealthSink>,
    ) -> Self {
        Self {
            store,
            guards,
            supervisor,
            sink,
            running: None,
            last_offer: None,
            apply_deadline: APPLY_DEADLINE,
        }
    }

    fn report(&self) -> PolicyReport {
        PolicyReport {
            last_offer: self.last_offer.clone(),
            running: self.running.as_ref().map(|running| running.stored.body.clone()),
        }
    }

    fn running_policy(&self) -> Option<&EffectivePolicy> {
        self.running.as_ref().map(|running| &*running.checked.policy)
    }

    /// Asks the supervisor to go from `old` to a checked policy, within the deadline.
    fn hand_over(
        &self,
        old: Option<&EffectivePolicy>,
        checked: &CheckedPolicy,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let change = PolicyChange {
            policy: Arc::clone(&checked.policy),
            compiled: Arc::clone(&checked.compiled),
            narrows: old.map(|old| narrows(old, &checked.policy)).unwrap_or_default(),
        };
        let applied = self.supervisor.apply(change);
        let deadline = self.apply_deadline;
        Box::pin(async move {
            match tokio::time::timeout(deadline, applied).await {
                Ok(result) => result,
                Err(_) => Err(format!("not everything was started within {} s", deadline.as_secs_f32())),
            }
        })
    }

    /// Check, stage, apply, commit: in this order a crash at any point leaves a policy that was whole and
    /// ran, and "applied" is said only of one that would run again after a restart.
    fn judge(&mut self, offer: PolicyOffer) -> Step<Result<(), String>> {
        let stored = StoredPolicy { hash: offer.hash, body: offer.body };
        let checked = match check(&stored.body, &self.guards, self.running_policy()) {
            Ok(checked) => checked,
            Err(reason) => return ready(Err(reason)),
        };
        let staged = match self.store.stage(&stored) {
            Ok(staged) => staged,
            Err(error) => return ready(Err(error.to_string())),
        };
        let applied = self.hand_over(self.running_policy(), &checked);
        Box::pin(applied.into_actor(self).then(
            move |result, act: &mut Self, _| -> Step<Result<(), String>> {
                if let Err(reason) = result {
                    return ready(Err(reason));
                }
                match act.store.commit(staged) {
                    Ok(()) => {
                        act.running = Some(Running { stored, checked });
                        ready(Ok(()))
                    }
                    Err(error) => act.take_back(&checked, error.to_string()),
                }
            },
        ))
    }

    /// A policy that runs but cannot be stored would be gone after a restart: back to the one before.
    fn take_back(&self, applied: &CheckedPolicy, reason: String) -> Step<Result<(), String>> {
        let Some(running) = &self.running else {
            return ready(Err(reason));
        };
        let back = self.hand_over(Some(&applied.policy), &running.checked);
        Box::pin(back.into_actor(self).map(move |result, _, _| {
            Err(match result {
                Ok(()) => reason,
                Err(second) => format!("{reason}; and going back to the policy before failed: {second}"),
            })
        }))
    }

    fn conclude(&mut self, hash: Vec<u8>, result: Result<(), String>) -> Answer {
        let verdict = match result {
            Ok(()) => {
                let revision = self.running_policy().map_or(0, |policy| policy.revision);
                info!(revision, "policy applied");
                self.sink.report(COMPONENT, HealthState::Healthy, "");
                PolicyVerdict::Applied
            }
            Err(reason) => {
                warn!(reason, "policy refused");
                let refusal = StoredRefusal { hash: hash.clone(), reason: reason.clone() };
                if let Err(error) = self.store.remember_refusal(&refusal) {
                    warn!(%error, "refusal of a policy cannot be stored");
                }
                let (state, what) = match &self.running {
                    Some(_) => (HealthState::Degraded, "the policy before runs on"),
                    None => (HealthState::Failed, "no policy runs"),
                };
                self.sink.report(COMPONENT, state, &format!("offered policy refused, {what}: {reason}"));
                PolicyVerdict::Failed(reason)
            }
        };
        self.last_offer = Some((hash, verdict));
        Answer(self.report())
    }

    /// Applies the last good policy. The limits are asked again: they may have been tightened meanwhile.
    fn resume(&mut self, ctx: &mut Context<Self>) {
        let Some(stored) = self.store.load() else {
            self.sink.report(COMPONENT, HealthState::Starting, "waiting for the first policy");
            self.last_offer = self.refusal();
            return;
        };
        let checked = match check(&stored.body, &self.guards, None) {
            Ok(checked) => checked,
            Err(reason) => return self.not_resumed(stored.hash, reason),
        };
        let applied = self.hand_over(None, &checked);
        // Offers wait until this is done.
        ctx.wait(applied.into_actor(self).map(move |result, act, _| match result {
            Ok(()) => {
                info!(revision = checked.policy.revision, "last good policy runs");
                act.last_offer = act.refusal().or(Some((stored.hash.clone(), PolicyVerdict::Applied)));
                act.running = Some(Running { stored, checked });
                act.sink.report(COMPONENT, HealthState::Healthy, "");
            }
            Err(reason) => act.not_resumed(stored.hash, reason),
        }));
    }

    fn not_resumed(&mut self, hash: Vec<u8>, reason: String) {
        warn!(reason, "last good policy does not run");
        let text = format!("the stored policy does not run, so nothing is collected: {reason}");
        self.sink.report(COMPONENT, HealthState::Failed, &text);
        self.last_offer = Some((hash, PolicyVerdict::Failed(reason)));
    }

    fn refusal(&self) -> Option<(Vec<u8>, PolicyVerdict)> {
        let refusal = self.store.load_refusal()?;
        Some((refusal.hash, PolicyVerdict::Failed(refusal.reason)))
    }
}

fn ready<T: 'static>(value: T) -> Step<T> {
    Box::pin(actix::fut::ready(value))
}

impl Actor for PolicyKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.resume(ctx);
    }
}

impl Handler<ApplyOffer> for PolicyKeeper {
    type Result = AtomicResponse<Self, Answer>;

    fn handle(&mut self, ApplyOffer(offer): ApplyOffer, _: &mut Self::Context) -> Self::Result {
        let hash = offer.hash.clone();
        let judged = self.judge(offer);
        AtomicResponse::new(Box::pin(judged.map(move |result, act: &mut Self, _| act.conclude(hash, result))))
    }
}

impl Handler<GetPolicy> for PolicyKeeper {
    type Result = Answer;

    fn handle(&mut self, _: GetPolicy, _: &mut Self::Context) -> Answer {
        Answer(self.report())
    }
}

impl PolicyHandler for Addr<PolicyKeeper> {
    fn offer(&self, offer: PolicyOffer) -> LocalBoxFuture<'static, PolicyReport> {
        let hash = offer.hash.clone();
        let asked = self.send(ApplyOffer(offer));
        Box::pin(async move {
            match asked.await {
                Ok(Answer(report)) => report,
                Err(error) => PolicyReport {
                    last_offer: Some((
                        hash,
                        PolicyVerdict::Failed(format!("the agent's policy keeper does not answer: {error}")),
                    )),
                    running: None,
                },
            }
        })
    }

    fn present(&self) -> LocalBoxFuture<'static, PolicyReport> {
        let asked = self.send(GetPolicy);
        Box::pin(async move { asked.await.map(|Answer(report)| report).unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests;
