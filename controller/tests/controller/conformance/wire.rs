//! An agent's end of either transport: bytes go out as they are given, whatever comes back is told.

use crate::common::*;
use futures_util::SinkExt;
use muster_proto::api::{AgentView, ForeignTokenCreated, ForeignTokenRequest};
use muster_proto::opamp::{AgentToServer, CONTENT_TYPE, ServerToAgent, frame};
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message as Frame;

/// The two transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    WebSocket,
    Http,
}

/// What the controller did.
#[derive(Debug)]
pub enum Heard {
    Message(Box<ServerToAgent>),
    Closed(Option<u16>),
    Status(u16),
}

impl Heard {
    pub fn message(self) -> ServerToAgent {
        match self {
            Self::Message(message) => *message,
            other => panic!("no message: {other:?}"),
        }
    }

    /// Refused: closed with this code over a WebSocket, answered with this status over HTTP.
    #[track_caller]
    pub fn is_refused(&self, close: u16, status: u16) {
        match self {
            Self::Closed(code) => assert_eq!(*code, Some(close)),
            Self::Status(code) => assert_eq!(*code, status),
            Self::Message(message) => panic!("not refused: {message:?}"),
        }
    }
}

/// An agent and its connection, which is opened when it is needed.
pub struct Wire {
    pub over: Over,
    pub agent: TestAgent,
    pub bearer: Option<String>,
    socket: Option<Socket>,
    client: Option<reqwest::Client>,
}

impl Wire {
    /// Of an enrolled agent.
    pub async fn enrolled(site: &Site, over: Over) -> Self {
        Self::new(site.agent().await, over, None)
    }

    /// Of a foreign agent with a fresh token.
    pub async fn foreign(site: &Site, over: Over) -> Self {
        let token: ForeignTokenCreated =
            site.api.post("/foreign-tokens", &ForeignTokenRequest::default(), 201).await;
        Self::new(TestAgent::new(site.addr(), site.ca()), over, Some(token.token))
    }

    pub fn new(agent: TestAgent, over: Over, bearer: Option<String>) -> Self {
        Self { over, agent, bearer, socket: None, client: None }
    }

    /// Another connection takes the place of this one: what was sent and not answered may be lost.
    pub fn reconnect(&mut self) {
        (self.socket, self.client) = (None, None);
    }

    /// The agent, with its connection dropped.
    pub fn into_agent(self) -> TestAgent {
        self.agent
    }

    /// Sends bytes as one message of the transport, without adding anything.
    pub async fn bytes(&mut self, bytes: Vec<u8>) -> Heard {
        match self.over {
            Over::WebSocket => self.frame(Frame::Binary(bytes.into())).await,
            Over::Http => self.post(bytes, &[]).await,
        }
    }

    pub async fn frame(&mut self, frame: Frame) -> Heard {
        // The controller may close while a frame is still being written.
        let _ = self.socket().await.send(frame).await;
        self.next().await
    }

    /// What comes next over the WebSocket.
    pub async fn next(&mut self) -> Heard {
        match next_or_close(self.socket().await).await {
            Ok(message) => Heard::Message(Box::new(message)),
            Err(code) => {
                self.socket = None;
                Heard::Closed(code)
            }
        }
    }

    async fn socket(&mut self) -> &mut Socket {
        if self.socket.is_none() {
            self.socket = Some(self.agent.dial(self.bearer.as_deref()).await.unwrap());
        }
        self.socket.as_mut().unwrap()
    }

    pub async fn post(&mut self, body: Vec<u8>, headers: &[(&str, &str)]) -> Heard {
        let response = self.request(body, headers).await;
        if response.status() != 200 {
            return Heard::Status(response.status().as_u16());
        }
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        let bytes = response.bytes().await.unwrap();
        Heard::Message(Box::new(frame::decode_plain(&bytes, frame::MAX_MESSAGE_BYTES).unwrap()))
    }

    pub async fn request(&mut self, body: Vec<u8>, headers: &[(&str, &str)]) -> reqwest::Response {
        let client = self.client.get_or_insert_with(|| {
            reqwest::Client::builder().tls_backend_preconfigured(self.agent.tls()).build().unwrap()
        });
        let url = format!("https://{}/v1/opamp", self.agent.addr);
        let mut request = client.post(url).header("content-type", CONTENT_TYPE).body(body);
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Sends protobuf, framed as the transport wants it.
    pub async fn protobuf(&mut self, protobuf: Vec<u8>) -> Heard {
        match self.over {
            Over::WebSocket => self.bytes([vec![0], protobuf].concat()).await,
            Over::Http => self.bytes(protobuf).await,
        }
    }

    pub async fn send(&mut self, message: &AgentToServer) -> Heard {
        self.protobuf(message.encode_to_vec()).await
    }

    /// Sends a message and gives its answer.
    pub async fn ask(&mut self, message: &AgentToServer) -> ServerToAgent {
        self.send(message).await.message()
    }

    /// Sends a full report.
    pub async fn report(&mut self) -> ServerToAgent {
        let full = self.agent.full();
        self.ask(&full).await
    }

    /// Sends a heartbeat.
    pub async fn beat(&mut self) -> ServerToAgent {
        let beat = self.agent.message();
        self.ask(&beat).await
    }

    /// The next thing that the controller wants to say: it speaks by itself over a WebSocket, and with the
    /// next poll over HTTP.
    pub async fn pushed(&mut self) -> ServerToAgent {
        match self.over {
            Over::WebSocket => self.next().await.message(),
            Over::Http => self.beat().await,
        }
    }

    /// The socket is dropped without a word.
    pub fn vanish(&mut self) {
        self.reconnect();
    }

    pub async fn view(&self, site: &Site) -> AgentView {
        site.api.get(&format!("/agents/{}", self.agent.uid)).await
    }
}
