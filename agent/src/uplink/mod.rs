//! The agent's connection to its controller: OpAMP over mutual TLS.
//!
//! [`Uplink`](actor::Uplink) keeps one connection open, reports status when it changes and a heartbeat with
//! rates when it does not, and hands offered policies to a [`PolicyHandler`]. Everything it knows of the
//! rest of the agent comes through the traits and messages of this file.
//!
//! Promises: collection never waits for the controller; a lost connection is tried for ever, with waits
//! that spread a fleet; the controller is trusted only through the authority of the enrolment. Refuses:
//! another identity than that of its certificate, and settings that would weaken it or that it has not
//! declared.

pub mod actor;
pub mod connection;
pub mod describe;
pub mod endpoint;
pub mod failure;
pub mod incarnation;
pub mod offer;
pub mod pace;
pub mod report;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
pub mod transport;

use crate::health::ComponentHealth;
use futures_util::future::LocalBoxFuture;
use muster_proto::opamp::CustomMessage;
use muster_proto::session::inspect::InspectRequest;
use muster_proto::session::lease::LeaseOrder;
use muster_proto::session::rates::{DestinationRates, SourceRates};
use muster_shared::partition::Partition;
use std::collections::BTreeMap;

/// A policy that the controller offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyOffer {
    /// The controller's hash of it; opaque.
    pub hash: Vec<u8>,
    /// JSON of an `EffectivePolicy`.
    pub body: Vec<u8>,
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// It runs, and is stored.
    Applied,
    /// It does not run; what ran before still does. The text says why.
    Failed(String),
}

/// What runs, and what became of the last offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyReport {
    /// Hash of the last offer and what became of it; none before the first offer.
    pub last_offer: Option<(Vec<u8>, PolicyVerdict)>,
    /// JSON of the policy that runs; none before the first one.
    pub running: Option<Vec<u8>>,
}

/// Takes offered policies; the agent's `PolicyKeeper`.
pub trait PolicyHandler {
    /// Judges and applies an offer. The uplink asks for one at a time.
    fn offer(&self, offer: PolicyOffer) -> LocalBoxFuture<'static, PolicyReport>;

    /// Tells what runs now.
    fn present(&self) -> LocalBoxFuture<'static, PolicyReport>;
}

/// Message: say this to the controller, as soon as there is room. False if too much waits already.
#[derive(Debug, Clone, PartialEq, actix::Message)]
#[rtype(result = "bool")]
pub struct Say(pub CustomMessage);

/// Message: where the agent stands with its leases. Said as soon as there is room, to a controller that knows leases;
/// a later one replaces an earlier one.
#[derive(Debug, Clone, PartialEq, actix::Message)]
#[rtype(result = "()")]
pub struct ClaimLeases(pub CustomMessage);

/// Learns from the controller which sources this agent collects.
pub trait LeaseHandler {
    /// A controller is connected; it knows leases or not.
    fn connected(&self, knows_leases: bool);

    /// The connection ended.
    fn disconnected(&self);

    /// The controller orders something.
    fn order(&self, order: &LeaseOrder);
}

/// Answers the controller's questions about this agent.
pub trait InspectHandler {
    /// Handles a request; what there is to say goes to `answers`.
    fn ask(&self, request: InspectRequest, answers: actix::Recipient<Say>) -> LocalBoxFuture<'static, ()>;
}

/// Counters since the agent's start, by name of source and destination.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RatesSnapshot {
    /// By name of the source in the policy.
    pub sources: BTreeMap<String, SourceRates>,
    /// By name of the destination in the policy.
    pub destinations: BTreeMap<String, DestinationRates>,
}

/// Gives the counters; cheap, asked once a second at most.
pub type RatesProvider = Box<dyn Fn() -> RatesSnapshot>;

/// Message: the health of all components, as it is now. Sent whenever it changed.
#[derive(Debug, Clone, PartialEq, Eq, actix::Message)]
#[rtype(result = "()")]
pub struct ReportHealth(pub Vec<ComponentHealth>);

/// Message: what the agent learnt of its partition.
#[derive(Debug, Clone, PartialEq, Eq, actix::Message)]
#[rtype(result = "()")]
pub struct DescribePartition(pub Partition);

/// Message: say goodbye to the controller and end. The answer comes when the goodbye is written or its
/// deadline passed.
#[derive(Debug, Clone, Copy, actix::Message)]
#[rtype(result = "()")]
pub struct Disconnect;

/// Query: where the uplink stands, for `show-state` and tests.
#[derive(Debug, Clone, Copy, actix::Message)]
#[rtype(result = "UplinkState")]
pub struct GetUplinkState;

/// Answer to [`GetUplinkState`].
#[derive(Debug, Clone, PartialEq, actix::MessageResponse)]
pub struct UplinkState {
    /// The state machine.
    pub state: state::State,
    /// What the connected server can do.
    pub server: muster_proto::opamp::capability::ServerCapabilities,
    /// Present time between heartbeats.
    pub heartbeat: std::time::Duration,
    /// The agent's certificate; `None` if it cannot be read.
    pub certificate: Option<CertificateState>,
}

/// The agent's certificate and its renewal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CertificateState {
    /// When it expires.
    pub expires: jiff::Timestamp,
    /// When it is renewed.
    pub renew_at: jiff::Timestamp,
    /// Why the last renewal did not succeed; empty if there was none.
    pub problem: String,
}
