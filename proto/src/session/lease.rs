//! Capability `io.muster.lease/v1`: which agent of a partition collects which source.

pub use super::generated::{LeaseClaim, LeaseOrder, LeaseRole, SourceClaim, SourceOrder};

use crate::opamp::CustomMessage;
use prost::Message;
use std::time::Duration;

/// Name of the capability.
pub const CAPABILITY: &str = "io.muster.lease/v1";

/// Type of [`LeaseClaim`], agent to controller.
pub const CLAIM: &str = "claim";

/// Type of [`LeaseOrder`], controller to agent.
pub const ORDER: &str = "order";

/// Time between two renewals of a lease.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);

/// A lease that was not renewed for this long has lapsed.
pub const TTL: Duration = Duration::from_secs(10);

/// Most sources of one message.
pub const MAX_SOURCES: usize = 256;

/// Most destinations with a cursor of one source.
pub const MAX_CURSORS: usize = 64;

/// Longest cursor, in bytes of JSON: a place among rows that only their time orders names up to a thousand of them.
pub const MAX_CURSOR: usize = 16 * 1_024;

/// Longest source, name or destination, in bytes.
pub const MAX_NAME: usize = 256;

/// A message of the capability.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseMessage {
    /// An agent tells where it stands.
    Claim(LeaseClaim),
    /// The controller tells what to do.
    Order(LeaseOrder),
}

/// Why a custom message is none of this capability.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum LeaseError {
    /// Another capability: not ours to read.
    #[error("custom message of capability `{0}` is none of `{CAPABILITY}`")]
    Capability(String),
    /// A type that this version does not know: to be ignored.
    #[error("capability `{CAPABILITY}` has no message type `{0}`")]
    Type(String),
    /// More or longer parts than there can be.
    #[error("message of capability `{CAPABILITY}` is beyond its limits: {0}")]
    TooLarge(&'static str),
    /// Bytes that do not decode.
    #[error("message of capability `{CAPABILITY}` does not decode")]
    Body(#[from] prost::DecodeError),
}

impl LeaseMessage {
    /// Wraps it for the wire.
    #[must_use]
    pub fn to_custom(&self) -> CustomMessage {
        let (kind, data) = match self {
            Self::Claim(claim) => (CLAIM, claim.encode_to_vec()),
            Self::Order(order) => (ORDER, order.encode_to_vec()),
        };
        CustomMessage { capability: CAPABILITY.to_owned(), r#type: kind.to_owned(), data }
    }

    /// Reads it from the wire.
    ///
    /// # Errors
    /// Another capability, an unknown type, a part beyond the limits, or bytes that do not decode.
    pub fn from_custom(message: &CustomMessage) -> Result<Self, LeaseError> {
        if message.capability != CAPABILITY {
            return Err(LeaseError::Capability(message.capability.clone()));
        }
        let data = message.data.as_slice();
        match message.r#type.as_str() {
            CLAIM => {
                let claim = LeaseClaim::decode(data)?;
                if claim.partition.len() > MAX_NAME {
                    return Err(LeaseError::TooLarge("a name is too long"));
                }
                check(claim.sources.iter().map(|s| (&s.source, &s.name, &s.cursors)))?;
                Ok(Self::Claim(claim))
            }
            ORDER => {
                let order = LeaseOrder::decode(data)?;
                check(order.sources.iter().map(|s| (&s.source, &s.holder, &s.cursors)))?;
                Ok(Self::Order(order))
            }
            other => Err(LeaseError::Type(other.to_owned())),
        }
    }
}

type Cursors = std::collections::BTreeMap<String, Vec<u8>>;

fn check<'a>(
    sources: impl ExactSizeIterator<Item = (&'a String, &'a String, &'a Cursors)>,
) -> Result<(), LeaseError> {
    if sources.len() > MAX_SOURCES {
        return Err(LeaseError::TooLarge("too many sources"));
    }
    for (source, name, cursors) in sources {
        if source.len() > MAX_NAME || name.len() > MAX_NAME {
            return Err(LeaseError::TooLarge("a name is too long"));
        }
        if cursors.len() > MAX_CURSORS {
            return Err(LeaseError::TooLarge("too many cursors"));
        }
        if cursors.iter().any(|(name, cursor)| name.len() > MAX_NAME || cursor.len() > MAX_CURSOR) {
            return Err(LeaseError::TooLarge("a cursor is too long"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(sources: usize, cursors: usize, cursor: usize) -> LeaseMessage {
        let source = SourceClaim {
            source: "audit_journal:QSYS/QAUDJRN".to_owned(),
            epoch: 7,
            cursors: (0..cursors).map(|n| (format!("siem{n}"), vec![b'1'; cursor])).collect(),
            ..SourceClaim::default()
        };
        LeaseMessage::Claim(LeaseClaim { sources: vec![source; sources], ..LeaseClaim::default() })
    }

    #[test]
    fn messages_come_back_as_they_were_said_within_their_limits() {
        let order = LeaseMessage::Order(LeaseOrder {
            sources: vec![SourceOrder {
                source: "a".to_owned(),
                role: LeaseRole::StandBy.into(),
                epoch: u64::MAX,
                ..SourceOrder::default()
            }],
            renew_ms: 3_000,
        });
        let (wide, long) = (claim(MAX_SOURCES, MAX_CURSORS, 1), claim(1, MAX_CURSORS, MAX_CURSOR));
        for message in [wide, long, claim(0, 0, 0), order] {
            assert_eq!(LeaseMessage::from_custom(&message.to_custom()), Ok(message));
        }
        for beyond in
            [claim(MAX_SOURCES + 1, 0, 0), claim(1, MAX_CURSORS + 1, 1), claim(1, 1, MAX_CURSOR + 1)]
        {
            let result = LeaseMessage::from_custom(&beyond.to_custom());
            assert!(matches!(result, Err(LeaseError::TooLarge(_))), "{result:?}");
        }
    }

    #[test]
    fn other_messages_are_told_apart() {
        let good = claim(1, 1, 1).to_custom();
        let with = |capability: &str, kind: &str, data: &[u8]| {
            LeaseMessage::from_custom(&CustomMessage {
                capability: capability.to_owned(),
                r#type: kind.to_owned(),
                data: data.to_vec(),
            })
        };
        assert_eq!(
            with("io.muster.lease/v2", CLAIM, &good.data),
            Err(LeaseError::Capability("io.muster.lease/v2".to_owned()))
        );
        assert_eq!(with(CAPABILITY, "other", &good.data), Err(LeaseError::Type("other".to_owned())));
        assert!(matches!(with(CAPABILITY, CLAIM, &[0xff]), Err(LeaseError::Body(_))));
    }
}
