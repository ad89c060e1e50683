//! The exchange with one controller: first report with the certificate request, then wait.

use crate::uplink::describe::{self, AgentFacts};
use crate::uplink::endpoint::Endpoint;
use crate::uplink::failure::{Failure, retry_after_nanoseconds, tidy};
use crate::uplink::report::{Extras, Parts, Reporter};
use crate::uplink::transport::proxy::Proxy;
use crate::uplink::transport::{self, Deadlines, Link, LinkEvent, LinkRequest, TransportKind};
use muster_proto::opamp::capability::AgentCapabilities;
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{
    CertificateRequest, ConnectionSettingsRequest, OpAmpConnectionSettingsRequest, ServerErrorResponseType,
    ServerToAgent, TlsCertificate,
};
use muster_shared::id::AgentId;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;
use zeroize::Zeroizing;

/// First and longest pause before the request is repeated while a person has to approve it; each is half to one
/// and a half times as long by chance.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// Growth of the pause.
const GROWTH: f64 = 1.5;

/// Everything that the exchange needs, the same for every controller of the token.
pub(super) struct Exchange<'a> {
    pub(super) agent: AgentId,
    pub(super) facts: &'a AgentFacts,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) bearer: Zeroizing<String>,
    pub(super) csr: String,
    pub(super) kind: TransportKind,
    pub(super) proxy: Option<Proxy>,
    pub(super) deadlines: Deadlines,
    pub(super) patience: Duration,
    /// Called once, when the controller has the request and does not answer it yet.
    pub(super) on_waiting: &'a dyn Fn(),
}

/// What came of it.
pub(super) enum Answer {
    /// A certificate.
    Issued(Box<TlsCertificate>),
    /// The controller gives the agent another id; the request has to be made anew for it.
    Renamed(AgentId),
    /// The controller listens and keeps silent on the request.
    Unanswered,
    /// No, or nobody there.
    Failed(Failure),
}

/// What one message of the controller means for the exchange.
#[derive(Debug, PartialEq)]
enum Heard {
    Issued(Box<TlsCertificate>),
    Renamed(AgentId),
    Failed(Failure),
    Nothing,
}

/// A PKCS #10 request in PEM for the agent's key; its common name is the agent's id.
///
/// # Errors
/// When the key cannot sign.
pub fn certificate_request(agent: AgentId, key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, agent.to_string());
    params.serialize_request(key)?.pem()
}

impl Exchange<'_> {
    /// Asks one controller. While a person has to approve the request, it is repeated with growing pauses, over
    /// further connections if one ends.
    pub(super) async fn ask(&self, endpoint: &Endpoint) -> Answer {
        let capabilities =
            AgentCapabilities::REPORTS_STATUS | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS;
        // The process ends with the enrolment: its boot id only tells this attempt from the next.
        let description = describe::description(self.agent, Uuid::new_v4(), self.facts);
        let parts = Parts { description, ..Parts::default() };
        let mut reporter = Reporter::new(self.agent.0.into_bytes(), capabilities, parts);
        let mut waiting = Waiting { told: false, pause: PAUSES.0 };
        let deadline = Instant::now() + self.deadlines.open + self.patience;
        let attempts = async {
            loop {
                let mut request = LinkRequest::new(endpoint.clone(), self.kind, self.tls.clone());
                request.bearer = Some(self.bearer.clone());
                request.deadlines = self.deadlines;
                request.proxy.clone_from(&self.proxy);
                let mut link = transport::open(request);
                // Each connection begins with everything.
                reporter.say_all_again();
                match self.converse(&mut link, &mut reporter, &mut waiting).await {
                    Answer::Failed(Failure::Unreachable(_) | Failure::Busy { .. }) if waiting.told => {
                        tokio::time::sleep(waiting.next()).await;
                    }
                    answer => return answer,
                }
            }
        };
        timeout_at(deadline, attempts).await.unwrap_or(Answer::Unanswered)
    }

    async fn converse(&self, link: &mut Link, reporter: &mut Reporter, waiting: &mut Waiting) -> Answer {
        let certificate_request = CertificateRequest { csr: self.csr.clone().into_bytes() };
        let request = ConnectionSettingsRequest {
            opamp: Some(OpAmpConnectionSettingsRequest { certificate_request: Some(certificate_request) }),
        };
        // Set when the controller has the request.
        let mut repeat: Option<Instant> = None;
        loop {
            tokio::select! {
                event = link.events.recv() => match event {
                    // It counts from the first connection with the certificate on.
                    Some(LinkEvent::Incarnation(_)) => continue,
                    Some(LinkEvent::Opened) => {}
                    Some(LinkEvent::Message(message)) => match hear(&message) {
                        Heard::Issued(issued) => return Answer::Issued(issued),
                        Heard::Renamed(id) if id != self.agent => return Answer::Renamed(id),
                        Heard::Failed(failure) => return Answer::Failed(failure),
                        Heard::Renamed(_) | Heard::Nothing => {
                            if !std::mem::replace(&mut waiting.told, true) {
                                (self.on_waiting)();
                            }
                            repeat = Some(Instant::now() + waiting.next());
                            continue;
                        }
                    },
                    Some(LinkEvent::Written) => continue,
                    Some(LinkEvent::Closed(failure)) => return Answer::Failed(failure),
                    None => return Answer::Failed(Failure::Unreachable("the connection ended".to_owned())),
                },
                () = sleep_until(repeat.unwrap_or_else(Instant::now)), if repeat.is_some() => repeat = None,
            }
            let extras = Extras { connection_settings_request: Some(request.clone()), ..Extras::default() };
            if link.outbox.capacity() > 0 && link.outbox.send(reporter.next(extras)).await.is_err() {
                // The reason comes as an event.
                continue;
            }
        }
    }
}

