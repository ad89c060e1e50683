//! From a message to its event.

use super::tables::{Known, Reads, TABLES};
use super::{DETAIL_LENGTH, Doubt, Message, TEXT_LENGTH, TOKENS_LENGTH, text, tokens};
use crate::audit::mask;
use crate::audit::raw::push_raw;
use crate::audit::step::Stretch;
use crate::ebcdic::{self, CodePage};
use crate::text::Encoding;
use muster_shared::event::{Event, EventKind, FieldId, MessageId, dictionary, field};
use muster_shared::severity::Severity;
use std::ops::Range;
use std::sync::LazyLock;

/// Code page of tokens where the partition names none that is known here.
const FALLBACK: u16 = 37;

/// The optional queue for what is critical: nothing in it is less severe than this.
const CRITICAL_QUEUE: (&str, u8) = ("QSYS/QSYSMSG", 8);

/// From which severity of the partition on, 0 to 99, a message has which severity of ours.
const STEPS: [(u8, u8); 7] = [(0, 2), (20, 3), (30, 4), (40, 5), (50, 6), (70, 7), (90, 8)];

/// Fields that are found by keyword, once.
struct Fields {
    subtype: FieldId,
    severity: FieldId,
    detail: FieldId,
    file: FieldId,
    cpu_ms: FieldId,
    end_code: FieldId,
    reply_state: FieldId,
    reply_to_key: FieldId,
    reply_to_id: FieldId,
    reply_to_message: FieldId,
    target_user: FieldId,
    device: FieldId,
    subsystem: FieldId,
    job: [FieldId; 3],
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let find = |keyword: &str| dictionary().find(keyword).unwrap_or_else(|| panic!("no field {keyword}"));
    Fields {
        subtype: find("message_subtype"),
        severity: find("message_severity"),
        detail: find("message_detail"),
        file: find("message_file"),
        cpu_ms: find("job_cpu_ms"),
        end_code: find("job_end_code"),
        reply_state: find("reply_state"),
        reply_to_key: find("reply_to_key"),
        reply_to_id: find("reply_to_id"),
        reply_to_message: find("reply_to_message"),
        target_user: find("target_user"),
        device: find("device_name"),
        subsystem: find("subsystem"),
        job: [find("related_job_name"), find("related_job_user"), find("related_job_number")],
    }
});

/// Turns messages into events.
#[derive(Debug)]
pub struct MessageDecoder {
    encoding: Encoding,
    /// For the search for passwords in what stays undecoded.
    page: &'static CodePage,
}

impl MessageDecoder {
    /// A decoder for a partition with this CCSID; replacement data names none of its own.
    #[must_use]
    pub fn new(ccsid: u16) -> Self {
        let fallback = || ebcdic::code_page(FALLBACK).expect("page 37 is there");
        let page = ebcdic::code_page(ccsid).unwrap_or_else(fallback);
        Self { encoding: Encoding::of(ccsid).unwrap_or(Encoding::Ebcdic(page)), page }
    }

    /// What cannot be right about a message; the first thing, if there are several.
    #[must_use]
    pub fn doubt(&self, message: &Message<'_>) -> Option<Doubt> {
        let long = [
            ("text", message.text.chars().nth(TEXT_LENGTH).is_some(), TEXT_LENGTH),
            ("second-level text", message.detail.chars().nth(DETAIL_LENGTH).is_some(), DETAIL_LENGTH),
            ("replacement data", message.tokens.len() > TOKENS_LENGTH, TOKENS_LENGTH),
        ];
        if let Some((what, _, most)) = long.into_iter().find(|(_, is_long, _)| *is_long) {
            return Some(Doubt::TooLong { what, most });
        }
        if message.text.chars().any(is_unprintable) {
            return Some(Doubt::Unprintable);
        }
        let known = TABLES.known.get(&MessageId::parse(message.id))?;
        if known.reads == Reads::JobEnd && read_job_end(message.text).is_none() {
            return Some(Doubt::UnreadableText);
        }
        tokens::doubt(self.encoding, &known.tokens, message.tokens)
    }

    /// Fills the cleared `event`: kind, name, time, severity and fields. Its id is the caller's affair.
    pub fn decode(&self, message: &Message<'_>, event: &mut Event) {
        let id = MessageId::parse(message.id);
        let known = TABLES.known.get(&id);
        event.kind = EventKind::Message { origin: message.origin, id };
        event.name = known.map_or("Message", |known| known.info.name);
        event.time_us = message.time_us;
        event.push(field::USER, message.user);
        push_job([field::JOB_NAME, field::JOB_USER, field::JOB_NUMBER], message.job, event);
        event.push(field::PROGRAM_NAME, message.program);
        event.push(field::MESSAGE_ID, message.id);
        event.push(field::MESSAGE_TYPE, message.kind);
        event.push(FIELDS.subtype, message.subtype);
        if let Some(severity) = message.severity {
            event.push_int(FIELDS.severity, i64::from(severity));
        }
        event.push(field::MESSAGE_QUEUE, message.queue);
        event.push(field::MESSAGE_KEY, message.key);
        push_reply(message, event);
        let (places, end_code) = match known {
            Some(known) => self.push_known(known, message, event),
            None => (Vec::new(), None),
        };
        event.severity = severity(message, known, end_code);
        event.push(field::MESSAGE, &masked(cut(message.text, TEXT_LENGTH)));
        event.push(FIELDS.detail, &masked(cut(message.detail, DETAIL_LENGTH)));
        if !message.file.is_empty() {
            event.push(FIELDS.file, &format!("{}/{}", message.file_library, message.file));
        }
        let tokens = &message.tokens[..message.tokens.len().min(TOKENS_LENGTH)];
        push_raw(event, self.page, tokens, uncovered(&places, tokens.len()).into_iter());
    }

