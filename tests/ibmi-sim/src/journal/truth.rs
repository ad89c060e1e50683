//! What was put into the journal, in plain words, so that a test can compare each field of what arrives.

use serde::Serialize;

use super::{Entry, Journal, Receiver};
use crate::encode::PutField;
use crate::time;

/// One entry as it was put in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PutEntry {
    /// Library of the receiver.
    pub receiver_library: String,
    /// Receiver.
    pub receiver: String,
    /// Its attach time: microseconds since 1970 of the partition's local clock.
    pub attached_us: i64,
    /// Sequence number.
    pub sequence: u64,
    /// `YYYY-MM-DD HH:MM:SS.ffffff`, local time of the partition.
    pub timestamp: String,
    /// The same as microseconds since 1970, UTC.
    pub utc_us: i64,
    /// Journal code.
    pub code: String,
    /// Entry type.
    pub entry_type: String,
    /// Effective user.
    pub user: String,
    /// Job.
    pub job_name: String,
    /// User of the job.
    pub job_user: String,
    /// Number of the job.
    pub job_number: String,
    /// Program.
    pub program: String,
    /// Its library.
    pub program_library: String,
    /// Address the job came from.
    pub remote_address: Option<String>,
    /// Its port.
    pub remote_port: Option<u16>,
    /// Length of the entry data.
    pub data_length: usize,
    /// The entry data without the blanks at its end, for those who compare bytes.
    #[serde(skip)]
    pub data: Vec<u8>,
    /// Every field of the layout that was written, reserved bytes left out: text without trailing blanks,
    /// numbers in plain digits, byte fields in upper-case hex digits.
    pub fields: Vec<PutField>,
    /// The data was spoilt by a fault; `fields` says what should have been there.
    pub damaged: bool,
}

impl PutEntry {
    /// Value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.text.as_str())
    }

    pub(crate) fn of(journal: &Journal, receiver: &Receiver, entry: &Entry, utc_offset_us: i64) -> Self {
        let body = &entry.body;
        Self {
            receiver_library: journal.plan.receiver_library.clone(),
            receiver: receiver.name.clone(),
            attached_us: receiver.attached,
            sequence: entry.sequence,
            timestamp: time::timestamp(entry.at),
            utc_us: entry.at - utc_offset_us,
            code: body.code.clone(),
            entry_type: body.entry_type.clone(),
            user: body.user.clone(),
            job_name: body.job_name.clone(),
            job_user: body.job_user.clone(),
            job_number: body.job_number.clone(),
            program: body.program.clone(),
            program_library: body.program_library.clone(),
            remote_address: body.remote_address.clone(),
            remote_port: body.remote_address.as_ref().map(|_| entry.remote_port),
            data_length: body.length(),
            data: body.data.clone(),
            fields: body.fields.clone(),
            damaged: body.damaged,
        }
    }
}
