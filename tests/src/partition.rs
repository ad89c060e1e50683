//! A simulated partition for stories that are not asynchronous themselves.

use crate::sandbox::PartitionAt;
use ibmi_sim::{Options, Scenario, SimHandle, Simulator};
use std::ops::Deref;
use tokio::runtime::Runtime;

/// A running simulated partition with a runtime of its own; stopped when dropped.
pub struct Partition {
    handle: Option<SimHandle>,
    address: String,
    user: String,
    password: String,
    runtime: Runtime,
}

impl Partition {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(scenario: Scenario) -> Self {
        // A second provider is refused, which is as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let first = scenario.users.first().expect("the scenario has a user");
        let (user, password) = (first.name.clone(), first.password.clone());
        let handle =
            runtime.block_on(Simulator::start(scenario, Options::default())).expect("the partition starts");
        let address = format!("127.0.0.1:{}", handle.addr.port());
        Self { handle: Some(handle), address, user, password, runtime }
    }

    /// A partition without traffic of its own, whose receivers roll over after `receiver_size` entries (0:
    /// on command only).
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn quiet(name: &str, receiver_size: usize) -> Self {
        let mut scenario = Scenario { name: name.to_owned(), ..Scenario::default() };
        scenario.traffic.rate = 0.0;
        scenario.journal.receiver_size = receiver_size;
        scenario.journal.keep_receivers = 0;
        Self::start(scenario)
    }

    /// What [`crate::readers::Seen::journal_entry`] is of all entries of the journal, in their order.
    #[must_use]
    pub fn entry_ids(&self) -> Vec<String> {
        let id = |entry: &ibmi_sim::PutEntry| {
            format!("{}@{}/{}", entry.receiver, entry.attached_us, entry.sequence)
        };
        self.entries(0..=u64::MAX).iter().map(id).collect()
    }

    /// How an agent reaches it.
    #[must_use]
    pub fn at(&self) -> PartitionAt<'_> {
        PartitionAt {
            address: &self.address,
            ca_pem: &self.ca_pem,
            user: &self.user,
            password: &self.password,
        }
    }
}

impl Deref for Partition {
    type Target = SimHandle;
    fn deref(&self) -> &SimHandle {
        self.handle.as_ref().expect("there until dropped")
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.runtime.block_on(handle.stop());
        }
    }
}