    /// Pushes what is known of this identifier; gives the places of the tokens that were read and the completion code.
    fn push_known(
        &self,
        known: &Known,
        message: &Message<'_>,
        event: &mut Event,
    ) -> (Vec<Range<usize>>, Option<u16>) {
        let mut places = Vec::new();
        let found = text::job(message.text);
        let mut job = found.map(|(job, _)| format!("{}/{}/{}", job.number, job.user, job.name));
        if known.reads == Reads::Job
            && let Some((named, place)) = tokens::job_in_front(self.encoding, message.tokens)
        {
            job = Some(named);
            places.push(place);
        }
        let mut doubt = None;
        places.extend(tokens::push_fields(self.encoding, &known.tokens, message.tokens, event, &mut doubt));
        let mut end_code = None;
        match known.reads {
            Reads::Words => return (places, None),
            Reads::Job => {}
            Reads::JobEnd => {
                if let Some(end) = read_job_end(message.text) {
                    event.push_int(FIELDS.cpu_ms, end.cpu_ms);
                    event.push_int(FIELDS.end_code, i64::from(end.code));
                    event.set_last_meaning(TABLES.end_codes.get(&end.code).and_then(|code| code.meaning));
                    end_code = Some(end.code);
                }
            }
            Reads::Client => push_address(message.text, event),
            Reads::Address => {
                push_address(message.text, event);
                return (places, None);
            }
            Reads::Profile => {
                if let [profile] = names(message)[..] {
                    event.push(FIELDS.target_user, profile);
                }
                return (places, None);
            }
            Reads::Device => {
                if let [subsystem, device, profile] = names(message)[..] {
                    event.push(FIELDS.subsystem, subsystem);
                    event.push(FIELDS.device, device);
                    event.push(FIELDS.target_user, profile);
                }
                return (places, None);
            }
        }
        if let Some(job) = job.filter(|job| job != message.job) {
            push_job(FIELDS.job, &job, event);
        }
        (places, end_code)
    }
}

fn read_job_end(text: &str) -> Option<text::JobEnd> {
    text::job(text).and_then(|(_, after)| text::job_end(after))
}

fn push_address(text: &str, event: &mut Event) {
    if let Some(address) = text::address(text) {
        event.push(field::REMOTE_ADDRESS, &address.to_string());
    }
}

/// The names in a text; some texts begin with the message's own identifier.
fn names<'m>(message: &Message<'m>) -> Vec<&'m str> {
    text::names(message.text).filter(|name| *name != message.id).collect()
}

/// Name, user and number of `123456/USER/NAME`; what is none is kept as the name.
fn push_job(fields: [FieldId; 3], job: &str, event: &mut Event) {
    let values = match text::Job::parse(job) {
        Some(job) => [job.name, job.user, job.number],
        None => [job, "", ""],
    };
    for (id, value) in fields.into_iter().zip(values) {
        event.push(id, value);
    }
}

fn push_reply(message: &Message<'_>, event: &mut Event) {
    if message.is_inquiry() {
        event.push(FIELDS.reply_state, "waiting");
    }
    if let Some(inquiry) = message.answers {
        event.push(FIELDS.reply_to_key, inquiry.key);
        event.push(FIELDS.reply_to_id, inquiry.id);
        event.push(FIELDS.reply_to_message, &masked(cut(inquiry.text, TEXT_LENGTH)));
    }
}

/// The table's severity, else that of the partition on our scale; the completion code of a job raises it, and so does
/// the queue for what is critical.
fn severity(message: &Message<'_>, known: Option<&Known>, end_code: Option<u16>) -> Severity {
    let own = message.severity.unwrap_or(0).min(99);
    let scaled = STEPS.iter().rev().find(|(from, _)| own >= *from).map_or(2, |(_, severity)| *severity);
    let base = known.map_or(Severity::clamped(scaled), |known| known.info.severity);
    let code = end_code.and_then(|code| TABLES.end_codes.get(&code)).map_or(base, |code| code.severity);
    let (queue, least) = CRITICAL_QUEUE;
    let least = if message.queue == queue { Severity::clamped(least) } else { Severity::LOWEST };
    base.max(code).max(least)
}

/// Control characters other than those of a text with lines, and what stands for characters that were lost.
fn is_unprintable(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\r' | '\t')) || character == '\u{FFFD}'
}

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

fn masked(text: &str) -> String {
    mask::masked(text.to_owned()).0
}

/// What lies between the places, which are in order.
fn uncovered(places: &[Range<usize>], length: usize) -> Vec<Stretch> {
    let mut stretches = Vec::with_capacity(places.len() + 1);
    let mut at = 0;
    // Replacement data was cut to some thousand bytes.
    let mut add = |from: usize, to: usize| {
        if from < to {
            stretches.push(Stretch { start: from as u32, end: to as u32 });
        }
    };
    for place in places {
        add(at, place.start.min(length));
        at = at.max(place.end);
    }
    add(at, length);
    stretches
}
