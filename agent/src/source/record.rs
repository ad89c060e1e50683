//! Records of sources that are read slowly: each fills an event by itself. The audit journal has a way of its own,
//! made for speed.

use muster_shared::cursor::Cursor;
use muster_shared::event::Event;

/// A batch of records, in order.
pub trait RecordBatch: std::fmt::Debug {
    /// How many.
    fn count(&self) -> usize;

    /// Fills the cleared `event` with the record at `index` (below [`RecordBatch::count`]): kind, name, time,
    /// default severity, stable id and fields.
    fn fill(&self, index: usize, event: &mut Event) -> RecordFacts;
}

/// What else is to be known of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFacts {
    /// Its size in bytes, for the counters.
    pub bytes: usize,
    /// Its number within the source; what is read again is counted once.
    pub sequence: u64,
    /// The cursor after it, where it is a place to go on from; only now and then for a source whose cursors are large.
    pub cursor: Option<Cursor>,
}
