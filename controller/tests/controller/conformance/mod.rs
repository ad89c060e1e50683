//! OpAMP conformance of the controller: one table of cases, each over both transports, and the mistakes that
//! are made often, one by one.

mod foreign;
mod packages;
mod table;
mod traps;
pub(crate) mod wire;

use crate::common::*;
use wire::Over;

async fn run(over: Over) {
    let site = Site::start_with(|c| c.heartbeat_seconds = 30).await;
    for (name, case) in table::CASES {
        // The last name in a failed test's output is the case that failed.
        eprintln!("{over:?}: {name}");
        case(&site, over).await;
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checklist_over_websocket() {
    run(Over::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checklist_over_http() {
    run(Over::Http).await;
}
