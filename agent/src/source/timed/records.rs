//! Rows as records of the pipeline, and what is wrong with them: pure.

use super::row::Row;
use super::window::TakenRow;
use crate::source::record::{RecordBatch, RecordFacts};
use muster_ibmi::message::{Inquiry, Message, MessageDecoder};
use muster_shared::cursor::Cursor;
use muster_shared::event::{Event, MessageOrigin};
use std::rc::Rc;
use std::sync::Arc;

/// What all records of one source share.
#[derive(Debug)]
pub struct Shared {
    /// Reads messages.
    pub decoder: MessageDecoder,
    /// Where they are found.
    pub origin: MessageOrigin,
    /// Message queue as LIBRARY/NAME; empty for the history log.
    pub queue: String,
    /// Front part of the ids of events: partition and source.
    pub prefix: String,
}

/// An inquiry that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Its identifier; empty where it has none or is not known.
    pub id: String,
    /// Its text; empty where it is not known.
    pub text: String,
}

/// One record.
#[derive(Debug)]
struct Record {
    row: Row,
    taken: TakenRow,
    utc_us: i64,
    answers: Option<Asked>,
}

/// The records of one read.
#[derive(Debug)]
pub struct Records {
    shared: Rc<Shared>,
    records: Vec<Record>,
}

impl Records {
    /// Records of the rows that were taken. `answers` gives the inquiry that a reply belongs to, `utc` the UTC of a
    /// local time.
    pub fn new(
        shared: Rc<Shared>,
        mut rows: Vec<Row>,
        taken: Vec<TakenRow>,
        mut answers: impl FnMut(&Row) -> Option<Asked>,
        utc: impl Fn(i64) -> i64,
    ) -> Self {
        let records = taken.into_iter().map(|taken| {
            let row = std::mem::take(&mut rows[taken.index]);
            Record { utc_us: utc(row.at_us), answers: answers(&row), row, taken }
        });
        Self { records: records.collect(), shared }
    }

    /// What is wrong with them, in one text; none when all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let doubt = |record: &Record| {
            let doubt = self.shared.decoder.doubt(&self.message(record)).map(|doubt| doubt.to_string());
            let Row { bad_time, bad_value, .. } = record.row;
            let told = |is_so: bool, what: &str| is_so.then(|| what.to_owned());
            doubt
                .or_else(|| told(bad_time, "its time cannot be read; it has that of the message before it"))
                .or_else(|| told(bad_value, "a value of it is no text that JSON may have; it was left out"))
        };
        let mut doubts = self.records.iter().filter_map(|record| doubt(record).map(|doubt| (record, doubt)));
        let (record, doubt) = doubts.next()?;
        let Row { id, job, .. } = &record.row;
        let id = if id.is_empty() { "without identifier" } else { id };
        let more = match doubts.count() {
            0 => String::new(),
            count => format!(" ({count} more in the same reply)"),
        };
        Some(format!("message {id} of job {job}: {doubt}{more}"))
    }

    fn message<'r>(&'r self, record: &'r Record) -> Message<'r> {
        let Row { id, kind, subtype, severity, user, job, program, .. } = &record.row;
        let answers = record.answers.as_ref().map(|asked| Inquiry {
            key: &record.row.linked,
            id: &asked.id,
            text: &asked.text,
        });
        Message {
            origin: self.shared.origin,
            queue: &self.shared.queue,
            id,
            kind,
            subtype,
            severity: *severity,
            time_us: record.utc_us,
            user,
            job,
            program,
            file_library: &record.row.file_library,
            file: &record.row.file,
            text: &record.row.text,
            detail: &record.row.detail,
            tokens: &record.row.tokens,
            key: &record.row.key,
            answers,
        }
    }
}

