//! Requests of the source: the catalogue, entries, the prefetch, and the rest of long entries.

use super::chain::Catalogue;
use super::{AuditJournal, CATALOGUE_WAIT, FEWEST_ROWS, MOST_SLICES, Prefetched, READ_WAIT, REPLY_TARGET};
use super::{decode, query, receivers};
use crate::host::{HostError, Param, Rows, StatementId, facts};
use crate::source::SourceError;
use compact_str::CompactString;
use muster_shared::cursor::{JournalCursor, ReceiverId};
use std::time::Instant;
use tracing::{debug, warn};

impl AuditJournal {
    /// The catalogue as last seen, or as of now.
    pub(super) async fn catalogue(&mut self) -> Result<&Catalogue, SourceError> {
        let catalogue = match self.catalogue.take() {
            Some(catalogue) => catalogue,
            None => {
                // What was begun before knows less than this catalogue: a receiver that it shows as detached
                // may have got entries since, and must be read once more.
                self.prefetched = None;
                let catalogue = self.ask_catalogue().await.map_err(|error| match error {
                    SourceError::Host(error) => self.explain(error),
                    other => other,
                })?;
                self.asked_at = Instant::now();
                catalogue
            }
        };
        Ok(self.catalogue.insert(catalogue))
    }

    async fn ask_catalogue(&mut self) -> Result<Catalogue, SourceError> {
        if let Some(offset) = facts::utc_offset(self.host.as_mut()).await? {
            self.utc_offset_seconds = offset;
        }
        let journal = self.host.query(&query::journal(&self.settings), &[], 10, CATALOGUE_WAIT).await?;
        let sql = query::receivers(&self.settings);
        let list = self.host.query(&sql, &[], receivers::MOST, CATALOGUE_WAIT).await?;
        receivers::catalogue(&journal, &list)
    }

    fn statement(&mut self, rows: u32) -> StatementId {
        let ordered = self.ordered;
        if let Some((_, _, id)) = self.statements.iter().find(|known| (known.0, known.1) == (rows, ordered)) {
            return *id;
        }
        let id = self.host.statement(query::entries(&self.settings, rows, ordered));
        self.statements.push((rows, ordered, id));
        id
    }

    fn rows_wanted(&self) -> u32 {
        rows_at(self.settings.batch_rows, self.halvings)
    }

    /// Makes the next calls larger or smaller, by what the last reply was like.
    pub(super) fn adapt(&mut self, asked: u32, reply: &Rows) {
        let size = reply.text.len();
        if size > REPLY_TARGET {
            self.halvings += u32::from(self.rows_wanted() > FEWEST_ROWS);
        } else if reply.len() as u32 >= asked && size.saturating_mul(2) <= REPLY_TARGET {
            self.halvings = self.halvings.saturating_sub(1);
        }
    }

    /// Rows of `receiver` from the entry `start` on, and how many were asked for. When the answer is late or
    /// too large, once more with a quarter of the rows.
    pub(super) async fn fetch(
        &mut self,
        from: &JournalCursor,
        receiver: &ReceiverId,
        start: u64,
    ) -> Result<(Rows, u32), HostError> {
        let result = match self.prefetched.take() {
            Some(ahead) if ahead.from == *from => self.host.finish().await.map(|rows| (rows, ahead.rows)),
            _ => self.execute(receiver, start).await,
        };
        match result {
            Err(error) if error.is_too_much() && self.rows_wanted() > FEWEST_ROWS => {
                self.halvings += 2;
                warn!(source = self.key, rows = self.rows_wanted(), error = %error, "asking for fewer rows");
                self.execute(receiver, start).await
            }
            other => other,
        }
    }

    async fn execute(&mut self, receiver: &ReceiverId, start: u64) -> Result<(Rows, u32), HostError> {
        let rows = self.rows_wanted();
        let statement = self.statement(rows);
        let params = params(receiver, start);
        Ok((self.host.execute(statement, &params, rows, READ_WAIT).await?, rows))
    }

    /// Begins the call after `last`, so that the partition works while this batch is decoded.
    pub(super) async fn prefetch(&mut self, last: &JournalCursor) {
        let rows = self.rows_wanted();
        let statement = self.statement(rows);
        let params = params(&last.receiver, last.sequence);
        match self.host.begin(statement, &params, rows, READ_WAIT).await {
            Ok(()) => self.prefetched = Some(Prefetched { from: last.clone(), rows }),
            // The next read meets the same trouble and reports it.
            Err(error) => debug!(source = self.key, error = %error, "prefetch failed"),
        }
    }

    /// The whole data of an entry that is longer than one slice.
    pub(super) async fn long_entry(
        &mut self,
        receiver: &ReceiverId,
        sequence: u64,
        length: u64,
        first: Vec<u8>,
    ) -> Result<Vec<u8>, SourceError> {
        let slices = usize::try_from(length).unwrap_or(usize::MAX).div_ceil(query::SLICE);
        if slices > MOST_SLICES {
            warn!(
                source = self.key,
                sequence,
                length,
                slices = MOST_SLICES,
                "entry is absurdly long, reading its front"
            );
        }
        let mut data = first;
        let mut params = params(receiver, sequence);
        params.push(sequence_param(sequence));
        for number in 1..slices.min(MOST_SLICES) {
            let statement = self.slice_statement(number);
            let rows = self.host.execute(statement, &params, 1, READ_WAIT).await;
            let rows = rows.map_err(|error| self.explain(error))?;
            let mut slice = Vec::with_capacity(query::SLICE);
            for row in rows.iter() {
                if let Some(cell) = crate::host::rows::Cells::new(row).next() {
                    decode::unhex(cell, &mut slice);
                }
            }
            if !slice.is_empty() {
                // The slices before were cut at their blanks.
                data.resize(number * query::SLICE, 0x40);
                data.append(&mut slice);
            }
        }
        Ok(data)
    }

    fn slice_statement(&mut self, number: usize) -> StatementId {
        if let Some((_, id)) = self.slices.iter().find(|(known, _)| *known == number) {
            return *id;
        }
        let id = self.host.statement(query::slice(&self.settings, number));
        self.slices.push((number, id));
        id
    }
}

/// Rows asked for after so many halvings.
pub(super) fn rows_at(most: u32, halvings: u32) -> u32 {
    most.checked_shr(halvings).unwrap_or(0).max(FEWEST_ROWS.min(most))
}

/// Parameters that name one receiver from a sequence on.
pub(super) fn params(receiver: &ReceiverId, start: u64) -> Vec<Param> {
    let text = |name: &CompactString| Param::Text(name.to_string());
    vec![
        text(&receiver.library),
        text(&receiver.name),
        sequence_param(start),
        text(&receiver.library),
        text(&receiver.name),
    ]
}

/// Sequence numbers are DECIMAL(21,0), longer than a JSON number holds exactly.
fn sequence_param(sequence: u64) -> Param {
    Param::Text(sequence.to_string())
}
