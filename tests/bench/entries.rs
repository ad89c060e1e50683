//! Replies as the simulated partition writes them, fetched once with the agent's own client and statement.

use anyhow::{Context as _, ensure};
use ibmi_sim::Scenario;
use muster_agent::host::mapepire::{Mapepire, MapepireConfig, Password, Trust};
use muster_agent::host::{Host as _, Param, Rows};
use muster_agent::source::audit_journal::{EntryBatch, Settings, query};
use muster_ibmi::audit::JournalEntry;
use muster_shared::policy::model::AuditJournalSpec;
use muster_tests::partition::Partition;
use std::time::Duration;

/// Entries of one reply: what the agent asks for when it is busy.
pub const ROWS: u32 = 2_000;

/// Replies of `ROWS` entries of the mix, in the order of the journal. `change` may change the statement's
/// text; `types` limits the entry types (none: all).
pub fn replies(count: u32, types: &[&str], change: impl Fn(String) -> String) -> anyhow::Result<Vec<Rows>> {
    let scenario = Scenario::default();
    let library = scenario.journal.receiver_library.clone();
    let name = format!("{}0001", scenario.journal.receiver_prefix);
    let partition = Partition::quiet("BENCH", 0);
    // Twice as many as are wanted where only some types are read.
    partition.append_mix((count * ROWS) as usize * if types.is_empty() { 1 } else { 3 } + 10);
    let at = partition.at();
    let mut host = Mapepire::new(MapepireConfig {
        address: at.address.to_owned(),
        user: at.user.to_owned(),
        password: Password::new(at.password.to_owned()),
        trust: Trust::Authorities(at.ca_pem.to_owned()),
    })?;
    let spec = AuditJournalSpec {
        entry_types: types.iter().map(ToString::to_string).collect(),
        ..AuditJournalSpec::default()
    };
    let statement = host.statement(change(query::entries(&Settings::new(&spec)?, ROWS, false)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut replies = Vec::new();
    let mut from = 1_u64;
    for _ in 0..count {
        let text = |text: &str| Param::Text(text.to_owned());
        let params = [text(&library), text(&name), text(&from.to_string()), text(&library), text(&name)];
        let rows = runtime.block_on(host.execute(statement, &params, ROWS, Duration::from_secs(60)))?;
        ensure!(rows.len() == ROWS as usize, "a reply has {} rows", rows.len());
        let batch = EntryBatch::from_rows(rows.clone(), 0).context("entries in order")?;
        batch.visit(&mut |entry| from = entry.sequence + 1);
        replies.push(rows);
    }
    Ok(replies)
}

/// A journal entry that owns what it holds.
#[derive(Debug, Clone)]
pub struct OwnedEntry {
    code: u8,
    entry_type: [u8; 2],
    sequence: u64,
    time_us: i64,
    texts: [String; 8],
    remote_port: Option<u32>,
    data: Vec<u8>,
    data_length: u32,
}

impl OwnedEntry {
    fn of(entry: &JournalEntry<'_>) -> Self {
        let texts = [
            entry.user,
            entry.job_name,
            entry.job_user,
            entry.job_number,
            entry.program,
            entry.program_library,
            entry.remote_address,
            entry.object,
        ];
        Self {
            code: entry.code,
            entry_type: entry.entry_type,
            sequence: entry.sequence,
            time_us: entry.time_us,
            texts: texts.map(str::to_owned),
            remote_port: entry.remote_port,
            data: entry.data.to_vec(),
            data_length: entry.data_length,
        }
    }

    /// The entry as the decoder takes it.
    pub fn entry(&self) -> JournalEntry<'_> {
        let [user, job_name, job_user, job_number, program, program_library, remote_address, object] =
            self.texts.each_ref().map(String::as_str);
        JournalEntry {
            code: self.code,
            entry_type: self.entry_type,
            sequence: self.sequence,
            time_us: self.time_us,
            user,
            job_name,
            job_user,
            job_number,
            program,
            program_library,
            remote_address,
            remote_port: self.remote_port,
            object,
            data: &self.data,
            data_length: self.data_length,
        }
    }

    /// Entry type as text.
    pub fn type_name(&self) -> String {
        String::from_utf8_lossy(&self.entry_type).into_owned()
    }

    /// Bytes of entry data that travelled.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// The entries of replies.
pub fn owned(replies: &[Rows]) -> anyhow::Result<Vec<OwnedEntry>> {
    let mut entries = Vec::new();
    for rows in replies {
        let batch = EntryBatch::from_rows(rows.clone(), 0).context("entries in order")?;
        let stats = batch.visit(&mut |entry| entries.push(OwnedEntry::of(entry)));
        ensure!(stats.bad_rows == 0, "{} bad rows", stats.bad_rows);
    }
    Ok(entries)
}