/// How long a person has been waited for.
struct Waiting {
    told: bool,
    pause: Duration,
}

impl Waiting {
    fn next(&mut self) -> Duration {
        let pause = self.pause.mul_f64(0.5 + rand::random::<f64>());
        self.pause = self.pause.mul_f64(GROWTH).min(PAUSES.1);
        pause
    }
}

fn hear(message: &ServerToAgent) -> Heard {
    if let Some(error) = &message.error_response {
        let text = tidy(&error.error_message);
        return Heard::Failed(match (error.r#type(), &error.details) {
            (ServerErrorResponseType::Unavailable, Some(Details::RetryInfo(info))) => Failure::Busy {
                retry_after: Some(retry_after_nanoseconds(info.retry_after_nanoseconds)),
                text: format!("the controller is busy: {text}"),
            },
            (ServerErrorResponseType::Unavailable, None) => {
                Failure::Busy { retry_after: None, text: format!("the controller is busy: {text}") }
            }
            (ServerErrorResponseType::BadRequest | ServerErrorResponseType::Unknown, _) => {
                Failure::Refused(text)
            }
        });
    }
    let identification = message.agent_identification.as_ref();
    if let Some(id) = identification.and_then(|i| Uuid::from_slice(&i.new_instance_uid).ok()) {
        return Heard::Renamed(AgentId(id));
    }
    let certificate = message
        .connection_settings
        .as_ref()
        .and_then(|offer| offer.opamp.as_ref())
        .and_then(|opamp| opamp.certificate.as_ref())
        .filter(|certificate| !certificate.cert.is_empty());
    match certificate {
        Some(certificate) => Heard::Issued(Box::new(certificate.clone())),
        None => Heard::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::opamp::{
        AgentIdentification, ConnectionSettingsOffers, OpAmpConnectionSettings, ServerErrorResponse,
    };

    fn offer(certificate: Option<TlsCertificate>) -> ServerToAgent {
        ServerToAgent {
            connection_settings: Some(ConnectionSettingsOffers {
                opamp: Some(OpAmpConnectionSettings { certificate, ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn error(kind: ServerErrorResponseType, text: &str) -> ServerToAgent {
        let error =
            ServerErrorResponse { r#type: kind.into(), error_message: text.to_owned(), details: None };
        ServerToAgent { error_response: Some(error), ..Default::default() }
    }

    fn identified(new_instance_uid: Vec<u8>) -> ServerToAgent {
        let agent_identification = Some(AgentIdentification { new_instance_uid });
        ServerToAgent { agent_identification, ..Default::default() }
    }

    #[test]
    fn messages() {
        let issued = TlsCertificate { cert: vec![1], ..Default::default() };
        let cases = [
            ("plain answer", ServerToAgent::default(), Heard::Nothing),
            ("heartbeat only", offer(None), Heard::Nothing),
            ("empty certificate", offer(Some(TlsCertificate::default())), Heard::Nothing),
            ("certificate", offer(Some(issued.clone())), Heard::Issued(Box::new(issued))),
            ("another id", identified(vec![9; 16]), Heard::Renamed(AgentId(Uuid::from_bytes([9; 16])))),
            ("an id of wrong length", identified(vec![9; 26]), Heard::Nothing),
            (
                "no",
                error(ServerErrorResponseType::BadRequest, "key is known"),
                Heard::Failed(Failure::Refused("key is known".to_owned())),
            ),
            (
                "later",
                error(ServerErrorResponseType::Unavailable, "x"),
                Heard::Failed(Failure::Busy {
                    retry_after: None,
                    text: "the controller is busy: x".to_owned(),
                }),
            ),
        ];
        for (name, message, expected) in cases {
            assert_eq!(hear(&message), expected, "{name}");
        }
    }
}
