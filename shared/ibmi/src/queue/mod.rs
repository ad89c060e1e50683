//! Entries of data queues that RPG, CL and other programs write: text, LEEF, CEF, JSON or `key=value`, else bytes.
//!
//! Pure: bytes in, event out. Nothing of an entry is lost: the whole text travels in `message`, and where anything of it
//! cannot be printed all its bytes travel in `raw` as well (written `0:` and hexadecimal digits, as everywhere).
//!
//! Never shown: passwords, which are masked as in entries of the audit journal, and records of the exit program.

mod text;

use crate::audit::mask;
use crate::ebcdic::code_page;
use crate::exit::envelope;
use muster_shared::event::{Event, EventKind, FieldId, QueuedFormat, dictionary, field};
use muster_shared::payload::{PayloadKind, detect};
use muster_shared::policy::model::QueueContent;
use muster_shared::severity::Severity;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Severity of an entry that tells none.
const DEFAULT_SEVERITY: u8 = 3;

/// Name of these events.
const NAME: &str = "Data queue entry";

static ENTRY_KEY: LazyLock<FieldId> =
    LazyLock::new(|| dictionary().find("entry_key").expect("dictionary.csv has a row entry_key"));

static RAW_LENGTH: LazyLock<FieldId> =
    LazyLock::new(|| dictionary().find("raw_length").expect("dictionary.csv has a row raw_length"));

/// Told in the event of a record of the exit program.
const EXIT_RECORD: &str =
    "a record of the exit program, which may hold passwords; a source of kind exit_point reads it";

/// One entry, as it was taken out of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEntry<'e> {
    /// Its bytes.
    pub data: &'e [u8],
    /// How many bytes the partition said that it has; another number than there are means that some did not come.
    pub declared: u32,
    /// Its key, in a keyed queue.
    pub key: &'e [u8],
    /// Job of the sender, `NNNNNN/USER/NAME`; empty where the queue does not keep it.
    pub sender_job: &'e str,
    /// User profile under which the sender ran; empty where the queue does not keep it.
    pub sender_user: &'e str,
    /// When it was put on the queue, microseconds since 1970 UTC.
    pub enqueued_us: i64,
}

/// What is known of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueContext {
    /// The queue, LIBRARY/NAME.
    pub queue: String,
    /// How its entries are written.
    pub content: QueueContent,
    /// Code page of its entries.
    pub ccsid: u16,
    /// Nobody named that page: it is the partition's.
    pub ccsid_assumed: bool,
}

/// What was noticed while an entry was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLook {
    /// What it is.
    pub format: QueuedFormat,
    /// It holds characters that the code page does not have, or that cannot be printed.
    pub unprintable: bool,
    /// It is not written as the policy says.
    pub unexpected: bool,
    /// It is longer or shorter than the partition said.
    pub cut: bool,
    /// It is a record of the exit program. Its bytes are not shown.
    pub exit_record: bool,
    /// Passwords that were masked.
    pub masked: u32,
}

/// Fills the cleared `event` with an entry: kind, name, time, severity and fields. Id and number are the caller's.
pub fn decode(entry: &QueueEntry<'_>, context: &QueueContext, event: &mut Event) -> QueueLook {
    event.name = NAME;
    event.time_us = entry.enqueued_us;
    event.severity = Severity::clamped(DEFAULT_SEVERITY);
    event.push(field::QUEUE, &context.queue);
    push_sender(entry, event);
    push_key(entry.key, context, event);
    let cut = usize::try_from(entry.declared).is_ok_and(|declared| declared != entry.data.len());
    if envelope::is_record(entry.data) {
        event.kind = EventKind::Queued(QueuedFormat::Binary);
        event.push(field::REASON, EXIT_RECORD);
        event.push_int(*RAW_LENGTH, i64::try_from(entry.data.len()).unwrap_or(i64::MAX));
        let (format, unexpected) = (QueuedFormat::Binary, false);
        return QueueLook { format, unprintable: false, unexpected, cut, exit_record: true, masked: 0 };
    }
    let data = mask::blanked(code_page(context.ccsid), entry.data);
    let text = text::read(&data, context.ccsid, context.ccsid_assumed);
    let unprintable = text.unprintable;
    // Who says how entries are written is believed.
    let binary = text.binary && (context.content == QueueContent::Auto || text.text.is_empty());
    let (shown, masked) = mask::masked(text.text);
    let found = if binary { QueuedFormat::Binary } else { push_text(&shown, context.content, event) };
    if binary || unprintable > 0 {
        push_raw(&data, event);
    }
    event.kind = EventKind::Queued(found);
    QueueLook {
        format: found,
        unprintable: unprintable > 0 && !binary,
        unexpected: !is_expected(found, context.content),
        cut,
        exit_record: false,
        masked: masked.max(u32::from(matches!(data, Cow::Owned(_)))),
    }
}

fn push_sender(entry: &QueueEntry<'_>, event: &mut Event) {
    event.push(field::USER, entry.sender_user.trim());
    let mut parts = entry.sender_job.trim().splitn(3, '/');
    let (number, user, name) = (parts.next(), parts.next(), parts.next());
    if let (Some(number), Some(user), Some(name)) = (number, user, name) {
        event.push(field::JOB_NAME, name.trim());
        event.push(field::JOB_USER, user.trim());
        event.push(field::JOB_NUMBER, number.trim());
    }
}

/// A key that is text stands as text, any other as `X'…'`.
fn push_key(key: &[u8], context: &QueueContext, event: &mut Event) {
    if key.is_empty() {
        return;
    }
    let text = text::read(key, context.ccsid, context.ccsid_assumed);
    if text.binary || text.unprintable > 0 || text.text.is_empty() {
        event.push(*ENTRY_KEY, &format!("X'{}'", faster_hex::hex_string_upper(key)));
    } else {
        event.push(*ENTRY_KEY, &text.text);
    }
}

fn push_text(text: &str, content: QueueContent, event: &mut Event) -> QueuedFormat {
    if content == QueueContent::Text {
        event.push(field::MESSAGE, text.trim());
        return QueuedFormat::Text;
    }
    let payload = detect(text);
    payload.push_into(event);
    match payload.kind {
        PayloadKind::Text => QueuedFormat::Text,
        PayloadKind::Leef => QueuedFormat::Leef,
        PayloadKind::Cef => QueuedFormat::Cef,
        PayloadKind::Json => QueuedFormat::Json,
        PayloadKind::KeyValue => QueuedFormat::KeyValue,
    }
}

fn push_raw(data: &[u8], event: &mut Event) {
    event.push_with(field::RAW, None, |text| {
        text.push_str("0:");
        text.push_str(&faster_hex::hex_string_upper(data));
    });
}

fn is_expected(found: QueuedFormat, content: QueueContent) -> bool {
    match content {
        QueueContent::Auto => true,
        QueueContent::Text => found == QueuedFormat::Text,
        QueueContent::Leef => found == QueuedFormat::Leef,
        QueueContent::Cef => found == QueuedFormat::Cef,
        QueueContent::Json => found == QueuedFormat::Json,
        QueueContent::KeyValue => found == QueuedFormat::KeyValue,
    }
}

#[cfg(test)]
mod tests;
