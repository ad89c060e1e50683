//! Bodies of polls: read only for whom is admitted, up to a size, by a deadline, and few at a time.

use super::MAX_AGENT_MESSAGE_BYTES;
use crate::http::error::ApiError;
use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bodies that are read at one time, over all agents: with the size of each this bounds the memory.
pub const MAX_BODIES: usize = 64;
/// A body that is not there in full by then is given up.
pub const BODY_DEADLINE: Duration = Duration::from_secs(15);

/// Reads a body that is decompressed on the way; the size counts after that.
///
/// # Errors
/// A problem if it is too large, broken or late, or too many are being read.
pub async fn read<S>(places: &Semaphore, stream: S, deadline: Duration) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<Bytes, PayloadError>>,
{
    let reading = async {
        // Never closed: it ends with the program.
        let _place = places.acquire().await;
        let mut stream = std::pin::pin!(stream);
        let mut body = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| match e {
                PayloadError::Overflow => ApiError::too_large(MAX_AGENT_MESSAGE_BYTES),
                other => {
                    ApiError::bad_request("body-unreadable", format!("the body cannot be read: {other}"))
                } // foreign enum
            })?;
            if body.len() + chunk.len() > MAX_AGENT_MESSAGE_BYTES {
                return Err(ApiError::too_large(MAX_AGENT_MESSAGE_BYTES));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(deadline, reading).await.unwrap_or_else(|_| {
        Err(ApiError::unavailable(
            format!("the body did not come in within {} s; send it at once", deadline.as_secs()),
            5,
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use futures_util::stream;

    async fn status(chunks: Vec<Bytes>, ends: bool, places: usize) -> u16 {
        let start = stream::iter(chunks.into_iter().map(Ok));
        let rest = if ends { stream::empty().left_stream() } else { stream::pending().right_stream() };
        let result = read(&Semaphore::new(places), start.chain(rest), Duration::from_millis(50)).await;
        result.map_or_else(|e| e.status_code().as_u16(), |_| 200)
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_size_time_and_number() {
        let half = Bytes::from(vec![0; MAX_AGENT_MESSAGE_BYTES / 2]);
        assert_eq!(status(vec![half.clone(), half.clone()], true, 1).await, 200);
        let over = vec![half.clone(), half.clone(), Bytes::from_static(b"x")];
        assert_eq!(status(over, false, 1).await, 413, "known before the end");
        assert_eq!(status(vec![half], false, 1).await, 503, "never ends");
        assert_eq!(status(Vec::new(), true, 0).await, 503, "no place");
    }
}
