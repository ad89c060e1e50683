//! Says to the controller where the agent stands, and lets time pass.

use super::{LeaseBook, Place};
use crate::uplink::ClaimLeases;
use actix::Recipient;
use muster_proto::session::lease::LeaseMessage;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time between two looks at what waits too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While something waits for a word of the controller, it is asked again so often.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Runs as long as there is an uplink: says a claim when something changed, as a renewal as often as the controller
/// wants it, and again while something waits for a word. `place` tells which partition the agent reads.
pub async fn run(book: Arc<LeaseBook>, place: impl Fn() -> Place, uplink: Recipient<ClaimLeases>) {
    let mut said = Instant::now();
    while uplink.connected() {
        let asks = book.waits().then_some(ASK_EVERY);
        let due = book.renew_every().into_iter().chain(asks).min().map(|every| said + every);
        let look = Instant::now() + LOOK_EVERY;
        let changed = tokio::select! {
            () = book.changed.notified() => true,
            () = tokio::time::sleep_until(due.unwrap_or(look).min(look)) => false,
        };
        let place = place();
        book.passed(&place);
        if changed || due.is_some_and(|due| Instant::now() >= due) {
            uplink.do_send(ClaimLeases(LeaseMessage::Claim(book.claim(&place)).to_custom()));
            said = Instant::now();
        }
    }
}
