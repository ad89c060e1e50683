//! Says to the controller where the agent stands, and lets time pass.

use super::LeaseBook;
use crate::uplink::Claim;
use actix::Recipient;
use muster_proto::session::lease::LeaseMessage;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time between two looks at what waits too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs as long as there is an uplink: says a claim when something changed, and as a renewal as often as the
/// controller wants it. `partition_known` tells whether the agent knows which partition it reads.
pub async fn run(book: Arc<LeaseBook>, partition_known: impl Fn() -> bool, uplink: Recipient<Claim>) {
    let mut said = Instant::now();
    while uplink.connected() {
        let renew = book.renew_every().map(|every| said + every);
        let look = Instant::now() + LOOK_EVERY;
        let changed = tokio::select! {
            () = book.changed.notified() => true,
            () = tokio::time::sleep_until(renew.unwrap_or(look).min(look)) => false,
        };
        book.passed();
        if changed || renew.is_some_and(|due| Instant::now() >= due) {
            uplink.do_send(Claim(LeaseMessage::Claim(book.claim(partition_known())).to_custom()));
            said = Instant::now();
        }
    }
}
