//! One OpAMP message as bytes: on a WebSocket a header (a base-128 varint, 0 today) and the protobuf, on
//! plain HTTP the protobuf alone.
//!
//! Sizes are limited in both directions. A peer that sends no header at all is understood, as the reference
//! implementation does: a protobuf never begins with 0, and every message begins with the uid's field.

use prost::Message;

/// Largest message in bytes, after decompression, that agent and controller accept and send. The protocol
/// recommends 64 MiB; times thousands of agents that would be a memory bomb, and no policy needs it.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Close code for a message above the limit (RFC 6455 section 7.4.1).
pub const CLOSE_TOO_BIG: u16 = 1009;

/// First byte of a message without header: field 1 (`instance_uid`), length-delimited.
const UID_TAG: u8 = 0x0a;

/// Why bytes are not an OpAMP message, or a message cannot be sent.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FrameError {
    /// Above the limit.
    #[error("OpAMP message has {bytes} bytes, at most {limit} are allowed")]
    TooBig {
        /// Its size, with header.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The header is a number other than 0, or no number at all.
    #[error("OpAMP message begins with a header that is not 0: the peer speaks another protocol or version")]
    Header,
    /// The rest is no protobuf of the expected message.
    #[error("OpAMP message does not decode")]
    Body(#[from] prost::DecodeError),
}

/// A message with its header, for a WebSocket.
///
/// # Errors
/// [`FrameError::TooBig`] above `limit`: such a message must not be sent.
pub fn encode<M: Message>(message: &M, limit: usize) -> Result<Vec<u8>, FrameError> {
    let bytes = message.encoded_len() + 1;
    if bytes > limit {
        return Err(FrameError::TooBig { bytes, limit });
    }
    let mut out = Vec::with_capacity(bytes);
    out.push(0);
    message.encode_raw(&mut out);
    Ok(out)
}

/// Reads a message that came over a WebSocket.
///
/// # Errors
/// Above `limit`, with a header other than 0, or when the rest does not decode.
pub fn decode<M: Message + Default>(bytes: &[u8], limit: usize) -> Result<M, FrameError> {
    if bytes.len() > limit {
        return Err(FrameError::TooBig { bytes: bytes.len(), limit });
    }
    let Some(first) = bytes.first() else {
        return Ok(M::default());
    };
    match header(bytes) {
        Some((0, length)) => Ok(M::decode(&bytes[length..])?),
        Some(_) | None if *first == UID_TAG => M::decode(bytes).map_err(|_| FrameError::Header),
        Some(_) | None => Err(FrameError::Header),
    }
}

/// A message without header, for plain HTTP.
///
/// # Errors
/// [`FrameError::TooBig`] above `limit`.
pub fn encode_plain<M: Message>(message: &M, limit: usize) -> Result<Vec<u8>, FrameError> {
    let bytes = message.encoded_len();
    if bytes > limit {
        return Err(FrameError::TooBig { bytes, limit });
    }
    Ok(message.encode_to_vec())
}

/// Reads a message that came over plain HTTP, already decompressed.
///
/// # Errors
/// Above `limit`, or when it does not decode.
pub fn decode_plain<M: Message + Default>(bytes: &[u8], limit: usize) -> Result<M, FrameError> {
    if bytes.len() > limit {
        return Err(FrameError::TooBig { bytes: bytes.len(), limit });
    }
    Ok(M::decode(bytes)?)
}

/// The varint at the front and its length in bytes; `None` when it does not end within ten bytes or does
/// not fit 64 bits.
fn header(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opamp::AgentToServer;

    fn heartbeat() -> AgentToServer {
        AgentToServer { instance_uid: vec![7; 16], sequence_num: 2, ..Default::default() }
    }

    #[test]
    fn headers() {
        let body = heartbeat().encode_to_vec();
        let with = |header: &[u8]| [header, &body].concat();
        let non_zero = [&[5_u8][..], &[10], &[0x81, 0x00], &[0xff; 10], &[0x01], &[0x80, 0x01]];
        for (name, bytes) in
            [("canonical", with(&[0])), ("two bytes", with(&[0x80, 0])), ("absent", body.clone())]
        {
            assert_eq!(decode(&bytes, 1_000), Ok(heartbeat()), "{name}");
        }
        for header in non_zero {
            assert_eq!(decode::<AgentToServer>(&with(header), 1_000), Err(FrameError::Header), "{header:x?}");
        }
    }

    #[test]
    fn empty_messages_are_legal() {
        assert_eq!(decode(&[0], 10), Ok(AgentToServer::default()));
        assert_eq!(decode(&[], 10), Ok(AgentToServer::default()));
        assert_eq!(encode(&AgentToServer::default(), 10), Ok(vec![0]));
    }

    #[test]
    fn limits_count_the_whole_message() {
        let bytes = encode(&heartbeat(), 21).unwrap();
        assert_eq!(bytes.len(), 21);
        assert_eq!(encode(&heartbeat(), 20), Err(FrameError::TooBig { bytes: 21, limit: 20 }));
        assert_eq!(decode::<AgentToServer>(&bytes, 20), Err(FrameError::TooBig { bytes: 21, limit: 20 }));
        assert_eq!(encode_plain(&heartbeat(), 19), Err(FrameError::TooBig { bytes: 20, limit: 19 }));
        assert_eq!(
            decode_plain::<AgentToServer>(&bytes[1..], 19),
            Err(FrameError::TooBig { bytes: 20, limit: 19 })
        );
    }

    #[test]
    fn a_truncated_body_is_refused() {
        let bytes = encode(&heartbeat(), 100).unwrap();
        assert!(matches!(decode::<AgentToServer>(&bytes[..10], 100), Err(FrameError::Body(_))));
        assert!(matches!(decode_plain::<AgentToServer>(&bytes[1..10], 100), Err(FrameError::Body(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = decode::<AgentToServer>(&bytes, 150);
            let _ = decode_plain::<AgentToServer>(&bytes, 150);
        }
    }
}
