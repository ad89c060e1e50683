//! Syslog headers, RFC 3164 and RFC 5424.

use super::APP_NAME;
use super::clock::{Clock, Style, put_fraction};
use super::sink::Sink;
use crate::event::Event;
use crate::partition::Partition;
use crate::policy::model::Header;
use std::net::IpAddr;

/// Most characters of HOSTNAME in RFC 5424.
const MAX_HOST: usize = 255;
/// UTF-8's byte order mark.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a header looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeaderStyle {
    /// Which standard.
    pub(super) kind: Header,
    /// Facility 0..=23.
    pub(super) facility: u8,
    /// RFC 3164 in UTC instead of the partition's local time.
    pub(super) utc: bool,
    /// RFC 5424: three digits behind the second instead of six.
    pub(super) milliseconds: bool,
    /// RFC 5424: the payload has no structured data of its own, so the header ends with `- `.
    pub(super) nil_data: bool,
    /// RFC 5424: a byte order mark follows the header.
    pub(super) bom: bool,
}

/// Writes headers.
#[derive(Debug)]
pub(super) struct HeaderWriter {
    style: HeaderStyle,
    clock: Clock,
    /// `<PRI>` or `<PRI>1 ` by syslog severity 0..=7.
    start: [Vec<u8>; 8],
    /// What stands between the time and the message id (RFC 5424) or the payload (RFC 3164).
    middle: Vec<u8>,
    /// What stands after the message id.
    end: Vec<u8>,
}

impl HeaderWriter {
    pub(super) fn new(style: &HeaderStyle, partition: &Partition) -> Self {
        let priority = |severity: usize| usize::from(style.facility) * 8 + severity;
        let (start, middle, end, clock): ([Vec<u8>; 8], _, _, _) = match style.kind {
            Header::Rfc3164 => {
                let offset_seconds = if style.utc { 0 } else { partition.utc_offset_seconds };
                (
                    std::array::from_fn(|severity| format!("<{}>", priority(severity)).into_bytes()),
                    format!(" {} ", bsd_host(partition)).into_bytes(),
                    Vec::new(),
                    Style::Bsd { offset_seconds },
                )
            }
            Header::Rfc5424 => {
                let mut end = if style.nil_data { b" - ".to_vec() } else { b" ".to_vec() };
                if style.bom {
                    end.extend_from_slice(BOM);
                }
                (
                    std::array::from_fn(|severity| format!("<{}>1 ", priority(severity)).into_bytes()),
                    format!(" {} {APP_NAME} - ", host(partition).as_deref().unwrap_or("-")).into_bytes(),
                    end,
                    Style::Rfc3339,
                )
            }
        };
        Self { style: *style, clock: Clock::new(clock), start, middle, end }
    }

    /// Appends priority and time.
    pub(super) fn put_start(&mut self, event: &Event, sink: &mut Sink) {
        let second = event.time_us.div_euclid(1_000_000);
        sink.put(&self.start[usize::from(event.severity.syslog() & 7)]);
        match (self.style.kind, self.clock.text(second)) {
            (Header::Rfc3164, text) => sink.put(text.unwrap_or(b"Jan  1 00:00:00")),
            (Header::Rfc5424, Some(text)) => {
                sink.put(text);
                let fraction = event.time_us.rem_euclid(1_000_000) as u32;
                put_fraction(fraction, self.style.milliseconds, sink);
                sink.push(b'Z');
            }
            (Header::Rfc5424, None) => sink.push(b'-'),
        }
    }

    /// Appends what follows the time and depends on the kind of the event only.
    pub(super) fn write_end(&self, event: &Event, block: &mut Vec<u8>) {
        block.extend_from_slice(&self.middle);
        if self.style.kind == Header::Rfc5424 {
            event.kind.write_event_id(block);
            block.extend_from_slice(&self.end);
        }
    }
}

/// The partition's host name as RFC 5424 allows it: printable ASCII without blank; anything else becomes `-`.
/// Falls back to the system name; `None` where there is neither.
pub(super) fn host(partition: &Partition) -> Option<String> {
    [&partition.host_name, &partition.system_name]
        .into_iter()
        .map(|name| name.trim())
        .find(|n| !n.is_empty())
        .map(|name| name.chars().take(MAX_HOST).map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect())
}

/// The host of an RFC 3164 header: without domain, unless it is an address. RFC 3164 has no word for "not
/// known", so that is written out.
fn bsd_host(partition: &Partition) -> String {
    let Some(host) = host(partition) else { return "unknown".to_owned() };
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    match host.split('.').next() {
        // Readers end the host at the first character that no host name has, and take the rest for the tag.
        Some(short) if !short.is_empty() => {
            short.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
        }
        _ => "unknown".to_owned(),
    }
}
