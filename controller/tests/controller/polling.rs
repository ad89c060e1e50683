//! OpAMP over plain HTTP.

use crate::common::*;
use muster_proto::api::{AgentView, Connection, PolicyPublished, Problem};
use muster_proto::opamp::{AgentToServer, CONTENT_TYPE, RemoteConfigStatuses, ServerToAgent, frame};

pub struct Poller {
    client: reqwest::Client,
    url: String,
}

impl Poller {
    pub fn new(agent: &TestAgent) -> Self {
        let client = reqwest::Client::builder().tls_backend_preconfigured(agent.tls()).build().unwrap();
        Self { client, url: format!("https://{}/v1/opamp", agent.addr) }
    }

    async fn post(&self, body: Vec<u8>, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.client.post(&self.url).header("content-type", CONTENT_TYPE).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub async fn ask(&self, message: &AgentToServer) -> ServerToAgent {
        let response = self.post(frame::encode_plain(message, frame::MAX_MESSAGE_BYTES).unwrap(), &[]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        frame::decode_plain(&response.bytes().await.unwrap(), frame::MAX_MESSAGE_BYTES).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_enrols_and_runs_its_policy_by_polling() {
    let site = Site::start().await;
    let token = site.token().await;
    let mut agent = TestAgent::new(site.addr(), site.ca());
    let poller = Poller::new(&agent);
    let body = frame::encode_plain(&agent.with_csr(), frame::MAX_MESSAGE_BYTES).unwrap();
    let response = poller.post(body, &[("authorization", &format!("Bearer {}", token.token))]).await;
    let reply = frame::decode_plain(&response.bytes().await.unwrap(), frame::MAX_MESSAGE_BYTES).unwrap();
    agent.keep(&reply);

    let poller = Poller::new(&agent);
    let reply = poller.ask(&agent.full()).await;
    let hash = reply.remote_config.unwrap().config_hash;
    let applied = agent.status(&hash, RemoteConfigStatuses::Applied, "");
    assert!(poller.ask(&applied).await.remote_config.is_none());
    let _: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    let _: muster_proto::api::RatesView = site.api.get("/rates?watch=true").await;
    let reply = poller.ask(&agent.message()).await;
    assert!(reply.remote_config.is_some(), "the push waits for the next poll");
    assert!(reply.custom_message.is_some(), "so does the watch");
    let view: AgentView = site.api.get(&format!("/agents/{}", agent.uid)).await;
    assert_eq!(view.summary.connection, Connection::Connected);

    // The same agent over a WebSocket: polling gives way.
    let (mut socket, reply) = agent.connect().await;
    assert_eq!(reply.error_response, None);
    let heartbeat = agent.message();
    assert_eq!(ask(&mut socket, &heartbeat).await.error_response, None);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_polls_are_told_what_is_wrong() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let poller = Poller::new(&agent);
    let anonymous = Poller::new(&TestAgent::new(site.addr(), site.ca()));
    let big = vec![0; frame::MAX_MESSAGE_BYTES + 1];
    let cases = [
        (poller.post(big, &[]).await, 413, "too-large"),
        (poller.post(b"\xff\xff".to_vec(), &[]).await, 400, "opamp-malformed"),
        (poller.post(b"junk".to_vec(), &[("content-encoding", "gzip")]).await, 400, "body-unreadable"),
        (poller.post(gzip_bomb(), &[("content-encoding", "gzip")]).await, 413, "too-large"),
        (anonymous.post(vec![], &[]).await, 401, "no-credential"),
    ];
    for (response, status, code) in cases {
        assert_eq!(response.status().as_u16(), status, "{code}");
        let problem: Problem = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(problem.code(), code);
    }
    let plain = poller.client.post(&poller.url).header("content-type", "text/plain").send().await.unwrap();
    assert_eq!(plain.status(), 415);
    let get = poller.client.get(&poller.url).send().await.unwrap();
    assert_eq!(get.status(), 400);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_stranger_is_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let site = Site::start().await;
    let stranger = TestAgent::new(site.addr(), site.ca());
    let tcp = tokio::net::TcpStream::connect(site.addr()).await.unwrap();
    let name = rustls_pki_types::ServerName::from(site.addr().ip());
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(stranger.tls()));
    let mut stream = connector.connect(name, tcp).await.unwrap();
    let head = format!(
        "POST /v1/opamp HTTP/1.1\r\nhost: {}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: 900000\r\n\r\nx",
        site.addr()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 401");
    drop(stream);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_compressed_both_ways() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let poller = Poller::new(&agent);
    let message = frame::encode_plain(&agent.full(), frame::MAX_MESSAGE_BYTES).unwrap();
    let headers = [("content-encoding", "gzip"), ("accept-encoding", "gzip")];
    let response = poller.post(gzip_stored(&message), &headers).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let body = response.bytes().await.unwrap();
    assert_eq!(body[..2], [0x1f, 0x8b]);
    site.running.stop().await;
}

/// A gzip file with the content in stored blocks (RFC 1951 section 3.2.4).
pub fn gzip_stored(content: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks: Vec<&[u8]> = content.chunks(65_535).collect();
    for (i, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        out.push(u8::from(i + 1 == blocks.len()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(*block);
    }
    out.extend(crc32fast::hash(content).to_le_bytes());
    out.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    out
}

/// A small gzip file that becomes far more than a message may have: a block of fixed Huffman codes (RFC
/// 1951 section 3.2.6) with one literal zero and then copies of 258 bytes at distance 1.
pub fn gzip_bomb() -> Vec<u8> {
    let copies = frame::MAX_MESSAGE_BYTES / 258 + 10;
    let mut bits: Vec<bool> = vec![true, true, false]; // last block, fixed codes
    bits.extend([false, false, true, true, false, false, false, false]); // literal 0: 00110000
    for _ in 0..copies {
        bits.extend([true, true, false, false, false, true, false, true]); // length 258: 11000101
        bits.extend([false; 5]); // distance 1
    }
    bits.extend([false; 7]); // end of block
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |b, (i, bit)| b | (u8::from(*bit) << i))));
    let content = vec![0; 1 + copies * 258];
    out.extend(crc32fast::hash(&content).to_le_bytes());
    out.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    out
}
