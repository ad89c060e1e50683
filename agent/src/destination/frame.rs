//! Framing: tells messages apart on the wire (RFC 5426, RFC 6587).
//!
//! Pure: a [`Framer`] appends framed messages to one buffer and notes where each ends, so that a whole
//! delivery goes to the socket without a copy. It promises that a newline frame holds no line feed but
//! its last byte, that a count is the exact number of bytes, and that a datagram is never longer than its
//! limit. It refuses to split a message: an oversize datagram is cut and counted.

use muster_shared::policy::model::{Framing, TransportSpec};

/// Longest datagram by default: below the path MTU of Ethernet, above which datagrams are fragmented and
/// lost without a trace.
pub const DEFAULT_DATAGRAM: usize = 1_400;

/// Longest datagram that IPv4 can carry: 65,535 less 20 bytes of IP and 8 of UDP header.
pub const MAX_DATAGRAM: usize = 65_507;

/// Room kept for the count in front of a message: three digits and a blank fit most messages, so that
/// they need not be moved when their length is known.
const COUNT_ROOM: usize = 4;

/// How messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A line feed behind each message (RFC 6587 section 3.4.2).
    Newline,
    /// The length in bytes and a blank before each message (RFC 6587 section 3.4.1, RFC 5425).
    OctetCounting,
    /// One message a datagram (RFC 5426), at most this many bytes.
    Datagram(usize),
}

impl Frame {
    /// The frame that a transport of the policy asks for.
    #[must_use]
    pub fn of(transport: &TransportSpec) -> Self {
        match transport {
            TransportSpec::Udp { .. } => Self::Datagram(DEFAULT_DATAGRAM),
            TransportSpec::Tcp { framing, .. } | TransportSpec::Tls { framing, .. } => Self::from(*framing),
        }
    }
}

impl From<Framing> for Frame {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Newline => Self::Newline,
            Framing::OctetCounting => Self::OctetCounting,
        }
    }
}

/// What a framer had to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounts {
    /// Messages cut because they did not fit a datagram.
    pub truncated: u64,
    /// Line feeds inside a message that became blanks. Formats write none; this is the second lock.
    pub replaced: u64,
}

/// Appends framed messages to a buffer.
#[derive(Debug, Clone)]
pub struct Framer {
    frame: Frame,
    start: usize,
    counts: FrameCounts,
}

impl Framer {
    /// A framer for one kind of frame.
    #[must_use]
    pub fn new(frame: Frame) -> Self {
        Self { frame, start: 0, counts: FrameCounts::default() }
    }

    /// Begins a message at the end of `out`; what is appended until [`Framer::end`] is its text.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if self.frame == Frame::OctetCounting {
            out.extend_from_slice(&[b' '; COUNT_ROOM]);
        }
        self.start = out.len();
    }

    /// Ends the message begun last and notes its end in `ends`. A message without text is taken back.
    pub fn end(&mut self, out: &mut Vec<u8>, ends: &mut Vec<u32>) {
        let length = out.len() - self.start;
        if length == 0 {
            self.cancel(out);
            return;
        }
        match self.frame {
            Frame::Newline => {
                self.replace_line_feeds(out);
                out.push(b'\n');
            }
            Frame::OctetCounting => self.write_count(out, length),
            Frame::Datagram(limit) => {
                if length > limit {
                    let keep = utf8_cut(&out[self.start..], limit);
                    out.truncate(self.start + keep);
                    self.counts.truncated += 1;
                }
            }
        }
        // A delivery is bounded to a few MiB by its builder, far below 4 GiB.
        ends.push(out.len() as u32);
    }

    /// Takes back the message begun last.
    pub fn cancel(&mut self, out: &mut Vec<u8>) {
        let room = if self.frame == Frame::OctetCounting { COUNT_ROOM } else { 0 };
        out.truncate(self.start - room);
    }

    /// Appends one whole message whose text `write` appends.
    pub fn message(&mut self, out: &mut Vec<u8>, ends: &mut Vec<u32>, write: impl FnOnce(&mut Vec<u8>)) {
        self.begin(out);
        write(out);
        self.end(out, ends);
    }

    /// What had to be changed since the last call.
    pub fn take_counts(&mut self) -> FrameCounts {
        std::mem::take(&mut self.counts)
    }

    fn replace_line_feeds(&mut self, out: &mut [u8]) {
        let text = &mut out[self.start..];
        let mut from = 0;
        while let Some(at) = memchr::memchr(b'\n', &text[from..]) {
            text[from + at] = b' ';
            from += at + 1;
            self.counts.replaced += 1;
        }
    }

    fn write_count(&self, out: &mut Vec<u8>, length: usize) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(length).as_bytes();
        let needed = digits.len() + 1;
        let room_start = self.start - COUNT_ROOM;
        if needed > COUNT_ROOM {
            out.resize(out.len() + needed - COUNT_ROOM, 0);
        }
        if needed != COUNT_ROOM {
            out.copy_within(self.start..self.start + length, room_start + needed);
            out.truncate(room_start + needed + length);
        }
        out[room_start..room_start + digits.len()].copy_from_slice(digits);
        out[room_start + digits.len()] = b' ';
    }
}

/// Largest length of at most `limit` that does not cut a UTF-8 sequence.
fn utf8_cut(text: &[u8], limit: usize) -> usize {
    let mut cut = limit.min(text.len());
    // A sequence has at most three continuation bytes; bytes that are no UTF-8 are cut where they stand.
    for _ in 0..3 {
        match text.get(cut) {
            Some(byte) if byte & 0xC0 == 0x80 && cut > 0 => cut -= 1,
            Some(_) | None => return cut,
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(frame: Frame, messages: &[&str]) -> (Vec<u8>, Vec<u32>, FrameCounts) {
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        let mut framer = Framer::new(frame);
        for message in messages {
            framer.message(&mut out, &mut ends, |text| text.extend_from_slice(message.as_bytes()));
        }
        (out, ends, framer.take_counts())
    }

    #[test]
    fn newline_frames_hold_no_other_line_feed() {
        let (out, ends, counts) = framed(Frame::Newline, &["one", "t\nw\no", "", "three"]);
        assert_eq!(String::from_utf8(out).unwrap(), "one\nt w o\nthree\n");
        assert_eq!(ends, [4, 10, 16]);
        assert_eq!(counts, FrameCounts { truncated: 0, replaced: 2 });
    }

    #[test]
    fn counts_are_bytes_of_any_length_without_leading_zero() {
        for length in [1, 9, 10, 99, 100, 999, 1_000, 9_999, 10_000, 123_456] {
            let text = "x".repeat(length);
            let (out, ends, _) = framed(Frame::OctetCounting, &["é", &text, "end"]);
            let expected = format!("2 é{length} {text}3 end");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            assert_eq!(ends, [4, (expected.len() - 5) as u32, expected.len() as u32]);
        }
    }

    #[test]
    fn an_empty_message_is_taken_back() {
        assert_eq!(framed(Frame::OctetCounting, &["", "a", ""]).0, b"1 a");
    }

    #[test]
    fn datagrams_are_cut_between_characters_and_counted() {
        for (text, limit, expected) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcde"),
            ("abé", 3, "ab"),
            ("a€b", 3, "a"),
            ("a😀", 4, "a"),
            ("😀", 4, "😀"),
        ] {
            let (out, ends, counts) = framed(Frame::Datagram(limit), &[text]);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text} {limit}");
            assert_eq!(ends, [expected.len() as u32]);
            assert_eq!(counts.truncated, u64::from(text != expected));
        }
    }
}