impl RecordBatch for Records {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn fill(&self, index: usize, event: &mut Event) -> RecordFacts {
        let record = &self.records[index];
        self.shared.decoder.decode(&self.message(record), event);
        // By content and local time, so that a row that is read again, in whatever order, has the id that it had.
        let nth = if record.taken.nth > 1 { format!(".{}", record.taken.nth) } else { String::new() };
        event.id_prefix = Arc::from(format!("{}{:012x}{nth}/", self.shared.prefix, record.row.hash));
        // One whose time cannot be read has none here: where it is read again, another row may stand before it.
        event.sequence = if record.row.bad_time { 0 } else { record.row.at_us.max(0).unsigned_abs() };
        RecordFacts {
            bytes: record.row.size(),
            sequence: record.taken.sequence,
            cursor: record.taken.mark.clone().map(Cursor::Timed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::event::field;

    fn records(rows: Vec<Row>) -> Records {
        let shared = Shared {
            decoder: MessageDecoder::new(37),
            origin: MessageOrigin::Queue,
            queue: "QSYS/QSYSOPR".to_owned(),
            prefix: "78A1B2C-3/message_queue:QSYS/QSYSOPR/".to_owned(),
        };
        let taken =
            (0..rows.len()).map(|index| TakenRow { index, nth: index as u32 + 1, sequence: 7, mark: None });
        let taken = taken.collect();
        let asked = Asked { id: "CPA0702".to_owned(), text: "(C D)".to_owned() };
        let answers = |row: &Row| (!row.linked.is_empty()).then(|| asked.clone());
        Records::new(Rc::new(shared), rows, taken, answers, |at_us| at_us - 3_600_000_000)
    }

    #[test]
    fn a_record_has_an_id_of_its_content_and_its_place_among_equals() {
        let row = Row { at_us: 7_200_000_000, hash: 0xABC, text: "hello".to_owned(), ..Row::default() };
        let reply = Row { kind: "REPLY".to_owned(), linked: "00000CA0".to_owned(), ..row.clone() };
        let records = records(vec![row, reply]);
        assert_eq!((records.count(), records.trouble()), (2, None));
        let mut ids = Vec::new();
        for index in 0..2 {
            let mut event = Event::new();
            let facts = records.fill(index, &mut event);
            assert_eq!((facts.bytes, facts.sequence, facts.cursor), (5, 7, None));
            assert_eq!(event.time_us, 3_600_000_000);
            let mut id = Vec::new();
            event.write_id(&mut id);
            ids.push(String::from_utf8(id).unwrap());
            assert_eq!(event.get(field::MESSAGE_QUEUE), Some("QSYS/QSYSOPR"));
            assert_eq!(event.all_text().contains("CPA0702"), index == 1, "the reply names its inquiry");
        }
        let front = "78A1B2C-3/message_queue:QSYS/QSYSOPR/000000000abc";
        assert_eq!(ids, [format!("{front}/7200000000"), format!("{front}.2/7200000000")]);
    }

    #[test]
    fn trouble_names_the_first_message_and_counts_the_others() {
        let good = Row { job: "1/A/B".to_owned(), ..Row::default() };
        let bad = Row { id: "CPF9999".to_owned(), text: "\u{1A}".to_owned(), ..good.clone() };
        let timeless = Row { bad_time: true, ..good.clone() };
        let trouble = records(vec![good.clone(), bad.clone(), timeless.clone()]).trouble().unwrap();
        assert!(trouble.starts_with("message CPF9999 of job 1/A/B: its text holds characters"), "{trouble}");
        assert!(trouble.ends_with("(1 more in the same reply)"), "{trouble}");
        let mut event = Event::new();
        records(vec![Row { at_us: 9, ..timeless.clone() }]).fill(0, &mut event);
        assert_eq!(event.sequence, 0);
        let garbled = Row { bad_value: true, ..good };
        assert!(records(vec![garbled]).trouble().unwrap().ends_with("it was left out"));
        let trouble = records(vec![timeless]).trouble().unwrap();
        assert!(
            trouble.starts_with("message without identifier of job 1/A/B: its time cannot be read"),
            "{trouble}"
        );
    }
}
