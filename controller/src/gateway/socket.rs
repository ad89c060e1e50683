//! The WebSocket of one connection, on the stream that TLS left.
//!
//! It keeps no buffer while nothing is under way: what is read goes through a buffer that all connections of a
//! thread share, and only the rest of an unfinished message stays. Ten thousand silent agents cost their TLS
//! state and little else.

use actix_http::ws::{CloseCode, CloseReason, Codec, Frame, Item, Message, ProtocolError};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_util::codec::{Decoder as _, Encoder as _};

/// How long the other end may take to close after it was told to.
const LINGER: Duration = Duration::from_secs(2);
/// Read at once; longer messages take several reads.
const READ: usize = 16 * 1024;

thread_local! {
    static SHARED: RefCell<Box<[u8; READ]>> = RefCell::new(Box::new([0; READ]));
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole binary message.
    Binary(Bytes),
    /// Text, which OpAMP has none of.
    Text,
    /// To be answered with the same bytes.
    Ping(Bytes),
    /// An answer to a ping.
    Pong,
    /// The other end closes.
    Close,
}

/// Why nothing more comes.
#[derive(Debug)]
pub enum Broken {
    /// The connection ended or was lost.
    Lost,
    /// A message, or its parts together, is larger than allowed.
    TooBig,
    /// This is no WebSocket.
    Protocol(ProtocolError),
}

/// A WebSocket, this end being the server.
pub struct Socket<S> {
    stream: S,
    codec: Codec,
    /// The rest of what was read.
    rest: BytesMut,
    /// Parts of a message that came so far.
    parts: Option<BytesMut>,
    limit: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// On a stream whose upgrade is answered; `rest` was read behind the request.
    pub fn new(stream: S, rest: &[u8], limit: usize) -> Self {
        Self { stream, codec: Codec::new().max_size(limit), rest: BytesMut::from(rest), parts: None, limit }
    }

    /// What comes next. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// If nothing can come any more.
    pub async fn hear(&mut self) -> Result<Heard, Broken> {
        poll_fn(|context| self.poll_hear(context)).await
    }

    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<Result<Heard, Broken>> {
        loop {
            if let Some(heard) = self.decode()? {
                return Poll::Ready(Ok(heard));
            }
            ready!(self.poll_read(context))?;
        }
    }

