//! The agent's policy: what is offered is checked whole, applied, stored, and only then called applied.
//!
//! Promises: a policy that is refused or cannot be applied leaves the one before running; the last good
//! policy survives any crash and runs for ever without a controller; a refusal is remembered over a
//! restart. Refuses: any policy that the limits of the agent's own configuration do not allow.

pub mod actor;
pub mod check;
pub mod limits;
pub mod store;

pub use actor::PolicyKeeper;

use futures_util::future::LocalBoxFuture;
use muster_shared::policy::compile::CompiledPolicy;
use muster_shared::policy::model::EffectivePolicy;
use std::sync::Arc;

/// A checked policy and what it takes away.
#[derive(Debug, Clone)]
pub struct PolicyChange {
    /// The policy.
    pub policy: Arc<EffectivePolicy>,
    /// The same, ready to run.
    pub compiled: Arc<CompiledPolicy>,
    /// Why the SIEMs may see less than before; empty where they surely do not, and at the agent's start.
    pub narrows: Vec<String>,
}

/// Makes a policy run: the agent's supervisor.
pub trait ApplyPolicy {
    /// Starts, stops and restarts what differs from the present policy, after the present destinations were told
    /// what the SIEMs may lose. Ok means that every actor of the policy is started;
    /// whether sources and destinations then work is their health. On an error what ran before runs again.
    fn apply(&self, change: PolicyChange) -> LocalBoxFuture<'static, Result<(), String>>;
}
