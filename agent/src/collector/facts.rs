//! What is known of the partition: read at each connect, kept over restarts, so that heartbeats carry the
//! partition's own names also while it cannot be reached.

use crate::config::Config;
use arc_swap::ArcSwap;
use muster_shared::partition::Partition;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use tracing::warn;

/// Name of the file in the state directory.
const FILE: &str = "partition.json";

/// The facts of the moment.
#[derive(Debug)]
pub struct FactsBook {
    current: ArcSwap<Partition>,
    known: AtomicBool,
    changed: Notify,
    file: PathBuf,
}

impl FactsBook {
    /// Facts of the last run, or the configured host name until the partition was reached once.
    #[must_use]
    pub fn load(config: &Config) -> Self {
        let file = config.state_dir.join(FILE);
        let kept = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Partition>(&text).ok());
        let known = kept.is_some();
        let current = kept.unwrap_or_else(|| Partition {
            host_name: config.host.clone(),
            ccsid: config.ccsid.unwrap_or(37),
            ..Partition::default()
        });
        Self {
            current: ArcSwap::from_pointee(current),
            known: AtomicBool::new(known),
            changed: Notify::new(),
            file,
        }
    }

    /// The facts.
    #[must_use]
    pub fn get(&self) -> Arc<Partition> {
        self.current.load_full()
    }

    /// Whether they come from the partition.
    #[must_use]
    pub fn known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// Completes after [`FactsBook::learn`] brought something new; one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes what was read from the partition.
    pub fn learn(&self, partition: Partition) {
        let new = !self.known() || *self.current.load_full() != partition;
        self.known.store(true, Ordering::Release);
        if !new {
            return;
        }
        if let Err(error) = self.save(&partition) {
            // Only the next start without the partition would miss it.
            warn!(%error, file = %self.file.display(), "partition facts cannot be kept");
        }
        self.current.store(Arc::new(partition));
        self.changed.notify_one();
    }

    fn save(&self, partition: &Partition) -> std::io::Result<()> {
        let temporary = self.file.with_extension("new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(partition).map_err(std::io::Error::other)?)?;
        std::fs::rename(&temporary, &self.file)
    }
}
