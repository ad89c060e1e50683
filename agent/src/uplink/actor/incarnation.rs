//! Which controller is the one to talk to, where one was restored and the old one came back.

use super::Uplink;
use crate::uplink::failure::Failure;
use crate::uplink::state::{Event, State};
use actix::Context;
use muster_shared::incarnation::{Claim, Standing, judge};
use tracing::{info, warn};

impl Uplink {
    /// The controller shows its incarnation, before anything was reported to it.
    pub(super) fn meet(&mut self, shown: Claim, ctx: &mut Context<Self>) {
        let met = self.met.as_ref().map(|claim| claim.incarnation);
        match judge(met.as_ref(), &shown.incarnation) {
            Ok(Standing::Same) => {}
            Ok(Standing::Newer | Standing::Older | Standing::Rival) => {
                if met.is_some() {
                    info!(incarnation = %shown.incarnation, "the controller was restored from a backup");
                }
                // Without a note an old controller would be believed after a restart, which the restored one can
                // mend, while an agent that nobody steers cannot be mended at all.
                if let Err(reason) = self.settings.incarnations.keep(&shown) {
                    warn!(reason, "an old controller would be believed after a restart of this agent");
                }
                self.met = Some(shown);
            }
            Err(reason) => {
                let at = match &self.state {
                    State::Connecting { url, .. }
                    | State::Greeting { url, .. }
                    | State::Active { url, .. } => self.endpoints[self.route(*url).0].to_string(),
                    State::Stopped | State::BackingOff { .. } => String::new(),
                };
                let text = format!("controller at {at} is refused: {reason}");
                warn!(reason = text, "controller refused");
                self.hang_up(ctx);
                self.take(Event::Lost(Failure::Superseded(text)), ctx);
            }
        }
    }
}
