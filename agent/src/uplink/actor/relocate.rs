//! Moving to an address that the controller offers: tried before it is kept.

use super::{Uplink, farewell};
use crate::uplink::connection::{Candidate, Kept};
use crate::uplink::endpoint::Endpoint;
use crate::uplink::report::Extras;
use crate::uplink::state::{Event, State};
use actix::fut::ActorFutureExt;
use actix::{AsyncContext, Context, WrapFuture};
use muster_proto::opamp::{ConnectionSettingsStatus, ConnectionSettingsStatuses};
use tracing::{info, warn};

impl Uplink {
    /// Leaves the present controller for an offered address.
    pub(super) fn try_address(
        &mut self,
        address: &Endpoint,
        hash: &[u8],
        heartbeat_seconds: u64,
        ctx: &mut Context<Self>,
    ) {
        let State::Active { url, .. } = self.state else { return };
        let candidate = Candidate {
            url: address.to_string(),
            replaces: self.endpoints[self.route(url).0].to_string(),
            hash: hash.to_vec(),
            heartbeat_seconds,
        };
        let trying = self.kept.trying(candidate);
        // Without a durable note of it a crash would leave the agent between the two.
        if let Err(reason) = self.settings.keeper.keep(&trying) {
            self.set_settings_status(hash.to_vec(), ConnectionSettingsStatuses::Failed, reason);
            return;
        }
        info!(controller = %address, "trying the address that the controller offers");
        self.set_settings_status(hash.to_vec(), ConnectionSettingsStatuses::Applying, String::new());
        self.use_kept(trying);
        let goodbye = self.reporter.next(Extras { goodbye: true, ..Extras::default() });
        let open = self.open.take();
        if let Some(open) = &open {
            ctx.cancel_future(open.signals);
        }
        self.hang_up(ctx);
        self.state = State::Stopped;
        // The controller behind both addresses may be one: it must have seen the old connection end.
        let left = farewell(open, goodbye).into_actor(self).map(|(), act, ctx| act.take(Event::Start, ctx));
        ctx.spawn(left);
    }

    /// The controller at the tried address answers: it is kept.
    pub(super) fn keep_candidate(&mut self) {
        let Some(candidate) = self.kept.candidate.clone() else { return };
        let kept = self.kept.kept(&self.settings.endpoints);
        let (status, reason) = match self.settings.keeper.keep(&kept) {
            Ok(()) => {
                info!(controller = candidate.url, "the offered address is kept");
                self.pace.set_heartbeat(candidate.heartbeat_seconds);
                (ConnectionSettingsStatuses::Applied, String::new())
            }
            // It is tried again after a restart, which is no harm.
            Err(reason) => (ConnectionSettingsStatuses::Failed, reason),
        };
        self.last_settings_hash = Some(candidate.hash.clone());
        self.set_settings_status(candidate.hash, status, reason);
        // The connection stands: its address must keep its number.
        let at = kept.urls.iter().position(|url| *url == candidate.url).unwrap_or(0);
        if let State::Active { url, .. } = &mut self.state {
            *url = at;
        }
        self.use_kept(kept);
    }

    /// The tried address is not good: back to those before.
    pub(super) fn go_back(&mut self, reason: &str, ctx: &mut Context<Self>) {
        let Some(candidate) = self.kept.candidate.clone() else { return };
        warn!(controller = candidate.url, reason, "the offered address is given up");
        let reverted = self.kept.reverted();
        if let Err(reason) = self.settings.keeper.keep(&reverted) {
            warn!(reason, "connection settings");
        }
        self.last_settings_hash = Some(candidate.hash.clone());
        let text = format!("the offered address {} was tried and given up: {reason}", candidate.url);
        self.set_settings_status(candidate.hash, ConnectionSettingsStatuses::Failed, text);
        self.use_kept(reverted);
        self.hang_up(ctx);
        self.state = State::Stopped;
        self.take(Event::Start, ctx);
    }

    fn use_kept(&mut self, kept: Kept) {
        let enrolled = &self.settings.endpoints;
        self.endpoints = kept.endpoints(enrolled).unwrap_or_else(|_| enrolled.clone());
        self.kept = kept;
    }

    pub(super) fn set_settings_status(
        &mut self,
        hash: Vec<u8>,
        status: ConnectionSettingsStatuses,
        error_message: String,
    ) {
        self.reporter.set_connection_settings_status(ConnectionSettingsStatus {
            last_connection_settings_hash: hash,
            status: status.into(),
            error_message,
        });
    }
}
