//! Many agents in one process, for measuring a controller: each has its own key and certificate, speaks real
//! OpAMP over a WebSocket with mutual TLS, and follows the agent's own rules for connecting, backing off and
//! reporting ([`muster_agent::uplink::state`], [`pace`](muster_agent::uplink::pace),
//! [`report`](muster_agent::uplink::report)). It collects nothing: what it says of itself is made up, of the
//! size that a real agent has.
//!
//! Promises: what is counted as applied was answered by the controller, which answers only what it stored.

pub mod agent;
pub mod api;
pub mod content;
pub mod dial;
pub mod identity;
pub mod swarm;
pub mod tally;
pub mod trial;

pub use api::Api;
pub use swarm::Swarm;
pub use tally::Spread;
pub use trial::Trial;
