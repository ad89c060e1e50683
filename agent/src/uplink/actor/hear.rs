//! What the uplink does with what the controller says.

use super::{COMPONENT, Uplink};
use crate::health::HealthState;
use crate::uplink::endpoint::Endpoint;
use crate::uplink::failure::{Failure, retry_after_nanoseconds, tidy};
use crate::uplink::state::{Event, State};
use crate::uplink::{PolicyOffer, PolicyReport, PolicyVerdict, describe, offer};
use actix::fut::ActorFutureExt;
use actix::{AsyncContext, Context, WrapFuture};
use muster_proto::opamp::capability::{ServerCapabilities, ServerFlags};
use muster_proto::opamp::config::{PolicyFileError, policy_body, policy_map};
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{
    AgentRemoteConfig, CommandType, ConnectionSettingsOffers, CustomMessage, EffectiveConfig,
    PackagesAvailable, RemoteConfigStatus, RemoteConfigStatuses, ServerErrorResponse,
    ServerErrorResponseType, ServerToAgent, ServerToAgentCommand,
};
use muster_proto::session::inspect::{self, InspectMessage};
use muster_proto::session::lease::{self, LeaseMessage};
use muster_proto::session::rates::{self, RatesMessage};
use std::time::Duration;
use tracing::{debug, info, warn};
use uuid::Uuid;

/// A failed policy that is offered again within this time is not tried again: only an operator's wish
/// repeats an offer, a server that repeats it at once would loop.
const RETRY_FAILED_AFTER: Duration = Duration::from_secs(10);

/// Longest hash of an offer that is looked at: it is echoed in every report and kept.
const MAX_HASH: usize = 64;

/// A restart that is asked for within this time after the last one is not done.
const RESTART_PAUSE: Duration = Duration::from_secs(10);

/// Full reports are at least this far apart, whatever the server asks.
const FULL_STATE_PAUSE: Duration = Duration::from_secs(1);

/// How long a warning of the controller is shown; the controller shows its side as long.
const WARNING_SHOWN: Duration = Duration::from_secs(600);

impl Uplink {
    pub(super) fn hear(&mut self, message: ServerToAgent, ctx: &mut Context<Self>) {
        if !message.instance_uid.is_empty() && message.instance_uid != self.reporter.uid() {
            warn!("message from the controller is addressed to another agent, ignored");
            return;
        }
        if let Some(error) = &message.error_response {
            self.hear_error(error, ctx);
            return;
        }
        self.take(Event::Answered, ctx);
        if message.capabilities != 0 {
            self.server.capabilities = ServerCapabilities(message.capabilities);
            self.reporter.set_server(self.server.capabilities);
        }
        if let Some(command) = &message.command {
            // By the protocol nothing else in such a message is looked at.
            self.hear_command(command);
            return;
        }
        if let Some(custom) = &message.custom_capabilities {
            let takes = |capability: &str| custom.capabilities.iter().any(|name| name == capability);
            self.server.takes_rates = takes(rates::CAPABILITY);
            self.server.takes_leases = takes(lease::CAPABILITY);
            // A push may come before the answer to the greeting, which is where capabilities are told.
            if let Some(leases) = &self.leases {
                leases.connected(self.server.takes_leases);
            }
        }
        if ServerFlags(message.flags).has(ServerFlags::REPORT_FULL_STATE) {
            self.say_all_again(ctx);
        }
        if let Some(identification) = &message.agent_identification {
            self.refuse_name(&identification.new_instance_uid);
        }
        if let Some(settings) = &message.connection_settings {
            self.hear_settings(settings, ctx);
        }
        if let Some(custom) = &message.custom_message {
            self.hear_custom(custom, ctx);
        }
        if let Some(offer) = &message.remote_config {
            self.hear_offer(offer, ctx);
        }
        if let Some(available) = message.packages_available {
            self.hear_packages(available);
        }
        self.flush(ctx);
    }

