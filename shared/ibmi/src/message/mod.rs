//! Messages of the history log and of message queues turned into events.
//!
//! A message comes as text that the system wrote, in its own language, and as replacement data (tokens): bytes whose
//! layout depends on the message. What is known of an identifier is data (`data/message-*.csv`): a fixed English name,
//! a severity, where fields lie in the tokens, what its text tells. Whatever is not known travels with the event: the
//! text as it is, and the tokens as hexadecimal digits in `raw` (written as `docs/audit-layouts.md` says).
//!
//! Nothing is refused and nothing panics; what cannot be right is said in a [`Doubt`].

mod decode;
mod tables;
mod text;
mod tokens;

pub use decode::MessageDecoder;
pub use tables::{KnownMessage, known_messages};

use muster_shared::event::MessageOrigin;
use std::fmt;

/// Most characters of a text, as the service declares them.
pub const TEXT_LENGTH: usize = 1_024;

/// Most characters of a second-level text.
pub const DETAIL_LENGTH: usize = 4_096;

/// Most bytes of replacement data.
pub const TOKENS_LENGTH: usize = 4_096;

/// One message as a service of the partition returns it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Where it was found.
    pub origin: MessageOrigin,
    /// Message queue as LIBRARY/NAME; empty for the history log.
    pub queue: &'a str,
    /// Identifier; empty for an impromptu message and for a reply.
    pub id: &'a str,
    /// `INFORMATIONAL`, `INQUIRY`, `REPLY` ….
    pub kind: &'a str,
    /// Subtype; mostly empty.
    pub subtype: &'a str,
    /// Severity in the partition, 0 to 99; none where it is not told.
    pub severity: Option<u8>,
    /// Microseconds since 1970 UTC.
    pub time_us: i64,
    /// User profile that sent it.
    pub user: &'a str,
    /// Job that sent it, `123456/USER/NAME`.
    pub job: &'a str,
    /// Program that sent it.
    pub program: &'a str,
    /// Library of the message file.
    pub file_library: &'a str,
    /// Message file.
    pub file: &'a str,
    /// Text, in the language of the system.
    pub text: &'a str,
    /// Second-level text.
    pub detail: &'a str,
    /// Replacement data.
    pub tokens: &'a [u8],
    /// Key in its queue, hexadecimal; empty for the history log.
    pub key: &'a str,
    /// The inquiry that a reply answers.
    pub answers: Option<Inquiry<'a>>,
}

/// The inquiry that a reply answers, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inquiry<'a> {
    /// Its key in the queue, hexadecimal.
    pub key: &'a str,
    /// Its identifier; empty where it has none or is not known.
    pub id: &'a str,
    /// Its text; empty where it is not known.
    pub text: &'a str,
}

impl Message<'_> {
    /// Whether it is an inquiry: somebody has to answer it.
    #[must_use]
    pub fn is_inquiry(&self) -> bool {
        self.kind == "INQUIRY"
    }
}

/// Something in a message that cannot be right. The message is handed on as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// The replacement data ends before a field that it should hold.
    ShortTokens {
        /// Bytes that are there.
        have: usize,
        /// Bytes that the fields need.
        need: usize,
    },
    /// A field of the replacement data holds no name.
    UnreadableToken {
        /// Keyword of the field.
        field: &'static str,
    },
    /// A text or the replacement data is longer than the service declares it.
    TooLong {
        /// `text`, `second-level text` or `replacement data`.
        what: &'static str,
        /// Most that it may have.
        most: usize,
    },
    /// The text holds characters that nobody can read.
    Unprintable,
    /// The text does not tell what that of this message tells.
    UnreadableText,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortTokens { have, need } => write!(
                f,
                "its replacement data has {have} bytes, and what is documented of it {need}: fields are missing; all bytes are in `raw`"
            ),
            Self::UnreadableToken { field } => write!(
                f,
                "its replacement data holds no name where {field} lies: it was written under another CCSID than the \
                 partition's, or the message is laid out differently at this level; all bytes are in `raw`"
            ),
            Self::TooLong { what, most } => {
                write!(f, "its {what} is longer than the {most} that the service declares, and was cut there")
            }
            Self::UnreadableText => write!(
                f,
                "its text does not have the job, the processor time and the completion code where they are looked for; \
                 the text is in `message`"
            ),
            Self::Unprintable => write!(
                f,
                "its text holds characters that cannot be printed or were replaced on the way: it was sent under a \
                 CCSID that does not fit its text (DSPJOB, definition attributes, coded character set identifier)"
            ),
        }
    }
}
