//! From a journal entry to an event.

use super::layout::{LAYOUTS, Layout, Layouts};
use super::raw::push_raw;
use super::run::Line;
use super::step::{Run, Stretch};
use super::{Decoded, JournalEntry, user};
use crate::blank::{is_empty_byte, trimmed};
use crate::ebcdic::{self, CodePage};
use muster_shared::event::{Event, EventKind, FieldId, dictionary, field};
use smallvec::SmallVec;

/// The page used where the partition's is not known: names of objects and users read right in it.
const FALLBACK_CCSID: u16 = 37;

/// Decodes the entries of one partition. It holds buffers, so one is made per source and kept.
#[derive(Debug)]
pub struct AuditDecoder {
    page: &'static CodePage,
    layouts: &'static Layouts,
    /// Field of the member in the header's object.
    member: Option<FieldId>,
    scratch: Vec<u8>,
    line: Line,
}

impl AuditDecoder {
    /// A decoder for text in the partition's CCSID (QCCSID, or the configured one where that is 65535). A
    /// CCSID without a table reads as 37; [`AuditDecoder::ccsid`] tells, so that the caller can warn.
    #[must_use]
    pub fn new(ccsid: u16) -> Self {
        let page = ebcdic::code_page(ccsid).or_else(|| ebcdic::code_page(FALLBACK_CCSID));
        Self {
            page: page.expect("tables.csv holds page 37"),
            layouts: &LAYOUTS,
            member: dictionary().find("member"),
            scratch: Vec::new(),
            line: Line::new(),
        }
    }

    /// The CCSID that text without one of its own is read with.
    #[must_use]
    pub fn ccsid(&self) -> u16 {
        self.page.ccsid()
    }

    /// Turns an entry into an event. Whatever the data is, the event gets kind, time, name, severity and
    /// the header's fields; `id_prefix` is the caller's.
    pub fn decode(&mut self, entry: &JournalEntry<'_>, event: &mut Event) -> Decoded {
        let known = self.layouts.find(entry.code, entry.entry_type);
        let layout = known.unwrap_or(&self.layouts.unknown);
        let full_length = entry.data.len().max(entry.data_length as usize);
        event.clear();
        self.line.clear();
        event.kind = EventKind::Audit {
            code: entry.code,
            entry_type: entry.entry_type,
            subtype: subtype(self.page, layout, entry.data),
        };
        event.time_us = entry.time_us;
        event.sequence = entry.sequence;
        event.name = layout.info.name;
        event.severity = layout.info.severity;
        let rules = layout.rules.iter();
        if let Some(severity) = rules.filter_map(|rule| rule.severity_of(entry.data)).max() {
            event.severity = severity;
        }
        self.header(entry, layout, event);
        if full_length > entry.data.len() {
            let blank = (full_length - entry.data.len()) as i64;
            self.line.push_int(field::BLANK_TAIL, None, blank, event);
        }
        let (raw_bytes, masked) = match entry.code {
            b'U' => self.user_written(entry.data, event),
            _ => self.laid_out(layout, entry, full_length, event),
        };
        event.pad();
        Decoded {
            known_type: known.is_some(),
            short: full_length < layout.trusted_end as usize,
            raw_bytes,
            masked,
        }
    }

    fn header(&mut self, entry: &JournalEntry<'_>, layout: &Layout, event: &mut Event) {
        let line = &mut self.line;
        for (id, text) in [
            (field::USER, entry.user),
            (field::JOB_NAME, entry.job_name),
            (field::JOB_USER, entry.job_user),
            (field::JOB_NUMBER, entry.job_number),
            (field::PROGRAM_NAME, entry.program),
            (field::PROGRAM_LIBRARY, entry.program_library),
            (field::REMOTE_ADDRESS, entry.remote_address),
        ] {
            line.push(id, None, unpadded(text), event);
        }
        if let Some(port) = entry.remote_port.filter(|port| *port != 0) {
            line.push_int(field::REMOTE_PORT, None, i64::from(port), event);
        }
        if !layout.names_object && !unpadded(entry.object).is_empty() {
            let mut rest = entry.object;
            for id in
                [Some(field::OBJECT_NAME), Some(field::OBJECT_LIBRARY), self.member].into_iter().flatten()
            {
                let cut = rest.char_indices().nth(10).map_or(rest.len(), |(position, _)| position);
                line.push(id, None, unpadded(&rest[..cut]), event);
                rest = &rest[cut..];
            }
        }
    }

    fn laid_out(
        &mut self,
        layout: &Layout,
        entry: &JournalEntry<'_>,
        full_length: usize,
        event: &mut Event,
    ) -> (u32, u32) {
        let mut run = Run {
            page: self.page,
            data: entry.data,
            full_length,
            has_address: !unpadded(entry.remote_address).is_empty(),
            unread: SmallVec::new(),
            masked: 0,
        };
        // Behind the last byte that holds something no field can have a value.
        let filled = trimmed(entry.data).len();
        for (glance, step) in layout.glances.iter().zip(&layout.steps) {
            if glance.start as usize >= filled {
                break;
            }
            run.glance(*glance, step, event, &mut self.line, &mut self.scratch);
        }
        self.line.flush(event);
        let stretches = layout.uncovered.iter().chain(&run.unread).copied();
        let raw_bytes = push_raw(event, self.page, &entry.data[..filled], stretches);
        (raw_bytes, run.masked)
    }

    /// The data of a user-written entry is text, or anything at all.
    fn user_written(&mut self, data: &[u8], event: &mut Event) -> (u32, u32) {
        self.line.flush(event);
        let data = trimmed(data);
        let read = user::push_text(self.page, data, event);
        let rest = Stretch { start: read.bytes as u32, end: u32::MAX };
        (push_raw(event, self.page, data, std::iter::once(rest)), read.masked)
    }
}

/// First character of the data where the layout has a subtype; 0 if there is none.
fn subtype(page: &CodePage, layout: &Layout, data: &[u8]) -> u8 {
    match data.first() {
        Some(byte) if layout.has_subtype && !is_empty_byte(*byte) => {
            u8::try_from(page.char_of(*byte)).unwrap_or(b'?')
        }
        _ => 0,
    }
}

/// Text without the blanks that fill a fixed column. They are ASCII, so bytes will do.
#[inline]
fn unpadded(text: &str) -> &str {
    if !text.as_bytes().ends_with(b" ") {
        return text;
    }
    let end = text.bytes().rposition(|byte| byte != b' ').map_or(0, |last| last + 1);
    &text[..end]
}
