//! Renewal of the agent's certificate by the uplink: ask in time, try what came, keep it or go back.
//!
//! While a candidate is on trial the list of addresses holds each controller twice, first with the candidate
//! and then with the credential in use, so the state machine's own rounds decide what is tried when. The
//! credential with which the controller answers first is the one that stays.

use super::{Uplink, farewell};
use crate::enrol::keyring::Shown;
use crate::enrol::renewal::{COMPONENT, Validity};
use crate::health::HealthState;
use crate::uplink::report::Extras;
use crate::uplink::state::{Event, State};
use crate::uplink::{CertificateState, failure::tidy};
use actix::{AsyncContext, Context, SpawnHandle};
use jiff::Timestamp;
use muster_proto::opamp::capability::ServerCapabilities;
use muster_proto::opamp::{
    CertificateRequest, ConnectionSettingsOffers, ConnectionSettingsRequest, ConnectionSettingsStatus,
    ConnectionSettingsStatuses, OpAmpConnectionSettingsRequest,
};
use std::time::Duration;
use tracing::{error, info, warn};

/// The longest time between two looks at the clock: it may be set while the agent runs.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The shortest.
const LOOK_AT_MOST: Duration = Duration::from_millis(100);

/// Where the renewal stands.
pub(super) struct Renewal {
    /// Random, drawn once a certificate.
    jitter: f64,
    /// Renew then, if that is sooner than the certificate's own time.
    sooner: Option<Timestamp>,
    /// When it was last asked for, on the actor's clock.
    asked: Option<Duration>,
    /// When it may be asked for again.
    again: Duration,
    /// Why the last attempt did not succeed.
    pub(super) problem: Option<String>,
    timer: Option<SpawnHandle>,
}

impl Renewal {
    pub(super) fn new() -> Self {
        Self {
            jitter: rand::random(),
            sooner: None,
            asked: None,
            again: Duration::ZERO,
            problem: None,
            timer: None,
        }
    }

    fn renew_at(&self, validity: Validity) -> Timestamp {
        let own = validity.renew_at(self.jitter);
        self.sooner.map_or(own, |sooner| own.min(sooner))
    }
}

impl Uplink {
    /// Number of addresses to try: each controller twice while a candidate is on trial.
    pub(super) fn routes(&self) -> usize {
        let urls = self.endpoints.len();
        if self.settings.keys.candidate().is_some() { urls * 2 } else { urls }
    }

    /// Controller and credential that an index of the state machine stands for.
    pub(super) fn route(&self, index: usize) -> (usize, Shown) {
        let urls = self.endpoints.len();
        let shown = match self.settings.keys.candidate() {
            Some(_) if index % (urls * 2) < urls => Shown::Candidate,
            Some(_) | None => Shown::Current,
        };
        (index % urls, shown)
    }

    /// Forgets a candidate that expired before it was ever accepted: nothing but another request helps then.
    pub(super) fn drop_stale_candidate(&mut self) {
        if self.settings.keys.candidate_expired(Timestamp::now()) {
            warn!("the renewed certificate expired before it was tried, asking for another one");
            if let Err(problem) = self.settings.keys.discard() {
                error!(error = &problem as &dyn std::error::Error, "the renewed certificate is not removed");
            }
        }
    }

    /// For `show-state`.
    pub(super) fn certificate_state(&self) -> Option<CertificateState> {
        let validity = self.settings.keys.validity()?;
        Some(CertificateState {
            expires: validity.until,
            renew_at: self.renewal.renew_at(validity),
            problem: self.renewal.problem.clone().unwrap_or_default(),
        })
    }

    /// The certificate request for the first message of a connection. With an expired certificate nothing
    /// else is listened to, so it is asked on each one: their own waits are pause enough.
    pub(super) fn request_in_greeting(&mut self) -> Option<ConnectionSettingsRequest> {
        if self.settings.keys.validity().is_some_and(|validity| Timestamp::now() >= validity.until) {
            self.renewal.again = Duration::ZERO;
        }
        self.request_if_due()
    }

