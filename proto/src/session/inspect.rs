//! Capability `io.muster.inspect/v1`: recent events, one of them with all that is known of it, preview
//! of a policy over them, live tail, diagnostics bundle.

pub use super::generated::{
    AskDiagnostics, AskEvent, AskPreview, AskRecent, AskTail, EndTail, InspectRefusal, InspectRefusalReason,
    InspectReply, InspectRequest, PreviewReport, PreviewSample, RecentEvents, TailEvents,
    inspect_reply::Answer, inspect_request::Ask,
};

use crate::opamp::CustomMessage;
use prost::Message;
use std::time::Duration;

/// Name of the capability.
pub const CAPABILITY: &str = "io.muster.inspect/v1";

/// Type of [`InspectRequest`], controller to agent.
pub const REQUEST: &str = "request";

/// Type of [`InspectReply`], agent to controller.
pub const REPLY: &str = "reply";

/// Length of an id.
pub const ID_BYTES: usize = 16;

/// Most events that a tail carries in a second.
pub const MAX_TAIL_PER_SECOND: u32 = 200;

/// Longest time that a tail lives without being prolonged.
pub const MAX_TAIL: Duration = Duration::from_secs(120);

/// Most recent events of one answer.
pub const MAX_RECENT: u32 = 1_000;

/// Recent events of an answer unless another number is asked for.
pub const DEFAULT_RECENT: u32 = 100;

/// Most samples of a preview.
pub const MAX_SAMPLES: u32 = 20;

/// Longest candidate policy, in bytes.
pub const MAX_CANDIDATE: usize = 512 * 1024;

/// Largest part of a reply, in bytes of content: far below the limit of an OpAMP message.
pub const MAX_PART: usize = 128 * 1024;

/// Largest bundle, in bytes.
pub const MAX_BUNDLE: usize = 1024 * 1024;

/// Largest answer about one event, in bytes.
pub const MAX_EVENT: usize = 1024 * 1024;

/// Longest id of an event, in bytes: names of system, journal and receiver, and numbers.
pub const MAX_EVENT_ID: usize = 512;

/// Within which an answer is of use, where the request does not say.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// A message of the capability.
#[derive(Debug, Clone, PartialEq)]
pub enum InspectMessage {
    /// Somebody asks.
    Request(InspectRequest),
    /// The agent answers.
    Reply(InspectReply),
}

/// Why a custom message is none of this capability.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum InspectError {
    /// Another capability: not ours to read.
    #[error("custom message of capability `{0}` is none of `{CAPABILITY}`")]
    Capability(String),
    /// A type that this version does not know: to be ignored.
    #[error("capability `{CAPABILITY}` has no message type `{0}`")]
    Type(String),
    /// An id of another length.
    #[error("the id of a message of capability `{CAPABILITY}` has {0} bytes instead of {ID_BYTES}")]
    Id(usize),
    /// Bytes that do not decode.
    #[error("message of capability `{CAPABILITY}` does not decode")]
    Body(#[from] prost::DecodeError),
}

impl InspectMessage {
    /// Wraps it for the wire.
    #[must_use]
    pub fn to_custom(&self) -> CustomMessage {
        let (kind, data) = match self {
            Self::Request(request) => (REQUEST, request.encode_to_vec()),
            Self::Reply(reply) => (REPLY, reply.encode_to_vec()),
        };
        CustomMessage { capability: CAPABILITY.to_owned(), r#type: kind.to_owned(), data }
    }

    /// Reads it from the wire.
    ///
    /// # Errors
    /// Another capability, an unknown type, a wrong id, or bytes that do not decode.
    pub fn from_custom(message: &CustomMessage) -> Result<Self, InspectError> {
        if message.capability != CAPABILITY {
            return Err(InspectError::Capability(message.capability.clone()));
        }
        let data = message.data.as_slice();
        let (message, id) = match message.r#type.as_str() {
            REQUEST => {
                let request = InspectRequest::decode(data)?;
                let id = request.id.len();
                (Self::Request(request), id)
            }
            REPLY => {
                let reply = InspectReply::decode(data)?;
                let id = reply.id.len();
                (Self::Reply(reply), id)
            }
            other => return Err(InspectError::Type(other.to_owned())),
        };
        if id == ID_BYTES { Ok(message) } else { Err(InspectError::Id(id)) }
    }
}

impl InspectRequest {
    /// Within which an answer is of use.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match self.answer_within_ms {
            0 => DEFAULT_DEADLINE,
            ms => Duration::from_millis(u64::from(ms)),
        }
    }
}

impl AskRecent {
    /// How many events are wanted, within the bounds.
    #[must_use]
    pub fn bounded_limit(&self) -> usize {
        let limit = if self.limit == 0 { DEFAULT_RECENT } else { self.limit.min(MAX_RECENT) };
        limit as usize
    }
}

impl AskTail {
    /// How long it lives, and how many events a second, within the bounds.
    #[must_use]
    pub fn bounded(&self) -> (Duration, u32) {
        let life = Duration::from_millis(u64::from(self.expires_after_ms)).min(MAX_TAIL);
        let rate = if self.max_per_second == 0 { MAX_TAIL_PER_SECOND } else { self.max_per_second };
        (life, rate.min(MAX_TAIL_PER_SECOND))
    }
}

impl InspectReply {
    /// A refusal, as the only part.
    #[must_use]
    pub fn refusal(id: &[u8], reason: InspectRefusalReason, text: impl Into<String>) -> Self {
        let refusal = InspectRefusal { reason: reason.into(), text: text.into() };
        Self { id: id.to_vec(), part: 0, last: true, answer: Some(Answer::Refusal(refusal)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_and_strangers_are_named() {
        let request =
            InspectRequest { id: vec![1; 16], ask: Some(Ask::EndTail(EndTail {})), ..Default::default() };
        let reply = InspectReply::refusal(&[2; 16], InspectRefusalReason::SwitchedOff, "off");
        for message in [InspectMessage::Request(request.clone()), InspectMessage::Reply(reply)] {
            assert_eq!(InspectMessage::from_custom(&message.to_custom()), Ok(message));
        }
        let short = InspectMessage::Request(InspectRequest { id: vec![1; 3], ..request.clone() });
        assert_eq!(InspectMessage::from_custom(&short.to_custom()), Err(InspectError::Id(3)));
        let good = InspectMessage::Request(request).to_custom();
        let odd = CustomMessage { r#type: "shutdown".to_owned(), ..good.clone() };
        assert_eq!(InspectMessage::from_custom(&odd), Err(InspectError::Type("shutdown".to_owned())));
        let other = CustomMessage { capability: "io.muster.inspect/v2".to_owned(), ..good };
        assert!(matches!(InspectMessage::from_custom(&other), Err(InspectError::Capability(_))));
    }

    #[test]
    fn wishes_stay_within_bounds() {
        let tail = |expires_after_ms, max_per_second| {
            AskTail { filter: String::new(), expires_after_ms, max_per_second }.bounded()
        };
        assert_eq!(tail(5_000, 0), (Duration::from_secs(5), 200));
        assert_eq!(tail(u32::MAX, 5), (Duration::from_secs(120), 5));
        assert_eq!(tail(1, 1_000).1, 200);
        let recent = |limit| AskRecent { filter: String::new(), limit }.bounded_limit();
        assert_eq!((recent(0), recent(7), recent(5_000)), (100, 7, 1_000));
    }
}