    fn decode(&mut self) -> Result<Option<Heard>, Broken> {
        while !self.rest.is_empty() {
            let frame = self.codec.decode(&mut self.rest).map_err(|error| match error {
                ProtocolError::Overflow => Broken::TooBig,
                other => Broken::Protocol(other),
            })?;
            let Some(frame) = frame else { return Ok(None) };
            // An empty buffer still holds the memory of what came in it, and who hears a message may keep the
            // connection waiting for long: thousands wait for one flush of the store.
            if self.rest.is_empty() {
                self.rest = BytesMut::new();
            }
            if let Some(heard) = self.whole(frame)? {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    /// A message, unless the frame is only a part of one.
    fn whole(&mut self, frame: Frame) -> Result<Option<Heard>, Broken> {
        Ok(Some(match frame {
            Frame::Binary(bytes) => Heard::Binary(bytes),
            Frame::Text(_) | Frame::Continuation(Item::FirstText(_)) => Heard::Text,
            Frame::Ping(bytes) => Heard::Ping(bytes),
            Frame::Pong(_) => Heard::Pong,
            Frame::Close(_) => Heard::Close,
            Frame::Continuation(Item::FirstBinary(bytes)) => {
                self.parts = Some(BytesMut::new());
                self.add_part(&bytes)?;
                return Ok(None);
            }
            Frame::Continuation(Item::Continue(bytes)) => {
                self.add_part(&bytes)?;
                return Ok(None);
            }
            Frame::Continuation(Item::Last(bytes)) => {
                self.add_part(&bytes)?;
                Heard::Binary(self.parts.take().unwrap_or_default().freeze())
            }
        }))
    }

    fn add_part(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let parts = self.parts.get_or_insert_default();
        if parts.len() + bytes.len() > self.limit {
            return Err(Broken::TooBig);
        }
        parts.extend_from_slice(bytes);
        Ok(())
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        SHARED.with_borrow_mut(|shared| {
            let mut buffer = ReadBuf::new(&mut shared[..]);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => Poll::Ready(Err(Broken::Lost)),
                Ok(()) => {
                    self.rest.extend_from_slice(buffer.filled());
                    Poll::Ready(Ok(()))
                }
                Err(_) => Poll::Ready(Err(Broken::Lost)),
            }
        })
    }

    async fn send(&mut self, message: Message) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        self.codec.encode(message, &mut bytes).map_err(io::Error::other)?;
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// Sends a binary message. If this is dropped half-way, nothing more may be sent.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn binary(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.send(Message::Binary(bytes.into())).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// As above.
    pub async fn ping(&mut self) -> io::Result<()> {
        self.send(Message::Ping(Bytes::new())).await
    }

    /// Gives one.
    ///
    /// # Errors
    /// As above.
    pub async fn pong(&mut self, bytes: Bytes) -> io::Result<()> {
        self.send(Message::Pong(bytes)).await
    }

    /// Says goodbye and ends the stream.
    ///
    /// # Errors
    /// As above.
    pub async fn close(mut self, code: CloseCode, why: &str) -> io::Result<()> {
        let description = Some(why.to_owned());
        self.send(Message::Close(Some(CloseReason { code, description }))).await?;
        self.stream.shutdown().await?;
        // What the other end is still sending is read away: a socket that is dropped with something unread in it
        // takes back what it sent last.
        let drained = poll_fn(|context| {
            loop {
                match ready!(self.poll_read(context)) {
                    Ok(()) => self.rest = BytesMut::new(),
                    Err(_) => return Poll::Ready(()),
                }
            }
        });
        let _ = tokio::time::timeout(LINGER, drained).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            n @ 0..126 => frame.push(0x80 | u8::try_from(n).unwrap()),
            n => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(n).unwrap().to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn pair(limit: usize) -> (Socket<DuplexStream>, DuplexStream) {
        let (here, there) = duplex(64 * 1024);
        (Socket::new(here, &[], limit), there)
    }

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut() {
        let (mut socket, mut other) = pair(1_024);
        let mut bytes = masked(0x82, b"one");
        bytes.extend(masked(0x02, b"tw"));
        bytes.extend(masked(0x89, b"!"));
        bytes.extend(masked(0x80, b"o"));
        bytes.extend(masked(0x81, b"text"));
        bytes.extend(masked(0x88, &1_000_u16.to_be_bytes()));
        for byte in bytes {
            other.write_all(&[byte]).await.unwrap();
        }
        let expected = [
            Heard::Binary(Bytes::from_static(b"one")),
            Heard::Ping(Bytes::from_static(b"!")),
            Heard::Binary(Bytes::from_static(b"two")),
            Heard::Text,
            Heard::Close,
        ];
        for heard in expected {
            assert_eq!(socket.hear().await.unwrap(), heard);
        }
        assert_eq!(socket.rest.capacity(), 0, "nothing is kept of what was heard");
        drop(other);
        assert!(matches!(socket.hear().await, Err(Broken::Lost)));
    }

    #[tokio::test]
    async fn what_was_heard_is_not_kept_while_it_is_worked_on() {
        let (mut socket, mut other) = pair(8_192);
        let message = [7; 4_096];
        other.write_all(&masked(0x82, &message)).await.unwrap();
        assert_eq!(socket.hear().await.unwrap(), Heard::Binary(Bytes::copy_from_slice(&message)));
        assert_eq!(socket.rest.capacity(), 0);
        // The beginning of the next message stays.
        let next = masked(0x82, &message);
        other.write_all(&[masked(0x82, b"one"), next[..100].to_vec()].concat()).await.unwrap();
        assert_eq!(socket.hear().await.unwrap(), Heard::Binary(Bytes::from_static(b"one")));
        other.write_all(&next[100..]).await.unwrap();
        assert_eq!(socket.hear().await.unwrap(), Heard::Binary(Bytes::copy_from_slice(&message)));
        assert_eq!(socket.rest.capacity(), 0);
    }

    #[tokio::test]
    async fn what_is_too_large_or_no_websocket_is_refused() {
        let big = vec![7; 1_025];
        let parts = [masked(0x02, &[7; 1_000]), masked(0x80, &[7; 1_000])].concat();
        for (bytes, too_big) in [
            (masked(0x82, &big), true),
            (parts, true),
            (vec![0x82, 0x01, 0x00], false),
            (vec![0x8f, 0x80, 0, 0, 0, 0], false),
        ] {
            let (mut socket, mut other) = pair(1_024);
            other.write_all(&bytes).await.unwrap();
            match socket.hear().await {
                Err(Broken::TooBig) => assert!(too_big),
                Err(Broken::Protocol(_)) => assert!(!too_big),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_message_reaches_the_other_end() {
        let (mut socket, mut other) = pair(1_024);
        socket.binary(vec![1, 2, 3]).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            other.read_to_end(&mut bytes).await.unwrap();
            bytes
        });
        socket.close(CloseCode::Normal, "bye").await.unwrap();
        let bytes = reading.await.unwrap();
        assert_eq!(bytes, [0x82, 3, 1, 2, 3, 0x88, 5, 0x03, 0xe8, b'b', b'y', b'e']);
    }
}