    /// The certificate request, if the renewal is due and was not asked for lately.
    fn request_if_due(&mut self) -> Option<ConnectionSettingsRequest> {
        let validity = self.settings.keys.validity()?;
        let now = self.now();
        if self.settings.keys.candidate().is_some()
            || Timestamp::now() < self.renewal.renew_at(validity)
            || now < self.renewal.again
        {
            return None;
        }
        self.renewal.again = now + validity.pause(rand::random());
        match self.settings.keys.request() {
            Ok(csr) => {
                info!(expires = %validity.until, "renewing the certificate");
                self.renewal.asked = Some(now);
                let certificate_request = Some(CertificateRequest { csr: csr.into_bytes() });
                Some(ConnectionSettingsRequest {
                    opamp: Some(OpAmpConnectionSettingsRequest { certificate_request }),
                })
            }
            Err(problem) => {
                error!(error = &problem as &dyn std::error::Error, "the certificate cannot be renewed");
                self.renewal.problem = Some(problem.to_string());
                None
            }
        }
    }

    /// Asks for a renewal when it is due, tells how the certificate is, and looks again later.
    pub(super) fn look_at_certificate(&mut self, ctx: &mut Context<Self>) {
        let takes = self.server.capabilities.has(ServerCapabilities::ACCEPTS_CONNECTION_SETTINGS_REQUEST);
        let room = self.open.as_ref().is_some_and(|open| open.outbox.capacity() > 0);
        if takes
            && room
            && matches!(self.state, State::Active { .. })
            && let Some(request) = self.request_if_due()
        {
            let extras = Extras { connection_settings_request: Some(request), ..Extras::default() };
            self.send(extras, ctx);
        }
        self.tell_certificate();
        let Some(validity) = self.settings.keys.validity() else { return };
        let until =
            |at: Timestamp| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        let due = until(self.renewal.renew_at(validity)).max(self.renewal.again.saturating_sub(self.now()));
        let expiry = until(validity.until);
        let pause = if expiry.is_zero() { due } else { due.min(expiry) };
        let pause = pause.clamp(LOOK_AT_MOST, LOOK_EVERY);
        if let Some(timer) = self.renewal.timer.take() {
            ctx.cancel_future(timer);
        }
        self.renewal.timer = Some(ctx.run_later(pause, |act, ctx| {
            act.renewal.timer = None;
            act.look_at_certificate(ctx);
        }));
    }

    fn tell_certificate(&self) {
        let (state, reason) = match self.settings.keys.validity() {
            Some(validity) => validity.health(Timestamp::now(), self.renewal.problem.as_deref()),
            None => {
                (HealthState::Degraded, "the agent's certificate cannot be read; enrol it again".to_owned())
            }
        };
        if state != HealthState::Healthy {
            warn!(reason, "certificate");
        }
        self.sink.report(COMPONENT, state, &reason);
    }

    /// The controller said no to something; if a renewal was just asked for, that was it.
    pub(super) fn renewal_refused(&mut self, text: &str) {
        if self.renewal.asked.take().is_some() {
            self.renewal.problem = Some(text.to_owned());
            self.tell_certificate();
        }
    }

    /// Authorities in an offer: trusted if the present ones vouch for them; then the certificate is renewed soon.
    pub(super) fn hear_authorities(&mut self, pem: &str, ctx: &mut Context<Self>) -> Result<(), String> {
        match self.settings.keys.adopt(pem) {
            Ok(false) => Ok(()),
            Ok(true) => {
                info!("the controller's authorities changed, vouched for by the one before");
                self.renewal.again = Duration::ZERO;
                self.expect_new_authority();
                self.look_at_certificate(ctx);
                Ok(())
            }
            Err(problem) => {
                warn!(error = &problem as &dyn std::error::Error, "authorities from the controller refused");
                Err(problem.to_string())
            }
        }
    }

