//! From a record of the exit program to an event.

use super::envelope::{Envelope, EnvelopeError};
use super::layout::{Kind, Layout, layout};
use super::raw::{self, Covered};
use super::step::Reader;
use super::{Decoded, ExitEntry};
use crate::ebcdic::{CodePage, code_page};
use crate::text::Encoding;
use crate::timestamp;
use muster_shared::event::{EXIT_UNKNOWN, Event, EventKind, ExitAction, FieldId, dictionary, field};
use muster_shared::severity::Severity;

/// The page used where the partition's is not known: names of objects and users read right in it.
const FALLBACK_CCSID: u16 = 37;

/// An exit program is asked before others, and before the authority of the user is looked at: what becomes of the
/// request it cannot know.
const OUTCOME: &str = "unknown";

/// Decodes the records of one partition.
#[derive(Debug)]
pub struct ExitDecoder {
    page: &'static CodePage,
    fields: Fields,
}

/// Fields that no table names.
#[derive(Debug)]
struct Fields {
    effective_user: FieldId,
    data_cut: FieldId,
    raw_length: FieldId,
}

impl ExitDecoder {
    /// A decoder for text in the partition's CCSID, where the job's says nothing. A CCSID without a table reads as 37.
    #[must_use]
    pub fn new(ccsid: u16) -> Self {
        let page = code_page(ccsid).or_else(|| code_page(FALLBACK_CCSID));
        let find =
            |keyword| dictionary().find(keyword).expect("dictionary.csv has the fields of exit points");
        Self {
            page: page.expect("tables.csv holds page 37"),
            fields: Fields {
                effective_user: find("effective_user"),
                data_cut: find("exit_data_cut"),
                raw_length: find("raw_length"),
            },
        }
    }

    /// The CCSID that text is read with where the job's says nothing.
    #[must_use]
    pub fn ccsid(&self) -> u16 {
        self.page.ccsid()
    }

    /// Turns an entry into an event. Whatever the bytes are, the event gets kind, name, time, severity and sequence;
    /// the front part of its id is the caller's.
    pub fn decode(&self, entry: &ExitEntry<'_>, event: &mut Event) -> Decoded {
        event.clear();
        event.sequence = entry.sequence;
        event.time_us = entry.fallback_time_us;
        let decoded = match Envelope::parse(entry.data) {
            Ok(envelope) => self.record(&envelope, event),
            Err(refused) => self.refused(refused, entry.data.len(), event),
        };
        event.pad();
        decoded
    }

    fn refused(&self, refused: EnvelopeError, length: usize, event: &mut Event) -> Decoded {
        be(&EXIT_UNKNOWN, event);
        event.push(field::OUTCOME, OUTCOME);
        event.push(field::REASON, &refused.to_string());
        event.push_int(self.fields.raw_length, length as i64);
        Decoded { refused: Some(refused), ..Decoded::default() }
    }

    fn record(&self, envelope: &Envelope<'_>, event: &mut Event) -> Decoded {
        if let Some(time) = time_us(envelope) {
            event.time_us = time;
        }
        let (encoding, ccsid_replaced) = self.encoding(envelope);
        let mut reader =
            Reader { envelope, encoding, covered: Covered::default(), damaged: false, masked: 0 };
        let exit_point = reader.text(envelope.exit_point).0;
        let format = reader.text(envelope.format).0;
        let layout = layout(&exit_point, &format);
        let function = layout.and_then(|layout| reader.function(layout.function?));
        let known = layout.zip(function.as_deref()).and_then(|(layout, code)| layout.function(code));
        be(known.map_or(layout.map_or(&EXIT_UNKNOWN, |layout| layout.action), |known| known.action), event);
        self.who(layout, &mut reader, event);
        event.push(field::EXIT_POINT, &exit_point);
        event.push(field::EXIT_FORMAT, &format);
        event.push_with(field::EXIT_FUNCTION, known.map(|known| known.word), |out| {
            out.push_str(function.as_deref().unwrap_or_default());
        });
        event.push(field::OUTCOME, OUTCOME);
        if envelope.cut {
            event.push(self.fields.data_cut, "Y");
        }
        let raw_bytes = match layout {
            Some(layout) => self.request(layout, function.as_deref().unwrap_or_default(), &mut reader, event),
            None => {
                event.push(field::REASON, "no layout for this format of this exit point");
                let length: usize = envelope.parameters.iter().map(|parameter| parameter.bytes.len()).sum();
                event.push_int(self.fields.raw_length, length as i64);
                0
            }
        };
        Decoded {
            refused: None,
            known_format: layout.is_some(),
            damaged: envelope.damaged || reader.damaged,
            ccsid_replaced,
            raw_bytes,
            masked: reader.masked,
        }
    }