    fn hear_error(&mut self, error: &ServerErrorResponse, ctx: &mut Context<Self>) {
        let text = tidy(&error.error_message);
        match error.r#type() {
            ServerErrorResponseType::Unavailable => {
                let retry_after = error
                    .details
                    .as_ref()
                    .map(|Details::RetryInfo(info)| retry_after_nanoseconds(info.retry_after_nanoseconds));
                self.hang_up(ctx);
                let text = format!("the controller is busy: {text}");
                self.take(Event::Lost(Failure::Busy { retry_after, text }), ctx);
            }
            ServerErrorResponseType::Unknown => {
                // The controller has something to say that no report of ours caused.
                warn!(text, "the controller warns");
                self.sink.report(COMPONENT, HealthState::Degraded, &format!("the controller warns: {text}"));
                ctx.run_later(WARNING_SHOWN, |act, _| {
                    if matches!(act.state, State::Active { .. }) {
                        act.sink.report(COMPONENT, HealthState::Healthy, "");
                    }
                });
            }
            ServerErrorResponseType::BadRequest => {
                // Not to be repeated. The connection stays; if it gives no other answer, it is lost anyway.
                warn!(reason = text, "the controller does not accept a report");
                self.renewal_refused(&text);
                self.complaint = Some(text.clone());
                self.sink.report(
                    COMPONENT,
                    HealthState::Degraded,
                    &format!("the controller does not accept a report: {text}"),
                );
            }
        }
    }

    fn say_all_again(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let earliest = self.last_full.map_or(Duration::ZERO, |last| last + FULL_STATE_PAUSE);
        if now >= earliest {
            self.last_full = Some(now);
            self.reporter.say_all_again();
        } else if !self.full_waits {
            self.full_waits = true;
            ctx.run_later(earliest.saturating_sub(now), |act, ctx| {
                act.full_waits = false;
                act.last_full = Some(act.now());
                act.reporter.say_all_again();
                act.flush(ctx);
            });
        }
    }

    /// The agent's identity is the one in its certificate, and it never asks for another: an offered one would
    /// only cut it off from its controller and its history.
    fn refuse_name(&mut self, uid: &[u8]) {
        if uid == self.reporter.uid() {
            return;
        }
        let offered =
            Uuid::from_slice(uid).map_or_else(|_| format!("{} bytes", uid.len()), |id| id.to_string());
        warn!(offered, "the controller gives this agent another id, refused");
        let text = format!(
            "the controller wants this agent to have another id ({offered}), which is refused: its id is in its \
             certificate; to give it another, remove it and enrol it anew"
        );
        self.sink.report(COMPONENT, HealthState::Degraded, &text);
    }

    /// Restarting loses nothing, but takes its time: not more often than now and then, whoever asks.
    fn hear_command(&mut self, command: &ServerToAgentCommand) {
        let now = self.now();
        match CommandType::try_from(command.r#type) {
            Ok(CommandType::Restart) if now < self.restarted + RESTART_PAUSE => {
                warn!("the controller wants a restart so soon after the last one, ignored");
            }
            Ok(CommandType::Restart) => {
                info!("restarting, as the controller wants it");
                self.restarted = now;
                self.settings.restart.notify_one();
            }
            Err(_) => warn!(command = command.r#type, "unknown command from the controller, ignored"),
        }
    }

    pub(super) fn describe(&mut self) {
        let settings = &self.settings;
        let description = describe::description(settings.agent, settings.boot, &settings.facts);
        self.reporter.set_description(description);
    }

    fn hear_settings(&mut self, offered: &ConnectionSettingsOffers, ctx: &mut Context<Self>) {
        if offered.hash.len() > MAX_HASH {
            warn!(bytes = offered.hash.len(), "connection settings with an oversized hash, ignored");
            return;
        }
        if self.last_settings_hash.as_ref() == Some(&offered.hash) {
            return;
        }
        self.last_settings_hash = Some(offered.hash.clone());
        let known: Vec<Endpoint> = self.endpoints.iter().chain(&self.settings.endpoints).cloned().collect();
        match offer::judge(offered, &known) {
            Ok(judged) => {
                if let Some(pem) = &judged.authorities
                    && let Err(reason) = self.hear_authorities(pem, ctx)
                {
                    return self.report_settings(&offered.hash, Err(reason));
                }
                if let Some(address) = &judged.address {
                    self.try_address(address, &offered.hash, judged.heartbeat_seconds, ctx);
                    return;
                }
                self.pace.set_heartbeat(judged.heartbeat_seconds);
                if judged.certificate {
                    self.hear_certificate(offered, ctx);
                } else {
                    self.report_settings(&offered.hash, Ok(()));
                }
            }
            Err(reason) => {
                warn!(reason, "connection settings from the controller refused");
                self.report_settings(&offered.hash, Err(reason));
            }
        }
    }

    fn hear_custom(&mut self, message: &CustomMessage, ctx: &mut Context<Self>) {
        if message.capability == inspect::CAPABILITY {
            self.hear_inspect(message, ctx);
            return;
        }
        if message.capability == lease::CAPABILITY {
            self.hear_lease(message);
            return;
        }
        match RatesMessage::from_custom(message) {
            Ok(RatesMessage::Watch(watch)) => self.pace.watch(&watch, self.now()),
            Ok(RatesMessage::Report(_)) => debug!("rates from the controller, ignored"),
            Err(error) => debug!(%error, "custom message ignored"),
        }
    }

    fn hear_lease(&self, message: &CustomMessage) {
        match (LeaseMessage::from_custom(message), &self.leases) {
            (Ok(LeaseMessage::Order(order)), Some(handler)) => handler.order(&order),
            (Ok(LeaseMessage::Order(_)), None) => debug!("order on leases, nobody takes it"),
            (Ok(LeaseMessage::Claim(_)), _) => debug!("claim of leases from the controller, ignored"),
            (Err(error), _) => debug!(%error, "custom message ignored"),
        }
    }

    fn hear_inspect(&mut self, message: &CustomMessage, ctx: &mut Context<Self>) {
        match (InspectMessage::from_custom(message), &self.inspect) {
            (Ok(InspectMessage::Request(request)), Some(handler)) => {
                ctx.spawn(handler.ask(request, ctx.address().recipient()).into_actor(self));
            }
            (Ok(InspectMessage::Request(_)), None) => debug!("request to look in, nobody answers it"),
            (Ok(InspectMessage::Reply(_)), _) => debug!("reply from the controller, ignored"),
            (Err(error), _) => debug!(%error, "custom message ignored"),
        }
    }

    fn hear_packages(&self, available: PackagesAvailable) {
        match (&self.packages, self.access()) {
            (Some(packages), Some(access)) => packages.offered(available, access),
            (Some(_), None) => debug!("packages offered before the greeting was answered, ignored"),
            (None, _) => debug!("packages offered, nobody takes them"),
        }
    }

    fn hear_offer(&mut self, offer: &AgentRemoteConfig, ctx: &mut Context<Self>) {
        let now = self.now();
        if offer.config_hash.len() > MAX_HASH {
            warn!(bytes = offer.config_hash.len(), "policy with an oversized hash offered, ignored");
            return;
        }
        if self.offers.last.as_ref() == Some(&offer.config_hash) {
            let waited = self.offers.judged_at.is_none_or(|at| now >= at + RETRY_FAILED_AFTER);
            if self.offers.applying || !self.offers.failed || !waited {
                return;
            }
        }
        let hash = offer.config_hash.clone();
        match policy_body(offer) {
            Ok(body) => {
                let offer = PolicyOffer { hash: hash.clone(), body: body.to_vec() };
                self.offers.last = Some(hash.clone());
                self.offers.failed = false;
                self.set_policy_status(hash, RemoteConfigStatuses::Applying, String::new());
                if self.offers.applying {
                    self.offers.waiting = Some(offer);
                } else {
                    self.apply(offer, ctx);
                }
            }
            Err(PolicyFileError::NoHash) => warn!("policy without hash offered, ignored"),
            Err(
                error @ (PolicyFileError::Missing
                | PolicyFileError::Unknown(_)
                | PolicyFileError::ContentType(_)),
            ) => {
                self.offers.last = Some(hash.clone());
                self.offers.waiting = None;
                self.judged(true);
                self.set_policy_status(hash, RemoteConfigStatuses::Failed, error.to_string());
            }
        }
    }

    fn apply(&mut self, offer: PolicyOffer, ctx: &mut Context<Self>) {
        self.offers.applying = true;
        let answer = self.policy.offer(offer).into_actor(self).map(|report, act, ctx| {
            act.offers.applying = false;
            act.learn_policy(report);
            if let Some(next) = act.offers.waiting.take() {
                act.set_policy_status(next.hash.clone(), RemoteConfigStatuses::Applying, String::new());
                act.apply(next, ctx);
            }
            act.flush(ctx);
        });
        ctx.spawn(answer);
    }

    /// Takes over what runs and what became of the last offer.
    pub(super) fn learn_policy(&mut self, report: PolicyReport) {
        if let Some(running) = report.running {
            self.reporter.set_effective_config(EffectiveConfig { config_map: Some(policy_map(running)) });
        }
        if let Some((hash, verdict)) = report.last_offer {
            let (status, text, failed) = match verdict {
                PolicyVerdict::Applied => (RemoteConfigStatuses::Applied, String::new(), false),
                PolicyVerdict::Failed(reason) => (RemoteConfigStatuses::Failed, reason, true),
            };
            if self.offers.last.is_none() || self.offers.last.as_ref() == Some(&hash) {
                self.offers.last = Some(hash.clone());
                self.judged(failed);
                self.set_policy_status(hash, status, text);
            }
        }
    }

    fn judged(&mut self, failed: bool) {
        self.offers.failed = failed;
        self.offers.judged_at = Some(self.now());
    }

    fn set_policy_status(&mut self, hash: Vec<u8>, status: RemoteConfigStatuses, error_message: String) {
        self.reporter.set_remote_config_status(RemoteConfigStatus {
            last_remote_config_hash: hash,
            status: status.into(),
            error_message,
        });
    }
}