    /// Renews soon where the certificate in use is from an authority that is being replaced.
    pub(super) fn expect_new_authority(&mut self) {
        if self.renewal.sooner.is_none()
            && self.settings.keys.is_behind()
            && let Some(validity) = self.settings.keys.validity()
        {
            self.renewal.sooner = Some(validity.renew_for_new_authority(Timestamp::now(), rand::random()));
        }
    }

    /// An offer with a certificate: kept as candidate and tried at once.
    pub(super) fn hear_certificate(&mut self, offered: &ConnectionSettingsOffers, ctx: &mut Context<Self>) {
        let Some(issued) = offered.opamp.as_ref().and_then(|opamp| opamp.certificate.clone()) else { return };
        let accepted = match self.renewal.asked.take() {
            Some(_) => self.settings.keys.accept(&issued, &offered.hash, Timestamp::now()),
            None => {
                let reason = "the agent has not asked for a certificate".to_owned();
                return self.report_settings(&offered.hash, Err(reason));
            }
        };
        match accepted {
            Ok(()) => self.switch(ctx),
            Err(problem) => {
                warn!(error = &problem as &dyn std::error::Error, "the renewed certificate is refused");
                self.renewal.problem = Some(tidy(&problem.to_string()));
                self.report_settings(&offered.hash, Err(problem.to_string()));
            }
        }
    }

    /// Ends the connection in good order and dials the same controller anew.
    pub(super) fn switch(&mut self, ctx: &mut Context<Self>) {
        let url = match self.state {
            State::Active { url, .. } | State::Greeting { url, .. } => self.route(url).0,
            State::Stopped | State::Connecting { .. } | State::BackingOff { .. } => return,
        };
        let goodbye = self.reporter.next(Extras { goodbye: true, ..Extras::default() });
        let open = self.open.take();
        if let Some(open) = &open {
            ctx.cancel_future(open.signals);
        }
        // Whether or not the goodbye is heard, the next connection replaces this one.
        actix::spawn(farewell(open, goodbye));
        self.take(Event::Switch { url }, ctx);
    }

    /// The controller answered on the route with this index: the credential that was shown stays.
    pub(super) fn settle_trial(&mut self, index: usize, ctx: &mut Context<Self>) {
        let Some(hash) = self.settings.keys.candidate().map(<[u8]>::to_vec) else { return };
        let (kept, outcome) = match self.route(index).1 {
            Shown::Candidate => (self.settings.keys.promote(), Ok(())),
            Shown::Current => {
                let reason = "no controller accepted the renewed certificate; the one before stays";
                (self.settings.keys.discard(), Err(reason.to_owned()))
            }
        };
        if let Err(problem) = kept {
            // The candidate stays on disk; the next start tries it again.
            error!(error = &problem as &dyn std::error::Error, "the renewed certificate is not kept");
            self.renewal.problem = Some(problem.to_string());
            self.tell_certificate();
            return;
        }
        match &outcome {
            Ok(()) => {
                self.renewal = Renewal { timer: self.renewal.timer.take(), ..Renewal::new() };
                let expires = self.settings.keys.validity().map(|validity| validity.until);
                info!(expires = expires.map(tracing::field::display), "the certificate is renewed");
            }
            Err(reason) => {
                warn!(reason, "renewal failed");
                self.renewal.problem = Some(reason.clone());
            }
        }
        self.report_settings(&hash, outcome);
        self.look_at_certificate(ctx);
    }

    /// Tells the controller what became of offered settings.
    pub(super) fn report_settings(&mut self, hash: &[u8], outcome: Result<(), String>) {
        let (status, error_message) = match outcome {
            Ok(()) => (ConnectionSettingsStatuses::Applied, String::new()),
            Err(reason) => (ConnectionSettingsStatuses::Failed, reason),
        };
        self.reporter.set_connection_settings_status(ConnectionSettingsStatus {
            last_connection_settings_hash: hash.to_vec(),
            status: status.into(),
            error_message,
        });
    }
}