    /// Who asks: the user that the request names, else the one that the job runs under, and the job.
    fn who(&self, layout: Option<&Layout>, reader: &mut Reader<'_, '_>, event: &mut Event) {
        let envelope = reader.envelope;
        let named = layout.and_then(|layout| layout.steps.iter().find(|step| is_user(step.kind)));
        if let Some(step) = named {
            reader.step(step, event);
        }
        let current = reader.text(envelope.current_user).0;
        match event.get(field::USER) {
            None => event.push(field::USER, &current),
            Some(named) if named != current => event.push(self.fields.effective_user, &current),
            Some(_) => {}
        }
        for (id, bytes) in [
            (field::JOB_NAME, envelope.job_name),
            (field::JOB_USER, envelope.job_user),
            (field::JOB_NUMBER, envelope.job_number),
        ] {
            event.push(id, &reader.text(bytes).0);
        }
    }

    /// Reads what the format has; returns how many bytes stand in `raw`.
    fn request(
        &self,
        layout: &Layout,
        function: &str,
        reader: &mut Reader<'_, '_>,
        event: &mut Event,
    ) -> u32 {
        for step in layout.steps.iter().filter(|step| step.is_of(function) && !is_user(step.kind)) {
            reader.step(step, event);
        }
        if layout.secrets {
            return 0;
        }
        let page = match reader.encoding {
            Encoding::Ebcdic(page) => page,
            Encoding::Utf16 | Encoding::Utf8 => self.page,
        };
        raw::push(event, reader.envelope, &reader.covered, page)
    }

    /// How text of the job is read: by its CCSID, its default one, else the partition's. Only EBCDIC can be either.
    fn encoding(&self, envelope: &Envelope<'_>) -> (Encoding, bool) {
        let of = |ccsid: u32| {
            let encoding = u16::try_from(ccsid).ok().and_then(Encoding::of);
            encoding.filter(|encoding| !matches!(encoding, Encoding::Utf16 | Encoding::Utf8))
        };
        match of(envelope.ccsid).or_else(|| of(envelope.default_ccsid)) {
            Some(encoding) => (encoding, false),
            None => (Encoding::Ebcdic(self.page), true),
        }
    }
}

fn be(action: &'static ExitAction, event: &mut Event) {
    event.kind = EventKind::Exit(action);
    event.name = action.text;
    event.severity = Severity::clamped(action.severity);
}

fn is_user(kind: Kind) -> bool {
    matches!(kind, Kind::Text(field::USER))
}

/// When the exit program was called; `None` if the record does not tell it in a readable way.
fn time_us(envelope: &Envelope<'_>) -> Option<i64> {
    let digit = |byte: &u8| matches!(byte, 0xF0..=0xF9).then(|| byte - 0xF0 + b'0');
    let digits: Vec<u8> = envelope.time.iter().map(digit).collect::<Option<_>>()?;
    let mut text = *b"0000-00-00-00.00.00.000000";
    let places = text.iter_mut().filter(|byte| byte.is_ascii_digit());
    for (place, digit) in places.zip(&digits) {
        *place = *digit;
    }
    Some(timestamp::to_utc(timestamp::local_micros(&text)?, offset_seconds(envelope.offset)?))
}

/// Seconds east of UTC of `+HHMM`.
fn offset_seconds(offset: &[u8]) -> Option<i32> {
    let (sign, digits) = offset.split_first()?;
    let digit = |byte: &u8| matches!(byte, 0xF0..=0xF9).then(|| i32::from(byte - 0xF0));
    let [a, b, c, d] = digits else { return None };
    let minutes = (digit(a)? * 10 + digit(b)?) * 60 + digit(c)? * 10 + digit(d)?;
    match sign {
        0x4E => Some(minutes * 60),
        0x60 => Some(-minutes * 60),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_east_and_west() {
        let cases: [(&[u8], Option<i32>); 6] = [
            (&[0x4E, 0xF0, 0xF1, 0xF0, 0xF0], Some(3600)),
            (&[0x60, 0xF0, 0xF3, 0xF3, 0xF0], Some(-12_600)),
            (&[0x4E, 0xF0, 0xF0, 0xF0, 0xF0], Some(0)),
            (&[0x40, 0x40, 0x40, 0x40, 0x40], None),
            (&[0xF0, 0xF0, 0xF1, 0xF0, 0xF0], None),
            (&[0x4E, 0xF0, 0xF1, 0xF0], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(offset_seconds(bytes), expected, "{bytes:02X?}");
        }
    }
}
