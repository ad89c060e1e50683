//! Something else that is looked at over the connection that empties a queue, and whose findings go into the same spool.

use crate::host::{Host, HostError};
use futures_util::future::LocalBoxFuture;

/// Findings: kind and body of each, for the spool.
pub type Findings = Vec<(u8, Vec<u8>)>;

/// See the module.
pub trait Beside {
    /// What it looks at, for people.
    fn what(&self) -> &'static str;

    /// Looks, if it is time to (`now_us`, microseconds since 1970 UTC): None if it is not.
    fn look<'a>(
        &'a mut self,
        host: &'a mut dyn Host,
        now_us: i64,
    ) -> LocalBoxFuture<'a, Result<Option<Findings>, HostError>>;

    /// What is wrong with what the last look saw, for people.
    fn concern(&self) -> Option<&str>;

    /// What the last look found is in the spool, on disk: it need not be told again.
    ///
    /// # Errors
    /// That cannot be remembered; the findings may come again.
    fn kept(&mut self) -> Result<(), crate::state::StateError>;
}
