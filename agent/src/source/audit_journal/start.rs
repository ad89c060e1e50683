//! Where a lane without a cursor begins.

use super::chain::{self, Catalogue};
use super::fetch::params;
use super::{AuditJournal, READ_WAIT, advice, query, receivers};
use crate::host::rows::{Cell, Cells};
use crate::source::SourceError;
use crate::source::settings::Start;
use jiff::tz::{Offset, TimeZone};
use muster_shared::cursor::JournalCursor;

impl AuditJournal {
    pub(super) async fn start_inner(&mut self, lost: bool) -> Result<JournalCursor, SourceError> {
        self.catalogue = None;
        let catalogue = self.catalogue().await?.clone();
        if !catalogue.exists {
            return Err(self.setup(advice::journal_missing));
        }
        let Some(oldest) = catalogue.receivers.first() else {
            return Err(self.setup(advice::no_receivers));
        };
        match self.settings.start {
            // What was read before is unknown, so everything is read again: nothing is lost.
            _ if lost => Ok(chain::before(oldest)),
            Start::Oldest => Ok(chain::before(oldest)),
            Start::Now => match catalogue.current() {
                Some(current) => Ok(JournalCursor { receiver: current.id.clone(), sequence: current.last }),
                None => {
                    let step = catalogue.nothing_attached();
                    Err(advice::nothing_follows(&step, &self.settings, self.host.user()))
                }
            },
            Start::At(time) => {
                let offset = Offset::from_seconds(self.utc_offset_seconds).unwrap_or(Offset::UTC);
                let local = time.to_zoned(TimeZone::fixed(offset)).datetime();
                self.start_at(&catalogue, local).await
            }
        }
    }

    /// The place before the first entry of `local` time or later.
    async fn start_at(
        &mut self,
        catalogue: &Catalogue,
        local: jiff::civil::DateTime,
    ) -> Result<JournalCursor, SourceError> {
        let Some(receiver) = receivers::holding(catalogue, local) else {
            return Err(self.setup(advice::no_receivers));
        };
        let text = local.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
        let mut params = params(&receiver.id, 0);
        params.remove(2);
        let sql = query::first_since(&self.settings, &text);
        let rows = self.host.query(&sql, &params, 1, READ_WAIT).await.map_err(|error| self.explain(error))?;
        let first = rows.iter().next().and_then(|row| Cells::new(row).next().and_then(Cell::unsigned));
        // Without such an entry the receiver's end is the place: what comes later is in the next one.
        let sequence = first.map_or(receiver.last, |first| first.saturating_sub(1));
        Ok(JournalCursor { receiver: receiver.id.clone(), sequence })
    }
}
