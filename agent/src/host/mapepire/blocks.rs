//! Results in blocks: the first one, and the next ones by the handle.

use super::{Mapepire, located};
use crate::host::{HostError, Param, Rows};
use muster_proto::mapepire::Request;
use std::time::Duration;

/// A result that is open for [`Host::more`].
pub(super) struct Opened {
    handle: String,
    done: bool,
}

impl Mapepire {
    pub(super) async fn open_inner(
        &mut self,
        sql: &str,
        params: &[Param],
        block: u32,
        wait: Duration,
    ) -> Result<Rows, HostError> {
        if let Some(Opened { handle, done: false }) = self.opened.take() {
            self.end(handle, wait).await;
        }
        let reply = self.run(sql, params, block, wait).await?;
        let handle = reply.envelope.id.clone();
        self.block(located(reply), handle, wait).await
    }

    pub(super) async fn more_inner(&mut self, block: u32, wait: Duration) -> Result<Rows, HostError> {
        // Taken: after an error nobody knows where the result stands.
        let handle = match self.opened.take() {
            None => return Err(self.lost("the result was lost, with its connection or by an error before")),
            Some(done @ Opened { done: true, .. }) => {
                self.opened = Some(done);
                return Ok(Rows::none());
            }
            Some(Opened { handle, done: false }) => handle,
        };
        let session = self.session().await?;
        let reply = session.ask("sqlmore", wait, |id| Request::more(id, handle.as_str(), block)).await?;
        if !reply.envelope.success {
            return Err(session.failure(reply.envelope));
        }
        self.block(located(reply), handle, wait).await
    }

    /// A block of the result `handle`, which is closed after its last one and after one that is not whole.
    async fn block(&mut self, rows: Rows, handle: String, wait: Duration) -> Result<Rows, HostError> {
        let done = rows.done;
        let whole = self.whole(rows, wait).await;
        if done || whole.is_err() {
            self.end(handle.clone(), wait).await;
        }
        if whole.is_ok() {
            self.opened = Some(Opened { handle, done });
        }
        whole
    }
}
